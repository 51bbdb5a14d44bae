"""One muscle: which share of it a pulse recruits, the force that gives, and how it tires and recovers.

Force and fatigue are Ding's model of 2003, with one change that is ours: the fatigue states are driven by the stress
of the recruited fibres, not by the absolute force, so that a muscle of which little is recruited tires like one of
which much is (driven by absolute force it would not tire at all below half recruitment). All recruited fibres
share one state in this version.

Equations, with x = Cn / (Km + Cn)::

    Cn(t) = (Cn0 + S0 t / tau_c) exp(-t / tau_c)     between pulses;  S <- S exp(-t / tau_c) + R at each
    R     = 1 + (R0 - 1) exp(-interval / tau_c)      R0 = Km_rest + 1.04;  R = 1 for the first
    dF/dt = A x - F / (tau1 + tau2 x)
    dA/dt = -(A - A_rest) / tau_fat + alpha_A F, and so for tau1 and Km

The closed form of Cn is exact; F follows exponentially over steps of 1 ms with x at their middle. Constants: Ding
2003 as re-tabulated in cocofest; golden values in ``tests/data/ding_golden.json``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from myoloop.experiments.subjects.distributions import LogNormal, Parameters, Uniform, parameter

TAU_C_S = 0.020
A_REST_N_S = 3009.0
TAU1_REST_S = 0.050957
TAU2_S = 0.060
KM_REST = 0.103
ALPHA_A_S2 = -0.40
ALPHA_TAU1_N = 2.1e-5
ALPHA_KM_S_N = 1.9e-5
R0 = KM_REST + 1.04

REFERENCE_PHASE_US = 250.0
#: Below this share of the axons fatigue fades out: one state for all fibres cannot mean a handful of them.
_POOL = 0.05
_RECRUITED_AT_LEAST = 1e-4
_VOLUNTARY_RISE_S = 0.08
_STEP_S = 0.001
_DECAY = math.exp(-_STEP_S / TAU_C_S)
#: Mean Cn of an endless 33 Hz train: the train that force capacity is measured with.
_CN_33HZ = 33.0 * TAU_C_S * (1.0 + (R0 - 1.0) * math.exp(-1.0 / (33.0 * TAU_C_S)))


def equivalent_charge_uc(current_ma: float, phase_us: float, chronaxie_us: float) -> float:
    """Charge of a 250 us pulse that excites as much as the given one (Weiss: I_th = I_rh (1 + t_c / width))."""
    return current_ma * 1e-3 * phase_us * (REFERENCE_PHASE_US + chronaxie_us) / (phase_us + chronaxie_us)


def recruitment(charge_uc: float, median_uc: float, spread: float) -> float:
    """Share of the motor axons that a pulse excites: log-normal distribution of their thresholds, 0 to 1."""
    if charge_uc <= 0.0:
        return 0.0
    return 0.5 * math.erfc((math.log(median_uc) - math.log(charge_uc)) / (spread * math.sqrt(2.0)))


def force_capacity_n(a_n_s: float, tau1_s: float, km: float) -> float:
    """Force of Ding's fully recruited muscle at the plateau of a 33 Hz train."""
    x = _CN_33HZ / (km + _CN_33HZ)
    return a_n_s * x * (tau1_s + TAU2_S * x)


_FRESH_N = force_capacity_n(A_REST_N_S, TAU1_REST_S, KM_REST)


@dataclass(frozen=True, kw_only=True)
class MuscleParameters(Parameters):
    """A muscle and the nerve to it.

    Attributes
    ----------
    recruitment_median_uc, recruitment_spread
        Charge per phase that recruits half of the motor axons under the pads, and the standard deviation of its
        natural logarithm over them; for a reference pulse of 250 us.
    chronaxie_us
        Of the strength-duration law.
    fatigue_rate
        Scales Ding's three fatigue coefficients; 0.70, 0.94 and 1.29 are able-bodied, acute and chronic spinal cord
        injury (`preset_fit`).
    recovery_s
        Time constant of recovery (Ding's tau_fat).
    voluntary_fatigue
        Share of the stress of a voluntary contraction that fatigues.
    cv_slowing
        Conduction velocity lost per unit of fatigue: 0.5 is 30 % at a fatigue of 0.6.
    strength
        Force relative to Ding's muscle, whose fresh maximum is 270 N.
    """

    recruitment_median_uc: float = parameter(
        5.0, 1.0, 50.0, varies=LogNormal(5.0, 0.08), source="our choice: half of the axons at 20 mA and 250 us"
    )
    recruitment_spread: float = parameter(
        0.35, 0.05, 1.5, varies=Uniform(0.28, 0.42), source="our choice: from a tenth to nine tenths in a factor of 2.5"
    )
    chronaxie_us: float = parameter(
        300.0, 50.0, 1000.0, varies=Uniform(250.0, 400.0), source="Weiss' law, surface stimulation (waveform_golden)"
    )
    fatigue_rate: float = parameter(
        0.5,
        0.0,
        3.0,
        varies=Uniform(0.4, 0.65),
        source="Bickel 2004: 0.70 to 1.29 (preset_fit); the demo tires less",
    )
    recovery_s: float = parameter(127.0, 10.0, 1000.0, varies=Uniform(110.0, 150.0), source="Ding 2003: 127 s")
    voluntary_fatigue: float = parameter(
        0.35, 0.0, 1.0, varies=Uniform(0.25, 0.45), source="our choice: voluntary units rotate and fire slowly"
    )
    cv_slowing: float = parameter(
        0.5, 0.0, 0.9, varies=LogNormal(0.5, 0.04), source="our choice: 10 to 30 % over a contraction"
    )
    strength: float = parameter(
        0.5, 0.05, 5.0, varies=LogNormal(0.5, 0.15), source="our choice: half of the quadriceps that Ding measured"
    )


@dataclass(slots=True)
class MuscleState:
    """Where a muscle stands.

    Attributes
    ----------
    cn, s
        Ding's calcium-troponin state and the sum that drives it.
    recruited
        Share recruited by the newest pulse.
    stress_n, stimulated_n, voluntary_n
        Force that full recruitment would give; force of the recruited share; force of voluntary effort and spasm.
    """

    cn: float = 0.0
    s: float = 0.0
    last_pulse_ns: int | None = None
    recruited: float = 0.0
    stress_n: float = 0.0
    stimulated_n: float = 0.0
    voluntary_n: float = 0.0
    a_n_s: float = A_REST_N_S
    tau1_s: float = TAU1_REST_S
    km: float = KM_REST


class Muscle:
    """A muscle that is stepped by blocks of whole milliseconds.

    Parameters
    ----------
    parameters
        Of the person.
    state
        Where it stands; fresh if not given.
    """

    def __init__(self, parameters: MuscleParameters, state: MuscleState | None = None) -> None:
        self._p = parameters
        self.state = state or MuscleState()

    @property
    def capacity(self) -> float:
        """Force capacity now over fresh; slightly above 1 while potentiated."""
        s = self.state
        return force_capacity_n(s.a_n_s, s.tau1_s, s.km) / _FRESH_N

    @property
    def fatigue(self) -> float:
        """1 - capacity, 0 to 1."""
        return min(1.0, max(0.0, 1.0 - self.capacity))

    @property
    def force_n(self) -> float:
        """Force now."""
        return (self.state.stimulated_n + self.state.voluntary_n) * self._p.strength

    def recruits(self, charge_uc: float) -> float:
        """Share that an equivalent charge per phase recruits."""
        return recruitment(charge_uc, self._p.recruitment_median_uc, self._p.recruitment_spread)

    def advance(self, t_from_ns: int, steps: int, pulses: list[tuple[int, float]], activation: float) -> list[float]:
        """Go on for `steps` milliseconds.

        Parameters
        ----------
        pulses
            (time, share recruited), in order of time, all within the span.
        activation
            Voluntary and involuntary activation, 0 to 1.

        Returns
        -------
        list of float
            Force in N at the end of each millisecond.
        """
        state = self.state
        span_s = steps * _STEP_S
        target_n = activation * _FRESH_N * max(0.0, self.capacity)
        follow = math.exp(-_STEP_S / _VOLUNTARY_RISE_S)
        if not pulses and state.cn < 1e-9 and state.stress_n < 1e-6:
            stress_sum = 0.0
            state.cn = state.s = state.stress_n = state.stimulated_n = 0.0
            voluntary = state.voluntary_n
            forces = []
            for _ in range(steps):
                voluntary = target_n + (voluntary - target_n) * follow
                forces.append(voluntary)
            state.voluntary_n = voluntary
        else:
            forces, stress_sum = self._contract(t_from_ns, steps, pulses, target_n, follow)
        self._tire(span_s, stress_sum / steps)
        strength = self._p.strength
        return [force * strength for force in forces]

    def _contract(
        self, t_from_ns: int, steps: int, pulses: list[tuple[int, float]], target_n: float, follow: float
    ) -> tuple[list[float], float]:
        state = self.state
        cn, s, stress, stimulated, voluntary = (
            state.cn, state.s, state.stress_n, state.stimulated_n, state.voluntary_n,
        )  # fmt: skip
        a, tau1, km, share = state.a_n_s, state.tau1_s, state.km, state.recruited
        waiting = [pulse for pulse in pulses if pulse[1] >= _RECRUITED_AT_LEAST]
        exp = math.exp
        forces = []
        stress_sum = 0.0
        end_ns = t_from_ns
        for _ in range(steps):
            begin_ns, end_ns = end_ns, end_ns + 1_000_000
            cn_before = cn
            if waiting and waiting[0][0] <= end_ns:
                at_ns = begin_ns
                while waiting and waiting[0][0] <= end_ns:
                    pulse_ns, share = waiting.pop(0)
                    since_s = max(0, pulse_ns - at_ns) * 1e-9
                    decay = exp(-since_s / TAU_C_S)
                    cn = (cn + s * since_s / TAU_C_S) * decay
                    s = s * decay + self._summation(pulse_ns)
                    at_ns = max(at_ns, pulse_ns)
                left_s = (end_ns - at_ns) * 1e-9
                decay = exp(-left_s / TAU_C_S)
                cn = (cn + s * left_s / TAU_C_S) * decay
                s *= decay
            else:
                cn = (cn + s * (_STEP_S / TAU_C_S)) * _DECAY
                s *= _DECAY
            middle = 0.5 * (cn_before + cn)
            x = middle / (km + middle)
            tau = tau1 + TAU2_S * x
            keep = exp(-_STEP_S / tau)
            full = a * x * tau * (1.0 - keep)
            stress = stress * keep + full
            stimulated = stimulated * keep + full * share
            voluntary = target_n + (voluntary - target_n) * follow
            stress_sum += stress
            # Fibres that stimulation holds cannot be held by the person as well.
            forces.append(stimulated + voluntary * (1.0 - share * x))
        state.cn, state.s, state.stress_n, state.stimulated_n, state.voluntary_n = (
            cn, s, stress, stimulated, voluntary,
        )  # fmt: skip
        state.recruited = share
        return forces, stress_sum

    def _summation(self, pulse_ns: int) -> float:
        last_ns, self.state.last_pulse_ns = self.state.last_pulse_ns, pulse_ns
        if last_ns is None:
            return 1.0
        return 1.0 + (R0 - 1.0) * math.exp(-max(0, pulse_ns - last_ns) * 1e-9 / TAU_C_S)

    def _tire(self, span_s: float, stress_n: float) -> None:
        state, p = self.state, self._p
        pool = min(1.0, state.recruited / _POOL)
        drive_n = (stress_n * pool + state.voluntary_n * p.voluntary_fatigue) * p.fatigue_rate
        state.a_n_s += span_s * (ALPHA_A_S2 * drive_n - (state.a_n_s - A_REST_N_S) / p.recovery_s)
        state.tau1_s += span_s * (ALPHA_TAU1_N * drive_n - (state.tau1_s - TAU1_REST_S) / p.recovery_s)
        state.km += span_s * (ALPHA_KM_S_N * drive_n - (state.km - KM_REST) / p.recovery_s)
        state.a_n_s = max(0.02 * A_REST_N_S, state.a_n_s)
