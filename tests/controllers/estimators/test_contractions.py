"""What a row of contractions says."""

from __future__ import annotations

import math

import numpy as np
import pytest

from myoloop.controllers.estimators.contractions import (
    BAND_SENSITIVITY,
    Carried,
    Contraction,
    Evidence,
    baseline,
    change,
    course,
    fatigue_of_frequency,
    over_a_break,
    slope,
    tires,
)
from myoloop.platform.messages import Measure

EVIDENCE = Evidence(
    contractions_min=4, slope_contractions_min=5, early=8, late=12, slope_contractions=40, pause_s=90.0, segment_s=0.25
)


def _row(
    log_mnf: np.ndarray, *, log_rms: np.ndarray | float = 5.0, every_s: float = 6.0, from_s: float = 0.0,
    clipped: float = 0.0,
) -> list[Contraction]:  # fmt: skip
    amplitude = np.broadcast_to(log_rms, log_mnf.shape)
    return [
        Contraction(
            round((from_s + every_s * k) * 1e9), float(mnf), 0.8 * math.exp(mnf), 30, k + 1, float(rms),
            -5.0 * float(mnf), clipped,
        )
        for k, (mnf, rms) in enumerate(zip(log_mnf, amplitude, strict=True))
    ]  # fmt: skip


def _falling(pct_per_min: float, count: int = 24, scatter: float = 0.0, seed: int = 0) -> np.ndarray:
    """ln of a mean frequency of 100 Hz that falls along a straight line."""
    t_min = 0.1 * np.arange(count)
    exact = np.log(100.0 * (1 + 0.01 * pct_per_min * t_min))
    return exact + scatter * np.random.default_rng(seed).standard_normal(count)


@pytest.mark.parametrize("true", [-9.5, -3.6, 0.0, 4.0])
def test_a_straight_fall_is_told_in_percent_of_its_beginning_per_minute(true: float) -> None:
    points = _row(_falling(true))
    told = slope(course(points, EVIDENCE), points, EVIDENCE)
    assert told.valid
    assert told.value == pytest.approx(true, abs=1e-6)
    assert told.low <= told.value <= told.high
    assert tires(told) == (true < -1)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    covered = flagged = 0
    for seed in range(300):
        points = _row(_falling(-0.5, scatter=0.022, seed=seed))
        told = slope(course(points, EVIDENCE), points, EVIDENCE)
        covered += told.low <= -0.5 <= told.high
        flagged += tires(told)
    assert 0.92 <= covered / 300 <= 0.985
    assert flagged / 300 <= 0.02


def test_spoilt_contractions_are_left_out_whatever_shows_them() -> None:
    log_mnf, log_rms = _falling(-4.0, scatter=0.02), 5.0 + 0.04 * np.random.default_rng(1).standard_normal(24)
    log_mnf[5] -= 0.5
    log_rms[17] += 0.6
    found = course(_row(log_mnf, log_rms=log_rms), EVIDENCE)
    assert found is not None
    assert (found.contractions, found.spoilt) == (24, 2)
    clean = np.delete(np.arange(24), [5, 17])
    alone = course([_row(log_mnf, log_rms=log_rms)[k] for k in clean], EVIDENCE)
    assert alone is not None
    assert found.frequency == alone.frequency


def test_efforts_that_differ_do_not_cost_the_slope_its_contractions() -> None:
    log_rms = np.where(np.arange(24) % 3 == 0, 6.5, 5.0) + 0.01 * np.random.default_rng(2).standard_normal(24)
    found = course(_row(_falling(-4.0, scatter=0.02), log_rms=log_rms), EVIDENCE)
    assert found is not None
    assert found.spoilt <= 1


@pytest.mark.parametrize(
    ("frequency", "amplitude", "why"),
    [(-8.0, 0.02, "fatigue"), (8.0, 0.02, "force increase"), (8.0, -0.02, "recovery"), (-8.0, -0.02, "force decrease")],
)
def test_quadrants_of_rows(frequency: float, amplitude: float, why: str) -> None:
    log_rms = 5.0 + amplitude * np.arange(24) + 0.04 * np.random.default_rng(3).standard_normal(24)
    found = course(_row(_falling(frequency, scatter=0.01), log_rms=log_rms), EVIDENCE)
    assert found is not None
    assert found.jasa == why
    level = course(_row(_falling(frequency, scatter=0.01), log_rms=log_rms - amplitude * np.arange(24)), EVIDENCE)
    assert level is not None
    assert level.jasa == "undetermined"


def test_a_clipped_amplitude_that_falls_may_have_risen() -> None:
    log_rms = 5.0 - 0.02 * np.arange(24)
    told = [course(_row(_falling(-8.0), log_rms=log_rms, clipped=share), EVIDENCE) for share in (0.0, 0.02)]
    assert [found.jasa for found in told if found is not None] == ["force decrease", "undetermined"]
    rising = course(_row(_falling(-8.0), log_rms=-log_rms, clipped=0.02), EVIDENCE)
    assert rising is not None
    assert rising.clipped
    assert rising.jasa == "fatigue"


def test_too_few_contractions_say_nothing_and_how_many_are_missing() -> None:
    points = _row(_falling(-4.0, 4))
    assert course(points, EVIDENCE) is None
    told = slope(None, points, EVIDENCE)
    assert not told.valid
    assert told.reason == "not enough evidence: 4 of 5 steady contractions since the last pause"
    assert change(points[:3], EVIDENCE, Carried()) == "not enough evidence: 3 of 4 steady contractions"
    assert not tires(told)
    assert not tires(Measure(value=-5.0, valid=True, reason=""))


def test_after_a_pause_three_contractions_must_show_recovery_before_it_is_told() -> None:
    tired = _row(_falling(-10.0, 20, scatter=0.01))
    recovered = np.full(4, math.log(99.0)) + 0.01 * np.random.default_rng(4).standard_normal(4)
    after = _row(recovered, from_s=114.0 + 240.0)
    before = change(tired, EVIDENCE, Carried())
    assert isinstance(before, Carried)
    assert fatigue_of_frequency(*before).value > 0.35
    for count in (1, 2):
        told = change([*tired, *after[:count]], EVIDENCE, Carried())
        assert isinstance(told, str)
        assert told.startswith(f"{count} of 3 steady contractions since a pause")
    now = change([*tired, *after[:3]], EVIDENCE, Carried())
    assert isinstance(now, Carried)
    assert fatigue_of_frequency(*now).value < 0.1
    # The slope is that since the pause, and needs its own contractions.
    assert course([*tired, *after], EVIDENCE) is None


def test_without_recovery_the_index_stays_over_a_pause() -> None:
    tired = _row(_falling(-10.0, 20, scatter=0.01))
    still = np.full(4, tired[-1].log_mnf) + 0.01 * np.random.default_rng(5).standard_normal(4)
    now = change([*tired, *_row(still, from_s=354.0)], EVIDENCE, Carried())
    assert isinstance(now, Carried)
    assert fatigue_of_frequency(*now).value > 0.35


def test_over_another_electrode_fatigue_goes_on_and_may_have_gone() -> None:
    before = Carried(BAND_SENSITIVITY * math.log(0.8), 0.02)
    carried = over_a_break(before, Carried())
    fresh = change(_row(_falling(0.0, 8, scatter=0.01)), EVIDENCE, carried)
    assert isinstance(fresh, Carried)
    told = fatigue_of_frequency(*fresh)
    assert told.value == pytest.approx(0.4, abs=0.05)
    assert told.low <= 0.0 < 0.4 < told.high
    # Broken again before anything was known of the new electrode: what was carried is kept.
    assert over_a_break("not enough evidence: 1 of 4 steady contractions", carried).log_ratio == carried.log_ratio
    assert over_a_break("nothing", Carried()) == Carried()


def test_the_baseline_is_the_median_of_the_first_three() -> None:
    points = _row(np.log([100.0, 130.0, 104.0, 50.0]), log_rms=np.array([1.0, 2.0, 1.1, 9.0]))
    assert baseline(points[:2]) is None
    began = baseline(points)
    assert began is not None
    assert math.exp(began.log_mnf) == pytest.approx(104.0)
    assert began.log_mnf_mad == pytest.approx(math.log(104.0 / 100.0))
    assert began.log_rms == pytest.approx(1.1)
    assert began.log_rms_mad == pytest.approx(0.1)
