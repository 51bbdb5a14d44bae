"""Packets of ScienceMode 3 and 4, by the vendor's own bytes and by a line that is interrupted everywhere."""

import binascii
import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.stimulators.emulators.sciencemode34_wire import BrokenPacket, Packet, PacketReader, packed

GOLDEN = Path(__file__).parents[3] / "data" / "golden"


def vectors(*names):
    return [
        pytest.param(vector, id=f"{name}-{vector['name']}")
        for name in names
        for vector in json.loads((GOLDEN / f"{name}.json").read_text())["vectors"]
    ]


COMMANDS = vectors("sm3_vendor_examples", "sm4_commands_vendor_c_library", "sm4_commands_science_mode_4")
NUMBERED = vectors("sm4_commands_science_mode_4")
ANSWERS = vectors("sm4_acks_vendor_c_library")


def packet_lists():
    one = st.builds(Packet, st.integers(0, 63), st.integers(0, 1023), st.binary(max_size=300))
    return st.lists(one, max_size=5)


@pytest.mark.parametrize("vector", ANSWERS)
def test_answers_are_written_as_the_vendors_library_writes_them(vector):
    data = packed(vector["packet_number"], vector["command"], bytes.fromhex(vector["payload_hex"]))
    assert data.hex() == vector["hex"]
    assert len(data) == vector["length"]


@pytest.mark.parametrize("vector", COMMANDS)
def test_a_command_is_read_whole_and_would_be_written_the_same(vector):
    (packet,) = PacketReader().feed(bytes.fromhex(vector["hex"]))
    assert isinstance(packet, Packet)
    assert packed(*packet).hex() == vector["hex"]


@pytest.mark.parametrize("vector", NUMBERED)
def test_number_and_command_are_those_it_was_made_with(vector):
    (packet,) = PacketReader().feed(bytes.fromhex(vector["hex"]))
    assert (packet.number, packet.command) == (vector["packet_number"], vector["command"])


@settings(deadline=None)
@given(packet_lists(), st.integers(1, 40))
def test_what_is_written_is_read_however_it_is_cut(packets, cut):
    reader = PacketReader()
    data = b"".join(packed(*packet) for packet in packets)
    assert [one for at in range(0, len(data), cut) for one in reader.feed(data[at : at + cut])] == packets


@settings(deadline=None)
@given(st.integers(0, 63), st.integers(0, 1023), st.binary(max_size=60))
def test_marks_stand_raw_nowhere_but_behind_an_escape(number, command, payload):
    data = packed(number, command, payload)
    inner = data[1:-1]
    raw = [at for at, byte in enumerate(inner) if byte in (0xF0, 0x0F)]
    assert all(at in (1, 3, 5, 7) for at in raw)


def test_an_escape_that_need_not_be_is_taken_off():
    data = bytearray(packed(1, 52, b"\x20"))
    plain = bytes(data[9:-1]).replace(b"\x20", b"\x81\x75")
    header = (len(plain) + 10).to_bytes(2, "big") + binascii.crc_hqx(plain, 0).to_bytes(2, "big")
    escaped = b"\xf0" + b"".join(bytes((0x81, byte ^ 0x55)) for byte in header) + plain + b"\x0f"
    assert PacketReader().feed(escaped) == [Packet(1, 52, b"\x20")]


def test_a_wrong_checksum_is_told_with_the_command_it_seems_to_be():
    data = bytearray(packed(5, 32, b"\x00"))
    data[-2] ^= 0x01
    assert PacketReader().feed(bytes(data)) == [BrokenPacket(5, 32, b"\x01")]


def test_a_wrong_length_is_told():
    data = bytearray(packed(5, 32, b"\x00"))
    data[4] ^= 0x01
    assert PacketReader().feed(bytes(data)) == [BrokenPacket(5, 32, b"\x00")]


@pytest.mark.parametrize("at", [1, 3, 5, 7])
def test_a_header_without_its_escapes_is_broken(at):
    data = bytearray(packed(5, 52, b"\x33\x33"))
    data[at] = 0x80
    (packet,) = PacketReader().feed(bytes(data))
    assert isinstance(packet, BrokenPacket)


@pytest.mark.parametrize("garbage", [b"\xf0\x0f", b"\xf0\x81\x0f\x0f", b"\x0f\x0f\x81", b"\xf0" * 30])
def test_what_is_too_short_for_a_command_is_passed_over(garbage):
    assert PacketReader().feed(garbage) == []


def test_a_packet_of_the_longest_length_is_read_and_none_beyond():
    longest = packed(0, 40, bytes(1188))
    assert len(longest) == 1200
    assert PacketReader().feed(longest) == [Packet(0, 40, bytes(1188))]
    assert PacketReader().feed(packed(0, 40, bytes(1189))) == []


@settings(deadline=None, max_examples=300)
@given(st.lists(st.sampled_from([0xF0, 0x0F, 0x81, 0x55, 0x00]), max_size=40), st.integers(0, 2))
def test_garbage_of_marks_and_escapes_hides_no_packet(garbage, more):
    packet = packed(7, 34)
    heard = PacketReader().feed(bytes(garbage) + packet * (more + 1))
    assert heard.count(Packet(7, 34, b"")) == more + 1


def test_an_escape_at_the_end_of_too_long_garbage_hides_no_packet():
    for length in range(1180, 1203):
        garbage = b"\xf0" + b"\x33" * length + b"\x81"
        assert Packet(7, 34, b"") in PacketReader().feed(garbage + packed(7, 34))


def test_ten_thousand_interruptions_lose_no_good_packet():
    chance = random.Random(34)
    reader = PacketReader()
    for _ in range(10_000):
        good = Packet(chance.randrange(64), chance.choice([2, 32, 34, 36]), chance.randbytes(chance.randrange(30)))
        kind = chance.randrange(5)
        cut_off = packed(chance.randrange(64), 32, chance.randbytes(chance.randrange(60)))
        interruption = (
            cut_off[: chance.randrange(len(cut_off))],
            chance.randbytes(chance.randrange(40)),
            bytes(chance.choices((0xF0, 0x0F, 0x81), k=chance.randrange(12))),
            b"\xf0" + bytes(chance.choices(range(0x10, 0x81), k=chance.randrange(1150, 1260))) + b"\x81" * (kind % 2),
            cut_off[: chance.randrange(len(cut_off))] + b"\x81",
        )[kind if kind != 3 or chance.random() < 0.1 else 0]
        data = interruption + packed(*good)
        heard = []
        while data:
            at = chance.randrange(1, 40)
            heard += reader.feed(data[:at])
            data = data[at:]
        assert [one for one in heard if isinstance(one, Packet)] == [good]


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=400))
def test_any_bytes_can_be_read(data):
    for packet in PacketReader().feed(data):
        assert 0 <= packet.number < 64
        assert 0 <= packet.command < 1024
