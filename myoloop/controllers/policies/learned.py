"""What repetition teaches: a course of input, by time within the trial, that makes the next trial's error smaller.

P-type iterative learning with a lead for the delay of the muscle, a forgetting factor and a smoothing filter without
phase (Q-filter)::

    learned_next(t) = Q[ forgetting * learned(t) + learning * error(t + lead) ]
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from myoloop.controllers.signals.snapshot import Restorable


class NothingLearned(Restorable):
    """No learning."""

    def at(self, at_s: float) -> float:
        """Nothing."""
        del at_s
        return 0.0

    def note(self, at_s: float, error: float) -> None:
        """Not noted."""

    def end_trial(self) -> None:
        """Nothing to learn."""

    def reset(self) -> None:
        """Nothing to forget."""


class Learned(Restorable):
    """A course that is learnt from trial to trial.

    Parameters
    ----------
    longest_s
        Of a trial's train; later than this nothing is learnt.
    bin_s
        Its resolution.
    learning, forgetting
        Share of the error that goes into the course; share of the course that stays.
    lead_s
        How much later an input shows.
    smooth_s
        Half-width of the Q-filter.
    most
        The course stays within minus and plus this.
    """

    _kept: ClassVar[tuple[str, ...]] = ("course", "_sum", "_count", "_noted", "trials")

    def __init__(
        self, *, longest_s: float, bin_s: float, learning: float, forgetting: float, lead_s: float, smooth_s: float,
        most: float,
    ) -> None:  # fmt: skip
        bins = max(1, round(longest_s / bin_s))
        self._bin_s = bin_s
        self._learning, self._forgetting, self._most = learning, forgetting, most
        self._lead = lead_s / bin_s
        half = round(smooth_s / bin_s)
        window = np.array([half + 1 - abs(n) for n in range(-half, half + 1)], dtype=np.float64)
        self._window = window / window.sum()
        self.course = np.zeros(bins)
        self._sum, self._count = np.zeros(bins), np.zeros(bins)
        self._noted = False
        self.trials = 0

    def at(self, at_s: float) -> float:
        """What has been learnt for a time within the trial."""
        place = at_s / self._bin_s - 0.5
        low = int(place) if place > 0 else 0
        if low >= len(self.course) - 1:
            return float(self.course[-1])
        share = min(max(place - low, 0.0), 1.0)
        return float(self.course[low]) * (1.0 - share) + float(self.course[low + 1]) * share

    def note(self, at_s: float, error: float) -> None:
        """Note an error within the trial."""
        at = int(at_s / self._bin_s)
        if at < len(self.course):
            self._sum[at] += error
            self._count[at] += 1.0
            self._noted = True

    def end_trial(self) -> None:
        """Learn from what was noted since the last trial; nothing where nothing was."""
        if not self._noted:
            return
        seen = self._count > 0
        at = np.arange(len(self.course), dtype=np.float64)
        mean = self._sum[seen] / self._count[seen]
        # Later than it was noted, the newest error goes on: what is asked for then has not been seen to be wrong.
        error = np.interp(at + self._lead, at[seen], mean)
        error[at > at[seen][-1]] = 0.0
        course = self._forgetting * self.course + self._learning * error
        padded = np.pad(course, len(self._window) // 2, mode="edge")
        np.clip(np.convolve(padded, self._window, mode="valid"), -self._most, self._most, out=self.course)
        self._sum[:] = 0.0
        self._count[:] = 0.0
        self._noted = False
        self.trials += 1

    def reset(self) -> None:
        """Forget it all."""
        self.course[:] = 0.0
        self._sum[:] = 0.0
        self._count[:] = 0.0
        self._noted = False
        self.trials = 0
