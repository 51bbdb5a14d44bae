"""The muscle's gain: response per recruited share, relative to the fresh muscle; 1, or followed while it falls."""

from __future__ import annotations

import math
from typing import ClassVar

from myoloop.controllers.signals.snapshot import Restorable


class FixedGain(Restorable):
    """The fresh muscle's."""

    value: float = 1.0

    def drive(self, share: float, seconds: float) -> None:
        """Nothing depends on it."""

    def recover(self, share: float) -> None:
        """It never fell."""

    def hear(self, response: float, seconds: float) -> None:
        """Nothing is learnt of it."""

    def reset(self) -> None:
        """Nothing to forget."""


class GainEstimate(Restorable):
    """Recursive least squares of ``response = gain * driven`` with forgetting, within bounds.

    `driven` is the recruited share after the muscle's lag and delay, so that response and drive belong together; only
    steady parts of a train are listened to. With forgetting, the sums ``P = sum w driven^2`` and ``Q = sum w driven
    response`` fade with `memory_s`; the estimate is Q / P.

    Parameters
    ----------
    lag_s, delay_s
        Of the response.
    memory_s
        Time constant of forgetting, in time listened to.
    low, high
        Bounds of the gain.
    """

    _kept: ClassVar[tuple[str, ...]] = ("value", "_driven", "_power", "_product", "_still_s", "_last_share")

    #: Drive below this says nothing of the gain.
    _DRIVEN_LEAST = 0.01
    #: What is believed before anything was heard weighs as much as this drive over `memory_s`.
    _PRIOR_SHARE = 0.03

    def __init__(self, *, lag_s: float, delay_s: float, memory_s: float, low: float, high: float) -> None:
        self._lag_s = lag_s + delay_s
        self._settle_s = 3.0 * (lag_s + delay_s)
        self._memory_s = memory_s
        self._low, self._high = low, high
        self.value = 1.0
        self._driven = 0.0
        self._power = self._product = self._PRIOR_SHARE**2 * memory_s
        self._still_s = 0.0
        self._last_share = 0.0

    def drive(self, share: float, seconds: float) -> None:
        """What the muscle got since the last step, and now: the share that is recruited."""
        follow = 1.0 - math.exp(-seconds / self._lag_s) if self._lag_s > 0 else 1.0
        self._driven += (self._last_share - self._driven) * follow
        self._last_share = share
        if share <= 0.0:
            self._still_s = 0.0

    def recover(self, share: float) -> None:
        """A muscle at rest goes back to fresh: of what it has lost, this share is left."""
        if self.value < 1.0:
            self.value = 1.0 - (1.0 - self.value) * share
            self._product = self.value * self._power

    def hear(self, response: float, seconds: float) -> None:
        """What it answers while the trial holds."""
        self._still_s += seconds
        if self._still_s < self._settle_s or self._driven < self._DRIVEN_LEAST:
            return
        keep = math.exp(-seconds / self._memory_s)
        driven = self._driven
        self._power = keep * self._power + seconds * driven * driven
        self._product = keep * self._product + seconds * driven * response
        self.value = min(max(self._product / self._power, self._low), self._high)

    def reset(self) -> None:
        """The fresh muscle's."""
        self.value = 1.0
        self._driven = self._last_share = self._still_s = 0.0
        self._power = self._product = self._PRIOR_SHARE**2 * self._memory_s
