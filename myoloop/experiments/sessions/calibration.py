"""The calibration phase: one channel after the other, one step per act of the operator."""

from __future__ import annotations

from dataclasses import replace

from myoloop.experiments.protocols.plan import CalibrationPlan, Plan, personal_envelope
from myoloop.experiments.sessions import thresholds as ascending
from myoloop.experiments.sessions.outbox import Outbox
from myoloop.experiments.sessions.place import Calibrating, Place
from myoloop.experiments.sessions.steering import Steering
from myoloop.experiments.sessions.trialblock import unresolved
from myoloop.experiments.sessions.trials import trial_of_threshold
from myoloop.experiments.sessions.watch import Ending
from myoloop.platform.messages import Event, StimReport


def enter(steering: Steering, plan: Plan, place: Place, out: Outbox) -> None:
    """Begin with the first channel; a stimulator armed for trials is disarmed first."""
    place.calibrating = Calibrating(since_ns=place.now_ns)
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
    wanted_ma = ascending.next_level_ma(phase.calibration.ascent, now.ascent)
    if now.burst != "ask" or wanted_ma is None:
        return "no step is asked for now"
    if abs(current_ma - wanted_ma) > 1e-6:
        return f"stepped to {current_ma:g} mA, the step asked for is {wanted_ma:g} mA"
    ascent = ascending.stepped(phase.calibration.ascent, now.ascent)
    place.calibrating = replace(now, ascent=ascent, burst="hold", since_ns=place.now_ns, step_ns=place.now_ns)
    return ""


def felt(steering: Steering, plan: Plan, place: Place, event: Event, out: Outbox) -> None:
    """The person has answered; an answer that names another channel, or no threshold, is passed over."""
    phase, now = place.phase(plan), place.calibrating
    if place.stage != "phase" or phase is None or phase.calibration is None or now is None or not place.arm_id:
        return
    what = event.values.get("what")
    channel = phase.calibration.pulses[now.channel].channel
    if what not in ascending.RANK or event.values.get("channel", channel) != channel:
        return
    ascent = ascending.felt(phase.calibration.ascent, now.ascent, str(what))
    over = ascent.done or ascent.repeat != now.ascent.repeat
    # Enough is enough: the burst ends with the answer.
    burst = "rest" if over else now.burst
    since_ns = place.now_ns if burst != now.burst else now.since_ns
    place.calibrating = replace(now, ascent=ascent, burst=burst, since_ns=since_ns)
    if ascent.done:
        _channel_done(steering, plan, place, out)


def seen(plan: Plan, place: Place, report: StimReport) -> None:
    """What the gate has allowed, while a burst is on."""
    phase, now = place.phase(plan), place.calibrating
    if phase is None or phase.calibration is None or now is None or now.burst != "hold":
        return
    channel = phase.calibration.pulses[now.channel].channel
    flowing_ma = max((each.current_ma for each in report.allowed if each.channel == channel), default=0.0)
    place.calibrating = replace(now, ascent=ascending.given(phase.calibration.ascent, now.ascent, flowing_ma))


def go_on(steering: Steering, plan: Plan, place: Place, out: Outbox) -> None:
    """Let time pass."""
    phase, now = place.phase(plan), place.calibrating
    if phase is None or phase.calibration is None or now is None or not place.arm_id:
        return
    calibration = phase.calibration
    if now.burst == "hold" and place.now_ns - now.since_ns >= round(calibration.burst_s * 1e9):
        ascent = ascending.served(calibration.ascent, now.ascent)
        place.calibrating = replace(now, ascent=ascent, burst="rest", since_ns=place.now_ns)
        if ascent.done:
            _channel_done(steering, plan, place, out)
    elif now.burst == "rest" and place.now_ns - now.step_ns >= round(calibration.interval_s * 1e9):
        if ascending.next_level_ma(calibration.ascent, now.ascent) is not None:
            place.calibrating = replace(now, burst="ask", since_ns=place.now_ns)
            return
        # The ceiling has been given and the last threshold was not met.
        ascent = ascending.closed(calibration.ascent, now.ascent)
        place.calibrating = replace(now, ascent=ascent, since_ns=place.now_ns)
        if ascent.done:
            _channel_done(steering, plan, place, out)


def next_channel(steering: Steering, plan: Plan, place: Place, out: Outbox) -> None:
    """A channel is done and disarmed: the next one, or the envelope that follows from all."""
    phase, now = place.phase(plan), place.calibrating
    if phase is None or phase.calibration is None or now is None:
        return
    if now.channel + 1 < len(phase.calibration.pulses):
        place.calibrating = Calibrating(channel=now.channel + 1, since_ns=place.now_ns)
        steering.turn("phase")
        return
    place.calibrating = None
    why = unresolved(plan, place)
    if why:
        steering.end(Ending("aborted", why), out)
        return
    place.envelope = personal_envelope(plan, place.thresholds)
    place.index += 1
    out.event(
        "envelope",
        why="thresholds found, to be approved",
        values={limits.channel: limits.current_max_ma for limits in place.envelope.channels},
    )
    steering.turn("approving")


def interrupted(now: Calibrating) -> Calibrating:
    """After a pause the current rises from the bottom again."""
    return replace(now, ascent=ascending.restarted(now.ascent), burst="ask")


def _channel_done(steering: Steering, plan: Plan, place: Place, out: Outbox) -> None:
    phase, now = place.phase(plan), place.calibrating
    if phase is None or phase.calibration is None or now is None:
        return
    calibration: CalibrationPlan = phase.calibration
    pulse = calibration.pulses[now.channel]
    found = ascending.result(now.ascent, pulse.phase_us)
    place.thresholds[pulse.channel] = found
    repeats = calibration.ascent.repeats
    out.trial(trial_of_threshold(phase, pulse.channel, found, repeats, place.armed_ns, place.now_ns))
    steering.pause_stimulator("channel", f"thresholds of {pulse.channel} found", out)
