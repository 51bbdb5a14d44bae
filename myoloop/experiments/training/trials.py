"""Trials of one person: which state, since when, and the phase message that says so."""

from __future__ import annotations

import msgspec

from myoloop.experiments.training.stimulated import CHANNEL
from myoloop.experiments.training.task import Task
from myoloop.platform.messages import Phase, Target

#: A phase is told ten times a second and at each change.
_TOLD_NS = 100_000_000
_NS = 1_000_000_000
#: Before the first trial's train and after the last one.
IDLE = "idle"


class Trials:
    """The director's part: trials begin at fixed times; within one, the train may wait for an effort.

    Parameters
    ----------
    most_ma
        The target's current.
    begin_ns
        Of the first trial.

    Attributes
    ----------
    number
        Of the trial that is on, from 0; -1 before the first.
    train_ns
        When its ramp up began, or would begin at the latest.
    assisted
        Trials whose wait for an effort ran out.
    """

    def __init__(self, task: Task, most_ma: float, arm_id: str, begin_ns: int) -> None:
        trial = task.trial
        self._lengths_ns = {
            "await_effort": round(trial.await_effort_s * _NS),
            "ramp_up": round(trial.ramp_s * _NS),
            "hold": round(trial.hold_s * _NS),
            "ramp_down": round(trial.ramp_s * _NS),
        }
        self._order = [name for name, length_ns in self._lengths_ns.items() if length_ns > 0]
        self._period_ns = round(trial.period_s * _NS)
        self._begin_ns = begin_ns
        self._repetitions = trial.repetitions
        target = Target(
            channel=CHANNEL, current_ma=most_ma, phase_us=task.stimulation.phase_us,
            rate_hz=task.stimulation.rate_hz, ramp_up_s=trial.ramp_s, ramp_down_s=trial.ramp_s,
        )  # fmt: skip
        waits = trial.await_effort_s > 0.0
        self.phase = Phase(
            t_ns=begin_ns, session="training", state="running", kind="block", machine="effort" if waits else "cyclic",
            name=task.name, index=1, block=1, trial=0, trials=trial.repetitions, trial_state=IDLE,
            t_state_ns=begin_ns, arm_id=arm_id, targets=(target,),
        )  # fmt: skip
        self.number = -1
        self.train_ns = begin_ns + self._lengths_ns["await_effort"]
        self.assisted = 0

    @property
    def target(self) -> Target:
        """What the phase aims at."""
        return self.phase.targets[0]

    def step(self, now_ns: int, triggered: bool) -> bool:
        """Go on to `now_ns`; whether another state has begun."""
        number = (now_ns - self._begin_ns) // self._period_ns
        phase = self.phase
        if number != self.number and number < self._repetitions:
            self.number = number
            self._enter(self._order[0], now_ns)
            return True
        state = phase.trial_state
        length_ns = self._lengths_ns.get(state)
        over = length_ns is not None and now_ns - phase.t_state_ns >= length_ns
        if over or (triggered and state == "await_effort"):
            if state == "await_effort" and not triggered:
                self.assisted += 1
            after = self._order.index(state) + 1
            self._enter(self._order[after] if after < len(self._order) else "rest", now_ns)
            return True
        if now_ns - phase.t_ns >= _TOLD_NS:
            self.phase = msgspec.structs.replace(phase, t_ns=now_ns)
        return False

    def _enter(self, state: str, now_ns: int) -> None:
        if state == "await_effort":
            self.train_ns = now_ns + self._lengths_ns[state]
        elif state == "ramp_up":
            self.train_ns = now_ns
        until_ns = self._begin_ns + (self.number + 1) * self._period_ns
        length_ns = self._lengths_ns.get(state, until_ns - now_ns)
        self.phase = msgspec.structs.replace(
            self.phase, t_ns=now_ns, trial=self.number + 1, trial_state=state, t_state_ns=now_ns,
            state_s=length_ns / _NS,
        )  # fmt: skip
