"""The MCAP file itself, written record by record through the mcap library.

One class serves the live writer (unchunked), `recover` (unchunked) and compaction (zstd chunks). The library is given
a plain object with ``write`` and ``tell``: any file object it would wrap in a buffer, and a buffer dies with its
process.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]  # typeshed says: there on every system that is not Windows

from mcap.opcode import Opcode
from mcap.records import Channel, Header, Metadata, Schema
from mcap.writer import CompressionType, Writer

from myoloop.platform.recording.chain import RunningHash
from myoloop.platform.recording.layout import CHUNK_BYTES, END, PROFILE, RecordingError
from myoloop.platform.recording.scan import HEAD_BYTES, MESSAGE_HEAD, RawRecord, parse

_BUFFER_BYTES = 1 << 20


def lock(descriptor: int) -> bool:
    """Take the lock of a file that is being written, which ends with the process; False if another has it."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def refuse_if_written(path: Path) -> None:
    """Refuse to touch a file that some process is writing.

    Raises
    ------
    RecordingError
        If one is.
    """
    with path.open("rb") as file:
        if not lock(file.fileno()):
            raise RecordingError(f"{path}: is being written just now")


class _Output:
    """Every byte on its way to the disk: counted, hashed, written at once (or, where told, in large pieces)."""

    def __init__(self, path: Path, *, new: bool, buffered: bool) -> None:
        flags = os.O_WRONLY | os.O_CREAT | (os.O_EXCL if new else 0) | getattr(os, "O_BINARY", 0)
        try:
            self.descriptor = os.open(path, flags, 0o666)
        except FileExistsError:
            raise RecordingError(f"{path}: is already there, nothing is overwritten") from None
        except OSError as error:
            raise RecordingError(f"{path}: cannot be made: {error.strerror}") from None
        if not lock(self.descriptor):
            os.close(self.descriptor)
            raise RecordingError(f"{path}: another process is writing it")
        os.ftruncate(self.descriptor, 0)
        self.path = path
        self.size = 0
        self.hash = RunningHash()
        self.broken = ""
        self._buffer: bytearray | None = bytearray() if buffered else None

    def write(self, data: bytes) -> int:
        if not data:
            return 0
        if self._buffer is None:
            self._put(data)
        else:
            self._buffer += data
            if len(self._buffer) >= _BUFFER_BYTES:
                self.drain()
        self.hash.add(data, 0)
        self.size += len(data)
        return len(data)

    def tell(self) -> int:
        return self.size

    def flush(self) -> None:
        """What the library calls after its own flushing; nothing of ours waits for that."""

    def drain(self) -> None:
        if self._buffer:
            self._put(bytes(self._buffer))
            self._buffer.clear()

    def close(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def _put(self, data: bytes) -> None:
        if self.broken:
            raise RecordingError(self.broken)
        try:
            done = os.write(self.descriptor, data)
            while done < len(data):
                done += os.write(self.descriptor, data[done:])
        except OSError as error:
            # Half a record may be on disk: whatever followed it could not be found again.
            self.broken = f"{self.path}: cannot be written: {error.strerror}"
            raise RecordingError(self.broken) from None


class RecordFile:
    """A session file that is being written.

    Parameters
    ----------
    path
        The file.
    new
        True refuses to touch a file that is there; False replaces it (a stray ``.part``).
    chunked
        zstd chunks of 1 MiB with an index; else one record after the other.
    buffered
        Collect writes: where no other process or kill can come between.
    library
        What the header record says wrote it.

    Attributes
    ----------
    records
        Header, schema, channel, message and metadata records so far.
    """

    def __init__(self, path: Path, *, new: bool, chunked: bool, buffered: bool, library: str) -> None:
        self._output = _Output(path, new=new, buffered=buffered)
        self._chunked = chunked
        self._mcap = Writer(
            self._output,  # type: ignore[arg-type]  # mcap says IO, and only tells, writes and flushes
            chunk_size=CHUNK_BYTES,
            compression=CompressionType.ZSTD,
            use_chunking=chunked,
            enable_data_crcs=True,
        )
        self._mcap.start(PROFILE, library)
        self.records = 1

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return self._output.size

    @property
    def descriptor(self) -> int:
        """The open file, for syncing; negative once closed."""
        return self._output.descriptor

    def head(self) -> str:
        """SHA-256 of the bytes so far: the chain while unchunked and unfinished, at the end the file's hash."""
        return self._output.hash.head()

    def schema(self, name: str, encoding: str, data: bytes) -> int:
        """Add a schema record and return its number."""
        self.records += 1
        number: int = self._mcap.register_schema(name, encoding, data)
        self._send_out()
        return number

    def channel(self, topic: str, encoding: str, schema: int, metadata: Mapping[str, str]) -> int:
        """Add a channel record and return its number."""
        self.records += 1
        number = self._mcap.register_channel(topic, encoding, schema, dict(metadata))
        self._send_out()
        return number

    def message(self, channel: int, log_time_ns: int, publish_time_ns: int, sequence: int, data: bytes) -> None:
        """Add a message record."""
        self.records += 1
        self._mcap.add_message(channel, log_time_ns, data, publish_time_ns, sequence)

    def metadata(self, name: str, data: Mapping[str, str]) -> None:
        """Add a metadata record."""
        self.records += 1
        if self._chunked:
            self._mcap.flush()  # type: ignore[no-untyped-call]  # untyped in mcap; a metadata record stands outside chunks
        self._mcap.add_metadata(name, dict(data))

    def end_record(self, outcome: str, reason: str, log_time_ns: int) -> dict[str, str]:
        """Add the end record of an unchunked file, which states the chain before it."""
        end = {
            "outcome": outcome,
            "reason": reason,
            "log_time_ns": str(log_time_ns),
            "records": str(self.records),
            "sha256": self.head(),
        }
        self.metadata(END, end)
        return end

    def copy(self, record: RawRecord) -> None:
        """Add a record of another session file, byte for byte (the header is this file's own).

        Raises
        ------
        RecordingError
            If schema or channel numbers are not those that this library gives.
        """
        content = record.data[HEAD_BYTES:]
        if record.opcode == Opcode.MESSAGE:
            channel, sequence, log_time, publish_time = MESSAGE_HEAD.unpack_from(content)
            self.message(channel, log_time, publish_time, sequence, content[MESSAGE_HEAD.size :])
            return
        parsed = parse(record)
        if isinstance(parsed, Schema):
            number, wanted = self.schema(parsed.name, parsed.encoding, parsed.data), parsed.id
        elif isinstance(parsed, Channel):
            number, wanted = (
                self.channel(parsed.topic, parsed.message_encoding, parsed.schema_id, parsed.metadata),
                parsed.id,
            )
        elif isinstance(parsed, Metadata):
            self.metadata(parsed.name, parsed.metadata)
            return
        elif isinstance(parsed, Header):
            return
        else:
            raise RecordingError(f"byte {record.offset}: a {type(parsed).__name__} record cannot be copied")
        if number != wanted:
            raise RecordingError(f"byte {record.offset}: {type(parsed).__name__} {wanted} would become {number}")

    def finish(self) -> None:
        """Write the end of data, the summary, the footer; sync and close."""
        self._mcap.finish()  # type: ignore[no-untyped-call]  # mcap leaves its type out
        self._output.drain()
        self.sync()
        self.close()

    def sync(self) -> None:
        """Have what was written on the disk before returning."""
        os.fsync(self._output.descriptor)

    def flush(self) -> None:
        """Hand over what is buffered."""
        self._output.drain()

    def close(self) -> None:
        """Close without an end: the file stays cut."""
        self._output.close()

    def _send_out(self) -> None:
        # The library keeps schemas and channels back until the next message; the hash has to see them now.
        if not self._chunked:
            self._mcap.flush()  # type: ignore[no-untyped-call]  # mcap leaves its type out
