"""The M-wave: its size, its width, its phases, its latency, and the late response."""

import numpy as np
import pytest

from myoloop.experiments.subjects.mwave import Mwave, MwaveParameters, mwave

T_S = np.arange(0.0, 0.06, 1e-5)
SHARES = np.full(10, 0.1)
ONES = np.ones(10)


def wave(shares=SHARES, velocity=ONES, amplitude=ONES, jitter=0.0, t_ns=0, made=None, **parameters):
    return (made or Mwave(MwaveParameters(**parameters))).evoked_v(t_ns, T_S, shares, velocity, amplitude, jitter)


def test_the_fresh_wholly_recruited_muscle_has_the_size_it_is_said_to_have():
    for spread_ms in (0.0, 0.5):
        assert np.ptp(wave(mwave_mv=4.0, mwave_latency_spread_ms=spread_ms)) == pytest.approx(4e-3, rel=1e-3)


def test_the_size_tracks_recruitment_and_the_muscles_own_factors():
    first_half = np.where(np.arange(10) < 5, 0.1, 0.0)
    assert np.ptp(wave(first_half)) == pytest.approx(1.5e-3, rel=1e-3)
    assert np.ptp(wave(amplitude=np.where(np.arange(10) < 5, 1.2, 0.8))) == pytest.approx(3e-3, rel=1e-3)
    assert np.ptp(wave(amplitude=1.1 * ONES)) == pytest.approx(3.3e-3, rel=1e-3)


def test_a_slower_muscle_has_a_longer_mwave():
    lengths_s = [abs(T_S[wave(velocity=v * ONES).argmin()] - T_S[wave(velocity=v * ONES).argmax()]) for v in (1, 0.6)]
    assert lengths_s[0] == pytest.approx(2.6e-3, rel=0.02)
    assert lengths_s[1] == pytest.approx(lengths_s[0] / 0.6, rel=0.02)


def test_bins_of_different_velocity_and_latency_make_a_longer_and_lower_wave():
    mixed = wave(velocity=np.linspace(0.6, 1.0, 10))
    alike = wave(velocity=0.8 * ONES)
    assert np.ptp(mixed) < np.ptp(alike)
    area = [np.abs(x).sum() for x in (wave(mwave_latency_spread_ms=1.0), wave())]
    assert area[0] > 1.05 * area[1]


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
def test_the_first_phase_alone_grows_when_conduction_slows(exponent):
    fresh = wave(mwave_first_phase=exponent)
    slow = wave(velocity=0.7 * ONES, mwave_first_phase=exponent)
    assert slow.max() / fresh.max() == pytest.approx(0.7**-exponent, rel=1e-3)
    assert slow.min() / fresh.min() == pytest.approx(1.0, rel=1e-3)


def test_latency_is_the_persons_and_jitters_from_pulse_to_pulse():
    def begins_s(x):
        return T_S[np.flatnonzero(x > 0.1 * x.max())[0]]

    early, late = wave(mwave_latency_ms=3.0), wave(mwave_latency_ms=5.0)
    assert begins_s(late) - begins_s(early) == pytest.approx(2e-3, abs=2e-5)
    moved = wave(mwave_jitter_us=50.0, jitter=2.0)
    assert begins_s(moved) - begins_s(wave()) == pytest.approx(1e-4, abs=2e-5)


@pytest.mark.parametrize("velocity", [1.0, 0.5, 0.3])
def test_nothing_is_left_after_the_time_it_says_it_lasts(velocity):
    for parameters in ({}, {"mwave_latency_spread_ms": 0.5, "mwave_jitter_us": 70.0}, {"mwave_late_share": 0.3}):
        made = Mwave(MwaveParameters(**parameters))
        x = wave(velocity=velocity * ONES, made=made, jitter=3.0, shares=0.05 * ONES)
        assert np.abs(x[made.lasts_s(velocity * ONES) < T_S]).max(initial=0.0) < 1e-7


def test_the_late_response_is_there_at_half_recruitment_and_gone_at_full():
    late = T_S > 0.025
    parameters = {"mwave_late_share": 0.2, "mwave_late_latency_ms": 30.0}
    assert np.ptp(wave(0.5 * SHARES, **parameters)[late]) == pytest.approx(0.6e-3, rel=0.01)
    assert np.ptp(wave(SHARES, **parameters)[late]) < 1e-8
    assert np.ptp(wave(0.5 * SHARES)[late]) < 1e-8


def test_pulses_that_follow_one_another_depress_the_late_response():
    made = Mwave(MwaveParameters(mwave_late_share=0.2))
    late = T_S > 0.025
    sizes = [np.ptp(wave(0.5 * SHARES, made=made, t_ns=t_ns)[late]) for t_ns in (0, 100_000_000, 10_000_000_000)]
    assert sizes[1] == pytest.approx(0.095 * sizes[0], rel=0.02)
    assert sizes[2] == pytest.approx(sizes[0], rel=1e-3)


def test_the_shape_has_a_peak_to_peak_of_one():
    assert np.ptp(mwave(T_S, 0.8)) == pytest.approx(1.0, rel=1e-4)


def test_one_bin_is_a_muscle_of_one_kind_of_fibres():
    assert np.allclose(wave(np.array([1.0]), np.array([0.8]), np.array([1.0])), 3e-3 * mwave(T_S, 0.8))
