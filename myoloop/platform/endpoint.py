"""Addresses of the local byte streams that a device may hang on: ``unix:PATH`` and ``tcp:HOST:PORT``."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

from myoloop.platform.errors import UserError

#: Longest path a unix socket may have on Linux, without its closing zero.
MAX_UNIX_PATH_BYTES = 107


class EndpointError(UserError, ValueError):
    """An address that is not one, or that nothing can be opened at; the text is for the operator."""


def connect(address: str, timeout_s: float = 2.0) -> socket.socket:
    """Connect to a listening byte stream; the socket is non-blocking and sends small writes at once.

    Raises
    ------
    EndpointError
        If the address is malformed or nobody listens there.
    """
    family, where = _parse(address)
    link = socket.socket(family, socket.SOCK_STREAM)
    try:
        link.settimeout(timeout_s)
        link.connect(where)
        immediate(link)
    except OSError as error:
        link.close()
        raise EndpointError(f"cannot connect to {address}: {error.strerror or error}") from None
    return link


def listen(address: str) -> socket.socket:
    """Listen, non-blocking; a unix path is made private to the user, and a dead socket's path is taken over.

    Raises
    ------
    EndpointError
        If the address is malformed, in use, or cannot be made.
    """
    family, where = _parse(address)
    link = socket.socket(family, socket.SOCK_STREAM)
    try:
        if isinstance(where, str):
            _remove_if_dead(Path(where), address)
        else:
            link.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        link.bind(where)
        if isinstance(where, str):
            Path(where).chmod(0o600)
        link.listen(1)
        link.setblocking(False)
    except OSError as error:
        link.close()
        raise EndpointError(f"cannot listen at {address}: {error.strerror or error}") from None
    except EndpointError:
        link.close()
        raise
    return link


def immediate(link: socket.socket) -> None:
    """Make a connected socket non-blocking and, where it is TCP, send small writes at once."""
    link.setblocking(False)
    if link.family != getattr(socket, "AF_UNIX", None):
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def remove(address: str) -> None:
    """Remove the path of a unix socket that was listened at; nothing for TCP."""
    _, where = _parse(address)
    if isinstance(where, str):
        with contextlib.suppress(OSError):
            Path(where).unlink()


def _parse(address: str) -> tuple[socket.AddressFamily, str | tuple[str, int]]:
    scheme, _, rest = address.partition(":")
    if scheme == "unix" and rest:
        if not hasattr(socket, "AF_UNIX"):
            raise EndpointError(f"{address}: this system has no unix sockets, use tcp:127.0.0.1:PORT")
        if len(rest.encode()) > MAX_UNIX_PATH_BYTES:
            raise EndpointError(f"{address}: the path has {len(rest.encode())} bytes, at most {MAX_UNIX_PATH_BYTES}")
        return socket.AF_UNIX, rest
    if scheme == "tcp":
        host, _, port = rest.rpartition(":")
        if host and port.isascii() and port.isdigit() and 0 < int(port) < 65536:
            return socket.AF_INET, (host, int(port))
    raise EndpointError(f"address {address!r} is neither unix:PATH nor tcp:HOST:PORT")


def _remove_if_dead(path: Path, address: str) -> None:
    if not path.is_socket():
        return
    probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        probe.settimeout(0.2)
        probe.connect(str(path))
    except OSError:
        path.unlink()
    else:
        raise EndpointError(f"cannot listen at {address}: in use")
    finally:
        probe.close()
