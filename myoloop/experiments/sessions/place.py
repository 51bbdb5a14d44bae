"""The place in the protocol: everything the director remembers, and the phase message that tells it to all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import msgspec

from myoloop.experiments.protocols.plan import BlockPlan, PhasePlan, Plan
from myoloop.experiments.sessions.thresholds import Ascent, Thresholds, next_level_ma
from myoloop.experiments.sessions.trial_machine import TrialState, left_s
from myoloop.experiments.sessions.watch import Peers, Tally
from myoloop.platform.messages import Phase, Target
from myoloop.stimulators.gate.envelope import Envelope

Stage = Literal["starting", "setting", "confirming", "phase", "pausing", "approving", "paused", "ended"]

#: Longest ramp that a calibration burst has; it is short and the gate limits its rise anyway.
BURST_RAMP_S = 0.1
#: Stages in which an act of the operator, or an answer, is waited for.
_WAITING: frozenset[str] = frozenset({"starting", "setting", "confirming", "approving"})


@dataclass(frozen=True, slots=True)
class Calibrating:
    """Where a calibration stands.

    Attributes
    ----------
    channel
        Index into the phase's pulses.
    burst
        ``ask`` (for the operator's step), ``hold``, ``rest``.
    step_ns
        When the last step was taken.
    """

    channel: int = 0
    ascent: Ascent = field(default_factory=Ascent)
    burst: Literal["ask", "hold", "rest"] = "ask"
    since_ns: int = 0
    step_ns: int = 0


@dataclass(frozen=True, slots=True)
class InBlock:
    """Where a block stands.

    Attributes
    ----------
    repeat, trial
        Which, from 1; trial 0 before the first.
    between_ns
        Since when the rest between two repetitions lasts, if it does.
    targets
        Resolved when the block is entered.
    peak_ma, dose_mc
        Of this trial: the most the gate allowed on each channel, and the session's charge at its beginning.
    fatigue
        Valid estimates per muscle at its beginning.
    """

    repeat: int = 1
    trial: int = 0
    state: TrialState = TrialState()
    between_ns: int | None = None
    targets: tuple[Target, ...] = ()
    peak_ma: Mapping[str, float] = field(default_factory=dict)
    dose_mc: float = 0.0
    fatigue: Mapping[str, float] = field(default_factory=dict)


class Gate(msgspec.Struct, frozen=True):
    """What the stimulator last reported; `flowing` while any channel has current, by the gate or by the device."""

    state: str = ""
    envelope_sha256: str = ""
    t_ns: int = 0
    charge_mc: float = 0.0
    flowing: bool = False


class Place(msgspec.Struct):
    """Everything the director remembers; JSON-ready through msgspec.

    Attributes
    ----------
    stage, stage_ns
        What it is doing, since when.
    then
        What follows a pause: ``channel``, ``calibrate``, ``paused``, ``end``.
    disarmed_ns
        When the stimulator answered the present pause; None before. It is over when current has ramped to zero.
    index, since_ns
        Which phase, and since when it runs (a pause moves it forward).
    running_ns
        Protocol time passed.
    envelope, envelope_sha256, set_ns
        In force or being set; its hash as the stimulator answered, and when.
    asked
        Commands without an answer yet: id to kind and when it was sent.
    effort, fatigue
        Newest estimate.
    told, told_ns
        The phase message last published, but for its running numbers.
    """

    envelope: Envelope
    stage: Stage = "starting"
    stage_ns: int = 0
    then: str = ""
    begin_ns: int | None = None
    now_ns: int = 0
    running_ns: int = 0
    disarmed_ns: int | None = None
    index: int = 0
    since_ns: int = 0
    paused_ns: int = 0
    envelope_sha256: str = ""
    set_ns: int = 0
    arm_id: str = ""
    armed_ns: int = 0
    thresholds: dict[str, Thresholds] = {}
    calibrating: Calibrating | None = None
    block: InBlock | None = None
    gate: Gate = Gate()
    peers: Peers = Peers()
    tally: Tally = Tally()
    asked: dict[str, tuple[str, int]] = {}
    commands: int = 0
    effort: bool = False
    fatigue: dict[str, float] = {}
    level: float = 0.0
    holding: bool = False
    outcome: str = ""
    reason: str = ""
    told: Phase | None = None
    told_ns: int = 0

    def phase(self, plan: Plan) -> PhasePlan | None:
        """The phase it is in, or will enter next; None after the last."""
        return plan.phases[self.index] if self.index < len(plan.phases) else None


def phase_message(plan: Plan, place: Place, session: str) -> Phase:
    """Tell the whole state of the protocol."""
    phase = place.phase(plan)
    ended = place.stage == "ended"
    waiting_for = _waiting_for(place, phase)
    state: str = "ended" if ended else place.stage if place.stage == "paused" else "running"
    if place.stage in _WAITING or (waiting_for and waiting_for != "resume"):
        state = "waiting"
    message = Phase(
        t_ns=place.now_ns,
        session=session,
        state=state,
        waiting_for=waiting_for,
        index=place.index,
        name=phase.name if phase else "",
        kind=phase.kind if phase else "",
        session_s=place.running_ns * 1e-9,
        arm_id="" if ended else place.arm_id,
        level=place.level,
        outcome=place.outcome,
        reason=place.reason,
    )
    if ended or phase is None:
        return message
    return _detailed(message, place, phase)


def _waiting_for(place: Place, phase: PhasePlan | None) -> str:
    if place.stage == "confirming":
        return "confirm"
    if place.stage == "approving":
        return "approve_envelope"
    if place.stage == "paused":
        return "resume"
    if place.stage != "phase" or phase is None:
        return ""
    if phase.kind == "calibration":
        if not place.arm_id:
            return "arm_calibration"
        return "step" if place.calibrating and place.calibrating.burst == "ask" else ""
    if phase.kind == "block":
        if not place.arm_id:
            return "arm"
        idle = place.block is not None and place.block.state.name == "idle"
        return "resume" if place.holding and idle else ""
    return ""


def _detailed(message: Phase, place: Place, phase: PhasePlan) -> Phase:
    changes: dict[str, object] = {"prompt": _prompt(place, phase, message)}
    entered = place.stage in ("phase", "pausing", "paused")
    if phase.rest is not None:
        lasted_s = (_phase_now_ns(place) - place.since_ns) * 1e-9 if entered else 0.0
        changes["state_s"] = phase.rest.duration_s
        changes["t_state_ns"] = place.since_ns
        changes["trial_state"] = "rest" if entered else "idle"
        changes["seconds_left"] = max(0.0, phase.rest.duration_s - lasted_s)
        changes["baseline"] = phase.rest.baseline and message.state == "running"
    elif phase.calibration is not None and place.calibrating is not None:
        now = place.calibrating
        plan = phase.calibration
        pulse = plan.pulses[min(now.channel, len(plan.pulses) - 1)]
        level_ma = shown_level_ma(place, phase)
        steps = plan.ascent.steps * plan.ascent.repeats * (len(plan.pulses) - now.channel)
        changes["targets"] = (
            Target(
                channel=pulse.channel,
                current_ma=level_ma,
                phase_us=pulse.phase_us,
                rate_hz=pulse.rate_hz,
                ramp_up_s=BURST_RAMP_S,
                ramp_down_s=BURST_RAMP_S,
            ),
        )
        changes["trial_state"] = "hold" if now.burst == "hold" else "rest"
        changes["t_state_ns"] = now.since_ns
        changes["state_s"] = plan.burst_s if now.burst == "hold" else plan.interval_s - plan.burst_s
        changes["block"] = now.ascent.repeat
        changes["trial"] = now.ascent.steps
        changes["trials"] = plan.ascent.steps
        changes["seconds_left"] = max(0, steps - now.ascent.steps) * plan.interval_s
    elif phase.block is not None and place.block is not None:
        here = place.block
        changes["machine"] = phase.block.timing.machine
        changes["targets"] = here.targets
        changes["block"] = here.repeat
        changes["trial"] = here.trial
        changes["trials"] = phase.block.trials
        changes["trial_state"] = here.state.name
        changes["t_state_ns"] = here.state.since_ns
        changes["state_s"] = phase.block.timing.length_s(here.state.name)
        changes["seconds_left"] = _block_left_s(phase.block, here, place)
    return msgspec.structs.replace(message, **changes)


def shown_level_ma(place: Place, phase: PhasePlan) -> float:
    """In calibration: the level that is on, or the next one while it is asked for; 0 where there is none."""
    now = place.calibrating
    if now is None or phase.calibration is None:
        return 0.0
    ascent = phase.calibration.ascent
    if now.burst == "hold":
        return ascent.level_ma(now.ascent.steps - 1)
    return next_level_ma(ascent, now.ascent) or 0.0


def _block_left_s(plan: BlockPlan, here: InBlock, place: Place) -> float:
    trials_left = (plan.repeat - here.repeat) * plan.trials + plan.trials - here.trial
    left = trials_left * plan.timing.longest_s + (plan.repeat - here.repeat) * plan.between_s
    left += left_s(plan.timing, here.state, place.now_ns)
    if plan.at_most_s is not None and place.arm_id:
        left = min(left, plan.at_most_s - (place.now_ns - place.since_ns) * 1e-9)
    return max(0.0, left)


def _phase_now_ns(place: Place) -> int:
    return place.paused_ns if place.stage == "paused" else place.now_ns


def _prompt(place: Place, phase: PhasePlan, message: Phase) -> str:
    if place.stage == "paused":
        return "Pause."
    if message.state == "waiting" and phase.kind != "calibration":
        return "Wait."
    if phase.kind != "block" or place.block is None:
        return phase.prompt
    if phase.block is not None and phase.block.timing.machine != "effort":
        return phase.prompt or "Stay relaxed."
    return {
        "cue": "Get ready.",
        "await_effort": phase.prompt or "Now try to move.",
        "ramp_up": "Keep going.",
        "hold": "Keep going.",
    }.get(place.block.state.name, "Relax.")


def without_running_numbers(message: Phase) -> Phase:
    """What makes two phase messages tell the same."""
    return msgspec.structs.replace(message, t_ns=0, session_s=0.0, seconds_left=0.0)


def moved(block: InBlock, by_ns: int) -> InBlock:
    """The block as if its times were later: after a pause."""
    if block.between_ns is None:
        return block
    return replace(block, between_ns=block.between_ns + by_ns)
