"""Writing into a person's diary, and looking into it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any

from myoloop.experiments.screening.adverse import event_due, tells_flare
from myoloop.experiments.screening.forms import FORMS, check_form
from myoloop.experiments.studies import progression
from myoloop.experiments.studies.answered import AnswerError, Found, answered
from myoloop.experiments.studies.chained import read_chained
from myoloop.experiments.studies.courseplan import sessions
from myoloop.experiments.studies.courseview import asked_data, say_asked
from myoloop.experiments.studies.diary import (
    DiaryError,
    Entry,
    Prompt,
    answers,
    asked,
    entry_line,
    standing_entries,
)
from myoloop.experiments.studies.moments import say_moment, write_moment
from myoloop.experiments.studies.personrecord import PersonRecord, append_record, read_record, record_path

#: Question of how many hours after the session, or the course, it is.
AFTER = "after_h"


@dataclass(frozen=True, slots=True)
class Act:
    """An entry that is to be written; `correct` is the number of the one it stands in for."""

    form: str
    answers: Sequence[str]
    who: str
    correct: int | None = None
    why: str = ""


def write(study: Path | str, person: str, act: Act, now: datetime, *, dry_run: bool) -> Found:
    """Write an entry; it answers the prompt that is open, if there is one.

    Raises
    ------
    UserError
        With every mistake in the answers, or if the person or the entry to correct is not there.
    """
    record = read_record(study, person)
    prompts = record.prompts(now)
    corrected = _entry(record, act.correct)
    prompt = None if corrected else answers(prompts, record.diary, act.form, now)
    key = corrected.key if corrected else prompt.key if prompt else ""
    given = answered(act.form, act.answers)
    values = {**_since(act.form, prompt, corrected, now), **given}
    if problems := check_form(act.form, values, record.at_study(now)):
        raise AnswerError(problems)
    line = entry_line(at=now, form=act.form, prompt=prompt, who=act.who, values=values, corrects=corrected, why=act.why)
    flare = _flare(study, record, act, values, (corrected or prompt), now)
    if flare is not None and not dry_run:
        # First: where a kill comes in between, the entry is missing and is written again, the flare is not lost.
        append_record(study, person, "progression", flare)
    row = line if dry_run else append_record(study, person, "diary", line)
    warning = event_due(act.form, values)
    said = "would be written" if dry_run else f"entry {row['n']}"
    lines = [f"{person}: {said}: {act.form}, {f'answers {key}' if key else 'nobody had asked'}"]
    if flare is not None:
        lines.append(f"a flare of session {flare['session']} is on record: it makes the next dose smaller, if it may")
    if warning:
        lines.append(f"an adverse event must be reported (myoloop adverse {study} {person} --report): {warning}")
    data = {"person": person, "written": not dry_run, "entry": row, "adverse_event_due": warning, "flare": flare}
    return Found(data, "\n".join(lines))


def look(study: Path | str, person: str, now: datetime) -> Found:
    """What the person is asked, what became of it, and every entry as it holds."""
    record = read_record(study, person)
    zone: tzinfo = record.course.plan.zone if record.course else UTC
    states = asked(record.prompts(now), record.diary, now)
    entries = standing_entries(record.diary)
    lines = [*say_asked(states, zone), *(_say_entry(each, zone) for each in entries)]
    data = {"person": person, "asked": [asked_data(each) for each in states], "entries": list(map(_data, entries))}
    return Found(data, "\n".join(lines) or f"{person}: nothing asked, nothing written")


def _flare(
    study: Path | str,
    record: PersonRecord,
    act: Act,
    values: Mapping[str, Any],
    asked_by: Prompt | Entry | None,
    now: datetime,
) -> dict[str, Any] | None:
    """The line of the progression log for a flare that is told here; None for none, or one that is there already.

    One that belongs to no session's prompt is of the newest session. A correction takes none back: it was told, and
    the next dose is the smaller one.
    """
    if not tells_flare(act.form, values) or record.course is None:
        return None
    held = [each.number for each in sessions(record.course.booked)]
    session = asked_by.session if asked_by is not None else None
    session = session if session is not None else max(held, default=None)
    if session is None:
        return None
    results, _ = progression.read_progression(read_chained(record_path(study, record.person, "progression")))
    if any(each.flare for each in results if each.session == session):
        return None
    why = f"told in the diary, {act.form}" + (f": {act.why}" if act.why else "")
    return progression.flare_line(session, now, act.who, why)


def _entry(record: PersonRecord, number: int | None) -> Entry | None:
    if number is None:
        return None
    # A correction of a correction belongs to what was first written.
    found = next((each for each in record.diary if each.n == number), None)
    if found is None:
        have = ", ".join(str(each.n) for each in record.diary) or "none"
        raise DiaryError(f"{record.person}: no entry {number} to correct; there are: {have}")
    return found


def _since(form_id: str, prompt: Prompt | None, corrected: Entry | None, now: datetime) -> dict[str, Any]:
    """How many hours after the session it is, for a form that asks that; a correction keeps what it corrects."""
    if corrected is not None:
        return dict(corrected.values)
    form = FORMS.get(form_id.partition(".")[0])
    asks = form is not None and any(field.id == AFTER for field in form.fields)
    if not asks or prompt is None:
        return {}
    return {AFTER: round((now - prompt.since).total_seconds() / 3600)}


def _data(entry: Entry) -> dict[str, Any]:
    return {
        "n": entry.n,
        "at_utc": write_moment(entry.at),
        "form": entry.form,
        "prompt": entry.key,
        "who": entry.who,
        "values": dict(entry.values),
        "corrected": entry.corrects is not None,
        "why": entry.why,
    }


def _say_entry(entry: Entry, zone: tzinfo) -> str:
    told = ", ".join(f"{key} {value}" for key, value in sorted(entry.values.items()))
    corrected = f", corrected: {entry.why}" if entry.corrects is not None else ""
    return f"entry {entry.n}, {say_moment(entry.at, zone)}, {entry.form} by {entry.who}: {told}{corrected}"
