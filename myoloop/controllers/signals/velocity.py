"""Conduction velocity of muscle fibres, from channels in line along them.

The same potential passes one electrode after the other. Its delay θ from each channel to the next is the one that makes
the difference of their spectra smallest, Σ |Y exp(j 2π f θ) - X|² (maximum likelihood for white noise), found to a
fraction of a sample; velocity = distance / θ. It needs at least two differential channels between the innervation zone
and the tendon: where both are on either side of the zone the delay says nothing, and the correlation is low.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from myoloop.controllers.signals.features import Floats, spectral_band_hz

#: Muscle fibres conduct within this.
ALLOWED_M_PER_S = (2.5, 6.5)
CORRELATION_MIN = 0.75
#: Searched beyond what is allowed, so that a maximum outside is seen to be outside.
_SEARCH_M_PER_S = 1.5
_NEWTON_STEPS = 8


@dataclass(frozen=True, slots=True)
class Conduction:
    """What the channels say.

    Attributes
    ----------
    velocity_m_per_s
        NaN where it is not to be believed; `reason` says why.
    delay_s
        From each channel to the next; negative where the potential runs the other way.
    correlation
        Of the aligned channels, within the band.
    reason
        Empty where the velocity may be believed.
    """

    velocity_m_per_s: float
    delay_s: float
    correlation: float
    reason: str = ""


def conduction_velocity(
    channels: npt.NDArray[np.floating],
    rate_hz: float,
    distance_m: float,
    band_hz: tuple[float, float] | None = None,
) -> Conduction:
    """Conduction velocity from aligned channels.

    Parameters
    ----------
    channels
        (samples, n_channels), n_channels >= 2, in order along the fibres, equally spaced.
    rate_hz
        Sampling rate.
    distance_m
        From each channel to the next.
    band_hz
        As in :func:`~myoloop.controllers.signals.features.spectral_band_hz`.

    Raises
    ------
    ValueError
        If there are fewer than two channels, the distance is not positive, the record is shorter than 20 delays of the
        slowest fibre, or the band is not usable.
    """
    samples = np.asarray(channels, dtype=np.float64)
    if samples.ndim != 2 or samples.shape[1] < 2:
        raise ValueError(f"channels has the shape {samples.shape}: conduction velocity needs two channels or more")
    if not (math.isfinite(distance_m) and distance_m > 0):
        raise ValueError(f"distance_m is {distance_m:g}, allowed is more than 0")
    longest_s = distance_m / _SEARCH_M_PER_S
    if len(samples) < 20 * longest_s * rate_hz:
        raise ValueError(
            f"{len(samples)} samples at {rate_hz:g} samples/s are too short for {distance_m * 1e3:g} mm: at least "
            f"{math.ceil(20 * longest_s * rate_hz)}"
        )
    low, high = spectral_band_hz(rate_hz, band_hz)
    if not np.isfinite(samples).all():
        return Conduction(math.nan, math.nan, math.nan, "samples that are not finite")
    frequencies = np.fft.rfftfreq(len(samples), 1 / rate_hz)
    inside = (frequencies >= low) & (frequencies <= high)
    lines = np.fft.rfft(samples - samples.mean(axis=0), axis=0)[inside]
    omega: Floats = (2 * np.pi * frequencies[inside]).astype(np.float64)
    cross = np.sum(np.conj(lines[:, :-1]) * lines[:, 1:], axis=1)
    size = np.sqrt(np.sum(np.abs(lines[:, :-1]) ** 2) * np.sum(np.abs(lines[:, 1:]) ** 2))
    if size <= 0:
        return Conduction(math.nan, math.nan, math.nan, "no power in the band")
    delay_s = _refine(cross, omega, _coarse(cross, omega, longest_s, high))
    correlation = float(np.sum((cross * np.exp(1j * omega * delay_s)).real) / size)
    velocity = distance_m / abs(delay_s) if delay_s != 0 else math.inf
    reason = ""
    if correlation < CORRELATION_MIN:
        reason = f"aligned channels correlate by {correlation:.2f}, at least {CORRELATION_MIN} is needed"
    elif not ALLOWED_M_PER_S[0] <= velocity <= ALLOWED_M_PER_S[1]:
        reason = f"{velocity:.3g} m/s is not within {ALLOWED_M_PER_S[0]} to {ALLOWED_M_PER_S[1]} m/s"
    return Conduction(math.nan if reason else velocity, delay_s, correlation, reason)


def _coarse(cross: npt.NDArray[np.complex128], omega: Floats, longest_s: float, high_hz: float) -> float:
    """The delay with the largest correlation, on a grid finer than a sixteenth of the shortest period."""
    count = 2 * math.ceil(longest_s * 16 * high_hz) + 1
    delays = np.linspace(-longest_s, longest_s, count)
    likely = [float(np.sum((cross * np.exp(1j * omega * delay)).real)) for delay in delays]
    return float(delays[int(np.argmax(likely))])


def _refine(cross: npt.NDArray[np.complex128], omega: Floats, delay_s: float) -> float:
    """Newton's method on the derivative of the correlation; it begins within a sixteenth of a period of the top."""
    for _ in range(_NEWTON_STEPS):
        turned = cross * np.exp(1j * omega * delay_s)
        first = -float(np.sum(omega * turned.imag))
        second = -float(np.sum(omega**2 * turned.real))
        if second >= 0:
            break
        delay_s -= first / second
    return delay_s
