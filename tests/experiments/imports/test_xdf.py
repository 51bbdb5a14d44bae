"""XDF files as other programs write them: every sample comes, on one clock; what is not right is named or refused."""

from __future__ import annotations

import gzip
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.acquisition.formats import FormatError
from myoloop.experiments.imports.guess import draft
from myoloop.experiments.imports.write import Imported, import_file
from myoloop.platform.errors import UserError
from myoloop.platform.messages import Event
from myoloop.platform.recording.reader import Recording
from myoloop.platform.recording.writer import RecordingWriter

MAPPING = """
channels:
  - {from: Amp/biceps, name: biceps}
  - {from: Amp/triceps, name: triceps}
  - {from: Acc/x, name: x, kind: imu}
"""
#: What the recorder's clock reads minus what the stream's own reads.
AMP_OFFSET_S, ACC_OFFSET_S = 250.0, -4000.0
BEGIN_S = 5000.0


def emg_counts(samples: int) -> np.ndarray:
    return np.random.default_rng(1).integers(-2000, 2000, (samples, 2)).astype(np.int16)


def lab_recorder(writer, seconds=2.0, jitter_s=0.002):
    """Two streams on clocks of their own and marks, in LabRecorder's order of chunks: only blocks are stamped."""
    rng = np.random.default_rng(2)
    file = writer()
    file.stream(1, "Amp", "EMG", 2000.0, "int16", ("biceps", "triceps"), "microvolts")
    file.stream(7, "Acc", "Accelerometer", 100.0, "float32", ("x",), "g")
    file.stream(9, "Marks", "Markers", 0.0, "string")
    emg = emg_counts(round(2000 * seconds))
    acc = rng.normal(size=(round(100 * seconds), 1)).astype(np.float32)
    for tenth in range(round(10 * seconds)):
        at_s = BEGIN_S + tenth / 10
        if tenth % 5 == 0:
            file.boundary()
            for number, offset_s in ((1, AMP_OFFSET_S), (7, ACC_OFFSET_S), (9, 0.0)):
                file.clock(number, at_s - offset_s, offset_s + rng.normal(scale=1e-5))
        late_s = float(rng.uniform(0, jitter_s))
        file.samples(1, [at_s - AMP_OFFSET_S + late_s, *[None] * 199], emg[tenth * 200 : (tenth + 1) * 200])
        file.samples(7, [at_s - ACC_OFFSET_S + k / 100 for k in range(10)], acc[tenth * 10 : (tenth + 1) * 10])
        if tenth in (3, 12):
            file.samples(9, [at_s + 0.05], [[f"mark {tenth} é"]])
    for number in (1, 7, 9):
        file.footer(number)
    return file, emg, acc


def imported(tmp_path: Path, data: bytes, mapping: str = MAPPING):
    source, mapped = tmp_path / "in.xdf", tmp_path / "map.yaml"
    source.write_bytes(data)
    mapped.write_text(mapping, encoding="utf-8")
    done = import_file(source, mapped, study=tmp_path / "study", subject="P1")
    return done, Recording.open(done.folder)


def refused(tmp_path: Path, data: bytes, mapping: str = MAPPING) -> str:
    with pytest.raises(UserError) as caught:
        imported(tmp_path, data, mapping)
    assert caught.value.exit_code == 2
    lines = getattr(caught.value, "problems", None) or [str(caught.value)]
    assert len(lines) == 1
    assert "\n" not in lines[0]
    assert not (tmp_path / "study").exists(), "nothing is left behind"
    return lines[0]


def times_s(record) -> np.ndarray:
    """Of every sample, by block stamps and the nominal rate, from the session's first moment."""
    sizes = np.diff(np.append(record.row, len(record.counts)))
    back = np.repeat(record.row + sizes - 1, sizes) - np.arange(len(record.counts))
    return np.repeat(record.t_ns * 1e-9 - 1.0, sizes) - back / record.descriptor.rate_hz


def events(recording, kind: str) -> list[tuple[float, str, str]]:
    found = [received.message for received, _ in recording.messages({"event"})]
    return [(e.t_ns * 1e-9 - 1.0, e.who, e.why) for e in found if isinstance(e, Event) and e.kind == kind]


def test_two_streams_of_different_rates_come_whole_and_on_one_clock(xdf, tmp_path):
    file, emg, acc = lab_recorder(xdf)
    done, recording = imported(tmp_path, file.data)
    assert (done.outcome, done.reason, done.notes) == ("complete", "", ())
    one, two = recording.samples("emg/imported"), recording.samples("imu/imported")
    assert np.array_equal(one.counts, emg)
    assert one.counts.dtype == np.dtype("<i2")
    assert np.array_equal(two.counts, acc)
    assert two.counts.dtype == np.dtype("<f4")
    assert one.descriptor.units == ("V", "V")
    assert one.descriptor.scale == (1e-6, 1e-6)
    assert two.descriptor.units == ("m/s^2",)
    assert two.descriptor.scale == (9.80665,)
    assert (one.descriptor.rate_hz, two.descriptor.rate_hz) == (2000.0, 100.0)
    assert one.gaps == two.gaps == ()
    # Sample 0 of both was at the same moment; the amplifier's stamps were up to 2 ms late, 1 ms in the mean.
    assert np.abs(np.diff(times_s(one)) - 1 / 2000).max() < 1e-4
    assert times_s(one)[0] - times_s(two)[0] == pytest.approx(0.001, abs=0.001)
    assert times_s(two)[-1] - times_s(two)[0] == pytest.approx(1.99, abs=1e-4)
    assert [(who, why) for _, who, why in events(recording, "mark")] == [("Marks", "mark 3 é"), ("Marks", "mark 12 é")]
    first, second = [t for t, _, _ in events(recording, "mark")]
    assert (first - times_s(two)[0], second - first) == (pytest.approx(0.35, abs=1e-3), pytest.approx(0.9, abs=1e-3))
    # The streams' own stamps are kept beside.
    assert one.device_t[0] == pytest.approx(BEGIN_S - AMP_OFFSET_S + 19 / 2000, abs=0.003)
    assert two.device_t[0] == pytest.approx(BEGIN_S - ACC_OFFSET_S, abs=1e-6)


def test_the_record_says_where_it_is_from_and_not_what_the_file_was_called(xdf, tmp_path):
    file, _, _ = lab_recorder(xdf, 0.5)
    done, recording = imported(tmp_path, file.data)
    said = recording.metadata
    assert (said["origin"], said["simulated"], said["origin.emg"], said["origin.body"]) == (
        "imported", "false", "recorded", "person",
    )  # fmt: skip
    assert said["version.pyxdf"]
    assert said["import.format"] == "xdf"
    assert said["import.source_bytes"] == str(len(file.data))
    assert said["sha256.mapping.yaml"] == said["import.mapping_sha256"]
    assert (done.folder / "mapping.yaml").read_text(encoding="utf-8") == MAPPING
    assert said["import.recorded_at"] == "2026-03-01T10:00:00+0100"
    assert said["wall_start_ns"] == "1772355600000000000"
    assert not any("in.xdf" in value for value in said.values())


def with_reset(writer, *, offsets=True):
    """An amplifier that is started anew after 30 s: its clock begins at 7 s again."""
    file = writer()
    file.stream(1, "Amp", "EMG", 100.0, "int16", ("biceps", "triceps"), "uV")
    emg = emg_counts(6000)
    for second in range(60):
        at_s = BEGIN_S + second
        offset_s = 1000.0 if second < 30 else BEGIN_S + 30 - 7
        if offsets and second % 5 == 0:
            file.clock(1, at_s - offset_s, offset_s)
        file.samples(1, [at_s - offset_s + k / 100 for k in range(100)], emg[second * 100 : (second + 1) * 100])
    return file, emg


def test_a_clock_that_was_set_anew_splits_the_stream_and_stays_on_the_common_clock(xdf, tmp_path):
    file, emg = with_reset(xdf)
    done, recording = imported(tmp_path, file.data, MAPPING.rpartition("  -")[0])
    record = recording.samples("emg/imported")
    assert np.array_equal(record.counts, emg)
    assert [(gap.row, gap.missing, gap.kind) for gap in record.gaps] == [(3000, None, "restart")]
    assert np.allclose(times_s(record), np.arange(6000) / 100, atol=1e-3)
    assert set(record.epoch.tolist()) == {1, 2}
    ((t_s, _, why),) = events(recording, "gap")
    assert t_s == pytest.approx(30.0, abs=1e-3)
    assert "clock reset" in why
    assert "begins anew" in why
    assert done.streams["emg/imported"]["breaks"] == 1


def test_a_clock_that_goes_back_and_nothing_says_by_how_much_is_refused(xdf, tmp_path):
    file, _ = with_reset(xdf, offsets=False)
    said = refused(tmp_path, file.data, MAPPING.rpartition("  -")[0])
    assert "Amp: time goes back at sample 3001" in said
    assert "nothing says by how much its clock was set" in said


def test_a_hole_begins_the_stream_anew_and_is_told(xdf, tmp_path):
    file = xdf()
    file.stream(1, "Amp", "EMG", 100.0, "float32", ("biceps", "triceps"), "mV")
    rows = np.arange(400, dtype=np.float32).reshape(200, 2)
    stamps = [10 + k / 100 + (1.5 if k >= 120 else 0.0) for k in range(200)]
    file.samples(1, stamps, rows)
    done, recording = imported(tmp_path, file.data, MAPPING.rpartition("  -")[0])
    record = recording.samples("emg/imported")
    assert np.array_equal(record.counts, rows)
    assert [(gap.row, gap.kind) for gap in record.gaps] == [(120, "restart")]
    assert times_s(record)[120] - times_s(record)[119] == pytest.approx(1.51, abs=1e-6)
    assert [why for _, _, why in events(recording, "gap")] == ["emg/imported: gap, 1.510000 s: the stream begins anew"]
    assert any("no clock offsets" in note for note in done.notes)


def test_a_file_that_stops_within_a_chunk_comes_as_far_as_it_is_whole(xdf, tmp_path):
    file, emg, _ = lab_recorder(xdf)
    cut = file.data[: int(len(file.data) * 0.9)]
    done, recording = imported(tmp_path, cut)
    record = recording.samples("emg/imported")
    assert 0 < len(record.counts) < len(emg)
    assert len(record.counts) % 200 == 0
    assert np.array_equal(record.counts, emg[: len(record.counts)])
    assert done.outcome == recording.outcome == "interrupted"
    assert "it stops within a chunk" in recording.reason


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: b"", "is empty"),
        (lambda d: b"XDF", "not an XDF file"),
        (gzip.compress, "is packed with gzip; unpack it first"),
        (lambda d: b"\x00" * 500, "not an XDF file"),
        (lambda d: b"XDF:", "stops before its header ends"),
        (lambda d: d[:30], "stops before its header ends"),
        (lambda d: d.replace(b"<nominal_srate>2000.0", b"<nominal_srate>nan   "), "2 channels at nan Hz"),
        (lambda d: d.replace(b"int16", b"int99"), "channel_format: found 'int99'"),
        (lambda d: d.replace(b"<channel_count>2", b"<channel_count>9"), "not as long as they should be"),
        (lambda d: d[:4] + b"\x08" + b"\xff" * 8 + d[6:], "damaged, whole chunks follow"),
        (lambda d: d + b"\x00\x01\x02", "a length of 0 bytes"),
        (lambda d: d + b"\x01\x02\x09\x00", "a chunk of kind 9"),
        (lambda d: d + b"\x01\x01\x09", "a chunk of 1 bytes"),
        (lambda d: d.replace(b"<info><name>Acc", b"<!ENTITY ><name"), "declares entities"),
    ],
)  # fmt: skip
def test_what_is_damaged_is_refused_in_one_line(xdf, tmp_path, change, said):
    file, _, _ = lab_recorder(xdf, 0.5)
    assert said in refused(tmp_path, change(file.data))


def test_lengths_beyond_all_memory_are_refused_and_never_made_room_for(xdf, tmp_path):
    file = xdf()
    file.stream(1, "Amp", "EMG", 100.0, "int16", ("biceps", "triceps"), "uV")
    file.chunk(3, b"\x08" + struct.pack("<Q", 2**60) + b"\x00" * 5, 1)
    assert "1152921504606846976 samples in" in refused(tmp_path, file.data)


def test_a_stream_without_samples_and_a_file_without_any(xdf, tmp_path):
    file = xdf()
    file.stream(1, "Amp", "EMG", 100.0, "int16", ("biceps", "triceps"), "uV")
    mapping = MAPPING.rpartition("  -")[0]
    assert "holds no samples" in refused(tmp_path, file.data, mapping)
    file.stream(2, "Acc", "Accelerometer", 10.0, "int32", ("x",), "mg")
    file.samples(2, [1.0, 1.1, 1.2], [[1], [2], [3]])
    _, recording = imported(tmp_path, file.data)
    assert recording.samples("emg/imported").counts.shape == (0, 2)
    assert recording.samples("imu/imported").counts.tolist() == [[1], [2], [3]]


def test_a_clock_offset_from_far_away_is_doubted(xdf, tmp_path):
    """LabRecorder writes such a one, at 6.9e-310 s, where a stream did not answer."""
    file = xdf()
    file.stream(1, "Amp", "EMG", 100.0, "int16", ("biceps", "triceps"), "uV")
    file.samples(1, [5000 + k / 100 for k in range(50)], [[k, k] for k in range(50)])
    file.clock(1, 6.9e-310, 0.0)
    done, recording = imported(tmp_path, file.data, MAPPING.rpartition("  -")[0])
    assert done.notes == ("emg/imported: no clock offset is from near its samples; its times are doubtful",)
    assert recording.metadata["import.notes"] == done.notes[0]


def test_a_mark_beyond_all_size_is_refused_and_a_long_one_is_kept(xdf, tmp_path):
    file, _, _ = lab_recorder(xdf, 0.2)
    file.samples(9, [BEGIN_S], [["x" * 60_000]])
    _, recording = imported(tmp_path, file.data)
    assert [len(why) for _, _, why in events(recording, "mark")] == [60_000]
    file.samples(9, [BEGIN_S], [["x" * 3_000_000]])
    (tmp_path / "more").mkdir()
    assert "found a mark of 3000000 bytes, at most 65536 are kept" in refused(tmp_path / "more", file.data)


def test_an_import_that_fails_leaves_nothing_behind(xdf, tmp_path, monkeypatch):
    file, _, _ = lab_recorder(xdf, 0.2)
    imported(tmp_path, file.data)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(RecordingWriter, "end", full)
    with pytest.raises(OSError, match="No space left"):
        imported(tmp_path, file.data)
    assert [each.name for each in (tmp_path / "study" / "sub-P1").iterdir()] == ["ses-01"]


def test_channels_of_two_streams_do_not_become_one_by_themselves(xdf, tmp_path):
    file = xdf()
    for number, name in ((1, "One"), (2, "Two")):
        file.stream(number, name, "EMG", 100.0, "int16", ("a",), "uV")
        file.samples(number, [1 + k / 100 for k in range(10)], [[k] for k in range(10)])
    together = "channels: [{from: One/a, name: a}, {from: Two/a, name: b}]"
    assert "channels of One, Two; give each a stream of its own" in refused(tmp_path, file.data, together)
    apart = "channels: [{from: One/a, name: a, stream: one}, {from: Two/a, name: b, stream: two}]"
    _, recording = imported(tmp_path, file.data, apart)
    assert recording.samples("emg/one").counts[:, 0].tolist() == list(range(10))
    assert recording.samples("emg/two").counts[:, 0].tolist() == list(range(10))


@pytest.mark.parametrize(
    ("mapping", "said"),
    [
        ("channels: [{from: Amp/deltoid}]", "has no 'Amp/deltoid'; it has: Amp/biceps, Amp/triceps, Acc/x"),
        ("channels: [{from: Amp}]", "is a whole stream; name one of its channels"),
        ("channels: [{from: Amp/biceps}]\ntime: {from: t, unit: s}", "a xdf file says itself when its samples were"),
        ("channels: [{from: Amp/biceps}]\nevents: [{from: Nope}]", "has no stream 'Nope'; it has: Amp, Acc, Marks"),
        ("channels: [{from: Amp/biceps, unit: FILL_IN}]", "found unit 'FILL_IN', allowed"),
        ("rate: FILL_IN\nchannels: [{from: Amp/biceps}]", "rate"),
    ],
)  # fmt: skip
def test_a_mapping_that_does_not_fit_is_said_in_one_line(xdf, tmp_path, mapping, said):
    file, _, _ = lab_recorder(xdf, 0.2)
    line = refused(tmp_path, file.data, mapping)
    assert said in line
    assert line.startswith(str(tmp_path / "map.yaml:"))


def test_the_draft_is_complete_where_the_file_says_everything_but_the_mains(xdf, tmp_path):
    file, _, _ = lab_recorder(xdf, 0.2)
    (tmp_path / "in.xdf").write_bytes(file.data)
    drafted = draft(tmp_path / "in.xdf")
    assert [each.split(": ")[1] for each in drafted.missing] == ["mains"]
    _done, recording = imported(tmp_path, file.data, drafted.text.replace("mains: FILL_IN", "mains: 60 Hz"))
    assert set(recording.descriptors) == {"emg/amp", "imu/acc"}
    assert recording.descriptors["emg/amp"].mains_hz == 60.0


def _base(writer) -> bytes:
    return lab_recorder(writer, 0.4)[0].data


@settings(max_examples=settings().max_examples // 2)
@given(st.data())
def test_no_change_of_a_file_makes_a_traceback(xdf, tmp_path_factory, data):
    """Flipped bytes, cuts and copies: the file imports, or is refused in one line."""
    raw = bytearray(_base(xdf))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.one_of(st.none(), st.integers(0, len(raw))))
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / "map.yaml").write_text(MAPPING, encoding="utf-8")
    (folder / "in.xdf").write_bytes(bytes(raw[:cut]))
    done = tried(folder)
    if isinstance(done, UserError):
        assert done.exit_code == 2
        assert "\n" not in str(done)
        return
    for topic, row in done.streams.items():
        assert len(Recording.open(done.folder).samples(topic).counts) == row["samples"]


def tried(folder: Path) -> Imported | UserError:
    try:
        return import_file(folder / "in.xdf", folder / "map.yaml", study=folder / "study", subject="P1")
    except UserError as error:
        return error


def test_a_missing_pyxdf_names_the_extra(xdf, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyxdf", None)
    with pytest.raises(FormatError, match=r"pip install 'myoloop\[lsl\]'"):
        imported(tmp_path, _base(xdf))
