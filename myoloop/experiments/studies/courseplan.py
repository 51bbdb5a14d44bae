"""What is prescribed to a person, and what was booked: plain data of the course."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from typing import Literal

from myoloop.experiments.studies.diary import DiaryPrompt
from myoloop.experiments.studies.moments import day_of

Outcome = Literal["", "complete", "stopped", "aborted", "fault", "interrupted", "refused"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CoursePlan:
    """What is prescribed.

    Attributes
    ----------
    sessions_per_week, sessions_per_day, max_sessions
        At most; in any seven dates in a row, on a date, and in all.
    weeks
        From the first session; after these nothing begins.
    min_gap_s
        From the begin of a session, of its last attempt, to the begin of the next.
    first_current_share, first_on_time_share
        Of the envelope's current and on-time, until one session was complete.
    followups_s, followup_window_s
        After the last session, when the course is over; and how long an answer counts as one at that time.
    diary
        What is asked after each session.
    zone
        The study's own time zone.
    override_roles
        Who may lift the gap and the week's cap for one session; nobody where it is empty.
    """

    sessions_per_week: int
    sessions_per_day: int
    weeks: int
    min_gap_s: float
    max_sessions: int
    first_current_share: float
    first_on_time_share: float
    followups_s: tuple[float, ...] = ()
    followup_window_s: float = 7 * 86400.0
    diary: tuple[DiaryPrompt, ...] = ()
    zone: tzinfo
    override_roles: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("sessions_per_week", "sessions_per_day", "weeks", "max_sessions"):
            count = getattr(self, name)
            if isinstance(count, bool) or not isinstance(count, int) or count < 1:
                raise ValueError(f"{name}: found {count!r}, allowed is a whole number, at least 1")
        if not (math.isfinite(self.min_gap_s) and self.min_gap_s >= 0):
            raise ValueError(f"min_gap_s: found {self.min_gap_s!r}, allowed is a time in s, at least 0")
        for name in ("first_current_share", "first_on_time_share"):
            share = getattr(self, name)
            if not (math.isfinite(share) and 0 < share <= 1):
                raise ValueError(f"{name}: found {share!r}, allowed is a share above 0, at most 1")
        if not all(math.isfinite(after_s) and after_s > 0 for after_s in (*self.followups_s, self.followup_window_s)):
            raise ValueError(f"followups_s: found {self.followups_s!r}, allowed are times in s, above 0")

    @property
    def planned(self) -> int:
        """Sessions of the whole course."""
        return min(self.max_sessions, self.sessions_per_week * self.weeks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Booked:
    """One attempt at a session, as it was.

    Attributes
    ----------
    outcome
        ``refused`` where it ended before anything was armed, which is no session; empty while it has no end.
    on_s, charge_mc, pulses
        What this attempt delivered; in a blinded study nominal, the same in every arm.
    planned_on_s, planned_charge_mc, planned_pulses
        What the whole session was to deliver, whatever earlier attempts had of it.
    tolerance_share
        Current over the tolerance measured on the day, mean over the on-time; None where none was measured.
    """

    session: int
    attempt: int
    begin: datetime
    end: datetime | None = None
    outcome: Outcome = ""
    on_s: float = 0.0
    charge_mc: float = 0.0
    pulses: int = 0
    planned_on_s: float = 0.0
    planned_charge_mc: float = 0.0
    planned_pulses: int = 0
    tolerance_share: float | None = None

    def __post_init__(self) -> None:
        counted = ("on_s", "charge_mc", "pulses")
        for name in (*counted, *(f"planned_{each}" for each in counted), "tolerance_share"):
            value = getattr(self, name)
            if value is None and name == "tolerance_share":
                continue
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
                raise ValueError(f"{name}: found {value!r}, allowed is a number, at least 0")

    @property
    def last_known(self) -> datetime:
        """Its end, or its begin where no end was written."""
        return self.begin if self.end is None else self.end


@dataclass(frozen=True, slots=True)
class Session:
    """All attempts at one session, in the order they began."""

    number: int
    attempts: tuple[Booked, ...]

    @property
    def begin(self) -> datetime:
        """Begin of the first attempt."""
        return self.attempts[0].begin

    @property
    def end(self) -> datetime:
        """When the last attempt ended, or began where no end was written."""
        return max(each.last_known for each in self.attempts)

    @property
    def last_begin(self) -> datetime:
        """Begin of the last attempt."""
        return self.attempts[-1].begin

    @property
    def complete(self) -> bool:
        """Whether any attempt went to its end."""
        return any(each.outcome == "complete" for each in self.attempts)

    def days(self, zone: tzinfo) -> frozenset[date]:
        """Dates on which an attempt began."""
        return frozenset(day_of(each.begin, zone) for each in self.attempts)


def sessions(booked: Iterable[Booked]) -> tuple[Session, ...]:
    """Put attempts together; those that armed nothing are left out."""
    numbered: dict[int, list[Booked]] = {}
    for each in booked:
        if each.outcome != "refused":
            numbered.setdefault(each.session, []).append(each)
    return tuple(
        Session(number, tuple(sorted(numbered[number], key=lambda each: (each.begin, each.attempt))))
        for number in sorted(numbered)
    )
