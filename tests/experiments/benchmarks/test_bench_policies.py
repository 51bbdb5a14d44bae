"""The plant of the policies' benchmark against the virtual subject's muscle, and its parts on few people."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from myoloop.controllers.policies.recruitment import RecruitmentCurve
from myoloop.experiments.benchmarks import parts_policies
from myoloop.experiments.benchmarks.fuzzed import POLICIES, session
from myoloop.experiments.benchmarks.parts_policies import BASELINE, BEST, CONTROLLERS
from myoloop.experiments.benchmarks.plant import DELAY_GROWTH, PULSE_S, Plant
from myoloop.experiments.benchmarks.spasm_answer import answer
from myoloop.experiments.benchmarks.tracking import run
from myoloop.experiments.benchmarks.volition import let_go
from myoloop.experiments.subjects.ding import FRESH_N
from myoloop.experiments.subjects.muscle import MuscleParameters, Muscles, Recruited
from myoloop.experiments.subjects.population import population
from myoloop.experiments.training.cases import make_case

#: None of the seeds that figures are told on.
SEED = 40


def test_the_plant_is_the_virtual_subjects_muscle_pulse_by_pulse() -> None:
    currents = (12.0, 18.0, 24.0)
    person = MuscleParameters(fatigue_rate=1.0, strength=1.0)
    muscle = Muscles([person] * 3)
    plant = Plant(np.full(3, 20.0), np.full(3, 0.35), np.ones(3), np.full(3, 127.0), np.zeros(3))
    curve = RecruitmentCurve(median_ma=20.0, spread=0.35)
    shares = [curve.share(current) for current in currents]
    expected, found = [], []
    for pulse in range(4000):
        on = pulse % 200 < 100
        given = [Recruited(n, pulse * 30_000_000, shares[n]) for n in range(3)] if on else []
        forces = muscle.advance(pulse * 30_000_000, 30, given, np.zeros(3))
        expected.append(forces[[9, 19, 29]] / FRESH_N)
        found.append(plant.pulse(np.array(currents) if on else np.zeros(3)))
    expected_all, found_all = np.concatenate(expected), np.concatenate(found)
    for n in range(3):
        assert np.abs(found_all[:, n] - expected_all[:, n]).max() < 0.02 * expected_all[:, n].max()
    assert found_all[-300:].max(axis=0) == pytest.approx(expected_all[-300:].max(axis=0), rel=0.01)
    assert (found_all[-600:].max(axis=0) < 0.6 * found_all[:600].max(axis=0)).all()


def test_its_force_comes_later_by_the_delay_and_later_still_when_tired() -> None:
    def rise_s(rate: float, before: int) -> float:
        plant, at_once = (
            Plant(np.array([20.0]), np.array([0.35]), np.array([rate]), np.array([127.0]), np.array([delay]))
            for delay in (0.03, 0.0)
        )
        for one in (plant, at_once):
            for _ in range(before):
                one.pulse(np.array([40.0]))
            for _ in range(40):
                one.pulse(np.array([0.0]))
        late, prompt = (
            np.concatenate([one.pulse(np.array([40.0]))[:, 0] for _ in range(30)]) for one in (plant, at_once)
        )
        half = 0.5 * prompt.max()
        return float(np.argmax(late > half) - np.argmax(prompt > half)) * PULSE_S / 3

    assert rise_s(0.0, 0) == pytest.approx(0.03)
    assert 0.03 < rise_s(1.0, 3000) <= 0.03 * (1 + DELAY_GROWTH)


def test_a_calibration_finds_the_curve_and_what_is_known_is_not_what_is() -> None:
    cases = [make_case(person, SEED + n) for n, person in enumerate(population(SEED, 6, "acute_sci"))]
    full = [case.full_response / case.fresh_n for case in cases]
    assert all(0.85 < ratio < 1.15 for ratio in full)
    assert all(case.drift != 1.0 and abs(math.log(case.drift)) <= 0.04 for case in cases)
    assert all(0.01 <= case.delay_s <= 0.03 for case in cases)
    again = make_case(population(SEED, 1, "acute_sci")[0], SEED)
    assert again == cases[0]


def test_the_best_policy_tracks_where_open_loop_does_not() -> None:
    cases = [make_case(person, SEED + n) for n, person in enumerate(population(SEED, 3, "acute_sci"))]
    errors = {
        name: run(cases, CONTROLLERS[name], target_n=60.0, fatigue=np.ones(3), repetitions=16).rmse
        for name in (BASELINE, BEST)
    }
    assert errors[BEST][-5:].mean() < 0.03
    assert errors[BASELINE][-5:].mean() > 0.2


@pytest.mark.prove
def test_the_supervisor_lowers_a_target_that_is_out_of_reach() -> None:
    cases = [make_case(person, SEED + n) for n, person in enumerate(population(SEED, 2, "chronic_sci"))]
    findings = parts_policies._high(cases, lambda text: None)
    by_what = {finding.what.split(": ")[1]: finding for finding in findings}
    error = by_what["tracking RMSE of what is aimed at, last 5"]
    assert error.baseline_value is not None
    assert error.value < 0.5 * error.baseline_value
    assert by_what["target aimed at, last 5"].value < 95.0


def test_a_spasm_takes_the_current_away_within_150_ms() -> None:
    found = [answer(population(seed, 1, "chronic_sci")[0], seed, 36.0) for seed in (101, 103)]
    latencies = [latency for one in found for latency in one.latency_ms]
    assert len(latencies) >= 4
    assert np.median(latencies) <= 150.0
    assert all(0.0 <= one.lost_share < 1.0 for one in found)


@pytest.mark.parametrize("seed", range(SEED, SEED + 4))
def test_no_current_outlives_effort_by_more_than_a_check(seed: int) -> None:
    person = population(seed, 1, "acute_sci")[0]
    found = let_go(person, seed, checks=True)
    assert found.left == 0.0
    assert found.zero_after_s < 3.5
    assert found.with_effort > 0.3


def test_plain_proportional_control_is_caught_in_the_trap() -> None:
    plain = [let_go(population(seed, 1, "acute_sci")[0], seed, checks=False) for seed in range(SEED, SEED + 12)]
    caught = [found for found in plain if found.loop_gain > 1.3]
    assert caught
    assert all(found.left > 0.5 for found in caught)


def test_no_limit_is_broken_in_sessions_of_nonsense() -> None:
    assert [broken for seed in range(2 * len(POLICIES)) for broken in session(seed)] == []


@pytest.mark.prove
@pytest.mark.timeout(900)
def test_the_whole_part_on_two_people_is_ready_for_json_and_reaches_its_targets() -> None:
    findings, curves = parts_policies.measure(2, 1, 100, lambda text: None)
    assert json.loads(json.dumps(curves, allow_nan=False)) == curves
    json.dumps([finding.as_dict() for finding in findings], allow_nan=False)
    assert all(finding.reached is not False for finding in findings)
    from matplotlib.figure import Figure

    figure = Figure(layout="constrained")
    parts_policies.draw(curves, figure)
    assert [axes.get_xlabel() for axes in figure.axes] == ["time (min)", "loop gain through residual artifact"]
