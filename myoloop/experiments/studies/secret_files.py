"""Files that no study folder may hold: whoever is handed the study must not be handed them with it."""

from __future__ import annotations

import os
from pathlib import Path

from myoloop.platform.errors import UserError
from myoloop.platform.recording.folder import sync_folder

#: What only a study's folder holds.
_MARKS = ("study.yaml", "participants.tsv", "allocation.sealed", "audit.jsonl")


def study_above(path: Path | str) -> Path | None:
    """The study folder that a path is in, if it is in one."""
    for folder in Path(path).absolute().resolve().parents:
        if any((folder / mark).is_file() for mark in _MARKS) or any(
            each.is_dir() and any(each.glob("ses-*")) for each in folder.glob("sub-*")
        ):
            return folder
    return None


def refuse_inside(path: Path | str, study: Path | str | None, what: str) -> None:
    """Refuse a file that stands in a study folder.

    Parameters
    ----------
    path
        The file, which need not be there.
    study
        A study folder, which need not be there; None if only the path tells.
    what
        What the file is, for the message.

    Raises
    ------
    UserError
        If it does.
    """
    inside = study_above(path)
    if inside is None and study is not None and Path(path).resolve().is_relative_to(Path(study).resolve()):
        inside = Path(study)
    if inside is not None:
        raise UserError(f"{path}: {what} may not stand in a study folder ({inside}); keep it elsewhere")


def write_secret(path: Path, content: bytes) -> None:
    """Write a new file that only its owner may read.

    Raises
    ------
    UserError
        If it is already there, or cannot be written.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise UserError(f"{path}: is already there, nothing is overwritten") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}") from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    sync_folder(path.absolute().parent)


def replace_secret(path: Path, content: bytes) -> None:
    """Write a file anew so that a reader finds the old or the new one; only its owner may read it."""
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    write_secret(part, content)
    part.replace(path)
    sync_folder(path.absolute().parent)
