"""What the electrodes see: the spectrum, the artifact, the M-wave, the trigger, the rails."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import signal

from myoloop.experiments.subjects.emg import COUNTS, VOLTS_PER_COUNT, Electrodes, artifact, mwave
from myoloop.experiments.subjects.parameters import SubjectParameters

FEATURES = json.loads((Path(__file__).parents[2] / "data" / "features_golden.json").read_text())
QUIET = {"emg_noise_uv": 0.1, "mains_uv": 0.0}


def electrodes(channels=(1,), rate_hz=2000.0, **parameters):
    person = SubjectParameters(**{**QUIET, **parameters})
    return Electrodes([person] * len(channels), list(channels), rate_hz)


def record(made, seconds, level=1.0, velocity=1.0, seed=7, rate_hz=2000.0):
    rng = np.random.default_rng(seed)
    rows = round(rate_hz / 100)
    muscles = len(made._p)
    blocks = [
        made.block(rows, [(level, level)] * muscles, [velocity] * muscles, rng) for _ in range(round(seconds * 100))
    ]
    counts = np.vstack(blocks)
    return counts[:, :-1] * VOLTS_PER_COUNT, counts[:, -1]


def mean_and_median_frequency(x, rate_hz=2000.0):
    f, p = signal.welch(x, rate_hz, nperseg=round(rate_hz), axis=0)
    f, p = f[(f >= 10) & (f <= 500)], p[(f >= 10) & (f <= 500)].mean(axis=1)
    total = np.cumsum(p) - p / 2  # up to the middle of each bin
    return (f * p).sum() / p.sum(), np.interp(p.sum() / 2, total, f)


@pytest.mark.parametrize(("velocity", "rate_hz"), [("1.0", 2000.0), ("0.8", 2000.0), ("0.7", 2000.0), ("1.0", 1000.0)])
def test_mean_and_median_frequency_are_those_of_the_stulen_de_luca_spectrum(velocity, rate_hz):
    x, _ = record(electrodes(channels=(4,), rate_hz=rate_hz), 60, velocity=float(velocity), rate_hz=rate_hz)
    golden = FEATURES["S2_sdl_exact_10_500Hz"][f"fl60_fh120_cv{velocity}"]
    mnf, mdf = mean_and_median_frequency(x, rate_hz)
    assert mnf == pytest.approx(golden["MNF"], rel=0.01)
    assert mdf == pytest.approx(golden["MDF"], rel=0.015)


@pytest.mark.parametrize("velocity", [1.0, 0.7])
def test_power_goes_with_one_over_velocity(velocity):
    x, _ = record(electrodes(), 30, velocity=velocity)
    assert x.std() == pytest.approx(400e-6 / np.sqrt(velocity), rel=0.03)


def test_amplitude_follows_activation():
    made = electrodes()
    half, whole = record(made, 20, level=0.25)[0].std(), record(made, 20, level=0.5)[0].std()
    assert whole == pytest.approx(2 * half, rel=0.04)


def test_at_rest_there_is_noise_and_a_little_mains():
    x, _ = record(electrodes(emg_noise_uv=3.0, mains_uv=4.0), 20, level=0.0)
    f, p = signal.welch(x[:, 0], 2000, nperseg=2000)
    hum_uv = np.sqrt(p[(f > 48) & (f < 52)].sum()) * 1e6
    assert x.std() * 1e6 == pytest.approx(5.0, rel=0.05)
    assert hum_uv == pytest.approx(4.0, rel=0.05)


def test_channels_of_a_muscle_differ_and_other_muscles_are_heard_faintly():
    made = electrodes(channels=(2, 1), emg_crosstalk=0.1)
    rng = np.random.default_rng(1)
    x = np.vstack([made.block(20, [(0.5, 0.5), (0.0, 0.0)], [1.0, 1.0], rng)[:, :3] for _ in range(1000)])
    assert abs(np.corrcoef(x[:, 0], x[:, 1])[0, 1]) < 0.1
    assert x[:, 2].std() == pytest.approx(0.1 * np.hypot(x[:, 0].std(), x[:, 1].std()), rel=0.1)


def evoked(since_ns=0, share=0.5, velocity=1.0, current_ma=20.0, fatigue=0.0, rows=20, **parameters):
    made = electrodes(channels=(1, 1), **parameters)
    made.evoke(0, since_ns, rows, current_ma, 250.0, share, velocity, fatigue)
    rng = np.random.default_rng(1)
    counts = np.vstack([made.block(rows, [(0.0, 0.0)] * 2, [1.0] * 2, rng) for _ in range(60 // rows)])
    return counts[:, :-1] * VOLTS_PER_COUNT, counts[:, -1]


@pytest.mark.parametrize("after_ms", [0.0, 0.1, 3.3, 9.9])
def test_the_trigger_rises_at_the_first_sample_after_the_pulse(after_ms):
    x, trigger = evoked(since_ns=round(-after_ms * 1e6))
    first = int(after_ms * 2)
    assert np.flatnonzero(trigger).tolist() == [first, first + 1]
    assert np.abs(x[:first]).max(initial=0.0) < 2e-6
    assert np.abs(x[first : first + 2, 0]).max() > 1e-3


@pytest.mark.parametrize("current_ma", [5.0, 20.0, 40.0])
def test_the_artifact_is_gone_after_4_ms(current_ma):
    x, trigger = evoked(share=0.0, current_ma=current_ma)
    pulse = np.flatnonzero(trigger)[0]
    assert np.abs(x[pulse + 8 :, 0]).max() < 2e-6


def test_the_mwave_is_gone_after_18_ms_even_when_slow():
    x, trigger = evoked(share=1.0, velocity=0.7, current_ma=0.0)
    pulse = np.flatnonzero(trigger)[0]
    assert np.abs(x[pulse : pulse + 36, 0]).max() > 1e-3
    assert np.abs(x[pulse + 36 :, 0]).max() < 5e-6


def test_the_mwave_tracks_recruitment_and_shrinks_with_fatigue():
    def size(**given):
        return np.ptp(evoked(current_ma=0.0, **given)[0][:, 0])

    assert size(share=1.0) == pytest.approx(3e-3, rel=0.03)
    assert size(share=0.5) == pytest.approx(size(share=1.0) / 2, rel=0.02)
    assert size(share=1.0, fatigue=0.5, mwave_fall=0.2) == pytest.approx(0.9 * size(share=1.0), rel=0.02)


def test_a_slower_muscle_has_a_longer_mwave():
    t = np.arange(0, 0.02, 1e-5)
    lengths = [abs(t[mwave(t, v).argmin()] - t[mwave(t, v).argmax()]) for v in (1.0, 0.8, 0.6)]
    assert lengths[1] == pytest.approx(lengths[0] / 0.8, rel=0.02)
    assert lengths[2] == pytest.approx(lengths[0] / 0.6, rel=0.02)


def test_the_other_muscles_channel_sees_less_of_it():
    x, _ = evoked(artifact_mv_per_ma=0.05, artifact_crosstalk=0.1, current_ma=20.0, share=0.0)
    assert np.abs(x[:, 1]).max() == pytest.approx(0.1 * np.abs(x[:, 0]).max(), rel=0.05)


def test_a_large_artifact_rails_the_amplifier():
    made = electrodes()
    made.evoke(0, 0, 20, 60.0, 250.0, 0.5, 1.0, 0.0)
    counts = made.block(20, [(0.0, 0.0)], [1.0], np.random.default_rng(1))
    assert np.abs(counts[:, 0]).max() == COUNTS
    assert counts.dtype == np.int16


def test_of_a_long_phase_only_the_edge_is_seen():
    t = np.arange(0, 0.02, 1e-4)
    assert np.array_equal(artifact(t, 0.5), artifact(t, 1e-3))


def test_how_the_time_is_cut_into_blocks_does_not_move_a_pulse():
    whole, _ = evoked(since_ns=-4_000_000, rows=60)
    blocks, _ = evoked(since_ns=-4_000_000, rows=20)
    assert np.abs(whole - blocks).max() < 2e-6
