"""Is a recording what was written?

``good``: it has its end, every CRC and the whole chain hold, and the manifest and copies beside it agree.
``incomplete``: it stops, but what stands there holds up to the last chain message; what follows that is named.
``damaged``: something in it, or in the manifest, is not what was written.

A hash shows what was changed by accident or by hand, not by someone who rewrites the whole chain: who must prove more
notes the head elsewhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from mcap.opcode import Opcode

from myoloop.platform import wire
from myoloop.platform.messages import Chain
from myoloop.platform.recording.chain import RunningHash
from myoloop.platform.recording.folder import find_recording
from myoloop.platform.recording.layout import END, MAGIC, SESSION, DamagedRecording, RecordingError
from myoloop.platform.recording.manifest import MANIFEST_FILE, FileHash, Manifest, compose, read_manifest
from myoloop.platform.recording.scan import HEAD_BYTES, MESSAGE_HEAD, RawRecord, Scan
from myoloop.platform.steps import Received

_MESSAGE = int(Opcode.MESSAGE)
_METADATA = int(Opcode.METADATA)
#: How a chain message's hash is spelled in msgpack, and the most its record may take.
_CHAIN_MARK = b"\xa6sha256\xd9\x40"
_MAX_CHAIN_RECORD_BYTES = 1024

Status = Literal["good", "incomplete", "damaged"]
#: Hears every record as it is checked, and the pass it comes from.
Hear = Callable[[RawRecord, Scan], None]


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, and from which byte of the file (0 where it is beside the file)."""

    offset: int
    what: str


@dataclass(frozen=True, slots=True)
class Verification:
    """What is known of a recording.

    Attributes
    ----------
    path, status
        The session file and its state.
    head, records
        Chain and number of records up to where they are vouched for: the whole recording if it is good.
    bytes, verified_bytes
        Of the file; of it, vouched for by the chain.
    unverified_tail_bytes, unverified_tail_records
        What a file without an end holds after its last chain message.
    cut_at
        First byte that belongs to no whole record; None where the file has its end or is damaged.
    compacted, recovered
        Whether it is stored in chunks; whether its manifest says that it was once cut.
    outcome, reason
        As its end record says; empty without one.
    simulated
        As its metadata say; None where they are not there.
    problems
        Whatever makes it `damaged`.
    missing
        Names of the manifest and copies that are not beside it: no damage, less to compare with.
    """

    path: str
    status: Status
    head: str
    records: int
    bytes: int
    verified_bytes: int
    unverified_tail_bytes: int
    unverified_tail_records: int
    cut_at: int | None
    compacted: bool
    recovered: bool
    outcome: str
    reason: str
    simulated: bool | None
    problems: tuple[Problem, ...]
    missing: tuple[str, ...]


def verify(path: Path | str, hear: Hear | None = None) -> Verification:
    """Check a recording, its manifest and the copies beside it.

    Parameters
    ----------
    path
        Session file or its folder.
    hear
        Hears every record in file order up to the first that is not what was written, so that who wants both reads the
        file once; what it heard since the last chain message may still turn out to be damaged.

    Raises
    ------
    RecordingError
        If there is no recording to check. A damaged one raises nothing.
    """
    file = find_recording(path)
    check = FileCheck(file, hear)
    problems, recovered = list(check.problems), False
    changed, missing = _copies(check)
    try:
        manifest = read_manifest(file.parent)
    except RecordingError as error:
        problems.append(Problem(0, str(error)))
        manifest = None
    else:
        if manifest is None:
            missing.insert(0, MANIFEST_FILE)
        else:
            recovered = manifest.recovered
            problems += [Problem(0, what) for what in _against_manifest(check, manifest)]
    problems += [Problem(0, what) for what in changed]
    return check.verification(problems, missing, recovered=recovered)


class FileCheck:
    """The check of a session file by itself.

    Attributes
    ----------
    session, end
        Its metadata and end record, where it has them.
    head, records, verified_bytes
        What the chain vouches for.
    problems
        What is wrong; empty for a file that is whole or merely cut.
    misfit_at
        Where the first chain message or end record stands that does not fit what stands before it: what follows the
        last one that does was changed. None where none was found.
    """

    def __init__(self, path: Path, hear: Hear | None = None) -> None:
        self.path = path
        self._hear = hear
        self.problems: list[Problem] = []
        self.head, self.records, self.verified_bytes = "", 0, 0
        self.session: dict[str, str] = {}
        self.end: dict[str, str] = {}
        self.cut_at: int | None = None
        self.misfit_at: int | None = None
        self.last_log_time_ns = 0
        self._chain = RunningHash()
        self._chain.add(MAGIC, 0)
        self._tail: list[RawRecord] = []
        try:
            with path.open("rb", buffering=1 << 20) as stream:
                self.size = path.stat().st_size
                self._scan = Scan(stream, self.size)
                self._walk()
                self._look_beyond(stream)
        except OSError as error:
            raise RecordingError(f"{path}: cannot be read: {error.strerror}") from None

    @property
    def compacted(self) -> bool:
        """Whether it is stored in chunks."""
        return self._scan.chunks > 0

    @property
    def status(self) -> Status:
        """State of the file by itself."""
        if self.problems:
            return "damaged"
        return "good" if self.cut_at is None else "incomplete"

    def file_hash(self, form: str) -> FileHash:
        """Size and SHA-256 of the whole file."""
        with self.path.open("rb") as stream:
            return FileHash(form, self.size, hashlib.file_digest(stream, "sha256").hexdigest())

    def verification(self, problems: list[Problem], missing: list[str], *, recovered: bool) -> Verification:
        """Put it all together."""
        status: Status = "damaged" if problems else self.status
        simulated = self.session.get("simulated")
        return Verification(
            path=str(self.path),
            status=status,
            head=self.head,
            records=self.records,
            bytes=self.size,
            verified_bytes=self.verified_bytes,
            unverified_tail_bytes=0 if status == "good" else self.size - self.verified_bytes,
            unverified_tail_records=len(self._tail),
            cut_at=self.cut_at if status == "incomplete" else None,
            compacted=self.compacted,
            recovered=recovered,
            outcome=self.end.get("outcome", ""),
            reason=self.end.get("reason", ""),
            simulated=None if simulated is None else simulated == "true",
            problems=tuple(problems),
            missing=tuple(missing),
        )

    def _walk(self) -> None:
        try:
            for record in self._scan.records():
                self._take(record)
        except DamagedRecording as damage:
            self.problems.append(Problem(damage.offset, damage.what))
            return
        finally:
            self.session = self._scan.metadata.get(SESSION, {})
            self.end = self._scan.metadata.get(END, {})
        self.cut_at = self._scan.cut_at
        if self.cut_at is None and not {"outcome", "reason"} <= self.end.keys():
            self.problems.append(Problem(self.size, "the file has its end, but no end record"))
        elif self.cut_at is None and not {"session", "simulated"} <= self.session.keys():
            self.problems.append(Problem(0, f"no metadata {SESSION} with session and simulated"))

    def _take(self, record: RawRecord) -> None:
        if END in self._scan.metadata and record.opcode != _METADATA:
            raise DamagedRecording(record.offset, "a record after the end record")
        topic = ""
        if record.opcode == _MESSAGE:
            channel, _, log_time, _ = MESSAGE_HEAD.unpack_from(record.data, HEAD_BYTES)
            topic = self._scan.channels[channel].topic
            self.last_log_time_ns = max(self.last_log_time_ns, log_time)
            if topic == "chain":
                self._check_chain(record)
        elif record.opcode == _METADATA and END in self._scan.metadata:
            end = self._scan.metadata[END]
            self._compare(record.offset, "the end record", end.get("records", ""), end.get("sha256", ""))
            topic = END
        if self._hear is not None:
            self._hear(record, self._scan)
        self._chain.add(record.data)
        self._tail.append(record)
        if topic in ("chain", END):
            self._vouch(record)

    def _check_chain(self, record: RawRecord) -> None:
        if len(record.data) > _MAX_CHAIN_RECORD_BYTES:
            raise DamagedRecording(record.offset, f"a chain message of {len(record.data)} bytes")
        try:
            message = _decode("chain", record).message
        except wire.WireError as error:
            raise DamagedRecording(record.offset, str(error)) from None
        if isinstance(message, Chain):
            self._compare(record.offset, "a chain message", str(message.records), message.sha256)

    def _compare(self, offset: int, what: str, records: str, sha256: str) -> None:
        if (records, sha256) != (str(self._chain.records), self._chain.head()):
            self.misfit_at = offset
            since = "the beginning" if not self.records else f"byte {self.verified_bytes}"
            raise DamagedRecording(
                offset, f"{what} does not fit what stands before it: changed somewhere since {since}"
            )

    def _vouch(self, record: RawRecord) -> None:
        self.head, self.records = self._chain.head(), self._chain.records
        # In a chunk there is no telling where; the chunk's own beginning is a byte that surely holds.
        self.verified_bytes = record.offset if self._scan.chunks else record.offset + len(record.data)
        self._tail.clear()

    def _look_beyond(self, stream: BinaryIO) -> None:
        """Tell a file that stops from one whose framing was broken on the way."""
        if self.cut_at is None:
            return
        topics = {number: channel.topic for number, channel in self._scan.channels.items()}
        for record in self._tail:
            if record.opcode == _MESSAGE:
                channel = int.from_bytes(record.data[HEAD_BYTES : HEAD_BYTES + 2], "little")
                try:
                    _decode(topics[channel], record)
                except wire.WireError as error:
                    self.problems.append(Problem(record.offset, str(error)))
                    return
        if self.compacted:
            return
        stream.seek(self.cut_at)
        rest = stream.read(self.size - self.cut_at)
        mark = rest.find(_CHAIN_MARK)
        if mark >= 0 and not self._is_cut_chain(rest, topics):
            self.problems.append(
                Problem(self.cut_at, f"a record that swallows a chain message at byte {self.cut_at + mark}")
            )

    def _is_cut_chain(self, rest: bytes, topics: dict[int, str]) -> bool:
        length = int.from_bytes(rest[1:HEAD_BYTES], "little")
        channel = int.from_bytes(rest[HEAD_BYTES : HEAD_BYTES + 2], "little")
        return rest[0] == _MESSAGE and length <= _MAX_CHAIN_RECORD_BYTES and topics.get(channel) == "chain"


def _decode(topic: str, record: RawRecord) -> Received:
    return wire.decode(wire.unpack(topic, record.data[HEAD_BYTES + MESSAGE_HEAD.size :]))[1]


def _against_manifest(check: FileCheck, manifest: Manifest) -> list[str]:
    known = {(file.bytes, file.sha256) for file in manifest.files}
    largest = max((size for size, _ in known), default=0)
    if check.status != "good":
        # A cut file is smaller than what the manifest knows; one of the same size was changed, not cut.
        if check.status == "incomplete" and (check.size >= largest or check.size in {size for size, _ in known}):
            return [f"{MANIFEST_FILE} knows the file with its end, {check.size} bytes are there and no end"]
        return []
    found = check.file_hash("")
    if (found.bytes, found.sha256) not in known:
        return [f"{MANIFEST_FILE} knows no session file of {found.bytes} bytes with SHA-256 {found.sha256}"]
    wanted = compose(
        check.session,
        check.end,
        chain_sha256=check.head,
        records=check.records,
        files=manifest.files,
        recovered=manifest.recovered,
    )
    return [
        f"{MANIFEST_FILE} says {field} {getattr(manifest, field)!r}, the session file {getattr(wanted, field)!r}"
        for field in manifest.__struct_fields__
        if field != "manifest_sha256" and getattr(manifest, field) != getattr(wanted, field)
    ]


def _copies(check: FileCheck) -> tuple[list[str], list[str]]:
    """Copies that were changed, and copies that are not there."""
    changed, missing = [], []
    for key, wanted in check.session.items():
        if not key.startswith("sha256."):
            continue
        path = check.path.parent / Path(key.removeprefix("sha256.")).name
        if not path.is_file():
            missing.append(path.name)
        elif hashlib.sha256(path.read_bytes()).hexdigest() != wanted:
            changed.append(f"{path.name} is not the one of this recording")
    return changed, missing
