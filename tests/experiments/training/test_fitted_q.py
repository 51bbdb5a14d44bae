"""Fitted-Q iteration against problems whose Q is known."""

from __future__ import annotations

import numpy as np
import pytest

from myoloop.experiments.training.fitted_q import FittedQSettings, Transitions, fit_q, together

ACTIONS = (-1.0, 0.0, 1.0)
SETTINGS = FittedQSettings(discount=0.5, growths=2, iterations=15, trees=15, leaf_least=5)


def corridor(seed: int, n: int = 3000) -> Transitions:
    """Five places in a row; a step leads to a neighbour, and being at the right end pays 1."""
    rng = np.random.Generator(np.random.PCG64(seed))
    place = rng.integers(0, 5, n)
    action = rng.integers(0, 3, n)
    following = np.clip(place + action - 1, 0, 4)
    return Transitions(
        observation=place[:, None].astype(np.float32),
        action=action,
        reward=(following == 4).astype(np.float64),
        following=following[:, None].astype(np.float32),
        last=np.zeros(n, dtype=np.bool_),
        person=np.zeros(n, dtype=np.int64),
    )


PLACES = np.arange(5, dtype=np.float32)[:, None]


def test_q_is_that_of_dynamic_programming() -> None:
    value = np.zeros(5)
    for _ in range(60):
        steps = np.clip(np.arange(5)[:, None] + np.array([-1, 0, 1]), 0, 4)
        exact = (steps == 4) + 0.5 * value[steps]
        value = exact.max(axis=1)
    found = fit_q(corridor(0), ACTIONS, SETTINGS, seed=1)
    np.testing.assert_allclose(found.forest.values(PLACES), exact, atol=0.02)
    assert (found.forest.values(PLACES).argmax(axis=1)[:4] == 2).all()


def test_a_given_policy_is_worth_what_it_gets() -> None:
    """One that always stays gets 1 for ever at the right end, and nothing elsewhere."""

    def stays(observation: np.ndarray) -> np.ndarray:
        return np.ones(len(observation), dtype=np.int64)

    found = fit_q(corridor(0), ACTIONS, SETTINGS, seed=1, follow=stays)
    np.testing.assert_allclose(found.forest.values(PLACES)[:, 1], [0, 0, 0, 0, 2.0], atol=0.02)


def test_after_the_last_decision_nothing_is_got() -> None:
    one = corridor(0)
    ended = Transitions(one.observation, one.action, one.reward, one.following, ~one.last, one.person)
    found = fit_q(ended, ACTIONS, SETTINGS, seed=1)
    np.testing.assert_allclose(found.forest.values(PLACES)[4], [0.0, 1.0, 1.0], atol=0.02)


def test_iterations_settle() -> None:
    change = fit_q(corridor(0), ACTIONS, SETTINGS, seed=1).change
    assert change[-1] < 1e-3 < change[0]


def test_the_same_seed_gives_the_same_trees_and_another_others() -> None:
    rng = np.random.Generator(np.random.PCG64(5))
    noisy = corridor(0)
    noisy = Transitions(
        noisy.observation, noisy.action, noisy.reward + rng.standard_normal(len(noisy)), noisy.following, noisy.last,
        noisy.person,
    )  # fmt: skip
    wide = FittedQSettings(discount=0.5, growths=1, iterations=3, trees=5, leaf_least=400)
    values = [fit_q(noisy, ACTIONS, wide, seed).forest.values(PLACES) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(values[0], values[1])
    assert (values[0] != values[2]).any()


def test_parts_are_put_together_in_order() -> None:
    one, other = corridor(0, 10), corridor(1, 20)
    both = together([one, other])
    assert len(both) == 30
    np.testing.assert_array_equal(both.of(np.arange(10, 30)).action, other.action)


def test_too_little_and_nonsense_are_refused() -> None:
    with pytest.raises(ValueError, match="8 transitions: at least 10"):
        fit_q(corridor(0, 8), ACTIONS, SETTINGS, seed=1)
    one = corridor(0, 100)
    one.reward[3] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        fit_q(one, ACTIONS, SETTINGS, seed=1)
