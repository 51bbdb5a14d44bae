import msgspec
import pytest

from myoloop.platform import wire
from myoloop.platform.messages import Command
from myoloop.platform.recording.compact import compact
from myoloop.platform.recording.folder import create_attempt
from myoloop.platform.recording.info import info
from myoloop.platform.recording.layout import RecordingError
from myoloop.platform.recording.recover import recover
from myoloop.platform.recording.writer import RecordingWriter


def test_info_tells_what_a_recording_holds(tmp_path, example):
    folder = create_attempt(tmp_path, "P017", 5)
    example.write(folder, 120)
    told = info(folder)
    assert msgspec.json.decode(msgspec.json.encode(told)) == told
    assert {key: told[key] for key in ("session", "subject", "outcome", "reason", "complete", "simulated")} == {
        "session": "s1", "subject": "P017", "outcome": "complete", "reason": "", "complete": True, "simulated": True,
    }  # fmt: skip
    assert told["wall_start"] == "2023-11-14T22:13:20.000+00:00"
    assert told["bytes"] == (folder / "session.mcap").stat().st_size
    assert told["duration_s"] == pytest.approx(1.35)
    assert told["streams"]["emg/sim"]["samples"] == 2400
    assert told["streams"]["emg/sim"]["samples_missing"] == 0
    assert told["streams"]["phase"]["count"] == 12
    assert told["streams"]["emg/sim"]["rate_hz"] == pytest.approx(119 / 1.34, rel=1e-4)
    assert told["gaps"] == 0
    assert [event["why"] for event in told["events"]] == ["number 0", "number 50", "number 100"]
    assert told["events"][0] == {"t_s": 0.02, "kind": "mark", "who": "operator", "why": "number 0", "values": {}}
    assert told["versions"] == {"myoloop": "0.1"}
    compact(folder)
    again = info(folder)
    assert {**again, "bytes": 0} == {**told, "bytes": 0}


def test_missing_messages_and_samples_are_counted(tmp_path, example):
    frames = [f for f in example.frames(20) if f[0] == b"emg/sim"]
    with RecordingWriter(
        tmp_path, session="s1", descriptors=[example.EMG], metadata=example.METADATA, live=False
    ) as writer:
        for i in (2, 3, 4, 9, 10):
            writer.write(frames[i], i * example.TICK_NS)
        writer.end("fault", "", 0)
    stream = info(tmp_path)["streams"]["emg/sim"]
    assert (stream["gaps"], stream["samples_missing"], stream["samples"]) == (6, 120, 100)


def test_a_cut_recording_says_that_it_is_not_complete(tmp_path, example):
    example.write(tmp_path, 30, end=False)
    told = info(tmp_path)
    assert (told["complete"], told["outcome"], told["recovered"]) == (False, "", False)
    assert (told["status"], told["problems"]) == ("incomplete", [])
    assert told["streams"]["emg/sim"]["count"] == 30
    recover(tmp_path)
    told = info(tmp_path)
    assert (told["complete"], told["outcome"], told["recovered"]) == (True, "interrupted", True)
    assert told["status"] == "good"


def test_a_damaged_recording_says_so_and_tells_what_can_be_read(recorded, example):
    path = recorded / "session.mcap"
    block = [r for r in example.raw_records(path) if b"first_sample" in r.data and r.opcode == 5][20]
    example.flip(path, block.offset + len(block.data) - 1, 1)
    told = info(recorded)
    assert told["status"] == "damaged"
    assert "does not fit what stands before it" in told["problems"][0]
    assert (told["session"], told["streams"]["emg/sim"]["count"]) == ("s1", 30)


def test_of_a_compacted_recording_with_damage_in_a_chunk_the_chunks_before_are_told(tmp_path, example):
    example.write(tmp_path, 9000)
    compact(tmp_path)
    path = tmp_path / "session.mcap"
    data = bytearray(path.read_bytes())
    data[len(data) * 8 // 10 : len(data) * 8 // 10 + 4000] = bytes(4000)
    path.write_bytes(data)
    told = info(tmp_path)
    assert (told["status"], told["session"], told["complete"]) == ("damaged", "s1", False)
    assert 0 < told["streams"]["emg/sim"]["count"] < 9000


def test_what_nobody_can_read_is_refused(recorded, example):
    example.flip(recorded / "session.mcap", 3, 1)
    with pytest.raises(RecordingError, match="not an MCAP file"):
        info(recorded)


def test_commands_that_their_receivers_handed_over_in_any_order_are_not_missing(tmp_path, example):
    def command(number):
        message = Command(t_ns=number, id=str(number), kind="configure", target="node")
        return wire.encode("command", message, session="s1", publisher="supervisor", epoch=1, seq=number)

    with RecordingWriter(tmp_path, session="s1", descriptors=[], metadata=example.METADATA, live=False) as writer:
        for number in (2, 0, 1, 5, 3):
            writer.write(command(number), number)
        writer.end("complete", "", 9)
    told = info(tmp_path)
    assert (told["gaps"], told["streams"]["command"]["gaps"]) == (1, 1)


def test_a_recording_without_a_message_has_no_rates(tmp_path, example):
    with RecordingWriter(tmp_path, session="s1", descriptors=[example.EMG], metadata={"simulated": "false"}) as writer:
        writer.end("aborted", "", 0)
    told = info(tmp_path)
    assert (told["wall_start"], told["simulated"], told["subject"]) == (None, False, "")
    assert told["streams"]["emg/sim"] == {"count": 0, "rate_hz": None, "gaps": 0}
