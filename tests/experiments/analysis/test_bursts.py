"""Spasms as intervals, and their score over all muscles."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.experiments.analysis.bursts import detected, score
from myoloop.experiments.analysis.tracks import Interval


def test_a_burst_runs_from_its_onset_to_the_first_denial():
    told = [(0.0, 0.0, None), (0.1, 1.0, 0.05), (0.2, 1.0, 0.05), (0.3, 0.0, None)]
    assert detected(told) == (Interval(0.05, 0.3),)


def test_a_burst_that_is_never_denied_has_no_end():
    assert detected([(0.1, 1.0, 0.05)]) == (Interval(0.05, None),)


def test_another_onset_is_another_burst():
    told = [(0.1, 1.0, 0.05), (0.2, 1.0, 0.15), (0.3, 0.0, None)]
    assert detected(told) == (Interval(0.05, 0.2), Interval(0.15, 0.3))


def test_not_knowing_for_a_moment_does_not_make_one_burst_two():
    told = [(0.1, 1.0, 0.05), (0.2, None, None), (0.3, 1.0, 0.05), (0.4, 0.0, None)]
    assert detected(told) == (Interval(0.05, 0.4),)


def test_an_estimator_without_onsets_begins_where_it_first_says_so():
    assert detected([(0.1, 1.0, None), (0.2, 1.0, None), (0.3, 0.0, None)]) == (Interval(0.1, 0.3),)


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 20)), max_size=20))
def test_bursts_are_as_many_as_runs_of_ones_and_never_overlap(runs):
    told, expected, t, was, onset = [], 0, 0, False, None
    for on, length in runs:
        expected += on and not was
        onset = t / 100 if on and not was else onset if on else None
        for _ in range(length):
            told.append((t / 100, float(on), onset))
            t += 1
        was = on
    found = detected(told)
    assert len(found) == expected
    assert all(one.until(t) <= other.begin_s for one, other in itertools.pairwise(found))


def test_muscles_are_scored_by_themselves():
    true = {"a": (Interval(1.0, 2.0),), "b": (Interval(5.0, None),)}
    found = {"a": (Interval(1.1, 2.0), Interval(3.0, 4.0)), "b": ()}
    result = score(true, found, 60.0)
    assert (result.matched, result.missed, result.false) == (1, 1, 1)
    assert result.f1 == 0.5


def test_a_detection_in_the_other_muscle_is_false():
    result = score({"a": (Interval(1.0, 2.0),)}, {"a": (), "b": (Interval(1.0, 2.0),)}, 60.0)
    assert (result.matched, result.missed, result.false) == (0, 1, 1)


def test_a_spasm_of_a_muscle_nobody_heard_does_not_count():
    assert score({"c": (Interval(1.0, 2.0),)}, {"a": ()}, 60.0).f1 == 1.0


def test_an_onset_whose_window_the_end_cuts_off_is_not_counted():
    true = {"a": (Interval(1.0, 2.0), Interval(9.6, None))}
    assert score(true, {"a": (Interval(1.1, 2.0),)}, 10.0).f1 == 1.0
    assert score(true, {"a": (Interval(1.1, 2.0), Interval(9.7, None))}, 10.0).f1 == 1.0
    assert score(true, {"a": (Interval(1.1, 2.0),)}, 10.2).missed == 1
