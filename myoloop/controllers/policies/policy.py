"""The contract of a policy: what current to ask for, given what is known.

A policy is one file: a class that meets :class:`Policy`, with a frozen ``Settings`` (a msgspec struct or a
dataclass), named by an entry point of the group ``myoloop.policies``. It is asked once a step while a block of the
protocol is running and armed; at all other times the controller asks for zero, and it resets the policy whenever
the protocol does not run. Calibration never asks a policy. What a policy asks for passes the reflexes, then the
gate. Whatever else than a plain decision comes of it is zero current in that step
(:class:`~myoloop.controllers.policies.guarded.GuardedPolicy`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, runtime_checkable

from myoloop.controllers.choice import Choice, make
from myoloop.platform.messages import MotionEstimate, MuscleEstimate, Phase, StimReport, Target

GROUP = "myoloop.policies"
BUILT_IN = {
    "open_loop": "myoloop.controllers.policies.open_loop:OpenLoop",
    "emg_trigger": "myoloop.controllers.policies.emg_trigger:EmgTrigger",
    "pi": "myoloop.controllers.policies.pi:PI",
    "manual": "myoloop.controllers.policies.manual:Manual",
    "inverse_recruitment": "myoloop.controllers.policies.inverse_recruitment:InverseRecruitment",
    "adaptive_gain": "myoloop.controllers.policies.adaptive_gain:AdaptiveGain",
    "iterative_learning": "myoloop.controllers.policies.iterative_learning:IterativeLearning",
    "fitted_q": "myoloop.controllers.policies.fitted_q:FittedQ",
    "emg_proportional": "myoloop.controllers.policies.emg_proportional:EmgProportional",
    "yoked": "myoloop.controllers.policies.yoked:Yoked",
}
#: A phase older than this is not known: request zero.
PHASE_STALE_NS = 300_000_000
#: A policy that was not asked for longer than this begins at nothing again: the current was zero meanwhile.
HOLE_S = 0.05


class Activity(NamedTuple):
    """How active a muscle is right now.

    Attributes
    ----------
    level_uv
        RMS over the last 50 ms, valid samples only.
    rest_uv
        Median of that at rest.
    rest_sigma
        Spread of ln(level) at rest.
    usable
        False where too few samples are valid or rest is not known; then the rest means nothing.
    """

    level_uv: float
    rest_uv: float
    rest_sigma: float
    usable: bool


@dataclass(frozen=True, slots=True)
class PolicyInput:
    """Everything a policy may know at one step.

    Attributes
    ----------
    now_ns
        The step's time.
    phase
        Fresh, running, of kind ``block``, armed.
    estimates, activity
        By muscle.
    report
        The stimulator's newest, None before the first.
    motion
        What is known of the segment with the IMU, None where there is none.
    force_n
        Newest value of the force cell, in its unit (N or N m); None where there is none, or none fresh.
    set_point_share
        Share of its set point that a policy is to aim at: less than 1 once the supervisor has planned the task anew.
    let_through
        Share of the current it asked for in the last step that the reflexes left; what the gate left is in `report`.
    overrun_ms
        How long the controller's step took that asked it last, where that was too long, as its node has measured; else
        0.
    """

    now_ns: int
    phase: Phase
    estimates: Mapping[str, MuscleEstimate]
    activity: Mapping[str, Activity] = field(default_factory=dict)
    report: StimReport | None = None
    motion: MotionEstimate | None = None
    force_n: float | None = None
    set_point_share: float = 1.0
    let_through: float = 1.0
    overrun_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Decision:
    """What a policy asks for.

    Attributes
    ----------
    current_ma
        By stimulation channel; what is not named is zero.
    reason
        One line for the record.
    trigger
        The person's effort has been seen: the director may go on from ``await_effort``.
    saturated
        More current was wanted than may be asked for.
    held
        Controlled quantity over its set point while the trial holds; None where it is not known, or not controlled.
    fault
        What the policy has found wrong with itself and decides without; told once, as a fault of the controller.
    threshold_uv
        By muscle: level of its activity above which the policy takes it for effort; for the record and the page.
    """

    current_ma: Mapping[str, float]
    reason: str = ""
    trigger: bool = False
    saturated: bool = False
    held: float | None = None
    fault: str = ""
    threshold_uv: Mapping[str, float] = field(default_factory=dict)


@runtime_checkable
class Policy(Protocol):
    """Anything that asks for current."""

    def decide(self, given: PolicyInput) -> Decision:
        """Say what to ask for in this step."""
        ...

    def reset(self) -> None:
        """Forget integrators and ramps: the protocol does not run."""
        ...

    def state(self) -> dict[str, Any]:
        """What a restored object needs to go on bit for bit: JSON-ready."""
        ...

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over a saved state."""
        ...


def make_policy(choice: Choice, channels: tuple[str, ...]) -> Policy:
    """Build the policy that `choice` names, for these stimulation channels.

    Raises
    ------
    PluginError
        If there is none of that name, or its settings do not fit.
    """
    made: Policy = make(GROUP, BUILT_IN, choice, channels)
    return made


def why_zero(phase: Phase | None, now_ns: int) -> str:
    """Why nothing may be asked for, whatever the policy; empty where something may."""
    if phase is None:
        return "no phase yet"
    if now_ns - phase.t_ns > PHASE_STALE_NS:
        return "phase is stale"
    if phase.state != "running":
        return f"protocol is {phase.state}"
    if not phase.arm_id:
        return "not armed"
    return ""


def trapezoid(phase: Phase, target: Target, now_ns: int) -> float:
    """Share of the target's current at this moment of the trial: up, hold, down; 0 to 1."""
    elapsed_s = max(0, now_ns - phase.t_state_ns) * 1e-9
    if phase.trial_state == "ramp_up":
        return min(elapsed_s / target.ramp_up_s, 1.0) if target.ramp_up_s > 0 else 1.0
    if phase.trial_state == "hold":
        return 1.0
    if phase.trial_state == "ramp_down":
        return max(1.0 - elapsed_s / target.ramp_down_s, 0.0) if target.ramp_down_s > 0 else 0.0
    return 0.0


def since(last_ns: int | None, now_ns: int) -> tuple[float, bool]:
    """Seconds since the last step, :data:`HOLE_S` at most; and whether it was longer ago, a hole.

    A rise that counts the time in which nothing was asked would be a jump.
    """
    seconds = 0.0 if last_ns is None else max(0, now_ns - last_ns) * 1e-9
    return min(seconds, HOLE_S), seconds > HOLE_S + 1e-9


def towards(level: float, goal: float, seconds: float, rise_s: float, fall_s: float) -> float:
    """Move a level of 0 to 1 towards a goal: a full rise takes `rise_s`, a full fall `fall_s`."""
    if goal > level:
        return goal if rise_s <= 0 else min(goal, level + seconds / rise_s)
    return goal if fall_s <= 0 else max(goal, level - seconds / fall_s)
