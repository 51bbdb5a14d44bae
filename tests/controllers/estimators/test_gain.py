"""A gain that is tracked from train to train."""

from __future__ import annotations

import json

import numpy as np
import pytest

from myoloop.controllers.estimators.gain import GainBank

FIRST = 4


def _track(
    gain: np.ndarray, *, share: np.ndarray | None = None, power: float = 2.0, scatter: float = 0.03, seed: int = 1,
    wrong: float = 0.0, every_s: float = 10.0,
) -> tuple[GainBank, np.ndarray, np.ndarray]:  # fmt: skip
    """The bank after trains of a true gain; what it told after each, and standard deviations of it."""
    rng = np.random.default_rng(seed)
    n = len(gain)
    share = np.ones(n) if share is None else share
    response = gain * share**power * (1 + scatter * rng.standard_normal(n))
    spoilt = rng.random(n) < wrong
    response[spoilt] *= rng.uniform(0.2, 2.5, spoilt.sum())
    t_s = every_s * np.arange(n)
    bank = GainBank(1)
    bank.begin(0, t_s[:FIRST], response[:FIRST], share[:FIRST], 2.0, 0.8)
    told = [bank.tell(0)]
    for k in range(FIRST, n):
        bank.update(0, t_s[k], response[k], share[k])
        told.append(bank.tell(0))
    return bank, np.array([each.ratio for each in told]), np.array([each.sd for each in told])


def _course(n: int = 60, left: float = 0.4) -> np.ndarray:
    return left + (1 - left) * np.exp(-np.arange(n) / 8.0)


@pytest.mark.parametrize(("scatter", "wrong", "error"), [(0.01, 0.0, 0.03), (0.05, 0.0, 0.06), (0.03, 0.1, 0.06)])
def test_a_gain_that_falls_is_followed_though_responses_scatter_and_some_are_wrong(
    scatter: float, wrong: float, error: float
) -> None:
    truth = _course()
    errors = []
    for seed in range(8):
        _, told, _ = _track(truth, scatter=scatter, wrong=wrong, seed=seed)
        errors.append(np.sqrt(np.mean((told - truth[FIRST - 1 :]) ** 2)))
    assert np.mean(errors) < error


def test_its_interval_holds_the_truth_as_often_as_it_says() -> None:
    """Trains without a cycle of fatigue and rest between them: told for half an interval after each."""
    inside = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        truth = 1.0 - np.cumsum(np.full(60, 0.01) * (1 + 0.3 * rng.standard_normal(60)))
        truth /= truth[0]
        _, told, sd = _track(truth, scatter=float(rng.choice([0.02, 0.05, 0.1])), seed=seed)
        middle = 0.5 * (truth[FIRST - 1 : -1] + truth[FIRST:])
        inside.append(np.mean(np.abs(told[:-1] - middle) < 1.96 * sd[:-1]))
    assert np.mean(inside) > 0.9


def test_scatter_widens_the_interval() -> None:
    widths = [_track(np.ones(30), scatter=scatter)[2][-1] for scatter in (0.01, 0.05, 0.2)]
    assert widths[0] < widths[1] < widths[2]


def test_the_power_is_learned_and_an_unknown_power_widens_the_interval_of_another_charge() -> None:
    rng = np.random.default_rng(2)
    varied = np.exp(0.15 * rng.standard_normal(60))
    bank, told, _ = _track(_course(), share=varied, power=3.2)
    assert bank.power(0) == pytest.approx(3.2, abs=0.25)
    assert np.sqrt(np.mean((told[8:] - _course()[FIRST + 7 :]) ** 2)) < 0.05
    less = np.ones(9)
    less[5:] = 0.7
    _, _, sd = _track(np.ones(9), share=less)
    _, _, same = _track(np.ones(9))
    assert sd[-1] > 1.2 * same[-1]


def test_after_a_rest_the_next_train_decides_and_not_the_slope_before() -> None:
    before, after = np.linspace(1.0, 0.5, 20), np.full(6, 0.8)
    bank, _, _ = _track(before, scatter=0.01)
    sd = bank.tell(0).sd
    bank.update(0, 190.0 + 300.0, float(after[0]), 1.0)
    told = bank.tell(0)
    assert told.ratio == pytest.approx(0.8, abs=0.05)
    assert told.sd > 0.5 * sd


def test_state_goes_through_json_bit_for_bit_and_muscles_are_apart() -> None:
    one, _, _ = _track(_course(20))
    other = GainBank(1)
    other.restore(json.loads(json.dumps(one.state(), allow_nan=False)))
    for bank in (one, other):
        bank.update(0, 200.0, 0.5, 1.1)
    assert one.state() == other.state()
    assert one.tell(0) == other.tell(0)
    two = GainBank(2)
    t_s = np.arange(4.0)
    two.begin(1, t_s, np.ones(4), np.ones(4), 2.0, 0.8)
    alone = two.tell(1)
    two.begin(0, t_s, np.linspace(1, 0.5, 4), np.ones(4), 2.0, 0.8)
    two.update(0, 4.0, 0.3, 1.0)
    assert two.tell(1) == alone
