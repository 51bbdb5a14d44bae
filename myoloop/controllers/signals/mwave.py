"""What an M-wave looks like: size, phases, width, latency, frequency.

An M-wave has two phases, a peak and a trough of which either may come first. Peaks are found between samples by a
parabola through three of them; areas go from one crossing of zero to the next, by trapezia; the mean frequency is the
first moment of the energy spectrum, taken in the time domain (Merletti and others 1995): no zero-padding, no bins.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from myoloop.controllers.signals.interpolation import MARGIN, shift_rows

Floats = npt.NDArray[np.float64]

#: Amplifiers come back from their rail in 2 to 8 ms; one value must do.
TAIL_MS = 5.0


@dataclass(frozen=True, slots=True)
class MWaveShape:
    """One M-wave; NaN where it has no two phases.

    Attributes
    ----------
    peak_to_peak_uv, rectified_area_uv_ms
        Size, and area of the absolute value over the whole window.
    first_phase_uv_ms, second_phase_uv_ms
        Areas of the two phases around the peaks, each from crossing to crossing of zero.
    duration_ms, latency_ms
        From the one peak to the other; from the pulse to the first of them.
    mean_frequency_hz
        Of its energy spectrum.
    """

    peak_to_peak_uv: float
    rectified_area_uv_ms: float
    first_phase_uv_ms: float
    second_phase_uv_ms: float
    duration_ms: float
    latency_ms: float
    mean_frequency_hz: float


_NONE = MWaveShape(*[float("nan")] * 7)


def describe(wave_uv: Floats, begin_ms: float, step_ms: float) -> MWaveShape:
    """Describe one M-wave.

    Parameters
    ----------
    wave_uv
        (n,) its window, n >= 5, level taken off.
    begin_ms
        Time since the pulse of the first sample.
    step_ms
        Between samples.

    Raises
    ------
    ValueError
        If there are fewer than five samples.
    """
    n = len(wave_uv)
    if n < 5:
        raise ValueError(f"an M-wave of {n} samples, at least 5 are needed")
    top, bottom = int(wave_uv.argmax()), int(wave_uv.argmin())
    if not (wave_uv[top] > 0.0 > wave_uv[bottom]):
        return _NONE
    top_at, top_uv = _peak(wave_uv, top)
    bottom_at, bottom_uv = _peak(wave_uv, bottom)
    first, second = (top, bottom) if top < bottom else (bottom, top)
    crossings = _crossings(wave_uv)
    between = crossings[(crossings > first) & (crossings < second)]
    before, after = crossings[crossings < first], crossings[crossings > second]
    begin = float(before[-1]) if len(before) else 0.0
    end = float(after[0]) if len(after) else n - 1.0
    area = _Area(wave_uv, crossings).until
    return MWaveShape(
        peak_to_peak_uv=top_uv - bottom_uv,
        rectified_area_uv_ms=step_ms * area(n - 1.0),
        first_phase_uv_ms=step_ms * (area(float(between[0])) - area(begin)),
        second_phase_uv_ms=step_ms * (area(end) - area(float(between[-1]))),
        duration_ms=step_ms * abs(top_at - bottom_at),
        latency_ms=begin_ms + step_ms * min(top_at, bottom_at),
        mean_frequency_hz=1e3 / step_ms * _mean_frequency(wave_uv),
    )


def on_grid(frame_uv: Floats, since_ms: Floats, step_ms: float, rows: int) -> Floats:
    """A frame at 0, 1, … `rows` - 1 steps after the pulse: (rows, channels); its ends go on where it is too short."""
    begin = -since_ms[0] / step_ms
    whole = round(float(begin))
    n = len(frame_uv)
    at = np.arange(whole - MARGIN, whole + rows + MARGIN)
    padded = frame_uv[np.minimum(np.maximum(at, 0), n - 1)]
    off = float(begin) - whole
    return shift_rows(padded, off if abs(off) > 1e-3 else 0.0)[MARGIN:-MARGIN]


def without_tail(wave_uv: Floats, step_ms: float, tail_ms: float = TAIL_MS) -> Floats:
    """Take off what an amplifier leaves that recovers from its rail.

    What passes under two electrodes and dies out has no net area; an exponential that carries the net area of the
    window is taken off.

    Parameters
    ----------
    wave_uv
        (n,) or (n, channels): the window, up to where the wave is over.
    tail_ms
        Its time constant.
    """
    tail = np.exp(-step_ms / tail_ms * np.arange(len(wave_uv)))
    size = wave_uv.sum(axis=0) / tail.sum()
    made: Floats = wave_uv - np.multiply.outer(tail, size)
    return made


def _peak(wave: Floats, at: int) -> tuple[float, float]:
    """Vertex of the parabola through a sample and its neighbours."""
    if not 0 < at < len(wave) - 1:
        return float(at), float(wave[at])
    left, middle, right = wave[at - 1 : at + 2].tolist()
    bend = left - 2.0 * middle + right
    if bend == 0.0:
        return float(at), middle
    off = 0.5 * (left - right) / bend
    return at + off, middle - 0.25 * (left - right) * off


def _crossings(wave: Floats) -> Floats:
    """Where it crosses zero, in samples."""
    negative = wave < 0.0
    at = np.flatnonzero(negative[1:] != negative[:-1])
    made: Floats = at + wave[at] / (wave[at] - wave[at + 1])
    return made


class _Area:
    """Area of the absolute value up to a place between samples."""

    def __init__(self, wave: Floats, crossings: Floats) -> None:
        self._x = np.sort(np.concatenate([np.arange(len(wave), dtype=np.float64), crossings]))
        y = np.abs(np.interp(self._x, np.arange(len(wave)), wave))
        self._sum = np.concatenate([[0.0], np.cumsum(0.5 * (y[1:] + y[:-1]) * np.diff(self._x))])

    def until(self, at: float) -> float:
        return float(np.interp(at, self._x, self._sum))


@lru_cache(maxsize=8)
def _moment(n: int) -> Floats:
    """Matrix of the first spectral moment: x' M x is the integral of f |X(f)|^2 over 0 <= f <= 1/2.

    With K(k) the integral of f cos(2 pi f k): 1/8 for k = 0, -1 / (2 pi^2 k^2) for odd k, 0 for even k.
    """
    k = np.arange(1, n)
    kernel = np.zeros(n)
    kernel[0] = 0.125
    kernel[1:] = np.where(k % 2 == 1, -0.5 / (np.pi * k) ** 2, 0.0)
    index = np.abs(np.arange(n)[:, None] - np.arange(n)[None, :])
    made: Floats = kernel[index]
    return made


def _mean_frequency(wave: Floats) -> float:
    """In cycles per sample."""
    energy = float(wave @ wave)
    if len(wave) <= 512:
        moment = float(wave @ _moment(len(wave)) @ wave)
    else:
        # The same sum, by the autocorrelation.
        size = 1 << (2 * len(wave) - 1).bit_length()
        correlation = np.fft.irfft(np.abs(np.fft.rfft(wave, size)) ** 2, size)
        odd = np.arange(1, len(wave), 2)
        moment = 0.125 * float(correlation[0]) - float((correlation[odd] / (np.pi * odd) ** 2).sum())
    return 2.0 * moment / energy
