"""The robust line."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import theilslopes

from myoloop.controllers.estimators.trend import departure, screened, theil_sen, weighted_median

points = st.lists(st.tuples(st.floats(0, 1000), st.floats(-100, 100)), min_size=3, max_size=25)


@settings(deadline=None)
@given(points)
def test_slope_and_interval_are_scipys(data: list[tuple[float, float]]) -> None:
    t, y = np.array(data).T
    t = np.round(t, 1)
    # Ties in y, for which scipy narrows the interval, do not happen in what is measured.
    assume(len(set(t.tolist())) == len(t) and len(set(y.tolist())) == len(y))
    line, expected = theil_sen(t, y), theilslopes(y, t, alpha=0.95)
    assert line.slope == pytest.approx(expected.slope, abs=1e-9)
    assert line.low == pytest.approx(expected.low_slope, abs=1e-9)
    assert line.high == pytest.approx(expected.high_slope, abs=1e-9)
    assert line.intercept == pytest.approx(float(np.median(y - line.slope * t)), abs=1e-9)


def test_points_far_off_the_line_are_screened_unless_they_are_more_than_a_quarter() -> None:
    t = np.arange(24.0)
    y = 5.0 - 0.3 * t + 0.1 * np.random.default_rng(6).standard_normal(24)
    assert screened(t, y).all()
    y[[3, 12]] += [2.0, -1.5]
    assert np.flatnonzero(~screened(t, y)).tolist() == [3, 12]
    y[::3] += 40.0
    assert screened(t, y).all()


def test_a_fifth_of_wrong_points_does_not_move_it() -> None:
    t = np.arange(20.0)
    y = 5.0 - 0.3 * t
    y[[2, 7, 11, 18]] = [50.0, -40.0, 30.0, 60.0]
    assert theil_sen(t, y).slope == pytest.approx(-0.3)


def test_weights_say_how_much_a_point_counts() -> None:
    assert weighted_median(np.array([1.0, 2.0, 3.0]), np.array([1.0, 1.0, 5.0])) == 3.0
    assert weighted_median(np.array([1.0, 2.0]), np.ones(2)) == 1.5
    heavy = theil_sen(np.array([0.0, 1.0, 2.0]), np.array([0.0, 1.0, 0.0]), np.array([9.0, 9.0, 0.1]))
    assert heavy.slope == pytest.approx(1.0)


def test_one_time_is_no_line() -> None:
    with pytest.raises(ValueError, match="two points at different times"):
        theil_sen(np.array([3.0, 3.0]), np.array([1.0, 2.0]))


@pytest.mark.parametrize("count", [4, 5, 8, 9, 12, 30])
def test_departure_of_a_straight_line_is_exact_and_its_interval_covers_noise(count: int) -> None:
    t = 12.0 * np.arange(count)
    rng = np.random.default_rng(count)
    exact = departure(t, 1 - 0.001 * t, np.ones(count), early=8, late=12, scatter_min=0.02)
    assert exact.last - exact.first == pytest.approx(-0.001 * t[-1], abs=1e-12)
    inside = 0
    for _ in range(1000):
        noisy = departure(
            t, -0.001 * t + 0.03 * rng.standard_normal(count), np.ones(count), early=8, late=12, scatter_min=0.02
        )
        inside += abs(noisy.last - noisy.first + 0.001 * t[-1]) <= 1.96 * noisy.sd
    assert inside / 1000 >= 0.89
