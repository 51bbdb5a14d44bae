"""The work, the same for everyone: band-pass, RMS over 250 ms, one command per block."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

#: Volts per count of the synthetic amplifier.
SCALE_V = 1e-7
WINDOW_S = 0.25
#: Noise is made before the run, so many blocks of it, and used again and again; not after fewer, because our own
#: judge of quality remembers a hundred blocks and refuses one that comes again.
NOISE_BLOCKS = 499
NOISE_COUNTS = 300.0
#: One mA per so much RMS; only there so that a command says something of its block.
UV_PER_MA = 8.0
CURRENT_MAX_MA = 20.0

_BLOCK = struct.Struct("<qqII")
_COMMAND = struct.Struct("<qd")
COMMAND_BYTES = _COMMAND.size


@dataclass(frozen=True, slots=True)
class Shape:
    """What is emitted: `block` samples of `channels` channels at `rate_hz`."""

    channels: int = 16
    block: int = 20
    rate_hz: float = 2000.0

    @property
    def period_ns(self) -> int:
        """Time between two blocks."""
        return round(self.block / self.rate_hz * 1e9)

    @property
    def message_bytes(self) -> int:
        """A packed block."""
        return _BLOCK.size + 2 * self.block * self.channels


def noise(shape: Shape, seed: int = 1) -> list[npt.NDArray[np.int16]]:
    """Blocks of white noise in counts, (block, channels) each."""
    made = np.random.default_rng(seed).normal(0.0, NOISE_COUNTS, (NOISE_BLOCKS, shape.block, shape.channels))
    return list(np.round(made).astype("<i2"))


class Work:
    """What the processor does with each block.

    Parameters
    ----------
    shape
        What comes.
    matrix
        Filter by one matrix product per block (as our own controller does) and not by ``scipy.signal.sosfilt``.
    """

    def __init__(self, shape: Shape, *, matrix: bool = False) -> None:
        from scipy.signal import butter, sosfilt

        self._sosfilt = sosfilt
        self._sos = butter(4, (20.0, 450.0), btype="bandpass", fs=shape.rate_hz, output="sos")
        self._z = np.zeros((len(self._sos), 2, shape.channels))
        self._matrix = _response(self._sos, shape.block) if matrix else None
        self._stack = np.zeros((shape.block + 2 * len(self._sos), shape.channels))
        self._block = shape.block
        self._ring = np.zeros((round(WINDOW_S * shape.rate_hz / shape.block), shape.channels))
        self._samples = len(self._ring) * shape.block
        self._at = 0

    def command(self, block: npt.NDArray[Any]) -> float:
        """Current in mA for a block of counts, (block, channels)."""
        filtered = self._filter(block * (SCALE_V * 1e6))
        self._ring[self._at] = np.einsum("ij,ij->j", filtered, filtered)
        self._at = (self._at + 1) % len(self._ring)
        rms_uv = np.sqrt(self._ring.sum(axis=0) / self._samples)
        return min(CURRENT_MAX_MA, float(rms_uv.mean()) / UV_PER_MA)

    def _filter(self, samples_uv: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        if self._matrix is None:
            filtered: npt.NDArray[np.float64]
            filtered, self._z = self._sosfilt(self._sos, samples_uv, axis=0, zi=self._z)
            return filtered
        self._stack[: self._block] = samples_uv
        after = self._matrix @ self._stack
        self._stack[self._block :] = after[self._block :]
        return after[: self._block]


def pack_block(number: int, t_ns: int, block: npt.NDArray[np.int16]) -> bytes:
    """A block as bytes: number, stamp, shape, counts."""
    return _BLOCK.pack(number, t_ns, *block.shape) + block.tobytes()


def unpack_block(data: bytes) -> tuple[int, npt.NDArray[np.int16]]:
    """Number and counts of a packed block."""
    number, _, samples, channels = _BLOCK.unpack_from(data)
    return number, np.frombuffer(data, dtype="<i2", offset=_BLOCK.size).reshape(samples, channels)


def pack_command(number: int, current_ma: float) -> bytes:
    """A command as bytes; `number` is that of the block it answers."""
    return _COMMAND.pack(number, current_ma)


def unpack_command(data: bytes) -> tuple[int, float]:
    """Number of the block a packed command answers, and its current in mA."""
    number, current_ma = _COMMAND.unpack(data)
    return number, current_ma


def _response(sos: npt.NDArray[np.float64], block: int) -> npt.NDArray[np.float64]:
    """The matrix that takes a block on top of the filter's state to the filtered block on top of the next state."""
    from scipy.signal import sosfilt

    order = 2 * len(sos)
    size = block + order
    inputs = np.eye(block, size)
    before = np.eye(order, size, k=block).reshape(-1, 2, size)
    outputs, after = sosfilt(sos, inputs, axis=0, zi=before)
    return np.concatenate([outputs, after.reshape(order, size)])
