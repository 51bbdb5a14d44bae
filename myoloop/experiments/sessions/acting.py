"""The scripted operator of a session: its names, its acts, and what it answers to a form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from myoloop.experiments.protocols.schema import Protocol
from myoloop.experiments.sessions.operator import SCRIPTED_RIGS, Answers, OperatorSettings, ScriptedOperator
from myoloop.experiments.sessions.script import Script, ScriptOperator
from myoloop.experiments.sessions.setup import SessionSetup, SetupError
from myoloop.platform.rig import Rig
from myoloop.platform.yamlfile import FileError


def scripted_operator(setup: SessionSetup, script: Script | None = None) -> ScriptedOperator:
    """Who acts on a rig where nobody can be hurt.

    Parameters
    ----------
    script
        What is done besides serving what the session waits for; without one no form is answered.

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
            answers=script_answers(script),
        )
    except ValueError as error:
        raise SetupError(str(error)) from None


def check_script(script: Script, protocol: Protocol, rig: Rig) -> None:
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
    for number, act in enumerate(script.acts):
        where = f"script: acts[{number}]"
        if act.when is not None and act.when.phase is not None and act.when.phase not in phases:
            problems.append(f"{where}.when.phase: found {act.when.phase!r}, allowed: {', '.join(sorted(phases))}")
        fault = act.do.fault
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


def script_answers(script: Script | None) -> Answers:
    """Answers by form: the script's own, else those of a person with nothing to find, where it says so."""

    def answers(form: str) -> Mapping[str, Any] | None:
        if script is None:
            return None
        if form in script.forms:
            return script.forms[form]
        return _clear(form, script) if script.others == "clear" else None

    return answers


def _clear(form: str, script: Script) -> Mapping[str, Any] | None:
    return None
