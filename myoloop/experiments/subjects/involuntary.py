"""When spasms come: a semi-Markov process over rest and the kinds of spasm.

From rest, the hazard of an onset is, for each muscle,

``h = rate / muscles * e * (1 + g_stretch * stretch + g_step * step + g_fatigue * fatigue)``

with `e` below 1 while a voluntary effort is held, `stretch` the speed at which the muscle is being lengthened, and
`step` the rise of the stimulation current, forgotten over half a second. A spasm lasts as long as it was drawn to;
after it comes a pause without onsets, or, with a probability of the person's own, at once another one (after a tonic
one a clonus). That the hazard rises with stretch, with steps of intensity and with fatigue is established; how much is
our choice.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from myoloop.experiments.subjects.distributions import LogNormal, Parameters, Same, Uniform, parameter
from myoloop.experiments.subjects.spasms import Course, Spasm, draw_spasm

Array = npt.NDArray[np.float64]

_PAUSE_S = 2.5
_SHORT_PAUSE_S = (0.5, 1.2)
_LEVEL_SPREAD = 0.15
_STEP_FORGOTTEN_S = 0.5


@dataclass(frozen=True, kw_only=True)
class InvoluntaryParameters(Parameters):
    """What the muscles do without being told.

    Attributes
    ----------
    resting_tone
        Activation at rest.
    spasm_rate_per_min, spasm_in_effort
        Mean rate of spasms at rest; factor on it while a voluntary effort is held. The population has few of those: a
        spasm no stronger than the effort it falls into cannot be told from it by EMG, and the estimate says so.
    spasm_level
        Median activation of a spasm.
    spasm_tonic_share
        Share of spasms that are tonic.
    spasm_burst_weight, spasm_unit_weight, spasm_clonus_weight, spasm_myoclonus_weight
        How the others are divided among the other kinds.
    first_spasm_s
        None comes earlier.
    spasm_rise_ms, spasm_ebb_s
        Of a tonic drive: time to its level; time over which it ebbs away to a tenth, 0 where it stops at once.
    spasm_shortest_s, spasm_longest_s
        For so long a tonic drive holds.
    spasm_chained
        Probability that another one follows at once.
    spasm_joined
        Probability, for each other muscle, that it takes part.
    spasm_stretch_gain_s, spasm_step_gain_per_ma, spasm_fatigue_gain
        What raises the hazard: per rad/s of lengthening, per mA of a step of stimulation, per unit of fatigue.
    spasm_unit_size
        Peak to peak of a single motor unit's potential, relative to the RMS of a maximal contraction.
    clonus_hz, clonus_jitter
        Rate of clonus; standard deviation of an interval, relative.
    """

    resting_tone: float = parameter(0.008, 0.0, 0.2, source="our choice: below what a surface electrode resolves")
    spasm_rate_per_min: float = parameter(
        6.0, 0.0, 30.0, varies=Uniform(5.0, 8.0), source="our choice: enough for a figure in a session of minutes"
    )
    spasm_in_effort: float = parameter(0.02, 0.0, 2.0, source="our choice: effort inhibits, see above")
    spasm_level: float = parameter(
        0.4, 0.02, 1.0, varies=LogNormal(0.4, 0.12), source="our choice: as strong as a moderate effort"
    )
    spasm_tonic_share: float = parameter(0.6, 0.0, 1.0, varies=Uniform(0.4, 0.8), source="our choice")
    spasm_burst_weight: float = parameter(
        1.0, 0.0, 1.0, varies=Same(0.0), source="our choice: a kind of the demonstration, not of people"
    )
    spasm_unit_weight: float = parameter(
        0.0, 0.0, 1.0, varies=Uniform(0.1, 0.5), source="kinds: Thomas 2014; shares: our choice"
    )
    spasm_clonus_weight: float = parameter(
        0.0, 0.0, 1.0, varies=Uniform(0.3, 1.0), source="kinds: Thomas 2014; shares: our choice"
    )
    spasm_myoclonus_weight: float = parameter(
        0.0, 0.0, 1.0, varies=Uniform(0.1, 0.5), source="kinds: Thomas 2014; shares: our choice"
    )
    first_spasm_s: float = parameter(8.0, 0.0, 3600.0, source="our choice: a baseline can be learnt before it")
    spasm_rise_ms: float = parameter(60.0, 20.0, 500.0, varies=Uniform(60.0, 150.0), source="science.md 4.4")
    spasm_ebb_s: float = parameter(
        0.0, 0.0, 10.0, varies=Uniform(1.0, 5.0), source="science.md 4.4: like a persistent inward current"
    )
    spasm_shortest_s: float = parameter(0.4, 0.1, 10.0, source="our choice")
    spasm_longest_s: float = parameter(2.0, 0.1, 60.0, source="our choice")
    spasm_chained: float = parameter(0.0, 0.0, 1.0, varies=Uniform(0.0, 0.3), source="our choice")
    spasm_joined: float = parameter(0.0, 0.0, 1.0, varies=Uniform(0.0, 0.3), source="our choice")
    spasm_stretch_gain_s: float = parameter(0.0, 0.0, 20.0, varies=Uniform(0.5, 3.0), source="our choice")
    spasm_step_gain_per_ma: float = parameter(0.0, 0.0, 5.0, varies=Uniform(0.02, 0.2), source="our choice")
    spasm_fatigue_gain: float = parameter(0.0, 0.0, 10.0, varies=Uniform(0.0, 1.0), source="our choice")
    spasm_unit_size: float = parameter(
        0.3, 0.01, 3.0, varies=LogNormal(0.3, 0.2), source="our choice: 120 uV where a maximal contraction has 400 uV"
    )
    clonus_hz: float = parameter(6.0, 4.5, 7.5, varies=Uniform(4.7, 7.3), source="science.md 4.4: 4.5 to 7.5 Hz")
    clonus_jitter: float = parameter(0.04, 0.0, 0.1, varies=Uniform(0.03, 0.05), source="science.md 4.4")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.spasm_shortest_s > self.spasm_longest_s:
            raise ValueError(
                f"spasm_shortest_s {self.spasm_shortest_s:g}: must not exceed spasm_longest_s {self.spasm_longest_s:g}"
            )

    def spasm_kinds(self) -> dict[str, float]:
        """Probability of each kind of spasm; only tonic ones where no other kind has a weight."""
        weights = {
            "burst": self.spasm_burst_weight,
            "unit": self.spasm_unit_weight,
            "clonus": self.spasm_clonus_weight,
            "myoclonus": self.spasm_myoclonus_weight,
        }
        total = sum(weights.values())
        if total <= 0.0:
            return {"tonic": 1.0}
        others = (1.0 - self.spasm_tonic_share) / total
        return {"tonic": self.spasm_tonic_share, **{kind: others * weight for kind, weight in weights.items()}}

    def spasm_course(self) -> Course:
        """What this person's spasms have in common."""
        return Course(
            rise_s=self.spasm_rise_ms * 1e-3,
            ebb_s=self.spasm_ebb_s,
            shortest_s=self.spasm_shortest_s,
            longest_s=self.spasm_longest_s,
            clonus_hz=self.clonus_hz,
            clonus_jitter=self.clonus_jitter,
            unit_size=self.spasm_unit_size,
        )


class SpasmGenerator:
    """At most one spasm at a time, in any of the person's muscles.

    Call :meth:`step` for a span, then :meth:`activation` and :meth:`discharges` for the same span.

    Parameters
    ----------
    rng
        Three numbers are taken per step, whatever comes of them; what an event looks like is drawn from a generator
        of its own. So what is done to the person moves onsets, but not what is drawn later.
    start_ns
        When the person's time begins.
    """

    def __init__(
        self, parameters: InvoluntaryParameters, muscles: int, rng: np.random.Generator, start_ns: int
    ) -> None:
        self._p = parameters
        self._kinds = list(parameters.spasm_kinds().items())
        self._course = parameters.spasm_course()
        self._muscles = muscles
        self._rng = rng
        self._quiet_until_ns = start_ns + int(parameters.first_spasm_s * 1e9)
        self._next: Spasm | None = None
        self._stepped_ma = 0.0
        self._seen: tuple[Spasm, ...] = ()
        self.now: Spasm | None = None

    def step(
        self,
        t_from_ns: int,
        t_to_ns: int,
        in_effort: bool,
        *,
        stretch_rad_s: float | Sequence[float] = 0.0,
        step_ma: float = 0.0,
        fatigue: float | Sequence[float] = 0.0,
        calm: float = 1.0,
    ) -> tuple[Spasm | None, Spasm | None]:
        """Go on; give back the spasm that began and the one that ended in this span.

        Parameters
        ----------
        in_effort
            Whether a voluntary effort is held.
        stretch_rad_s
            Joint velocity that lengthens the muscle, of all muscles or of each; shortening (below 0) does nothing.
        step_ma
            By how much the largest stimulation current rose within the span; 0 where it did not.
        fatigue
            Of all muscles or of each, 0 to 1.
        calm
            Factor on the rate: what a planted effect leaves of it.
        """
        self._seen = () if self.now is None else (self.now,)
        ended = None
        if self.now is not None and self.now.end_ns <= t_to_ns:
            ended, self.now = self.now, None
            if self._next is None:
                self._quiet_until_ns = ended.end_ns + int(_PAUSE_S * 1e9)
        chance, place, seed = self._rng.random(3)
        span_ns = t_to_ns - t_from_ns
        self._stepped_ma = self._stepped_ma * math.exp(-span_ns * 1e-9 / _STEP_FORGOTTEN_S) + max(0.0, step_ma)
        if self.now is not None:
            return None, ended
        if self._next is not None:
            if self._next.onset_ns >= t_to_ns:
                return None, ended
            self.now, self._next = self._next, None
            self._seen = (*self._seen, self.now)
            return self.now, ended
        if t_from_ns < self._quiet_until_ns or self._p.spasm_rate_per_min <= 0.0:
            return None, ended
        hazards_per_ns = [calm * hazard for hazard in self._hazards(in_effort, stretch_rad_s, fatigue)]
        hazard_per_ns = sum(hazards_per_ns)
        if chance >= -math.expm1(-hazard_per_ns * span_ns):
            return None, ended
        rng = np.random.Generator(np.random.PCG64(int(seed * 2**53)))
        onset_ns = t_from_ns + int(place * span_ns)
        first = _pick(hazards_per_ns, rng.random() * hazard_per_ns)
        self.now = self._draw(_pick_kind(self._kinds, rng.random()), first, onset_ns, rng)
        if rng.random() < self._p.spasm_chained:
            begin_ns = self.now.end_ns + int(rng.uniform(*_SHORT_PAUSE_S) * 1e9)
            followers = [one for one in self._kinds if one[0] != "tonic" and one[1] > 0.0]
            clonic = self.now.kind == "tonic" and self._p.spasm_clonus_weight > 0.0
            kind = "clonus" if clonic else _pick_kind(followers or self._kinds, rng.random())
            self._next = self._draw(kind, first, begin_ns, rng)
        self._seen = (*self._seen, self.now)
        return self.now, ended

    def provoke(self, muscle: int, onset_ns: int, kind: str = "tonic") -> Spasm | None:
        """Have a spasm begin at a time, whatever the hazard is; None where one is under way or coming.

        Its course is drawn from a generator of its own, so that nothing that is drawn later moves.
        """
        if self.now is not None or self._next is not None:
            return None
        rng = np.random.Generator(np.random.PCG64(onset_ns))
        self._next = self._draw(kind, muscle, onset_ns, rng)
        return self._next

    def activation(self, t_from_ns: int, steps: int) -> Array | None:
        """Involuntary activation within the span stepped last.

        Returns
        -------
        array (muscles, steps + 1)
            At its begin and at the end of each ms, 0 to 1; None where there is none.
        """
        if not self._seen:
            return None
        times = t_from_ns + 1_000_000 * np.arange(steps + 1)
        drive = np.zeros((self._muscles, steps + 1))
        for spasm in self._seen:
            drive[list(spasm.muscles)] += spasm.activation(times)
        return drive

    def discharges(self, t_from_ns: int, t_to_ns: int) -> list[tuple[int, int, float]]:
        """Single motor units' potentials that begin within the span stepped last.

        Returns
        -------
        list of (muscle, time in ns, size)
            Size: peak to peak relative to the RMS of a maximal contraction of that muscle.
        """
        return [
            (muscle, t_ns, size)
            for spasm in self._seen
            for t_ns, size in spasm.discharges
            if t_from_ns <= t_ns < t_to_ns
            for muscle in spasm.muscles
        ]

    def _hazards(
        self, in_effort: bool, stretch_rad_s: float | Sequence[float], fatigue: float | Sequence[float]
    ) -> list[float]:
        p = self._p
        base = p.spasm_rate_per_min / 60e9 / self._muscles * (p.spasm_in_effort if in_effort else 1.0)
        stretches, fatigues = self._each(stretch_rad_s), self._each(fatigue)
        stepped = 1.0 + p.spasm_step_gain_per_ma * self._stepped_ma
        return [
            base * (stepped + p.spasm_stretch_gain_s * max(0.0, stretch) + p.spasm_fatigue_gain * max(0.0, tired))
            for stretch, tired in zip(stretches, fatigues, strict=True)
        ]

    def _each(self, value: float | Sequence[float]) -> Sequence[float]:
        return value if isinstance(value, Sequence) else [value] * self._muscles

    def _draw(self, kind: str, first: int, onset_ns: int, rng: np.random.Generator) -> Spasm:
        joins = rng.random(self._muscles) < self._p.spasm_joined
        others = tuple(muscle for muscle in range(self._muscles) if joins[muscle] and muscle != first)
        level = min(1.0, self._p.spasm_level * math.exp(_LEVEL_SPREAD * rng.standard_normal()))
        return draw_spasm(kind, (first, *others), onset_ns, level, self._course, rng)


def _pick(weights: Sequence[float], at: float) -> int:
    """Which of the weights, laid end to end, a place falls on."""
    for number, weight in enumerate(weights):
        at -= weight
        if at < 0.0:
            return number
    return len(weights) - 1


def _pick_kind(kinds: Sequence[tuple[str, float]], place: float) -> str:
    weights = [weight for _, weight in kinds]
    return kinds[_pick(weights, place * sum(weights))][0]
