"""Everything of a person removed from a study, and the proof of it.

What is a person's by its name is removed, and so is whatever was derived of theirs together with others': tables and
reports in `derivatives/`, files of an export, whole datasets, since they are frozen by their hash. What has to be made
again is told, and so is every controller that learned from such a dataset. Then everything is searched for the
pseudonym. It stays in chained logs alone, which are the audit: an entry taken out would break them.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from myoloop.experiments.studies.audit import AUDIT_FILE, CHAINED, audit_of, record_act, utc
from myoloop.experiments.studies.exclusive import LOCK_FILE, exclusively
from myoloop.experiments.studies.participants import PARTICIPANTS_FILE, check_person, participants, strike
from myoloop.experiments.studies.people import MOVED_FILE, Actor, not_running
from myoloop.experiments.studies.pseudonym_search import Found, Words, search
from myoloop.platform.errors import UserError
from myoloop.platform.recording.folder import replace_file, sync_folder

PROOFS = "withdrawn"
DERIVED = "derivatives"
#: What makes a folder an export, and one a dataset.
_EXPORT, _DATASET, _PEOPLE = "dataset_description.json", "dataset.json", "people.tsv"


@dataclass(frozen=True, slots=True)
class Dataset:
    """A frozen dataset that contains the person.

    Attributes
    ----------
    path, sha256
        Its folder, and the hash it was frozen under.
    learned
        Files that name this hash: of controllers that were trained on it, and what tells of them.
    """

    path: str
    sha256: str
    learned: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """What a withdrawal removed, or would remove.

    Attributes
    ----------
    files
        Path, size and SHA-256 of each file.
    derived
        Those of them that held others' data, too, and have to be made again.
    datasets
        Those that contained the person; they were removed whole.
    proof
        Where the list stands; None if nothing was done.
    mentions
        Files in which the pseudonym still stands: they are for a person to look at.
    alike
        Files in which it stands in other letters alone, as p017 for P017: they are too.
    chained
        Chained logs that keep it: how many of their entries.
    searched
        The search that says so, in words, and what could not be looked into.
    not_searched
        By path, why.
    """

    files: tuple[tuple[str, int, str], ...]
    derived: tuple[str, ...]
    datasets: tuple[Dataset, ...]
    proof: Path | None
    mentions: tuple[str, ...]
    alike: tuple[str, ...]
    chained: dict[str, int]
    searched: str
    not_searched: dict[str, str]


def withdraw(
    study: Path | str, person: str, actor: Actor, *, also: Sequence[Path] = (), dry_run: bool = False
) -> Withdrawn:
    """Remove all data of a person from a study, and prove it.

    A proof is the list of what was removed, with hashes and without the pseudonym, in ``withdrawn/``; its hash stands
    in the audit, and so does what the search afterwards found.

    Parameters
    ----------
    also
        Folders elsewhere that hold what was made of the study: datasets, trainings, exports. They are treated alike.
    dry_run
        Say what would be done.

    Raises
    ------
    UserError
        If nothing of the person is there, a folder is not, or a session of theirs is running.
    """
    check_person(person)
    study = Path(study)
    roots = [study, *also]
    for root in roots:
        if not root.is_dir():
            raise UserError(f"{root}: no such folder")
    with exclusively(study):
        not_running(study / f"sub-{person}")
        words, in_any_case = Words([person]), Words([person], any_case=True)
        named = {root: _belonging(root, person) for root in roots}
        datasets = [(root, found) for root in roots for found in _datasets(root, person, named[root])]
        for root, found in datasets:
            named[root].append(root / found.path)
        before = {root: search(root, words, named[root]) for root in roots}
        derived = {
            root: [root / path for path in before[root].hits if _is_derived(root, path, study=study)] for root in roots
        }
        files = tuple(
            _hashed(root, path, study)
            for root in roots
            for top in (*named[root], *derived[root])
            for path in _files(top)
        )
        if not any(named.values()) and not files and person not in participants(study):
            raise UserError(f"{study}: nothing of {person} is in it")
        told = tuple(_shown(root, path.relative_to(root).as_posix(), study) for root in roots for path in derived[root])
        learned = _learned(roots, datasets, study)
    if dry_run:
        left = {
            root: {k: n for k, n in found.hits.items() if root / k not in derived[root]}
            for root, found in before.items()
        }
        gone = {root: [*named[root], *derived[root]] for root in roots}
        alike = {root: search(root, in_any_case, gone[root]).hits.keys() - before[root].hits for root in roots}
        return _told(files, told, learned, None, left, alike, before, study)
    # First nobody can begin a session of theirs, then there is a proof, then it is removed.
    proof = _write_proof(study, words, files, learned, actor.wall)
    _act(study, person, actor, "withdraw", "recorded", {
        "files": len(files),
        "proof": proof.relative_to(study).as_posix(),
        "sha256": hashlib.sha256(proof.read_bytes()).hexdigest(),
    })  # fmt: skip
    strike(study, person)
    for root in roots:
        for top in (*named[root], *derived[root]):
            _remove(top)
        _forget_moves(root, person)
    after = {root: search(root, words) for root in roots}
    alike = {root: search(root, in_any_case).hits.keys() - found.hits for root, found in after.items()}
    # What is found is written into the audit, as one entry more.
    after[study].hits[AUDIT_FILE] = after[study].hits.get(AUDIT_FILE, 0) + 1
    done = _told(files, told, learned, proof, {root: found.hits for root, found in after.items()}, alike, after, study)
    _act(study, person, actor, "withdraw_proved", None, {
        "searched": done.searched,
        "still_in": len(done.mentions),
        "in_other_letters": len(done.alike),
        "chained": sum(done.chained.values()),
        "by_name_only": len(done.not_searched),
    })  # fmt: skip
    return done


# -- what is whose ---------------------------------------------------------------------------------------------------


def _belonging(root: Path, person: str) -> list[Path]:
    """Everything below a folder that is a person's by its name, at any depth; nothing inside another of them."""
    name = re.compile(rf"sub-{person}([_.-].*)?")
    found: list[Path] = []
    for folder, folders, names in os.walk(root):
        here = Path(folder)
        found += [here / each for each in names if name.fullmatch(each)]
        for each in [each for each in folders if name.fullmatch(each)]:
            found.append(here / each)
            folders.remove(each)
    return sorted(found)


def _datasets(root: Path, person: str, named: Sequence[Path]) -> list[Dataset]:
    """Frozen datasets below a folder that contain the person."""
    found = []
    for index in sorted(root.rglob(_DATASET)):
        people = index.with_name(_PEOPLE)
        if any(index.is_relative_to(top) for top in named) or not people.is_file():
            continue
        rows = csv.DictReader(people.read_text("utf-8", "replace").splitlines(), delimiter="\t")
        if any(row.get("person") == person for row in rows):
            found.append(Dataset(index.parent.relative_to(root).as_posix(), _hash_of(index)))
    return found


def _hash_of(index: Path) -> str:
    try:
        told = json.loads(index.read_bytes())
    except ValueError:
        return ""
    return str(told.get("sha256", "")) if isinstance(told, dict) else ""


def _learned(roots: Sequence[Path], datasets: Sequence[tuple[Path, Dataset]], study: Path) -> tuple[Dataset, ...]:
    """The datasets with all that names their hash, outside of themselves."""
    done = []
    for root, found in datasets:
        told: list[str] = []
        if found.sha256:
            own = [each / dataset.path for each, dataset in datasets]
            needle = Words([found.sha256])
            told = [_shown(each, path, study) for each in roots for path in search(each, needle, own).hits]
        done.append(Dataset(_shown(root, found.path, study), found.sha256, tuple(told)))
    return tuple(done)


def _is_derived(root: Path, path: str, *, study: Path) -> bool:
    """Whether a file may be deleted, since it can be made again: a derivative, or part of an export."""
    parts = Path(path).parts
    if parts[0] == DERIVED or (root != study and (root / _EXPORT).is_file()):
        return True
    inside = [root.joinpath(*parts[:depth]) for depth in range(1, len(parts))]
    return any((folder / _EXPORT).is_file() for folder in inside)


def _is_chained(path: str) -> bool:
    here = Path(path)
    return any(here.match(pattern) and len(here.parts) == len(Path(pattern).parts) for pattern in CHAINED)


# -- doing it --------------------------------------------------------------------------------------------------------


def _remove(top: Path) -> None:
    if top.is_dir() and not top.is_symlink():
        shutil.rmtree(top)
    else:
        top.unlink(missing_ok=True)
    sync_folder(top.parent)


def _forget_moves(root: Path, person: str) -> None:
    """Of a session that was given to the person, leave that its number is not free, and not whose it became."""
    for path in root.glob(f"sub-*/ses-*/{MOVED_FILE}"):
        row = json.loads(path.read_bytes())
        if row.get("person") == person:
            replace_file(path, (json.dumps({**row, "person": None}, sort_keys=True) + "\n").encode())


def _act(study: Path, person: str, actor: Actor, act: str, old: str | None, new: dict[str, Any]) -> None:
    record_act(audit_of(study), actor.wall, actor.who, actor.role, act, f"sub-{person}", old, new, actor.why)


def _write_proof(
    study: Path, words: Words, files: Sequence[tuple[str, int, str]], datasets: Sequence[Dataset], wall: datetime
) -> Path:
    folder = study / PROOFS
    folder.mkdir(exist_ok=True)
    number = 1
    while (path := folder / f"{number}.json").exists():
        number += 1
    rows = [{"path": words.text.sub("*", path), "bytes": size, "sha256": sha256} for path, size, sha256 in files]
    made_again = [{"path": words.text.sub("*", each.path), "sha256": each.sha256} for each in datasets]
    content = {"wall_utc": utc(wall), "removed": rows, "datasets": made_again}
    replace_file(path, (json.dumps(content, sort_keys=True, indent=1) + "\n").encode())
    return path


# -- telling it ------------------------------------------------------------------------------------------------------


def say_withdrawn(done: Withdrawn, person: str) -> str:
    """What was done, what has to be made again, and the proof; one line each."""
    lead = "removed" if done.proof else "would remove"
    lines = [f"{lead} {path} ({size} bytes)" for path, size, _ in done.files]
    lines += [f"{path}: held others' data, too; to be made again" for path in done.derived]
    for each in done.datasets:
        lines.append(f"dataset {each.path} (sha256 {each.sha256}) contains {person}, {lead} whole; build it again")
        lines += [
            f"{path}: learned from that dataset; train and evaluate again, and roll back if it is at work"
            for path in each.learned
        ]
    lines += [f"{path}: still names {person}; look at it" for path in done.mentions]
    lines += [f"{path}: names {person} in other letters; look at it" for path in done.alike]
    if done.proof:
        lines.append(f"list of what was removed, with hashes: {done.proof}")
    lines.append(f"{done.searched}:" if done.proof else f"{done.searched}, as it is now:")
    stands = [f"{path} ({entries} times; a chained log, kept)" for path, entries in sorted(done.chained.items())]
    stands += list(done.mentions)
    lines.append(f"{person} {'stands' if done.proof else 'would stay'} in {', '.join(stands) or 'nothing'}")
    lines += [f"not looked into: {path} ({why})" for path, why in sorted(done.not_searched.items())]
    lines.append("outside: remove the entry in the identity key file (myoloop keyfile remove), and copies elsewhere")
    return "\n".join(lines)


def _told(
    files: tuple[tuple[str, int, str], ...],
    derived: tuple[str, ...],
    datasets: tuple[Dataset, ...],
    proof: Path | None,
    hits: dict[Path, dict[str, int]],
    alike: Mapping[Path, Collection[str]],
    searches: dict[Path, Found],
    study: Path,
) -> Withdrawn:
    own = {LOCK_FILE} | ({PARTICIPANTS_FILE} if proof is None else set())
    mentions, chained, whole = [], {}, Found()
    for root, found in hits.items():
        for path in found:
            shown = _shown(root, path, study)
            if root == study and path in own:
                continue
            if _is_chained(path):
                chained[shown] = found[path]
            elif not (proof is None and Path(path).name == MOVED_FILE):
                mentions.append(shown)
        whole.files += searches[root].files
        whole.opened += searches[root].opened
        whole.not_searched |= {_shown(root, path, study): why for path, why in searches[root].not_searched.items()}
    other = tuple(_shown(root, path, study) for root, paths in alike.items() for path in sorted(paths))
    return Withdrawn(
        files, derived, datasets, proof, tuple(mentions), other, chained, whole.in_words(), whole.not_searched
    )


def _shown(root: Path, path: str, study: Path) -> str:
    return path if root == study else (root / path).as_posix()


def _files(top: Path) -> list[Path]:
    if top.is_dir() and not top.is_symlink():
        return sorted(path for path in top.rglob("*") if path.is_symlink() or not path.is_dir())
    return [top]


def _hashed(root: Path, path: Path, study: Path) -> tuple[str, int, str]:
    digest, size = hashlib.sha256(), 0
    if path.is_symlink():
        # The link is removed, never what it points at.
        digest.update(os.fsencode(path.readlink()))
    else:
        with path.open("rb") as file:
            while part := file.read(1 << 20):
                digest.update(part)
                size += len(part)
    return _shown(root, path.relative_to(root).as_posix(), study), size, digest.hexdigest()
