"""BDF+ and EDF+: samples to half a step, annotations, data records that are full."""

from __future__ import annotations

from fractions import Fraction

import edfio
import mne
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from myoloop.experiments.exports.bdf import eight, fill_records, quantise, write_edf
from myoloop.experiments.exports.exporting import Wanted, export
from myoloop.experiments.exports.opened import open_session
from myoloop.platform.recording.layout import RecordingError
from myoloop.platform.recording.reader import Recording

finite = st.floats(-999_999.0, 999_999.0, allow_subnormal=False)


@given(arrays(np.float64, st.integers(1, 40), elements=finite), st.sampled_from(["bdf", "edf"]))
def test_every_sample_is_kept_to_half_a_step(values, kind):
    digital, grid = quantise(values, kind)
    assert np.abs(digital * grid.step - values).max() <= grid.step / 2 * (1 + 1e-9)
    assert np.all(digital[values == 0.0] == 0), "0 is 0"
    assert grid.most >= np.abs(values).max(), "no sample is cut off"
    assert len(f"{-grid.most:g}") <= 8 or len(f"{-grid.most:f}".rstrip("0")) <= 8


@given(st.floats(0.0, 9_999_999.0), st.integers(2, 8))
def test_a_header_number_has_its_room(value, room):
    try:
        told = eight(value, room)
    except RecordingError:
        assert round(value) >= 10**room
    else:
        assert len(f"{told:f}") <= room


def test_what_is_too_large_for_a_header_is_refused():
    with pytest.raises(RecordingError, match=r"found 1e\+09, too large for the header"):
        quantise(np.array([1e9]), "bdf")


@given(st.integers(1, 200_000), st.sampled_from([50.0, 100.0, 148.148, 1000.0, 1111.1111, 1925.926, 2000.0, 2048.0]))
def test_records_are_full(length, rate_hz):
    record, padded = fill_records(length, rate_hz)
    assert (length + padded) % record == 0
    assert padded < rate_hz / 10, "never more than a tenth of a second"
    if padded:
        rate = Fraction(rate_hz).limit_denominator(10**6)
        assert Fraction(eight(record / rate)) == record / rate, "the length of a record is exact"


@pytest.fixture(scope="module", params=["bdf", "edf"])
def written(request, known_attempt, tmp_path_factory):
    files = write_edf(open_session(known_attempt), tmp_path_factory.mktemp(request.param), request.param)
    return request.param, files


def test_two_readers_read_what_was_recorded(written, known_attempt):
    kind, (file, _) = written
    source = Recording.open(known_attempt).samples("emg/amp").physical().astype(np.float64)
    read = edfio.read_bdf(file) if kind == "bdf" else edfio.read_edf(file)
    raw = (mne.io.read_raw_bdf if kind == "bdf" else mne.io.read_raw_edf)(file, verbose="error")
    most = 2**23 - 1 if kind == "bdf" else 2**15 - 1
    for column, name in enumerate(("m1", "m2")):
        half = np.abs(source[:, column]).max() * 1.00001 / most / 2
        for samples in (read.get_signal(name).data * 1e-6, raw.get_data(picks=[name])[0]):
            kept = np.delete(samples, slice(3200, 3210))
            assert np.abs(kept - source[:, column]).max() <= half * 1.0001
            assert not samples[3200:3210].any(), "lost samples are zeros"
    assert np.array_equal(np.round(read.get_signal("trigger").data)[:3200], source[:3200, 2])


def test_annotations_say_what_happened_and_where_it_comes_from(written):
    kind, (file, _) = written
    read = edfio.read_bdf(file) if kind == "bdf" else edfio.read_edf(file)
    told = {each.text: each for each in read.annotations}
    train = next(each for text, each in told.items() if text.startswith("stimulation/c1"))
    assert "current_ma=10 " in train.text
    assert (train.onset, train.duration) == (pytest.approx(1.015), pytest.approx(0.95))
    assert (told["BAD_gap"].onset, told["BAD_gap"].duration) == (pytest.approx(3.2), pytest.approx(0.01))
    assert told["BAD_invalid m1"].duration == pytest.approx(0.004)
    assert "SIMULATED: no person was on the electrodes" in told
    assert any(text.startswith("input sha256 ") for text in told)
    assert read.local_recording_identification.split()[-3:-1] == ["SIMULATED", "myoloop-0.1.0"]
    assert read.patient.code == "P017"
    assert str(read.startdate) == "2023-11-14"


def test_movement_has_its_own_unit(written, known):
    kind, (_, file) = written
    read = edfio.read_bdf(file) if kind == "bdf" else edfio.read_edf(file)
    assert [signal.physical_dimension for signal in read.signals] == ["m/s^2"] * 3
    assert read.signals[0].sampling_frequency == 100.0


def test_counts_come_back_under_an_artifact_from_bdf_and_not_from_edf(person, tmp_path):
    attempt = person.write(tmp_path / "sub-P001" / "ses-01" / "att-1")
    equal = {}
    for kind in ("bdf", "edf"):
        files = export(attempt, tmp_path / kind, Wanted(to=kind)).written
        assert [file.name for file in files][:2] == [
            f"sub-P001_ses-01_att-1_emg-box_seg-{number}.{kind}" for number in (1, 2)
        ], "a clock that jumped parts the files"
        read = edfio.read_bdf(files[0]) if kind == "bdf" else edfio.read_edf(files[0])
        samples = read.signals[0].data * 1e-6
        equal[kind] = np.array_equal(np.round(samples / person.EMG.scale[0]), person.counts[: len(samples), 0])
    assert equal == {"bdf": True, "edf": False}


def test_the_first_file_may_be_named(known_attempt, tmp_path):
    done = export(known_attempt, tmp_path / "mine.bdf", Wanted(to="bdf"))
    assert [file.name for file in done.written] == ["mine.bdf", "mine_imu-amp.bdf"]
    with pytest.raises(RecordingError, match=r"mine\.bdf: is already there"):
        export(known_attempt, tmp_path / "mine.bdf", Wanted(to="bdf"))
    with pytest.raises(RecordingError, match=r"ends in \.edf"):
        export(known_attempt, tmp_path / "mine.edf", Wanted(to="bdf"))
