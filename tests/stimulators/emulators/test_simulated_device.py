"""The simulated stimulator by its delivered pulses: what it is told, what it says, what it does."""

import itertools
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.platform.messages import ChannelSetting
from myoloop.stimulators.emulators.ledger import Pulse, ledger_line
from myoloop.stimulators.emulators.simulated import DeviceSettings, SimulatedDevice
from myoloop.stimulators.simulated import SimulatedDriver, SimulatedDriverSettings, _frame

MS = 1_000_000


class Host:
    """A driver's encoder, numbering by itself, so that bytes can be held back, cut and spoiled."""

    def __init__(self, **options):
        self.driver = SimulatedDriver(SimulatedDriverSettings(channels={"a": 0, "b": 1}, **options))

    def set(self, current_ma=20.0, rate_hz=50.0, phase_us=250.0, channel="a"):
        setting = ChannelSetting(channel=channel, current_ma=current_ma, phase_us=phase_us, rate_hz=rate_hz)
        data = self.driver.encode([setting])
        self.driver._sent += 1
        return data

    def stop(self):
        return self.driver._plain(3)


@pytest.fixture
def host():
    return Host()


@pytest.fixture
def device():
    return SimulatedDevice(start_ns=0)


def times_ms(device, until_ms):
    return [pulse.t_ns / MS for pulse in device.pulses_until(until_ms * MS)]


def test_the_first_pulse_comes_at_once_and_the_others_at_the_rate(host, device):
    for t_ms in range(10, 110, 10):
        device.feed(host.set(rate_hz=40.0), t_ms * MS)
    assert times_ms(device, 100) == [10, 35, 60, 85]


def test_pulses_carry_what_was_set(host, device):
    device.feed(host.set(current_ma=17.5, phase_us=300.0), 5 * MS)
    assert device.pulses_until(5 * MS) == [Pulse(5 * MS, 0, 17.5, 300.0)]


def test_new_current_and_rate_hold_from_the_next_pulse(host, device):
    device.feed(host.set(current_ma=10.0, rate_hz=50.0), 0)
    device.feed(host.set(current_ma=12.0, rate_hz=100.0), 5 * MS)
    pulses = device.pulses_until(45 * MS)
    assert [(p.t_ns // MS, p.current_ma) for p in pulses] == [(0, 10), (20, 12), (30, 12), (40, 12)]


def test_off_and_on_again_does_not_beat_the_rate(host, device):
    for t_ms in range(0, 60, 10):
        device.feed(host.set(rate_hz=20.0, current_ma=0.0 if t_ms % 20 else 10.0), t_ms * MS)
    assert times_ms(device, 59) == [0, 50]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(1, 40), st.booleans(), st.sampled_from([20.0, 33.3, 50.0])), max_size=30))
def test_no_two_pulses_are_closer_than_the_shortest_period_asked_for(commands):
    host, device, t_ms = Host(), SimulatedDevice(), 0
    for wait_ms, on, rate_hz in commands:
        t_ms += wait_ms
        device.feed(host.set(current_ma=10.0 if on else 0.0, rate_hz=rate_hz), t_ms * MS)
    times = times_ms(device, t_ms + 300)
    # In whole ns; told in ms they are parts of numbers that no float holds.
    assert all(round((b - a) * MS) >= 20 * MS for a, b in itertools.pairwise(times))


def test_the_lease_ends_by_itself(host, device):
    device.feed(host.set(rate_hz=100.0), 0)
    assert times_ms(device, 1000) == [10 * k for k in range(20)]
    assert device.active == ()


def test_a_shorter_lease_that_the_host_asks_for_is_kept(device):
    device.feed(Host(lease_ms=50).set(rate_hz=100.0), 0)
    assert times_ms(device, 1000)[-1] == 40


def test_a_lease_longer_than_the_devices_own_is_refused(device):
    device.feed(Host(lease_ms=500).set(), 0)
    assert device.pulses_until(100 * MS) == []


def test_stop_ends_a_train_at_once(host, device):
    device.feed(host.set(rate_hz=100.0), 0)
    device.feed(host.stop(), 35 * MS)
    assert times_ms(device, 1000) == [0, 10, 20, 30]


def test_a_set_replaces_the_whole_table(host, device):
    device.feed(host.set(channel="a"), 0)
    device.feed(host.set(channel="b"), 1 * MS)
    assert device.active == (1,)


def test_a_stop_behind_the_beginning_of_a_frame_that_never_ends_is_obeyed(host, device):
    device.feed(host.set(rate_hz=100.0), 0)
    device.feed(host.set()[:20], 5 * MS)
    device.feed(host.stop(), 6 * MS)
    assert device.active == ()


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=300), st.integers(1, 7))
def test_a_good_frame_behind_garbage_is_found(garbage, cut):
    host, device = Host(), SimulatedDevice()
    data = garbage + host.set()
    for at in range(0, len(data), cut):
        device.feed(data[at : at + cut], 0)
    assert device.active == (0,)


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_a_frame_with_one_byte_changed_does_nothing(data):
    host, device = Host(), SimulatedDevice()
    frame = bytearray(host.set())
    at = data.draw(st.integers(0, len(frame) - 1))
    frame[at] ^= data.draw(st.integers(1, 255))
    device.feed(bytes(frame), 0)
    assert device.pulses_until(300 * MS) == []


@pytest.mark.parametrize(
    ("output", "result"),
    [
        ((0, 40, 250, -40, 250, 500), 0),
        ((0, 40, 250, -40, 251, 500), 2),
        ((0, 40, 250, -20, 500, 500), 2),
        ((0, -40, 250, 40, 250, 500), 1),
        ((2, 40, 250, -40, 250, 500), 1),
        ((0, 261, 250, -261, 250, 500), 1),
        ((0, 40, 9, -40, 9, 500), 1),
        ((0, 40, 1001, -40, 1001, 500), 1),
        ((0, 40, 250, -40, 250, 0), 1),
        ((0, 40, 250, -40, 250, 2001), 1),
    ],
)
def test_what_is_unbalanced_or_out_of_range_is_refused_and_delivers_nothing(device, output, result):
    device.feed(_frame(struct.pack("<BIHIB", 2, 1, 200, 0, 1) + struct.pack("<BhIhIH", *output)), 0)
    assert device.take(0)[8] == result
    assert bool(device.pulses_until(100 * MS)) == (result == 0)


def test_an_unknown_command_is_answered_as_such(device):
    device.feed(_frame(struct.pack("<BI", 0x22, 7)), 0)
    answer = device.take(0)
    assert (answer[3], answer[8]) == (0x8F, 3)


def test_an_open_electrode_delivers_nothing(host, device):
    device.faults.open_electrodes.add(0)
    device.feed(host.set(), 0)
    assert device.pulses_until(100 * MS) == []


def test_a_stuck_device_goes_on_after_stop_until_its_lease_ends(host, device):
    device.faults.stuck_on = True
    device.feed(host.set(rate_hz=100.0), 0)
    device.feed(host.stop(), 50 * MS)
    assert times_ms(device, 1000)[-1] == 190


def test_a_vanished_device_hears_and_says_nothing(host, device):
    device.feed(host.set(rate_hz=100.0), 0)
    device.faults.vanished = True
    device.feed(host.set(rate_hz=100.0), 150 * MS)
    assert device.take(150 * MS) == b""
    assert times_ms(device, 1000)[-1] == 190


def test_drift_of_its_crystal_shows_in_its_pulses(host):
    device = SimulatedDevice(DeviceSettings(drift_ppm=10_000.0))
    device.feed(host.set(rate_hz=100.0), 0)
    assert [pulse.t_ns for pulse in device.pulses_until(21 * MS)] == [0, 10_100_000, 20_200_000]


def test_a_ledger_line_is_json_with_units():
    assert ledger_line(Pulse(5, 1, 2.5, 250.0)) == b'{"t_ns":5,"output":1,"current_ma":2.5,"width_us":250.0}\n'


@pytest.mark.parametrize("wrong", [{"outputs": 0}, {"outputs": 9}, {"lease_max_ms": 0}, {"codes_per_ma": 1000}])
def test_impossible_device_settings_are_refused(wrong):
    with pytest.raises(ValueError):
        DeviceSettings(**wrong)
