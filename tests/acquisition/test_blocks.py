"""Arrays that came at once become blocks with an unbroken count."""

from __future__ import annotations

import numpy as np

from myoloop.acquisition.blocks import MAX_BLOCK_BYTES, BlockMaker
from myoloop.acquisition.counter import CounterRule


def rows(n, first=0):
    return np.arange(first, first + n)[:, None] * np.ones((1, 2))


def test_without_a_rule_all_that_comes_is_counted():
    maker = BlockMaker("emg/a", None)
    first = maker.make(rows(3), 10, np.array([0.1, 0.2, 0.3]), np.array([9.0, 9.0, 1.0]))
    second = maker.make(rows(2), 20)
    assert [(b.first_sample, b.t_ns, b.device_t, len(b.array)) for b in first + second] == [
        (0, 10, 0.3, 3), (3, 20, None, 2),
    ]  # fmt: skip


def test_a_loss_within_an_array_makes_two_blocks_of_one_arrival():
    maker = BlockMaker("emg/a", CounterRule())
    blocks = maker.make(rows(5), 10, np.arange(5.0), np.array([1.0, 2, 6, 7, 8]))
    assert [(b.first_sample, b.t_ns, b.device_t) for b in blocks] == [(0, 10, 1.0), (5, 10, 4.0)]
    assert np.array_equal(np.concatenate([b.array for b in blocks]), rows(5))


def test_repeated_rows_are_kept_and_marked():
    (block,) = BlockMaker("emg/a", CounterRule()).make(rows(3), 10, None, np.array([1.0, 1, 2]))
    assert block.invalid.tolist() == [[False, False], [True, True], [False, False]]


def test_nothing_makes_no_block():
    assert BlockMaker("emg/a", CounterRule()).make(rows(0), 10) == []


def test_what_piled_up_comes_in_blocks_that_can_travel():
    array = np.arange(300_000.0).reshape(150_000, 2)
    blocks = BlockMaker("emg/a", None).make(array, 10)
    assert [b.first_sample for b in blocks] == [0, 65536, 131072]
    assert max(b.array.nbytes for b in blocks) <= MAX_BLOCK_BYTES
    assert np.array_equal(np.concatenate([b.array for b in blocks]), array)
