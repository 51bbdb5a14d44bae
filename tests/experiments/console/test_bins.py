"""No burst is lost on the way to the screen, and nothing that must not be used is drawn."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from myoloop.experiments.console.bins import BINS_HZ, INVALID, MISSING, MinMax

RATE_HZ = 2000.0
PER_BIN = 10
SOURCE = ("emg", 1)


def collected(runs):
    """Extremes and flags of each bin by its number; a bin may be told once only."""
    told = {}
    for run in runs:
        for i in range(len(run.low)):
            assert run.first_bin + i not in told
            told[run.first_bin + i] = (run.low[i], run.high[i], run.flags[i])
    return told


def fed(values, invalid, cuts, *, dtype="<i4", scale=(0.5,), lost=(), each=lambda bins: []):
    """Bins of a recording that is cut into blocks, some of which are lost."""
    bins = MinMax([0], scale, (0.0,), RATE_HZ)
    runs = []
    edges = [0, *sorted(cuts), len(values)]
    for number, (begin, end) in enumerate(itertools.pairwise(edges)):
        if begin == end or number in lost:
            continue
        block = np.array(values[begin:end], dtype)[:, None]
        mask = np.packbits(np.array(invalid[begin:end], bool)).tobytes() if any(invalid[begin:end]) else b""
        bins.add(SOURCE, begin, round(1e9 + (end - 1) * 1e9 / RATE_HZ), block, mask)
        runs += each(bins)
    return bins, runs + bins.take()


@st.composite
def recordings(draw):
    values = draw(st.lists(st.integers(-(2**23), 2**23), min_size=1, max_size=120))
    bad = draw(st.lists(st.booleans(), min_size=len(values), max_size=len(values)))
    invalid = [b and draw(st.booleans()) for b in bad]
    cuts = draw(st.lists(st.integers(0, len(values)), max_size=12))
    lost = draw(st.sets(st.integers(0, 12), max_size=3))
    return values, invalid, cuts, lost


class TestExtremes:
    @given(recordings(), st.booleans(), st.sampled_from([0.5, -0.25]), st.sampled_from(["<i4", "<f4", "<f8"]))
    def test_are_those_of_the_valid_samples_that_came_whatever_the_blocks(self, recording, often, scale, dtype):
        values, invalid, cuts, lost = recording
        _, runs = fed(
            values, invalid, cuts, scale=(scale,), dtype=dtype, lost=lost,
            each=(lambda bins: bins.take()) if often else (lambda bins: []),
        )  # fmt: skip
        edges = [0, *sorted(cuts), len(values)]
        came = np.zeros(len(values), bool)
        for number, (begin, end) in enumerate(itertools.pairwise(edges)):
            came[begin:end] |= number not in lost
        good = came & ~np.array(invalid)
        told = collected(runs)
        last = int(np.flatnonzero(came)[-1]) + 1 if came.any() else 0
        for number in range(len(values) // PER_BIN + 1):
            here = slice(number * PER_BIN, min((number + 1) * PER_BIN, last))
            if not came[here].any() or ((number + 1) * PER_BIN > last):
                assert number not in told
                continue
            low, high, flags = told[number]
            wanted = np.array(values, float)[here][good[here]] * scale
            if len(wanted):
                assert (low[0], high[0]) == (np.float32(wanted.min()), np.float32(wanted.max()))
            else:
                assert np.isnan(low[0])
                assert np.isnan(high[0])
            assert bool(flags[0] & INVALID) == bool((came[here] & np.array(invalid)[here]).any())
            assert bool(flags[0] & MISSING) == (not came[here].all())

    def test_of_one_sample_in_a_second_are_kept(self):
        values = np.zeros((2000, 16), "<i4")
        values[777, 11] = 4000
        values[1313, 3] = -9000
        bins = MinMax(range(16), [0.1] * 16, [0.0] * 16, RATE_HZ)
        for begin in range(0, 2000, 20):
            bins.add(SOURCE, begin, begin * 500_000, values[begin : begin + 20])
        told = collected(bins.take())
        assert told[77][1][11] == pytest.approx(400)
        assert told[131][0][3] == pytest.approx(-900)
        assert len(told) == BINS_HZ

    def test_leave_out_what_is_no_number(self):
        bins, runs = fed([1.0, np.nan, 3.0, np.inf, 2.0, 1, 1, 1, 1, 1], [False] * 10, [], dtype="<f8")
        (low, high, flags) = collected(runs)[0]
        assert (low[0], high[0], flags[0]) == (0.5, 1.5, INVALID)
        assert bins.dropped == 0


class TestTime:
    def test_of_a_bin_is_that_of_its_first_sample(self):
        _, runs = fed(list(range(40)), [False] * 40, [10, 30])
        assert [run.first_bin for run in runs] == [0]
        assert runs[0].t_ns == 1_000_000_000

    def test_goes_on_when_a_source_begins_anew(self):
        bins = MinMax([0], [1.0], [0.0], RATE_HZ)
        block = np.ones((20, 1), "<i2")
        bins.add(SOURCE, 0, 1_000_000_000 + 19 * 500_000, block)
        bins.add(("emg", 2), 0, 2_000_000_000 + 19 * 500_000, 7 * block)
        told = collected(bins.take())
        assert told[1][1][0] == 1
        assert told[200][1][0] == 7
        assert 100 not in told

    def test_never_goes_back_where_samples_are_repeated(self):
        bins = MinMax([0], [1.0], [0.0], RATE_HZ)
        block = np.ones((20, 1), "<i2")
        for first in (0, 20, 20, 20):
            bins.add(SOURCE, first, 1_000_000_000 + (first + 19) * 500_000, block)
        assert sorted(collected(bins.take())) == list(range(8))


class TestLimits:
    def test_what_nobody_fetches_is_dropped_and_counted_the_newest_kept(self):
        bins = MinMax([0], [1.0], [0.0], RATE_HZ)
        for begin in range(0, 80_000, 2000):
            bins.add(SOURCE, begin, begin * 500_000, np.full((2000, 1), begin, "<i4"))
        told = collected(bins.take())
        assert max(told) == 7999
        assert bins.dropped == 8000 - len(told)
        assert len(told) <= 6000 + 300

    def test_a_block_without_the_muscle_is_missing(self):
        bins = MinMax([3], [1.0], [0.0], RATE_HZ)
        bins.add(SOURCE, 0, 0, np.ones((20, 2), "<i4"))
        assert bins.take() == []

    def test_a_block_with_a_mask_of_another_size_is_missing(self):
        bins = MinMax([0], [1.0], [0.0], RATE_HZ)
        bins.add(SOURCE, 0, 0, np.ones((20, 1), "<i4"), b"\0")
        assert bins.take() == []
