"""Packets of ScienceMode 2: byte for byte as the maker's text has them, and found again after any garbage."""

import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.stimulators.emulators import sciencemode2_wire as device_wire
from myoloop.stimulators.sciencemode2 import commands
from myoloop.stimulators.sciencemode2.frames import Packet, Parser, crc8, frame

GOLDEN = json.loads((Path(__file__).parents[2] / "data/golden/sm2_rehastim2.json").read_text())["vectors"]
byte = st.integers(0, 255)
packets = st.builds(Packet, byte, byte, st.binary(max_size=60))
#: Full of what is special on the wire.
nasty = st.builds(
    Packet, byte, byte, st.lists(st.sampled_from([0xF0, 0x0F, 0x81, 0x55, 0xA5, 0x5A, 0xD4]), max_size=60).map(bytes)
)


def golden_packet(vector):
    return Packet(vector["packet_number"], vector["command"], bytes(vector["data"]))


@pytest.mark.parametrize("vector", GOLDEN, ids=lambda vector: vector["name"])
def test_each_golden_packet_is_written_and_read_byte_for_byte(vector):
    data, packet = bytes.fromhex(vector["hex_spec"]), golden_packet(vector)
    assert frame(packet) == device_wire.written(*packet) == data
    assert Parser().take(data) == device_wire.Ear().hear(data) == [packet]


@pytest.mark.parametrize("vector", [each for each in GOLDEN if not each["same"]], ids=lambda vector: vector["name"])
def test_what_another_package_writes_is_read_with_its_superfluous_escapes(vector):
    (packet,) = Parser().take(bytes.fromhex(vector["hex_pysciencemode_1_1_5"]))
    assert device_wire.Ear().hear(bytes.fromhex(vector["hex_pysciencemode_1_1_5"])) == [packet]
    assert packet.data == bytes(vector["data"])
    # What is special in number or command it spoils without a sign: the device hears another number or command.
    spoilt = {10, 15, 85, 129, 240}
    for meant, heard in ((vector["packet_number"], packet.number), (vector["command"], packet.command)):
        assert heard == (meant ^ 0x55 if meant in spoilt else meant)


@given(packets | nasty)
def test_every_packet_comes_back_from_its_bytes_on_both_sides(packet):
    data = frame(packet)
    assert data == device_wire.written(*packet)
    assert Parser().take(data) == device_wire.Ear().hear(data) == [packet]
    assert b"\xf0" not in data[5:-1]
    assert b"\x0f" not in data[5:-1]


every_command = st.one_of(
    st.builds(commands.init_ack, byte, st.sampled_from([0, -5])),
    st.builds(commands.watchdog, byte),
    st.builds(commands.get_mode, byte),
    st.builds(commands.stop_list, byte),
    st.builds(
        commands.init_list,
        byte,
        st.sets(st.integers(0, 7), min_size=1).map(sorted),
        st.integers(40, 2000).map(lambda steps: steps * 500),
    ),
    st.builds(
        commands.start_list, byte, st.lists(st.tuples(st.integers(0, 500), st.integers(0, 130)), min_size=1, max_size=8)
    ),
)


@given(every_command)
def test_each_command_of_the_driver_is_heard_by_the_device_as_it_was_meant(packet):
    assert device_wire.Ear().hear(frame(packet)) == [packet]


def test_the_commands_say_what_the_golden_ones_say():
    by_name = {vector["name"]: golden_packet(vector) for vector in GOLDEN}
    assert commands.init_ack(0, 0) == by_name["init_ack_ok_pn0"]
    assert commands.init_ack(0, -5) == by_name["init_ack_reject"]
    assert commands.watchdog(129) == by_name["watchdog_pn129"]
    assert commands.get_mode(2) == by_name["get_mode"]
    assert commands.stop_list(13) == by_name["stop_cl"]
    assert commands.init_list(3, [0, 1], 50_000) == by_name["init_cl_ch1_2_t1_50ms_t2_8ms"]
    assert commands.start_list(11, [(85, 10)]) == by_name["start_cl_extra_stuff_85_10"]


@pytest.mark.parametrize("vector", [v for v in GOLDEN if "result" in v["fields"] and v["direction"] == "dev->pc"])
def test_results_are_signed(vector):
    assert commands.result_of(golden_packet(vector)) == vector["fields"]["result"]


def test_an_answer_without_a_result_is_a_transfer_error():
    assert commands.result_of(Packet(1, 35)) == commands.TRANSFER_ERROR


@given(st.binary(max_size=80))
def test_both_sides_reckon_the_same_checksum(data):
    assert crc8(data) == device_wire.checksum(data)


def test_the_checksum_is_the_one_of_the_standard_check():
    assert crc8(b"123456789") == 0xF4


def test_too_much_data_is_refused():
    with pytest.raises(ValueError, match="at most 60"):
        frame(Packet(0, 32, bytes(61)))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ("f08149815700040e", "another end"),
        ("f08148815700040f", "checksum"),
        ("f08149815600040f", "length"),
        ("f000498157000400", "no escape before the checksum"),
        ("f08149005700040f", "no escape before the length"),
        ("f08155815500", "no body"),
        ("f08155815400000f", "a body of one byte, and more"),
        ("f0814981570004000f", "longer than it says"),
    ],
)
def test_what_is_not_a_packet_is_skipped_and_the_next_one_found(data, why):
    good = Packet(7, 4)
    assert Parser().take(bytes.fromhex(data) + frame(good)) == [good]
    assert device_wire.Ear().hear(bytes.fromhex(data) + frame(good)) == [good]


def spoilt_body(body):
    return bytes((0xF0, 0x81, crc8(body) ^ 0x55, 0x81, len(body) ^ 0x55)) + body + b"\x0f"


@pytest.mark.parametrize("body", [b"\x01\x81", b"\x01\x04\x81", b"\x81\xa5", b"\x07"])
def test_an_escape_without_its_byte_and_a_body_too_short_are_no_packet(body):
    assert Parser().take(spoilt_body(body)) == []
    assert device_wire.Ear().hear(spoilt_body(body)) == []


def random_packet(random_):
    data = bytes(random_.choice([0xF0, 0x0F, 0x81, random_.randrange(256)]) for _ in range(random_.randrange(12)))
    return Packet(random_.randrange(256), random_.randrange(256), data)


def interruption(random_):
    """What comes between two packets: noise, or a packet that was cut off."""
    if random_.random() < 0.5:
        return bytes(random_.choice([0xF0, 0x0F, 0x81, random_.randrange(256)]) for _ in range(random_.randrange(30)))
    cut = frame(random_packet(random_))
    return cut[: random_.randrange(len(cut))]


@pytest.mark.parametrize("ear", [lambda: Parser().take, lambda: device_wire.Ear().hear], ids=["host", "device"])
def test_no_good_packet_is_lost_in_ten_thousand_interruptions(ear):
    random_ = random.Random(20_240)
    hear = ear()
    heard, sent, stream = [], [], bytearray()
    for _ in range(10_000):
        good = random_packet(random_)
        sent.append(good)
        stream += interruption(random_) + frame(good)
    at = 0
    while at < len(stream):
        step = random_.choice([1, 3, 20, 200])
        heard += hear(bytes(stream[at : at + step]))
        at += step
    assert set(sent) <= set(heard)
    rest = iter(heard)
    assert all(packet in rest for packet in sent), "in order"
    # One checksum in 256 fits by chance, where noise looks like a whole packet at all.
    assert len(heard) - len(sent) <= 10


@settings(deadline=None)
@given(st.binary(max_size=40), packets, st.lists(st.integers(1, 9), min_size=1, max_size=30))
def test_a_packet_is_found_wherever_the_stream_is_cut(garbage, packet, cuts):
    data = garbage + frame(packet)
    for hear in (Parser().take, device_wire.Ear().hear):
        heard, at = [], 0
        for cut in cuts:
            heard += hear(data[at : at + cut])
            at += cut
        heard += hear(data[at:])
        assert heard[-1:] == [packet]


def test_what_a_device_cannot_read_it_says():
    ear = device_wire.Ear()
    ear.hear(bytes.fromhex("f08148815700040f") + bytes.fromhex("f08149815600040f") + spoilt_body(b"\x01\x04\x81"))
    ear.hear(spoilt_body(b"\x07"))
    told = "; ".join(ear.malformed)
    for what in ("checksum", "length", "escape without its byte", "no command"):
        assert what in told
