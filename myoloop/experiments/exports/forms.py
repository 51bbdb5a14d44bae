"""Filled-in forms as rows that may leave the study: no names, no dates, free text scanned.

Of a date stays how many days it lies from the day of the session; of who filled something in stays nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from myoloop.experiments.analysis.session import Session
from myoloop.experiments.exports.freetext import FreeText
from myoloop.experiments.screening.fields import Field, parsed_date, parsed_time
from myoloop.experiments.screening.forms import FORMS
from myoloop.experiments.studies.chained import read_chained
from myoloop.experiments.studies.diary import Entry, read_diary, standing_entries
from myoloop.experiments.studies.personrecord import record_path
from myoloop.platform.recording.folder import AttemptPlace

#: Questions whose answer is somebody's name, or a picture's file.
PERSONAL = frozenset(
    {"by", "clinician", "name", "operator", "photo", "post_op_cleared_by", "second_person", "signed_by", "who"}
)
#: Answers that are a code of a thing: a number in them is no telephone's.
_CODES = frozenset({"channel", "lot", "material", "serial", "site", "version"})
#: What an event of a filled-in form says besides the answers.
_ABOUT = frozenset({"form", "who"})


@dataclass(frozen=True, slots=True)
class FormRow:
    """One filled-in form.

    Attributes
    ----------
    form, instance
        Its id, and what there is one of it for (a site, an event); empty where there is one a session.
    person, session, attempt
        Whose; number of session and attempt, None where it was written between sessions.
    prompt
        Of a diary, what was asked, such as ``nrs 24 h``.
    t_s
        Into the session; None between sessions.
    values
        Answers by question.
    """

    form: str
    instance: str
    person: str
    session: int | None
    attempt: int | None
    prompt: str
    t_s: float | None
    values: Mapping[str, Any] = field(default_factory=dict)


def session_forms(session: Session, place: AttemptPlace | None, text: FreeText) -> list[FormRow]:
    """Give the forms that were filled in during a session, in order.

    Raises
    ------
    UserError
        If free text is to be refused that holds what must not leave.
    """
    start = session.wall_start
    rows = []
    for event in session.events:
        if event.kind == "form" and isinstance(event.values.get("form"), str):
            form, _, instance = str(event.values["form"]).partition(".")
            answers = {key: value for key, value in event.values.items() if key not in _ABOUT}
            where = f"{_name_of(session, place)}, form {form}"
            values = cleaned(form, answers, None if start is None else start.date(), text, where)
            person = place.subject if place else session.subject
            session_number, attempt = (place.session, place.attempt) if place else (None, None)
            rows.append(FormRow(form, instance, person, session_number, attempt, "", event.t_s, values))
    return rows


def diary_forms(study: Path, person: str, text: FreeText) -> list[FormRow]:
    """Give what a person wrote between sessions, corrections taken in.

    Raises
    ------
    UserError
        If the diary is damaged, or free text is to be refused.
    """
    path = record_path(study, person, "diary")
    entries: tuple[Entry, ...] = standing_entries(read_diary(read_chained(path)))
    rows = []
    for entry in entries:
        form, _, instance = entry.form.partition(".")
        values = cleaned(form, entry.values, entry.at.date(), text, f"sub-{person}, diary, form {form}")
        rows.append(FormRow(form, instance, person, entry.session, None, entry.prompt, None, values))
    return rows


def cleaned(form: str, answers: Mapping[str, Any], day: date | None, text: FreeText, where: str) -> dict[str, Any]:
    """Give answers as they may leave: names left out, dates as days from `day`, free text scanned."""
    fields = fields_of(form)
    rows: dict[str, Any] = {}
    for key, value in answers.items():
        if key in PERSONAL:
            continue
        asked = fields.get(key)
        if asked is not None and asked.type in ("date", "time"):
            rows[f"{key}_days"] = _days(value, day)
        elif isinstance(value, str) and (asked is None or not asked.values) and key not in _CODES:
            rows[key] = text.scanned(value, f"{where}, {key}")
        elif isinstance(value, list | tuple):
            rows[key] = ",".join(str(each) for each in value)
        else:
            rows[key] = value
    return rows


def fields_of(form: str) -> dict[str, Field]:
    """Questions of a form by id; empty for one that is not known."""
    known = FORMS.get(form)
    return {} if known is None else {each.id: each for each in known.fields}


def known_names(study: Path | None, sessions: Iterable[Session]) -> set[str]:
    """Collect names that the study's own records tell: who signed, acted, cleared or filled in.

    A record that is damaged or cut gives the names that can still be read in it: whether it may be believed is not the
    question here.
    """
    names: set[str] = set()
    for session in sessions:
        for event in session.events:
            if event.kind == "form":
                names |= set(_names_in(event.values))
    if study is not None:
        records = [*study.glob("sub-*/ses-*/att-*/forms/*.json"), *study.glob("signatures/*.json")]
        for path in sorted(records):
            names |= set(_names_in(_parsed(path.read_bytes())))
        for log in sorted([*study.rglob("audit.jsonl"), *study.glob("sub-*/record/*.jsonl")]):
            for line in log.read_bytes().splitlines():
                names |= set(_names_in(_parsed(line)))
    return names


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return None


def _names_in(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key in PERSONAL and key != "photo" and isinstance(inner, str):
                yield inner
            else:
                yield from _names_in(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _names_in(inner)


def _days(value: Any, day: date | None) -> float | None:
    told = parsed_date(value)
    moment = parsed_time(value)
    found = told if told is not None else moment.date() if moment is not None else None
    return None if found is None or day is None else float((found - day).days)


def _name_of(session: Session, place: AttemptPlace | None) -> str:
    return f"sub-{place.subject} ses-{place.session:02d}" if place else session.session_id
