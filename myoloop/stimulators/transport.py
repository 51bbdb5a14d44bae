"""Ways to a device: a byte stream over a socket, or to an emulator in the same process."""

from __future__ import annotations

from typing import Protocol

from myoloop.platform import endpoint
from myoloop.platform.clock import Clock


class Transport(Protocol):
    """A byte stream to a device."""

    def send(self, data: bytes) -> None:
        """Send all of it without waiting.

        Raises
        ------
        OSError
            If the other end is gone or takes no more.
        """
        ...

    def receive(self) -> bytes:
        """What has come; b"" if nothing.

        Raises
        ------
        OSError
            If the other end is gone.
        """
        ...

    def close(self) -> None:
        """Release it; may be called twice."""
        ...


class SocketTransport:
    """A byte stream over ``unix:PATH`` or ``tcp:HOST:PORT``; never waits once connected.

    Raises
    ------
    myoloop.platform.endpoint.EndpointError
        If nobody listens at `address`.
    """

    def __init__(self, address: str) -> None:
        self._socket = endpoint.connect(address)
        self._unsent = b""

    def send(self, data: bytes) -> None:
        """Send; what the other end does not take now goes before the next bytes."""
        self._unsent += data
        try:
            while self._unsent:
                self._unsent = self._unsent[self._socket.send(self._unsent) :]
        except BlockingIOError:
            raise BlockingIOError("the device takes no more bytes") from None

    def receive(self) -> bytes:
        """What has come."""
        parts = []
        try:
            while part := self._socket.recv(65536):
                parts.append(part)
        except BlockingIOError:
            return b"".join(parts)
        if parts:
            return b"".join(parts)
        raise ConnectionResetError("the device closed the connection")

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


class Device(Protocol):
    """A device in this process."""

    def feed(self, data: bytes, now_ns: int) -> None:
        """Take bytes in."""
        ...

    def take(self, now_ns: int) -> bytes:
        """Give its answers."""
        ...


class MemoryTransport:
    """A byte stream to a device in the same process: lockstep and tests.

    Parameters
    ----------
    device
        Anything with ``feed(data, now_ns)`` and ``take(now_ns)``.
    clock
        Where the time comes from.
    """

    def __init__(self, device: Device, clock: Clock) -> None:
        self._device, self._clock = device, clock

    def send(self, data: bytes) -> None:
        """Feed the device."""
        self._device.feed(data, self._clock.now_ns())

    def receive(self) -> bytes:
        """Take its answers."""
        return self._device.take(self._clock.now_ns())

    def close(self) -> None:
        """Nothing to release."""
