"""Tremor: a rhythm of 3 to 12 Hz in the rate of turn, its frequency and its size.

The power spectra of the three axes are added: so it does not matter about which axis the segment trembles, and
nothing is rectified (the magnitude of the rate of turn of a limb that swings to and fro has twice its frequency). Two
seconds resolve 0.5 Hz; the peak is interpolated. A peak is a tremor only if it stands out: most of what moves in the
band moves at its frequency. Each line counts with its frequency for that, because the spectrum of ordinary movement
falls and its flank would stand out at the band's lower edge.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from myoloop.controllers.signals.snapshot import Restorable

Floats = npt.NDArray[np.float64]

LOW_HZ, HIGH_HZ = 3.0, 12.0
WINDOW_S = 2.0
#: Below this rate the band's upper end lies too near to half of it.
RATE_MIN_HZ = 30.0
#: Half width of the main lobe of a Hann window of 2 s.
_LOBE_HZ = 1.0
_FINER = 4


@dataclass(frozen=True, slots=True)
class Rhythm:
    """The strongest rhythm in the band.

    Attributes
    ----------
    frequency_hz
        Of its peak.
    rms_rad_s
        Root mean square of the rate of turn within the whole band, all three axes together.
    share
        Of the band's power, times frequency, that lies within 1 Hz of the peak; 0 where the peak is the flank of
        slower movement.
    """

    frequency_hz: float
    rms_rad_s: float
    share: float


class TremorSpectrum(Restorable):
    """The last two seconds of the rate of turn, and the rhythm in them.

    Parameters
    ----------
    rate_hz
        Of the gyroscope.

    Raises
    ------
    ValueError
        If the rate is below 30 Hz.
    """

    _kept: ClassVar[tuple[str, ...]] = ("_rows", "_at", "_count")

    def __init__(self, rate_hz: float) -> None:
        if not rate_hz >= RATE_MIN_HZ:
            raise ValueError(f"rate_hz is {rate_hz}, a tremor of up to {HIGH_HZ:g} Hz needs {RATE_MIN_HZ:g} Hz or more")
        n = round(WINDOW_S * rate_hz)
        self._rows: Floats = np.zeros((n, 3))
        self._at = 0
        self._count = 0
        window: Floats = np.hanning(n).astype(np.float64)
        self._window: Floats = window[:, None] / np.sqrt(np.sum(window**2))
        self._padded = _FINER * n
        step_hz = rate_hz / self._padded
        # One line more on either side, for the interpolation.
        self._first = int(np.ceil(LOW_HZ / step_hz)) - 1
        self._lines = slice(self._first, int(np.floor(HIGH_HZ / step_hz)) + 2)
        self._step_hz = step_hz
        self._lobe = round(_LOBE_HZ / step_hz)
        lines = len(np.fft.rfftfreq(self._padded)[self._lines])
        self._rise: Floats = step_hz * (self._first + np.arange(lines, dtype=np.float64))
        # One-sided, per line: power of a rate of turn in rad²/s².
        self._scale = 2.0 / self._padded
        line: Floats = np.arange(n, dtype=np.float64) - 0.5 * (n - 1)
        self._slope: Floats = line / np.sum(line**2)
        self._line: Floats = line[:, None]

    def add(self, gyroscope_rad_s: Floats) -> None:
        """Take in (n, 3) samples in rad/s, all finite."""
        length = len(self._rows)
        rows = gyroscope_rad_s[-length:]
        n, at = len(rows), self._at
        fits = min(n, length - at)
        self._rows[at : at + fits] = rows[:fits]
        self._rows[: n - fits] = rows[fits:]
        self._at = (at + n) % length
        self._count = min(self._count + n, length)

    def start_again(self) -> None:
        """Forget what was heard: samples are missing."""
        self._count = 0

    @property
    def full(self) -> bool:
        """Whether two seconds without a gap have been heard."""
        return self._count == len(self._rows)

    def rhythm(self) -> Rhythm:
        """What the last two seconds show."""
        at = self._at
        rows = np.concatenate((self._rows[at:], self._rows[:at]))
        # Slow movement is a line over two seconds, and a line leaks into the band.
        rows -= rows.mean(axis=0)
        rows -= self._line * (self._slope @ rows)
        spectrum = np.fft.rfft(rows * self._window, self._padded, axis=0)[self._lines]
        power = np.einsum("ij,ij->i", spectrum.real, spectrum.real) + np.einsum(
            "ij,ij->i", spectrum.imag, spectrum.imag
        )
        rms = float(np.sqrt(power[1:-1].sum() * self._scale))
        power *= self._rise
        inner = power[1:-1]
        total = float(inner.sum())
        peak = int(np.argmax(inner)) + 1
        low, here, high = power[peak - 1 : peak + 2].tolist()
        if total <= 0.0 or here < low or here < high:
            return Rhythm((self._first + peak) * self._step_hz, rms, 0.0)
        a, b, c = np.log(np.maximum([low, here, high], 1e-300)).tolist()
        bend = a - 2.0 * b + c
        away = 0.5 * (a - c) / bend if bend < 0.0 else 0.0
        near = float(inner[max(0, peak - 1 - self._lobe) : peak + self._lobe].sum())
        return Rhythm((self._first + peak + away) * self._step_hz, rms, near / total)
