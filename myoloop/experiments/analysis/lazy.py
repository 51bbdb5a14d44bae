"""A sample stream of a recording that is read as it is asked for: any stretch of it, by index or by time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from myoloop.experiments.index.segments import Segment, segments, sources
from myoloop.platform import wire
from myoloop.platform.messages import SampleDescriptor, Samples
from myoloop.platform.recording.layout import RecordingError
from myoloop.platform.recording.seek import Found, SeekableRecording

#: A block's stamp may lie so much after the time at which it was recorded: stamps are fitted to the sample clock.
_EARLY_NS = 250_000_000


class Stretch(NamedTuple):
    """Samples that stand one after the other.

    Attributes
    ----------
    t_s
        (n,): host time in seconds of the session, each block's newest sample at the block's own stamp, the others
        before it at the nominal rate.
    values
        (n, n_channels), float32 in the descriptor's units.
    valid
        (n, n_channels), False where a sample must not be used.
    """

    t_s: npt.NDArray[np.float64]
    values: npt.NDArray[np.float32]
    valid: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Blocks:
    """Every block of a stream, in file order.

    Attributes
    ----------
    piece
        (n_blocks,): number of the piece of the file it stands in.
    row
        (n_blocks + 1,): its first row in the stream; at the end, how many rows there are.
    first_sample, t_ns
        (n_blocks,): the source's index of its first sample; host time of its newest.
    source
        (n_blocks,): a number that changes where the source was opened anew.
    """

    piece: npt.NDArray[np.int64]
    row: npt.NDArray[np.int64]
    first_sample: npt.NDArray[np.int64]
    t_ns: npt.NDArray[np.int64]
    source: npt.NDArray[np.int64]


class Stream:
    """One sample stream; looks like an array of (n_samples, n_channels), and reads what is sliced.

    ``stream[a:b]`` are the recorded samples from row a to b, as float32 in SI units; lost samples have no rows. Slicing
    by row needs to know how many samples each block has: the stream's blocks are gone through once, the first time.
    ``stream.seconds(start_s, stop_s)`` needs nothing of the kind.

    Parameters
    ----------
    recording
        The opened file.
    descriptor
        Of the stream.
    zero_ns
        Gives the host time of the session's 0 s.
    """

    def __init__(self, recording: SeekableRecording, descriptor: SampleDescriptor, zero_ns: Callable[[], int]) -> None:
        self.descriptor = descriptor
        self._recording = recording
        self._zero_ns = zero_ns
        self._raw_dtype = np.dtype(descriptor.dtype)

    @property
    def topic(self) -> str:
        """``emg/<source>``, …"""
        return self.descriptor.topic

    @property
    def rate_hz(self) -> float:
        """Nominal rate."""
        return self.descriptor.rate_hz

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the columns."""
        return self.descriptor.channels

    @property
    def units(self) -> tuple[str, ...]:
        """Unit of each column: ``V``, ``m/s^2``, ``rad/s``, ``N``, or ``1`` for a counter or trigger."""
        return self.descriptor.units

    @property
    def unit(self) -> str:
        """The unit that all columns have which are no counters; several are joined by commas."""
        return ", ".join(dict.fromkeys(unit for unit in self.units if unit != "1")) or "1"

    @property
    def dtype(self) -> np.dtype[np.float32]:
        """Of what slices give."""
        return np.dtype(np.float32)

    @property
    def recorded_dtype(self) -> np.dtype[Any]:
        """Of the counts in the file."""
        return self._raw_dtype

    @property
    def ndim(self) -> int:
        """Rows and columns."""
        return 2

    @property
    def shape(self) -> tuple[int, int]:
        """(n_samples, n_channels)."""
        return len(self), len(self.channels)

    def __len__(self) -> int:
        return int(self.blocks.row[-1])

    def __repr__(self) -> str:
        return f"<{self.topic}: {len(self.channels)} channels at {self.rate_hz:g} Hz in {self.unit}>"

    def __getitem__(self, rows: int | slice) -> npt.NDArray[np.float32]:
        if isinstance(rows, slice):
            begin, end, step = rows.indices(len(self))
            if step < 0:
                raise ValueError("step: found a negative one, allowed are steps above 0")
            return self.rows(begin, max(begin, end)).values[::step]
        row = range(len(self))[rows]
        return np.asarray(self.rows(row, row + 1).values[0], np.float32)

    def rows(self, begin: int, end: int) -> Stretch:
        """Read rows from `begin` to `end`, with their times and validity.

        Raises
        ------
        IndexError
            If there are no such rows.
        RecordingError
            If what stands there is not what was written.
        """
        blocks = self.blocks
        if not 0 <= begin <= end <= len(self):
            raise IndexError(f"{self.topic}: rows {begin} to {end}, there are {len(self)}")
        if begin == end:
            return self._joined([])
        first = int(np.searchsorted(blocks.row, begin, "right")) - 1
        last = int(np.searchsorted(blocks.row, end, "left"))
        number = int(np.searchsorted(blocks.piece, blocks.piece[first], "left"))
        parts: list[Stretch] = []
        for piece in np.unique(blocks.piece[first:last]).tolist():
            for block in self._in_piece(piece):
                if first <= number < last:
                    parts.append(block)
                number += 1
        whole, skip = self._joined(parts), begin - int(blocks.row[first])
        kept = slice(skip, skip + end - begin)
        return Stretch(whole.t_s[kept], whole.values[kept], whole.valid[kept])

    def seconds(self, start_s: float, stop_s: float) -> Stretch:
        """Read the samples from `start_s` to `stop_s` (not in it) on the session's time base.

        Only the pieces of the file are read in which they were recorded. Where the host's clock went back, a time
        stands for what was recorded at it first or second alike: see `segments`.

        Raises
        ------
        ValueError
            If the times are not finite, or in the wrong order.
        RecordingError
            If what stands there is not what was written.
        """
        if not (np.isfinite(start_s) and np.isfinite(stop_s) and start_s <= stop_s):
            raise ValueError(f"seconds {start_s} to {stop_s}: finite numbers in order are needed")
        numbers = self._recording.pieces_with(self.topic)
        pieces = self._recording.pieces
        start_ns = self._zero_ns() + round(start_s * 1e9)
        at = next((i for i, n in enumerate(numbers) if pieces[n].last_ns >= start_ns - _EARLY_NS), len(numbers))
        # What was recorded late stands further on, what was stamped late further back.
        while at and not self._begins_by(numbers[at - 1 : at + 1], start_s):
            at -= 1
        parts: list[Stretch] = []
        for number in numbers[at:]:
            blocks = [block for block in self._in_piece(number) if len(block.t_s)]
            parts += [block for block in blocks if block.t_s[-1] >= start_s and block.t_s[0] < stop_s]
            if blocks and blocks[-1].t_s[0] >= stop_s:
                break
        whole = self._joined(parts)
        kept = (whole.t_s >= start_s) & (whole.t_s < stop_s)
        return Stretch(whole.t_s[kept], whole.values[kept], whole.valid[kept])

    @cached_property
    def first_ns(self) -> int | None:
        """Host time of its first sample; None where it has none."""
        for number in self._recording.pieces_with(self.topic):
            for found in self._recording.in_piece(number, (self.topic,)):
                _, message, array = self._read(found)
                if len(array):
                    return message.t_ns - round((len(array) - 1) / self.rate_hz * 1e9)
        return None

    @cached_property
    def blocks(self) -> Blocks:
        """Where each block stands; made when it is first needed, from all blocks of the stream."""
        rows: list[tuple[int, int, int, int]] = []
        publishers: list[str] = []
        epochs: list[int] = []
        for number in self._recording.pieces_with(self.topic):
            for found in self._recording.in_piece(number, (self.topic,)):
                head, message, array = self._read(found)
                rows.append((number, len(array), message.first_sample, message.t_ns))
                publishers.append(head.publisher)
                epochs.append(head.epoch)
        piece, size, first, t_ns = np.array(rows, np.int64).reshape(-1, 4).T
        source = sources(tuple(publishers), np.array(epochs, np.int64))
        return Blocks(piece, np.concatenate([[0], np.cumsum(size)]), first, t_ns, source)

    @cached_property
    def segments(self) -> tuple[Segment, ...]:
        """Stretches within which the clock can be believed; more than one where it jumped or the source restarted."""
        blocks = self.blocks
        return segments(blocks.t_ns, blocks.first_sample, np.diff(blocks.row), blocks.source, self.rate_hz)

    # -- inside ---------------------------------------------------------------------------------------------------

    def _begins_by(self, numbers: list[int], start_s: float) -> bool:
        """Whether the newer of two pieces begins at or before a time, so that the older one is not needed."""
        if len(numbers) < 2:
            return False
        first = next((block.t_s[0] for block in self._in_piece(numbers[1]) if len(block.t_s)), np.inf)
        return bool(first <= start_s)

    def _in_piece(self, number: int) -> Iterator[Stretch]:
        for found in self._recording.in_piece(number, (self.topic,)):
            _, message, array = self._read(found)
            before = np.arange(len(array) - 1, -1, -1)
            t_ns = float(message.t_ns - self._zero_ns()) - before * (1e9 / self.rate_hz)
            valid = np.ones(array.shape, np.bool_)
            if message.invalid:
                if len(message.invalid) != (array.size + 7) // 8:
                    raise RecordingError(
                        f"{self.topic}: a validity mask of {len(message.invalid)} bytes for {array.size} samples"
                    )
                bits = np.unpackbits(np.frombuffer(message.invalid, np.uint8), count=array.size)
                valid = bits.reshape(array.shape) == 0
            yield Stretch(np.asarray(t_ns * 1e-9, np.float64), self._physical(array), valid)

    def _read(self, found: Found) -> tuple[wire.Head, Samples, npt.NDArray[Any]]:
        where = f"{self._recording.path}: {self.topic} at {found.log_time_ns} ns"
        try:
            head, message, array = wire.read_record(found.topic, found.record)
        except wire.WireError as error:
            raise RecordingError(f"{where}: {error}") from None
        if not isinstance(message, Samples) or array is None:
            raise RecordingError(f"{where}: no samples in it")
        if array.ndim != 2 or array.shape[1] != len(self.channels) or array.dtype != self._raw_dtype:
            raise RecordingError(f"{where}: an array {array.shape} of {array.dtype.str}, not as its descriptor says")
        return head, message, array

    def _physical(self, counts: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        scale, offset = np.array(self.descriptor.scale), np.array(self.descriptor.offset)
        return np.asarray(counts.astype(np.float64) * scale + offset, np.float32)

    def _joined(self, parts: list[Stretch]) -> Stretch:
        if not parts:
            n = len(self.channels)
            return Stretch(np.empty(0), np.empty((0, n), np.float32), np.empty((0, n), np.bool_))
        return Stretch(*(np.concatenate(each) for each in zip(*parts, strict=True)))
