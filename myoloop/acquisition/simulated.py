"""The simulated source: an amplifier and an IMU attached to the virtual subject's body, over a socket or in memory.

What travels on the socket, numbers little endian::

    frame     "MYOS" | u8 kind | u32 length of payload | payload | u32 CRC-32 of kind, length and payload

    kind 1    descriptors: JSON array of SampleDescriptor; first, and once
    kind 2    block: u8 stream (its place in that array) | u64 first_sample | i64 t_ns | u32 rows | raw array
    kind 3    end: UTF-8 text, why

The body's server writes with :func:`encode_descriptors`, :func:`encode_block` and :func:`encode_end`;
:class:`FrameReader` reads. The link is a local stream that loses nothing, so a damaged frame is an error, never
skipped. A body that cannot get rid of its blocks drops whole ones, which shows as a jump of `first_sample`.
"""

from __future__ import annotations

import binascii
import select
import socket
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec
import numpy as np

from myoloop.acquisition.source import Block, Ended, Foreseen, Reading, SourceError
from myoloop.platform import endpoint
from myoloop.platform.clock import Clock
from myoloop.platform.messages import SampleDescriptor

_MAGIC = b"MYOS"
_HEAD = struct.Struct("<4sBI")
_BLOCK = struct.Struct("<BQqI")
_CRC = struct.Struct("<I")
_DESCRIPTORS, _SAMPLES, _END = 1, 2, 3
_MAX_PAYLOAD_BYTES = 1 << 20
_FIRST_WORD_S = 5.0


class Body(Protocol):
    """A body in the same process, as the virtual subject's is in lockstep."""

    @property
    def descriptors(self) -> tuple[SampleDescriptor, ...]:
        """Its streams."""
        ...

    def take_blocks(self) -> list[Block]:
        """The blocks made since last asked."""
        ...


@dataclass(frozen=True, slots=True)
class SimulatedSourceSettings:
    """Where the body is.

    Attributes
    ----------
    address
        ``unix:PATH`` or ``tcp:HOST:PORT``; not used where a body is given.
    """

    address: str = ""


class SimulatedSource:
    """Samples of the virtual subject.

    Parameters
    ----------
    settings
        Where the body is.
    name, clock
        As every source is made with; the body names its own streams and stamps its own blocks.
    body
        A body in the same process; None connects to ``settings.address``.
    """

    Settings = SimulatedSourceSettings

    def __init__(
        self,
        settings: SimulatedSourceSettings,
        *,
        name: str = "",
        clock: Clock | None = None,
        body: Body | None = None,
    ) -> None:
        self._settings = settings
        self._body = body
        self._socket: socket.socket | None = None
        self._reader = FrameReader()
        self._descriptors: tuple[SampleDescriptor, ...] = ()
        self._first: dict[str, int] = {}
        self._ready: list[Reading] = []
        self._begun = False

    def open(self) -> tuple[SampleDescriptor, ...]:
        """Attach to the body and hear what its streams are."""
        self._first.clear()
        self._begun = False
        if self._body is not None:
            self._body.take_blocks()
            self._descriptors = self._body.descriptors
            return self._descriptors
        self._reader = FrameReader()
        try:
            self._socket = endpoint.connect(self._settings.address)
        except endpoint.EndpointError as error:
            raise SourceError(f"virtual subject: {error}") from None
        deadline = time.monotonic() + _FIRST_WORD_S
        while not self._reader.descriptors:
            if time.monotonic() > deadline:
                self.close()
                raise SourceError(f"virtual subject at {self._settings.address} said nothing for {_FIRST_WORD_S:g} s")
            try:
                self._ready += self._receive(0.05)
            except SourceError:
                self.close()
                raise
        self._descriptors = self._reader.descriptors
        return self._descriptors

    def foresee(self) -> Foreseen:
        """Nobody is measured; what the streams are, only the body knows."""
        return Foreseen("simulated", self._body.descriptors if self._body is not None else None)

    def read(self, wait_s: float) -> list[Reading]:
        """Blocks that have come since the first reading, `first_sample` counted from there.

        What the body made between opening and the first reading belongs to no session and is left out.
        """
        if not self._begun:
            self._begun = True
            self._leave_out()
        if self._body is not None:
            readings: list[Reading] = list(self._body.take_blocks())
        elif self._socket is None:
            raise SourceError("virtual subject: not open")
        elif self._ready:
            readings, self._ready = self._ready, []
        else:
            readings = self._receive(wait_s)
        return [self._counted_from_opening(reading) for reading in readings]

    def fileno(self) -> int:
        """The socket to wait on; -1 where there is none."""
        return self._socket.fileno() if self._socket is not None else -1

    def close(self) -> None:
        """Let go of the body."""
        if self._socket is not None:
            self._socket.close()
        self._socket = None
        self._ready = []

    def _leave_out(self) -> None:
        self._ready = []
        if self._body is not None:
            return
        while self._receive(0.0):
            continue

    def _receive(self, wait_s: float) -> list[Reading]:
        link = self._socket
        if link is None:
            raise SourceError("virtual subject: not open")
        if not select.select([link], [], [], max(0.0, wait_s))[0]:
            return []
        data = b""
        gone = ""
        try:
            while part := link.recv(65536):
                data += part
            gone = "closed the connection without an end"
        except BlockingIOError:
            pass
        except OSError as error:
            gone = error.strerror or str(error)
        readings = self._reader.read(data)
        if gone and not readings:
            raise SourceError(f"virtual subject: {gone}")
        return readings

    def _counted_from_opening(self, reading: Reading) -> Reading:
        if isinstance(reading, Ended):
            return reading
        first = self._first.setdefault(reading.topic, reading.first_sample)
        return Block(
            reading.topic,
            reading.first_sample - first,
            reading.t_ns,
            reading.array,
            device_t=float(reading.first_sample + len(reading.array) - 1),
        )


class FrameReader:
    """Bytes become blocks.

    Attributes
    ----------
    descriptors
        Of the streams; () until they have come.
    """

    def __init__(self) -> None:
        self.descriptors: tuple[SampleDescriptor, ...] = ()
        self._data = bytearray()

    def read(self, data: bytes) -> list[Reading]:
        """Take bytes, cut anywhere, and hand over what they complete.

        Raises
        ------
        SourceError
            If they are not frames of ours.
        """
        self._data += data
        readings: list[Reading] = []
        while len(self._data) >= _HEAD.size:
            magic, kind, length = _HEAD.unpack_from(self._data)
            if magic != _MAGIC or length > _MAX_PAYLOAD_BYTES:
                raise SourceError("virtual subject: bytes that are not a frame")
            end = _HEAD.size + length
            if len(self._data) < end + _CRC.size:
                break
            frame = bytes(self._data[: end + _CRC.size])
            del self._data[: end + _CRC.size]
            if _CRC.unpack_from(frame, end)[0] != binascii.crc32(frame[4:end]):
                raise SourceError("virtual subject: a frame with a wrong CRC")
            reading = self._one(kind, frame[_HEAD.size : end])
            if reading is not None:
                readings.append(reading)
        return readings

    def _one(self, kind: int, payload: bytes) -> Reading | None:
        try:
            if kind == _DESCRIPTORS and not self.descriptors:
                self.descriptors = msgspec.json.decode(payload, type=tuple[SampleDescriptor, ...])
                return None
            if kind == _END:
                return Ended(payload.decode("utf-8"))
            if kind != _SAMPLES:
                raise SourceError(f"virtual subject: a frame of kind {kind} where none may be")
            stream, first_sample, t_ns, rows = _BLOCK.unpack_from(payload)
            descriptor = self.descriptors[stream]
            array = np.frombuffer(payload, dtype=descriptor.dtype, offset=_BLOCK.size)
            shaped = array.reshape(rows, len(descriptor.channels))
        except (msgspec.DecodeError, UnicodeDecodeError, struct.error, IndexError, ValueError, TypeError) as error:
            raise SourceError(f"virtual subject: {error}") from None
        return Block(descriptor.topic, first_sample, t_ns, shaped)


def encode_descriptors(descriptors: Sequence[SampleDescriptor]) -> bytes:
    """The first frame."""
    return _frame(_DESCRIPTORS, msgspec.json.encode(tuple(descriptors)))


def encode_block(stream: int, descriptor: SampleDescriptor, block: Block) -> bytes:
    """A frame of samples; `stream` is the descriptor's place among those sent first."""
    raw = np.ascontiguousarray(block.array, dtype=descriptor.dtype).tobytes()
    return _frame(_SAMPLES, _BLOCK.pack(stream, block.first_sample, block.t_ns, len(block.array)) + raw)


def encode_end(why: str) -> bytes:
    """The last frame."""
    return _frame(_END, why.encode("utf-8"))


def _frame(kind: int, payload: bytes) -> bytes:
    frame = _HEAD.pack(_MAGIC, kind, len(payload)) + payload
    return frame + _CRC.pack(binascii.crc32(frame[4:]))
