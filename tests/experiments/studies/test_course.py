"""What may begin now, and what is due: frequency, gaps, caps, attempts, days on the study's clock."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.experiments.studies.course import (
    Booked,
    CoursePlan,
    Override,
    check_override,
    due,
    expected,
    may_begin,
    session_caps,
)
from myoloop.experiments.studies.diary import Entry

#: Zones whose clocks change at night, at midnight itself (Havana, Beirut), by half an hour, or across the date line.
ZONES = ("Europe/Berlin", "America/Havana", "Asia/Beirut", "Australia/Lord_Howe", "Pacific/Apia", "UTC")


def rules(refusals) -> list[str]:
    return [each.rule for each in refusals]


def leave(session: int, rule: str, role: str = "pi", name: str = "A. Berg", reason: str = "travel") -> Override:
    return Override(session, rule, name, role, reason, datetime(2026, 11, 2, tzinfo=UTC))


# -- one rule at a time ------------------------------------------------------------------------------------------


def test_the_first_session_may_begin_at_any_time(plan, at) -> None:
    assert may_begin(plan, [], at("2026-11-02T10:00")) == ()


def test_a_second_session_inside_the_gap_is_refused_until_the_gap_is_over(plan, at, book) -> None:
    booked = [book(1, at("2026-11-02T18:00"))]
    (gap,) = may_begin(plan, booked, at("2026-11-03T13:59"))
    assert (gap.rule, gap.allowed_from, gap.override_roles) == ("gap", at("2026-11-03T14:00"), ("pi",))
    assert "session 1 began 2026-11-02 18:00" in gap.why
    assert "20 h" in gap.why
    assert may_begin(plan, booked, at("2026-11-03T14:00")) == ()


def test_the_gap_counts_from_the_last_attempt(plan, at, book) -> None:
    booked = [
        book(1, at("2026-11-02T09:00"), outcome="interrupted"),
        book(1, at("2026-11-03T18:00"), attempt=2),
    ]
    (gap,) = may_begin(plan, booked, at("2026-11-04T10:00"))
    assert gap.allowed_from == at("2026-11-04T14:00")


def test_a_day_has_no_more_than_its_sessions(plan, at, book) -> None:
    close = replace(plan, min_gap_s=3600.0)
    booked = [book(1, at("2026-11-02T09:00"))]
    (day,) = may_begin(close, booked, at("2026-11-02T23:59"))
    assert (day.rule, day.allowed_from, day.override_roles) == ("day", at("2026-11-03T00:00"), ())
    assert may_begin(close, booked, at("2026-11-03T00:00")) == ()


def test_a_week_is_any_seven_dates_in_a_row(plan, at, book) -> None:
    booked = [book(1, at("2026-11-06T10:00")), book(2, at("2026-11-07T10:00")), book(3, at("2026-11-08T10:00"))]
    (week,) = may_begin(plan, booked, at("2026-11-09T12:00"))
    assert (week.rule, week.allowed_from) == ("week", at("2026-11-13T00:00"))
    # A fixed weekday stays possible, a little earlier in the day, too.
    assert may_begin(plan, booked, at("2026-11-13T08:00")) == ()


def test_a_course_has_no_more_than_its_sessions_and_no_moment_changes_that(plan, at, book) -> None:
    short = replace(plan, max_sessions=2)
    booked = [book(1, at("2026-11-02T10:00")), book(2, at("2026-11-04T10:00"))]
    (course,) = may_begin(short, booked, at("2026-11-06T10:00"))
    assert (course.rule, course.allowed_from, course.override_roles) == ("course", None, ())


def test_a_course_is_over_when_its_weeks_have_passed(plan, at, book) -> None:
    booked = [book(1, at("2026-10-01T10:00"))]
    assert may_begin(plan, booked, at("2026-11-11T23:59")) == ()
    assert rules(may_begin(plan, booked, at("2026-11-12T00:00"))) == ["over"]
    # Also an interrupted session is not continued then.
    cut = [book(1, at("2026-10-01T10:00"), outcome="interrupted")]
    assert rules(may_begin(plan, cut, at("2026-11-12T00:00"), session=1)) == ["over"]


def test_a_closed_course_begins_nothing(plan, at) -> None:
    (over,) = may_begin(plan, [], at("2026-11-02T10:00"), closed_at=at("2026-11-01T10:00"))
    assert over.why == "the course was closed on 2026-11-01 10:00"


def test_a_clock_that_was_set_back_begins_nothing(plan, at, book) -> None:
    booked = [book(1, at("2026-11-02T10:00"))]
    (clock,) = may_begin(plan, booked, at("2026-10-20T10:00"), overrides=[leave(2, "gap"), leave(2, "clock")])
    assert (clock.rule, clock.allowed_from) == ("clock", at("2026-11-02T11:00"))


def test_a_session_reassigned_to_this_person_counts_by_when_it_was_not_by_its_number(plan, at, book) -> None:
    booked = [book(1, at("2026-11-04T10:00")), book(2, at("2026-11-02T10:00"))]
    assert rules(may_begin(plan, booked, at("2026-11-03T10:00"))) == ["clock"]
    assert rules(may_begin(plan, booked, at("2026-11-04T12:00"))) == ["gap", "day"]
    assert expected(plan, booked, at("2026-11-09T00:00")) == 3


def test_all_reasons_are_said_at_once(plan, at, book) -> None:
    days = ("2026-11-02T10:00", "2026-11-04T10:00", "2026-11-06T10:00")
    booked = [book(n, at(day)) for n, day in enumerate(days, start=1)]
    short = replace(plan, max_sessions=3)
    assert rules(may_begin(short, booked, at("2026-11-06T12:00"))) == ["course", "gap", "day", "week"]


# -- attempts ----------------------------------------------------------------------------------------------------


def test_an_interrupted_session_is_continued_without_gap_and_is_no_new_one(plan, at, book) -> None:
    once = replace(plan, max_sessions=1)
    booked = [book(1, at("2026-11-02T10:00"), outcome="interrupted", end=at("2026-11-02T10:10"))]
    assert may_begin(once, booked, at("2026-11-02T10:20"), session=1) == ()
    assert rules(may_begin(once, booked, at("2026-11-02T10:20"))) == ["course", "gap", "day"]


def test_a_complete_session_is_not_given_twice(plan, at, book) -> None:
    (again,) = may_begin(plan, [book(1, at("2026-11-02T10:00"))], at("2026-11-05T10:00"), session=1)
    assert again.rule == "order"
    assert "twice" in again.why


def test_a_session_before_the_newest_is_not_gone_back_to(plan, at, book) -> None:
    booked = [book(1, at("2026-11-02T10:00"), outcome="stopped"), book(2, at("2026-11-04T10:00"))]
    assert rules(may_begin(plan, booked, at("2026-11-06T10:00"), session=1)) == ["order"]


def test_a_session_without_an_end_is_closed_or_continued_first(plan, at, book) -> None:
    booked = [book(1, at("2026-11-02T10:00"), outcome="")]
    assert rules(may_begin(plan, booked, at("2026-11-05T10:00"))) == ["unfinished"]
    assert may_begin(plan, booked, at("2026-11-05T10:00"), session=1) == ()


def test_what_was_refused_before_anything_was_armed_is_no_session(plan, at, book) -> None:
    booked = [book(1, at("2026-11-02T10:00"), outcome="refused")]
    assert may_begin(plan, booked, at("2026-11-02T10:30")) == ()


def test_a_session_of_which_nothing_was_delivered_counts_as_any_other(plan, at, book) -> None:
    """A sham of no current must meet the same caps, or the calendar would tell the arm."""
    nothing = book(1, at("2026-11-02T10:00"), on_s=0.0, charge_mc=0.0, pulses=0)
    given = book(1, at("2026-11-02T10:00"))
    for now in ("2026-11-02T12:00", "2026-11-03T05:00"):
        assert may_begin(plan, [nothing], at(now)) == may_begin(plan, [given], at(now))
        assert may_begin(plan, [nothing], at(now)) != ()


# -- overrides ---------------------------------------------------------------------------------------------------


def test_a_named_role_lifts_the_gap_for_one_session(plan, at, book) -> None:
    booked = [book(1, at("2026-11-02T18:00"))]
    now = at("2026-11-03T10:00")
    assert may_begin(plan, booked, now, overrides=[leave(2, "gap")]) == ()
    assert rules(may_begin(plan, booked, now, overrides=[leave(3, "gap")])) == ["gap"]
    assert rules(may_begin(plan, booked, now, overrides=[leave(2, "week")])) == ["gap"]


@pytest.mark.parametrize(
    ("override", "said"),
    [
        (leave(2, "gap", role="operator"), "role 'operator' may not override, allowed: pi"),
        (leave(2, "gap", name=" "), "an override needs the name of who gives it"),
        (leave(2, "gap", reason=""), "an override needs a reason"),
        (leave(2, "day"), "rule 'day' cannot be overridden, allowed: gap, week"),
        (leave(2, "course"), "rule 'course' cannot be overridden, allowed: gap, week"),
    ],
)
def test_an_override_without_name_role_or_reason_lifts_nothing(plan, at, book, override, said) -> None:
    assert check_override(plan, override) == (said,)
    booked = [book(1, at("2026-11-02T09:00"))]
    assert rules(may_begin(plan, booked, at("2026-11-02T12:00"), overrides=[override])) == ["gap", "day"]


def test_where_the_protocol_names_no_role_nobody_overrides(plan, at, book) -> None:
    strict = replace(plan, override_roles=())
    (problem,) = check_override(strict, leave(2, "gap"))
    assert "nobody" in problem


# -- first session -----------------------------------------------------------------------------------------------


def test_less_of_the_envelope_until_a_session_was_complete(plan, at, book) -> None:
    first = session_caps(plan, [])
    assert (first.current_share, first.on_time_share) == (0.5, 0.4)
    cut = [book(1, at("2026-11-02T10:00"), outcome="stopped")]
    assert session_caps(plan, cut).current_share == 0.5
    assert session_caps(plan, cut, session=1).current_share == 0.5
    done = [*cut, book(2, at("2026-11-04T10:00"))]
    assert session_caps(plan, done).current_share == 1.0
    assert session_caps(plan, done, session=2).current_share == 0.5


# -- what is due -------------------------------------------------------------------------------------------------


def test_the_next_session_has_a_window_from_the_gap_to_the_end_of_its_week(plan, at, book) -> None:
    asked = due(plan, [book(1, at("2026-11-02T18:00"))], at("2026-11-02T20:00"))
    assert asked.next is not None
    assert asked.next.session == 2
    assert asked.next.opens == at("2026-11-03T14:00")
    assert asked.next.on_plan_until == at("2026-11-09T00:00")
    assert not asked.next.late(at("2026-11-08T23:00"))
    assert asked.next.late(at("2026-11-09T00:00"))


def test_sessions_of_a_week_that_passed_are_missed(plan, at, book) -> None:
    booked = [book(1, at("2026-11-02T10:00")), book(2, at("2026-11-04T10:00"))]
    assert due(plan, booked, at("2026-11-08T23:59")).missed == 0
    assert due(plan, booked, at("2026-11-09T00:00")).missed == 1
    assert expected(plan, booked, at("2026-11-09T00:00")) == 3
    assert due(plan, booked, at("2027-03-01T00:00")).missed == 16


def test_followups_are_due_when_the_course_is_over_and_missed_after_their_window(plan, at, book) -> None:
    short = replace(plan, max_sessions=1)
    booked = [book(1, at("2026-11-02T10:00"))]

    def states(now: str) -> list[str]:
        return [each.state for each in due(short, booked, at(now)).followups]

    assert due(plan, booked, at("2026-11-03T10:00")).followups == ()
    assert states("2026-11-03T10:00") == ["waiting", "waiting"]
    assert states("2026-11-30T12:00") == ["due", "waiting"]
    assert states("2026-12-08T12:00") == ["missed", "waiting"]
    answered = Entry(1, at("2026-12-01T09:00"), "follow_up", None, "follow_up 4 wk", "P017", {"nrs": 3})
    assert [each.state for each in due(short, booked, at("2027-01-30T12:00"), entries=[answered]).followups] == [
        "answered",
        "due",
    ]


def test_diary_entries_are_due_after_each_session(plan, at, book) -> None:
    booked = [book(1, at("2026-11-02T10:00"))]
    asked = due(plan, booked, at("2026-11-03T12:00")).diary
    assert [(each.prompt.key, each.state) for each in asked] == [
        ("ses-01 doms 24 h", "due"),
        ("ses-01 doms 48 h", "waiting"),
    ]
    assert asked[0].prompt.opens == at("2026-11-03T11:00")


# -- the study's clock -------------------------------------------------------------------------------------------


def test_a_gap_is_time_that_passed_also_in_the_night_the_clock_changes(plan, at, book) -> None:
    spring = [book(1, at("2026-03-28T10:00"))]
    assert may_begin(plan, spring, at("2026-03-29T07:00")) == ()
    assert rules(may_begin(plan, spring, at("2026-03-29T06:59"))) == ["gap"]
    autumn = [book(1, at("2026-10-24T10:00"))]
    assert rules(may_begin(plan, autumn, at("2026-10-25T04:59"))) == ["gap"]
    assert may_begin(plan, autumn, at("2026-10-25T05:00")) == ()


def test_days_are_the_studys_own_not_utc(plan, book) -> None:
    close = replace(plan, min_gap_s=60.0)
    begin = datetime(2026, 11, 2, 22, 30, tzinfo=UTC)  # 23:30 in Berlin
    assert may_begin(close, [book(1, begin, end=begin)], begin + timedelta(minutes=45)) == ()
    elsewhere = replace(close, zone=ZoneInfo("UTC"))
    assert rules(may_begin(elsewhere, [book(1, begin, end=begin)], begin + timedelta(minutes=45))) == ["day"]


def test_a_moment_without_a_time_zone_is_refused(plan) -> None:
    with pytest.raises(ValueError, match="no time zone"):
        may_begin(plan, [], datetime(2026, 11, 2, 10, 0))  # noqa: DTZ001


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sessions_per_week", 0),
        ("max_sessions", 1.5),
        ("weeks", True),
        ("min_gap_s", -1.0),
        ("min_gap_s", float("nan")),
        ("first_current_share", 0.0),
        ("first_on_time_share", 1.1),
        ("followups_s", (float("inf"),)),
    ],
)
def test_a_plan_that_limits_nothing_cannot_be_made(plan, name, value) -> None:
    with pytest.raises(ValueError, match=name):
        replace(plan, **{name: value})


# -- whatever is tried -------------------------------------------------------------------------------------------

plans = st.builds(
    CoursePlan,
    sessions_per_week=st.integers(1, 6),
    sessions_per_day=st.integers(1, 3),
    weeks=st.integers(1, 5),
    min_gap_s=st.sampled_from([0.0, 1800.0, 20 * 3600.0, 30 * 3600.0]),
    max_sessions=st.integers(1, 20),
    first_current_share=st.just(0.5),
    first_on_time_share=st.just(0.5),
    zone=st.sampled_from([ZoneInfo(name) for name in ZONES]),
)
#: Around the nights in which clocks change.
begins = st.sampled_from([datetime(2026, 3, 5, tzinfo=UTC), datetime(2026, 10, 20, tzinfo=UTC)])
tries = st.lists(
    st.tuples(
        st.integers(-300, 60 * 96),  # quarters of an hour to the next try, also backwards
        st.sampled_from(["complete", "interrupted", "stopped", "refused", ""]),
        st.booleans(),  # whether the newest session is tried again
    ),
    max_size=60,
)


@settings(deadline=None, max_examples=150)
@given(plan=plans, now=begins, tried=tries)
def test_no_sequence_of_tries_gives_more_sessions_than_the_caps(plan, now, tried) -> None:
    booked: list[Booked] = []
    for quarters, outcome, again in tried:
        now += timedelta(minutes=15 * quarters) if quarters < 0 else timedelta(minutes=15 * (quarters % 400))
        newest = max((each.session for each in booked), default=0)
        number = newest if again and newest else newest + 1
        if may_begin(plan, booked, now, session=number):
            continue
        attempt = 1 + sum(each.session == number for each in booked)
        end = now + timedelta(minutes=10) if outcome else None
        booked.append(Booked(session=number, attempt=attempt, begin=now, end=end, outcome=outcome))
    held = [each for each in booked if each.outcome != "refused"]
    first: dict[int, datetime] = {}
    for each in held:
        first.setdefault(each.session, each.begin)
    days = [each.astimezone(plan.zone).date() for each in first.values()]
    assert len(first) <= plan.max_sessions
    assert all(count <= plan.sessions_per_day for count in Counter(days).values())
    for last in set(days):
        assert sum(timedelta(0) <= last - day < timedelta(days=7) for day in days) <= plan.sessions_per_week
    ordered = sorted(first.values())
    assert all((b - a).total_seconds() >= plan.min_gap_s for a, b in pairwise(ordered))
    if days:
        assert all(day < min(days) + timedelta(weeks=plan.weeks) for day in days)
    complete = [each.session for each in held if each.outcome == "complete"]
    assert len(complete) == len(set(complete))


@settings(deadline=None, max_examples=150)
@given(
    plan=plans,
    start=begins,
    steps=st.lists(st.integers(1, 300), max_size=12),
    later=st.integers(0, 400),
)
def test_a_refusal_says_the_very_moment_from_which_it_is_gone(plan, start, steps, later) -> None:
    booked: list[Booked] = []
    now = start
    for number, quarters in enumerate(steps, start=1):
        booked.append(Booked(session=number, attempt=1, begin=now, end=now, outcome="complete"))
        now += timedelta(minutes=15 * quarters)
    now += timedelta(minutes=15 * later)
    for refusal in may_begin(plan, booked, now):
        if refusal.allowed_from is not None:
            assert refusal.allowed_from > now
            before = refusal.allowed_from - timedelta(microseconds=1)
            assert refusal.rule in rules(may_begin(plan, booked, before))
            assert refusal.rule not in rules(may_begin(plan, booked, refusal.allowed_from))
    window = due(plan, booked, now).next
    if window is not None:
        assert window.opens >= now
        assert may_begin(plan, booked, window.opens) == ()
