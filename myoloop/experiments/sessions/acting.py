"""The scripted operator of a session: its names, its acts, and what it answers to a form."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from myoloop.experiments.protocols.schema import Protocol
from myoloop.experiments.sessions.byhand import AtTheKeys, ByHand, Hand, HandOperator
from myoloop.experiments.sessions.desk import Desk
from myoloop.experiments.sessions.faults import LIVE_FAULTS
from myoloop.experiments.sessions.keyboard import Keyboard
from myoloop.experiments.sessions.operator import SCRIPTED_RIGS, Answers, OperatorSettings, ScriptedOperator
from myoloop.experiments.sessions.script import Script, ScriptOperator
from myoloop.experiments.sessions.setup import SessionSetup, SetupError
from myoloop.platform.rig import Rig
from myoloop.platform.yamlfile import FileError

#: What the virtual person answers to a form; None where it is not theirs.
AskPerson = Callable[[str], Mapping[str, Any] | None]
#: Who a person at the keys is, on the record.
AT_THE_KEYS = "operator"
#: Of which material or event, where a form is asked without saying so.
REHEARSED = "rehearsal"


def begin_of(script: Script | None) -> datetime:
    """When a scripted session begins to play: on the script's day, else now."""
    told = script.moment if script is not None else None
    return told or datetime.now(UTC)


def scripted_operator(
    setup: SessionSetup, script: Script | None = None, person: AskPerson | None = None
) -> ScriptedOperator:
    """Who acts on a rig where nobody can be hurt.

    Parameters
    ----------
    script
        What is done besides serving what the session waits for; without one no form is answered.
    person
        Whom to ask what the script leaves to the virtual person; None where nobody can be asked.

    Raises
    ------
    SetupError
        If the rig is for people.
    """
    who = script.operator if script is not None else ScriptOperator()
    try:
        return ScriptedOperator(
            setup.rig.rig.rig_class,
            OperatorSettings(
                stimulator=setup.rig.node_of("stimulator") or "",
                director=setup.rig.node_of("director") or "",
                reaction_s=who.reaction_s,
                name=who.name,
            ),
            acts=script.acts if script is not None else (),
            answers=script_answers(script, setup.rig.rig.rig_class, begin_of(script), person),
        )
    except ValueError as error:
        raise SetupError(str(error)) from None


def is_by_hand(rig_class: str, *, at_desk: bool, at_keys: bool) -> bool:
    """Whether a person does what the session waits for: at a desk always, at the keys where somebody could be hurt."""
    return at_desk or (at_keys and rig_class not in SCRIPTED_RIGS)


def operator_of(
    setup: SessionSetup, script: Script | None, keyboard: Keyboard | None, *, at_desk: bool = False
) -> ByHand:
    """Who acts in a live session: a script where nobody can be hurt, a person where somebody is, both at a terminal.

    Parameters
    ----------
    keyboard
        The terminal's; None where there is none.
    at_desk
        Whether a person does at a console what the session waits for, whatever the rig; the desk is there in any case.

    Raises
    ------
    SetupError
        If the rig is for people and nobody sits at it.
    """
    director = setup.rig.node_of("director") or ""
    by_hand = is_by_hand(setup.rig.rig.rig_class, at_desk=at_desk, at_keys=keyboard is not None)
    desk = Desk(serves=by_hand)
    hands: list[Hand] = [desk] if keyboard is None else [AtTheKeys(keyboard, AT_THE_KEYS), desk]
    inner: ScriptedOperator
    if by_hand:
        settings = OperatorSettings(
            stimulator=setup.rig.node_of("stimulator") or "", director=director, name=AT_THE_KEYS, tries=1_000_000
        )
        inner = HandOperator(settings, hands)
    else:
        inner = scripted_operator(setup, script)
        if script is None and keyboard is not None:
            inner.leave_to_keys()
    return ByHand(inner, hands, director, desk)


def check_script(script: Script, protocol: Protocol, rig: Rig, speed: str = "max") -> None:
    """Refuse a script that no such session could follow.

    Raises
    ------
    FileError
        With every phase, channel or source that is not there; and on a rig that no script may operate.
    """
    phases = {item.content.name for item in protocol.phases}
    sources = rig.sources()
    problems = []
    if rig.rig.rig_class not in SCRIPTED_RIGS:
        problems.append(f"script: the rig {rig.rig.id} is {rig.rig.rig_class}, allowed: {', '.join(SCRIPTED_RIGS)}")
    problems += _wrongly_asked(script, rig, speed)
    for number, act in enumerate(script.acts):
        where = f"script: acts[{number}]"
        if act.when is not None and act.when.phase is not None and act.when.phase not in phases:
            problems.append(f"{where}.when.phase: found {act.when.phase!r}, allowed: {', '.join(sorted(phases))}")
        if speed == "real" and act.do.kind == "felt":
            problems.append(f"{where}.do: felt is a virtual person's own word with --speed max only")
        fault = act.do.fault
        if speed == "real" and fault is not None and fault.kind not in LIVE_FAULTS:
            allowed = ", ".join(sorted(LIVE_FAULTS))
            problems.append(f"{where}.do.fault: found {fault.kind}, with --speed real allowed: {allowed}")
        if fault is None:
            continue
        there = rig.stimulation if fault.kind == "electrode_detaches" else rig.emg
        for name in filter(None, (fault.channel, fault.other)):
            if name not in there:
                problems.append(f"{where}.do.fault: found channel {name!r}, allowed: {', '.join(there)}")
        if fault.source is not None and fault.source not in sources:
            problems.append(f"{where}.do.fault.source: found {fault.source!r}, allowed: {', '.join(sources)}")
    if problems:
        raise FileError(problems)


def _wrongly_asked(script: Script, rig: Rig, speed: str) -> list[str]:
    asked = [name for name, values in script.forms.items() if values == "person"]
    if not asked:
        return []
    from myoloop.experiments.subjects.answers import OWN

    problems = [
        f"script: forms.{name}: found person, allowed for {', '.join(sorted(OWN))}" for name in asked if name not in OWN
    ]
    if speed == "real" or rig.node_of("subject") is None:
        problems.append(f"script: forms.{asked[0]}: a virtual person is asked with --speed max and a SIM rig only")
    return problems


def script_answers(script: Script | None, rig_class: str, now: datetime, person: AskPerson | None = None) -> Answers:
    """Answers by form: the script's own or the virtual person's, else of somebody with nothing to find, as it says."""

    def answers(form: str) -> tuple[str, Mapping[str, Any]] | None:
        if script is None:
            return None
        for name, values in script.forms.items():
            # A form of a material or an event may be asked without saying of which.
            if form in (name, name.partition(".")[0]) or name == form.partition(".")[0]:
                told = values if not isinstance(values, str) else None if person is None else person(form)
                return None if told is None else (name if name.partition(".")[0] == form else form, told)
        return _clear(form, rig_class, now) if script.others == "clear" else None

    return answers


def _clear(form: str, rig_class: str, now: datetime) -> tuple[str, Mapping[str, Any]] | None:
    from myoloop.experiments.screening.clear import clear_answers
    from myoloop.experiments.screening.forms import form_of

    try:
        form_of(form)
    except KeyError:
        form = f"{form}.{REHEARSED}"
    try:
        return form, clear_answers(form, rig_class, now)
    except (KeyError, ValueError):
        return None
