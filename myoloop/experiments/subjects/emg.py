"""What the electrodes and the amplifier see: voluntary EMG, M-waves, artifacts, noise, mains and the trigger.

The interference pattern is Gaussian noise with the Stulen-De Luca spectrum
``P(f) = k f_h^4 f^2 / ((f^2 + f_l^2) (f^2 + f_h^2)^2)``, whose corners move with the conduction velocity, and whose
power is proportional to 1 / velocity (Lindstroem: ``P(f; v) ~ G(f / v) / v^2``). As this spectrum is rational, the
noise is white noise through three first-order sections, here with poles by the matched z-transform and one extra
zero that makes up for the aliased tail; mean and median frequency come out within 0.3 % of the exact spectrum
(``tests/data/features_golden.json``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from myoloop.experiments.subjects.distributions import LogNormal, Parameters, Uniform, parameter

Array = npt.NDArray[np.float64]

#: The amplifier: +-5.5 mV over int16.
RAIL_V = 5.5e-3
COUNTS = 32767
VOLTS_PER_COUNT = RAIL_V / COUNTS

#: Nothing of a pulse is left in the EMG after this.
EVOKED_S = 0.020
#: The trigger line stays up this long, so that no amplifier above 1 kHz misses it.
TRIGGER_S = 0.001

_EXTRA_ZERO = 0.28
_CV_STEPS = 512

# Artifact: the amplifier's own rise time, the electrode's discharge, and its share. At 20 mA and 0.4 mV/mA less
# than 2 uV are left 4 ms after the pulse.
_RISE_S = 0.12e-3
_DISCHARGE_S = 0.42e-3
_DISCHARGE_SHARE = 0.35
#: The amplifier is AC coupled: of a longer phase only the edge is seen.
_LONGEST_EDGE_S = 1.0e-3
# M-wave: delay of nerve and synapse, then a first Gaussian derivative whose width goes with 1 / velocity.
_MWAVE_DELAY_S = 3.0e-3
_MWAVE_WIDTH_S = 1.3e-3
_MWAVE_PEAK_TO_PEAK = 2.0 * math.exp(-0.5)


@dataclass(frozen=True, kw_only=True)
class EmgParameters(Parameters):
    """What electrodes and amplifier see of a muscle.

    Attributes
    ----------
    emg_mvc_uv
        RMS of the EMG of a maximal voluntary contraction.
    emg_low_hz, emg_high_hz
        Corners of the Stulen-De Luca spectrum of the fresh muscle.
    emg_noise_uv, mains_uv, mains_hz
        RMS of electrode and amplifier noise, and of the mains hum.
    emg_crosstalk
        Share of another muscle's EMG that a channel sees.
    mwave_mv, mwave_fall
        Peak to peak of the M-wave at full recruitment; share of it lost at a fatigue of 1.
    artifact_mv_per_ma, artifact_crosstalk
        Stimulation artifact on the stimulated muscle's channels, and the share that the others get.
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
    emg_noise_uv: float = parameter(
        3.0, 0.1, 50.0, varies=Uniform(2.0, 4.0), source="our choice: gel electrodes on prepared skin"
    )
    mains_uv: float = parameter(1.5, 0.0, 200.0, varies=Uniform(0.5, 2.5), source="our choice: driven right leg")
    mains_hz: float = parameter(50.0, 45.0, 65.0, source="the grid: 50 or 60 Hz")
    emg_crosstalk: float = parameter(0.04, 0.0, 0.5, source="our choice: muscles that are neighbours")
    mwave_mv: float = parameter(
        3.0, 0.0, 20.0, varies=LogNormal(3.0, 0.25), source="our choice: bipolar surface electrodes"
    )
    mwave_fall: float = parameter(0.2, 0.0, 1.0, varies=Uniform(0.1, 0.3), source="our choice: late decline")
    artifact_mv_per_ma: float = parameter(0.4, 0.0, 5.0, varies=LogNormal(0.4, 0.3), source="our choice")
    artifact_crosstalk: float = parameter(0.12, 0.0, 1.0, source="our choice: electrodes on the same limb")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.emg_low_hz >= self.emg_high_hz:
            raise ValueError(f"emg_low_hz {self.emg_low_hz:g}: must be below emg_high_hz {self.emg_high_hz:g}")


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


def shaped_noise(
    rows: int,
    rate_hz: float,
    rng: np.random.Generator,
    *,
    low_hz: float = 60.0,
    high_hz: float = 120.0,
    velocity: float = 1.0,
) -> Array:
    """A stretch of interference pattern at once, from its equilibrium: the same process as the blocks of `Electrodes`.

    Returns
    -------
    array (rows,)
        Of variance ``1 / velocity``.
    """
    from scipy.signal import lfilter

    low, high = (math.exp(-2 * math.pi * corner * velocity / rate_hz) for corner in (low_hz, high_hz))
    numerator = np.convolve([1.0, -1.0], [1.0, _EXTRA_ZERO])
    denominator = np.convolve([1.0, -low], np.convolve([1.0, -high], [1.0, -high]))
    gain = math.sqrt(1.0 / (velocity * _variance(_one_sample(low_hz * velocity, high_hz * velocity, rate_hz))))
    # Nothing of the filter's begin is left after ten times the slowest time constant.
    settle = math.ceil(10.0 * rate_hz / (2 * math.pi * low_hz * velocity))
    shaped: Array = lfilter(gain * numerator, denominator, rng.standard_normal(settle + rows))[settle:]
    return shaped


def artifact(since_s: Array, phase_s: float) -> Array:
    """Stimulation artifact per unit of its plateau, at times after the leading edge."""
    width = min(phase_s, _LONGEST_EDGE_S)
    since = np.maximum(since_s, 0.0)

    def edge(begin: float) -> Array:
        after = np.maximum(since - begin, 0.0)
        rise: Array = (1.0 - np.exp(-after / _RISE_S)) * np.exp(-after / _DISCHARGE_S)
        return rise

    discharge = _DISCHARGE_SHARE * np.where(since > 2 * width, np.exp(-(since - 2 * width) / _DISCHARGE_S), 0.0)
    return edge(0.0) - 2.0 * edge(width) + edge(2 * width) - discharge


def mwave(since_s: Array, velocity: float) -> Array:
    """M-wave of peak to peak 1, at times after the pulse, for a relative conduction velocity."""
    width = _MWAVE_WIDTH_S / velocity
    z = (since_s - _MWAVE_DELAY_S - 2.6 * width) / width
    shape: Array = -z * np.exp(-0.5 * z * z) / _MWAVE_PEAK_TO_PEAK
    return shape


class Electrodes:
    """All EMG channels of one amplifier, the trigger channel last.

    Parameters
    ----------
    parameters
        One per muscle.
    channels
        How many EMG channels each muscle has.
    """

    def __init__(self, parameters: Sequence[EmgParameters], channels: list[int], rate_hz: float) -> None:
        self._p = parameters
        self._rate_hz = rate_hz
        ends = np.cumsum([0, *channels])
        self._columns = [slice(int(a), int(b)) for a, b in pairwise(ends)]
        self.channels = int(ends[-1])
        self._states = np.zeros((3, self.channels))
        self._mixing = np.eye(self.channels)
        self._noise_v = np.zeros(self.channels)
        self._mains_v = np.zeros(self.channels)
        for own, column in zip(parameters, self._columns, strict=True):
            self._noise_v[column] = own.emg_noise_uv * 1e-6
            self._mains_v[column] = own.mains_uv * 1e-6 * math.sqrt(2.0)
            for other in self._columns:
                if other is not column:
                    self._mixing[other, column] = own.emg_crosstalk
        self._mains_step = 2 * math.pi * parameters[0].mains_hz / rate_hz
        self._tail = int(EVOKED_S * rate_hz) + 2
        self._evoked_v = np.zeros((self._tail, self.channels))
        self._trigger: list[tuple[int, int]] = []
        self._samples = 0

    def evoke(
        self, muscle: int, since_ns: int, rows: int, current_ma: float, phase_us: float, share: float,
        velocity: float, fatigue: float,
    ) -> None:  # fmt: skip
        """Add what a pulse leaves in this block and the next ones.

        Parameters
        ----------
        since_ns
            Time from the pulse to the sample before the block's first; negative if it falls later.
        rows
            Of the block.
        share
            Of the muscle that it recruits.
        """
        self._reserve(rows)
        step_s = 1.0 / self._rate_hz
        first = max(0, math.floor(-since_ns * 1e-9 * self._rate_hz + 1e-9))
        last = min(len(self._evoked_v), first + self._tail - 1)
        since_s: Array = since_ns * 1e-9 + step_s * np.arange(first + 1, last + 1, dtype=np.float64)
        gone = since_s > EVOKED_S
        p = self._p[muscle]
        stray_v = artifact(since_s, phase_us * 1e-6) * (p.artifact_mv_per_ma * 1e-3 * current_ma)
        size_v = p.mwave_mv * 1e-3 * share * (1.0 - p.mwave_fall * fatigue)
        wave_v = mwave(since_s, velocity) * size_v
        stray_v[gone] = 0.0
        wave_v[gone] = 0.0
        for number, column in enumerate(self._columns):
            if number == muscle:
                self._evoked_v[first:last, column] += (stray_v + wave_v)[:, None]
            else:
                far = stray_v * p.artifact_crosstalk + wave_v * p.emg_crosstalk
                self._evoked_v[first:last, column] += far[:, None]
        high = max(1, round(TRIGGER_S * self._rate_hz))
        self._trigger.append((first, first + high))

    def block(
        self, rows: int, activation: list[tuple[float, float]], velocity: list[float], rng: np.random.Generator
    ) -> npt.NDArray[np.int16]:
        """Make a block.

        Parameters
        ----------
        activation
            Per muscle, at the block's begin and end, 0 to 1.
        velocity
            Per muscle, relative conduction velocity.

        Returns
        -------
        int16 array (rows, channels + 1)
            Counts; the trigger last, 0 or 1.
        """
        self._reserve(rows)
        white = rng.standard_normal((3 + 2 * rows, self.channels))
        white[:3] = self._states
        volts = np.empty((rows, self.channels))
        ramp = np.arange(1, rows + 1) / rows
        for p, column, (before, after), v in zip(self._p, self._columns, activation, velocity, strict=True):
            step = min(_CV_STEPS, max(_CV_STEPS // 16, round(v * _CV_STEPS)))
            matrix = shaping_matrix(p.emg_low_hz, p.emg_high_hz, step, self._rate_hz, rows)
            shaped = matrix @ white[: 3 + rows, column]
            self._states[:, column] = shaped[rows:]
            level_v = (before + (after - before) * ramp) * (p.emg_mvc_uv * 1e-6)
            volts[:, column] = shaped[:rows] * level_v[:, None]
        if len(self._columns) > 1:
            volts = volts @ self._mixing
        volts += white[3 + rows :] * self._noise_v
        phase = self._mains_step * (np.arange(rows) + self._samples)
        volts += np.sin(phase)[:, None] * self._mains_v
        volts += self._evoked_v[:rows]
        self._evoked_v[:-rows] = self._evoked_v[rows:]
        self._evoked_v[-rows:] = 0.0
        self._samples += rows
        counts = np.zeros((rows, self.channels + 1), dtype=np.int16)
        counts[:, :-1] = np.clip(np.rint(volts * (1.0 / VOLTS_PER_COUNT)), -COUNTS, COUNTS)
        self._sample_trigger(counts[:, -1])
        return counts

    def _sample_trigger(self, line: npt.NDArray[np.int16]) -> None:
        if not self._trigger:
            return
        rows = len(line)
        still = []
        for begin, end in self._trigger:
            line[max(0, begin) : max(0, min(end, rows))] = 1
            if end > rows:
                still.append((begin - rows, end - rows))
        self._trigger = still

    def _reserve(self, rows: int) -> None:
        """Room for a block and the tail of a pulse at its very end."""
        missing = rows + self._tail - len(self._evoked_v)
        if missing > 0:
            self._evoked_v = np.vstack([self._evoked_v, np.zeros((missing, self.channels))])
