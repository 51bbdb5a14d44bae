"""A serial port as a way to a device: opened exclusively, never waits, keeps nothing to send later.

pyserial opens and configures the port. Bytes go past its ``read`` and ``write``: with a write timeout of 0 it tries
a port that takes nothing again without end, and a read that fails half way loses what had come. A
``socket://HOST:PORT`` (pyserial's notation; emulators) is connected to directly: pyserial waits 0.3 s when it closes
one, and lets small writes be held back.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import socket
import struct
import termios
import time
from pathlib import Path
from typing import Any

import serial

from myoloop.platform import endpoint
from myoloop.stimulators.driver import DriverError
from myoloop.stimulators.port_holders import Holder, holders, say_holders
from myoloop.stimulators.transport import Transport

_SOCKET = "socket://"
_AT_ONCE_BYTES = 4096
#: Beyond the time that bytes need on the wire. Longer than a device may hold the line up while it switches its high
#: voltage (80 ms, P24), shorter than the 250 ms within which current must have ended after a fault.
_LATE_S = 0.15
#: Longest that `close` lets the last bytes leave.
_CLOSE_S = 0.2
_LATENCY_TIMER_MS = 1
_PSEUDO_TERMINALS = "/dev/pts/"
_STOP_BITS = {1: serial.STOPBITS_ONE, 2: serial.STOPBITS_TWO}


class SerialTransport:
    """A byte stream to a device on a serial port, or to an emulator over TCP; never waits once open.

    Parameters
    ----------
    port
        A device path such as ``/dev/ttyACM0``, or ``socket://HOST:PORT``.
    baud_rate
        Bits in a second; it and what follows mean nothing for a socket.
    parity
        ``N`` none, ``E`` even or ``O`` odd.
    stop_bits
        1 or 2.
    rts_cts
        Flow control by lines.

    Attributes
    ----------
    notes
        What could not be set up and costs time: one line each, for the operator.
    heard_ns
        When what was received last had been read.

    Raises
    ------
    DriverError
        If there is no such port, it may not be opened, or it is taken: then the holder is named.
    """

    def __init__(
        self, port: str, *, baud_rate: int, parity: str = "N", stop_bits: int = 1, rts_cts: bool = False
    ) -> None:
        if parity not in ("N", "E", "O") or stop_bits not in _STOP_BITS or baud_rate < 1:
            raise DriverError(f"port {port}: baud rate {baud_rate}, parity {parity!r}, stop bits {stop_bits}: not set")
        self.heard_ns = 0
        self._way: _Socket | _Tty
        if port.startswith(_SOCKET):
            self._way = _Socket(port)
            self.notes: tuple[str, ...] = ()
            return
        if "://" in port or not port.startswith("/"):
            raise DriverError(f"port {port!r}: allowed is a device path such as /dev/ttyACM0, or {_SOCKET}HOST:PORT")
        self._way = _Tty(port, baud_rate, parity, stop_bits, rts_cts)
        note = quicken(port)
        self.notes = (note,) if note else ()

    def send(self, data: bytes) -> None:
        """Hand all of it to the port; what cannot go now is thrown away with all that has not left yet.

        Raises
        ------
        OSError
            If the port is gone, or took not all of it, or still holds bytes that should have left long ago.
        """
        self._way.send(data)

    def receive(self) -> bytes:
        """What has come.

        Raises
        ------
        OSError
            If the port is gone, or holds bytes that should have left long ago.
        """
        received = self._way.receive()
        if received:
            self.heard_ns = time.monotonic_ns()
        return received

    def close(self) -> None:
        """Let the last bytes leave for at most 0.2 s, throw the rest away, release the port; may be called twice."""
        self._way.close()


def heard_by_ns(transport: Transport, now_ns: int) -> int:
    """By when what was received last had come: it may have been read later than at the `now_ns` of the call."""
    return max(now_ns, transport.heard_ns) if isinstance(transport, SerialTransport) else now_ns


def with_notes(identity: str, transport: Transport) -> str:
    """A device's identity, and what the operator must know of the port that it is at."""
    notes = transport.notes if isinstance(transport, SerialTransport) else ()
    return "; ".join((identity, *notes))


class _Tty:
    """A port of the operating system."""

    def __init__(self, port: str, baud_rate: int, parity: str, stop_bits: int, rts_cts: bool) -> None:
        self._port = port
        _refuse_taken(port, holders(port))
        # A pseudo terminal (an emulator) has no parity, and Linux refuses settings of which nothing but parity would
        # change: those of a port that is opened again.
        served = "N" if os.path.realpath(port).startswith(_PSEUDO_TERMINALS) else parity
        try:
            self._serial: Any = serial.Serial(
                port, baud_rate, parity=served, stopbits=_STOP_BITS[stop_bits], rtscts=rts_cts, timeout=0,
                exclusive=True,
            )  # fmt: skip
        except (serial.SerialException, OSError, ValueError, termios.error) as error:
            raise DriverError(_why_not(port, error)) from None
        self._fd: int | None = self._serial.fileno()
        # pyserial's lock holds for those who ask for it; this one for everybody but the administrator.
        with contextlib.suppress(OSError):
            fcntl.ioctl(self._fd, termios.TIOCEXCL)
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLIN)
        self._byte_s = (10 + (parity != "N") + (stop_bits - 1)) / baud_rate
        self._left_by_s = 0.0

    def send(self, data: bytes) -> None:
        fd = self._open_fd()
        self._check_stuck(fd)
        try:
            taken = os.write(fd, data) if data else 0
        except BlockingIOError:
            taken = 0
        if taken < len(data):
            _throw_away(fd)
            raise BlockingIOError(
                errno.EAGAIN, f"port {self._port} took {taken} of {len(data)} bytes; thrown away, nothing waits"
            )
        self._left_by_s = max(self._left_by_s, time.monotonic()) + taken * self._byte_s

    def receive(self) -> bytes:
        fd = self._open_fd()
        self._check_stuck(fd)
        if not self._poll.poll(0):
            return b""
        try:
            received = os.read(fd, _AT_ONCE_BYTES)
        except BlockingIOError:
            return b""
        if not received:
            raise OSError(errno.EIO, f"port {self._port} is gone")
        return received

    def close(self) -> None:
        if self._fd is None:
            return
        fd, self._fd = self._fd, None
        # Closing a port whose other end takes nothing would wait half a minute for it.
        with contextlib.suppress(OSError):
            end_s = time.monotonic() + _CLOSE_S
            while unsent_bytes(fd) and time.monotonic() < end_s:
                time.sleep(0.001)
            if unsent_bytes(fd):
                _throw_away(fd)
        with contextlib.suppress(OSError):
            fcntl.ioctl(fd, termios.TIOCNXCL)
        self._serial.close()

    def _open_fd(self) -> int:
        if self._fd is None:
            raise OSError(errno.EBADF, f"port {self._port} is closed")
        return self._fd

    def _check_stuck(self, fd: int) -> None:
        """Throw away what the other end did not take in time: a command must not arrive after a gap."""
        if time.monotonic() < self._left_by_s + _LATE_S:
            return
        waiting = unsent_bytes(fd)
        if waiting:
            _throw_away(fd)
            raise BlockingIOError(
                errno.EAGAIN, f"port {self._port} takes nothing: {waiting} bytes had not left, thrown away"
            )


class _Socket:
    """An emulator over TCP."""

    def __init__(self, url: str) -> None:
        self._url = url
        try:
            self._socket = endpoint.connect("tcp:" + url.removeprefix(_SOCKET).rstrip("/"))
        except endpoint.EndpointError as error:
            raise DriverError(f"port {url}: {error}") from None

    def send(self, data: bytes) -> None:
        try:
            taken = self._socket.send(data) if data else 0
        except BlockingIOError:
            taken = 0
        if taken < len(data):
            # Hang up so that the system, too, throws away what has not left.
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._socket.close()
            raise BlockingIOError(errno.EAGAIN, f"port {self._url} took {taken} of {len(data)} bytes; hung up")

    def receive(self) -> bytes:
        try:
            received = self._socket.recv(_AT_ONCE_BYTES)
        except BlockingIOError:
            return b""
        if not received:
            raise ConnectionResetError(errno.ECONNRESET, f"port {self._url} is gone")
        return received

    def close(self) -> None:
        self._socket.close()


def quicken(port: str, sysfs: Path = Path("/sys/class/tty")) -> str:
    """Set the latency timer of an FTDI adapter to 1 ms (16 ms by default; the makers of the devices ask for 1).

    Returns
    -------
    str
        What is wrong, if it cannot be set; else, and for ports without such a timer, nothing.
    """
    timer = sysfs / Path(os.path.realpath(port)).name / "device" / "latency_timer"
    try:
        now_ms = int(timer.read_text().strip())
        if now_ms <= _LATENCY_TIMER_MS:
            return ""
    except (OSError, ValueError):
        return ""
    try:
        timer.write_text(f"{_LATENCY_TIMER_MS}\n")
    except OSError as error:
        return (
            f"port {port}: answers come up to {now_ms} ms late, its latency timer cannot be set to "
            f"{_LATENCY_TIMER_MS} ms ({(error.strerror or str(error)).lower()}): write {_LATENCY_TIMER_MS} to {timer}"
        )
    return ""


def unsent_bytes(fd: int) -> int:
    """Bytes that the system still holds for a port."""
    return int(struct.unpack("i", fcntl.ioctl(fd, termios.TIOCOUTQ, b"\0\0\0\0"))[0])


def _throw_away(fd: int) -> None:
    # A port that goes meanwhile is no OSError here, and a driver's stop must not raise.
    with contextlib.suppress(termios.error):
        termios.tcflush(fd, termios.TCOFLUSH)


def _refuse_taken(port: str, by: list[Holder]) -> None:
    # Looked at before it is opened: opening alone resets some boards under the hands of who has them.
    if by:
        raise DriverError(f"port {port} is taken by {say_holders(by)}")


def _why_not(port: str, error: Exception) -> str:
    code = getattr(error, "errno", None)
    if code in (errno.EAGAIN, errno.EBUSY):
        by = holders(port)
        return f"port {port} is taken by {say_holders(by) if by else 'a process that cannot be seen from here'}"
    if code == errno.ENOENT:
        return f"port {port}: there is none; `myoloop devices` lists those there are"
    if code == errno.EACCES:
        return f"port {port}: not allowed to open it; the user must be in the group {_group(port)}"
    reason = os.strerror(code) if code else str(error)
    return f"port {port}: cannot be opened as a serial port: {reason.lower()}"


def _group(port: str) -> str:
    try:
        return Path(port).group()
    except (OSError, KeyError):
        return "of the port"
