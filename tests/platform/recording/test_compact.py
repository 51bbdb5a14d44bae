import hashlib

import pytest
from mcap.reader import make_reader

from myoloop.platform.recording import compact as module
from myoloop.platform.recording.compact import compact
from myoloop.platform.recording.layout import RecordingError
from myoloop.platform.recording.manifest import read_manifest
from myoloop.platform.recording.reader import Recording
from myoloop.platform.recording.verify import verify


def test_the_same_records_in_the_same_order_in_less_room(tmp_path, example):
    example.write(tmp_path, 15000)
    path = tmp_path / "session.mcap"
    records = [r.data for r in example.raw_records(path)]
    before = verify(tmp_path)
    result = compact(tmp_path)
    after = verify(tmp_path)
    assert [r.data for r in example.raw_records(path)] == records
    assert (after.status, after.head, after.records, after.compacted) == ("good", before.head, before.records, True)
    assert (result.bytes_before, result.bytes_after) == (before.bytes, path.stat().st_size)
    assert result.bytes_after < 0.7 * result.bytes_before
    with path.open("rb") as stream:
        summary = make_reader(stream).get_summary()
    assert len(summary.chunk_indexes) >= 2, "several chunks, with an index"
    assert all(chunk.uncompressed_size <= (1 << 20) + 4096 for chunk in summary.chunk_indexes)
    assert summary.statistics.message_count == sum(Recording.open(tmp_path).counts.values())


def test_the_manifest_knows_both_forms(recorded):
    path = recorded / "session.mcap"
    live = path.read_bytes()
    compact(recorded)
    compacted = path.read_bytes()
    hashes = [hashlib.sha256(content).hexdigest() for content in (live, compacted)]
    assert [f.sha256 for f in read_manifest(recorded).files] == hashes
    path.write_bytes(live)  # as a kill between manifest and rename leaves it
    assert verify(recorded).status == "good"


def test_reading_is_the_same_before_and_after(recorded):
    recording = Recording.open(recorded)
    before = list(recording.frames())
    compact(recorded)
    assert list(recording.frames()) == before, "opened before, read after"
    again = Recording.open(recorded)
    assert list(again.frames()) == before
    assert (again.descriptors, again.metadata, again.outcome) == (
        recording.descriptors, recording.metadata, recording.outcome,
    )  # fmt: skip


def test_compacting_twice_changes_nothing(recorded):
    compact(recorded)
    before = (recorded / "session.mcap").read_bytes()
    result = compact(recorded)
    assert result.bytes_before == result.bytes_after == len(before)
    assert (recorded / "session.mcap").read_bytes() == before


def test_a_stray_part_is_ignored_and_replaced(recorded):
    (recorded / "session.mcap.part").write_bytes(b"left by a kill" * 10_000)
    assert verify(recorded).status == "good"
    assert Recording.open(recorded).complete
    compact(recorded)
    assert verify(recorded).compacted
    assert not list(recorded.glob("*.part"))


def test_only_a_good_recording_is_compacted(tmp_path, example):
    example.write(tmp_path, 5, end=False)
    with pytest.raises(RecordingError, match="is incomplete, only a good recording is compacted: it has no end"):
        compact(tmp_path)


def test_a_copy_that_is_not_the_same_is_thrown_away(recorded, monkeypatch):
    path = recorded / "session.mcap"
    before = path.read_bytes(), (recorded / "manifest.json").read_bytes()
    really = module._rewrite

    def clumsy(source, size, part):
        really(source, size, part)
        content = bytearray(part.read_bytes())
        content[len(content) // 2] ^= 1
        part.write_bytes(content)

    monkeypatch.setattr(module, "_rewrite", clumsy)
    with pytest.raises(RecordingError, match="it was thrown away"):
        compact(recorded)
    assert (path.read_bytes(), (recorded / "manifest.json").read_bytes()) == before
    assert not list(recorded.glob("*.part"))


def test_a_session_without_a_single_message_is_compacted_too(tmp_path, example):
    from myoloop.platform.recording.writer import RecordingWriter

    with RecordingWriter(tmp_path, session="s1", descriptors=[example.EMG], metadata=example.METADATA) as writer:
        writer.end("aborted", "nobody came", 0)
    compact(tmp_path)
    assert verify(tmp_path).status == "good"
    assert Recording.open(tmp_path).descriptors == {"emg/sim": example.EMG}
