"""A protocol in words, and as data with the unit in every name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from myoloop.experiments.outcomes.registry import OUTCOMES
from myoloop.experiments.protocols.evidence import FREE_MARKS
from myoloop.experiments.protocols.phases import BlockPhase, CalibrationPhase, Intensity, RestPhase
from myoloop.experiments.protocols.plan import length_s
from myoloop.experiments.protocols.schema import Outcome, Protocol, StopRule

#: What every protocol shown begins with.
RESEARCH_USE = "Research use only. Not medical advice."


def describe(protocol: Protocol) -> str:
    """Say a protocol in plain words, several lines."""
    return "\n".join(_lines(protocol)) + "\n"


def as_data(protocol: Protocol) -> dict[str, Any]:
    """The protocol as JSON-ready data, every quantity a number with its unit in the key."""
    data: dict[str, Any] = protocol.model_dump(mode="json", exclude_none=True)
    data["least_s"], data["most_s"] = length_s(protocol)
    return data


def duration_text(seconds: float) -> str:
    """Say a length of time: ``12 s``, ``2 min 5 s``, ``1 h 10 min``."""
    if seconds < 60:
        return f"{seconds:g} s"
    minutes, rest_s = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest_s} s" if rest_s else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def _lines(protocol: Protocol) -> Iterator[str]:
    header, evidence = protocol.protocol, protocol.protocol.evidence
    least_s, most_s = length_s(protocol)
    yield f"{header.title} ({header.id} {header.version})"
    yield RESEARCH_USE
    yield f"Runs on {', '.join(header.rigs)} rigs. Takes {duration_text(least_s)} to {duration_text(most_s)}."
    yield ""
    yield f"Evidence: {evidence.grade}. {' '.join(evidence.note.split())}".rstrip()
    yield from _evidence(protocol)
    yield ""
    yield "Muscles"
    for name, site in protocol.sites.items():
        pad = f", pad of {site.pad_area_cm2:g} cm2" if site.pad_area_cm2 is not None else ", not stimulated"
        emg = f", EMG as {site.emg}" if site.emg != "none" else ""
        yield f"  {name}: {site.muscle}, {site.side}{pad}{emg}"
        if site.posture:
            yield f"    posture: {site.posture}"
        if site.avoid:
            yield f"    avoid: {site.avoid}"
    yield ""
    yield "Stimulation"
    for name, channel in protocol.stimulation.items():
        yield f"  {name} on {channel.site}: {channel.phase_us:g} us per phase at {channel.rate_hz:g} Hz, biphasic"
    limits = protocol.envelope
    yield f"  never more than {limits.current_max_ma:g} mA ({limits.waveform_class}), nor 0.9 of the person's tolerance"
    yield ""
    yield "Course"
    if protocol.thresholds is not None:
        yield f"  thresholds are given, not measured: tolerance {protocol.thresholds.tolerance_ma:g} mA"
    for number, item in enumerate(protocol.phases, start=1):
        yield f"  {number}. {_phase(protocol, item.content)}"
    yield ""
    yield f"Controller: {protocol.controller.policy}"
    yield "Ends by itself"
    for rule in protocol.stop_rules:
        yield f"  {_rule(rule)}"
    yield f"Outcome: {_outcome(protocol.outcomes.primary)}"
    for secondary in protocol.outcomes.secondary:
        yield f"  also: {_outcome(secondary)}"


def _outcome(outcome: Outcome) -> str:
    if outcome.measure is None:
        return f"{outcome.entered}, entered by the {outcome.by}"
    known = OUTCOMES.get(outcome.measure)
    return f"{known.text} ({outcome.measure})" if known else outcome.measure


def _evidence(protocol: Protocol) -> Iterator[str]:
    evidence = protocol.protocol.evidence
    unverified = [path for path, marks in evidence.marks.items() if "GK" in marks]
    if unverified:
        yield f"  {FREE_MARKS['GK']} ({len(unverified)} of {len(evidence.marks)} marked values):"
        yield from (f"    {path}" for path in unverified)
    for mark, source in evidence.sources.items():
        yield f"  {mark} ({source.grade}): {source.text}"


def _phase(protocol: Protocol, phase: RestPhase | CalibrationPhase | BlockPhase) -> str:
    if isinstance(phase, RestPhase):
        return f"{phase.name}: rest for {duration_text(phase.duration_s)}"
    pulses = "".join(
        f", {value:g} {unit}" for value, unit in ((phase.phase_us, "us"), (phase.rate_hz, "Hz")) if value is not None
    )
    channels = ", ".join(phase.channels or protocol.stimulation)
    if isinstance(phase, CalibrationPhase):
        times = f", {phase.repeats} times" if phase.repeats > 1 else ""
        return (
            f"{phase.name}: find {', '.join(phase.order)} on {channels} in steps of {phase.step_ma:g} mA "
            f"up to {phase.stop_at_ma:g} mA{times}{pulses}"
        )
    return f"{phase.name}: {_block(protocol, phase)} on {channels}{pulses}, at {_intensity(phase.intensity)}"


def _block(protocol: Protocol, block: BlockPhase) -> str:
    train = (
        f"up in {duration_text(block.ramp_up_s)}, held for {duration_text(block.hold_s)}, "
        f"down in {duration_text(block.ramp_down_s)}"
    )
    if block.machine == "continuous":
        return f"one train, {train}"
    times = f"{block.repeat} x " if block.repeat > 1 else ""
    rest = f", then {duration_text(block.rest_s)} of rest" if block.rest_s else ""
    wait = ""
    if block.await_effort is not None:
        otherwise = "comes without one" if block.await_effort.on_timeout == "assist" else "is left out"
        waited = duration_text(block.await_effort.timeout_s)
        wait = f" that answer an effort (after {waited} the train {otherwise})"
    return f"{times}{block.trials} trials{wait}, {train}{rest}"


def _intensity(intensity: Intensity) -> str:
    if intensity.fixed_ma is not None:
        return f"a fixed {intensity.fixed_ma:g} mA"
    if intensity.share is not None:
        return f"{intensity.share:.0%} of the way from {intensity.ref} to {intensity.to} threshold"
    return f"{intensity.x:g} x {intensity.ref} threshold"


def _rule(rule: StopRule) -> str:
    if rule.pain_rise is not None:
        return f"when the pain score is {rule.pain_rise:g} above the person's own first"
    if rule.pain_ceiling is not None:
        return f"when the pain score is {rule.pain_ceiling:g}"
    if rule.spasms is not None:
        return f"after {rule.spasms.count} spasms within {duration_text(rule.spasms.within_s)}"
    if rule.session_max_s is not None:
        return f"after {duration_text(rule.session_max_s)}"
    return f"after {rule.timeouts} efforts in a row that did not come"
