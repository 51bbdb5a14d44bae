"""Spasms: involuntary activation that comes when it will.

Onsets are a Poisson process whose rate falls while a voluntary effort is held, with a pause after each spasm. A tonic
spasm holds its level; a burst one swells and ebbs at 4 to 7 Hz without falling silent, so that it is one event.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from myoloop.experiments.subjects.distributions import LogNormal, Parameters, Uniform, parameter

_PAUSE_S = 2.5
_RISE_S = 0.06
_FALL_S = 0.10
_SHORTEST_S, _LONGEST_S = 0.4, 2.0
_LEVEL_SPREAD = 0.15


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
    spasm_level, spasm_tonic_share
        Median activation of a spasm; share of spasms that are tonic, the others come in bursts.
    first_spasm_s
        None comes earlier.
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
    first_spasm_s: float = parameter(8.0, 0.0, 3600.0, source="our choice: a baseline can be learnt before it")


@dataclass(frozen=True, slots=True)
class Spasm:
    """One spasm; rise and fall lie within its onset and end.

    Attributes
    ----------
    kind
        ``tonic`` or ``burst``.
    level
        Activation it reaches, 0 to 1.
    """

    muscle: int
    onset_ns: int
    end_ns: int
    kind: str
    level: float
    burst_hz: float = 0.0

    def activation(self, t_ns: int) -> float:
        """Involuntary activation at a time."""
        if not self.onset_ns <= t_ns < self.end_ns:
            return 0.0
        since_s, left_s = (t_ns - self.onset_ns) * 1e-9, (self.end_ns - t_ns) * 1e-9
        level = self.level * min(1.0, since_s / _RISE_S, left_s / _FALL_S)
        if self.kind == "burst":
            level *= 0.75 + 0.25 * math.cos(2 * math.pi * self.burst_hz * since_s)
        return level


class SpasmGenerator:
    """At most one spasm at a time, in any of the person's muscles.

    Parameters
    ----------
    start_ns
        When the person's time begins.
    """

    def __init__(
        self, parameters: InvoluntaryParameters, muscles: int, rng: np.random.Generator, start_ns: int
    ) -> None:
        self._p = parameters
        self._muscles = muscles
        self._rng = rng
        self._quiet_until_ns = start_ns + int(parameters.first_spasm_s * 1e9)
        self.now: Spasm | None = None

    def step(self, t_from_ns: int, t_to_ns: int, in_effort: bool) -> tuple[Spasm | None, Spasm | None]:
        """Go on; give back the spasm that began and the one that ended in this span."""
        ended = None
        if self.now is not None and self.now.end_ns <= t_to_ns:
            ended, self.now = self.now, None
            self._quiet_until_ns = ended.end_ns + int(_PAUSE_S * 1e9)
        # Drawn always, so that what is done to the person does not shift the rest of the sequence.
        chance, place = self._rng.random(2)
        if self.now is not None or t_from_ns < self._quiet_until_ns:
            return None, ended
        rate_per_ns = self._p.spasm_rate_per_min / 60e9 * (self._p.spasm_in_effort if in_effort else 1.0)
        if chance >= 1.0 - math.exp(-rate_per_ns * (t_to_ns - t_from_ns)):
            return None, ended
        self.now = self._draw(t_from_ns + int(place * (t_to_ns - t_from_ns)))
        return self.now, ended

    def _draw(self, onset_ns: int) -> Spasm:
        rng, p = self._rng, self._p
        tonic = rng.random() < p.spasm_tonic_share
        length_s = rng.uniform(_SHORTEST_S, _LONGEST_S)
        level = min(1.0, p.spasm_level * math.exp(_LEVEL_SPREAD * rng.standard_normal()))
        return Spasm(
            muscle=int(rng.integers(self._muscles)),
            onset_ns=onset_ns,
            end_ns=onset_ns + int(length_s * 1e9),
            kind="tonic" if tonic else "burst",
            level=level,
            burst_hz=rng.uniform(4.0, 7.0),
        )
