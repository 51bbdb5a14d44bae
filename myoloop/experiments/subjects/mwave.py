"""The M-wave: what the fibres that a pulse recruits give together, and a late response of the spinal cord.

A pulse excites all recruited axons at once, so their potentials add up in step. Each bin of fibres of the muscle gives
one wave of two phases, a first derivative of a Gaussian,

``w(t) = -a z exp(-z^2 / 2)   with z = (t - latency - 2.6 width) / width   and width = width_fresh / velocity``

whose height is the bin's recruited share times the factor that the muscle gives it (potentiation, decline), whose
first phase grows by ``velocity^-p`` when conduction slows (a sign of impaired excitability: Rodriguez-Falces and Place
2018), and whose latency differs a little from bin to bin, and, for all of them, from pulse to pulse. The wave of a
fresh muscle that is recruited as a whole has the peak to peak the person is said to have.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from myoloop.experiments.subjects.distributions import LogNormal, Parameters, Uniform, parameter

Array = npt.NDArray[np.float64]

#: Of a Gaussian's first derivative ``-z exp(-z^2 / 2)``.
_PEAK_TO_PEAK = 2.0 * math.exp(-0.5)
#: The wave begins so many widths before its middle, and is over (to 1e-5 of its peak) so many after it.
_LEAD_WIDTHS, _TRAIL_WIDTHS = 2.6, 5.2
_WIDTH_S = 1.3e-3
#: After so long the late response is back to two thirds: depression after activation (our choice).
_DEPRESSION_S = 1.0
#: Duration of the late response in units of the M-wave's: afferents and synapses disperse it.
_LATE_DISPERSION = 1.3
_GOLDEN = 0.6180339887498949


@dataclass(frozen=True, kw_only=True)
class MwaveParameters(Parameters):
    """What a pulse evokes.

    Attributes
    ----------
    mwave_mv
        Peak to peak at full recruitment of the fresh muscle.
    mwave_width_ms
        Half of the time from its positive to its negative peak, fresh.
    mwave_latency_ms, mwave_latency_spread_ms
        Mean time from pulse to wave; standard deviation of it over the bins of fibres.
    mwave_jitter_us
        Standard deviation of the latency from pulse to pulse.
    mwave_first_phase
        Exponent with which the first phase grows when conduction slows.
    mwave_late_share, mwave_late_latency_ms
        Peak to peak of a late response like an H-reflex relative to the M-wave's, and its latency: largest at half
        recruitment, gone at full one, and depressed by pulses that follow one another within seconds.
    """

    mwave_mv: float = parameter(
        3.0, 0.0, 20.0, varies=LogNormal(3.0, 0.25), source="our choice; 2 to 7 mV in the FES cycling record"
    )
    mwave_width_ms: float = parameter(
        1.3, 0.5, 4.0, varies=Uniform(1.1, 1.5), source="our choice; 1.3 to 2.6 ms in the FES cycling record"
    )
    mwave_latency_ms: float = parameter(3.0, 1.0, 10.0, varies=Uniform(3.0, 5.0), source="science.md 4.4: 3 to 5 ms")
    mwave_latency_spread_ms: float = parameter(0.0, 0.0, 2.0, varies=Uniform(0.1, 0.5), source="our choice")
    mwave_jitter_us: float = parameter(0.0, 0.0, 500.0, varies=Uniform(30.0, 70.0), source="our choice: about 50 us")
    mwave_first_phase: float = parameter(
        0.0, 0.0, 2.0, varies=Uniform(0.0, 1.0), source="sense: Rodriguez-Falces and Place 2018; size: our choice"
    )
    mwave_late_share: float = parameter(0.0, 0.0, 1.0, source="our choice: none, unless a study asks for it")
    mwave_late_latency_ms: float = parameter(30.0, 20.0, 50.0, source="science.md 4.4: 25 to 40 ms")


def mwave(since_s: Array, velocity: float, width_s: float = _WIDTH_S, latency_s: float = 3.0e-3) -> Array:
    """M-wave of fibres of one velocity, of peak to peak 1, at times after the pulse."""
    width = width_s / velocity
    z = (since_s - latency_s - _LEAD_WIDTHS * width) / width
    shape: Array = -z * np.exp(-0.5 * z * z) / _PEAK_TO_PEAK
    return shape


@lru_cache(maxsize=64)
def _order(bins: int) -> Array:
    """Deviations of mean about 0 and spread about 1, in no order of the bins: latency goes with depth and size."""
    if bins == 1:
        return np.zeros(1)
    # Not scipy's: the first pulse must not wait for an import.
    places = np.mod((np.arange(bins) + 0.5) * _GOLDEN, 1.0)
    return np.clip([NormalDist().inv_cdf(place) for place in places.tolist()], -2.0, 2.0)


class Mwave:
    """M-waves of one muscle.

    Parameters
    ----------
    parameters
        Of that muscle.
    """

    def __init__(self, parameters: MwaveParameters) -> None:
        self._p = parameters
        self._width_s = parameters.mwave_width_ms * 1e-3
        self._latency_s = parameters.mwave_latency_ms * 1e-3
        self._unit: dict[int, float] = {}
        self._last_ns: int | None = None
        self._depressed = 0.0

    def lasts_s(self, velocity: Array) -> float:
        """Time from a pulse to the end of what it evokes."""
        p = self._p
        widths_s = (_LEAD_WIDTHS + _TRAIL_WIDTHS) * self._width_s / float(velocity.min())
        direct_s = self._latency_s + (2.0 * p.mwave_latency_spread_ms + 5e-3 * p.mwave_jitter_us) * 1e-3 + widths_s
        if p.mwave_late_share <= 0.0:
            return direct_s
        return max(direct_s, p.mwave_late_latency_ms * 1e-3 + _LATE_DISPERSION * widths_s)

    def evoked_v(
        self, t_ns: int, since_s: Array, shares: Array, velocity: Array, amplitude: Array, jitter: float
    ) -> Array:
        """What a pulse evokes.

        Parameters
        ----------
        t_ns
            Time of the pulse; only the differences count.
        since_s
            (n,) times after the pulse.
        shares
            (bins,) share of the whole muscle that is recruited in each bin; its sum is the muscle's recruitment.
        velocity, amplitude
            (bins,) relative conduction velocity; factor on the height.
        jitter
            Deviation of this pulse's latency, in standard deviations.
        """
        p = self._p
        latency_s = self._latencies_s(len(shares)) + 1e-6 * p.mwave_jitter_us * jitter
        heights_v = 1e-3 * p.mwave_mv * self._normal(len(shares)) * shares * amplitude
        wave = self._sum(since_s, latency_s, self._width_s / velocity, heights_v, velocity)
        if p.mwave_late_share > 0.0:
            wave += self._late(t_ns, since_s, shares, velocity)
        return wave

    def _latencies_s(self, bins: int) -> Array:
        spread: Array = self._latency_s + 1e-3 * self._p.mwave_latency_spread_ms * _order(bins)
        return spread

    def _sum(self, since_s: Array, latency_s: Array, widths_s: Array, heights_v: Array, velocity: Array) -> Array:
        z = (since_s[:, None] - (latency_s + _LEAD_WIDTHS * widths_s)) / widths_s
        waves = z * np.exp(-0.5 * z * z)
        if self._p.mwave_first_phase > 0.0:
            waves = np.where(z < 0.0, waves * velocity**-self._p.mwave_first_phase, waves)
        total: Array = waves @ (heights_v / -_PEAK_TO_PEAK)
        return total

    def _normal(self, bins: int) -> float:
        """Factor that gives the fresh, wholly recruited muscle its peak to peak though its bins are out of step."""
        if bins not in self._unit:
            self._unit[bins] = 1.0
            if self._p.mwave_latency_spread_ms > 0.0:
                ones = np.ones(bins)
                since_s = np.arange(0.0, self.lasts_s(ones), 2e-5)
                latency_s, shares = self._latencies_s(bins), ones / bins
                wave = self._sum(since_s, latency_s, self._width_s * ones, shares, ones)
                self._unit[bins] = 1.0 / float(np.ptp(wave))
        return self._unit[bins]

    def _late(self, t_ns: int, since_s: Array, shares: Array, velocity: Array) -> Array:
        p = self._p
        if self._last_ns is not None:
            self._depressed *= math.exp(-max(0, t_ns - self._last_ns) * 1e-9 / _DEPRESSION_S)
        recruited = min(1.0, float(shares.sum()))
        # What goes up the afferents comes back; what goes up the motor axons (all, at full recruitment) meets it.
        height_v = 1e-3 * p.mwave_mv * p.mwave_late_share * 4.0 * recruited * (1.0 - recruited)
        height_v *= 1.0 - self._depressed
        self._last_ns, self._depressed = t_ns, 1.0
        width_s = _LATE_DISPERSION * self._width_s
        return height_v * mwave(since_s, float(velocity.mean()), width_s, p.mwave_late_latency_ms * 1e-3)
