"""Which change of a measure matters, in the one table that every report uses, and whether a change is one.

A change that is called important was found so in groups, by one method, in one population: each row names them. *MIC*
is the least change that people call one, *MDC* the least that is more than error of measurement (95 %, or as the row
says). Rows of general knowledge that nobody looked up are marked ``GK``. A value before and a value after of one
person show no effect of anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from myoloop.experiments.outcomes.instruments.ashworth import GRADES
from myoloop.platform.errors import UserError


@dataclass(frozen=True, slots=True)
class ImportantChange:
    """One row.

    Attributes
    ----------
    measure
        An outcome's id.
    amount, of
        How much, in the measure's unit, or as a percentage of the value before; ``level`` is a value that the newest
        answer must not exceed; ``grades`` counts whole grades of an ordinal scale.
    source
        Where it is from; begins with *GK* where it was not looked up.
    """

    measure: str
    amount: float
    of: Literal["unit", "percent", "level", "grades"]
    kind: Literal["MIC", "MDC"]
    label: str
    population: str
    source: str

    def words(self, unit: str) -> str:
        """How much, with its unit."""
        if self.of == "percent":
            return f"{self.amount:g} % of before"
        if self.of == "level":
            return f"at most {self.amount:g}"
        return f"{self.amount:g} {'grade' if self.of == 'grades' else unit}"


_IMMPACT = "Dworkin et al., J Pain 2008;9:105 (IMMPACT)"
_OSTELO = "Ostelo et al., Spine 2008;33:90"
_KOVACS = "Kovacs et al., BMC Musculoskelet Disord 2008;9:43"


def _pain(measure: str) -> tuple[ImportantChange, ...]:
    chronic = "chronic pain"
    return (
        ImportantChange(measure, 10, "percent", "MIC", "minimal", chronic, _IMMPACT),
        ImportantChange(measure, 30, "percent", "MIC", "moderate", chronic, _IMMPACT),
        ImportantChange(measure, 50, "percent", "MIC", "substantial", chronic, _IMMPACT),
        ImportantChange(measure, 2, "unit", "MIC", "minimal", "low back pain", _OSTELO),
        ImportantChange(measure, 1.5, "unit", "MIC", "minimal", "neck pain", f"{_KOVACS} (ROC)"),
        ImportantChange(measure, 4, "unit", "MDC", "detectable", "neck pain", _KOVACS),
    )


#: The table.
IMPORTANT_CHANGES: tuple[ImportantChange, ...] = (
    *_pain("nrs_current"),
    *_pain("nrs_average"),
    *_pain("nrs_worst"),
    ImportantChange("pgic", 2, "level", "MIC", "much better", "chronic pain", _IMMPACT),
    ImportantChange("odi", 10, "unit", "MIC", "minimal", "low back pain", _OSTELO),
    ImportantChange("odi", 30, "percent", "MIC", "minimal", "low back pain", _OSTELO),
    ImportantChange("ndi", 14, "unit", "MIC", "minimal", "neck pain", "GK: 7 of 50 points; by method 5 to 13 points"),
    ImportantChange("ndi", 10, "unit", "MDC", "detectable (90 %)", "neck pain", "GK: 5 of 50 points"),
    ImportantChange("dash", 10, "unit", "MIC", "minimal", "hand and arm, operated",
                    "Gummesson et al., BMC Musculoskelet Disord 2003;4:11"),
    ImportantChange("css16", 4.9, "unit", "MDC", "smallest real difference", "CRPS",
                    "Harden et al., Pain 2017;158:1430"),
    ImportantChange("ppt", 160, "unit", "MDC", "detectable", "healthy, eight sites",
                    "J Manipulative Physiol Ther 2015;38:282"),
    ImportantChange("ppt", 15, "percent", "MIC", "minimal", "not told", "GK: 15 to 20 %"),
    ImportantChange("ashworth", 1, "grades", "MIC", "minimal", "brain injury", "GK: one grade"),
)  # fmt: skip


class Point(NamedTuple):
    """A measure at one time: its value, or its code where it is a grade, and the version of the questionnaire."""

    measure: str
    value: float | None
    code: str = ""
    version: str = ""


class NotComparable(UserError, ValueError):
    """Two values of which no change can be told; one clear line."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One row of the table beside a change.

    Attributes
    ----------
    reached
        None where it cannot be told, as a percentage of nothing.
    direction
        ``better``, ``worse`` or ``none``; of a measure with no better end ``up`` or ``down``.
    """

    row: ImportantChange
    reached: bool | None
    direction: str

    def as_data(self) -> dict[str, Any]:
        """JSON-ready."""
        row = self.row
        return {
            "amount": row.amount, "of": row.of, "kind": row.kind, "label": row.label, "population": row.population,
            "source": row.source, "reached": self.reached, "direction": self.direction,
        }  # fmt: skip


def rows_of(measure: str) -> tuple[ImportantChange, ...]:
    """The rows of a measure; none where no important change is known."""
    return tuple(row for row in IMPORTANT_CHANGES if row.measure == measure)


def judge(before: Point, after: Point, better: str = "less") -> tuple[Judged, ...]:
    """Say of each row of the measure whether the change reaches it.

    Parameters
    ----------
    better
        Which end of the measure is the better one: ``less``, ``more``, or empty.

    Raises
    ------
    NotComparable
        If the two are of different measures or versions, or one of them is missing.
    """
    check_comparable(before, after)
    direction = _direction(before, after, better)
    return tuple(Judged(row, _reached(row, before, after), direction) for row in rows_of(after.measure))


def check_comparable(before: Point, after: Point) -> None:
    """Refuse to tell a change between two scales.

    Raises
    ------
    NotComparable
        As :func:`judge`.
    """
    if before.measure != after.measure:
        raise NotComparable(f"{before.measure} before and {after.measure} after are two scales: no change can be told")
    if before.version != after.version:
        found = f"version {before.version or 'not told'} before and {after.version or 'not told'} after"
        raise NotComparable(f"{after.measure}: {found}: no change can be told")
    for when, point in (("before", before), ("after", after)):
        if point.value is None and not point.code:
            raise NotComparable(f"{point.measure}: no value {when}")


def _reached(row: ImportantChange, before: Point, after: Point) -> bool | None:
    if row.of == "grades":
        return _whole_grades(before.code, after.code) >= row.amount
    if before.value is None or after.value is None:
        return None
    if row.of == "level":
        return after.value <= row.amount
    change = abs(after.value - before.value)
    if row.of == "percent":
        return 100.0 * change >= row.amount * abs(before.value) * (1 - 1e-12) if before.value else None
    return change >= row.amount * (1 - 1e-12)


def _whole_grades(before: str, after: str) -> int:
    """Whole grades that lie between two codes: from 1 to 1+ none, for 1+ lies somewhere between 1 and 2."""
    low, high = sorted((GRADES.index(before), GRADES.index(after)))
    # Counted on 0, 1, 2, 3, 4 alone, as far as both codes reach them.
    whole = [int(grade) for grade in GRADES[low : high + 1] if grade.isdecimal()]
    return max(whole) - min(whole) if whole else 0


def _direction(before: Point, after: Point, better: str) -> str:
    rank = _rank(after) - _rank(before)
    if rank == 0:
        return "none"
    if not better:
        return "up" if rank > 0 else "down"
    return "better" if (rank < 0) == (better == "less") else "worse"


def _rank(point: Point) -> float:
    return float(GRADES.index(point.code)) if point.code else float(point.value or 0.0)


def as_data() -> list[Mapping[str, Any]]:
    """The whole table, JSON-ready."""
    return [
        {name: getattr(row, name) for name in ("measure", "amount", "of", "kind", "label", "population", "source")}
        for row in IMPORTANT_CHANGES
    ]
