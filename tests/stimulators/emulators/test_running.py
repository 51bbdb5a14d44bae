"""An emulator on its line: its turns, its ledger, its faults, its summary."""

import pytest

from myoloop.platform.messages import ChannelSetting
from myoloop.stimulators.emulators.fault_words import read_fault
from myoloop.stimulators.emulators.ledger import Point, Pulse
from myoloop.stimulators.emulators.running import OutputTally, RunningEmulator, say_summary
from myoloop.stimulators.emulators.simulated import SimulatedDevice
from myoloop.stimulators.simulated import SimulatedDriver, SimulatedDriverSettings

MS = 1_000_000
S = 1000 * MS


class FakeLine:
    """A cable in memory."""

    port = "memory"

    def __init__(self):
        self.there = self.attached = False
        self.come, self.inbound, self.outbound = False, b"", b""

    @property
    def backlog(self):
        return 0

    def listen(self):
        self.there = True

    def accept(self):
        come, self.come = self.come, False
        return come

    def receive(self):
        data, self.inbound = self.inbound, b""
        return data

    def send(self, data):
        self.outbound += data

    def drop(self): ...

    def vanish(self):
        self.there = False

    def close(self):
        self.vanish()


@pytest.fixture
def line():
    return FakeLine()


@pytest.fixture
def device():
    return SimulatedDevice(start_ns=0)


def set_frame(current_ma=20.0):
    driver = SimulatedDriver(SimulatedDriverSettings(channels={"a": 1}))
    return driver.encode([ChannelSetting(channel="a", current_ma=current_ma, phase_us=250.0, rate_hz=50.0)])


def run(running, until_ms, from_ms=0):
    for t_ms in range(from_ms, until_ms):
        running.turn(t_ms * MS)


def test_commands_go_in_answers_come_out_and_pulses_are_told(device, line):
    told = []
    running = RunningEmulator(device, line, 0, on_pulses=told.extend)
    line.inbound = set_frame()
    run(running, 45)
    assert line.there
    assert line.outbound.startswith(b"\xa5")
    assert told == [Pulse(t_ms * MS, 1, 20.0, 250.0) for t_ms in (0, 20, 40)]


def test_faults_strike_at_their_time_in_order(device, line):
    faults = [read_fault(text, device.faults) for text in ("drop-answers=off@0.02", "drop-answers@0.01")]
    running = RunningEmulator(device, line, 100 * MS, faults=faults)
    dropping = []
    for t_ms in range(100, 130):
        running.turn(t_ms * MS)
        dropping.append(device.faults.drop_answers)
    assert dropping == [False] * 10 + [True] * 10 + [False] * 10


def test_a_device_that_vanishes_takes_its_port_along_and_brings_it_back(device, line):
    faults = [read_fault(text, device.faults) for text in ("vanished@0.01", "vanished=off@0.02")]
    running = RunningEmulator(device, line, 0, faults=faults)
    run(running, 10)
    assert line.there
    run(running, 20, 10)
    assert not line.there
    run(running, 21, 20)
    assert line.there


@pytest.mark.parametrize(("resets", "active"), [(False, (1,)), (True, ())])
def test_a_board_whose_port_is_opened_restarts_where_it_is_wired_so(device, line, resets, active):
    running = RunningEmulator(device, line, 0, resets_on_open=resets)
    line.inbound = set_frame()
    running.turn(0)
    line.come = True
    running.turn(MS)
    assert device.active == active


def test_the_summary_says_what_each_output_delivered(device, line):
    running = RunningEmulator(device, line, 0)
    line.inbound = set_frame(10.0)
    run(running, 45)
    running.turn(50 * MS)
    assert running.summary() == {
        "outputs": {
            "1": {
                "pulses": 3, "current_max_ma": 10.0, "phase_min_us": 250.0, "phase_max_us": 250.0,
                "phase_charge_max_uc": 2.5, "charge_uc": 7.5, "net_charge_uc": 0.0,
            }
        },
        "longest_turn_ms": 6.0,
    }  # fmt: skip
    assert say_summary(running.summary()) == (
        "output 1: 3 pulses, at most 10 mA, 250 to 250 us per phase, at most 2.5 uC per phase, 7.5 uC in all, "
        "0 uC left behind\nlongest turn 6 ms"
    )


def test_without_a_pulse_the_summary_says_so(device, line):
    assert say_summary(RunningEmulator(device, line, 0).summary()).startswith("no pulse was delivered")


def test_a_tally_keeps_the_largest_and_the_least():
    tally = OutputTally()
    for current_ma, phase_us in ((5.0, 300.0), (20.0, 100.0), (1.0, 200.0)):
        tally.add(Pulse(0, 0, current_ma, phase_us))
    assert (tally.current_max_ma, tally.phase_min_us, tally.phase_max_us) == (20.0, 100.0, 300.0)
    assert tally.phase_charge_max_uc == 2.0


def test_a_pulse_that_is_not_balanced_counts_its_larger_phase_and_what_it_leaves():
    tally = OutputTally()
    tally.add(
        Pulse(0, 0, 10.0, 100.0, tuple(Point(*each) for each in ((10.0, 100.0), (0.0, 100.0), (-10.0, 300.0))), -2000.0)
    )
    assert (tally.charge_uc, tally.net_charge_uc) == (3.0, -2.0)
