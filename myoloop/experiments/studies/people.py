"""Audited acts on what is recorded of a person: a session given to whom it belongs, and everything removed.

Nobody runs a session of the persons meanwhile. A reassigned session keeps its recording byte for byte, in which the
pseudonym it was recorded under still stands; the audits of the study and of the session say whose it is.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from myoloop.experiments.studies.audit import AUDIT_FILE, RECORD_FOLDER, audit_of, record_act, utc
from myoloop.experiments.studies.chained import read_chained
from myoloop.experiments.studies.exclusive import LOCK_FILE, exclusively
from myoloop.experiments.studies.moving import move_dose, move_rows, rows_of_session
from myoloop.experiments.studies.participants import (
    PARTICIPANTS_FILE,
    check_person,
    mark_withdrawn,
    participants,
    refuse_withdrawn,
)
from myoloop.platform.errors import UserError
from myoloop.platform.recording.file import refuse_if_written
from myoloop.platform.recording.folder import MAX_SESSION, next_session, replace_file, sync_folder
from myoloop.platform.recording.layout import SESSION_FILE
from myoloop.stimulators.dose_ledger import LEDGER_FILE, Ledger, is_held

#: Left where a reassigned session stood, so that its number is not given out again.
MOVED_FILE = "reassigned.json"
PROOFS = "withdrawn"
_SESSION = re.compile(r"ses-([0-9]{2,4})")
#: Larger files are not searched for a pseudonym.
_SEARCHED_BYTES = 16 << 20


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


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """What a withdrawal removed, or would remove.

    Attributes
    ----------
    files
        Path in the study, size and SHA-256 of each.
    proof
        Where that list stands; None if nothing was done.
    mentions
        Other files of the study in whose text the pseudonym stands: they are for a person to look at.
    """

    files: tuple[tuple[str, int, str], ...]
    proof: Path | None
    mentions: tuple[str, ...]


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
            _not_running(study / f"sub-{name}")
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


def withdraw(study: Path | str, person: str, actor: Actor, *, dry_run: bool = False) -> Withdrawn:
    """Remove all data of a person from a study, and leave a proof: the list of what was removed, with hashes.

    What stays are the pseudonym in `PARTICIPANTS_FILE` (withdrawn), in the audit, and in the allocation, whose number
    cannot be given to another.

    Raises
    ------
    UserError
        If nothing of the person is there, or a session of theirs is running.
    """
    check_person(person)
    study = Path(study)
    if not study.is_dir():
        raise UserError(f"{study}: no such folder")
    with exclusively(study):
        _not_running(study / f"sub-{person}")
        tops = _belonging(study, person)
        files = tuple(_hashed(study, path) for top in tops for path in _files(top))
        if not tops and person not in participants(study):
            raise UserError(f"{study}: nothing of {person} is in it")
    if dry_run:
        return Withdrawn(files, None, _mentions(study, person, tops))
    # First nobody can begin a session of theirs, then there is a proof, then it is removed.
    mark_withdrawn(study, person)
    proof = _write_proof(study, person, files, actor.wall)
    content_sha256 = hashlib.sha256(proof.read_bytes()).hexdigest()
    new = {"files": len(files), "proof": proof.relative_to(study).as_posix(), "sha256": content_sha256}
    record_act(
        audit_of(study), actor.wall, actor.who, actor.role, "withdraw", f"sub-{person}", "recorded", new, actor.why
    )
    for top in tops:
        if top.is_dir() and not top.is_symlink():
            shutil.rmtree(top)
        else:
            top.unlink()
        sync_folder(top.parent)
    return Withdrawn(files, proof, _mentions(study, person, ()))


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


def _not_running(folder: Path) -> None:
    if is_held(folder / LEDGER_FILE):
        raise UserError(f"{folder}: a session of this person is running; end it first")
    for recording in folder.glob(f"ses-*/att-*/{SESSION_FILE}"):
        refuse_if_written(recording)


def _belonging(study: Path, person: str) -> list[Path]:
    """Everything in a study that is a person's by its name, at any depth; nothing inside another of them."""
    name = re.compile(rf"sub-{person}([_.-].*)?")
    found: list[Path] = []
    for folder, folders, names in os.walk(study):
        here = Path(folder)
        found += [here / each for each in names if name.fullmatch(each)]
        for each in [each for each in folders if name.fullmatch(each)]:
            found.append(here / each)
            folders.remove(each)
    return sorted(found)


def _files(top: Path) -> list[Path]:
    if top.is_dir() and not top.is_symlink():
        return sorted(path for path in top.rglob("*") if path.is_symlink() or not path.is_dir())
    return [top]


def _hashed(study: Path, path: Path) -> tuple[str, int, str]:
    digest, size = hashlib.sha256(), 0
    if path.is_symlink():
        # The link is removed, never what it points at.
        digest.update(os.fsencode(path.readlink()))
    else:
        with path.open("rb") as file:
            while part := file.read(1 << 20):
                digest.update(part)
                size += len(part)
    return path.relative_to(study).as_posix(), size, digest.hexdigest()


def _write_proof(study: Path, person: str, files: Sequence[tuple[str, int, str]], wall: datetime) -> Path:
    folder = study / PROOFS
    folder.mkdir(exist_ok=True)
    number = 1
    while (path := folder / f"{person}{f'-{number}' if number > 1 else ''}.json").exists():
        number += 1
    rows = [{"path": path, "bytes": size, "sha256": sha256} for path, size, sha256 in files]
    content = {"person": person, "wall_utc": utc(wall), "removed": rows}
    replace_file(path, (json.dumps(content, sort_keys=True, indent=1) + "\n").encode())
    return path


def _mentions(study: Path, person: str, tops: Sequence[Path]) -> tuple[str, ...]:
    """Files that are not a person's, but have the pseudonym in their text or name."""
    word = re.compile(rf"(?<![A-Za-z0-9]){person}(?![A-Za-z0-9])".encode())
    found = []
    for path in sorted(study.rglob("*")):
        own = path.name in (PARTICIPANTS_FILE, AUDIT_FILE, LOCK_FILE, MOVED_FILE) or path.parent.name in (
            PROOFS,
            "allocation",
        )
        if own or not path.is_file() or path.is_symlink() or any(path.is_relative_to(top) for top in tops):
            continue
        small = path.stat().st_size <= _SEARCHED_BYTES
        if word.search(os.fsencode(path.name)) or (small and word.search(path.read_bytes())):
            found.append(path.relative_to(study).as_posix())
    return tuple(found)
