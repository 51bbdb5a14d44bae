"""The calibration phase: one channel after the other, one step per act of the operator."""

from __future__ import annotations

from dataclasses import replace

from myoloop.experiments.protocols.plan import CalibrationPlan, PhasePlan, Plan, PulsePlan
from myoloop.experiments.sessions import asking, drawn
from myoloop.experiments.sessions import thresholds as ascending
from myoloop.experiments.sessions.outbox import Outbox
from myoloop.experiments.sessions.place import Calibrating, Place
from myoloop.experiments.sessions.steering import Steering
from myoloop.experiments.sessions.trialblock import unresolved, used_up
from myoloop.experiments.sessions.trials import trial_of_threshold
from myoloop.experiments.sessions.watch import Ending
from myoloop.platform.messages import Event, StimReport

#: Nobody answers a burst sooner after its beginning: what comes then was meant for the one before (GK).
REACTION_NS = 150_000_000


def enter(steering: Steering, plan: Plan, place: Place, out: Outbox) -> None:
    """Begin with the first channel; a stimulator armed for trials is disarmed first."""
    phase = place.phase(plan)
    if phase is None or phase.calibration is None:
        return
    if _needless(plan, place):
        out.event("skipped", why="no trial that needs these thresholds is left", values={"phase": phase.name})
        steering.enter(place.index + 1, out)
        return
    if _known_before(plan, place, phase, out):
        _all_found(steering, plan, place, "thresholds of the attempt before, to be approved", out)
        return
    place.calibrating = Calibrating(since_ns=place.now_ns)
    asking.ask_pads_again(plan, place)
    if place.arm_id:
        steering.pause_stimulator("calibrate", "calibration", out)


def armed(place: Place) -> None:
    """The operator has armed the channel: its first step may be asked for."""
    if place.calibrating is not None:
        place.calibrating = replace(place.calibrating, burst="ask", since_ns=place.now_ns)


def stepped(plan: Plan, place: Place, current_ma: float) -> str:
    """The operator has stepped up; why that cannot be, or nothing."""
    phase, now = place.phase(plan), place.calibrating
    if phase is None or phase.calibration is None or now is None or not place.arm_id:
        return "no calibration is armed"
    plan_ascent = phase.calibration.ascent
    wanted_ma = ascending.next_level_ma(plan_ascent, now.ascent)
    if now.burst != "ask" or wanted_ma is None:
        return "no step is asked for now"
    if abs(current_ma - wanted_ma) > 1e-6:
        return f"stepped to {current_ma:g} mA, the step asked for is {wanted_ma:g} mA"
    on = replace(now, burst="hold", since_ns=place.now_ns, step_ns=place.now_ns)
    step = now.ascent.steps
    if step in _catch_steps(plan, place, phase, now) and step not in now.caught:
        place.calibrating = replace(on, catch=True, caught=(*now.caught, step))
    else:
        place.calibrating = replace(on, catch=False, ascent=ascending.stepped(plan_ascent, now.ascent))
    return ""


def felt(steering: Steering, plan: Plan, place: Place, event: Event, out: Outbox) -> None:
    """The person has answered; an answer that names another channel, or no threshold, is passed over."""
    phase, now = place.phase(plan), place.calibrating
    if place.stage != "phase" or phase is None or phase.calibration is None or now is None or not place.arm_id:
        return
    what = event.values.get("what")
    channel = _pulse(place, phase.calibration, now).channel
    if what not in ascending.RANK or event.values.get("channel", channel) != channel:
        return
    if now.catch and place.now_ns - now.step_ns >= REACTION_NS:
        _false_alarm(steering, place, phase, now, str(what), out)
        return
    _believe(steering, plan, place, phase, now, str(what), out)


def pained(steering: Steering, plan: Plan, place: Place, score: float, out: Outbox) -> None:
    """A pain score has been given: too far above the person's first one it is as good as a word of tolerance."""
    phase, now = place.phase(plan), place.calibrating
    if place.stage != "phase" or phase is None or phase.calibration is None or now is None or not place.arm_id:
        return
    most, baseline = phase.calibration.abort_pain_rise, place.tally.pain_baseline
    if most is None or baseline is None or score - baseline < most:
        return
    channel = _pulse(place, phase.calibration, now).channel
    why = f"pain score {score:g} is {score - baseline:g} above the person's own {baseline:g}"
    out.event("tolerance", why=why, values={"channel": channel, "score": score})
    _believe(steering, plan, place, phase, now, "tolerance", out)


def _believe(
    steering: Steering, plan: Plan, place: Place, phase: PhasePlan, now: Calibrating, what: str, out: Outbox
) -> None:
    if phase.calibration is None:
        return
    ascent = ascending.felt(phase.calibration.ascent, now.ascent, what)
    over = ascent.done or ascent.repeat != now.ascent.repeat
    # Enough is enough: the burst ends with the answer.
    burst = "rest" if over else now.burst
    since_ns = place.now_ns if burst != now.burst else now.since_ns
    caught = () if over else now.caught
    place.calibrating = replace(now, ascent=ascent, burst=burst, since_ns=since_ns, caught=caught)
    if ascent.done:
        _channel_done(steering, plan, place, out)


def seen(plan: Plan, place: Place, report: StimReport) -> None:
    """What the gate has allowed, while a burst is on."""
    phase, now = place.phase(plan), place.calibrating
    if phase is None or phase.calibration is None or now is None or now.burst != "hold" or now.catch:
        return
    channel = _pulse(place, phase.calibration, now).channel
    flowing_ma = max((each.current_ma for each in report.allowed if each.channel == channel), default=0.0)
    place.calibrating = replace(now, ascent=ascending.given(phase.calibration.ascent, now.ascent, flowing_ma))


def go_on(steering: Steering, plan: Plan, place: Place, out: Outbox) -> None:
    """Let time pass."""
    phase, now = place.phase(plan), place.calibrating
    if phase is None or phase.calibration is None or now is None:
        return
    if not place.arm_id:
        asking.ask_pads_again(plan, place)
        return
    calibration = phase.calibration
    if now.burst == "hold" and place.now_ns - now.since_ns >= round(calibration.burst_s * 1e9):
        ascent = now.ascent if now.catch else ascending.served(calibration.ascent, now.ascent)
        caught = now.caught if ascent.repeat == now.ascent.repeat else ()
        place.calibrating = replace(now, ascent=ascent, burst="rest", since_ns=place.now_ns, caught=caught)
        if ascent.done:
            _channel_done(steering, plan, place, out)
    elif now.burst == "rest" and place.now_ns - now.step_ns >= round(calibration.interval_s * 1e9):
        if ascending.next_level_ma(calibration.ascent, now.ascent) is not None:
            place.calibrating = replace(now, burst="ask", since_ns=place.now_ns, catch=False)
            return
        # The ceiling has been given and the last threshold was not met.
        ascent = ascending.closed(calibration.ascent, now.ascent)
        place.calibrating = replace(now, ascent=ascent, since_ns=place.now_ns, caught=())
        if ascent.done:
            _channel_done(steering, plan, place, out)


def next_channel(steering: Steering, plan: Plan, place: Place, out: Outbox) -> None:
    """A channel is done and disarmed: the next one, or the envelope that follows from all."""
    phase, now = place.phase(plan), place.calibrating
    if phase is None or phase.calibration is None or now is None:
        return
    if now.channel + 1 < len(place.kept(phase.calibration.pulses)):
        place.calibrating = Calibrating(channel=now.channel + 1, since_ns=place.now_ns)
        steering.turn("phase")
        return
    place.calibrating = None
    _all_found(steering, plan, place, "thresholds found, to be approved", out)


def _all_found(steering: Steering, plan: Plan, place: Place, why: str, out: Outbox) -> None:
    """The person's own envelope follows, once the operator approves of it."""
    problem = unresolved(plan, place)
    if problem:
        steering.end(Ending("aborted", problem), out)
        return
    place.envelope = place.own_envelope(plan)
    place.index += 1
    out.event(
        "envelope",
        why=why,
        values={limits.channel: limits.current_max_ma for limits in place.envelope.channels},
    )
    steering.turn("approving")


def interrupted(now: Calibrating) -> Calibrating:
    """After a pause the current rises from the bottom again."""
    return replace(now, ascent=ascending.restarted(now.ascent), burst="ask", catch=False)


def _channel_done(steering: Steering, plan: Plan, place: Place, out: Outbox) -> None:
    phase, now = place.phase(plan), place.calibrating
    if phase is None or phase.calibration is None or now is None:
        return
    calibration: CalibrationPlan = phase.calibration
    pulse = _pulse(place, calibration, now)
    found = ascending.result(now.ascent, pulse.phase_us)
    place.thresholds[pulse.channel] = found
    place.found_ns[pulse.channel] = place.now_ns
    row = trial_of_threshold(phase, pulse.channel, found, calibration.ascent.repeats, place.armed_ns, place.now_ns)
    if calibration.catch_trials:
        row.values["false_alarms"] = float(now.false_alarms)
    out.trial(row)
    steering.pause_stimulator("channel", f"thresholds of {pulse.channel} found", out)


def _pulse(place: Place, calibration: CalibrationPlan, now: Calibrating) -> PulsePlan:
    return place.kept(calibration.pulses)[now.channel]


def _catch_steps(plan: Plan, place: Place, phase: PhasePlan, now: Calibrating) -> frozenset[int]:
    calibration = phase.calibration
    if calibration is None or not calibration.catch_trials:
        return frozenset()
    channel = _pulse(place, calibration, now).channel
    what = (drawn.session_of(plan), place.index, channel, now.ascent.repeat, now.false_alarms)
    return drawn.catch_steps(calibration.ascent.steps, calibration.catch_trials, *what)


def _false_alarm(steering: Steering, place: Place, phase: PhasePlan, now: Calibrating, what: str, out: Outbox) -> None:
    """Somebody felt nothing's touch: the ascent is not believed and begins again at the bottom."""
    calibration = phase.calibration
    if calibration is None:
        return
    alarms = now.false_alarms + 1
    channel = _pulse(place, calibration, now).channel
    out.event("false_alarm", why=f"{what} at a step without current", values={"channel": channel, "count": alarms})
    if alarms > calibration.ascent.repeats + 1:
        why = f"{phase.name}: {channel}: {alarms} answers to steps without current, the thresholds cannot be believed"
        place.reason = why
        steering.pause_stimulator("end", why, out)
        return
    ascent = ascending.disbelieved(now.ascent)
    place.calibrating = replace(
        now, ascent=ascent, burst="rest", since_ns=place.now_ns, catch=False, caught=(), false_alarms=alarms
    )


def _needless(plan: Plan, place: Place) -> bool:
    """Whether every trial before the next calibration was used up by the attempt before."""
    needs = []
    for index in range(place.index + 1, len(plan.phases)):
        if plan.phases[index].calibration is not None:
            break
        if plan.phases[index].block is not None:
            needs.append(not used_up(plan, index))
    return plan.go_on is not None and bool(needs) and not any(needs)


def _known_before(plan: Plan, place: Place, phase: PhasePlan, out: Outbox) -> bool:
    """Take over what the attempt before found here, if that is all and still holds."""
    if plan.go_on is None or phase.calibration is None or place.anew or place.stale:
        return False
    found = {each.channel: each for each in plan.go_on.found if each.phase == place.index}
    channels = [pulse.channel for pulse in place.kept(phase.calibration.pulses)]
    if any(channel not in found for channel in channels):
        return False
    lasted_ns = place.now_ns - (place.begin_ns or 0)
    for channel in channels:
        place.thresholds[channel] = found[channel].thresholds
        place.found_ns[channel] = place.now_ns - lasted_ns - round(found[channel].age_s * 1e9)
    out.event("skipped", why=f"found by {plan.go_on.attempt}", values={"phase": phase.name})
    return True
