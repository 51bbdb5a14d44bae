"""A person's record on disk: where its logs stand, and what was read from all of them at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from myoloop.experiments.studies.adverse import AdverseEvent, read_events
from myoloop.experiments.studies.audit import RECORD_FOLDER
from myoloop.experiments.studies.chained import ChainedLog, read_chained
from myoloop.experiments.studies.course import prompts
from myoloop.experiments.studies.courselog import PersonCourse, read_course
from myoloop.experiments.studies.diary import Entry, Prompt, read_diary
from myoloop.experiments.studies.participants import check_person, refuse_withdrawn
from myoloop.platform.errors import UserError

LogName = Literal["course", "progression", "adverse_events", "diary", "patch_tests"]


class RecordError(UserError, ValueError):
    """A person or a record that is not there; one line for the operator."""


@dataclass(frozen=True, slots=True)
class PersonRecord:
    """What is on record of a person, as far as it concerns the course; `course` is None where none was begun."""

    person: str
    course: PersonCourse | None
    diary: tuple[Entry, ...]
    events: tuple[AdverseEvent, ...]

    def at_study(self, now: datetime) -> datetime:
        """The moment on the study's own clock, whose date a form is held to."""
        return now if self.course is None else now.astimezone(self.course.plan.zone)

    def prompts(self, now: datetime) -> tuple[Prompt, ...]:
        """Everything that is asked of the person."""
        if self.course is None:
            return ()
        return prompts(self.course.plan, self.course.booked, now, self.course.closed_at)


def record_path(study: Path | str, person: str, log: LogName) -> Path:
    """Where a log of a person stands.

    Raises
    ------
    UserError
        If the person is no pseudonym.
    """
    check_person(person)
    return Path(study) / f"sub-{person}" / RECORD_FOLDER / f"{log}.jsonl"


def read_record(study: Path | str, person: str) -> PersonRecord:
    """Read a person's course, diary and adverse events.

    Raises
    ------
    RecordError
        If the study does not have the person.
    UserError
        If a log is damaged or cannot be understood: then nothing is concluded from it.
    """
    folder = record_path(study, person, "course").parents[1]
    if not folder.is_dir():
        have = sorted(each.name.removeprefix("sub-") for each in Path(study).glob("sub-*") if each.is_dir())
        raise RecordError(f"{study}: no person {person}; it has {', '.join(have) or 'nobody'}")
    return PersonRecord(
        person,
        read_course(read_chained(record_path(study, person, "course"))),
        read_diary(read_chained(record_path(study, person, "diary"))),
        read_events(read_chained(record_path(study, person, "adverse_events"))),
    )


def append_record(study: Path | str, person: str, log: LogName, line: Mapping[str, Any]) -> dict[str, Any]:
    """Append a line to a person's log, and wait until it is on the disk; the line as written.

    Raises
    ------
    UserError
        If the person has withdrawn: nothing of theirs may be recorded.
    """
    path = record_path(study, person, log)
    refuse_withdrawn(study, person)
    return ChainedLog(path).append(line)
