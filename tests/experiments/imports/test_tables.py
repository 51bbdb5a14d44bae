"""Text, arrays and EDF: what stands in the file stands in the session, at the time that the file says."""

from __future__ import annotations

import datetime
import warnings
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from myoloop.experiments.imports.write import Imported, import_file
from myoloop.platform.errors import UserError
from myoloop.platform.messages import Event
from myoloop.platform.recording.reader import Recording

ONE = "channels: [{from: 1, name: biceps, unit: mV}]"


def imported(folder: Path, name: str, data: bytes | str, mapping: str) -> tuple[Imported, Recording]:
    (folder / name).write_bytes(data.encode() if isinstance(data, str) else data)
    return imported_from(folder, name, mapping)


def imported_from(folder: Path, name: str, mapping: str) -> tuple[Imported, Recording]:
    (folder / "map.yaml").write_text(mapping, encoding="utf-8")
    done = import_file(folder / name, folder / "map.yaml", study=folder / "study", subject="P1")
    return done, Recording.open(done.folder)


def refused(folder: Path, name: str, data: bytes | str, mapping: str) -> str:
    with pytest.raises(UserError) as caught:
        imported(folder, name, data, mapping)
    assert caught.value.exit_code == 2
    (line,) = getattr(caught.value, "problems", None) or [str(caught.value)]
    assert "\n" not in line
    assert not (folder / "study").exists(), "nothing is left behind"
    return line


def marks(recording: Recording, kind: str = "mark") -> list[tuple[float, str, str]]:
    found = [received.message for received, _ in recording.messages({"event"})]
    return [(round(e.t_ns * 1e-9 - 1, 6), e.who, e.why) for e in found if isinstance(e, Event) and e.kind == kind]


class TestText:
    def test_counts_stay_counts_with_the_scale_of_the_mapping(self, tmp_path):
        mapping = "rate: 1 kHz\nchannels: [{from: 2, name: b, unit: mV, scale: 0.5, offset: -1, rails: [0, 4095]}]"
        done, recording = imported(tmp_path, "x.csv", "7,0\n7,2048\n7,4095\n", mapping)
        record = recording.samples("emg/imported")
        assert record.counts.dtype == np.dtype("<i2")
        assert record.counts[:, 0].tolist() == [0, 2048, 4095]
        assert record.descriptor.scale == (0.0005,)
        assert record.descriptor.offset == (-0.001,)
        assert record.invalid[:, 0].tolist() == [True, False, True], "at the rails"
        assert done.left_out == ("1",)

    def test_a_column_of_times_gives_the_rate_and_names_what_is_missing(self, tmp_path):
        rows = [k for k in range(100) if k not in (40, 41, 42)]
        text = "t,a\n" + "".join(f"{5 + k / 250:.6f},{k}\n" for k in rows)
        mapping = "header: true\ntime: {from: t, unit: s}\nchannels: [{from: a, unit: uV}]"
        done, recording = imported(tmp_path, "x.csv", text, mapping)
        record = recording.samples("emg/imported")
        assert record.counts[:, 0].tolist() == rows
        assert record.descriptor.rate_hz == pytest.approx(250.0, rel=1e-6)
        assert [(gap.row, gap.missing, gap.kind) for gap in record.gaps] == [(40, 3, "lost")]
        index = np.concatenate(
            [np.arange(n) + first for n, first in zip(sizes(record), record.first_sample, strict=True)]
        )
        assert index.tolist() == rows
        assert marks(recording, "gap") == [(0.172, "import", "emg/imported: gap, 0.016000 s: 3 samples missing")]
        assert done.streams["emg/imported"]["missing"] == 3
        assert recording.metadata["import.begin_s"] == "5.0"

    def test_times_rounded_to_whole_milliseconds_are_a_line_and_no_gaps(self, tmp_path):
        text = "".join(f"{k // 2}\t{k % 7}\n" for k in range(400))
        mapping = "rate: 2 kHz\ntime: {from: 1, unit: ms}\nchannels: [{from: 2, name: a, unit: mV}]"
        done, recording = imported(tmp_path, "x.tsv", text, mapping)
        record = recording.samples("emg/imported")
        assert len(record.counts) == 400
        assert record.gaps == ()
        assert np.diff(record.t_ns).tolist() == pytest.approx([10_000_000] * 19, rel=1e-3)
        assert done.streams["emg/imported"]["jitter_ms"] == pytest.approx(0.25, rel=0.1)

    def test_marks_are_the_changes_of_a_column(self, tmp_path):
        text = "".join(f"{k},{1 if 30 <= k < 60 else 0}\n" for k in range(100))
        mapping = "rate: 100 Hz\nevents: [{from: 2, name: gesture}]\nchannels: [{from: 1, name: a, unit: mV}]"
        done, recording = imported(tmp_path, "x.csv", text, mapping)
        assert marks(recording) == [(0.0, "gesture", "0"), (0.3, "gesture", "1"), (0.6, "gesture", "0")]
        assert done.marks == 3

    def test_streams_of_one_kind_can_be_told_apart(self, tmp_path):
        mapping = (
            "rate: 10 Hz\nchannels: [{from: 1, name: a, unit: mV, stream: left},"
            "{from: 2, name: b, unit: mV, stream: right}, {from: 3, name: z, kind: imu, unit: g, stream: left}]"
        )
        _, recording = imported(tmp_path, "x.csv", "1,2,3\n4,5,6\n", mapping)
        assert set(recording.descriptors) == {"emg/left", "emg/right", "imu/left"}
        assert recording.samples("emg/right").counts[:, 0].tolist() == [2, 5]

    def test_what_is_no_number_travels_and_is_not_valid(self, tmp_path):
        _, recording = imported(tmp_path, "x.csv", "0.5\nnan\ninf\n0.25\n", "rate: 10 Hz\n" + ONE)
        record = recording.samples("emg/imported")
        assert np.array_equal(record.counts[:, 0], [0.5, np.nan, np.inf, 0.25], equal_nan=True)
        assert record.invalid[:, 0].tolist() == [False, True, True, False]

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("x.csv", "t,a,b,note\n0,0.5,,\n0.1,,2.5,lost\n0.2,0.25,3.5,\n"),
            ("x.csv", '"t","a","b","note"\n0,0.5,,""\n0.1,,2.5,"lost"\n0.2,0.25,3.5,""\n'),
            ("x.tsv", "a\tb\n0.5\t\n\t2.5\n0.25\t3.5\n"),
            ("x.csv", "b,a,\n,0.5,\n2.5,,\n3.5,0.25,\n"),
        ],
        ids=["text beside", "quoted", "tabs", "a separator at each end"],
    )
    def test_an_empty_cell_is_a_lost_sample(self, tmp_path, name, text):
        mapping = "header: true\nrate: 10 Hz\nchannels: [{from: a, name: a, unit: mV}, {from: b, name: b, unit: mV}]"
        _, recording = imported(tmp_path, name, text, mapping)
        record = recording.samples("emg/imported")
        assert np.array_equal(record.counts, [[0.5, np.nan], [np.nan, 2.5], [0.25, 3.5]], equal_nan=True)
        assert record.invalid.tolist() == [[False, True], [True, False], [False, False]]

    def test_an_empty_cell_is_no_event_and_no_time(self, tmp_path):
        mapping = "header: true\nrate: 1 Hz\nevents: [{from: e}]\n" + ONE
        _, recording = imported(tmp_path, "x.csv", "m,e\n1,1\n2,\n3,\n4,1\n", mapping)
        assert marks(recording) == [(0.0, "e", "1"), (1.0, "e", "nan"), (3.0, "e", "1")]
        other = tmp_path / "other"
        other.mkdir()
        timed = "header: true\nrate: 1 Hz\ntime: {from: t, unit: s}\n" + ONE
        assert "sample 2: found nan, a time is needed" in refused(other, "x.csv", "m,t\n1,0\n2,\n3,2\n", timed)

    @pytest.mark.parametrize(
        ("text", "mapping", "said"),
        [
            ("", ONE, "holds no numbers"),
            ("1\n2\n", ONE, "does not say its rate; set rate"),
            ("1\n2\n", "rate: 10 Hz\nchannels: [{from: 1, name: b}]", "does not say its unit; set unit"),
            ("1\n2\n", "rate: FILL_IN\n" + ONE, "map.yaml:1: rate: found 'FILL_IN'"),
            ("1\n2\n", "rate: 10 Hz\nchannels: [{from: 1, unit: FILL_IN}]", "found unit 'FILL_IN', allowed: V, mV"),
            ("1\n2\n", "rate: 10 Hz\nchannels: [{from: 1, kind: FILL_IN, unit: mV}]", "kind: found 'FILL_IN'"),
            ("1\nx\n", "rate: 10 Hz\n" + ONE, "x.csv:2: column 1: found 'x', a number is needed"),
            ("1,2\n3\n", "rate: 10 Hz\n" + ONE, "x.csv:2: found 1 columns, 2 before"),
            ("1,0\n2,1\n3,1\n", "time: {from: 2, unit: s}\n" + ONE, "do not tell a rate; set rate"),
            ("1,0\n2,1\n3,0.5\n4,2\n", "rate: 1 Hz\ntime: {from: 2, unit: s}\n" + ONE, "time goes back at sample 3"),
            ("1,0\n2,nan\n", "rate: 1 Hz\ntime: {from: 2, unit: s}\n" + ONE, "sample 2: found nan, a time is needed"),
            ("1,0\n2,9e9\n", "rate: 1 Hz\ntime: {from: 2, unit: s}\n" + ONE, "lasts 104167 days by its times"),
            ("1,0\n2,1\n", "rate: 1 Hz\ntime: {from: t, unit: s}\n" + ONE, "map.yaml:2: time.from: "),
            ("9007199254740993\n0\n", "rate: 10 Hz\n" + ONE, "numbers beyond 2^53 cannot be carried exactly"),
            ("1,2\n", "rate: 10 Hz\nchannels: [{from: 1, stream: A B, unit: mV}]", "channels[0].stream: found 'A B'"),
            ("1\n", "rate: 10 Hz\nchannels: [{from: 1, unit: mV, gain: 3}]", "unknown key"),
        ],
    )
    def test_what_cannot_be_is_said_in_one_line(self, tmp_path, text, mapping, said):
        assert said in refused(tmp_path, "x.csv", text, mapping)

    @settings(max_examples=settings().max_examples // 4)
    @given(
        values=arrays(np.float64, st.tuples(st.integers(1, 60), st.integers(1, 3)), elements=st.floats(-1e6, 1e6)),
        rate_hz=st.sampled_from([1.0, 37.5, 1000.0, 1925.93]),
    )
    def test_every_number_comes_out_as_it_stands(self, tmp_path_factory, values, rate_hz):
        folder = tmp_path_factory.mktemp("exact")
        text = "\n".join(",".join(repr(float(each)) for each in row) for row in values)
        channels = ", ".join(f"{{from: {n}, name: c{n}, unit: mV}}" for n in range(1, values.shape[1] + 1))
        _, recording = imported(folder, "x.csv", text, f"rate: {rate_hz} Hz\nchannels: [{channels}]")
        record = recording.samples("emg/imported")
        assert np.array_equal(record.counts, values)
        assert record.gaps == ()
        last_ns = 1e9 + 1e9 * (np.cumsum(sizes(record)) - 1) / rate_hz
        assert np.abs(record.t_ns - last_ns).max() <= 1


class TestArrays:
    def test_hdf5_keeps_its_integers(self, tmp_path):
        rng = np.random.default_rng(3)
        raw = rng.integers(0, 2**16, (500, 2), dtype=np.uint16)
        with h5py.File(tmp_path / "x.h5", "w") as file:
            file["a/emg"] = raw
            file["a/t"] = np.arange(500) * 500
        mapping = (
            "time: {from: a/t, unit: us}\nchannels: [{from: 'a/emg[0]', name: b, unit: uV},"
            "{from: 'a/emg[1]', name: c, unit: uV}]"
        )
        done, recording = imported_from(tmp_path, "x.h5", mapping)
        record = recording.samples("emg/imported")
        assert record.counts.dtype == np.dtype("<i4")
        assert np.array_equal(record.counts, raw)
        assert record.descriptor.rate_hz == pytest.approx(2000.0)
        assert done.left_out == ()

    def test_a_dataset_larger_than_its_file_can_hold_is_refused(self, tmp_path):
        with h5py.File(tmp_path / "x.h5", "w") as file:
            file.create_dataset("emg", (10**12,), "f8", chunks=(1000,))
        (tmp_path / "map.yaml").write_text("rate: 1 kHz\nchannels: [{from: emg, unit: V}]", encoding="utf-8")
        with pytest.raises(UserError, match="claims 8000000000000 bytes, more than the file can hold"):
            import_file(tmp_path / "x.h5", tmp_path / "map.yaml", study=tmp_path / "study", subject="P1")


def edf_bytes(folder: Path, name: str = "x.bdf") -> np.ndarray:
    import edfio

    emg = np.random.default_rng(4).uniform(-900, 900, 2000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        signals = [
            edfio.BdfSignal(emg, 1000, label="EMG biceps", physical_dimension="uV", physical_range=(-1000, 1000)),
            edfio.BdfSignal(np.zeros(200), 100, label="ACC x", physical_dimension="g", physical_range=(-2, 2)),
        ]
        notes = [edfio.EdfAnnotation(0.5, 0.25, "squeeze"), edfio.EdfAnnotation(1.5, None, "let go")]
        patient = edfio.Patient(name="Jane_Doe", birthdate=datetime.date(1980, 1, 2))
        file = edfio.Bdf(signals, annotations=notes, patient=patient)
        file.write(folder / name)
    return np.array(file.signals[0].digital)


class TestEdf:
    def test_counts_rates_units_and_notes_are_the_files(self, tmp_path):
        counts = edf_bytes(tmp_path)
        mapping = "channels: [{from: EMG biceps, name: biceps}, {from: ACC x, name: x, kind: imu}]"
        _, recording = imported_from(tmp_path, "x.bdf", mapping)
        emg, imu = recording.samples("emg/imported"), recording.samples("imu/imported")
        assert np.array_equal(emg.counts[:, 0], counts)
        assert (emg.descriptor.rate_hz, imu.descriptor.rate_hz) == (1000.0, 100.0)
        assert emg.descriptor.units == ("V",)
        assert emg.descriptor.scale[0] == pytest.approx(2000 / (2**24 - 1) * 1e-6)
        assert marks(recording) == [(0.5, "annotation", "squeeze"), (1.5, "annotation", "let go")]

    def test_records_of_odd_length_are_no_holes(self, tmp_path):
        import edfio

        emg = np.random.default_rng(5).uniform(-900, 900, 500 * 70)
        signal = edfio.BdfSignal(emg, 500, label="EMG", physical_dimension="uV", physical_range=(-1000, 1000))
        notes = [edfio.EdfAnnotation(0.1, None, "begin")]
        file = edfio.Bdf([signal], annotations=notes, data_record_duration=0.7)
        file.write(tmp_path / "x.bdf")
        assert not edfio.read_bdf(tmp_path / "x.bdf").is_continuous, "by the digits of its records' times"
        _, recording = imported_from(tmp_path, "x.bdf", "channels: [{from: EMG, name: b}]")
        assert np.array_equal(recording.samples("emg/imported").counts[:, 0], signal.digital)
        assert recording.descriptors["emg/imported"].device == ""

    def test_nothing_of_the_person_comes_over(self, tmp_path):
        edf_bytes(tmp_path)
        done, _ = imported_from(tmp_path, "x.bdf", "channels: [{from: 1, name: biceps}]")
        for path in done.folder.rglob("*"):
            if path.is_file():
                assert b"Doe" not in path.read_bytes()
                assert b"1980" not in path.read_bytes()


TEXT = "t,emg\n" + "".join(f"{k / 100:.2f},{(k * 37) % 101}\n" for k in range(60))
TEXT_MAP = "header: true\ntime: {from: t, unit: s}\nchannels: [{from: emg, unit: mV}]"


def fuzzed(data: st.DataObject, raw: bytes) -> bytes:
    changed = bytearray(raw)
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    return bytes(changed[: data.draw(st.one_of(st.none(), st.integers(0, len(changed))))])


def tried(folder: Path, name: str, data: bytes, mapping: str) -> None:
    """It imports, every sample of it; or it is refused in one line each."""
    try:
        done, recording = imported(folder, name, data, mapping)
    except UserError as error:
        assert error.exit_code == 2, error  # noqa: PT017 - either way is right, as long as it is one of the two
        assert all("\n" not in line for line in getattr(error, "problems", None) or [str(error)])  # noqa: PT017
        return
    for topic, row in done.streams.items():
        assert len(recording.samples(topic).counts) == row["samples"]


@settings(max_examples=settings().max_examples // 2)
@given(st.data())
def test_no_change_of_a_text_file_makes_a_traceback(tmp_path_factory, data):
    tried(tmp_path_factory.mktemp("fuzz"), "x.csv", fuzzed(data, TEXT.encode()), TEXT_MAP)


@settings(max_examples=settings().max_examples // 2)
@given(st.data())
def test_no_change_of_a_bdf_file_makes_a_traceback(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("fuzz")
    edf_bytes(folder)
    mapping = "channels: [{from: EMG biceps, name: b}]"
    tried(folder, "x.bdf", fuzzed(data, (folder / "x.bdf").read_bytes()), mapping)


@settings(max_examples=settings().max_examples // 2)
@given(st.data())
def test_no_change_of_an_hdf5_file_makes_a_traceback(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("fuzz")
    with h5py.File(folder / "x.h5", "w") as file:
        file["emg"] = np.arange(200, dtype=np.int16)
    mapping = "rate: 1 kHz\nchannels: [{from: emg, unit: mV}]"
    tried(folder, "x.h5", fuzzed(data, (folder / "x.h5").read_bytes()), mapping)


@settings(max_examples=settings().max_examples // 2)
@given(st.data())
def test_no_change_of_a_mapping_makes_a_traceback(tmp_path_factory, data):
    mapping = fuzzed(data, TEXT_MAP.encode()).decode("utf-8", "replace")
    tried(tmp_path_factory.mktemp("fuzz"), "x.csv", TEXT.encode(), mapping)


def sizes(record) -> np.ndarray:
    """Rows of each block."""
    return np.diff(np.append(record.row, len(record.counts)))
