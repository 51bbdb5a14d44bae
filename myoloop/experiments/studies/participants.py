"""``participants.tsv``: who takes part, by pseudonym; no arm, name or date of birth stands in it."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal

from myoloop.experiments.studies.exclusive import exclusively
from myoloop.platform.errors import UserError
from myoloop.platform.recording.folder import replace_file

PARTICIPANTS_FILE = "participants.tsv"
_COLUMNS = ["participant_id", "status", "enrolled_on"]
_ABSENT = "n/a"
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
    """Everybody in the file, by pseudonym; nobody where there is none.

    Raises
    ------
    UserError
        If a row cannot be read.
    """
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
        found = participants(study)
        refuse_withdrawn(study, person)
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


def mark_withdrawn(study: Path | str, person: str) -> None:
    """Leave of a person's row the pseudonym and that it is withdrawn."""
    check_person(person)
    with exclusively(Path(study)):
        _write(Path(study), {**participants(study), person: Participant(person, "withdrawn", None)})


def _write(study: Path, rows: dict[str, Participant]) -> None:
    out = io.StringIO()
    writer = csv.writer(out, delimiter="\t", lineterminator="\n")
    writer.writerow(_COLUMNS)
    for row in sorted(rows.values(), key=lambda each: each.person):
        writer.writerow([f"sub-{row.person}", row.status, row.enrolled_on.isoformat() if row.enrolled_on else _ABSENT])
    replace_file(study / PARTICIPANTS_FILE, out.getvalue().encode())
