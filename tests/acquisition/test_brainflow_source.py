"""A board of BrainFlow as a source: nothing lost, nothing repeated, in SI."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest

from myoloop.acquisition.boards import COUNTERS, load_brainflow, presets
from myoloop.acquisition.brainflow import BoardCounter, BrainFlowSettings, BrainFlowSource
from myoloop.acquisition.intake import Intake, vital_topics
from myoloop.acquisition.source import Ended, SourceError, SourceMistake

SYNTHETIC = BrainFlowSettings("SYNTHETIC_BOARD")


def collect(source, seconds):
    """What a source hands over until its end or for some seconds."""
    blocks, ended = [], None
    descriptors = source.open()
    deadline = time.monotonic() + seconds
    try:
        while time.monotonic() < deadline and ended is None:
            for reading in source.read(0.1):
                if isinstance(reading, Ended):
                    ended = reading
                else:
                    blocks.append(reading)
    finally:
        source.close()
    return descriptors, blocks, ended


def of(blocks, topic):
    return [block for block in blocks if block.topic == topic]


def check_nothing_lost_or_repeated(blocks, descriptors, topics=("emg/a", "imu/a")):
    for topic in topics:
        mine = of(blocks, topic)
        package = next(d for d in descriptors if d.topic == topic).channels.index("package")
        counts = np.concatenate([block.array[:, package] for block in mine])
        assert set(np.diff(counts) % 256) == {1.0}, "a sample was lost or came twice"
        assert [b.first_sample for b in mine] == np.cumsum([0] + [len(b.array) for b in mine[:-1]]).tolist()
        assert all(b.invalid is None for b in mine)


@pytest.fixture(scope="module")
def synthetic():
    return collect(BrainFlowSource(SYNTHETIC, name="a"), 2.0)


def test_no_sample_of_the_synthetic_board_is_lost_or_repeated(synthetic):
    descriptors, blocks, _ = synthetic
    check_nothing_lost_or_repeated(blocks, descriptors)
    assert sum(len(b.array) for b in of(blocks, "emg/a")) == pytest.approx(500, rel=0.1)


def test_its_streams_are_described_in_si(synthetic):
    emg, imu = synthetic[0]
    assert (emg.topic, emg.rate_hz, emg.dtype) == ("emg/a", 250.0, "<f8")
    assert emg.channels == (*(f"emg{i}" for i in range(1, 17)), "package")
    assert emg.units == ("V",) * 16 + ("1",)
    assert emg.scale == (1e-6,) * 16 + (1.0,)
    assert imu.channels == ("acc_x", "acc_y", "acc_z", "gyr_x", "gyr_y", "gyr_z", "package")
    assert imu.units == ("m/s^2",) * 3 + ("rad/s",) * 3 + ("1",)
    assert imu.scale[0] == 9.80665
    assert imu.scale[3] == pytest.approx(0.017453292519943295)


def test_blocks_have_the_hosts_stamp_and_the_boards_beside_it(synthetic):
    _, blocks, _ = synthetic
    mine = of(blocks, "emg/a")
    assert all(one.t_ns < two.t_ns for one, two in itertools.pairwise(mine))
    assert abs(mine[-1].t_ns - time.monotonic_ns()) < 60e9
    stamps = [block.device_t for block in mine]
    assert stamps == sorted(stamps)
    assert abs(stamps[-1] - time.time()) < 60
    # Two samples are 8 ms, three would be 12: whoever expects a block every 10 ms would call that slow.
    assert np.median([len(block.array) for block in mine]) == 2


def test_the_intake_takes_its_blocks_and_the_board_is_at_rate(synthetic):
    descriptors, blocks, _ = synthetic
    topics = vital_topics(descriptors)
    assert topics == {"emg/a": "vital/a", "imu/a": "vital/a-imu"}
    intakes = {d.topic: Intake(d, topics[d.topic]) for d in descriptors}
    vitals = [intakes[block.topic].take(block)[1].message for block in blocks]
    assert vitals[-1].rate_hz == pytest.approx(250.0, rel=0.03)
    assert not any("gap" in flag or "repeated" in flag for vital in vitals for flag in vital.flags)


def test_chosen_channels_come_in_the_order_asked_for():
    settings = BrainFlowSettings("SYNTHETIC_BOARD", channels=(5, 2), imu=False, signals="exg", rail_uv=187500.0)
    descriptors, blocks, _ = collect(BrainFlowSource(settings, name="a"), 0.2)
    (emg,) = descriptors
    assert emg.channels == ("emg5", "emg2", "package")
    assert (emg.rail_low, emg.rail_high) == (-187500.0, 187500.0)
    assert all(block.array.shape[1] == 3 for block in blocks)


class Board:
    """A board that hands over arrays of our making, one per read."""

    def __init__(self, arrays):
        self.arrays = list(arrays)

    def get_board_data_count(self, preset):
        return self.arrays[0].shape[1] if self.arrays else 0

    def get_board_data(self, preset):
        return self.arrays.pop(0) if self.arrays else np.zeros((32, 0))


def fed(arrays, **more):
    """Blocks that come of given counter columns."""
    source = BrainFlowSource(BrainFlowSettings("SYNTHETIC_BOARD", imu=False, **more), name="a")
    source.open()
    real, source._shim = source._shim, None
    real.stop_stream()
    real.release_session()
    data = []
    for counts in arrays:
        array = np.zeros((32, len(counts)))
        array[0] = counts
        array[30] = np.arange(len(counts))
        data.append(array)
    source._shim = Board([np.zeros((32, 0)), *data])
    blocks = [reading for _ in arrays for reading in source.read(0.05)]
    source._shim = None
    return blocks


def test_a_lost_package_is_a_jump_of_first_sample():
    blocks = fed([[0, 1, 2], [6, 7, 10]])
    assert [(b.first_sample, len(b.array)) for b in blocks] == [(0, 3), (6, 2), (10, 1)]
    assert blocks[1].t_ns == blocks[2].t_ns, "they came together"
    assert [b.device_t for b in blocks] == [2.0, 1.0, 2.0]


def test_a_repeated_package_is_kept_and_marked():
    (block,) = fed([[4, 5, 5, 6]])
    assert len(block.array) == 4
    assert np.array_equal(np.flatnonzero(block.invalid.all(axis=1)), [2])


def test_a_counter_of_no_use_can_be_ignored():
    (block,) = fed([[4, 4, 9, 9]], counter=BoardCounter(wrap=0))
    assert block.invalid is None
    assert block.first_sample == 0


def test_what_came_before_the_first_reading_is_left_out():
    source = BrainFlowSource(SYNTHETIC, name="a")
    source.open()
    time.sleep(0.3)
    blocks = source.read(0.1)
    source.close()
    assert [b.first_sample for b in blocks] == [0, 0]
    assert len(blocks[0].array) < 20


def test_a_reader_that_does_not_wait_gets_whole_blocks():
    source = BrainFlowSource(SYNTHETIC, name="a")
    source.open()
    blocks, deadline = [], time.monotonic() + 0.5
    while time.monotonic() < deadline:
        blocks += source.read(0.0)
        time.sleep(0.001)
    source.close()
    sizes = [len(block.array) for block in of(blocks, "emg/a")]
    assert min(sizes) >= 2
    assert sum(sizes) == pytest.approx(125, rel=0.1)


def test_a_file_that_the_board_wrote_plays_to_its_end(tmp_path):
    brainflow = load_brainflow()
    path = tmp_path / "synthetic.csv"
    shim = brainflow.BoardShim(brainflow.BoardIds.SYNTHETIC_BOARD.value, brainflow.BrainFlowInputParams())
    shim.prepare_session()
    shim.add_streamer(f"file://{path}:w")
    shim.start_stream()
    time.sleep(1.2)
    shim.stop_stream()
    shim.release_session()
    written = np.loadtxt(path)

    settings = BrainFlowSettings("PLAYBACK_FILE_BOARD", file=str(path), master_board="SYNTHETIC_BOARD")
    descriptors, blocks, ended = collect(BrainFlowSource(settings, name="a"), 10.0)

    assert ended == Ended(f"{path}: at its end")
    check_nothing_lost_or_repeated(blocks, descriptors)
    emg = np.concatenate([block.array for block in of(blocks, "emg/a")])
    assert np.array_equal(emg[:, :16], written[:, 1:17])
    assert np.array_equal(emg[:, 16], written[:, 0])
    imu = np.concatenate([block.array for block in of(blocks, "imu/a")])
    assert np.array_equal(imu[:, :6], written[:, 17:23])


@pytest.mark.prove
def test_thirty_seconds_of_the_synthetic_board_and_of_the_file_it_wrote(tmp_path):
    descriptors, blocks, _ = collect(BrainFlowSource(SYNTHETIC, name="a"), 30.0)
    check_nothing_lost_or_repeated(blocks, descriptors)
    assert sum(len(b.array) for b in of(blocks, "emg/a")) == pytest.approx(7500, rel=0.02)

    path = tmp_path / "synthetic.csv"
    brainflow = load_brainflow()
    shim = brainflow.BoardShim(brainflow.BoardIds.SYNTHETIC_BOARD.value, brainflow.BrainFlowInputParams())
    shim.prepare_session()
    shim.add_streamer(f"file://{path}:w")
    shim.start_stream()
    time.sleep(30.0)
    shim.stop_stream()
    shim.release_session()
    settings = BrainFlowSettings("PLAYBACK_FILE_BOARD", file=str(path), master_board="SYNTHETIC_BOARD")
    descriptors, blocks, ended = collect(BrainFlowSource(settings, name="a"), 60.0)
    assert ended is not None
    check_nothing_lost_or_repeated(blocks, descriptors)
    assert np.array_equal(
        np.concatenate([block.array for block in of(blocks, "emg/a")])[:, :16], np.loadtxt(path)[:, 1:17]
    )


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"board": "CYTON"}, "knows no board 'CYTON'; did you mean CYTON_BOARD"),
        ({"board": "CYTON_BOARD", "serial_port": "/dev/none"}, r"cannot be opened \(serial_port '/dev/none'\)"),
        ({"board": "CYTON_BOARD"}, "needs other settings .* given is nothing about where it is"),
        ({"board": "UNICORN_BOARD"}, "has no EMG channels; set `signals: exg` to take its EEG channels"),
        ({"board": "CALLIBRI_EMG_BOARD", "signals": "exg"}, "has no EXG channels$"),
        ({"board": "SYNTHETIC_BOARD", "channels": (17,)}, "channels: found 17, allowed 1 to 16"),
        ({"board": "SYNTHETIC_BOARD", "counter": BoardCounter(256, 3)}, "counter: found step 3, wrap 256"),
        ({"board": "PLAYBACK_FILE_BOARD", "file": "x.csv"}, "master_board: missing"),
        ({"board": "PLAYBACK_FILE_BOARD", "master_board": "CYTON_BOARD"}, "file: missing"),
        (
            {"board": "PLAYBACK_FILE_BOARD", "master_board": "CYTON_BOARD", "file": "/none.csv"},
            "file: /none.csv: no such file",
        ),
    ],
)
def test_what_cannot_be_opened_says_why_in_one_line(settings, said):
    with pytest.raises(SourceError, match=said) as caught:
        BrainFlowSource(BrainFlowSettings(**settings), name="a").open()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "setting"),
    [
        ({"board": "CYTON"}, "board"),
        ({"board": "UNICORN_BOARD"}, "signals"),
        ({"board": "SYNTHETIC_BOARD", "channels": (17,)}, "channels"),
        ({"board": "SYNTHETIC_BOARD", "counter": BoardCounter(256, 3)}, "counter"),
        ({"board": "PLAYBACK_FILE_BOARD", "file": "x.csv"}, "master_board"),
        ({"board": "PLAYBACK_FILE_BOARD", "file": "x.csv", "master_board": "CYTON"}, "master_board"),
        ({"board": "PLAYBACK_FILE_BOARD", "master_board": "CYTON_BOARD", "file": "/none.csv"}, "file"),
    ],
)
def test_a_users_mistake_names_the_setting_before_any_board_is_touched(settings, setting):
    with pytest.raises(SourceMistake) as caught:
        BrainFlowSource(BrainFlowSettings(**settings), name="a").foresee()
    assert (caught.value.setting, caught.value.exit_code) == (setting, 2)


def test_a_board_that_is_not_there_is_no_mistake_of_the_users():
    source = BrainFlowSource(BrainFlowSettings("CYTON_BOARD", serial_port="/dev/none"), name="a")
    foreseen = source.foresee()
    assert foreseen.origin == "live"
    assert foreseen.descriptors[0].rate_hz == 250.0
    with pytest.raises(SourceError) as caught:
        source.open()
    assert not isinstance(caught.value, SourceMistake)
    assert caught.value.exit_code == 3


def test_a_board_that_makes_its_samples_up_says_so():
    source = BrainFlowSource(BrainFlowSettings("SYNTHETIC_BOARD"), name="a")
    foreseen = source.foresee()
    assert foreseen.origin == "simulated"
    assert foreseen.descriptors == source.open()
    source.close()


def test_a_file_of_another_board_is_refused(tmp_path):
    path = tmp_path / "odd.csv"
    path.write_text("1.0\t2.0\t3.0\n")
    settings = BrainFlowSettings("PLAYBACK_FILE_BOARD", file=str(path), master_board="CYTON_BOARD")
    with pytest.raises(SourceError, match=r"odd.csv:1: found 3 columns, CYTON_BOARD writes 24"):
        BrainFlowSource(settings, name="a").open()


def test_a_board_that_falls_silent_is_gone():
    source = BrainFlowSource(BrainFlowSettings("SYNTHETIC_BOARD", silent_s=0.05), name="a")
    source.open()
    source._shim.stop_stream()
    source.read(0.01)
    assert source.read(0.02) == []
    with pytest.raises(SourceError, match=r"nothing has come for 0\.05 s"):
        source.read(0.1)
    source.close()
    source.close()
    with pytest.raises(SourceError, match="not open"):
        source.read(0.0)


def test_the_inertial_sensor_may_be_in_another_preset():
    explore = presets("EXPLORE_8_CHAN_BOARD")
    assert (explore[0].rate_hz, explore[0].accelerometer) == (250.0, ())
    assert (explore[1].rate_hz, explore[1].accelerometer, explore[1].gyroscope) == (20.0, (1, 2, 3), (4, 5, 6))
    source = BrainFlowSource(BrainFlowSettings("EXPLORE_8_CHAN_BOARD"), name="a")
    streams = [poll.streams[0].descriptor for poll in source._streams("EXPLORE_8_CHAN_BOARD", explore)]
    assert [(d.topic, d.rate_hz) for d in streams] == [("emg/a", 250.0), ("imu/a", 20.0)]
    assert "package counter not followed" in streams[0].device


def test_known_counters_are_of_boards_that_have_one():
    for board in COUNTERS:
        assert presets(board)[0].counter is not None
