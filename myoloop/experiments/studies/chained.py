"""A log of one JSON object a line in which every line holds the hash of the one before: nothing can be altered unseen.

Each line is on the disk before :meth:`ChainedLog.append` returns. A process killed while it writes leaves at most one
torn line at the end; what stands before it is whole, and the next append begins a new line and notes the torn one.

What the chain cannot show by itself is that whole lines were cut off its end; a `head` kept elsewhere shows that.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from myoloop.platform.errors import UserError
from myoloop.platform.recording.folder import sync_folder

if sys.platform != "win32":
    import fcntl

#: What the first line names as the hash of the line before it.
NOTHING = "0" * 64
#: Keys that the chain writes, and no entry may hold.
CHAIN_KEYS = ("n", "previous", "sha256", "torn", "voids")


class DamagedLog(UserError):
    """A chained log that cannot be trusted.

    Attributes
    ----------
    problems
        One line each.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Checked:
    """What a chained log holds.

    Attributes
    ----------
    entries
        Every readable line, the chain's own keys included.
    problems
        Signs of damage, one line each: edited, removed, exchanged, unreadable.
    torn
        Names a last line that a kill cut off; no damage of the rest. None where the last line is whole.
    """

    entries: list[dict[str, Any]]
    problems: list[str]
    torn: str | None

    @property
    def head(self) -> str:
        """Hash of the last line; what to keep elsewhere, so that a cut end would show."""
        return str(self.entries[-1]["sha256"]) if self.entries else NOTHING


@dataclass(frozen=True, slots=True)
class _End:
    """Where the next line belongs."""

    size: int
    n: int
    sha256: str
    #: Hashes of unreadable lines after the last readable one.
    torn: tuple[str, ...]
    #: The file does not end with a line's end.
    open: bool


class ChainedLog:
    """Appends to one log; any number of processes may, each line is written under a lock of the file."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._identity = (-1, -1)
        self._end = _End(0, 0, NOTHING, (), False)

    def append(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        """Write one entry and wait until it is on the disk.

        Parameters
        ----------
        entry
            JSON-ready, finite numbers only, without the chain's own keys.

        Returns
        -------
        dict
            As it is read back: with ``n`` from 1, ``previous`` and ``sha256``, and ``torn`` (hashes of the torn lines
            before it) where a kill left any.

        Raises
        ------
        ValueError
            If the entry holds a key of the chain, or a number that is not finite.
        TypeError
            If it holds what JSON cannot.
        OSError
            If the line cannot be written whole and synced.
        """
        taken = [key for key in CHAIN_KEYS if key in entry]
        if taken:
            raise ValueError(f"{self.path}: an entry may not hold {', '.join(taken)}")
        return self._append(entry)

    def void(self, numbers: Sequence[int], note: Mapping[str, Any]) -> dict[str, Any]:
        """Write down that earlier entries no longer count; they stay where they are, but are no longer read.

        Parameters
        ----------
        numbers
            Their ``n``.
        note
            Who says so, and why.
        """
        return self._append({**note, "voids": list(numbers)})

    def _append(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, exclusive=True) as descriptor:
            end = self._find_end(descriptor)
            row: dict[str, Any] = {**entry, "n": end.n + 1, "previous": end.sha256}
            if end.torn:
                row["torn"] = list(end.torn)
            row["sha256"] = _hash(_encode(row))
            line = _encode(row) + b"\n"
            # One write: what a kill can leave is a beginning of it, never a mixture.
            content = b"\n" + line if end.open else line
            if os.write(descriptor, content) != len(content):
                raise OSError(28, "the line could not be written whole", str(self.path))
            os.fsync(descriptor)
            if end.size == 0:
                sync_folder(self.path.parent)
            self._end = _End(end.size + len(content), end.n + 1, row["sha256"], (), False)
        return dict(json.loads(line))

    def _find_end(self, descriptor: int) -> _End:
        """Read the file anew only if somebody else wrote to it."""
        state = os.fstat(descriptor)
        identity = (state.st_dev, state.st_ino)
        if identity != self._identity or state.st_size != self._end.size:
            self._end = _end_of(_read_all(descriptor))
            self._identity = identity
        return self._end


def read_chained(path: Path | str) -> list[dict[str, Any]]:
    """Every entry of a log that counts, oldest first; none where there is no file.

    A torn last line is left out, and so is what was voided, with the entry that says so.

    Raises
    ------
    DamagedLog
        If the log was edited, cut or is unreadable: then nothing may be concluded from it.
    """
    if not Path(path).exists():
        return []
    checked = check_chained(path)
    if checked.problems:
        raise DamagedLog(checked.problems)
    void = {n for row in checked.entries for n in row.get("voids", ())}
    return [row for row in checked.entries if row["n"] not in void and "voids" not in row]


def verify_chained(path: Path | str, head: str | None = None) -> list[str]:
    """What is wrong with a log, one line each; a torn last line is named, too.

    Parameters
    ----------
    path
        The log.
    head
        ``sha256`` of an entry that it held once, kept elsewhere: without it, lines cut off the end do not show.
    """
    if not Path(path).is_file():
        return [f"{path}: no such file"]
    checked = check_chained(path)
    problems = list(checked.problems)
    if head is not None and head != NOTHING and all(row["sha256"] != head for row in checked.entries):
        problems.append(f"{path}: cut: the entry {head} that it held is gone")
    return problems + ([checked.torn] if checked.torn else [])


def check_chained(path: Path | str) -> Checked:
    """Read and judge a log.

    Raises
    ------
    UserError
        If it is not there or cannot be read.
    """
    path = Path(path)
    try:
        with _locked(path, os.O_RDONLY, exclusive=False) as descriptor:
            content = _read_all(descriptor)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    entries: list[dict[str, Any]] = []
    problems: list[str] = []
    unreadable: list[tuple[int, str]] = []
    n, previous = 0, NOTHING
    for number, line in enumerate(_lines(content), 1):
        where = f"{path}, line {number}"
        row = _parse(line)
        if row is None:
            unreadable.append((number, _hash(line)))
            continue
        noted = row.get("torn", [])
        if [each for _, each in unreadable] != noted:
            problems += [f"{path}, line {each}: unreadable" for each, _ in unreadable]
            problems += [f"{where}: notes torn lines that are not there"] if not unreadable else []
        unreadable = []
        if not _is_as_written(row, line):
            problems.append(f"{where}: edited: its content does not give its sha256")
        if row["n"] != n + 1:
            problems.append(f"{where}: gap: entry {row['n']} follows entry {n}")
        elif row["previous"] != previous:
            problems.append(f"{where}: does not follow the entry before it, which was edited or replaced")
        n, previous = row["n"], row["sha256"]
        entries.append(row)
    # Only the last of the unreadable lines can be without its end, but two kills in a row leave two.
    torn = None
    if unreadable:
        torn = f"{path}, line {unreadable[0][0]}: torn, cut off while it was written; the {len(entries)} before it hold"
    return Checked(entries, problems, torn)


def _end_of(content: bytes) -> _End:
    n, sha256, torn = 0, NOTHING, []
    for line in _lines(content):
        row = _parse(line)
        if row is None:
            torn.append(_hash(line))
        else:
            n, sha256, torn = row["n"], row["sha256"], []
    return _End(len(content), n, sha256, tuple(torn), bool(content) and not content.endswith(b"\n"))


def _lines(content: bytes) -> list[bytes]:
    lines = content.split(b"\n")
    return lines[:-1] if lines[-1] == b"" else lines


def _parse(line: bytes) -> dict[str, Any] | None:
    """The entry of a line; None if it is none, as a torn one is."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(row, dict) or type(row.get("n")) is not int:
        return None
    chained = isinstance(row.get("previous"), str) and isinstance(row.get("sha256"), str)
    return row if chained else None


def _is_as_written(row: dict[str, Any], line: bytes) -> bool:
    try:
        content = _encode({key: value for key, value in row.items() if key != "sha256"})
        return _encode(row) == line and row["sha256"] == _hash(content)
    except ValueError:
        # A number that is not finite, which JSON readers let through and no entry can hold.
        return False


def _encode(row: Mapping[str, Any]) -> bytes:
    return json.dumps(row, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode(
        "utf-8", "surrogatepass"
    )


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _read_all(descriptor: int) -> bytes:
    parts, at = [], 0
    while part := os.pread(descriptor, 1 << 20, at):
        parts.append(part)
        at += len(part)
    return b"".join(parts)


@contextlib.contextmanager
def _locked(path: Path, flags: int, *, exclusive: bool) -> Iterator[int]:
    """An open descriptor of the file that the path names once it is locked."""
    while True:
        descriptor = os.open(path, flags, 0o666)
        try:
            if sys.platform != "win32":
                fcntl.flock(descriptor, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
            held = os.fstat(descriptor)
            with contextlib.suppress(FileNotFoundError):
                found = path.stat()
                if (held.st_dev, held.st_ino) == (found.st_dev, found.st_ino):
                    yield descriptor
                    return
        finally:
            os.close(descriptor)
