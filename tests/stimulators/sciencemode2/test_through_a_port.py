"""The RehaStim2 through a port as the operating system has it: a pseudo terminal whose cable can be pulled."""

import pytest

from myoloop.platform.clock import VirtualClock
from myoloop.platform.messages import ChannelSetting
from myoloop.stimulators.driver import DriverError
from myoloop.stimulators.emulators.lines import make_line
from myoloop.stimulators.emulators.registry import emulator_kind
from myoloop.stimulators.emulators.running import RunningEmulator
from myoloop.stimulators.sciencemode2 import RehaStim2Driver, RehaStim2Settings, driver

MS = 1_000_000
SETTING = ChannelSetting(channel="left", current_ma=20.0, phase_us=250.0, rate_hz=40.0)


class Rig:
    """A device on a real line, driver and device on one virtual clock."""

    def __init__(self):
        self.clock = VirtualClock()
        self.pulses = []
        self.line = make_line("pty")
        self.line.listen()
        device = emulator_kind("rehastim2").make(self.clock.now_ns())
        self.device = device
        self.running = RunningEmulator(device, self.line, self.clock.now_ns(), on_pulses=self.pulses.extend)
        settings = RehaStim2Settings(channels={"left": 2}, port=self.line.port)
        self.driver = RehaStim2Driver(settings, clock=self.clock, pause=self.pause)

    def pause(self, for_s):
        for _ in range(round(for_s * 1000)):
            self.running.turn(self.clock.advance(MS))

    def run(self, ms, *wanted, write=True):
        for _ in range(ms // 10):
            self.pause(0.01)
            now_ns = self.clock.now_ns()
            report, _ = self.driver.poll(now_ns)
            if write:
                self.driver.write(self.driver.encode(wanted), now_ns)
        return report


@pytest.fixture
def rig():
    made = Rig()
    yield made
    made.driver.close()
    made.line.close()


def test_a_train_and_its_stop_through_a_pseudo_terminal(rig):
    assert rig.driver.open().startswith("RehaStim2")
    assert rig.run(1000, SETTING).acknowledged == (SETTING,)
    assert {pulse[1:4] for pulse in rig.pulses} == {(2, 20.0, 250.0)}
    rig.driver.stop(rig.clock.now_ns())
    rig.pause(0.001)
    given = len(rig.pulses)
    assert given == pytest.approx(39, abs=2)
    assert rig.run(100, write=False).acknowledged == ()
    assert len(rig.pulses) == given


def test_a_pulled_cable_is_a_lost_port(rig):
    rig.driver.open()
    rig.run(500, SETTING)
    rig.device.faults.vanished = True
    report = rig.run(20, write=False)
    assert not report.connected
    rig.device.faults.vanished = False
    with pytest.raises(DriverError, match="must be opened anew"):
        rig.run(10, SETTING)
    rig.pause(1.3)
    assert rig.device.active == ()


def test_a_port_that_another_has_is_refused_and_who_has_it_is_named(rig):
    rig.driver.open()
    with pytest.raises(DriverError, match="is taken by"):
        RehaStim2Driver(RehaStim2Settings(channels={}, port=rig.line.port)).open()


def test_identify_hears_the_device_and_lets_go_of_the_port(rig, monkeypatch):
    monkeypatch.setattr(driver.time, "sleep", lambda for_s: rig.pause(0.05))
    assert driver.identify(rig.line.port) == "RehaStim2, ScienceMode 2, protocol version 1"
    assert rig.driver.open().startswith("RehaStim2")
