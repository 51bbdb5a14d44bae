"""Inverse recruitment: feed-forward through the inverse of the recruitment curve, and PI around it.

It knows the fresh muscle and nothing of fatigue; what fatigue takes, the integral gives back while a trial holds, and
keeps from trial to trial.
"""

from __future__ import annotations

from dataclasses import dataclass

from myoloop.controllers.policies.gain import FixedGain
from myoloop.controllers.policies.learned import NothingLearned
from myoloop.controllers.policies.tracking import Tracking, TrackingSettings, check_channel, check_tracking


@dataclass(frozen=True, kw_only=True)
class InverseRecruitmentSettings(TrackingSettings):
    """See :class:`~myoloop.controllers.policies.tracking.TrackingSettings`."""

    def __post_init__(self) -> None:
        check_tracking(self, "inverse_recruitment")


class InverseRecruitment(Tracking):
    """Feed-forward of the fresh muscle and PI."""

    Settings = InverseRecruitmentSettings

    def __init__(self, settings: InverseRecruitmentSettings, channels: tuple[str, ...]) -> None:
        check_channel("inverse_recruitment", settings.channel, channels)
        super().__init__("inverse recruitment", settings, FixedGain(), NothingLearned())
