"""Pain: a baseline that treatment may lower, and flares that come by themselves or after too much current.

``pain = baseline (1 - relief) + flare``, within 0 to 10. Relief grows under stimulation that is felt and not above
tolerance, in people who respond; flares begin at random, or grow with every second of stimulation above tolerance,
and die away. All of it is a model to try protocols and stop rules on, not a claim about what stimulation does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from myoloop.experiments.subjects.distributions import Chances, Parameters, Uniform, parameter
from myoloop.experiments.subjects.perception import Thresholds

#: Share of the population whose pain does not respond to treatment.
NON_RESPONDERS = 0.4
#: Without stimulation relief is lost again with this time constant.
RELIEF_LOST_S = 3600.0
_STEP_NS = 1_000_000_000
_FLARE_SPREAD = 0.3
_WORST = 10.0


@dataclass(frozen=True, slots=True)
class Chance:
    """1 for a share of the people, 0 for the others."""

    share: float

    def draw(self, rng: Chances) -> float:
        """One person's value."""
        return 1.0 if rng.random() < self.share else 0.0


@dataclass(frozen=True, kw_only=True)
class PainParameters(Parameters):
    """A person's pain.

    Attributes
    ----------
    pain_baseline
        On the scale of 0 (none) to 10 (worst imaginable), before treatment.
    pain_responds
        1: treatment relieves it; 0: it does not.
    pain_relief, pain_relief_s
        Share of the baseline that treatment takes away in the end, and the time constant, of stimulation that is felt.
        Without stimulation it is lost again with a time constant of an hour.
    pain_flares_per_h, pain_flare, pain_flare_s
        Mean rate of flares, the median rise of one, and the time constant with which it dies away.
    pain_excess_per_s
        Rise per second of stimulation at twice the tolerance; in proportion to the excess below that.
    pain_report_spread
        Standard deviation of what the person says, before it is rounded to a whole number.
    """

    pain_baseline: float = parameter(
        0.0, 0.0, 10.0, varies=Uniform(0.0, 7.0),
        source="our choice: none to severe; the mean was 7.2 in a feasibility trial of TENS in CRPS",
    )  # fmt: skip
    pain_responds: float = parameter(
        1.0, 0.0, 1.0, varies=Chance(1.0 - NON_RESPONDERS), source="our choice: two people in five do not respond"
    )
    pain_relief: float = parameter(
        0.3, 0.0, 1.0, varies=Uniform(0.1, 0.5),
        source="our choice about IMMPACT's steps: 10-20 % minimal, 30 % moderate, 50 % substantial",
    )  # fmt: skip
    pain_relief_s: float = parameter(1200.0, 60.0, 36000.0, source="our choice: within one session of 20 minutes")
    pain_flares_per_h: float = parameter(
        0.0, 0.0, 60.0, varies=Uniform(0.0, 1.0), source="our choice: none, or up to one in an hour"
    )
    pain_flare: float = parameter(
        2.0, 0.0, 10.0, varies=Uniform(1.0, 3.0), source="our choice: about the rise of 2 that protocols stop at"
    )
    pain_flare_s: float = parameter(600.0, 10.0, 36000.0, source="our choice: ten minutes")
    pain_excess_per_s: float = parameter(
        0.2, 0.0, 10.0, source="our choice: a point after ten seconds at half as much again as is tolerated"
    )
    pain_report_spread: float = parameter(0.3, 0.0, 3.0, source="our choice: seldom off by more than one")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pain_responds not in (0.0, 1.0):
            raise ValueError(f"pain_responds: found {self.pain_responds:g}, allowed is 0 (it does not) or 1 (it does)")


class Pain:
    """The person's pain, moving once a second.

    Parameters
    ----------
    rng
        For flares, and for what the person says.
    start_ns
        When the person's time begins.
    """

    def __init__(self, parameters: PainParameters, rng: np.random.Generator, start_ns: int = 0) -> None:
        self._p = parameters
        self._rng, self._says = rng.spawn(2)
        self._next_ns = start_ns + _STEP_NS
        self._felt = False
        self._excess = 0.0
        self._flare = self._relief = 0.0

    @property
    def exact(self) -> float:
        """Pain now, 0 to 10."""
        return min(_WORST, self._p.pain_baseline * (1.0 - self._relief) + self._flare)

    def truth(self) -> dict[str, float | int | str | None]:
        """For ``truth/pain``: pain, the share of the baseline that is relieved, and what a flare adds."""
        return {"pain": self.exact, "relief": self._relief, "flare": self._flare}

    def feel(self, charge_uc: float, thresholds: Thresholds) -> None:
        """A pulse passes under any pads."""
        if charge_uc > thresholds.tolerance_uc:
            self._excess = max(self._excess, min(1.0, charge_uc / thresholds.tolerance_uc - 1.0))
        elif charge_uc > thresholds.sensory_uc:
            self._felt = True

    def step(self, t_to_ns: int) -> None:
        """Go on to `t_to_ns`."""
        while self._next_ns <= t_to_ns:
            self._next_ns += _STEP_NS
            self._second()

    def score(self, t_ns: int) -> int:
        """What the person says when asked at `t_ns`, not before the last step: a whole number from 0 to 10."""
        self.step(t_ns)
        said = self.exact + self._p.pain_report_spread * float(self._says.standard_normal())
        return round(min(_WORST, max(0.0, said)))

    def _second(self) -> None:
        p = self._p
        chance, size = float(self._rng.random()), float(self._rng.standard_normal())
        self._flare *= math.exp(-1.0 / p.pain_flare_s)
        if chance < 1.0 - math.exp(-p.pain_flares_per_h / 3600.0):
            self._flare += p.pain_flare * math.exp(_FLARE_SPREAD * size)
        self._flare = min(_WORST, self._flare + p.pain_excess_per_s * self._excess)
        if self._felt and not self._excess:
            goal = p.pain_relief * p.pain_responds
            self._relief += (goal - self._relief) * (1.0 - math.exp(-1.0 / p.pain_relief_s))
        else:
            self._relief *= math.exp(-1.0 / RELIEF_LOST_S)
        self._felt, self._excess = False, 0.0
