"""Adverse events: what happened, how bad, what it has to do with the stimulation, and whether it is over.

Each line of the log holds the form ``adverse_event`` as it was filled in: first the report, then, each a line of its
own that names the event, follow-ups, corrections and the resolution. Nothing is ever overwritten; what holds is the
newest form. Which sites an open event keeps closed is screening's rule, the same here and at the session's gate.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, Literal

from myoloop.experiments.screening.adverse import event_of, sites_closed_by
from myoloop.experiments.screening.forms import FATAL, check_form
from myoloop.experiments.screening.places import PlannedSite
from myoloop.experiments.studies.moments import read_moment, write_moment
from myoloop.platform.errors import UserError

Kind = Literal["report", "follow_up", "correction", "resolution"]
LATER: tuple[Kind, ...] = ("follow_up", "correction", "resolution")
FORM = "adverse_event"


class AdverseError(UserError, ValueError):
    """A report that cannot be; one clear line each in `problems`."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


@dataclass(frozen=True, slots=True)
class Note:
    """What was written of an event after its report."""

    at: datetime
    kind: Kind
    who: str
    why: str


@dataclass(frozen=True, slots=True)
class AdverseEvent:
    """One event as it stands, with everything that was written of it since.

    Attributes
    ----------
    number
        Of its report in the log; what the event is known by.
    session
        During or after which it was seen; None where it belongs to none.
    values
        The form ``adverse_event`` as it holds now.
    """

    number: int
    at: datetime
    who: str
    session: int | None
    values: Mapping[str, Any]
    notes: tuple[Note, ...] = ()

    @property
    def name(self) -> str:
        """Its form's id."""
        return f"{FORM}.ae-{self.number}"

    @property
    def fatal(self) -> bool:
        """Whether it ended in death; such an event is never over."""
        return bool(self.values["ctcae"] == FATAL)

    @property
    def open(self) -> bool:
        """Whether it is still to be followed up."""
        return bool(self.values["resolved"] != "yes")


def open_events(log: Iterable[Mapping[str, Any]]) -> tuple[AdverseEvent, ...]:
    """Events that are not over, oldest first."""
    return tuple(each for each in read_events(log) if each.open)


def blocked_sites(log: Iterable[Mapping[str, Any]], planned: Iterable[PlannedSite]) -> dict[str, tuple[int, ...]]:
    """Which of the planned sites may not be stimulated, each with the numbers of the open events that say so.

    Raises
    ------
    AdverseError
        If the log cannot be understood: then nothing is known to be free.
    """
    sites = tuple(planned)
    blocked: dict[str, tuple[int, ...]] = {}
    for each in open_events(log):
        for site in sites_closed_by(event_of(f"ae-{each.number}", each.values), sites):
            blocked[site] = (*blocked.get(site, ()), each.number)
    return blocked


def history_entries(log: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Each event's form as it holds now, as screening's history takes it: with corrections in their place."""
    return [
        {
            "form": each.name,
            "wall": write_moment(each.notes[-1].at if each.notes else each.at),
            "values": dict(each.values),
        }
        for each in read_events(log)
    ]


def read_events(log: Iterable[Mapping[str, Any]]) -> tuple[AdverseEvent, ...]:
    """Read the lines of ``record/adverse_events.jsonl`` into events as they stand.

    Raises
    ------
    AdverseError
        If a line is not what its kind says, is of an event that is not there, or holds a form with a mistake.
    """
    events: dict[int, AdverseEvent] = {}
    for line in log:
        try:
            event = _taken(events, line)
            problems = check_form(event.name, event.values, None)
        except (KeyError, TypeError, ValueError) as error:
            problems = [f"cannot be understood: {error}"]
        if problems:
            raise AdverseError(f"adverse events: entry {line.get('n')}: {problem}" for problem in problems)
        events[event.number] = event
    return tuple(events[number] for number in sorted(events))


def report_line(values: Mapping[str, Any], *, at: datetime, who: str, session: int | None) -> dict[str, Any]:
    """Compose the first line of an event.

    Raises
    ------
    AdverseError
        If nobody is named, or the form has a mistake.
    """
    _check(f"{FORM}.new", values, at, who, why="reported")
    return {"kind": "report", "wall_utc": write_moment(at), "who": who, "session": session, "values": dict(values)}


def later_line(
    event: AdverseEvent, kind: Kind, changed: Mapping[str, Any], *, at: datetime, who: str, why: str
) -> dict[str, Any]:
    """Compose a follow-up, a correction or the resolution of an event.

    Parameters
    ----------
    changed
        Answers that are others now; the rest of the form is kept. A resolution ends the event on the day of `at`,
        unless it says another.

    Raises
    ------
    AdverseError
        If nobody is named, no reason given, the form gets a mistake, or the event is over and this is no correction.
    """
    if kind != "correction" and not event.open:
        raise AdverseError([f"event {event.number} is over already"])
    if kind == "follow_up" and changed.get("resolved") == "yes":
        raise AdverseError([f"event {event.number} is ended by a resolution, not by a follow-up"])
    values = {**event.values, **changed}
    if kind == "resolution":
        if event.fatal:
            raise AdverseError([f"event {event.number} was fatal: it is not resolved, close the person's course"])
        values = {**values, "resolved": "yes", "resolved_on": changed.get("resolved_on", at.date().isoformat())}
        values.pop("follow_up_on", None)
    _check(event.name, values, at, who, why)
    said = {"who": who, "why": why, "values": values}
    return {"kind": kind, "event": event.number, "wall_utc": write_moment(at), **said}


def days_open(event: AdverseEvent, today: date) -> int:
    """For how many days it has been open since it began."""
    return (today - date.fromisoformat(event.values["began"])).days


def _check(form_id: str, values: Mapping[str, Any], at: datetime, who: str, why: str) -> None:
    problems = check_form(form_id, values, at)
    if not who.strip():
        problems.append("an adverse event needs the name of who writes of it")
    if not why.strip():
        problems.append("what is written of an adverse event after its report needs a reason")
    if problems:
        raise AdverseError(problems)


def _taken(events: Mapping[int, AdverseEvent], line: Mapping[str, Any]) -> AdverseEvent:
    kind, at = line["kind"], read_moment(line["wall_utc"])
    who, values = str(line["who"]), line["values"]
    if kind == "report":
        return AdverseEvent(int(line["n"]), at, who, line["session"], values)
    if kind not in LATER:
        raise ValueError(f"found {kind!r}, allowed: report, {', '.join(LATER)}")
    event = events[line["event"]]
    return replace(event, values=values, notes=(*event.notes, Note(at, kind, who, str(line["why"]))))
