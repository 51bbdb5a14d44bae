"""Moments of a study: aware, kept in UTC, shown in the study's own time zone.

A day is the date that the study's own wall clock shows, a gap is time that has passed: the night in which the clock is
changed makes neither of them wrong.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo

from myoloop.experiments.studies.audit import utc
from myoloop.platform.errors import UserError

_UNITS_S = ((604800.0, "wk"), (86400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"))


class MomentError(UserError, ValueError):
    """A text that is no moment or no time zone; one line for the operator."""


def time_zone(name: str) -> ZoneInfo:
    """Find a time zone by its IANA name, such as ``Europe/Berlin``.

    Raises
    ------
    MomentError
        If there is none of that name.
    """
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError, TypeError):
        raise MomentError(f"found {name!r}, allowed is a time zone by its IANA name, like Europe/Berlin") from None


def read_moment(text: object) -> datetime:
    """Read a wall time as it stands in a log, ``2026-11-21T09:15:00.000Z``.

    Raises
    ------
    MomentError
        If it is none, or says no offset from UTC.
    """
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise MomentError(f"found {text!r}, allowed is a wall time with its offset, like 2026-11-21T09:15:00Z")
    return moment.astimezone(UTC)


def write_moment(moment: datetime) -> str:
    """Write a wall time as the logs have it: in UTC, to the millisecond."""
    return utc(moment)


def checked(moment: datetime) -> datetime:
    """Give the moment in UTC.

    Raises
    ------
    ValueError
        If it is naive: then it could be any of two dozen moments.
    """
    if moment.tzinfo is None:
        raise ValueError(f"{moment!r} has no time zone")
    return moment.astimezone(UTC)


def day_of(moment: datetime, zone: tzinfo) -> date:
    """Give the date that the study's clock shows."""
    return checked(moment).astimezone(zone).date()


def start_of(day: date, zone: tzinfo) -> datetime:
    """Give the first moment of a date, in UTC; where the clock skips midnight, the moment at which it does."""
    return datetime.combine(day, time(), tzinfo=zone).astimezone(UTC)


def days_after(day: date, days: int) -> date:
    """Give the date so many days later."""
    return day + timedelta(days=days)


def say_moment(moment: datetime, zone: tzinfo) -> str:
    """Write a moment as the study's clock shows it."""
    return f"{checked(moment).astimezone(zone):%Y-%m-%d %H:%M}"


def say_span(seconds: float) -> str:
    """Write a length of time in the largest unit that goes into it: ``4 wk``, ``20 h``, but ``24 h`` and ``48 h``."""
    for unit_s, name in _UNITS_S:
        small_d = name == "d" and seconds <= 3 * 86400
        if seconds and not small_d and seconds % unit_s == 0:
            return f"{seconds / unit_s:.0f} {name}"
    return f"{seconds:g} s"
