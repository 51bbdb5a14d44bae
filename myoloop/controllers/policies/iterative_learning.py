"""Iterative learning for repeated trials: the error of one trial, by time within it, changes the next one's input.

Around the feed-forward through the inverse recruitment curve; the gain may be followed as well, so that learning has
only the shape of the course left to do, not the muscle's loss of force.
"""

from __future__ import annotations

from dataclasses import dataclass

from myoloop.controllers.policies.adaptive_gain import check_gain, gain_of
from myoloop.controllers.policies.gain import FixedGain
from myoloop.controllers.policies.learned import Learned
from myoloop.controllers.policies.tracking import Tracking, TrackingSettings, check_channel, check_tracking

#: Bins of the course that are kept: what is learnt must stay small enough to be saved.
BINS_MAX = 1000


@dataclass(frozen=True, kw_only=True)
class IterativeLearningSettings(TrackingSettings):
    """See :class:`~myoloop.controllers.policies.tracking.TrackingSettings`.

    Attributes
    ----------
    learning
        Share of a trial's error that goes into the next one's input.
    forgetting
        Share of what was learnt that stays from trial to trial; 0.95 to 0.98 is usual.
    lead_s
        How much later an input shows.
    smooth_s
        Half-width of the smoothing (Q-filter) of what was learnt.
    bin_s, longest_s
        Resolution of what is learnt, and up to which time within a trial.
    adapt_gain
        Whether the gain is followed (:class:`~myoloop.controllers.policies.adaptive_gain.AdaptiveGain`), or the
        fresh muscle's.
    gain_min, gain_max, gain_memory_s
        As for the adaptive gain.
    """

    learning: float = 0.6
    forgetting: float = 0.97
    lead_s: float = 0.1
    smooth_s: float = 0.1
    bin_s: float = 0.05
    longest_s: float = 20.0
    adapt_gain: bool = True
    gain_min: float = 0.1
    gain_max: float = 1.5
    gain_memory_s: float = 1.0
    integral_per_s: float = 0.5
    correction_max: float = 1.0

    def __post_init__(self) -> None:
        check_tracking(self, "iterative_learning")
        check_gain(self, "iterative_learning")
        if not 0 < self.learning <= 1.5:
            raise ValueError(f"iterative_learning.learning is {self.learning:g}, allowed is above 0 to 1.5")
        if not 0.5 <= self.forgetting <= 1:
            raise ValueError(f"iterative_learning.forgetting is {self.forgetting:g}, allowed is 0.5 to 1")
        if not 0 <= self.lead_s <= 1:
            raise ValueError(f"iterative_learning.lead_s is {self.lead_s:g}, allowed is 0 to 1 s")
        if not 0.01 <= self.bin_s <= 1:
            raise ValueError(f"iterative_learning.bin_s is {self.bin_s:g}, allowed is 0.01 to 1 s")
        if not 0 <= self.smooth_s <= 20 * self.bin_s:
            raise ValueError(f"iterative_learning.smooth_s is {self.smooth_s:g}, allowed is 0 to 20 bin_s")
        if not self.bin_s <= self.longest_s <= BINS_MAX * self.bin_s:
            raise ValueError(
                f"iterative_learning.longest_s is {self.longest_s:g}, allowed is bin_s to {BINS_MAX} of them "
                f"({BINS_MAX * self.bin_s:g} s)"
            )


class IterativeLearning(Tracking):
    """Feed-forward, what repetition has taught, and PI."""

    Settings = IterativeLearningSettings

    def __init__(self, settings: IterativeLearningSettings, channels: tuple[str, ...]) -> None:
        s = settings
        check_channel("iterative_learning", s.channel, channels)
        learned = Learned(
            longest_s=s.longest_s,
            bin_s=s.bin_s,
            learning=s.learning,
            forgetting=s.forgetting,
            lead_s=s.lead_s,
            smooth_s=s.smooth_s,
            most=s.setpoint / s.full_response,
        )
        super().__init__("iterative learning", s, gain_of(s) if s.adapt_gain else FixedGain(), learned)
