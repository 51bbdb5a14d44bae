"""How good detectors and indices are on a person, and the paired differences between two of them over people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from myoloop.controllers.estimators.scoring import score_onsets
from myoloop.experiments.benchmarks.findings import mean_over_subjects
from myoloop.experiments.training.estimators.sessions import Event

Floats = npt.NDArray[np.float64]

_BINS = 10


@dataclass(frozen=True, slots=True)
class BurstScore:
    """Of one person: onsets matched one to one; NaN where there was nothing to find."""

    f1: float
    false_per_min: float
    latency_ms: float
    late_ms: float
    told_share: float
    events: int
    matched: int


def score_bursts(events: Sequence[Event], onsets_s: Sequence[float], told_s: float, seconds: float) -> BurstScore:
    """Score what was told of one person: F1, false onsets, median latency and its 95th percentile."""
    score = score_onsets([event.onset_s for event in events], list(onsets_s))
    latencies = np.array(score.latencies_s) * 1e3
    true_s = sum(event.end_s - event.onset_s for event in events)
    return BurstScore(
        f1=score.f1 if events else np.nan,
        false_per_min=60.0 * score.false / seconds,
        latency_ms=float(np.median(latencies)) if latencies.size else np.nan,
        late_ms=float(np.quantile(latencies, 0.95)) if latencies.size else np.nan,
        told_share=(told_s - true_s) / seconds,
        events=len(events),
        matched=score.matched,
    )


@dataclass(frozen=True, slots=True)
class Compared:
    """A learned estimator beside the rules on the same people.

    Attributes
    ----------
    what, unit, better
        What was measured, and whether more or less of it is better.
    rules, learned
        Means over people.
    difference, low, high
        Learned minus rules, mean over people with its 95 % interval (Student's).
    margin
        Laid down beforehand: the learned one is at least equal if the whole interval is worse by no more than this.
    people
        On whom both could be measured.
    worst
        Number of the person for whom the difference is worst.
    """

    what: str
    unit: str
    better: Literal["more", "less"]
    rules: float
    learned: float
    difference: float
    low: float
    high: float
    margin: float
    people: int
    worst: int

    @property
    def at_least_equal(self) -> bool:
        """Whether the interval lies within the margin."""
        return self.low >= -self.margin if self.better == "more" else self.high <= self.margin

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {**asdict(self), "at_least_equal": bool(self.at_least_equal)}


def compare(
    what: str,
    unit: str,
    better: Literal["more", "less"],
    margin: float,
    numbers: Sequence[int],
    rules: Sequence[float],
    learned: Sequence[float],
) -> Compared:
    """Paired differences over the people of whom both are known.

    Raises
    ------
    ValueError
        If there are fewer than two.
    """
    before, after = np.array(rules, dtype=np.float64), np.array(learned, dtype=np.float64)
    both = np.isfinite(before) & np.isfinite(after)
    who = np.array(numbers)[both]
    away = (after - before)[both]
    mean, low, high = mean_over_subjects(away[:, None])
    worst = int(who[np.argmin(away) if better == "more" else np.argmax(away)])
    return Compared(
        what, unit, better, float(before[both].mean()), float(after[both].mean()), mean, low, high, margin, len(away),
        worst,
    )  # fmt: skip


def reliability(probability: Floats, true: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """Calibration of probabilities: table of ten bins, expected calibration error, Brier score."""
    place = np.minimum((probability * _BINS).astype(np.int64), _BINS - 1)
    rows, error = [], 0.0
    for part in range(_BINS):
        here = place == part
        if here.any():
            said, seen = float(probability[here].mean()), float(true[here].mean())
            rows.append({"said": said, "seen": seen, "share": float(here.mean())})
            error += float(here.mean()) * abs(said - seen)
    return {"bins": rows, "calibration_error": error, "brier": float(np.mean((probability - true) ** 2))}


def rms(values: Floats) -> float:
    """Root of the mean square of what is known; NaN where nothing is."""
    known = values[np.isfinite(values)]
    return float(np.sqrt(np.mean(known**2))) if known.size else float("nan")
