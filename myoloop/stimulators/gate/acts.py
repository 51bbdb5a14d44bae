"""What operator and director may do to the gate, one function an act."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from myoloop.stimulators.gate.ceilings import CALIBRATION_STEP_NS, HEALTHY_NS, LOCKOUT_NS
from myoloop.stimulators.gate.dose import dose_exceeded
from myoloop.stimulators.gate.envelope import EnvelopeError, check_envelope, finite, parse_envelope
from myoloop.stimulators.gate.evidence import Evidence, dead_peer, device_fault, node_fault, stale_input
from myoloop.stimulators.gate.limits import round_down
from myoloop.stimulators.gate.states import LIVE, Arming, GateSettings, GateState, PauseRamp, follow


@dataclass(frozen=True, slots=True)
class Act:
    """An act as it arrived.

    Attributes
    ----------
    id
        The sender's name for it; the answer carries it.
    kind
        ``confirm``, ``set_envelope``, ``arm``, ``step``, ``pause``, ``acknowledge``.
    role
        What the sender's key allows it to be.
    scripted
        Whether no human did it.
    nonce
        Randomness from the node, for the arming's name.
    """

    id: str
    kind: str
    role: str
    arguments: Mapping[str, Any]
    scripted: bool
    nonce: str


@dataclass(frozen=True, slots=True)
class Reply:
    """What became of an act."""

    id: str
    ok: bool
    reason: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)


#: Who may do what. Stopping is not in this table: everybody may, always.
MAY: dict[str, frozenset[str]] = {
    "confirm": frozenset({"operator"}),
    "set_envelope": frozenset({"director"}),
    "arm": frozenset({"operator"}),
    "step": frozenset({"operator"}),
    "pause": frozenset({"operator", "director"}),
    "acknowledge": frozenset({"operator"}),
}


def perform(
    state: GateState, act: Act, settings: GateSettings, evidence: Evidence, now_ns: int
) -> tuple[GateState, Reply]:
    """Do one act, or say why not; what is refused changes nothing."""
    if act.kind not in MAY:
        return state, Reply(act.id, False, f"unknown act {act.kind!r}, known are {', '.join(sorted(MAY))}")
    if act.role not in MAY[act.kind]:
        return state, Reply(act.id, False, f"{act.role or 'nobody'} may not {act.kind}")
    # A pause only lowers current: nobody who may is kept from it.
    if act.scripted and act.kind != "pause" and settings.rig_class not in ("SIM", "BENCH"):
        return state, Reply(act.id, False, f"a script may not {act.kind} on a {settings.rig_class} rig")
    doing = {
        "confirm": _confirm,
        "set_envelope": _set_envelope,
        "arm": _arm,
        "step": _step_up,
        "pause": _pause,
        "acknowledge": _acknowledge,
    }[act.kind]
    return doing(state, act, settings, evidence, now_ns)


def _set_envelope(
    state: GateState, act: Act, settings: GateSettings, evidence: Evidence, now_ns: int
) -> tuple[GateState, Reply]:
    if state.name not in ("CONNECTED", "READY"):
        return state, Reply(act.id, False, f"an envelope is set in CONNECTED or READY, not in {state.name}")
    if state.output:
        return state, Reply(act.id, False, "an envelope is not set while current flows")
    try:
        envelope = parse_envelope(act.arguments)
        check_envelope(envelope, settings.device)
    except EnvelopeError as error:
        return state, Reply(act.id, False, str(error))
    for what, found, wanted in (
        ("session", envelope.session, settings.session),
        ("subject", envelope.subject, settings.subject),
    ):
        if found != wanted:
            return state, Reply(act.id, False, f"envelope.{what}: found {found!r}, this is {wanted!r}")
    state = replace(state, name=follow(state.name, "set_envelope"), envelope=envelope, ground={})
    return state, Reply(act.id, True, values={"envelope_sha256": envelope.sha256})


def _confirm(
    state: GateState, act: Act, settings: GateSettings, evidence: Evidence, now_ns: int
) -> tuple[GateState, Reply]:
    if state.name != "CONNECTED" or state.envelope is None:
        return state, Reply(act.id, False, f"nothing to confirm in {state.name} with{_out(state)} an envelope")
    if act.arguments.get("envelope_sha256") != state.envelope.sha256:
        return state, Reply(act.id, False, "confirm names another envelope than the one that is set")
    return replace(state, name=follow(state.name, "confirm")), Reply(act.id, True)


def _arm(
    state: GateState, act: Act, settings: GateSettings, evidence: Evidence, now_ns: int
) -> tuple[GateState, Reply]:
    envelope = state.envelope
    if state.name != "READY" or envelope is None or state.ramp is not None:
        return state, Reply(act.id, False, f"arming is from READY at zero current, this is {state.name}")
    if act.arguments.get("session") != settings.session:
        return state, Reply(act.id, False, f"arm names session {act.arguments.get('session')!r}")
    if act.arguments.get("envelope_sha256") != envelope.sha256:
        return state, Reply(act.id, False, "arm names another envelope than the one that is set")
    mode, channel = act.arguments.get("mode"), act.arguments.get("channel", "")
    if mode not in ("normal", "calibration"):
        return state, Reply(act.id, False, f"arm.mode: found {mode!r}, allowed are normal and calibration")
    if mode == "calibration" and envelope.channel(channel) is None:
        return state, Reply(act.id, False, f"arm.channel: found {channel!r}, not in the envelope")
    if not act.nonce:
        return state, Reply(act.id, False, "arm came without the node's randomness")
    why = (
        device_fault(evidence.device, now_ns)
        or ("" if evidence.device.acknowledged_zero else "device: has not acknowledged zero")
        or node_fault(evidence)
        or dead_peer(evidence, settings.watched, now_ns)
        or stale_input(evidence, envelope, now_ns)[1]
        or dose_exceeded(state.dose, settings.prior, envelope)
    )
    if why:
        return state, Reply(act.id, False, why)
    cause = "arm" if mode == "normal" else "arm for calibration"
    arming = Arming(act.nonce, calibrating=channel if mode == "calibration" else "")
    state = replace(state, name=follow(state.name, cause), arming=arming, lease=None)
    return state, Reply(act.id, True, values={"arm_id": arming.arm_id})


def _step_up(
    state: GateState, act: Act, settings: GateSettings, evidence: Evidence, now_ns: int
) -> tuple[GateState, Reply]:
    arming, envelope = state.arming, state.envelope
    if state.name != "CALIBRATING" or arming is None or envelope is None:
        return state, Reply(act.id, False, f"a step is an act of calibration, this is {state.name}")
    if act.arguments.get("channel") != arming.calibrating:
        return state, Reply(act.id, False, f"step.channel: found {act.arguments.get('channel')!r}, not the one armed")
    given = act.arguments.get("current_ma")
    wanted_ma = finite(given)
    if wanted_ma is None:
        return state, Reply(act.id, False, f"step.current_ma: found {given!r}, allowed is a finite number")
    if wanted_ma > arming.level_ma:
        if arming.last_step_ns is not None and now_ns - arming.last_step_ns < CALIBRATION_STEP_NS:
            return state, Reply(act.id, False, "steps are at least 300 ms apart")
        # A rounding error in the sender's sum of steps is no second step.
        if wanted_ma > arming.level_ma + envelope.step_ma * (1.0 + 1e-9):
            most_ma = round_down(arming.level_ma + envelope.step_ma, settings.device.current_step_ma)
            return state, Reply(act.id, False, f"step.current_ma: found {wanted_ma:g}, at most {most_ma:g} now")
        if wanted_ma > envelope.current_ma_calibrating:
            cap_ma = envelope.current_ma_calibrating
            return state, Reply(act.id, False, f"step.current_ma: found {wanted_ma:g}, calibration ends at {cap_ma:g}")
    level_ma = max(0.0, wanted_ma)
    state = replace(state, arming=replace(arming, level_ma=level_ma, last_step_ns=now_ns))
    return state, Reply(act.id, True, values={"current_ma": level_ma})


def _pause(
    state: GateState, act: Act, settings: GateSettings, evidence: Evidence, now_ns: int
) -> tuple[GateState, Reply]:
    at_once = act.arguments.get("at_once", False) is not False
    if at_once:
        # A pause that ramps down already is cut short too.
        state = replace(state, ramp=None)
    if state.name not in LIVE:
        return state, Reply(act.id, True, f"nothing to pause in {state.name}")
    ramp = PauseRamp(state.output, now_ns, state.calibrating) if state.output and not at_once else None
    state = replace(state, name=follow(state.name, "pause"), arming=None, lease=None, ramp=ramp)
    return state, Reply(act.id, True)


def _acknowledge(
    state: GateState, act: Act, settings: GateSettings, evidence: Evidence, now_ns: int
) -> tuple[GateState, Reply]:
    latch = state.latch
    if latch is None:
        return state, Reply(act.id, False, f"nothing to acknowledge in {state.name}")
    if latch.healthy_since_ns is None or now_ns - latch.healthy_since_ns < HEALTHY_NS:
        return state, Reply(act.id, False, f"{latch.cause}: not healthy for 3 s")
    left_ns = LOCKOUT_NS - (now_ns - latch.since_ns)
    if left_ns > 0:
        return state, Reply(act.id, False, f"{latch.cause}: locked for another {left_ns / 1e9:.1f} s")
    return replace(state, name=follow(state.name, "acknowledge"), latch=None), Reply(act.id, True)


def _out(state: GateState) -> str:
    return "out" if state.envelope is None else ""
