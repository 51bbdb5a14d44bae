"""One process at a time: what is read, decided and written of a folder is not interleaved with another's."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from myoloop.platform.errors import UserError

if sys.platform != "win32":
    import fcntl

LOCK_FILE = ".lock"


@contextlib.contextmanager
def exclusively(folder: Path) -> Iterator[None]:
    """Hold a folder, which is made if it is not there, until the block ends or the process does.

    Raises
    ------
    UserError
        If the folder cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise UserError(f"{folder}: {(error.strerror or str(error)).lower()}") from None
    try:
        if sys.platform != "win32":
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
