"""Trains of pulses are known better than each of their pulses, and foretold."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.controllers.signals.pulse_clock import ArtifactOnsets, PulseClock
from myoloop.controllers.signals.pulse_times import PulseTimes, sharpest


def _clock() -> PulseClock:
    return PulseClock(4.0, 400.0)


@settings(deadline=None, max_examples=50)
@given(st.floats(20.0, 200.0), st.floats(0.0, 1.0), st.integers(0, 10_000))
def test_a_trigger_seen_to_a_row_is_known_to_a_fraction_of_it(period: float, phase: float, seed: int) -> None:
    clock = _clock()
    true = 100.0 + phase + period * np.arange(80) + np.random.default_rng(seed).normal(0, 0.1, 80)
    off = [clock.observe(float(np.ceil(row)) - 0.5, 0.29) - row for row in true.tolist()]
    # A period of nearly whole rows is seen in the same part of its row for long: that much nobody can tell.
    whole = abs(period - round(period)) < 0.05
    assert np.std(off[30:]) < (0.45 if whole else 0.25)
    assert clock.period == pytest.approx(period, abs=0.06)
    assert clock.next() == pytest.approx(true[-1] + period, abs=0.8)


def test_what_is_known_exactly_is_not_moved() -> None:
    clock = _clock()
    rows = [0.0, 60.3, 120.5, 181.1, 240.9]
    assert [clock.observe(row, 0.05) for row in rows] == rows


def test_missed_pulses_are_counted_and_another_rate_is_a_new_train() -> None:
    clock = _clock()
    for n in (0, 1, 2, 3, 4, 5, 8, 9):
        clock.observe(60.0 * n, 0.29)
    assert clock.number == 10
    assert clock.period == pytest.approx(60.0)
    clock.observe(570.0, 0.29)  # 30 rows after
    assert clock.next() is None
    clock.observe(600.0, 0.29)
    assert clock.period == pytest.approx(30.0)


def test_a_single_stray_onset_is_not_believed_but_a_moved_train_is() -> None:
    clock = _clock()
    for n in range(10):
        clock.observe(60.0 * n, 0.29)
    assert clock.observe(560.0, 0.29, doubts=2) is None
    assert clock.observe(600.0, 0.29, doubts=2) == pytest.approx(600.0)
    assert [clock.observe(625.0 + 60 * n, 0.29, doubts=2) for n in range(3)] == [None, None, 745.0]


def test_pulses_of_a_train_are_foretold_until_nobody_tells_of_them() -> None:
    times = PulseTimes(2000.0)
    for n in range(8):
        times.told("ch1", 60.0 * n, 20.0)
        times.observe("ch1", 60.0 * n, 0.05)
    assert times.steady(430.0)
    told = times.expected(1e6)
    assert [row for _, row, _ in told] == pytest.approx([480.0, 540.0, 600.0, 660.0, 720.0])
    assert [number for *_, number in told] == [9, 10, 11, 12, 13]
    assert not times.steady(2000.0)
    assert times.expected(1e6) == []


def test_news_of_a_pulse_that_was_foretold_confirms_it() -> None:
    times = PulseTimes(2000.0)
    for n in range(8):
        times.observe("ch1", 60.0 * n, 0.05)
    for n in range(8, 60):
        assert len(times.expected(60.0 * n + 1)) == 1
        refined, number = times.observe("ch1", 60.0 * (n - 1) + (0.2 if n % 2 else -0.2), 0.29) or (0.0, 0)
        assert refined == pytest.approx(60.0 * (n - 1), abs=0.25)
        assert number == n


def test_current_that_ends_ends_the_train() -> None:
    times = PulseTimes(2000.0)
    for n in range(8):
        times.told("ch1", 60.0 * n, 20.0)
        times.observe("ch1", 60.0 * n, 0.05)
    times.set_current("ch1", 12.0)
    assert times.current_ma("ch1") == 12.0
    times.set_current("ch1", 0.0)
    assert times.expected(1e6) == []


def test_a_triggers_pulse_is_told_from_another_channels_by_when_it_comes() -> None:
    times = PulseTimes(2000.0)
    for n in range(8):
        for name, off in (("a", 0.0), ("b", 25.0)):
            times.told(name, 60.0 * n + off, 20.0)
            times.observe(name, 60.0 * n + off, 0.05)
    assert times.channel_at(540.3) == ("a",)
    assert times.channel_at(565.2) == ("b",)
    assert times.channel_at(552.0) == ()
    times.told("a", 660.0, 20.0)
    times.told("b", 660.4, 20.0)
    assert times.channel_at(660.9) == ("a", "b")


@pytest.mark.parametrize("blocks", [20, 7, 64])
def test_edges_are_found_in_emg_and_nothing_else_is(blocks: int) -> None:
    from scipy.signal import butter, sosfilt

    rng = np.random.default_rng(8)
    emg = 60 * sosfilt(
        butter(2, (30, 200), btype="bandpass", fs=2000, output="sos"), rng.standard_normal((8000, 3)), axis=0
    )
    emg += 2 * rng.standard_normal(emg.shape)
    true = np.arange(2005, 7900, 61)
    for row in true:
        emg[row : row + 30] += 900 * np.exp(-np.arange(30) / 1.5)[:, None] * np.array([1.0, 0.3, 0.05])
    onsets = ArtifactOnsets(3, 12.0, 20)
    found = [
        (at + row, channel) for at in range(0, 8000, blocks) for row, channel in onsets.find(emg[at : at + blocks])
    ]
    rows = np.array([row for row, _ in found])
    assert len(rows) == len(true)
    assert np.abs(rows - true).max() <= 1
    assert {channel for _, channel in found} == {0}


def test_the_sharpest_edge_within_what_a_host_knows_is_found() -> None:
    rng = np.random.default_rng(1)
    emg = rng.standard_normal((60, 2))
    emg[40:, 0] += 500 * np.exp(-np.arange(20) / 2.0)
    at, stands_out = sharpest(emg, 36, 46)
    assert at in (40, 41)
    assert stands_out > 50
    assert sharpest(emg, 10, 10) == (10, 0.0)


def test_saved_and_restored_a_train_goes_on() -> None:
    one, other = PulseTimes(2000.0), PulseTimes(2000.0)
    for n in range(9):
        one.told("ch1", 57.3 * n, 20.0)
        one.observe("ch1", 57.3 * n, 0.29)
    other.restore(json.loads(json.dumps(one.state())))
    assert one.expected(900.0) == other.expected(900.0)
    assert one.state() == other.state()
