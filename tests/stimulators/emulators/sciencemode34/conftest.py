"""A host of a ScienceMode device that says exactly what a test wants, right or wrong."""

import pytest

from myoloop.stimulators.emulators.sciencemode34 import ScienceMode34Device
from myoloop.stimulators.emulators.sciencemode34_wire import Packet, PacketReader, packed

MS = 1_000_000


class Host:
    """Numbers its commands and reads the answers."""

    def __init__(self, profile="p24"):
        self.device = ScienceMode34Device(profile)
        self.faults = self.device.faults
        self.reader = PacketReader()
        self.number = 0

    # What it can say

    @staticmethod
    def point(width_us, current_ma):
        return (width_us << 20 | (round(current_ma * 2) + 300) << 10).to_bytes(4, "big")

    @staticmethod
    def pulse(current_ma=20.0, phase_us=250, gap_us=100):
        """A symmetric pulse in three points."""
        return Host.point(phase_us, current_ma) + Host.point(gap_us, 0) + Host.point(phase_us, -current_ma)

    @staticmethod
    def config(output=0, points=None, *, execute=True):
        points = Host.pulse() if points is None else points
        connector, channel = divmod(output, 4)
        return bytes((execute << 7 | channel << 5 | connector << 4 | len(points) // 4 - 1,)) + points

    @staticmethod
    def train(period_ms=25.0, points=None, *, ramp=0, quarters=False):
        points = Host.pulse() if points is None else points
        word = int(period_ms * (4 if quarters else 2)) << 1 | quarters
        return bytes(((len(points) // 4 - 1) << 4 | ramp,)) + word.to_bytes(2, "big") + points

    @staticmethod
    def update(trains=None):
        """Ml_update from a mapping of output to train."""
        trains = trains or {}
        return bytes((sum(1 << output for output in trains),)) + b"".join(trains[output] for output in sorted(trains))

    # Saying it

    def send(self, command, payload=b"", at_ns=0):
        self.number = (self.number + 1) % 64
        self.device.feed(packed(self.number, command, payload), at_ns)
        return self.number

    def heard(self, until_ns):
        """The answers that have come by then."""
        packets = self.reader.feed(self.device.take(until_ns))
        assert all(isinstance(packet, Packet) for packet in packets)
        return packets

    def ask(self, command, payload=b"", at_ns=0, wait_ns=0):
        """Say it and return the payload of the answer that has come `wait_ns` later."""
        number = self.send(command, payload, at_ns)
        answers = [packet for packet in self.heard(at_ns + wait_ns) if packet.number == number]
        assert [packet.command for packet in answers] == [command + 1]
        return answers[0].payload

    def low_level(self, payload=b"\x00"):
        """Initialised at 40 ms."""
        assert self.ask(0, payload, 0, 40 * MS) == b"\x00"
        return self

    def mid_level(self, payload=b"\x00"):
        """Initialised at 80 ms."""
        assert self.ask(30, payload, 0, 80 * MS) == b"\x00"
        return self

    def times_ns(self, until_ns):
        return [one.t_ns for one in self.device.pulses_until(until_ns)]

    def status(self, at_ns):
        """Level and high voltage, as the device says."""
        return tuple(self.ask(62, b"", at_ns)[1:])


@pytest.fixture(scope="session")
def new_host():
    return Host


@pytest.fixture
def host():
    return Host()


@pytest.fixture
def rehamove3():
    return Host("rehamove3")
