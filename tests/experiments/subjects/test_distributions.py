"""How parameters differ between people."""

import math
from dataclasses import dataclass

import numpy as np
import pytest

from myoloop.experiments.subjects.distributions import (
    LogNormal,
    Parameters,
    Relative,
    Same,
    Uniform,
    parameter,
)


def drawn(distribution, n=2000):
    rng = np.random.default_rng(3)
    return np.array([distribution.draw(rng) for _ in range(n)])


def test_a_log_normal_one_has_its_median_and_spread_and_ends_at_two_of_them():
    values = drawn(LogNormal(5.0, 0.3))
    assert np.median(values) == pytest.approx(5.0, rel=0.03)
    assert np.log(values).std() == pytest.approx(0.3 * 0.88, rel=0.06)
    assert 5.0 * math.exp(-0.601) <= values.min() < values.max() <= 5.0 * math.exp(0.601)


def test_a_uniform_one_lies_within_its_ends():
    values = drawn(Uniform(2.0, 4.0))
    assert 2.0 <= values.min() < 2.1 < 3.9 < values.max() <= 4.0


@pytest.mark.parametrize(
    "distribution",
    [Same(1.0), Uniform(0.0, 2.0), LogNormal(1.0, 0.2), Relative(lambda others: 1.0, Uniform(1, 2))],
)
def test_all_take_one_number_so_that_a_change_of_one_moves_no_other(distribution):
    one, other = np.random.default_rng(1), np.random.default_rng(1)
    distribution.draw(one)
    other.random()
    assert one.random() == other.random()


@dataclass(frozen=True, kw_only=True)
class Few(Parameters):
    size: float = parameter(2.0, 1.0, 3.0, source="this test")
    rate: float = parameter(0.0, -1.0, 1.0, varies=Uniform(-1.0, 1.0), source="this test")


def test_what_is_not_said_to_vary_is_the_same_for_everybody():
    assert Few.__dataclass_fields__["size"].metadata["varies"] == Same(2.0)


@pytest.mark.parametrize("value", [0.99, 3.01, math.nan, math.inf, "2", True, None])
def test_a_value_that_is_not_allowed_is_refused_by_name(value):
    with pytest.raises(ValueError, match=r"size: found .*, allowed is .*1 to 3"):
        Few(size=value)
