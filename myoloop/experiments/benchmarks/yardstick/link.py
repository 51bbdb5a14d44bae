"""The contract of a transport between two stages, and the one over plain pipes."""

from __future__ import annotations

import os
import select
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from .work import COMMAND_BYTES, Shape, pack_block, pack_command, unpack_block, unpack_command

Counts = npt.NDArray[np.int16]


class Link(Protocol):
    """One direction between two stages; a stage uses the half of it that is its own."""

    def send_block(self, number: int, t_ns: int, block: Counts) -> None:
        """Hand over a block."""
        ...

    def receive_block(self, wait_s: float) -> tuple[int, Counts] | None:
        """The next block, or None if none came in time."""
        ...

    def send_command(self, number: int, current_ma: float) -> None:
        """Hand over a command."""
        ...

    def receive_command(self, wait_s: float) -> int | None:
        """Number of the block that the next command answers, or None if none came in time."""
        ...


class ByteLink:
    """A link over anything that carries bytes."""

    def send(self, data: bytes) -> None:
        """Hand over bytes."""
        raise NotImplementedError

    def receive(self, wait_s: float, size: int) -> bytes | None:
        """The next message; its size is known for those that need it."""
        raise NotImplementedError

    def __init__(self, shape: Shape) -> None:
        self._block_bytes = shape.message_bytes

    def send_block(self, number: int, t_ns: int, block: Counts) -> None:
        """Hand over a block."""
        self.send(pack_block(number, t_ns, block))

    def receive_block(self, wait_s: float) -> tuple[int, Counts] | None:
        """The next block."""
        data = self.receive(wait_s, self._block_bytes)
        return None if data is None else unpack_block(data)

    def send_command(self, number: int, current_ma: float) -> None:
        """Hand over a command."""
        self.send(pack_command(number, current_ma))

    def receive_command(self, wait_s: float) -> int | None:
        """The next command's block."""
        data = self.receive(wait_s, COMMAND_BYTES)
        return None if data is None else unpack_command(data)[0]


class PipeLink(ByteLink):
    """A plain pipe; messages of one size, written and read whole."""

    def __init__(self, shape: Shape, fd: int) -> None:
        super().__init__(shape)
        self._fd = fd
        self._poll = select.poll()
        self._poll.register(fd, select.POLLIN)

    def send(self, data: bytes) -> None:
        """Write."""
        os.write(self._fd, data)

    def receive(self, wait_s: float, size: int) -> bytes | None:
        """Read one message."""
        if not self._poll.poll(wait_s * 1e3):
            return None
        data = os.read(self._fd, size)
        while 0 < len(data) < size:
            data += os.read(self._fd, size - len(data))
        return data or None


def open_link(kind: str, what: str, end: str, shape: Shape, settings: dict[str, Any]) -> Link:
    """Open one end of a link.

    Parameters
    ----------
    kind
        ``pipe``, ``zmq``, ``lsl``, ``redis``.
    what
        ``samples`` or ``commands``.
    end
        ``send`` or ``receive``.
    settings
        Of the kind.

    Raises
    ------
    ValueError
        If there is no such kind.
    """
    if kind == "pipe":
        return PipeLink(shape, settings[f"{what}_{end}"])
    if kind == "zmq":
        from .zeromq import ZmqLink

        return ZmqLink(shape, settings[what], end)
    if kind == "lsl":
        from .lsl import LslLink

        return LslLink(shape, settings["prefix"] + what, what, end)
    if kind == "redis":
        from .redis_streams import RedisLink

        return RedisLink(shape, settings["socket"], what, end)
    raise ValueError(f"there is no link of kind {kind!r}")
