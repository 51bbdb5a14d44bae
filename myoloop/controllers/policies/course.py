"""The course of a trial ahead: which share of its set point is due at a moment soon, and where in the trial we are."""

from __future__ import annotations

from typing import ClassVar

from myoloop.controllers.policies.policy import PolicyInput
from myoloop.controllers.signals.snapshot import Restorable
from myoloop.platform.messages import Phase, Target

_IN_TRAIN = frozenset({"ramp_up", "hold", "ramp_down"})


def due(phase: Phase, target: Target, now_ns: int, ahead_s: float) -> float:
    """Share of the set point, 0 to 1, that the trapezoid asks for `ahead_s` from now.

    The end of a hold is foreseen where the phase says how long it lasts. The beginning of a ramp is not: before it
    nothing is due.
    """
    state = phase.trial_state
    if state not in _IN_TRAIN:
        return 0.0
    at_s = max(0, now_ns - phase.t_state_ns) * 1e-9 + ahead_s
    if state == "ramp_up":
        return min(at_s / target.ramp_up_s, 1.0) if target.ramp_up_s > 0 else 1.0
    if state == "hold":
        over_s = at_s - phase.state_s if phase.state_s > 0 else 0.0
        if over_s <= 0:
            return 1.0
        return max(1.0 - over_s / target.ramp_down_s, 0.0) if target.ramp_down_s > 0 else 0.0
    return max(1.0 - at_s / target.ramp_down_s, 0.0) if target.ramp_down_s > 0 else 0.0


class Place(Restorable):
    """Time within the train of a trial: since its ramp began, whatever the director made of its length.

    Attributes
    ----------
    at_s
        Time within the train; None outside of one.
    trial
        (phase, repetition, trial) of it.
    new
        Whether another trial has begun in this very step.
    """

    _kept: ClassVar[tuple[str, ...]] = ("at_s", "trial", "new", "_begin_ns", "_last_ns")

    def __init__(self) -> None:
        self.at_s: float | None = None
        self.trial: list[int] = []
        self.new = False
        self._begin_ns: int | None = None
        self._last_ns: int | None = None

    def go_on(self, given: PolicyInput) -> float:
        """Look where the trial is; seconds since the last step."""
        phase, now_ns = given.phase, given.now_ns
        seconds = 0.0 if self._last_ns is None else max(0, now_ns - self._last_ns) * 1e-9
        self._last_ns = now_ns
        trial = [phase.index, phase.block, phase.trial]
        self.new = trial != self.trial
        if self.new:
            self.trial = trial
            self._begin_ns = None
        if phase.trial_state not in _IN_TRAIN:
            self._begin_ns = None
            self.at_s = None
            return seconds
        if self._begin_ns is None:
            self._begin_ns = min(phase.t_state_ns, now_ns)
        self.at_s = (now_ns - self._begin_ns) * 1e-9
        return seconds

    def reset(self) -> None:
        """Outside of any trial."""
        self.at_s = None
        self.trial = []
        self.new = False
        self._begin_ns = self._last_ns = None
