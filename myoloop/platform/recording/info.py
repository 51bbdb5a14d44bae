"""What a recording holds, in one plain dict."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mcap.opcode import Opcode

from myoloop.platform import wire
from myoloop.platform.messages import Event, Samples
from myoloop.platform.recording.folder import place_of
from myoloop.platform.recording.layout import END, SESSION, DamagedRecording
from myoloop.platform.recording.numbering import Numbering
from myoloop.platform.recording.reader import no_recording
from myoloop.platform.recording.scan import HEAD_BYTES, MESSAGE_HEAD, RawRecord, Scan
from myoloop.platform.recording.verify import Verification, verify
from myoloop.platform.steps import Received

_MESSAGE = int(Opcode.MESSAGE)


@dataclass(slots=True)
class _Tally:
    """What is counted of one topic."""

    count: int = 0
    samples: int = 0
    samples_missing: int = 0
    first_ns: int = 0
    last_ns: int = 0
    numbers: dict[tuple[str, int], Numbering] = field(default_factory=dict)
    next_sample: dict[tuple[str, int], int] = field(default_factory=dict)

    def add(self, received: Received, log_time_ns: int) -> None:
        if not self.count:
            self.first_ns = log_time_ns
        self.last_ns = log_time_ns
        self.count += 1
        key = (received.publisher, received.epoch)
        self.numbers.setdefault(key, Numbering()).see(received.seq)
        if isinstance(received.message, Samples) and received.array is not None:
            rows, first = len(received.array), received.message.first_sample
            self.samples += rows
            self.samples_missing += max(0, first - self.next_sample.get(key, 0))
            self.next_sample[key] = first + rows

    @property
    def missing(self) -> int:
        """Messages absent by their numbers."""
        return sum(numbering.missing for numbering in self.numbers.values())

    def as_dict(self) -> dict[str, Any]:
        spread_s = (self.last_ns - self.first_ns) / 1e9
        rate = round((self.count - 1) / spread_s, 3) if self.count > 1 and spread_s > 0 else None
        told: dict[str, Any] = {"count": self.count, "rate_hz": rate, "gaps": self.missing}
        if self.samples:
            told |= {"samples": self.samples, "samples_missing": self.samples_missing}
        return told


def info(path: Path | str) -> dict[str, Any]:
    """Say what a recording holds, and whether it is whole; every message is read.

    Returns
    -------
    dict
        JSON-ready: ``path``, ``status`` (``good``, ``incomplete`` or ``damaged``, as `verify` finds it),
        ``problems`` (what makes it damaged, one line each), ``session``, ``subject``, ``outcome``, ``reason``,
        ``complete``, ``recovered``, ``simulated``, ``wall_start``, ``duration_s``, ``bytes``, ``messages``, ``gaps``
        (messages missing by their numbers, all streams), ``streams`` (per topic: ``count``, ``rate_hz``, ``gaps``; of
        sample streams also ``samples`` and ``samples_missing``), ``events`` (``t_s`` from the first message,
        ``kind``, ``who``, ``why``, ``values``), ``versions``, ``metadata``. Of a damaged recording what can be read.

    Raises
    ------
    RecordingError
        If there is no recording, or it is damaged so that nothing of it can be read.
    """
    found = verify(path)
    file = Path(found.path)
    walk = _Walk(file, found)
    metadata = walk.metadata
    if "session" not in metadata:
        raise no_recording(file, found.bytes, found.problems[0].what if found.problems else "")
    place = place_of(file)
    simulated = metadata.get("simulated")
    return {
        "path": found.path,
        "status": found.status,
        "problems": [f"byte {problem.offset}: {problem.what}" for problem in found.problems],
        "session": metadata["session"],
        "subject": metadata.get("subject") or (place.subject if place else ""),
        "outcome": found.outcome,
        "reason": found.reason,
        "complete": walk.complete,
        "recovered": found.recovered,
        "simulated": None if simulated is None else simulated == "true",
        "wall_start": _wall_start(metadata.get("wall_start_ns", "")),
        "duration_s": round((walk.last_ns - walk.first_ns) / 1e9, 3),
        "bytes": found.bytes,
        "messages": sum(tally.count for tally in walk.streams.values()),
        "gaps": sum(tally.missing for tally in walk.streams.values()),
        "streams": {topic: tally.as_dict() for topic, tally in walk.streams.items()},
        "events": [{**event, "t_s": round((t_ns - walk.first_ns) / 1e9, 3)} for t_ns, event in walk.events],
        "versions": {k.removeprefix("version."): v for k, v in metadata.items() if k.startswith("version.")},
        "metadata": {k: v for k, v in metadata.items() if not k.startswith("version.")},
    }


class _Walk:
    """One walk through a recording; of a damaged one as far as records can be told apart."""

    def __init__(self, file: Path, found: Verification) -> None:
        self.streams: dict[str, _Tally] = {}
        self.events: list[tuple[int, dict[str, Any]]] = []
        self.first_ns = self.last_ns = 0
        damaged = found.status == "damaged"
        with file.open("rb", buffering=1 << 20) as stream:
            scan = Scan(stream, found.bytes, check_crcs=not damaged)
            try:
                for record in scan.records():
                    if record.opcode == _MESSAGE:
                        self._take(record, scan)
            except (DamagedRecording, wire.WireError):
                # `problems` says that there is damage, and where.
                if not damaged:
                    raise
        topics = [channel.topic for channel in scan.channels.values()]
        self.streams = {topic: self.streams.get(topic, _Tally()) for topic in topics}
        self.metadata = scan.metadata.get(SESSION, {})
        self.complete = scan.cut_at is None and END in scan.metadata

    def _take(self, record: RawRecord, scan: Scan) -> None:
        channel, _, log_time_ns, _ = MESSAGE_HEAD.unpack_from(record.data, HEAD_BYTES)
        topic = scan.channels[channel].topic
        received = wire.decode(wire.unpack(topic, record.data[HEAD_BYTES + MESSAGE_HEAD.size :]))[1]
        if not self.streams:
            self.first_ns = self.last_ns = log_time_ns
        self.first_ns, self.last_ns = min(self.first_ns, log_time_ns), max(self.last_ns, log_time_ns)
        self.streams.setdefault(topic, _Tally()).add(received, log_time_ns)
        message = received.message
        if isinstance(message, Event):
            told = {"kind": message.kind, "who": message.who, "why": message.why, "values": message.values}
            self.events.append((log_time_ns, {"t_s": 0.0, **told}))


def say_info(found: dict[str, Any]) -> str:
    """What :func:`info` found, for people."""
    status = found["status"] if found["status"] == "good" else found["status"].upper()
    lines = [f"{found['path']}: {status}"]
    lines += [f"{key}: {found[key]}" for key in ("session", "subject", "outcome", "reason", "simulated")]
    lines += [f"damage at {problem}" for problem in found["problems"]]
    lines.append(f"{found['duration_s']:.1f} s, {found['messages']} messages, {found['gaps']} missing")
    lines += [
        f"  {topic:28} {stream['count']:8} {stream['rate_hz'] or 0:8.1f} Hz"
        + (f", {stream['gaps']} missing" if stream["gaps"] else "")
        for topic, stream in found["streams"].items()
    ]
    return "\n".join(lines)


def _wall_start(wall_ns: str) -> str | None:
    if not wall_ns.isdecimal():
        return None
    return datetime.fromtimestamp(int(wall_ns) / 1e9, UTC).isoformat(timespec="milliseconds")
