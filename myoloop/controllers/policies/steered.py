"""Adaptive gain with a residual that is set from outside: what a learned correction is trained on."""

from __future__ import annotations

from typing import ClassVar

from myoloop.controllers.policies.adaptive_gain import AdaptiveGainSettings, gain_of
from myoloop.controllers.policies.learned import NothingLearned
from myoloop.controllers.policies.residual import Steered
from myoloop.controllers.policies.tracking import Tracking, check_channel


class SteeredGain(Tracking):
    """Adaptive gain, its request multiplied by 1 + :attr:`steered`'s value; with 0 it is adaptive gain bit for bit.

    Attributes
    ----------
    steered
        Sets the residual and tells the observation.
    """

    Settings = AdaptiveGainSettings
    _kept: ClassVar[tuple[str, ...]] = (*Tracking._kept, "steered")

    def __init__(self, settings: AdaptiveGainSettings, channels: tuple[str, ...]) -> None:
        check_channel("adaptive_gain", settings.channel, channels)
        self.steered = Steered()
        super().__init__("adaptive gain", settings, gain_of(settings), NothingLearned(), self.steered)
