"""What makes a sample not to be trusted, per channel and block."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.acquisition.quality import Quality, QualitySettings
from myoloop.platform.messages import SampleDescriptor

DATA = Path(os.environ.get("MYOLOOP_DATA", Path(__file__).parents[2] / ".." / "shared" / "data"))
SECOND = 1_000_000_000


def described(channels=2, rate_hz=2000.0, dtype="<i2", topic="emg/forearm", **more):
    return SampleDescriptor(
        topic=topic, rate_hz=rate_hz, dtype=dtype,
        channels=tuple(f"ch{i}" for i in range(channels)),
        units=more.pop("units", ("V",) * channels),
        scale=more.pop("scale", (1e-6,) * channels), offset=(0.0,) * channels, **more,
    )  # fmt: skip


def noise(n, channels=2, seed=0, size=300):
    return (np.random.default_rng(seed).standard_normal((n, channels)) * size).astype("<i2")


class Feed:
    """Hands a signal to a judge in 10 ms blocks, as a device at the nominal rate would."""

    def __init__(self, descriptor, start_ns=10 * SECOND, **more):
        self.descriptor = descriptor
        self.quality = Quality(descriptor, QualitySettings(**more))
        self.n = round(descriptor.rate_hz / 100)
        self.t_ns = start_ns
        self.at = 0

    def __call__(self, signal, pulses=None):
        judgements = []
        for begin in range(0, len(signal) - self.n + 1, self.n):
            self.t_ns += SECOND // 100
            if pulses is not None:
                begin_ns = self.t_ns - SECOND // 100
                self.quality.see_pulses(p for p in pulses if begin_ns < p <= self.t_ns)
            block = signal[begin : begin + self.n]
            judgements.append(self.quality.judge(block, self.at, self.t_ns))
            self.at += self.n
        return judgements


def test_a_clean_signal_is_all_valid_and_at_rate():
    judgements = Feed(described())(noise(4000))
    assert all(j.invalid is None for j in judgements)
    assert all(j.valid_share == (1.0, 1.0) and j.flags == ("", "") for j in judgements)
    assert judgements[50].rate_hz is None
    assert judgements[-1].rate_hz == pytest.approx(2000.0, rel=1e-9)


def test_samples_at_a_declared_rail_are_bad_without_pulses():
    signal = noise(2000)
    signal[105:110, 1] = 2047
    signal[112, 1] = -2500
    judgements = Feed(described(rail_low=-2048, rail_high=2047))(signal)
    hit = judgements[5]
    assert np.array_equal(np.argwhere(hit.invalid), [[r, 1] for r in (5, 6, 7, 8, 9, 12)])
    assert hit.valid_share == (1.0, pytest.approx(14 / 20))
    assert hit.flags == ("", "rail")
    assert all(j.flags == ("", "") for j in judgements[:5] + judgements[6:])


def test_a_rail_within_30_ms_of_a_pulse_is_invalid_but_no_bad_stream():
    signal = noise(2000)
    signal[100:140] = 2047
    t_rail = 10 * SECOND + 50_000_000
    feed = Feed(described(rail_low=-2048, rail_high=2047))
    judgements = feed(signal, pulses=[t_rail])
    assert judgements[5].invalid.all()
    assert judgements[5].valid_share == (1.0, 1.0)
    assert judgements[5].flags == ("rail", "rail")


def test_a_rail_40_ms_after_a_pulse_is_a_bad_stream():
    signal = noise(2000)
    signal[100:120] = 2047
    judgements = Feed(described(rail_low=-2048, rail_high=2047))(signal, pulses=[10 * SECOND + 9_000_000])
    assert judgements[5].valid_share == (0.0, 0.0)


def test_pulses_are_read_from_the_sync_channel():
    signal = np.column_stack((noise(2000), np.zeros(2000))).astype("<i2")
    signal[99:101, 2] = 1
    signal[100:120, :2] = 2047
    signal[600:620, :2] = 2047
    descriptor = described(
        3, units=("V", "V", "1"), scale=(1e-6, 1e-6, 1.0), rail_low=-2048, rail_high=2047, sync_channel="ch2"
    )
    judgements = Feed(descriptor)(signal)
    assert judgements[5].valid_share == (1.0, 1.0, 1.0)
    assert judgements[5].invalid[:, :2].all()
    assert not judgements[5].invalid[:, 2].any()
    assert judgements[30].valid_share == (0.0, 0.0, 1.0)
    assert judgements[-1].flags[2] == "", "a trigger channel may well be flat"


@pytest.mark.parametrize("sign", [1, -1])
def test_an_undeclared_rail_is_learned_from_its_plateau(sign):
    clipped = np.clip(noise(8000, 1, seed=1) * 1.0, -5000, 5000)
    clipped[4000:4012] = sign * 5000
    signal = np.concatenate((sign * noise(2000, 1), clipped)).astype("<i2")
    signal[6500:6520] = sign * 5000
    judgements = Feed(described(1))(signal)
    assert judgements[300].flags == ("rail",)
    assert judgements[325].valid_share == (0.0,)
    assert sum("rail" in j.flags[0] for j in judgements) == 2


def test_a_learned_rail_is_forgotten_when_a_sample_goes_beyond_it():
    signal = noise(6000, 1)
    signal[2000:2008] = 3000
    signal[3000] = 4000
    signal[4000:4010] = 3000
    judgements = Feed(described(1))(signal)
    assert judgements[100].flags == ("rail",)
    assert judgements[200].flags == ("",)


def test_the_tips_of_a_slow_wave_are_no_rails():
    t = np.arange(16000) / 8000
    signal = (3000 * np.sin(2 * np.pi * 5 * t) + 3 * np.sin(2 * np.pi * 700 * t))[:, None].astype("<i2")
    judgements = Feed(described(1, rate_hz=8000.0))(signal)
    assert not any("rail" in j.flags[0] for j in judgements)


def test_a_held_signal_has_no_rails():
    signal = np.repeat(noise(400, 1), 10, axis=0)
    judgements = Feed(described(1))(signal)
    assert not any("rail" in j.flags[0] for j in judgements)


def test_a_channel_that_does_not_change_is_flat_after_100_ms():
    signal = noise(2000)
    signal[500:900, 0] = 17
    judgements = Feed(described())(signal)
    assert [b for b, j in enumerate(judgements) if "flat" in j.flags[0]] == list(range(35, 45))
    assert judgements[36].invalid[:, 0].all()
    assert not judgements[36].invalid[:, 1].any()
    assert judgements[36].valid_share == (0.0, 1.0)


def test_a_channel_stuck_at_the_rail_is_bad_although_there_are_pulses():
    signal = noise(2000)
    signal[400:, 0] = 2047
    pulses = [10 * SECOND + k * 20_000_000 for k in range(50)]
    judgements = Feed(described(rail_low=-2048, rail_high=2047))(signal, pulses)
    assert judgements[-1].flags[0] == "rail,flat"
    assert judgements[-1].valid_share[0] == 0.0


def test_an_accelerometer_at_rest_is_not_flat():
    descriptor = described(1, rate_hz=100.0, topic="imu/forearm", units=("m/s^2",))
    judgements = Feed(descriptor)(np.full((150, 1), 981, "<i2"))
    assert all(j.valid_share == (1.0,) and j.flags == ("",) for j in judgements)


def hum(uv, mains_hz=50.0, n=6000, rate_hz=2000.0):
    return (uv * np.sqrt(2) * np.sin(2 * np.pi * mains_hz * np.arange(n) / rate_hz))[:, None]


@pytest.mark.parametrize("mains_hz", [50.0, 60.0])
@pytest.mark.parametrize("rate_hz", [1000.0, 1925.93, 8000.0])
def test_an_electrode_that_has_come_off_shows_mains(mains_hz, rate_hz):
    n = int(3 * rate_hz)
    signal = (noise(n, 1, size=100) + hum(500, mains_hz, n, rate_hz)).astype("<i2")
    judgements = Feed(described(1, rate_hz=rate_hz, mains_hz=mains_hz))(signal)
    assert judgements[80].flags == ("",)
    assert judgements[-1].flags == ("mains",)
    assert judgements[-1].valid_share == (0.0,)
    assert judgements[-1].invalid.all()


def test_a_little_hum_is_flagged_but_not_bad():
    signal = (noise(6000, 1, size=10) + hum(60)).astype("<i2")
    last = Feed(described(1))(signal)[-1]
    assert last.flags == ("mains",)
    assert last.valid_share == (1.0,)
    assert last.invalid is None


def test_voluntary_emg_and_other_frequencies_are_no_mains():
    assert Feed(described(1))(noise(6000, 1))[-1].flags == ("",)
    quiet = noise(6000, 1, size=50)
    assert Feed(described(1))((quiet + hum(500, 47.0)).astype("<i2"))[-1].flags == ("",)
    assert Feed(described(1, mains_hz=60.0))((quiet + hum(500, 50.0)).astype("<i2"))[-1].flags == ("",)


def test_mains_is_not_judged_while_there_are_pulses():
    signal = (noise(6000, 1, size=50) + hum(500)).astype("<i2")
    pulses = [10 * SECOND + k * 20_000_000 for k in range(75)]
    judgements = Feed(described(1))(signal, pulses)
    assert not any("mains" in j.flags[0] for j in judgements[:240])
    assert judgements[-1].flags == ("mains",)


def test_mains_below_twice_its_frequency_is_not_judged():
    judgements = Feed(described(1, rate_hz=100.0))(np.tile([[300], [-300]], (300, 1)).astype("<i2"))
    assert not any("mains" in j.flags[0] for j in judgements)


def test_a_block_that_came_before_is_repeated():
    signal = noise(2000)
    signal[1000:1020] = signal[700:720]
    judgements = Feed(described())(signal)
    assert [b for b, j in enumerate(judgements) if "repeated" in j.flags[0]] == [50]
    assert judgements[50].invalid.all()
    assert judgements[50].valid_share == (0.0, 0.0)


def test_the_same_few_levels_of_a_quiet_channel_are_coincidence():
    signal = (noise(40000, 1, size=1) // 1).astype("<i2")
    judgements = Feed(described(1, rate_hz=1000.0))(signal)
    assert not any("repeated" in j.flags[0] for j in judgements)


def test_a_missing_block_is_a_gap_and_counts_as_not_valid():
    feed = Feed(described())
    feed(noise(1000))
    feed.at += 20
    feed.t_ns += SECOND // 100
    first, second = feed(noise(40, seed=2))
    assert first.missing == 20
    assert first.flags == ("gap", "gap")
    assert first.valid_share == (0.5, 0.5)
    assert first.invalid is None
    assert second.flags == ("", "")
    assert second.missing == 0


def test_rows_that_were_there_already_are_repeated():
    feed = Feed(described())
    feed(noise(1000))
    feed.at -= 5
    (judged,) = feed(noise(20, seed=2))
    assert judged.flags == ("repeated", "repeated")
    assert judged.invalid[:5].all()
    assert not judged.invalid[5:].any()


def test_a_wrong_rate_is_flagged_after_a_second():
    feed = Feed(described(rate_hz=250.0))
    feed.descriptor = None
    feed.quality = Quality(described(rate_hz=400.0))
    judgements = feed(noise(1000))
    assert judgements[50].flags == ("", "")
    assert judgements[-1].rate_hz == pytest.approx(2 * 100.0, rel=1e-6)
    assert judgements[-1].flags == ("rate", "rate")
    assert judgements[-1].valid_share == (1.0, 1.0)


def test_the_measured_rate_falls_while_nothing_comes():
    feed = Feed(described())
    feed(noise(4000))
    assert feed.quality.rate_hz(feed.t_ns) == pytest.approx(2000.0)
    assert feed.quality.rate_hz(feed.t_ns + SECOND) == pytest.approx(1000.0)


def test_what_is_no_number_is_invalid_and_so_is_what_the_source_says():
    descriptor = described(dtype="<f4")
    quality = Quality(descriptor)
    block = noise(20).astype("<f4")
    block[3, 0] = np.nan
    block[4, 0] = np.inf
    source = np.zeros((20, 2), bool)
    source[7, 1] = True
    judged = quality.judge(block, 0, SECOND, source)
    assert np.array_equal(np.argwhere(judged.invalid), [[3, 0], [4, 0], [7, 1]])
    assert judged.flags == ("invalid", "invalid")
    assert judged.valid_share == (0.9, 0.95)


def test_a_block_of_the_wrong_shape_is_refused():
    with pytest.raises(ValueError, match=r"expected \(samples, 2\)"):
        Quality(described()).judge(noise(20, 3), 0, SECOND)


blocks = st.lists(
    st.tuples(st.integers(1, 30), st.integers(-10, 40), st.sampled_from(["noise", "zero", "rail", "nan"])),
    min_size=1, max_size=20,
)  # fmt: skip


@given(blocks, st.lists(st.integers(0, SECOND), max_size=20))
@settings(deadline=None, max_examples=80)
def test_whatever_comes_the_answer_is_in_bounds_and_the_same_again(given_blocks, pulses):
    def run():
        quality = Quality(described(dtype="<f8", rail_low=-2048, rail_high=2047))
        quality.see_pulses(pulses)
        at, t_ns, said = 0, 0, []
        for n, jump, kind in given_blocks:
            at = max(0, at + jump)
            t_ns += 10_000_000
            block = noise(n, seed=n).astype("<f8")
            block[:, 0] = {"noise": block[:, 0], "zero": 0.0, "rail": 2047.0, "nan": np.nan}[kind]
            judged = quality.judge(block, at, t_ns)
            at += n
            said.append(judged)
        return said

    for one, two in zip(run(), run(), strict=True):
        assert all(0.0 <= share <= 1.0 for share in one.valid_share)
        assert (one.valid_share, one.flags, one.rate_hz) == (two.valid_share, two.flags, two.rate_hz)
        assert (one.invalid is None) == (two.invalid is None)
        assert one.invalid is None or np.array_equal(one.invalid, two.invalid)
        if one.invalid is not None and not one.missing:
            # a sample that counts against the share is always invalid; an excused one only invalid
            assert np.all(1 - np.array(one.valid_share) <= one.invalid.mean(axis=0) + 1e-12)


@pytest.mark.prove
@pytest.mark.parametrize("rate_hz", [1000.0, 2000.0, 8000.0])
def test_sixteen_channels_are_judged_within_100_us(rate_hz):
    feed = Feed(described(16, rate_hz=rate_hz, rail_low=-2048, rail_high=2047))
    signal = noise(int(3 * rate_hz), 16)
    took = []
    for begin in range(0, len(signal), feed.n):
        feed.quality.see_pulses([feed.t_ns] * 4)
        began = time.perf_counter_ns()
        feed(signal[begin : begin + feed.n])
        took.append(time.perf_counter_ns() - began)
    assert np.median(took) < 100_000


@pytest.mark.realdata
@pytest.mark.parametrize("declared", [True, False])
def test_the_stream_stays_good_in_a_real_stimulation_recording(declared):
    path = DATA / "fes_emg_artifact" / "fes_handcycling_16ch_2000Hz.npz"
    if not path.exists():
        pytest.skip(f"{path.name} is not here")
    emg_v = np.load(path)["emg_V"].T.astype("<f4")
    rails = {"rail_low": -5.4e-3, "rail_high": 5.4e-3} if declared else {}
    descriptor = SampleDescriptor(
        topic="emg/arm", rate_hz=2000.0, dtype="<f4", channels=tuple(f"ch{i}" for i in range(16)),
        units=("V",) * 16, scale=(1.0,) * 16, offset=(0.0,) * 16, **rails,
    )  # fmt: skip
    # no trigger was recorded: a pulse is where some channel jumps by 1.5 mV from one sample to the next
    jumps = (np.abs(np.diff(emg_v, axis=0)) >= 1.5e-3).any(axis=1)
    onsets = np.flatnonzero(jumps[1:] & ~jumps[:-1]) + 1
    pulses = [10 * SECOND + round((int(i) + 1) * 5e5) for i in onsets]

    known = Feed(descriptor)(emg_v, pulses)
    unknown = Feed(descriptor)(emg_v)

    if declared:
        assert np.mean([any("rail" in flag for flag in j.flags) for j in known]) == pytest.approx(0.78, abs=0.01)
    good = [np.mean([share >= 0.5 for share in j.valid_share]) for j in known]
    assert np.mean(np.array(good) == 1.0) >= 0.99, "with the pulses known the stream is good"
    assert np.mean([min(j.valid_share) < 0.5 for j in unknown]) > 0.3, "without them it would not be"
    if declared:
        masks = np.concatenate([np.zeros((20, 16), bool) if j.invalid is None else j.invalid for j in known])
        assert np.all(masks[np.abs(emg_v[: len(masks)]) >= 5.4e-3]), "what is at the rail is not to be used"


@pytest.mark.realdata
def test_a_real_clean_recording_stays_good_until_it_clips():
    path = DATA / "emg_fatigue_plux" / "emg_fatigue.h5"
    if not path.exists():
        pytest.skip(f"{path.name} is not here")
    import h5py

    with h5py.File(path) as file:
        counts = file["00:07:80:4C:01:B1/raw/channel_2"][:].astype("<i4")
    descriptor = SampleDescriptor(
        topic="emg/biceps", rate_hz=1000.0, dtype="<i4", channels=("biceps",), units=("V",),
        scale=(3e-3 / 4096,), offset=(-1.5e-3,), rail_low=0, rail_high=4095,
    )  # fmt: skip
    judgements = Feed(descriptor)(counts)
    bad = [j for j in judgements if j.valid_share[0] < 0.5]
    assert len(bad) <= 0.001 * len(judgements)
    flags = {flag for j in judgements for flag in j.flags[0].split(",")} - {""}
    assert flags <= {"rail"}
    at_rail = int(np.count_nonzero((counts <= 0) | (counts >= 4095)))
    assert sum(0 if j.invalid is None else int(j.invalid.sum()) for j in judgements) == at_rail
