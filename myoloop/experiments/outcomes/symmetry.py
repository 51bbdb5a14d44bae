"""Symmetry of two muscles' strongest contractions, by force and by EMG.

The index is ``100 (first - second) / max(first, second)`` in %: what the weaker one lacks of the stronger one, positive
where the first (left, or the agonist) is stronger; 20 is a second muscle with four fifths of the first one's value.

Force tells of strength as far as the cell holds both sides alike. The amplitude of an EMG depends on skin, fat and
where the electrodes lie as much as on the muscle, and a muscle that is smaller may have the EMG of a larger one: left
against right, it tells how strongly each is driven, session against session only with electrodes in the same place;
agonist against antagonist, it can be compared with itself alone, and 0 is nobody's norm.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from myoloop.experiments.outcomes.mechanical import pulls
from myoloop.experiments.outcomes.pairs import Pair, mvc_pair
from myoloop.experiments.outcomes.view import Value, View, number

#: What a reader must know where no force was measured.
EMG_ALONE = "by EMG alone, which tells how strongly the muscles are driven and not how strong they are"


def index_pct(first: float, second: float) -> float | None:
    """The index of two values that are not negative; None where there is nothing to compare."""
    larger = max(first, second)
    return 100.0 * (first - second) / larger if larger > 0.0 and min(first, second) >= 0.0 else None


def symmetry(view: View) -> Value:
    """100 (first - second) / larger of the strongest contractions, by force where there is a cell, else by EMG."""
    pair = mvc_pair(view.protocol)
    if pair is None:
        return Value(None, why="the protocol names no two muscles to compare")
    emg: dict[str, list[float]] = {name: [] for name in (pair.first, pair.second)}
    force: dict[str, list[float]] = {name: [] for name in (pair.first, pair.second)}
    for trial in view.trials("mvc"):
        peak_uv = number(trial, "peak_uv")
        if trial.outcome == "done" and trial.values.get("muscle") in emg and np.isfinite(peak_uv):
            emg[str(trial.values["muscle"])].append(peak_uv)
    for pull in pulls(view):
        if pull.muscle in force:
            force[pull.muscle].append(pull.either_way)
    by_emg, by_force = (_told(each, pair) for each in (emg, force))
    parts = {**by_force.parts("force"), **by_emg.parts("EMG")}
    count = sum(map(len, emg.values()))
    if by_force.pct is not None:
        return Value(by_force.pct, count, parts)
    if by_emg.pct is not None:
        return Value(by_emg.pct, count, parts, why=EMG_ALONE)
    lacking = " and ".join(name for name in emg if not emg[name])
    return Value(None, count, why=f"no maximal contraction of {lacking}" if lacking else "nothing to compare")


class _Told(NamedTuple):
    """An index and how far single contractions scatter about it, both in %."""

    pct: float | None
    scatter_pct: float | None

    def parts(self, name: str) -> dict[str, float]:
        told = {name: self.pct, f"{name}, scatter of single contractions": self.scatter_pct}
        return {key: value for key, value in told.items() if value is not None}


def _told(values: dict[str, list[float]], pair: Pair) -> _Told:
    first, second = values[pair.first], values[pair.second]
    if not first or not second:
        return _Told(None, None)
    return _Told(index_pct(max(first), max(second)), _scatter(first, second))


def _scatter(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Standard deviation of the indices of single contractions, the n-th of one with the n-th of the other."""
    known = [each for pair in zip(first, second, strict=False) if (each := index_pct(*pair)) is not None]
    return float(np.std(known, ddof=1)) if len(known) >= 2 else None
