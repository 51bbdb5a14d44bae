"""Rewards: what a decision adds to the composite of its person."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from myoloop.experiments.training.reward import Reward
from myoloop.experiments.training.rewards import Scale, reward_of, scales_of, transitions_of
from myoloop.experiments.training.rollout import COSTS

NOTHING = Reward(tracking=1, fatigue=1, charge=1, gate=0, pain=0)


def costs(**changed: float) -> np.ndarray:
    """Ten steps of one decision that cost just what adaptive gain's cost in a trial with an RMSE of 0.1."""
    usual = {"steps": 10.0, "square": 0.1, "fatigue": 0.001, "charge": 8.0, "gate": 0.0, "pain": 0.0}
    return np.array([[{**usual, **changed}[name] for name in COSTS]])


SCALE = Scale(trial_rmse=np.array([0.1, 0.2]), rmse=0.15, fatigue=0.001, charge=0.8, cost=costs())


def test_adaptive_gain_itself_is_nothing() -> None:
    assert reward() == 0.0


def reward(trial: int = 1, weights: Reward = NOTHING, **changed: float) -> float:
    return float(reward_of(costs(**changed), np.array([trial]), SCALE, weights)[0])


@pytest.mark.parametrize(("name", "half", "gained"), [("fatigue", 0.0005, 0.15), ("charge", 4.0, 0.1)])
def test_half_of_a_cost_gains_half_of_its_weight(name: str, half: float, gained: float) -> None:
    assert reward(**{name: half}) - reward() == pytest.approx(gained)


def test_a_small_change_of_the_error_counts_as_it_moves_the_composite() -> None:
    """RMSE of 0.1 to 0.099 in one of two trials moves the mean of 0.15 by 0.0005: 0.5 * 0.0005 / 0.15, twice."""
    gained = reward(square=10 * 0.099**2) - reward()
    assert gained == pytest.approx(2 * 0.5 * 0.0005 / 0.15, rel=0.01)


def test_in_a_trial_that_goes_badly_anyway_the_same_error_counts_less() -> None:
    assert reward(trial=2, square=0.2) - reward(trial=2) == pytest.approx((reward(square=0.2) - reward()) / 2)


def test_gate_and_pain_count_as_the_reward_file_says() -> None:
    weights = Reward(tracking=1, fatigue=1, charge=1, gate=0.3, pain=0.7)
    assert -reward(weights=weights, gate=5.0) == pytest.approx(0.15)
    assert -reward(weights=weights, pain=10.0) == pytest.approx(0.7)


def result() -> dict[str, Any]:
    cost = np.repeat(costs(), 6, axis=0)
    cost[3:, COSTS.index("charge")] = 4.0
    return {
        "figures": {"rmse": [0.1, 0.3]},
        "trial_rmse": np.array([[0.1], [0.3]]),
        "cost": cost,
        "person": np.array([0, 0, 0, 1, 1, 1]),
        "trial": np.ones(6, dtype=np.int64),
        "action": np.arange(6),
        "last": np.array([False, False, True] * 2),
        "observation": np.arange(6, dtype=np.float32)[:, None],
    }


def test_each_person_is_measured_by_their_own_adaptive_gain() -> None:
    one, other = scales_of([result()])
    assert (one.rmse, one.charge) == pytest.approx((0.1, 0.8))
    assert (other.rmse, other.charge) == pytest.approx((0.3, 0.4))


def test_an_error_beyond_what_a_residual_can_answer_counts_no_more_than_at_the_bound() -> None:
    assert reward(square=10 * 0.45**2) == pytest.approx(reward(square=10 * 2.0**2))
    assert reward(square=10 * 0.40**2) > reward(square=10 * 2.0**2)


def test_a_day_with_other_trains_has_a_usual_cost_instead() -> None:
    two = np.concatenate([costs(), costs(charge=4.0)])
    np.testing.assert_allclose(reward_of(two, np.array([1, 1]), SCALE, NOTHING), [-0.05, 0.05])


def test_what_follows_is_the_next_decision_of_the_same_person() -> None:
    made = transitions_of([result()], scales_of([result()]), [17, 23], NOTHING)
    np.testing.assert_array_equal(made.person, [17, 17, 17, 23, 23, 23])
    np.testing.assert_array_equal(made.following[~made.last].ravel(), [1, 2, 4, 5])
