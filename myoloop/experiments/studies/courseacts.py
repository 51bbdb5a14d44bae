"""What a named person writes into a course besides its sessions: leave to begin one, its close, a flare told later."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from myoloop.experiments.studies import progression
from myoloop.experiments.studies.course import Override
from myoloop.experiments.studies.courselog import CourseError, PersonCourse, closed_line, override_line
from myoloop.experiments.studies.courseplan import sessions
from myoloop.experiments.studies.personrecord import LogName, append_record, read_record


def lift(
    study: Path, person: str, rule: str, *, name: str, role: str, why: str, now: datetime, dry_run: bool = False
) -> dict[str, Any]:
    """Let one rule not hold for the next session.

    Raises
    ------
    CourseError
        If the person has no course, the rule cannot be lifted, or the role may not.
    """
    course = _course(study, person)
    held = sessions(course.booked)
    number = held[-1].number + 1 if held else 1
    line = override_line(course.plan, Override(number, rule, name, role, why, now))
    return _written(study, person, "course", line, dry_run)


def close(study: Path, person: str, *, who: str, why: str, now: datetime, dry_run: bool = False) -> dict[str, Any]:
    """End a course before its time: no session of it begins any more.

    Raises
    ------
    CourseError
        If the person has no course, or nobody is named, or no reason given.
    """
    _course(study, person)
    return _written(study, person, "course", closed_line(now, who, why), dry_run)


def flare(
    study: Path, person: str, session: int, *, who: str, why: str, now: datetime, dry_run: bool = False
) -> dict[str, Any]:
    """Write that a session was followed by a flare: the next one's dose is smaller, and nothing moves up for it.

    Raises
    ------
    CourseError
        If the person has had no such session.
    ProgressionError
        If nobody is named, or nothing said.
    """
    course = _course(study, person)
    known = [each.number for each in sessions(course.booked)]
    if session not in known:
        raise CourseError(f"{person}: session {session}: found no such session, allowed: {known}")
    return _written(study, person, "progression", progression.flare_line(session, now, who, why), dry_run)


def _course(study: Path, person: str) -> PersonCourse:
    course = read_record(study, person).course
    if course is None:
        raise CourseError(f"{study}: {person} has no course: no session of a protocol with one was begun")
    return course


def _written(study: Path, person: str, log: LogName, line: dict[str, Any], dry_run: bool) -> dict[str, Any]:
    return line if dry_run else append_record(study, person, log, line)
