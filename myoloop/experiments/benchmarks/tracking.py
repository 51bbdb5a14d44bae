"""Repeated trials of many people at once: each with a policy of their own, asked once per pulse.

Isometric, 5 s on and 5 s off (ramp of 1 s, hold of 3 s, ramp of 1 s), 33.3 Hz. The policy hears the force cell 10 ms
before the pulse that carries its answer. What it knows of the muscle comes from a calibration of the rested muscle,
with the force cell's noise and the muscle's own variation from train to train; since then the thresholds have moved.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from myoloop.controllers.policies.policy import Decision, Policy, PolicyInput
from myoloop.controllers.reflex import Reflex, ReflexSettings, Wish
from myoloop.experiments.benchmarks.plant import PULSE_S, Plant
from myoloop.experiments.subjects.ding import FRESH_N
from myoloop.experiments.training.cases import FORCE_NOISE_N, PHASE_US, Case
from myoloop.platform.messages import Phase, Target

Array = npt.NDArray[np.float64]

RAMP_S, HOLD_S, REST_S = 1.0, 3.0, 5.0
ON_S = 2 * RAMP_S + HOLD_S
REPETITION_S = ON_S + REST_S
RATE_HZ = 1.0 / PULSE_S
_AHEAD_NS = 10_000_000
_START_NS = 1_000_000_000
_STATES = (("ramp_up", RAMP_S), ("hold", HOLD_S), ("ramp_down", RAMP_S), ("rest", REST_S))


@dataclass(frozen=True, slots=True)
class Course:
    """What came of it: (repetitions, people) each.

    Attributes
    ----------
    rmse
        Of the true force against the course that is aimed at, over the on-time; over the target aimed at.
    held
        Mean force in the hold, over the target aimed at.
    charge_mc
        Of each repetition.
    aim
        Target aimed at over the one of the protocol: less than 1 once a supervisor has planned the task anew.
    at_limit
        Share of the hold with all the current that may be asked for.
    """

    rmse: Array
    held: Array
    charge_mc: Array
    aim: Array
    at_limit: Array


class Supervised:
    """A policy under the supervisor, as the controller has it: asked, then judged.

    Parameters
    ----------
    settings
        Of the supervisor.
    """

    def __init__(self, policy: Policy, settings: ReflexSettings) -> None:
        self._policy = policy
        self._reflex = Reflex(settings, {"ch1": "agonist"})

    @property
    def set_point_share(self) -> float:
        """Share of the protocol's set point that is aimed at."""
        return self._reflex.set_point_share

    def decide(self, given: PolicyInput) -> Decision:
        """Ask the policy, and let the supervisor judge."""
        reflex, phase = self._reflex, given.phase
        given = replace(given, set_point_share=reflex.set_point_share, let_through=reflex.let_through)
        decision = self._policy.decide(given)
        wish = Wish(
            given.now_ns, decision.current_ma, given.estimates, "", phase.index, True, phase.trial_state,
            (phase.block, phase.trial), decision.saturated, decision.held,
        )  # fmt: skip
        left, why = reflex.apply(wish)
        return replace(decision, current_ma=left, reason=f"{decision.reason}; {why}")

    def reset(self) -> None:
        """Reset the policy."""
        self._policy.reset()

    def state(self) -> dict[str, Any]:
        """Of both."""
        return {"policy": self._policy.state(), "reflex": self._reflex.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Of both."""
        self._policy.restore(state["policy"])
        self._reflex.restore(state["reflex"])


MakePolicy = Callable[[Case, float], tuple[Policy, float]]


def run(cases: Sequence[Case], make: MakePolicy, *, target_n: float, fatigue: Array, repetitions: int) -> Course:
    """Repeat a trial.

    Parameters
    ----------
    make
        From a case and its set point in N to its policy and the target's current in mA.
    target_n
        Of Ding's muscle; a person's set point is that share of their own fresh force.
    fatigue
        Factor on Ding's fatigue coefficients, by person.
    """
    median, spread, recovery, fresh, delay = (
        np.array(values)
        for values in (
            [_median_ma(case) * case.drift for case in cases],
            [case.person.recruitment_spread for case in cases],
            [case.person.recovery_s for case in cases],
            [case.fresh_n for case in cases],
            [case.delay_s for case in cases],
        )
    )
    plant = Plant(median, spread, fatigue, recovery, delay)
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence((0x6E6F6973, *(case.seed for case in cases)))))
    noise_n = FORCE_NOISE_N * fresh / FRESH_N
    share = target_n / FRESH_N
    made = [make(case, share * case.fresh_n) for case in cases]
    asked = [(policy.decide, _target(most_ma)) for policy, most_ma in made]
    pulses, on = round(REPETITION_S / PULSE_S), round(ON_S / PULSE_S)
    times = np.arange(1, pulses + 1) * PULSE_S
    course = np.interp(times, [0, RAMP_S, RAMP_S + HOLD_S, ON_S], [0, 1, 1, 0])
    in_hold = (times > RAMP_S + 0.5) & (times <= RAMP_S + HOLD_S)
    count = len(cases)
    rmse, held, charge, aim, at_limit = (np.zeros((repetitions, count)) for _ in range(5))
    most_ma = np.array([target.current_ma for _, target in asked])
    force = np.zeros((pulses, count))
    for repetition in range(repetitions):
        begin_ns = _START_NS + round(repetition * REPETITION_S * 1e9)
        phases: list[list[Phase]] = [
            [_phase(state, begin_ns + round(at * 1e9), length, repetition, target) for _, target in asked]
            for state, length, at in _spans()
        ]
        ends = np.cumsum([length for _, length in _STATES])
        before = plant.force
        aim[repetition] = [getattr(policy, "set_point_share", 1.0) for policy, _ in made]
        for pulse in range(pulses):
            at_s = pulse * PULSE_S
            current = np.zeros(count)
            # Once in the rest every policy has been told that the trial is over, nothing changes until the next.
            if pulse <= on + 2:
                state = int(np.searchsorted(ends, at_s + 1e-9, side="right"))
                now_ns = begin_ns + round(at_s * 1e9)
                heard = before * fresh + noise_n * rng.standard_normal(count)
                for n, ((decide, target), phase) in enumerate(zip(asked, phases[state], strict=True)):
                    given = PolicyInput(now_ns, phase, {}, {}, None, None, float(heard[n]))
                    current[n] = decide(given).current_ma[target.channel]
                charge[repetition] += current * (PHASE_US * 1e-6)
                if in_hold[pulse]:
                    at_limit[repetition] += current >= 0.999 * most_ma
            thirds = plant.pulse(current)
            before = thirds[1]
            force[pulse] = thirds[2]
        reached = force / (share * aim[repetition])
        at_limit[repetition] /= in_hold.sum()
        rmse[repetition] = np.sqrt(np.mean((reached[:on] - course[:on, None]) ** 2, axis=0))
        held[repetition] = reached[in_hold].mean(axis=0)
    return Course(rmse, held, charge, aim, at_limit)


def _median_ma(case: Case) -> float:
    p = case.person
    return p.recruitment_median_uc / (PHASE_US * 1e-3 * (250.0 + p.chronaxie_us) / (PHASE_US + p.chronaxie_us))


def _spans() -> list[tuple[str, float, float]]:
    spans, at = [], 0.0
    for state, length in _STATES:
        spans.append((state, length, at))
        at += length
    return spans


def _target(current_ma: float) -> Target:
    return Target(
        channel="ch1", current_ma=current_ma, phase_us=PHASE_US, rate_hz=RATE_HZ, ramp_up_s=RAMP_S, ramp_down_s=RAMP_S
    )


def _phase(state: str, since_ns: int, length_s: float, repetition: int, target: Target) -> Phase:
    return Phase(
        t_ns=since_ns, session="bench", state="running", kind="block", machine="cyclic", index=1, block=1,
        trial=repetition + 1, trials=repetition + 1, trial_state=state, t_state_ns=since_ns, state_s=length_s,
        arm_id="bench", targets=(target,),
    )  # fmt: skip
