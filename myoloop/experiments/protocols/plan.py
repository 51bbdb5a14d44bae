"""A protocol made ready for one session: every default filled in, every name resolved, nothing left to look up.

The plan is what the director gets as settings. It is plain frozen dataclasses of floats in named units, written as
JSON into the record, so that a replay needs neither the protocol file nor the rig.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from myoloop.experiments.protocols.envelope import TOLERANCE_SHARE, make_envelope, narrow
from myoloop.experiments.protocols.personal import SessionCaps, capped, personalised
from myoloop.experiments.protocols.phases import (
    AnyPhase,
    BlockPhase,
    CalibrationPhase,
    ChecksPhase,
    Intensity,
    MvcPhase,
    OptimisePhase,
    PhaseItem,
    QuestionsPhase,
    RestPhase,
    ScreeningPhase,
)
from myoloop.experiments.protocols.planned import (
    BlockPlan,
    CalibrationPlan,
    ChecksPlan,
    ConditionPlan,
    Continuation,
    FlarePlan,
    FormsPlan,
    FoundThresholds,
    IntensityPlan,
    MvcPlan,
    OptimisePlan,
    PhasePlan,
    PlaceOnBody,
    Plan,
    PulsePlan,
    RestPlan,
    ScreeningPlan,
    SitePlan,
    StopRules,
    UsedTrials,
)
from myoloop.experiments.protocols.rigsummary import RigSummary
from myoloop.experiments.protocols.schema import Protocol
from myoloop.experiments.protocols.study import FlareRule
from myoloop.experiments.sessions.thresholds import AscentPlan, Thresholds
from myoloop.experiments.sessions.trial_machine import TrialTiming
from myoloop.platform.quantities import QuantityError, parse
from myoloop.stimulators.gate.envelope import Envelope

__all__ = [
    "MVC_CUE_S",
    "THRESHOLDS_HOLD_S",
    "BlockPlan",
    "CalibrationPlan",
    "ChecksPlan",
    "ConditionPlan",
    "Continuation",
    "FlarePlan",
    "FormsPlan",
    "FoundThresholds",
    "IntensityPlan",
    "MvcPlan",
    "OptimisePlan",
    "PhasePlan",
    "PlaceOnBody",
    "Plan",
    "PulsePlan",
    "RestPlan",
    "ScreeningPlan",
    "SessionCaps",
    "SitePlan",
    "StopRules",
    "UsedTrials",
    "ascent_of",
    "length_s",
    "make_plan",
    "optimise_timing_of",
    "personal_envelope",
    "sustain_s",
    "timing_of",
]

#: How long thresholds hold: what was felt yesterday says nothing of today's pads, skin and muscle.
THRESHOLDS_HOLD_S = 24 * 3600.0
#: The policy whose triggers are another person's.
YOKED = "yoked"
#: From the announcement of a maximal contraction to its prompt.
MVC_CUE_S = 3.0


def make_plan(
    protocol: Protocol,
    rig: RigSummary,
    session: str,
    subject: str,
    *,
    personal: Mapping[str, float] | None = None,
    caps: SessionCaps | None = None,
    screening: ScreeningPlan | None = None,
    go_on: Continuation | None = None,
) -> Plan:
    """Make a plan of a protocol that `lint` has no error against on this rig.

    Parameters
    ----------
    personal
        Values that this person's progression has moved, by their path in the file.
    caps
        Of a smaller session, such as the first.
    screening
        What screening and checks must know; without it a screening phase ends the session.
    go_on
        What a killed attempt of this session has used up and found.

    Raises
    ------
    ValueError
        If the rig cannot serve it, thresholds are given instead of measured on a HUMAN rig, or a personal value is
        none that the protocol lets move.
    """
    if rig.device is None:
        raise ValueError(f"the rig {rig.name} has no stimulator")
    if rig.rig_class not in protocol.protocol.rigs:
        allowed = ", ".join(protocol.protocol.rigs)
        raise ValueError(f"{protocol.protocol.id} runs on {allowed} rigs only, {rig.name} is {rig.rig_class}")
    given = protocol.thresholds
    if given is not None and rig.rig_class == "HUMAN":
        raise ValueError(f"{protocol.protocol.id} gives thresholds instead of measuring them, {rig.name} is HUMAN")
    items = personalised(protocol.phases, protocol, personal or {})
    step_ma = rig.device.current_step_ma
    envelope = make_envelope(protocol, rig, session, subject)
    if caps is not None:
        envelope = capped(envelope, caps, step_ma)
    return Plan(
        protocol=protocol.protocol.id,
        version=protocol.protocol.version,
        envelope=envelope,
        device_step_ma=step_ma,
        phases=tuple(_phase(protocol, item.content, envelope, caps, number) for number, item in enumerate(items)),
        stop=_stop_rules(protocol),
        thresholds=None
        if given is None
        else Thresholds(given.sensory_ma, given.motor_ma, given.tolerance_ma, given.tolerance_ma),
        sites=_sites(protocol, items),
        screening=replace(screening or ScreeningPlan(), rig_class=rig.rig_class),
        overrides=dict(sorted((personal or {}).items())),
        go_on=None if go_on is None else _still_good(go_on),
        flare=None if protocol.flare is None else _flare(protocol.flare, caps),
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


def optimise_timing_of(optimise: OptimisePhase) -> TrialTiming:
    """Lengths of the states of an optimisation's trials."""
    return TrialTiming("cyclic", 0.0, optimise.ramp_up_s, optimise.hold_s, optimise.ramp_down_s, optimise.rest_s)


def calibrated_pulses(protocol: Protocol, channels: tuple[str, ...], before: int) -> tuple[PulsePlan, ...]:
    """Pulses with which the calibration before phase number `before` finds the thresholds of channels."""
    found: dict[str, PulsePlan] = {}
    for item in protocol.phases[:before]:
        calibration = item.calibration
        if calibration is not None:
            pulses = _pulses(protocol, calibration.channels, calibration.phase_us, calibration.rate_hz)
            found |= {pulse.channel: pulse for pulse in pulses}
    own = _pulses(protocol, channels, None, None)
    return tuple(found.get(pulse.channel, pulse) for pulse in own)


def ascent_of(calibration: CalibrationPhase) -> AscentPlan:
    """Steps of a calibration."""
    start_ma = calibration.start_ma if calibration.start_ma is not None else calibration.step_ma
    return AscentPlan(calibration.order, start_ma, calibration.step_ma, calibration.stop_at_ma, calibration.repeats)


def length_s(protocol: Protocol) -> tuple[float, float]:
    """How long it takes if every effort comes at once and no step is needed, and if none comes and all are.

    Waiting for people (forms, approvals, placing electrodes) is not in it.
    """
    least, most = 0.0, 0.0
    for item in protocol.phases:
        phase_least, phase_most = _length_of_s(protocol, item)
        least, most = least + phase_least, most + phase_most
    return least, most


def longest_s(protocol: Protocol) -> float:
    """The longest that a session may be recorded: its phases at their longest, but no longer than its stop rule."""
    limits = [rule.session_max_s for rule in protocol.stop_rules if rule.session_max_s is not None]
    return min([length_s(protocol)[1], *limits])


def _length_of_s(protocol: Protocol, item: PhaseItem) -> tuple[float, float]:
    if item.rest is not None:
        return item.rest.duration_s, item.rest.duration_s
    if item.checks is not None:
        return item.checks.listen_s, item.checks.listen_s
    if item.mvc is not None:
        # Who cannot or may not skips it.
        attempt_s = MVC_CUE_S + item.mvc.hold_s + item.mvc.rest_s
        return 0.0, item.mvc.repeats * attempt_s
    if item.calibration is not None:
        calibration = item.calibration
        channels = len(calibration.channels or protocol.stimulation)
        steps = calibration.repeats * (ascent_of(calibration).steps + calibration.catch_trials)
        return channels * calibration.interval_s, channels * steps * calibration.interval_s
    if item.optimise is not None:
        timing = optimise_timing_of(item.optimise)
        return timing.shortest_s, item.optimise.trials * timing.longest_s
    if item.block is not None:
        block, timing = item.block, timing_of(protocol, item.block)
        between_s = block.between_s * (block.repeat - 1)
        trials = block.trials * block.repeat
        last_s = block.at_most_s + timing.longest_s if block.at_most_s is not None else float("inf")
        least_s = min(trials * timing.shortest_s + between_s, block.at_most_s or float("inf"))
        return least_s, min(trials * timing.longest_s + between_s, last_s)
    return 0.0, 0.0


def _phase(protocol: Protocol, phase: AnyPhase, envelope: Envelope, caps: SessionCaps | None, number: int) -> PhasePlan:
    if isinstance(phase, ScreeningPhase):
        return PhasePlan(phase.name, "screening", phase.prompt, asked=FormsPlan(phase.forms))
    if isinstance(phase, QuestionsPhase):
        return PhasePlan(phase.name, "questions", phase.prompt, asked=FormsPlan(phase.forms))
    if isinstance(phase, ChecksPhase):
        checks = ChecksPlan(
            phase.device,
            phase.placement,
            phase.listen_s,
            phase.noise_max_uv,
            phase.impedance_max_ohm,
            phase.selectivity,
        )
        return PhasePlan(phase.name, "checks", phase.prompt, checks=checks)
    if isinstance(phase, MvcPhase):
        mvc = MvcPlan(phase.muscle, phase.repeats, phase.hold_s, phase.rest_s, phase.skip)
        return PhasePlan(phase.name, "mvc", phase.prompt, mvc=mvc)
    if isinstance(phase, RestPhase):
        return PhasePlan(phase.name, "rest", phase.prompt, rest=RestPlan(phase.duration_s, phase.baseline))
    if isinstance(phase, CalibrationPhase):
        calibration = CalibrationPlan(
            _ascent_within(ascent_of(phase), envelope, caps),
            phase.interval_s,
            phase.burst_s,
            _pulses(protocol, phase.channels, phase.phase_us, phase.rate_hz),
            phase.catch_trials,
            phase.abort_pain_rise,
        )
        return PhasePlan(phase.name, "calibration", phase.prompt, calibration=calibration)
    if isinstance(phase, OptimisePhase):
        pulses = calibrated_pulses(protocol, phase.channels, number)
        optimise = OptimisePlan(
            optimise_timing_of(phase),
            pulses,
            phase.response,
            phase.levels,
            phase.phases_us or tuple(sorted({pulse.phase_us for pulse in pulses})),
            phase.rates_hz or tuple(sorted({pulse.rate_hz for pulse in pulses})),
            phase.trials,
            phase.discomfort_max,
            phase.abort_pain_rise,
            phase.kappa,
        )
        return PhasePlan(phase.name, "optimise", phase.prompt, optimise=optimise)
    block = BlockPlan(
        timing_of(protocol, phase),
        phase.trials,
        phase.repeat,
        phase.between_s,
        _intensity(phase.intensity),
        _pulses(protocol, phase.channels, phase.phase_us, phase.rate_hz),
        phase.at_most_s,
        tuple(
            ConditionPlan(
                name,
                _intensity(condition.intensity or phase.intensity),
                _pulses(
                    protocol,
                    phase.channels,
                    condition.phase_us or phase.phase_us,
                    condition.rate_hz or phase.rate_hz,
                ),
            )
            for name, condition in phase.conditions.items()
        ),
        phase.order,
        phase.prompts,
        yoked=protocol.controller.policy == YOKED,
    )
    return PhasePlan(phase.name, "block", phase.prompt, block=block)


def _intensity(wanted: Intensity) -> IntensityPlan:
    return IntensityPlan(wanted.ref or "", wanted.x, wanted.share, wanted.to, wanted.fixed_ma)


def _ascent_within(ascent: AscentPlan, envelope: Envelope, caps: SessionCaps | None) -> AscentPlan:
    """In a smaller session the steps end at its ceiling too: the gate would refuse them anyway."""
    if caps is None or ascent.stop_at_ma <= envelope.current_ma_calibrating:
        return ascent
    return replace(ascent, stop_at_ma=envelope.current_ma_calibrating)


def _pulses(
    protocol: Protocol, channels: tuple[str, ...], phase_us: float | None, rate_hz: float | None
) -> tuple[PulsePlan, ...]:
    return tuple(
        PulsePlan(
            name,
            phase_us or protocol.stimulation[name].phase_us,
            rate_hz or protocol.stimulation[name].rate_hz,
        )
        for name in channels or tuple(protocol.stimulation)
    )


def _sites(protocol: Protocol, items: list[PhaseItem]) -> tuple[SitePlan, ...]:
    asks_effort = any(item.block is not None and item.block.machine == "effort" for item in items)
    return tuple(
        SitePlan(
            name,
            (site.ref or "").removeprefix("lib/"),
            site.muscle,
            site.side,
            tuple(channel for channel, each in protocol.stimulation.items() if each.site == name),
            listened=name in protocol.devices.emg.channels,
            needed=asks_effort and site.emg == "agonist",
        )
        for name, site in protocol.sites.items()
    )


def _flare(rule: FlareRule, caps: SessionCaps | None) -> FlarePlan:
    return FlarePlan(rule.next_share, on_record=caps is not None and caps.flare_share < 1)


def _still_good(go_on: Continuation) -> Continuation:
    if go_on.new_electrodes:
        return replace(go_on, found=())
    return replace(go_on, found=tuple(each for each in go_on.found if each.age_s < THRESHOLDS_HOLD_S))


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
        attention_s=min((rule.attention_s for rule in rules if rule.attention_s is not None), default=None),
        cap_hits=min((rule.cap_hits for rule in rules if rule.cap_hits is not None), default=None),
    )
