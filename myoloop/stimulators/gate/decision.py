"""One step of the gate: what may flow now, and why not more.

Called every 10 ms and at each request. Stops come first, then what is broken, then acts, then the request; whatever
remains is limited from above and never raised.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from myoloop.stimulators.gate.acts import Act, Reply, perform
from myoloop.stimulators.gate.ceilings import (
    CYCLE_MAX_NS,
    LEASE_MAX_MS,
    REFRESH_NS,
    REQUEST_AGE_MAX_NS,
    REQUEST_FUTURE_MAX_NS,
    RESTART_MARGIN_NS,
    STOP_REPEATS,
    SUSPEND_MAX_NS,
    TETANIC_ABOVE_HZ,
)
from myoloop.stimulators.gate.dose import Flows, book_pulses, dose_exceeded, dose_with_gap, pass_dose
from myoloop.stimulators.gate.envelope import ChannelLimits, Envelope
from myoloop.stimulators.gate.evidence import Evidence, dead_peer, device_fault, node_fault, stale_input
from myoloop.stimulators.gate.limits import Setting, current_cap, out_of_range, round_down, served_rate_hz
from myoloop.stimulators.gate.ontime import OnTime, must_rest, pass_time
from myoloop.stimulators.gate.rise import Ground, as_strong_ma, learn, rise_cap
from myoloop.stimulators.gate.states import (
    LATCHED,
    LIVE,
    Arming,
    GateSettings,
    GateState,
    Latch,
    Lease,
    PauseRamp,
    follow,
)


@dataclass(frozen=True, slots=True)
class Request:
    """A controller's wish, as it arrived.

    Attributes
    ----------
    t_ns
        When the controller made it: its lease runs from here.
    """

    t_ns: int
    arm_id: str
    lease_ms: int
    settings: tuple[Setting, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is allowed now.

    Attributes
    ----------
    requested, allowed
        Channels with current, as asked for and as let through.
    rule
        The rule that made `allowed` less than `requested`; empty where nothing did.
    reasons
        In words, one per limited channel or one for all.
    replies
        To the acts of this step.
    write
        Whether the device is to be sent `allowed` (also its keep-alive).
    stop
        Whether the device's stop bytes are to be sent before anything else.
    """

    requested: tuple[Setting, ...]
    allowed: tuple[Setting, ...]
    rule: str
    reasons: tuple[str, ...]
    replies: tuple[Reply, ...]
    write: bool
    stop: bool


@dataclass(frozen=True, slots=True)
class _Allowed:
    """What may flow, why not more, and what it was before rounding."""

    settings: tuple[Setting, ...] = ()
    rule: str = ""
    reasons: tuple[str, ...] = ()
    risen: tuple[Setting, ...] = ()


def step(
    state: GateState,
    settings: GateSettings,
    evidence: Evidence,
    request: Request | None,
    acts: Sequence[Act],
    stops: Sequence[str],
    now_ns: int,
) -> tuple[GateState, Verdict]:
    """Take one step.

    Parameters
    ----------
    state
        What the last step returned; the envelope in force is part of it.
    request
        The newest request that has come since the last step, if one has.
    acts
        Acts of operator and director, in the order they came.
    stops
        Who stopped and why, if anybody did.
    now_ns
        Monotonic time.
    """
    if state.now_ns is None:
        # A session begun again goes on with the dose it has had.
        state = replace(state, dose=settings.prior.session)
    clock = _clock_fault(state, evidence, now_ns)
    elapsed_ns = max(0, now_ns - (now_ns if state.now_ns is None else state.now_ns))
    state = _account(replace(state, now_ns=now_ns), elapsed_ns)
    state = _latch(state, settings, evidence, clock, stops, now_ns)
    replies = []
    for act in acts:
        state, reply = perform(state, act, settings, evidence, now_ns)
        replies.append(reply)
    state = _found_or_lost(state, evidence)
    refusal = ""
    if request is not None:
        state, refusal = _accept(state, settings, request, now_ns)
    asked = request.settings if request is not None else state.lease.settings if state.lease is not None else ()
    requested = tuple(setting for setting in asked if setting.current_ma != 0.0)
    if refusal and state.ramp is None:
        allowed = _Allowed(rule=refusal.partition(":")[0], reasons=(refusal,))
    else:
        allowed = _allow(state, settings, evidence, elapsed_ns, now_ns)
    state, write, stop = _hand_over(state, evidence, allowed, now_ns)
    return state, Verdict(requested, allowed.settings, allowed.rule, allowed.reasons, tuple(replies), write, stop)


def _clock_fault(state: GateState, evidence: Evidence, now_ns: int) -> str:
    if state.now_ns is not None:
        if now_ns < state.now_ns:
            return f"clock: went back by {(state.now_ns - now_ns) / 1e6:.1f} ms"
        if now_ns - state.now_ns > CYCLE_MAX_NS:
            return f"clock: {(now_ns - state.now_ns) / 1e6:.0f} ms between two cycles"
    if abs(evidence.slept_ns) > SUSPEND_MAX_NS:
        return f"clock: the host slept for {evidence.slept_ns / 1e6:.0f} ms"
    return ""


def _account(state: GateState, elapsed_ns: int) -> GateState:
    """Book what flowed since the last step."""
    envelope = state.envelope
    if envelope is None:
        return state
    dose, running = pass_dose(state.dose, state.running, _flows(state.output, envelope.channels), elapsed_ns)
    # What does not flow now has its trial of new ground broken off.
    ground = {channel: Ground(known.had) for channel, known in state.ground.items()}
    tetanic = set()
    for s in state.output:
        known = state.ground.get(s.channel, Ground())
        ground[s.channel] = learn(known, s.current_ma, s.phase_us, s.rate_hz, envelope, elapsed_ns)
        if s.rate_hz > TETANIC_ABOVE_HZ:
            tetanic.add(s.channel)
    on = {limits.output for limits in envelope.channels if limits.channel in tetanic}
    ontime = {
        output: pass_time(state.ontime.get(output, OnTime()), output in on, elapsed_ns, envelope)
        for output in sorted(state.ontime.keys() | on)
    }
    return replace(state, dose=dose, running=running, ground=ground, ontime=ontime)


def _flows(settings: tuple[Setting, ...], channels: tuple[ChannelLimits, ...]) -> Flows:
    outputs = {limits.channel: limits.output for limits in channels}
    return {outputs[s.channel]: (s.charge_uc, s.rate_hz) for s in settings}


def _latch(
    state: GateState,
    settings: GateSettings,
    evidence: Evidence,
    clock: str,
    stops: Sequence[str],
    now_ns: int,
) -> GateState:
    """Go to STOPPED or FAULT if there is cause, and watch how long a latched gate has been healthy."""
    faulty = device_fault(evidence.device, now_ns)
    broken = clock or faulty or node_fault(evidence)
    dead = dead_peer(evidence, settings.watched, now_ns)
    if stops:
        return _zero(state, "stop", Latch(f"stop: {'; '.join(stops)}", now_ns))
    if state.latch is not None:
        since_ns = now_ns if state.latch.healthy_since_ns is None else state.latch.healthy_since_ns
        return replace(state, latch=replace(state.latch, healthy_since_ns=None if broken or dead else since_ns))
    cause = ""
    if state.name in LIVE or state.ramp is not None:
        cause = broken or (f"dead peer: {dead}" if dead else "")
    elif evidence.device.connected:
        # Nothing may flow, so a clock may stumble before READY; a device that is wrong may be giving current.
        cause = {"READY": broken, "CONNECTED": faulty}.get(state.name, "")
    return _zero(state, "fault", Latch(cause, now_ns)) if cause else state


def _zero(state: GateState, cause: str, latch: Latch) -> GateState:
    # What was known of the person is not known any more: the next current starts from zero ground.
    return replace(
        state,
        name=follow(state.name, cause),
        latch=latch,
        arming=None,
        lease=None,
        ramp=None,
        ground={},
        stops_left=STOP_REPEATS,
    )


def _found_or_lost(state: GateState, evidence: Evidence) -> GateState:
    """A device that has just been found, or lost while nothing could flow, only moves the state."""
    if evidence.device.connected:
        return replace(state, name=follow(state.name, "device found"))
    # Who knows what is plugged in when it comes back: nothing is known ground any more.
    return replace(state, name=follow(state.name, "device lost"), ground={})


def _accept(state: GateState, settings: GateSettings, request: Request, now_ns: int) -> tuple[GateState, str]:
    """Take a request as the new lease, or say why not; a refused one ends the old lease too."""
    why = _refusal(state, settings, request, now_ns)
    arming = state.arming
    if arming is not None and request.arm_id == arming.arm_id:
        # A stamp from the far future must not shut out all that follow.
        stamp_ns = min(request.t_ns, now_ns + REQUEST_FUTURE_MAX_NS)
        newest_ns = stamp_ns if arming.newest_ns is None else max(stamp_ns, arming.newest_ns)
        arming = replace(arming, zero_seen=arming.zero_seen or not why, newest_ns=newest_ns)
    if why:
        return replace(state, arming=arming, lease=None), why
    expires_ns = request.t_ns + request.lease_ms * 1_000_000
    wanted = tuple(setting for setting in request.settings if setting.current_ma > 0.0)
    return replace(state, arming=arming, lease=Lease(wanted, expires_ns)), ""


def _refusal(state: GateState, settings: GateSettings, request: Request, now_ns: int) -> str:
    if state.latch is not None:
        return f"latched: {state.latch.cause}"
    arming, envelope = state.arming, state.envelope
    if state.name not in LIVE or arming is None or envelope is None:
        return f"not armed: {state.name}"
    if request.arm_id != arming.arm_id:
        return "arm id: not the one in force"
    if not 0 < request.lease_ms <= LEASE_MAX_MS:
        return f"lease: {request.lease_ms} ms, allowed is 1 to {LEASE_MAX_MS}"
    age_ns = now_ns - request.t_ns
    if age_ns > REQUEST_AGE_MAX_NS:
        return f"request age: {age_ns / 1e6:.0f} ms on arrival, at most {REQUEST_AGE_MAX_NS / 1e6:.0f}"
    if age_ns < -REQUEST_FUTURE_MAX_NS:
        return f"request age: from {-age_ns / 1e6:.0f} ms in the future"
    if arming.newest_ns is not None and request.t_ns < arming.newest_ns:
        return "request age: older than the one before it"
    names = [setting.channel for setting in request.settings]
    if len(set(names)) != len(names):
        return "range: a channel stands twice"
    for setting in request.settings:
        if envelope.channel(setting.channel) is None:
            return f"range: {setting.channel} is not in the envelope"
        why = out_of_range(setting, envelope, settings.device) or _out_of_range_as_served(setting, envelope, settings)
        if why:
            return f"range: {why}"
    active = [setting.channel for setting in request.settings if setting.current_ma > 0.0]
    if active and not arming.zero_seen:
        return "first request: must be zero after arming"
    if len(active) > envelope.channels_max:
        return f"channels at once: {len(active)}, at most {envelope.channels_max}"
    if arming.calibrating and any(channel != arming.calibrating for channel in active):
        return f"calibration: only {arming.calibrating} is being calibrated"
    return ""


def _out_of_range_as_served(setting: Setting, envelope: Envelope, settings: GateSettings) -> str:
    """Why the rate that the device would give for it is refused: rounded down, it may be below the least allowed."""
    if setting.current_ma == 0.0:
        return ""
    rate_hz = served_rate_hz(setting.rate_hz, settings.device.period_step_us)
    return out_of_range(replace(setting, rate_hz=rate_hz), envelope, settings.device)


#: Nothing asked for.
_NO_LEASE = Lease((), 0)


def _allow(state: GateState, settings: GateSettings, evidence: Evidence, elapsed_ns: int, now_ns: int) -> _Allowed:
    """Limit what the lease (or a pause's ramp) asks for."""
    if state.latch is not None:
        return _Allowed(rule="latched", reasons=(state.latch.cause,))
    envelope, arming, lease, ramp = state.envelope, state.arming, state.lease or _NO_LEASE, state.ramp
    if envelope is None or (ramp is None and not lease.settings):
        return _Allowed()
    rule, why = stale_input(evidence, envelope, now_ns)
    if rule:
        return _Allowed(rule=rule, reasons=(why,))
    if ramp is not None:
        return _ramp_down(ramp, state.output, settings, envelope, now_ns)
    if arming is None or state.name not in LIVE:
        return _Allowed(rule="not armed", reasons=(f"not armed: {state.name}",))
    if now_ns >= lease.expires_ns:
        return _Allowed(rule="lease", reasons=(f"lapsed {(now_ns - lease.expires_ns) / 1e6:.0f} ms ago",))
    if not evidence.phase_running:
        return _Allowed(rule="phase", reasons=("the protocol does not run",))
    why = dose_exceeded(dose_with_gap(state.dose, state.running), settings.prior, envelope)
    if why:
        return _Allowed(rule="dose", reasons=(why,))
    exhausted = {output for output, ontime in state.ontime.items() if must_rest(ontime, envelope)}
    for setting in lease.settings:
        limits = envelope.channel(setting.channel)
        if limits is not None and limits.output in exhausted and setting.rate_hz > TETANIC_ABOVE_HZ:
            return _Allowed(rule="on-time", reasons=(f"{setting.channel}: on-time or duty is used up, it must rest",))
    return _limit(state, arming, settings, envelope, lease.settings, elapsed_ns)


def _limit(
    state: GateState,
    arming: Arming,
    settings: GateSettings,
    envelope: Envelope,
    wanted: tuple[Setting, ...],
    elapsed_ns: int,
) -> _Allowed:
    before = {setting.channel: setting for setting in state.risen}
    flowing = {setting.channel for setting in state.output}
    level_ma = arming.level_ma if arming.calibrating else None
    allowed, risen, rules, reasons = [], [], [], []
    for setting in wanted:
        limits = envelope.channel(setting.channel)
        if limits is None:
            continue
        if settings.device.restarts_at_once and setting.channel not in flowing:
            wait_ms = _too_soon_ms(state, limits.output, setting.rate_hz)
            if wait_ms > 0.0:
                rules.append("pulse period")
                reasons.append(
                    f"{setting.channel}: the last pulse may be less than a period ago, {wait_ms:.0f} ms left"
                )
                continue
        width_us = setting.phase_us
        was = before.get(setting.channel)
        now_ma = as_strong_ma(was.current_ma, was.phase_us, width_us) if was is not None else 0.0
        ground = state.ground.get(setting.channel, Ground())
        caps = [
            (setting.current_ma, ""),
            current_cap(limits, envelope, settings.device, width_us, setting.rate_hz, level_ma is not None),
            rise_cap(ground, now_ma, width_us, envelope, elapsed_ns),
        ]
        if level_ma is not None:
            caps.append((level_ma, "calibration step"))
        cap_ma, rule = min(caps)
        current_ma = round_down(cap_ma, settings.device.current_step_ma)
        if rule:
            rules.append(rule)
            reasons.append(f"{setting.channel}: {current_ma:g} of {setting.current_ma:g} mA, {rule}")
        risen.append(replace(setting, current_ma=cap_ma))
        if current_ma > 0.0:
            rate_hz = served_rate_hz(setting.rate_hz, settings.device.period_step_us)
            allowed.append(replace(setting, current_ma=current_ma, rate_hz=rate_hz))
    return _Allowed(tuple(allowed), rules[0] if rules else "", tuple(reasons), tuple(risen))


def _too_soon_ms(state: GateState, output: int, rate_hz: float) -> float:
    """How long a channel must stay at zero yet, so that no two pulses are closer than its period."""
    off_ns = state.off_ns.get(output)
    if off_ns is None or state.now_ns is None:
        return 0.0
    return (off_ns + RESTART_MARGIN_NS - state.now_ns) * 1e-6 + 1e3 / rate_hz


def _ramp_down(
    ramp: PauseRamp, output: tuple[Setting, ...], settings: GateSettings, envelope: Envelope, now_ns: int
) -> _Allowed:
    """What is left of a pause's ramp; never more than flows now."""
    left = 1.0 - (now_ns - ramp.since_ns) * 1e-9 / envelope.ramp_down_s
    flowing = {setting.channel: setting.current_ma for setting in output}
    settings_left = []
    for setting in ramp.settings:
        current_ma = min(setting.current_ma * left, flowing.get(setting.channel, 0.0))
        current_ma = round_down(current_ma, settings.device.current_step_ma)
        if current_ma > 0.0:
            settings_left.append(replace(setting, current_ma=current_ma))
    return _Allowed(tuple(settings_left), "pause", ("paused: ramping down",))


def _hand_over(state: GateState, evidence: Evidence, allowed: _Allowed, now_ns: int) -> tuple[GateState, bool, bool]:
    """Remember what is about to flow; say whether to write it, and whether to write stop bytes first."""
    flows = bool(allowed.settings)
    name = follow(state.name, "current" if flows else "zero")
    device = evidence.device
    due = state.sent_ns is None or not 0 <= now_ns - state.sent_ns < REFRESH_NS
    # Stop bytes may be lost with the line; while a device says that it gives current they are sent again.
    unheard = name in LATCHED and device.connected and not device.acknowledged_zero
    stop = state.stops_left > 0 or (unheard and due)
    # A device that has not acknowledged zero though zero was commanded gets no keep-alive: its own lease ends it.
    keep_alive = due and (flows or device.acknowledged_zero)
    write = device.connected and name not in LATCHED and (allowed.settings != state.output or keep_alive)
    stays = {setting.channel for setting in allowed.settings}
    envelope = state.envelope
    channels = envelope.channels if envelope is not None else ()
    went = {setting.channel for setting in state.output} - stays
    ends = {limits.output: now_ns for limits in channels if limits.channel in went}
    dose, running = book_pulses(state.dose, state.running, _flows(allowed.settings, channels))
    state = replace(
        state,
        name=name,
        ramp=state.ramp if flows else None,
        off_ns={**state.off_ns, **ends} if ends else state.off_ns,
        output=allowed.settings,
        risen=allowed.risen,
        dose=dose,
        running=running,
        sent_ns=now_ns if write or stop else state.sent_ns,
        stops_left=max(0, state.stops_left - 1),
    )
    return state, write, stop
