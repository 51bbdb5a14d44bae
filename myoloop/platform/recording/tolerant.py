"""Every record of a damaged session file that can still be told apart, and the stretches in between that cannot.

Where a record cannot be right, the next place is looked for at which several records follow one another and can be
read; what lies between is a hole. A message that cannot be read while the record after it can is a hole of its own. A
chunk whose CRC does not hold is one whole.
"""

from __future__ import annotations

import mmap
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import zstandard
from mcap.opcode import Opcode
from mcap.records import Channel, Chunk, Footer, Schema

from myoloop.platform import wire
from myoloop.platform.recording.layout import (
    MAGIC,
    MAX_CHUNK_BYTES,
    MAX_RECORD_BYTES,
    DamagedRecording,
)
from myoloop.platform.recording.scan import HEAD_BYTES, MESSAGE_HEAD, RawRecord, parse

_HEAD = struct.Struct("<BQ")
_HEADER, _FOOTER, _SCHEMA, _CHANNEL = (int(o) for o in (Opcode.HEADER, Opcode.FOOTER, Opcode.SCHEMA, Opcode.CHANNEL))
_MESSAGE, _CHUNK, _METADATA = int(Opcode.MESSAGE), int(Opcode.CHUNK), int(Opcode.METADATA)
_MESSAGE_INDEX, _DATA_END = int(Opcode.MESSAGE_INDEX), int(Opcode.DATA_END)
_DATA = frozenset({_HEADER, _SCHEMA, _CHANNEL, _MESSAGE, _CHUNK, _METADATA, _MESSAGE_INDEX, _DATA_END})
#: An opcode of the data, and a length below 4 GiB.
_FRAME = re.compile(rb"[\x01\x03-\x07\x0c\x0f].{4}\0{4}", re.DOTALL)
#: So many records must follow one another before a place is believed after a hole.
_SURE = 3
_FOOTER_BYTES = HEAD_BYTES + 20 + len(MAGIC)


@dataclass(frozen=True, slots=True)
class Hole:
    """A stretch of a file in which no record can be told apart."""

    begin: int
    end: int
    why: str


class Tolerant:
    """One pass over a damaged session file.

    Parameters
    ----------
    path
        The file; `close` it after use.

    Attributes
    ----------
    schemas, channels
        By number, as met so far; once the pass is over also those that only the summary has.
    described
        Bytes of the schema and channel records of the summary, where its CRC holds.
    """

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self._data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self.schemas: dict[int, Schema] = {}
        self.channels: dict[int, Channel] = {}
        self.described: dict[tuple[int, int], RawRecord] = {}
        self._read_summary()

    def close(self) -> None:
        """Let the file go."""
        self._data.close()

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return len(self._data)

    def pieces(self) -> Iterator[RawRecord | Hole]:
        """Yield records of the data section, chunks opened, and the holes between them, in file order."""
        at = len(MAGIC)
        if self._data[:at] != MAGIC:
            yield Hole(0, at, "not the beginning of an MCAP file")
        while at < self.size:
            record = self._frame(at)
            if record is not None and record.opcode == _DATA_END:
                return
            why = "no record can stand here" if record is None else self._wrong(record)
            if record is None or (why and not self._stands(at + len(record.data))):
                found = self._next_sure(at + 1)
                yield Hole(at, found, why)
                at = found
                continue
            at += len(record.data)
            if why:
                yield Hole(record.offset, at, why)
            elif record.opcode == _CHUNK:
                yield from self._open(record)
            elif record.opcode != _MESSAGE_INDEX:
                self._note(record)
                yield record

    # -- framing ------------------------------------------------------------------------------------------------

    def _frame(self, at: int) -> RawRecord | None:
        if at + HEAD_BYTES > self.size:
            return None
        opcode, length = _HEAD.unpack_from(self._data, at)
        room = MAX_CHUNK_BYTES + 1024 if opcode == _CHUNK else MAX_RECORD_BYTES
        end = at + HEAD_BYTES + length
        if opcode not in _DATA or length > room or end > self.size:
            return None
        return RawRecord(at, opcode, self._data[at:end])

    def _stands(self, at: int) -> bool:
        """Whether a record that can be read begins there, or the file ends."""
        record = self._frame(at)
        return at == self.size or (record is not None and not self._wrong(record))

    def _next_sure(self, at: int) -> int:
        """Where the next records begin that can be believed; the end of the file where none do."""
        while (match := _FRAME.search(self._data, at)) is not None:
            at = match.start()
            if self._sure(at):
                return at
            at += 1
        return self.size

    def _sure(self, at: int) -> bool:
        for _ in range(_SURE):
            record = self._frame(at)
            if record is None or self._wrong(record):
                return False
            at += len(record.data)
            if record.opcode == _DATA_END or at == self.size:
                return True
        return True

    # -- contents -----------------------------------------------------------------------------------------------

    def _wrong(self, record: RawRecord) -> str:
        """Why a record cannot be what it says; empty where it can."""
        try:
            if record.opcode == _MESSAGE:
                return self._wrong_message(record)
            if record.opcode == _CHUNK:
                _unpack(record)
            elif record.opcode == _MESSAGE_INDEX:
                return "" if (len(record.data) - HEAD_BYTES - 6) % 16 == 0 else "an index of messages of no length"
            else:
                parse(record)
        except DamagedRecording as damage:
            return damage.what
        except (UnicodeDecodeError, OverflowError) as error:
            return f"cannot be read: {error}"
        return ""

    def _wrong_message(self, record: RawRecord) -> str:
        if len(record.data) < HEAD_BYTES + MESSAGE_HEAD.size:
            return "a message that is too short"
        channel, *_ = MESSAGE_HEAD.unpack_from(record.data, HEAD_BYTES)
        announced = self.channel(channel)
        if announced is None:
            return f"a message on channel {channel}, which was not announced"
        try:
            wire.read_record(announced.topic, record.data[HEAD_BYTES + MESSAGE_HEAD.size :])
        except wire.WireError as error:
            return f"{announced.topic}: {error}"
        return ""

    def channel(self, number: int) -> Channel | None:
        """A channel as announced, or as the summary describes it; None where neither does."""
        if number in self.channels:
            return self.channels[number]
        described = self.described.get((_CHANNEL, number))
        parsed = parse(described) if described is not None else None
        return parsed if isinstance(parsed, Channel) else None

    def _note(self, record: RawRecord) -> None:
        if record.opcode in (_SCHEMA, _CHANNEL):
            parsed = parse(record)
            if isinstance(parsed, Schema):
                self.schemas.setdefault(parsed.id, parsed)
            elif isinstance(parsed, Channel):
                self.channels.setdefault(parsed.id, parsed)

    def _open(self, chunk: RawRecord) -> Iterator[RawRecord | Hole]:
        data, at = _unpack(chunk), 0
        while at + HEAD_BYTES <= len(data):
            opcode, length = _HEAD.unpack_from(data, at)
            record = RawRecord(chunk.offset, opcode, data[at : at + HEAD_BYTES + length])
            at += HEAD_BYTES + length
            # The chunk's CRC holds: what stands in it is what was written.
            self._note(record)
            why = self._wrong(record)
            yield Hole(chunk.offset, chunk.offset, why) if why else record

    def _read_summary(self) -> None:
        """Schemas and channels as the summary repeats them, if its CRC holds."""
        begin = self.size - _FOOTER_BYTES
        if begin < 0 or self._data[begin] != _FOOTER or self._data[-len(MAGIC) :] != MAGIC:
            return
        footer = parse(RawRecord(begin, _FOOTER, self._data[begin : begin + HEAD_BYTES + 20]))
        if not isinstance(footer, Footer) or not len(MAGIC) < footer.summary_start <= begin:
            return
        if zlib.crc32(self._data[footer.summary_start : begin + HEAD_BYTES + 16]) != footer.summary_crc:
            return
        at = footer.summary_start
        while at + HEAD_BYTES <= begin:
            opcode, length = _HEAD.unpack_from(self._data, at)
            record = RawRecord(at, opcode, self._data[at : at + HEAD_BYTES + length])
            if opcode in (_SCHEMA, _CHANNEL):
                (number,) = struct.unpack_from("<H", record.data, HEAD_BYTES)
                self.described[opcode, number] = record
            at += HEAD_BYTES + length


def _unpack(record: RawRecord) -> bytes:
    """The records of a chunk.

    Raises
    ------
    DamagedRecording
        If they are not what was written.
    """
    chunk = parse(record)
    if not isinstance(chunk, Chunk) or chunk.compression != "zstd" or chunk.uncompressed_size > MAX_CHUNK_BYTES:
        raise DamagedRecording(record.offset, "not a chunk of ours")
    try:
        if zstandard.frame_content_size(chunk.data) != chunk.uncompressed_size:
            raise DamagedRecording(record.offset, "a chunk whose zstd frame announces another size")
        data: bytes = zstandard.decompress(chunk.data, max_output_size=chunk.uncompressed_size)
    except zstandard.ZstdError as error:
        raise DamagedRecording(record.offset, f"a chunk that cannot be unpacked: {error}") from None
    if len(data) != chunk.uncompressed_size or zlib.crc32(data) != chunk.uncompressed_crc:
        raise DamagedRecording(record.offset, "a chunk whose CRC is not that of its bytes")
    return data
