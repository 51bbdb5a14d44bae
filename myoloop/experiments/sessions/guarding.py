"""What pauses a session whose stimulator is armed: nobody attends, it is armed for something else, or not any more.

Nor is a session played on without current: where what current rests on (samples, time stamps, a good signal) has
been missing for a second, it pauses, and only the operator lets it go on.
"""

from __future__ import annotations

from myoloop.experiments.protocols.plan import Plan
from myoloop.experiments.sessions import trialblock, watch
from myoloop.experiments.sessions.outbox import Outbox
from myoloop.experiments.sessions.place import Place
from myoloop.experiments.sessions.steering import Steering
from myoloop.platform.messages import Estimate, StimReport

#: States of the gate in which it is armed.
LIVE = frozenset({"CALIBRATING", "ARMED", "STIMULATING"})
#: How long the stimulator's reports may lag behind an arming.
ARMING_GRACE_NS = 300_000_000
#: The gate's rule for samples that are late, stand still or come with other stamps.
STALE_SAMPLES = "stale samples"
#: What is missing for less is bridged: current is zero meanwhile, and rises again. A provisional figure.
BLIND_MAX_NS = 1_000_000_000
#: States of a trial in which current flows, or will if all goes well.
WANTING = frozenset({"cue", "await_effort", "ramp_up", "hold"})


def paused(steering: Steering, plan: Plan, place: Place, out: Outbox) -> bool:
    """Whether there was cause to pause; then the stimulator is ramping down."""
    if not place.arm_id:
        return False
    why = watch.inattention(plan.stop, place.attended_ns, place.now_ns) or _armed_for_another(plan, place)
    blind = "" if why else _blind_too_long(place)
    if blind:
        began_s = ((place.blind_ns or 0) - (place.begin_ns or 0)) * 1e-9
        out.event("paused", why=blind, values={"began_session_s": round(began_s, 3)})
    elif why:
        out.event("paused", why=why)
    else:
        return False
    why = why or blind
    steering.pause_stimulator("paused", why, out)
    trialblock.ramp_down(place)
    return True


def disarmed(place: Place) -> bool:
    """Whether somebody else (the operator at the stimulator, say) has paused it."""
    armed = bool(place.arm_id) and place.stage == "phase"
    return armed and place.gate.state not in LIVE and place.gate.t_ns - place.armed_ns > ARMING_GRACE_NS


def seen(place: Place, message: StimReport | Estimate) -> None:
    """Take note of what current rests on, as the gate and the controller tell."""
    if isinstance(message, Estimate):
        source, why = "controller", message.bad_signal
    else:
        source, why = "gate", "; ".join(message.reasons) if message.rule == STALE_SAMPLES else ""
    rest = {name: text for name, text in place.blind.items() if name != source}
    place.blind = {**rest, source: why} if why else rest
    place.blind_ns = (place.now_ns if place.blind_ns is None else place.blind_ns) if place.blind else None


def _blind_too_long(place: Place) -> str:
    wanting = place.block is not None and place.block.state.name in WANTING
    wanting = wanting or (place.calibrating is not None and place.calibrating.burst == "hold")
    if not wanting or place.blind_ns is None or place.now_ns - place.blind_ns < BLIND_MAX_NS:
        return ""
    return "; ".join(dict.fromkeys(place.blind.values()))


def _armed_for_another(plan: Plan, place: Place) -> str:
    """A calibration's steps bind the gate only where it is armed for one."""
    phase, state = place.phase(plan), place.gate.state
    if phase is None or not phase.pulses or state not in LIVE or place.gate.t_ns <= place.armed_ns:
        return ""
    if (phase.calibration is not None) == (state == "CALIBRATING"):
        return ""
    return f"the stimulator is {state}, which is not armed for a {phase.kind}"
