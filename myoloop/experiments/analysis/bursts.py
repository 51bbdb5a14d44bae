"""Spasms as intervals, and how well the detected ones are the true ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from myoloop.controllers.estimators.scoring import WINDOW_S, OnsetScore, score_onsets
from myoloop.experiments.analysis.tracks import Interval

#: Two onsets closer than this are one: the estimator names a burst's onset anew in every estimate.
_SAME_ONSET_S = 1e-6


def detected(told: Iterable[tuple[float, float | None, float | None]]) -> tuple[Interval, ...]:
    """Bursts from estimates: each from the onset the estimator named to the first estimate that denied it.

    Parameters
    ----------
    told
        In order of time: (time of the estimate, spasm: 1, 0 or None where it cannot tell, named onset or None).

    Returns
    -------
    tuple of Interval
        One for each onset; the end is None for a burst that was never denied.
    """
    found: list[Interval] = []
    open_onset: float | None = None
    for t_s, value, onset_s in told:
        if value is not None and value > 0.5:
            onset = t_s if onset_s is None and open_onset is None else onset_s
            if onset is not None and (open_onset is None or abs(onset - open_onset) > _SAME_ONSET_S):
                if found and abs(onset - found[-1].begin_s) <= _SAME_ONSET_S:
                    found[-1] = found[-1]._replace(end_s=None)
                else:
                    _close(found, t_s)
                    found.append(Interval(onset, None))
                open_onset = onset
        elif open_onset is not None:
            _close(found, t_s)
            open_onset = None
    return tuple(found)


@dataclass(frozen=True, slots=True)
class SpasmScore:
    """Onset-matched scores of all heard muscles together, and each by itself."""

    matched: int
    missed: int
    false: int
    by_muscle: Mapping[str, OnsetScore]

    @property
    def f1(self) -> float:
        """2 TP / (2 TP + FP + FN) over all muscles; 1 where there was nothing to find and nothing was found."""
        denominator = 2 * self.matched + self.false + self.missed
        return 2 * self.matched / denominator if denominator else 1.0


def score(true: Mapping[str, Sequence[Interval]], found: Mapping[str, Sequence[Interval]], end_s: float) -> SpasmScore:
    """Match onsets one to one, muscle by muscle.

    A true spasm of a muscle nobody heard is not counted; a detection in a muscle without any spasm is false. Onsets so
    near the end of the record that their window is cut off are not counted, neither true nor detected ones.

    Parameters
    ----------
    true, found
        By muscle; the keys of `found` are the muscles that were heard.
    end_s
        Where the record ends.
    """

    def onsets(intervals: Sequence[Interval]) -> list[float]:
        return [one.begin_s for one in intervals if one.begin_s <= end_s - WINDOW_S[1]]

    by_muscle = {
        muscle: score_onsets(onsets(true.get(muscle, ())), onsets(intervals)) for muscle, intervals in found.items()
    }
    each = by_muscle.values()
    return SpasmScore(sum(s.matched for s in each), sum(s.missed for s in each), sum(s.false for s in each), by_muscle)


def _close(found: list[Interval], t_s: float) -> None:
    if found and found[-1].end_s is None:
        found[-1] = found[-1]._replace(end_s=t_s)
