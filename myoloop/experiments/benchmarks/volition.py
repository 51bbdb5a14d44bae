"""The trap of EMG-proportional control: what the stimulation leaves in the EMG feeds the stimulation.

At the level of features: the level is that of rest, effort and residual artifact together, smoothed over the 50 ms that
it is measured over, with a spread of its own; the residue is proportional to the current that flowed. With a loop gain
above 1 the residue alone keeps the current up, once effort has started it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from myoloop.controllers.policies.emg_proportional import EmgProportional, EmgProportionalSettings
from myoloop.controllers.policies.policy import Activity, PolicyInput
from myoloop.experiments.subjects.parameters import SubjectParameters
from myoloop.platform.messages import Measure, MuscleEstimate, Phase, Target

STEP_S = 0.01
EFFORT_S, LET_GO_S = 10.0, 15.0
TARGET_MA = 20.0
#: Level at the target's current without effort, over the level that asks for all of it: the gain of the loop.
LOOP_GAIN = (0.3, 3.0)
_LEVEL_S = 0.025
_LEVEL_SPREAD = 0.12
_UNKNOWN = Measure()


@dataclass(frozen=True, slots=True)
class LettingGo:
    """What came of one person who tries, then lets go.

    Attributes
    ----------
    loop_gain
        Of this case.
    with_effort
        Mean share of the target's current while they tried.
    zero_after_s
        From letting go until the current was zero for good; the rest of the scene if it never was.
    left
        Share of the current in the last second.
    """

    loop_gain: float
    with_effort: float
    zero_after_s: float
    left: float


def let_go(person: SubjectParameters, seed: int, *, checks: bool) -> LettingGo:
    """Try for 10 s at the person's effort, then let go for 15 s.

    Parameters
    ----------
    checks
        Whether by the policy, or by plain proportional control: the level above the threshold, smoothed likewise.
    """
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence((0x766F6C69, seed))))
    loop_gain = float(np.exp(rng.uniform(math.log(LOOP_GAIN[0]), math.log(LOOP_GAIN[1]))))
    rest_uv = float(np.hypot(person.emg_noise_uv, person.resting_tone * person.emg_mvc_uv))
    full_uv = 2.0 * rest_uv + person.effort_level * person.emg_mvc_uv
    residue_uv_per_ma = loop_gain * full_uv / TARGET_MA
    policy = EmgProportional(EmgProportionalSettings(muscle="agonist", full_uv=full_uv), ("ch1",))
    plain = _Plain(full_uv)
    target = Target(channel="ch1", current_ma=TARGET_MA, phase_us=250.0, rate_hz=33.0, ramp_up_s=0.5, ramp_down_s=0.5)
    phase = Phase(
        t_ns=0, session="bench", state="running", kind="block", machine="continuous", index=1, block=1, trial=1,
        trials=1, trial_state="hold", arm_id="arm", targets=(target,),
    )  # fmt: skip
    estimate = MuscleEstimate(
        muscle="agonist", level_uv=None, fatigue=_UNKNOWN, spasm=Measure(value=0.0, valid=True, reason=""),
        effort=_UNKNOWN, response=_UNKNOWN,
    )  # fmt: skip
    count = round((EFFORT_S + LET_GO_S) / STEP_S)
    wobble = np.exp(_LEVEL_SPREAD * rng.standard_normal(count))
    power, current_ma = rest_uv**2, 0.0
    course = np.zeros(count)
    for step in range(count):
        effort_uv = person.effort_level * person.emg_mvc_uv if step * STEP_S < EFFORT_S else 0.0
        now = rest_uv**2 + effort_uv**2 + (residue_uv_per_ma * current_ma) ** 2
        power += (now - power) * (1.0 - math.exp(-STEP_S / _LEVEL_S))
        level_uv = math.sqrt(power) * float(wobble[step])
        if checks:
            activity = {"agonist": Activity(level_uv, rest_uv, _LEVEL_SPREAD, True)}
            given = PolicyInput(round((1.0 + step * STEP_S) * 1e9), phase, {"agonist": estimate}, activity)
            current_ma = policy.decide(given).current_ma["ch1"]
        else:
            current_ma = TARGET_MA * plain.share(level_uv, 2.0 * rest_uv)
        course[step] = current_ma / TARGET_MA
    tried = round(EFFORT_S / STEP_S)
    flowing = np.flatnonzero(course[tried:] > 0.0)
    zero_after_s = (int(flowing[-1]) + 1) * STEP_S if len(flowing) else 0.0
    return LettingGo(loop_gain, float(course[tried // 2 : tried].mean()), zero_after_s, float(course[-100:].mean()))


class _Plain:
    """The simplest proportional control: the level above a threshold, smoothed."""

    def __init__(self, full_uv: float) -> None:
        self._full_uv = full_uv
        self._share = 0.0

    def share(self, level_uv: float, threshold_uv: float) -> float:
        goal = min(max((level_uv - threshold_uv) / (self._full_uv - threshold_uv), 0.0), 1.0)
        self._share += (goal - self._share) * (1.0 - math.exp(-STEP_S / (0.3 if goal > self._share else 0.15)))
        return self._share if self._share > 0.1 else 0.0
