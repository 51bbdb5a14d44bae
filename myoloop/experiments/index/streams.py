"""What is measured of one sample stream, from its blocks; the samples themselves are not kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from myoloop.experiments.index.facts import SegmentFact, StreamFact
from myoloop.experiments.index.segments import Segment, segments, sources
from myoloop.platform.messages import SampleDescriptor, Samples
from myoloop.platform.recording.layout import RecordingError
from myoloop.platform.recording.samples import SampleRecord
from myoloop.platform.steps import Received

#: Shorter than this, a rate is not worth telling.
_RATE_FROM_S = 2.0
#: Level and spread are taken from one piece in so many, each of at least so many rows.
_EVERY, _PIECE_ROWS = 10, 16


@dataclass(slots=True)
class BlockTally:
    """Collects the blocks of one stream.

    Attributes
    ----------
    descriptor
        Of the stream.
    """

    descriptor: SampleDescriptor
    _t_ns: list[int] = field(default_factory=list)
    _first: list[int] = field(default_factory=list)
    _rows: list[int] = field(default_factory=list)
    _log_ns: list[int] = field(default_factory=list)
    _seq: list[int] = field(default_factory=list)
    _epoch: list[int] = field(default_factory=list)
    _publisher: list[str] = field(default_factory=list)
    _invalid: int = 0
    _piece: list[npt.NDArray[np.float64]] = field(default_factory=list)
    _skip: int = 0
    _means: list[npt.NDArray[np.float64]] = field(default_factory=list)
    _spreads: list[npt.NDArray[np.float64]] = field(default_factory=list)

    def add(self, received: Received, log_time_ns: int) -> None:
        """Take in a block.

        Raises
        ------
        RecordingError
            If it is not what the descriptor says.
        """
        message, array = received.message, received.array
        if not isinstance(message, Samples) or array is None:
            raise RecordingError(f"{received.topic} seq {received.seq}: no samples in it")
        if array.ndim != 2 or array.shape[1] != len(self.descriptor.channels):
            raise RecordingError(
                f"{received.topic} seq {received.seq}: an array {array.shape}, the descriptor says "
                f"{len(self.descriptor.channels)} channels"
            )
        self._t_ns.append(message.t_ns)
        self._first.append(message.first_sample)
        self._rows.append(len(array))
        self._log_ns.append(log_time_ns)
        self._seq.append(received.seq)
        self._epoch.append(received.epoch)
        self._publisher.append(received.publisher)
        if message.invalid:
            self._invalid += int.from_bytes(message.invalid).bit_count()
        if self._skip:
            self._skip -= 1
        else:
            self._look(self._valid(array, message.invalid))

    def _valid(self, array: npt.NDArray[Any], invalid: bytes) -> npt.NDArray[np.float64]:
        """Samples in the descriptor's units, NaN where they are no finite number or must not be used."""
        values = array.astype(np.float64) * self.descriptor.scale + self.descriptor.offset
        values[~np.isfinite(values)] = np.nan
        if invalid:
            bits = np.unpackbits(np.frombuffer(invalid, np.uint8), count=values.size)
            values[bits.reshape(values.shape).astype(np.bool_)] = np.nan
        return values

    def _look(self, values: npt.NDArray[np.float64]) -> None:
        self._piece.append(values)
        if sum(map(len, self._piece)) < _PIECE_ROWS:
            return
        piece = np.concatenate(self._piece)
        known = np.isfinite(piece)
        count = known.sum(axis=0)
        # Of fewer samples neither says anything: a mean of one has no spread.
        enough = np.where(2 * count >= len(piece), count, np.nan)
        mean = np.where(known, piece, 0.0).sum(axis=0) / enough
        self._means.append(mean)
        self._spreads.append(np.sqrt(np.where(known, (piece - mean) ** 2, 0.0).sum(axis=0) / enough))
        self._skip = (_EVERY - 1) * len(self._piece)
        self._piece.clear()

    @property
    def means(self) -> npt.NDArray[np.float64]:
        """(n_pieces, n_channels): means of short pieces, in the descriptor's units, over samples that may be used.

        NaN where they are fewer than half of a piece.
        """
        return np.array(self._means).reshape(-1, len(self.descriptor.channels))

    @property
    def spreads(self) -> npt.NDArray[np.float64]:
        """(n_pieces, n_channels): standard deviations within the same pieces, NaN in the same places."""
        return np.array(self._spreads).reshape(-1, len(self.descriptor.channels))

    @property
    def first_ns(self) -> int | None:
        """Host time of the first sample; None without any."""
        if not self._rows:
            return None
        return self._t_ns[0] - round((self._rows[0] - 1) / self.descriptor.rate_hz * 1e9)

    @property
    def last_ns(self) -> int | None:
        """Host time of the newest sample; None without any."""
        return max(self._t_ns, default=None)

    def stamps(self) -> SampleRecord:
        """The blocks' stamps as a record without samples."""
        n = len(self.descriptor.channels)
        rows = np.array(self._rows, np.int64)
        return SampleRecord(
            descriptor=self.descriptor,
            counts=np.empty((0, n), self.descriptor.dtype),
            invalid=np.empty((0, n), np.bool_),
            row=np.cumsum(rows) - rows,
            first_sample=np.array(self._first, np.int64),
            t_ns=np.array(self._t_ns, np.int64),
            device_t=np.full(len(rows), np.nan),
            log_time_ns=np.array(self._log_ns, np.int64),
            seq=np.array(self._seq, np.int64),
            epoch=np.array(self._epoch, np.int64),
            publisher=tuple(self._publisher),
            gaps=(),
        )

    def facts(self, zero_ns: int, lost_messages: int, *, blinded: bool) -> StreamFact:
        """Everything that is told of the stream."""
        t_ns, first, rows = (np.array(each, np.int64) for each in (self._t_ns, self._first, self._rows))
        rate_hz = self.descriptor.rate_hz
        opened = sources(tuple(self._publisher), np.array(self._epoch, np.int64))
        cut = segments(t_ns, first, rows, opened, rate_hz)
        measured_hz, jitter_ms = _clock(t_ns, first, rows, cut, rate_hz)
        same = np.diff(opened) == 0
        missing = np.maximum(first[1:] - first[:-1] - rows[:-1], 0) * same if len(rows) else np.empty(0, np.int64)
        lost, samples = int(missing.sum()), int(rows.sum())
        values = samples * len(self.descriptor.channels)
        return StreamFact(
            topic=self.descriptor.topic,
            channels=self.descriptor.channels,
            units=self.descriptor.units,
            rate_hz=rate_hz,
            samples=samples,
            measured_hz=None if measured_hz is None else round(measured_hz, 4),
            rate_error_percent=None if measured_hz is None else round(100 * (measured_hz / rate_hz - 1), 4),
            jitter_p99_ms=None if jitter_ms is None else round(jitter_ms, 3),
            lost_samples=lost,
            lost_percent=round(100 * lost / (samples + lost), 4) if samples else 0.0,
            gaps=int((missing > 0).sum()),
            longest_gap_s=round(float(missing.max(initial=0)) / rate_hz, 4),
            lost_messages=lost_messages,
            invalid_percent=None if blinded or not values else round(100 * self._invalid / values, 4),
            segments=tuple(
                SegmentFact(
                    begin_s=round((each.begin_ns - zero_ns) * 1e-9, 4),
                    end_s=round((each.end_ns - zero_ns) * 1e-9, 4),
                    samples=each.end_row - each.first_row,
                    cause=each.cause,
                    step_s=None if each.step_s is None else round(each.step_s, 4),
                )
                for each in cut
            ),
        )


def _clock(
    t_ns: npt.NDArray[np.int64],
    first: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int64],
    cut: tuple[Segment, ...],
    rate_hz: float,
) -> tuple[float | None, float | None]:
    """Rate by least squares within the segments, and how far stamps lie from it."""
    pieces = []
    for each in cut:
        part = slice(each.first_block, each.end_block)
        host_s = (t_ns[part] - t_ns[each.first_block]) * 1e-9
        count = (first[part] + rows[part] - first[each.first_block] - rows[each.first_block]).astype(np.float64)
        pieces.append((host_s - host_s.mean(), count - count.mean()))
    if not pieces or sum(float(np.ptp(host_s)) for host_s, _ in pieces) < _RATE_FROM_S:
        return None, None
    spread = sum(float(host_s @ host_s) for host_s, _ in pieces)
    measured_hz = sum(float(host_s @ count) for host_s, count in pieces) / spread
    if not measured_hz > 0:
        return None, None
    late_s = np.concatenate([host_s - count / measured_hz for host_s, count in pieces])
    return measured_hz, float(np.percentile(np.abs(late_s), 99)) * 1e3
