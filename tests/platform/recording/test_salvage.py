"""Of a damaged recording each stream is saved by itself, and what was lost is counted, never passed over."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from myoloop.platform.recording import compact as compaction
from myoloop.platform.recording.layout import RecordingError
from myoloop.platform.recording.manifest import read_manifest
from myoloop.platform.recording.reader import Recording
from myoloop.platform.recording.recover import recover
from myoloop.platform.recording.verify import verify
from myoloop.recording_verbs import recordings

BLOCKS = 200


@pytest.fixture
def long(tmp_path, example):
    """200 blocks of EMG, a phase with every tenth, an event with every fiftieth; a chain message every 10 records."""
    example.write(tmp_path / "att-1", BLOCKS)
    return tmp_path / "att-1"


def by_topic(folder):
    """Numbers of the messages of each stream."""
    told = {}
    for each in Recording.open(folder).messages():
        if each.received.topic != "chain":
            told.setdefault(each.received.topic, []).append(each.received.seq)
    return told


def frames(folder):
    return [each.frames for each in Recording.open(folder).frames() if each.topic != "chain"]


def messages_of(example, path):
    return [
        record for record in example.raw_records(path) if record.opcode == 5 and b"\xa6sha256\xd9" not in record.data
    ]


def streams(done):
    return {each.topic: each for each in done.streams}


def check_account(folder, example, done, blocks=BLOCKS):
    """Everything that was kept is as it was written, everything that is missing is counted."""
    found = verify(folder)
    assert (found.status, found.recovered, found.head) == ("good", True, done.head)
    sent = example.frames(blocks)
    kept = frames(folder)
    assert all(each in sent for each in kept)
    told = by_topic(folder)
    for topic, numbers in told.items():
        account = streams(done)[topic]
        assert account.vouched + account.unvouched == len(numbers)
        assert numbers == sorted(set(numbers))
        missing = numbers[-1] + 1 - len(numbers)
        written = sum(frame[0] == topic.encode() for frame in sent)
        assert missing <= account.lost <= written - len(numbers), (topic, account)
    return told


def test_zeros_in_the_middle_cost_only_what_they_cover(long, example):
    path = long / "session.mcap"
    whole = messages_of(example, path)
    content = bytearray(path.read_bytes())
    content[whole[100].offset + 3 : whole[110].offset + 3] = bytes(whole[110].offset - whole[100].offset)
    path.write_bytes(content)
    done = recover(long, each_stream=True)
    told = check_account(long, example, done)
    emg = streams(done)["emg/sim"]
    assert 10 <= emg.lost <= 11
    assert emg.lost_samples == 20 * emg.lost
    assert told["emg/sim"][-1] == BLOCKS - 1, "what stands behind the damage is kept"
    assert emg.unvouched > 80
    assert (done.outcome, read_manifest(long).recovered) == ("complete", True)


def test_a_changed_sample_costs_the_stretch_in_which_it_must_be(long, example):
    path = long / "session.mcap"
    target = messages_of(example, path)[100]
    example.flip(path, target.offset + len(target.data) - 1, 1)
    done = recover(long, each_stream=True)
    told = check_account(long, example, done)
    emg = streams(done)["emg/sim"]
    assert 8 <= emg.lost <= 10, "as much as stands between two chain messages"
    changed = msgspec.msgpack.decode(example.frames(BLOCKS)[100][1])[4]
    assert changed not in told["emg/sim"]


def test_a_message_that_cannot_be_read_costs_no_other_stream(long, example):
    path = long / "session.mcap"
    first_phase = next(r for r in messages_of(example, path)[50:] if b"running" in r.data)
    at = first_phase.offset + first_phase.data.index(b"running") - 1
    example.flip(path, at, 0xFF)
    done = recover(long, each_stream=True)
    check_account(long, example, done)
    assert streams(done)["emg/sim"].lost <= 10
    assert streams(done)["phase"].lost >= 1


def test_a_damaged_chunk_of_a_compacted_file_costs_that_chunk(tmp_path, example, monkeypatch):
    monkeypatch.setattr("myoloop.platform.recording.file.CHUNK_BYTES", 2000)
    folder = tmp_path / "att-1"
    example.write(folder, BLOCKS)
    compaction.compact(folder)
    path = folder / "session.mcap"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(content)
    assert verify(folder).status == "damaged"
    done = recover(folder, each_stream=True)
    told = check_account(folder, example, done)
    assert 0 < streams(done)["emg/sim"].lost <= 40
    assert told["emg/sim"][-1] == BLOCKS - 1


def test_a_stream_announced_in_the_damage_is_found_in_the_summary(long, example):
    path = long / "session.mcap"
    channel = next(r for r in example.raw_records(path) if r.opcode == 4 and b"event" in r.data)
    content = bytearray(path.read_bytes())
    content[channel.offset : channel.offset + len(channel.data)] = bytes(len(channel.data))
    path.write_bytes(content)
    done = recover(long, each_stream=True) if verify(long).records else None
    assert done is not None
    assert by_topic(long)["event"][-1] == 3


def test_the_account_stands_in_the_file_and_the_damaged_one_is_kept(long, example):
    path = long / "session.mcap"
    target = messages_of(example, path)[100]
    example.flip(path, target.offset + len(target.data) - 1, 1)
    before = path.read_bytes()
    done = recover(long, each_stream=True)
    assert (long / "session.mcap.damaged").read_bytes() == before
    assert "the chain does not vouch for" in Recording.open(long).reason
    told = streams(done)["emg/sim"].in_words()
    assert told.encode() in path.read_bytes()
    assert "lost with" in told
    with pytest.raises(RecordingError, match="is whole, there is nothing to recover"):
        recover(long, each_stream=True)


def test_a_cut_file_is_recovered_as_ever(long):
    path = long / "session.mcap"
    path.write_bytes(path.read_bytes()[:-100])
    done = recover(long, each_stream=True)
    assert (done.streams, verify(long).status) == ((), "good")


def test_both_at_once_are_refused_and_so_is_what_does_not_say_what_it_is(long, example):
    with pytest.raises(RecordingError, match="one of them"):
        recover(long, each_stream=True, vouched_only=True)
    example.flip(long / "session.mcap", example.raw_records(long / "session.mcap")[1].offset + 20, 1)
    with pytest.raises(RecordingError, match="nothing can be kept"):
        recover(long, each_stream=True)


def test_the_verb_tells_every_stream(long, example):
    path = long / "session.mcap"
    target = messages_of(example, path)[100]
    example.flip(path, target.offset + len(target.data) - 1, 1)
    told = CliRunner().invoke(recordings, ["recover", str(long), "--each-stream"])
    assert told.exit_code == 0, told.output
    lines = told.stdout.splitlines()
    assert [line.partition(":")[0] for line in lines[1:]] == ["emg/sim", "phase", "event"]
    assert "of them not vouched for; " in lines[1]
    assert "lost with" in lines[1]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0.35, 0.97), junk=st.binary(min_size=1, max_size=300))
def test_wherever_the_damage_nothing_changed_is_kept_and_nothing_is_lost_unseen(tmp_path_factory, example, share, junk):
    folder = tmp_path_factory.mktemp("damaged") / "att-1"
    example.write(folder, 50)
    path = folder / "session.mcap"
    content = bytearray(path.read_bytes())
    at = round(share * (len(content) - len(junk)))
    if content[at : at + len(junk)] == junk:
        return
    content[at : at + len(junk)] = junk
    path.write_bytes(content)
    done = recover(folder, each_stream=True)
    check_account(folder, example, done, blocks=50)
    vouched = sum(each.vouched for each in done.streams)
    assert frames(folder)[:vouched] == example.frames(50)[:vouched]
