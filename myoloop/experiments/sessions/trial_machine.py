"""One trial, state by state: idle, cue, await effort, ramp up, hold, ramp down, rest, idle.

A table says which way leads from which state, for which cause. At most one way is taken per step and the next state
begins when the step sees it, so a stalled host makes a trial later, never shorter, and no state is passed over. Once
a train has begun, the only way out is through its ramp down.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isfinite
from typing import Literal

StateName = Literal["idle", "cue", "await_effort", "ramp_up", "hold", "ramp_down", "rest"]
Machine = Literal["effort", "cyclic", "continuous"]

#: Every transition there is: (from, cause) -> to.
TRANSITIONS: dict[tuple[StateName, str], StateName] = {
    ("idle", "begin"): "cue",
    ("cue", "elapsed"): "ramp_up",
    ("cue", "await"): "await_effort",
    ("cue", "end"): "rest",
    ("await_effort", "effort"): "ramp_up",
    ("await_effort", "assist"): "ramp_up",
    ("await_effort", "skip"): "rest",
    ("await_effort", "end"): "rest",
    ("ramp_up", "elapsed"): "hold",
    ("ramp_up", "end"): "ramp_down",
    ("hold", "elapsed"): "ramp_down",
    ("hold", "end"): "ramp_down",
    ("ramp_down", "elapsed"): "rest",
    ("rest", "elapsed"): "idle",
}

#: States in which the channels' targets are wanted.
TRAIN: frozenset[str] = frozenset({"ramp_up", "hold", "ramp_down"})


@dataclass(frozen=True, slots=True)
class TrialTiming:
    """Planned lengths.

    Attributes
    ----------
    machine
        ``effort`` awaits an effort after the cue, ``cyclic`` and ``continuous`` do not.
    cue_s, ramp_up_s, hold_s, ramp_down_s, rest_s
        How long each state lasts.
    await_timeout_s
        How long an effort is waited for.
    sustain_s
        How long the policy wants an effort to last before it calls it one; only for what a trial takes at least.
    assist
        Whether a train comes without an effort at the time-out; else the trial is skipped.
    """

    machine: Machine
    cue_s: float
    ramp_up_s: float
    hold_s: float
    ramp_down_s: float
    rest_s: float
    await_timeout_s: float = 0.0
    sustain_s: float = 0.0
    assist: bool = True

    def __post_init__(self) -> None:
        for name in ("cue_s", "ramp_up_s", "hold_s", "ramp_down_s", "rest_s", "await_timeout_s", "sustain_s"):
            value = getattr(self, name)
            if not (isfinite(value) and value >= 0):
                raise ValueError(f"{name}: found {value!r}, allowed is a time of 0 s or more")

    def length_s(self, state: str) -> float:
        """Planned length of a state; of ``await_effort`` the longest."""
        lengths = {
            "cue": self.cue_s,
            "await_effort": self.await_timeout_s if self.machine == "effort" else 0.0,
            "ramp_up": self.ramp_up_s,
            "hold": self.hold_s,
            "ramp_down": self.ramp_down_s,
            "rest": self.rest_s,
        }
        return lengths.get(state, 0.0)

    @property
    def on_s(self) -> float:
        """Time with current."""
        return self.ramp_up_s + self.hold_s + self.ramp_down_s

    @property
    def shortest_s(self) -> float:
        """Shortest trial with a train."""
        wait_s = min(self.sustain_s, self.await_timeout_s) if self.machine == "effort" else 0.0
        return self.cue_s + wait_s + self.on_s + self.rest_s

    @property
    def longest_s(self) -> float:
        """Longest trial."""
        return self.cue_s + self.length_s("await_effort") + self.on_s + self.rest_s


@dataclass(frozen=True, slots=True)
class TrialState:
    """Where a trial stands.

    Attributes
    ----------
    name, since_ns
        State, and when it began.
    begin_ns
        When the trial began.
    trigger_ns, trigger
        When the train was released, and by what: ``effort``, ``assist``, ``elapsed``; empty where it was not.
    """

    name: StateName = "idle"
    since_ns: int = 0
    begin_ns: int = 0
    trigger_ns: int | None = None
    trigger: str = ""


@dataclass(frozen=True, slots=True)
class Transition:
    """One way taken, when and why."""

    t_ns: int
    before: StateName
    after: StateName
    cause: str


def begin(state: TrialState, now_ns: int) -> tuple[TrialState, Transition]:
    """Begin a trial.

    Raises
    ------
    ValueError
        If one is under way.
    """
    if state.name != "idle":
        raise ValueError(f"a trial is under way ({state.name}); the next begins from idle")
    fresh = TrialState(since_ns=now_ns, begin_ns=now_ns)
    return _follow(fresh, "begin", now_ns)


def advance(timing: TrialTiming, state: TrialState, now_ns: int, effort: bool) -> tuple[TrialState, Transition | None]:
    """Let time pass.

    Parameters
    ----------
    now_ns
        Monotonic time; earlier than the state's beginning counts as no time passed.
    effort
        Whether the controller has seen the effort that is awaited.
    """
    elapsed = now_ns - state.since_ns >= _ns(timing.length_s(state.name))
    if state.name == "idle":
        return state, None
    if state.name == "cue" and elapsed:
        return _follow(state, "await" if timing.machine == "effort" else "elapsed", now_ns)
    if state.name == "await_effort":
        if effort:
            return _follow(state, "effort", now_ns)
        if elapsed:
            return _follow(state, "assist" if timing.assist else "skip", now_ns)
        return state, None
    return _follow(state, "elapsed", now_ns) if elapsed else (state, None)


def end(state: TrialState, now_ns: int) -> tuple[TrialState, Transition | None]:
    """End the trial early, the planned way: a train ramps down, anything before it goes to rest."""
    if (state.name, "end") not in TRANSITIONS:
        return state, None
    return _follow(state, "end", now_ns)


def left_s(timing: TrialTiming, state: TrialState, now_ns: int) -> float:
    """Time until the trial's end if every state to come takes its longest."""
    order = ("cue", "await_effort", "ramp_up", "hold", "ramp_down", "rest")
    if state.name == "idle":
        return 0.0
    here = order.index(state.name)
    now_left_s = max(0.0, timing.length_s(state.name) - (now_ns - state.since_ns) * 1e-9)
    return now_left_s + sum(timing.length_s(name) for name in order[here + 1 :])


def _follow(state: TrialState, cause: str, now_ns: int) -> tuple[TrialState, Transition]:
    after = TRANSITIONS[state.name, cause]
    released = after == "ramp_up"
    moved = replace(
        state,
        name=after,
        since_ns=now_ns,
        trigger_ns=now_ns if released else state.trigger_ns,
        trigger=cause if released else state.trigger,
    )
    return moved, Transition(now_ns, state.name, after, cause)


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)
