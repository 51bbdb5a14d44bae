"""The composite: 1 is adaptive gain, less is better, people are the units."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from myoloop.experiments.training.composite import WEIGHTS, composite, interval

REFERENCE = {
    "rmse": np.array([0.05, 0.1]),
    "fatigue": np.array([0.2, 0.4]),
    "charge_mc": np.array([60.0, 90.0]),
}
figures = hnp.arrays(np.float64, 5, elements=st.floats(0.01, 100))


def test_adaptive_gain_itself_is_one_on_everybody() -> None:
    np.testing.assert_allclose(composite(REFERENCE, REFERENCE), 1.0)


@pytest.mark.parametrize(("name", "saved"), [("rmse", 0.25), ("fatigue", 0.15), ("charge_mc", 0.1)])
def test_half_of_one_figure_saves_half_of_its_weight(name: str, saved: float) -> None:
    figures = {**REFERENCE, name: REFERENCE[name] / 2}
    np.testing.assert_allclose(composite(figures, REFERENCE), 1.0 - saved)


@given(figures, figures, st.floats(0.1, 10))
def test_units_do_not_matter(ours: np.ndarray, theirs: np.ndarray, factor: float) -> None:
    one = composite(dict.fromkeys(WEIGHTS, ours), dict.fromkeys(WEIGHTS, theirs))
    other = composite(dict.fromkeys(WEIGHTS, ours * factor), dict.fromkeys(WEIGHTS, theirs * factor))
    np.testing.assert_allclose(one, other)


def test_where_nobody_can_be_tired_fatigue_is_equal() -> None:
    nobody = {**REFERENCE, "fatigue": np.array([0.0, 0.4])}
    np.testing.assert_allclose(composite(nobody, nobody), 1.0)
    with pytest.raises(ValueError, match="fatigue of adaptive gain is 0"):
        composite(REFERENCE, nobody)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -1.0])
def test_a_figure_that_is_none_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="rmse: found"):
        composite({**REFERENCE, "rmse": np.array([0.05, wrong])}, REFERENCE)


def test_a_missing_figure_is_named() -> None:
    with pytest.raises(ValueError, match="charge_mc is missing"):
        composite({"rmse": REFERENCE["rmse"], "fatigue": REFERENCE["fatigue"]}, REFERENCE)


def test_an_interval_holds_the_mean_and_shrinks_with_people() -> None:
    rng = np.random.Generator(np.random.PCG64(1))
    few, many = rng.normal(0.9, 0.1, 10), rng.normal(0.9, 0.1, 200)
    narrow, wide = interval(many, 0), interval(few, 0)
    assert narrow.low < narrow.mean < narrow.high
    assert narrow.high - narrow.low < wide.high - wide.low
    assert narrow.low < 0.9 < narrow.high


def test_an_interval_is_the_same_by_its_seed() -> None:
    values = np.arange(10.0)
    assert interval(values, 3) == interval(values, 3)
    assert interval(values, 3) != interval(values, 4)


def test_of_people_who_do_not_differ_the_interval_is_a_point() -> None:
    found = interval([0.7, 0.7, 0.7], 0)
    assert (found.low, found.high) == (found.mean, found.mean)


@pytest.mark.parametrize("values", [[], [1.0, float("nan")]])
def test_nobody_and_nan_have_no_interval(values: list[float]) -> None:
    with pytest.raises(ValueError, match="at least one person"):
        interval(values, 0)
