"""A P24 or RehaMove3 and its driver on one virtual clock."""

import pytest

from myoloop.platform.clock import VirtualClock
from myoloop.stimulators.emulators.sciencemode34 import ScienceMode34Device
from myoloop.stimulators.sciencemode.driver import ScienceMode34Driver
from myoloop.stimulators.sciencemode.settings import ScienceMode34Settings
from myoloop.stimulators.transport import MemoryTransport

MS = 1_000_000
CHANNELS = {"left": 0, "right": 1}


class Line(MemoryTransport):
    """Remembers what was sent; its other end can be pulled."""

    def __init__(self, device, clock):
        super().__init__(device, clock)
        self.sent = []
        self.pulled = False
        self.closed = False

    def send(self, data):
        if self.pulled:
            raise OSError("the cable is out")
        self.sent.append(bytes(data))
        super().send(data)

    def receive(self):
        if self.pulled:
            raise OSError("the cable is out")
        return super().receive()

    def close(self):
        self.closed = True


class Bench:
    """Runs a driver as the node does: polls each 10 ms, writes again each 50 ms, gives pulses when they are due."""

    def __init__(self, device="p24", level="low", **settings):
        given = {"channels": CHANNELS, "port": "", "device": device, "level": level, "current_max_ma": 60.0}
        self.settings = ScienceMode34Settings(**{**given, **settings})
        self.clock = VirtualClock()
        self.device = ScienceMode34Device(device, start_ns=self.clock.now_ns())
        self.line = Line(self.device, self.clock)
        self.driver = ScienceMode34Driver(
            self.settings, self.line, sleep=lambda seconds: self.clock.advance(round(seconds * 1e9))
        )
        self.told, self.made, self.faults, self.reports = [], [], [], []

    @property
    def now_ns(self):
        return self.clock.now_ns()

    def write(self, *settings):
        data = self.driver.encode(settings)
        self.driver.decode(data)
        return self.driver.write(data, self.now_ns)

    def poll(self):
        report, trains = self.driver.poll(self.now_ns)
        self.told += [(t_ns, train) for train in trains for t_ns in train.t_ns]
        self.made += self.device.pulses_until(self.now_ns)
        self.faults += [fault for fault in report.faults if fault not in self.faults]
        self.reports.append(report)
        return report

    def run(self, ms, *settings, write=True):
        """Go on for so long; `write` says whether the settings are written again."""
        report = None
        for t_ms in range(ms):
            if write and t_ms % 50 == 0:
                self.write(*settings)
            self.clock.advance(MS)
            due_ns = self.driver.due_ns
            if due_ns is not None and due_ns <= self.now_ns:
                self.driver.pulse(self.now_ns)
            if t_ms % 10 == 9:
                report = self.poll()
        return report


@pytest.fixture(scope="session")
def make_bench():
    """Benches with their drivers opened."""

    def make(device="p24", level="low", **settings):
        bench = Bench(device, level, **settings)
        bench.driver.open()
        return bench

    return make
