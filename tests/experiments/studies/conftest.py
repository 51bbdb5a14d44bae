"""A plan, and bookings on a study's clock."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from myoloop.experiments.studies.course import Booked, CoursePlan
from myoloop.experiments.studies.diary import DiaryPrompt

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture
def plan() -> CoursePlan:
    """Three a week for six weeks, 20 h apart, eighteen in all."""
    return CoursePlan(
        sessions_per_week=3,
        sessions_per_day=1,
        weeks=6,
        min_gap_s=20 * 3600.0,
        max_sessions=18,
        first_current_share=0.5,
        first_on_time_share=0.4,
        followups_s=(4 * 604800.0, 12 * 604800.0),
        diary=(
            DiaryPrompt(form="doms", after_s=24 * 3600.0, window_s=12 * 3600.0),
            DiaryPrompt(form="doms", after_s=48 * 3600.0, window_s=12 * 3600.0),
        ),
        zone=BERLIN,
        override_roles=("pi",),
    )


@pytest.fixture
def at() -> Callable[[str], datetime]:
    """A moment as Berlin's clock shows it."""
    return lambda text: datetime.fromisoformat(text).replace(tzinfo=BERLIN).astimezone(UTC)


@pytest.fixture
def book() -> Callable[..., Booked]:
    """An hour's session that was complete and gave what was planned, unless told otherwise."""

    def made(session: int, begin: datetime, attempt: int = 1, outcome: str = "complete", **more) -> Booked:
        given = {
            "end": begin + timedelta(hours=1) if outcome else None,
            "on_s": 300.0,
            "charge_mc": 90.0,
            "pulses": 9000,
            "planned_on_s": 300.0,
            "planned_charge_mc": 90.0,
            "planned_pulses": 9000,
        }
        return Booked(session=session, attempt=attempt, begin=begin, outcome=outcome, **{**given, **more})

    return made
