"""What is reviewed: spasms, clonus, contractions, each with where the detector saw it and what a person said of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple

#: Classes of events. A burst with the rhythm of clonus is of that class, every other burst is a spasm.
CLASSES = ("spasm", "clonus", "contraction")
Class = Literal["spasm", "clonus", "contraction"]
#: What a person said of it; ``open``: nothing yet.
State = Literal["open", "confirmed", "rejected", "moved", "reclassed", "added"]
#: States of labels that hold: what a person says happened.
HOLDING = frozenset({"confirmed", "moved", "reclassed", "added"})


class Span(NamedTuple):
    """From when to when, s of the session; the end is None where the recording ended before it did."""

    begin_s: float
    end_s: float | None


@dataclass(frozen=True, slots=True)
class Label:
    """One event.

    Attributes
    ----------
    id
        ``<class>-<muscle>-<n>`` of what was detected, ``added-<n>`` of what a person added.
    detected
        Where the detector saw it; None for what a person added.
    span
        Where it is now.
    detected_as
        Of which class the detector found it, where a person says another; else empty.
    """

    id: str
    kind: str
    muscle: str
    detected: Span | None
    span: Span
    state: State = "open"
    detected_as: str = ""

    @property
    def detected_kind(self) -> str:
        """Of which class the detector found it; empty where it did not."""
        return "" if self.detected is None else self.detected_as or self.kind

    @property
    def holds(self) -> bool:
        """Whether a person says that it happened."""
        return self.state in HOLDING


def number_labels(found: Iterable[tuple[str, str, Span]]) -> tuple[Label, ...]:
    """Labels of what was detected, as (class, muscle, span), numbered by onset within class and muscle."""
    counted: dict[tuple[str, str], int] = {}
    labels = []
    for kind, muscle, span in sorted(found, key=lambda each: (each[2].begin_s, each[1], each[0])):
        number = counted[kind, muscle] = counted.get((kind, muscle), 0) + 1
        labels.append(Label(f"{kind}-{muscle}-{number}", kind, muscle, span, span))
    return tuple(labels)


def labels_sha256(labels: Iterable[Label]) -> str:
    """Hash of what was detected: a review of other detections is not a review of these."""
    told = [[each.id, each.kind, each.muscle, *(each.detected or each.span)] for each in labels]
    return hashlib.sha256(json.dumps(told, separators=(",", ":")).encode()).hexdigest()
