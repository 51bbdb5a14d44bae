"""Read parts of a recording without reading the rest: any second of a long session, or some of its streams.

A compacted file says at its end where its chunks stand, when their messages were recorded and on which channels. That
is believed once its CRC holds, and each chunk that is opened is checked against its own. A file that is not compacted
is walked through once when it is opened, and gets the same table of pieces of about a chunk's size.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Collection, Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, NamedTuple

from mcap.data_stream import ReadDataStream
from mcap.opcode import Opcode
from mcap.records import Channel, DataEnd, Footer, Metadata, MetadataIndex, Schema, Statistics

from myoloop.platform import wire
from myoloop.platform.messages import SampleDescriptor, Samples
from myoloop.platform.recording import layout
from myoloop.platform.recording.layout import CHUNK_BYTES, MAGIC, DamagedRecording
from myoloop.platform.recording.reader import OpenedFile, Recorded, opened
from myoloop.platform.recording.scan import HEAD_BYTES, MESSAGE_HEAD, RawRecord, Scan, parse, unpack_chunk
from myoloop.platform.steps import Received

_HEAD = struct.Struct("<BQ")
#: A message record's beginning: opcode, length, channel, sequence, log time, publish time.
_MESSAGE_RECORD = struct.Struct("<BQHIQQ")
_MESSAGE, _CHUNK = int(Opcode.MESSAGE), int(Opcode.CHUNK)
_DATA = HEAD_BYTES + MESSAGE_HEAD.size
_FOOTER_BYTES = HEAD_BYTES + 20
_DATA_END_BYTES = HEAD_BYTES + 4
#: first and last log time, offset, length, bytes of the table of channels that follows.
_CHUNK_INDEX = struct.Struct("<QQQQI")
_CHANNEL_ENTRY = struct.Struct("<HQ")
_OPEN_PIECES = 4


class Piece(NamedTuple):
    """A part of the file that is read at once.

    Attributes
    ----------
    offset, length
        In bytes of the file.
    first_ns, last_ns
        Log times of its earliest and latest message.
    channels
        Numbers of the channels that have messages in it.
    chunked
        Whether it is a chunk record; else records that stand one after the other.
    """

    offset: int
    length: int
    first_ns: int
    last_ns: int
    channels: frozenset[int]
    chunked: bool


class Found(NamedTuple):
    """A message as it stands in the file: what :func:`myoloop.platform.wire.read_record` reads, and its log time."""

    topic: str
    record: bytes
    log_time_ns: int


class SeekableRecording(OpenedFile):
    """A session file whose messages can be had by stream and time.

    Made by :meth:`open`. A file that is being written is read as far as it was when opened.

    Attributes
    ----------
    path
        The session file.
    metadata
        What the session is: its id, ``simulated``, versions, hashes, wall time at start.
    descriptors
        Of the sample streams, by topic.
    counts
        Messages per topic, in the order in which the topics were announced.
    complete, outcome, reason
        Whether the file has its proper end; how the session ended, empty if the file has no end record.
    pieces
        In file order.
    """

    def __init__(self, path: Path, *, check_all: bool = False) -> None:
        self.path = path
        self.size = path.stat().st_size
        self._open: dict[int, bytes] = {}
        self._cut_piece: dict[int, bytes] = {}
        self._with: dict[str, list[int]] = {}
        with path.open("rb", buffering=1 << 20) as stream:
            summary = _read_summary(stream, self.size)
            if summary is None or not summary.chunks:
                self._walk(stream)
                return
            if check_all:
                _check_data(stream, summary)
            metadata = {name: _read_metadata(stream, offset, name) for name, offset in summary.metadata.items()}
        self.pieces: tuple[Piece, ...] = tuple(summary.chunks)
        self._announce(summary.schemas, summary.channels, metadata, summary.counts)
        self.complete = bool(metadata.get(layout.END))

    @classmethod
    def open(cls, path: Path | str, *, check_all: bool = False) -> SeekableRecording:
        """Open a session file, or the one in an attempt's folder.

        Parameters
        ----------
        path
            File or folder.
        check_all
            Check every byte before anything is read, for who reads it all; else what is read is checked as it is read.

        Raises
        ------
        RecordingError
            If there is none, it is damaged, or it stops before it says which session it is.
        """
        return opened(path, lambda file: cls(file, check_all=check_all))

    def pieces_with(self, topic: str) -> list[int]:
        """Numbers of the pieces in which a topic has messages, in file order."""
        found = self._with.get(topic)
        if found is None:
            wanted = self._numbers.get(topic, set())
            found = [number for number, piece in enumerate(self.pieces) if not piece.channels.isdisjoint(wanted)]
            self._with[topic] = found
        return found

    def records(self, topics: Collection[str] | None = None) -> Iterator[Found]:
        """Yield the messages of some topics, or all, in file order.

        Raises
        ------
        DamagedRecording
            Where a piece is not what was written.
        """
        wanted = self._wanted(topics)
        for number, piece in enumerate(self.pieces):
            if not piece.channels.isdisjoint(wanted):
                yield from self._in_piece(self._data(number, keep=False), piece, wanted)

    def messages(self, topics: Collection[str] | None = None) -> Iterator[Recorded]:
        """Yield the messages of some topics, or all, in file order, decoded.

        Raises
        ------
        DamagedRecording
            Where a piece or a message is not what was written.
        """
        for topic, record, log_time_ns in self.records(topics):
            try:
                head, message, array = wire.read_record(topic, record)
            except wire.WireError as error:
                what = f"a message on {topic} at {log_time_ns} ns: {error} (in {self.path})"
                raise DamagedRecording(0, what) from None
            yield Recorded(Received(topic, head.publisher, head.epoch, head.seq, message, array), log_time_ns)

    def in_piece(self, number: int, topics: Collection[str]) -> Iterator[Found]:
        """Yield the messages of some topics in one piece; the pieces read last are kept unpacked.

        Raises
        ------
        DamagedRecording
            If the piece is not what was written.
        """
        yield from self._in_piece(self._data(number, keep=True), self.pieces[number], self._wanted(topics))

    # -- reading a piece ------------------------------------------------------------------------------------------

    def _wanted(self, topics: Collection[str] | None) -> dict[int, str]:
        return {number: topic for number, topic in self._topics.items() if topics is None or topic in topics}

    def _in_piece(self, data: bytes, piece: Piece, wanted: Mapping[int, str]) -> Iterator[Found]:
        at, size = 0, len(data)
        # A long session has millions: what stands in this loop counts.
        unpack, found = _MESSAGE_RECORD.unpack_from, tuple.__new__
        while at + HEAD_BYTES <= size:
            if data[at] == _MESSAGE and at + _DATA <= size:
                _, length, channel, _, log_time_ns, _ = unpack(data, at)
                end = at + HEAD_BYTES + length
                topic = wanted.get(channel)
                if topic is not None and end <= size:
                    yield found(Found, (topic, data[at + _DATA : end], log_time_ns))
            else:
                end = at + HEAD_BYTES + _HEAD.unpack_from(data, at)[1]
            at = end
        if at != size:
            raise DamagedRecording(piece.offset, f"a piece that ends within a record (in {self.path})")

    def _data(self, number: int, *, keep: bool) -> bytes:
        found = self._cut_piece.get(number) or self._open.get(number)
        if found is not None:
            return found
        piece = self.pieces[number]
        with self.path.open("rb") as stream:
            stream.seek(piece.offset)
            data = stream.read(piece.length)
        if len(data) != piece.length:
            raise DamagedRecording(piece.offset, f"the file has become shorter (in {self.path})")
        if piece.chunked:
            if data[0] != _CHUNK or _HEAD.unpack_from(data)[1] != len(data) - HEAD_BYTES:
                raise DamagedRecording(piece.offset, f"no chunk stands where the index names one (in {self.path})")
            data = unpack_chunk(RawRecord(piece.offset, _CHUNK, data))
        if keep:
            while len(self._open) >= _OPEN_PIECES:
                del self._open[next(iter(self._open))]
            self._open[number] = data
        return data

    # -- what is in the file --------------------------------------------------------------------------------------

    def _announce(
        self,
        schemas: Mapping[int, Schema],
        channels: Mapping[int, Channel],
        metadata: Mapping[str, Mapping[str, str]],
        counts: Mapping[int, int],
    ) -> None:
        self.metadata: Mapping[str, str] = metadata.get(layout.SESSION, {})
        end = metadata.get(layout.END, {})
        self.outcome, self.reason = end.get("outcome", ""), end.get("reason", "")
        self._topics = {number: channel.topic for number, channel in channels.items()}
        self._numbers: dict[str, set[int]] = {}
        for number, topic in self._topics.items():
            self._numbers.setdefault(topic, set()).add(number)
        self.counts = {topic: sum(counts.get(n, 0) for n in numbers) for topic, numbers in self._numbers.items()}
        samples = layout.schema_name(Samples)
        self.descriptors: Mapping[str, SampleDescriptor] = {
            channel.topic: layout.descriptor_of(channel.topic, channel.metadata)
            for channel in channels.values()
            if schemas[channel.schema_id].name == samples
        }

    def _walk(self, stream: BinaryIO) -> None:
        """Make the table of pieces of a file that has none."""
        stream.seek(0)
        scan = Scan(stream, self.size)
        counts: dict[int, int] = {}
        growing: list[_Growing] = []
        parts: list[bytes] = []
        for record in scan.records():
            if record.opcode != _MESSAGE:
                continue
            number, _, log_time_ns, _ = MESSAGE_HEAD.unpack_from(record.data, HEAD_BYTES)
            counts[number] = counts.get(number, 0) + 1
            if not growing or not growing[-1].takes(record, chunked=bool(scan.chunks)):
                growing.append(_Growing(record.offset, bool(scan.chunks), log_time_ns))
                parts.clear()
            growing[-1].add(len(record.data), number, log_time_ns)
            if scan.chunks:
                parts.append(record.data)
        pieces = [each.piece(stream) for each in growing]
        if pieces and pieces[-1].chunked and pieces[-1].offset + pieces[-1].length > self.size:
            # A chunk that the file's end cuts through cannot be unpacked again; what it gave is kept.
            self._cut_piece[len(pieces) - 1] = b"".join(parts)
        self.pieces = tuple(pieces)
        self._announce(scan.schemas, scan.channels, scan.metadata, counts)
        self.complete = scan.cut_at is None and bool(scan.metadata.get(layout.END))


class _Growing:
    """A piece while the file is walked through."""

    def __init__(self, offset: int, chunked: bool, log_time_ns: int) -> None:
        self._offset, self._length, self._chunked = offset, 0, chunked
        self._first_ns = self._last_ns = log_time_ns
        self._channels: set[int] = set()

    def takes(self, record: RawRecord, *, chunked: bool) -> bool:
        """Whether a record belongs to it: one of the same chunk, or the next one while it is not too long."""
        if self._chunked or chunked:
            return self._chunked and chunked and record.offset == self._offset
        return record.offset == self._offset + self._length and self._length < CHUNK_BYTES

    def add(self, length: int, channel: int, log_time_ns: int) -> None:
        """Take in a message."""
        self._length += length
        self._first_ns, self._last_ns = min(self._first_ns, log_time_ns), max(self._last_ns, log_time_ns)
        self._channels.add(channel)

    def piece(self, stream: BinaryIO) -> Piece:
        """As it stands in the file."""
        length = self._length
        if self._chunked:
            stream.seek(self._offset)
            length = HEAD_BYTES + int(_HEAD.unpack(stream.read(HEAD_BYTES))[1])
        channels = frozenset(self._channels)
        return Piece(self._offset, length, self._first_ns, self._last_ns, channels, self._chunked)


class _Summary(NamedTuple):
    """What stands at the end of a whole file."""

    begin: int
    schemas: dict[int, Schema]
    channels: dict[int, Channel]
    counts: dict[int, int]
    chunks: list[Piece]
    metadata: dict[str, int]
    same: dict[bytes, frozenset[int]]


def _read_summary(stream: BinaryIO, size: int) -> _Summary | None:
    """Read the summary; None where the file has none that can be believed."""
    tail = _FOOTER_BYTES + len(MAGIC)
    if size < len(MAGIC) + _DATA_END_BYTES + tail or stream.read(len(MAGIC)) != MAGIC:
        return None
    stream.seek(size - tail)
    end = stream.read(tail)
    if end[_FOOTER_BYTES:] != MAGIC or end[0] != int(Opcode.FOOTER):
        return None
    footer = parse(RawRecord(size - tail, end[0], end[:_FOOTER_BYTES]))
    if not isinstance(footer, Footer) or not len(MAGIC) < footer.summary_start <= size - tail:
        return None
    stream.seek(footer.summary_start)
    data = stream.read(size - tail - footer.summary_start)
    if zlib.crc32(end[: _FOOTER_BYTES - 4], zlib.crc32(data)) != footer.summary_crc:
        return None
    found = _Summary(footer.summary_start, {}, {}, {}, [], {}, {})
    at = 0
    while at + HEAD_BYTES <= len(data):
        opcode, length = _HEAD.unpack_from(data, at)
        _note(found, RawRecord(footer.summary_start + at, opcode, data[at : at + HEAD_BYTES + length]))
        at += HEAD_BYTES + length
    return found


def _note(found: _Summary, record: RawRecord) -> None:
    if record.opcode == Opcode.CHUNK_INDEX:
        first_ns, last_ns, offset, length, table = _CHUNK_INDEX.unpack_from(record.data, HEAD_BYTES)
        begin = HEAD_BYTES + _CHUNK_INDEX.size
        entries = record.data[begin : begin + table]
        # Nearly all chunks have the same channels; a long session has thousands of chunks.
        numbers = entries[:: _CHANNEL_ENTRY.size] + entries[1 :: _CHANNEL_ENTRY.size]
        channels = found.same.get(numbers)
        if channels is None:
            channels = frozenset(number for number, _ in _CHANNEL_ENTRY.iter_unpack(entries))
            found.same[numbers] = channels
        found.chunks.append(Piece(offset, length, first_ns, last_ns, channels, True))
    elif record.opcode == Opcode.METADATA_INDEX:
        index = MetadataIndex.read(ReadDataStream(BytesIO(record.data[HEAD_BYTES:])))
        found.metadata[index.name] = index.offset
    elif record.opcode in (Opcode.SCHEMA, Opcode.CHANNEL, Opcode.STATISTICS):
        parsed = parse(record)
        if isinstance(parsed, Schema):
            found.schemas[parsed.id] = parsed
        elif isinstance(parsed, Channel):
            found.channels[parsed.id] = parsed
        elif isinstance(parsed, Statistics):
            found.counts.update(parsed.channel_message_counts)


def _read_metadata(stream: BinaryIO, offset: int, name: str) -> dict[str, str]:
    stream.seek(offset)
    head = stream.read(HEAD_BYTES)
    opcode, length = _HEAD.unpack(head) if len(head) == HEAD_BYTES else (0, 0)
    if opcode == Opcode.METADATA and length <= layout.MAX_RECORD_BYTES:
        found = parse(RawRecord(offset, opcode, head + stream.read(length)))
        if isinstance(found, Metadata) and found.name == name:
            return found.metadata
    raise DamagedRecording(offset, f"metadata {name[:64]!r} do not stand where the summary names them")


def _check_data(stream: BinaryIO, summary: _Summary) -> None:
    """Check the CRC over everything before the summary."""
    stream.seek(0)
    left, crc = summary.begin - _DATA_END_BYTES, 0
    while left > 0:
        block = stream.read(min(left, CHUNK_BYTES))
        if not block:
            break
        crc, left = zlib.crc32(block, crc), left - len(block)
    record = stream.read(_DATA_END_BYTES)
    if len(record) < _DATA_END_BYTES or record[0] != Opcode.DATA_END:
        raise DamagedRecording(summary.begin - _DATA_END_BYTES, "the end of the data does not stand before the summary")
    data_end = parse(RawRecord(summary.begin - _DATA_END_BYTES, record[0], record))
    if isinstance(data_end, DataEnd) and data_end.data_section_crc != crc:
        raise DamagedRecording(summary.begin, "the CRC of the data section is not that of its bytes")


__all__ = ["Found", "Piece", "SeekableRecording"]
