"""A protocol in words, and as data with the unit in every name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from myoloop.experiments.outcomes.registry import OUTCOMES
from myoloop.experiments.protocols.evidence import FREE_MARKS, marks_of, safety_parameters
from myoloop.experiments.protocols.plan import length_s
from myoloop.experiments.protocols.schema import Outcome, Protocol, StopRule
from myoloop.experiments.protocols.words import duration_text, phase_text

#: What every protocol shown begins with.
RESEARCH_USE = "Research use only. Not medical advice."


def describe(protocol: Protocol) -> str:
    """Say a protocol in plain words, several lines."""
    return "\n".join((*_lines(protocol), *to_sign(protocol))) + "\n"


def as_data(protocol: Protocol) -> dict[str, Any]:
    """The protocol as JSON-ready data, every quantity a number with its unit in the key."""
    data: dict[str, Any] = protocol.model_dump(mode="json", exclude_none=True)
    data["least_s"], data["most_s"] = length_s(protocol)
    return data


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
        yield f"  {number}. {phase_text(protocol, item.content)}"
    yield ""
    yield f"Controller: {protocol.controller.policy}"
    yield "Ends by itself"
    for rule in protocol.stop_rules:
        yield f"  {_rule(rule)}"
    yield from _study(protocol)
    yield f"Outcome: {_outcome(protocol.outcomes.primary)}"
    for secondary in protocol.outcomes.secondary:
        yield f"  also: {_outcome(secondary)}"


def _study(protocol: Protocol) -> Iterator[str]:
    course = protocol.course
    if course is not None:
        yield "Over the weeks"
        yield (
            f"  {course.sessions_per_week} sessions a week for {course.weeks} weeks, at most {course.max_sessions}, "
            f"{duration_text(course.min_gap_s)} apart, {course.sessions_per_day} a day"
        )
        if course.first_session is not None:
            first = course.first_session
            yield f"  the first at most {first.current_share:.0%} of the current and {first.on_share:.0%} of the time"
        for entry in course.diary:
            yield f"  diary: {entry.form} after {', '.join(map(duration_text, entry.after_s))}"
        if course.followups_s:
            yield f"  asked again after {', '.join(map(duration_text, course.followups_s))}"
    for rule in protocol.progression:
        so = f"at least {rule.at_least:g}" if rule.at_least is not None else f"below {rule.below:g}"
        times = f" {rule.in_a_row} times in a row" if rule.in_a_row > 1 else ""
        moves = f"moves {rule.path} by {rule.by:+g}, {rule.least:g} to {rule.most:g}"
        yield f"  {rule.name}: {rule.measure} {so}{times} {moves}"
    if protocol.flare is not None:
        yield f"  after a flare the next dose is {protocol.flare.next_share:.0%}"
    if protocol.arms:
        yield f"Arms: {', '.join(f'{name} ({arm.treatment})' for name, arm in protocol.arms.items())}"
    if protocol.sham is not None:
        yield f"  sham: {protocol.sham.type.replace('_', ' ')}"
    if protocol.population is not None:
        yield f"For: {'; '.join(protocol.population.include)}"
        yield f"Not for: {'; '.join(protocol.population.exclude)}"


def to_sign(protocol: Protocol) -> Iterator[str]:
    """What a clinician signs one by one before a person may be stimulated: value, and what it rests on."""
    parameters = [each for each in safety_parameters(protocol) if each.grade != "trial"]
    if "HUMAN" not in protocol.protocol.rigs or not parameters:
        return
    yield ""
    yield f"Before a person is stimulated a clinician signs this file and these {len(parameters)} values,"
    yield "none of which rests on a trial (myoloop sign):"
    for each in parameters:
        marks = ", ".join(marks_of(protocol.protocol.evidence.marks, each.path)) or "no mark"
        yield f"  {each.path}: {each.written} ({each.grade}: {marks})"


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


def _rule(rule: StopRule) -> str:
    if rule.pain_rise is not None:
        return f"when the pain score is {rule.pain_rise:g} above the person's own first"
    if rule.pain_ceiling is not None:
        return f"when the pain score is {rule.pain_ceiling:g}"
    if rule.spasms is not None:
        return f"after {rule.spasms.count} spasms within {duration_text(rule.spasms.within_s)}"
    if rule.session_max_s is not None:
        return f"after {duration_text(rule.session_max_s)}"
    if rule.attention_s is not None:
        return f"pauses when the operator has given no sign of attention for {duration_text(rule.attention_s)}"
    if rule.cap_hits is not None:
        return f"after {rule.cap_hits} trials in a row in which the gate allowed less than was asked"
    return f"after {rule.timeouts} efforts in a row that did not come"
