"""A recording that is read as it is asked for: the same samples and tables as when all of it is read."""

from __future__ import annotations

import shutil
import subprocess
import sys

import numpy as np
import pytest

from myoloop.experiments.analysis import load
from myoloop.experiments.analysis.session import load as load_whole
from myoloop.platform import wire
from myoloop.platform.messages import Samples
from myoloop.platform.recording.compact import compact
from myoloop.platform.recording.layout import DamagedRecording, RecordingError
from myoloop.platform.recording.reader import Recording as Reader
from myoloop.platform.recording.writer import RecordingWriter


@pytest.fixture(scope="module")
def compacted(lockstep_attempt, tmp_path_factory):
    folder = tmp_path_factory.mktemp("study") / "sub-V001" / "ses-01" / "att-1"
    shutil.copytree(lockstep_attempt, folder)
    compact(folder)
    return folder


@pytest.fixture(scope="module", params=["known", "live", "compacted"])
def attempt(request, known_attempt, lockstep_attempt, compacted):
    return {"known": known_attempt, "live": lockstep_attempt, "compacted": compacted}[request.param]


@pytest.fixture(scope="module")
def recording(attempt):
    return load(attempt)


@pytest.fixture(scope="module")
def whole(attempt):
    return load_whole(attempt)


def test_a_stream_is_what_was_recorded(recording, attempt):
    for topic, stream in recording.streams.items():
        expected = Reader.open(attempt).samples(topic)
        assert stream.shape == expected.counts.shape
        np.testing.assert_array_equal(stream[:], expected.physical())
        np.testing.assert_array_equal(stream.rows(0, len(stream)).valid, ~expected.invalid)


def test_any_rows_are_those_of_the_whole(recording):
    stream = recording.streams["emg"]
    everything = stream[:]
    assert everything.dtype == stream.dtype == np.float32
    rng = np.random.default_rng(4)
    for begin, end in np.sort(rng.integers(0, len(stream), (8, 2))).tolist():
        np.testing.assert_array_equal(stream[begin:end], everything[begin:end])
    np.testing.assert_array_equal(stream[-7:], everything[-7:])
    np.testing.assert_array_equal(stream[5:200:7], everything[5:200:7])
    np.testing.assert_array_equal(stream[-1], everything[-1])
    assert stream[10:10].shape == (0, len(stream.channels))
    with pytest.raises(IndexError):
        stream[len(stream)]
    with pytest.raises(ValueError, match="allowed are steps above 0"):
        stream[::-1]


def test_any_seconds_are_those_of_the_whole(recording, whole):
    for topic, stream in recording.streams.items():
        track = whole.samples[topic]
        end_s = float(track.t_s[-1])
        for start_s, stop_s in ((-1.0, 0.5), (0.2, 1.7), (1.0, 1.0), (end_s - 0.3, end_s + 9.0), (-9.0, end_s + 1.0)):
            found = stream.seconds(start_s, stop_s)
            kept = (track.t_s >= start_s) & (track.t_s < stop_s)
            np.testing.assert_array_equal(found.t_s, track.t_s[kept])
            np.testing.assert_array_equal(found.values, track.record.physical()[kept])
            np.testing.assert_array_equal(found.valid, ~track.record.invalid[kept])
    with pytest.raises(ValueError, match="finite numbers in order"):
        stream.seconds(2.0, 1.0)
    with pytest.raises(ValueError, match="finite numbers in order"):
        stream.seconds(0.0, float("nan"))


def test_seconds_read_nothing_but_the_pieces_they_are_in(tmp_path, known, monkeypatch):
    opened = load(long_stream(tmp_path, known))
    read = []
    pieces = opened._opened
    assert len(pieces.pieces) > 5
    monkeypatch.setattr(pieces, "in_piece", lambda n, topics, real=pieces.in_piece: read.append(n) or real(n, topics))
    stretch = opened.streams["emg"].seconds(800.0, 801.0)
    assert len(stretch.t_s) == 1000
    assert 1 <= len(set(read)) <= 3, "and perhaps the first, for the time of its first sample"


def long_stream(folder, known):
    """1000 s of EMG alone, compacted: noise does not get smaller."""
    noise = np.random.default_rng(1).integers(-9000, 9000, (10_000, 3)).astype("<i2")
    with RecordingWriter(folder, session="s", descriptors=[known.EMG], metadata=known.METADATA, live=False) as writer:
        for block in range(1000):
            message = Samples(first_sample=1000 * block, t_ns=10**9 * (block + 1))
            array = np.roll(noise, block, axis=0)[:1000]
            frames = wire.encode("emg/amp", message, session="s", publisher="a", epoch=1, seq=block, array=array)
            writer.write(frames, message.t_ns, block)
        writer.end("complete", "", 1002 * 10**9)
    compact(folder)
    return folder


def test_a_stream_says_what_it_is(known_attempt):
    emg = load(known_attempt).streams["emg/amp"]
    assert (emg.rate_hz, emg.channels, emg.unit) == (1000.0, ("m1", "m2", "trigger"), "V")
    assert emg.units == ("V", "V", "1")
    assert emg.recorded_dtype == np.dtype("<i2")
    assert repr(emg) == "<emg/amp: 3 channels at 1000 Hz in V>"


def test_a_stream_is_named_by_topic_or_kind(known_attempt):
    streams = load(known_attempt).streams
    assert list(streams) == ["emg/amp", "imu/amp"]
    assert streams["imu"] is streams["imu/amp"]
    with pytest.raises(KeyError, match="no stream 'force'; there are: emg/amp, imu/amp"):
        streams["force"]


def test_a_clock_that_jumped_is_told(tmp_path, known):
    with RecordingWriter(tmp_path, session="s", descriptors=[known.EMG], metadata=known.METADATA, live=False) as writer:
        for block in range(200):
            t_ns = 10**9 + 10**7 * block + (5 * 10**9 if block >= 100 else 0)
            message, array = Samples(first_sample=10 * block, t_ns=t_ns), np.zeros((10, 3), "<i2")
            frames = wire.encode("emg/amp", message, session="s", publisher="a", epoch=1, seq=block, array=array)
            writer.write(frames, t_ns, block)
        writer.end("complete", "", 10**10)
    recording = load(tmp_path)
    first, second = recording.streams["emg"].segments
    assert (first.end_row, second.cause, second.step_s) == (1000, "clock", pytest.approx(5.0))
    with pytest.raises(RecordingError, match="is in 2 stretches, name one by segment="):
        recording.to_mne()
    assert recording.to_mne(segment=2).n_times == 1000
    with pytest.raises(RecordingError, match="found 3, allowed is 1 to 2"):
        recording.to_mne(segment=3)


# -- tables ------------------------------------------------------------------------------------------------


def test_events_and_forms(known_attempt):
    (stop,) = load(known_attempt).events.to_dict("records")
    assert stop == {
        "t_s": pytest.approx(3.803), "kind": "stop", "who": "stimulator", "why": "stop <operator>",
        "values": {"from": "ARMED"},
    }  # fmt: skip
    assert load(known_attempt).forms.empty


def test_what_was_not_valid_has_no_value_and_a_reason(known_attempt):
    estimates = load(known_attempt).estimates
    biceps = estimates[estimates.muscle == "biceps"]
    assert len(biceps) == 400
    assert biceps.fatigue[200:390].eq(0.25).all()
    assert biceps.fatigue[390:].isna().all(), "0.9 was told, and that it is not valid"
    assert biceps.fatigue_high[390:].isna().all()
    assert set(biceps.fatigue_why_not[390:]) == {"signal lost"}
    assert set(biceps.fatigue_why_not[200:390]) == {""}


def test_decisions_and_verdicts(known_attempt):
    recording = load(known_attempt)
    asked, said = recording.decisions, recording.reports
    assert len(asked) == len(said) == 400
    assert asked.current_ma.max() == said.asked_ma.max() == 12.4
    assert said.allowed_ma[100] == 10.0
    assert said.rule[100] == "rise onto new ground"
    assert said.acknowledged_ma[130] == 12.0
    assert said.latched.iloc[-1] == "stop (operator)"


def test_pulses_phases_and_trials_are_those_of_the_session(recording, whole):
    for channel, track in whole.delivered().items():
        rows = recording.pulses[recording.pulses.channel == channel]
        np.testing.assert_array_equal(rows.t_s, track.t_s)
        np.testing.assert_allclose(rows.charge_uc, track.charge_uc)
    assert len(recording.pulses) == sum(len(track) for track in whole.delivered().values())
    assert [tuple(row) for row in recording.phases[["name", "begin_s", "end_s"]].itertuples(index=False)] == [
        (phase.name, phase.begin_s, phase.end_s) for phase in whole.phases
    ]
    assert recording.trials.outcome.tolist() == [trial.outcome for trial in whole.trials]


def test_truth_is_a_virtual_subjects_only(known_attempt):
    truth = load(known_attempt).truth
    assert set(truth.what) == {"fatigue", "force", "pulse", "spasm"}
    biceps = truth[(truth.what == "fatigue") & (truth.name == "biceps")]
    assert biceps.value.iloc[-1] == pytest.approx(0.3)


def test_a_recording_says_what_it_is(recording, whole):
    assert (recording.session_id, recording.person, recording.simulated) == (
        whole.session_id, whole.subject, whole.simulated,
    )  # fmt: skip
    assert (recording.zero_ns, recording.outcome, recording.reason) == (whole.zero_ns, whole.outcome, whole.reason)
    assert recording.status == ("complete" if whole.outcome == "complete" else "interrupted")
    assert f"simulated, {recording.status}" in repr(recording)


def test_a_cut_recording_is_read_and_says_so(known, tmp_path):
    file = known.write(tmp_path / "att-1", end=False) / "session.mcap"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2 + 7])
    recording = load(file)
    assert recording.status == "incomplete"
    assert recording.outcome == ""
    assert len(recording.streams["emg"]) == len(load_whole(file).samples["emg/amp"].t_s) > 1000
    assert len(recording.estimates) > 100
    assert recording.trials.empty


def test_damage_is_refused_where_it_is_read(compacted, tmp_path):
    file = tmp_path / "session.mcap"
    data = bytearray((compacted / "session.mcap").read_bytes())
    data[len(data) // 3] ^= 1
    file.write_bytes(data)
    with pytest.raises(DamagedRecording):
        load(file).streams["emg"][:]


def test_importing_the_package_is_cheap():
    code = (
        "import sys; from myoloop.experiments.analysis import load;"
        "sys.exit(any(name in sys.modules for name in ('pandas', 'mne', 'pyarrow', 'sklearn', 'matplotlib')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# -- MNE ---------------------------------------------------------------------------------------------------


def test_a_raw_has_pulses_with_their_parameters(known_attempt):
    raw = load(known_attempt).to_mne()
    pulses = [each for each in raw.annotations if each["description"] == "pulse/c1"]
    assert len(pulses) == 20
    assert pulses[0]["onset"] == pytest.approx(1.015)
    assert pulses[0]["extras"]["current_ma"] == 10.0
    assert pulses[0]["extras"]["phase_us"] == 250.0
    (train,) = (each for each in raw.annotations if each["description"] == "stimulation/c1")
    assert train["extras"]["pulses"] == 20
    assert train["extras"]["rate_hz"] == pytest.approx(20.0)
    assert train["extras"]["charge_uc"] == pytest.approx(50.0)
    assert "emg" in raw.get_channel_types()
    assert not any(
        each["description"].startswith("pulse/") for each in load(known_attempt).to_mne(pulses=False).annotations
    )


def test_epochs_stand_around_the_pulses(known_attempt, known):
    epochs = load(known_attempt).mne_epochs()
    assert len(epochs) == 20
    assert epochs.event_id == {"pulse/c1": 1}
    assert epochs.ch_names == ["m1", "m2"]
    assert epochs.metadata.current_ma.eq(10.0).all()
    assert epochs.metadata.invalid_share.eq(0.0).all()
    first = epochs.get_data(verbose="ERROR")[0, 0]
    np.testing.assert_allclose(first, known.counts[1010:1066, 0] * 1e-6, rtol=1e-6)


def test_epochs_keep_samples_at_the_rail_and_say_so(known_attempt):
    epochs = load(known_attempt).mne_epochs(tmin_s=-0.6, tmax_s=0.0)
    assert len(epochs) == 20
    assert epochs.metadata.invalid_share.iloc[0] == pytest.approx(4 / (601 * 2)), "four samples of one of two channels"


def test_epochs_over_lost_samples_are_left_out(known_attempt):
    epochs = load(known_attempt).mne_epochs(tmin_s=0.0, tmax_s=1.6)
    assert len(epochs) < 20
    assert (epochs.metadata.t_s + 1.6 < 3.2).all()


def test_epochs_of_a_channel_that_gave_nothing_are_refused(known_attempt):
    with pytest.raises(RecordingError, match="no pulses of channel 'c9'; there are: c1"):
        load(known_attempt).mne_epochs(channel="c9")
