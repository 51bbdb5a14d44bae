"""Where a recording stands: ``study/sub-<id>/ses-NN/att-N/``.

Nothing is ever overwritten: a new attempt gets a new number, taken by making its folder, which only one process can.
No path holds anything personal: a subject is a pseudonym of letters and digits.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from myoloop.platform.errors import UserError
from myoloop.platform.recording.layout import SESSION_FILE, RecordingError

_SUBJECT = re.compile(r"[A-Za-z0-9]{1,32}")
_SESSION_FOLDER = re.compile(r"ses-([0-9]{2,4})")
_ATTEMPT_FOLDER = re.compile(r"att-([1-9][0-9]{0,4})")
_COPY_NAME = re.compile(r"[a-z][a-z0-9_-]*\.(yaml|json)")
LOG_FILE = "log.jsonl"
MAX_SESSION = 9999


@dataclass(frozen=True, slots=True)
class AttemptPlace:
    """What an attempt's path says of it."""

    study: Path
    subject: str
    session: int
    attempt: int


def create_attempt(study: Path | str, subject: str, session: int) -> Path:
    """Make the folder of a new attempt and return it.

    Parameters
    ----------
    study
        Folder of the study; made if it is not there.
    subject
        Pseudonym, ``[A-Za-z0-9]{1,32}``.
    session
        Number of the session, from 1.

    Raises
    ------
    RecordingError
        If the subject or session is not of that form, or a folder cannot be made.
    """
    if not _SUBJECT.fullmatch(subject):
        raise RecordingError(f"subject {subject[:64]!r}: a pseudonym of 1 to 32 letters and digits is allowed")
    if not 1 <= session <= MAX_SESSION:
        raise RecordingError(f"session {session}: 1 to {MAX_SESSION} is allowed")
    parent = Path(study) / f"sub-{subject}" / f"ses-{session:02d}"
    try:
        parent.mkdir(parents=True, exist_ok=True)
        number = max(_numbers(parent, _ATTEMPT_FOLDER), default=0) + 1
        while True:
            attempt = parent / f"att-{number}"
            try:
                attempt.mkdir()
            except FileExistsError:
                number += 1
                continue
            sync_folder(parent)
            return attempt
    except (NotADirectoryError, FileExistsError):
        raise RecordingError(f"{_first_file(parent)}: is a file, a folder is needed") from None
    except OSError as error:
        raise RecordingError(f"{parent}: cannot be made: {error.strerror}") from None


@contextlib.contextmanager
def no_attempt_if_refused(folder: Path) -> Iterator[None]:
    """Leave no attempt behind where a mistake of the user's kept it from beginning, so that no number is used up.

    An attempt with a session file stays as it is, whatever the file holds, and so does one that failed by a fault.
    """
    try:
        yield
    except UserError as error:
        if error.exit_code == UserError.exit_code and place_of(folder) and not (folder / SESSION_FILE).exists():
            shutil.rmtree(folder)
            for parent in (folder.parent, folder.parent.parent):
                if not any(parent.iterdir()):
                    parent.rmdir()
        raise


def next_session(study: Path | str, subject: str) -> int:
    """Number after the highest session that the subject has."""
    folder = Path(study) / f"sub-{subject}"
    return max(_numbers(folder, _SESSION_FOLDER), default=0) + 1


def find_recording(path: Path | str) -> Path:
    """Find the session file from its own path or its folder's.

    Raises
    ------
    RecordingError
        If nothing is there, or the folder holds no session file.
    """
    path = Path(path)
    if path.is_file():
        return path
    if not path.exists():
        raise RecordingError(f"{path}: no such file or folder")
    if not path.is_dir():
        raise RecordingError(f"{path}: neither a file nor a folder")
    if (path / SESSION_FILE).is_file():
        return path / SESSION_FILE
    inner = sorted(p.parent.relative_to(path).as_posix() for p in path.glob(f"**/att-*/{SESSION_FILE}"))
    if not inner:
        raise RecordingError(f"{path}: a folder without {SESSION_FILE}")
    more = f" and {len(inner) - 5} more" if len(inner) > 5 else ""
    raise RecordingError(
        f"{path}: a folder without {SESSION_FILE}; name one of those in it: {', '.join(inner[:5])}{more}"
    )


def place_of(path: Path | str) -> AttemptPlace | None:
    """Read subject, session and attempt from an attempt's folder or session file; None for any other path."""
    path = Path(path).absolute()
    folder = path.parent if path.name == SESSION_FILE else path
    attempt = _ATTEMPT_FOLDER.fullmatch(folder.name)
    session = _SESSION_FOLDER.fullmatch(folder.parent.name)
    subject = folder.parent.parent.name.removeprefix("sub-")
    if not (attempt and session and folder.parent.parent.name.startswith("sub-") and _SUBJECT.fullmatch(subject)):
        return None
    return AttemptPlace(folder.parents[2], subject, int(session[1]), int(attempt[1]))


def keep_copy(folder: Path, name: str, content: bytes) -> tuple[str, str]:
    """Put a copy of a file (``protocol.yaml``, ``rig.yaml``, ``envelope.json``) into the attempt's folder.

    Returns
    -------
    tuple of str
        ``("sha256.<name>", hash)``: belongs into the writer's metadata, which is how `verify` knows of it.

    Raises
    ------
    RecordingError
        If it is already there, or the name is not a plain one.
    """
    if not _COPY_NAME.fullmatch(name):
        raise RecordingError(f"{name[:64]!r}: copies are called <name>.yaml or <name>.json")
    try:
        with (folder / name).open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        raise RecordingError(f"{folder / name}: is already there, nothing is overwritten") from None
    except OSError as error:
        raise RecordingError(f"{folder / name}: cannot be written: {error.strerror}") from None
    return f"sha256.{name}", hashlib.sha256(content).hexdigest()


def append_log(folder: Path, t_ns: int, wall_ns: int, who: str, text: str) -> None:
    """Add one line for people to ``log.jsonl``; one write, so that lines of two processes do not mix."""
    line = msgspec.json.encode({"t_ns": t_ns, "wall_ns": wall_ns, "who": who, "text": text}) + b"\n"
    descriptor = os.open(folder / LOG_FILE, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        os.write(descriptor, line)
    finally:
        os.close(descriptor)


def replace_file(path: Path, content: bytes) -> None:
    """Write a small file so that a reader, or a power cut, finds the old or the new one, never a part."""
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder outlast a power cut, where the system lets folders be synced."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _numbers(folder: Path, pattern: re.Pattern[str]) -> list[int]:
    if not folder.is_dir():
        return []
    return [int(found[1]) for entry in folder.iterdir() if (found := pattern.fullmatch(entry.name))]


def _first_file(path: Path) -> Path:
    return next((p for p in (*reversed(path.parents), path) if p.is_file()), path)
