"""An imported file as a session of ours: the same messages, judged and recorded by the same code as live ones.

Its clock begins with the file's first sample (or mark). Blocks hold about ten milliseconds; each is stamped with the
time of its newest sample, and keeps the stream's own stamp of it. Where samples are known to be missing their numbers
jump; where it cannot be known how many, or a clock was set anew, the stream begins anew (another epoch).
"""

from __future__ import annotations

import contextlib
import hashlib
import heapq
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from myoloop.acquisition.blocks import MAX_BLOCK_BYTES
from myoloop.acquisition.intake import Intake, vital_topics
from myoloop.acquisition.source import Block
from myoloop.experiments.imports.mapping import ImportMapping, load_import_mapping
from myoloop.experiments.imports.reading import ImportedFile, ImportedStream, Mark, read_file
from myoloop.experiments.origins import SIMULATED, Origins
from myoloop.experiments.protocols.schema import load_protocol
from myoloop.experiments.replay import processor
from myoloop.platform import wire
from myoloop.platform.messages import Event
from myoloop.platform.recording.folder import create_attempt, keep_copy, next_session
from myoloop.platform.recording.layout import RecordingError
from myoloop.platform.recording.versions import version_metadata
from myoloop.platform.recording.writer import RecordingWriter
from myoloop.platform.steps import Outgoing

#: Who says what the import itself has to say, and what marks are published by.
IMPORTER = "import"
ORIGIN = "origin"
IMPORTED = "imported"
START_NS = 1_000_000_000
BLOCK_S = 0.01
#: The writer's clock is whole nanoseconds of 64 bits; nobody records for longer than this.
LONGEST_S = 366 * 86_400.0
#: Whose reading of a format the samples depend on.
_READERS = {"xdf": "pyxdf", "edf": "edfio", "bdf": "edfio", "hdf5": "h5py", "mne": "mne"}
#: Breaks told of one by one; of more a sum.
_TOLD_BREAKS = 50


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import came to.

    Attributes
    ----------
    folder
        The attempt's; None where nothing was to be written.
    streams
        By topic: ``samples``, ``rate_hz``, ``missing`` (samples known to be), ``breaks`` (where it begins anew),
        ``jitter_ms`` that was smoothed away.
    marks
        How many.
    """

    folder: Path | None
    outcome: str
    reason: str
    format: str
    duration_s: float
    streams: dict[str, dict[str, float]]
    marks: int
    notes: tuple[str, ...]
    left_out: tuple[str, ...]

    def as_data(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "session": None if self.folder is None else str(self.folder),
            "outcome": self.outcome,
            "reason": self.reason,
            "format": self.format,
            "duration_s": self.duration_s,
            "streams": self.streams,
            "marks": self.marks,
            "notes": list(self.notes),
            "left_out": list(self.left_out),
        }

    def in_words(self) -> str:
        """For people."""
        lines = [f"{self.folder or 'would be'}: {self.outcome}, {self.duration_s:.3f} s, {self.marks} marks"]
        for topic, row in self.streams.items():
            more = "".join(
                f", {row[key]:g} {words}"
                for key, words in (("missing", "missing"), ("breaks", "breaks"), ("jitter_ms", "ms jitter smoothed"))
                if row[key]
            )
            lines.append(f"  {topic:28} {row['samples']:g} samples at {row['rate_hz']:g} Hz{more}")
        lines += [f"  {line}" for line in (self.reason, *self.notes) if line]
        lines += [f"  left out: {', '.join(self.left_out)}"] if self.left_out else []
        return "\n".join(lines)


def import_file(
    path: Path | str,
    mapping_path: Path | str,
    *,
    study: Path | str,
    subject: str,
    protocol: Path | str | None = None,
    dry_run: bool = False,
) -> Imported:
    """Make a session of a file.

    Parameters
    ----------
    study
        Folder of the study; made if it is not there.
    subject
        Pseudonym; it becomes this person's next session.
    protocol
        Of what was done while it was recorded, as who imports it says: outcomes that it names and that need no trial of
        ours are then computed.
    dry_run
        Read and judge everything, write nothing.

    Raises
    ------
    FileError
        If the mapping file is wrong, or the protocol's.
    FormatError
        If the file is, or does not have what the mapping says.
    RecordingError
        If the session cannot be written.
    """
    path, mapping_path = Path(path), Path(mapping_path)
    mapping = load_import_mapping(mapping_path)
    said = None if protocol is None else load_protocol(Path(protocol))
    file = read_file(path, mapping)
    begin_s, end_s = _extent(path, file)
    outcome = "interrupted" if file.cut else "complete"
    folder = None
    if not dry_run:
        folder = create_attempt(study, subject, next_session(study, subject))
        with _whole_or_nothing(folder):
            about = _about(path, mapping, mapping_path, file, begin_s, subject)
            _, kept = keep_copy(folder, "mapping.yaml", mapping_path.read_bytes())
            about["sha256.mapping.yaml"] = kept
            if said is not None and protocol is not None:
                about |= {"protocol": said.protocol.id, "protocol_version": said.protocol.version}
                key, kept = keep_copy(folder, "protocol.yaml", Path(protocol).read_bytes())
                about[key] = kept
                about["import.protocol"] = "as who imported it says"
            _write(folder, about, file, begin_s, end_s, outcome)
    return Imported(
        folder=folder,
        outcome=outcome,
        reason=file.cut,
        format=file.format,
        duration_s=end_s - begin_s,
        streams={stream.descriptor.topic: _row(stream) for stream in file.streams},
        marks=len(file.marks),
        notes=file.notes,
        left_out=file.left_out,
    )


def _about(
    path: Path, mapping: ImportMapping, mapping_path: Path, file: ImportedFile, begin_s: float, subject: str
) -> dict[str, str]:
    """What the record says of itself; not what the file is called, which may tell who was recorded."""
    emg, body = (SIMULATED, SIMULATED) if mapping.simulated else ("recorded", "person")
    stimulation = "none" if not mapping.flows else SIMULATED if mapping.simulated else "device"
    return {
        **Origins(emg, stimulation, body).metadata(),
        ORIGIN: IMPORTED,
        "subject": subject,
        "protocol": IMPORTER,
        "wall_start_ns": _wall_ns(file.recorded_at),
        "processor": processor(),
        **version_metadata(),
        **_reader_version(file.format),
        "import.format": file.format,
        "import.source_sha256": _sha256(path),
        "import.source_bytes": str(path.stat().st_size),
        "import.mapping_sha256": _sha256(mapping_path),
        "import.begin_s": repr(begin_s),
        "import.recorded_at": file.recorded_at,
        "import.notes": "; ".join(file.notes),
    }


@contextlib.contextmanager
def _whole_or_nothing(folder: Path) -> Iterator[None]:
    """Leave no attempt behind that was not written to its end: the file that it is made of is still there."""
    try:
        yield
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        for parent in (folder.parent, folder.parent.parent):
            with contextlib.suppress(OSError):  # others are in it
                parent.rmdir()
        raise


def _write(
    folder: Path, metadata: dict[str, str], file: ImportedFile, begin_s: float, end_s: float, outcome: str
) -> None:
    session = "/".join(folder.parts[-3:])
    descriptors = [stream.descriptor for stream in file.streams]
    with RecordingWriter(folder, session=session, descriptors=descriptors, metadata=metadata, live=False) as writer:
        numbers: dict[tuple[str, str, int], int] = {}
        log_ns = START_NS
        for said in _in_order(file, begin_s):
            log_ns = max(log_ns, said.t_ns)
            key = (said.publisher, said.outgoing.topic, said.epoch)
            number = numbers.get(key, 0)
            numbers[key] = number + 1
            frames = wire.encode(
                said.outgoing.topic,
                said.outgoing.message,
                session=session,
                publisher=said.publisher,
                epoch=said.epoch,
                seq=number,
                array=said.outgoing.array,
            )
            writer.write(frames, log_ns, number)
        writer.end(outcome, file.cut, max(log_ns, START_NS + round((end_s - begin_s) * 1e9)))


@dataclass(frozen=True, slots=True)
class _Said:
    t_ns: int
    publisher: str
    epoch: int
    outgoing: Outgoing


def _in_order(file: ImportedFile, begin_s: float) -> Iterator[_Said]:
    """Everything in the order of its time."""
    by_source: dict[str, list[ImportedStream]] = {}
    for stream in file.streams:
        by_source.setdefault(stream.descriptor.topic.partition("/")[2], []).append(stream)
    told = [_marks(file.marks, begin_s), _breaks(file.streams, begin_s)]
    for source, streams in by_source.items():
        topics = vital_topics([each.descriptor for each in streams])
        told += [_blocks(each, source, topics[each.descriptor.topic], begin_s) for each in streams]
    return heapq.merge(*told, key=lambda said: said.t_ns)


def _blocks(stream: ImportedStream, source: str, vital_topic: str, begin_s: float) -> Iterator[_Said]:
    descriptor, array, times = stream.descriptor, stream.array, stream.times
    rows = max(1, min(round(descriptor.rate_hz * BLOCK_S), MAX_BLOCK_BYTES // max(1, array[:1].nbytes)))
    epoch, number = 1, 0
    intake = Intake(descriptor, vital_topic)
    begins = [0, *(each.row for each in times.breaks)]
    ends = [*begins[1:], len(array)]
    for place, (begin, end) in enumerate(zip(begins, ends, strict=True)):
        missing = times.breaks[place - 1].missing if place else 0
        if missing is None:
            epoch, number = epoch + 1, 0
            intake = Intake(descriptor, vital_topic)
        else:
            number += missing
        for first in range(begin, end, rows):
            last = min(first + rows, end)
            t_ns = _ns(float(times.time_s[last - 1]), begin_s)
            own_s = None if stream.stamp_s is None else float(stream.stamp_s[last - 1])
            block = Block(descriptor.topic, number, t_ns, array[first:last], own_s)
            number += last - first
            for outgoing in intake.take(block):
                yield _Said(t_ns, source, epoch, outgoing)


def _marks(marks: tuple[Mark, ...], begin_s: float) -> Iterator[_Said]:
    for mark in marks:
        t_ns = _ns(mark.t_s, begin_s)
        event = Event(t_ns=t_ns, kind="mark", who=mark.who, why=mark.text, values=mark.values)
        yield _Said(t_ns, IMPORTER, 1, Outgoing("event", event))


def _breaks(streams: tuple[ImportedStream, ...], begin_s: float) -> Iterator[_Said]:
    """An event at each break; the publisher is another, so that its numbers are its own."""
    said = []
    for stream in streams:
        topic, times = stream.descriptor.topic, stream.times
        for each in times.breaks[:_TOLD_BREAKS]:
            what = f"{each.missing} samples missing" if each.missing is not None else "the stream begins anew"
            said.append(
                (_ns(float(times.time_s[each.row]), begin_s), f"{topic}: {each.why}, {each.gap_s:.6f} s: {what}")
            )
        more = times.breaks[_TOLD_BREAKS:]
        if more:
            missing = sum(each.missing or 0 for each in more)
            text = f"{topic}: {len(more)} more breaks from here on, {missing} samples missing in them"
            said.append((_ns(float(times.time_s[more[0].row]), begin_s), text))
    for t_ns, text in sorted(said):
        event = Event(t_ns=t_ns, kind="gap", who=IMPORTER, why=text)
        yield _Said(t_ns, f"{IMPORTER}-gaps", 1, Outgoing("event", event))


def _row(stream: ImportedStream) -> dict[str, float]:
    times = stream.times
    return {
        "samples": len(stream.array),
        "rate_hz": stream.descriptor.rate_hz,
        "missing": sum(each.missing or 0 for each in times.breaks),
        "breaks": sum(each.missing is None for each in times.breaks),
        "jitter_ms": round(times.jitter_s * 1e3, 3),
    }


def _extent(path: Path, file: ImportedFile) -> tuple[float, float]:
    """First and last time of anything."""
    times = [float(end) for stream in file.streams if len(stream.array) for end in stream.times.time_s[[0, -1]]]
    times += [mark.t_s for mark in file.marks]
    begin_s, end_s = min(times), max(times)
    if end_s - begin_s > LONGEST_S:
        raise RecordingError(f"{path}: lasts {(end_s - begin_s) / 86_400:.0f} days by its times; at most 366 are read")
    return begin_s, end_s


def _ns(time_s: float, begin_s: float) -> int:
    return START_NS + round((time_s - begin_s) * 1e9)


def _wall_ns(recorded_at: str) -> str:
    """Wall time at the start where the file says it with its zone; ``0`` where it does not."""
    try:
        said = datetime.fromisoformat(recorded_at)
    except ValueError:
        return "0"
    return "0" if said.tzinfo is None else str(round(said.timestamp()) * 1_000_000_000)


def _reader_version(kind: str) -> dict[str, str]:
    library = _READERS.get(kind)
    return {} if library is None else {f"version.{library}": version(library)}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
