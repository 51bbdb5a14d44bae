"""A stream is cut where its clock jumped, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from myoloop.experiments.analysis.session import load
from myoloop.experiments.index.segments import segments, segments_of

RATE_HZ = 2000.0
ROWS = 20
BLOCK_NS = 10_000_000


def stream(blocks=1000, jitter_s=0.0, seed=0):
    """Blocks of 10 ms, each late by up to `jitter_s`: (t_ns, first_sample, rows, source)."""
    late = np.random.default_rng(seed).uniform(0.0, jitter_s, blocks) * 1e9
    t_ns = 5_000_000_000 + BLOCK_NS * np.arange(1, blocks + 1) + late.astype(np.int64)
    return t_ns, ROWS * np.arange(blocks), np.full(blocks, ROWS), np.zeros(blocks, np.int64)


def cut(parts, rate_hz=RATE_HZ, **options):
    return [(s.first_block, s.cause) for s in segments(*parts, rate_hz, **options)]


def test_a_clock_that_runs_is_one_segment_with_the_time_of_its_first_and_last_sample():
    (only,) = segments(*stream(), RATE_HZ)
    assert (only.first_block, only.end_block, only.first_row, only.end_row) == (0, 1000, 0, 20_000)
    assert (only.begin_ns, only.end_ns) == (5_000_500_000, 15_000_000_000)
    assert (only.cause, only.step_s) == ("begin", None)


@pytest.mark.parametrize("step_s", [10.0, -10.0, 0.1, -0.1])
def test_a_step_of_the_clock_cuts_before_the_block_that_has_it(step_s):
    t_ns, *rest = stream(jitter_s=0.02)
    t_ns[400:] += round(step_s * 1e9)
    before, after = segments(t_ns, *rest, RATE_HZ)
    assert (before.end_block, after.first_block, after.first_row) == (400, 400, 8000)
    assert after.cause == "clock"
    assert after.step_s == pytest.approx(step_s, abs=0.005)


def test_there_and_back_is_two_steps():
    t_ns, *rest = stream()
    t_ns[400:600] += 10 * 10**9
    assert cut((t_ns, *rest)) == [(0, "begin"), (400, "clock"), (600, "clock")]


@pytest.mark.parametrize("stall_s", [0.2, 3.0])
def test_blocks_that_came_late_and_all_at_once_are_no_step(stall_s):
    t_ns, *rest = stream()
    arrival = t_ns[400] + round(stall_s * 1e9)
    t_ns = np.where((t_ns >= t_ns[400]) & (t_ns < arrival), arrival, t_ns)
    assert cut((t_ns, *rest)) == [(0, "begin")]


def test_a_last_block_that_came_late_is_no_step():
    t_ns, *rest = stream()
    t_ns[-1] += 80_000_000
    assert cut((t_ns, *rest)) == [(0, "begin")]


def test_counted_losses_are_no_step_and_uncounted_ones_are():
    t_ns, first, rows, source = stream()
    t_ns[400:] += 10**9
    counted = first + np.where(np.arange(1000) >= 400, 2000, 0)
    assert cut((t_ns, counted, rows, source)) == [(0, "begin")]
    assert cut((t_ns, first, rows, source)) == [(0, "begin"), (400, "clock")]


def test_a_source_that_was_opened_anew_or_counts_anew_begins_a_segment():
    t_ns, first, rows, source = stream()
    first[400:] -= first[400]
    assert cut((t_ns, first, rows, source)) == [(0, "begin"), (400, "counter")]
    source[400:] = 1
    assert cut((t_ns, first, rows, source)) == [(0, "begin"), (400, "restart")]


@pytest.mark.parametrize("rate_hz", [RATE_HZ * 1.02, RATE_HZ * 0.98])
def test_a_wrong_nominal_rate_is_no_step(rate_hz):
    assert cut(stream(blocks=6000), rate_hz) == [(0, "begin")]
    t_ns = np.arange(1, 40) * 10**10
    long = (t_ns, 20_000 * np.arange(39), np.full(39, 20_000), np.zeros(39, np.int64))
    assert cut(long, rate_hz) == [(0, "begin")]


def test_nothing_is_no_segment_and_arrays_of_unlike_lengths_are_refused():
    none = np.empty(0, np.int64)
    assert segments(none, none, none, none, RATE_HZ) == ()
    with pytest.raises(ValueError, match="one number per block"):
        segments([1, 2], [0], [1], [0], RATE_HZ)
    for rate_hz in (0.0, float("nan")):
        with pytest.raises(ValueError, match="above 0"):
            segments(*stream(3), rate_hz)


@given(
    steps=st.lists(
        st.tuples(st.integers(1, 6), st.floats(0.2, 30.0), st.sampled_from([1, -1])),
        max_size=4,
        unique_by=lambda each: each[0],
    ),
    jitter_s=st.floats(0.0, 0.02),
    seed=st.integers(0, 1000),
)
def test_every_planted_step_is_found_and_no_other_and_every_block_is_in_one_segment(steps, jitter_s, seed):
    t_ns, first, rows, source = stream(1600, jitter_s, seed)
    planted = {200 * at: sign * size_s for at, size_s, sign in sorted(steps)}
    for at, step_s in planted.items():
        t_ns[at:] += round(step_s * 1e9)
    found = segments(t_ns, first, rows, source, RATE_HZ)
    assert [s.first_block for s in found] == [0, *planted]
    assert [s.step_s for s in found[1:]] == pytest.approx(list(planted.values()), abs=0.03)
    assert [s.first_block for s in found[1:]] + [1600] == [s.end_block for s in found]
    assert [s.first_row for s in found[1:]] + [1600 * ROWS] == [s.end_row for s in found]


def test_a_recorded_stream_is_cut_from_what_the_record_says(known_attempt):
    record = load(known_attempt).samples["emg/amp"].record
    (only,) = segments_of(record)
    assert (only.end_block, only.end_row) == (len(record.row), len(record.counts)), "a counted loss does not cut it"
