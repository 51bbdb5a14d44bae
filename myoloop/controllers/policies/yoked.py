"""Yoked: the trains come when another person's effort started theirs, whatever this person does.

A control for effort: trains, currents and their times are those of an EMG-triggered protocol, only that they do not
depend on the person who gets them. While the trial awaits effort, the delay from the prompt that the other person's
trial of the same number had is waited for, then the ramp begins, as `emg_trigger` begins it. No EMG is listened to.
Where the other person's trial had no trigger there is none here: what follows then, an assisted train or none, the
protocol says, as it did there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from types import MappingProxyType
from typing import ClassVar

from myoloop.controllers.policies.policy import Decision, PolicyInput, since, towards
from myoloop.controllers.signals.snapshot import Restorable
from myoloop.platform.messages import Phase

#: Longest delay that makes sense: nobody waits longer for an effort.
DELAY_MAX_S = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class YokedSettings:
    """When the other person's trains were started.

    Attributes
    ----------
    delays_s
        By the block's name: from each trial's prompt to its trigger, all repetitions one after the other; None for a
        trial without a trigger.
    source
        Of which session they are, and its hash: for the record.
    follow_s
        If the director has not gone on so long after the trigger, the train ends.

    Raises
    ------
    ValueError
        If a delay is out of its range, or there is none at all.
    """

    delays_s: Mapping[str, tuple[float | None, ...]]
    source: str = ""
    follow_s: float = 1.0

    def __post_init__(self) -> None:
        for block, delays in self.delays_s.items():
            for number, delay_s in enumerate(delays, 1):
                if delay_s is not None and not (isfinite(delay_s) and 0 <= delay_s <= DELAY_MAX_S):
                    raise ValueError(
                        f"delays of {block!r}, trial {number}: found {delay_s:g} s, "
                        f"allowed is 0 to {DELAY_MAX_S:g} s, or null for a trial without a trigger"
                    )
        if not any(self.delays_s.values()):
            raise ValueError("delays are empty, allowed is a list of at least one delay for each block that waits")
        if not 0 <= self.follow_s <= 60:
            raise ValueError(f"follow_s is {self.follow_s:g}, allowed is 0 to 60")


class Yoked(Restorable):
    """Trigger at a given delay, then target times a level that rises and falls as the target's ramps say."""

    Settings = YokedSettings

    _kept: ClassVar[tuple[str, ...]] = ("_level", "_last_ns", "_trial", "_triggered_ns")

    def __init__(self, settings: YokedSettings, channels: tuple[str, ...]) -> None:
        del channels
        self._settings = settings
        self._delays_s = MappingProxyType(dict(settings.delays_s))
        self._level: dict[str, float] = {}
        self._last_ns: int | None = None
        self._trial: list[int] = []
        self._triggered_ns: int | None = None

    def decide(self, given: PolicyInput) -> Decision:
        """Trigger when it is time; follow the trial."""
        phase, now_ns = given.phase, given.now_ns
        seconds, hole = since(self._last_ns, now_ns)
        self._last_ns = now_ns
        if hole:
            self._level = {}
        trial = [phase.index, phase.block, phase.trial]
        if trial != self._trial:
            self._trial = trial
            self._triggered_ns = None
        waiting = phase.trial_state == "await_effort"
        delay_s = self._delay_s(phase)
        due = delay_s is not None and now_ns - phase.t_state_ns >= round(delay_s * 1e9)
        if waiting and due and self._triggered_ns is None:
            self._triggered_ns = now_ns
        goal, reason = self._goal(phase, now_ns, delay_s)
        gradual = goal > 0 or phase.trial_state == "ramp_down" or waiting
        current = {}
        for target in phase.targets:
            level = self._level.get(target.channel, 0.0)
            level = towards(level, goal, seconds, target.ramp_up_s, target.ramp_down_s) if gradual else 0.0
            self._level[target.channel] = level
            current[target.channel] = level * target.current_ma
        return Decision(current, f"yoked: {reason}", waiting and self._triggered_ns is not None)

    def reset(self) -> None:
        """Forget trigger and ramp."""
        self._level = {}
        self._last_ns = None
        self._trial = []
        self._triggered_ns = None

    def _goal(self, phase: Phase, now_ns: int, delay_s: float | None) -> tuple[float, str]:
        """The share of the target that is wanted, and why."""
        if phase.trial_state in ("ramp_up", "hold"):
            return 1.0, phase.trial_state + ("" if self._triggered_ns is not None else ", without a trigger")
        if phase.trial_state != "await_effort":
            return 0.0, phase.trial_state
        if self._triggered_ns is None:
            return 0.0, "no trigger in this trial" if delay_s is None else f"trigger {delay_s:g} s after the prompt"
        if now_ns - self._triggered_ns <= self._settings.follow_s * 1e9:
            return 1.0, "triggered"
        return 0.0, "the director did not follow"

    def _delay_s(self, phase: Phase) -> float | None:
        """Delay of the trial of this number, counted over the block's repetitions."""
        delays_s = self._delays_s.get(phase.name, ())
        number = (phase.block - 1) * phase.trials + phase.trial - 1
        return delays_s[number] if 0 <= number < len(delays_s) else None
