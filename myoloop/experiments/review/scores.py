"""How well the detector did against the labels of a person, class by class: precision, recall, F1, by their onsets.

A detection belongs to a label if it lies within the tolerance about its onset; each is matched with one at most. The
figures hold for what a person has judged: where some detections are still open there are none, and where nobody has
looked through the recording for what was missed, that is said, because recall cannot be less than what was looked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import Any

from myoloop.controllers.estimators.scoring import WINDOW_S, score_onsets
from myoloop.experiments.review.acts import Labels
from myoloop.experiments.review.labels import CLASSES


@dataclass(frozen=True, slots=True)
class ClassScore:
    """Of one class, over all heard muscles.

    Attributes
    ----------
    labels, detected, open
        Labels that hold; detections; detections that nobody has judged.
    precision, recall, f1
        None where there is nothing to tell them from; `why` says so.
    looked_through
        Whether a person looked through all of it for events that the detector missed.
    """

    kind: str
    labels: int
    detected: int
    open: int
    matched: int
    missed: int
    false: int
    precision: float | None
    recall: float | None
    f1: float | None
    latency_s: float | None
    looked_through: bool
    why: str = ""
    tolerance_s: tuple[float, float] = WINDOW_S

    def as_data(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "class": self.kind, "labels": self.labels, "detected": self.detected, "open": self.open,
            "matched": self.matched, "missed": self.missed, "false": self.false, "precision": self.precision,
            "recall": self.recall, "f1": self.f1, "latency_s": self.latency_s, "looked_through": self.looked_through,
            "tolerance_s": list(self.tolerance_s), "why": self.why,
        }  # fmt: skip


def score_labels(labels: Labels) -> tuple[ClassScore, ...]:
    """Each class that was detected or labelled, in their usual order."""
    kinds = {kind for each in labels.by_id.values() for kind in (each.kind, each.detected_kind)}
    return tuple(_score(labels, kind) for kind in CLASSES if kind in kinds)


def _score(labels: Labels, kind: str) -> ClassScore:
    held = [each for each in labels.by_id.values() if each.kind == kind and each.holds]
    # What a person says is of another class was found wrongly in its own, and missed in the other.
    seen = [each for each in labels.by_id.values() if each.detected_kind == kind]
    holding, detected = len(held), len(seen)
    still_open = sum(each.state == "open" for each in seen)
    looked = (kind, "") in labels.whole or all((kind, muscle) in labels.whole for muscle in labels.muscles)
    if still_open:
        why = f"{still_open} of {detected} detections are not judged yet"
        return ClassScore(kind, holding, detected, still_open, 0, 0, 0, None, None, None, None, looked, why)
    matched = missed = false = 0
    latencies: list[float] = []
    for muscle in labels.muscles:
        true = [each.span.begin_s for each in held if each.muscle == muscle]
        found = [each.detected.begin_s for each in seen if each.muscle == muscle and each.detected is not None]
        of_muscle = score_onsets(true, found)
        matched, missed, false = matched + of_muscle.matched, missed + of_muscle.missed, false + of_muscle.false
        latencies += of_muscle.latencies_s
    return ClassScore(
        kind,
        holding,
        detected,
        0,
        matched,
        missed,
        false,
        matched / (matched + false) if matched + false else None,
        matched / (matched + missed) if matched + missed else None,
        2 * matched / (2 * matched + missed + false) if matched + missed + false else None,
        median(latencies) if latencies else None,
        looked,
        "" if looked else "nobody has said that the recording was looked through for missed events",
    )
