"""The runtime folder of one running rig: its sockets, keys and lock.

Short, because a socket's path may have 107 characters; 0700, because who reaches it may stop the stimulator; locked,
because a second bind on an ipc path would silently steal its traffic. It goes with the last process that used it.
"""

from __future__ import annotations

import errno
import os
import shutil
import socket
import stat
import sys
import tempfile
from pathlib import Path

from myoloop.platform.errors import UserError

if sys.platform != "win32":
    import fcntl

MAX_SOCKET_PATH = 100
PREFIX = "myo-"
LOCK = "lock"
#: Largest file in which a rig tells of itself.
_TOLD_MAX_BYTES = 1 << 20


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

    def claim(self, node: str) -> int | None:
        """Be the one process that is this node, for as long as the file descriptor that this gives is open.

        Whoever only looks on claims nothing: of those there may be several.

        Raises
        ------
        RuntimeFolderError
            If another process is that node: its sockets would be taken from it without a word.
        """
        if sys.platform == "win32" or node in _ONLOOKERS:
            return None
        path = self.path / f"{node}.claim"
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(descriptor)
                raise RuntimeFolderError(f"{node} runs already in {self.path}") from None
            # Who was before may have removed the file between the two calls.
            if path.exists() and os.path.samestat(os.fstat(descriptor), path.stat()):
                os.ftruncate(descriptor, 0)
                os.write(descriptor, str(os.getpid()).encode())
                return descriptor
            os.close(descriptor)

    def claimed_by(self, node: str) -> int | None:
        """Number of the process that is this node now; None where none is, or it has not said so."""
        try:
            said = read_told(self.path, f"{node}.claim")
        except OSError:
            return None
        return int(said) if said.isdigit() and len(said) < 16 else None

    def remove_sockets(self, node: str) -> None:
        """Remove a node's sockets, and the whole folder if nobody is left to use it."""
        for path in self.path.glob(f"{node}.*"):
            # What is told of the rig in a file is no socket of whoever has the same name.
            if path.suffix != ".json":
                path.unlink(missing_ok=True)
        if not _used(self.path) and not is_locked(self.path):
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
        self._lock: int | None = _make_lock(path)
        super().__init__(path)

    def remove(self) -> None:
        """Unlock and remove it; may be called twice."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
            shutil.rmtree(self.path, ignore_errors=True)


def _make_lock(path: Path) -> int:
    if sys.platform == "win32":
        return os.open(path / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    # Locked before it has its name: a lock that is seen is held, or its holder is gone.
    unnamed = path / f"{LOCK}.part"
    descriptor = os.open(unnamed, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    unnamed.rename(path / LOCK)
    return descriptor


def sweep(base: Path) -> None:
    """Remove runtime folders whose supervisor is gone and in which no socket is left."""
    for path in base.glob(f"{PREFIX}*"):
        try:
            if _is_own(path) and (path / LOCK).exists() and not is_locked(path) and not _used(path):
                shutil.rmtree(path, ignore_errors=True)
        except OSError:
            continue


#: Sockets of the process that holds the lock, and of those who come and go: they keep no folder.
_ONLOOKERS = frozenset({"observer"})
_NO_NODES = frozenset({"supervisor", "operator", "console"}) | _ONLOOKERS


def _used(path: Path) -> bool:
    """Whether a node that lives has its sockets there."""
    return any(each.stem not in _NO_NODES and _is_heard(each) for each in path.glob("*.pub"))


def _is_heard(path: Path) -> bool:
    """Whether somebody still listens on a socket; a killed process leaves its path behind."""
    if sys.platform == "win32":
        return True
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            return True
    return True


def running(base: Path) -> list[Path]:
    """Runtime folders whose supervisor lives; what others have put there, or may change, is none of ours."""
    return [path for path in sorted(base.glob(f"{PREFIX}*")) if _is_own(path, private=True) and is_locked(path)]


def _is_own(path: Path, *, private: bool = False) -> bool:
    """Whether it is a folder, no link, of this user; and, where it is to be private, of nobody else at all."""
    try:
        return _is_own_folder(path.lstat(), private=private)
    except OSError:
        return False


def _is_own_folder(found: os.stat_result, *, private: bool) -> bool:
    if sys.platform == "win32":
        return stat.S_ISDIR(found.st_mode)
    shared = private and bool(found.st_mode & 0o077)
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not shared


def read_told(folder: Path, name: str) -> bytes:
    """What a file of a runtime folder tells, without ever waiting for anybody.

    Raises
    ------
    OSError
        If folder or file is not there, is not this user's alone, no file, or larger than anything of ours.
    """
    if sys.platform == "win32":
        with (folder / name).open("rb") as file:
            return _bounded(file.read(_TOLD_MAX_BYTES + 1))
    # By the folder that was looked at: its name may mean another one in the next moment.
    at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if not _is_own_folder(os.fstat(at), private=True):
            raise PermissionError(errno.EACCES, "not this user's alone", str(folder))
        told = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=at)
    finally:
        os.close(at)
    with os.fdopen(told, "rb") as file:
        if not stat.S_ISREG(os.fstat(told).st_mode):
            raise OSError(errno.EINVAL, "no file", str(folder / name))
        return _bounded(file.read(_TOLD_MAX_BYTES + 1))


def _bounded(told: bytes) -> bytes:
    if len(told) > _TOLD_MAX_BYTES:
        raise OSError(errno.EFBIG, f"more than {_TOLD_MAX_BYTES} bytes")
    return told


def is_locked(path: Path) -> bool:
    """Whether a folder's lock is held by a process that lives; never where the system has no such locks."""
    if sys.platform == "win32":
        return False
    try:
        descriptor = os.open(path / LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        # Shared: two who look at once do not take one another for the holder.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False
