"""What is sealed is read by whoever has the study's key, and by nobody else; its length tells nothing."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.platform import sealed
from myoloop.platform.sealed import SealedError, SessionBox

KEY, OTHER = sealed.new_key(), sealed.new_key()
ROWS = [(1, "low_back", "A", "verum"), (2, "low_back", "A", "scheinbehandlung"), (3, "neck", "B", "verum")]
LIST = sealed.seal_list(KEY.public, ROWS)


def test_an_entry_opens_with_the_key_of_the_study() -> None:
    found = sealed.read_list(LIST)
    assert [(e.number, e.stratum, e.station, found.arm(e.number, KEY)) for e in found.entries] == ROWS


def test_the_file_does_not_hold_an_arm_nor_its_length() -> None:
    assert b"verum" not in LIST
    assert b"schein" not in LIST
    assert len({len(entry.box) for entry in sealed.read_list(LIST).entries}) == 1


def test_two_entries_of_one_arm_do_not_look_alike() -> None:
    first, _, third = sealed.read_list(LIST).entries
    assert first.box != third.box


def test_another_key_opens_nothing() -> None:
    with pytest.raises(SealedError, match="another key"):
        sealed.read_list(LIST).arm(1, OTHER)


@pytest.mark.parametrize("field", ["number", "stratum", "station", "box"])
def test_an_entry_that_was_changed_or_moved_does_not_open(field: str) -> None:
    head, first, second, third = LIST.decode().splitlines()
    row, donor = json.loads(first), json.loads(third)
    row[field] = 7 if field == "number" else donor[field]
    found = sealed.read_list("\n".join([head, json.dumps(row), second]).encode())
    with pytest.raises(SealedError, match="changed or moved"):
        found.arm(row["number"], KEY)


def test_an_entry_that_is_not_there_is_refused() -> None:
    with pytest.raises(SealedError, match="no entry 9, it has 3"):
        sealed.read_list(LIST).arm(9, KEY)


def test_a_number_stands_once() -> None:
    with pytest.raises(SealedError, match="two entries have number 1"):
        sealed.seal_list(KEY.public, [ROWS[0], ROWS[0]])
    with pytest.raises(SealedError, match="line 5: number 1 stands twice"):
        sealed.read_list(LIST + LIST.splitlines()[1])


@pytest.mark.parametrize("data", [b"", b"{}", b"[]\n", b"\xff\xfe", LIST[100:]])
def test_what_is_no_list_is_refused(data: bytes) -> None:
    with pytest.raises(SealedError, match="line 1"):
        sealed.read_list(data)


def test_a_torn_entry_is_named_by_its_line() -> None:
    with pytest.raises(SealedError, match="line 4"):
        sealed.read_list(LIST[:-20])


@pytest.mark.parametrize("arm", ["", "x" * 61])
def test_the_name_of_an_arm_has_a_length(arm: str) -> None:
    with pytest.raises(SealedError, match="1 to 60 bytes"):
        sealed.seal_list(KEY.public, [(1, "", "", arm)])


@settings(deadline=None)
@given(st.binary(max_size=2000), st.integers(0, 2**40))
def test_a_record_opens_as_what_it_was_closed_as_and_closes_the_same_again(plain: bytes, number: int) -> None:
    box = SessionBox(KEY, "sub-P017/ses-01/att-1")
    closed = box.seal("report", number, plain, 256)
    assert box.open("report", number, closed) == plain
    assert SessionBox(KEY, "sub-P017/ses-01/att-1").seal("report", number, plain, 256) == closed
    assert (len(closed) - 16) % 256 == 0
    for other, what, which in (
        (box, "pulse", number),
        (box, "report", number + 1),
        (SessionBox(KEY, "sub-P017/ses-01/att-2"), "report", number),
        (SessionBox(OTHER, "sub-P017/ses-01/att-1"), "report", number),
    ):
        with pytest.raises(SealedError, match="does not open"):
            other.open(what, which, closed)


def test_a_changed_record_does_not_open() -> None:
    box = SessionBox(KEY, "s")
    closed = bytearray(box.seal("report", 1, b"3 mA", 64))
    closed[20] ^= 1
    with pytest.raises(SealedError, match="does not open"):
        box.open("report", 1, bytes(closed))


def test_a_key_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "study.key"
    sealed.write_key(file, KEY)
    assert sealed.read_key(file) == KEY
    if os.name == "posix":
        assert file.stat().st_mode & 0o777 == 0o600
        file.chmod(0o640)
        with pytest.raises(SealedError, match=r"others may read it \(mode 640\)"):
            sealed.read_key(file)


def test_a_key_file_is_never_written_over(tmp_path: Path) -> None:
    file = tmp_path / "study.key"
    sealed.write_key(file, KEY)
    with pytest.raises(SealedError, match="File exists"):
        sealed.write_key(file, OTHER)


def test_a_key_does_not_stand_in_a_study(tmp_path: Path) -> None:
    (tmp_path / "participants.tsv").touch()
    (tmp_path / "keys").mkdir()
    with pytest.raises(SealedError, match="inside the study"):
        sealed.write_key(tmp_path / "keys" / "study.key", KEY)


@pytest.mark.parametrize("text", ["", "myoloop-study-key-1 ", "myoloop-study-key-1 AAAA", "secret", "Ä"])
def test_what_is_no_key_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "study.key"
    file.write_text(text, encoding="utf-8")
    file.chmod(0o600)
    with pytest.raises(SealedError, match="no study key"):
        sealed.read_key(file)


def test_a_key_that_is_printed_shows_nothing() -> None:
    assert KEY.secret.hex() not in repr(KEY)
    assert repr(KEY.secret) not in repr(KEY)
