"""Gate, driver and emulated device on one virtual clock: a rehearsal in a moment, as a recording would tell of it."""

from dataclasses import asdict

import numpy as np
import pytest

from myoloop.experiments.rehearsal.heard import Heard, Sync, said_pulses
from myoloop.platform.clock import VirtualClock
from myoloop.platform.messages import ChannelSetting, Command, Heartbeat, Phase, StimRequest, Stop, Vital
from myoloop.platform.steps import Received, StepInput
from myoloop.stimulators import gate
from myoloop.stimulators.driver import PulseByPulse
from myoloop.stimulators.emulators.registry import emulator_kind
from myoloop.stimulators.hearing import VitalSource
from myoloop.stimulators.node import Handover
from myoloop.stimulators.sciencemode.driver import ScienceMode34Driver
from myoloop.stimulators.sciencemode.settings import ScienceMode34Settings
from myoloop.stimulators.sciencemode2 import RehaStim2Driver, RehaStim2Settings
from myoloop.stimulators.stimulator import Stimulator, StimulatorSettings
from myoloop.stimulators.transport import MemoryTransport

MS = 1_000_000
CHANNEL, RATE_HZ, PHASE_US = "ext", 25.0, 100.0
ENVELOPE = gate.Envelope(
    session="s1", subject="LOAD", waveform_class="nmes", channels=(gate.ChannelLimits(CHANNEL, 0, 25.0, 100.0),),
    phase_us=(100.0, 400.0), rate_hz=(2.0, 50.0), charge_per_phase_uc=12.0, rms_ma=10.0, rms_density_ma_cm2=1.0,
    power_density_w_cm2=0.1, channels_max=1, on_s_max=20.0, duty_max=0.5, session_on_s_max=400.0,
    session_charge_mc_max=1000.0, day_charge_mc_max=2000.0, course_charge_mc_max=20000.0, step_ma=5.0,
    new_ground_ma_per_s=20.0, known_ground_ramp_s_min=0.1, current_ma_calibrating=100.0,
    required_vitals=("vital/amp",), sensor_age_ms=100.0, ramp_down_s=0.5,
)  # fmt: skip


class Station:
    """All others are well and say so every 10 ms; what the device gives is also on a sync channel."""

    def __init__(self, device, level="low", current_max_ma=100.0):
        self.clock = VirtualClock(5_000 * MS)
        self.device = emulator_kind(device).make(self.clock.now_ns())
        line = MemoryTransport(self.device, self.clock)
        self.driver = (
            RehaStim2Driver(RehaStim2Settings(channels={CHANNEL: 0}), line, clock=self.clock, pause=self.pause)
            if device == "rehastim2"
            else ScienceMode34Driver(
                ScienceMode34Settings({CHANNEL: 0}, "", device, current_max_ma, level), line, self.pause
            )
        )
        self.driver.open()
        can = self.driver.capabilities
        self.step_ma = can.current_step_ma
        self.object = Stimulator(
            StimulatorSettings(
                session="s1", subject="LOAD", rig_class="BENCH", watched=("controller",),
                vitals=(VitalSource("vital/amp", 2000.0, (0,)),), outputs=can.outputs,
                current_max_ma=can.current_max_ma, current_step_ma=can.current_step_ma,
                phase_us=(can.phase_min_us, can.phase_max_us), rate_hz=(can.rate_min_hz, can.rate_max_hz),
                period_step_us=can.period_step_us,
            )
        )  # fmt: skip
        self.handover = Handover(self.driver, self.object)
        self.requests, self.reports, self.devices, self.told, self.given = {}, [], [], [], []
        self.number = self.seq = 0
        self.stop_ns = None

    def pause(self, for_s):
        self.clock.advance(round(for_s * 1e9))

    def received(self, topic, publisher, message):
        self.seq += 1
        return Received(topic, publisher, 1, self.seq, message)

    def step(self, current_ma=None, more=()):
        """One cycle of 10 ms; with a current, the controller asks for it."""
        for _ in range(10):
            now_ns = self.clock.advance(MS)
            due_ns = self.driver.due_ns if isinstance(self.driver, PulseByPulse) else None
            if due_ns is not None and due_ns <= now_ns:
                self.driver.pulse(now_ns)
        report, told = self.handover.poll(now_ns)
        self.told += told
        self.given += self.device.pulses_until(now_ns)
        beat = Heartbeat(t_ns=now_ns, node="controller", role="x", state="running", cycle_ms=0, cycle_mean_ms=0,
                         cycle_worst_ms=0)  # fmt: skip
        vital = Vital(topic="emg/amp", samples_seq=self.seq, t_ns=now_ns, rate_hz=2000.0, valid_share=(1.0,),
                      flags=("",))  # fmt: skip
        world = [("heartbeat/controller", "controller", beat), ("vital/amp", "amp", vital),
                 ("phase", "director", Phase(t_ns=now_ns, session="s1", state="running"))]  # fmt: skip
        if report is not None:
            self.devices.append(report)
            world.append(("device", "stimulator", report))
        if current_ma is not None:
            wanted = ChannelSetting(channel=CHANNEL, current_ma=current_ma, phase_us=PHASE_US, rate_hz=RATE_HZ)
            channels = (wanted,) if current_ma else ()
            wish = StimRequest(step=1, t_ns=now_ns - 2 * MS, arm_id=self.arm_id, lease_ms=100, channels=channels)
            world.append(("request", "controller", wish))
        received = [self.received(*each) for each in [*world, *more]]
        self.requests |= {
            (each.publisher, each.epoch, each.seq): each.message.t_ns for each in received if each.topic == "request"
        }
        self.number += 1
        said = self.object.step(StepInput(self.number, now_ns, received))
        self.handover.obey(now_ns)
        self.reports += [each.message for each in said if each.topic == "report"]
        return [each.message for each in said if each.topic == "answer"]

    def act(self, kind, role="operator", **arguments):
        act = Command(t_ns=self.clock.now_ns(), id=f"id{self.seq}", kind=kind, target="stimulator", who="script",
                      arguments=arguments, role=role, nonce=f"n{self.seq}")  # fmt: skip
        (answer,) = self.step(more=[("command", role, act)])
        assert answer.ok, answer.reason
        return answer

    def arm(self):
        self.step()
        self.act("set_envelope", "director", **asdict(ENVELOPE))
        self.act("confirm", envelope_sha256=ENVELOPE.sha256)
        for _ in range(20):
            self.step()
        armed = self.act("arm", mode="normal", session="s1", envelope_sha256=ENVELOPE.sha256)
        self.arm_id = armed.values["arm_id"]
        self.step(0.0)

    def train(self, current_ma, rise_s=None, hold_s=0.5, rest_s=None):
        """Up, hold, zero, rest; up no faster than the gate lets it."""
        rise_s = current_ma / 18.0 if rise_s is None else rise_s
        rises = max(1, round(rise_s * 100))
        for number in range(1, rises + 1):
            self.step(current_ma * number / rises)
        for _ in range(round(hold_s * 100)):
            self.step(current_ma)
        for _ in range(round((rise_s + hold_s + 0.1 if rest_s is None else rest_s) * 100)):
            self.step(0.0)

    def stop(self):
        self.stop_ns = self.clock.now_ns()
        self.step(more=[("stop", "key", Stop(t_ns=self.stop_ns, who="script", why="rehearsed"))])
        for _ in range(60):
            self.step()

    def rehearse(self, *currents_ma, starts=5):
        self.arm()
        for current_ma in currents_ma:
            self.train(current_ma)
        for _ in range(starts):
            self.train(currents_ma[0], 0.1, 0.4, 0.6)
        for number in range(50):
            self.step(currents_ma[0] * min(1.0, number / 20))
        self.stop()

    def heard(self, sync=True):
        seen = np.array([round(pulse.t_ns / 500_000) * 500_000 for pulse in self.given], np.int64)
        return Heard(
            outcome="stopped", reason="rehearsed", requests=self.requests, reports=self.reports, devices=self.devices,
            pulses=said_pulses(self.told), stop_ns=self.stop_ns,
            sync=Sync("emg/amp", seen, 250_000, self.reports[0].t_ns, self.clock.now_ns()) if sync else None,
        )  # fmt: skip


@pytest.fixture
def station():
    return Station
