"""Bands and artifact handling of the front of the controller."""

from __future__ import annotations

import math
from typing import Literal

import msgspec

from myoloop.controllers.signals.artifact import ArtifactSettings


class ConditioningSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How raw EMG is made ready.

    Attributes
    ----------
    low_hz, high_hz
        Band-pass, Butterworth of order 4. high_hz None: 450 Hz, or 0.45 of the rate where that is less; one that is set
        and is above 0.45 of the rate is refused.
    notch
        ``off``, ``mains`` or ``harmonics`` (mains and its multiples).
    settle_ms
        How long after a gap, or after a whole block without a valid sample, the filter's output is not used.
    artifact
        What is left out around pulses.

    Raises
    ------
    ValueError
        If a value is out of its range.
    """

    low_hz: float = 20.0
    high_hz: float | None = None
    notch: Literal["off", "mains", "harmonics"] = "mains"
    settle_ms: float = 100.0
    artifact: ArtifactSettings = ArtifactSettings()

    def __post_init__(self) -> None:
        if not 0 < self.low_hz < math.inf:
            raise ValueError(f"conditioning.low_hz is {self.low_hz:g}, allowed is above 0")
        if self.high_hz is not None and not self.low_hz < self.high_hz < math.inf:
            raise ValueError(
                f"conditioning.high_hz is {self.high_hz:g}, allowed is above low_hz ({self.low_hz:g}) "
                "and up to 0.45 of the rate"
            )
        if not 0 <= self.settle_ms < math.inf:
            raise ValueError(f"conditioning.settle_ms is {self.settle_ms:g}, allowed is 0 and above")
