"""FIF files for MNE-Python: the recorded samples, and what happened when."""

from __future__ import annotations

import dataclasses
import datetime
from collections import Counter

import mne
import numpy as np
import pytest

from myoloop.experiments.analysis.mne_raw import lay_out
from myoloop.experiments.analysis.session import load
from myoloop.experiments.exports.fif import export_fif
from myoloop.experiments.origins import Origins
from myoloop.platform.recording.layout import RecordingError
from myoloop.platform.recording.reader import Recording


def near(value: float):
    """FIF keeps the times of annotations as float32."""
    return pytest.approx(value, abs=1e-5)


@pytest.fixture(scope="module")
def exported(known_attempt, tmp_path_factory):
    files = export_fif(known_attempt, tmp_path_factory.mktemp("out") / "fif")
    return [(file, mne.io.read_raw_fif(file, preload=True, verbose="ERROR")) for file in files]


def test_streams_of_different_rates_get_files_of_their_own(exported):
    assert [file.name for file, _ in exported] == [
        "sub-P017_ses-03_att-2_emg-amp_raw.fif", "sub-P017_ses-03_att-2_imu-amp_raw.fif",
    ]  # fmt: skip
    assert [raw.info["sfreq"] for _, raw in exported] == [1000.0, 100.0]
    assert exported[0][1].get_channel_types() == ["emg", "emg", "stim"]
    assert exported[1][1].get_channel_types() == ["misc"] * 3


def test_samples_are_those_of_the_recording(exported, known_attempt):
    emg, imu = (raw.get_data().astype(np.float32).T for _, raw in exported)
    source = Recording.open(known_attempt)
    np.testing.assert_array_equal(np.delete(emg, slice(3200, 3210), axis=0), source.samples("emg/amp").physical())
    np.testing.assert_array_equal(imu, source.samples("imu/amp").physical())


def test_lost_samples_are_zeros_marked_bad(exported):
    raw = exported[0][1]
    assert not raw.get_data()[:, 3200:3210].any()
    (gap,) = (each for each in raw.annotations if each["description"] == "BAD_gap")
    assert (gap["onset"], gap["duration"]) == (near(3.2), near(0.01))
    kept = raw.get_data(picks="emg", reject_by_annotation="omit", verbose="ERROR")
    assert kept.shape[1] == 4000 - 10 - 4, "MNE leaves them out, and the four invalid samples"


def test_invalid_samples_are_marked_on_their_channel(exported):
    (bad,) = (each for each in exported[0][1].annotations if each["description"] == "BAD_invalid")
    assert tuple(bad["ch_names"]) == ("m1",)
    assert (bad["onset"], bad["duration"]) == (near(0.502), near(0.004))


def test_what_happened_is_annotated(exported):
    raw = exported[0][1]
    told = Counter(raw.annotations.description)
    assert told["phase/work"] == told["trial/hold"] == told["stimulation/c1"] == told["event/stop"] == 1
    assert told["spasm_true/biceps"] == 1
    assert told["spasm_detected/biceps"] == 2
    train = next(each for each in raw.annotations if each["description"] == "stimulation/c1")
    assert (train["onset"], train["duration"]) == (near(1.015), near(0.95))
    spasm = next(each for each in raw.annotations if each["description"] == "spasm_true/biceps")
    assert (spasm["onset"], spasm["duration"]) == (near(2.5), near(0.3))


def test_time_after_a_gap_is_right(exported):
    stop = next(each for each in exported[0][1].annotations if each["description"] == "event/stop")
    assert stop["onset"] == pytest.approx(3.803, abs=1e-5)


def test_both_files_tell_the_same_times(exported):
    emg, imu = ({a["description"]: a["onset"] for a in raw.annotations} for _, raw in exported)
    assert emg["spasm_true/biceps"] == pytest.approx(imu["spasm_true/biceps"] + 0.009, abs=1e-5), (
        "the first IMU sample is 9 ms later than the first EMG sample"
    )


def test_it_says_what_was_simulated(exported):
    for _, raw in exported:
        assert raw.info["description"].startswith("SIMULATED: no person was on the electrodes.")
        assert raw.info["subject_info"]["his_id"] == "P017"
    assert "acc_x in m/s^2" in exported[1][1].info["description"]


def test_it_says_which_part_was_simulated(known, tmp_path):
    import mne

    for origins, said in (
        (
            Origins("recorded", "simulated", "simulated"),
            "PARTLY SIMULATED: stimulation simulated, EMG recorded from",
        ),
        (Origins("recorded", "none", "none"), "No stimulation, EMG recorded from a file. myoloop session"),
        (Origins("live", "device", "person"), "myoloop session"),
    ):
        metadata = {**known.METADATA, **origins.metadata()}
        attempt = known.write(tmp_path / origins.stimulation / "att-1", metadata=metadata)
        (file, _) = export_fif(attempt, tmp_path / origins.stimulation / "out")
        assert mne.io.read_raw_fif(file, verbose="error").info["description"].startswith(said)


def test_the_measurement_date_is_the_first_samples_wall_time(exported, known, tmp_path):
    assert exported[0][1].info["meas_date"] == datetime.datetime.fromtimestamp(1_700_000_000, datetime.UTC)
    virtual = known.write(tmp_path / "att-1", metadata={**known.METADATA, "wall_start_ns": "0"})
    (file, _) = export_fif(virtual, tmp_path / "out")
    assert mne.io.read_raw_fif(file, verbose="ERROR").info["meas_date"] is None


def test_nothing_is_overwritten(known_attempt, tmp_path):
    (file, other) = export_fif(known_attempt, tmp_path / "mine_raw.fif")
    assert (file.name, other.name) == ("mine_raw.fif", "mine_imu-amp_raw.fif")
    before = file.read_bytes()
    other.unlink()
    with pytest.raises(RecordingError, match=r"mine_raw\.fif: is already there"):
        export_fif(known_attempt, tmp_path / "mine_raw.fif")
    assert file.read_bytes() == before
    assert not other.exists()


def test_bad_places_are_refused(known_attempt, tmp_path):
    with pytest.raises(RecordingError, match=r"must end in _raw\.fif"):
        export_fif(known_attempt, tmp_path / "emg.fif")
    (tmp_path / "file").touch()
    with pytest.raises(RecordingError, match="is a file"):
        export_fif(known_attempt, tmp_path / "file")
    with pytest.raises(RecordingError, match=r"ends in \.txt; a folder or a name ending in _raw\.fif is needed"):
        export_fif(known_attempt, tmp_path / "samples.txt")
    assert not (tmp_path / "samples.txt").exists()


def test_an_absurd_jump_of_a_counter_fills_no_more_than_the_clock_has_room_for(known_attempt):
    track = load(known_attempt).samples["emg/amp"]
    gap = track.record.gaps[0]._replace(missing=10**12)
    laid = lay_out(dataclasses.replace(track, record=dataclasses.replace(track.record, gaps=(gap,))))
    assert laid.samples.shape[1] == 3990 + 10 + 1000


def test_a_restarted_source_leaves_the_room_the_clock_says(known_attempt):
    track = load(known_attempt).samples["emg/amp"]
    gap = track.record.gaps[0]._replace(missing=None, kind="restart")
    laid = lay_out(dataclasses.replace(track, record=dataclasses.replace(track.record, gaps=(gap,))))
    assert laid.gaps == ((3200, 10, "restart"),)
    assert laid.at[3200] == 3210


def test_a_session_of_the_real_loop_exports_sample_for_sample(lockstep_attempt, tmp_path):
    file, _ = export_fif(lockstep_attempt, tmp_path)
    raw = mne.io.read_raw_fif(file, verbose="ERROR")
    np.testing.assert_array_equal(
        raw.get_data().astype(np.float32).T, Recording.open(lockstep_attempt).samples("emg/amplifier").physical()
    )
    assert Counter(raw.annotations.description)["stimulation/ext"] == 2
