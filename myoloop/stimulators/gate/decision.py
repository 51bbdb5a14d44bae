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
    STOP_REPEATS,
    SUSPEND_MAX_NS,
    TETANIC_ABOVE_HZ,
)
from myoloop.stimulators.gate.dose import add_dose, dose_exceeded
from myoloop.stimulators.gate.envelope import Envelope
from myoloop.stimulators.gate.evidence import Evidence, dead_peer, device_fault, stale_input
from myoloop.stimulators.gate.limits import Setting, current_cap, out_of_range, round_down
from myoloop.stimulators.gate.ontime import OnTime, pass_time
from myoloop.stimulators.gate.rise import Ground, learn, rise_cap
from myoloop.stimulators.gate.states import LATCHED, LIVE, GateSettings, GateState, Latch, Lease, follow


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
    replies: tuple[Reply, ...] = ()
    write: bool = False
    stop: bool = False


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
    clock = _clock_fault(state, evidence, now_ns)
    elapsed_ns = 0 if state.now_ns is None else max(0, now_ns - state.now_ns)
    state = _account(replace(state, now_ns=now_ns), elapsed_ns)
    state = _latch(state, settings, evidence, clock, stops, now_ns)
    replies = []
    for act in acts:
        state, reply = perform(state, act, settings, evidence, now_ns)
        replies.append(reply)
    # A device that has just been found, or lost while nothing could flow, moves the state only.
    state = replace(state, name=follow(state.name, "device found" if evidence.device.connected else "device lost"))
    refusal = ""
    if request is not None:
        state, refusal = _accept(state, settings, request, now_ns)
    asked = request.settings if request is not None else state.lease.settings if state.lease is not None else ()
    requested = tuple(setting for setting in asked if not setting.current_ma <= 0.0)
    allowed, rule, reasons = _allow(state, settings, evidence, min(elapsed_ns, CYCLE_MAX_NS), now_ns)
    if refusal and state.ramp is None:
        allowed, rule, reasons = (), refusal.partition(":")[0], (refusal,)
    state, write, stop = _hand_over(state, evidence, allowed, now_ns)
    return state, Verdict(requested, allowed, rule, reasons, tuple(replies), write, stop)


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
    flowing = {setting.channel: setting for setting in state.output}
    dose = add_dose(state.dose, ((s.charge_uc, s.rate_hz) for s in state.output), elapsed_ns)
    ontime = {
        limits.channel: pass_time(
            state.ontime.get(limits.channel, OnTime()),
            limits.channel in flowing and flowing[limits.channel].rate_hz > TETANIC_ABOVE_HZ,
            elapsed_ns,
            envelope,
        )
        for limits in envelope.channels
    }
    return replace(state, dose=dose, ontime=ontime)


def _latch(
    state: GateState,
    settings: GateSettings,
    evidence: Evidence,
    clock: str,
    stops: Sequence[str],
    now_ns: int,
) -> GateState:
    """Go to STOPPED or FAULT if there is cause, and watch how long a latched gate has been healthy."""
    broken = clock or device_fault(evidence.device, now_ns) or "; ".join(evidence.faults)
    dead = dead_peer(evidence, settings.watched, now_ns)
    if stops:
        return _zero(state, "stop", Latch(f"stop: {'; '.join(stops)}", now_ns))
    if state.name in LATCHED and state.latch is not None:
        healthy_since_ns = None if broken or dead else state.latch.healthy_since_ns or now_ns
        return replace(state, latch=replace(state.latch, healthy_since_ns=healthy_since_ns))
    in_use = state.name in LIVE or state.ramp is not None
    cause = broken if in_use or (state.name == "READY" and evidence.device.connected) else ""
    if not cause and in_use and dead:
        cause = f"dead peer: {dead}"
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


def _accept(state: GateState, settings: GateSettings, request: Request, now_ns: int) -> tuple[GateState, str]:
    """Take a request as the new lease, or say why not; a refused one ends the old lease too."""
    why = _refusal(state, settings, request, now_ns)
    if why:
        return replace(state, lease=None), why
    arming = state.arming
    if arming is not None and not arming.zero_seen:
        state = replace(state, arming=replace(arming, zero_seen=True))
    expires_ns = request.t_ns + request.lease_ms * 1_000_000
    wanted = tuple(setting for setting in request.settings if setting.current_ma > 0.0)
    return replace(state, lease=Lease(wanted, request.t_ns, expires_ns)), ""


def _refusal(state: GateState, settings: GateSettings, request: Request, now_ns: int) -> str:
    if state.name in LATCHED and state.latch is not None:
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
    if state.lease is not None and request.t_ns < state.lease.t_ns:
        return "request age: older than the one before it"
    names = [setting.channel for setting in request.settings]
    if len(set(names)) != len(names):
        return "range: a channel stands twice"
    for setting in request.settings:
        if envelope.channel(setting.channel) is None:
            return f"range: {setting.channel} is not in the envelope"
        why = out_of_range(setting, envelope, settings.device)
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


def _allow(
    state: GateState, settings: GateSettings, evidence: Evidence, elapsed_ns: int, now_ns: int
) -> tuple[tuple[Setting, ...], str, tuple[str, ...]]:
    """Limit what the lease (or a pause's ramp) asks for."""
    envelope = state.envelope
    if state.latch is not None:
        return (), "latched", (state.latch.cause,)
    if envelope is None or (state.lease is None and state.ramp is None):
        return (), "", ()
    rule, why = stale_input(evidence, envelope, now_ns)
    if rule:
        return (), rule, (why,)
    if state.ramp is not None:
        return _ramp_down(state, settings, envelope, now_ns), "pause", ("paused: ramping down",)
    lease = state.lease
    if lease is None or not lease.settings:
        return (), "", ()
    if now_ns >= lease.expires_ns:
        return (), "lease", (f"lapsed {(now_ns - lease.expires_ns) / 1e6:.0f} ms ago",)
    if not evidence.phase_running:
        return (), "phase", ("the protocol does not run",)
    why = dose_exceeded(state.dose, settings.prior, envelope)
    if why:
        return (), "dose", (why,)
    for setting in lease.settings:
        if state.ontime.get(setting.channel, OnTime()).exhausted and setting.rate_hz > TETANIC_ABOVE_HZ:
            return (), "on-time", (f"{setting.channel}: on-time or duty is used up, it must rest",)
    return _limit(state, settings, envelope, lease.settings, elapsed_ns, now_ns)


def _limit(
    state: GateState,
    settings: GateSettings,
    envelope: Envelope,
    wanted: tuple[Setting, ...],
    elapsed_ns: int,
    now_ns: int,
) -> tuple[tuple[Setting, ...], str, tuple[str, ...]]:
    flowing = {setting.channel: setting for setting in state.output}
    calibrating = state.arming is not None and bool(state.arming.calibrating)
    allowed, rules, reasons = [], [], []
    for setting in wanted:
        limits = envelope.channel(setting.channel)
        if limits is None:
            continue
        width_us = setting.phase_us
        before = flowing.get(setting.channel)
        now_ma = min(before.current_ma, before.charge_uc * 1e3 / width_us) if before else 0.0
        ground = state.ground.get(setting.channel, Ground())
        caps = [
            (setting.current_ma, ""),
            current_cap(limits, envelope, settings.device, width_us, setting.rate_hz, calibrating),
            rise_cap(ground, now_ma, width_us, envelope, elapsed_ns, now_ns),
        ]
        if calibrating and state.arming is not None:
            caps.append((state.arming.level_ma, "calibration step"))
        cap_ma, rule = min(caps)
        current_ma = round_down(cap_ma, settings.device.current_step_ma)
        if rule:
            rules.append(rule)
            reasons.append(f"{setting.channel}: {current_ma:g} of {setting.current_ma:g} mA, {rule}")
        if current_ma > 0.0:
            allowed.append(replace(setting, current_ma=current_ma))
    return tuple(allowed), rules[0] if rules else "", tuple(reasons)


def _ramp_down(state: GateState, settings: GateSettings, envelope: Envelope, now_ns: int) -> tuple[Setting, ...]:
    """What is left of a pause's ramp; never more than flows now."""
    ramp = state.ramp
    if ramp is None:
        return ()
    left = 1.0 - (now_ns - ramp.since_ns) * 1e-9 / envelope.ramp_down_s
    flowing = {setting.channel: setting.current_ma for setting in state.output}
    settings_left = []
    for setting in ramp.settings:
        current_ma = min(setting.current_ma * left, flowing.get(setting.channel, 0.0))
        current_ma = round_down(max(0.0, current_ma), settings.device.current_step_ma)
        if current_ma > 0.0:
            settings_left.append(replace(setting, current_ma=current_ma))
    return tuple(settings_left)


def _hand_over(
    state: GateState, evidence: Evidence, allowed: tuple[Setting, ...], now_ns: int
) -> tuple[GateState, bool, bool]:
    """Remember what is about to flow; say whether to write it, and whether to write stop bytes first."""
    envelope = state.envelope
    ground = dict(state.ground)
    if envelope is not None:
        for setting in allowed:
            known = ground.get(setting.channel, Ground())
            ground[setting.channel] = learn(known, setting.current_ma, setting.phase_us, envelope, now_ns)
    ramp = state.ramp if allowed else None
    name = follow(state.name, "current" if allowed else "zero")
    stop = state.stops_left > 0
    changed = allowed != state.output
    due = state.written_ns is None or now_ns - state.written_ns >= REFRESH_NS
    alive = name not in LATCHED and name != "DISCONNECTED" and evidence.device.connected
    # A device that has not acknowledged zero though zero was commanded gets no keep-alive: its own lease ends it.
    keep_alive = due and (bool(allowed) or evidence.device.acknowledged_zero)
    write = alive and (changed or keep_alive)
    state = replace(
        state,
        name=name,
        ramp=ramp,
        ground=ground if state.latch is None else {},
        output=allowed,
        written_ns=now_ns if write else state.written_ns,
        stops_left=state.stops_left - 1 if stop else 0,
    )
    return state, write, stop
