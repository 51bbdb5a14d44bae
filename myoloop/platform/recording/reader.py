"""Read a recording: whole, cut or compacted, the same way."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, TypeVar

from mcap.opcode import Opcode

from myoloop.platform import wire
from myoloop.platform.messages import SampleDescriptor, Samples
from myoloop.platform.recording import layout
from myoloop.platform.recording.folder import find_recording
from myoloop.platform.recording.layout import DamagedRecording, RecordingError
from myoloop.platform.recording.samples import SampleJoin, SampleRecord
from myoloop.platform.recording.scan import HEAD_BYTES, MESSAGE_HEAD, Scan
from myoloop.platform.steps import Received

_MESSAGE = int(Opcode.MESSAGE)
_DATA = HEAD_BYTES + MESSAGE_HEAD.size


class Recorded(NamedTuple):
    """A message and when it was recorded (monotonic time of the recorder)."""

    received: Received
    log_time_ns: int


class RecordedFrames(NamedTuple):
    """A message as it came over the wire, not decoded, and when it was recorded."""

    topic: str
    frames: list[bytes]
    log_time_ns: int


class OpenedFile:
    """A session file that was opened, and what it says of itself.

    Attributes
    ----------
    path
        The session file.
    metadata
        What the session is: its id, ``simulated``, versions, hashes, wall time at start.
    counts
        Messages per topic, in the order in which the topics were announced.
    size
        Bytes of the file when it was opened.
    """

    path: Path
    metadata: Mapping[str, str]
    counts: dict[str, int]
    size: int

    @property
    def session(self) -> str:
        """The session's id."""
        return self.metadata.get("session", "")

    @property
    def simulated(self) -> bool | None:
        """Whether any part of it was; None where a cut file does not say."""
        said = self.metadata.get("simulated")
        return None if said is None else said == "true"

    def topics(self) -> tuple[str, ...]:
        """Topics that were announced, in that order."""
        return tuple(self.counts)


_File = TypeVar("_File", bound=OpenedFile)


def opened(path: Path | str, make: Callable[[Path], _File]) -> _File:
    """Open a session file, or the one in an attempt's folder, and say clearly where that fails.

    Raises
    ------
    RecordingError
        If there is none, it is damaged, or it stops before it says which session it is.
    """
    file = find_recording(path)
    try:
        recording = make(file)
    except DamagedRecording as damage:
        raise DamagedRecording(damage.offset, f"{damage.what} (in {file})") from None
    except OSError as error:
        raise RecordingError(f"{file}: cannot be read: {error.strerror}") from None
    if not recording.session:
        raise no_recording(file, recording.size)
    return recording


class Recording(OpenedFile):
    """A session file.

    Made by :meth:`open`, which walks through the file once; the messages are read anew at each call. A file that is
    being written is read as far as it was when opened.

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
    complete
        Whether the file has its proper end.
    outcome, reason
        How the session ended; empty if the file has no end record.
    first_ns, last_ns
        Log times of the earliest and latest message; None where there is none.
    size
        Bytes of the file when it was opened.
    """

    def __init__(self, path: Path, *, check: bool = True) -> None:
        self.path = path
        self._check = check
        self.size = path.stat().st_size
        self.counts: dict[str, int] = {}
        self.first_ns: int | None = None
        self.last_ns: int | None = None
        with path.open("rb", buffering=1 << 20) as stream:
            scan = Scan(stream, self.size, check_crcs=check)
            for record in scan.records():
                if record.opcode == _MESSAGE:
                    channel, _, log_time, _ = MESSAGE_HEAD.unpack_from(record.data, HEAD_BYTES)
                    topic = scan.channels[channel].topic
                    self.counts[topic] = self.counts.get(topic, 0) + 1
                    self.first_ns = log_time if self.first_ns is None else min(self.first_ns, log_time)
                    self.last_ns = log_time if self.last_ns is None else max(self.last_ns, log_time)
        self.counts = {c.topic: self.counts.get(c.topic, 0) for c in scan.channels.values()}
        self.metadata: Mapping[str, str] = scan.metadata.get(layout.SESSION, {})
        end = scan.metadata.get(layout.END, {})
        self.outcome, self.reason = end.get("outcome", ""), end.get("reason", "")
        self.complete = scan.cut_at is None and bool(end)
        self.descriptors: Mapping[str, SampleDescriptor] = {
            channel.topic: layout.descriptor_of(channel.topic, channel.metadata)
            for channel in scan.channels.values()
            if scan.schemas[channel.schema_id].name == layout.schema_name(Samples)
        }

    @classmethod
    def open(cls, path: Path | str, *, check: bool = True) -> Recording:
        """Open a session file, or the one in an attempt's folder.

        Parameters
        ----------
        path
            File or folder.
        check
            Refuse a file whose CRCs do not hold. False reads it for whoever wants to see what is left of it.

        Raises
        ------
        RecordingError
            If there is none, it is damaged, or it stops before it says which session it is.
        """
        return opened(path, lambda file: cls(file, check=check))

    def frames(self, topics: Collection[str] | None = None) -> Iterator[RecordedFrames]:
        """Yield messages in file order as they came over the wire.

        Raises
        ------
        DamagedRecording
            Where the file is not one of ours any more.
        """
        # A whole file may have been compacted since; a growing one is read as far as it was.
        size = self.path.stat().st_size if self.complete else self.size
        wanted: dict[int, str | None] = {}
        with self.path.open("rb", buffering=1 << 20) as stream:
            scan = Scan(stream, size, check_crcs=self._check)
            for record in scan.records():
                if record.opcode != _MESSAGE:
                    continue
                channel, _, log_time, _ = MESSAGE_HEAD.unpack_from(record.data, HEAD_BYTES)
                if channel not in wanted:
                    topic = scan.channels[channel].topic
                    wanted[channel] = topic if topics is None or topic in topics else None
                found = wanted[channel]
                if found is None:
                    continue
                try:
                    yield RecordedFrames(found, wire.unpack(found, record.data[_DATA:]), log_time)
                except wire.WireError as error:
                    raise DamagedRecording(record.offset, str(error)) from None

    def messages(self, topics: Collection[str] | None = None) -> Iterator[Recorded]:
        """Yield messages in file order, decoded.

        Raises
        ------
        DamagedRecording
            Where the file is not one of ours any more.
        """
        for topic, frames, log_time in self.frames(topics):
            try:
                yield Recorded(wire.decode(frames)[1], log_time)
            except wire.WireError as error:
                raise DamagedRecording(0, f"a message on {topic} at {log_time} ns: {error} (in {self.path})") from None

    def samples(self, topic: str) -> SampleRecord:
        """Read all samples of a stream.

        Raises
        ------
        RecordingError
            If there is no such sample stream, or a block is not as described.
        """
        descriptor = self.descriptors.get(topic)
        if descriptor is None:
            raise RecordingError(f"{self.path}: no sample stream {topic!r}; there are: {', '.join(self.descriptors)}")
        join = SampleJoin(descriptor)
        for received, log_time in self.messages({topic}):
            join.add(received, log_time)
        return join.record()


def no_recording(file: Path, size: int, why: str = "") -> RecordingError:
    """What is to be said of a file that does not say which session it is."""
    if not size:
        return RecordingError(f"{file}: is empty, no recording")
    return RecordingError(f"{file}: no recording, {why or 'it stops before it says which session it is'}")


__all__ = ["OpenedFile", "Recorded", "RecordedFrames", "Recording", "no_recording", "opened"]
