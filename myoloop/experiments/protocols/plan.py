"""A protocol made ready for one session: every default filled in, every name resolved, nothing left to look up.

The plan is what the director gets as settings. It is plain frozen dataclasses of floats in named units, written as
JSON into the record, so that a replay needs neither the protocol file nor the rig.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from myoloop.experiments.protocols.envelope import TOLERANCE_SHARE, make_envelope, narrow
from myoloop.experiments.protocols.phases import BlockPhase, CalibrationPhase, RestPhase
from myoloop.experiments.protocols.rigsummary import RigSummary
from myoloop.experiments.protocols.schema import Protocol
from myoloop.experiments.sessions.thresholds import AscentPlan, Thresholds
from myoloop.experiments.sessions.trial_machine import TrialTiming
from myoloop.platform.quantities import QuantityError, parse
from myoloop.stimulators.gate.envelope import Envelope


@dataclass(frozen=True, slots=True)
class PulsePlan:
    """One channel's pulses in a phase."""

    channel: str
    phase_us: float
    rate_hz: float


@dataclass(frozen=True, slots=True)
class IntensityPlan:
    """How strong: threshold `ref` times `x`, or `share` of the way from `ref` to `to`, or `fixed_ma`."""

    ref: str = ""
    x: float | None = None
    share: float | None = None
    to: str = "tolerance"
    fixed_ma: float | None = None


@dataclass(frozen=True, slots=True)
class RestPlan:
    """Nothing asked, nothing given."""

    duration_s: float
    baseline: bool


@dataclass(frozen=True, slots=True)
class CalibrationPlan:
    """Thresholds to find, channel by channel."""

    ascent: AscentPlan
    interval_s: float
    burst_s: float
    pulses: tuple[PulsePlan, ...]


@dataclass(frozen=True, slots=True)
class BlockPlan:
    """Trials to do; after `at_most_s` no new one begins."""

    timing: TrialTiming
    trials: int
    repeat: int
    between_s: float
    intensity: IntensityPlan
    pulses: tuple[PulsePlan, ...]
    at_most_s: float | None = None


@dataclass(frozen=True, slots=True)
class PhasePlan:
    """One phase of the protocol; exactly one of `rest`, `calibration`, `block` is there."""

    name: str
    kind: str
    prompt: str
    rest: RestPlan | None = None
    calibration: CalibrationPlan | None = None
    block: BlockPlan | None = None


@dataclass(frozen=True, slots=True)
class StopRules:
    """When the session ends by itself; None where a rule is not asked for."""

    pain_rise: float | None = None
    pain_ceiling: float | None = None
    spasm_count: int | None = None
    spasm_within_s: float = 0.0
    session_max_s: float | None = None
    timeouts: int | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything the director follows.

    Attributes
    ----------
    protocol, version
        Which protocol it was.
    envelope
        Before this person's thresholds are known.
    device_step_ma
        Currents are rounded down to it.
    thresholds
        Given instead of measured, for every channel; SIM and BENCH only.
    """

    protocol: str
    version: str
    envelope: Envelope
    device_step_ma: float
    phases: tuple[PhasePlan, ...]
    stop: StopRules
    thresholds: Thresholds | None = None


def make_plan(protocol: Protocol, rig: RigSummary, session: str, subject: str) -> Plan:
    """Make a plan of a protocol that `lint` has no error against on this rig.

    Raises
    ------
    ValueError
        If the rig cannot serve it, or thresholds are given instead of measured on a HUMAN rig.
    """
    if rig.device is None:
        raise ValueError(f"the rig {rig.name} has no stimulator")
    if rig.rig_class not in protocol.protocol.rigs:
        allowed = ", ".join(protocol.protocol.rigs)
        raise ValueError(f"{protocol.protocol.id} runs on {allowed} rigs only, {rig.name} is {rig.rig_class}")
    given = protocol.thresholds
    if given is not None and rig.rig_class == "HUMAN":
        raise ValueError(f"{protocol.protocol.id} gives thresholds instead of measuring them, {rig.name} is HUMAN")
    return Plan(
        protocol=protocol.protocol.id,
        version=protocol.protocol.version,
        envelope=make_envelope(protocol, rig, session, subject),
        device_step_ma=rig.device.current_step_ma,
        phases=tuple(_phase(protocol, item.content) for item in protocol.phases),
        stop=_stop_rules(protocol),
        thresholds=None
        if given is None
        else Thresholds(given.sensory_ma, given.motor_ma, given.tolerance_ma, given.tolerance_ma),
    )


def personal_envelope(plan: Plan, thresholds: Mapping[str, Thresholds]) -> Envelope:
    """The protocol's envelope with each channel below what this person called enough, or was tried at all."""
    caps_ma = {
        channel: found.cap_ma * (TOLERANCE_SHARE if found.tolerance_ma is not None else 1.0)
        for channel, found in thresholds.items()
    }
    return narrow(plan.envelope, caps_ma, plan.device_step_ma)


def sustain_s(protocol: Protocol) -> float:
    """How long an effort must last to count, where the policy's settings say so; 0 where they do not."""
    try:
        return parse(protocol.controller.settings.get("sustain", "0 s"), "s")
    except QuantityError:
        return 0.0


def timing_of(protocol: Protocol, block: BlockPhase) -> TrialTiming:
    """Lengths of a block's trial states."""
    wait = block.await_effort
    return TrialTiming(
        machine=block.machine,
        cue_s=block.cue_s,
        await_timeout_s=wait.timeout_s if wait else 0.0,
        sustain_s=sustain_s(protocol) if wait else 0.0,
        assist=wait is None or wait.on_timeout == "assist",
        ramp_up_s=block.ramp_up_s,
        hold_s=block.hold_s,
        ramp_down_s=block.ramp_down_s,
        rest_s=block.rest_s,
    )


def ascent_of(calibration: CalibrationPhase) -> AscentPlan:
    """Steps of a calibration."""
    start_ma = calibration.start_ma if calibration.start_ma is not None else calibration.step_ma
    return AscentPlan(calibration.order, start_ma, calibration.step_ma, calibration.stop_at_ma, calibration.repeats)


def length_s(protocol: Protocol) -> tuple[float, float]:
    """How long it takes if every effort comes at once and no step is needed, and if none comes and all are."""
    least, most = 0.0, 0.0
    for item in protocol.phases:
        if item.rest is not None:
            least, most = least + item.rest.duration_s, most + item.rest.duration_s
        elif item.calibration is not None:
            calibration = item.calibration
            channels = len(calibration.channels or protocol.stimulation)
            least += channels * calibration.interval_s
            most += channels * calibration.repeats * ascent_of(calibration).steps * calibration.interval_s
        elif item.block is not None:
            block, timing = item.block, timing_of(protocol, item.block)
            between_s = block.between_s * (block.repeat - 1)
            trials = block.trials * block.repeat
            last_s = block.at_most_s + timing.longest_s if block.at_most_s is not None else float("inf")
            least += min(trials * timing.shortest_s + between_s, block.at_most_s or float("inf"))
            most += min(trials * timing.longest_s + between_s, last_s)
    return least, most


def _phase(protocol: Protocol, phase: RestPhase | CalibrationPhase | BlockPhase) -> PhasePlan:
    if isinstance(phase, RestPhase):
        return PhasePlan(phase.name, "rest", phase.prompt, rest=RestPlan(phase.duration_s, phase.baseline))
    if isinstance(phase, CalibrationPhase):
        calibration = CalibrationPlan(
            ascent_of(phase),
            phase.interval_s,
            phase.burst_s,
            _pulses(protocol, phase),
        )
        return PhasePlan(phase.name, "calibration", phase.prompt, calibration=calibration)
    wanted = phase.intensity
    block = BlockPlan(
        timing_of(protocol, phase),
        phase.trials,
        phase.repeat,
        phase.between_s,
        IntensityPlan(wanted.ref or "", wanted.x, wanted.share, wanted.to, wanted.fixed_ma),
        _pulses(protocol, phase),
        phase.at_most_s,
    )
    return PhasePlan(phase.name, "block", phase.prompt, block=block)


def _pulses(protocol: Protocol, phase: CalibrationPhase | BlockPhase) -> tuple[PulsePlan, ...]:
    return tuple(
        PulsePlan(
            name,
            phase.phase_us or protocol.stimulation[name].phase_us,
            phase.rate_hz or protocol.stimulation[name].rate_hz,
        )
        for name in phase.channels or tuple(protocol.stimulation)
    )


def _stop_rules(protocol: Protocol) -> StopRules:
    # Of two rules of one kind the stricter counts, so that a second one can never loosen the first.
    rules = protocol.stop_rules
    spasms = [rule.spasms for rule in rules if rule.spasms]
    strictest = min(spasms, key=lambda rule: (rule.count, -rule.within_s), default=None)
    return StopRules(
        pain_rise=min((rule.pain_rise for rule in rules if rule.pain_rise is not None), default=None),
        pain_ceiling=min((rule.pain_ceiling for rule in rules if rule.pain_ceiling is not None), default=None),
        spasm_count=strictest.count if strictest else None,
        spasm_within_s=strictest.within_s if strictest else 0.0,
        session_max_s=min((rule.session_max_s for rule in rules if rule.session_max_s is not None), default=None),
        timeouts=min((rule.timeouts for rule in rules if rule.timeouts is not None), default=None),
    )
