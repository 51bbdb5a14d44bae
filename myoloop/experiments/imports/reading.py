"""A file of another program, by its mapping: streams with a time for each sample, and marks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from myoloop.acquisition.formats import FormatError, OpenedFile, open_file
from myoloop.acquisition.recorded import RecordedStream, streams_of
from myoloop.experiments.imports.mapping import SECONDS, ImportedChannel, ImportMapping
from myoloop.experiments.imports.times import (
    RATE_TOLERANCE,
    SampleTimes,
    of_column,
    of_rate,
    of_stamps,
    rate_of_column,
)
from myoloop.experiments.imports.xdf import LoadedStream, XdfFile, read_xdf
from myoloop.platform.messages import SampleDescriptor

_EXACT_IN_DOUBLE = 2**53
#: What a message may hold is sixteen times as much.
_MARK_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class ImportedStream:
    """One stream of a file.

    Attributes
    ----------
    descriptor
        As of a live one.
    array
        (n_samples, n_channels), as they stand in the file.
    times
        When each was.
    stamp_s
        (n_samples,), by the stream's own clock; None where it has none of its own.
    """

    descriptor: SampleDescriptor
    array: npt.NDArray[Any]
    times: SampleTimes
    stamp_s: npt.NDArray[np.float64] | None = None


@dataclass(frozen=True, slots=True)
class Mark:
    """Something noted in a file, on its common clock."""

    t_s: float
    who: str
    text: str
    values: dict[str, float | str | bool | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ImportedFile:
    """What a file holds, as far as its mapping wants it.

    Attributes
    ----------
    cut
        What is left out at the end of a file that stops, in words; empty where it is whole.
    notes
        What else is to be known of it.
    left_out
        Columns that the mapping does not name, or ignores.
    recorded_at
        When, as the file says it.
    """

    format: str
    streams: tuple[ImportedStream, ...]
    marks: tuple[Mark, ...]
    cut: str = ""
    notes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    recorded_at: str = ""


def read_file(path: Path, mapping: ImportMapping) -> ImportedFile:
    """Read a file by its mapping.

    Raises
    ------
    FormatError
        If it cannot be read, or does not have what the mapping says.
    """
    kind = mapping.format_for(path)
    if not path.is_file():
        raise FormatError(f"{path}: is a folder, a file is needed" if path.is_dir() else f"{path}: no such file")
    file: OpenedFile = read_xdf(path) if kind == "xdf" else open_file(path, mapping)
    reading = _Reading(path, mapping, file)
    groups: dict[str, list[ImportedChannel]] = {}
    for channel in mapping.channels:
        if channel.kind != "ignored":
            groups.setdefault(channel.source_name, []).append(channel)
    streams = tuple(stream for name, channels in groups.items() for stream in reading.streams(name, channels))
    marks = tuple(sorted(reading.marks(), key=lambda mark: mark.t_s))
    _check(path, kind, streams, marks)
    return ImportedFile(
        format=kind,
        streams=streams,
        marks=marks,
        cut=file.cut if isinstance(file, XdfFile) else "",
        notes=(*(file.notes if isinstance(file, XdfFile) else ()), *reading.notes),
        left_out=reading.left_out(),
        recorded_at=file.recorded_at if isinstance(file, XdfFile) else "",
    )


class _Reading:
    def __init__(self, path: Path, mapping: ImportMapping, file: OpenedFile) -> None:
        self._path = path
        self._mapping = mapping
        self._file = file
        self._column_s = self._times()
        self.notes: list[str] = []

    def streams(self, name: str, channels: Sequence[ImportedChannel]) -> list[ImportedStream]:
        """Streams of one name, with their times."""
        measured_hz = None
        if self._column_s is not None and not self._mapping.rate_hz and not all(each.rate_hz for each in channels):
            measured_hz = rate_of_column(self._column_s, self._where_time())
        made = streams_of(self._path, self._file, self._mapping, channels, name=name, measured_hz=measured_hz)
        return [self._timed(stream, channels) for stream in made]

    def marks(self) -> list[Mark]:
        """Markers, annotations, and the changes of columns that are events."""
        if isinstance(self._file, XdfFile):
            return self._markers(self._file)
        noted = [
            Mark(note.onset_s, "annotation", note.text, {} if not note.duration_s else {"duration_s": note.duration_s})
            for note in self._file.annotations
            if math.isfinite(note.onset_s)
        ]
        return [*noted, *self._changes()]

    def left_out(self) -> tuple[str, ...]:
        """Columns that are not wanted."""
        names = list(self._file.names)
        wanted = {each.source for each in self._mapping.channels if each.kind != "ignored"}
        wanted |= {each.source for each in self._mapping.events or ()}
        wanted |= {self._mapping.time.source} if self._mapping.time is not None else set()
        # Of an array that has several channels the name is wanted, not `name[3]`.
        plain = {str(each) if str(each) in names else str(each).split("[")[0].strip("/") for each in wanted}
        return tuple(name for place, name in enumerate(names, 1) if name not in plain and place not in wanted)

    def _timed(self, stream: RecordedStream, channels: Sequence[ImportedChannel]) -> ImportedStream:
        descriptor, array = stream.descriptor, stream.array
        if isinstance(self._file, XdfFile):
            source = self._one_stream(self._file, descriptor, channels)
            where = f"{self._path}: {source.name}"
            times = of_stamps(source.time_s, descriptor.rate_hz, source.resets, where)
            if not source.has_offsets:
                self.notes.append(f"{descriptor.topic}: no clock offsets; its clock is taken for the recorder's")
            if source.far_offsets:
                self.notes.append(
                    f"{descriptor.topic}: no clock offset is from near its samples; its times are doubtful"
                )
            self._note_rate(descriptor, times)
            return ImportedStream(descriptor, array, times, source.stamp_s)
        if self._column_s is None:
            return ImportedStream(descriptor, array, of_rate(len(array), descriptor.rate_hz))
        if len(self._column_s) != len(array):
            raise FormatError(f"{self._where_time()}: {len(self._column_s)} times for {len(array)} samples")
        times = of_column(self._column_s, descriptor.rate_hz, self._where_time())
        self._note_rate(descriptor, times)
        return ImportedStream(descriptor, array, times, self._column_s)

    def _one_stream(
        self, file: XdfFile, descriptor: SampleDescriptor, channels: Sequence[ImportedChannel]
    ) -> LoadedStream:
        kind = descriptor.topic.partition("/")[0]
        mine = [each for each in channels if self._mapping.stream_of(each) == kind]
        found = {id(stream): stream for each in mine for stream, _ in [file.find(each.source)]}
        if len(found) > 1:
            names = ", ".join(stream.name for stream in found.values())
            raise FormatError(f"{self._path}: {descriptor.topic}: channels of {names}; give each a stream of its own")
        return next(iter(found.values()))

    def _note_rate(self, descriptor: SampleDescriptor, times: SampleTimes) -> None:
        measured, said = times.measured_hz, descriptor.rate_hz
        if measured is not None and abs(measured - said) > RATE_TOLERANCE * said:
            self.notes.append(f"{descriptor.topic}: {measured:.6g} Hz by its times, {said:g} Hz is said")

    def _times(self) -> npt.NDArray[np.float64] | None:
        time = self._mapping.time
        if time is None:
            return None
        try:
            column = self._file.column(time.source)
        except KeyError:
            there = ", ".join(list(self._file.names)[:20])
            raise FormatError(f"{self._where_time()}: has no {time.source!r}; it has: {there}") from None
        except ValueError as error:
            raise FormatError(f"{self._where_time()}: {error}") from None
        return np.asarray(column.values, np.float64) * SECONDS[time.unit]

    def _where_time(self) -> str:
        return f"{self._mapping.where('time', 'from')}: {self._path}"

    def _markers(self, file: XdfFile) -> list[Mark]:
        wanted = self._mapping.events
        if wanted is None:
            chosen = {stream.name: stream.name for stream in file.streams if stream.is_text}
        else:
            chosen = {str(each.source): each.name or str(each.source) for each in wanted}
            for number, name in enumerate(chosen):
                if name not in [stream.name for stream in file.streams]:
                    there = ", ".join(stream.name for stream in file.streams)
                    where = self._mapping.where("events", number, "from")
                    raise FormatError(f"{where}: {self._path}: has no stream {name!r}; it has: {there}")
        marks = []
        for stream in file.streams:
            if stream.name in chosen:
                for t_s, row in zip(stream.time_s.tolist(), stream.values, strict=True):
                    if not abs(t_s) < 1e15:
                        raise FormatError(f"{self._path}: {stream.name}: found a mark at {t_s}, a time is needed")
                    marks.append(Mark(t_s, chosen[stream.name], " ".join(str(value) for value in row)))
        return marks

    def _changes(self) -> list[Mark]:
        marks = []
        for number, each in enumerate(self._mapping.events or ()):
            where = f"{self._mapping.where('events', number, 'from')}: {self._path}"
            try:
                values = self._file.column(each.source).values
            except (KeyError, ValueError) as error:
                raise FormatError(f"{where}: has no column {each.source!r}: {error}") from None
            if self._column_s is None and self._mapping.rate_hz is None:
                raise FormatError(f"{where}: set rate, or time, for when its changes were")
            # An empty cell is no change to another empty cell.
            same = (values[1:] == values[:-1]) | (np.isnan(values[1:]) & np.isnan(values[:-1]))
            rows = [0, *(np.flatnonzero(~same) + 1).tolist()]
            for row in rows:
                t_s = row / (self._mapping.rate_hz or 1.0) if self._column_s is None else float(self._column_s[row])
                marks.append(Mark(t_s, each.name or str(each.source), f"{float(values[row]):g}"))
        return marks


def _check(path: Path, kind: str, streams: Sequence[ImportedStream], marks: Sequence[Mark]) -> None:
    """Refuse what would be no recording, numbers that a text file's reader has rounded, and marks beyond all size."""
    for mark in marks:
        size = len(mark.text.encode("utf-8", "replace"))
        if size > _MARK_BYTES:
            raise FormatError(f"{path}: {mark.who}: found a mark of {size} bytes, at most {_MARK_BYTES} are kept")
    if not any(len(stream.array) for stream in streams):
        raise FormatError(f"{path}: holds no samples")
    for stream in streams:
        array = stream.array
        if kind in ("csv", "tsv") and array.dtype.kind == "f" and array.size:
            most = np.nanmax(np.abs(array), initial=0.0, where=np.isfinite(array))
            if most >= _EXACT_IN_DOUBLE:
                raise FormatError(f"{path}: {stream.descriptor.topic}: numbers beyond 2^53 cannot be carried exactly")
