"""What the amplifier gives: EMG, pulses, the trigger, the rails, all in counts."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from myoloop.experiments.subjects.adc import COUNTS, VOLTS_PER_COUNT
from myoloop.experiments.subjects.contact import ElectrodeEvent
from myoloop.experiments.subjects.electrodes import ElectrodeParameters, Electrodes

QUIET = {"emg_noise_uv": 0.1, "mains_uv": 0.0}
BINS = 10


def electrodes(channels=(1,), rate_hz=2000.0, events=(), gains=None, **parameters):
    person = ElectrodeParameters(**{**QUIET, **parameters})
    return Electrodes([person] * len(channels), channels, rate_hz, events=events, gains=gains)


def record(made, seconds, level=1.0, velocity=1.0, seed=7, muscles=1, rows=20):
    rng = np.random.default_rng(seed)
    blocks = [
        made.block(rows, [(level, level)] * muscles, [velocity] * muscles, rng)
        for _ in range(round(seconds * made.rate_hz / rows))
    ]
    counts = np.vstack(blocks)
    return counts[:, :-1] * VOLTS_PER_COUNT, counts[:, -1]


def test_the_rms_of_a_maximal_contraction_is_the_persons():
    assert record(electrodes(emg_mvc_uv=600.0), 20)[0].std() == pytest.approx(600e-6, rel=0.04)


def test_amplitude_follows_activation():
    made = electrodes()
    half, whole = record(made, 20, level=0.25)[0].std(), record(made, 20, level=0.5)[0].std()
    assert whole == pytest.approx(2 * half, rel=0.04)


def test_activation_may_change_within_a_block():
    rng = np.random.default_rng(1)
    made = electrodes(channels=(50,))
    knots = [[0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1]]
    blocks = np.stack([made.block(20, knots, [1.0], rng)[:, :-1] for _ in range(200)])
    rms = blocks.std(axis=(0, 2)) * VOLTS_PER_COUNT
    assert rms[:8].max() < 1e-6
    assert rms[8] == pytest.approx(0.5 * 400e-6, rel=0.1)
    assert rms[9:] == pytest.approx(400e-6, rel=0.1)


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


def evoked(since_ns=0, share=0.5, velocity=1.0, current_ma=20.0, amplitude=1.0, rows=20, **parameters):
    made = electrodes(channels=(1, 1), **parameters)
    made.evoke(0, since_ns, rows, current_ma, 250.0, np.full(BINS, share / BINS), velocity, amplitude)
    return record(made, 0.06, 0.0, muscles=2, rows=rows)


@pytest.mark.parametrize("after_ms", [0.0, 0.1, 3.3, 9.9])
def test_the_trigger_rises_at_the_first_sample_after_the_pulse(after_ms):
    x, trigger = evoked(since_ns=round(-after_ms * 1e6))
    first = int(after_ms * 2)
    assert np.flatnonzero(trigger).tolist() == [first, first + 1]
    assert np.abs(x[:first]).max(initial=0.0) < 2e-6
    assert np.abs(x[first : first + 2, 0]).max() > 1e-3


def test_the_mwave_is_gone_after_18_ms_even_when_slow():
    x, trigger = evoked(share=1.0, velocity=0.7, current_ma=0.0)
    pulse = np.flatnonzero(trigger)[0]
    assert np.abs(x[pulse : pulse + 36, 0]).max() > 1e-3
    assert np.abs(x[pulse + 36 :, 0]).max() < 5e-6


def test_the_mwave_tracks_recruitment_and_the_muscles_factor():
    def size(**given):
        return np.ptp(evoked(current_ma=0.0, **given)[0][:, 0])

    assert size(share=1.0) == pytest.approx(3e-3, rel=0.03)
    assert size(share=0.5) == pytest.approx(size(share=1.0) / 2, rel=0.02)
    assert size(share=1.0, amplitude=0.9) == pytest.approx(0.9 * size(share=1.0), rel=0.02)


def test_other_muscles_channels_see_less_of_a_pulse():
    x, _ = evoked(artifact_mv_per_ma=0.05, artifact_crosstalk=0.1, current_ma=20.0, share=0.0)
    assert np.abs(x[:, 1]).max() == pytest.approx(0.1 * np.abs(x[:, 0]).max(), rel=0.05)
    x, _ = evoked(share=1.0, current_ma=0.0, emg_crosstalk=0.1)
    assert np.abs(x[:, 1]).max() == pytest.approx(0.1 * np.abs(x[:, 0]).max(), rel=0.05)


def test_a_large_artifact_rails_the_amplifier_which_comes_back_slowly():
    def after(share):
        x, trigger = evoked(
            share=0.0, current_ma=60.0, artifact_recovery_share=share, artifact_recovery_ms=4.0, artifact_crosstalk=0.0
        )
        pulse = np.flatnonzero(trigger)[0]
        assert np.abs(x[:, 0]).max() == pytest.approx(5.5e-3)
        assert np.abs(x[:, 1]).max() < 2e-6
        return x[pulse + 12, 0]

    assert abs(after(0.0)) < 2e-6
    assert after(0.1) < -1e-4


def test_pulses_jitter_within_their_range_and_the_trigger_shows_it():
    made = electrodes(artifact_jitter_us=100.0, rate_hz=20000.0)
    rng, delays = np.random.default_rng(1), []
    for _ in range(300):
        made.evoke(0, 0, 200, 1.0, 250.0, 0.0, 1.0)
        delays.append(np.flatnonzero(made.block(200, [(0.0, 0.0)], [1.0], rng)[:, -1])[0] * 50.0)
    assert min(delays) >= 0.0
    assert max(delays) <= 200.0
    assert np.mean(delays) == pytest.approx(100.0 - 25.0, abs=15.0)
    assert np.std(delays) > 40.0


@pytest.mark.parametrize("rows", [1, 7, 60])
def test_how_the_time_is_cut_into_blocks_does_not_move_a_pulse(rows):
    whole, _ = evoked(since_ns=-4_000_000, rows=120)
    blocks, _ = evoked(since_ns=-4_000_000, rows=rows)
    length = min(len(whole), len(blocks))
    assert np.abs(whole[:length] - blocks[:length]).max() < 2e-6


def test_pulses_in_the_same_place_add_up_and_leave_nothing_behind():
    made = electrodes()
    for _ in range(2):
        made.evoke(0, -1_000_000, 20, 2.0, 250.0, 0.5, 1.0)
    twice, _ = record(made, 0.05, 0.0)
    once, _ = record_after_one(2.0)
    assert twice == pytest.approx(2 * once, abs=2e-6)
    assert np.abs(record(made, 0.5, 0.0)[0]).max() < 1e-6


def record_after_one(current_ma):
    made = electrodes()
    made.evoke(0, -1_000_000, 20, current_ma, 250.0, 0.5, 1.0)
    return record(made, 0.05, 0.0)


def test_periods_that_are_no_whole_samples_meet_the_samples_everywhere():
    made = electrodes(rate_hz=1925.93, artifact_mv_per_ma=0.05)
    rng, phases, made_rows = np.random.default_rng(1), [], 0
    pulses = iter(np.arange(1, 60) / 33.0)
    due = next(pulses)
    for block in range(1, 170):
        rows = round(block * 0.01 * made.rate_hz) - made_rows
        last_ns = round((made_rows) / made.rate_hz * 1e9)
        while due < block * 0.01:
            made.evoke(0, last_ns - round(due * 1e9), rows, 20.0, 250.0, 0.0, 1.0)
            phases.append(due * made.rate_hz % 1.0)
            due = next(pulses)
        made.block(rows, [(0.0, 0.0)], [1.0], rng)
        made_rows += rows
    assert np.histogram(phases, bins=4, range=(0, 1))[0].min() >= 5


def test_potentials_of_a_unit_are_seen_where_and_as_large_as_they_are():
    made = electrodes(channels=(2, 1), emg_crosstalk=0.1)
    made.discharge(0, -5_000_000, 0.5)
    x, _ = record(made, 0.03, 0.0, muscles=2)
    assert np.ptp(x[:, 0]) == pytest.approx(0.5 * 400e-6, rel=0.05)
    assert x[:, 0] == pytest.approx(x[:, 1], abs=2e-6)
    assert np.ptp(x[:, 2]) == pytest.approx(0.1 * np.ptp(x[:, 0]), rel=0.1)
    assert np.abs(x[:10]).max() < 1e-6
    assert np.abs(x[36:]).max() < 1e-6


@pytest.mark.parametrize(
    ("event", "rms_v"),
    [
        (ElectrodeEvent(0.1, 0, "off"), 1e-3),
        (ElectrodeEvent(0.1, 0, "off", floats="flat"), 0.0),
        (ElectrodeEvent(0.1, 0, "rail"), 5.5e-3),
    ],
)
def test_a_lead_that_is_off_shows_what_it_sees(event, rms_v):
    made = electrodes(channels=(1, 1), events=[event])
    made.evoke(0, -150_000_000, 20, 30.0, 250.0, 1.0, 1.0)
    x, _ = record(made, 0.3, 0.5, muscles=2)
    assert x[:200].std(axis=0) == pytest.approx([200e-6] * 2, rel=0.5)
    assert np.sqrt(np.mean(x[200:, 0] ** 2)) == pytest.approx(rms_v, rel=0.01, abs=1e-9)
    assert made.contact.tolist() == [0.0, 1.0]


def test_a_lifted_electrode_is_worse_and_the_truth_tells_it():
    made = electrodes(channels=(1, 1), events=[ElectrodeEvent(0.0, 1, "lift")], emg_noise_uv=3.0, mains_uv=3.0)
    x, _ = record(made, 10, 0.0, muscles=2)
    assert x[:, 1].std() == pytest.approx(np.hypot(3e-6 * np.sqrt(30), 90e-6), rel=0.05)
    assert made.contact == pytest.approx([1.0, 1 / np.sqrt(30)])


def test_swapped_leads_swap_their_columns():
    plain, swapped = (
        record(electrodes(channels=(1, 1), events=events, emg_crosstalk=0.0), 1, muscles=2)[0]
        for events in ((), [ElectrodeEvent(0.5, 0, "swap", other=1)])
    )
    assert np.array_equal(plain[:1000], swapped[:1000])
    assert np.array_equal(plain[1000:, ::-1], swapped[1000:])


def test_a_gain_gives_finer_counts_and_an_earlier_rail():
    made = electrodes(channels=(1, 1), gains=[1.0, 10.0])
    x, _ = record(made, 5, 0.5, muscles=2)
    counts = x / VOLTS_PER_COUNT
    assert counts[:, 1].std() == pytest.approx(10 * counts[:, 0].std(), rel=0.1)
    assert np.abs(counts).max() <= COUNTS
    with pytest.raises(ValueError, match="gains: found 1, allowed is one for each of 2"):
        electrodes(channels=(1, 1), gains=[1.0])


def test_a_drifting_clock_moves_samples_against_the_host():
    made = electrodes(amplifier_clock_ppm=100.0)
    assert made.rate_hz == pytest.approx(2000.2)
    # After 100 s by the host there are 20 samples more; a pulse then meets the sample that is due then.
    rng = np.random.default_rng(1)
    for _ in range(2000):
        made.block(100, [(0.0, 0.0)], [1.0], rng)
    made.block(20, [(0.0, 0.0)], [1.0], rng)
    last_ns = round(200_020 / made.rate_hz * 1e9)
    made.evoke(0, last_ns - 100_000_000_000, 20, 20.0, 250.0, 0.0, 1.0)
    assert last_ns == pytest.approx(100e9, abs=2)
    assert made.block(20, [(0.0, 0.0)], [1.0], rng)[:2, -1].tolist() == [1, 1]


def test_pulses_move_no_noise():
    still, stimulated = electrodes(channels=(1, 1)), electrodes(channels=(1, 1), artifact_jitter_us=50.0)
    stimulated.evoke(0, 0, 20, 10.0, 250.0, 0.3, 1.0)
    a, b = (record(made, 1, 0.5, muscles=2)[0] for made in (still, stimulated))
    assert np.array_equal(a[400:], b[400:])
    assert not np.array_equal(a[:40], b[:40])


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
@pytest.mark.parametrize("which", ["current_ma", "share", "velocity", "amplitude"])
def test_a_pulse_that_is_no_pulse_is_refused(broken, which):
    with pytest.raises(ValueError, match="not finite"):
        evoked(**{which: broken})


def test_an_activation_that_is_no_number_rails_its_channel_and_no_other():
    made = electrodes(channels=(1, 1), emg_crosstalk=0.0)
    counts = made.block(20, [(float("nan"), 0.0), (0.1, 0.1)], [1.0, 1.0], np.random.default_rng(1))
    assert (counts[1:-1, 0] == -COUNTS).all()


@settings(deadline=None, max_examples=40)
@given(
    pulses=st.lists(
        st.tuples(
            st.integers(0, 1), st.integers(-9_999_999, 0), st.floats(0, 200), st.floats(10, 2000), st.floats(0, 1),
            st.floats(0.3, 1.0), st.floats(0, 2),
        ),
        max_size=8,
    ),
    activation=st.lists(st.floats(0, 1), min_size=22, max_size=22),
    velocity=st.floats(0.01, 5.0),
    events=st.lists(
        st.builds(
            ElectrodeEvent, t_s=st.floats(0, 0.05), channel=st.integers(0, 1),
            kind=st.sampled_from(["lift", "off", "rail", "back"]),
        ),
        max_size=4,
    ),
)  # fmt: skip
def test_counts_stay_within_the_rails_whatever_goes_in_and_are_the_same_each_time(pulses, activation, velocity, events):
    def live():
        made = electrodes(
            channels=(1, 1), events=events, artifact_recovery_share=1.0, artifact_mv_per_ma=5.0, mwave_mv=20.0,
            mwave_late_share=1.0, electrode_drift=1.0, electrode_lifts_per_h=600.0,
        )  # fmt: skip
        rng, blocks = np.random.default_rng(1), []
        for _ in range(6):
            for muscle, since_ns, current_ma, phase_us, share, speed, factor in pulses:
                made.evoke(muscle, since_ns, 20, current_ma, phase_us, np.full(BINS, share / BINS), speed, factor)
            blocks.append(made.block(20, np.reshape(activation, (2, 11)), [velocity] * 2, rng))
        return np.vstack(blocks)

    counts = live()
    assert counts.dtype == np.int16
    assert np.abs(counts[:, :-1].astype(int)).max() <= COUNTS
    assert set(np.unique(counts[:, -1])) <= {0, 1}
    assert np.array_equal(counts, live())


def test_eight_channels_under_stimulation_stay_within_their_budget():
    person = ElectrodeParameters(
        artifact_recovery_share=0.1, mwave_latency_spread_ms=0.3, mwave_jitter_us=50.0, electrode_drift=0.1,
        artifact_jitter_us=50.0, mwave_first_phase=0.5,
    )  # fmt: skip
    made = Electrodes([person] * 8, [1] * 8, 2000.0)
    rng, took_us = np.random.default_rng(1), []
    shares, ones, drive = np.full(BINS, 0.05), np.ones(BINS), np.full((8, 11), 0.1)
    for block in range(600):
        begin = time.perf_counter()
        if block % 3 == 0:
            for muscle in (0, 1):
                made.evoke(muscle, -1000, 20, 20.0, 250.0, shares, ones, ones)
        made.block(20, drive, [1.0] * 8, rng)
        took_us.append((time.perf_counter() - begin) * 1e6)
    # Others keep the machine busy: the quick quarter, and thrice over for a pulse in every third block.
    with_pulses, without = np.reshape(took_us, (-1, 3))[:, 0], np.reshape(took_us, (-1, 3))[:, 1:]
    assert np.percentile(with_pulses, 25) / 3 + np.percentile(without, 25) * 2 / 3 < 250
