"""An audited act on what is recorded of a person: a session given to whom it belongs.

Nobody runs a session of the persons meanwhile. A reassigned session keeps its recording byte for byte, in which the
pseudonym it was recorded under still stands; the audits of the study and of the session say whose it is.
"""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from myoloop.experiments.studies.audit import AUDIT_FILE, RECORD_FOLDER, audit_of, record_act, utc
from myoloop.experiments.studies.chained import read_chained
from myoloop.experiments.studies.exclusive import exclusively
from myoloop.experiments.studies.moving import move_dose, move_rows, rows_of_session
from myoloop.experiments.studies.participants import (
    check_person,
    refuse_withdrawn,
)
from myoloop.platform.errors import UserError
from myoloop.platform.recording.file import refuse_if_written
from myoloop.platform.recording.folder import MAX_SESSION, next_session, replace_file, sync_folder
from myoloop.platform.recording.layout import SESSION_FILE
from myoloop.stimulators.dose_ledger import LEDGER_FILE, Ledger, is_held

#: Left where a reassigned session stood, so that its number is not given out again.
MOVED_FILE = "reassigned.json"
_SESSION = re.compile(r"ses-([0-9]{2,4})")


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, as what, when (with its time zone) and why; no field may be empty."""

    who: str
    role: str
    wall: datetime
    why: str

    def __post_init__(self) -> None:
        for name in ("who", "role", "why"):
            if not getattr(self, name).strip():
                raise UserError(f"--{name}: empty; the act is recorded with who, in which role, and why")


@dataclass(frozen=True, slots=True)
class Reassigned:
    """What a reassignment did, or would do."""

    old: Path
    new: Path
    attempts: int
    dose_lines: int
    record_entries: int


def reassign(session: Path | str, to: str, actor: Actor, *, dry_run: bool = False) -> Reassigned:
    """Give a session to the person it belongs to: folder, dose and what was recorded of the person in it.

    Parameters
    ----------
    session
        ``study/sub-P017/ses-05``, or the attempt in it if there is only one: attempts share a dose.
    to
        Whose it is; it gets that person's next number.
    actor
        Who does it, and why.
    dry_run
        Say what would be done.

    Raises
    ------
    UserError
        If the session is not there or not whole, a session of either person is running, a ledger or record is damaged,
        or the person is the same or has withdrawn.
    """
    check_person(to)
    old = _session_folder(Path(session))
    study, person = old.parents[1], old.parent.name.removeprefix("sub-")
    number = int(old.name.removeprefix("ses-"))
    if to == person:
        raise UserError(f"--to: found {to!r}, whose session it is")
    with exclusively(study), contextlib.ExitStack() as held:
        refuse_withdrawn(study, to)
        for name in sorted((person, to)):
            not_running(study / f"sub-{name}")
        ledgers = [study / f"sub-{name}" / LEDGER_FILE for name in (person, to)]
        for name, path in zip((person, to), ledgers, strict=True):
            if not dry_run:
                path.parent.mkdir(exist_ok=True)
            if path.exists() or not dry_run:
                # As a session would hold it: none of them begins before all is done.
                held.enter_context(contextlib.closing(_Held(path, name)))
        texts = [path.read_text("utf-8") if path.exists() else "" for path in ledgers]
        what = f"sub-{person}/{old.name}"
        new_number = _begun_before(study, what, to) or _free_number(study, to, texts[1])
        new = study / f"sub-{to}" / f"ses-{new_number:02d}"
        kept, joined, lines = move_dose(texts[0], texts[1], to, old.name, new.name)
        rows = {path: rows_of_session(path, number) for path in sorted(old.parent.glob(f"{RECORD_FOLDER}/*.jsonl"))}
        attempts = sorted(old.glob("att-*"))
        done = Reassigned(old, new, len(attempts), lines, sum(map(len, rows.values())))
        if dry_run:
            return done
        change = ({"person": person, "session": number}, {"person": to, "session": new_number})
        for log in (audit_of(study), *map(audit_of, attempts)):
            record_act(log, actor.wall, actor.who, actor.role, "reassign", what, *change, actor.why)
        note = {"wall_utc": utc(actor.wall), "who": actor.who, "why": actor.why}
        for path, found in rows.items():
            move_rows(path, new.parent / RECORD_FOLDER / path.name, found, person, new_number, note)
        # What was given counts for the right person before it no longer counts for the other.
        if lines:
            replace_file(ledgers[1], joined.encode())
            replace_file(ledgers[0], kept.encode())
        old.rename(new)
        old.mkdir()
        moved = {"person": to, "session": new_number, "wall_utc": utc(actor.wall)}
        replace_file(old / MOVED_FILE, (json.dumps(moved, sort_keys=True) + "\n").encode())
        for folder in (old.parent, new.parent):
            sync_folder(folder)
    return done


# -- inside --------------------------------------------------------------------------------------------------------


class _Held:
    """A dose ledger, held as a session would hold it."""

    def __init__(self, path: Path, person: str) -> None:
        self._ledger = Ledger.open(path, person, "reassign")

    def close(self) -> None:
        self._ledger.close(self._ledger.prior.session, 0)


def _session_folder(path: Path) -> Path:
    path = path.absolute()
    if path.name == SESSION_FILE:
        path = path.parent
    if re.fullmatch(r"att-[0-9]+", path.name):
        if len(list(path.parent.glob("att-*"))) > 1:
            raise UserError(f"{path}: one of several attempts, which share a dose; name their session: {path.parent}")
        path = path.parent
    if not (path.is_dir() and _SESSION.fullmatch(path.name) and path.parent.name.startswith("sub-")):
        raise UserError(f"{path}: not a session's folder (study/sub-P017/ses-05)")
    if not list(path.glob("att-*")):
        raise UserError(f"{path}: holds no attempt")
    return path


def _free_number(study: Path, person: str, ledger: str) -> int:
    """The next session's number that neither a folder nor the dose ledger has."""
    number = next_session(study, person)
    booked = {json.loads(line)["session"] for line in ledger.splitlines()}
    while f"ses-{number:02d}" in booked:
        number += 1
    if number > MAX_SESSION:
        raise UserError(f"{person}: has {MAX_SESSION} sessions already")
    return number


def _begun_before(study: Path, what: str, to: str) -> int | None:
    """The number that the session was to get when the same was begun and cut short."""
    for row in reversed(read_chained(study / AUDIT_FILE)):
        if (row.get("act"), row.get("what")) == ("reassign", what) and row["new"]["person"] == to:
            number = int(row["new"]["session"])
            return None if (study / f"sub-{to}" / f"ses-{number:02d}").exists() else number
    return None


def not_running(folder: Path) -> None:
    """Refuse to touch what a running session writes.

    Raises
    ------
    UserError
        If a session of the person with this folder runs.
    """
    if is_held(folder / LEDGER_FILE):
        raise UserError(f"{folder}: a session of this person is running; end it first")
    for recording in folder.glob(f"ses-*/att-*/{SESSION_FILE}"):
        refuse_if_written(recording)
