"""EMG trigger: the person's own effort starts the train.

While the trial awaits effort, activity above the adaptive rest level that is sustained triggers; the ramp begins at
that very step, and goes on without a seam when the director follows with ramp up, hold and ramp down. A new trigger
needs quiet since the last one, and time: going on with an old effort is not a new one. A burst that is known to be a
spasm triggers nothing.

In the terms of EMG-triggered stimulators: the threshold is `sigmas`, `ratio`, `threshold_uv` and `effort_min`, the
hold `sustain_ms`, the refractory period `refractory_s` and `quiet_ms`, the time-out `timeout_s` (for the person) and
`follow_s` (for the director).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from myoloop.controllers.policies.policy import Activity, Decision, PolicyInput, towards
from myoloop.controllers.signals.snapshot import Restorable


@dataclass(frozen=True, slots=True, kw_only=True)
class EmgTriggerSettings:
    """What counts as effort.

    Attributes
    ----------
    muscle
        Whose effort.
    sigmas, ratio
        Activity is above rest by the larger of so many spreads of ln(level) and ln(ratio).
    threshold_uv
        And the level of 50 ms is at least this; 0: rest alone decides.
    effort_min
        Where effort is known it must also be at least this.
    sustain_ms
        For so long (dips below 40 ms do not count).
    quiet_ms
        Since the last trigger it must have been quiet for so long.
    refractory_s
        And the last trigger is at least so long ago.
    timeout_s
        Effort that comes later than this after the prompt triggers nothing in this trial; 0: as long as the director
        waits.
    follow_s
        If the director has not gone on after so long, the train ends.

    Raises
    ------
    ValueError
        If a value is out of its range, or none could ever trigger.
    """

    muscle: str
    sigmas: float = 4.0
    ratio: float = 2.0
    threshold_uv: float = 0.0
    effort_min: float = 0.0
    sustain_ms: float = 100.0
    quiet_ms: float = 100.0
    refractory_s: float = 0.5
    timeout_s: float = 0.0
    follow_s: float = 1.0

    def __post_init__(self) -> None:
        if not self.muscle:
            raise ValueError("muscle is empty, allowed is the name of a muscle that is heard")
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"{name} is {value:g}, allowed is {low:g} to {high:g}")
        if 0 < self.timeout_s * 1e3 <= self.sustain_ms:
            raise ValueError(
                f"timeout_s is {self.timeout_s:g}: effort has to last {self.sustain_ms:g} ms (sustain_ms), "
                "so that none could ever trigger; allowed is 0 (none) or longer than that"
            )


_DIP_NS = 40_000_000
#: What a setting may be; NaN is in no range.
_RANGES = {
    "sigmas": (0.0, 100.0),
    "ratio": (1.05, 100.0),
    "threshold_uv": (0.0, 5000.0),
    "effort_min": (0.0, 1.0),
    "sustain_ms": (0.0, 10_000.0),
    "quiet_ms": (0.0, 10_000.0),
    "refractory_s": (0.0, 600.0),
    "timeout_s": (0.0, 600.0),
    "follow_s": (0.0, 60.0),
}


class EmgTrigger(Restorable):
    """Trigger, then target times a level that rises and falls as the target's ramps say."""

    Settings = EmgTriggerSettings

    _kept: ClassVar[tuple[str, ...]] = (
        "_level", "_last_ns", "_trial", "_triggered_ns", "_fired_ns", "_waiting_ns", "_active_ns", "_above_ns",
        "_quiet_ns", "_rested",
    )  # fmt: skip

    def __init__(self, settings: EmgTriggerSettings, channels: tuple[str, ...]) -> None:
        del channels
        self._settings = settings
        self._log_ratio = math.log(settings.ratio)
        self._level: dict[str, float] = {}
        self._last_ns: int | None = None
        self._trial: list[int] = []
        self._triggered_ns: int | None = None
        #: The newest trigger of any trial; since when this trial waits.
        self._fired_ns: int | None = None
        self._waiting_ns: int | None = None
        self._active_ns: int | None = None
        self._above_ns: int | None = None
        self._quiet_ns: int | None = None
        self._rested = False
        self.reset()

    def decide(self, given: PolicyInput) -> Decision:
        """Look for effort where it is awaited; follow the trial."""
        phase, now_ns = given.phase, given.now_ns
        seconds = 0.0 if self._last_ns is None else max(0, now_ns - self._last_ns) * 1e-9
        self._last_ns = now_ns
        trial = [phase.index, phase.block, phase.trial]
        if trial != self._trial:
            self._trial = trial
            self._triggered_ns = None
        waiting = phase.trial_state == "await_effort"
        if not waiting:
            self._waiting_ns = None
        elif self._waiting_ns is None:
            self._waiting_ns = min(now_ns, phase.t_state_ns)
        why = self._listen(given) or self._too_soon_or_late(now_ns)
        if waiting and self._triggered_ns is None and not why:
            self._triggered_ns = self._fired_ns = now_ns
            self._rested = False
        goal = 0.0
        reason = f"EMG trigger: {phase.trial_state}"
        if phase.trial_state in ("ramp_up", "hold"):
            goal = 1.0
            reason += "" if self._triggered_ns is not None else ", without a trigger"
        elif waiting and self._triggered_ns is not None:
            followed = now_ns - self._triggered_ns <= self._settings.follow_s * 1e9
            goal = 1.0 if followed else 0.0
            reason = "EMG trigger: effort seen" if followed else "EMG trigger: the director did not follow"
        elif waiting:
            reason = f"EMG trigger: {why}"
        gradual = goal > 0 or phase.trial_state == "ramp_down" or waiting
        current = {}
        for target in phase.targets:
            level = self._level.get(target.channel, 0.0)
            level = towards(level, goal, seconds, target.ramp_up_s, target.ramp_down_s) if gradual else 0.0
            self._level[target.channel] = level
            current[target.channel] = level * target.current_ma
        activity = given.activity.get(self._settings.muscle)
        threshold_uv = {}
        if activity is not None and activity.usable:
            threshold_uv[self._settings.muscle] = self._threshold_uv(activity)
        triggered = waiting and self._triggered_ns is not None
        return Decision(current, reason, triggered, threshold_uv=threshold_uv)

    def reset(self) -> None:
        """Forget trigger and ramp."""
        self._level = {}
        self._last_ns = None
        self._trial = []
        self._triggered_ns = None
        self._fired_ns = None
        self._waiting_ns = None
        self._active_ns = None
        self._above_ns = None
        self._quiet_ns = None
        self._rested = False

    def _listen(self, given: PolicyInput) -> str:
        """Why there is no effort to trigger on; empty where there is."""
        settings, now_ns = self._settings, given.now_ns
        activity = given.activity.get(settings.muscle)
        estimate = given.estimates.get(settings.muscle)
        if activity is None or estimate is None:
            return f"no muscle is called {settings.muscle}"
        if not activity.usable:
            self._active_ns = self._quiet_ns = None
            return "no usable EMG"
        if self._is_above(activity):
            self._above_ns = now_ns
            if self._active_ns is None:
                self._active_ns = now_ns
            self._quiet_ns = None
        else:
            if self._above_ns is None or now_ns - self._above_ns > _DIP_NS:
                self._active_ns = None
            if self._quiet_ns is None:
                self._quiet_ns = now_ns
            if now_ns - self._quiet_ns >= settings.quiet_ms * 1e6:
                self._rested = True
        if estimate.spasm.valid and estimate.spasm.value:
            self._active_ns = None
            return "a spasm is on"
        if self._active_ns is None:
            return "effort awaited"
        if not self._rested:
            return "relax first"
        if self._above_ns != now_ns or now_ns - self._active_ns < settings.sustain_ms * 1e6:
            return "effort not sustained yet"
        if estimate.effort.valid and (estimate.effort.value or 0.0) < settings.effort_min:
            return "effort too weak"
        return ""

    def _too_soon_or_late(self, now_ns: int) -> str:
        """Why effort triggers nothing at this time of the trial; empty where it may."""
        settings = self._settings
        if self._fired_ns is not None and now_ns - self._fired_ns < settings.refractory_s * 1e9:
            return "refractory period"
        late = self._waiting_ns is not None and now_ns - self._waiting_ns > settings.timeout_s * 1e9
        return "timed out" if late and settings.timeout_s > 0 else ""

    def _is_above(self, activity: Activity) -> bool:
        return activity.level_uv > self._threshold_uv(activity)

    def _threshold_uv(self, activity: Activity) -> float:
        margin = max(self._settings.sigmas * activity.rest_sigma, self._log_ratio)
        return max(activity.rest_uv * math.exp(margin), self._settings.threshold_uv)
