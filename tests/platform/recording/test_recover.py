import random

import pytest

from myoloop.platform.recording import compact as compaction
from myoloop.platform.recording import recover as recovery
from myoloop.platform.recording.layout import RecordingError
from myoloop.platform.recording.manifest import read_manifest
from myoloop.platform.recording.reader import Recording
from myoloop.platform.recording.recover import recover
from myoloop.platform.recording.verify import verify
from myoloop.platform.recording.writer import RecordingWriter


def messages(folder):
    """What a recording holds; the chain's own messages are not counted."""
    return [f.frames for f in Recording.open(folder).frames() if f.topic != "chain"]


def cut_and_recover(folder, example, sizes):
    path = folder / "session.mcap"
    whole = path.read_bytes()
    sent = example.frames(12)
    ends = [
        (r.offset + len(r.data), r.opcode == 5 and b"\xa6sha256\xd9" not in r.data) for r in example.raw_records(path)
    ]
    manifest = (folder / "manifest.json").read_bytes() if (folder / "manifest.json").exists() else None
    for size in sizes:
        for other in folder.iterdir():
            other.unlink()
        path.write_bytes(whole[:size])
        if manifest is not None:
            (folder / "manifest.json").write_bytes(manifest)
        expected = sum(1 for end, counted in ends if counted and end <= size)
        result = recover(folder)
        found = verify(folder)
        assert (found.status, found.recovered, found.head) == ("good", True, result.head), f"cut at {size}"
        assert messages(folder) == sent[:expected], f"cut at {size}"
        end_kept = ends[-1][0] <= size and manifest is not None
        assert found.outcome == ("complete" if end_kept else "interrupted")
        kept = folder / "session.mcap.damaged"
        assert kept.read_bytes() == whole[:size]
        assert not list(folder.glob("*.part"))


@pytest.fixture(params=[True, False], ids=["ended", "not ended"])
def small(request, tmp_path, example):
    example.write(tmp_path, 12, end=request.param)
    return tmp_path


def after_metadata(folder, example):
    """From here on something can be kept."""
    records = example.raw_records(folder / "session.mcap")
    return records[2].offset, (folder / "session.mcap").stat().st_size


def test_recovery_loses_only_the_cut_record(small, example):
    first, size = after_metadata(small, example)
    rng = random.Random(5)
    cut_and_recover(small, example, [first, *sorted(rng.sample(range(first, size), 60)), size - 1])


@pytest.mark.prove
@pytest.mark.timeout(900)
def test_recovery_loses_only_the_cut_record_wherever_it_is_cut(small, example):
    cut_and_recover(small, example, range(*after_metadata(small, example)))


def test_a_file_cut_before_it_says_what_it_is_keeps_nothing(recorded, example):
    path = recorded / "session.mcap"
    whole = path.read_bytes()
    for size in range(0, example.raw_records(path)[2].offset, 7):
        path.write_bytes(whole[:size])
        with pytest.raises(RecordingError, match="nothing can be kept"):
            recover(recorded)
        assert path.read_bytes() == whole[:size]


def test_a_cut_compacted_file_keeps_whatever_can_be_unpacked(tmp_path, example, monkeypatch):
    # Larger blocks than one zstd block, so that half a chunk still holds something.
    frames = example.write(tmp_path, 3000)
    compaction.compact(tmp_path)
    path = tmp_path / "session.mcap"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 6 // 10])
    found = verify(tmp_path)
    assert (found.status, found.compacted) == ("incomplete", True)
    recover(tmp_path)
    kept = messages(tmp_path)
    assert kept == frames[: len(kept)]
    assert 0.3 * len(frames) < len(kept) < len(frames)
    assert verify(tmp_path).status == "good"


def test_the_cut_file_and_its_manifest_are_kept_under_names_of_their_own(recorded):
    path = recorded / "session.mcap"
    for number in ("", "-2"):
        content = path.read_bytes()[:-30]
        path.write_bytes(content)
        assert recover(recorded).kept.endswith(f"session.mcap.damaged{number}")
        assert (recorded / f"session.mcap.damaged{number}").read_bytes() == content
        assert (recorded / f"manifest.json.damaged{number}").exists()
    assert read_manifest(recorded).recovered


def test_a_whole_recording_has_nothing_to_recover(recorded):
    before = (recorded / "session.mcap").read_bytes()
    with pytest.raises(RecordingError, match="is whole, there is nothing to recover"):
        recover(recorded)
    assert (recorded / "session.mcap").read_bytes() == before


def test_a_whole_file_whose_writer_died_before_the_manifest_gets_one(recorded):
    wanted = (recorded / "manifest.json").read_bytes()
    (recorded / "manifest.json").unlink()
    assert recover(recorded).lost_bytes == 0
    assert (recorded / "manifest.json").read_bytes() == wanted


def test_a_recovery_that_dies_before_the_manifest_is_finished_by_the_next(tmp_path, example, monkeypatch):
    example.write(tmp_path, 12)
    path = tmp_path / "session.mcap"
    path.write_bytes(path.read_bytes()[: example.raw_records(path)[-1].offset])

    def die(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(recovery, "write_manifest", die)
    with pytest.raises(KeyboardInterrupt):
        recover(tmp_path)
    monkeypatch.undo()
    found = verify(tmp_path)
    assert (found.status, found.outcome, found.missing) == ("good", "interrupted", ("manifest.json",))
    recover(tmp_path)
    assert read_manifest(tmp_path).recovered
    assert verify(tmp_path).status == "good"


def test_a_damaged_file_is_left_alone_unless_told_to_keep_what_is_vouched_for(recorded, example):
    path = recorded / "session.mcap"
    records = example.raw_records(path)
    target = [r for r in records if b"first_sample" in r.data and r.opcode == 5][20]
    vouched = [r for r in records if r.offset < target.offset and b"\xa6sha256\xd9" in r.data][-1]
    example.flip(path, target.offset + len(target.data) - 1, 1)
    before = path.read_bytes()
    with pytest.raises(
        RecordingError, match=r"is damaged, not merely cut .*; --vouched-only keeps the \d+ records .*, --each-stream"
    ):
        recover(recorded)
    assert path.read_bytes() == before
    result = recover(recorded, vouched_only=True)
    assert result.outcome == "interrupted"
    assert "kept as far as the chain vouches" in Recording.open(recorded).reason
    assert path.read_bytes().startswith(before[: vouched.offset + len(vouched.data)])
    kept = messages(recorded)
    assert kept == example.frames(30)[: len(kept)]
    assert verify(recorded).status == "good"


def test_where_the_chain_vouches_for_nothing_nothing_is_offered(recorded, example):
    example.flip(recorded / "session.mcap", example.raw_records(recorded / "session.mcap")[1].offset + 20, 1)
    with pytest.raises(RecordingError, match=r"is damaged, not merely cut \([^;]*\)$"):
        recover(recorded)
    with pytest.raises(RecordingError, match="nothing can be kept"):
        recover(recorded, vouched_only=True)


def test_a_file_that_is_being_written_is_not_touched(tmp_path, example):
    with RecordingWriter(tmp_path, session="s1", descriptors=[example.EMG], metadata=example.METADATA) as writer:
        writer.write(example.frames(1)[0], 0)
        with pytest.raises(RecordingError, match="is being written just now"):
            recover(tmp_path)
        writer.end("complete", "", 1)
    assert verify(tmp_path).status == "good"


def test_a_stray_part_does_not_stand_in_the_way(recorded):
    path = recorded / "session.mcap"
    path.write_bytes(path.read_bytes()[:-1])
    (recorded / "session.mcap.part").write_bytes(b"left over" * 100_000)
    recover(recorded)
    assert verify(recorded).status == "good"
