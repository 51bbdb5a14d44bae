"""Does the study hang together: arms and how they are hidden, the course, how it goes on, what is measured."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from myoloop.experiments.outcomes.pairs import mvc_pair
from myoloop.experiments.outcomes.registry import NEEDS, OUTCOMES
from myoloop.experiments.protocols.evidence import safety_parameters
from myoloop.experiments.protocols.personal import MOVABLE, movable_part
from myoloop.experiments.protocols.schema import Outcome, Protocol
from myoloop.platform.yamlfile import KeyPath

Finding = tuple[KeyPath, str, Any]

#: Forms that ask the same.
_SAME = {"nrs": {"nrs", "nrs_now"}}
#: What a protocol for people must tell besides what is done.
_FOR_PEOPLE = ("course", "population", "tidier", "spirit")


def arms_are_hidden(protocol: Protocol) -> Iterator[Finding]:
    """Arms come from a sealed list, a sham is one and is checked, and somebody may open it in an emergency."""
    treatments = [arm.treatment for arm in protocol.arms.values()]
    if len(protocol.arms) > 1 and protocol.allocation is None:
        yield ("arms",), "several arms and no allocation: they come from a sealed list only", "error"
    if "sham" in treatments and protocol.sham is None:
        yield ("arms",), "an arm is sham, and there is no section sham that says what is given then", "error"
    if protocol.sham is not None and "sham" not in treatments:
        yield ("sham",), "no arm is sham: allowed with arms: {name: {treatment: sham}}", "error"
    if protocol.allocation is not None and len(protocol.arms) < 2:
        yield ("allocation",), f"found {len(protocol.arms)} arms, allowed is a list for two or more", "error"
    if protocol.sham is not None and (check := protocol.sham.check) is None:
        text = "sham without a blinding check, like check: {during: true, after: true}"
        yield ("sham",), text, "error"
    elif protocol.sham is not None and check is not None and not (check.during and check.after):
        text = "blinding is asked once only: a guess at the end alone tells little, ask during and after"
        yield ("sham", "check"), text, "warning"
    if protocol.sham is not None and protocol.sham.type == "transient":
        yield from _transient_fits(protocol)


def course_is_possible(protocol: Protocol) -> Iterator[Finding]:
    """Sessions fit into their weeks, with their gaps; what carries over is waited for."""
    course = protocol.course
    if course is None:
        return
    if course.min_gap_s * (course.sessions_per_week - 1) >= 7 * 86400:
        most = int(7 * 86400 // course.min_gap_s) + 1
        text = f"found {course.sessions_per_week} a week, the gap of {course.min_gap_s / 3600:g} h allows {most}"
        yield ("course", "sessions_per_week"), text, "error"
    if course.max_sessions > course.sessions_per_week * course.weeks:
        most = course.sessions_per_week * course.weeks
        yield ("course", "max_sessions"), f"found {course.max_sessions}, the course has room for {most}", "error"
    if course.carry_over and course.washout_s is None:
        yield ("course", "carry_over"), "what carries over needs a washout, like washout: 2 wk", "error"


def progression_moves_what_may_move(protocol: Protocol) -> Iterator[Finding]:
    """Rules move plain numbers of blocks, from where they are, within bounds, by what is measured."""
    if protocol.progression and protocol.course is None:
        yield ("progression",), "rules of progression need a course", "error"
    for index, rule in enumerate(protocol.progression):
        keys: KeyPath = ("progression", index)
        if rule.measure not in OUTCOMES:
            yield (*keys, "measure"), f"found {rule.measure!r}, allowed is one of {', '.join(OUTCOMES)}", "error"
        part = movable_part(rule.path)
        if part is None or not protocol.has(rule.path):
            text = f"found {rule.path!r}, allowed is {', '.join(MOVABLE)} of a block of this file"
            yield (*keys, "path"), text, "error"
            continue
        now = float(protocol.written(protocol.keys(rule.path)))
        if not rule.least <= now <= rule.most:
            text = f"{rule.path} is {now:g}, outside its own bounds of {rule.least:g} to {rule.most:g}"
            yield (*keys, "path"), text, "error"
        _, most = MOVABLE[part[1]]
        if rule.most > most:
            yield (*keys, "most"), f"found {rule.most:g}, allowed is at most {most:g}", "error"


def outcomes_can_be_measured(protocol: Protocol) -> Iterator[Finding]:
    """Each outcome is known, and devices, phases and forms are there that it is computed from."""
    yield from _measurable(protocol, ("outcomes", "primary"), protocol.outcomes.primary)
    for index, outcome in enumerate(protocol.outcomes.secondary):
        yield from _measurable(protocol, ("outcomes", "secondary", index), outcome)


def people_are_looked_after(protocol: Protocol) -> Iterator[Finding]:
    """What may run with a person screens, checks, calibrates, and tells what trial protocols forget."""
    if "HUMAN" not in protocol.protocol.rigs:
        return
    for section in _FOR_PEOPLE:
        if getattr(protocol, section) is None:
            text = f"{section} is missing, but needed where rigs has HUMAN"
            yield ("protocol", "rigs"), text, "error"
    kinds = [item.kind for item in protocol.phases]
    first = next((index for index, kind in enumerate(kinds) if kind in ("calibration", "block")), len(kinds))
    for kind in ("screening", "checks"):
        if kind not in kinds[:first]:
            text = f"no {kind} before anything is given, but needed where rigs has HUMAN"
            yield ("phases",), text, "error"
    if not any(rule.pain_rise is not None or rule.pain_ceiling is not None for rule in protocol.stop_rules):
        yield ("stop_rules",), "no pain rule, but needed where rigs has HUMAN, like - pain_rise: 2", "error"
    unmarked = [each.path for each in safety_parameters(protocol) if not protocol.marked(each.path)]
    if unmarked:
        shown = ", ".join(unmarked[:4]) + (f" and {len(unmarked) - 4} more" if len(unmarked) > 4 else "")
        text = f"no mark says what {shown} rests on; GK and PROP are marks too"
        yield ("protocol", "evidence", "marks"), text, "error"


RULES = (
    arms_are_hidden,
    course_is_possible,
    progression_moves_what_may_move,
    outcomes_can_be_measured,
    people_are_looked_after,
)


def _transient_fits(protocol: Protocol) -> Iterator[Finding]:
    sham = protocol.sham
    lengths = [item.block.hold_s for item in protocol.phases if item.block is not None]
    if sham is not None and sham.on_s is not None and lengths and sham.on_s >= min(lengths):
        text = f"found {sham.on_s:g} s, allowed is less than the shortest train, which holds for {min(lengths):g} s"
        yield ("sham", "on"), text, "error"


def _measurable(protocol: Protocol, keys: KeyPath, outcome: Outcome) -> Iterator[Finding]:
    if outcome.measure is None:
        return
    known = OUTCOMES.get(outcome.measure)
    if known is None:
        text = f"found {outcome.measure!r}, allowed is one of {', '.join(OUTCOMES)}, or {{entered: what, by: who}}"
        yield keys, text, "error"
        return
    missing = [_need(need) for need in known.needs if not _has(protocol, need)]
    if missing:
        yield keys, f"{outcome.measure} cannot be measured without {' and '.join(missing)}", "error"


def _need(need: str) -> str:
    kind, _, form = need.partition(":")
    if form:
        return f"the form {form} in the diary of the course" if kind == "diary" else f"the form {form} before and after"
    return NEEDS[need]


def _has(protocol: Protocol, need: str) -> bool:
    devices, kinds = protocol.devices, [item.kind for item in protocol.phases]
    blocks = [item.block for item in protocol.phases if item.block is not None]
    kind, _, form = need.partition(":")
    if kind == "form":
        asked = sum(bool(_SAME.get(form, {form}) & set(forms)) for forms in protocol.forms())
        return asked >= (2 if form == "nrs" else 1)
    if kind == "diary":
        return protocol.course is not None and any(entry.form == form for entry in protocol.course.diary)
    roles = {protocol.sites[name].emg for name in devices.emg.channels if name in protocol.sites}
    return {
        "emg": bool(devices.emg.channels),
        "two_emg": {"agonist", "antagonist"} <= roles,
        "imu": devices.imu is not None and not devices.imu.optional,
        "force": devices.force is not None,
        "rest": sum(item.rest is not None and item.rest.baseline for item in protocol.phases) >= 2,
        "effort": any(block.machine == "effort" for block in blocks),
        "block": bool(blocks),
        "calibration": "calibration" in kinds,
        "mvc": "mvc" in kinds,
        "mvc_pair": mvc_pair(protocol) is not None,
        # Whoever runs a session may set a mark in it.
        "mark": True,
    }.get(need, False)
