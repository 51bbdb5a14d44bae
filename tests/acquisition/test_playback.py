"""A recording played as if it were live: on a virtual clock, and on the host's."""

from __future__ import annotations

import time

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.acquisition.playback import PlaybackSettings, PlaybackSource
from myoloop.acquisition.source import Ended, Foreseeing, SourceError, SourceMistake
from myoloop.platform.clock import MonotonicClock, VirtualClock

TICK_NS = 10_000_000


def recorded(tmp_path, rate_hz=2000, imu_hz=100, seconds=1.0, extra=0):
    rng = np.random.default_rng(0)
    emg = rng.integers(-2000, 2000, (int(rate_hz * seconds) + extra, 2)).astype("<i2")
    imu = rng.standard_normal((int(imu_hz * seconds), 3)).astype("<f4")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["emg"], file["imu"] = emg, imu
    lines = [f"- {{from: 'emg[{i}]', name: m{i}, unit: uV, rate: {rate_hz} Hz}}" for i in range(2)]
    lines += [f"- {{from: 'imu[{i}]', name: i{i}, unit: g, kind: imu, rate: {imu_hz} Hz}}" for i in range(3)]
    (tmp_path / "a.yaml").write_text("channels:\n" + "\n".join(lines) + "\n")
    return PlaybackSettings(str(tmp_path / "a.h5"), str(tmp_path / "a.yaml")), emg, imu


def play(source, clock, ticks=10_000):
    """All readings in lockstep: read, then one tick."""
    source.open()
    readings = []
    for _ in range(ticks):
        readings += source.read(0.0)
        if readings and isinstance(readings[-1], Ended):
            return readings
        clock.advance(TICK_NS)
    raise AssertionError("it never ended")


def joined(readings, topic):
    mine = [reading for reading in readings if not isinstance(reading, Ended) and reading.topic == topic]
    return mine, np.concatenate([block.array for block in mine])


def test_in_lockstep_each_tick_hands_over_what_is_due(tmp_path):
    settings_, emg, imu = recorded(tmp_path)
    clock = VirtualClock(5_000_000_000)
    source = PlaybackSource(settings_, name="a", clock=clock)
    descriptors = source.open()
    assert [d.topic for d in descriptors] == ["emg/a", "imu/a"]
    assert source.read(0.0) == []
    clock.advance(TICK_NS)
    one, two = source.read(0.0)
    assert (one.topic, one.first_sample, one.t_ns, one.device_t) == ("emg/a", 0, 5_010_000_000, 0.01)
    assert np.array_equal(one.array, emg[:20])
    assert (two.topic, two.t_ns) == ("imu/a", 5_010_000_000)
    assert np.array_equal(two.array, imu[:1])
    assert source.read(0.0) == []
    clock.advance(3 * TICK_NS)
    late = source.read(0.0)
    assert [(b.first_sample, b.t_ns) for b in late if b.topic == "emg/a"] == [
        (20, 5_020_000_000), (40, 5_030_000_000), (60, 5_040_000_000),
    ]  # fmt: skip


def test_all_of_it_comes_once_and_then_it_has_ended(tmp_path):
    settings_, emg, imu = recorded(tmp_path, extra=7)
    clock = VirtualClock()
    source = PlaybackSource(settings_, name="a", clock=clock)
    readings = play(source, clock)
    assert np.array_equal(joined(readings, "emg/a")[1], emg)
    assert np.array_equal(joined(readings, "imu/a")[1], imu)
    assert readings[-1] == Ended(f"{settings_.file}: at its end")
    assert source.read(0.0) == [readings[-1]]


@given(
    rate=st.sampled_from([100, 333, 1000, 1925.93, 2000, 7999.5]),
    ticks=st.lists(st.integers(0, 60_000_000), min_size=5, max_size=40),
)
@settings(deadline=None, max_examples=30)
def test_however_late_the_reader_is_nothing_is_lost_and_no_sample_comes_early(tmp_path_factory, rate, ticks):
    settings_, emg, _ = recorded(tmp_path_factory.mktemp("play"), rate_hz=rate, seconds=0.5)
    clock = VirtualClock()
    source = PlaybackSource(settings_, name="a", clock=clock)
    source.open()
    begin_ns, at, last_ns = clock.now_ns(), 0, 0
    for tick in [*ticks, 2_000_000_000]:
        for reading in source.read(0.0):
            if isinstance(reading, Ended) or reading.topic != "emg/a":
                continue
            assert reading.first_sample == at
            assert np.array_equal(reading.array, emg[at : at + len(reading.array)])
            at += len(reading.array)
            assert last_ns < reading.t_ns <= clock.now_ns()
            assert reading.t_ns - begin_ns == pytest.approx(at / rate * 1e9, abs=1)
            last_ns = reading.t_ns
        clock.advance(tick)
    assert at + sum(len(b.array) for b in source.read(0.0) if not isinstance(b, Ended) and b.topic == "emg/a") == len(
        emg
    )


def test_at_real_time_it_keeps_to_absolute_deadlines(tmp_path):
    settings_, emg, _ = recorded(tmp_path, seconds=0.5)
    source = PlaybackSource(settings_, name="a", clock=MonotonicClock())
    source.open()
    readings, late_ns, begun = [], [], time.monotonic_ns()
    while not (readings and isinstance(readings[-1], Ended)):
        new = source.read(0.05)
        late_ns += [time.monotonic_ns() - block.t_ns for block in new if not isinstance(block, Ended)]
        readings += new
    took_s = (time.monotonic_ns() - begun) / 1e9
    assert np.array_equal(joined(readings, "emg/a")[1], emg)
    assert took_s == pytest.approx(0.5, abs=0.15)
    assert min(late_ns) >= 0, "no block before its time"
    assert np.median(late_ns) < 5e6
    stamps = [block.t_ns for block in joined(readings, "emg/a")[0]]
    assert set(np.diff(stamps)) == {TICK_NS}, "no drift"


def test_a_reader_that_does_not_wait_gets_nothing_before_its_time(tmp_path):
    source = PlaybackSource(recorded(tmp_path)[0], name="a", clock=MonotonicClock())
    source.open()
    begun = time.monotonic()
    assert source.read(0.0) == []
    assert source.read(0.002) == []
    assert time.monotonic() - begun < 0.009


def test_opened_again_it_begins_again(tmp_path):
    settings_, emg, _ = recorded(tmp_path, seconds=0.1)
    clock = VirtualClock()
    source = PlaybackSource(settings_, name="a", clock=clock)
    play(source, clock)
    source.close()
    source.close()
    with pytest.raises(SourceError, match="not open"):
        source.read(0.0)
    assert np.array_equal(joined(play(source, clock), "emg/a")[1], emg)


def test_what_it_will_play_is_known_before_it_is_opened(tmp_path):
    settings_, _, _ = recorded(tmp_path)
    source = PlaybackSource(settings_, name="a")
    assert isinstance(source, Foreseeing)
    foreseen = source.foresee()
    assert foreseen.origin == "recorded"
    assert foreseen.descriptors == source.open()
    assert [each.rate_hz for each in foreseen.descriptors] == [2000.0, 100.0]


def test_a_recording_that_was_made_up_says_so_in_its_mapping(tmp_path):
    settings_, _, _ = recorded(tmp_path)
    mapping = tmp_path / "a.yaml"
    mapping.write_text("simulated: true\n" + mapping.read_text())
    assert PlaybackSource(settings_, name="a").foresee().origin == "simulated"


@pytest.mark.parametrize(
    ("file", "mapping", "setting", "said"),
    [
        ("none.csv", "map.yaml", "file", "none.csv: no such file"),
        ("", "map.yaml", "file", "found '', a file is needed"),
        ("good.csv", "none.yaml", "mapping", "none.yaml: no such file"),
        ("bad.csv", "map.yaml", "", "bad.csv:3: column 2: found 'x', a number is needed"),
        ("good.csv", "wrong.yaml", "", "wrong.yaml:1: rate: found 5"),
        ("good.csv", "other.yaml", "", "other.yaml:2: channels[0].from: good.csv: has no 9; it has: 1, 2"),
        ("good.csv", "", "", "good.csv: a text file does not say what its columns are"),
        ("bad.h5", "map.yaml", "", "bad.h5: not a readable hdf5 file"),
    ],
)
def test_a_users_mistake_names_the_setting_or_the_place_in_the_file(
    tmp_path, monkeypatch, file, mapping, setting, said
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.csv").write_text("1,2\n3,4\n")
    (tmp_path / "bad.csv").write_text("1,2\n3,4\n5,x\n")
    (tmp_path / "bad.h5").write_text("no HDF5")
    (tmp_path / "map.yaml").write_text("rate: 1000 Hz\nchannels: [{from: 1, name: a, unit: mV}]\n")
    (tmp_path / "other.yaml").write_text("rate: 1000 Hz\nchannels: [{from: 9, name: a, unit: mV}]\n")
    (tmp_path / "wrong.yaml").write_text("rate: 5\nchannels: [{from: 1, unit: V, nmae: a}]\n")
    source = PlaybackSource(PlaybackSettings(file, mapping), name="a")
    for look in (source.foresee, source.open):
        with pytest.raises(SourceMistake) as caught:
            look()
        assert caught.value.problems[0].startswith(said)
        assert (caught.value.setting, caught.value.exit_code) == (setting, 2)
    assert len(caught.value.problems) == (2 if mapping == "wrong.yaml" else 1)


def test_a_block_length_out_of_bounds_is_refused():
    with pytest.raises(ValueError, match=r"block_ms: found 0\.1, allowed 1 to 1000"):
        PlaybackSettings("x", block_ms=0.1)


@pytest.mark.realdata
def test_a_real_recording_played_is_the_recording(data_dir):
    path = data_dir / "emg_fatigue_plux" / "emg_fatigue.h5"
    clock = VirtualClock()
    source = PlaybackSource(PlaybackSettings(str(path)), name="biceps", clock=clock)
    (descriptor,) = source.open()
    blocks, counts = joined(play(source, clock, 20_000), "emg/biceps")
    with h5py.File(path) as file:
        raw = file["00:07:80:4C:01:B1/raw/channel_2"][:]
    volts = ((raw / 2**12 - 0.5) * 3.0e-3).astype(np.float32)
    played = (counts * np.array(descriptor.scale) + np.array(descriptor.offset)).astype(np.float32)
    assert np.array_equal(counts, raw)
    assert np.array_equal(played, volts) or np.abs(played - volts).max() <= np.spacing(np.float32(1.5e-3))
    assert blocks[-1].t_ns - blocks[0].t_ns == (len(raw) - 10) * 1_000_000
