"""Each command of a P24 and a RehaMove3: what is answered when, in which state."""

import json
from pathlib import Path

import pytest

from myoloop.stimulators.emulators.emulator import Emulator
from myoloop.stimulators.emulators.ledger import Pulse
from myoloop.stimulators.emulators.sciencemode34 import ScienceMode34Device
from myoloop.stimulators.emulators.sciencemode34_wire import PacketReader, packed

MS, US, S = 1_000_000, 1_000, 1_000_000_000
GOLDEN = Path(__file__).parents[3] / "data" / "golden"
NONE, LOW, MID, RUNNING = 0, 1, 2, 3
OFF, FULL = 1, 6


def golden(name):
    return json.loads((GOLDEN / f"{name}.json").read_text())


def test_it_is_an_emulator(host):
    assert isinstance(host.device, Emulator)


def test_there_is_no_third_kind():
    with pytest.raises(ValueError, match="p24, rehamove3"):
        ScienceMode34Device("rehastim2")


def test_it_begins_without_level_and_voltage(host):
    assert host.status(0) == (NONE, OFF)
    assert host.device.active == ()


# Initialising and stopping take their time


@pytest.mark.parametrize(
    ("prepare", "command", "payload", "takes_ms", "status"),
    [
        (None, 0, b"\x00", 40, (LOW, FULL)),
        (None, 30, b"\x00", 80, (MID, FULL)),
        (0, 4, b"", 40, (NONE, OFF)),
        (30, 34, b"", 40, (NONE, OFF)),
        (None, 4, b"", 40, (NONE, OFF)),
        (None, 34, b"", 40, (NONE, OFF)),
    ],
)
def test_it_answers_when_it_is_done(host, prepare, command, payload, takes_ms, status):
    if prepare is not None:
        host.ask(prepare, b"\x00", 0, 80 * MS)
    number = host.send(command, payload, 100 * MS)
    assert host.heard((100 + takes_ms) * MS - 1) == []
    (answer,) = host.heard((100 + takes_ms) * MS)
    assert answer == (number, command + 1, b"\x00")
    assert host.status(200 * MS) == status


def test_what_comes_while_it_is_busy_is_done_afterwards_in_order(host):
    host.send(0, b"\x00", 0)
    host.send(2, host.config(), 10 * MS)
    host.send(62, b"", 10 * MS)
    assert [(packet.command, packet.payload[0]) for packet in host.heard(41 * MS)] == [(1, 0), (63, 0), (3, 0)]
    assert host.times_ns(S) == [40 * MS]


@pytest.mark.parametrize(
    ("first", "command", "payload"),
    [
        (0, 30, b"\x00"),
        (0, 32, b"\x00"),
        (0, 34, b""),
        (0, 36, b"\x04"),
        (30, 0, b"\x00"),
        (30, 4, b""),
        (None, 32, b"\x00"),
        (None, 36, b"\x04"),
    ],
)
def test_what_belongs_to_another_level_is_refused_and_changes_nothing(host, first, command, payload):
    if first is not None:
        host.ask(first, b"\x00", 0, 80 * MS)
    before = host.status(100 * MS)
    assert host.ask(command, payload, 100 * MS)[0] == 7
    assert host.status(100 * MS) == before


@pytest.mark.parametrize("first", [None, 30])
def test_a_low_level_pulse_needs_low_level(host, first):
    if first is not None:
        host.ask(first, b"\x00", 0, 80 * MS)
    assert host.ask(2, host.config(), 100 * MS) == b"\x07\x00\x00"
    assert host.times_ns(S) == []


# What it says of itself


def test_a_p24_says_who_it_is(host):
    assert host.ask(52) == b"\x00EMU-P24-01"
    assert host.ask(68) == bytes((0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0))


def test_a_rehamove3_says_who_it_is(rehamove3):
    assert rehamove3.ask(52) == b"\x00EMU-RM3-01"
    assert rehamove3.ask(50) == bytes((0, 0, 0, 0, 3, 2, 4))
    assert rehamove3.ask(54) == b"\x00\x50\x1c\xe8"


@pytest.mark.parametrize("profile", ["p24", "rehamove3"])
def test_every_command_it_does_not_know_is_answered_so_and_does_nothing(new_host, profile):
    host = new_host(profile)
    known = {0, 2, 4, 30, 32, 34, 36, 52, 58, 62, *((68,) if profile == "p24" else (50, 54))}
    for command in sorted(set(range(1024)) - known):
        number = host.send(command, b"\x01")
        assert host.heard(0) == [(number, 67, b"\x0b")]
    assert host.status(0) == (NONE, OFF)


@pytest.mark.parametrize("command", [4, 34, 52, 58, 62, 68])
def test_a_command_without_fields_takes_none(host, command):
    assert host.ask(command, b"\x00")[0] == 2


def test_reset_is_answered_and_then_it_is_silent_for_a_second(host):
    host.mid_level().send(32, host.update({0: host.train(10.0)}), 100 * MS)
    assert host.ask(58, b"", 155 * MS) == b"\x00"
    assert max(host.times_ns(S)) == 150 * MS
    host.send(52, b"", 155 * MS + S - 1)
    assert host.heard(155 * MS + S) == []
    assert host.status(155 * MS + S) == (NONE, OFF)


def test_a_restart_forgets_everything_and_keeps_the_ledger(host):
    host.mid_level().send(32, host.update({0: host.train(10.0)}), 100 * MS)
    host.device.restart(155 * MS)
    assert len(host.times_ns(10 * S)) == 6
    assert [packet.command for packet in host.heard(10 * S)] == [33]
    assert host.status(10 * S) == (NONE, OFF)


def test_a_broken_packet_does_nothing_and_is_answered_with_a_transfer_error(host):
    host.mid_level()
    broken = bytearray(packed(9, 32, host.update({0: host.train()})))
    broken[-6] ^= 0x01
    host.device.feed(bytes(broken), 100 * MS)
    assert host.heard(100 * MS) == [(9, 33, b"\x01")]
    assert host.times_ns(S) == []


def test_a_broken_packet_of_no_command_it_knows_is_a_general_error(host):
    broken = bytearray(packed(9, 200, b"\x33"))
    broken[-2] ^= 0x01
    host.device.feed(bytes(broken), 0)
    assert host.heard(0) == [(9, 66, b"\x01")]


# The RehaMove3


def test_the_rehamove3_has_four_outputs(rehamove3):
    assert rehamove3.low_level().ask(2, rehamove3.config(4), 50 * MS)[0] == 2
    assert rehamove3.ask(2, rehamove3.config(3), 50 * MS, MS) == b"\x00\x03"
    assert rehamove3.ask(4, b"", 60 * MS, 40 * MS) == b"\x00"
    assert rehamove3.ask(30, b"\x01", 100 * MS)[0] == 2
    assert rehamove3.ask(30, b"\x00", 100 * MS, 80 * MS) == b"\x00"
    assert rehamove3.ask(32, rehamove3.update({4: rehamove3.train()}), 200 * MS) == b"\x02"
    assert rehamove3.ask(32, rehamove3.update({0: rehamove3.train(quarters=True)}), 200 * MS) == b"\x02"
    assert rehamove3.ask(32, rehamove3.update({0: rehamove3.train(1.5)}), 200 * MS) == b"\x02"
    assert rehamove3.ask(32, rehamove3.update({3: rehamove3.train()}), 200 * MS) == b"\x00"
    assert rehamove3.ask(36, b"\x02", 210 * MS) == b"\x00\x02\x10"
    assert rehamove3.ask(36, b"\x04", 210 * MS)[0] == 2


def test_the_rehamove3_measures_nothing(rehamove3):
    assert rehamove3.ask(0, b"\x10")[0] == 2


def test_the_rehamove3_runs_the_vendors_own_examples(rehamove3):
    packets = {vector["name"]: bytes.fromhex(vector["hex"]) for vector in golden("sm3_vendor_examples")["vectors"]}
    for at_ms, packet in zip((0, 50, 60, 100, 200, 210, 220), packets.values(), strict=True):
        rehamove3.device.feed(packet, at_ms * MS)
    assert [(one.command, one.payload[0]) for one in rehamove3.heard(S)] == [
        (command, 0) for command in (1, 3, 5, 31, 33, 37, 35)
    ]
    first, *others = rehamove3.device.pulses_until(S)
    assert first == Pulse(50 * MS, 0, 20.0, 250.0)
    assert {(one.output, one.phase_us) for one in others} == {(0, 200.0), (1, 100.0)}


# The golden commands


@pytest.mark.parametrize("vector", golden("sm4_commands_science_mode_4")["vectors"], ids=lambda one: one["name"])
def test_golden_commands_deliver_what_their_fields_say(new_host, vector):
    host, fields = new_host(), vector["fields"]
    command = vector["command"]
    if command == 2:
        host.low_level()
    elif command == 32:
        host.mid_level()
    host.device.feed(bytes.fromhex(vector["hex"]), 100 * MS)
    pulses = host.device.pulses_until(150 * MS)
    if command == 2 and fields["execute"]:
        points = fields["points_us_mA"]
        (one,) = pulses
        assert one.output == fields["connector"] * 4 + fields["channel"]
        assert one.current_ma == max(abs(current_ma) for _, current_ma in points)
        assert one.phase_us == points[0][0]
        if len(points) > 3:
            assert [tuple(point) for point in one.points] == [(ma, us) for us, ma in points]
    elif command == 32:
        asked = {k: c for k, c in enumerate(fields["channels"]) if c and c.get("active", True)}
        assert {one.output for one in pulses} == set(asked)
        for output, channel in asked.items():
            times = [one.t_ns for one in pulses if one.output == output]
            assert len(times) == 1 + 50 * MS // round(channel["period_ms"] * MS)
            first = next(one for one in pulses if one.output == output)
            assert first.current_ma == channel["points_us_mA"][0][1] / (channel["ramp"] + 1)
    else:
        assert pulses == []
    if command >= 100:
        assert [packet.command for packet in PacketReader().feed(host.device.take(150 * MS))] == [67]
