"""The phase message: everything that the place in the protocol tells to all."""

from __future__ import annotations

import msgspec

from myoloop.experiments.protocols.plan import MVC_CUE_S, BlockPlan, PhasePlan, Plan
from myoloop.experiments.sessions.place import InBlock, Place
from myoloop.experiments.sessions.thresholds import next_level_ma
from myoloop.experiments.sessions.trial_machine import left_s
from myoloop.platform.messages import Phase, Target

#: Longest ramp that a calibration burst has; it is short and the gate limits its rise anyway.
BURST_RAMP_S = 0.1
#: Stages in which an act of the operator, or an answer, is waited for.
_WAITING: frozenset[str] = frozenset({"starting", "setting", "confirming", "approving"})


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
        forms=() if ended or waiting_for != "form" else place.forms,
        attention_left_s=_attention_left_s(plan, place),
        level=place.level,
        outcome=place.outcome,
        reason=place.reason,
        wrong=_wrong(place, waiting_for),
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
    if place.forms:
        return "form"
    if place.blocked:
        return "override"
    if place.checking is not None:
        return "retry" if place.checking.state == "wait" else ""
    if phase.kind == "calibration":
        if not place.arm_id:
            return "arm_calibration"
        return "step" if place.calibrating and place.calibrating.burst == "ask" else ""
    if phase.kind in ("block", "optimise"):
        if not place.arm_id:
            return "arm"
        idle = place.block is not None and place.block.state.name == "idle"
        return "resume" if place.holding and idle else ""
    return ""


def _wrong(place: Place, waiting_for: str) -> dict[str, str]:
    """What somebody has to put right or to take upon themselves before it goes on."""
    if waiting_for == "override":
        return dict(place.blocked)
    return dict(place.checking.wrong) if waiting_for == "retry" and place.checking is not None else {}


def _attention_left_s(plan: Plan, place: Place) -> float | None:
    """How long the operator may still be silent; None while nobody needs to attend."""
    if plan.stop.attention_s is None or not place.arm_id or place.stage != "phase":
        return None
    return max(0.0, plan.stop.attention_s - (place.now_ns - place.attended_ns) * 1e-9)


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
        pulses = place.kept(plan.pulses)
        pulse = pulses[min(now.channel, len(pulses) - 1)]
        level_ma = shown_level_ma(place, phase)
        steps = plan.ascent.steps * plan.ascent.repeats * (len(pulses) - now.channel)
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
    elif phase.optimise is not None and place.block is not None and place.optimising is not None:
        here, timing = place.block, phase.optimise.timing
        left = max(0, phase.optimise.trials - len(place.optimising.tried) - (here.state.name != "idle"))
        changes["machine"] = timing.machine
        changes["targets"] = here.targets
        changes["block"] = here.repeat
        changes["trial"] = here.trial
        changes["trials"] = phase.optimise.trials
        changes["trial_state"] = here.state.name
        changes["t_state_ns"] = here.state.since_ns
        changes["state_s"] = timing.length_s(here.state.name)
        changes["seconds_left"] = left * timing.longest_s + left_s(timing, here.state, place.now_ns)
    elif phase.checks is not None and place.checking is not None and place.checking.state == "listen":
        lasted_s = (_phase_now_ns(place) - place.checking.since_ns) * 1e-9
        changes["trial_state"] = "rest"
        changes["t_state_ns"] = place.checking.since_ns
        changes["state_s"] = phase.checks.listen_s
        changes["seconds_left"] = max(0.0, phase.checks.listen_s - lasted_s)
    elif phase.mvc is not None and place.pulling is not None:
        pulling, lengths_s = place.pulling, mvc_lengths_s(phase)
        lasted_s = (_phase_now_ns(place) - pulling.since_ns) * 1e-9
        # An effort is awaited and nothing flows: the word of a trial's state in which that is so.
        changes["trial_state"] = "await_effort" if pulling.state == "pull" else pulling.state
        changes["trial"] = pulling.attempt
        changes["trials"] = phase.mvc.repeats
        changes["muscle"] = phase.mvc.muscle
        changes["t_state_ns"] = pulling.since_ns
        changes["state_s"] = lengths_s[pulling.state]
        later_s = (phase.mvc.repeats - pulling.attempt) * sum(lengths_s.values())
        order = ("cue", "pull", "rest")
        here_s = sum(lengths_s[state] for state in order[order.index(pulling.state) :])
        changes["seconds_left"] = max(0.0, here_s - lasted_s) + later_s
    return msgspec.structs.replace(message, **changes)


def shown_level_ma(place: Place, phase: PhasePlan) -> float:
    """In calibration: the level that is on, or the next one while it is asked for; 0 where there is none."""
    now = place.calibrating
    if now is None or phase.calibration is None:
        return 0.0
    ascent = phase.calibration.ascent
    if now.burst == "hold" and now.catch:
        return 0.0
    if now.burst == "hold":
        return ascent.level_ma(now.ascent.steps - 1)
    return next_level_ma(ascent, now.ascent) or 0.0


def mvc_lengths_s(phase: PhasePlan) -> dict[str, float]:
    """How long each state of an attempt lasts."""
    if phase.mvc is None:
        return {}
    return {"cue": MVC_CUE_S, "pull": phase.mvc.hold_s, "rest": phase.mvc.rest_s}


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
    if message.waiting_for == "form":
        return phase.prompt if phase.asked is not None else "Please answer the questions."
    if message.state == "waiting" and phase.kind != "calibration":
        return "Wait."
    if place.pulling is not None:
        return {"cue": "Get ready.", "pull": phase.prompt}.get(place.pulling.state, "Relax.")
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
    return msgspec.structs.replace(message, t_ns=0, session_s=0.0, seconds_left=0.0, attention_left_s=None)
