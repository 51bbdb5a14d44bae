"""The course: how many sessions, how often, how long, and what may begin now.

Everything here is a rule over plain data: the plan, what was booked, and the moment. A session is one number; its
attempts share its dose and are one session, so that to go on with an interrupted one is never a second one. Caps count
sessions, not current: the sham and the active arm of a study meet the same ones.

A day is a date on the study's own clock, a week any seven such dates in a row, a gap time that has passed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from typing import Literal

from myoloop.experiments.studies.courseplan import Booked, CoursePlan, Outcome, Session, sessions
from myoloop.experiments.studies.diary import Asked, Entry, Prompt, asked, followup_prompts, session_prompts
from myoloop.experiments.studies.moments import checked, day_of, days_after, say_moment, say_span, start_of

__all__ = [
    "Booked",
    "CoursePlan",
    "Due",
    "NextSession",
    "Outcome",
    "Override",
    "Refusal",
    "Session",
    "SessionCaps",
    "check_override",
    "course_followups",
    "due",
    "expected",
    "may_begin",
    "prompts",
    "session_caps",
    "sessions",
]

Rule = Literal["gap", "day", "week", "course", "over", "unfinished", "order", "clock"]

#: Scheduling rules; caps on the day and the course are changed in the protocol, or not at all.
OVERRIDABLE: tuple[Rule, ...] = ("gap", "week")
FOLLOW_UP_FORM = "follow_up"


@dataclass(frozen=True, slots=True)
class Override:
    """A named person's leave to begin one session though a rule says no."""

    session: int
    rule: str
    name: str
    role: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a session may not begin, from when this reason is gone (None: not by waiting), and who may lift it."""

    rule: Rule
    why: str
    allowed_from: datetime | None
    override_roles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SessionCaps:
    """What of the envelope a session may use."""

    current_share: float
    on_time_share: float
    why: str = ""


@dataclass(frozen=True, slots=True)
class NextSession:
    """When the next session may begin, and by when it must so that the plan is kept; None where nothing limits."""

    session: int
    opens: datetime
    on_plan_until: datetime | None

    def late(self, now: datetime) -> bool:
        """Whether the plan cannot be kept any more."""
        return self.on_plan_until is not None and max(now, self.opens) >= self.on_plan_until


@dataclass(frozen=True, slots=True)
class Due:
    """What the course asks for now; `missed` counts sessions whose week has passed without them."""

    next: NextSession | None
    refusals: tuple[Refusal, ...]
    missed: int
    followups: tuple[Asked, ...]
    diary: tuple[Asked, ...]


def may_begin(
    plan: CoursePlan,
    booked: Sequence[Booked],
    now: datetime,
    *,
    session: int | None = None,
    overrides: Sequence[Override] = (),
    closed_at: datetime | None = None,
) -> tuple[Refusal, ...]:
    """Say what keeps a session from beginning now; nothing, where it may.

    Parameters
    ----------
    session
        Number of the session that is to begin; one that is booked is begun again, as one more attempt. None is the
        next new one.
    closed_at
        When the person's course was closed; None where it was not.
    """
    now = checked(now)
    held = sessions(booked)
    newest = held[-1] if held else None
    over = _over(plan, held, now, closed_at)
    if newest is None:
        return over
    wrong = _clock(held, now, plan.zone) or _order(newest, session)
    if wrong or session == newest.number:
        return wrong + over
    number = newest.number + 1 if session is None else session
    found = over + _course(plan, held) + _unfinished(newest) + _gap(plan, held, now) + _day(plan, held, now)
    found += _week(plan, held, now)
    return tuple(each for each in found if not _lifted(plan, each.rule, number, overrides))


def check_override(plan: CoursePlan, override: Override) -> tuple[str, ...]:
    """Say what is wrong with an override, one line each."""
    problems = []
    if override.rule not in OVERRIDABLE:
        problems.append(f"rule {override.rule!r} cannot be overridden, allowed: {', '.join(OVERRIDABLE)}")
    if override.role not in plan.override_roles:
        allowed = ", ".join(plan.override_roles) or "nobody; the protocol names no role"
        problems.append(f"role {override.role!r} may not override, allowed: {allowed}")
    if not override.name.strip():
        problems.append("an override needs the name of who gives it")
    if not override.reason.strip():
        problems.append("an override needs a reason")
    return tuple(problems)


def session_caps(plan: CoursePlan, booked: Sequence[Booked], session: int | None = None) -> SessionCaps:
    """Say what of the envelope a session may use: less until another one was complete.

    Parameters
    ----------
    session
        Its number where it is begun again; None is the next new one.
    """
    if any(each.complete for each in sessions(booked) if each.number != session):
        return SessionCaps(1.0, 1.0)
    why = "no session of this person has been complete yet"
    return SessionCaps(plan.first_current_share, plan.first_on_time_share, why)


def due(
    plan: CoursePlan,
    booked: Sequence[Booked],
    now: datetime,
    *,
    entries: Sequence[Entry] = (),
    overrides: Sequence[Override] = (),
    closed_at: datetime | None = None,
) -> Due:
    """Say what is next, what was missed, and what is to be asked; `entries` are the person's diary."""
    now = checked(now)
    held = sessions(booked)
    return Due(
        next=_next(plan, booked, now, overrides, closed_at),
        refusals=may_begin(plan, booked, now, overrides=overrides, closed_at=closed_at),
        missed=max(0, expected(plan, booked, now) - len(held)),
        followups=asked(course_followups(plan, booked, now, closed_at), entries, now),
        diary=asked(session_prompts(plan.diary, [(each.number, each.end) for each in held]), entries, now),
    )


def expected(plan: CoursePlan, booked: Sequence[Booked], now: datetime) -> int:
    """Sessions that the weeks which have passed were to hold, together; a week begins on the weekday of the first."""
    held = sessions(booked)
    if not held:
        return 0
    days = (day_of(now, plan.zone) - first_day(plan, held)).days
    return min(plan.planned, plan.sessions_per_week * max(0, days // 7))


def first_day(plan: CoursePlan, held: Sequence[Session]) -> date:
    """Give the date of the first session; a session that was reassigned may have a higher number than a later one."""
    return day_of(min(each.begin for each in held), plan.zone)


def course_followups(
    plan: CoursePlan, booked: Sequence[Booked], now: datetime, closed_at: datetime | None = None
) -> tuple[Prompt, ...]:
    """Follow-ups of a course that is over; none while it goes on, as their moment is not known then."""
    held = sessions(booked)
    if not held or not (len(held) >= plan.max_sessions or _over(plan, held, checked(now), closed_at)):
        return ()
    last = max(each.end for each in held)
    return followup_prompts(FOLLOW_UP_FORM, plan.followups_s, plan.followup_window_s, last)


def prompts(
    plan: CoursePlan, booked: Sequence[Booked], now: datetime, closed_at: datetime | None = None
) -> tuple[Prompt, ...]:
    """Everything that is asked of the person, after sessions and after the course."""
    ended = [(each.number, each.end) for each in sessions(booked)]
    return session_prompts(plan.diary, ended) + course_followups(plan, booked, now, closed_at)


def _over(plan: CoursePlan, held: Sequence[Session], now: datetime, closed_at: datetime | None) -> tuple[Refusal, ...]:
    if closed_at is not None:
        return (Refusal("over", f"the course was closed on {say_moment(closed_at, plan.zone)}", None),)
    if not held:
        return ()
    end = _end_of_week(plan, held, plan.weeks)
    if now < end:
        return ()
    return (Refusal("over", f"the course of {plan.weeks} wk ended on {say_moment(end, plan.zone)}", None),)


def _course(plan: CoursePlan, held: Sequence[Session]) -> tuple[Refusal, ...]:
    if len(held) < plan.max_sessions:
        return ()
    return (Refusal("course", f"{len(held)} sessions were begun, the course has {plan.max_sessions}", None),)


def _clock(held: Sequence[Session], now: datetime, zone: tzinfo) -> tuple[Refusal, ...]:
    last = max(held, key=lambda each: each.end)
    if now >= last.end:
        return ()
    why = f"the clock says {say_moment(now, zone)}, session {last.number} was at {say_moment(last.end, zone)}"
    return (Refusal("clock", why, last.end),)


def _order(newest: Session, session: int | None) -> tuple[Refusal, ...]:
    """Forward only: not before what was, and not again what was done."""
    if session is None or session > newest.number:
        return ()
    if session < newest.number:
        return (Refusal("order", f"session {session} comes before session {newest.number}, which was begun", None),)
    if newest.complete:
        return (Refusal("order", f"session {session} is complete; to repeat it would give its dose twice", None),)
    return ()


def _unfinished(newest: Session) -> tuple[Refusal, ...]:
    last = newest.attempts[-1]
    if last.outcome:
        return ()
    why = f"session {last.session}, attempt {last.attempt} has no end: close it as interrupted, or continue it"
    return (Refusal("unfinished", why, None),)


def _gap(plan: CoursePlan, held: Sequence[Session], now: datetime) -> tuple[Refusal, ...]:
    last = max(held, key=lambda each: each.last_begin)
    free = last.last_begin + timedelta(seconds=plan.min_gap_s)
    if now >= free:
        return ()
    why = (
        f"session {last.number} began {say_moment(last.last_begin, plan.zone)}, "
        f"the gap of {say_span(plan.min_gap_s)} lasts until {say_moment(free, plan.zone)}"
    )
    return (Refusal("gap", why, free, plan.override_roles),)


def _day(plan: CoursePlan, held: Sequence[Session], now: datetime) -> tuple[Refusal, ...]:
    today = day_of(now, plan.zone)
    count = sum(today in each.days(plan.zone) for each in held)
    if count < plan.sessions_per_day:
        return ()
    why = f"{count} on {today.isoformat()}, allowed a day: {plan.sessions_per_day}"
    return (Refusal("day", why, start_of(days_after(today, 1), plan.zone)),)


def _week(plan: CoursePlan, held: Sequence[Session], now: datetime) -> tuple[Refusal, ...]:
    today = day_of(now, plan.zone)
    days = [each.days(plan.zone) for each in held]
    if (count := _in_week_to(today, days)) < plan.sessions_per_week:
        return ()
    free = next(day for k in range(1, 8) if _in_week_to(day := days_after(today, k), days) < plan.sessions_per_week)
    why = f"{count} in the seven days to {today.isoformat()}, allowed a week: {plan.sessions_per_week}"
    return (Refusal("week", why, start_of(free, plan.zone), plan.override_roles),)


def _in_week_to(last: date, days: Sequence[frozenset[date]]) -> int:
    first = days_after(last, -6)
    return sum(any(first <= day <= last for day in each) for each in days)


def _lifted(plan: CoursePlan, rule: Rule, session: int, overrides: Sequence[Override]) -> bool:
    return any(each.session == session and each.rule == rule and not check_override(plan, each) for each in overrides)


def _end_of_week(plan: CoursePlan, held: Sequence[Session], week: int) -> datetime:
    return start_of(days_after(first_day(plan, held), 7 * week), plan.zone)


def _next(
    plan: CoursePlan,
    booked: Sequence[Booked],
    now: datetime,
    overrides: Sequence[Override],
    closed_at: datetime | None,
) -> NextSession | None:
    held = sessions(booked)
    opens = now
    while refusals := may_begin(plan, booked, opens, overrides=overrides, closed_at=closed_at):
        moments = [each.allowed_from for each in refusals]
        if any(moment is None for moment in moments):
            return None
        opens = max(moment for moment in moments if moment is not None)
    if not held:
        return NextSession(1, opens, None)
    week = -(-(len(held) + 1) // plan.sessions_per_week)
    until = _end_of_week(plan, held, min(week, plan.weeks))
    return NextSession(held[-1].number + 1, opens, until)
