"""Scoring of onsets, one to one."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.controllers.estimators.scoring import score_onsets

onsets = st.lists(st.integers(0, 40).map(lambda n: n * 0.125), max_size=5)


def _best(true: list[float], detected: list[float]) -> int:
    if len(true) > len(detected):
        return max(
            sum(-0.1 <= d - t <= 0.5 for t, d in zip(some, detected, strict=True))
            for some in permutations(true, len(detected))
        )
    return max(
        sum(-0.1 <= d - t <= 0.5 for t, d in zip(true, some, strict=True)) for some in permutations(detected, len(true))
    )


@settings(deadline=None)
@given(onsets, onsets)
def test_it_finds_as_many_matches_as_there_can_be(true: list[float], detected: list[float]) -> None:
    score = score_onsets(true, detected)
    assert score.matched == _best(true, detected)
    assert score.matched + score.missed == len(true)
    assert score.matched + score.false == len(detected)
    assert 0 <= score.f1 <= 1


def test_a_detector_that_is_always_on_is_not_perfect() -> None:
    score = score_onsets([10.0, 20.0, 30.0, 40.0], [0.0])
    assert score.f1 == 0.0


def test_two_detections_of_one_spasm_are_one_right_and_one_wrong() -> None:
    score = score_onsets([1.0], [1.05, 1.3])
    assert (score.matched, score.false, score.missed) == (1, 1, 0)
    assert score.precision == 0.5
    assert score.recall == 1.0
    assert score.f1 == pytest.approx(2 / 3)
    assert score.latency_s == pytest.approx(0.05)


def test_the_window_reaches_from_a_tenth_before_to_half_a_second_after() -> None:
    assert score_onsets([1.0], [0.89]).matched == 0
    assert score_onsets([1.0], [0.91]).matched == 1
    assert score_onsets([1.0], [1.49]).matched == 1
    assert score_onsets([1.0], [1.51]).matched == 0


def test_nothing_to_find_and_nothing_found_is_perfect() -> None:
    score = score_onsets([], [])
    assert (score.f1, score.precision, score.recall, score.latency_s) == (1.0, 1.0, 1.0, None)
    with pytest.raises(ValueError, match="empty"):
        score_onsets([], [], (0.5, -0.1))
