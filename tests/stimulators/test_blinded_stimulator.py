"""A blinded stimulator with a driver and a device behind it: what it says in the open does not depend on the arm."""

from __future__ import annotations

from dataclasses import asdict, replace

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.platform.clock import VirtualClock
from myoloop.platform.messages import (
    Answer,
    ChannelSetting,
    Command,
    Heartbeat,
    Message,
    Phase,
    StimReport,
    StimRequest,
    Stop,
    Vital,
)
from myoloop.platform.sealed import SealedError, StudyKey
from myoloop.platform.steps import Received, StepInput
from myoloop.stimulators import gate
from myoloop.stimulators.emulators.simulated import SimulatedDevice
from myoloop.stimulators.hearing import VitalSource
from myoloop.stimulators.node import WRONG_BYTES, Handover, Words
from myoloop.stimulators.sealing import DEVICE, PULSE, REPORT, Assignment, close_assignment
from myoloop.stimulators.sham import Treatment
from myoloop.stimulators.simulated import SimulatedDriver, SimulatedDriverSettings
from myoloop.stimulators.stimulator import Stimulator, StimulatorSettings
from myoloop.stimulators.transport import MemoryTransport

MS = 1_000_000
KEY = StudyKey(bytes(range(32)))
ACTIVE, ZERO = Treatment(), Treatment("zero_current")
TRANSIENT = Treatment("transient", on_s=0.4, fade_s=0.3)
PLAIN = StimulatorSettings(
    session="s1", subject="P001", rig_class="SIM", watched=("controller",),
    vitals=(VitalSource("vital/amp", 2000.0, (0,)),), outputs=2, current_max_ma=100.0, current_step_ma=0.5,
    phase_us=(20.0, 1000.0), rate_hz=(1.0, 200.0),
)  # fmt: skip
ENVELOPE = gate.Envelope(
    session="s1", subject="P001", waveform_class="nmes",
    channels=(gate.ChannelLimits("left", 0, 25.0, 40.0), gate.ChannelLimits("right", 1, 25.0, 40.0)),
    phase_us=(100.0, 400.0), rate_hz=(2.0, 80.0), charge_per_phase_uc=12.0, rms_ma=10.0, rms_density_ma_cm2=1.0,
    power_density_w_cm2=0.1, channels_max=2, on_s_max=6.0, duty_max=0.4, session_on_s_max=400.0,
    session_charge_mc_max=1000.0, day_charge_mc_max=2000.0, course_charge_mc_max=20000.0, step_ma=1.0,
    new_ground_ma_per_s=20.0, known_ground_ramp_s_min=0.1, current_ma_calibrating=60.0,
    required_vitals=("vital/amp",), sensor_age_ms=100.0, ramp_down_s=0.5,
)  # fmt: skip


class Rig:
    """Everything of a stimulator's node but its sockets."""

    def __init__(self, treatment: Treatment) -> None:
        closed = close_assignment(KEY, "s1", Assignment(treatment=treatment))
        self.object = Stimulator(replace(PLAIN, blinded=closed), KEY)
        self.now_ns = 5_000 * MS
        self.clock = VirtualClock(self.now_ns)
        self.firmware = SimulatedDevice(start_ns=self.now_ns)
        wired = SimulatedDriverSettings(channels={"left": 0, "right": 1})
        self.driver = SimulatedDriver(wired, MemoryTransport(self.firmware, self.clock))
        self.driver.open()
        self.handover = Handover(self.driver, self.object, blinded=True)
        self.words = Words(self.object)
        self.number = self.seq = 0
        #: Topic and message of everything that was said.
        self.said: list[tuple[str, Message]] = []
        self.step_said: list[tuple[str, Message]] = []

    def received(self, topic: str, publisher: str, message: Message) -> Received:
        self.seq += 1
        return Received(topic, publisher, 1, self.seq, message)

    def step(self, *more: Received, after_ms: int = 10) -> StimReport:
        self.clock.advance(after_ms * MS)
        self.now_ns += after_ms * MS
        self.number += 1
        report, pulses = self.handover.poll(self.now_ns)
        assert report is not None
        words = [self.words.device(report, self.now_ns)]
        beat = Heartbeat(
            t_ns=self.now_ns, node="controller", role="controller", state="running", cycle_ms=0, cycle_mean_ms=0,
            cycle_worst_ms=0,
        )  # fmt: skip
        vital = Vital(topic="emg/amp", samples_seq=0, t_ns=self.now_ns, rate_hz=2000.0, valid_share=(1.0,), flags=("",))
        world = [
            self.received("heartbeat/controller", "controller", beat),
            self.received("vital/amp", "amp", vital),
            self.received("phase", "director", Phase(t_ns=self.now_ns, session="s1", state="running")),
            self.received(DEVICE, "stimulator", words[0].message),
        ]
        words += self.object.step(StepInput(self.number, self.now_ns, [*world, *more]))
        self.handover.obey(self.now_ns)
        words += self.words.pulses(pulses, self.now_ns)
        self.step_said = [(each.topic, each.message) for each in words]
        self.said += self.step_said
        (report_said,) = [message for topic, message in self.step_said if topic == "report"]
        assert isinstance(report_said, StimReport)
        return report_said

    def command(self, kind: str, **arguments) -> Answer:
        self.number_of_act = getattr(self, "number_of_act", 0) + 1
        role = "director" if kind == "set_envelope" else "operator"
        act = Command(
            t_ns=self.now_ns, id=f"a{self.number_of_act}", kind=kind, target="stimulator", arguments=arguments,
            role=role, nonce=f"n{self.number_of_act}",
        )  # fmt: skip
        self.step(self.received("command", role, act))
        (answer,) = [message for topic, message in self.step_said if topic == "answer"]
        assert isinstance(answer, Answer)
        return answer

    def arm(self) -> Answer:
        answer = self.command("arm", mode="normal", session="s1", envelope_sha256=ENVELOPE.sha256)
        self.arm_id = answer.values.get("arm_id", "")
        return answer

    def armed(self) -> Rig:
        self.step()
        assert self.command("set_envelope", **asdict(ENVELOPE)).ok
        assert self.command("confirm", envelope_sha256=ENVELOPE.sha256).ok
        assert self.arm().ok
        self.ask({"left": 0.0})
        return self

    def ask(self, wish: dict[str, float], after_ms: int = 10) -> StimReport:
        channels = tuple(
            ChannelSetting(channel=name, current_ma=ma, phase_us=300.0, rate_hz=40.0) for name, ma in wish.items()
        )
        request = StimRequest(
            step=1, t_ns=self.now_ns + (after_ms - 2) * MS, arm_id=self.arm_id, lease_ms=100, channels=channels
        )
        return self.step(self.received("request", "controller", request), after_ms=after_ms)

    def open(self) -> list[tuple[str, bytes]]:
        """What is said in the open, as bytes; of what is sealed its number, time and length."""
        return [
            (topic, bytes(len(message.box)) if topic.startswith("sealed/") else msgspec.msgpack.encode(message))
            for topic, message in self.said
        ]

    def given_ma(self) -> list[float]:
        seals = self.object.seals
        return [sum(each[1] for each in seals.report(m).allowed) for topic, m in self.said if topic == REPORT]


WISHES = st.fixed_dictionaries({"left": st.sampled_from([0.0, 3.0, 12.0, 50.0, -1.0])}) | st.fixed_dictionaries(
    {"left": st.sampled_from([0.0, 8.0]), "right": st.sampled_from([0.0, 5.5, 20.0])}
)
DEEDS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), WISHES, st.integers(1, 60)),
        st.tuples(st.just("idle"), st.integers(1, 20)),
        st.tuples(st.just("pause"), st.just(None)),
        st.tuples(st.just("arm"), st.just(None)),
        st.tuples(st.just("stop"), st.just(None)),
    ),
    max_size=12,
)


def play(rig: Rig, deeds) -> None:
    for deed in deeds:
        if deed[0] == "ask":
            for _ in range(deed[2]):
                rig.ask(deed[1])
        elif deed[0] == "idle":
            for _ in range(deed[1]):
                rig.step()
        elif deed[0] == "pause":
            rig.command("pause")
            for _ in range(60):
                rig.step()
        elif deed[0] == "arm":
            rig.arm()
            rig.ask({"left": 0.0})
        else:
            rig.step(rig.received("stop", "operator", Stop(t_ns=rig.now_ns, who="operator", why="red button")))


@settings(deadline=None, max_examples=12)
@given(st.sampled_from([ZERO, TRANSIENT]), DEEDS)
def test_with_the_same_requests_the_open_streams_are_equal_byte_for_byte(treatment: Treatment, deeds) -> None:
    active, other = Rig(ACTIVE).armed(), Rig(treatment).armed()
    for rig in (active, other):
        play(rig, deeds)
    assert active.open() == other.open()
    assert all(real <= most for real, most in zip(other.given_ma(), active.given_ma(), strict=True))


def test_the_device_of_a_sham_gives_its_beginning_alone() -> None:
    rig = Rig(TRANSIENT).armed()
    for _ in range(150):
        report = rig.ask({"left": 10.0})
    assert [each.current_ma for each in report.allowed] == [10.0]
    assert rig.firmware.active == ()
    assert [each.current_ma for each in report.acknowledged] == [10.0]
    pulses = [each for topic, m in rig.said if topic == PULSE for each in rig.object.seals.pulses(m)]
    assert 10 < sum(len(each.t_ns) for each in pulses) < 32
    assert rig.object.gate_state.dose.on_s < 0.8 < rig.object.shown_state.dose.on_s


def test_a_stop_reaches_the_device_in_every_arm() -> None:
    for treatment in (ACTIVE, ZERO, TRANSIENT):
        rig = Rig(treatment).armed()
        for _ in range(30):
            rig.ask({"left": 10.0})
        rig.step(rig.received("stop", "operator", Stop(t_ns=rig.now_ns, who="operator", why="red button")))
        assert rig.object.order.stop
        rig.step()
        assert rig.firmware.active == ()


def test_an_open_electrode_is_a_fault_that_all_may_know() -> None:
    rig = Rig(ACTIVE).armed()
    rig.firmware.faults.open_electrodes.add(0)
    for _ in range(40):
        report = rig.ask({"left": 10.0})
    assert report.latched == "device: electrode open: left"


def test_a_device_that_says_other_than_it_was_sent_is_a_fault_without_numbers() -> None:
    rig = Rig(ZERO).armed()
    for _ in range(30):
        rig.ask({"left": 10.0})
    report, _ = rig.handover.poll(rig.now_ns)
    setting = ChannelSetting(channel="left", current_ma=7.0, phase_us=300.0, rate_hz=40.0)
    wrong = msgspec.structs.replace(report, acknowledged=(setting,))
    rig.step(rig.received(DEVICE, "stimulator", rig.words.device(wrong, rig.now_ns).message))
    latched = rig.step().latched
    assert latched == "device: left: acknowledged is not what was sent"


def test_bytes_that_are_not_right_are_a_fault_without_numbers(monkeypatch) -> None:
    rig = Rig(ACTIVE).armed()
    encode = rig.driver.encode
    monkeypatch.setattr(
        rig.driver,
        "encode",
        lambda given: encode([msgspec.structs.replace(each, current_ma=each.current_ma + 3.0) for each in given]),
    )
    for _ in range(40):
        report = rig.ask({"left": 10.0})
    assert report.latched == f"device: {WRONG_BYTES}"


def test_without_the_key_there_is_no_such_stimulator() -> None:
    closed = close_assignment(KEY, "s1", Assignment(treatment=ZERO))
    with pytest.raises(SealedError, match="session s1 is blinded: its stimulator needs the study's key"):
        Stimulator(replace(PLAIN, blinded=closed))
    with pytest.raises(SealedError, match="does not open"):
        Stimulator(replace(PLAIN, blinded=closed), StudyKey(bytes(32)))
    with pytest.raises(SealedError, match="does not open"):
        Stimulator(replace(PLAIN, blinded=closed, session="s2"), KEY)


def test_assignments_of_all_arms_have_one_length() -> None:
    had = (123.456789, 987.654321, 123456.0)
    lengths = {
        len(close_assignment(KEY, "s1", Assignment(treatment=treatment, session_dose=dose)))
        for treatment in (ACTIVE, ZERO, TRANSIENT, Treatment("transient", 45.123456789, 15.987654321))
        for dose in ((0.0, 0.0, 0.0), had)
    }
    assert len(lengths) == 1
