"""Planned against done: exact for a planted ledger, recomputed from recordings, disagreements named."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import composite

from myoloop.experiments.studies.adherence import Delivered, adherence, weeks
from myoloop.experiments.studies.course import Booked


def test_a_planted_course_is_told_exactly(plan, at, book) -> None:
    """Week 1 whole, week 2 with one missed and one stopped at half, week 3 under way with one."""
    booked = [
        book(1, at("2026-11-02T10:00"), tolerance_share=0.8),
        book(2, at("2026-11-04T10:00"), tolerance_share=0.9),
        book(3, at("2026-11-06T10:00")),
        book(4, at("2026-11-09T10:00"), outcome="stopped", on_s=150.0, charge_mc=45.0, pulses=4500),
        book(5, at("2026-11-11T10:00")),
        book(6, at("2026-11-16T10:00")),
    ]
    found = adherence(plan, booked, at("2026-11-17T10:00"))
    assert (found.planned, found.due, found.done, found.partial, found.missed) == (18, 6, 5, 1, 0)
    found = adherence(plan, booked, at("2026-11-23T10:00"))
    assert (found.due, found.done, found.partial, found.missed) == (9, 5, 1, 3)
    assert found.percent == pytest.approx(100 * 5 / 9)
    assert (found.on_s.planned, found.on_s.delivered) == (1800.0, 1650.0)
    assert found.charge_mc.share == pytest.approx(495 / 540)
    assert (found.pulses.planned, found.pulses.delivered) == (54000, 49500)
    assert found.tolerance_share == pytest.approx(0.85)
    assert found.tolerance_on_s == 600.0


def test_attempts_share_one_planned_dose(plan, at, book) -> None:
    half = {"on_s": 150.0, "charge_mc": 45.0, "pulses": 4500}
    booked = [
        book(1, at("2026-11-02T10:00"), outcome="interrupted", **half),
        book(1, at("2026-11-02T10:30"), attempt=2, **half),
    ]
    found = adherence(plan, booked, at("2026-11-02T12:00"))
    assert (found.done, found.partial) == (1, 0)
    assert (found.on_s.planned, found.on_s.delivered, found.on_s.share) == (300.0, 300.0, 1.0)


def test_before_anything_is_due_there_is_no_percentage(plan, at, book) -> None:
    found = adherence(plan, [], at("2026-11-02T10:00"))
    assert (found.due, found.percent, found.on_s.share, found.tolerance_share) == (0, None, None, None)
    refused = adherence(plan, [book(1, at("2026-11-02T10:00"), outcome="refused")], at("2026-11-03T10:00"))
    assert (refused.due, refused.on_s.planned) == (0, 0.0)


def test_recordings_are_believed_before_bookings_and_differences_named(plan, at, book) -> None:
    booked = [book(n, at(f"2026-11-0{2 * n}T10:00")) for n in (1, 2, 3)]
    recorded = [
        Delivered(1, 1, on_s=300.0, charge_mc=90.0, pulses=9000),
        Delivered(2, 1, on_s=200.0, charge_mc=60.0, pulses=6000),
    ]
    found = adherence(plan, booked, at("2026-11-07T10:00"), recorded)
    assert found.pulses.delivered == 9000 + 6000 + 9000
    assert found.disagree == ((2, 1),)
    assert found.not_recorded == ((3, 1),)
    assert adherence(plan, booked, at("2026-11-07T10:00")).not_recorded == ()


@pytest.mark.parametrize(
    ("recorded", "said"),
    [
        ([Delivered(1, 1, 300.0, 90.0, 9000)] * 2, "two recordings"),
        ([Delivered(7, 1, 300.0, 90.0, 9000)], "never booked"),
    ],
)
def test_recordings_that_do_not_belong_are_refused(plan, at, book, recorded, said) -> None:
    with pytest.raises(ValueError, match=said):
        adherence(plan, [book(1, at("2026-11-02T10:00"))], at("2026-11-03T10:00"), recorded)


MONDAY = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)


@composite
def ledgers(draw) -> tuple[list[tuple[int, str, int]], int]:
    """For each week up to three sessions (weekday, outcome, pulses), and the weeks that have passed."""
    weeks = draw(st.integers(1, 6))
    rows: list[tuple[int, str, int]] = []
    for week in range(weeks):
        days = draw(st.sets(st.integers(0, 4), min_size=1 if week == 0 else 0, max_size=3))
        days = sorted({0, *days} if week == 0 else days)[:3]
        rows += [
            (7 * week + day, draw(st.sampled_from(["complete", "stopped", "fault"])), draw(st.integers(0, 9000)))
            for day in days
        ]
    return rows, weeks


@settings(deadline=None)
@given(ledger=ledgers())
def test_any_planted_ledger_comes_out_as_planted(plan_of_eighteen, ledger) -> None:
    rows, weeks = ledger
    booked = [
        Booked(
            session=number,
            attempt=1,
            begin=MONDAY + timedelta(days=day),
            end=MONDAY + timedelta(days=day, hours=1),
            outcome=outcome,
            pulses=pulses,
            on_s=pulses / 32,
            planned_pulses=9000,
            planned_on_s=9000 / 32,
        )
        for number, (day, outcome, pulses) in enumerate(rows, start=1)
    ]
    found = adherence(plan_of_eighteen, booked, MONDAY + timedelta(weeks=weeks))
    done = sum(outcome == "complete" for _, outcome, _ in rows)
    assert (found.due, found.done, found.partial) == (3 * weeks, done, len(rows) - done)
    assert found.done + found.partial + found.missed == found.due
    assert found.percent == pytest.approx(100 * done / (3 * weeks))
    assert found.pulses.delivered == sum(pulses for *_, pulses in rows)
    assert found.on_s.delivered == sum(pulses / 32 for *_, pulses in rows)
    assert found.on_s.planned == len(rows) * 9000 / 32


@pytest.fixture(scope="module")
def plan_of_eighteen():
    from myoloop.experiments.studies.course import CoursePlan

    return CoursePlan(
        sessions_per_week=3,
        sessions_per_day=1,
        weeks=6,
        min_gap_s=72000.0,
        max_sessions=18,
        first_current_share=1.0,
        first_on_time_share=1.0,
        zone=UTC,
    )


def test_the_calendar_has_every_week_with_what_was_planned_and_begun(plan, at, book) -> None:
    few = replace(plan, max_sessions=7, weeks=4)
    assert weeks(few, []) == ()
    booked = [book(1, at("2026-11-04T10:00")), book(2, at("2026-11-10T23:30")), book(3, at("2026-11-11T23:30"))]
    found = weeks(few, booked)
    assert [(each.number, each.planned) for each in found] == [(1, 3), (2, 3), (3, 1), (4, 0)]
    assert [[each.number for each in week.held] for week in found] == [[1, 2], [3], [], []]
    assert [week.first.isoformat() for week in found][:2] == ["2026-11-04", "2026-11-11"]


def test_a_course_shorter_than_its_weeks_is_due_no_more_than_its_sessions(plan, at, book) -> None:
    few = replace(plan, max_sessions=4)
    found = adherence(few, [book(1, at("2026-11-02T10:00"))], at("2027-01-01T10:00"))
    assert (found.planned, found.due, found.missed) == (4, 4, 3)
