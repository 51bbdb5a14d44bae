"""Whatever is written comes back, whole, compacted or cut; nothing can be changed without it showing."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcap.opcode import Opcode

from myoloop.platform import wire
from myoloop.platform.messages import Event, Heartbeat, SampleDescriptor, Samples, Stop, Trial, Truth
from myoloop.platform.recording.chain import ChainSchedule
from myoloop.platform.recording.compact import compact
from myoloop.platform.recording.layout import RecordingError
from myoloop.platform.recording.reader import Recording
from myoloop.platform.recording.recover import recover
from myoloop.platform.recording.scan import Scan
from myoloop.platform.recording.verify import verify
from myoloop.platform.recording.writer import RecordingWriter

DTYPES = {"emg/a": "<i2", "emg/b": "<i4", "imu/c": "<f4", "force/d": "<f8"}
DESCRIPTORS = [
    SampleDescriptor(
        topic=topic, rate_hz=100, dtype=dtype, channels=("x", "y"), units=("V", "V"), scale=(1, 1), offset=(0, 0)
    )
    for topic, dtype in DTYPES.items()
]

integers = st.integers(-(2**62), 2**62)
text = st.text(max_size=40)
values = st.dictionaries(text, st.one_of(st.none(), text, st.floats(allow_nan=False)), max_size=3)


@st.composite
def samples(draw):
    topic = draw(st.sampled_from(sorted(DTYPES)))
    rows = draw(st.integers(0, 30))
    raw = draw(st.binary(min_size=rows * 16, max_size=rows * 16))
    dtype = np.dtype(DTYPES[topic])
    array = np.frombuffer(raw, dtype)[: rows * 2].reshape(rows, 2)
    device_t = draw(st.one_of(st.none(), st.floats(allow_nan=False)))
    return topic, Samples(first_sample=draw(integers), t_ns=draw(integers), device_t=device_t), array


plain = st.one_of(
    st.tuples(
        st.just("event"), st.builds(Event, t_ns=integers, kind=text, who=text, why=text, values=values), st.none()
    ),
    st.tuples(st.just("stop"), st.builds(Stop, t_ns=integers, who=text, why=text), st.none()),
    st.tuples(
        st.just("trial"),
        st.builds(
            Trial, t_ns=integers, kind=text, name=text, block=integers, trial=integers, outcome=text, begin_ns=integers
        ),
        st.none(),
    ),
    st.tuples(
        st.sampled_from(["truth/limb", "truth/emg"]), st.builds(Truth, t_ns=integers, values=values), st.none()
    ),
    st.tuples(
        st.sampled_from(["heartbeat/a", "heartbeat/b"]),
        st.builds(
            Heartbeat, t_ns=integers, node=text, role=text, state=text,
            cycle_ms=st.floats(allow_nan=False), cycle_mean_ms=st.just(0.0), cycle_worst_ms=st.just(0.0),
        ),
        st.none(),
    ),
)  # fmt: skip
sequences = st.lists(
    st.tuples(st.one_of(plain, samples()), st.integers(0, 2**63), st.integers(0, 2**63 - 1)), max_size=25
)
schedules = st.builds(ChainSchedule, every_ns=st.integers(1, 10**9), every_records=st.integers(1, 12))


@settings(deadline=None, max_examples=150)
@given(sequence=sequences, schedule=schedules, live=st.booleans(), data=st.data())
def test_arbitrary_messages_survive_writing_cutting_recovering_and_compacting(sequence, schedule, live, data):
    sent, times = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        metadata = {"simulated": "false", "note": "Zoë \n"}
        with RecordingWriter(
            folder, session="s", descriptors=DESCRIPTORS, metadata=metadata, live=live, chain=schedule
        ) as writer:
            for (topic, message, array), log_time_ns, seq in sequence:
                frames = wire.encode(topic, message, session="s", publisher="p", epoch=1, seq=seq, array=array)
                writer.write(frames, log_time_ns, seq)
                sent.append(frames)
                times.append(log_time_ns)
            writer.end("stopped", "því", 5)

        def kept():
            return [(f.frames, f.log_time_ns) for f in Recording.open(folder).frames() if f.topic != "chain"]

        expected = list(zip(sent, times, strict=True))
        whole = (folder / "session.mcap").read_bytes()
        with (folder / "session.mcap").open("rb") as stream:
            records = Scan(stream, len(whole)).records()
            session_end = next(r.offset + len(r.data) for r in records if r.opcode == Opcode.METADATA)
        good = verify(folder)
        assert (good.status, good.outcome, good.reason) == ("good", "stopped", "því")
        assert kept() == expected
        assert [r.received.message for r in Recording.open(folder).messages() if r.received.topic != "chain"] == [
            m for (_, m, _), _, _ in sequence
        ]

        compact(folder)
        compacted = verify(folder)
        assert (compacted.status, compacted.head, compacted.records) == ("good", good.head, good.records)
        assert kept() == expected

        at = data.draw(st.integers(0, len(whole) - 1), label="cut or flipped byte")
        (folder / "session.mcap").write_bytes(
            whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :]
        )
        assert verify(folder).status == "damaged"

        (folder / "session.mcap").write_bytes(whole[:at])
        cut = verify(folder)
        assert cut.status == "incomplete"
        if at < session_end:
            for refused in (kept, lambda: recover(folder)):
                with pytest.raises(RecordingError):
                    refused()
            return
        remaining = kept()
        assert remaining == expected[: len(remaining)]
        recover(folder)
        assert verify(folder).status == "good"
        assert kept() == remaining
