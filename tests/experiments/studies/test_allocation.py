"""Each entry of the sealed list is taken once, by one person, at one station; nothing readable holds an arm."""

from __future__ import annotations

import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.experiments.studies.allocation import (
    AllocationError,
    Row,
    arm_of,
    entry_of,
    import_list,
    list_sha256,
    parse_list,
    slice_list,
    standing,
    take,
    takes,
)
from myoloop.experiments.studies.audit import audit_of, record_act
from myoloop.experiments.studies.chained import ChainedLog, DamagedLog
from myoloop.experiments.studies.participants import register
from myoloop.platform.errors import UserError
from myoloop.platform.sealed import SealedError, new_key, read_key

ARMS = ("verum", "scheinbehandlung")


def rows(strata=("left", "right"), each=6):
    return [Row(s, k * each + i + 1, ARMS[i % 2]) for k, s in enumerate(strata) for i in range(each)]


@pytest.fixture
def key_file(tmp_path):
    (tmp_path / "keys").mkdir()
    return tmp_path / "keys" / "study.key"


@pytest.fixture
def study(tmp_path, key_file):
    import_list(tmp_path / "study", rows(), key_file)
    return tmp_path / "study"


# -- reading the list ------------------------------------------------------------------------------------------------


def test_a_list_is_read_with_or_without_strata_and_stations():
    assert parse_list("number,arm\n1,verum\n2,sham\n", "f.csv") == [Row("all", 1, "verum"), Row("all", 2, "sham")]
    text = "stratum, number, arm, station\nleft, 1, verum, A\n"
    assert parse_list(text, "f.csv") == [Row("left", 1, "verum", "A")]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "f.csv:1: columns: found none"),
        ("number\n1\n", "f.csv:1: columns: found number, allowed are number, arm"),
        ("number,arm,name\n1,verum,Bo\n", "f.csv:1: columns: found number, arm, name"),
        ("number,arm\n", "f.csv: no entry in it"),
        ("number,arm\n1,verum\n1,verum\n", "f.csv: number 1 is there twice"),
        ("number,arm\n1,verum\n3,verum\n", "f.csv: number 2 is missing"),
        ("number,arm\n0,verum\n", "f.csv:2: number: found '0', allowed is a whole number from 1"),
        ("number,arm\n1,verum,9\n", "f.csv:2: found another number of cells than columns"),
        ("number,arm\n1\n", "f.csv:2: found another number of cells than columns"),
        ("number,arm\n1,placebo\n", "f.csv:2: arm: not one of the protocol's arms (verum, scheinbehandlung)"),
        ("number,arm\n1,../x\n", "f.csv:2: arm: not a name of letters, digits, _ and -, of 32 at most"),
        ("stratum,number,arm\na/b,1,verum\n", "f.csv:2: stratum: found 'a/b', allowed are letters, digits and _ . -"),
        ("station,number,arm\nshared,1,verum\n", "f.csv:2: station: found 'shared', allowed are letters, digits and -"),
    ],
)
def test_each_mistake_is_a_line(text, problem):
    with pytest.raises(AllocationError) as told:
        parse_list(text, "f.csv", ARMS)
    assert any(line.startswith(problem) for line in told.value.problems), told.value.problems


def test_all_mistakes_are_told_at_once_and_no_arm_with_them():
    with pytest.raises(AllocationError) as told:
        parse_list("number,arm\nx,verum\n2,secretarm\n", "f.csv", ARMS[:1])
    assert [line.split(": ")[0] for line in told.value.problems] == ["f.csv:2", "f.csv:3"]
    assert "secretarm" not in str(told.value)


# -- sealing ---------------------------------------------------------------------------------------------------------


def test_with_the_key_every_entry_is_what_was_imported(study, key_file):
    key = read_key(key_file)
    for number, row in enumerate(rows(), 1):
        assert take(study, f"P{number}", row.stratum).number == number
        assert arm_of(study, f"P{number}", key) == row.arm


def test_no_file_of_the_study_holds_an_arm(study):
    take(study, "P1", "left")
    for path in study.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        assert not re.search(b"verum|schein", content), path
        assert not re.search("verum|schein", str(path))


def test_the_hash_that_all_can_read_tells_nothing_of_the_arms(tmp_path):
    same = [import_list(tmp_path / name, rows(), tmp_path / f"{name}.key") for name in "ab"]
    assert same[0] != same[1]
    assert same[0] == list_sha256(tmp_path / "a")


def test_another_key_opens_nothing(study):
    take(study, "P1", "left")
    with pytest.raises(SealedError):
        arm_of(study, "P1", new_key())


def test_a_list_is_imported_once_and_its_key_kept_outside(study, tmp_path):
    with pytest.raises(AllocationError, match="has a list already"):
        import_list(study, rows(), tmp_path / "other.key")
    with pytest.raises(UserError, match="may not stand in a study folder"):
        import_list(tmp_path / "new", rows(), tmp_path / "new" / "study.key")
    assert not (tmp_path / "new").exists()


def test_only_its_owner_may_read_the_key(study, key_file):
    assert key_file.stat().st_mode & 0o777 == 0o600


# -- taking ----------------------------------------------------------------------------------------------------------


def test_who_has_an_entry_gets_the_same_again(study):
    assert take(study, "P1", "left") == take(study, "P1", "left") == entry_of(study, "P1")
    assert take(study, "P2", "left").number == 2


def test_nobody_is_allocated_in_two_strata(study):
    take(study, "P1", "left")
    with pytest.raises(AllocationError, match="was allocated in stratum left, not in right"):
        take(study, "P1", "right")


def test_when_no_entry_is_left_nobody_is_allocated(study):
    for number in range(6):
        take(study, f"P{number}", "left")
    with pytest.raises(AllocationError, match="stratum left: no entry is left; nobody can be allocated"):
        take(study, "P9", "left")
    assert take(study, "P9", "right").number == 7
    assert standing(study)["strata"] == {
        "left": {"shared": {"entries": 6, "left": 0}},
        "right": {"shared": {"entries": 6, "left": 5}},
    }


@pytest.mark.parametrize(
    ("person", "stratum", "message"),
    [("P1", "middle", "found 'middle', allowed are left, right"), ("../P1", "left", "allowed is a pseudonym")],
)
def test_what_is_not_there_is_named(study, person, stratum, message):
    with pytest.raises(UserError, match=re.escape(message)):
        take(study, person, stratum)


def test_without_a_list_nothing_is_taken_or_made(tmp_path):
    with pytest.raises(UserError, match=r"allocation\.sealed"):
        take(tmp_path / "none", "P1", "left")
    assert not (tmp_path / "none").exists()


def test_who_has_withdrawn_takes_nothing(study):
    now = datetime(2026, 11, 21, tzinfo=UTC)
    register(study, "P1", now.date())
    record_act(audit_of(study), now, "A. Berg", "pi", "withdraw", "sub-P1", None, None, "consent withdrawn")
    with pytest.raises(UserError, match="has withdrawn"):
        take(study, "P1", "left")


def test_one_without_an_entry_has_no_arm(study, key_file):
    with pytest.raises(AllocationError, match="P1: has not been allocated"):
        arm_of(study, "P1", read_key(key_file))


def test_many_at_once_get_different_entries(study):
    with ThreadPoolExecutor(4) as pool:
        got = list(pool.map(lambda number: take(study, f"P{number}", "left").number, range(6)))
    assert sorted(got) == [1, 2, 3, 4, 5, 6]


def test_a_take_that_was_killed_while_it_was_written_is_none_and_its_number_is_free(study):
    take(study, "P1", "left")
    take(study, "P2", "left")
    log = study / "allocation" / "shared.jsonl"
    log.write_bytes(log.read_bytes()[:-40])
    assert sorted(takes(study)) == ["P1"]
    assert take(study, "P3", "left").number == 2


def test_an_edited_log_stops_all(study):
    take(study, "P1", "left")
    log = study / "allocation" / "shared.jsonl"
    log.write_bytes(log.read_bytes().replace(b"P1", b"P2"))
    with pytest.raises(DamagedLog):
        take(study, "P3", "left")


def test_a_log_of_another_list_is_refused(study, tmp_path, key_file):
    take(study, "P1", "left")
    import_list(tmp_path / "other", rows(), key_file)
    shutil.copy(study / "allocation" / "shared.jsonl", tmp_path / "other" / "allocation")
    with pytest.raises(AllocationError, match="is not of this study's list"):
        takes(tmp_path / "other")


# -- three stations --------------------------------------------------------------------------------------------------

STATIONS = ("A", "B", "C")


def test_slices_are_ranges_that_share_nothing_and_leave_nothing_out():
    sliced = slice_list(rows(each=7), STATIONS)
    assert sorted(row.number for row in sliced) == list(range(1, 15))
    for stratum in ("left", "right"):
        order = [row.station for row in sliced if row.stratum == stratum]
        assert order == sorted(order)
        assert set(order) == set(STATIONS)


@pytest.mark.parametrize(
    ("stations", "message"),
    [(["A", "A"], "given twice"), (["A/"], "allowed are letters"), (list("ABCDEFG"), "6 entries are too few for 7")],
)
def test_slices_that_cannot_be_are_refused(stations, message):
    with pytest.raises(AllocationError, match=message):
        slice_list(rows(), stations)


def test_a_list_that_names_its_stations_is_not_sliced_again():
    with pytest.raises(AllocationError, match="has a column for them"):
        slice_list([Row("all", 1, "verum", "A")], ["A"])


ACTS = st.lists(
    st.tuples(st.sampled_from(STATIONS), st.integers(1, 40), st.sampled_from(["left", "right"])), max_size=45
)


@settings(deadline=None, max_examples=40)
@given(acts=ACTS, each=st.integers(3, 10))
def test_three_stations_that_never_meet_take_nothing_twice(tmp_path_factory, acts, each):
    root = tmp_path_factory.mktemp("stations")
    key = root / "study.key"
    import_list(root / "A", slice_list(rows(each=each), STATIONS), key)
    for other in STATIONS[1:]:
        shutil.copytree(root / "A", root / other)
    slices = {
        (stratum, name): each_slice["entries"]
        for stratum, by_station in standing(root / "A")["strata"].items()
        for name, each_slice in by_station.items()
    }
    given_out = {}
    for station, number, stratum in acts:
        # A person belongs to a station: what happens otherwise is the next test.
        person = f"{station}{number}"
        have = given_out.get(person)
        used = sum((s, t.stratum) == (station, stratum) for (s, t) in given_out.values())
        if have is not None and have[1].stratum != stratum:
            with pytest.raises(AllocationError, match="nobody is allocated twice"):
                take(root / station, person, stratum, station)
        elif have is None and used == slices[stratum, station]:
            with pytest.raises(AllocationError, match=f"no entry is left for station {station}"):
                take(root / station, person, stratum, station)
        else:
            taken = take(root / station, person, stratum, station)
            assert have is None or taken == have[1]
            given_out[person] = (station, taken)
    numbers = [taken.number for _, taken in given_out.values()]
    assert len(set(numbers)) == len(numbers)
    # Brought together by copying, they are one study.
    for other in STATIONS[1:]:
        for log in (root / other / "allocation").glob("*.jsonl"):
            shutil.copy(log, root / "A" / "allocation")
    assert takes(root / "A") == {person: taken for person, (_, taken) in given_out.items()}
    opened = read_key(key)
    plan = {row.number: row.arm for row in rows(each=each)}
    assert all(arm_of(root / "A", person, opened) == plan[taken.number] for person, (_, taken) in given_out.items())


def test_one_person_at_two_stations_shows_when_they_meet(tmp_path):
    import_list(tmp_path / "A", slice_list(rows(), STATIONS), tmp_path / "study.key")
    shutil.copytree(tmp_path / "A", tmp_path / "B")
    for station in "AB":
        take(tmp_path / station, "P1", "left", station)
    shutil.copy(tmp_path / "B" / "allocation" / "B.jsonl", tmp_path / "A" / "allocation")
    with pytest.raises(AllocationError, match="P1 was allocated twice, at two stations"):
        take(tmp_path / "A", "P2", "left", "A")


def test_a_number_that_two_logs_hold_shows(study):
    first = take(study, "P1", "left")
    ChainedLog(study / "allocation" / "copy.jsonl").append(
        {"person": "P2", "stratum": "left", "number": first.number, "station": "", "list_sha256": list_sha256(study)}
    )
    with pytest.raises(AllocationError, match="number 1 was taken twice"):
        takes(study)


def test_a_station_without_a_slice_takes_nothing(tmp_path):
    import_list(tmp_path / "study", slice_list(rows(), STATIONS), tmp_path / "study.key")
    for station in ("", "D"):
        with pytest.raises(AllocationError, match="allowed are A, B, C: they have a slice"):
            take(tmp_path / "study", "P1", "left", station)
