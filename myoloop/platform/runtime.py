"""The runtime folder of one running rig: its sockets, keys and lock.

Short, because a socket's path may have 107 characters; 0700, because who reaches it may stop the stimulator; locked,
because a second bind on an ipc path would silently steal its traffic. It goes with the last process that used it.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

from myoloop.platform.errors import UserError

if sys.platform != "win32":
    import fcntl

MAX_SOCKET_PATH = 100
PREFIX = "myo-"
LOCK = "lock"


class RuntimeFolderError(UserError):
    """No runtime folder can be had; the text is for the operator."""


class RuntimeFolder:
    """Where the sockets of one rig are.

    Parameters
    ----------
    path
        An existing runtime folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def socket_path(self, name: str) -> Path:
        """Path of a plain (not ZeroMQ) unix socket."""
        return self.path / name

    def endpoint(self, node: str, what: str) -> str:
        """ZeroMQ endpoint of a node's socket (``pub``, ``cmd`` or ``rec``)."""
        return f"ipc://{self.path / f'{node}.{what}'}"

    def remove_sockets(self, node: str) -> None:
        """Remove a node's sockets, and the whole folder if nobody is left to use it."""
        for path in self.path.glob(f"{node}.*"):
            path.unlink(missing_ok=True)
        if not _used(self.path) and not _is_locked(self.path):
            shutil.rmtree(self.path, ignore_errors=True)


class OwnedRuntimeFolder(RuntimeFolder):
    """A runtime folder made and locked by the supervisor.

    Raises
    ------
    RuntimeFolderError
        If the folder for temporary files is so deep that sockets cannot be bound in it.
    """

    def __init__(self) -> None:
        base = Path(tempfile.gettempdir())
        sweep(base)
        path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base))
        if len(str(path)) + 40 > MAX_SOCKET_PATH:
            path.rmdir()
            raise RuntimeFolderError(f"{base}: too long a path for sockets; set TMPDIR to a shorter one")
        self._lock = os.open(path / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        if sys.platform != "win32":
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        super().__init__(path)

    def remove(self) -> None:
        """Unlock and remove it."""
        os.close(self._lock)
        shutil.rmtree(self.path, ignore_errors=True)


def sweep(base: Path) -> None:
    """Remove runtime folders whose supervisor is gone and in which no socket is left."""
    for path in base.glob(f"{PREFIX}*"):
        try:
            if (path / LOCK).exists() and not _is_locked(path) and not _used(path):
                shutil.rmtree(path, ignore_errors=True)
        except OSError:
            continue


#: Sockets of the process that holds the lock: without it they are dead.
_OWNERS = frozenset({"supervisor", "operator"})


def _used(path: Path) -> bool:
    """Whether a node still has its sockets there."""
    return any(each.stem not in _OWNERS for each in path.glob("*.pub"))


def running(base: Path) -> list[Path]:
    """Runtime folders whose supervisor lives."""
    return [path for path in sorted(base.glob(f"{PREFIX}*")) if (path / LOCK).exists() and _is_locked(path)]


def _is_locked(path: Path) -> bool:
    if sys.platform == "win32":
        return False
    try:
        descriptor = os.open(path / LOCK, os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False
