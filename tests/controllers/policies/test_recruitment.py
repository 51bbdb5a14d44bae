"""The recruitment curve, its inverse, and how it is found."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from myoloop.controllers.policies.recruitment import RecruitmentCurve, fit_recruitment

CURVE = RecruitmentCurve(median_ma=20.0, spread=0.35, threshold_ma=9.0)


@given(st.floats(0.02, 0.98), st.floats(1.0, 100.0), st.floats(0.1, 1.0))
def test_the_inverse_is_the_inverse(share: float, median_ma: float, spread: float) -> None:
    curve = RecruitmentCurve(median_ma=median_ma, spread=spread)
    assert curve.share(curve.current_ma(share)) == pytest.approx(share, abs=1e-9)


def test_half_the_axons_answer_at_the_median_and_a_spread_above_it_84_percent() -> None:
    assert CURVE.share(20.0) == pytest.approx(0.5)
    assert CURVE.share(20.0 * math.exp(0.35)) == pytest.approx(0.8413, abs=1e-4)


def test_nothing_is_zero_and_anything_is_at_least_the_threshold() -> None:
    assert CURVE.current_ma(0.0) == 0.0
    assert CURVE.current_ma(-1.0) == 0.0
    assert CURVE.current_ma(math.nan) == 0.0
    assert CURVE.current_ma(1e-6) == 9.0
    assert CURVE.share(8.9) == 0.0
    assert CURVE.share(-3.0) == 0.0
    assert math.isfinite(CURVE.current_ma(5.0))


def test_another_width_shifts_it_by_weiss_law() -> None:
    curve = RecruitmentCurve(median_ma=20.0, spread=0.35, phase_us=250.0, chronaxie_us=300.0)
    # I ~ 1 + chronaxie / width: (1 + 300/500) / (1 + 300/250).
    assert curve.current_ma(0.5, 500.0) == pytest.approx(20.0 * 1.6 / 2.2)
    assert curve.share(20.0 * 1.6 / 2.2, 500.0) == pytest.approx(0.5)
    assert curve.current_ma(0.5, 250.0) == pytest.approx(20.0)
    assert CURVE.current_ma(0.5, 500.0) == pytest.approx(20.0)


@pytest.mark.parametrize(("median_ma", "spread", "full"), [(20.0, 0.35, 130.0), (8.0, 0.25, 2.0), (45.0, 0.5, 900.0)])
def test_it_is_found_from_answers_to_a_few_currents(median_ma: float, spread: float, full: float) -> None:
    true = RecruitmentCurve(median_ma=median_ma, spread=spread)
    currents = np.linspace(true.current_ma(0.03), true.current_ma(0.9), 8)
    answers = [full * true.share(float(current)) for current in currents]
    found, response = fit_recruitment(list(currents), answers, phase_us=250.0)
    assert found.median_ma == pytest.approx(median_ma, rel=1e-3)
    assert found.spread == pytest.approx(spread, rel=1e-3)
    assert response == pytest.approx(full, rel=1e-3)
    assert 0 < found.threshold_ma < true.current_ma(0.02)
    noisy = np.array(answers) * (1 + 0.02 * np.random.default_rng(1).standard_normal(8))
    found, _ = fit_recruitment(list(currents), list(noisy))
    assert found.median_ma == pytest.approx(median_ma, rel=0.15)


def test_answers_that_say_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="3 currents: a recruitment curve needs at least four"):
        fit_recruitment([1, 2, 3], [0, 1, 2])
    with pytest.raises(ValueError, match="finite responses to currents above 0 mA"):
        fit_recruitment([1, 2, 3, 4], [0, 1, math.nan, 2])
    with pytest.raises(ValueError, match="no response differs"):
        fit_recruitment([1, 2, 3, 4], [5.0, 5.0, 5.0, 5.0])
