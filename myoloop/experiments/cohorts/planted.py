"""Known effects, written into virtual people session by session, so that an analysis of a study can be tried.

Nothing here describes people. Over the sessions the arm with current gets stronger by what it was given (so much per
millicoulomb), has fewer spasms and tires less; the other arm stays as it is; the right side is a fifth weaker in both.
What an analysis finds then was planted, and an analysis that finds something else is wrong.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from myoloop.experiments.subjects.parameters import SubjectParameters
from myoloop.experiments.subjects.population import draw

ACTIVE, SHAM = "active", "sham"
GROUP = "acute_sci"
#: None comes before contractions and trains are over: force would be told above a spasm instead of above rest.
FIRST_SPASM_S = 48.0
#: After each spasm comes a pause without another, as :mod:`~myoloop.experiments.subjects.involuntary` has it.
PAUSE_S = 2.5
#: Of one spasm on average: it holds 0.3 to 0.9 s, and rises and falls.
_SPASM_S = 0.75


@dataclass(frozen=True, kw_only=True)
class Effects:
    """What is planted.

    Attributes
    ----------
    strength_per_mc
        Growth of the logarithm of strength per millicoulomb that was delivered in earlier sessions.
    spasm_per_session
        Change of the logarithm of the rate of spasms from one session to the next, in the arm with current.
    fatigue_per_session
        The same of the muscle's fatigue rate.
    asymmetry_pct
        What the right side lacks of the left one, on average over people.
    day_spread
        Standard deviation of the logarithm of strength from day to day.
    responder_spread
        Standard deviation of a person's own response relative to the mean one.
    """

    strength_per_mc: float = 0.04
    spasm_per_session: float = -0.25
    fatigue_per_session: float = -0.15
    asymmetry_pct: float = 20.0
    day_spread: float = 0.02
    responder_spread: float = 0.15


@dataclass(frozen=True, slots=True)
class PlantedPerson:
    """One person as planted.

    Attributes
    ----------
    strength_per_mc
        The person's own.
    spasms_per_min
        At baseline, of both muscles together, while none is under way or just over.
    right
        Strength of the right muscle relative to the left one.
    """

    name: str
    arm: str
    seed: int
    base: SubjectParameters
    strength_per_mc: float
    spasms_per_min: float
    right: float


@dataclass(frozen=True, slots=True)
class PlantedSession:
    """A person on one day.

    Attributes
    ----------
    log_gain
        Of strength since the first session, without the day's own scatter.
    spasms_per_min
        That are to come, pauses included.
    fatigue_rate
        As in :class:`~myoloop.experiments.subjects.muscle.MuscleParameters`.
    """

    parameters: SubjectParameters
    log_gain: float
    spasms_per_min: float
    fatigue_rate: float


def person(effects: Effects, number: int, arm: str, seed: int) -> PlantedPerson:
    """Draw a person; the same number and seed give the same one whoever else there is."""
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence((0x506C616E, seed, number))))
    drawn = draw(1000 * seed + number, GROUP)
    depth = math.exp(0.28 * float(np.clip(rng.standard_normal(), -1.5, 1.5)))
    own = 1.0 + effects.responder_spread * float(np.clip(rng.standard_normal(), -2, 2))
    base = replace(
        drawn,
        strength=0.5 * math.exp(0.15 * float(np.clip(rng.standard_normal(), -2, 2))),
        # Whose pads lie farther from the nerve needs more charge for the same contraction, and gets more of the dose.
        recruitment_median_uc=3.4 * depth, recruitment_spread=0.3, motor_uc=2.2 * depth, sensory_uc=1.6 * depth,
        tolerance_uc=5.4 * depth, muscle_spread=0.0, joint_fixed=1.0, recruitment_angle_shift=0.0,
        fatigue_rate=2.6 * math.exp(0.1 * float(np.clip(rng.standard_normal(), -1.4, 1.4))), recovery_s=500.0,
        voluntary_fatigue=0.2, effort_boredom_per_h=0.0, effort_decline=0.2, effort_wander=0.03,
        first_spasm_s=FIRST_SPASM_S, spasm_tonic_share=1.0, spasm_ebb_s=0.0, spasm_joined=0.0, spasm_chained=0.0,
        spasm_level=0.3, spasm_shortest_s=0.3, spasm_longest_s=0.9, spasm_stretch_gain_s=0.0,
        spasm_step_gain_per_ma=0.0, spasm_fatigue_gain=0.0, spasm_in_effort=0.0, resting_tone=0.004,
        pain_flares_per_h=0.0, threshold_wander=0.0, sensory_habituation=0.0,
    )  # fmt: skip
    rate = float(rng.uniform(7.0, 9.0))
    right = 1.0 - effects.asymmetry_pct / 100.0 + 0.03 * float(np.clip(rng.standard_normal(), -2, 2))
    return PlantedPerson(f"P{number:03d}", arm, 1000 * seed + number, base, effects.strength_per_mc * own, rate, right)


def on_day(effects: Effects, who: PlantedPerson, session: int, had_mc: float) -> PlantedSession:
    """The person in a session, after a dose that was delivered before it."""
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence((0x446179, who.seed, session))))
    treated = (session - 1) * (who.arm == ACTIVE)
    log_gain = who.strength_per_mc * had_mc
    rate = who.spasms_per_min * math.exp(effects.spasm_per_session * treated)
    fatigue_rate = who.base.fatigue_rate * math.exp(effects.fatigue_per_session * treated)
    scatter = effects.day_spread * float(np.clip(rng.standard_normal(), -2, 2))
    today = replace(
        who.base,
        strength=who.base.strength * math.exp(log_gain + scatter),
        spasm_rate_per_min=hazard_per_min(rate),
        fatigue_rate=fatigue_rate,
    )
    return PlantedSession(today, log_gain, rate, fatigue_rate)


def hazard_per_min(rate_per_min: float) -> float:
    """Rate at which spasms must come from rest so that, with their length and the pause after each, so many come."""
    return min(30.0, rate_per_min / (1.0 - rate_per_min * (PAUSE_S + _SPASM_S) / 60.0))


def as_truth(who: PlantedPerson) -> dict[str, Any]:
    """What the truth file says of a person."""
    return {
        "arm": who.arm,
        "strength": who.base.strength,
        "strength_per_mc": who.strength_per_mc,
        "spasms_per_min": who.spasms_per_min,
        "fatigue_rate": who.base.fatigue_rate,
        "asymmetry_pct": 100.0 * (1.0 - who.right),
    }
