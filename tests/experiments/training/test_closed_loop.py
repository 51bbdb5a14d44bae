"""The closed loop: the same numbers however people are grouped, on both tiers; delays, faults, effort."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import pytest

from myoloop.controllers.choice import Choice
from myoloop.controllers.policies.policy import Decision, Policy, PolicyInput, make_policy
from myoloop.experiments.training.bodies import FullBodies
from myoloop.experiments.training.cases import Case, task_cases
from myoloop.experiments.training.closed_loop import SETTLE_STEPS, ClosedLoop
from myoloop.experiments.training.course import Course
from myoloop.experiments.training.task import Task, load_task

WHOLE = load_task("isometric_hold")


def _task(repetitions: int = 2, **changes: Any) -> Task:
    trial = {**WHOLE.trial.model_dump(), "repetitions": repetitions, **changes.pop("trial", {})}
    people = {**WHOLE.people.model_dump(), "spasms": "none", **changes.pop("people", {})}
    return WHOLE.changed(trial=trial, people=people, **changes)


def _policies(name: str, cases: Sequence[Case], task: Task, **more: Any) -> list[Policy]:
    tracking = name not in ("open_loop", "emg_trigger")
    return [
        make_policy(
            Choice(
                name=name, settings={**(case.model(case.set_point_n(task.target_share)) if tracking else {}), **more}
            ),
            ("stim",),
        )
        for case in cases
    ]


def _same(one: Course, other: Course, rows: slice) -> bool:
    return all(
        np.array_equal(np.asarray(getattr(one, field.name)), np.asarray(getattr(other, field.name)[rows]))
        for field in fields(Course)
        if field.name not in ("interventions", "violations", "assisted")
    )


class Constant:
    """Asks for one current in the hold."""

    def __init__(self, current_ma: float) -> None:
        self.current_ma = current_ma
        self.given: list[PolicyInput] = []

    def decide(self, given: PolicyInput) -> Decision:
        self.given.append(given)
        return Decision({"stim": self.current_ma if given.phase.trial_state == "hold" else 0.0})

    def reset(self) -> None: ...

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, state: Any) -> None: ...


def test_a_person_has_the_same_course_to_the_last_bit_whoever_is_in_the_loop() -> None:
    task = _task(trial={"hold_s": 1.0, "rest_s": 2.0}, people={"spasms": "as_drawn", "spasm_rate_per_min": 10.0})
    cases = task_cases(task, range(7))
    together = ClosedLoop(cases, task, _policies("iterative_learning", cases, task), 3).run()
    alone = ClosedLoop(cases[4:5], task, _policies("iterative_learning", cases[4:5], task), 3).run()
    some = ClosedLoop(cases[2:6], task, _policies("iterative_learning", cases[2:6], task), 3).run()
    assert _same(alone, together, slice(4, 5))
    assert _same(some, together, slice(2, 6))
    assert alone.interventions[0] == together.interventions[4]


def test_the_seed_makes_another_day_and_the_same_seed_the_same() -> None:
    task = _task(1, trial={"hold_s": 1.0, "rest_s": 0.5})
    cases = task_cases(task, [1])
    first, again, other = (
        ClosedLoop(cases, task, _policies("adaptive_gain", cases, task), seed).run() for seed in (0, 0, 1)
    )
    assert np.array_equal(first.trial_rmse, again.trial_rmse)
    assert not np.array_equal(first.trial_rmse, other.trial_rmse)


def test_the_fast_tier_closes_the_loop_as_the_full_tier_does() -> None:
    task = _task(trial={"hold_s": 1.0, "rest_s": 2.0})
    cases = task_cases(task, range(2))
    fast = ClosedLoop(cases, task, _policies("adaptive_gain", cases, task)).run()
    full = ClosedLoop(cases, task, _policies("adaptive_gain", cases, task), bodies=FullBodies).run()
    np.testing.assert_allclose(fast.trial_rmse, full.trial_rmse, rtol=1e-3)
    np.testing.assert_allclose(fast.charge_mc, full.charge_mc, rtol=1e-3)
    np.testing.assert_allclose(fast.fatigue, full.fatigue, rtol=1e-3)


def test_feedback_beats_none_on_a_muscle_that_tires() -> None:
    # A device that says the current finely: its steps are no matter here.
    envelope = {**WHOLE.envelope.model_dump(), "current_step_ma": 0.1}
    task = _task(5, trial={"hold_s": 2.0, "rest_s": 4.0}, envelope=envelope)
    cases = task_cases(task, range(4))
    blind = ClosedLoop(
        cases, task, _policies("inverse_recruitment", cases, task, proportional=0.0, integral_per_s=0.0)
    ).run()
    learnt = ClosedLoop(cases, task, _policies("iterative_learning", cases, task)).run()
    assert learnt.trial_rmse[:, -1].mean() < 0.8 * blind.trial_rmse[:, -1].mean()
    assert (np.abs(learnt.bias) < 0.05).all()
    assert (learnt.fatigue > 0.01).all()
    assert not any(learnt.violations)


@pytest.mark.parametrize(("late_ms", "usb_ms"), [(10, 0), (30, 0), (20, 7)])
def test_current_flows_as_late_as_the_task_says(late_ms: int, usb_ms: int) -> None:
    delays = {"sample_to_request_ms": late_ms, "request_to_pulse_ms": usb_ms, "electromechanical": False}
    task = _task(1, delays=delays)
    cases = task_cases(task, [1])
    policy = Constant(10.0)
    loop = ClosedLoop(cases, task, [policy])
    loop_begin_ns = SETTLE_STEPS * 10_000_000
    first_ns = None
    while first_ns is None:
        loop.step()
        if loop.people[0].judge.pulses:
            first_ns = loop.people[0].judge.last_ns
    assert first_ns == loop_begin_ns + 1_000_000_000 + (late_ms + usb_ms) * 1_000_000
    # The policy was asked in every step, with the force until then and the gate's newest report.
    assert policy.given[0].now_ns == loop_begin_ns
    assert policy.given[5].report is not None
    assert policy.given[5].report.t_ns == policy.given[5].now_ns


def test_faults_strike_when_and_whom_the_task_says() -> None:
    faults = [
        {"kind": "force_lost", "at_s": 1.0, "for_s": 0.5},
        {"kind": "force_stuck", "at_s": 2.0, "for_s": 0.5},
        {"kind": "force_late", "at_s": 3.0, "for_s": 0.5, "by_ms": 200},
        {"kind": "force_lost", "share": 0.0},
    ]
    sound, faulty = Constant(10.0), Constant(10.0)
    for policy, task in ((sound, _task(1)), (faulty, _task(1, faults=faults))):
        ClosedLoop(task_cases(task, [1]), task, [policy]).run()
    true = [given.force_n for given in sound.given]
    heard = [given.force_n for given in faulty.given]
    assert heard[:100] == true[:100]
    assert heard[100:150] == [None] * 50
    assert heard[150:200] == true[150:200]
    assert heard[200:250] == [true[200]] * 50
    assert heard[300:350] == true[280:330]
    assert heard[350:] == true[350:]


def test_a_lead_that_is_open_lets_nothing_reach_the_person_and_nobody_notice() -> None:
    task = _task(1, faults=[{"kind": "lead_open"}])
    loop = ClosedLoop(task_cases(task, [1]), task, [Constant(10.0)])
    course = loop.run()
    assert course.charge_mc[0] == 0.0
    assert course.peak_ma[0] == 10.0
    # Resting tone is left.
    assert course.trial_force_n_s[0, 0] < 0.05 * loop.set_points_n[0] * task.trial.on_s + 2.0


def test_a_pad_half_off_and_thresholds_that_drift_weaken_what_is_recruited() -> None:
    forces = []
    for faults in (
        [],
        [{"kind": "pad_half_off", "factor": 1.3}],
        [{"kind": "threshold_drift", "factor": 1.3, "for_s": 5.0}],
    ):
        task = _task(1, faults=faults)
        case = task_cases(task, [1])[0]
        forces.append(ClosedLoop([case], task, [Constant(case.known.median_ma)]).run().trial_force_n_s[0, 0])
    sound, half_off, drifting = forces
    assert half_off < drifting < 0.97 * sound


def test_a_train_waits_for_effort_and_is_assisted_where_none_comes() -> None:
    task = _task(2, trial={"await_effort_s": 1.0, "rest_s": 1.0, "hold_s": 1.0}, people={"preset": "able_bodied"})
    cases = task_cases(task, range(8))
    loop = ClosedLoop(cases, task, _policies("emg_trigger", cases, task, muscle="agonist"))
    course = loop.run()
    assert course.trial_rmse.shape == (8, 2)
    trials = 8 * 2
    assisted = sum(course.assisted)
    assert trials - assisted > 0, "nobody ever triggered"
    untriggered = ClosedLoop(cases[:1], task, [Constant(0.0)]).run()
    assert untriggered.assisted == (2,)


def test_a_policy_that_raises_or_asks_for_nonsense_ends_in_zero() -> None:
    class Broken(Constant):
        def decide(self, given: PolicyInput) -> Decision:
            if given.phase.trial_state == "ramp_up":
                raise RuntimeError("broken")
            return Decision({"stim": float("nan")})

    task = _task(1)
    loop = ClosedLoop(task_cases(task, [1]), task, [Broken(1.0)])
    assert loop.run().charge_mc[0] == 0.0
    assert any("broken" in told for told in loop.people[0].faults.take())


def test_what_makes_no_sense_is_refused() -> None:
    task = _task(1)
    cases = task_cases(task, [1])
    with pytest.raises(ValueError, match="nobody is in the loop"):
        ClosedLoop([], task, [])
    with pytest.raises(ValueError, match="2 policies for 1 cases"):
        ClosedLoop(cases, task, [Constant(1.0), Constant(2.0)])
    loop = ClosedLoop(cases, task, None)
    with pytest.raises(ValueError, match="the currents to ask for are needed"):
        loop.step()
    loop = ClosedLoop(cases, task, [Constant(0.0)])
    loop.run()
    with pytest.raises(ValueError, match="all trials are over"):
        loop.step()
