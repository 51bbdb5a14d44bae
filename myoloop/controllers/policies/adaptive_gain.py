"""Adaptive gain: feed-forward divided by the gain that the muscle has now, and PI around it.

The gain is found by recursive least squares with forgetting while a trial holds, bounded
(:class:`~myoloop.controllers.policies.gain.GainEstimate`); the next trial begins with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from myoloop.controllers.policies.gain import GainEstimate
from myoloop.controllers.policies.learned import NothingLearned
from myoloop.controllers.policies.tracking import Tracking, TrackingSettings, check_channel, check_tracking


@dataclass(frozen=True, kw_only=True)
class AdaptiveGainSettings(TrackingSettings):
    """See :class:`~myoloop.controllers.policies.tracking.TrackingSettings`.

    Attributes
    ----------
    gain_min, gain_max
        Bounds of the gain, relative to the fresh muscle's.
    gain_memory_s
        Time constant of forgetting, in time of hold.
    """

    gain_min: float = 0.1
    gain_max: float = 1.5
    gain_memory_s: float = 1.0
    correction_max: float = 1.0
    integral_per_s: float = 0.5

    def __post_init__(self) -> None:
        check_tracking(self, "adaptive_gain")
        check_gain(self, "adaptive_gain")


class AdaptiveGain(Tracking):
    """Feed-forward of the muscle as it is now and PI."""

    Settings = AdaptiveGainSettings

    def __init__(self, settings: AdaptiveGainSettings, channels: tuple[str, ...]) -> None:
        check_channel("adaptive_gain", settings.channel, channels)
        super().__init__("adaptive gain", settings, gain_of(settings), NothingLearned())


def check_gain(settings: Any, policy: str) -> None:
    """Refuse bounds of the gain that make no sense.

    Raises
    ------
    ValueError
        Naming the setting.
    """
    if not 0 < settings.gain_min <= 1 <= settings.gain_max <= 10:
        raise ValueError(
            f"{policy}: gain_min {settings.gain_min:g} and gain_max {settings.gain_max:g} must be 0 < gain_min <= 1 "
            "<= gain_max <= 10"
        )
    if not 0.1 <= settings.gain_memory_s <= 1000:
        raise ValueError(f"{policy}.gain_memory_s is {settings.gain_memory_s:g}, allowed is 0.1 to 1000 s")


def gain_of(settings: Any) -> GainEstimate:
    """The estimate that these settings ask for."""
    return GainEstimate(
        lag_s=settings.lag_s,
        delay_s=settings.delay_s,
        memory_s=settings.gain_memory_s,
        low=settings.gain_min,
        high=settings.gain_max,
    )
