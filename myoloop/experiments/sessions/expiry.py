"""When what was measured of the person holds no more: after 24 h, or on other electrodes.

No block begins on old thresholds. The session goes forward to the next calibration, from ground on which nothing is
known; where none is left it ends and says so.
"""

from __future__ import annotations

from myoloop.experiments.protocols.plan import THRESHOLDS_HOLD_S, Plan
from myoloop.experiments.sessions import asking, trialblock
from myoloop.experiments.sessions.outbox import Outbox
from myoloop.experiments.sessions.place import Place
from myoloop.experiments.sessions.steering import Steering
from myoloop.experiments.sessions.watch import Ending

#: Events by which others tell that a pad or a lead is not what it was.
CHANGED_ELECTRODES = frozenset({"electrode_changed", "lead_off"})


def electrode_changed(place: Place, why: str) -> None:
    """A pad or a lead is another one, or lies elsewhere: pads and placement are asked for again too."""
    if place.armed_ns or place.found_ns:
        place.stale = why or "electrodes were changed"
    place.anew = True
    place.answers = {
        form: values for form, values in place.answers.items() if form.partition(".")[0] not in asking.OF_PADS
    }
    place.impedance_ohm = {}


def grown_old(place: Place) -> None:
    """Notice thresholds that are older than they hold."""
    for channel, found_ns in place.found_ns.items():
        if place.now_ns - found_ns >= round(THRESHOLDS_HOLD_S * 1e9) and not place.stale:
            place.stale = f"the thresholds of {channel} are {THRESHOLDS_HOLD_S / 3600:g} h old"


def interrupts(steering: Steering, plan: Plan, place: Place, out: Outbox) -> bool:
    """Whether the phase cannot go on, or begin, as it is; then what must follow has been begun."""
    phase = place.phase(plan)
    if phase is None or not phase.pulses:
        return False
    idle = place.block is None or place.block.state.name == "idle"
    if phase.block is not None and idle:
        grown_old(place)
    if not place.stale:
        return False
    if place.arm_id:
        trialblock.ramp_down(place)
        steering.pause_stimulator("renew", place.stale, out)
    else:
        renew(steering, plan, place, out)
    return True


def renew(steering: Steering, plan: Plan, place: Place, out: Outbox) -> None:
    """Forget the thresholds and go forward to where they are measured anew; the stimulator must be disarmed."""
    why, place.stale = place.stale, ""
    trialblock.cut(plan, place, "electrodes", out)
    # A new envelope, even the same one, makes the gate forget what it knows of the person.
    if plan.thresholds is not None or not any(phase.calibration is not None for phase in plan.phases):
        out.event("renewed", why=why)
        steering.set_envelope(out)
        return
    place.thresholds, place.found_ns, place.anew, place.chosen = {}, {}, True, None
    place.evoked_uv, place.evoked_level_uv, place.moved_rad = {}, {}, {}
    target = next_calibration(plan, place.index)
    if target is None:
        steering.end(Ending("aborted", f"{why}, and no calibration is left in this session"), out)
        return
    out.event("renewed", why=why, values={"phase": plan.phases[target].name})
    place.block = place.calibrating = place.checking = None
    place.index = target
    place.envelope = place.open_envelope(plan)
    steering.set_envelope(out)


def next_calibration(plan: Plan, index: int) -> int | None:
    """Index of the calibration that is under way or comes next."""
    later = range(index, len(plan.phases))
    return next((number for number in later if plan.phases[number].calibration is not None), None)
