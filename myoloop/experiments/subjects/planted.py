"""Planted effects: what stimulation is made to do to this person, so that a study's way of finding it can be tried.

Stimulation that is felt, and not above tolerance, takes away a share of the tone at rest, of the rate of spasms, and of
soreness from before; contraction makes muscles sore on the days after. By default stimulation does none of it, and
nobody is drawn to whom it does: an effect is there because somebody wrote it into a subject file. Whatever is found
then was planted, and says nothing about what stimulation does to people.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from myoloop.experiments.subjects.distributions import Parameters, Uniform, parameter
from myoloop.experiments.subjects.pain import RELIEF_LOST_S
from myoloop.experiments.subjects.perception import Thresholds

_STEP_NS = 1_000_000_000
#: A pulse keeps what it recruits busy for so long at most: a twitch.
_TWITCH_S = 0.1
#: Soreness is worst so long after the work, by the course t exp(1 - t).
SOREST_AFTER_H = 36.0
#: What was sore before is down to a third after so long.
_OLD_SORENESS_H = 48.0
_SOREST = 10.0


@dataclass(frozen=True, kw_only=True)
class PlantedParameters(Parameters):
    """What stimulation does to a person beside pain; who does not respond (``pain_responds``) is spared relief.

    Attributes
    ----------
    tone_relief, spasm_relief, soreness_relief
        Share of ``resting_tone``, of ``spasm_rate_per_min`` and of soreness from before that treatment takes away in
        the end. Without stimulation they are lost again with a time constant of an hour.
    planted_s
        Time constant with which they grow under stimulation that is felt.
    soreness_before
        Soreness of the muscles when the session begins, 0 to 10.
    soreness_per_min
        What a minute of contraction of the whole muscle adds to soreness at its worst, a day and a half later.
    """

    tone_relief: float = parameter(0.0, 0.0, 1.0, source="our choice: none, unless it is planted in a subject file")
    spasm_relief: float = parameter(0.0, 0.0, 1.0, source="our choice: none, unless it is planted in a subject file")
    soreness_relief: float = parameter(0.0, 0.0, 1.0, source="our choice: none, unless it is planted in a subject file")
    planted_s: float = parameter(600.0, 1.0, 36000.0, source="our choice: within a session; tests plant faster ones")
    soreness_before: float = parameter(
        0.0, 0.0, 10.0, varies=Uniform(0.0, 4.0), source="our choice: none, or some from training"
    )
    soreness_per_min: float = parameter(
        0.0, 0.0, 10.0, varies=Uniform(0.0, 0.5),
        source="our choice: evoked contractions make people sore, by up to a point in two minutes of the whole muscle",
    )  # fmt: skip

    @property
    def is_planted(self) -> bool:
        """Whether there is anything to tell of."""
        return max(self.tone_relief, self.spasm_relief, self.soreness_before, self.soreness_per_min) > 0.0


class Planted:
    """The person's planted effects, moving once a second.

    Parameters
    ----------
    responds
        Whether anything is relieved at all.
    start_ns
        When the person's time begins.

    Attributes
    ----------
    share
        Of its end that relief has reached, 0 to 1.
    contraction_min
        Minutes of evoked contraction so far, each as much as the share of the muscle that was recruited.
    """

    def __init__(self, parameters: PlantedParameters, *, responds: bool, start_ns: int = 0) -> None:
        self._p = parameters
        self._responds = responds
        self._next_ns = start_ns + _STEP_NS
        self._felt = self._too_much = False
        self._newest_ns: dict[int, int] = {}
        self.share = 0.0
        self.contraction_min = 0.0

    @property
    def tone(self) -> float:
        """What is left of the tone at rest, as a factor."""
        return 1.0 - self._p.tone_relief * self.share

    @property
    def spasms(self) -> float:
        """What is left of the rate of spasms, as a factor."""
        return 1.0 - self._p.spasm_relief * self.share

    def truth(self) -> dict[str, float | int | str | None]:
        """For ``truth/planted``: the factors, minutes of contraction, and soreness now and at its worst."""
        return {
            "tone": self.tone,
            "spasms": self.spasms,
            "contraction_min": self.contraction_min,
            "soreness": self.soreness(0.0),
            "sorest": self.soreness(SOREST_AFTER_H),
        }

    def feel(self, muscle: int, t_ns: int, charge_uc: float, share: float, thresholds: Thresholds) -> None:
        """A pulse passes under the pads of a muscle and recruits a share of it."""
        if charge_uc > thresholds.tolerance_uc:
            self._too_much = True
        elif charge_uc > thresholds.sensory_uc:
            self._felt = True
        if share > 0.0:
            since_s = (t_ns - self._newest_ns.get(muscle, 0)) * 1e-9
            self.contraction_min += share * min(_TWITCH_S, max(0.0, since_s)) / 60.0
            self._newest_ns[muscle] = t_ns

    def step(self, t_to_ns: int) -> None:
        """Go on to `t_to_ns`."""
        while self._next_ns <= t_to_ns:
            self._next_ns += _STEP_NS
            if self._felt and not self._too_much:
                goal = 1.0 if self._responds else 0.0
                self.share += (goal - self.share) * -math.expm1(-1.0 / self._p.planted_s)
            else:
                self.share *= math.exp(-1.0 / RELIEF_LOST_S)
            self._felt = self._too_much = False

    def soreness(self, after_h: float) -> float:
        """How sore the muscles are so long after what was done so far, 0 to 10."""
        before = self._p.soreness_before * (1.0 - self._p.soreness_relief * self.share)
        return soreness(self._p.soreness_per_min * self.contraction_min, before, after_h)


def soreness(added: float, before: float, after_h: float) -> float:
    """Soreness, 0 to 10: what work adds comes late and goes, what was there before dies away.

    Parameters
    ----------
    added
        By work, at its worst.
    before
        At the session's end, from earlier.
    after_h
        Since then.
    """
    late = after_h / SOREST_AFTER_H
    return min(_SOREST, added * late * math.exp(1.0 - late) + before * math.exp(-after_h / _OLD_SORENESS_H))
