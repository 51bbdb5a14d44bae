"""Thresholds move in a session: pads dry, skin gets used to it, and both wander; order and bounds hold."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.experiments.subjects.perception import PerceptionParameters, ThresholdDrift, Thresholds

WHATS = ("sensory_uc", "motor_uc", "tolerance_uc")


def drift(persons=1, seed=1, **parameters):
    return ThresholdDrift([PerceptionParameters(**parameters)] * persons, np.random.default_rng(seed))


def live(made, seconds, charge_uc=0.0):
    for _ in range(round(seconds)):
        if charge_uc:
            made.feel(0, charge_uc)
        made.step(1.0)
    return made.thresholds[0]


def test_by_default_nothing_moves():
    made = drift()
    assert live(made, 1000, 5.0) == Thresholds(1.3, 2.8, 7.8)
    assert made.electrode == [1.0]


def test_drying_pads_raise_every_threshold_alike_towards_what_is_given():
    made = drift(electrode_drying=0.2)
    half = live(made, 1200)
    factor = math.exp(0.2 * (1 - math.exp(-1)))
    assert made.electrode[0] == pytest.approx(factor)
    assert [half.sensory_uc, half.motor_uc, half.tolerance_uc] == pytest.approx(
        [factor * 1.3, factor * 2.8, factor * 7.8]
    )
    assert live(made, 12000).motor_uc == pytest.approx(2.8 * math.exp(0.2), rel=1e-3)


def test_one_gets_used_to_what_one_feels_and_not_to_what_one_does_not():
    made = drift(sensory_habituation=0.3)
    assert live(made, 600, 1.2).sensory_uc == 1.3
    used = live(made, 600, 2.0)
    assert used.sensory_uc == pytest.approx(1.3 * math.exp(0.3 * (1 - math.exp(-2))))
    assert used.motor_uc == 2.8
    assert used.tolerance_uc == pytest.approx(7.8 * math.exp(0.15 * (1 - math.exp(-2))))
    # It is lost again, three times as slowly.
    lost = live(made, 900)
    assert math.log(lost.sensory_uc / 1.3) == pytest.approx(0.3 * (1 - math.exp(-2)) * math.exp(-1))


def test_the_walk_has_the_spread_that_is_given_and_comes_back():
    ends, levels = [], []
    for seed in range(60):
        made = drift(seed=seed, threshold_wander=0.1)
        walk = [math.log(live(made, 10).motor_uc / 2.8) for _ in range(200)]
        ends.append(walk[-1])
        levels += walk[60:]
    assert np.std(ends) == pytest.approx(0.1, rel=0.3)
    assert np.std(levels) == pytest.approx(0.1, rel=0.15)
    assert abs(np.mean(levels)) < 0.03
    assert np.abs(levels).max() <= 0.2 + 1e-12


def test_each_muscle_wanders_by_itself():
    made = drift(2, threshold_wander=0.1)
    live(made, 100)
    assert made.thresholds[0] != made.thresholds[1]


def test_a_second_is_a_second_however_it_is_cut():
    coarse, fine = (drift(2, threshold_wander=0.05, electrode_drying=0.1, sensory_habituation=0.2) for _ in range(2))
    for _ in range(30):
        coarse.feel(1, 4.0)
        coarse.step(1.0)
        for tenth in range(100):
            if tenth == 50:
                fine.feel(1, 4.0)
            fine.step(0.01)
    assert fine.thresholds == coarse.thresholds
    assert fine.electrode == coarse.electrode


def test_what_is_done_to_one_muscle_moves_no_other():
    touched, left = (drift(2, threshold_wander=0.05, sensory_habituation=0.3) for _ in range(2))
    for _ in range(100):
        touched.feel(0, 5.0)
        touched.step(1.0)
        left.step(1.0)
    assert touched.thresholds[1] == left.thresholds[1]
    assert touched.thresholds[0].sensory_uc > left.thresholds[0].sensory_uc


@settings(deadline=None, max_examples=25)
@given(
    sensory=st.floats(0.3, 4.9),
    motor_above=st.floats(1.01, 10.0),
    tolerance_above=st.floats(1.01, 2.0),
    electrode_drying=st.floats(0.0, 0.5),
    sensory_habituation=st.floats(0.0, 1.0),
    threshold_wander=st.floats(0.0, 0.2),
    charge_uc=st.floats(0.0, 100.0),
    seed=st.integers(0, 1000),
)
def test_thresholds_stay_ordered_and_bounded(seed, sensory, motor_above, tolerance_above, charge_uc, **moves):
    begin = (sensory, sensory * motor_above, sensory * motor_above * tolerance_above)
    made = drift(seed=seed, **dict(zip(WHATS, begin, strict=True)), **moves)
    for _ in range(40):
        now = live(made, 25, charge_uc)
        values = (now.sensory_uc, now.motor_uc, now.tolerance_uc)
        assert values[0] < values[1] < values[2]
        assert all(first / 3.0 <= value <= first * 3.0 for first, value in zip(begin, values, strict=True))


def test_truth_names_every_threshold_of_every_muscle():
    told = drift(2).truth(["left", "right"])
    assert told["left.motor_uc"] == 2.8
    assert set(told) == {f"{side}.{what}" for side in ("left", "right") for what in WHATS}
