"""The indices of Bang and James, against published figures and against what they must be at their ends."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from myoloop.experiments.studies.blinding import Guessed, bang_index, count_guesses, james_index

# The example of the R package BI (Schwartz, Mercaldo) and of BlindingIndex.jl, with what both print for it:
# guesses of 382 persons on treatment and 371 on placebo.
TREATMENT, PLACEBO = Guessed(48, 4, 330), Guessed(30, 22, 319)
COUNTS = st.builds(Guessed, st.integers(0, 30), st.integers(0, 30), st.integers(0, 30))


def test_james_is_what_the_r_package_gives():
    found = james_index({"treatment": TREATMENT, "placebo": PLACEBO})
    assert np.round([found.estimate, found.standard_error, found.low, found.high], 3).tolist() == [
        0.896,
        0.011,
        0.875,
        0.918,
    ]
    assert found.n == 753


@pytest.mark.parametrize(
    ("arm", "figures"), [(TREATMENT, [0.115, 0.018, 0.08, 0.15]), (PLACEBO, [0.022, 0.019, -0.016, 0.06])]
)
def test_bang_is_what_the_r_package_gives(arm, figures):
    found = bang_index(arm)
    assert np.round([found.estimate, found.standard_error, found.low, found.high], 3).tolist() == figures


@pytest.mark.parametrize(
    ("guessed", "estimate"), [(Guessed(10, 0, 0), 1.0), (Guessed(0, 10, 0), -1.0), (Guessed(5, 5, 3), 0.0)]
)
def test_bang_at_its_ends(guessed, estimate):
    assert bang_index(guessed).estimate == estimate


@pytest.mark.parametrize(
    ("guessed", "estimate"), [(Guessed(10, 0, 0), 0.0), (Guessed(0, 0, 10), 1.0), (Guessed(5, 5, 0), 0.5)]
)
def test_james_at_its_ends(guessed, estimate):
    assert james_index({"a": guessed, "b": guessed}).estimate == pytest.approx(estimate)


def test_nobody_asked_means_no_index():
    nobody, somebody = Guessed(0, 0, 0), Guessed(3, 1, 0)
    assert bang_index(nobody) is None
    assert james_index({"a": nobody, "b": nobody}) is None
    assert james_index({"a": somebody, "b": nobody}) is None


@settings(deadline=None)
@given(COUNTS, COUNTS)
def test_the_variance_of_james_is_the_published_one(a, b):
    table = np.array([[a.right, b.wrong], [a.wrong, b.right], [a.unknown, b.unknown]], float)
    found = james_index({"a": a, "b": b})
    assume(found is not None and table[:2].sum() > 0)
    estimate, variance = james_1996(table)
    assert found.estimate == pytest.approx(estimate)
    assert found.standard_error**2 == pytest.approx(variance, abs=1e-12)
    assert 0.0 <= found.estimate <= 1.0


def james_1996(table):
    """The formulas as the paper writes them, term by term."""
    weights = np.array([[0.0, 0.5], [0.5, 0.0]])
    p = table / table.sum()
    unknown, guess, arm = p[2].sum(), p[:2].sum(1), p[:2].sum(0)
    known = 1 - unknown
    chance = (weights * np.outer(guess, arm)).sum()
    observed = (weights * p[:2]).sum() / known
    kappa = observed / (chance / known**2) - 1
    inner = weights.T @ guess + (weights @ arm)[:, None]
    first = (p[:2] * known**2 * (known * weights - (1 + kappa) * inner) ** 2).sum() / (4 * chance**2)
    second = unknown * known - known * (1 + kappa) * (unknown + known * (1 + kappa) / 4)
    return (1 + unknown + known * kappa) / 2, (first + second) / table.sum()


@settings(deadline=None)
@given(COUNTS)
def test_bang_stays_in_its_range_and_within_its_interval(guessed):
    assume(guessed.n > 0)
    found = bang_index(guessed)
    assert -1.0 <= found.estimate <= 1.0
    assert found.low <= found.estimate <= found.high


def test_a_higher_level_has_a_wider_interval():
    assert bang_index(TREATMENT, 0.99).high > bang_index(TREATMENT, 0.9).high
    with pytest.raises(ValueError, match="level"):
        bang_index(TREATMENT, 1.0)


def test_answers_are_counted_by_arm():
    pairs = [("verum", "verum"), ("verum", "sham"), ("verum", None), ("sham", "sham"), ("sham", "sham")]
    assert count_guesses(pairs, ("verum", "sham")) == {"verum": Guessed(1, 1, 1), "sham": Guessed(2, 0, 0)}


@pytest.mark.parametrize("pairs", [[("x", None)], [("verum", "x")]])
def test_an_arm_that_is_none_is_refused(pairs):
    with pytest.raises(ValueError, match="allowed are verum, sham"):
        count_guesses(pairs, ("verum", "sham"))


def test_the_indices_are_of_two_arms():
    with pytest.raises(ValueError, match="allowed are two"):
        count_guesses([], ("a", "b", "c"))
    with pytest.raises(ValueError, match="allowed are two"):
        james_index({"a": TREATMENT})
