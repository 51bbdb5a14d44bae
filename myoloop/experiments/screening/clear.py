"""Answers and a history without any finding, for scripts on rigs where nobody can be hurt.

They are made on request and for SIM and BENCH alone: a person's answers are never filled in by a program.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any

from myoloop.experiments.screening.equipment import Device
from myoloop.experiments.screening.fields import Field
from myoloop.experiments.screening.forms import form_of
from myoloop.experiments.screening.history import History
from myoloop.experiments.screening.item import NOWHERE
from myoloop.experiments.screening.items import items_of
from myoloop.experiments.screening.patch_test import READ_AFTER_H, PatchReading, PatchTest

#: Rigs that have nobody on them.
REHEARSING = ("SIM", "BENCH")
#: What stands in the answers where a person would name a thing.
SERIAL, MATERIAL, LOT, WHO = "REHEARSAL-1", "rehearsal gel", "REHEARSAL", "script"
#: Forms that are only filled in when there is a finding.
_OF_A_FINDING = frozenset({"override", "adverse_event", "incident", "unblinding_reason"})
#: Answers that the type of the question does not tell.
_SAID: Mapping[str, Mapping[str, Any]] = {
    "concomitant_care": {"kinds": ["none"]},
    "clearance": {"after_surgery": "yes"},
    "consent": {"version": "rehearsal"},
    "supervision": {"clinician_present": "yes"},
    "inspection": {"serial": SERIAL},
    "pads": {"material": MATERIAL, "lot": LOT, "uses": 0, "uses_max": 1000},
    "patch_test": {"material": MATERIAL},
    "patch_reading": {"material": MATERIAL},
    "pgic": {"change": 4},
    "expectations": {"benefit": 5},
    "blinding_guess": {"guess": "do_not_know"},
    "follow_up": {"reached": "yes"},
    "mood_sleep": {"mood": 8, "sleep": 8, "wellbeing": 8},
}


def clear_answers(form_id: str, rig_class: str, now: datetime) -> dict[str, Any]:
    """A form as somebody without any finding would fill it in.

    Parameters
    ----------
    form_id
        Such as ``contraindications`` or ``skin.ext``.
    rig_class
        ``SIM`` or ``BENCH``.
    now
        With its zone: dates in the answers are of this day.

    Raises
    ------
    ValueError
        If the rig is for a person, or the form is one that only a finding calls for.
    KeyError
        If there is no such form.
    """
    _refuse_people(rig_class)
    form, _ = form_of(form_id)
    if form.id in _OF_A_FINDING:
        raise ValueError(f"{form.id}: without a finding there is no such form")
    values: dict[str, Any] = {
        item.id: [NOWHERE] if item.answer == "place" else item.clear for item in items_of(form.id)
    }
    said = _SAID.get(form.id, {})
    for field in form.fields:
        if field.id not in values and (field.id in said or field.is_asked(values)):
            values[field.id] = said[field.id] if field.id in said else _neutral(field, now)
    return values


def clear_history(rig_class: str, now: datetime, sessions: int = 0) -> History:
    """A history that goes with `clear_answers`: device and pad material in order, nothing ever happened.

    Raises
    ------
    ValueError
        If the rig is for a person.
    """
    _refuse_people(rig_class)
    started = now - timedelta(hours=READ_AFTER_H + 24)
    return History(
        sessions=sessions,
        patch_tests=(PatchTest(MATERIAL, "left_arm", started, (PatchReading(now - timedelta(hours=1), "negative"),)),),
        adverse_events=(),
        skin_after=(),
        pads=(),
        devices=(Device(SERIAL, "rehearsal", "none", now.date() + timedelta(days=1), now, True),),
    )


def _refuse_people(rig_class: str) -> None:
    if rig_class not in REHEARSING:
        allowed = ", ".join(REHEARSING)
        raise ValueError(f"rig_class: found {rig_class!r}, allowed: {allowed}; people answer for themselves")


def _neutral(field: Field, now: datetime) -> Any:
    """The least answer of a question."""
    today: date = now.date()
    if field.type == "number":
        return int(field.low)
    if field.type == "choices":
        return [field.allowed[0]]
    if field.type == "names":
        return ["all"]
    if field.type == "date":
        return (today if field.past else today + timedelta(days=1)).isoformat()
    if field.type == "time":
        return now.isoformat(timespec="seconds")
    if field.type == "choice":
        return field.allowed[0]
    return WHO if field.type == "text" else "no"
