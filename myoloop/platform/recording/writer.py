"""Write a session file while it happens."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import myoloop
from myoloop.platform import wire
from myoloop.platform.messages import Chain, SampleDescriptor, Samples
from myoloop.platform.recording import layout
from myoloop.platform.recording.chain import ChainSchedule
from myoloop.platform.recording.file import RecordFile
from myoloop.platform.recording.folder import sync_folder
from myoloop.platform.recording.layout import RecordingError
from myoloop.platform.recording.manifest import FileHash, Manifest, compose, write_manifest
from myoloop.platform.streams import Stream, UnknownStream, stream_of

OUTCOMES = frozenset({"complete", "stopped", "aborted", "fault", "interrupted"})
_MAX_SEQUENCE = 0xFFFFFFFF


class RecordingWriter:
    """Append every message of a session to ``session.mcap`` in an attempt's folder.

    While live, each message is one write to the operating system: once `write` has returned, no death of any process
    loses it; a thread syncs the file to the disk beside, so that a power cut costs little more than its interval.

    Parameters
    ----------
    folder
        The attempt's folder; must exist and hold no session file.
    session
        Session id, as in the heads of the messages.
    descriptors
        Of the sample streams known at the start.
    metadata
        What the session is: ``simulated`` (``true`` or ``false``, required), ``version.<what>``, ``subject``,
        ``wall_start_ns``, ``sha256.<file>`` of the copies in the folder, and whatever else is to be in the chain.
    live
        False buffers writes and never syncs before the end: for lockstep, where one process is everything. The
        records are the same.
    publisher, epoch
        Who the chain messages are from.
    chain
        How often they are written.
    sync_every_s
        Interval of the syncing thread.

    Raises
    ------
    RecordingError
        If the folder is not there, a session file is, `simulated` is not said, or the file cannot be written.
    """

    def __init__(
        self,
        folder: Path | str,
        *,
        session: str,
        descriptors: Sequence[SampleDescriptor],
        metadata: Mapping[str, str],
        live: bool = True,
        publisher: str = "recorder",
        epoch: int = 1,
        chain: ChainSchedule | None = None,
        sync_every_s: float = 0.5,
    ) -> None:
        self.folder = Path(folder)
        self.session = session
        self._metadata = _checked(metadata, session)
        self._publisher = publisher
        self._epoch = epoch
        self._schedule = chain or ChainSchedule()
        self._chain_seq = 0
        self._chain_records = 0
        self._chain_ns: int | None = None
        self._channels: dict[bytes, int] = {}
        self._schemas: dict[str, int] = {}
        self._ended = False
        if not self.folder.is_dir():
            raise RecordingError(f"{self.folder}: no such folder")
        self._file = RecordFile(
            self.folder / layout.SESSION_FILE,
            new=True,
            chunked=False,
            buffered=not live,
            library=f"myoloop/{myoloop.__version__} mcap/{version('mcap')}",
        )
        try:
            self._file.metadata(layout.SESSION, self._metadata)
            self._file.metadata(layout.FORMAT_NAME, layout.FORMAT)
            self._chain_channel = self._announce("chain", {})
            for descriptor in descriptors:
                self.describe(descriptor)
            sync_folder(self.folder)
        except BaseException:
            self._file.close()
            raise
        self._syncing = _SyncThread(self._file.descriptor, sync_every_s) if live else None

    @property
    def bytes_written(self) -> int:
        """Bytes handed over so far (while buffered: including those that wait)."""
        return self._file.size

    @property
    def records(self) -> int:
        """Records so far, of every kind."""
        return self._file.records

    def describe(self, descriptor: SampleDescriptor) -> None:
        """Announce a sample stream; must come before its first message.

        Raises
        ------
        RecordingError
            If it was announced already, or its channels, units, scale and offset are not equally many.
        """
        topic, n = descriptor.topic, len(descriptor.channels)
        if _stream(topic).message is not Samples:
            raise RecordingError(f"{topic}: a descriptor is for sample streams only")
        if topic.encode() in self._channels:
            raise RecordingError(f"{topic}: described twice")
        if not n or {len(descriptor.units), len(descriptor.scale), len(descriptor.offset)} != {n}:
            raise RecordingError(f"{topic}: {n} channels, but other numbers of units, scale or offset")
        if descriptor.dtype not in wire.DTYPES:
            raise RecordingError(f"{topic}: dtype {descriptor.dtype!r}, allowed are {sorted(wire.DTYPES)}")
        self._announce(topic, layout.descriptor_metadata(descriptor))

    def write(self, frames: Sequence[bytes], log_time_ns: int, sequence: int = 0) -> None:
        """Append one message.

        Parameters
        ----------
        frames
            As :func:`myoloop.platform.wire.encode` made them. They are stored as they are, not looked into.
        log_time_ns
            The recorder's monotonic time.
        sequence
            The message's number, for tools that know nothing of heads; 0 where it is not at hand.

        Raises
        ------
        RecordingError
            If the topic is not in the table or is `chain`, if samples come that nobody described, or if the disk
            refuses; after that nothing more is written.
        """
        if self._ended:
            raise RecordingError(f"{self.folder}: the recording has ended")
        channel = self._channels.get(frames[0])
        if channel is None:
            channel = self._open_channel(frames[0])
        elif channel == self._chain_channel:
            raise RecordingError("chain: only the file itself writes its chain")
        self._file.message(channel, log_time_ns, log_time_ns, sequence & _MAX_SEQUENCE, wire.pack(frames))
        self.tick(log_time_ns)

    def tick(self, now_ns: int) -> None:
        """Write a chain message if one is due; call it while nothing comes, too."""
        if self._chain_ns is None:
            self._chain_ns = now_ns
        if self._schedule.due(self._file.records - self._chain_records, now_ns - self._chain_ns):
            self._write_chain(now_ns)
        if self._syncing is not None and self._syncing.failed:
            raise RecordingError(f"{self.folder}: cannot be synced: {self._syncing.failed}")

    def flush(self) -> None:
        """Hand over what is buffered; nothing to do while live."""
        self._file.flush()

    def end(self, outcome: str, reason: str, log_time_ns: int) -> Manifest:
        """Write the end record, summary and footer, sync, and leave the manifest.

        Raises
        ------
        RecordingError
            If it has ended already, `outcome` is not one of `OUTCOMES`, or the disk refuses.
        """
        if self._ended:
            raise RecordingError(f"{self.folder}: the recording has ended")
        if outcome not in OUTCOMES:
            raise RecordingError(f"outcome {outcome[:32]!r}: one of {', '.join(sorted(OUTCOMES))} is allowed")
        self._write_chain(log_time_ns)
        self._ended = True
        self._stop_syncing()
        end = self._file.end_record(outcome, reason, log_time_ns)
        chain_sha256, records = self._file.head(), self._file.records
        self._file.finish()
        manifest = compose(
            self._metadata,
            end,
            chain_sha256=chain_sha256,
            records=records,
            files=(FileHash("live", self._file.size, self._file.head()),),
        )
        return write_manifest(self.folder, manifest)

    def close(self) -> None:
        """Give up without an end: the file stays INCOMPLETE. After `end` this does nothing."""
        self._ended = True
        self._stop_syncing()
        if self._file.descriptor >= 0:
            self._file.flush()
            self._file.close()

    def __enter__(self) -> RecordingWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write_chain(self, now_ns: int) -> None:
        message = Chain(records=self._file.records, sha256=self._file.head())
        frames = wire.encode(
            "chain",
            message,
            session=self.session,
            publisher=self._publisher,
            epoch=self._epoch,
            seq=self._chain_seq,
        )
        self._file.message(self._chain_channel, now_ns, now_ns, self._chain_seq, wire.pack(frames))
        self._chain_seq += 1
        self._chain_records = self._file.records
        self._chain_ns = now_ns

    def _open_channel(self, topic: bytes) -> int:
        name = topic.decode("ascii", "replace")
        message = _stream(name).message
        if message is Samples:
            raise RecordingError(f"{name}: samples of a stream that nobody described")
        return self._announce(name, {})

    def _announce(self, topic: str, metadata: Mapping[str, str]) -> int:
        message = _stream(topic).message
        name = layout.schema_name(message)
        if name not in self._schemas:
            self._schemas[name] = self._file.schema(name, layout.SCHEMA_ENCODING, layout.schema_json(message))
        channel = self._file.channel(topic, layout.MESSAGE_ENCODING, self._schemas[name], metadata)
        self._channels[topic.encode()] = channel
        return channel

    def _stop_syncing(self) -> None:
        if self._syncing is not None:
            self._syncing.stop()
            self._syncing = None


class _SyncThread:
    """Sync a file beside its writer, who never waits for it."""

    def __init__(self, descriptor: int, every_s: float) -> None:
        self.failed = ""
        self._descriptor = descriptor
        self._every_s = every_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sync", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        sync = getattr(os, "fdatasync", os.fsync)
        while not self._stop.wait(self._every_s):
            try:
                sync(self._descriptor)
            except OSError as error:
                self.failed = error.strerror or str(error)
                return


def _stream(topic: str) -> Stream:
    try:
        return stream_of(topic)
    except UnknownStream as error:
        raise RecordingError(str(error)) from None


def _checked(metadata: Mapping[str, str], session: str) -> dict[str, str]:
    if metadata.get("simulated") not in ("true", "false"):
        raise RecordingError("metadata: 'simulated' must be 'true' or 'false'")
    if metadata.get("session", session) != session:
        raise RecordingError(f"metadata: session {metadata['session'][:64]!r} is not {session!r}")
    wrong = [key for key, value in metadata.items() if not isinstance(value, str)]
    if wrong:
        raise RecordingError(f"metadata: {', '.join(wrong)}: a text is needed")
    return {"session": session, **metadata}
