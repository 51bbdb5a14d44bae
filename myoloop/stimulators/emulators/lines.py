"""Ways of an emulator to the outside: a pseudo terminal or a socket, with room for one host; never waiting.

A line is the device's end of the cable. Who runs the emulator calls :meth:`Line.accept`, :meth:`Line.receive` and
:meth:`Line.send` at each turn. :meth:`Line.vanish` pulls the cable so that the host sees its port go;
:meth:`Line.listen` plugs it in again.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import tty
from pathlib import Path
from typing import Protocol

from myoloop.platform import endpoint
from myoloop.platform.endpoint import EndpointError

_AT_ONCE_BYTES = 4096
_PARTS_AT_ONCE = 16
_TERMINALS = "/dev/pts/"
#: A host that reads nothing for so long loses what the device says then, as at a port of the system.
_PTY_BACKLOG_BYTES = 1 << 16


class Line(Protocol):
    """The device's end of a cable."""

    @property
    def port(self) -> str:
        """What a driver's setting ``port`` (or ``address``) must be to reach it; "" where it is not there."""
        ...

    @property
    def attached(self) -> bool:
        """Does a host hold the other end?"""
        ...

    @property
    def backlog(self) -> int:
        """Bytes that the host has not taken yet."""
        ...

    def listen(self) -> None:
        """Be there, from now on; nothing where it is already.

        Raises
        ------
        EndpointError
            If it cannot be made.
        """
        ...

    def accept(self) -> bool:
        """Let a host in; True if one has come since the last call. Only one has room."""
        ...

    def receive(self) -> bytes:
        """What has come; b"" if nothing, or nobody is there."""
        ...

    def send(self, data: bytes) -> None:
        """Send as much as is taken now, the rest at the next call (which may add nothing)."""
        ...

    def drop(self) -> None:
        """Hang up on the host; another, or the same, may come."""
        ...

    def vanish(self) -> None:
        """Be gone, until :meth:`listen`; nothing where it is already."""
        ...

    def close(self) -> None:
        """Be gone for good and leave no path behind; may be called twice."""
        ...


def make_line(address: str) -> Line:
    """Make the line of an address, not yet there: ``pty``, ``pty:LINK``, ``unix:PATH`` or ``tcp:HOST:PORT``."""
    if address == "pty":
        return PtyLine(None)
    if address.startswith("pty:"):
        return PtyLine(Path(address.removeprefix("pty:")))
    return SocketLine(address)


class PtyLine:
    """A pseudo terminal: the host opens it as it would a serial port.

    Parameters
    ----------
    link_path
        Symbolic link that is kept to it, so that its name is known beforehand and stays when it comes back; None for
        none.
    """

    def __init__(self, link_path: Path | str | None = None) -> None:
        self._link = Path(link_path).absolute() if link_path is not None else None
        self._master: int | None = None
        self._path = ""
        self._attached = False
        self._unsent = b""

    @property
    def port(self) -> str:
        """The link, or the terminal itself where there is none."""
        return str(self._link) if self._link is not None and self._path else self._path

    @property
    def attached(self) -> bool:
        """Does a host have it open?"""
        if self._master is None:
            return False
        poll = select.poll()
        poll.register(self._master, 0)
        return not any(events & select.POLLHUP for _, events in poll.poll(0))

    @property
    def backlog(self) -> int:
        """Bytes that the terminal has not taken yet."""
        return len(self._unsent)

    def listen(self) -> None:
        """Make the terminal, raw from the beginning, and the link."""
        if self._master is not None:
            return
        try:
            master, slave = os.openpty()
        except OSError as error:
            raise EndpointError(f"cannot make a pseudo terminal: {(error.strerror or str(error)).lower()}") from None
        tty.setraw(slave)
        self._path = os.ttyname(slave)
        # Nobody but the host holds it: it is seen from here when one comes and goes, and its holder is the one there.
        os.close(slave)
        os.set_blocking(master, False)
        self._master = master
        try:
            self._make_link()
        except EndpointError:
            self.vanish()
            raise

    def accept(self) -> bool:
        """Has a host opened it since the last call?"""
        was, self._attached = self._attached, self.attached
        return self._attached and not was

    def receive(self) -> bytes:
        """What has come, also from a host that has closed it since."""
        parts: list[bytes] = []
        with contextlib.suppress(OSError):
            while self._master is not None and len(parts) < _PARTS_AT_ONCE:
                parts.append(os.read(self._master, _AT_ONCE_BYTES))
        return b"".join(parts)

    def send(self, data: bytes) -> None:
        """Send; what is said while nobody listens is lost, as at a cable with an open end."""
        if self._master is None or not self.attached:
            self._unsent = b""
            return
        if len(self._unsent) + len(data) <= _PTY_BACKLOG_BYTES:
            self._unsent += data
        with contextlib.suppress(OSError):
            while self._unsent:
                self._unsent = self._unsent[os.write(self._master, self._unsent) :]

    def drop(self) -> None:
        """Hang up: another terminal stands behind the link then."""
        if self.attached:
            self.vanish()
            self.listen()

    def vanish(self) -> None:
        """Close the terminal and remove the link: the host reads the end of it."""
        if self._master is None:
            return
        if self._link is not None and self._link.is_symlink() and str(self._link.readlink()) == self._path:
            self._link.unlink()
        os.close(self._master)
        self._master, self._path, self._attached, self._unsent = None, "", False, b""

    def close(self) -> None:
        """Close it."""
        self.vanish()

    def _make_link(self) -> None:
        link = self._link
        if link is None:
            return
        try:
            was = str(link.readlink()) if link.is_symlink() else str(link) if link.exists() else ""
            if was and not was.startswith(_TERMINALS):
                raise EndpointError(f"link {link}: something else is there, only a link to a terminal is replaced")
            beside = link.with_name(f".{link.name}.{os.getpid()}")
            beside.symlink_to(self._path)
            beside.replace(link)
        except OSError as error:
            raise EndpointError(f"link {link}: cannot be made: {(error.strerror or str(error)).lower()}") from None


class SocketLine:
    """A listening socket: ``unix:PATH`` or ``tcp:HOST:PORT``."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._listener: socket.socket | None = None
        self._link: socket.socket | None = None
        self._unsent = b""

    @property
    def port(self) -> str:
        """``socket://HOST:PORT`` for TCP, the address itself for a unix socket."""
        if self._listener is None:
            return ""
        scheme, _, rest = self._address.partition(":")
        return f"socket://{rest}" if scheme == "tcp" else self._address

    @property
    def attached(self) -> bool:
        """Is a host connected?"""
        return self._link is not None

    @property
    def backlog(self) -> int:
        """Bytes that the socket has not taken yet."""
        return len(self._unsent)

    def listen(self) -> None:
        """Begin to listen."""
        if self._listener is None:
            self._listener = endpoint.listen(self._address)

    def accept(self) -> bool:
        """Let one in; True if somebody new sits there. Others are turned away."""
        if self._listener is None:
            return False
        try:
            link, _ = self._listener.accept()
        except OSError:
            return False
        if self._link is not None:
            link.close()
            return False
        endpoint.immediate(link)
        self._link, self._unsent = link, b""
        return True

    def receive(self) -> bytes:
        """What has come; whoever has hung up is forgotten."""
        parts: list[bytes] = []
        while self._link is not None and len(parts) < _PARTS_AT_ONCE:
            try:
                part = self._link.recv(_AT_ONCE_BYTES)
            except BlockingIOError:
                break
            except OSError:
                part = b""
            if part:
                parts.append(part)
            else:
                self.drop()
        return b"".join(parts)

    def send(self, data: bytes) -> None:
        """Send as much as is taken now, the rest at the next call (which may add nothing)."""
        if self._link is not None:
            self._unsent += data
        while self._link is not None and self._unsent:
            try:
                self._unsent = self._unsent[self._link.send(self._unsent) :]
            except BlockingIOError:
                return
            except OSError:
                self.drop()

    def drop(self) -> None:
        """Hang up."""
        if self._link is not None:
            self._link.close()
        self._link, self._unsent = None, b""

    def vanish(self) -> None:
        """Hang up, stop listening, remove the path."""
        self.drop()
        if self._listener is not None:
            self._listener.close()
            self._listener = None
            endpoint.remove(self._address)

    def close(self) -> None:
        """Hang up, stop listening, remove the path."""
        self.vanish()
