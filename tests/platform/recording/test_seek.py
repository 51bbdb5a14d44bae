"""Parts of a recording are the same messages that reading all of it gives, be it whole, compacted or cut."""

from __future__ import annotations

import numpy as np
import pytest

from myoloop.platform import wire
from myoloop.platform.recording import seek
from myoloop.platform.recording.compact import compact
from myoloop.platform.recording.layout import DamagedRecording, RecordingError
from myoloop.platform.recording.reader import Recording
from myoloop.platform.recording.seek import SeekableRecording


@pytest.fixture(scope="module")
def live(tmp_path_factory, example):
    folder = tmp_path_factory.mktemp("live")
    example.write(folder, 6000)
    return folder


@pytest.fixture(scope="module")
def compacted(tmp_path_factory, example):
    folder = tmp_path_factory.mktemp("compacted")
    example.write(folder, 6000)
    compact(folder)
    return folder


def all_of(folder, topics=None):
    return [
        (topic, wire.pack(frames), log_time_ns) for topic, frames, log_time_ns in Recording.open(folder).frames(topics)
    ]


@pytest.mark.parametrize("form", ["live", "compacted"])
@pytest.mark.parametrize("topics", [None, {"phase"}, {"emg/sim", "event"}, set()])
def test_the_messages_are_those_that_reading_it_whole_gives(form, topics, request):
    folder = request.getfixturevalue(form)
    opened = SeekableRecording.open(folder)
    assert [tuple(found) for found in opened.records(topics)] == all_of(folder, topics)


@pytest.mark.parametrize("form", ["live", "compacted"])
def test_decoded_they_are_the_same_too(form, request):
    folder = request.getfixturevalue(form)
    found = SeekableRecording.open(folder).messages({"phase", "event"})
    for mine, whole in zip(found, Recording.open(folder).messages({"phase", "event"}), strict=True):
        assert (mine.received.reference, mine.received.message) == (whole.received.reference, whole.received.message)
        assert mine.log_time_ns == whole.log_time_ns


@pytest.mark.parametrize("form", ["live", "compacted"])
def test_it_says_what_is_in_the_file(form, request):
    folder = request.getfixturevalue(form)
    opened, whole = SeekableRecording.open(folder), Recording.open(folder)
    for name in ("metadata", "descriptors", "counts", "complete", "outcome", "reason", "session", "simulated"):
        assert getattr(opened, name) == getattr(whole, name), name
    assert opened.topics() == whole.topics()


def test_a_compacted_file_is_not_read_to_open_it(compacted, monkeypatch):
    monkeypatch.setattr(seek, "Scan", None)
    monkeypatch.setattr(seek, "unpack_chunk", None)
    assert len(SeekableRecording.open(compacted).pieces) > 1


def test_a_piece_is_read_without_the_others(live, compacted):
    for folder in (live, compacted):
        opened = SeekableRecording.open(folder)
        numbers = opened.pieces_with("emg/sim")
        assert len(numbers) > 1
        found = [tuple(each) for number in numbers for each in opened.in_piece(number, {"emg/sim"})]
        assert found == all_of(folder, {"emg/sim"})
        for number in numbers:
            times = [each.log_time_ns for each in opened.in_piece(number, set(opened.topics()))]
            assert (min(times), max(times)) == (opened.pieces[number].first_ns, opened.pieces[number].last_ns)


@pytest.mark.parametrize("form", ["live", "compacted"])
def test_a_cut_file_gives_what_it_still_has(form, request, tmp_path):
    whole = (request.getfixturevalue(form) / "session.mcap").read_bytes()
    for share in (0.3, 0.5, 0.9):
        (tmp_path / "session.mcap").write_bytes(whole[: round(len(whole) * share)])
        opened = SeekableRecording.open(tmp_path)
        assert not opened.complete
        kept = [tuple(found) for found in opened.records()]
        assert kept == all_of(tmp_path)
        assert kept
        numbers = opened.pieces_with("emg/sim")
        again = [tuple(each) for number in numbers for each in opened.in_piece(number, {"emg/sim"})]
        assert again == all_of(tmp_path, {"emg/sim"})


def test_damage_in_a_chunk_shows_when_it_is_read(compacted, tmp_path, example):
    path = tmp_path / "session.mcap"
    path.write_bytes((compacted / "session.mcap").read_bytes())
    piece = SeekableRecording.open(tmp_path).pieces[1]
    example.flip(path, piece.offset + piece.length // 2, 1)
    opened = SeekableRecording.open(tmp_path)
    list(opened.in_piece(0, {"emg/sim"}))
    with pytest.raises(DamagedRecording):
        list(opened.in_piece(1, {"emg/sim"}))
    with pytest.raises(DamagedRecording, match="data section"):
        SeekableRecording.open(tmp_path, check_all=True)


def test_no_changed_byte_of_a_compacted_file_gives_other_messages(tmp_path, example):
    example.write(tmp_path, 40)
    compact(tmp_path)
    path = tmp_path / "session.mcap"
    whole, expected = path.read_bytes(), all_of(tmp_path)
    rng = np.random.default_rng(1)
    for at in rng.integers(0, len(whole), 150).tolist():
        path.write_bytes(whole[:at] + bytes([whole[at] ^ int(rng.integers(1, 256))]) + whole[at + 1 :])
        try:
            found = [tuple(each) for each in SeekableRecording.open(tmp_path, check_all=True).records()]
        except RecordingError:
            continue
        assert found == expected, f"byte {at}"


def test_what_is_no_recording_is_refused(tmp_path):
    (tmp_path / "session.mcap").write_bytes(b"")
    with pytest.raises(RecordingError, match="is empty"):
        SeekableRecording.open(tmp_path)
    (tmp_path / "session.mcap").write_bytes(b"not a recording at all, but long enough to have had a footer" * 3)
    with pytest.raises(RecordingError, match="not an MCAP file"):
        SeekableRecording.open(tmp_path)


def test_a_record_is_read_as_its_frames_are(live):
    for topic, record, _ in SeekableRecording.open(live).records():
        head, message, array = wire.read_record(topic, record)
        told, received = wire.decode(wire.unpack(topic, record))
        assert (head, message) == (told, received.message)
        assert (array is None) == (received.array is None)
        if array is not None:
            np.testing.assert_array_equal(array, received.array)


@pytest.mark.parametrize("end", [3, 12, 30, -1])
def test_a_record_cut_short_is_refused_as_its_frames_are(live, end):
    record = next(found.record for found in SeekableRecording.open(live).records({"emg/sim"}))
    with pytest.raises(wire.WireError):
        wire.read_record("emg/sim", record[:end])
