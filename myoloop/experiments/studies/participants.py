"""``participants.tsv``: who takes part, by pseudonym; no arm, name or date of birth stands in it.

Who has withdrawn stands in the study's audit alone (act ``withdraw``), so that the pseudonym is nowhere else, and not
used again all the same. A row that says ``withdrawn`` counts, too.
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal

from myoloop.experiments.studies.chained import read_chained
from myoloop.experiments.studies.exclusive import exclusively
from myoloop.platform.errors import UserError
from myoloop.platform.recording.folder import replace_file

PARTICIPANTS_FILE = "participants.tsv"
_COLUMNS = ["participant_id", "status", "enrolled_on"]
_ABSENT = "n/a"
#: The study's audit, which imports nothing of this.
_AUDIT = "audit.jsonl"
_PERSON = re.compile(r"[A-Za-z0-9]{1,32}")

Status = Literal["enrolled", "withdrawn"]
_STATUSES: dict[str | None, Status] = {"enrolled": "enrolled", "withdrawn": "withdrawn"}


@dataclass(frozen=True, slots=True)
class Participant:
    """One row; `enrolled_on` is None where it is not known, or was removed with all else."""

    person: str
    status: Status
    enrolled_on: date | None


def check_person(person: str) -> None:
    """Refuse what is no pseudonym, and could be a path.

    Raises
    ------
    UserError
        If it is not 1 to 32 letters and digits.
    """
    if not _PERSON.fullmatch(person):
        raise UserError(f"person {person[:64]!r}: allowed is a pseudonym of 1 to 32 letters and digits")


def participants(study: Path | str) -> dict[str, Participant]:
    """Everybody in the file, by pseudonym, and everybody who has withdrawn.

    Raises
    ------
    UserError
        If a row cannot be read, or the audit was edited: nobody knows then who has withdrawn.
    """
    gone = {
        str(row.get("what")).removeprefix("sub-")
        for row in read_chained(Path(study) / _AUDIT)
        if row.get("act") == "withdraw"
    }
    return _rows(study) | {person: Participant(person, "withdrawn", None) for person in gone}


def _rows(study: Path | str) -> dict[str, Participant]:
    """Everybody in the file."""
    path = Path(study) / PARTICIPANTS_FILE
    if not path.exists():
        return {}
    found: dict[str, Participant] = {}
    for line, row in enumerate(csv.DictReader(io.StringIO(path.read_text("utf-8")), delimiter="\t"), 2):
        person = (row.get("participant_id") or "").removeprefix("sub-")
        status, day = row.get("status"), row.get("enrolled_on") or _ABSENT
        try:
            check_person(person)
            enrolled_on = None if day == _ABSENT else date.fromisoformat(day)
        except (UserError, ValueError) as error:
            raise UserError(f"{path}:{line}: {error}") from None
        if status not in _STATUSES:
            raise UserError(f"{path}:{line}: status: found {status!r}, allowed are enrolled, withdrawn")
        found[person] = Participant(person, _STATUSES[status], enrolled_on)
    return found


def register(study: Path | str, person: str, day: date) -> Participant:
    """Write down that a person takes part, unless it stands there.

    Raises
    ------
    UserError
        If the person has withdrawn, the pseudonym is none, or the file cannot be read.
    """
    check_person(person)
    with exclusively(Path(study)):
        refuse_withdrawn(study, person)
        found = _rows(study)
        if person not in found:
            found[person] = Participant(person, "enrolled", day)
            _write(Path(study), found)
    return found[person]


def refuse_withdrawn(study: Path | str, person: str) -> None:
    """Refuse a person who has withdrawn: the pseudonym is not used again.

    Raises
    ------
    UserError
        If that is so, or the file cannot be read.
    """
    row = participants(study).get(person)
    if row is not None and row.status == "withdrawn":
        raise UserError(f"{person}: has withdrawn from this study; nothing of theirs may be recorded")


def strike(study: Path | str, person: str) -> None:
    """Take a person's row out of the file, after the audit says that they have withdrawn."""
    with exclusively(Path(study)):
        found = _rows(study)
        if found.pop(person, None) is not None:
            _write(Path(study), found)


def _write(study: Path, rows: dict[str, Participant]) -> None:
    out = io.StringIO()
    writer = csv.writer(out, delimiter="\t", lineterminator="\n")
    writer.writerow(_COLUMNS)
    for row in sorted(rows.values(), key=lambda each: each.person):
        writer.writerow([f"sub-{row.person}", row.status, row.enrolled_on.isoformat() if row.enrolled_on else _ABSENT])
    replace_file(study / PARTICIPANTS_FILE, out.getvalue().encode())
