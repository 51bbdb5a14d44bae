"""A session is given to whom it belongs, and a person's data are removed: each with its trace in the audit."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.experiments.studies import people
from myoloop.experiments.studies.audit import read_audit
from myoloop.experiments.studies.chained import ChainedLog, read_chained, verify_chained
from myoloop.experiments.studies.courselog import begun_line, ended_line, plan_line
from myoloop.experiments.studies.moving import move_dose
from myoloop.experiments.studies.participants import (
    participants,
    register,
)
from myoloop.experiments.studies.people import Actor, reassign
from myoloop.experiments.studies.personrecord import read_record
from myoloop.experiments.studies.withdrawal import withdraw
from myoloop.platform.errors import UserError
from myoloop.platform.recording.folder import next_session
from myoloop.stimulators.dose_ledger import Ledger
from myoloop.stimulators.gate.dose import DoseTotals, ledger_line, read_ledger

HOUR_NS = 3600 * 10**9
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
BOSS = Actor("A. Berg", "pi", NOW, "the wrong code was typed")


def dose(person, session, hour, charge_mc):
    return ledger_line(person, session, hour * HOUR_NS, DoseTotals(charge_mc, 10.0, 100))


@pytest.fixture
def study(tmp_path):
    """P017 has three sessions, of which the second was another's; P018 has one."""
    study = tmp_path / "study"
    for person, number in (("P017", 1), ("P017", 2), ("P017", 3), ("P018", 1)):
        attempt = study / f"sub-{person}" / f"ses-{number:02d}" / "att-1"
        attempt.mkdir(parents=True)
        (attempt / "session.mcap").write_bytes(f"{person} {number}".encode())
    (study / "sub-P017" / "dose.jsonl").write_text(
        dose("P017", "ses-01", 10, 1.0)
        + dose("P017", "ses-02", 30, 2.0)
        + dose("P017", "ses-02", 31, 4.0)
        + dose("P017", "ses-03", 60, 8.0)
    )
    (study / "sub-P018" / "dose.jsonl").write_text(dose("P018", "ses-01", 50, 16.0))
    for entry in ({"session": 1, "skin": "fine"}, {"session": 2, "skin": "red"}, {"session": None, "skin": "dry"}):
        ChainedLog(study / "sub-P017" / "record" / "skin.jsonl").append(entry)
    register(study, "P017", date(2026, 10, 1))
    register(study, "P018", date(2026, 10, 2))
    return study


def given_to(study, person):
    text = (study / f"sub-{person}" / "dose.jsonl").read_text()
    return read_ledger(text, person, "ses-99", 100 * HOUR_NS)


# -- reassign --------------------------------------------------------------------------------------------------------


def test_the_recording_moves_byte_for_byte_and_gets_the_next_number(study):
    done = reassign(study / "sub-P017" / "ses-02", "P018", BOSS)
    assert done.new == study / "sub-P018" / "ses-02"
    assert (done.new / "att-1" / "session.mcap").read_bytes() == b"P017 2"
    assert not (study / "sub-P017" / "ses-02" / "att-1").exists()


def test_the_dose_counts_for_whom_it_was_given_to(study):
    assert reassign(study / "sub-P017" / "ses-02", "P018", BOSS).dose_lines == 2
    assert given_to(study, "P017").course_charge_mc == 9.0
    assert given_to(study, "P018").course_charge_mc == 20.0
    lines = [json.loads(line) for line in (study / "sub-P018" / "dose.jsonl").read_text().splitlines()]
    assert [(line["session"], line["wall_ns"] // HOUR_NS) for line in lines] == [
        ("ses-02", 30),
        ("ses-02", 31),
        ("ses-01", 50),
    ]


def test_the_number_it_had_is_not_given_out_again(study):
    reassign(study / "sub-P017" / "ses-03", "P018", BOSS)
    assert next_session(study, "P017") == 4


def test_the_audit_of_study_and_session_keep_the_original(study):
    done = reassign(study / "sub-P017" / "ses-02", "P018", BOSS)
    for place in (study, done.new / "att-1"):
        row = read_audit(place).acts[0]
        assert (row["act"], row["what"], row["who"], row["role"]) == ("reassign", "sub-P017/ses-02", "A. Berg", "pi")
        assert row["old"] == {"person": "P017", "session": 2}
        assert row["new"] == {"person": "P018", "session": 2}
        assert row["why"] == BOSS.why
    assert read_audit(study).problems == []


def test_what_was_recorded_of_the_person_in_it_moves_too(study):
    assert reassign(study / "sub-P017" / "ses-02", "P018", BOSS).record_entries == 1
    left = read_chained(study / "sub-P017" / "record" / "skin.jsonl")
    came = read_chained(study / "sub-P018" / "record" / "skin.jsonl")
    assert [row["skin"] for row in left] == ["fine", "dry"]
    assert [(row["session"], row["skin"]) for row in came] == [(2, "red")]
    assert came[0]["reassigned_from"]["person"] == "P017"
    for person in ("P017", "P018"):
        assert verify_chained(study / f"sub-{person}" / "record" / "skin.jsonl") == []


def test_what_was_written_later_of_an_event_moves_with_it(study):
    log = ChainedLog(study / "sub-P017" / "record" / "adverse.jsonl")
    mine = log.append({"kind": "report", "session": 1})["n"]
    theirs = log.append({"kind": "report", "session": 2})["n"]
    log.append({"kind": "follow_up", "event": mine})
    log.append({"kind": "resolution", "event": theirs})
    ChainedLog(study / "sub-P018" / "record" / "adverse.jsonl").append({"kind": "report", "session": 1})
    reassign(study / "sub-P017" / "ses-02", "P018", BOSS)
    left = read_chained(log.path)
    came = read_chained(study / "sub-P018" / "record" / "adverse.jsonl")
    assert [(row["kind"], row.get("event")) for row in left] == [("report", None), ("follow_up", mine)]
    assert [(row["n"], row["kind"], row.get("event")) for row in came] == [
        (1, "report", None),
        (2, "report", None),
        (3, "resolution", 2),
    ]


def test_a_course_goes_with_its_plan_to_one_who_has_none(study):
    log = ChainedLog(study / "sub-P017" / "record" / "course.jsonl")
    log.append({"kind": "plan", "plan": {"weeks": 3}})
    log.append({"kind": "begun", "session": 2})
    reassign(study / "sub-P017" / "ses-02", "P018", BOSS)
    assert [row["kind"] for row in read_chained(log.path)] == ["plan"]
    came = read_chained(study / "sub-P018" / "record" / "course.jsonl")
    assert [(row["kind"], row.get("session")) for row in came] == [("plan", None), ("begun", 2)]


def test_an_entry_of_the_session_about_one_of_another_stops_it(study):
    log = ChainedLog(study / "sub-P017" / "record" / "adverse_events.jsonl")
    log.append({"kind": "report", "session": 1})
    log.append({"kind": "follow_up", "session": 2, "event": 1})
    with pytest.raises(UserError, match="entry 2: is about entry 1, which is not of this session"):
        reassign(study / "sub-P017" / "ses-02", "P018", BOSS)
    assert (study / "sub-P017" / "ses-02" / "att-1").exists()
    assert not (study / "audit.jsonl").exists()


def test_both_courses_are_read_again_after_it(study, plan, at):
    dose = {"on_s": 300.0, "charge_mc": 90.0, "pulses": 9000}
    for person, sessions in (("P017", (1, 2, 3)), ("P018", (1,))):
        log = ChainedLog(study / f"sub-{person}" / "record" / "course.jsonl")
        log.append(plan_line(plan, "ab" * 32, at("2026-11-01T10:00")))
        for number in sessions:
            begin = at(f"2026-11-0{number + 1}T10:00")
            log.append(begun_line(number, 1, begin, **dose))
            log.append(ended_line(number, 1, begin, "complete", **dose, tolerance_share=0.8))
    reassign(study / "sub-P017" / "ses-02", "P018", BOSS)
    assert [each.session for each in read_record(study, "P017").course.booked] == [1, 3]
    assert [each.session for each in read_record(study, "P018").course.booked] == [1, 2]


def test_one_without_any_session_gets_the_first(study):
    done = reassign(study / "sub-P017" / "ses-02" / "att-1", "P019", BOSS)
    assert done.new == study / "sub-P019" / "ses-01"
    assert given_to(study, "P019").course_charge_mc == 4.0


class Cut(Exception):
    pass


def cut_short(monkeypatch, after):
    """Let every write of a reassignment be the last but for so many."""
    left = [after]

    def counted(write):
        def limited(*args, **more):
            if left[0] == 0:
                raise Cut
            left[0] -= 1
            return write(*args, **more)

        return limited

    monkeypatch.setattr(people, "replace_file", counted(people.replace_file))
    monkeypatch.setattr(ChainedLog, "_append", counted(ChainedLog._append))
    monkeypatch.setattr(people.Path, "rename", counted(people.Path.rename))


@pytest.mark.parametrize("after", range(9))
def test_wherever_it_is_cut_short_it_is_gone_on_with_and_nothing_is_lost_or_doubled(study, monkeypatch, after):
    log = ChainedLog(study / "sub-P017" / "record" / "adverse_events.jsonl")
    log.append({"kind": "report", "session": 2})
    log.append({"kind": "resolution", "event": 1})
    with monkeypatch.context() as patch:
        cut_short(patch, after)
        with pytest.raises(Cut):
            reassign(study / "sub-P017" / "ses-02", "P018", BOSS)
    assert given_to(study, "P018").course_charge_mc + given_to(study, "P017").course_charge_mc >= 29.0
    reassign(study / "sub-P017" / "ses-02", "P018", BOSS)
    assert (study / "sub-P018" / "ses-02" / "att-1" / "session.mcap").read_bytes() == b"P017 2"
    assert given_to(study, "P017").course_charge_mc == 9.0
    assert given_to(study, "P018").course_charge_mc == 20.0
    came = read_chained(study / "sub-P018" / "record" / "adverse_events.jsonl")
    assert [(row["kind"], row.get("event")) for row in came] == [("report", None), ("resolution", 1)]
    assert read_chained(log.path) == []
    assert len(read_chained(study / "sub-P018" / "record" / "skin.jsonl")) == 1
    assert read_audit(study).problems == []


def test_a_dry_run_changes_nothing(study):
    before = {path: path.read_bytes() for path in study.rglob("*") if path.is_file() and path.name != ".lock"}
    done = reassign(study / "sub-P017" / "ses-02", "P018", BOSS, dry_run=True)
    assert (done.dose_lines, done.record_entries, done.attempts) == (2, 1, 1)
    assert before == {path: path.read_bytes() for path in study.rglob("*") if path.is_file() and path.name != ".lock"}


@pytest.mark.parametrize("person", ["P017", "P018"])
def test_while_a_session_of_either_runs_nothing_is_moved(study, person):
    ledger = Ledger.open(study / f"sub-{person}" / "dose.jsonl", person, "ses-09")
    try:
        with pytest.raises(UserError, match="is running; end it first"):
            reassign(study / "sub-P017" / "ses-02", "P018", BOSS)
    finally:
        ledger.close(DoseTotals(), 0)
    assert not (study / "audit.jsonl").exists()


def test_a_damaged_ledger_stops_it_before_anything_is_done(study):
    (study / "sub-P018" / "dose.jsonl").write_text("what?\n")
    with pytest.raises(UserError, match=r"dose\.jsonl"):
        reassign(study / "sub-P017" / "ses-02", "P018", BOSS)
    assert (study / "sub-P017" / "ses-02" / "att-1").exists()
    assert not (study / "audit.jsonl").exists()


@pytest.mark.parametrize(
    ("session", "to", "message"),
    [
        ("sub-P017/ses-02", "P017", "whose session it is"),
        ("sub-P017/ses-02", "../P018", "allowed is a pseudonym"),
        ("sub-P017/ses-09", "P018", "not a session's folder"),
        ("sub-P017", "P018", "not a session's folder"),
    ],
)
def test_what_cannot_be_reassigned_is_told(study, session, to, message):
    with pytest.raises(UserError, match=message):
        reassign(study / session, to, BOSS)


def test_one_of_several_attempts_cannot_be_moved_alone(study):
    (study / "sub-P017" / "ses-02" / "att-2").mkdir()
    with pytest.raises(UserError, match="one of several attempts, which share a dose"):
        reassign(study / "sub-P017" / "ses-02" / "att-1", "P018", BOSS)
    assert reassign(study / "sub-P017" / "ses-02", "P018", BOSS).attempts == 2


def test_nothing_is_given_to_one_who_has_withdrawn(study):
    withdraw(study, "P018", BOSS)
    with pytest.raises(UserError, match="P018: has withdrawn"):
        reassign(study / "sub-P017" / "ses-02", "P018", BOSS)


@pytest.mark.parametrize("name", ["who", "role", "why"])
def test_an_act_needs_who_role_and_why(name):
    with pytest.raises(UserError, match=f"--{name}: empty"):
        Actor(**{"who": "A. Berg", "role": "pi", "wall": NOW, "why": "x", name: " "})


BOOKED = st.lists(st.tuples(st.integers(1, 4), st.integers(0, 100), st.floats(0, 50)), max_size=8)


@settings(deadline=None, max_examples=60)
@given(BOOKED, BOOKED)
def test_no_dose_is_lost_or_doubled_by_moving_it(ours, theirs):
    source = "".join(dose("P017", f"ses-{n:02d}", hour, charge) for n, hour, charge in ours)
    target = "".join(dose("P018", f"ses-{n:02d}", hour, charge) for n, hour, charge in theirs)
    before = [read_ledger(text, who, "x", 0).course_charge_mc for text, who in ((source, "P017"), (target, "P018"))]
    moved = read_ledger(source, "P017", "ses-02", 0).session.charge_mc
    kept, joined, lines = move_dose(source, target, "P018", "ses-02", "ses-07")
    assert lines == sum(n == 2 for n, _, _ in ours)
    assert read_ledger(kept, "P017", "x", 0).course_charge_mc == pytest.approx(before[0] - moved)
    assert read_ledger(joined, "P018", "x", 0).course_charge_mc == pytest.approx(before[1] + moved)


# -- participants ----------------------------------------------------------------------------------------------------


def test_participants_are_a_table_with_tabs(study):
    assert (study / "participants.tsv").read_text() == (
        "participant_id\tstatus\tenrolled_on\nsub-P017\tenrolled\t2026-10-01\nsub-P018\tenrolled\t2026-10-02\n"
    )
    assert register(study, "P017", date(2026, 11, 21)).enrolled_on == date(2026, 10, 1)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("sub-P017\there\t2026-10-01", r"participants\.tsv:2: status: found 'here', allowed are enrolled, withdrawn"),
        ("sub-../x\tenrolled\tn/a", r"participants\.tsv:2: person '\.\./x'"),
        ("sub-P017\tenrolled\tyesterday", r"participants\.tsv:2: .*yesterday"),
    ],
)
def test_a_row_that_cannot_be_read_is_told(tmp_path, row, message):
    (tmp_path / "participants.tsv").write_text(f"participant_id\tstatus\tenrolled_on\n{row}\n")
    with pytest.raises(UserError, match=message):
        participants(tmp_path)
