"""A tree of plain arrays says what the forest says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from myoloop.controllers.policies.observation import OBSERVATION
from myoloop.controllers.policies.residual import ACTIONS
from myoloop.experiments.training.distil import best_residual, chooses, distil, values_of
from myoloop.experiments.training.fitted_q import FittedQSettings, Transitions, fit_q

ERROR = OBSERVATION.index("error")


@pytest.fixture(scope="module")
def logged() -> Transitions:
    """What pays is to answer an error by as much: the best residual is the error itself."""
    rng = np.random.Generator(np.random.PCG64(3))
    seen = rng.normal(0.0, 1.0, (6000, len(OBSERVATION))).astype(np.float32)
    seen[:, ERROR] = rng.uniform(-0.3, 0.3, len(seen))
    action = rng.integers(0, len(ACTIONS), len(seen))
    reward = -np.square(np.asarray(ACTIONS)[action] - seen[:, ERROR]).astype(np.float64)
    return Transitions(seen, action, reward, seen, np.ones(len(seen), dtype=np.bool_), np.zeros(len(seen), np.int64))


@pytest.fixture(scope="module")
def distilled(logged: Transitions):
    forest = fit_q(logged, ACTIONS, FittedQSettings(growths=1, iterations=2, trees=15, leaf_least=5), seed=2).forest
    return distil(forest, logged.observation, leaves=60, leaf_least=20, seed=0)


def test_it_does_what_pays(distilled, logged: Transitions) -> None:
    chosen = values_of(distilled.model, logged.observation)
    assert np.abs(chosen - logged.observation[:, ERROR]).mean() < 0.06
    assert np.corrcoef(chosen, logged.observation[:, ERROR])[0, 1] > 0.9


def test_it_is_held_against_the_forest(distilled) -> None:
    assert distilled.agreement > 0.8
    assert 0.8 < distilled.kept <= 1.0
    assert distilled.leaves <= 60


def test_many_at_once_is_one_after_another(distilled, logged: Transitions) -> None:
    rows = logged.observation[:200]
    one_by_one = [distilled.model.decide(row.astype(np.float64)) for row in rows]
    np.testing.assert_array_equal(values_of(distilled.model, rows), one_by_one)
    nearest = [int(np.argmin(np.abs(np.asarray(ACTIONS) - value))) for value in one_by_one]
    np.testing.assert_array_equal(chooses(distilled.model)(rows), nearest)


def test_ranges_are_those_of_all_that_was_seen(distilled, logged: Transitions) -> None:
    assert distilled.model.low[ERROR] == logged.observation[:, ERROR].min()
    assert distilled.model.outside(logged.observation[0].astype(np.float64)) == ""


@given(st.floats(-0.29, 0.29))
def test_between_the_actions_the_best_of_a_parabola_is_found(best: float) -> None:
    gains = -np.square(np.asarray(ACTIONS) - best)
    assert best_residual(gains) == pytest.approx(best, abs=0.08)
    if -0.15 < best < 0.15:
        assert best_residual(gains) == pytest.approx(best, abs=1e-9)


@given(st.lists(st.floats(-10, 10), min_size=len(ACTIONS), max_size=len(ACTIONS)))
def test_a_residual_is_never_beyond_the_actions_beside_the_best(gains: list[float]) -> None:
    found, best = best_residual(np.array(gains)), int(np.argmax(gains))
    assert ACTIONS[max(0, best - 1)] <= found <= ACTIONS[min(len(ACTIONS) - 1, best + 1)]
