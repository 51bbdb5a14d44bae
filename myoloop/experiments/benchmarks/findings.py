"""What a benchmark found: a figure with its interval, what was asked of it, and the simplest known method beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.stats import t as student

#: Seeds of the figures that are told: nothing was tuned on a subject or a scene made from these.
FIRST_SEED = 1000
SUBJECTS, SEEDS = 20, 5
#: How a line begins that tells what a part did not measure, and why: it stands below the table and in the JSON.
LEFT_OUT = "left out: "


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One figure.

    Attributes
    ----------
    part, what
        Which part of the benchmark; what was measured, under which condition.
    value, unit
        The figure; empty where it has no unit.
    low, high
        95 % interval of the mean over subjects; None where it is one measurement.
    target, sense
        What is asked of `value`, and whether it must be at least or at most that; None where it is told for its own
        sake.
    baseline, baseline_value
        The simplest known method, and its figure in the same run.
    n
        How many subjects, recordings or repetitions are behind it.
    """

    part: str
    what: str
    value: float
    unit: str = ""
    low: float | None = None
    high: float | None = None
    target: float | None = None
    sense: Literal["at least", "at most"] = "at least"
    baseline: str = ""
    baseline_value: float | None = None
    n: int = 1

    @property
    def reached(self) -> bool | None:
        """Whether the target is reached; None where there is none. A figure that is not a number reaches nothing."""
        if self.target is None:
            return None
        # A numpy number compares to a truth value of its own, which JSON does not know.
        return bool(self.value >= self.target if self.sense == "at least" else self.value <= self.target)

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {**asdict(self), "reached": self.reached}


def mean_over_subjects(values: npt.ArrayLike) -> tuple[float, float, float]:
    """Mean and its 95 % interval (Student's) of (subjects, seeds) values; the seeds of one subject count as one.

    Raises
    ------
    ValueError
        If there are fewer than two subjects.
    """
    table = np.atleast_2d(np.asarray(values, dtype=np.float64))
    each = table.mean(axis=1)
    if len(each) < 2:
        raise ValueError(f"{len(each)} subject: an interval needs at least two")
    mean = float(each.mean())
    half = float(student.ppf(0.975, len(each) - 1) * each.std(ddof=1) / np.sqrt(len(each)))
    return mean, mean - half, mean + half


def all_reached(findings: Sequence[Finding]) -> bool:
    """Whether no target was missed."""
    return all(finding.reached is not False for finding in findings)
