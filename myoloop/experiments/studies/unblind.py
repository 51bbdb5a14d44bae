"""Emergency unblinding of one person: two steps, a role that may, a reason, and an entry in the study's audit.

The audit says that somebody learned the arm, never which it is: everybody reads the audit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from myoloop.experiments.studies.allocation import AllocationError, arm_of, entry_of
from myoloop.experiments.studies.audit import AUDIT_FILE, audit_of, record_act
from myoloop.experiments.studies.chained import read_chained
from myoloop.platform.sealed import StudyKey

#: How long the code of the first step holds.
HOLDS = timedelta(minutes=15)
_ASKED, _DONE = "unblind_asked", "unblind"


def ask_to_unblind(
    study: Path | str,
    person: str,
    who: str,
    role: str,
    why: str,
    wall: datetime,
    code: str,
    roles: Sequence[str],
) -> None:
    """First step: write down who asks and why; nothing is opened.

    Parameters
    ----------
    study, person
        Folder of the study, and pseudonym.
    who, role, why
        Who asks, in which role, and the reason.
    wall
        When, with its time zone.
    code
        Random; to be given back in the second step.
    roles
        Those that the protocol allows to unblind.

    Raises
    ------
    AllocationError
        If the role may not, there is no reason, or the person has no entry.
    UserError
        If the list or a log is missing or damaged.
    """
    _refuse(study, person, role, why, roles)
    record_act(audit_of(study), wall, who, role, _ASKED, _what(person), "blinded", {"code_sha256": _hash(code)}, why)


def unblind(
    study: Path | str,
    person: str,
    who: str,
    role: str,
    why: str,
    wall: datetime,
    code: str,
    key: StudyKey,
    roles: Sequence[str],
) -> str:
    """Second step: the arm, once the audit holds that `who` learns it.

    Parameters
    ----------
    study, person, who, role, why, wall, roles
        As in the first step, by the same person in the same role, within `HOLDS`.
    code
        Of the first step; it holds once.
    key
        Of the sealed list.

    Returns
    -------
    str
        The arm: for whoever asked, and for no file of the study.

    Raises
    ------
    AllocationError
        As in the first step, or if the code is not that of an open request.
    UserError
        If the key does not open the list, or the list or a log is missing or damaged.
    """
    _refuse(study, person, role, why, roles)
    rows = read_chained(Path(study) / AUDIT_FILE)
    if not _is_open(rows, person, who, role, code, wall):
        raise AllocationError(
            f"--confirm: not the code of a request by {who} ({role}) for {person} in the last "
            f"{HOLDS.seconds // 60} min that is still open"
        )
    arm = arm_of(study, person, key)
    new = {"known_to": who, "code_sha256": _hash(code)}
    record_act(audit_of(study), wall, who, role, _DONE, _what(person), "blinded", new, why)
    return arm


def unblinded(study: Path | str) -> list[dict[str, Any]]:
    """Every emergency unblinding of a study, as the audit has it; a report of the study lists them."""
    return [row for row in read_chained(Path(study) / AUDIT_FILE) if row.get("act") == _DONE]


def _refuse(study: Path | str, person: str, role: str, why: str, roles: Sequence[str]) -> None:
    if role not in roles:
        raise AllocationError(f"--role: found {role!r}, allowed to unblind: {', '.join(roles) or 'nobody'}")
    if not why.strip():
        raise AllocationError("--why: empty; an arm is opened for a reason")
    entry_of(study, person)


def _is_open(rows: Sequence[dict[str, Any]], person: str, who: str, role: str, code: str, wall: datetime) -> bool:
    asked = False
    for row in rows:
        new = row.get("new")
        if row.get("what") != _what(person) or not isinstance(new, dict) or new.get("code_sha256") != _hash(code):
            continue
        same = row.get("who") == who and row.get("role") == role
        age = wall - datetime.fromisoformat(row["wall_utc"])
        if row["act"] == _ASKED and same and timedelta() <= age <= HOLDS:
            asked = True
        if row["act"] == _DONE:
            asked = False
    return asked


def _what(person: str) -> str:
    return f"arm of {person}"


def _hash(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()
