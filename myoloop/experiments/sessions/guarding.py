"""What pauses a session whose stimulator is armed: nobody attends, it is armed for something else, or not any more."""

from __future__ import annotations

from myoloop.experiments.protocols.plan import Plan
from myoloop.experiments.sessions import trialblock, watch
from myoloop.experiments.sessions.outbox import Outbox
from myoloop.experiments.sessions.place import Place
from myoloop.experiments.sessions.steering import Steering

#: States of the gate in which it is armed.
LIVE = frozenset({"CALIBRATING", "ARMED", "STIMULATING"})
#: How long the stimulator's reports may lag behind an arming.
ARMING_GRACE_NS = 300_000_000


def paused(steering: Steering, plan: Plan, place: Place, out: Outbox) -> bool:
    """Whether there was cause to pause; then the stimulator is ramping down."""
    if not place.arm_id:
        return False
    why = watch.inattention(plan.stop, place.attended_ns, place.now_ns) or _armed_for_another(plan, place)
    if not why:
        return False
    out.event("paused", why=why)
    steering.pause_stimulator("paused", why, out)
    trialblock.ramp_down(place)
    return True


def disarmed(place: Place) -> bool:
    """Whether somebody else (the operator at the stimulator, say) has paused it."""
    armed = bool(place.arm_id) and place.stage == "phase"
    return armed and place.gate.state not in LIVE and place.gate.t_ns - place.armed_ns > ARMING_GRACE_NS


def _armed_for_another(plan: Plan, place: Place) -> str:
    """A calibration's steps bind the gate only where it is armed for one."""
    phase, state = place.phase(plan), place.gate.state
    if phase is None or not phase.pulses or state not in LIVE or place.gate.t_ns <= place.armed_ns:
        return ""
    if (phase.calibration is not None) == (state == "CALIBRATING"):
        return ""
    return f"the stimulator is {state}, which is not armed for a {phase.kind}"
