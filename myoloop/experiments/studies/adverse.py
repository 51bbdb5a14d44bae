"""Adverse events: what happened, how bad, what it has to do with the device, and whether it is over.

Nothing is ever overwritten: a follow-up, a correction and a resolution are lines of their own that name the event. An
event that is open keeps its site from being stimulated; one without a site keeps every site.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal, get_args

from myoloop.experiments.studies.moments import read_moment, write_moment
from myoloop.platform.errors import UserError

#: To the device or to what is done with it, as ISO 14155 trials are reported in Europe.
Relatedness = Literal["not_related", "possible", "probable", "causal", "unknown"]
Outcome = Literal["open", "recovering", "recovered", "recovered_with_sequelae", "fatal"]

#: CTCAE: mild, moderate, severe, life-threatening, death.
GRADES = {1: "mild", 2: "moderate", 3: "severe", 4: "life-threatening", 5: "fatal"}
RELATEDNESS: tuple[str, ...] = get_args(Relatedness)
ENDED: tuple[Outcome, ...] = ("recovered", "recovered_with_sequelae")
#: What a correction may change.
CORRECTABLE = ("what", "site", "grade", "relatedness", "serious")


class AdverseError(UserError, ValueError):
    """A report that cannot be; one line for the operator."""


@dataclass(frozen=True, slots=True)
class Note:
    """A follow-up, a correction or the resolution of an event."""

    at: datetime
    kind: str
    who: str
    why: str


@dataclass(frozen=True, slots=True)
class AdverseEvent:
    """One event as it stands, with everything that was written of it since.

    Attributes
    ----------
    number
        Of its first line in the log.
    session
        During or after which it was seen; None where it belongs to none.
    site
        Where on the body, as the protocol calls the site; empty where it is of the whole person.
    serious
        As ISO 14155 has it; the study's physician says.
    """

    number: int
    at: datetime
    who: str
    what: str
    session: int | None
    site: str
    grade: int
    relatedness: str
    serious: bool
    outcome: Outcome = "open"
    notes: tuple[Note, ...] = ()

    @property
    def open(self) -> bool:
        """Whether it is still to be followed up."""
        return self.outcome not in ENDED


@dataclass(frozen=True, slots=True)
class BlockedSites:
    """Sites that open events keep from being stimulated, each with the events' numbers.

    Attributes
    ----------
    everywhere
        Events without a site: they block every one.
    """

    everywhere: tuple[int, ...]
    sites: Mapping[str, tuple[int, ...]]

    def at(self, site: str) -> tuple[int, ...]:
        """Numbers of the events that block a site; none where it is free."""
        return self.everywhere + self.sites.get(site, ())


def open_events(log: Iterable[Mapping[str, Any]]) -> tuple[AdverseEvent, ...]:
    """Events that are not over, oldest first."""
    return tuple(each for each in read_events(log) if each.open)


def blocked_sites(log: Iterable[Mapping[str, Any]]) -> BlockedSites:
    """Which sites may not be stimulated.

    Raises
    ------
    AdverseError
        If the log cannot be understood: then nothing is known to be free.
    """
    sites: dict[str, tuple[int, ...]] = {}
    everywhere: tuple[int, ...] = ()
    for each in open_events(log):
        if each.site:
            sites[each.site] = (*sites.get(each.site, ()), each.number)
        else:
            everywhere = (*everywhere, each.number)
    return BlockedSites(everywhere, sites)


def read_events(log: Iterable[Mapping[str, Any]]) -> tuple[AdverseEvent, ...]:
    """Read the lines of ``record/adverse_events.jsonl`` into events as they stand.

    Raises
    ------
    AdverseError
        If a line is not what its kind says, or is of an event that is not there.
    """
    events: dict[int, AdverseEvent] = {}
    for line in log:
        try:
            _take(events, line)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise AdverseError(f"adverse events: entry {line.get('n')}: cannot be understood: {error}") from None
    return tuple(events[number] for number in sorted(events))


def event_line(
    *,
    at: datetime,
    who: str,
    what: str,
    site: str,
    grade: int,
    relatedness: str,
    serious: bool,
    session: int | None,
) -> dict[str, Any]:
    """Compose the first line of an event.

    Raises
    ------
    AdverseError
        If anything of it is missing or not allowed.
    """
    if not who.strip() or not what.strip():
        raise AdverseError("an adverse event needs who reports it, and what happened")
    _check_fields({"grade": grade, "relatedness": relatedness, "serious": serious, "site": site})
    fields = {"what": what, "site": site, "grade": grade, "relatedness": relatedness, "serious": serious}
    return {"kind": "event", "wall_utc": write_moment(at), "who": who, "session": session, **fields}


def follow_up_line(event: AdverseEvent, *, at: datetime, who: str, why: str, outcome: str = "open") -> dict[str, Any]:
    """Compose a follow-up, which does not end the event: `outcome` is open, recovering or fatal.

    Raises
    ------
    AdverseError
        If it names nobody, says nothing, or the event is over.
    """
    if outcome in ENDED:
        raise AdverseError(f"outcome {outcome}: an event is ended by a resolution, not by a follow-up")
    return _on(event, "follow_up", at, who, why, {"outcome": outcome})


def resolution_line(
    event: AdverseEvent, *, at: datetime, who: str, why: str, outcome: str = "recovered"
) -> dict[str, Any]:
    """Compose the end of an event.

    Raises
    ------
    AdverseError
        If it names nobody, gives no reason, or the event is over already, or was fatal.
    """
    if outcome not in ENDED:
        raise AdverseError(f"outcome {outcome!r} is no end, allowed: {', '.join(ENDED)}")
    if event.outcome == "fatal":
        raise AdverseError(f"event {event.number} was fatal: it is not resolved, close the person's course")
    return _on(event, "resolution", at, who, why, {"outcome": outcome})


def correction_line(
    event: AdverseEvent, *, at: datetime, who: str, why: str, fields: Mapping[str, Any]
) -> dict[str, Any]:
    """Compose a correction of what was first reported; the first report stays as it is, also of an ended event.

    Raises
    ------
    AdverseError
        If it names nobody, gives no reason, changes nothing, or changes it to what is not allowed.
    """
    unknown = sorted(set(fields) - set(CORRECTABLE))
    if unknown or not fields:
        raise AdverseError(f"found {', '.join(unknown) or 'nothing'} to correct, allowed: {', '.join(CORRECTABLE)}")
    _check_fields(fields)
    return _on(event, "correction", at, who, why, {"fields": dict(fields)}, ended_too=True)


def _on(
    event: AdverseEvent,
    kind: str,
    at: datetime,
    who: str,
    why: str,
    more: Mapping[str, Any],
    *,
    ended_too: bool = False,
) -> dict[str, Any]:
    if not who.strip() or not why.strip():
        raise AdverseError(f"event {event.number}: a {kind.replace('_', '-')} needs who writes it, and why")
    if not event.open and not ended_too:
        raise AdverseError(f"event {event.number} is over already: {event.outcome}")
    return {"kind": kind, "event": event.number, "wall_utc": write_moment(at), "who": who, "why": why, **more}


def _check_fields(fields: Mapping[str, Any]) -> None:
    if "what" in fields and (not isinstance(fields["what"], str) or not fields["what"].strip()):
        raise AdverseError("what: found nothing, allowed is what happened, in words")
    if "site" in fields and not isinstance(fields["site"], str):
        raise AdverseError(f"site: found {fields['site']!r}, allowed is the name of a site, or nothing for the person")
    if "grade" in fields and (isinstance(fields["grade"], bool) or fields["grade"] not in GRADES):
        words = ", ".join(f"{grade} {word}" for grade, word in GRADES.items())
        raise AdverseError(f"grade: found {fields['grade']!r}, allowed: {words}")
    if "relatedness" in fields and fields["relatedness"] not in RELATEDNESS:
        raise AdverseError(f"relatedness: found {fields['relatedness']!r}, allowed: {', '.join(RELATEDNESS)}")
    if "serious" in fields and not isinstance(fields["serious"], bool):
        raise AdverseError(f"serious: found {fields['serious']!r}, allowed: true, false")


def _take(events: dict[int, AdverseEvent], line: Mapping[str, Any]) -> None:
    kind, at = line["kind"], read_moment(line["wall_utc"])
    if kind == "event":
        fields = {key: line[key] for key in CORRECTABLE}
        _check_fields(fields)
        outcome: Outcome = "fatal" if line["grade"] == 5 else "open"
        events[line["n"]] = AdverseEvent(
            number=line["n"], at=at, who=line["who"], session=line["session"], outcome=outcome, **fields
        )
        return
    event = events[line["event"]]
    event = replace(event, notes=(*event.notes, Note(at, kind, line["who"], line["why"])))
    if kind == "correction":
        _check_fields(line["fields"])
        was = event.grade
        event = replace(event, **{key: line["fields"][key] for key in CORRECTABLE if key in line["fields"]})
        if (was == 5) != (event.grade == 5):
            event = replace(event, outcome="fatal" if event.grade == 5 else "open")
    elif kind in ("follow_up", "resolution") and line["outcome"] in get_args(Outcome):
        event = replace(event, outcome=line["outcome"])
    else:
        raise ValueError(f"found a {kind!r}, allowed: event, follow_up, correction, resolution")
    events[event.number] = event
