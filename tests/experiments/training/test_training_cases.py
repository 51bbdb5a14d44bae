"""Cases: people on days, responders and others."""

from __future__ import annotations

import numpy as np
import pytest

from myoloop.experiments.training.bodies import as_they_are
from myoloop.experiments.training.cases import NON_RESPONDER_REACH, task_cases
from myoloop.experiments.training.task import load_task

TASK = load_task("isometric_hold")


def test_a_person_is_the_same_whoever_else_is_asked_for() -> None:
    many = task_cases(TASK, range(5), days=2)
    assert task_cases(TASK, [3], days=2) == many[6:8]
    assert many[6].person == many[7].person
    assert many[6].known != many[7].known


def test_a_non_responders_muscle_hardly_answers_to_all_they_tolerate() -> None:
    task = TASK.changed(people={"preset": "acute_sci", "non_responder_share": 0.4})
    cases = task_cases(task, range(40))
    silent = [case for case in cases if not case.responds]
    assert 6 <= len(silent) <= 26
    for case in silent:
        p = case.person
        z = np.log(p.tolerance_uc / p.recruitment_median_uc) / p.recruitment_spread
        low, high = NON_RESPONDER_REACH
        assert -1.65 < z < -1.03, (low, high)
        assert case.set_point_n(0.9) <= case.full_response
    assert next(case for case in cases if case.responds) in task_cases(TASK, range(40))


def test_spasms_and_the_rate_of_fatigue_are_the_tasks() -> None:
    people = {"preset": "chronic_sci", "spasms": "none", "fatigue_factor": 0.5}
    quiet = task_cases(TASK.changed(people=people), [7])[0].person
    drawn = task_cases(TASK.changed(people={"preset": "chronic_sci"}), [7])[0].person
    often = task_cases(TASK.changed(people={"preset": "chronic_sci", "spasm_rate_per_min": 9.0}), [7])[0].person
    assert quiet.spasm_rate_per_min == 0.0 < drawn.spasm_rate_per_min
    assert often.spasm_rate_per_min == 9.0
    assert quiet.fatigue_rate == pytest.approx(0.5 * drawn.fatigue_rate)


def test_the_person_of_the_day_has_moved_since_the_calibration() -> None:
    case = task_cases(TASK, [2])[0]
    today = as_they_are(case)
    assert today.recruitment_median_uc == case.drift * case.person.recruitment_median_uc
    assert today.joint_fixed == 1.0
