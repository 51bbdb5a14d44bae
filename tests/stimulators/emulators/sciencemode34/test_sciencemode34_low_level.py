"""Low level: one pulse per command, given at once, answered when it is over."""

import pytest

from myoloop.stimulators.emulators.ledger import Pulse

MS, US, S = 1_000_000, 1_000, 1_000_000_000
NONE, LOW = 0, 1
OFF, FULL = 1, 6


def test_a_low_level_pulse_is_given_at_once_and_answered_when_it_is_over(host):
    host.low_level()
    number = host.send(2, host.config(6, host.pulse(12.5, 300)), 50 * MS + 7)
    assert host.heard(50 * MS + 7 + 700 * US - 1) == []
    assert host.heard(50 * MS + 7 + 700 * US) == [(number, 3, b"\x00\x12\x00")]
    assert host.device.pulses_until(S) == [Pulse(50 * MS + 7, 6, 12.5, 300.0)]


def test_a_low_level_pulse_is_given_once(host):
    host.low_level().send(2, host.config(), 50 * MS)
    assert host.times_ns(10 * S) == [50 * MS]
    assert host.status(10 * S) == (LOW, FULL)


@pytest.mark.parametrize("points", [b"", None])
def test_a_pulse_that_is_not_to_be_executed_is_answered_and_not_given(host, points):
    host.low_level()
    payload = host.config(3, points, execute=False) if points is None else bytes((0x62,))
    assert host.ask(2, payload, 50 * MS) == b"\x00\x03\x00"
    assert host.times_ns(S) == []


def test_pulses_wait_for_the_source_in_the_order_they_came(host):
    host.low_level()
    for output in (2, 5, 0):
        host.send(2, host.config(output), 50 * MS)
    pulses = host.device.pulses_until(S)
    assert [(one.t_ns - 50 * MS, one.output) for one in pulses] == [(0, 2), (660 * US, 5), (1320 * US, 0)]


def test_the_eleventh_pulse_that_waits_is_refused_as_busy(host):
    host.low_level()
    for _ in range(12):
        host.send(2, host.config(), 50 * MS)
    assert [packet.payload[0] for packet in host.heard(50 * MS)] == [21, 21]
    assert len(host.times_ns(S)) == 10


def test_ll_stop_drops_what_waits_and_answers_only_what_was_given(host):
    host.low_level()
    for _ in range(5):
        host.send(2, host.config(), 50 * MS)
    host.send(4, b"", 51 * MS)
    assert host.device.active == ()
    assert host.times_ns(S) == [50 * MS, 50 * MS + 660 * US]
    assert [(one.command, one.payload[0]) for one in host.heard(S)] == [(3, 0), (3, 0), (5, 0)]


@pytest.mark.parametrize("again_ms", [(), (15,), (15, 30)])
def test_where_a_stop_takes_its_time_the_train_goes_on_for_so_long_however_often_it_is_said(host, again_ms):
    host.faults.stop_delay_ns = 40 * MS
    host.low_level()
    for t_ms in (50, 60, 70):
        host.send(2, host.config(), t_ms * MS)
    host.send(2, host.config(1), 70 * MS)
    for t_ms in (70, *(70 + ms for ms in again_ms)):
        host.send(4, b"", t_ms * MS)
    pulses = [(one.output, one.t_ns) for one in host.device.pulses_until(20 * S)]
    wanted = [*((0, t_ms * MS) for t_ms in (50, 60, 70)), (1, 70 * MS + 660 * US)]
    assert pulses == [*wanted, *((0, t_ms * MS) for t_ms in (80, 90, 100))]
    assert host.device.active == ()
    assert host.status(20 * S) == (NONE, OFF)


def test_where_a_stop_takes_its_time_another_begin_is_no_end(host):
    host.faults.stop_delay_ns = 100 * MS
    host.low_level().send(2, host.config(), 50 * MS)
    host.send(4, b"", 60 * MS)
    host.send(0, b"\x00", 110 * MS)
    host.send(2, host.config(), 170 * MS)
    assert host.times_ns(20 * S) == [50 * MS, 100 * MS, 170 * MS]
    assert host.status(20 * S)[0] == LOW


@pytest.mark.parametrize(
    ("measurement", "first"), [(1, 2000), (2, 2000), (3, 15000)], ids=["current", "voltage", "high voltage"]
)
def test_what_is_measured_comes_with_the_answer(host, measurement, first):
    host.low_level(bytes((measurement << 4,)))
    answer = host.ask(2, host.config(1, host.pulse(20.0, 250)), 50 * MS, MS)
    assert answer[:5] == bytes((0, 1, measurement, 0, 5))
    samples = [int.from_bytes(answer[at : at + 2], "big") for at in range(5, len(answer), 2)]
    assert len(samples) == 128
    assert samples[0] == first
    if measurement != 3:
        assert [k for k in range(128) if samples[k]] == [*range(50), *range(70, 120)]


def test_before_the_leading_edge_no_current_is_measured(host):
    host.low_level(b"\x10")
    answer = host.ask(2, host.config(0, host.point(64, 0) + host.point(64, 5)), 50 * MS, MS)
    samples = [int.from_bytes(answer[at : at + 2], "big") for at in range(5, len(answer), 2)]
    assert samples == [0] * 64 + [500] * 64


def test_with_the_high_voltage_off_nothing_is_given(host):
    host.low_level(b"\x02")
    assert host.status(50 * MS) == (LOW, OFF)
    assert host.ask(2, host.config(), 50 * MS)[0] == 8
    assert host.times_ns(S) == []


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x80",
        b"\x80\x00\x00\x00",
        bytes((0x81,)) + b"\x0c\x84\xb0\x00",
        bytes((0x80,)) + (250 << 20 | 561 << 10).to_bytes(4, "big"),
        bytes((0x80,)) + (250 << 20 | 39 << 10).to_bytes(4, "big"),
        bytes((0x80,)) + (250 << 20 | 340 << 10 | 0x20).to_bytes(4, "big"),
    ],
    ids=["empty", "no points", "cut", "a point too few", "130.5 mA", "-130.5 mA", "interpolated"],
)
def test_points_out_of_range_are_refused(host, payload):
    assert host.low_level().ask(2, payload, 50 * MS)[0] == 2
    assert host.times_ns(S) == []


@pytest.mark.parametrize("payload", [b"", b"\x01", b"\x80", b"\x0e", b"\x04", b"\x40", b"\x00\x00"])
def test_an_init_that_means_nothing_is_refused(host, payload):
    assert host.ask(0, payload)[0] == 2
    assert host.status(0) == (NONE, OFF)


@pytest.mark.parametrize(("code", "told"), [(0, 6), (1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, 6)])
def test_the_rehamove3_has_lower_voltages(rehamove3, code, told):
    assert rehamove3.low_level(bytes((code << 1,))).status(50 * MS) == (LOW, told)
