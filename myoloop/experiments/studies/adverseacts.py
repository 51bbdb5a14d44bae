"""Reporting adverse events and writing of them later, between sessions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from myoloop.experiments.studies.adverse import (
    FORM,
    AdverseError,
    AdverseEvent,
    Kind,
    later_line,
    report_line,
)
from myoloop.experiments.studies.answered import Found, answered
from myoloop.experiments.studies.courseview import event_data, say_event
from myoloop.experiments.studies.moments import say_moment
from myoloop.experiments.studies.personrecord import append_record, read_record


@dataclass(frozen=True, slots=True)
class Later:
    """A follow-up, a correction or a resolution that is to be written of event `number`."""

    kind: str
    number: int
    answers: Sequence[str]
    who: str
    why: str


def look(study: Path | str, person: str, now: datetime) -> Found:
    """Every event as it stands, with what was written of it since."""
    events = read_record(study, person).events
    lines = []
    for each in events:
        lines.append(say_event(each, now))
        lines += [
            f"  {note.kind.replace('_', '-')} {say_moment(note.at, UTC)} UTC by {note.who}: {note.why}"
            for note in each.notes
        ]
    data = {"person": person, "open": sum(each.open for each in events), "events": list(map(event_data, events))}
    return Found(data, "\n".join(lines) or f"{person}: no adverse events")


def report(
    study: Path | str,
    person: str,
    answers: Sequence[str],
    session: int | None,
    who: str,
    now: datetime,
    *,
    dry_run: bool,
) -> Found:
    """Report a new event.

    Raises
    ------
    UserError
        With every mistake in the form, or if the person is not there.
    """
    at = read_record(study, person).at_study(now)
    line = report_line(answered(f"{FORM}.new", answers), at=at, who=who, session=session)
    return _written(study, person, line, now, dry_run=dry_run)


def write_later(study: Path | str, person: str, act: Later, now: datetime, *, dry_run: bool) -> Found:
    """Follow an event up, correct it, or say that it is over.

    Raises
    ------
    UserError
        If there is no such event, or what is written of it cannot be.
    """
    record = read_record(study, person)
    events = record.events
    event = next((each for each in events if each.number == act.number), None)
    if event is None:
        have = ", ".join(str(each.number) for each in events) or "none"
        raise AdverseError([f"{person}: no adverse event {act.number}; there are: {have}"])
    changed = answered(event.name, act.answers)
    line = later_line(event, cast(Kind, act.kind), changed, at=record.at_study(now), who=act.who, why=act.why)
    return _written(study, person, line, now, dry_run=dry_run)


def _written(study: Path | str, person: str, line: dict[str, Any], now: datetime, *, dry_run: bool) -> Found:
    if dry_run:
        return Found({"person": person, "written": False, "entry": line}, f"{person}: would be written: {line['kind']}")
    row = append_record(study, person, "adverse_events", line)
    event = _event(read_record(study, person).events, row.get("event", row["n"]))
    return Found({"person": person, "written": True, "entry": row, "event": event_data(event)}, say_event(event, now))


def _event(events: Sequence[AdverseEvent], number: int) -> AdverseEvent:
    return next(each for each in events if each.number == number)
