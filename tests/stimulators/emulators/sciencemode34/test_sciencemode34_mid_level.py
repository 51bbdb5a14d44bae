"""Mid level: a channel table that the device repeats by itself, for two seconds after the host's last word."""

import json
from pathlib import Path

import pytest

from myoloop.stimulators.emulators.ledger import Pulse

MS, US, S = 1_000_000, 1_000, 1_000_000_000
GOLDEN = Path(__file__).parents[3] / "data" / "golden"
NONE, MID, RUNNING = 0, 2, 3
OFF, FULL = 1, 6


def test_a_train_runs_by_the_devices_own_clock(host):
    host.mid_level()
    assert host.ask(32, host.update({5: host.train(28.5, host.pulse(8.5, 300))}), 100 * MS + 3) == b"\x00"
    assert host.status(100 * MS + 3) == (RUNNING, FULL)
    assert host.device.active == (5,)
    pulses = host.device.pulses_until(400 * MS)
    assert pulses == [Pulse(100 * MS + 3 + k * 28_500 * US, 5, 8.5, 300.0) for k in range(11)]


def test_quarters_of_a_millisecond_are_exact(host):
    host.mid_level().send(32, host.update({0: host.train(33.25, quarters=True)}), 100 * MS)
    assert host.times_ns(250 * MS) == [100 * MS + k * 33_250 * US for k in range(5)]


def test_it_stops_two_seconds_after_the_last_update(host):
    host.mid_level().send(32, host.update({0: host.train(10.0)}), 100 * MS)
    assert host.times_ns(20 * S) == [100 * MS + k * 10 * MS for k in range(200)]
    assert host.status(20 * S) == (MID, FULL)


def test_asking_for_data_keeps_it_alive_and_does_not_resume(host):
    host.mid_level().send(32, host.update({0: host.train(10.0)}), 100 * MS)
    host.ask(36, b"\x04", 2000 * MS)
    assert host.times_ns(10 * S)[-1] == 3990 * MS
    host.ask(36, b"\x04", 10 * S)
    assert host.times_ns(20 * S) == []
    host.send(32, host.update({0: host.train(10.0)}), 20 * S)
    assert host.times_ns(21 * S)[0] == 20 * S


@pytest.mark.parametrize("command", [52, 62, 68])
def test_nothing_else_keeps_it_alive(host, command):
    host.mid_level().send(32, host.update({0: host.train(10.0)}), 100 * MS)
    for t_ms in range(200, 3000, 100):
        host.send(command, b"", t_ms * MS)
    assert host.times_ns(10 * S)[-1] == 2090 * MS


@pytest.mark.parametrize(("command", "payload", "status"), [(32, b"\x00", (MID, FULL)), (34, b"", (NONE, OFF))])
def test_a_stop_ends_the_train_at_once(host, command, payload, status):
    host.mid_level().send(32, host.update({0: host.train(10.0), 3: host.train(11.0)}), 100 * MS)
    host.send(command, payload, 155 * MS)
    assert max(host.times_ns(20 * S)) <= 155 * MS
    assert host.device.active == ()
    assert host.status(20 * S) == status


def test_an_update_replaces_the_whole_table(host):
    host.mid_level().send(32, host.update({0: host.train(), 1: host.train()}), 100 * MS)
    host.send(32, host.update({1: host.train(), 2: host.train()}), 110 * MS)
    assert host.device.active == (1, 2)


def test_the_same_update_again_does_not_disturb_the_rhythm(host):
    host.mid_level()
    for t_ms in range(100, 500, 7):
        host.send(32, host.update({0: host.train(25.0)}), t_ms * MS)
    assert host.times_ns(490 * MS) == [100 * MS + k * 25 * MS for k in range(16)]


def test_new_current_and_period_hold_from_the_next_pulse(host):
    host.mid_level().send(32, host.update({0: host.train(50.0, host.pulse(10.0))}), 100 * MS)
    host.send(32, host.update({0: host.train(20.0, host.pulse(12.0))}), 105 * MS)
    pulses = host.device.pulses_until(150 * MS)
    assert [(one.t_ns // MS, one.current_ma) for one in pulses] == [(100, 10.0), (120, 12.0), (140, 12.0)]


def test_a_ramp_rises_over_so_many_pulses_and_only_where_a_channel_comes_on(host):
    host.mid_level()
    for t_ms in (100, 125, 160):
        host.send(32, host.update({0: host.train(10.0, host.pulse(20.0), ramp=3)}), t_ms * MS)
    currents = [one.current_ma for one in host.device.pulses_until(180 * MS)]
    assert currents == [5.0, 10.0, 15.0, 20.0, 20.0, 20.0, 20.0, 20.0, 20.0]


def test_after_a_lapse_a_channel_comes_on_anew_with_its_ramp(host):
    host.mid_level().send(32, host.update({0: host.train(1000.0, ramp=1)}), 100 * MS)
    host.send(32, host.update({0: host.train(1000.0, ramp=1)}), 10 * S)
    assert [one.current_ma for one in host.device.pulses_until(11 * S)] == [10.0, 20.0, 10.0, 20.0]


def test_channels_that_are_due_together_go_one_after_the_other_and_keep_their_rhythm(host):
    host.mid_level().send(32, host.update({0: host.train(20.0), 1: host.train(10.0)}), 100 * MS)
    pulses = [(one.t_ns - 100 * MS, one.output) for one in host.device.pulses_until(125 * MS)]
    assert pulses == [(0, 0), (660 * US, 1), (10 * MS, 1), (20 * MS, 0), (20 * MS + 660 * US, 1)]


@pytest.mark.parametrize(
    "row",
    json.loads((GOLDEN / "sm4_ml_validity_vendor_c.json").read_text())["rows"],
    ids=lambda row: row["load_ms_per_s"],
)
def test_pulses_have_to_fit_their_periods_by_the_vendors_rule(host, row):
    def one():
        return host.train(row["period_ms"], host.pulse(row["current_mA"], row["phase_us"]))

    if row["period_ms"] > 16383.5 or row["phase_us"] > 4095:
        with pytest.raises(OverflowError):
            one()
        return
    answer = host.mid_level().ask(32, host.update(dict.fromkeys(range(row["channels"]), one())), 100 * MS)
    assert answer == (b"\x00" if row["valid"] else b"\x02")
    assert bool(host.device.active) == row["valid"]


def test_what_cannot_be_served_leaves_the_table_as_it_was(host):
    host.mid_level().send(32, host.update({0: host.train(10.0)}), 100 * MS)
    assert host.ask(32, host.update({0: host.train(0.0)}), 1000 * MS) == b"\x02"
    assert host.times_ns(10 * S)[-1] == 2090 * MS


@pytest.mark.parametrize("cut", [0, 1, 3, 5, 15])
def test_an_update_of_the_wrong_length_is_refused(host, cut):
    whole = host.update({0: host.train()})
    assert host.mid_level().ask(32, whole[:cut], 100 * MS) == b"\x02"
    assert host.ask(32, whole + b"\x00", 100 * MS) == b"\x02"
    assert host.times_ns(S) == []


def test_a_quarter_of_a_millisecond_is_no_period(host):
    assert host.mid_level().ask(32, host.update({0: host.train(0.25, host.point(10, 5), quarters=True)}), S) == b"\x02"


@pytest.mark.parametrize("payload", [b"", b"\x02", b"\x00\x00"])
def test_a_mid_level_init_that_means_nothing_is_refused(host, payload):
    assert host.ask(30, payload) == b"\x02"


def test_data_name_the_channels_that_run(host):
    host.mid_level().send(32, host.update({0: host.train(), 5: host.train()}), 100 * MS)
    assert host.ask(36, b"\x04", 110 * MS) == b"\x00\x04\x21\x00\x00\x00\x00"
    assert host.ask(36, b"\x02", 110 * MS) == b"\x00\x02\x10"
    assert host.ask(36, b"\x03", 110 * MS) == b"\x00\x03\x10\x10"
    assert host.ask(36, b"\x05", 110 * MS)[0] == 2
