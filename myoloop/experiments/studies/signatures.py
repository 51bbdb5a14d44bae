"""A clinician signs a protocol: its hash, and every safety parameter that no trial stands behind.

``signatures/<sha256 of the protocol>.json`` holds who signed which values. Each signature also stands in the study's
chained audit, so that one written into the file by hand does not count.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

from myoloop.experiments.studies.audit import AUDIT_FILE, audit_of, record_act
from myoloop.experiments.studies.chained import DamagedLog, read_chained
from myoloop.platform.errors import UserError
from myoloop.platform.recording.folder import replace_file

#: A safety parameter: where it stands in the protocol, its value as written, the grade of its evidence.
Parameter = tuple[str, str, str]
FOLDER = "signatures"
#: Who may sign; what a parameter's evidence is worth is a clinical judgement.
CLINICIANS = ("clinician", "physician", "physiotherapist", "occupational_therapist")
#: The one grade that needs no signature.
PROVEN = "trial"
_SHA256 = re.compile(r"[0-9a-f]{64}")


def sign(
    study: Path | str,
    protocol_sha256: str,
    parameters: Sequence[Parameter],
    *,
    name: str,
    role: str,
    day: date,
    wall: datetime,
) -> Path:
    """Sign a protocol, and with it each parameter whose grade is not ``trial``.

    Parameters
    ----------
    study
        Folder of the study; made if it is not there.
    protocol_sha256
        Of the protocol file's bytes.
    parameters
        All safety parameters of the protocol.
    name, role
        The clinician's name, and one of `CLINICIANS`.
    day
        The date of the signature.
    wall
        When it is written down, with its time zone; `day` may not be later.

    Returns
    -------
    Path
        The file of the signatures. A second signature is added, none is replaced.

    Raises
    ------
    UserError
        If the name is empty, the role may not sign, the day is in the future, or what is there cannot be read.
    """
    check_signer(name, role, day, wall)
    path = _path(Path(study), protocol_sha256)
    earlier = _read(path) if path.exists() else []
    signature = {
        "name": name,
        "role": role,
        "date": day.isoformat(),
        "parameters": [{"path": p, "value": value, "grade": grade} for p, value, grade in _unproven(parameters)],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    # The audit comes first: a signature is valid only if it stands there.
    record_act(
        audit_of(study), wall, name, role, "sign", f"protocol {protocol_sha256}", None, _hash(signature), "approved"
    )
    content = {"protocol_sha256": protocol_sha256, "signatures": [*earlier, signature]}
    replace_file(path, (json.dumps(content, sort_keys=True, indent=1, ensure_ascii=False) + "\n").encode())
    return path


def check_signer(name: str, role: str, day: date, wall: datetime) -> None:
    """Refuse a signature of nobody, of one who may not sign, or of tomorrow.

    Raises
    ------
    UserError
        If that is so.
    """
    if not name.strip():
        raise UserError("--name: empty; a signature has a name")
    if role not in CLINICIANS:
        raise UserError(f"--role: found {role!r}, allowed to sign: {', '.join(CLINICIANS)}")
    if day > wall.astimezone().date():
        raise UserError(f"--date: found {day.isoformat()}, which is in the future")


def sha256_of(protocol_file: Path | str) -> str:
    """What of a protocol is signed: the hash of its file's bytes."""
    return hashlib.sha256(Path(protocol_file).read_bytes()).hexdigest()


def signed(study: Path | str, protocol_sha256: str, parameters: Sequence[Parameter]) -> list[str]:
    """What keeps a protocol from counting as signed, one line each; empty if it is.

    Parameters
    ----------
    study
        Folder of the study.
    protocol_sha256
        Of the protocol file's bytes.
    parameters
        All safety parameters of the protocol, as they are now.
    """
    path = _path(Path(study), protocol_sha256)
    if not path.is_file():
        return [f"{path}: no clinician has signed this protocol (myoloop sign)"]
    try:
        signatures = _read(path)
        audited = {
            row["new"]
            for row in read_chained(Path(study) / AUDIT_FILE)
            if row.get("act") == "sign" and row.get("what") == f"protocol {protocol_sha256}"
        }
    except DamagedLog as error:
        return error.problems
    except UserError as error:
        return [str(error)]
    valid = [each for each in signatures if _hash(each) in audited and each["role"] in CLINICIANS]
    if not valid:
        return [f"{path}: no signature in it stands in the study's audit; it was not written by myoloop sign"]
    held = {(row["path"], row["value"]) for each in valid for row in each["parameters"]}
    return [
        f"{path}: {p}: {value} has the grade {grade} and is not signed"
        for p, value, grade in _unproven(parameters)
        if (p, value) not in held
    ]


def _unproven(parameters: Sequence[Parameter]) -> list[Parameter]:
    return [each for each in parameters if each[2] != PROVEN]


def _path(study: Path, protocol_sha256: str) -> Path:
    if not _SHA256.fullmatch(protocol_sha256):
        raise UserError(f"protocol hash {protocol_sha256[:80]!r}: allowed are 64 hexadecimal digits")
    return study / FOLDER / f"{protocol_sha256}.json"


def _hash(signature: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(signature, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _read(path: Path) -> list[dict[str, Any]]:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
    signatures = content.get("signatures") if isinstance(content, dict) else None
    if not isinstance(signatures, list) or content.get("protocol_sha256") != path.stem:
        raise UserError(f"{path}: not a file of signatures of the protocol in its name")
    for each in signatures:
        if not (isinstance(each, dict) and isinstance(each.get("role"), str) and _rows(each.get("parameters"))):
            raise UserError(f"{path}: a signature in it lacks its role or its parameters")
    return signatures


def _rows(rows: object) -> bool:
    return isinstance(rows, list) and all(isinstance(row, dict) and {"path", "value"} <= row.keys() for row in rows)
