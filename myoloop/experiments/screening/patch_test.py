"""The patch test: pad material waits on the skin, and is read before anybody is stimulated through it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

#: A test counts as read when it is negative so long after it began (PROP; the source says to wait and look).
READ_AFTER_H = 48.0

Result = Literal["negative", "doubtful", "positive"]


@dataclass(frozen=True, slots=True)
class PatchReading:
    """What was seen, and when; the time has its zone."""

    read_at: datetime
    result: Result


@dataclass(frozen=True, slots=True)
class PatchTest:
    """A patch of some material, and what was read under it.

    Attributes
    ----------
    material
        As pads are described; upper and lower case are the same.
    place
        Where on the body.
    started_at
        With its zone.
    readings
        In any order.
    """

    material: str
    place: str
    started_at: datetime
    readings: tuple[PatchReading, ...]

    @property
    def due_at(self) -> datetime:
        """From when on a reading settles it."""
        return self.started_at + timedelta(hours=READ_AFTER_H)


def same_material(one: str, other: str) -> bool:
    """Whether two descriptions name one material."""
    return " ".join(one.split()).casefold() == " ".join(other.split()).casefold()


def reacted(material: str, tests: Iterable[PatchTest]) -> str:
    """How the skin reacted to a material in any test, ever; "" where it did not.

    Doubtful is taken for positive.
    """
    for test in tests:
        for reading in test.readings:
            if same_material(test.material, material) and reading.result != "negative":
                return f"{test.material}: read {reading.result} at {_minute(reading.read_at)}"
    return ""


def still_open(material: str, tests: Iterable[PatchTest], now: datetime) -> str:
    """Why a material cannot be called tolerated yet; "" where it was read negative at or after its due time."""
    mine = [test for test in tests if same_material(test.material, material)]
    if not mine:
        return f"{material}: no patch test"
    for test in mine:
        if any(test.due_at <= each.read_at <= now and each.result == "negative" for each in test.readings):
            return ""
    due = max(test.due_at for test in mine)
    return f"{material}: no reading at or after {_minute(due)}, {READ_AFTER_H:g} h after the patch was put on"


def _minute(moment: datetime) -> str:
    return moment.isoformat(timespec="minutes")
