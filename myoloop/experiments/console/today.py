"""Who may have a session today, by the study's records alone: what is due, what keeps it from beginning, what was last.

Nothing is kept: every line is read anew from the folder. No arm, name or year of birth stands in any of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Literal

from myoloop.experiments.console.places_planned import closed_today, planned_in
from myoloop.experiments.protocols.schema import Protocol, load_protocol
from myoloop.experiments.sessions.admission import KEPT_PROTOCOL, KEPT_RIG
from myoloop.experiments.sessions.continuing import Standing, attempts_of, standing
from myoloop.experiments.studies.course import Due, due
from myoloop.experiments.studies.courseview import say_event
from myoloop.experiments.studies.moments import say_moment, time_zone
from myoloop.experiments.studies.participants import participants
from myoloop.experiments.studies.personrecord import PersonRecord, RecordError, read_record
from myoloop.experiments.studies.signatures import sha256_of
from myoloop.experiments.studies.studyfile import load_study
from myoloop.platform.errors import UserError
from myoloop.platform.recording.folder import place_of

#: How a person stands today; the page has a colour, a shape and a word for each.
State = Literal["running", "cut", "blocked", "due", "later", "over", "new", "unreadable"]
#: In the order of the list: what needs somebody first.
STATES: tuple[State, ...] = ("running", "cut", "due", "new", "blocked", "later", "over", "unreadable")


@dataclass(frozen=True, slots=True)
class PersonToday:
    """One line of today's list.

    Attributes
    ----------
    says
        What is next, in words.
    reasons
        Why no session may begin now, each with the moment from which it may, and who may lift it.
    events
        Open adverse events.
    closed_sites
        Sites of the protocol that they keep closed.
    last
        The session before, and how it ended.
    attempt
        Folder of the newest attempt; None where there is none.
    unfinished
        Whether that attempt came to no end of its own, so that its session may be gone on with.
    protocol, rig
        The files that the person's next session is played from: copies that were kept; None where there are none.
    """

    person: str
    state: State
    says: str
    reasons: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    closed_sites: tuple[str, ...] = ()
    last: str = ""
    attempt: Path | None = None
    unfinished: bool = False
    protocol: Path | None = None
    rig: Path | None = None

    @property
    def may_begin(self) -> bool:
        """Whether the records let a new session begin; who runs it still has the last word."""
        return self.state in ("due", "new")


def todays_list(study: Path, now: datetime, protocol: Protocol | None = None) -> list[PersonToday]:
    """Everybody who takes part, those who need somebody first.

    Parameters
    ----------
    now
        Wall time, with its zone.
    protocol
        What the station plays where a person has no session yet; None where that is still to be chosen.

    Raises
    ------
    UserError
        If it cannot be told who has withdrawn.
    """
    known = participants(study)
    here = {path.name.removeprefix("sub-") for path in study.glob("sub-*") if path.is_dir()}
    people = {person for person in here | known.keys() if person not in known or known[person].status == "enrolled"}
    loaded: dict[str, Protocol] = {}
    found = [person_today(study, person, now, protocol, loaded) for person in sorted(people)]
    return sorted(found, key=lambda each: STATES.index(each.state))


def person_today(
    study: Path,
    person: str,
    now: datetime,
    protocol: Protocol | None = None,
    loaded: dict[str, Protocol] | None = None,
) -> PersonToday:
    """How one person stands; what cannot be read is said, and lets nothing begin.

    Parameters
    ----------
    protocol
        As of :func:`todays_list`.
    loaded
        Protocols that were read for others already, by the hash of their file; added to.
    """
    try:
        return _standing(study, person, now, protocol, {} if loaded is None else loaded)
    except UserError as error:
        return PersonToday(person, "unreadable", "the record cannot be read: nothing may begin", (str(error),))


def newest_attempt(study: Path, person: str) -> Path | None:
    """Folder of a person's newest attempt."""
    # By number, not by name: beyond 99 a session's number has three digits.
    numbered = sorted(
        (place.session, place.attempt, path)
        for session in (study / f"sub-{person}").glob("ses-*")
        for path in attempts_of(session)
        if (place := place_of(path)) is not None
    )
    return numbered[-1][2] if numbered else None


def kept_files(study: Path, person: str) -> tuple[Path | None, Path | None]:
    """Protocol and rig of a person's course, as the newest attempt that was played by it has kept them."""
    record = _record(study, person)
    wanted = record.course.protocol_sha256 if record is not None and record.course is not None else ""
    attempts = [path for session in (study / f"sub-{person}").glob("ses-*") for path in attempts_of(session)]
    kept = sorted(
        ((place.session, place.attempt, path) for path in attempts if (place := place_of(path)) is not None),
        reverse=True,
    )
    for _, _, path in kept:
        protocol, rig = path / KEPT_PROTOCOL, path / KEPT_RIG
        if protocol.is_file() and wanted in ("", sha256_of(protocol)):
            return protocol, rig if rig.is_file() else None
    return None, None


def _record(study: Path, person: str) -> PersonRecord | None:
    """None for somebody of whom nothing has been recorded yet."""
    try:
        return read_record(study, person)
    except RecordError:
        return None


def _standing(
    study: Path, person: str, now: datetime, protocol: Protocol | None, loaded: dict[str, Protocol]
) -> PersonToday:
    zone = load_study(study).zone
    record = _record(study, person)
    attempt = newest_attempt(study, person)
    stands = standing(attempt) if attempt is not None else None
    kept, rig = kept_files(study, person)
    if kept is not None:
        key = sha256_of(kept)
        protocol = loaded[key] = loaded.get(key) or load_protocol(kept)
    asks = _due(record, now)
    shown_in = record.course.plan.zone if record is not None and record.course is not None else time_zone(zone)
    state, says = _state(record, asks, stands, now, shown_in)
    events = [each for each in record.events if each.open] if record is not None else []
    closed = closed_today(events, planned_in(protocol), now.date()) if protocol is not None else ()
    reasons = [_reason(each.rule, each.why, each.override_roles) for each in asks.refusals] if asks is not None else []
    everywhere = protocol is not None and set(closed) >= {each.name for each in planned_in(protocol)}
    if closed:
        reasons.append(f"adverse event: open at {', '.join(closed)}")
    if events and state in ("due", "new", "later") and (everywhere or protocol is None):
        state, says = "blocked", f"blocked by an open adverse event; {says}"
    return PersonToday(
        person, state, says, tuple(reasons), tuple(say_event(each, now) for each in events), closed,
        _last(stands, blinded=protocol is not None and bool(protocol.arms)), attempt, _is_unfinished(stands), kept, rig,
    )  # fmt: skip


def _due(record: PersonRecord | None, now: datetime) -> Due | None:
    if record is None or record.course is None:
        return None
    course = record.course
    return due(
        course.plan, course.booked, now, entries=record.diary, overrides=course.overrides, closed_at=course.closed_at
    )


def _state(
    record: PersonRecord | None, asks: Due | None, stands: Standing | None, now: datetime, zone: tzinfo
) -> tuple[State, str]:
    if stands is not None and stands.state == "running":
        return "running", f"{_named(stands.folder)} is running"
    if stands is not None and stands.state == "cut":
        return "cut", f"{_named(stands.folder)} was cut off: close it, or go on with it"
    if asks is None or record is None or record.course is None:
        return ("new", "first session") if stands is None else ("due", "next session, of no course")
    planned = record.course.plan.planned
    if asks.next is None:
        return "over", f"no session is left of {planned}"
    said = f"session {asks.next.session} of {planned}"
    if asks.refusals:
        return "later", f"{said}, from {say_moment(asks.next.opens, zone)}"
    return "due", f"{said}{' (late)' if asks.next.late(now) else ''}"


def _reason(rule: str, why: str, roles: Iterable[str]) -> str:
    lifted = " or ".join(roles)
    return f"{rule}: {why}{f'; {lifted} may lift it' if lifted else ''}"


def _is_unfinished(stands: Standing | None) -> bool:
    return stands is not None and (stands.state == "cut" or (stands.state == "ended" and stands.outcome != "complete"))


def _last(stands: Standing | None, *, blinded: bool) -> str:
    """How it ended; in a study with arms not why, as only a current may have been the reason."""
    if stands is None:
        return "none yet"
    why = "" if blinded else stands.reason
    ended = f"{stands.outcome or stands.state}{f': {why}' if why else ''}"
    return f"{_named(stands.folder)}, {ended}"


def _named(attempt: Path) -> str:
    place = place_of(attempt)
    return attempt.name if place is None else f"session {place.session}, attempt {place.attempt}"
