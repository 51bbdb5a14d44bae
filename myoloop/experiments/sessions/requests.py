"""What the operator may ask of the director, one function an act; every one is answered."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite

from myoloop.experiments.protocols.plan import Plan
from myoloop.experiments.sessions import asking, calibration, checks, expiry, maximal, optimising, trialblock
from myoloop.experiments.sessions.outbox import Outbox
from myoloop.experiments.sessions.place import Place
from myoloop.experiments.sessions.steering import Steering
from myoloop.experiments.sessions.telling import phase_message
from myoloop.experiments.sessions.watch import Ending
from myoloop.platform.messages import Answer, Command


def answer_to(steering: Steering, plan: Plan, place: Place, command: Command, out: Outbox) -> Answer:
    """Do what a command asks, or say why not; what is refused changes nothing."""
    doing = _ACTS.get(command.kind)
    if doing is None:
        reason = f"unknown act {command.kind!r}, known are {', '.join(sorted(_ACTS))}"
    elif place.stage == "ended":
        reason = f"the session has ended as {place.outcome}"
    else:
        reason = doing(steering, plan, place, command, out)
        if not reason:
            place.attended_ns = place.now_ns
    return Answer(t_ns=place.now_ns, id=command.id, ok=not reason, reason=reason)


def _armed(steering: Steering, plan: Plan, place: Place, command: Command, out: Outbox) -> str:
    arm_id = command.arguments.get("arm_id")
    if not isinstance(arm_id, str) or not arm_id:
        return f"armed.arm_id: found {arm_id!r}, allowed is what the stimulator answered"
    waiting = phase_message(plan, place, "").waiting_for
    if waiting not in ("arm", "arm_calibration"):
        return f"no arming is waited for; the session waits for {waiting or 'nothing'}"
    place.arm_id, place.armed_ns = arm_id, place.now_ns
    calibration.armed(place)
    trialblock.armed(plan, place)
    return ""


def _stepped(steering: Steering, plan: Plan, place: Place, command: Command, out: Outbox) -> str:
    current_ma = _number(command, "current_ma")
    if current_ma is None or place.stage != "phase":
        return f"stepped.current_ma: found {command.arguments.get('current_ma')!r} in {place.stage}"
    return calibration.stepped(plan, place, current_ma)


def _approve(steering: Steering, plan: Plan, place: Place, command: Command, out: Outbox) -> str:
    if place.stage != "approving":
        return "no envelope waits for approval"
    out.event("approved", why=f"{command.who}: {command.why}" if command.why else command.who)
    steering.set_envelope(out)
    return ""


def _pause(steering: Steering, plan: Plan, place: Place, command: Command, out: Outbox) -> str:
    if place.stage != "phase":
        return "" if place.stage in ("paused", "pausing") else f"nothing to pause while {place.stage}"
    out.event("paused", why=f"{command.who}: {command.why}" if command.why else command.who)
    if place.arm_id:
        steering.pause_stimulator("paused", command.why or "pause", out)
        trialblock.ramp_down(place)
    else:
        steering.rest_paused(out)
    return ""


def _resume(steering: Steering, plan: Plan, place: Place, command: Command, out: Outbox) -> str:
    if not command.why.strip():
        return "to resume needs a reason"
    if place.stage == "paused":
        steering.resume(out)
    elif not place.holding:
        return "neither paused nor held"
    place.holding = False
    out.event("resumed", why=f"{command.who}: {command.why}")
    return ""


def _hold(steering: Steering, plan: Plan, place: Place, command: Command, out: Outbox) -> str:
    place.holding = True
    out.event("held", why=f"{command.who}: {command.why}" if command.why else command.who)
    return ""


def _level(steering: Steering, plan: Plan, place: Place, command: Command, out: Outbox) -> str:
    level = _number(command, "level")
    if level is None or not 0.0 <= level <= 1.0:
        return f"level.level: found {command.arguments.get('level')!r}, allowed is a number from 0 to 1"
    place.level = level
    return ""


def _end(steering: Steering, plan: Plan, place: Place, command: Command, out: Outbox) -> str:
    reason = f"{command.who}: {command.why}" if command.why else f"ended by {command.who or 'the operator'}"
    if place.arm_id and place.stage == "phase":
        place.reason = reason
        steering.pause_stimulator("end", reason, out)
        trialblock.ramp_down(place)
    else:
        steering.end(Ending("aborted", reason), out)
    return ""


def _mark(steering: Steering, plan: Plan, place: Place, command: Command, out: Outbox) -> str:
    out.event("mark", why=command.why, values={"who": command.who})
    return ""


def _score(steering: Steering, plan: Plan, place: Place, command: Command, out: Outbox) -> str:
    score = _number(command, "score")
    if score is None or not 0.0 <= score <= 10.0:
        return f"score.score: found {command.arguments.get('score')!r}, allowed is a number from 0 to 10"
    out.event("score", why=command.why, values={"score": score, "who": command.who})
    steering.scored(score, out)
    return ""


def _attend(steering: Steering, plan: Plan, place: Place, command: Command, out: Outbox) -> str:
    # Any act that is taken shows that the operator is there; this one does nothing else.
    return ""


def _override(steering: Steering, plan: Plan, place: Place, command: Command, out: Outbox) -> str:
    doing = checks.override if place.checking is not None else asking.override
    return doing(steering, plan, place, command, out)


def _electrode_changed(steering: Steering, plan: Plan, place: Place, command: Command, out: Outbox) -> str:
    why = f"{command.who}: {command.why}" if command.why else f"{command.who} has changed an electrode"
    out.event("electrode_changed", why=why, values={"who": command.who})
    expiry.electrode_changed(place, why)
    return ""


_ACTS: dict[str, Callable[[Steering, Plan, Place, Command, Outbox], str]] = {
    "armed": _armed,
    "stepped": _stepped,
    "approve": _approve,
    "pause": _pause,
    "resume": _resume,
    "hold": _hold,
    "level": _level,
    "end": _end,
    "mark": _mark,
    "score": _score,
    "attend": _attend,
    "form": asking.filled,
    "override": _override,
    "retry": checks.retry,
    "skip_mvc": maximal.skip,
    "skip_optimise": optimising.skip,
    "electrode_changed": _electrode_changed,
}


def _number(command: Command, name: str) -> float | None:
    value = command.arguments.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        return None
    return float(value)
