"""The forms of a session: what is asked, in which order, what may be answered.

A form's answers are a map of plain JSON under the form's id; where there is one for each site, overridden item,
adverse event or pad material, under ``form.instance``, such as ``skin.ext``. A script gives the map, a terminal makes
it of keys (`Field.typed`).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from myoloop.experiments.screening.fields import Field, parsed_date
from myoloop.experiments.screening.form import Form, Mistake
from myoloop.experiments.screening.instrument_forms import instrument_forms
from myoloop.experiments.screening.item import NOWHERE, ROLES, UNSURE, Item
from myoloop.experiments.screening.items import items_of
from myoloop.experiments.screening.places import PLACES
from myoloop.experiments.screening.questionnaires import QUESTIONNAIRES

#: Conditions with a code of their own (users.md row 32); the rest is text.
COMORBIDITIES = (
    "diabetes", "hypertension", "stroke", "multiple_sclerosis", "spinal_cord_injury", "neuropathy", "kidney_disease",
    "lung_disease", "rheumatic_disease", "bleeding_disorder", "migraine", "mental_illness", "other",
)  # fmt: skip
#: Who may say that a person can take part.
CLEARING_ROLES = ("clinician", "physician", "cardiologist", "neurologist", "oncologist", "obstetrician", "surgeon")
#: Where an adverse event can be; ``whole_body`` where it has no place.
EVENT_PLACES = (*PLACES, "whole_body")
_OTHER = ("other_conditions", ("yes", "unsure"))
_INSTANCE = re.compile(r"[a-z0-9][a-z0-9_-]{0,30}")


def _asked(form: str) -> tuple[Field, ...]:
    """The questions of the items that a form asks."""
    return tuple(_question(item) for item in items_of(form))


def _question(item: Item) -> Field:
    if item.answer == "place":
        return Field(item.id, item.text, "choices", (NOWHERE, *PLACES, UNSURE), alone=(NOWHERE, UNSURE))
    return Field(item.id, item.text, "yes_no" if item.answer == "yes_no" else "yes_no_unsure")


def _text(name: str, question: str, *, optional: bool = False, if_yes: str = "") -> Field:
    asked_if = (if_yes, ("yes", "unsure")) if if_yes else None
    return Field(name, question, "text", optional=optional, asked_if=asked_if)


def _day(name: str, question: str, *, past: bool = True, if_yes: str = "") -> Field:
    return Field(name, question, "date", past=past, asked_if=(if_yes, ("yes",)) if if_yes else None)


#: CTCAE grades that each word stands for.
_GRADES = {"mild": (1,), "moderate": (2,), "severe": (3, 4, 5)}
#: CTCAE's grade of an event that ended in death.
FATAL = 5


def _adverse_event_holds(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    found = []
    grades = _GRADES[values["grade"]]
    if values["ctcae"] not in grades:
        allowed = ", ".join(map(str, grades))
        found.append(("ctcae", f"found {values['ctcae']}, allowed for {values['grade']}: {allowed}"))
    if values["ctcae"] == FATAL and values["resolved"] == "yes":
        found.append(("resolved", "found 'yes', allowed is no: what ended in death is never over"))
    began, ended = parsed_date(values["began"]), parsed_date(values.get("resolved_on"))
    if began is not None and ended is not None and ended < began:
        found.append(("resolved_on", f"found '{ended}', allowed: not before it began on {began}"))
    if values["resolved"] == "no" and "resolved_on" in values:
        found.append(("resolved_on", f"found '{values['resolved_on']}', allowed only where resolved is yes"))
    return found


_SESSION_FORMS = (
    Form(
        "contraindications",
        "Health, asked at every visit",
        (
            *_asked("contraindications"),
            Field("comorbidities", "Which?", "choices", COMORBIDITIES, asked_if=_OTHER),
            _text("comorbidity", "In words?", if_yes="other_conditions"),
        ),
    ),
    Form(
        "consent",
        "Consent",
        (
            *_asked("consent"),
            _text("version", "Which version of the consent form?"),
            _day("signed_on", "When was it signed?"),
        ),
    ),
    Form("information", "What the person has been told, before the first current", _asked("information")),
    Form(
        "clearance",
        "Clearance by a professional",
        (
            _text("by", "Who cleared the person (name)?"),
            Field("role", "In which role?", "choice", CLEARING_ROLES),
            _day("given_on", "When?"),
            Field("sites", "For which sites?", "names"),
            _text("restrictions", "With which restrictions?", optional=True),
            Field("after_surgery", "Is this after an operation?", "yes_no"),
            _day("operated_on", "When was the operation?", if_yes="after_surgery"),
            Field("post_op_cleared_by", "Which surgeon or physician allows it so soon (name)?", "text",
                  asked_if=("after_surgery", ("yes",))),
        ),
    ),
    Form(
        "supervision",
        "Who is there",
        (
            _text("operator", "Who operates (name or code)?"),
            *_asked("supervision"),
            Field("clinician_present", "Is a clinician in the room?", "yes_no"),
            Field("clinician", "Who (name)?", "text", asked_if=("clinician_present", ("yes",))),
        ),
    ),
    Form(
        "medication",
        "Medicines since the last visit",
        (*_asked("medication"), _text("change", "What has changed, and when?", if_yes="medication_changed")),
    ),
    Form(
        "concomitant_care",
        "Other treatment beside the study",
        (
            *_asked("concomitant_care"),
            Field("kinds", "What is being done?", "choices", ("none", "physiotherapy", "graded_motor_imagery",
                  "occupational_therapy", "exercise", "psychology", "injection", "surgery", "other"), alone=("none",)),
            _text("detail", "What has changed, and when?", if_yes="care_changed"),
        ),
    ),
    Form("skin", "Skin at a site, before", _asked("skin"), "site"),
    Form(
        "placement",
        "Pads on the body",
        (*_asked("placement"), _text("signed_by", "Who has checked this (name or code)?"),
         _text("second_person", "Who else has looked?", optional=True)),
        "site",
    ),
    Form(
        "pads",
        "Pads of a site",
        (
            *_asked("pads"),
            _text("lot", "Which lot number?"),
            _text("material", "Which material (as in the patch test)?"),
            Field("uses", "How often have they been used before today?", "number", high=1000),
            Field("uses_max", "How often may they be used, as their maker says?", "number", low=1, high=1000),
            _day("expires_on", "Until when may they be used?", past=False),
        ),
        "site",
    ),
    Form(
        "inspection",
        "Device before use",
        (*_asked("inspection"), _text("serial", "Which serial number has the stimulator?")),
    ),
    Form(
        "patch_test",
        "A patch of pad material is put on the skin",
        (
            _text("material", "Which material?"),
            Field("place", "Where?", "choice", PLACES),
            Field("started_at", "When?", "time", past=True),
        ),
        "material",
    ),
    Form(
        "patch_reading",
        "The skin under the patch is read",
        (
            _text("material", "Which material?"),
            Field("started_at", "When was it put on?", "time", past=True),
            Field("read_at", "When is it read?", "time", past=True),
            Field("result", "What is seen?", "choice", ("negative", "doubtful", "positive")),
        ),
        "material",
    ),
    Form(
        "skin_after",
        "Skin at a site, after",
        (
            Field("redness", "How red is the skin under the pads?", "choice", ("none", "mild", "moderate", "severe")),
            Field("blister", "Is there a blister?", "yes_no"),
            Field("burn", "Is there a burn?", "yes_no"),
            Field("hurts", "Does the skin burn, itch or hurt?", "yes_no"),
        ),
        "site",
    ),
    Form(
        "adverse_event",
        "Adverse event; filled in anew at each follow-up until it is resolved",
        (
            Field("kind", "What is it?", "choice", ("pain", "burn", "skin_reaction", "soreness", "spasm", "dysreflexia",
                  "fainting", "flare", "device_fault", "other")),
            _text("what", "What happened?"),
            Field("place", "Where in the body?", "choice", EVENT_PLACES),
            Field("site", "At which site of the protocol? (none if at none)", "text"),
            _day("began", "When did it begin?"),
            Field("grade", "How bad is it?", "choice", tuple(_GRADES)),
            Field("ctcae", "CTCAE grade?", "number", low=1, high=5),
            Field("serious", "Is it serious (hospital, lasting harm, danger to life)?", "yes_no"),
            Field("related", "Does it come from the stimulation?", "choice",
                  ("unrelated", "unlikely", "possible", "probable", "definite")),
            Field("device_related", "Does it come from the device or its pads?", "yes_no_unsure"),
            Field("action", "What was done?", "choices", ("none", "paused", "stopped", "dose_lowered", "treated",
                  "referred", "withdrawn"), alone=("none",)),
            Field("resolved", "Is it over?", "yes_no"),
            _day("resolved_on", "Since when?", if_yes="resolved"),
            Field("follow_up_on", "When will it be looked at again?", "date", asked_if=("resolved", ("no",))),
            Field("photo", "Name of the photo's file?", "file", optional=True),
        ),
        "event",
        _adverse_event_holds,
    ),
    Form(
        "incident",
        "Something that went wrong, with harm or without",
        (
            Field("kind", "What kind?", "choice", ("device", "software", "electrode", "stop", "wrong_site",
                  "wrong_person", "evacuation", "person_unwell", "other")),
            _text("what", "What happened?"),
            Field("at", "When?", "time", past=True),
            Field("harm", "Was anybody harmed?", "yes_no_unsure"),
            Field("stopped", "Was the stimulation stopped?", "choice", ("yes", "no", "was_off")),
            _text("done", "What was done?"),
            _text("by", "Who reports it (name or code)?"),
        ),
        "event",
    ),
    Form(
        "override",
        "A named person's decision to go on in spite of an item",
        (
            _text("name", "Who decides (name)?"),
            Field("role", "In which role?", "choice", ROLES),
            _text("reason", "For which reason?"),
            _day("given_on", "When?"),
            Field("sites", "For which sites?", "names"),
        ),
        "item",
    ),
)  # fmt: skip

FORMS: dict[str, Form] = {form.id: form for form in (*_SESSION_FORMS, *QUESTIONNAIRES, *instrument_forms())}


def form_of(form_id: str) -> tuple[Form, str]:
    """A form, and the instance that an id names.

    Raises
    ------
    KeyError
        If there is no such form, or it needs an instance or takes none; the text is one clear line.
    """
    name, dot, instance = form_id.partition(".")
    form = FORMS.get(name)
    if form is None:
        near = difflib.get_close_matches(name, FORMS, n=1)
        raise KeyError(f"{form_id}: no such form" + (f" (did you mean {near[0]}?)" if near else ""))
    if form.per and not _INSTANCE.fullmatch(instance):
        named = f"{name}.NAME with NAME of a-z, 0-9, _ and -"
        raise KeyError(f"{form_id}: there is one for each {form.per}, allowed: {named}")
    if not form.per and dot:
        raise KeyError(f"{form_id}: there is one a session, allowed: {name}")
    return form, instance


def mistakes_in(form_id: str, values: Any, now: datetime | None = None) -> list[Mistake]:
    """As `check_form`, each mistake with its field.

    Raises
    ------
    KeyError
        If there is no such form.
    """
    return form_of(form_id)[0].mistakes(values, now)


def check_form(form_id: str, values: Any, now: datetime | None = None) -> list[str]:
    """Everything that is wrong with a filled-in form, one line each; nothing where it is whole.

    Parameters
    ----------
    form_id
        Such as ``nrs`` or ``skin.ext``.
    values
        Its answers.
    now
        With its zone; where given, what must not lie in the future is held to it.
    """
    try:
        found = mistakes_in(form_id, values, now)
    except KeyError as error:
        return [str(error.args[0])]
    return [f"{form_id}: {each.field + ': ' if each.field else ''}{each.problem}" for each in found]


def describe_form(form_id: str) -> str:
    """A form for a terminal or a page: its title, and its questions in order with what may be answered.

    Raises
    ------
    KeyError
        If there is no such form; ``skin`` and ``skin.ext`` both name the form of a site.
    """
    name = form_id.partition(".")[0]
    form = FORMS[name] if form_id == name and name in FORMS else form_of(form_id)[0]
    lines = [f"{form_id}: {form.title}" + (f" (one for each {form.per})" if form.per and form_id == name else "")]
    for number, field in enumerate(form.fields, 1):
        notes = "may be left out" if field.optional else ""
        if field.asked_if is not None:
            notes = f"asked if {field.asked_if[0]} is {' or '.join(field.asked_if[1])}"
        lines.append(f"{number:3}. {field.id}: {field.question}")
        lines.append(f"     {_keys(field)}" + (f"; {notes}" if notes else ""))
    return "\n".join(lines)


def _keys(field: Field) -> str:
    """What may be keyed in."""
    if field.type in ("yes_no", "yes_no_unsure"):
        return ", ".join(f"{each[0]} = {each}" for each in field.values)
    if field.coded:
        return f"as it is written: {', '.join(field.allowed)}"
    if field.type in ("choice", "choices"):
        several = "one or more of " if field.type == "choices" else ""
        return several + ", ".join(f"{number} = {each}" for number, each in enumerate(field.allowed, 1))
    return field.says_allowed()
