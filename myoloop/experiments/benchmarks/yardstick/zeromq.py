"""Plain ZeroMQ: PUB and SUB over an ipc socket, one frame a message, no encryption, no typed header."""

from __future__ import annotations

import zmq

from .link import ByteLink
from .work import Shape


class ZmqLink(ByteLink):
    """One PUB/SUB pair; the sender binds."""

    def __init__(self, shape: Shape, endpoint: str, end: str) -> None:
        super().__init__(shape)
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context.instance()
        self._socket = context.socket(zmq.PUB if end == "send" else zmq.SUB)
        self._socket.linger = 0
        if end == "send":
            self._socket.bind(endpoint)
        else:
            self._socket.subscribe(b"")
            self._socket.connect(endpoint)

    def send(self, data: bytes) -> None:
        """Publish."""
        self._socket.send(data)

    def receive(self, wait_s: float, size: int) -> bytes | None:
        """The next message."""
        if not self._socket.poll(int(wait_s * 1e3)):
            return None
        return self._socket.recv()
