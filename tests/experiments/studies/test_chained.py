"""A chained log shows every alteration, and a kill while writing costs no line that was promised."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.experiments.studies.chained import (
    ChainedLog,
    DamagedLog,
    check_chained,
    read_chained,
    verify_chained,
)
from myoloop.platform.errors import UserError

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
ENTRIES = st.lists(
    st.dictionaries(
        TEXT.filter(lambda key: key not in ("n", "previous", "sha256", "torn", "voids")), VALUES, max_size=4
    ),
    min_size=1,
    max_size=6,
)


@pytest.fixture
def log(tmp_path):
    log = ChainedLog(tmp_path / "record" / "notes.jsonl")
    for number in range(5):
        log.append({"value": number})
    return log


def lines(log):
    return log.path.read_bytes().splitlines(keepends=True)


def test_entries_come_back_in_order_with_their_chain(log):
    rows = read_chained(log.path)
    assert [row["value"] for row in rows] == [0, 1, 2, 3, 4]
    assert [row["n"] for row in rows] == [1, 2, 3, 4, 5]
    assert rows[0]["previous"] == "0" * 64
    assert [row["previous"] for row in rows[1:]] == [row["sha256"] for row in rows[:-1]]
    assert verify_chained(log.path) == []


@settings(deadline=None, max_examples=40)
@given(ENTRIES)
def test_whatever_json_holds_is_read_back_equal(tmp_path_factory, entries):
    log = ChainedLog(tmp_path_factory.mktemp("log") / "a.jsonl")
    written = [log.append(entry) for entry in entries]
    assert read_chained(log.path) == written
    own = ("n", "previous", "sha256")
    assert [{k: v for k, v in row.items() if k not in own} for row in written] == entries
    assert verify_chained(log.path) == []


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6), st.integers(1, 255))
def test_any_changed_byte_shows(tmp_path_factory, at, flip):
    log = ChainedLog(tmp_path_factory.mktemp("log") / "a.jsonl")
    for number in range(4):
        log.append({"value": number})
    content = bytearray(log.path.read_bytes())
    content[at % len(content)] ^= flip
    log.path.write_bytes(content)
    assert verify_chained(log.path)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda rows: [rows[0], rows[1].replace(b'"value":1', b'"value":9'), *rows[2:]], "line 2: edited"),
        (lambda rows: [rows[0], *rows[2:]], "line 2: gap"),
        (lambda rows: rows[1:], "line 1: gap"),
        (lambda rows: [rows[0], rows[2], rows[1], *rows[3:]], "line 2: gap"),
        (lambda rows: [rows[0], b"what?\n", *rows[2:]], "line 2: unreadable"),
        (lambda rows: [rows[0].replace(b'"value":0', b'"value":NaN'), *rows[1:]], "line 1: edited"),
        (lambda rows: [rows[0].replace(b'{"n":1', b'{ "n":1'), *rows[1:]], "line 1: edited"),
    ],
)
def test_what_was_done_to_a_log_is_named(log, change, word):
    log.path.write_bytes(b"".join(change(lines(log))))
    assert any(word in problem for problem in verify_chained(log.path))
    with pytest.raises(DamagedLog, match=word):
        read_chained(log.path)


def test_an_edit_with_a_fitting_hash_breaks_the_next_link(log, tmp_path):
    other = ChainedLog(tmp_path / "other.jsonl")
    for number in (0, 9):
        other.append({"value": number})
    forged = other.path.read_bytes().splitlines(keepends=True)
    log.path.write_bytes(b"".join([*forged, *lines(log)[2:]]))
    assert verify_chained(log.path) == [
        f"{log.path}, line 3: does not follow the entry before it, which was edited or replaced"
    ]


def test_a_cut_end_shows_only_against_a_head_kept_elsewhere(log):
    head = check_chained(log.path).head
    assert verify_chained(log.path, head) == []
    log.path.write_bytes(b"".join(lines(log)[:-1]))
    assert verify_chained(log.path) == []
    assert verify_chained(log.path, head) == [f"{log.path}: cut: the entry {head} that it held is gone"]


@pytest.mark.parametrize("kept", [1, 30, -2])
def test_a_torn_last_line_is_named_and_noted_by_the_next(log, kept):
    rows = lines(log)
    log.path.write_bytes(b"".join(rows[:-1]) + rows[-1][:kept])
    assert verify_chained(log.path) == [f"{log.path}, line 5: torn, cut off while it was written; the 4 before it hold"]
    assert [row["value"] for row in read_chained(log.path)] == [0, 1, 2, 3]
    written = log.append({"value": "after"})
    assert written["n"] == 5
    assert len(written["torn"]) == 1
    assert verify_chained(log.path) == []
    assert read_chained(log.path)[-1]["value"] == "after"


def test_a_line_that_lacks_only_its_end_is_whole(log):
    log.path.write_bytes(log.path.read_bytes().removesuffix(b"\n"))
    assert verify_chained(log.path) == []
    assert log.append({"value": 5})["n"] == 6
    assert verify_chained(log.path) == []


def test_two_kills_in_a_row_leave_two_torn_lines_and_both_are_noted(log):
    rows = lines(log)
    log.path.write_bytes(b"".join(rows[:-1]) + rows[-1][:20] + b"\n" + rows[-1][:10])
    assert len(log.append({"value": "after"})["torn"]) == 2
    assert verify_chained(log.path) == []


def test_an_altered_torn_line_shows(log):
    rows = lines(log)
    log.path.write_bytes(b"".join(rows[:-1]) + rows[-1][:20])
    log.append({"value": "after"})
    log.path.write_bytes(log.path.read_bytes().replace(rows[-1][:20] + b"\n", b"nothing was here\n"))
    assert any("line 5: unreadable" in problem for problem in verify_chained(log.path))


@pytest.mark.parametrize("key", ["n", "previous", "sha256", "torn", "voids"])
def test_the_keys_of_the_chain_cannot_be_given(log, key):
    with pytest.raises(ValueError, match=key):
        log.append({key: 1})


def test_a_number_that_is_not_finite_is_refused_and_leaves_nothing(log):
    before = log.path.read_bytes()
    with pytest.raises(ValueError):
        log.append({"value": float("nan")})
    assert log.path.read_bytes() == before


def test_no_file_means_no_entries_but_fails_verification(tmp_path):
    path = tmp_path / "none.jsonl"
    assert read_chained(path) == []
    assert verify_chained(path) == [f"{path}: no such file"]
    with pytest.raises(UserError, match="cannot be read"):
        check_chained(path)


def test_what_is_voided_stays_in_the_file_and_is_not_read(log):
    log.void([2, 4], {"who": "A. Berg", "why": "another person's"})
    assert [row["value"] for row in read_chained(log.path)] == [0, 2, 4]
    assert len(check_chained(log.path).entries) == 6
    assert verify_chained(log.path) == []


def test_several_writers_make_one_chain(tmp_path):
    path = tmp_path / "a.jsonl"

    def write(who):
        log = ChainedLog(path)
        return [log.append({"who": who, "value": number})["n"] for number in range(10)]

    with ThreadPoolExecutor(4) as pool:
        numbers = [n for each in pool.map(write, range(4)) for n in each]
    assert sorted(numbers) == list(range(1, 41))
    assert verify_chained(path) == []


WRITER = """
import sys
from myoloop.experiments.studies.chained import ChainedLog
log = ChainedLog(sys.argv[1])
while True:
    print(log.append({"text": "x" * 5000})["n"], flush=True)
"""


def kill_while_appending(path, seed, rounds):
    """Kill a writer at random moments; every number that it printed must be in the log."""
    dice = random.Random(seed)
    promised = 0
    for _ in range(rounds):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE)
        out = writer.stdout
        # The moment is counted in lines and then in turns of this process, not in time.
        for _ in range(dice.randrange(1, 6)):
            promised = int(out.readline())
        for _ in range(dice.randrange(2000)):
            pass
        os.kill(writer.pid, signal.SIGKILL)
        rest = out.read().split()
        promised = int(rest[-1]) if rest else promised
        writer.wait(30)
        out.close()
        checked = check_chained(path)
        assert checked.problems == []
        assert len(checked.entries) >= promised
    ChainedLog(path).append({"text": "end"})
    assert verify_chained(path) == []
    rows = read_chained(path)
    assert [row["n"] for row in rows] == list(range(1, len(rows) + 1))


@pytest.mark.processes
def test_kills_at_random_moments_lose_nothing_that_was_promised(tmp_path):
    kill_while_appending(tmp_path / "a.jsonl", seed=4, rounds=5)


@pytest.mark.prove
@pytest.mark.processes
@pytest.mark.timeout(600)
def test_two_hundred_kills_lose_nothing_that_was_promised(tmp_path):
    kill_while_appending(tmp_path / "a.jsonl", seed=200, rounds=200)
