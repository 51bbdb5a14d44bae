"""Muscles: which fibres a pulse recruits, the force that gives, and how they tire and recover.

Force and fatigue are Ding's model of 2003 (:mod:`myoloop.experiments.subjects.ding`), with two changes that are ours.
A muscle is cut into bins of fibres by the threshold of their axons, each with calcium, force and fatigue of its own,
so that fibres that a stronger pulse adds are fresh. And the fatigue states of a bin are driven by its stress, the
force per recruited fibre, not by the muscle's absolute force: Ding's coefficients were identified at one strong
intensity, and driven by absolute force a muscle of which little is recruited would not tire, or would even grow
stronger, because tau1 lengthens faster than A falls.

The closed form of Cn is exact; F follows exponentially over steps of 1 ms with x at their middle; A, tau1 and Km
follow exponentially over a block, for its mean stress. Two electrical states of a bin go beside them, ours too::

    du/dt = (f' - u) / tau_u      f' = (1 - ec_share) (1 - capacity);  tau_u: falling and recovering differ
    dp/dt = (1 - p) stress / (fresh stress tau_p) - p / tau_r
    velocity = 1 - cv_slowing max(u, 0)         M-wave = (1 + mwave_potentiation p) (1 - mwave_fall max(u, 0))

so that with an ``ec_share`` (excitation-contraction failure) force is lost that no EMG shows.

All muscles of a person, or of many persons, are rows of the same arrays.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from myoloop.experiments.subjects.ding import (
    A_REST_N_S,
    ALPHA_A_S2,
    ALPHA_KM_S_N,
    ALPHA_TAU1_N,
    FRESH_N,
    KM_REST,
    R0,
    TAU1_REST_S,
    TAU2_S,
    TAU_C_S,
    force_capacity_n,
)
from myoloop.experiments.subjects.distributions import LogNormal, Parameters, Uniform, parameter

Array = npt.NDArray[np.float64]

#: Shares of the muscle, in order of the axons' thresholds, at which the bins begin and end. Finer at the bottom: a bin
#: of which a part is recruited tires as one, so the first must be small.
EDGES: Array = np.array([0.0, 0.01, 0.03, 0.07, 0.15, 0.25, 0.375, 0.5, 0.65, 0.8, 1.0])
SHARES: Array = np.diff(EDGES)
BINS = len(SHARES)

REFERENCE_PHASE_US = 250.0
#: Less than this of a bin is not recruited at all.
_RECRUITED_AT_LEAST = 0.01
_VOLUNTARY_RISE_S = 0.08
_STEP_S = 0.001
_POTENTIATION_RISE_S = 5.0
_POTENTIATION_FALL_S = 300.0
_LOWEST_VELOCITY = 0.3
#: Angle at which the electrodes' distance has changed by the whole of ``recruitment_angle_shift``.
_SHIFT_RAD = 1.0
_REST: Array = np.array([A_REST_N_S, TAU1_REST_S, KM_REST])[:, None, None]
_ALPHA: Array = np.array([ALPHA_A_S2, ALPHA_TAU1_N, ALPHA_KM_S_N])[:, None, None]


@dataclass(frozen=True, kw_only=True)
class MuscleParameters(Parameters):
    """A muscle and the nerve to it.

    Attributes
    ----------
    recruitment_median_uc, recruitment_spread
        Charge per phase that recruits half of the motor axons under the pads, and the standard deviation of its
        natural logarithm over them; for a reference pulse of 250 us.
    recruitment_angle_shift
        Share by which a charge must rise for the same recruitment when the muscle has moved its joint by 1 rad, as
        the electrode then lies farther from the nerve; negative: nearer.
    chronaxie_us
        Of the strength-duration law.
    fatigue_rate
        Scales Ding's three fatigue coefficients; 0.70, 0.94 and 1.29 are able-bodied, acute and chronic spinal cord
        injury (``preset_fit``).
    recovery_s
        Time constant of recovery (Ding's tau_fat).
    voluntary_fatigue
        Share of the stress of a voluntary contraction that fatigues.
    ec_share
        Share of the lost force that is lost between membrane and filament, and that EMG does not show.
    cv_slowing
        Conduction velocity lost per unit of fatigue that EMG shows: 0.5 is 30 % at a fatigue of 0.6.
    cv_fall_s, cv_recovery_s
        Time constants with which conduction velocity and M-wave follow fatigue, and with which they recover.
    mwave_potentiation, mwave_fall
        Share that an M-wave gains with use, and that it loses at a fatigue of 1.
    strength
        Force relative to Ding's muscle, whose fresh maximum is 270 N.
    """

    recruitment_median_uc: float = parameter(
        5.0, 1.0, 50.0, varies=LogNormal(5.0, 0.2), source="our choice: half of the axons at 20 mA and 250 us"
    )
    recruitment_spread: float = parameter(
        0.35, 0.05, 1.5, varies=Uniform(0.25, 0.5), source="our choice: from a tenth to nine tenths in a factor of 2.5"
    )
    recruitment_angle_shift: float = parameter(
        0.0, -0.5, 0.5, varies=Uniform(-0.2, 0.2), source="our choice: +-20 % as the skin slides over the nerve"
    )
    chronaxie_us: float = parameter(
        300.0, 50.0, 1000.0, varies=Uniform(250.0, 400.0), source="Weiss' law, surface stimulation (waveform_golden)"
    )
    fatigue_rate: float = parameter(
        0.5, 0.0, 3.0, varies=LogNormal(0.94, 0.12), source="Bickel 2004: 0.70 to 1.29 by group (preset_fit)"
    )
    recovery_s: float = parameter(127.0, 10.0, 1000.0, varies=LogNormal(127.0, 0.12), source="Ding 2003: 127 s")
    voluntary_fatigue: float = parameter(
        0.35, 0.0, 1.0, varies=Uniform(0.25, 0.45), source="our choice: voluntary units rotate and fire slowly"
    )
    ec_share: float = parameter(
        0.0, 0.0, 1.0, varies=Uniform(0.0, 0.6), source="our choice: M-waves fall little where force falls by half"
    )
    cv_slowing: float = parameter(
        0.5, 0.0, 0.9, varies=LogNormal(0.5, 0.15), source="our choice: 10 to 30 % over a fatiguing contraction"
    )
    cv_fall_s: float = parameter(
        2.0, 0.1, 300.0, varies=Uniform(2.0, 20.0), source="our choice: 30 to 90 s in all, most of it fatigue's own"
    )
    cv_recovery_s: float = parameter(
        10.0, 0.1, 1000.0,
        varies=Uniform(120.0, 300.0),
        source="our choice: 2 to 5 min, as potassium is cleared; where nobody is drawn EMG goes with force",
    )  # fmt: skip
    mwave_potentiation: float = parameter(
        0.0, 0.0, 0.5, varies=Uniform(0.0, 0.15), source="our choice: 0 to 15 % in the first contractions"
    )
    mwave_fall: float = parameter(
        0.2, 0.0, 1.0, varies=Uniform(0.1, 0.5), source="our choice: muscles differ (Vromans and Faghri 2017)"
    )
    strength: float = parameter(
        0.5, 0.05, 5.0, varies=LogNormal(0.5, 0.2), source="our choice: half of the quadriceps that Ding measured"
    )


def equivalent_charge_uc(current_ma: float, phase_us: float, chronaxie_us: float) -> float:
    """Charge of a 250 us pulse that excites as much as the given one (Weiss: I_th = I_rh (1 + t_c / width))."""
    return current_ma * 1e-3 * phase_us * (REFERENCE_PHASE_US + chronaxie_us) / (phase_us + chronaxie_us)


def recruitment(charge_uc: float, median_uc: float, spread: float) -> float:
    """Share of the motor axons that a pulse excites: log-normal distribution of their thresholds, 0 to 1."""
    if charge_uc <= 0.0:
        return 0.0
    return 0.5 * math.erfc((math.log(median_uc) - math.log(charge_uc)) / (spread * math.sqrt(2.0)))


def bins_recruited(share: npt.ArrayLike) -> Array:
    """Share of each bin's fibres that a pulse recruits which recruits `share` of the muscle: (..., bins), 0 to 1."""
    filled = (np.asarray(share, dtype=np.float64)[..., None] - EDGES[:-1]) / SHARES
    part: Array = np.minimum(1.0, np.maximum(0.0, filled))
    return part


class Recruited(NamedTuple):
    """A pulse, as a muscle gets it."""

    muscle: int
    t_ns: int
    share: float


class _Grid:
    """What calcium does by itself over a block of some milliseconds; steps along the first axis."""

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.middle_s: Array = ((np.arange(steps, dtype=np.float64) + 0.5) * _STEP_S)[:, None]
        since: Array = self.middle_s[:, :, None] / TAU_C_S
        self.keep: Array = np.exp(-since)
        self.rise: Array = since * self.keep
        self.end_keep = math.exp(-steps * _STEP_S / TAU_C_S)
        self.end_rise = steps * _STEP_S / TAU_C_S * self.end_keep
        self.follow: Array = np.exp(-np.arange(1.0, steps + 1.0) * (_STEP_S / _VOLUNTARY_RISE_S))[:, None]


_grid = lru_cache(maxsize=64)(_Grid)


def _ranks(pulses: Sequence[Recruited]) -> list[list[Recruited]]:
    """Pulses in order of time, grouped so that no group has two for one muscle."""
    groups: list[list[Recruited]] = []
    given: dict[int, int] = {}
    for pulse in pulses:
        rank = given.get(pulse.muscle, 0)
        given[pulse.muscle] = rank + 1
        if rank == len(groups):
            groups.append([])
        groups[rank].append(pulse)
    return groups


class Muscles:
    """Muscles that are stepped together, by blocks of whole milliseconds.

    Parameters
    ----------
    parameters
        One per muscle.
    apart
        Whether each muscle is the same to the last bit whatever others are stepped beside it: sums are made in an order
        that does not hang on how many there are, and a muscle at rest is not left out because all others rest too.

    Attributes
    ----------
    force_n
        Force of each muscle now, (muscles,).
    velocity_by_bin, mwave_by_bin
        Conduction velocity and M-wave of each bin's fibres relative to fresh, (muscles, bins).
    """

    def __init__(self, parameters: Sequence[MuscleParameters], *, apart: bool = False) -> None:
        def column(name: str) -> Array:
            return np.array([getattr(one, name) for one in parameters], dtype=np.float64)[:, None]

        self._p = tuple(parameters)
        self._apart = apart
        shape = (len(parameters), BINS)
        self._strength = column("strength")[:, 0]
        self._rate, self._recovery_s = column("fatigue_rate"), column("recovery_s")
        self._voluntary_fatigue = column("voluntary_fatigue")
        self._shown = 1.0 - column("ec_share")
        self._cv_slowing = column("cv_slowing")
        self._fall_s, self._recover_s = column("cv_fall_s"), column("cv_recovery_s")
        self._potentiation, self._mwave_fall = column("mwave_potentiation"), column("mwave_fall")
        self._last_s = np.full(shape, -math.inf)
        self._cn, self._s = np.zeros(shape), np.zeros(shape)
        self._part = np.zeros(shape)
        self._stress_n, self._evoked_n = np.zeros(shape), np.zeros(shape)
        self._voluntary_n = np.zeros(shape[0])
        self._slow = np.repeat(np.repeat(_REST, shape[0], axis=1), BINS, axis=2)
        self._seen, self._potentiated = np.zeros(shape), np.zeros(shape)
        self._capacity = np.ones(shape)
        self.velocity_by_bin, self.mwave_by_bin = np.ones(shape), np.ones(shape)
        self.force_n = np.zeros(shape[0])
        self._span_s = 0.0

    def __len__(self) -> int:
        return len(self._p)

    @property
    def slow_states(self) -> Array:
        """Ding's A in N/s, tau1 in s and Km of each bin: (3, muscles, bins)."""
        return self._slow.copy()

    @property
    def capacity(self) -> Array:
        """Force capacity now over fresh if all fibres were recruited; slightly above 1 while potentiated."""
        whole = self._over_bins(self._capacity)
        return whole

    @property
    def fatigue(self) -> Array:
        """1 - capacity, 0 to 1."""
        return np.minimum(1.0, np.maximum(0.0, 1.0 - self.capacity))

    @property
    def evoked_capacity(self) -> Array:
        """Force capacity per fibre that the latest pulses recruit, over fresh: what a response to them shows.

        NaN before the first pulse.
        """
        weight = self._part * SHARES
        total = weight.sum(axis=1)
        with np.errstate(invalid="ignore"):
            per_fibre: Array = np.where(total > 0.0, (weight * self._capacity).sum(axis=1) / total, np.nan)
        return per_fibre

    @property
    def velocity(self) -> Array:
        """Mean conduction velocity over fresh: of voluntary EMG, whose units are of all bins."""
        mean = self._over_bins(self.velocity_by_bin)
        return mean

    def recruits(self, muscle: int, charge_uc: float, angle_rad: float = 0.0) -> float:
        """Share that an equivalent charge per phase recruits, with the muscle's joint moved by `angle_rad`."""
        p = self._p[muscle]
        if p.recruitment_angle_shift:
            moved = max(-1.0, min(1.0, angle_rad / _SHIFT_RAD))
            charge_uc /= 1.0 + p.recruitment_angle_shift * moved
        return recruitment(charge_uc, p.recruitment_median_uc, p.recruitment_spread)

    def advance(self, t_from_ns: int, steps: int, pulses: Sequence[Recruited], activation: Array) -> Array:
        """Go on for `steps` milliseconds.

        Parameters
        ----------
        pulses
            In order of time, all within the span.
        activation
            Voluntary and involuntary activation of each muscle, 0 to 1: (muscles,).

        Returns
        -------
        array (steps, muscles)
            Force in N at the end of each millisecond.
        """
        times = _grid(steps)
        target_n = activation * FRESH_N * np.maximum(0.0, self.capacity)
        voluntary: Array = target_n + (self._voluntary_n - target_n) * times.follow
        self._voluntary_n = voluntary[-1]
        if not pulses and not self._apart and not self._busy():
            forces = voluntary
            stress: Array | float = 0.0
            self._last_s -= steps * _STEP_S
        else:
            evoked, held, stress = self._contract(t_from_ns, times, pulses)
            # Fibres that stimulation holds cannot be held by the person as well.
            forces = evoked + voluntary * (1.0 - held)
        self._tire(steps * _STEP_S, stress)
        made: Array = forces * self._strength
        self.force_n = made[-1]
        return made

    def _over_bins(self, values: Array) -> Array:
        """Mean over the bins (the last axis), each by its share of the muscle."""
        if self._apart:
            # A matrix product sums in an order of its own for every number of rows.
            whole: Array = (values * SHARES).sum(axis=-1)
        else:
            whole = values @ SHARES
        return whole

    def _busy(self) -> bool:
        if self._s.max() >= 1e-9 or self._cn.max() >= 1e-9 or self._stress_n.max() >= 1e-6:
            return True
        for quiet in (self._cn, self._s, self._stress_n, self._evoked_n):
            quiet[:] = 0.0
        return False

    def _contract(self, begin_ns: int, times: _Grid, pulses: Sequence[Recruited]) -> tuple[Array, Array, Array]:
        """Force of the recruited fibres, their share that is held, both (steps, muscles); mean stress of each bin."""
        middle: Array = times.keep * self._cn + times.rise * self._s
        end_cn = times.end_keep * self._cn + times.end_rise * self._s
        end_s = times.end_keep * self._s
        parts: Array | None = None
        if pulses:
            parts = np.repeat(self._part[None], times.steps, axis=0)
            for together in _ranks(pulses):
                self._excite(begin_ns, times, together, middle, end_cn, end_s, parts)
            self._part = parts[-1].copy()
        part = self._part if parts is None else parts
        self._cn, self._s = end_cn, end_s
        self._last_s -= times.steps * _STEP_S
        a, tau1, km = self._slow
        x = middle / (km + middle)
        tau = tau1 + TAU2_S * x
        keep = np.exp(-_STEP_S / tau)
        gained = a * x * tau * (1.0 - keep)
        # f_k = f_(k-1) keep_k + gained_k, for all steps at once; keep never gets near 0 within a block.
        kept = np.cumprod(keep, axis=0)
        stress: Array = kept * (self._stress_n + np.cumsum(gained / kept, axis=0))
        evoked: Array = kept * (self._evoked_n + np.cumsum(gained * part / kept, axis=0))
        mean_n = (0.5 * (self._stress_n - stress[-1]) + stress.sum(axis=0)) / times.steps
        self._stress_n, self._evoked_n = stress[-1], evoked[-1]
        return self._over_bins(evoked), self._over_bins(x * part), mean_n

    def _excite(
        self, begin_ns: int, times: _Grid, pulses: Sequence[Recruited],
        middle: Array, end_cn: Array, end_s: Array, parts: Array,
    ) -> None:  # fmt: skip
        """Add at most one pulse per muscle to what calcium does in the block."""
        rows = np.array([pulse.muscle for pulse in pulses])
        at_s: Array = np.array([max(0, pulse.t_ns - begin_ns) * 1e-9 for pulse in pulses])
        recruited = bins_recruited([pulse.share for pulse in pulses])
        hit = recruited >= _RECRUITED_AT_LEAST
        last_s, pulse_s = self._last_s[rows], at_s[:, None]
        summed = np.where(hit, 1.0 + (R0 - 1.0) * np.exp((last_s - pulse_s) * (1.0 / TAU_C_S)), 0.0)
        self._last_s[rows] = np.where(hit, pulse_s, last_s)
        since = (times.middle_s - at_s) * (1.0 / TAU_C_S)
        wave = np.where(since > 0.0, since * np.exp(-since), 0.0)
        middle[:, rows] += wave[:, :, None] * summed
        left = (times.steps * _STEP_S - pulse_s) * (1.0 / TAU_C_S)
        added = np.exp(-left) * summed
        end_cn[rows] += left * added
        end_s[rows] += added
        newer = (times.middle_s + 0.5 * _STEP_S >= at_s)[:, :, None] & hit
        parts[:, rows] = np.where(newer, recruited, parts[:, rows])

    def _tire(self, span_s: float, stress_n: Array | float) -> None:
        if span_s != self._span_s:
            self._span_s = span_s
            self._recovers: Array = np.exp(-span_s / self._recovery_s)
            self._falls: Array = 1.0 - np.exp(-span_s / self._fall_s)
            self._returns: Array = 1.0 - np.exp(-span_s / self._recover_s)
            self._driven: Array = _ALPHA * (self._rate * self._recovery_s)
        drive_n = stress_n + self._voluntary_n[:, None] * self._voluntary_fatigue
        goal = _REST + self._driven * drive_n
        self._slow = goal + (self._slow - goal) * self._recovers
        np.maximum(self._slow[0], 0.02 * A_REST_N_S, out=self._slow[0])
        self._capacity = force_capacity_n(*self._slow)
        self._capacity *= 1.0 / FRESH_N
        lacking = (1.0 - self._capacity) * self._shown - self._seen
        self._seen += lacking * np.where(lacking > 0.0, self._falls, self._returns)
        use = drive_n * (span_s / (FRESH_N * _POTENTIATION_RISE_S))
        self._potentiated += (1.0 - self._potentiated) * np.minimum(1.0, use)
        self._potentiated *= math.exp(-span_s / _POTENTIATION_FALL_S)
        seen = np.maximum(0.0, self._seen)
        self.velocity_by_bin = np.maximum(_LOWEST_VELOCITY, 1.0 - self._cv_slowing * seen)
        self.mwave_by_bin = (1.0 + self._potentiation * self._potentiated) * (1.0 - self._mwave_fall * seen)
