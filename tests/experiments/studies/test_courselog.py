"""The course on record: what is written is what is read, and a line that cannot be is no course."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, timedelta

import pytest

from myoloop.experiments.protocols.study import Course
from myoloop.experiments.studies.chained import ChainedLog, read_chained
from myoloop.experiments.studies.course import Override, may_begin
from myoloop.experiments.studies.courselog import (
    CourseError,
    begun_line,
    closed_line,
    ended_line,
    override_line,
    plan_line,
    plan_of,
    read_course,
)
from myoloop.experiments.studies.diary import DiaryPrompt
from myoloop.experiments.studies.moments import MomentError

PLANNED = {"on_s": 300.0, "charge_mc": 90.0, "pulses": 9000}


@pytest.fixture
def log(tmp_path, plan, at) -> ChainedLog:
    made = ChainedLog(tmp_path / "course.jsonl")
    made.append(plan_line(plan, "ab" * 32, at("2026-11-01T10:00")))
    return made


def read(log: ChainedLog):
    course = read_course(read_chained(log.path))
    assert course is not None
    return course


def test_a_session_on_record_is_the_session_that_was(log, plan, at) -> None:
    begin = at("2026-11-02T10:00")
    log.append(begun_line(1, 1, begin, **PLANNED))
    (open_one,) = read(log).booked
    assert (open_one.outcome, open_one.end, open_one.planned_on_s) == ("", None, 300.0)
    end = begin + timedelta(minutes=40)
    log.append(ended_line(1, 1, end, "stopped", on_s=100.5, charge_mc=30.0, pulses=3000, tolerance_share=0.8))
    course = read(log)
    (booked,) = course.booked
    assert (course.plan, course.protocol_sha256) == (plan, "ab" * 32)
    assert (booked.begin, booked.end, booked.outcome) == (begin, end, "stopped")
    assert (booked.on_s, booked.charge_mc, booked.pulses, booked.tolerance_share) == (100.5, 30.0, 3000, 0.8)
    assert booked.planned_pulses == 9000


def test_a_person_without_a_plan_has_no_course() -> None:
    assert read_course([]) is None


def test_a_later_plan_is_an_amendment(log, plan, at) -> None:
    log.append(begun_line(1, 1, at("2026-11-02T10:00"), **PLANNED))
    log.append(plan_line(replace(plan, max_sessions=20), "cd" * 32, at("2026-11-03T10:00")))
    course = read(log)
    assert (course.plan.max_sessions, course.protocol_sha256, len(course.booked)) == (20, "cd" * 32, 1)


def test_an_override_on_record_lifts_what_it_says(log, plan, at) -> None:
    log.append(begun_line(1, 1, at("2026-11-02T18:00"), **PLANNED))
    log.append(ended_line(1, 1, at("2026-11-02T19:00"), "complete", **PLANNED, tolerance_share=None))
    override = Override(2, "gap", "A. Berg", "pi", "the person travels", at("2026-11-03T09:00"))
    log.append(override_line(plan, override))
    course = read(log)
    assert course.overrides == (override,)
    assert may_begin(plan, course.booked, at("2026-11-03T10:00"), overrides=course.overrides) == ()
    with pytest.raises(CourseError, match="cannot be overridden"):
        override_line(plan, replace(override, rule="course"))


def test_a_session_that_was_reassigned_is_this_persons_no_more(log, at) -> None:
    row = log.append(begun_line(1, 1, at("2026-11-02T10:00"), **PLANNED))
    log.void([row["n"]], {"who": "A. Berg", "why": "was P018"})
    assert read(log).booked == ()


def test_a_closed_course_says_when_and_why(log, at) -> None:
    log.append(closed_line(at("2026-11-05T12:00"), "A. Berg", "moved away"))
    course = read(log)
    assert (course.closed_at, course.closed_why) == (at("2026-11-05T12:00"), "moved away")
    with pytest.raises(CourseError, match="needs who says so, and why"):
        closed_line(at("2026-11-05T12:00"), "A. Berg", " ")


def test_an_end_is_never_before_its_begin(log, at) -> None:
    begin = at("2026-11-02T10:00")
    log.append(begun_line(1, 1, begin, **PLANNED))
    early = begin - timedelta(hours=3)
    log.append(ended_line(1, 1, early, "complete", **PLANNED, tolerance_share=None))
    assert read(log).booked[0].end == begin


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (lambda at: [ended_line(1, 1, at, "complete", **PLANNED, tolerance_share=None)], "has not begun"),
        (lambda at: [begun_line(1, 1, at, **PLANNED)] * 2, "was begun before"),
        (lambda at: [begun_line(1, 1, at, **{**PLANNED, "on_s": -1.0})], "planned_on_s: found -1.0"),
        (lambda at: [begun_line(1, 1, at, **{**PLANNED, "pulses": "many"})], "planned_pulses: found 'many'"),
        (lambda at: [begun_line(0, 1, at, **PLANNED)], "session: found 0"),
        (lambda at: [{**begun_line(1, 1, at, **PLANNED), "kind": "began"}], "found 'began', allowed: plan, begun"),
        (lambda at: [{"kind": "begun", "wall_utc": "2026-11-02T10:00:00"}], "allowed is a wall time with its offset"),
        (lambda at: [{"kind": "begun"}], "'wall_utc'"),
    ],
)
def test_a_line_that_cannot_be_is_no_course(log, at, lines, said) -> None:
    for line in lines(at("2026-11-02T10:00")):
        log.append(line)
    with pytest.raises(CourseError, match=said):
        read(log)


def test_a_session_before_any_plan_is_no_course(at) -> None:
    with pytest.raises(CourseError, match="before any plan"):
        read_course([begun_line(1, 1, at("2026-11-02T10:00"), **PLANNED)])


def test_an_outcome_and_a_zone_must_be_ones_that_can_be_read_again(plan, at) -> None:
    with pytest.raises(CourseError, match="outcome: found 'fine'"):
        ended_line(1, 1, at("2026-11-02T10:00"), "fine", **PLANNED, tolerance_share=None)
    with pytest.raises(CourseError, match="IANA"):
        plan_line(replace(plan, zone=UTC), "ab" * 32, at("2026-11-02T10:00"))


SECTION = {
    "sessions_per_week": 3,
    "weeks": 4,
    "max_sessions": 12,
    "min_gap": "20 h",
    "first_session": {"current_share": "50 %", "on_share": "60 %"},
    "followups": ["4 wk", "12 wk"],
    "diary": [{"form": "doms", "after": ["24 h", "48 h"], "within": "12 h"}],
}


def test_the_plan_is_what_the_protocol_says() -> None:
    plan = plan_of(Course.model_validate(SECTION), "Europe/Berlin", ("pi",))
    assert (plan.sessions_per_week, plan.sessions_per_day, plan.weeks, plan.max_sessions) == (3, 1, 4, 12)
    assert (plan.min_gap_s, plan.first_current_share, plan.first_on_time_share) == (72000.0, 0.5, 0.6)
    assert plan.followups_s == (4 * 604800.0, 12 * 604800.0)
    assert plan.diary == (
        DiaryPrompt(form="doms", after_s=86400.0, window_s=43200.0),
        DiaryPrompt(form="doms", after_s=172800.0, window_s=43200.0),
    )
    assert plan.override_roles == ("pi",)


def test_a_zone_that_is_none_is_refused() -> None:
    for name in ("Europe/Nowhere", "../etc/passwd", ""):
        with pytest.raises(MomentError, match="IANA"):
            plan_of(Course.model_validate(SECTION), name)
