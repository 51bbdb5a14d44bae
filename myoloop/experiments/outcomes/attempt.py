"""The outcomes of a recorded attempt, with what stands beside its recording: the protocol's copy and the diary.

An effect that was planted in a virtual subject and found again is called that, wherever an outcome is shown: it says
that the measure works, and nothing about people.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from myoloop.experiments.analysis.session import Session
from myoloop.experiments.outcomes.compute import COMPUTED, as_rows, compute
from myoloop.experiments.outcomes.registry import OUTCOMES
from myoloop.experiments.outcomes.view import Value, View
from myoloop.experiments.outcomes.words import DETECTED
from myoloop.experiments.protocols.schema import Protocol, load_protocol
from myoloop.experiments.studies.chained import read_chained
from myoloop.experiments.studies.diary import read_diary, standing_entries
from myoloop.experiments.studies.personrecord import record_path
from myoloop.platform.errors import UserError
from myoloop.platform.recording.folder import place_of

PROTOCOL_COPY = "protocol.yaml"
#: What outcomes of a session with a virtual body are.
PLANTED = "effects planted in the virtual subject"
NOBODY = "no person was stimulated"

#: What an outcome may need that only a session of ours has; see :data:`~myoloop.experiments.outcomes.registry.NEEDS`.
_OF_OURS = frozenset({"block", "effort", "calibration", "mvc", "mvc_pair", "rest"})
NOT_OURS = "recorded by another program: it has no trials and phases of ours"

#: Outcomes of bursts, and whose they may be.
OF_LABELS = frozenset({"spasm_count", "spasms_at_rest", "spasm_share", "clonus_rate", "clonus_frequency"})
CORRECTED = "corrected by a person"

#: Form and answers of what was written down after the session.
Diary = Sequence[tuple[str, Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class Measured:
    """What a session shows of what its protocol named before it began.

    Attributes
    ----------
    protocol
        As it was played; None where its copy cannot be had, which `missing` says.
    values
        By the outcome's id, primary first.
    heading
        What the outcomes are; empty where they are those of a person.
    diary_problem
        Why the person's diary was not believed; what needs it then has no value.
    labels
        Whether outcomes of spasms are of what the detector found, or of labels that a person corrected.
    """

    protocol: Protocol | None
    values: Mapping[str, Value] = field(default_factory=dict)
    heading: str = ""
    missing: str = ""
    diary_problem: str = ""
    labels: str = DETECTED

    def rows(self) -> list[dict[str, Any]]:
        """As :func:`~myoloop.experiments.outcomes.compute.as_rows`, each with the part it plays."""
        if self.protocol is None:
            return []
        primary = self.protocol.outcomes.primary.measure
        return [
            {"part": "primary" if row["outcome"] == primary else "secondary", **row} for row in as_rows(self.values)
        ]

    def entered(self) -> list[dict[str, str]]:
        """Outcomes that somebody measures and enters elsewhere: what, who, which part they play."""
        if self.protocol is None:
            return []
        named = self.protocol.outcomes
        parts = [("primary", named.primary), *(("secondary", each) for each in named.secondary)]
        return [
            {"part": part, "text": each.entered, "by": str(each.by)} for part, each in parts if each.entered is not None
        ]

    def as_data(self) -> dict[str, Any]:
        """JSON-ready, as a session's summary has it."""
        return {
            "outcomes": self.rows(),
            "outcomes_are": self.heading,
            "outcomes_missing": self.missing,
            "outcomes_entered": self.entered(),
            "outcomes_labels": self.labels,
        }


def measure(
    session: Session, diary: Path | None = None, *, corrected: bool = False, also: Sequence[str] = ()
) -> Measured:
    """Compute a session's outcomes; what keeps them from being computed is told, not raised.

    Parameters
    ----------
    diary
        The person's ``record/diary.jsonl``; by default where the study has it.
    corrected
        Whether outcomes of spasms are of the labels that a person corrected, not of what the detector found.
    also
        Outcomes beside those that the protocol names: an analysis names them.

    Raises
    ------
    UserError
        If corrected labels are asked for, and the review cannot be believed.
    """
    heading = heading_of(session)
    try:
        protocol = played_protocol(session)
    except UserError as error:
        return Measured(None, heading=heading, missing=str(error))
    try:
        written, problem = diary_of(session, diary), ""
    except UserError as error:
        written, problem = (), f"the diary cannot be believed: {error}"
    judged = _corrected(session) if corrected else None
    session = judged[0] if judged is not None else session
    found = compute(session, protocol, written)
    more = [name for name in also if name in COMPUTED and name not in found]
    found |= {name: COMPUTED[name](View(session, protocol, written)) for name in more}
    values = {name: _finite(value) for name, value in found.items()}
    if _is_imported(session):
        # None of them was done by us: not even that there were none is known.
        values |= {name: Value(None, why=NOT_OURS) for name in values if not _OF_OURS.isdisjoint(OUTCOMES[name].needs)}
    values |= {name: _of_labels(values[name], judged) for name in values if name in OF_LABELS}
    if problem:
        values |= {name: Value(None, why=problem) for name in values if _needs_diary(name)}
    labels = CORRECTED if corrected else DETECTED
    return Measured(protocol, values, heading, diary_problem=problem, labels=labels)


def _corrected(session: Session) -> tuple[Session, int, str]:
    """The session with a person's labels, how many there are, and what keeps them from being used."""
    from myoloop.experiments.review.relabel import BURSTS, relabelled
    from myoloop.experiments.review.review import read_review

    review = read_review(session)
    held = sum(len(spans) for spans in review.corrected(*BURSTS).values())
    still_open = review.open_of(*BURSTS)
    why = f"{still_open} detections are not judged yet" if still_open else ""
    return (relabelled(session, review), held, why if review.acts or still_open else "nobody has reviewed this session")


def _of_labels(value: Value, judged: tuple[Session, int, str] | None) -> Value:
    """An outcome of spasms with whose labels it rests on."""
    if judged is None:
        return replace(value, parameters={**value.parameters, "labels": DETECTED})
    _, held, why = judged
    parameters = {**value.parameters, "labels": CORRECTED, "labels_n": held}
    return Value(None, why=why, parameters=parameters) if why else replace(value, parameters=parameters)


def heading_of(session: Session) -> str:
    """What outcomes of the session are; empty where they are those of a person."""
    origins = session.origins
    if origins is None:
        return PLANTED if session.simulated else "" if session.simulated is False else "simulated or not: unknown"
    if origins.body == "person":
        return ""
    return PLANTED if origins.body == "simulated" else NOBODY


def played_protocol(session: Session) -> Protocol:
    """The protocol as it was played, from the copy beside the recording.

    Raises
    ------
    UserError
        If there is none, it is not the one that was played, or cannot be read.
    """
    copy = session.path.parent / PROTOCOL_COPY
    wanted = session.metadata.get(f"sha256.{PROTOCOL_COPY}", "")
    if not wanted:
        told = f"{session.path}: does not say which protocol was played"
        raise UserError(told + ("; say it as it is imported, with --protocol" if _is_imported(session) else ""))
    try:
        found = hashlib.sha256(copy.read_bytes()).hexdigest()
    except OSError as error:
        raise UserError(f"{copy}: cannot be read: {error.strerror}") from None
    if found != wanted:
        raise UserError(f"{copy}: is not the protocol that was played, its hash is {found}, the record says {wanted}")
    return load_protocol(copy)


def _is_imported(session: Session) -> bool:
    return session.metadata.get("origin") == "imported"


def diary_of(session: Session, path: Path | None = None) -> Diary:
    """What was written down after this session, corrections in their place.

    Raises
    ------
    UserError
        If the diary is damaged or cannot be understood.
    """
    place = place_of(session.path)
    number = place.session if place is not None else _told_number(session)
    if path is None:
        path = record_path(place.study, place.subject, "diary") if place is not None else None
    if path is None or number is None:
        return ()
    entries = read_diary(read_chained(path))
    return tuple((each.form, each.values) for each in standing_entries(entries) if each.session == number)


def _told_number(session: Session) -> int | None:
    """Which session it is, by its name in the record, where its folder does not say it."""
    told = place_of(Path(session.session_id)) if session.session_id else None
    return told.session if told is not None else None


def _needs_diary(name: str) -> bool:
    return any(need.startswith("diary:") for need in OUTCOMES[name].needs)


def _finite(value: Value) -> Value:
    """JSON has no NaN, and no reader a use for it."""
    if value.value is None or math.isfinite(value.value):
        return value
    return replace(value, value=None, why=value.why or "it could not be computed")
