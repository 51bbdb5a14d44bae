"""Voluntary and involuntary EMG: an interference pattern with an exact spectrum that slows as conduction does.

The pattern is Gaussian noise with the Stulen-De Luca spectrum
``P(f) = k f_h^4 f^2 / ((f^2 + f_l^2) (f^2 + f_h^2)^2)``, whose corners move with the conduction velocity, and whose
power is proportional to 1 / velocity (Lindstroem: ``P(f; v) ~ G(f / v) / v^2``). As this spectrum is rational, the
noise is white noise through three first-order sections, here with poles by the matched z-transform and one extra
zero that makes up for the aliased tail; from 1.5 kHz on mean and median frequency come out within 0.1 % of the exact
spectrum, which :mod:`~myoloop.experiments.subjects.spectrum` gives; at 1 kHz, where the band ends at the Nyquist
frequency, within 1 %.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from myoloop.experiments.subjects.distributions import LogNormal, Parameters, Uniform, parameter

Array = npt.NDArray[np.float64]

_EXTRA_ZERO = 0.28
_CV_STEPS = 512
_SLOWEST_STEP = _CV_STEPS // 16


@dataclass(frozen=True, kw_only=True)
class EmgParameters(Parameters):
    """EMG of a muscle that is driven by the person's own nerves.

    Attributes
    ----------
    emg_mvc_uv
        RMS of the EMG of a maximal voluntary contraction.
    emg_low_hz, emg_high_hz
        Corners of the Stulen-De Luca spectrum of the fresh muscle.
    emg_crosstalk
        Share of another muscle's EMG that a channel sees.
    """

    emg_mvc_uv: float = parameter(
        400.0, 20.0, 2000.0, varies=LogNormal(400.0, 0.25), source="our choice: surface EMG of a limb muscle"
    )
    emg_low_hz: float = parameter(
        60.0, 20.0, 100.0, varies=LogNormal(60.0, 0.05), source="Stulen and De Luca 1981, as fitted in features_golden"
    )
    emg_high_hz: float = parameter(
        120.0, 40.0, 200.0,
        varies=LogNormal(120.0, 0.05),
        source="Stulen and De Luca 1981, as fitted in features_golden",
    )  # fmt: skip
    emg_crosstalk: float = parameter(
        0.04, 0.0, 0.5, varies=Uniform(0.02, 0.1), source="our choice: muscles that are neighbours"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.emg_low_hz >= self.emg_high_hz:
            raise ValueError(f"emg_low_hz {self.emg_low_hz:g}: must be below emg_high_hz {self.emg_high_hz:g}")


class InterferencePattern:
    """The noise of all channels, made in blocks that go on from one another.

    Parameters
    ----------
    parameters, channels
        Of each muscle; how many channels each has.
    """

    def __init__(self, parameters: Sequence[EmgParameters], channels: Sequence[int], rate_hz: float) -> None:
        self._corners = [(p.emg_low_hz, p.emg_high_hz) for p in parameters]
        self._channels = tuple(channels)
        self._rate_hz = rate_hz
        self._states = np.zeros((sum(channels), 3, 1))
        self._shaping: dict[tuple[int, ...], Array] = {}

    def block(self, white: Array, velocity: Sequence[float]) -> Array:
        """Shape white noise.

        Parameters
        ----------
        white
            (rows, channels), of variance 1.
        velocity
            Relative conduction velocity of each muscle; the finest step is 1/512.

        Returns
        -------
        array (rows, channels)
            Of variance ``1 / velocity``.

        Raises
        ------
        ValueError
            If a velocity is not a number.
        """
        rows = len(white)
        steps = [min(_CV_STEPS, max(_SLOWEST_STEP, round(float(v) * _CV_STEPS))) for v in velocity]
        given = np.concatenate([self._states, white.T[:, :, None]], axis=1)
        shaped: Array = self._stack(rows, steps) @ given
        self._states = shaped[:, rows:]
        return shaped[:, :rows, 0].T

    def _stack(self, rows: int, steps: Sequence[int]) -> Array:
        """The shaping of every channel, (channels, rows + 3, rows + 3)."""
        key = (rows, *steps)
        if key not in self._shaping:
            # Velocities move slowly: the newest few are all that is needed.
            if len(self._shaping) >= 32:
                self._shaping.clear()
            matrices = [
                shaping_matrix(low, high, step, self._rate_hz, rows)
                for (low, high), step in zip(self._corners, steps, strict=True)
            ]
            self._shaping[key] = np.repeat(np.stack(matrices), self._channels, axis=0)
        return self._shaping[key]


@lru_cache(maxsize=4096)
def shaping_matrix(low_hz: float, high_hz: float, cv_step: int, rate_hz: float, rows: int) -> Array:
    """Noise shaping of a block as one product: (output rows and 3 new states) from (3 states and white rows).

    Its output has a variance of 1 for a relative conduction velocity of 1, and 1 / velocity else.

    Parameters
    ----------
    cv_step
        Relative conduction velocity in steps of 1/512.

    Returns
    -------
    array (rows + 3, rows + 3)
    """
    velocity = cv_step / _CV_STEPS
    one = _one_sample(low_hz * velocity, high_hz * velocity, rate_hz)
    gain = math.sqrt(1.0 / (velocity * _variance(one)))
    state = np.eye(3, 3 + rows)
    outputs = []
    for row in range(rows):
        given = np.vstack([state, np.eye(1, 3 + rows, 3 + row)])
        step = one @ given
        outputs.append(step[0] * gain)
        state = step[1:]
    return np.vstack([np.array(outputs), state])


def shaping_filter(low_hz: float, high_hz: float, velocity: float, rate_hz: float) -> tuple[Array, Array]:
    """Make the same shaping as a filter: numerator and denominator in ``z^-1``, for white noise of variance 1."""
    low, high = (math.exp(-2 * math.pi * corner * velocity / rate_hz) for corner in (low_hz, high_hz))
    gain = math.sqrt(1.0 / (velocity * _variance(_one_sample(low_hz * velocity, high_hz * velocity, rate_hz))))
    numerator: Array = gain * np.convolve([1.0, -1.0], [1.0, _EXTRA_ZERO])
    denominator: Array = np.convolve([1.0, -low], np.convolve([1.0, -high], [1.0, -high]))
    return numerator, denominator


def shaped_noise(
    rows: int,
    rate_hz: float,
    rng: np.random.Generator,
    *,
    low_hz: float = 60.0,
    high_hz: float = 120.0,
    velocity: float = 1.0,
) -> Array:
    """A stretch of interference pattern at once, in equilibrium from its begin.

    Returns
    -------
    array (rows,)
        Of variance ``1 / velocity``.
    """
    from scipy.signal import lfilter

    numerator, denominator = shaping_filter(low_hz, high_hz, velocity, rate_hz)
    # Nothing of the filter's begin is left after ten times the slowest time constant.
    settle = math.ceil(10.0 * rate_hz / (2 * math.pi * low_hz * velocity))
    shaped: Array = lfilter(numerator, denominator, rng.standard_normal(settle + rows))[settle:]
    return shaped


def _one_sample(low_hz: float, high_hz: float, rate_hz: float) -> Array:
    """One sample: (output, 3 new states) from (3 states, white)."""
    low, high = math.exp(-2 * math.pi * low_hz / rate_hz), math.exp(-2 * math.pi * high_hz / rate_hz)
    keep_low = np.array([low, 0.0, 0.0, 1.0])
    # High-pass: the difference of the first section's states; then two low-passes; then the zero.
    high_passed = keep_low - np.array([1.0, 0.0, 0.0, 0.0])
    first = np.array([0.0, high, 0.0, 0.0]) + high_passed
    second = np.array([0.0, 0.0, high, 0.0]) + first
    output = second + _EXTRA_ZERO * np.array([0.0, 0.0, 1.0, 0.0])
    return np.vstack([output, keep_low, first, second])


def _variance(one: Array) -> float:
    """Variance of the output for white noise of variance 1, states in equilibrium."""
    a, b = one[1:, :3], one[1:, 3]
    stacked = np.eye(9) - np.kron(a, a)
    covariance = np.linalg.solve(stacked, np.outer(b, b).ravel()).reshape(3, 3)
    return float(one[0, :3] @ covariance @ one[0, :3] + one[0, 3] ** 2)
