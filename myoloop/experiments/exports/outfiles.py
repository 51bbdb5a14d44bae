"""Where exported files go: into a folder, or under a name that is given; nothing is ever overwritten."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from myoloop.experiments.exports.opened import Opened
from myoloop.platform.recording.layout import RecordingError


def names_of(opened: Opened, streams: Sequence[str], out: Path, suffix: str, what: str) -> list[Path]:
    """Name a file for each stream.

    Parameters
    ----------
    out
        A folder, or the name of the first file; the others then have the stream's name before `suffix`.
    suffix
        What the names end in, such as ``_raw.fif``.
    what
        The format, for who named something else.

    Raises
    ------
    RecordingError
        If `out` is neither.
    """
    extension = suffix[suffix.rindex(".") :]
    if out.suffix == extension:
        if not out.name.endswith(suffix):
            raise RecordingError(f"{out}: the name of a {what} file must end in {suffix}")
        stem = out.name.removesuffix(suffix)
        return [out, *(out.with_name(f"{stem}_{stream}{suffix}") for stream in streams[1:])]
    check_folder(out, suffix)
    return [out / f"{opened.stem}_{stream}{suffix}" for stream in streams]


def check_folder(out: Path, suffix: str = "") -> None:
    """Refuse what is a file, or looks like the name of one.

    Raises
    ------
    RecordingError
        If it is.
    """
    if out.is_file() or (out.suffix and not out.is_dir()):
        said = "is a file" if out.is_file() else f"ends in {out.suffix}"
        needed = f"a folder or a name ending in {suffix}" if suffix else "a folder"
        raise RecordingError(f"{out}: {said}; {needed} is needed")


def refuse_existing(files: Sequence[Path]) -> None:
    """Refuse to overwrite.

    Raises
    ------
    RecordingError
        If one of the files is there.
    """
    for file in files:
        if file.exists():
            raise RecordingError(f"{file}: is already there, nothing is overwritten")


@contextmanager
def whole_or_nothing(out: Path, files: Sequence[Path]) -> Iterator[None]:
    """Write files or folders that are not there yet; where that fails, none of them is left behind.

    Raises
    ------
    RecordingError
        If one is there already, or cannot be written.
    """
    refuse_existing(files)
    try:
        yield
    except BaseException as error:
        for file in files:
            if file.is_dir():
                shutil.rmtree(file, ignore_errors=True)
            else:
                file.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise RecordingError(f"{out}: cannot be written: {error.strerror or error}") from None
        raise
