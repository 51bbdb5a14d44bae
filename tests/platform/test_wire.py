"""The wire: what goes in comes out; what is not ours is refused by a typed error and nothing else."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from myoloop.platform import messages as m
from myoloop.platform import wire
from myoloop.platform.streams import UnknownStream

NAME = st.text("abcdefghijklmnopqrstuvwxyz0123456789_-", min_size=1, max_size=20).filter(lambda s: s[0] not in "_-")
NUMBER = st.integers(0, 2**53)
ARRAYS = st.sampled_from(["<i2", "<i4", "<f4", "<f8"]).flatmap(
    lambda dtype: hnp.arrays(np.dtype(dtype), hnp.array_shapes(min_dims=1, max_dims=2, min_side=0, max_side=30))
)
SAMPLES = st.builds(
    m.Samples,
    first_sample=NUMBER,
    t_ns=NUMBER,
    device_t=st.none() | st.floats(allow_nan=False),
    invalid=st.binary(max_size=40),
)


def encode(message=None, topic="emg/arm", array=None, **head):
    message = message if message is not None else m.Samples(first_sample=0, t_ns=1)
    head = {"session": "s", "publisher": "arm", "epoch": 1, "seq": 2, **head}
    return wire.encode(topic, message, array=array, **head)


@settings(deadline=None, max_examples=300)
@given(message=SAMPLES, array=ARRAYS, source=NAME, epoch=NUMBER, seq=NUMBER)
def test_samples_come_out_as_they_went_in(message, array, source, epoch, seq):
    frames = encode(message, f"emg/{source}", array, epoch=epoch, seq=seq)
    for copy in (frames, wire.unpack(f"emg/{source}", wire.pack(frames))):
        head, received = wire.decode(copy)
        assert (head.session, received.publisher, received.epoch, received.seq) == ("s", "arm", epoch, seq)
        assert received.message == message
        assert received.array.dtype == array.dtype
        assert received.array.shape == array.shape
        assert received.array.tobytes() == array.tobytes()


@pytest.mark.parametrize(
    ("topic", "message"),
    [
        ("event", m.Event(t_ns=1, kind="stop", who="me", why="pain", values={"score": 7.5, "note": None})),
        ("command", m.Command(t_ns=1, id="x", kind="arm", target="stimulator", arguments={"mode": "normal", "n": [1]})),
        ("phase", m.Phase(t_ns=1, session="s", state="running")),
        (
            "step/controller",
            m.Step(number=1, now_ns=2, inputs=(("emg/arm", "arm", 1, 0),), not_alive={"phase": "never"}),
        ),
        ("truth/pulse", m.Truth(t_ns=1, pulses_ns=(1, 2))),
    ],
)
def test_other_messages_come_out_as_they_went_in(topic, message):
    assert wire.decode(encode(message, topic))[1].message == message


def test_the_array_cannot_be_written_to():
    received = wire.decode(encode(array=np.zeros((2, 2), "<i2")))[1]
    with pytest.raises(ValueError, match="read-only"):
        received.array[0, 0] = 1


def nested(levels):
    """Arrays within arrays: one byte a level, so that even a head holds many."""
    return b"\x91" * levels + b"\xc0"


LEVELS = st.sampled_from([1, 10, 400, 510, 1_100, 10_000, 500_000])
#: Numbers around those at which a product of two overflows.
SIDE = st.integers(-2, 3) | st.sampled_from([0, 62, 63]).map(lambda bits: 1 << bits) | st.integers(0, 2**64 - 1)
#: A whole frame of small pieces of msgpack: maps, arrays, texts, numbers, times, what is no msgpack.
PIECE = st.binary(max_size=20) | st.sampled_from(
    [
        b"\x81",
        b"\x91",
        b"\xc0",
        b"\xa1a",
        b"\xd7\xff" + b"\xff" * 8,
        b"\xd4\x01\x02",
        b"\xcf" + b"\xff" * 8,
        b"\xa1\xff",
    ]
)
FRAME = st.binary(max_size=60) | st.lists(PIECE, max_size=6).map(b"".join) | LEVELS.map(nested)


@settings(deadline=None, max_examples=3_000)
@given(frames=st.lists(FRAME, max_size=5))
@example(frames=[b"emg/arm", b"\x91\x01", b"\x80"])
@example(frames=[b"emg/arm", b"", b""])
@example(frames=[b"emg/arm", nested(510), b"\x80"])
def test_arbitrary_bytes_are_refused_by_a_wire_error_only(frames):
    with pytest.raises(wire.WireError):
        wire.decode(frames)


@settings(deadline=None, max_examples=3_000)
@given(data=st.data())
def test_damaged_frames_are_refused_or_are_another_message_but_never_crash(data):
    frames = encode(array=np.arange(12, dtype="<i2").reshape(6, 2))
    which = data.draw(st.integers(0, 3))
    frame = bytearray(frames[which])
    act = data.draw(st.sampled_from(["flip", "cut", "grow", "drop", "swap", "nest", "reshape"]))
    if act == "flip":
        place = data.draw(st.integers(0, len(frame) - 1))
        frame[place] ^= 1 << data.draw(st.integers(0, 7))
    elif act == "cut":
        del frame[data.draw(st.integers(0, len(frame) - 1)) :]
    elif act == "grow":
        frame += data.draw(st.binary(min_size=1, max_size=8))
    frames[which] = bytes(frame)
    if act == "nest":
        frames[which] = nested(data.draw(LEVELS))
    elif act == "reshape":
        shape = data.draw(st.lists(SIDE, max_size=3).map(tuple))
        head = wire.Head(wire.VERSION, "s", "arm", 1, 2, data.draw(st.sampled_from(sorted(wire.DTYPES))), shape)
        frames[1] = wire.msgspec.msgpack.encode(head)
        frames[3] = data.draw(st.sampled_from([b"", frames[3]]))
    elif act == "drop":
        del frames[which]
    elif act == "swap":
        frames.reverse()
    try:
        head, received = wire.decode(frames)
    except wire.WireError:
        return
    assert isinstance(received.message, m.Message)
    assert received.array is None or received.array.nbytes == len(frames[3])
    assert head.version == wire.VERSION


def test_a_later_version_is_refused_by_name():
    frames = encode()
    later = wire.msgspec.msgpack.encode([wire.VERSION + 1, {"new": "fields"}])
    with pytest.raises(wire.UnknownVersion, match=f"wire version {wire.VERSION + 1}"):
        wire.decode([frames[0], later, frames[2]])


@pytest.mark.parametrize("which", [0, 1, 2, 3])
def test_nothing_larger_than_ours_may_be_is_looked_into(which):
    frames = encode(array=np.zeros((1, 1), "<i2"))
    limit = (wire.MAX_TOPIC_BYTES, wire.MAX_HEAD_BYTES, wire.MAX_BODY_BYTES, wire.MAX_ARRAY_BYTES)[which]
    frames[which] = b"\x00" * (limit + 1)
    with pytest.raises(wire.Oversized):
        wire.decode(frames)


def test_an_array_is_not_believed_to_be_larger_than_it_is():
    frames = encode(array=np.zeros((4, 2), "<i2"))
    head = wire.Head(wire.VERSION, "s", "arm", 1, 2, "<f8", (1 << 30, 1 << 30))
    with pytest.raises(wire.Oversized):
        wire.decode([frames[0], wire.msgspec.msgpack.encode(head), *frames[2:]])


@pytest.mark.parametrize("shape", [(0, 2**63), (0, 2**62), (2**62, 0), (2**63,), (0, wire.MAX_ARRAY_BYTES + 1)])
def test_no_side_of_an_array_is_longer_than_any_array_may_be_beside_one_of_none_too(shape):
    frames = encode(array=np.zeros((0, 2), "<i2"))
    head = wire.Head(wire.VERSION, "s", "arm", 1, 2, "<i2", shape)
    with pytest.raises(wire.Oversized):
        wire.decode([frames[0], wire.msgspec.msgpack.encode(head), *frames[2:]])


@pytest.mark.parametrize("levels", [1, 100, 10_000, 500_000])
def test_a_body_nested_however_deep_is_read_or_refused(levels):
    frames = encode(m.Command(t_ns=1, id="x", kind="arm", target="stimulator", arguments={"n": None}), "command")
    at = frames[2].index(b"\xa1n") + 2
    frames[2] = frames[2][:at] + nested(levels) + frames[2][at + 1 :]
    if levels <= 100:
        assert wire.decode(frames)[1].message.kind == "arm"
    else:
        with pytest.raises(wire.Malformed, match="body of command"):
            wire.decode(frames)


def test_a_record_whose_head_is_nested_too_deep_is_told_apart_and_then_refused():
    # Behind the fields that are known a head may have any others.
    frames = encode(m.Event(t_ns=1, kind="mark", who="me"), "event")
    head = wire.msgspec.msgpack.encode([*wire.msgspec.msgpack.decode(frames[1]), None])
    record = wire.pack([frames[0], head[:-1] + nested(5_000), frames[2]])
    with pytest.raises(wire.Oversized):
        wire.decode(wire.unpack("event", record))


def test_fewer_bytes_than_announced_are_truncated():
    frames = encode(array=np.zeros((4, 2), "<i2"))
    with pytest.raises(wire.Truncated):
        wire.decode([*frames[:3], frames[3][:-1]])
    with pytest.raises(wire.Truncated):
        wire.decode(frames[:3])
    with pytest.raises(wire.Truncated):
        wire.unpack("emg/arm", wire.pack(frames)[:7])


def test_only_the_table_s_message_travels_on_a_topic():
    with pytest.raises(wire.Malformed, match="carries Samples"):
        encode(m.Stop(t_ns=1, who="a", why="b"), "emg/arm")
    with pytest.raises(UnknownStream):
        encode(m.Stop(t_ns=1, who="a", why="b"), "halt")
    with pytest.raises(wire.Malformed, match="do not travel"):
        encode(array=np.zeros(3, "<u2"))


def test_unknown_fields_are_refused():
    frames = encode()
    body = wire.msgspec.msgpack.encode({"first_sample": 0, "t_ns": 1, "surprise": 1})
    with pytest.raises(wire.Malformed, match="surprise"):
        wire.decode([frames[0], frames[1], body])
