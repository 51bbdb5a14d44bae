"""After a session: was there an adverse event or none, and a clinician's signature under the attempt.

Both are acts in the attempt's own audit, which is chained: what was signed is the recording's hash, so that another
recording in its place is not signed. Nothing is signed while it is open whether somebody was harmed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from myoloop.experiments.screening.adverse import event_due
from myoloop.experiments.sessions.continuing import standing
from myoloop.experiments.sessions.records_after import FORMS_FOLDER
from myoloop.experiments.studies.adverse import AdverseEvent
from myoloop.experiments.studies.audit import AUDIT_FILE, audit_of, record_act
from myoloop.experiments.studies.chained import read_chained
from myoloop.experiments.studies.signatures import check_signer
from myoloop.platform.errors import UserError
from myoloop.platform.recording.folder import place_of
from myoloop.platform.recording.layout import SESSION_FILE

#: Acts in an attempt's audit.
NO_EVENT, SIGNED = "no_adverse_event", "sign_off"


class SignOffError(UserError, ValueError):
    """Something that cannot be signed, or said; one line."""


@dataclass(frozen=True, slots=True)
class Signature:
    """A clinician's signature under an attempt.

    Attributes
    ----------
    day
        ISO date of the signature.
    holds
        Whether the recording is still the one that was signed.
    """

    name: str
    role: str
    day: str
    why: str
    holds: bool


@dataclass(frozen=True, slots=True)
class AfterCare:
    """How an attempt stands after its end.

    Attributes
    ----------
    state, outcome
        As :func:`~myoloop.experiments.sessions.continuing.standing` has them.
    due
        Why answers of this attempt ask for an adverse event.
    events
        Numbers of the person's adverse events that belong to this session.
    none_by
        Who has said that there was none; empty where nobody has.
    simulated
        Whether nobody was on the rig.
    """

    attempt: Path
    state: str
    outcome: str
    due: tuple[str, ...]
    events: tuple[int, ...]
    none_by: str
    signatures: tuple[Signature, ...]
    simulated: bool = False

    @property
    def open(self) -> str:
        """What must be done before anybody signs; empty where nothing is open."""
        if self.state != "ended":
            return f"the attempt is {self.state}: it must have ended before it is signed"
        if self.due and not self.events:
            return f"an adverse event must be reported: {'; '.join(self.due)}"
        if not self.events and not self.none_by:
            return "it is open whether there was an adverse event: report one, or say that there was none"
        return ""


def after_care(attempt: Path, events: Iterable[AdverseEvent]) -> AfterCare:
    """Read how an attempt stands.

    Parameters
    ----------
    events
        The person's adverse events.

    Raises
    ------
    UserError
        If it is no attempt's folder, or its audit was edited.
    """
    place = place_of(attempt)
    if place is None or not attempt.is_dir():
        raise SignOffError(f"{attempt}: no attempt of a study; allowed is STUDY/sub-X/ses-NN/att-N")
    stands = standing(attempt)
    rows = read_chained(attempt / AUDIT_FILE)
    none_by = next((str(row.get("who")) for row in reversed(rows) if row.get("act") == NO_EVENT), "")
    signed = [row for row in rows if row.get("act") == SIGNED]
    sha256 = recording_sha256(attempt) if signed else ""
    return AfterCare(
        attempt,
        stands.state,
        stands.outcome,
        tuple(_due(attempt)),
        tuple(each.number for each in events if each.session == place.session),
        none_by,
        tuple(_signature(row, sha256) for row in signed),
        stands.simulated,
    )


def tell_no_event(found: AfterCare, *, who: str, role: str, wall: datetime) -> dict[str, Any]:
    """Record that there was no adverse event in an attempt, or after it until now.

    Raises
    ------
    SignOffError
        If an answer asks for one, one was reported, or the attempt has not ended.
    """
    if found.state != "ended":
        raise SignOffError(f"the attempt is {found.state}: it is not known yet")
    if found.due:
        raise SignOffError(f"an adverse event must be reported: {'; '.join(found.due)}")
    if found.events:
        numbers = ", ".join(map(str, found.events))
        raise SignOffError(f"there was one: adverse event {numbers} belongs to this session")
    return record_act(
        audit_of(found.attempt), wall, who, role, NO_EVENT, _what(found.attempt), None, None, "asked after the session"
    )


def sign_off(found: AfterCare, *, name: str, role: str, day: date, wall: datetime, why: str = "") -> dict[str, Any]:
    """Sign an attempt as it was recorded; a second signature is added, none is replaced.

    Parameters
    ----------
    name, role, day
        As a protocol is signed, see :func:`~myoloop.experiments.studies.signatures.check_signer`.
    wall
        When it is written down, with its zone.
    why
        What the clinician remarks.

    Raises
    ------
    UserError
        If something is open, nobody is named, or the role may not sign.
    """
    check_signer(name, role, day, wall)
    if found.open:
        raise SignOffError(found.open)
    new = {
        "recording_sha256": recording_sha256(found.attempt),
        "outcome": found.outcome,
        "adverse_events": list(found.events) or "none",
        "date": day.isoformat(),
    }
    return record_act(audit_of(found.attempt), wall, name, role, SIGNED, _what(found.attempt), None, new, why)


def recording_sha256(attempt: Path) -> str:
    """Hash of an attempt's recording.

    Raises
    ------
    SignOffError
        If there is none.
    """
    try:
        with (attempt / SESSION_FILE).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise SignOffError(f"{attempt / SESSION_FILE}: {(error.strerror or str(error)).lower()}") from None


def _signature(row: dict[str, Any], sha256: str) -> Signature:
    new = row.get("new") or {}
    holds = new.get("recording_sha256") == sha256
    return Signature(str(row.get("who")), str(row.get("role")), str(new.get("date")), str(row.get("why")), holds)


def _due(attempt: Path) -> Iterator[str]:
    """Why forms that were filled in ask for an adverse event, in the order of their numbers."""
    for path in sorted((attempt / FORMS_FOLDER).glob("*.json")):
        try:
            kept = json.loads(path.read_text("utf-8"))
            why = event_due(str(kept["form"]), kept["values"])
        except (OSError, ValueError, KeyError, AttributeError) as error:
            raise SignOffError(f"{path}: cannot be read: {error}") from None
        if why:
            yield why


def _what(attempt: Path) -> str:
    return "/".join(attempt.parts[-3:])
