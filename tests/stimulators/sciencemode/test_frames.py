"""Frames: stuffed, counted, checked; found again after anything, none lost."""

import binascii
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.stimulators.sciencemode.frames import LONGEST, Frame, Receiver, encode

frames = st.builds(Frame, st.integers(0, 63), st.integers(0, 1023), st.binary(max_size=200))
#: Bytes that mean something in a frame come up often.
noise = st.lists(st.one_of(st.sampled_from([0xF0, 0x0F, 0x81, 0x55]), st.integers(0, 255)), max_size=60).map(bytes)


@settings(deadline=None)
@given(frames)
def test_what_is_framed_is_found_again(frame):
    assert Receiver().feed(encode(frame)) == [frame]


@settings(deadline=None)
@given(st.lists(frames, max_size=5), st.data())
def test_it_does_not_matter_where_the_stream_is_cut(sent, data):
    stream = b"".join(map(encode, sent))
    receiver, found = Receiver(), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        found += receiver.feed(stream[:size])
        stream = stream[size:]
    assert found == sent


def test_special_bytes_are_stuffed_and_length_and_checksum_always_escaped():
    data = encode(Frame(60, 0, bytes((0xF0, 0x0F, 0x81))))
    # Number 60 makes a head byte of F0, which is stuffed too.
    assert data[9:] == bytes.fromhex("81a5 00 81a5 815a 81d4 0f")
    assert data[1:9:2] == b"\x81\x81\x81\x81"
    assert (data[2] ^ 0x55) << 8 | data[4] ^ 0x55 == len(data) == 19
    assert (data[6] ^ 0x55) << 8 | data[8] ^ 0x55 == binascii.crc_hqx(data[9:-1], 0)


@pytest.mark.parametrize("wrong", [Frame(-1, 0), Frame(64, 0), Frame(0, -1), Frame(0, 1024), Frame(0, 0, bytes(1300))])
def test_what_does_not_fit_a_frame_is_refused(wrong):
    with pytest.raises(ValueError):
        encode(wrong)


def test_the_longest_frame_is_found():
    frame = Frame(1, 2, bytes(LONGEST - 12))
    assert Receiver().feed(encode(frame)) == [frame]


def raw(stuffed, *, length=None, crc=None):
    """A frame with these bytes on the wire, right but for what is given."""
    length = len(stuffed) + 10 if length is None else length
    crc = binascii.crc_hqx(stuffed, 0) if crc is None else crc
    head = length.to_bytes(2, "big") + crc.to_bytes(2, "big")
    return b"\xf0" + b"".join(bytes((0x81, byte ^ 0x55)) for byte in head) + stuffed + b"\x0f"


@pytest.mark.parametrize(
    "bad",
    [
        raw(b"\x00\x34", crc=1),
        raw(b"\x00\x34", length=11),
        raw(b"\x00\x34", length=1201),
        raw(b"\x00\x34\x00", length=12),
        raw(b"\x00\x34", length=13),
        raw(b"\x81\xa5"),
        raw(b"\x00\x34\xf0\x00"),
        raw(b"\x00\x34\x0f\x00"),
        raw(b"\x00\x81"),
        raw(b"\x00\x34").replace(b"\x0f", b"\x0e"),
        b"\xf0\x55" + raw(b"\x00\x34")[2:],
    ],
    ids=["checksum", "short", "long", "cut", "lacks one", "no command", "start inside", "stop inside",
         "escaped stop", "no stop", "no escape"],
)  # fmt: skip
def test_a_spoiled_frame_is_none_and_the_next_is_found(bad):
    good = Frame(5, 53, b"\x00serial")
    receiver = Receiver()
    assert receiver.feed(bad + encode(good)) == [good]


def test_spoiled_checksums_are_counted():
    receiver = Receiver()
    receiver.feed(raw(b"\x00\x34", crc=1) + raw(b"\x81\xa5"))
    assert receiver.bad == 2


def test_a_frame_whose_rest_never_comes_holds_up_no_other():
    receiver = Receiver()
    cut = encode(Frame(1, 3, bytes(300)))
    # It ends in an escape: read naively, that would swallow the start of the next.
    assert receiver.feed(cut[:100] + b"\x81") == []
    good = Frame(2, 5, b"\x00")
    assert receiver.feed(encode(good)) == [good]
    assert receiver.feed(encode(good)) == [good]


def interrupted(seed, rounds):
    """Good frames with garbage, cut frames and spoiled frames between, cut anywhere; all found, and in order."""
    chance = random.Random(seed)
    receiver, sent, found = Receiver(), [], []
    for _ in range(rounds):
        other = encode(Frame(chance.randrange(64), chance.randrange(1024), chance.randbytes(chance.randrange(30))))
        garbage = chance.choice([
            chance.randbytes(chance.randrange(40)),
            bytes(chance.choices([0xF0, 0x0F, 0x81, 0x55, 0xA5], k=chance.randrange(40))),
            other[: chance.randrange(len(other))],
            other[chance.randrange(1, len(other)) :],
            other[: chance.randrange(len(other))] + b"\x81",
        ])  # fmt: skip
        frame = Frame(chance.randrange(64), chance.randrange(1024), chance.randbytes(chance.randrange(30)))
        sent.append(frame)
        stream = garbage + encode(frame)
        cut = chance.randrange(len(stream) + 1)
        found += receiver.feed(stream[:cut]) + receiver.feed(stream[cut:])
    return sent, found


def test_ten_thousand_interruptions_lose_no_good_frame():
    sent, found = interrupted(20260, 10_000)
    assert found == sent


@settings(deadline=None)
@given(noise, frames, noise, frames)
def test_garbage_costs_no_good_frame_and_leaves_nothing_behind(before, one, between, other):
    receiver = Receiver()
    found = receiver.feed(before + encode(one) + between + encode(other))
    assert [frame for frame in found if frame in (one, other)] == [one, other]
    assert len(receiver._buffer) < LONGEST


def test_noise_alone_never_fills_the_memory():
    receiver = Receiver()
    for _ in range(50):
        receiver.feed(encode(Frame(0, 3, bytes(1000)))[:-200])
        receiver.feed(b"\xf0\x81")
    assert len(receiver._buffer) < 2 * LONGEST


# Where science_mode_4 does otherwise (reference: stimulators.md, section 0), and why ours does not.


@pytest.mark.parametrize(("garbage", "count"), [(3, 2), (20, 3)])
def test_garbage_swallows_no_packet_after_it(garbage, count):
    # science_mode_4 cuts its buffer from the wrong place: of these it finds 1 of 2, and 2 of 3.
    sent = [Frame(number, 63, b"\0\0\1") for number in range(count)]
    assert Receiver().feed(bytes(garbage) + b"".join(map(encode, sent))) == sent


def test_frames_without_payload_are_found():
    # science_mode_4 looks for their stop byte behind it.
    assert Receiver().feed(encode(Frame(0, 52))) == [Frame(0, 52)]


def test_the_length_is_checked():
    # science_mode_4 never looks at it.
    assert Receiver().feed(raw(b"\x00\x34", length=13) + raw(b"\x00\x34")) == [Frame(0, 52)]
