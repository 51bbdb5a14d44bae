"""The arm of a session, found by the stimulator's node and told to nobody: from the sealed list to a treatment.

What is said when something does not fit names the entry, never the arm.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from myoloop.platform.sealed import SealedError, StudyKey, load_list, read_key
from myoloop.stimulators.dose_ledger import read_real
from myoloop.stimulators.sealing import Assignment, SealedDose, close_assignment
from myoloop.stimulators.sham import Treatment


@dataclass(frozen=True, slots=True)
class Allocated:
    """Where a session's arm is to be found, and what each arm is given; holds no arm.

    Attributes
    ----------
    sealed_list
        ``allocation.sealed`` of the study.
    entry
        Number of the person's entry in it.
    key
        The study's key file.
    list_sha256
        Hash of the list that the protocol names.
    treatments
        What is given in each arm of the protocol.
    """

    sealed_list: Path
    entry: int
    key: Path
    list_sha256: str
    treatments: Mapping[str, Treatment]

    def settings(self) -> str:
        """As a node's configuration carries it; encoded, so that a search of the record for an arm finds none."""
        plain = {
            "sealed_list": str(self.sealed_list),
            "entry": self.entry,
            "key": str(self.key),
            "list_sha256": self.list_sha256,
            "treatments": {
                arm: {"kind": each.kind, "on_s": each.on_s, "fade_s": each.fade_s}
                for arm, each in self.treatments.items()
            },
        }
        return base64.b64encode(json.dumps(plain, sort_keys=True).encode()).decode()


def allocated_from(settings: str) -> Allocated:
    """Read it back from a node's configuration."""
    plain = json.loads(base64.b64decode(settings, validate=True))
    return Allocated(
        Path(plain["sealed_list"]),
        plain["entry"],
        Path(plain["key"]),
        plain["list_sha256"],
        {arm: Treatment(**given) for arm, given in plain["treatments"].items()},
    )


class Blinding:
    """The key of a blinded session while it runs.

    Parameters
    ----------
    allocated
        Where the arm is to be found.
    session
        The session's id.
    subject, dose_session
        As the dose ledger names them.

    Raises
    ------
    SealedError
        If the key cannot be had.
    """

    def __init__(self, allocated: Allocated, session: str, subject: str, dose_session: str) -> None:
        self._allocated = allocated
        self._session = session
        self._person = (subject, dose_session)
        self.key: StudyKey = read_key(allocated.key)
        #: Closes what is really given, for the dose ledger.
        self.dose = SealedDose(self.key)

    def assign(self, ledger: Path) -> str:
        """Find the arm, and what earlier attempts have really given; the closed assignment.

        Raises
        ------
        SealedError
            If the list is not the protocol's, the entry does not open, or its arm is none of the protocol's.
        NodeFault
            If the ledger cannot be believed.
        """
        given = self._allocated
        try:
            found = hashlib.sha256(given.sealed_list.read_bytes()).hexdigest()
        except OSError as error:
            raise SealedError(f"sealed list {given.sealed_list}: {error.strerror}") from None
        if found != given.list_sha256:
            raise SealedError(f"sealed list {given.sealed_list}: found {found}, the protocol names {given.list_sha256}")
        treatment = given.treatments.get(load_list(given.sealed_list).arm(given.entry, self.key))
        if treatment is None:
            raise SealedError(f"sealed list {given.sealed_list}: entry {given.entry} is of no arm of the protocol")
        real = read_real(ledger, *self._person, self.dose)
        had = Assignment(treatment=treatment, session_dose=(real.charge_mc, real.on_s, real.pulses))
        return close_assignment(self.key, self._session, had)


def blinding_of(settings: Mapping[str, Any]) -> Blinding | None:
    """Of a stimulator node's settings; None where the session is not blinded.

    Raises
    ------
    SealedError
        If the key cannot be had.
    """
    if settings.get("blinding") is None:
        return None
    allocated = allocated_from(settings["blinding"])
    return Blinding(allocated, settings["session"], settings["subject"], settings["dose_session"])
