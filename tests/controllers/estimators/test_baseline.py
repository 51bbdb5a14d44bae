"""Rest is learned from rest only."""

from __future__ import annotations

import json

import numpy as np
import pytest

from myoloop.controllers.estimators.baseline import BaselineSettings, RestBaseline

YES, NO = np.array([True]), np.array([False])


class _Muscle:
    """One muscle whose level is told hop by hop."""

    def __init__(self) -> None:
        self.rest = RestBaseline(BaselineSettings(), 1, 0.01)
        self.rng = np.random.default_rng(2)

    def live(self, seconds: float, level_uv: float, asked: bool = False) -> _Muscle:
        for _ in range(round(seconds * 100)):
            level = np.log(level_uv) + 0.15 * self.rng.standard_normal(1)
            hop = np.log(level_uv) + 0.35 * self.rng.standard_normal(1)
            self.rest.hear(level, hop, YES, YES, YES if asked else NO, np.ones(1))
        return self

    @property
    def rest_uv(self) -> float:
        return float(np.exp(self.rest.slow.median[0]))


def test_rest_is_known_after_six_tenths_of_a_second() -> None:
    muscle = _Muscle().live(0.5, 5.0)
    assert not muscle.rest.known[0]
    muscle.live(0.2, 5.0)
    assert muscle.rest.known[0]
    muscle.live(15.0, 5.0)
    assert muscle.rest_uv == pytest.approx(5.0, rel=0.05)
    assert muscle.rest.slow.sigma[0] == pytest.approx(0.15, rel=0.3)


def test_neither_effort_nor_a_long_burst_becomes_rest() -> None:
    muscle = _Muscle().live(10.0, 5.0)
    muscle.live(15.0, 100.0, asked=True)
    assert muscle.rest_uv == pytest.approx(5.0, rel=0.1)
    muscle.live(1.0, 5.0).live(10.0, 60.0)
    assert muscle.rest_uv == pytest.approx(5.0, rel=0.1)
    # Weak effort that no threshold sees is not learned either while effort is asked for.
    muscle.live(1.0, 5.0).live(15.0, 7.0, asked=True)
    assert muscle.rest_uv == pytest.approx(5.0, rel=0.1)


def test_slow_drift_is_followed() -> None:
    muscle = _Muscle().live(5.0, 5.0)
    for level in np.linspace(5.0, 7.5, 60):
        muscle.live(1.0, float(level))
    assert muscle.rest_uv == pytest.approx(7.0, rel=0.1)


def test_what_began_in_a_contraction_is_corrected_within_a_second_of_rest() -> None:
    muscle = _Muscle().live(2.0, 100.0)
    assert muscle.rest_uv > 80
    muscle.live(1.2, 5.0)
    assert muscle.rest.known[0]
    assert muscle.rest_uv == pytest.approx(5.0, rel=0.15)


def test_activity_that_nobody_asked_for_and_that_does_not_end_becomes_rest() -> None:
    muscle = _Muscle().live(5.0, 5.0).live(19.0, 30.0)
    assert muscle.rest_uv == pytest.approx(5.0, rel=0.15)
    muscle.live(3.0, 30.0)
    assert muscle.rest_uv == pytest.approx(30.0, rel=0.1)


def test_a_rest_that_rose_to_the_threshold_is_learned_from_the_moments_below_it() -> None:
    muscle = _Muscle().live(20.0, 5.0)
    # It crosses the threshold so often that there is no pause of 200 ms in it.
    threshold = muscle.rest_uv * np.exp(max(4.0 * muscle.rest.slow.sigma[0], np.log(1.6)))
    muscle.live(12.0, 0.95 * threshold)
    assert muscle.rest_uv == pytest.approx(0.95 * threshold, rel=0.15)


def test_bursts_with_pauses_too_short_to_learn_from_do_not_become_rest() -> None:
    muscle = _Muscle().live(5.0, 5.0)
    for _ in range(150):
        muscle.live(0.08, 60.0).live(0.10, 5.0)
    assert muscle.rest_uv == pytest.approx(5.0, rel=0.2)


def test_a_rest_that_drifts_is_followed_and_does_not_look_like_one_that_scatters() -> None:
    muscle = _Muscle().live(20.0, 5.0)
    for level in 5.0 * np.exp(0.04 * np.arange(20)):
        muscle.live(1.0, float(level))
    # 4 % a second: the median of 4 s lags by 2 s.
    assert muscle.rest_uv == pytest.approx(5.0 * np.exp(0.04 * 18), rel=0.06)
    assert muscle.rest.slow.sigma[0] == pytest.approx(0.15, rel=0.35)


def test_a_contraction_begins_and_ends_with_hysteresis() -> None:
    muscle = _Muscle().live(3.0, 5.0)
    muscle.live(0.08, 100.0)
    assert not muscle.rest.contracting[0]
    muscle.live(0.05, 100.0, asked=True)
    assert muscle.rest.contracting[0]
    muscle.live(1.0, 100.0, asked=True).live(0.15, 5.0)
    assert muscle.rest.contracting[0]
    muscle.live(0.1, 5.0)
    assert not muscle.rest.contracting[0]
    assert float(np.exp(muscle.rest.reference[0])) == pytest.approx(100.0, rel=0.1)
    # From now on a twitch far below the usual contraction is none, though well above rest.
    muscle.live(2.0, 15.0, asked=True)
    assert not muscle.rest.contracting[0]


def test_state_goes_through_json_bit_for_bit() -> None:
    one = _Muscle().live(5.0, 5.0).live(0.5, 90.0, asked=True)
    other = _Muscle()
    other.rest.restore(json.loads(json.dumps(one.rest.state())))
    other.rng = np.random.default_rng(9)
    one.rng = np.random.default_rng(9)
    assert one.live(4.0, 5.0).rest.state() == other.live(4.0, 5.0).rest.state()
