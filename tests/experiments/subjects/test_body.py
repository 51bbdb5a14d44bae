"""The body in lockstep: driver, device, person and source on one virtual clock."""

import numpy as np
import pytest

from myoloop.acquisition.simulated import SimulatedSource, SimulatedSourceSettings
from myoloop.experiments.subjects.body import VirtualBody
from myoloop.experiments.subjects.person import MuscleSite
from myoloop.experiments.subjects.population import draw
from myoloop.experiments.subjects.subject import VirtualSubject
from myoloop.platform.clock import VirtualClock
from myoloop.platform.messages import ChannelSetting
from myoloop.stimulators.emulators.simulated import SimulatedDevice
from myoloop.stimulators.simulated import SimulatedDriver, SimulatedDriverSettings
from myoloop.stimulators.transport import MemoryTransport

MS = 1_000_000
SITES = (MuscleSite("quad", ("emg_1", "emg_2"), ((0, "stim"),)),)
TWENTY = [ChannelSetting(channel="stim", current_ma=20.0, phase_us=250.0, rate_hz=40.0)]


class Lockstep:
    def __init__(self, seed=1):
        self.clock = VirtualClock()
        start_ns = self.clock.now_ns()
        subject = VirtualSubject(draw(seed), seed, muscles=SITES, start_ns=start_ns)
        self.body = VirtualBody(subject, SimulatedDevice(start_ns=start_ns), source="body", start_ns=start_ns)
        self.source = SimulatedSource(SimulatedSourceSettings(), body=self.body)
        self.driver = SimulatedDriver(
            SimulatedDriverSettings(channels={"stim": 0}), MemoryTransport(self.body, self.clock)
        )
        self.source.open()
        self.driver.open()
        self.pulses = []

    def tick(self, settings=None):
        now_ns = self.clock.advance(10 * MS)
        lived = self.body.step_to(now_ns)
        self.pulses += lived.pulses
        blocks = self.source.read(0.0)
        if settings is not None:
            self.driver.write(self.driver.encode(settings), now_ns)
        report, trains = self.driver.poll(now_ns)
        return blocks, report, trains


@pytest.fixture
def lockstep():
    return Lockstep()


def test_every_tick_gives_one_block_of_each_stream(lockstep):
    for tick in range(20):
        blocks, _, _ = lockstep.tick()
        assert [(block.topic, block.first_sample) for block in blocks] == [
            ("emg/body", 20 * tick),
            ("imu/body", tick),
        ]
        assert all(block.t_ns == lockstep.clock.now_ns() for block in blocks)


def test_a_command_is_felt_in_the_next_block_and_the_sync_channel_tells_the_pulses(lockstep):
    lockstep.tick()
    _, _, trains = lockstep.tick(TWENTY)
    trigger, told = [], [t_ns for train in trains for t_ns in train.t_ns]
    for _ in range(40):
        blocks, report, trains = lockstep.tick(TWENTY)
        trigger.append(blocks[0].array[:, -1])
        told += [t_ns for train in trains for t_ns in train.t_ns]
        assert report.acknowledged == tuple(TWENTY)
    rises = np.flatnonzero(np.diff(np.concatenate(trigger), prepend=0) == 1)
    assert rises[0] == 0
    assert np.diff(rises).tolist() == [50] * (len(rises) - 1)
    assert told == [pulse.t_ns for pulse in lockstep.pulses][: len(told)]
    assert len(lockstep.pulses) == 17


def test_without_commands_the_devices_lease_ends_the_current(lockstep):
    lockstep.tick(TWENTY)
    last_ns = lockstep.clock.now_ns()
    for _ in range(60):
        lockstep.tick()
    assert last_ns + 170 * MS <= lockstep.pulses[-1].t_ns < last_ns + 200 * MS


def test_the_whole_loop_is_deterministic():
    def run(seed):
        made = Lockstep(seed)
        return b"".join(block.array.tobytes() for _ in range(200) for block in made.tick(TWENTY)[0])

    assert run(1) == run(1)
    assert run(1) != run(2)


def test_after_a_stall_blocks_are_caught_up_not_lost(lockstep):
    lockstep.clock.advance(95 * MS)
    assert lockstep.body.step_to(lockstep.clock.now_ns(), most_blocks=4) is not None
    first = lockstep.source.read(0.0)
    lockstep.body.step_to(lockstep.clock.now_ns())
    rest = lockstep.source.read(0.0)
    emg = [block for block in first + rest if block.topic == "emg/body"]
    assert [block.first_sample for block in emg] == [20 * k for k in range(9)]
