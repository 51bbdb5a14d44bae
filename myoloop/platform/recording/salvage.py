"""Of a damaged recording, everything of each stream that can still be read, in a new file, and an account of it.

What the chain vouches for before the damage is kept as it is. Between there and where the damage shows, something was
changed, nobody knows what: all of that stretch is left out. What stands behind is kept where it can be read, and
nothing vouches for it, save the CRC of its chunk in a compacted file: no chain can be picked up behind a damage. The
new file's own chain covers what was kept, and its metadata ``myoloop.salvaged`` say, stream by stream, how much
that is and how much was lost.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from mcap.opcode import Opcode
from mcap.records import Channel, Metadata, Schema

from myoloop.platform import wire
from myoloop.platform.messages import Chain, Samples
from myoloop.platform.recording.chain import ChainSchedule
from myoloop.platform.recording.file import RecordFile
from myoloop.platform.recording.layout import END, SALVAGED, SESSION, RecordingError
from myoloop.platform.recording.scan import HEAD_BYTES, MESSAGE_HEAD, RawRecord, parse
from myoloop.platform.recording.tolerant import Hole, Tolerant
from myoloop.platform.recording.verify import FileCheck

_SCHEMA, _CHANNEL, _MESSAGE = int(Opcode.SCHEMA), int(Opcode.CHANNEL), int(Opcode.MESSAGE)
_METADATA, _HEADER = int(Opcode.METADATA), int(Opcode.HEADER)
_MAX_SEQUENCE = 0xFFFFFFFF
_PUBLISHER = "recover"


@dataclass(frozen=True, slots=True)
class StreamSalvage:
    """What became of one stream.

    Attributes
    ----------
    topic
        Of the stream.
    vouched, unvouched
        Messages that were kept: those that the chain of the damaged file vouches for, and those that could be read.
    lost
        Messages that the damage took, by their numbers; those behind the last one that was read cannot be known.
    lost_samples
        Of a sample stream, by the source's own count; 0 of any other.
    """

    topic: str
    vouched: int = 0
    unvouched: int = 0
    lost: int = 0
    lost_samples: int = 0

    def in_words(self) -> str:
        """One line."""
        told = f"{self.vouched + self.unvouched} messages kept"
        told += f", {self.unvouched} of them not vouched for" if self.unvouched else ""
        told += f"; {self.lost} lost" if self.lost else ""
        return told + (f" with {self.lost_samples} samples" if self.lost_samples else "")


@dataclass(slots=True)
class _Count:
    """What is counted of one stream."""

    vouched: int = 0
    unvouched: int = 0
    lost: int = 0
    lost_samples: int = 0
    #: By (publisher, epoch): the next number; how many damages lay before it; the next sample; the last dropped number.
    next: dict[tuple[str, int], tuple[int, int, int | None]] = field(default_factory=dict)
    dropped: dict[tuple[str, int], int] = field(default_factory=dict)

    def keep(self, head: wire.Head, first_sample: int | None, rows: int, damages: int, *, vouched: bool) -> None:
        self.vouched += vouched
        self.unvouched += not vouched
        key = (head.publisher, head.epoch)
        number, before, sample = self.next.get(key, (0, 0, None))
        if damages > before:
            self.lost += max(0, head.seq - number)
            if first_sample is not None and sample is not None:
                self.lost_samples += max(0, first_sample - sample)
        ends = None if first_sample is None else first_sample + rows
        self.next[key] = (max(number, head.seq + 1), damages, ends)

    def drop(self, head: wire.Head) -> None:
        key = (head.publisher, head.epoch)
        self.dropped[key] = max(self.dropped.get(key, -1), head.seq)

    def total_lost(self) -> int:
        """Lost between what was kept, and dropped after the last of it."""
        behind = (max(0, last + 1 - self.next.get(key, (0, 0, None))[0]) for key, last in self.dropped.items())
        return self.lost + sum(behind)


@dataclass(frozen=True, slots=True)
class Salvage:
    """What was kept of a damaged recording.

    Attributes
    ----------
    streams
        In the order in which they were announced.
    records
        That were copied.
    holes
        Stretches that could not be read or were left out.
    lost_bytes
        In them.
    outcome
        As the damaged file's end record says, where it could be read; else empty.
    last_ns
        Log time of the newest message that was kept.
    """

    streams: tuple[StreamSalvage, ...]
    records: int
    holes: int
    lost_bytes: int
    outcome: str
    last_ns: int


class Salvaging:
    """Copies what is left of one damaged file.

    Parameters
    ----------
    check
        Of the damaged file.
    file
        The new one, empty.
    """

    def __init__(self, check: FileCheck, file: RecordFile) -> None:
        self._check = check
        self._file = file
        self._counts: dict[str, _Count] = {}
        self._schemas: dict[int, int] = {}
        self._channels: dict[int, int] = {}
        self._topics: dict[int, str] = {}
        self._metadata: set[str] = set()
        self._damages = 0
        self._holes: list[Hole] = []
        self._dropped_bytes = 0
        self._outcome = ""
        self._chain_channel: int | None = None
        self._chain_seq = 0
        self._chain_records = 0
        self._chain_ns = 0
        self._last_ns = 0
        self._schedule = ChainSchedule()

    def run(self) -> Salvage:
        """Copy everything that can be kept, and the account of it; the end record is the caller's.

        Raises
        ------
        RecordingError
            If the file does not say which session it is.
        """
        seen = copied = 0
        damage_at = self._damage_at()
        tolerant = Tolerant(self._check.path)
        try:
            for piece in tolerant.pieces():
                if isinstance(piece, Hole):
                    self._holes.append(piece)
                    self._damages += 1
                    continue
                vouched = seen < self._check.records
                changed = not vouched and piece.offset <= damage_at
                seen += 1
                if changed:
                    self._leave_out(piece, tolerant)
                else:
                    copied += self._copy(piece, tolerant, vouched=vouched)
        finally:
            tolerant.close()
        if SESSION not in self._metadata:
            raise RecordingError(f"{self._check.path}: does not say any more which session it is, nothing can be kept")
        streams = tuple(
            StreamSalvage(topic, each.vouched, each.unvouched, each.total_lost(), each.lost_samples)
            for topic, each in self._counts.items()
        )
        lost_bytes = sum(hole.end - hole.begin for hole in self._holes) + self._dropped_bytes
        holes = len(self._holes) + (self._dropped_bytes > 0)
        account = {each.topic: each.in_words() for each in streams}
        account["file"] = f"{holes} damaged stretches, {lost_bytes} bytes lost in them"
        self._file.metadata(SALVAGED, account)
        return Salvage(streams, copied, holes, lost_bytes, self._outcome, self._last_ns)

    def _damage_at(self) -> int:
        """Up to which byte something was changed after the last record that is vouched for; -1 where CRCs say it."""
        if self._check.misfit_at is not None:
            return self._check.misfit_at
        return -1 if self._check.compacted else self._check.problems[0].offset

    # -- what goes over -----------------------------------------------------------------------------------------

    def _copy(self, record: RawRecord, tolerant: Tolerant, *, vouched: bool) -> bool:
        """Copy a record, save what the new file makes itself; whether it did."""
        if record.opcode == _MESSAGE:
            return self._copy_message(record, tolerant, vouched=vouched)
        if record.opcode == _HEADER:
            return True
        parsed = parse(record)
        if isinstance(parsed, Metadata):
            return self._copy_metadata(parsed)
        if not vouched and isinstance(parsed, Schema | Channel):
            # Of what nothing vouches for, the summary's copy counts: that one has a CRC.
            parsed = parse(tolerant.described.get((record.opcode, parsed.id), record))
        if isinstance(parsed, Schema):
            self._announce_schema(parsed)
        elif isinstance(parsed, Channel):
            self._announce(parsed, tolerant)
        return True

    def _copy_metadata(self, parsed: Metadata) -> bool:
        if parsed.name == END:
            self._outcome = parsed.metadata.get("outcome", "")
            return False
        if parsed.name == SALVAGED or parsed.name in self._metadata:
            return False
        self._metadata.add(parsed.name)
        self._file.metadata(parsed.name, parsed.metadata)
        return True

    def _copy_message(self, record: RawRecord, tolerant: Tolerant, *, vouched: bool) -> bool:
        channel, sequence, log_ns, publish_ns = MESSAGE_HEAD.unpack_from(record.data, HEAD_BYTES)
        data = record.data[HEAD_BYTES + MESSAGE_HEAD.size :]
        if channel not in self._channels:
            # Announced in a hole or in what was left out: as the summary has it, or not at all.
            described = tolerant.described.get((_CHANNEL, channel))
            parsed = parse(described) if described is not None else None
            if not isinstance(parsed, Channel):
                self._leave_out(record, tolerant)
                return False
            self._announce(parsed, tolerant)
        topic = self._topics[channel]
        if topic == "chain" and not vouched:
            return False  # it is of the damaged file
        head, message, array = wire.read_record(topic, data)
        if topic != "chain":
            first = message.first_sample if isinstance(message, Samples) else None
            count = self._counts.setdefault(topic, _Count())
            count.keep(head, first, 0 if array is None else len(array), self._damages, vouched=vouched)
        self._last_ns = max(self._last_ns, log_ns)
        self._file.message(self._channels[channel], log_ns, publish_ns, sequence, data)
        if not vouched:
            self._chain(head.session, log_ns)
        return True

    def _leave_out(self, record: RawRecord, tolerant: Tolerant) -> None:
        """Count what is not kept because something in its stretch was changed."""
        self._damages += 1
        self._dropped_bytes += len(record.data)
        if record.opcode == _MESSAGE:
            (number,) = MESSAGE_HEAD.unpack_from(record.data, HEAD_BYTES)[:1]
            announced = tolerant.channel(number)
            if announced is not None and announced.topic != "chain":
                head = wire.read_record(announced.topic, record.data[HEAD_BYTES + MESSAGE_HEAD.size :])[0]
                self._counts.setdefault(announced.topic, _Count()).drop(head)

    # -- schemas, channels, chain ---------------------------------------------------------------------------------

    def _announce_schema(self, schema: Schema) -> None:
        if schema.id not in self._schemas:
            self._schemas[schema.id] = self._file.schema(schema.name, schema.encoding, schema.data)

    def _announce(self, channel: Channel, tolerant: Tolerant) -> None:
        if channel.id in self._channels:
            return
        if channel.schema_id not in self._schemas:
            described = tolerant.described.get((_SCHEMA, channel.schema_id))
            schema = parse(described) if described is not None else None
            if not isinstance(schema, Schema):
                return
            self._announce_schema(schema)
        made = self._file.channel(
            channel.topic, channel.message_encoding, self._schemas[channel.schema_id], channel.metadata
        )
        self._channels[channel.id], self._topics[channel.id] = made, channel.topic
        if channel.topic == "chain":
            self._chain_channel = made
        else:
            self._counts.setdefault(channel.topic, _Count())

    def _chain(self, session: str, now_ns: int) -> None:
        """Write a chain message of the new file where one is due."""
        if self._chain_channel is None or not self._schedule.due(
            self._file.records - self._chain_records, now_ns - self._chain_ns
        ):
            return
        message = Chain(records=self._file.records, sha256=self._file.head())
        frames = wire.encode("chain", message, session=session, publisher=_PUBLISHER, epoch=1, seq=self._chain_seq)
        sequence = self._chain_seq & _MAX_SEQUENCE
        self._file.message(self._chain_channel, now_ns, now_ns, sequence, wire.pack(frames))
        self._chain_seq += 1
        self._chain_records, self._chain_ns = self._file.records, now_ns


__all__ = ["Salvage", "Salvaging", "StreamSalvage"]
