"""One pass over a session file, front to back: its records, where they stand, and where the file stops.

Framing is done here and not by the library's reader, because that one hands over a message that is cut short as if it
were whole, and trusts lengths. The contents of records are parsed by the library's classes. The summary at the end
is never believed, only checked.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from io import BytesIO
from typing import Any, BinaryIO, NamedTuple

import zstandard
from mcap.data_stream import ReadDataStream
from mcap.exceptions import McapError
from mcap.opcode import Opcode
from mcap.records import Channel, Chunk, DataEnd, Footer, Header, McapRecord, Metadata, Schema, Statistics

from myoloop.platform.recording.layout import (
    MAGIC,
    MAX_CHUNK_BYTES,
    MAX_RECORD_BYTES,
    PROFILE,
    DamagedRecording,
)

_HEAD = struct.Struct("<BQ")
HEAD_BYTES = _HEAD.size
#: channel, sequence, log time, publish time; the data follow.
MESSAGE_HEAD = struct.Struct("<HIQQ")
#: start time, end time, size and CRC before compression, length of the compression's name.
_CHUNK_HEAD = struct.Struct("<QQQII")

_HEADER, _FOOTER, _SCHEMA, _CHANNEL = (int(o) for o in (Opcode.HEADER, Opcode.FOOTER, Opcode.SCHEMA, Opcode.CHANNEL))
_MESSAGE, _CHUNK, _METADATA = int(Opcode.MESSAGE), int(Opcode.CHUNK), int(Opcode.METADATA)
_MESSAGE_INDEX, _DATA_END, _STATISTICS = int(Opcode.MESSAGE_INDEX), int(Opcode.DATA_END), int(Opcode.STATISTICS)
_SUMMARY = frozenset(
    int(o)
    for o in (
        Opcode.SCHEMA,
        Opcode.CHANNEL,
        Opcode.STATISTICS,
        Opcode.CHUNK_INDEX,
        Opcode.METADATA_INDEX,
        Opcode.ATTACHMENT_INDEX,
        Opcode.SUMMARY_OFFSET,
    )
)
_READERS: dict[int, Any] = {
    _HEADER: Header,
    _SCHEMA: Schema,
    _CHANNEL: Channel,
    _CHUNK: Chunk,
    _METADATA: Metadata,
    _DATA_END: DataEnd,
    _FOOTER: Footer,
    _STATISTICS: Statistics,
}
_ROOM = {_DATA_END: 4, _FOOTER: 20, _CHUNK: MAX_CHUNK_BYTES + 1024}


class RawRecord(NamedTuple):
    """A record as it stands in the file.

    Attributes
    ----------
    offset
        Byte of the file where it, or the chunk that holds it, begins.
    opcode
        Its MCAP kind.
    data
        All of it: opcode, length, content.
    """

    offset: int
    opcode: int
    data: bytes


def parse(record: RawRecord) -> McapRecord:
    """Parse a record's content through the library.

    Raises
    ------
    DamagedRecording
        If it is not what its opcode says.
    """
    reader = _READERS[record.opcode]
    stream = ReadDataStream(BytesIO(record.data[HEAD_BYTES:]))
    try:
        parsed: McapRecord = reader.read(stream)
    except (McapError, struct.error, ValueError) as error:
        raise DamagedRecording(record.offset, f"{reader.__name__} record cannot be read: {error}") from None
    if stream.count != len(record.data) - HEAD_BYTES:
        raise DamagedRecording(record.offset, f"{reader.__name__} record is longer than its fields")
    return parsed


def unpack_chunk(record: RawRecord, *, check_crc: bool = True) -> bytes:
    """Unpack a chunk record: the records in it.

    Raises
    ------
    DamagedRecording
        If it is no chunk of ours, or not the bytes that were packed.
    """
    chunk = parse(record)
    if not isinstance(chunk, Chunk):
        raise DamagedRecording(record.offset, "not a chunk")
    if chunk.compression != "zstd" or chunk.uncompressed_size > MAX_CHUNK_BYTES:
        raise DamagedRecording(
            record.offset, f"a chunk of {chunk.uncompressed_size} bytes, compression {chunk.compression[:16]!r}"
        )
    try:
        # Asked first: the decompressor would allocate whatever a damaged frame announces.
        if zstandard.frame_content_size(chunk.data) != chunk.uncompressed_size:
            raise DamagedRecording(record.offset, "a chunk whose zstd frame announces another size")
        data = zstandard.decompress(chunk.data, max_output_size=chunk.uncompressed_size)
    except zstandard.ZstdError as error:
        raise DamagedRecording(record.offset, f"a chunk that cannot be unpacked: {error}") from None
    if len(data) != chunk.uncompressed_size or (check_crc and zlib.crc32(data) != chunk.uncompressed_crc):
        raise DamagedRecording(record.offset, "a chunk whose CRC or size is not that of its bytes")
    return data


class Scan:
    """One pass over a session file.

    Parameters
    ----------
    stream
        The file, open for reading at its beginning.
    size
        How many bytes of it to look at (a live file goes on growing).
    check_crcs
        Refuse a data section, chunk or summary whose CRC is not that of its bytes.

    Attributes
    ----------
    schemas, channels, metadata
        What was met so far: by number; metadata by name.
    cut_at
        Once the pass is over: where the first byte stands that belongs to no whole record (the end of the file if
        all are whole), if the file has no proper end; None if it has.
    chunks
        How many chunks were opened.
    """

    def __init__(self, stream: BinaryIO, size: int, *, check_crcs: bool = True) -> None:
        self._stream = stream
        self._size = size
        self._check = check_crcs
        self._crc = 0
        self._at = 0
        self._raw: dict[int, set[bytes]] = {_SCHEMA: set(), _CHANNEL: set()}
        self._counts: dict[int, int] = {}
        self.header: Header | None = None
        self.schemas: dict[int, Schema] = {}
        self.channels: dict[int, Channel] = {}
        self.metadata: dict[str, dict[str, str]] = {}
        self.cut_at: int | None = None
        self._rest = b""
        self.chunks = 0

    def records(self) -> Iterator[RawRecord]:
        """Yield header, schema, channel, message and metadata records in file order, chunks opened.

        Raises
        ------
        DamagedRecording
            At the first byte that cannot be right. A file that merely stops is not damaged: see `cut_at`.
        """
        start = self._read(len(MAGIC))
        if start != MAGIC[: len(start)]:
            raise DamagedRecording(0, "not an MCAP file")
        if len(start) < len(MAGIC):
            self.cut_at = 0
            return
        while True:
            crc = self._crc
            record = self._next()
            if record is None:
                yield from self._open_cut_chunk()
                return
            opcode = record.opcode
            if opcode == _CHUNK:
                yield from self._open_chunk(record)
            elif opcode == _DATA_END:
                self._end(record, crc)
                return
            elif opcode == _MESSAGE_INDEX and self.chunks:
                continue
            else:
                self._note(record)
                yield record

    # -- framing ------------------------------------------------------------------------------------------------

    def _read(self, length: int) -> bytes:
        data = self._stream.read(min(length, self._size - self._at))
        self._at += len(data)
        self._crc = zlib.crc32(data, self._crc)
        return data

    def _next(self) -> RawRecord | None:
        offset = self._at
        head = self._read(HEAD_BYTES)
        if len(head) < HEAD_BYTES:
            self._cut(offset, head)
            return None
        opcode, length = _HEAD.unpack(head)
        if opcode == 0 and self._zeros_from_here(head):
            # What a power cut leaves where the file had grown but the bytes had not arrived.
            self.cut_at = offset
            return None
        self._check_head(offset, opcode, length)
        content = self._read(length)
        if len(content) < length:
            self._cut(offset, head + content)
            return None
        return RawRecord(offset, opcode, head + content)

    def _cut(self, offset: int, rest: bytes) -> None:
        # Not only what is left over: a record that is too long by a few bytes leaves half of the closing magic bytes.
        self._stream.seek(max(len(MAGIC), self._size - len(MAGIC)))
        if self._stream.read(len(MAGIC)) == MAGIC:
            raise DamagedRecording(offset, "a record reaches beyond the end, yet the end is there")
        self.cut_at = offset
        self._rest = rest

    def _zeros_from_here(self, head: bytes) -> bool:
        if head.strip(b"\0"):
            return False
        while block := self._read(1 << 20):
            if block.strip(b"\0"):
                return False
        return True

    def _check_head(self, offset: int, opcode: int, length: int) -> None:
        if opcode not in _READERS and opcode not in _SUMMARY and opcode not in (_MESSAGE, _MESSAGE_INDEX):
            raise DamagedRecording(offset, f"no record of ours has opcode {opcode}")
        room = _ROOM.get(opcode, MAX_RECORD_BYTES)
        fixed = opcode in (_DATA_END, _FOOTER)
        if length > room or (fixed and length != room) or (opcode == _MESSAGE and length < MESSAGE_HEAD.size):
            raise DamagedRecording(offset, f"a {Opcode(opcode).name} record of {length} bytes")

    # -- what the records say ------------------------------------------------------------------------------------

    def _note(self, record: RawRecord) -> None:
        opcode = record.opcode
        if opcode == _MESSAGE:
            number = record.data[HEAD_BYTES] | record.data[HEAD_BYTES + 1] << 8
            if number not in self.channels:
                raise DamagedRecording(record.offset, f"a message on channel {number}, which was not announced")
            self._counts[number] = self._counts.get(number, 0) + 1
            return
        if opcode not in (_HEADER, _SCHEMA, _CHANNEL, _METADATA):
            raise DamagedRecording(record.offset, f"a {Opcode(opcode).name} record among the data")
        parsed = parse(record)
        if (self.header is None) != isinstance(parsed, Header):
            raise DamagedRecording(record.offset, "the header record is not the first, or not the only one")
        if isinstance(parsed, Header):
            if parsed.profile != PROFILE:
                raise DamagedRecording(record.offset, f"profile {parsed.profile[:32]!r}, this reads {PROFILE!r}")
            self.header = parsed
        elif isinstance(parsed, Schema):
            self._once(record, parsed.id in self.schemas, f"schema {parsed.id}")
            self.schemas[parsed.id] = parsed
        elif isinstance(parsed, Channel):
            self._once(record, parsed.id in self.channels, f"channel {parsed.id}")
            if parsed.schema_id not in self.schemas:
                raise DamagedRecording(record.offset, f"channel {parsed.id} names schema {parsed.schema_id}, not there")
            self.channels[parsed.id] = parsed
        elif isinstance(parsed, Metadata):
            self._once(record, parsed.name in self.metadata, f"metadata {parsed.name[:64]!r}")
            self.metadata[parsed.name] = parsed.metadata
        if opcode in self._raw:
            self._raw[opcode].add(record.data)

    def _once(self, record: RawRecord, seen: bool, what: str) -> None:
        if seen:
            raise DamagedRecording(record.offset, f"{what} stands there twice")

    def _open_chunk(self, record: RawRecord) -> Iterator[RawRecord]:
        data = unpack_chunk(record, check_crc=self._check)
        self.chunks += 1
        yield from self._inner(record.offset, data, whole=True)

    def _open_cut_chunk(self) -> Iterator[RawRecord]:
        """Yield what can still be unpacked of a chunk that the file's end cuts through."""
        begin = HEAD_BYTES + _CHUNK_HEAD.size
        if not self._rest or self._rest[0] != _CHUNK or len(self._rest) < begin:
            return
        *_, name = _CHUNK_HEAD.unpack_from(self._rest, HEAD_BYTES)
        try:
            data = zstandard.ZstdDecompressor().decompressobj().decompress(self._rest[begin + name + 8 :])
        except zstandard.ZstdError:
            return
        self.chunks += 1
        yield from self._inner(self.cut_at or 0, data[:MAX_CHUNK_BYTES], whole=False)

    def _inner(self, offset: int, data: bytes, *, whole: bool) -> Iterator[RawRecord]:
        at, size = 0, len(data)
        # A long session has millions of messages: a good one takes the short way, the rest the one that finds faults.
        channels, counts, made = self.channels, self._counts, tuple.__new__
        while at < size:
            if size - at >= HEAD_BYTES:
                opcode, length = _HEAD.unpack_from(data, at)
                end = at + HEAD_BYTES + length
                if opcode == _MESSAGE and MESSAGE_HEAD.size <= length <= MAX_RECORD_BYTES and end <= size:
                    number = data[at + HEAD_BYTES] | data[at + HEAD_BYTES + 1] << 8
                    if number in channels:
                        counts[number] = counts.get(number, 0) + 1
                        yield made(RawRecord, (offset, opcode, data[at:end]))
                        at = end
                        continue
                self._check_head(offset, opcode, length)
                if end <= size:
                    record = RawRecord(offset, opcode, data[at:end])
                    self._note(record)
                    yield record
                    at = end
                    continue
            if whole:
                raise DamagedRecording(offset, "a chunk that ends within a record")
            return

    # -- the end -------------------------------------------------------------------------------------------------

    def _end(self, record: RawRecord, crc: int) -> None:
        data_end = parse(record)
        if self._check and isinstance(data_end, DataEnd) and data_end.data_section_crc != crc:
            raise DamagedRecording(record.offset, "the CRC of the data section is not that of its bytes")
        begin = self._at
        self._crc = 0
        summary: dict[int, set[bytes]] = {_SCHEMA: set(), _CHANNEL: set()}
        while True:
            crc = self._crc
            part = self._next()
            if part is None:
                self.cut_at = begin
                return
            if part.opcode == _FOOTER:
                break
            if part.opcode not in _SUMMARY:
                raise DamagedRecording(part.offset, f"a {Opcode(part.opcode).name} record in the summary")
            if part.opcode in summary:
                summary[part.opcode].add(part.data)
            elif part.opcode == _STATISTICS:
                statistics = parse(part)
                if isinstance(statistics, Statistics) and statistics.channel_message_counts != self._counts:
                    raise DamagedRecording(part.offset, "the summary counts other messages than there are")
        footer = parse(part)
        crc = zlib.crc32(part.data[:-4], crc)
        if isinstance(footer, Footer) and (
            footer.summary_start != begin or (self._check and footer.summary_crc != crc)
        ):
            raise DamagedRecording(part.offset, "the summary is not the one that the footer names")
        if summary != self._raw:
            raise DamagedRecording(begin, "schemas or channels of the summary are not those of the data")
        self._check_magic()

    def _check_magic(self) -> None:
        offset = self._at
        magic = self._read(len(MAGIC))
        if magic != MAGIC[: len(magic)]:
            raise DamagedRecording(offset, "the closing magic bytes are not there")
        if len(magic) < len(MAGIC):
            self.cut_at = offset
        elif self._at < self._size:
            raise DamagedRecording(self._at, f"{self._size - self._at} bytes after the end")


__all__ = ["HEAD_BYTES", "MESSAGE_HEAD", "RawRecord", "Scan", "parse", "unpack_chunk"]
