"""The estimators: what is put into numbers is within the interval as often as it says; what cannot be had is told."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from myoloop.experiments.cohorts import effects


def data(seed: int, *, people: int = 20, slope: float = 0.04, spread: float = 0.006) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(people):
        test = number % 2
        own, own_slope = 0.15 * rng.standard_normal(), test * (slope + spread * rng.standard_normal())
        for t in range(6):
            y = 4 + own + own_slope * t + 0.025 * rng.standard_normal()
            rows.append((f"P{number}", float(t), y, test, float(rng.poisson(4 * np.exp(-0.25 * t * test)))))
    return pd.DataFrame(rows, columns=["person", "t", "y", "test", "count"])


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    held = {"mixed": 0, "counts": 0, "two stages": 0}
    for seed in range(10):
        frame = data(seed)
        found = {
            "mixed": (effects.arms_effect(frame, 0.95, "intercept_and_slope"), 0.04),
            "counts": (effects.rate_effect(frame.assign(y=frame["count"]), 0.95), -0.25),
            "two stages": (effects.two_stage(frame, 0.95), 0.04),
        }
        for name, (estimate, truth) in found.items():
            assert estimate.low is not None
            assert estimate.high is not None
            held[name] += estimate.low <= truth <= estimate.high
    # Of ten intervals at 95 %, fewer than eight by chance once in a hundred times.
    assert min(held.values()) >= 8, held


def test_the_mixed_model_agrees_with_another_way_to_the_same() -> None:
    frame = data(3, spread=0.0)
    mixed, stages = effects.arms_effect(frame, 0.95, "intercept"), effects.two_stage(frame, 0.95)
    assert mixed.value is not None
    assert stages.value is not None
    assert stages.error is not None
    assert abs(mixed.value - stages.value) < 2 * stages.error
    assert mixed.people == 20
    assert mixed.sessions == 120
    assert "REML" in mixed.method
    assert "18 d.f." in mixed.method


def test_the_curve_of_the_model_begins_together_and_parts_by_the_effect() -> None:
    estimate = effects.arms_effect(data(1), 0.95, "intercept_and_slope")
    mean = {(arm, t): value for arm, t, value, _, _ in estimate.curve}
    assert mean[0, 0.0] == pytest.approx(mean[1, 0.0])
    assert mean[1, 5.0] - mean[0, 5.0] == pytest.approx(5 * (estimate.value or 0.0))


def test_a_mean_is_of_people_and_not_of_sessions() -> None:
    frame = pd.DataFrame(
        {"person": ["A", "A", "A", "B"], "t": [0.0, 1.0, 2.0, 0.0], "y": [1.0, 1.0, 1.0, 3.0], "test": 0}
    )
    estimate = effects.mean_of_people(frame, 0.95)
    assert estimate.value == 2.0
    assert (estimate.people, estimate.sessions) == (2, 4)


def test_a_slope_on_dose_is_within_arms() -> None:
    # Between the arms the outcome and the dose differ, within them the dose does nothing.
    people = pd.DataFrame(
        {
            "person": list("ABCDEFGH"), "test": [0, 0, 0, 0, 1, 1, 1, 1], "dose": [1.0, 2, 3, 4, 11, 12, 13, 14],
            "change": [0.1, -0.1, 0.1, -0.1, 1.1, 0.9, 1.1, 0.9],
        }
    )  # fmt: skip
    estimate = effects.slope_on_dose(people, 0.95)
    assert estimate.low is not None
    assert estimate.high is not None
    assert estimate.low < 0 < estimate.high
    assert "arm held constant" in estimate.method


@pytest.mark.parametrize(
    ("estimate", "why"),
    [
        (effects.arms_effect(data(1).query("test == 0"), 0.95, "intercept"), "fewer than two people"),
        (effects.rate_effect(data(1).query("test == 1"), 0.95), "fewer than two people"),
        (effects.rate_effect(data(1).assign(y=0.0), 0.95), "all zero"),
        (effects.trend(data(1, people=2), 0.95, "intercept", "raw"), "fewer than three people"),
        (effects.trend(data(1).query("t == 0"), 0.95, "intercept", "raw"), "one session alone"),
        (effects.arms_effect(data(1).assign(y=1.0), 0.95, "intercept"), "every value is the same"),
        (effects.mean_of_people(data(1, people=1), 0.95), "fewer than two people"),
    ],
)
def test_what_cannot_be_estimated_says_why(estimate: effects.Estimated, why: str) -> None:
    assert estimate.value is None
    assert why in estimate.why
