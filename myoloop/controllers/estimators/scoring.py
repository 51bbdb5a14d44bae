"""How good a spasm detector is: its onsets against the true ones, each matched with one at most.

Matching by any overlap would call a detector perfect that says "spasm" all the time; onset by onset it would not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

#: A detected onset belongs to a true one if it lies in this window about it, s.
WINDOW_S = (-0.1, 0.5)


@dataclass(frozen=True, slots=True)
class OnsetScore:
    """One-to-one onset matching.

    Attributes
    ----------
    matched, missed, false
        True onsets found, true onsets not found, detected onsets that belong to none.
    latencies_s
        Detected minus true, of each match in order of the true onsets.
    """

    matched: int
    missed: int
    false: int
    latencies_s: tuple[float, ...]

    @property
    def precision(self) -> float:
        """Share of detected onsets that are true; 1 where nothing was detected."""
        detected = self.matched + self.false
        return self.matched / detected if detected else 1.0

    @property
    def recall(self) -> float:
        """Share of true onsets that were detected; 1 where there were none."""
        true = self.matched + self.missed
        return self.matched / true if true else 1.0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall: 2 TP / (2 TP + FP + FN); 1 where there was nothing to find."""
        denominator = 2 * self.matched + self.false + self.missed
        return 2 * self.matched / denominator if denominator else 1.0

    @property
    def latency_s(self) -> float | None:
        """Median latency; None without a match."""
        return median(self.latencies_s) if self.latencies_s else None


def score_onsets(
    true_s: Sequence[float], detected_s: Sequence[float], window_s: tuple[float, float] = WINDOW_S
) -> OnsetScore:
    """Match detected onsets with true ones, as many as possible, each at most once.

    With windows of one length, taking the earliest fitting detection for each true onset in order gives the largest
    number of matches.

    Raises
    ------
    ValueError
        If the window is empty.
    """
    low, high = window_s
    if not low < high:
        raise ValueError(f"the window {window_s} is empty")
    detected = sorted(detected_s)
    latencies: list[float] = []
    at = 0
    for true in sorted(true_s):
        while at < len(detected) and detected[at] < true + low:
            at += 1
        if at < len(detected) and detected[at] <= true + high:
            latencies.append(detected[at] - true)
            at += 1
    matched = len(latencies)
    return OnsetScore(matched, len(true_s) - matched, len(detected) - matched, tuple(latencies))
