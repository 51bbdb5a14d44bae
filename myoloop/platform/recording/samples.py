"""The samples of one stream, joined from its blocks."""

from __future__ import annotations

import sys
from array import array
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from myoloop.platform.messages import SampleDescriptor, Samples
from myoloop.platform.recording.layout import RecordingError
from myoloop.platform.steps import Received

#: So many blocks are joined at once.
_JOINED_AT_ONCE = 2048


class SampleGap(NamedTuple):
    """A place where samples are missing between two rows that stand beside each other.

    Attributes
    ----------
    row
        Row before which they are missing.
    missing
        How many; None where it cannot be known (the source was opened anew); negative where samples come again.
    kind
        ``lost`` (the source's own count jumped) or ``restart`` (another publisher or epoch).
    """

    row: int
    missing: int | None
    kind: str


@dataclass(frozen=True, slots=True)
class SampleRecord:
    """Every recorded sample of a stream, as it was recorded.

    Attributes
    ----------
    descriptor
        What the columns are.
    counts
        (n_samples, n_channels), in the source's own dtype.
    invalid
        (n_samples, n_channels), True where a sample must not be used.
    row, first_sample, t_ns, device_t, log_time_ns, seq, epoch
        (n_blocks,): the block's first row in `counts`; the source's index of it; host time of the block's newest
        sample; the device's stamp of it (NaN where none); the recorder's time; number and epoch of the message.
    publisher
        Per block.
    gaps
        Where samples are missing.
    """

    descriptor: SampleDescriptor
    counts: npt.NDArray[Any]
    invalid: npt.NDArray[np.bool_]
    row: npt.NDArray[np.int64]
    first_sample: npt.NDArray[np.int64]
    t_ns: npt.NDArray[np.int64]
    device_t: npt.NDArray[np.float64]
    log_time_ns: npt.NDArray[np.int64]
    seq: npt.NDArray[np.int64]
    epoch: npt.NDArray[np.int64]
    publisher: tuple[str, ...]
    gaps: tuple[SampleGap, ...]

    def physical(self) -> npt.NDArray[np.float32]:
        """Give the samples in the descriptor's units, (n_samples, n_channels), rounded once to float32."""
        result = np.empty(self.counts.shape, np.float32)
        for column, (scale, offset) in enumerate(zip(self.descriptor.scale, self.descriptor.offset, strict=True)):
            result[:, column] = self.counts[:, column].astype(np.float64) * scale + offset
        return result


class SampleJoin:
    """Collects the blocks of one stream.

    Parameters
    ----------
    descriptor
        Of the stream.
    """

    def __init__(self, descriptor: SampleDescriptor) -> None:
        self._descriptor = descriptor
        self._dtype = np.dtype(descriptor.dtype)
        self._arrays: list[npt.NDArray[Any]] = []
        self._masks: list[tuple[int, int, bytes]] = []
        # Columns, and parts joined as they come: a long session has a million blocks.
        self._joined: list[npt.NDArray[Any]] = []
        self._integers = tuple(array("q") for _ in range(6))
        self._device_t = array("d")
        self._publishers: list[str] = []
        self._gaps: list[SampleGap] = []
        self._rows = 0
        self._next = 0

    def add(self, received: Received, log_time_ns: int) -> None:
        """Append a block.

        Raises
        ------
        RecordingError
            If its array is not what the descriptor says.
        """
        message, block = received.message, received.array
        if not isinstance(message, Samples) or block is None:
            raise RecordingError(f"{where(received)}: no samples in it")
        if block.ndim != 2 or block.shape[1] != len(self._descriptor.channels) or block.dtype != self._dtype:
            raise RecordingError(
                f"{where(received)}: an array {block.shape} of {block.dtype.str}, the descriptor says "
                f"{len(self._descriptor.channels)} channels of {self._descriptor.dtype}"
            )
        self._note_gap(received, message)
        if message.invalid:
            if len(message.invalid) != (block.size + 7) // 8:
                raise RecordingError(
                    f"{where(received)}: a validity mask of {len(message.invalid)} bytes for {block.size} samples"
                )
            self._masks.append((self._rows, len(block), message.invalid))
        self._device_t.append(float("nan") if message.device_t is None else message.device_t)
        values = (self._rows, message.first_sample, message.t_ns, log_time_ns, received.seq, received.epoch)
        for column, value in zip(self._integers, values, strict=True):
            column.append(value)
        self._publishers.append(sys.intern(received.publisher))
        self._arrays.append(block)
        if len(self._arrays) >= _JOINED_AT_ONCE:
            self._joined.append(np.concatenate(self._arrays))
            self._arrays.clear()
        self._rows += len(block)
        self._next = message.first_sample + len(block)

    def record(self) -> SampleRecord:
        """Join what was collected."""
        n = len(self._descriptor.channels)
        parts = [*self._joined, *self._arrays]
        counts = np.concatenate(parts) if parts else np.empty((0, n), self._dtype)
        # Held no longer: of a long recording they are as large as what they were joined to.
        parts.clear()
        self._joined, self._arrays = [counts] if len(counts) else [], []
        invalid = np.zeros((self._rows, n), np.bool_)
        for row, length, mask in self._masks:
            bits = np.unpackbits(np.frombuffer(mask, np.uint8), count=length * n)
            invalid[row : row + length] = bits.reshape(length, n).astype(np.bool_)
        rows, first, t_ns, log_time, seq, epoch = (np.array(column, np.int64) for column in self._integers)
        return SampleRecord(
            descriptor=self._descriptor,
            counts=counts,
            invalid=invalid,
            row=rows,
            first_sample=first,
            t_ns=t_ns,
            device_t=np.array(self._device_t, np.float64),
            log_time_ns=log_time,
            seq=seq,
            epoch=epoch,
            publisher=tuple(self._publishers),
            gaps=tuple(self._gaps),
        )

    def _note_gap(self, received: Received, message: Samples) -> None:
        if not self._publishers:
            if message.first_sample:
                self._gaps.append(SampleGap(0, message.first_sample, "lost"))
        elif (received.publisher, received.epoch) != (self._publishers[-1], self._integers[-1][-1]):
            self._gaps.append(SampleGap(self._rows, None, "restart"))
        elif message.first_sample != self._next:
            self._gaps.append(SampleGap(self._rows, message.first_sample - self._next, "lost"))


def where(received: Received) -> str:
    """Which message it is, in words."""
    return f"{received.topic} of {received.publisher}, epoch {received.epoch}, seq {received.seq}"
