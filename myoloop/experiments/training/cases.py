"""Cases: one person on one day, as the controller knows them and as they are."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any

import numpy as np

from myoloop.controllers.policies.recruitment import RecruitmentCurve, fit_recruitment
from myoloop.experiments.subjects.ding import FRESH_N
from myoloop.experiments.subjects.parameters import SubjectParameters
from myoloop.experiments.subjects.population import draw
from myoloop.experiments.training.task import People, Task

PHASE_US = 250.0
#: Noise of the force cell, of Ding's muscle's force.
FORCE_NOISE_N = 0.5
CALIBRATION_TRAINS = 8
#: Spread of a response from train to train, and of the thresholds since the calibration.
TRAIN_SPREAD, DRIFT_SPREAD = 0.02, 0.02
#: Electromechanical delay of the fresh muscle: with calcium's own 20 ms, 30 to 50 ms.
DELAY_S = (0.01, 0.03)
#: Share of a non-responder's muscle that all the current they tolerate recruits: its axons lie deeper, and what is felt
#: is as it was.
NON_RESPONDER_REACH = (0.05, 0.15)


@dataclass(frozen=True, slots=True)
class Case:
    """One person on one day, as the controller knows them and as they are.

    Attributes
    ----------
    person
        As drawn.
    known, full_response
        Recruitment curve from the calibration, and the response to full recruitment, in N.
    drift
        Thresholds now over those of the calibration.
    delay_s
        Electromechanical delay beyond what calcium makes in the model.
    most_ma
        What the person tolerates: the target of the policies that choose their own current.
    seed
        Of all that is random about the day.
    responds
        False for a non-responder.
    """

    person: SubjectParameters
    known: RecruitmentCurve
    full_response: float
    drift: float
    delay_s: float
    most_ma: float
    seed: int
    responds: bool = True

    @property
    def fresh_n(self) -> float:
        """Force of the fresh muscle, fully recruited."""
        return FRESH_N * self.person.strength

    def set_point_n(self, share: float) -> float:
        """Set point of a share of the fresh force; not more than the calibration says there is."""
        return min(share * self.fresh_n, self.full_response)

    def model(self, set_point_n: float) -> dict[str, Any]:
        """Settings of a tracking policy: what the calibration says of the muscle."""
        return {
            "quantity": "force",
            "setpoint": set_point_n,
            "full_response": self.full_response,
            "recruitment_median_ma": self.known.median_ma,
            "recruitment_spread": self.known.spread,
            "threshold_ma": self.known.threshold_ma,
        }


def make_case(person: SubjectParameters, seed: int) -> Case:
    """Calibrate a person, and let the thresholds move."""
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence((0x706F6C69, seed))))
    width = PHASE_US * (250.0 + person.chronaxie_us) / (PHASE_US + person.chronaxie_us) * 1e-3
    median_ma, most_ma = person.recruitment_median_uc / width, person.tolerance_uc / width
    true = RecruitmentCurve(median_ma=median_ma, spread=person.recruitment_spread)
    currents = np.linspace(true.current_ma(0.03), most_ma, CALIBRATION_TRAINS)
    fresh_n = FRESH_N * person.strength
    shares = np.array([true.share(float(current)) for current in currents])
    responses = fresh_n * shares * np.exp(TRAIN_SPREAD * rng.standard_normal(CALIBRATION_TRAINS))
    responses += FORCE_NOISE_N * person.strength * rng.standard_normal(CALIBRATION_TRAINS)
    known, full = fit_recruitment(list(currents), list(responses), phase_us=PHASE_US, chronaxie_us=person.chronaxie_us)
    drift = float(np.exp(DRIFT_SPREAD * np.clip(rng.standard_normal(), -2, 2)))
    delay_s = float(rng.uniform(*DELAY_S))
    return Case(person, known, full, drift, delay_s, most_ma, seed)


def task_cases(task: Task, people: Iterable[int], days: int = 1) -> list[Case]:
    """Cases of a task: days of one person lie beside one another.

    Parameters
    ----------
    people
        Numbers of the people to draw; the same number is the same person, whoever else is asked for.
    days
        Of each person, with calibration, drift and randomness of their own.
    """
    return [_drawn(task.people, number, day) for number in people for day in range(days)]


def _drawn(people: People, number: int, day: int) -> Case:
    person = draw(number, people.preset)
    person = replace(person, fatigue_rate=min(3.0, people.fatigue_factor * person.fatigue_rate))
    if people.spasms == "none":
        person = replace(person, spasm_rate_per_min=0.0)
    elif people.spasm_rate_per_min is not None:
        person = replace(person, spasm_rate_per_min=people.spasm_rate_per_min)
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence((0x6E6F6E72, number))))
    chance, reach = float(rng.random()), float(rng.uniform(*NON_RESPONDER_REACH))
    responds = chance >= people.non_responder_share
    if not responds:
        person = _non_responder(person, reach)
    return replace(make_case(person, 1000 * number + day), responds=responds)


def _non_responder(person: SubjectParameters, reach: float) -> SubjectParameters:
    deeper = math.exp(-person.recruitment_spread * NormalDist().inv_cdf(reach))
    return replace(
        person,
        recruitment_median_uc=min(50.0, person.tolerance_uc * deeper),
        # Sensory, motor, tolerance stay in this order.
        motor_uc=0.95 * person.tolerance_uc,
    )
