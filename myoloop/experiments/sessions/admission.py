"""Whether a person may have a session now, and what of their record it must know.

Everything is decided before an attempt's folder is made; what refuses says all its reasons at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from myoloop.experiments.protocols.evidence import safety_parameters
from myoloop.experiments.protocols.personal import SessionCaps
from myoloop.experiments.protocols.schema import Protocol
from myoloop.experiments.sessions.settling import settle_all
from myoloop.experiments.studies import course, progression
from myoloop.experiments.studies.chained import read_chained
from myoloop.experiments.studies.courselog import PersonCourse, plan_of, read_course
from myoloop.experiments.studies.courseplan import sessions
from myoloop.experiments.studies.identity import SecondCheck, check_identity
from myoloop.experiments.studies.participants import refuse_withdrawn
from myoloop.experiments.studies.personrecord import record_path
from myoloop.experiments.studies.signatures import sha256_of, signed
from myoloop.experiments.studies.studyfile import StudyFile, load_study
from myoloop.platform.errors import UserError
from myoloop.platform.yamlfile import FileError, load_yaml

#: The copy of the protocol in an attempt's folder.
KEPT_PROTOCOL = "protocol.yaml"
#: The copy of the rig beside it.
KEPT_RIG = "rig.yaml"


class RefusedError(UserError, ValueError):
    """The person may not have this session now; one reason a line."""


@dataclass(frozen=True, slots=True)
class Admission:
    """What a session goes by.

    Attributes
    ----------
    personal
        Values that the person's progression has moved, by their path in the protocol.
    caps
        Of a smaller session; None for a whole one.
    held
        In how many other sessions the person has been stimulated so far, as far as the course knows.
    counted
        Whether this session is part of a course.
    """

    personal: dict[str, float]
    caps: SessionCaps | None
    held: int
    counted: bool


def admit(
    study: Path,
    person: str,
    protocol: Protocol,
    rig_class: str,
    now: datetime,
    session: int | None = None,
    *,
    identity: SecondCheck | None = None,
) -> Admission:
    """Read the person's record, and refuse a session that may not be.

    Parameters
    ----------
    now
        Wall time, with its zone.
    session
        Number of the session that is tried again; None for the next new one.
    identity
        The person's second identifier; needed on a HUMAN rig, checked wherever it is given, and kept nowhere.

    Raises
    ------
    RefusedError
        With every reason.
    UserError
        If a record is damaged or cannot be understood.
    """
    refuse_withdrawn(study, person)
    settle_all(study / f"sub-{person}")
    known = load_study(study)
    known_course = read_course(read_chained(record_path(study, person, "course")))
    refusals = [
        *_identity(person, rig_class, identity),
        *_rehearsals(study / f"sub-{person}", rig_class),
        *_signature(study, protocol, rig_class),
        *_protocol(study, person, protocol, rig_class, known_course),
        *_course(protocol, known_course, now, session),
    ]
    if refusals:
        raise RefusedError("\n".join(refusals))
    caps, personal = _smaller(study, person, protocol, known, known_course, session)
    return Admission(
        personal=personal,
        caps=caps,
        held=_held_before(known_course, session),
        counted=protocol.course is not None,
    )


def _held_before(so_far: PersonCourse | None, session: int | None) -> int:
    """The first session is the first until it is over, however often it is begun; one that gave nothing is none."""
    return 0 if so_far is None else sum(each.number != session for each in sessions(so_far.booked))


def _signature(study: Path, protocol: Protocol, rig_class: str) -> Iterator[str]:
    """A person is stimulated by a protocol that a clinician has signed, value by value."""
    if rig_class != "HUMAN":
        return
    parameters = [(each.path, each.written, each.grade) for each in safety_parameters(protocol)]
    for problem in signed(study, sha256_of(Path(protocol.path)), parameters):
        yield f"not signed: {problem}"


def _identity(person: str, rig_class: str, identity: SecondCheck | None) -> Iterator[str]:
    """A code may be mistyped: initials and year of birth are asked as well."""
    if identity is None:
        if rig_class == "HUMAN":
            yield f'identity: who {person} is was not checked; needed are --identity FILE and --second "AB 1980"'
        return
    try:
        same = check_identity(identity.key_file, identity.passphrase, person, identity.said)
    except UserError as error:
        yield f"identity: {error}"
        return
    if not same:
        yield f"identity: the second identifier is not that of {person}: another person is there, or another was named"


def _rehearsals(person: Path, rig_class: str) -> Iterator[str]:
    """What was only rehearsed makes nobody's first session their second, and moves none of a person's values."""
    for kept in sorted(person.glob(f"ses-*/att-*/{KEPT_RIG}")):
        try:
            found = str(load_yaml(kept)[0]["rig"]["class"])
        except (FileError, KeyError, TypeError):
            found = "unknown"
        if found != rig_class and "HUMAN" in (found, rig_class):
            where = "/".join(kept.parts[-4:-1])
            yield (
                f"rehearsal: {where} is of a {found} rig, this one is {rig_class}; a person's record holds no "
                f"rehearsal: name another subject, or first: myoloop reassign {kept.parents[1]} --to NAME"
            )
            return


def _protocol(
    study: Path, person: str, protocol: Protocol, rig_class: str, so_far: PersonCourse | None
) -> Iterator[str]:
    """A course is gone through with the protocol that it was begun with, or that it was amended to."""
    # A protocol without a course counts nothing: on a virtual person it may be tried in between.
    if so_far is None or (protocol.course is None and rig_class != "HUMAN"):
        return
    found, allowed = sha256_of(Path(protocol.path)), so_far.protocol_sha256
    if found == allowed:
        return
    kept = sorted((study / f"sub-{person}").glob(f"ses-*/att-*/{KEPT_PROTOCOL}"))
    same = next((f", kept as {path}" for path in kept if sha256_of(path) == allowed), "")
    here = f"{protocol.protocol.id} {protocol.protocol.version}, sha256 {found[:12]}"
    yield f"protocol: found {here}; {person} is in a course of sha256 {allowed[:12]}{same}; allowed is that very file"


def _course(protocol: Protocol, so_far: PersonCourse | None, now: datetime, session: int | None) -> Iterator[str]:
    if protocol.course is None or so_far is None:
        return
    found = course.may_begin(
        so_far.plan, so_far.booked, now, session=session, overrides=so_far.overrides, closed_at=so_far.closed_at
    )
    for refusal in found:
        later = f"; allowed from {refusal.allowed_from:%Y-%m-%d %H:%M}" if refusal.allowed_from is not None else ""
        lifted = f"; {' or '.join(refusal.override_roles)} may lift it" if refusal.override_roles else ""
        yield f"{refusal.rule}: {refusal.why}{later}{lifted}"


def _smaller(
    study: Path, person: str, protocol: Protocol, known: StudyFile, so_far: PersonCourse | None, session: int | None
) -> tuple[SessionCaps | None, dict[str, float]]:
    """The first session's caps and a flare's halving; and the values that hold for this person today."""
    log = read_chained(record_path(study, person, "progression"))
    results, _ = progression.read_progression(log)
    rules = {rule.path for rule in protocol.progression}
    personal = {path: value for path, value in progression.personal_values(log).items() if path in rules}
    if protocol.course is None:
        return None, personal
    plan = so_far.plan if so_far is not None else plan_of(protocol.course, known.zone, known.override_roles)
    booked = so_far.booked if so_far is not None else ()
    first = course.session_caps(plan, booked, session)
    held = sessions(booked)
    number = session if session is not None else (held[-1].number + 1 if held else 1)
    after_flare = 1.0
    if protocol.flare is not None:
        after_flare = progression.flare_share(protocol.flare.next_share, results, number)
    caps = SessionCaps(first.current_share, first.on_time_share * after_flare, after_flare)
    return (None if caps == SessionCaps() else caps), personal
