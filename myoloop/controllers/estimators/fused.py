"""One fatigue from all that is known of it: the EMG's spectrum, the M-wave, the mechanical response.

Each term tells what its newest evidence showed. They are brought together with the inverse of their variances as
weights, and where they disagree by more than their intervals allow, the interval is widened (Birge's ratio). What is
meant is fatigue of force. The electrical terms see none of what is lost between membrane and filament, so they count
with what that may be besides; the mechanical one sees all.

Time goes by between one piece of evidence and the next, and the index says so:

- every term grows older: its variance grows as that of a random walk;
- a term that has gone silent keeps its last word, ever less surely, so that the index does not jump to what the others
  say because one was lost;
- in a rest muscles recover, with a time constant of some two minutes. The index does not fall for that: it falls only
  with evidence. But the lower end of its interval follows the recovery that may be;
- where no term is valid any more, the index is not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from myoloop.controllers.signals.snapshot import Restorable
from myoloop.platform.messages import Measure

#: The terms of the index, by their field, and which of them are electrical.
TERMS: Mapping[str, bool] = {"fatigue_emg": True, "fatigue_mwave": True, "fatigue_mechanical": False}
#: Standard deviation, per unit of fatigue, of what an electrical term cannot see.
HIDDEN_SD = 0.3
#: What fatigue does unseen in one second, as the standard deviation of a random walk: 0.1 in 90 s.
WALK_SD = 0.0105
#: Faster than this no muscle recovers (Ding's time constant is 127 s, one of two spreads below it 100 s).
RECOVERY_S = 100.0
_EVERY_NS = 1_000_000_000
_SD_MIN = 1e-3
_UNKNOWN = Measure()

#: Value, low, high, valid, reason of a measure.
_Row = list[Any]


class FusedFatigue(Restorable):
    """The index of each muscle on one source.

    Parameters
    ----------
    muscles
        How many.
    """

    _kept: ClassVar[tuple[str, ...]] = ("_heard", "_last", "_told", "_next_ns")

    def __init__(self, muscles: int) -> None:
        self._muscles = muscles
        # Per term and muscle: what was told last.
        self._heard: list[list[_Row]] = [[_row(_UNKNOWN)] * muscles for _ in TERMS]
        # Per term and muscle: centre, standard deviation and time of the newest evidence; empty before the first.
        self._last: list[list[list[Any]]] = [[[] for _ in range(muscles)] for _ in TERMS]
        self._told: list[_Row] = [_row(_UNKNOWN)] * muscles
        self._next_ns = 0
        self._lists: list[Any] = [None] * len(TERMS)
        self._measures: list[Measure] | None = None

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over a saved state.

        Raises
        ------
        StateError
            If it is not the state of such an object.
        """
        super().restore(state)
        self._lists = [None] * len(TERMS)
        self._measures = None

    def step(self, now_ns: int, known: Mapping[str, Sequence[Measure]]) -> list[Measure]:
        """Fatigue of each muscle now, from the terms that are known: for each field, one measure per muscle."""
        lists = [known.get(name) for name in TERMS]
        same = all(new is old for new, old in zip(lists, self._lists, strict=True))
        if self._measures is None or not same or now_ns >= self._next_ns:
            self._lists = lists
            if self._take(lists, now_ns) or now_ns >= self._next_ns:
                self._next_ns = now_ns + _EVERY_NS
                self._told = [self._fuse(muscle, now_ns) for muscle in range(self._muscles)]
                self._measures = None
            if self._measures is None:
                self._measures = [_measure(row) for row in self._told]
        return self._measures

    def _take(self, lists: Sequence[Sequence[Measure] | None], now_ns: int) -> bool:
        """Notice what is new; whether anything is."""
        news = False
        for place, measures in enumerate(lists):
            rows = [_row(measure) for measure in measures or [_UNKNOWN] * self._muscles]
            if rows == self._heard[place]:
                continue
            for muscle, row in enumerate(rows):
                if row == self._heard[place][muscle]:
                    continue
                news = True
                value, low, high, valid, _ = row
                if valid and value is not None and low is not None and high is not None:
                    # An interval is symmetric about what the term would say without limits.
                    sd = max((high - low) / 3.92, _SD_MIN)
                    self._last[place][muscle] = [0.5 * (low + high), sd, now_ns]
            self._heard[place] = rows
        return news

    def _fuse(self, muscle: int, now_ns: int) -> _Row:
        heard = [rows[muscle] for rows in self._heard]
        if not any(row[3] for row in heard):
            return _row(Measure(reason=_why(heard)))
        centres, variances, ages_s = [], [], []
        for electrical, rows in zip(TERMS.values(), self._last, strict=True):
            if rows[muscle]:
                centre, sd, since_ns = rows[muscle]
                age_s = (now_ns - since_ns) * 1e-9
                hidden = HIDDEN_SD * max(centre, 0.0) if electrical else 0.0
                centres.append(centre)
                variances.append(sd * sd + hidden * hidden + WALK_SD**2 * age_s)
                ages_s.append(age_s)
        if not centres:
            return _row(Measure(reason="no term of fatigue tells its interval"))
        value, sd = combined(centres, variances)
        spread = 1.96 * sd
        low = value - spread
        recovered = math.exp(-min(ages_s) / RECOVERY_S)
        return _row(
            Measure(
                value=_unit(value),
                low=_unit(low * recovered if low > 0.0 else low),
                high=_unit(value + spread),
                valid=True,
                reason="",
            )
        )


def combined(centres: Sequence[float], variances: Sequence[float]) -> tuple[float, float]:
    """Mean weighed by inverse variances, and its standard deviation, widened where the values disagree."""
    weights = [1.0 / variance for variance in variances]
    total = sum(weights)
    value = sum(w * c for w, c in zip(weights, centres, strict=True)) / total
    chi_square = sum(w * (c - value) ** 2 for w, c in zip(weights, centres, strict=True))
    free = max(len(centres) - 1, 1)
    return value, (max(1.0, chi_square / free) / total) ** 0.5


def _why(heard: Sequence[_Row]) -> str:
    """Reasons of all terms; those that nothing estimates are not worth a word beside others."""
    reasons = list(dict.fromkeys(row[4] for row in heard if row[4]))
    told = [reason for reason in reasons if reason != _UNKNOWN.reason]
    return "; ".join(told or reasons)


def _row(measure: Measure) -> _Row:
    return [measure.value, measure.low, measure.high, measure.valid, measure.reason]


def _measure(row: _Row) -> Measure:
    value, low, high, valid, reason = row
    return Measure(value=value, low=low, high=high, valid=valid, reason=reason)


def _unit(value: float) -> float:
    return min(max(value, 0.0), 1.0)
