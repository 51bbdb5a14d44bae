"""When each sample was: breaks stand where they are, nothing else is one, and a time is never far from its stamp."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from myoloop.acquisition.formats import FormatError
from myoloop.experiments.imports.times import OVERLAP_S, of_column, of_rate, of_stamps, rate_of_column


def test_a_rate_alone_counts_from_the_first_sample():
    assert of_rate(4, 100.0).time_s.tolist() == [0.0, 0.01, 0.02, 0.03]


@example(lengths=[30, 71], gaps_s=[1.0] * 3, rate_hz=50.0, jitter_s=0.006, seed=0)
@given(
    lengths=st.lists(st.integers(30, 300), min_size=1, max_size=4),
    gaps_s=st.lists(st.floats(1.0, 100.0), min_size=3, max_size=3),
    rate_hz=st.sampled_from([50.0, 100.0, 512.0, 2000.0]),
    jitter_s=st.floats(0.0, 0.02),
    seed=st.integers(0, 2**32 - 1),
)
def test_stamps_that_jitter_become_lines_between_the_breaks(lengths, gaps_s, rate_hz, jitter_s, seed):
    true_s, at_s = [], 1e5
    for number, length in enumerate(lengths):
        true_s.append(at_s + np.arange(length) / rate_hz)
        at_s = true_s[-1][-1] + gaps_s[number % 3]
    true_s = np.concatenate(true_s)
    stamps_s = true_s + np.random.default_rng(seed).uniform(-0.5, 0.5, len(true_s)) * jitter_s
    found = of_stamps(stamps_s, rate_hz, [], "x")
    assert [each.row for each in found.breaks] == np.cumsum(lengths)[:-1].tolist()
    assert all(each.missing is None for each in found.breaks)
    assert np.abs(found.time_s - true_s).max() <= jitter_s + 1e-9
    assert found.jitter_s <= 0.5 * jitter_s + 1e-9


@given(
    missing=st.dictionaries(st.integers(1, 199), st.integers(1, 1000), max_size=8),
    rate_hz=st.sampled_from([10.0, 1000.0, 1925.93, 4000.0]),
    begin_s=st.floats(-1e4, 1e6),
)
def test_rows_that_are_missing_in_a_column_are_counted(missing, rate_hz, begin_s):
    index = np.cumsum([0, *(1 + missing.get(row, 0) for row in range(1, 200))])
    found = of_column(begin_s + index / rate_hz, rate_hz, "x")
    assert {each.row: each.missing for each in found.breaks} == missing
    assert np.array_equal(found.time_s, begin_s + index / rate_hz), "as they stand in the file"


@given(digits=st.integers(3, 6), rate_hz=st.sampled_from([100.0, 250.0, 512.0, 2000.0]))
def test_rounded_times_have_no_breaks(digits, rate_hz):
    true_s = np.arange(500) / rate_hz
    found = of_column(np.round(true_s, digits), rate_hz, "x")
    assert found.breaks == ()
    assert np.abs(found.time_s - true_s).max() <= 10.0**-digits


def test_samples_that_a_device_lost_shorter_than_any_late_block_are_a_break():
    stamps_s = np.arange(4000) / 2000.0
    stamps_s[1800:] += 0.08
    found = of_stamps(stamps_s, 2000.0, [], "x")
    assert [(each.row, each.why) for each in found.breaks] == [(1800, "gap")]
    assert np.abs(found.time_s - stamps_s).max() < 1e-9


@given(late_s=st.floats(0.06, 3.0), rows=st.integers(1, 30), at=st.integers(100, 1500))
def test_blocks_that_come_late_and_catch_up_are_jitter(late_s, rows, at):
    true_s = np.arange(2000) / 100.0
    stamps_s = true_s.copy()
    stamps_s[at : at + rows] += late_s
    assert of_stamps(stamps_s, 100.0, [], "x").breaks == ()


def test_a_reset_is_a_break_however_short_the_hole():
    stamps_s = np.arange(100) / 50.0
    found = of_stamps(stamps_s, 50.0, [40], "x")
    assert [(each.row, each.why) for each in found.breaks] == [(40, "clock reset")]


def test_stretches_that_overlap_on_the_common_clock_are_refused():
    stamps_s = np.r_[np.arange(100) / 50.0, 1.0 + np.arange(100) / 50.0]
    with pytest.raises(FormatError, match=r"before and after sample 100 its clock has the same 0\.980 s"):
        of_stamps(stamps_s, 50.0, [100], "x")
    with pytest.raises(FormatError, match="time goes back at sample 101"):
        of_stamps(stamps_s, 50.0, [], "x")
    near = np.r_[np.arange(100) / 50.0, 1.98 - 0.5 * OVERLAP_S + np.arange(100) / 50.0]
    assert len(of_stamps(near, 50.0, [100], "x").breaks) == 1


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf, 1e300])
def test_a_time_that_is_none_is_refused(odd):
    times_s = np.array([0.0, odd, 0.2])
    for read in (of_column, lambda t, rate, x: of_stamps(t, rate, [], x)):
        with pytest.raises(FormatError, match=r"sample 2: found .*, a time is needed"):
            read(times_s, 10.0, "x")


def test_a_rate_is_told_by_steps_that_are_alike_and_by_no_others():
    assert rate_of_column(np.arange(50) * 0.004, "x") == 250.0
    assert rate_of_column(np.r_[np.arange(50), 90 + np.arange(50)] * 0.004, "x") == 250.0
    for steps in ([0.1, 0.4, 0.1, 0.7, 0.2], [0.0] * 9, []):
        with pytest.raises(FormatError, match="do not tell a rate"):
            rate_of_column(np.r_[0.0, np.cumsum(steps)], "x")
