"""How much of the last second's power is mains hum, per channel; pure.

Sums are kept per tenth of a second: the signal, its square, and its product with a wave at the mains frequency. From
ten of them follow the variance and the power at the mains frequency in a bin 1 Hz wide, without looking at a sample
twice.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
import numpy.typing as npt

from myoloop.platform.messages import SampleDescriptor

_HOPS = 10


class MainsMeter:
    """Measures hum on the channels whose unit is volt.

    Parameters
    ----------
    descriptor
        Of the stream.
    judged
        Channels that are signals at all.

    Attributes
    ----------
    share
        Per channel, power at the mains frequency over the variance, 0 to 1, over the last second; None while there
        is no unbroken second, or the rate is too low to see the mains.
    rms_v
        R.m.s. of the hum, volt; of no meaning while `share` is None.
    """

    def __init__(self, descriptor: SampleDescriptor, judged: npt.NDArray[np.bool_]) -> None:
        volts = np.array([unit == "V" for unit in descriptor.units])
        self._scale = np.where(judged & volts, np.abs(descriptor.scale), 0.0)
        self._turn = descriptor.mains_hz / descriptor.rate_hz
        self._works = self._turn < 0.45 and bool(self._scale.any())
        self._hop_samples = max(1, round(descriptor.rate_hz / _HOPS))
        self._wave = np.zeros((2, 0))
        self._hops: deque[_Sums] = deque(maxlen=_HOPS)
        self.share: npt.NDArray[np.float64] | None = None
        self.rms_v = np.zeros(len(descriptor.channels))
        self.forget()

    def forget(self) -> None:
        """Begin anew: after a gap, or a pulse."""
        self.share = None
        self._hops.clear()
        self._origin: npt.NDArray[np.float64] | None = None
        self._position = 0
        self._sums = _Sums()

    def add(self, array: npt.NDArray[Any]) -> None:
        """Take the next block, (n_samples, n_channels), raw."""
        if not self._works:
            return
        if self._origin is None:
            self._origin = array[0].astype(np.float64)
        signal = array - self._origin
        power = np.einsum("ij,ij->j", signal, signal)
        if not np.isfinite(power).all():
            self.forget()
            return
        n = len(array)
        if self._wave.shape[1] < n:
            phase = 2 * np.pi * self._turn * np.arange(n)
            self._wave = np.stack((np.cos(phase), -np.sin(phase)))
        wave = self._wave[:, :n]
        product = wave @ signal
        begin = 2 * np.pi * ((self._position * self._turn) % 1.0)
        turned = complex(np.cos(begin), -np.sin(begin))
        sums = self._sums
        sums.count += n
        sums.signal = sums.signal + signal.sum(axis=0)
        sums.power = sums.power + power
        sums.product = sums.product + turned * (product[0] + 1j * product[1])
        sums.wave += turned * complex(wave[0].sum(), wave[1].sum())
        self._position += n
        if sums.count >= self._hop_samples:
            self._hops.append(sums)
            self._sums = _Sums()
            if len(self._hops) == _HOPS:
                self._measure()

    def _measure(self) -> None:
        count = sum(hop.count for hop in self._hops)
        mean = sum(hop.signal for hop in self._hops) / count
        variance = np.maximum(sum(hop.power for hop in self._hops) / count - mean**2, 0.0)
        wave = sum(hop.wave for hop in self._hops)
        product = sum(hop.product for hop in self._hops) - mean * wave
        hum = 2.0 * np.abs(product / count) ** 2
        seen = (variance > 0) & (self._scale > 0)
        self.share = np.where(seen, np.minimum(hum / np.where(seen, variance, 1.0), 1.0), 0.0)
        self.rms_v = np.sqrt(hum) * self._scale


class _Sums:
    """What is kept of a tenth of a second."""

    __slots__ = ("count", "power", "product", "signal", "wave")

    def __init__(self) -> None:
        self.count = 0
        self.wave = 0j
        self.signal: Any = 0.0
        self.power: Any = 0.0
        self.product: Any = 0j
