"""EMG-proportional control: the person's own activity, above rest, sets the current.

``goal = gain (level / level_at_zero_current - threshold) / (full - threshold)``, within 0 and 1, smoothed; asked for is
goal x target. The trap is the loop: what artifact handling leaves of the stimulation looks like activity, and enough
of it keeps the current up by itself with no effort at all. Two things stand against that.

The level that counts is what is left after the artifact that the current itself may cause
(`artifact_uv_per_ma`, measured beforehand in a person who lets go). And whatever that number is, current that has
flowed for `check_every_s` is taken away for `check_s`: what is heard at the end of that pause is heard without
stimulation, so it is the person; the least of it counts. If it is not above the threshold, the intensity is zero until
activity comes in silence. So without volition no current outlives one check, whatever the loop gain.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from myoloop.controllers.policies.policy import Decision, PolicyInput, since
from myoloop.controllers.signals.snapshot import Restorable

_LET_THROUGH = frozenset({"await_effort", "ramp_up", "hold", "ramp_down"})
#: Activity is judged over its own window (50 ms) at the end of a pause, and then some.
_JUDGED_S = 0.1
#: Of a threshold's logarithm above rest: further up is nothing that a muscle makes.
_MARGIN_MOST = 20.0
#: The level is over 50 ms: what flowed that long ago still shows in it.
_LEVEL_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class EmgProportionalSettings:
    """From activity to current.

    Attributes
    ----------
    muscle
        Whose activity.
    full_uv
        Level at which the target's whole current is asked for (with a gain of 1).
    threshold_ratio, threshold_sigmas
        Activity begins above rest by the larger of this factor, and so many spreads of ln(level).
    dead_band
        A share of the target below this is zero: a trickle recruits nothing.
    gain
        Factor on the share.
    artifact_uv_per_ma
        Level that stimulation itself leaves, per mA, in a person who lets go.
    rise_s, fall_s
        Time constants of the share when it rises and when it falls.
    check_every_s, check_s
        After so long with current it is withheld for so long, to hear the person alone.
    lost_s
        Activity that has not been known for so long is none; until then the share is kept.
    """

    muscle: str
    full_uv: float
    threshold_ratio: float = 2.0
    threshold_sigmas: float = 4.0
    dead_band: float = 0.1
    gain: float = 1.0
    artifact_uv_per_ma: float = 0.0
    rise_s: float = 0.3
    fall_s: float = 0.15
    check_every_s: float = 3.0
    check_s: float = 0.3
    lost_s: float = 0.2

    def __post_init__(self) -> None:
        allowed = (
            ("full_uv", 1.0, 5000.0), ("threshold_ratio", 1.0, 100.0), ("threshold_sigmas", 0.0, 50.0),
            ("dead_band", 0.0, 0.9), ("gain", 0.01, 10.0), ("artifact_uv_per_ma", 0.0, 1000.0),
            ("rise_s", 0.0, 10.0), ("fall_s", 0.0, 2.0), ("check_every_s", 0.5, 10.0), ("check_s", 0.2, 2.0),
            ("lost_s", 0.0, 1.0),
        )  # fmt: skip
        for name, low, high in allowed:
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"emg_proportional.{name} is {value:g}, allowed is {low:g} to {high:g}")


class EmgProportional(Restorable):
    """Activity times target, with a pause now and then in which only the person is heard."""

    Settings = EmgProportionalSettings

    _kept: ClassVar[tuple[str, ...]] = (
        "_share", "_asked_ma", "_last_ns", "_flowing_s", "_pause_s", "_alone", "_kept_share", "_blind_s",
    )  # fmt: skip

    def __init__(self, settings: EmgProportionalSettings, channels: tuple[str, ...]) -> None:
        del channels
        self._settings = settings
        self._last_ns: int | None = None
        self._share = self._kept_share = 0.0
        self._alone = 1.0
        self._pause_s: float | None = None
        self.reset()

    def decide(self, given: PolicyInput) -> Decision:
        """Ask for the share of the target that the activity says."""
        settings, phase = self._settings, given.phase
        seconds, hole = since(self._last_ns, given.now_ns)
        self._last_ns = given.now_ns
        if hole:
            # A pause goes on: what it has heard so far counts.
            self._share = self._kept_share = 0.0
        if phase.trial_state not in _LET_THROUGH:
            self._stop()
            return self._decision(given, f"EMG proportional: {phase.trial_state}")
        goal, heard = self._goal(given, seconds)
        if self._pause_s is not None:
            self._pause_s += seconds
            if self._pause_s >= settings.check_s - _JUDGED_S:
                # The least: what is still dying away is not the person. What is not known is nothing.
                self._alone = min(self._alone, goal if goal is not None else 0.0)
            if self._pause_s < settings.check_s:
                return self._decision(given, f"EMG proportional: {heard}, withheld to hear the person alone")
            volition, self._pause_s, self._flowing_s = self._alone, None, 0.0
            if volition <= settings.dead_band:
                self._stop()
                return self._decision(given, f"EMG proportional: {heard}, no activity without current, zero")
            self._share = min(self._kept_share, volition)
        if goal is None:
            # Not known for a short while: kept; longer: as if there were none.
            goal = self._share if self._blind_s <= settings.lost_s else 0.0
        follow_s = settings.rise_s if goal > self._share else settings.fall_s
        self._share += (goal - self._share) * (1.0 - math.exp(-seconds / follow_s) if follow_s > 0 else 1.0)
        flows = self._share > settings.dead_band
        self._flowing_s = self._flowing_s + seconds if flows else 0.0
        if self._flowing_s >= settings.check_every_s:
            self._kept_share, self._alone, self._pause_s = self._share, 1.0, 0.0
            return self._decision(given, f"EMG proportional: {heard}, withheld to hear the person alone")
        return self._decision(given, f"EMG proportional: {heard}, share {self._share:.2f}")

    def reset(self) -> None:
        """Nothing is asked for, nothing was."""
        self._last_ns = None
        self._blind_s = 0.0
        self._stop()

    def _stop(self) -> None:
        self._share = self._asked_ma = self._flowing_s = 0.0
        self._kept_share, self._alone = 0.0, 1.0
        self._pause_s = None

    def _goal(self, given: PolicyInput, seconds: float) -> tuple[float | None, str]:
        """Share that the activity asks for, None where it is not known; and what was heard."""
        settings = self._settings
        activity = given.activity.get(settings.muscle)
        if activity is None or not activity.usable or not math.isfinite(activity.level_uv):
            self._blind_s += seconds
            why = f"no muscle is called {settings.muscle}" if activity is None else "no usable EMG"
            return None, why
        estimate = given.estimates.get(settings.muscle)
        self._blind_s = 0.0
        margin = max(settings.threshold_sigmas * activity.rest_sigma, math.log(settings.threshold_ratio))
        threshold = activity.rest_uv * math.exp(min(margin, _MARGIN_MOST))
        self._asked_ma *= math.exp(-seconds / _LEVEL_S)
        left_uv = activity.level_uv - settings.artifact_uv_per_ma * self._asked_ma
        heard = f"{left_uv:.1f} uV of {activity.level_uv:.1f}"
        if estimate is not None and estimate.spasm.valid and estimate.spasm.value:
            return 0.0, f"{heard}, a spasm is on"
        span_uv = max(settings.full_uv - threshold, 1e-3)
        goal = settings.gain * (left_uv - threshold) / span_uv
        # A threshold that is no number lets nothing through.
        return (min(max(goal, 0.0), 1.0) if math.isfinite(goal) else 0.0), heard

    def _decision(self, given: PolicyInput, reason: str) -> Decision:
        flows = self._share > self._settings.dead_band and self._pause_s is None
        share = min(self._share, 1.0) if flows else 0.0
        current_ma = {target.channel: share * target.current_ma for target in given.phase.targets}
        self._asked_ma = max(max(current_ma.values(), default=0.0), self._asked_ma)
        return Decision(current_ma, reason, saturated=flows and self._share >= 0.999)
