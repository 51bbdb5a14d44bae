"""The samples of one stream, joined from its blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from myoloop.platform.messages import SampleDescriptor, Samples
from myoloop.platform.recording.layout import RecordingError
from myoloop.platform.steps import Received


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
        self._blocks: list[tuple[int, int, int, float, int, int, int]] = []
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
        message, array = received.message, received.array
        where = f"{received.topic} of {received.publisher}, epoch {received.epoch}, seq {received.seq}"
        if not isinstance(message, Samples) or array is None:
            raise RecordingError(f"{where}: no samples in it")
        if array.ndim != 2 or array.shape[1] != len(self._descriptor.channels) or array.dtype != self._dtype:
            raise RecordingError(
                f"{where}: an array {array.shape} of {array.dtype.str}, the descriptor says "
                f"{len(self._descriptor.channels)} channels of {self._descriptor.dtype}"
            )
        self._note_gap(received, message)
        if message.invalid:
            if len(message.invalid) != (array.size + 7) // 8:
                raise RecordingError(
                    f"{where}: a validity mask of {len(message.invalid)} bytes for {array.size} samples"
                )
            self._masks.append((self._rows, len(array), message.invalid))
        device_t = float("nan") if message.device_t is None else message.device_t
        self._blocks.append(
            (self._rows, message.first_sample, message.t_ns, device_t, log_time_ns, received.seq, received.epoch)
        )
        self._publishers.append(received.publisher)
        self._arrays.append(array)
        self._rows += len(array)
        self._next = message.first_sample + len(array)

    def record(self) -> SampleRecord:
        """Join what was collected."""
        n = len(self._descriptor.channels)
        counts = np.concatenate(self._arrays) if self._arrays else np.empty((0, n), self._dtype)
        invalid = np.zeros((self._rows, n), np.bool_)
        for row, length, mask in self._masks:
            bits = np.unpackbits(np.frombuffer(mask, np.uint8), count=length * n)
            invalid[row : row + length] = bits.reshape(length, n).astype(np.bool_)
        rows, first, t_ns, device_t, log_time, seq, epoch = _columns(self._blocks)
        return SampleRecord(
            descriptor=self._descriptor,
            counts=counts,
            invalid=invalid,
            row=np.array(rows, np.int64),
            first_sample=np.array(first, np.int64),
            t_ns=np.array(t_ns, np.int64),
            device_t=np.array(device_t, np.float64),
            log_time_ns=np.array(log_time, np.int64),
            seq=np.array(seq, np.int64),
            epoch=np.array(epoch, np.int64),
            publisher=tuple(self._publishers),
            gaps=tuple(self._gaps),
        )

    def _note_gap(self, received: Received, message: Samples) -> None:
        if not self._blocks:
            if message.first_sample:
                self._gaps.append(SampleGap(0, message.first_sample, "lost"))
        elif (received.publisher, received.epoch) != (self._publishers[-1], self._blocks[-1][-1]):
            self._gaps.append(SampleGap(self._rows, None, "restart"))
        elif message.first_sample != self._next:
            self._gaps.append(SampleGap(self._rows, message.first_sample - self._next, "lost"))


def _columns(blocks: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return list(zip(*blocks, strict=True)) if blocks else [()] * 7
