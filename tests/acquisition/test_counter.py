"""A package counter tells what was lost and what came again."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.acquisition.counter import CounterRule, PackageCounter, Run


def follow(counter, counts):
    runs, repeated = counter.follow(np.array(counts, float))
    return runs, None if repeated is None else repeated.tolist()


def test_an_unbroken_count_is_one_run_over_the_wrap():
    counter = PackageCounter(CounterRule())
    assert follow(counter, [17, 18, 19]) == ([Run(0, 3, 0)], None)
    assert follow(counter, range(20, 256)) == ([Run(0, 236, 0)], None)
    assert follow(counter, [0, 1]) == ([Run(0, 2, 0)], None)


def test_a_loss_between_arrays_and_within_one_is_counted():
    counter = PackageCounter(CounterRule())
    follow(counter, [10, 11])
    assert follow(counter, [15, 16, 20]) == ([Run(0, 2, 3), Run(2, 3, 3)], [False, False, False])


def test_a_loss_over_the_wrap_is_counted():
    counter = PackageCounter(CounterRule())
    follow(counter, [250])
    assert follow(counter, [3])[0] == [Run(0, 1, 8)]


def test_a_board_that_counts_in_twos_is_followed_in_twos():
    counter = PackageCounter(CounterRule(256, 2))
    assert follow(counter, [251, 253, 255, 1, 3]) == ([Run(0, 5, 0)], None)
    assert follow(counter, [9])[0] == [Run(0, 1, 2)]


def test_a_sample_that_came_again_is_marked_and_no_loss():
    counter = PackageCounter(CounterRule())
    assert follow(counter, [10, 11, 11, 12, 10, 13]) == ([Run(0, 6, 0)], [False, False, True, False, True, False])


def test_what_is_no_count_is_marked():
    counter = PackageCounter(CounterRule())
    assert follow(counter, [np.nan, 5, np.nan, 6]) == ([Run(0, 4, 0)], [True, False, True, False])


def test_nothing_is_nothing():
    assert follow(PackageCounter(CounterRule()), []) == ([], None)


@pytest.mark.parametrize(("wrap", "step"), [(256, 0), (256, 3), (4, 4), (0, 1)])
def test_a_rule_that_cannot_be_is_refused(wrap, step):
    with pytest.raises(ValueError, match=f"found step {step}, wrap {wrap}"):
        CounterRule(wrap, step)


@given(
    start=st.integers(0, 127),
    step=st.sampled_from([1, 2]),
    losses=st.lists(st.integers(0, 50), min_size=1, max_size=60),
    cuts=st.sets(st.integers(1, 59)),
)
@settings(deadline=None)
def test_every_loss_is_found_wherever_the_arrays_are_cut(start, step, losses, cuts):
    true_index = np.cumsum([1 + loss for loss in losses])
    counts = (start + true_index) * step % 256
    counter = PackageCounter(CounterRule(256, step))
    index, at = [], 0
    for piece in np.split(counts, sorted(cut for cut in cuts if cut < len(counts))):
        runs, repeated = counter.follow(piece.astype(float))
        assert repeated is None or not repeated.any()
        for run in runs:
            at += run.missing
            index += range(at, at + run.end - run.begin)
            at += run.end - run.begin
    assert np.array_equal(np.array(index), true_index - true_index[0])
