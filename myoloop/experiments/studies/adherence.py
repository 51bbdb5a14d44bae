"""What was planned against what was done: sessions, and the dose of those that were begun.

The dose is summed from what each recording says was delivered, where recordings are given, and every attempt whose
booking says otherwise is named: what people report of their own use misleads, and so can a booking. Which adherence is
good enough is the study's to say.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from myoloop.experiments.studies.course import Booked, CoursePlan, Session, expected, first_day, sessions
from myoloop.experiments.studies.moments import day_of, days_after

#: A booking is written from the gate's totals, a recording counts pulses: they may differ by rounding, no more.
AGREE_SHARE = 0.01


@dataclass(frozen=True, slots=True)
class Delivered:
    """What one attempt's recording says was delivered; nominal in a blinded study, as the open streams are."""

    session: int
    attempt: int
    on_s: float
    charge_mc: float
    pulses: int
    tolerance_share: float | None = None


@dataclass(frozen=True, slots=True)
class Dose:
    """One measure of the dose, over the sessions that were begun; `share` is None where nothing was planned."""

    planned: float
    delivered: float

    @property
    def share(self) -> float | None:
        """Delivered of planned."""
        return self.delivered / self.planned if self.planned > 0 else None


@dataclass(frozen=True, slots=True)
class Adherence:
    """How far the course was kept.

    Attributes
    ----------
    planned
        Sessions of the whole course.
    due
        Sessions due by now: those of the weeks that have passed, or more where more were begun.
    done, partial, missed
        Of those due: complete; begun and not complete; not begun. They add up to `due`.
    on_s, charge_mc, pulses
        Dose of the sessions begun. Missed ones are counted as sessions only: what they would have given depends on
        thresholds that were never measured.
    tolerance_share
        Current over the tolerance of the day, weighted by on-time; None where none was measured.
    tolerance_on_s
        On-time for which it is known.
    not_recorded, disagree
        (session, attempt) booked without a recording among those given, and those whose recording says otherwise.
    """

    planned: int
    due: int
    done: int
    partial: int
    missed: int
    on_s: Dose
    charge_mc: Dose
    pulses: Dose
    tolerance_share: float | None
    tolerance_on_s: float
    not_recorded: tuple[tuple[int, int], ...] = ()
    disagree: tuple[tuple[int, int], ...] = ()

    @property
    def percent(self) -> float | None:
        """Sessions done of those due; None while none is due."""
        return 100.0 * self.done / self.due if self.due else None


@dataclass(frozen=True, slots=True)
class Week:
    """One week of the course, from the weekday of the first session; `planned` sessions, and those begun in it."""

    number: int
    first: date
    planned: int
    held: tuple[Session, ...]


def weeks(plan: CoursePlan, booked: Sequence[Booked]) -> tuple[Week, ...]:
    """Every week of the course with its sessions; none before the first session."""
    held = sessions(booked)
    if not held:
        return ()
    start = first_day(plan, held)
    last = plan.weeks - 1
    found = []
    for index in range(plan.weeks):
        before, until = (min(plan.planned, plan.sessions_per_week * k) for k in (index, index + 1))
        inside = tuple(each for each in held if min(last, (day_of(each.begin, plan.zone) - start).days // 7) == index)
        found.append(Week(index + 1, days_after(start, 7 * index), until - before, inside))
    return tuple(found)


def adherence(
    plan: CoursePlan, booked: Sequence[Booked], now: datetime, recorded: Iterable[Delivered] | None = None
) -> Adherence:
    """Compare plan and course.

    Parameters
    ----------
    recorded
        What the recordings say, one for each attempt; None takes the bookings at their word. An attempt without a
        recording has its booking counted, and is named.

    Raises
    ------
    ValueError
        If two recordings are of one attempt, or one is of an attempt that was never booked.
    """
    held = sessions(booked)
    done = sum(each.complete for each in held)
    due = max(expected(plan, booked, now), len(held))
    given = _recorded(held, recorded) if recorded is not None else {}
    attempts = [attempt for each in held for attempt in each.attempts]
    doses = [given.get((each.session, each.attempt), _as_booked(each)) for each in attempts]
    known = [each for each in doses if each.tolerance_share is not None and each.on_s > 0]
    known_on_s = math.fsum(each.on_s for each in known)
    weighted = math.fsum(each.on_s * each.tolerance_share for each in known if each.tolerance_share is not None)
    return Adherence(
        planned=plan.planned,
        due=due,
        done=done,
        partial=len(held) - done,
        missed=due - len(held),
        on_s=Dose(_planned(held, "planned_on_s"), math.fsum(each.on_s for each in doses)),
        charge_mc=Dose(_planned(held, "planned_charge_mc"), math.fsum(each.charge_mc for each in doses)),
        pulses=Dose(_planned(held, "planned_pulses"), math.fsum(each.pulses for each in doses)),
        tolerance_share=weighted / known_on_s if known_on_s > 0 else None,
        tolerance_on_s=known_on_s,
        not_recorded=()
        if recorded is None
        else tuple((each.session, each.attempt) for each in attempts if (each.session, each.attempt) not in given),
        disagree=tuple(
            (each.session, each.attempt)
            for each in attempts
            if (each.session, each.attempt) in given and not _agree(_as_booked(each), given[each.session, each.attempt])
        ),
    )


def _recorded(held: Sequence[Session], recorded: Iterable[Delivered]) -> dict[tuple[int, int], Delivered]:
    booked = {(attempt.session, attempt.attempt) for each in held for attempt in each.attempts}
    given: dict[tuple[int, int], Delivered] = {}
    for each in recorded:
        key = (each.session, each.attempt)
        if key in given:
            raise ValueError(f"session {each.session}, attempt {each.attempt}: two recordings")
        if key not in booked:
            raise ValueError(f"session {each.session}, attempt {each.attempt}: recorded, but never booked")
        given[key] = each
    return given


def _as_booked(each: Booked) -> Delivered:
    return Delivered(each.session, each.attempt, each.on_s, each.charge_mc, each.pulses, each.tolerance_share)


def _planned(held: Sequence[Session], measure: str) -> float:
    # All attempts at a session share one planned dose.
    return math.fsum(max(getattr(attempt, measure) for attempt in each.attempts) for each in held)


def _agree(one: Delivered, other: Delivered) -> bool:
    pairs = ((one.on_s, other.on_s), (one.charge_mc, other.charge_mc), (float(one.pulses), float(other.pulses)))
    return all(math.isclose(a, b, rel_tol=AGREE_SHARE, abs_tol=1e-9) for a, b in pairs)
