"""The RehaStim2 under the real gate: each fault ends the current within the device's bound, and can be got over."""

from dataclasses import asdict

import pytest

from myoloop.platform.clock import VirtualClock
from myoloop.platform.messages import ChannelSetting, Command, Heartbeat, Phase, StimRequest, Stop, Vital
from myoloop.platform.steps import Received, StepInput
from myoloop.stimulators import gate
from myoloop.stimulators.emulators.sciencemode2 import RehaStim2Device
from myoloop.stimulators.hearing import VitalSource
from myoloop.stimulators.node import Handover
from myoloop.stimulators.sciencemode2 import RehaStim2Driver, RehaStim2Settings
from myoloop.stimulators.stimulator import Stimulator, StimulatorSettings
from myoloop.stimulators.transport import MemoryTransport

MS = 1_000_000
ENVELOPE = gate.Envelope(
    session="s1", subject="P001", waveform_class="nmes",
    channels=(gate.ChannelLimits("left", 3, 25.0, 40.0),),
    phase_us=(100.0, 400.0), rate_hz=(2.0, 50.0), charge_per_phase_uc=12.0, rms_ma=10.0, rms_density_ma_cm2=1.0,
    power_density_w_cm2=0.1, channels_max=1, on_s_max=10.0, duty_max=0.5, session_on_s_max=400.0,
    session_charge_mc_max=1000.0, day_charge_mc_max=2000.0, course_charge_mc_max=20000.0, step_ma=1.0,
    new_ground_ma_per_s=20.0, known_ground_ramp_s_min=0.1, current_ma_calibrating=60.0,
    required_vitals=("vital/amp",), sensor_age_ms=100.0, ramp_down_s=0.5,
)  # fmt: skip


class Station:
    """Gate, driver and device; all others are well and say so every 10 ms."""

    def __init__(self):
        self.clock = VirtualClock(5_000 * MS)
        self.device = RehaStim2Device(start_ns=self.clock.now_ns())
        self.driver = RehaStim2Driver(
            RehaStim2Settings(channels={"left": 3}),
            MemoryTransport(self.device, self.clock),
            clock=self.clock,
            pause=lambda for_s: self.clock.advance(round(for_s * 1e9)),
        )
        self.driver.open()
        can = self.driver.capabilities
        self.object = Stimulator(
            StimulatorSettings(
                session="s1", subject="P001", rig_class="SIM", watched=("controller",),
                vitals=(VitalSource("vital/amp", 2000.0, (0,)),), outputs=can.outputs,
                current_max_ma=can.current_max_ma, current_step_ma=can.current_step_ma,
                phase_us=(can.phase_min_us, can.phase_max_us), rate_hz=(can.rate_min_hz, can.rate_max_hz),
                period_step_us=can.period_step_us,
            )
        )  # fmt: skip
        self.handover = Handover(self.driver, self.object)
        self.pulses, self.told, self.faults, self.number, self.seq = [], [], [], 0, 0

    def received(self, topic, publisher, message):
        self.seq += 1
        return Received(topic, publisher, 1, self.seq, message)

    def step(self, current_ma=None, rate_hz=40.0, more=()):
        """One cycle; with a current, the controller asks for it."""
        now_ns = self.clock.advance(10 * MS)
        report, told = self.handover.poll(now_ns)
        self.told += told
        self.pulses += self.device.pulses_until(now_ns)
        world = [("heartbeat/controller", "controller", Heartbeat(
                      t_ns=now_ns, node="controller", role="x", state="running", cycle_ms=0, cycle_mean_ms=0,
                      cycle_worst_ms=0)),
                 ("vital/amp", "amp", Vital(
                      topic="emg/amp", samples_seq=self.seq, t_ns=now_ns, rate_hz=2000.0, valid_share=(1.0,),
                      flags=("",))),
                 ("phase", "director", Phase(t_ns=now_ns, session="s1", state="running"))]  # fmt: skip
        if report is not None:
            self.faults += report.faults
            world.append(("device", "stimulator", report))
        if current_ma is not None:
            wanted = ChannelSetting(channel="left", current_ma=current_ma, phase_us=300.0, rate_hz=rate_hz)
            world.append(("request", "controller", StimRequest(
                step=1, t_ns=now_ns, arm_id=self.arm_id, lease_ms=100, channels=(wanted,))))  # fmt: skip
        received = [self.received(*each) for each in [*world, *more]]
        self.number += 1
        said = self.object.step(StepInput(self.number, now_ns, received))
        self.handover.obey(now_ns)
        self.answers = [each.message for each in said if each.topic == "answer"]
        (self.report,) = [each.message for each in said if each.topic == "report"]
        return self.report

    def run(self, ms, current_ma=None, rate_hz=40.0):
        for _ in range(ms // 10):
            self.step(current_ma, rate_hz)
        return self.report

    def act(self, kind, role="operator", **arguments):
        act = Command(t_ns=self.clock.now_ns(), id=f"id{self.seq}", kind=kind, target="stimulator", who="",
                      arguments=arguments, role=role, nonce=f"n{self.seq}")  # fmt: skip
        self.step(more=[("command", role, act)])
        (answer,) = self.answers
        assert answer.ok, answer.reason
        return answer

    def to_current(self, current_ma=10.0, rate_hz=40.0):
        self.step()
        self.act("set_envelope", "director", **asdict(ENVELOPE))
        self.act("confirm", envelope_sha256=ENVELOPE.sha256)
        self.run(1000)
        armed = self.act("arm", mode="normal", session="s1", envelope_sha256=ENVELOPE.sha256)
        self.arm_id = armed.values["arm_id"]
        self.step(0.0)
        self.run(1500, current_ma, rate_hz)
        assert self.report.state == "STIMULATING", self.report
        assert [each.current_ma for each in self.report.acknowledged] == [current_ma]


@pytest.fixture
def station():
    made = Station()
    made.to_current()
    return made


def test_trains_and_rests_go_on_without_a_fault_and_are_told_as_they_were(station):
    for _ in range(3):
        station.run(2000, 0.0)
        station.run(2000, 10.0)
    station.run(500, 0.0)
    assert (station.faults, station.report.state) == ([], "ARMED")
    told = sorted((t_ns, train.uncertainty_ns) for train in station.told for t_ns in train.t_ns)
    assert len(told) == pytest.approx(len(station.pulses), abs=4)
    charge = sum(pulse.current_ma * pulse.phase_us for pulse in station.pulses)
    assert sum(t.current_ma * t.phase_us * len(t.t_ns) for t in station.told) == pytest.approx(charge, rel=0.02)


def test_a_rate_between_the_steps_is_served_as_the_next_slower_one_that_the_device_has(station):
    station.run(2000, 0.0)
    station.pulses.clear()
    station.run(1000, 10.0, 30.0)
    assert {b.t_ns - a.t_ns for a, b in zip(station.pulses, station.pulses[1:], strict=False)} == {33_500_000}
    assert station.faults == []


def test_a_stop_reaches_the_device_at_once_and_can_be_got_over(station):
    station.step(10.0, more=[("stop", "key", Stop(t_ns=station.clock.now_ns(), who="me", why="enough"))])
    stopped_ns = station.clock.now_ns()
    assert station.run(11_000).state == "STOPPED"
    assert max(pulse.t_ns for pulse in station.pulses) <= stopped_ns + 40 * MS
    assert station.faults == []
    station.act("acknowledge")
    station.to_current()


FAULTS = {
    "late answers": {"answer_delay_ns": 400 * MS},
    "lost answers": {"drop_answers": True},
    "spoilt answers": {"corrupt_answers": True},
    "answers of another number": {"wrong_number_answers": True},
    "no transfer": {"results": {10: -1, 32: -1}},
    "a wrong mode": {"results": {10: -3, 32: -3}},
    "busy": {"results": {10: -8, 32: -8}},
    "the quick-stop button": {"quick_stop": True},
    "a broken module": {"module_broken": True},
    "an open electrode": {"open_electrodes": {3}},
    "a load too large": {"load_ohm": {3: 16_000.0}},
    "a cable pulled": {"vanished": True},
    "a restart": {"reset_at_ns": 1},
}


@pytest.mark.parametrize("broken", FAULTS.values(), ids=FAULTS)
def test_each_fault_ends_the_current_within_the_devices_own_bound_and_can_be_got_over(station, broken):
    whole = {name: getattr(station.device.faults, name) for name in broken}
    for name, value in broken.items():
        setattr(station.device.faults, name, value)
    broken_ns = station.clock.now_ns()
    # The device is asked every 400 ms at the latest, and given 150 ms for its answer.
    station.run(2000, 10.0)
    assert station.report.state == "FAULT", station.report
    assert max(pulse.t_ns for pulse in station.pulses) <= broken_ns + (250 + 400 + 1200) * MS
    assert station.device.active == ()
    for name, value in whole.items():
        setattr(station.device.faults, name, value)
    station.run(11_000)
    station.act("acknowledge")
    station.to_current()


def test_a_device_that_goes_on_after_a_stop_ends_within_its_watchdog_and_is_told_of(station):
    station.device.faults.stuck_on = True
    station.step(10.0, more=[("stop", "key", Stop(t_ns=station.clock.now_ns(), who="me", why="enough"))])
    stopped_ns = station.clock.now_ns()
    station.run(3000)
    assert any("goes on stimulating" in fault for fault in station.faults)
    assert stopped_ns < max(pulse.t_ns for pulse in station.pulses) <= stopped_ns + (250 + 1200) * MS
    station.device.faults.stuck_on = False
    station.run(11_000)
    station.act("acknowledge")
    station.to_current()


def test_a_device_that_goes_on_after_a_planned_end_is_a_fault(station):
    station.device.faults.stuck_on = True
    ended_ns = station.clock.now_ns()
    station.run(3000, 0.0)
    assert station.report.state == "FAULT"
    assert max(pulse.t_ns for pulse in station.pulses) <= ended_ns + (250 + 1200) * MS
    station.device.faults.stuck_on = False
    station.run(11_000)
    station.act("acknowledge")
    station.to_current()


def test_a_controller_that_falls_silent_ends_it_within_150_ms_and_a_lease(station):
    broken_ns = station.clock.now_ns()
    station.run(500)
    assert max(pulse.t_ns for pulse in station.pulses) <= broken_ns + 250 * MS
