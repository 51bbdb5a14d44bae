import pytest

from myoloop.platform import wire
from myoloop.platform.messages import Chain, Event, Gap, Heartbeat, Phase
from myoloop.platform.recording.reader import Recording
from myoloop.platform.recording.recorder import Recorder
from myoloop.platform.recording.verify import verify
from myoloop.platform.recording.writer import RecordingWriter

MS = 1_000_000


def phase(seq, *, publisher="director", epoch=1):
    message = Phase(t_ns=seq, session="s1", state="running")
    return wire.encode("phase", message, session="s1", publisher=publisher, epoch=epoch, seq=seq)


@pytest.fixture
def writer(tmp_path, example):
    with RecordingWriter(
        tmp_path, session="s1", descriptors=[example.EMG], metadata=example.METADATA, live=False
    ) as writer:
        yield writer


def test_every_message_is_kept(writer, tmp_path, example):
    recorder = Recorder(writer, [])
    for i, frames in enumerate(example.frames(30)):
        assert recorder.take(frames, i) == []
    assert recorder.messages == 34
    assert recorder.bytes_written == writer.bytes_written
    recorder.end("complete", "", 99)
    assert [f.frames for f in Recording.open(tmp_path).frames() if f.topic != "chain"] == example.frames(30)
    assert verify(tmp_path).status == "good"


def test_what_is_missing_is_told_once_and_by_number(writer):
    recorder = Recorder(writer, [])
    assert recorder.take(phase(0), 0) == []
    [said] = recorder.take(phase(4), 7)
    assert said.topic == "gap"
    assert said.message == Gap(t_ns=7, topic="phase", publisher="director", epoch=1, first_missing=1, last_missing=3)
    assert recorder.take(phase(5), 8) == []
    assert recorder.missing == 3


def test_publishers_and_epochs_are_counted_apart(writer):
    recorder = Recorder(writer, [])
    for frames in (phase(0), phase(1), phase(0, epoch=2), phase(0, publisher="other"), phase(2), phase(1, epoch=2)):
        assert recorder.take(frames, 0) == []


def test_a_recorder_that_joins_late_counts_from_what_it_hears_first(writer):
    assert [o.topic for o in Recorder(writer, []).take(phase(9), 0)] == ["gap"]
    late = Recorder(writer, [], from_zero=False)
    assert late.take(phase(9), 0) == []
    assert [o.topic for o in late.take(phase(11), 0)] == ["gap"]


def test_a_repeated_message_is_kept_and_counted(writer):
    recorder = Recorder(writer, [])
    for frames in (phase(0), phase(1), phase(0)):
        assert recorder.take(frames, 0) == []
    assert (recorder.messages, recorder.repeated) == (3, 1)
    assert recorder.take(phase(2), 0) == []


@pytest.mark.parametrize(
    "frames",
    [
        [b"phase", b"nonsense", b""],
        [b"nothing", b"", b""],
        [],
        wire.encode("chain", Chain(records=0, sha256=""), session="s1", publisher="x", epoch=1, seq=0),
    ],
)
def test_what_is_no_message_of_ours_is_refused_loudly(writer, frames):
    recorder = Recorder(writer, [])
    before = writer.bytes_written
    [said] = recorder.take(frames, 5)
    assert isinstance(said.message, Event)
    assert (said.message.kind, said.message.who) == ("fault", "recorder")
    assert said.message.why.startswith("not recorded: ")
    assert (recorder.refused, writer.bytes_written) == (1, before)


def test_a_required_stream_that_falls_silent_is_named_once_until_it_is_back(writer, example):
    recorder = Recorder(writer, ["emg/sim", "phase"])
    assert recorder.unheard == ("emg/sim", "phase")
    assert recorder.tick(10_000 * MS) == [], "what was never heard has not fallen silent"
    frames = example.frames(3)
    recorder.take(frames[0], 0)
    recorder.take(phase(0), 0)
    assert recorder.unheard == ()
    assert recorder.tick(100 * MS) == []
    [said] = recorder.tick(101 * MS)
    assert isinstance(said.message, Event)
    assert (said.message.kind, said.message.why) == ("silent", "emg/sim has been silent for 101 ms")
    assert recorder.silent == ("emg/sim",)
    assert recorder.tick(200 * MS) == []
    recorder.take(next(f for f in frames[1:] if f[0] == b"emg/sim"), 210 * MS)
    [said] = recorder.tick(211 * MS)
    assert isinstance(said.message, Event)
    assert (said.message.kind, said.message.why) == ("mark", "emg/sim is heard again")
    assert recorder.silent == ()


def test_a_stream_whose_silence_means_nothing_cannot_be_required(writer):
    with pytest.raises(ValueError, match="event: silence on it means nothing"):
        Recorder(writer, ["event"])


def test_the_chain_goes_on_while_nothing_comes(writer):
    recorder = Recorder(writer, [])
    recorder.take(phase(0), 0)
    before = writer.records
    recorder.tick(300 * MS)
    assert writer.records == before + 1


def test_its_counters_fit_a_heartbeat(writer):
    recorder = Recorder(writer, [])
    recorder.take(phase(3), 0)
    beat = Heartbeat(
        t_ns=0, node="recorder", role="recorder", state="run", cycle_ms=0, cycle_mean_ms=0, cycle_worst_ms=0,
        counters=recorder.counters(),
    )  # fmt: skip
    frames = wire.encode("heartbeat/recorder", beat, session="s1", publisher="recorder", epoch=1, seq=0)
    counters = wire.decode(frames)[1].message.counters
    assert counters == {
        "bytes_written": float(writer.bytes_written), "messages": 1.0, "missing": 3.0, "repeated": 0.0, "refused": 0.0,
    }  # fmt: skip
