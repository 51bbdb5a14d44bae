"""What a P24 and a RehaMove3 do when electrodes, line or firmware fail, by what they deliver."""

import math

import pytest

from myoloop.stimulators.emulators.ledger import Point, Pulse, ledger_line
from myoloop.stimulators.emulators.sciencemode34_fields import CodedPoint, Shape
from myoloop.stimulators.emulators.sciencemode34_source import HV_ERROR, CurrentSource, ScienceModeFaults
from myoloop.stimulators.emulators.sciencemode34_wire import BrokenPacket, PacketReader

MS, US, S = 1_000_000, 1_000, 1_000_000_000
NONE, LOW, MID, RUNNING = 0, 1, 2, 3
OFF, FULL = 1, 6
#: Result codes of the P24 but success.
CODES = range(1, 29)


# Electrodes and loads


@pytest.mark.parametrize(("current_ma", "result"), [(14.5, 0), (15.0, 10), (40.0, 10)])
def test_an_open_electrode_is_noticed_from_15_ma_on_and_gives_nothing(host, current_ma, result):
    host.faults.open_electrodes.add(5)
    answer = host.low_level().ask(2, host.config(5, host.pulse(current_ma)), 50 * MS, MS)
    assert answer == bytes((result, 0x11, 0))
    assert host.times_ns(S) == []


def test_an_electrode_error_is_answered_at_once(host):
    host.faults.open_electrodes.add(0)
    assert host.low_level().ask(2, host.config(), 50 * MS)[0] == 10


def test_an_electrode_comes_off_at_a_time(host):
    host.faults.open_from_ns[0] = 200 * MS
    host.mid_level().send(32, host.update({0: host.train(25.0), 1: host.train(25.0)}), 100 * MS)
    pulses = host.device.pulses_until(S)
    assert [one.t_ns // MS for one in pulses if one.output == 0] == [100, 125, 150, 175]
    assert len([one for one in pulses if one.output == 1]) == 37
    assert host.ask(36, b"\x04", S) == b"\x00\x04\x02\x01\x00\x00\x00"
    assert host.ask(36, b"\x03", S) == b"\x00\x03\x11\x10"


def test_an_error_stops_all_channels_where_that_was_asked_for(host):
    host.faults.open_from_ns[1] = 200 * MS
    host.mid_level(b"\x01").send(32, host.update({0: host.train(25.0), 1: host.train(25.0)}), 100 * MS)
    assert max(host.times_ns(10 * S)) <= 200 * MS
    assert host.status(10 * S) == (MID, FULL)
    assert host.ask(36, b"\x04", 10 * S) == b"\x00\x04\x00\x10\x00\x00\x00"


def test_the_next_update_tries_again_and_a_pulse_that_flows_clears_the_error(host):
    host.faults.open_electrodes.add(0)
    host.mid_level().send(32, host.update({0: host.train()}), 100 * MS)
    assert host.ask(36, b"\x04", 110 * MS)[3] == 1
    host.faults.open_electrodes.clear()
    host.send(32, host.update({0: host.train()}), 200 * MS)
    assert host.times_ns(201 * MS) == [200 * MS]
    assert host.ask(36, b"\x04", 210 * MS) == b"\x00\x04\x01\x00\x00\x00\x00"


@pytest.mark.parametrize(("load_ohm", "current_ma", "result"), [(2000, 75, 0), (2000, 75.5, 28), (1153, 130, 0)])
def test_the_voltage_bounds_the_current_by_the_load(host, load_ohm, current_ma, result):
    host.faults.load_ohm[2] = load_ohm
    assert host.low_level().ask(2, host.config(2, host.pulse(current_ma)), 50 * MS, MS)[0] == result
    assert len(host.times_ns(S)) == (result == 0)


def test_a_load_that_doubles_stops_the_channel_with_too_low_a_current(host):
    host.mid_level().send(32, host.update({3: host.train(25.0, host.pulse(80.0))}), 100 * MS)
    assert len(host.times_ns(190 * MS)) == 4
    host.faults.load_factor = 2.0
    assert host.times_ns(S) == []
    assert host.ask(36, b"\x04", S) == b"\x00\x04\x00\x00\x30\x00\x00"


@pytest.mark.parametrize(("code", "most_ma"), [(2, 30), (3, 60), (4, 90), (5, 120), (6, 130)])
def test_a_lower_voltage_of_the_rehamove3_is_a_limit(rehamove3, code, most_ma):
    host = rehamove3.low_level(bytes((code << 1,)))
    assert host.ask(2, host.config(0, host.pulse(most_ma)), 50 * MS, MS) == b"\x00\x00"
    if most_ma < 130:
        # It has no code of its own for this.
        assert host.ask(2, host.config(0, host.pulse(most_ma + 0.5)), 60 * MS, MS) == b"\x0a\x00"
    assert len(host.times_ns(S)) == 1


def test_an_open_electrode_measures_no_current_and_all_of_the_voltage(host):
    host.faults.open_electrodes.add(0)
    host.low_level(b"\x10")
    assert not any(host.ask(2, host.config(0, host.pulse(10.0)), 50 * MS, MS)[5:])
    host.ask(0, b"\x20", 60 * MS, 40 * MS)
    answer = host.ask(2, host.config(0, host.pulse(10.0)), 110 * MS, MS)
    assert int.from_bytes(answer[5:7], "big") == 15000


def test_a_channel_without_time_within_its_period_has_a_pulse_timeout(host):
    dense, long = host.train(0.5, host.point(10, 5) + host.point(10, -5)), host.train(50.0, host.pulse(5.0, 1000))
    host.mid_level().send(32, host.update({0: dense, 1: long}), 100 * MS)
    assert host.ask(36, b"\x04", 200 * MS) == b"\x00\x04\x02\x02\x00\x00\x00"
    assert {one.output for one in host.device.pulses_until(S) if one.t_ns > 103 * MS} == {1}


# Pulses that are not symmetric


def test_direct_current_is_told_by_the_ledger(host):
    host.low_level().send(2, host.config(0, host.point(200, 20) + host.point(50, 0) + host.point(100, -20)), 50 * MS)
    (one,) = host.device.pulses_until(S)
    assert one == Pulse(50 * MS, 0, 20.0, 200.0, (Point(20.0, 200.0), Point(0.0, 50.0), Point(-20.0, 100.0)), 2000.0)
    assert ledger_line(one) == (
        b'{"t_ns":50000000,"output":0,"current_ma":20.0,"width_us":200.0,'
        b'"points":[[20.0,200.0],[0.0,50.0],[-20.0,100.0]],"net_charge_nc":2000.0}\n'
    )


def test_a_balanced_pulse_of_unlike_phases_has_points_and_no_net_charge_on_a_ramp_either(host):
    points = host.point(100, 30) + host.point(300, -10)
    host.mid_level().send(32, host.update({0: host.train(20.0, points, ramp=2)}), 100 * MS)
    pulses = host.device.pulses_until(145 * MS)
    assert [one.net_charge_nc for one in pulses] == [0.0, 0.0, 0.0]
    assert [one.current_ma for one in pulses] == [10.0, 20.0, 30.0]
    assert pulses[0].points == (Point(10.0, 100.0), Point(pytest.approx(-10 / 3), 300.0))


def test_a_point_below_ten_microseconds_lasts_ten(host):
    host.low_level().send(2, host.config(0, host.point(3, 20) + host.point(15, -20)), 50 * MS)
    (one,) = host.device.pulses_until(S)
    assert one.points == (Point(20.0, 10.0), Point(-20.0, 15.0))
    assert one.net_charge_nc == -100.0


def test_the_leading_edge_is_where_current_begins(host):
    points = host.point(500, 0) + host.point(60, 5) + host.point(40, 5) + host.point(100, -5) + host.point(300, 0)
    host.low_level().send(2, host.config(0, points), 50 * MS)
    assert host.device.pulses_until(S) == [Pulse(50 * MS + 500 * US, 0, 5.0, 100.0)]


def test_a_pulse_of_no_current_is_answered_and_is_none(host):
    host.low_level()
    assert host.ask(2, host.config(0, host.point(100, 0)), 50 * MS, MS) == b"\x00\x00\x00"
    assert host.times_ns(S) == []


# Errors on request


@pytest.mark.parametrize("command", [0, 2, 4, 30, 32, 34, 36, 52, 58, 62, 68])
@pytest.mark.parametrize("code", CODES)
def test_each_command_can_be_refused_once_with_each_code(host, command, code):
    low = command in (2, 4)
    ready = host.low_level() if low else host.mid_level() if command not in (0, 30) else host
    payload = {
        0: b"\x00", 2: host.config(), 30: b"\x00", 32: host.update({0: host.train()}), 36: b"\x04"
    }.get(command, b"")  # fmt: skip
    before = ready.status(100 * MS)
    host.faults.results_once[command] = code
    refused = host.ask(command, payload, 100 * MS)
    assert refused[0] == code
    assert host.status(100 * MS) == before
    assert host.times_ns(150 * MS) == []
    again = host.ask(command, payload, 200 * MS, 100 * MS)
    assert again[0] == 0
    if not (command == 2 or command == 36):
        assert len(again) == len(refused)


def test_a_command_can_be_refused_always(host):
    host.faults.results_always[2] = 4
    host.low_level()
    assert [host.ask(2, host.config(), t_ms * MS)[0] for t_ms in range(50, 60)] == [4] * 10
    assert host.times_ns(S) == []


def test_a_stop_that_is_refused_stops_nothing(host):
    host.mid_level().send(32, host.update({0: host.train(10.0)}), 100 * MS)
    host.faults.results_always[34] = 21
    assert host.ask(34, b"", 155 * MS) == b"\x15"
    assert host.times_ns(10 * S)[-1] == 2090 * MS


@pytest.mark.parametrize("code", CODES)
def test_it_can_say_a_general_error_unasked(host, code):
    host.faults.general_errors.append(code)
    assert host.heard(5 * MS) == [(0, 66, bytes((code,)))]
    assert host.heard(10 * MS) == []


def test_a_full_queue_takes_nothing(host):
    host.faults.queue_full = True
    assert host.low_level().ask(2, host.config(), 50 * MS)[0] == 21
    assert host.times_ns(S) == []


def test_the_rehamove3_has_no_busy(rehamove3):
    rehamove3.faults.queue_full = True
    assert rehamove3.low_level().ask(2, rehamove3.config(), 50 * MS)[0] == 4


def test_the_mask_it_reports_can_be_wrong(host):
    host.mid_level().send(32, host.update({0: host.train()}), 100 * MS)
    host.faults.mask_flipped = 0b11
    assert host.ask(36, b"\x04", 110 * MS)[2] == 0b10
    assert host.device.active == (0,)


# A device that resets, or does not stop


def test_a_spontaneous_reset_ends_everything(host):
    host.mid_level().send(32, host.update({0: host.train(10.0)}), 100 * MS)
    host.faults.reset_at_ns = 155 * MS
    assert host.times_ns(S)[-1] == 150 * MS
    host.send(52, b"", 155 * MS + S - 1)
    assert [packet.command for packet in host.heard(2 * S)] == [33]
    assert host.ask(32, host.update({0: host.train(10.0)}), 2 * S) == b"\x07"


def test_a_rehamove3_takes_ten_seconds_to_come_back(rehamove3):
    rehamove3.ask(58)
    rehamove3.send(52, b"", 10 * S - 1)
    assert rehamove3.heard(10 * S) == []
    assert rehamove3.status(10 * S) == (NONE, OFF)


def test_a_reset_that_is_not_answered_is_one(host):
    host.faults.reset_is_silent = True
    host.low_level().send(58, b"", 50 * MS)
    assert host.heard(S) == []
    assert host.status(2 * S) == (NONE, OFF)


@pytest.mark.parametrize("command", [32, 34])
def test_a_device_stuck_in_mid_level_goes_on_until_its_own_timeout(host, command):
    host.faults.stuck_on = True
    host.mid_level().send(32, host.update({0: host.train(10.0)}), 100 * MS)
    assert host.ask(command, b"\x00" if command == 32 else b"", 500 * MS, 40 * MS) == b"\x00"
    assert host.status(600 * MS) == (RUNNING, FULL)
    assert host.times_ns(20 * S)[-1] == (2490 if command == 32 else 2090) * MS


def test_a_device_stuck_in_low_level_repeats_its_last_pulse_until_it_is_switched_off(host):
    host.faults.stuck_on = True
    host.low_level()
    for t_ms in (50, 75):
        host.send(2, host.config(), t_ms * MS)
    host.heard(80 * MS)
    assert host.ask(4, b"", 80 * MS, 40 * MS) == b"\x00"
    assert host.times_ns(160 * MS) == [t_ms * MS for t_ms in (50, 75, 100, 125, 150)]
    assert host.status(160 * MS) == (LOW, FULL)
    assert host.device.active == (0,)
    host.device.restart(160 * MS)
    assert host.times_ns(20 * S) == []


def test_a_stuck_device_gives_new_pulses_between_those_it_repeats(host):
    host.faults.stuck_on = True
    host.low_level().send(2, host.config(), 50 * MS)
    host.send(4, b"", 60 * MS)
    host.send(2, host.config(1), 120 * MS)
    host.send(2, host.config(2), 150 * MS - 1)
    pulses = [(one.output, one.t_ns) for one in host.device.pulses_until(155 * MS)]
    assert pulses == [(0, 50 * MS), (0, 100 * MS), (1, 120 * MS), (2, 150 * MS - 1), (0, 150 * MS - 1 + 660 * US)]


def test_a_source_without_voltage_gives_nothing():
    source = CurrentSource(ScienceModeFaults(), 0)
    assert source.give(0, Shape((CodedPoint(100, 10),), 0, 100), 0) == HV_ERROR
    assert not source.delivered


def test_a_stop_is_obeyed_once_it_is_no_longer_stuck(host):
    host.faults.stuck_on = True
    host.low_level().send(2, host.config(), 50 * MS)
    host.send(4, b"", 60 * MS)
    assert len(host.times_ns(500 * MS)) == 10
    host.faults.stuck_on = False
    host.send(4, b"", 510 * MS)
    assert host.times_ns(20 * S) == []
    assert host.status(20 * S) == (NONE, OFF)


def test_a_clock_that_goes_back_is_no_time_gone_by(host):
    host.mid_level().send(32, host.update({0: host.train(10.0)}), 100 * MS)
    assert len(host.times_ns(200 * MS)) == 11
    assert host.times_ns(50 * MS) == []
    assert host.ask(36, b"\x04", 60 * MS)[0] == 0
    assert host.times_ns(211 * MS) == [210 * MS]


# The line


def test_a_lost_answer_is_all_that_is_lost(host):
    host.mid_level()
    host.faults.drop_answers = True
    host.send(32, host.update({0: host.train()}), 100 * MS)
    assert host.heard(S) == []
    assert host.device.active == (0,)


def test_answers_come_late_twice_behind_garbage_or_in_two_halves(host):
    host.faults.answer_delay_ns = 300 * MS
    host.faults.duplicate_answers = True
    host.faults.garbage_before_answers = b"\xf0\x81"
    host.faults.split_answers_ns = MS
    number = host.send(52)
    assert host.heard(301 * MS - 1) == []
    answer = (number, 53, b"\x00EMU-P24-01")
    assert host.heard(302 * MS) == [answer, answer]


def test_an_answer_is_spoiled(host):
    host.faults.corrupt_answers = True
    host.device.feed(bytes.fromhex("f0815581598123818200340f"), 0)
    assert all(isinstance(one, BrokenPacket) for one in PacketReader().feed(host.device.take(0)))


def test_an_answer_carries_another_number_and_is_otherwise_good(host):
    host.faults.wrong_number_answers = True
    number = host.send(52)
    (answer,) = host.heard(0)
    assert answer.number != number
    assert answer.payload == b"\x00EMU-P24-01"


def test_a_device_whose_cable_is_out_goes_on_by_itself_and_only_so_long(host):
    host.mid_level().send(32, host.update({0: host.train(10.0)}), 100 * MS)
    host.faults.vanished = True
    host.send(34, b"", 155 * MS)
    assert host.heard(S) == []
    assert host.times_ns(20 * S)[-1] == 2090 * MS


def test_a_load_that_is_infinite_is_an_open_electrode(host):
    host.faults.load_ohm[0] = math.inf
    assert host.low_level().ask(2, host.config(), 50 * MS)[0] == 10
