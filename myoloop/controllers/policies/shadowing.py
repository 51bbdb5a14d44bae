"""Fitted Q in the shadow: it sees what adaptive gain does, computes what it would have asked for, and changes nothing.

At each step it goes on from what was really asked for: adaptive gain runs in it, with a residual of 0, so that gain,
correction and everything that the model sees are those of the policy that acts. What it would have asked for is that
request times 1 + residual, within slew, target and budget. What would have become of the muscle then is not known.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from myoloop.controllers.policies.adaptive_gain import gain_of
from myoloop.controllers.policies.controlled import Sight
from myoloop.controllers.policies.distilled import Distilled
from myoloop.controllers.policies.fitted_q import FittedQSettings
from myoloop.controllers.policies.learned import NothingLearned
from myoloop.controllers.policies.observation import Seen
from myoloop.controllers.policies.policy import Decision, PolicyInput
from myoloop.controllers.policies.recruitment import RecruitmentCurve
from myoloop.controllers.policies.residual import NoResidual
from myoloop.controllers.policies.tracking import Tracking, check_channel
from myoloop.platform.messages import Target


class Shadowing(NoResidual):
    """Lets a learned residual see and decide, and multiplies nothing.

    Parameters
    ----------
    distilled
        What would decide.
    rise_per_s, fall_per_s
        The share of the muscle that is recruited moves at most this fast.

    Attributes
    ----------
    would
        Share that would have been asked for.
    """

    looks = True
    _kept: ClassVar[tuple[str, ...]] = ("distilled", "would")

    def __init__(self, distilled: Distilled, rise_per_s: float, fall_per_s: float) -> None:
        self.distilled = distilled
        self._rise_per_s, self._fall_per_s = rise_per_s, fall_per_s
        self._sight: Sight | None = None
        self.would = 0.0

    def follow(self, sight: Sight) -> None:
        """While the measurement is lost, nothing is added."""
        self._sight = sight

    def see(self, seen: Seen) -> None:
        """Decide where that is due, as if it acted."""
        self.distilled.see(seen)

    def within(self, share: float, classic: float, curve: RecruitmentCurve, target: Target, seconds: float) -> float:
        """Note what would have been asked for; all of the classic share is."""
        del classic
        residual = self.distilled.value
        if self._sight is not None and self._sight.lost:
            residual = min(residual, 0.0)
        wanted = min(share * (1.0 + residual), curve.share(target.current_ma, target.phase_us))
        would = max(min(wanted, self.would + self._rise_per_s * seconds), self.would - self._fall_per_s * seconds, 0.0)
        self.would = self.distilled.within(would, share, curve, target, seconds)
        return share

    def stop(self, seconds: float) -> None:
        """Nothing is asked for in this step."""
        self.would = 0.0
        self.distilled.stop(seconds)

    def end_trial(self) -> None:
        """The train is over."""
        self.distilled.end_trial()

    def new_block(self) -> None:
        """Forget what was seen."""
        self.distilled.new_block()

    def reset(self) -> None:
        """Forget what was seen; neither what is spent nor why it fell."""
        self.would = 0.0
        self.distilled.reset()


class FittedQShadow(Tracking):
    """Fitted Q that does not act.

    Parameters
    ----------
    settings
        As of :class:`~myoloop.controllers.policies.fitted_q.FittedQ`.
    channels
        Stimulation channels.

    Attributes
    ----------
    classic_ma, residual
        What adaptive gain asks for in the newest step, by channel, and the factor on it, less 1.

    Raises
    ------
    ValueError
        If there is no model.
    """

    Settings = FittedQSettings
    _kept: ClassVar[tuple[str, ...]] = (*Tracking._kept, "_shadowing")

    def __init__(self, settings: FittedQSettings, channels: tuple[str, ...]) -> None:
        check_channel("fitted_q", settings.channel, channels)
        if settings.model is None:
            raise ValueError("fitted_q has no model: nothing can be computed in the shadow")
        distilled = Distilled(
            settings.model,
            decide_every_s=settings.decide_every_s,
            budget_uc=settings.budget_uc,
            shift_decisions=settings.shift_decisions,
            overruns_max=settings.overruns_max,
        )
        self._shadowing = Shadowing(distilled, settings.rise_per_s, settings.fall_per_s)
        super().__init__("adaptive gain", settings, gain_of(settings), NothingLearned(), self._shadowing)
        self._shadowing.follow(self._sight)
        self.classic_ma: Mapping[str, float] = {}
        self.residual = 0.0

    @property
    def distilled(self) -> Distilled:
        """What decides, and whether it still does."""
        return self._shadowing.distilled

    def decide(self, given: PolicyInput) -> Decision:
        """What it would ask for in this step."""
        distilled = self.distilled
        if given.overrun_ms > 0.0 and self._place.at_s is not None:
            distilled.late(given.overrun_ms)
        self.residual = residual = distilled.value
        self.classic_ma = {}
        asked = super().decide(given)
        self.classic_ma = asked.current_ma
        why = distilled.fallen or distilled.paused
        reason = f"adaptive gain alone: {why}" if why else f"residual {residual:+.2f}"
        fault = f"falls back to adaptive gain: {why}" if why else ""
        return Decision(self._would_ma(given, asked), reason, asked.trigger, asked.saturated, asked.held, fault)

    def _would_ma(self, given: PolicyInput, asked: Decision) -> dict[str, float]:
        would, share = self._shadowing.would, self._share
        current_ma = dict(asked.current_ma)
        if share <= 0.0 or would == share:
            return current_ma
        for target in given.phase.targets:
            if not self._settings.channel or target.channel == self._settings.channel:
                wanted_ma = self._curve.current_ma(would, target.phase_us)
                current_ma[target.channel] = min(wanted_ma, target.current_ma)
        return current_ma
