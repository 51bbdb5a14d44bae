import msgspec
import numpy as np
import pytest

from myoloop.platform import wire
from myoloop.platform.messages import SampleDescriptor, Samples
from myoloop.platform.recording.layout import DamagedRecording, RecordingError
from myoloop.platform.recording.reader import Recording
from myoloop.platform.recording.writer import RecordingWriter


def test_what_went_in_comes_out_in_order(tmp_path, example):
    frames = example.write(tmp_path, 120)
    recording = Recording.open(tmp_path)
    kept = [r for r in recording.messages() if r.received.topic != "chain"]
    assert [r.log_time_ns for r in kept] == [(i + 1) * example.TICK_NS for i in range(len(frames))]
    for sent, (received, _) in zip(frames, kept, strict=True):
        wanted = wire.decode(sent)[1]
        assert (received.reference, received.message, received.crc) == (wanted.reference, wanted.message, wanted.crc)
        if wanted.array is not None:
            np.testing.assert_array_equal(received.array, wanted.array)
    assert (recording.complete, recording.outcome, recording.session, recording.simulated) == (
        True, "complete", "s1", True,
    )  # fmt: skip
    assert recording.descriptors == {"emg/sim": example.EMG}
    assert recording.metadata == {"session": "s1", **example.METADATA}
    assert recording.topics() == ("chain", "emg/sim", "phase", "event")
    assert recording.counts["emg/sim"] == 120


def test_only_the_topics_asked_for(recorded):
    topics = {r.received.topic for r in Recording.open(recorded).messages({"phase", "event"})}
    assert topics == {"phase", "event"}


def test_frames_are_those_that_were_sent(recorded, example):
    kept = [f.frames for f in Recording.open(recorded).frames({"emg/sim", "phase", "event"})]
    assert kept == example.frames(30)


def test_a_file_that_is_being_written_is_read_as_far_as_it_is(tmp_path, example):
    with RecordingWriter(tmp_path, session="s1", descriptors=[example.EMG], metadata=example.METADATA) as writer:
        frames = example.frames(20)
        for i in range(10):
            writer.write(frames[i], i)
        recording = Recording.open(tmp_path)
        for i in range(10, 20):
            writer.write(frames[i], i)
        kept = [f.frames for f in recording.frames() if f.topic != "chain"]
        assert kept == frames[:10]
        assert (recording.complete, recording.outcome) == (False, "")


@pytest.mark.parametrize("dtype", ["<i2", "<i4", "<f4", "<f8"])
def test_samples_keep_their_dtype_and_become_float32_in_si(tmp_path, example, dtype):
    descriptor = msgspec.structs.replace(example.EMG, dtype=dtype)
    rng = np.random.default_rng(3)
    counts = rng.integers(-32768, 32767, (100, 2)).astype(dtype)
    with RecordingWriter(
        tmp_path, session="s1", descriptors=[descriptor], metadata=example.METADATA, live=False
    ) as writer:
        for i in range(5):
            message = Samples(first_sample=20 * i, t_ns=10 * i, device_t=None if i == 2 else float(i))
            frames = wire.encode(
                "emg/sim", message, session="s1", publisher="a", epoch=2, seq=i, array=counts[20 * i : 20 * i + 20]
            )
            writer.write(frames, 11 * i)
        writer.end("complete", "", 99)
    samples = Recording.open(tmp_path).samples("emg/sim")
    assert samples.counts.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(samples.counts, counts)
    assert samples.physical().dtype == np.float32
    expected = counts.astype(np.float64) * np.array([1.5e-7, 2.5e-7]) + np.array([0.0, 1e-3])
    np.testing.assert_array_equal(samples.physical(), expected.astype(np.float32))
    assert samples.t_ns.tolist() == [0, 10, 20, 30, 40]
    assert samples.log_time_ns.tolist() == [0, 11, 22, 33, 44]
    assert samples.row.tolist() == samples.first_sample.tolist() == [0, 20, 40, 60, 80]
    assert np.isnan(samples.device_t).tolist() == [False, False, True, False, False]
    assert samples.epoch.tolist() == [2] * 5
    assert samples.gaps == ()


def block(i, rows, *, first, epoch=1, mask=None, columns=2):
    invalid = b"" if mask is None else np.packbits(mask).tobytes()
    message = Samples(first_sample=first, t_ns=i, invalid=invalid)
    array = np.full((rows, columns), i, "<i2")
    return wire.encode("emg/sim", message, session="s1", publisher="a", epoch=epoch, seq=i, array=array)


def write_blocks(folder, example, blocks):
    with RecordingWriter(
        folder, session="s1", descriptors=[example.EMG], metadata=example.METADATA, live=False
    ) as writer:
        for i, frames in enumerate(blocks):
            writer.write(frames, i)
        writer.end("complete", "", len(blocks))
    return Recording.open(folder)


def test_gaps_and_restarts_are_listed(tmp_path, example):
    blocks = [
        block(0, 5, first=3),
        block(1, 5, first=8),
        block(2, 5, first=20),
        block(3, 5, first=24),
        block(4, 5, first=0, epoch=2),
    ]
    samples = write_blocks(tmp_path, example, blocks).samples("emg/sim")
    assert samples.gaps == ((0, 3, "lost"), (10, 7, "lost"), (15, -1, "lost"), (20, None, "restart"))


def test_validity_is_unpacked_per_sample_and_channel(tmp_path, example):
    mask = np.zeros((5, 2), bool)
    mask[1, 0] = mask[4, 1] = True
    samples = write_blocks(tmp_path, example, [block(0, 3, first=0), block(1, 5, first=3, mask=mask)]).samples(
        "emg/sim"
    )
    assert samples.invalid.shape == (8, 2)
    assert np.argwhere(samples.invalid).tolist() == [[4, 0], [7, 1]]


def test_a_block_without_a_single_sample_is_kept_as_one(tmp_path, example):
    blocks = [block(0, 3, first=0), block(1, 0, first=3), block(2, 3, first=3)]
    recording = write_blocks(tmp_path, example, blocks)
    assert [f.frames for f in recording.frames({"emg/sim"})] == blocks
    samples = recording.samples("emg/sim")
    assert samples.row.tolist() == [0, 3, 3]
    assert samples.gaps == ()


def test_blocks_that_are_not_as_described_are_refused(tmp_path, example):
    for i, frames in enumerate((block(0, 3, first=0, columns=3), block(0, 3, first=0, mask=np.zeros((9, 2), bool)))):
        folder = tmp_path / str(i)
        folder.mkdir()
        with pytest.raises(RecordingError, match="emg/sim of a, epoch 1, seq 0: "):
            write_blocks(folder, example, [frames]).samples("emg/sim")


def test_a_stream_that_is_not_there_is_named_with_those_that_are(recorded):
    with pytest.raises(RecordingError, match="no sample stream 'imu/sim'; there are: emg/sim"):
        Recording.open(recorded).samples("imu/sim")


def test_a_stream_without_a_block_has_no_samples(tmp_path, example):
    samples = write_blocks(tmp_path, example, []).samples("emg/sim")
    assert samples.counts.shape == samples.physical().shape == (0, 2)
    assert samples.counts.dtype == np.dtype("<i2")


def test_a_damaged_file_is_refused_unless_one_insists(recorded, example):
    path = recorded / "session.mcap"
    target = next(r for r in example.raw_records(path) if r.opcode == 5 and len(r.data) > 150)
    example.flip(path, target.offset + len(target.data) - 1, 0x01)
    with pytest.raises(DamagedRecording, match="CRC of the data section"):
        Recording.open(recorded)
    recording = Recording.open(recorded, check=False)
    assert len(recording.samples("emg/sim").counts) == 600


def test_a_file_that_is_no_recording_is_refused(tmp_path):
    path = tmp_path / "README.md"
    path.write_text("nothing of the kind")
    with pytest.raises(RecordingError, match=r"byte 0: not an MCAP file \(in .*README.md\)"):
        Recording.open(path)


@pytest.mark.parametrize("cut", ["nothing", "the magic", "before the session's record"])
def test_a_file_that_does_not_say_which_session_it_is_is_refused(recorded, example, cut):
    path = recorded / "session.mcap"
    size = {"nothing": 0, "the magic": 8, "before the session's record": example.raw_records(path)[1].offset}[cut]
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(RecordingError, match="session.mcap: is empty" if not size else "session.mcap: no recording"):
        Recording.open(path)


def test_descriptors_survive_bit_for_bit(tmp_path):
    descriptor = SampleDescriptor(
        topic="imu/x",
        rate_hz=99.99999999999999,
        dtype="<f8",
        channels=('Z µ, "quoted"',),
        units=("m/s^2",),
        scale=(0.1 + 0.2,),
        offset=(-1e-300,),
        sync_channel=None,
        device="Müller 3",
    )
    with RecordingWriter(tmp_path, session="s", descriptors=[descriptor], metadata={"simulated": "false"}) as writer:
        writer.end("complete", "", 0)
    assert Recording.open(tmp_path).descriptors == {"imu/x": descriptor}
