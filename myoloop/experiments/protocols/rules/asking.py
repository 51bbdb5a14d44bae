"""What is asked and in which order: forms that exist, screening first, states and conditions that can be reached."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from myoloop.experiments.protocols.plan import timing_of
from myoloop.experiments.protocols.schema import Protocol
from myoloop.experiments.screening.forms import FORMS
from myoloop.platform.yamlfile import KeyPath

Finding = tuple[KeyPath, str, Any]

#: Forms that screening cannot do without where a person is stimulated.
NEEDED = ("consent", "contraindications", "clearance", "supervision", "skin", "pads", "inspection")


def forms_exist(protocol: Protocol) -> Iterator[Finding]:
    """Every form that is asked is one that is known."""
    known = ", ".join(FORMS)
    for index, item in enumerate(protocol.phases):
        for key in ("forms", "prompts"):
            for place, form in enumerate(getattr(item.content, key, ())):
                if form not in FORMS:
                    keys: KeyPath = ("phases", index, item.kind, key, place)
                    yield keys, f"found {form!r}, allowed is one of {known}", "error"
    for index, entry in enumerate(protocol.course.diary if protocol.course else ()):
        if entry.form not in FORMS:
            yield ("course", "diary", index, "form"), f"found {entry.form!r}, allowed is one of {known}", "error"
    if protocol.sham is not None and protocol.sham.check is not None and protocol.sham.check.form not in FORMS:
        text = f"found {protocol.sham.check.form!r}, allowed is one of {known}"
        yield ("sham", "check", "form"), text, "error"


def screening_is_whole(protocol: Protocol) -> Iterator[Finding]:
    """For people: no form is left out on which the screening gate rests."""
    if "HUMAN" not in protocol.protocol.rigs:
        return
    for index, item in enumerate(protocol.phases):
        if item.screening is not None:
            missing = [form for form in NEEDED if form not in item.screening.forms]
            if missing:
                text = f"{', '.join(missing)} is missing, but needed where rigs has HUMAN"
                yield ("phases", index, "screening", "forms"), text, "error"
            return


def states_can_be_reached(protocol: Protocol) -> Iterator[Finding]:
    """Every state of a trial, every condition and every rule of stopping can come about."""
    trials = 0
    for index, item in enumerate(protocol.phases):
        block = item.block
        if block is None:
            continue
        keys: KeyPath = ("phases", index, "block")
        trials += block.trials * block.repeat
        timing = timing_of(protocol, block)
        if block.at_most_s is not None and block.at_most_s <= timing.cue_s:
            text = f"found {block.at_most_s:g} s, the cue alone takes {timing.cue_s:g} s: ramp_up is never reached"
            yield (*keys, "at_most"), text, "error"
        if block.await_effort is not None and timing.sustain_s >= timing.await_timeout_s:
            text = (
                f"found {timing.await_timeout_s:g} s, an effort must last {timing.sustain_s:g} s to count: "
                "no train is ever started by one"
            )
            yield (*keys, "await", "timeout"), text, "error"
        if len(block.conditions) > block.trials * block.repeat:
            text = f"found {len(block.conditions)}, the block has {block.trials * block.repeat} trials"
            yield (*keys, "conditions"), text, "error"
    for index, rule in enumerate(protocol.stop_rules):
        if rule.timeouts is not None and rule.timeouts > trials:
            text = f"found {rule.timeouts}, the protocol has {trials} trials: never reached"
            yield ("stop_rules", index, "timeouts"), text, "error"


RULES = (forms_exist, screening_is_whole, states_can_be_reached)
