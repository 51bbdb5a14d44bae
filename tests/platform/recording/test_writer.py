import errno
import hashlib
import os

import msgspec
import pytest

from myoloop.platform import wire
from myoloop.platform.messages import Chain, Phase
from myoloop.platform.recording.chain import ChainSchedule
from myoloop.platform.recording.layout import RecordingError
from myoloop.platform.recording.reader import Recording
from myoloop.platform.recording.scan import HEAD_BYTES, MESSAGE_HEAD
from myoloop.platform.recording.verify import verify
from myoloop.platform.recording.writer import RecordingWriter


def open_writer(folder, example, **options):
    return RecordingWriter(folder, session="s1", descriptors=[example.EMG], **{"metadata": example.METADATA, **options})


def test_live_and_buffered_writing_leave_the_same_bytes(tmp_path, example):
    example.write(tmp_path / "live", live=True)
    example.write(tmp_path / "buffered", live=False)
    for name in ("session.mcap", "manifest.json"):
        assert (tmp_path / "live" / name).read_bytes() == (tmp_path / "buffered" / name).read_bytes()


def test_every_live_message_is_on_its_way_when_write_returns(tmp_path, example):
    with open_writer(tmp_path, example) as writer:
        for i, frames in enumerate(example.frames(20)):
            writer.write(frames, i, i)
            assert (tmp_path / "session.mcap").stat().st_size == writer.bytes_written
            assert wire.pack(frames) in (tmp_path / "session.mcap").read_bytes()[-1000:]


def test_a_live_message_is_one_write(tmp_path, example, monkeypatch):
    with open_writer(tmp_path, example) as writer:
        frames = example.frames(3)
        emg = [f for f in frames if f[0] == b"emg/sim"]
        writer.write(emg[0], 0)
        calls = []
        really = os.write
        monkeypatch.setattr(os, "write", lambda fd, data: calls.append(len(data)) or really(fd, data))
        writer.write(emg[1], 1)
        writer.write(emg[2], 2)
        monkeypatch.undo()
        assert len(calls) == 2


def test_a_session_file_is_never_overwritten(recorded, example):
    before = (recorded / "session.mcap").read_bytes()
    with pytest.raises(RecordingError, match="is already there, nothing is overwritten"):
        open_writer(recorded, example)
    assert (recorded / "session.mcap").read_bytes() == before


def test_a_folder_that_is_not_there_is_named(tmp_path, example):
    with pytest.raises(RecordingError, match="nowhere: no such folder"):
        open_writer(tmp_path / "nowhere", example)


@pytest.mark.parametrize("metadata", [{}, {"simulated": "yes"}, {"simulated": "true", "session": "s2"}])
def test_whether_it_was_simulated_must_be_said(tmp_path, example, metadata):
    with pytest.raises(RecordingError, match="metadata"):
        open_writer(tmp_path, example, metadata=metadata)
    assert list(tmp_path.iterdir()) == []


def test_samples_without_a_descriptor_are_refused(tmp_path, example):
    with (
        RecordingWriter(tmp_path, session="s1", descriptors=[], metadata=example.METADATA) as writer,
        pytest.raises(RecordingError, match="emg/sim: samples of a stream that nobody described"),
    ):
        writer.write(example.frames(1)[0], 0)


def test_a_stream_may_be_described_later(tmp_path, example):
    schedule = ChainSchedule(every_records=1)
    with RecordingWriter(
        tmp_path, session="s1", descriptors=[], metadata=example.METADATA, chain=schedule, live=False
    ) as writer:
        writer.write(example.frames(1)[1], 0)
        writer.describe(example.EMG)
        writer.tick(1)
        writer.write(example.frames(1)[0], 2)
        writer.end("complete", "", 3)
    assert verify(tmp_path).status == "good"
    assert Recording.open(tmp_path).descriptors == {"emg/sim": example.EMG}


def test_a_wrong_descriptor_is_refused(tmp_path, example):
    wrong = [
        (msgspec.structs.replace(example.EMG, units=("V",)), "2 channels, but other numbers of units"),
        (msgspec.structs.replace(example.EMG, dtype="<u2"), "dtype '<u2', allowed are"),
        (msgspec.structs.replace(example.EMG, topic="phase"), "for sample streams only"),
        (msgspec.structs.replace(example.EMG, topic="eeg/sim"), "no stream is called 'eeg'"),
    ]
    for i, (descriptor, said) in enumerate(wrong):
        folder = tmp_path / str(i)
        folder.mkdir()
        with pytest.raises(RecordingError, match=said):
            RecordingWriter(folder, session="s1", descriptors=[descriptor], metadata=example.METADATA)
    with open_writer(tmp_path, example) as writer, pytest.raises(RecordingError, match="described twice"):
        writer.describe(example.EMG)


def test_nobody_but_the_file_writes_its_chain(tmp_path, example):
    forged = wire.encode("chain", Chain(records=1, sha256=""), session="s1", publisher="x", epoch=1, seq=0)
    with open_writer(tmp_path, example) as writer, pytest.raises(RecordingError, match="only the file itself"):
        writer.write(forged, 0)


def test_nothing_is_written_after_the_end(tmp_path, example):
    with open_writer(tmp_path, example) as writer:
        with pytest.raises(RecordingError, match="outcome 'good'"):
            writer.end("good", "", 0)
        writer.end("stopped", "the operator", 0)
        with pytest.raises(RecordingError, match="has ended"):
            writer.write(example.frames(1)[0], 1)
        with pytest.raises(RecordingError, match="has ended"):
            writer.end("complete", "", 1)


def test_a_full_disk_ends_the_writing_loudly_and_for_good(tmp_path, example, monkeypatch):
    frames = example.frames(10)
    really = os.write

    def full(fd, data):
        if len(data) > 60:
            return really(fd, data[:50])
        raise OSError(errno.ENOSPC, "No space left on device")

    with open_writer(tmp_path, example) as writer:
        writer.write(frames[0], 0)
        size = writer.bytes_written
        monkeypatch.setattr(os, "write", full)
        with pytest.raises(RecordingError, match=r"session\.mcap: cannot be written: No space left"):
            writer.write(frames[1], 1)
        monkeypatch.undo()
        # Half a record is in the file now: nothing may come after it, even if there is room again.
        with pytest.raises(RecordingError, match="No space left"):
            writer.write(frames[2], 2)
        assert writer.bytes_written == size
    assert verify(tmp_path).status == "incomplete"


def test_a_failed_sync_is_not_kept_quiet(tmp_path, example, monkeypatch):
    import threading

    tried = threading.Event()

    def fail(fd):
        tried.set()
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", fail, raising=False)
    with open_writer(tmp_path, example, sync_every_s=0.001) as writer:
        assert tried.wait(10)
        writer._syncing._thread.join(10)
        with pytest.raises(RecordingError, match="cannot be synced: Input/output error"):
            writer.tick(0)
    monkeypatch.undo()


def test_the_chain_is_the_hash_of_the_file_so_far(recorded, example):
    """As the layout promises to strangers: `head -c N session.mcap | sha256sum`."""
    content = (recorded / "session.mcap").read_bytes()
    seen = 0
    for number, record in enumerate(example.raw_records(recorded / "session.mcap")):
        if b"\xa6sha256" in record.data and record.opcode == 5:
            body = wire.unpack("chain", record.data[HEAD_BYTES + MESSAGE_HEAD.size :])[2]
            chain = msgspec.msgpack.decode(body)
            assert chain == {"records": number, "sha256": hashlib.sha256(content[: record.offset]).hexdigest()}
            seen += 1
    assert seen >= 4


def test_the_chain_is_written_by_time_and_by_number(tmp_path, example):
    frames = example.frames(1)[1]
    with open_writer(tmp_path, example, chain=ChainSchedule(every_ns=1000, every_records=5), live=False) as writer:
        opened = writer.records
        writer.write(frames, 0)  # the channel's own records and those of the opening are more than five
        assert writer.records == opened + 4
        writer.tick(999)
        writer.tick(1000)
        assert writer.records == opened + 4, "nothing has come since: there is nothing to state"
        writer.write(frames, 1001)
        assert writer.records == opened + 6, "by time"
        for _ in range(5):
            writer.write(frames, 1002)
        assert writer.records == opened + 12, "by number"


def test_the_manifest_tells_what_was_recorded(tmp_path, example):
    with open_writer(tmp_path, example) as writer:
        manifest = writer.end("fault", "the controller died", 7)
    content = (tmp_path / "session.mcap").read_bytes()
    assert (manifest.outcome, manifest.reason, manifest.simulated) == ("fault", "the controller died", True)
    assert manifest.versions == {"myoloop": "0.1"}
    assert manifest.metadata["subject"] == "P017"
    assert manifest.files[0].sha256 == hashlib.sha256(content).hexdigest()
    assert msgspec.json.decode((tmp_path / "manifest.json").read_bytes(), type=type(manifest)) == manifest
    assert not list(tmp_path.glob("*.part"))


def test_any_mcap_reader_can_read_it(recorded, example):
    from mcap.reader import make_reader

    with (recorded / "session.mcap").open("rb") as stream:
        reader = make_reader(stream, validate_crcs=True)
        summary = reader.get_summary()
        assert {c.topic for c in summary.channels.values()} == {"chain", "emg/sim", "event", "phase"}
        schema, channel, message = next(m for m in reader.iter_messages(topics=["phase"], log_time_order=False))
        assert (schema.name, schema.encoding, channel.message_encoding) == ("myoloop.Phase", "jsonschema", "myoloop-1")
        assert "t_state_ns" in msgspec.json.decode(schema.data)["$defs"]["Phase"]["properties"]
        head, body = (int.from_bytes(message.data[i : i + 4], "little") for i in (0, 4))
        fields = msgspec.msgpack.decode(message.data[8 + head : 8 + head + body])
        assert msgspec.convert(fields, Phase).state == "running"
