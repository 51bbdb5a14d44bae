"""What stands beside a recording and belongs into its report: outcomes, course, adverse events, diary, audit.

All of it is read once. A log that cannot be believed is named and nothing is taken from it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from myoloop.experiments.analysis.sensitivity import Sensitivity, sensitivity_of
from myoloop.experiments.analysis.session import Session
from myoloop.experiments.outcomes.attempt import Measured, measure
from myoloop.experiments.studies.adverse import AdverseEvent, read_events
from myoloop.experiments.studies.audit import AUDIT_FILE
from myoloop.experiments.studies.chained import read_chained
from myoloop.experiments.studies.courselog import PersonCourse, read_course
from myoloop.experiments.studies.diary import Confounder, confounders, read_diary
from myoloop.experiments.studies.personrecord import LogName, record_path
from myoloop.platform.errors import UserError
from myoloop.platform.recording.folder import AttemptPlace, place_of

Rows = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Beside:
    """What belongs to a session and is not in its recording.

    Attributes
    ----------
    place
        Whose attempt it is; None for a recording that stands outside a study.
    course
        None where the person has none.
    events
        The person's adverse events that were reported of this session, or are open.
    confounders
        Changes of medicine or other care that the person's diary tells.
    acts
        Of the attempt's audit.
    problems
        Why a log was not believed.
    sensitivity
        What the person felt at this and each earlier attempt.
    """

    measured: Measured
    place: AttemptPlace | None
    course: PersonCourse | None
    events: tuple[AdverseEvent, ...]
    confounders: tuple[Confounder, ...]
    acts: tuple[Mapping[str, Any], ...]
    problems: tuple[str, ...]
    sensitivity: Sensitivity = Sensitivity(())


def read_beside(session: Session, measured: Measured | None = None) -> Beside:
    """Read it; a recording outside a study has nothing beside it."""
    place, problems = place_of(session.path), []
    measured = measure(session) if measured is None else measured
    if measured.diary_problem:
        problems.append(measured.diary_problem)

    def taken(log: LogName, read: Callable[[Rows], Any]) -> Any:
        if place is None:
            return read([])
        try:
            return read(read_chained(record_path(place.study, place.subject, log)))
        except UserError as error:
            # The diary's has been told with the outcomes.
            if log != "diary":
                problems.append(f"record/{log}.jsonl cannot be believed: {error}")
            return read([])

    events = taken("adverse_events", read_events)
    number = place.session if place is not None else None
    acts: Rows = []
    try:
        acts = read_chained(session.path.parent / AUDIT_FILE)
    except UserError as error:
        problems.append(f"{AUDIT_FILE} cannot be believed: {error}")
    sensitivity = sensitivity_of(session)
    problems += sensitivity.problems
    return Beside(
        measured,
        place,
        taken("course", read_course),
        tuple(each for each in events if each.session == number or each.open),
        confounders(taken("diary", read_diary)),
        tuple(acts),
        tuple(problems),
        sensitivity,
    )


def ended_at(session: Session) -> datetime | None:
    """Wall time (UTC) of the session's end; None where it is not known."""
    begun = session.wall_start
    return begun + timedelta(seconds=session.end_s) if begun is not None else None
