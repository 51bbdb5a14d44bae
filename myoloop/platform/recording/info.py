"""What a recording holds, in one plain dict."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from myoloop.platform.messages import Event, Samples
from myoloop.platform.recording.folder import place_of
from myoloop.platform.recording.layout import DamagedRecording
from myoloop.platform.recording.numbering import Numbering
from myoloop.platform.recording.reader import Recorded, Recording
from myoloop.platform.recording.verify import verify


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

    def add(self, recorded: Recorded) -> None:
        received, log_time_ns = recorded
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
    damaged = found.status == "damaged"
    recording = Recording.open(path, check=not damaged)
    place = place_of(recording.path)
    start_ns = recording.first_ns or 0
    streams = {topic: _Tally() for topic in recording.topics()}
    events = []
    try:
        for recorded in recording.messages():
            message = recorded.received.message
            streams[recorded.received.topic].add(recorded)
            if isinstance(message, Event):
                t_s = round((recorded.log_time_ns - start_ns) / 1e9, 3)
                events.append(
                    {"t_s": t_s, "kind": message.kind, "who": message.who, "why": message.why, "values": message.values}
                )
    except DamagedRecording:
        # What follows cannot be told apart any more; `problems` says that there is damage, and where.
        if not damaged:
            raise
    metadata = recording.metadata
    return {
        "path": str(recording.path),
        "status": found.status,
        "problems": [f"byte {problem.offset}: {problem.what}" for problem in found.problems],
        "session": recording.session,
        "subject": metadata.get("subject") or (place.subject if place else ""),
        "outcome": recording.outcome,
        "reason": recording.reason,
        "complete": recording.complete,
        "recovered": found.recovered,
        "simulated": recording.simulated,
        "wall_start": _wall_start(metadata.get("wall_start_ns", "")),
        "duration_s": round(((recording.last_ns or 0) - start_ns) / 1e9, 3),
        "bytes": recording.size,
        "messages": sum(tally.count for tally in streams.values()),
        "gaps": sum(tally.missing for tally in streams.values()),
        "streams": {topic: tally.as_dict() for topic, tally in streams.items()},
        "events": events,
        "versions": {k.removeprefix("version."): v for k, v in metadata.items() if k.startswith("version.")},
        "metadata": {k: v for k, v in metadata.items() if not k.startswith("version.")},
    }


def _wall_start(wall_ns: str) -> str | None:
    if not wall_ns.isdecimal():
        return None
    return datetime.fromtimestamp(int(wall_ns) / 1e9, UTC).isoformat(timespec="milliseconds")
