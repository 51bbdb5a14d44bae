"""The quadrant of amplitude and frequency."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from myoloop.controllers.estimators.jasa import quadrant

UP, DOWN, LEVEL = (0.1, 0.5), (-0.5, -0.1), (-0.1, 0.3)


@pytest.mark.parametrize(
    ("amplitude", "frequency", "why"),
    [
        (UP, DOWN, "fatigue"),
        (UP, UP, "force increase"),
        (DOWN, UP, "recovery"),
        (DOWN, DOWN, "force decrease"),
        (LEVEL, DOWN, "undetermined"),
        (UP, LEVEL, "undetermined"),
        ((0.1, math.inf), DOWN, "fatigue"),
        ((-0.5, math.inf), DOWN, "undetermined"),
        ((math.nan, 0.5), DOWN, "undetermined"),
        ((0.0, 0.5), DOWN, "undetermined"),
    ],
)
def test_each_quadrant_needs_both_signs(
    amplitude: tuple[float, float], frequency: tuple[float, float], why: str
) -> None:
    assert quadrant(amplitude, frequency) == why


ends = st.floats(-10, 10)


@given(ends, ends, ends, ends)
def test_whatever_spans_zero_is_undetermined(a: float, b: float, c: float, d: float) -> None:
    amplitude, frequency = (min(a, b), max(a, b)), (min(c, d), max(c, d))
    spans = any(low <= 0 <= high for low, high in (amplitude, frequency))
    assert (quadrant(amplitude, frequency) == "undetermined") == spans
