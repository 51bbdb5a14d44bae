"""The gate among messages: what it hears is its evidence, what the device says is held against what it was sent."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from myoloop.platform.clock import VirtualClock
from myoloop.platform.messages import (
    Answer,
    ChannelSetting,
    ClockSample,
    Command,
    DeviceReport,
    Event,
    Heartbeat,
    Phase,
    StimReport,
    StimRequest,
    Stop,
    Vital,
)
from myoloop.platform.steps import Received, StepInput, Stepped
from myoloop.stimulators import gate
from myoloop.stimulators.emulators.simulated import SimulatedDevice
from myoloop.stimulators.hearing import VitalSource, disagreement
from myoloop.stimulators.node import Handover
from myoloop.stimulators.simulated import SimulatedDriver, SimulatedDriverSettings
from myoloop.stimulators.stimulator import Stimulator, StimulatorSettings, settings_json
from myoloop.stimulators.transport import MemoryTransport

MS = 1_000_000
WATCHED = ("controller", "amp", "recorder", "director", "supervisor")
SETTINGS = StimulatorSettings(
    session="s1",
    subject="P001",
    rig_class="SIM",
    watched=WATCHED,
    vitals=(VitalSource("vital/amp", 2000.0, (0, 2)),),
    outputs=2,
    current_max_ma=100.0,
    current_step_ma=0.5,
    phase_us=(20.0, 1000.0),
    rate_hz=(1.0, 200.0),
)
ENVELOPE = gate.Envelope(
    session="s1", subject="P001", waveform_class="nmes",
    channels=(gate.ChannelLimits("left", 0, 25.0, 40.0),),
    phase_us=(100.0, 400.0), rate_hz=(2.0, 80.0), charge_per_phase_uc=12.0, rms_ma=10.0, rms_density_ma_cm2=1.0,
    power_density_w_cm2=0.1, channels_max=1, on_s_max=6.0, duty_max=0.4, session_on_s_max=400.0,
    session_charge_mc_max=1000.0, day_charge_mc_max=2000.0, course_charge_mc_max=20000.0, step_ma=1.0,
    new_ground_ma_per_s=20.0, known_ground_ramp_s_min=0.1, current_ma_calibrating=60.0,
    required_vitals=("vital/amp",), sensor_age_ms=100.0, ramp_down_s=0.5,
)  # fmt: skip


def setting(current_ma: float, channel: str = "left") -> ChannelSetting:
    return ChannelSetting(channel=channel, current_ma=current_ma, phase_us=300.0, rate_hz=40.0)


class Bench:
    """A stimulator whose whole world are messages; all is well unless a test says otherwise."""

    def __init__(self, settings: StimulatorSettings = SETTINGS) -> None:
        self.object = Stimulator(settings)
        self.now_ns = 5_000 * MS
        self.number = 0
        self.said: list = []
        self.seq = 0
        # The device acknowledges what it was sent, at once, unless a test takes its words away.
        self.acknowledges = True
        self.device = DeviceReport(t_ns=0, connected=True, identity="fake")
        self.sent = 0
        self.silent: set[str] = set()
        self.valid_share = (1.0, 1.0, 1.0)
        self.rate_hz: float | None = 2000.0
        self.phase_state = "running"

    def received(self, topic: str, publisher: str, message) -> Received:
        self.seq += 1
        return Received(topic, publisher, 1, self.seq, message)

    def world(self) -> list[Received]:
        found = [
            self.received(
                f"heartbeat/{name}", name,
                Heartbeat(t_ns=self.now_ns, node=name, role="x", state="running", cycle_ms=0, cycle_mean_ms=0,
                          cycle_worst_ms=0),
            )
            for name in WATCHED if name not in self.silent
        ]  # fmt: skip
        if "vital" not in self.silent:
            vital = Vital(
                topic="emg/amp", samples_seq=self.seq, t_ns=self.now_ns, rate_hz=self.rate_hz,
                valid_share=self.valid_share, flags=("", "", ""),
            )  # fmt: skip
            found.append(self.received("vital/amp", "amp", vital))
        if "phase" not in self.silent:
            phase = Phase(t_ns=self.now_ns, session="s1", state=self.phase_state)
            found.append(self.received("phase", "director", phase))
        found.append(self.received("device", "stimulator", self.device))
        return found

    def step(self, *more: Received, after_ms: int = 10) -> StimReport:
        self.now_ns += after_ms * MS
        self.number += 1
        self.said = self.object.step(StepInput(self.number, self.now_ns, [*self.world(), *more]))
        if self.object.order.write:
            self.sent += 1
            if self.acknowledges:
                self.device = msgspec.structs.replace(
                    self.device, ack_of=self.sent, sent=self.sent, acknowledged=self.object.order.settings
                )
        return self.report

    @property
    def report(self) -> StimReport:
        (found,) = [each.message for each in self.said if each.topic == "report"]
        return found

    def events(self) -> list[Event]:
        return [each.message for each in self.said if each.topic == "event"]

    def command(self, kind: str, role: str = "operator", who: str = "", **arguments) -> Answer:
        act = Command(
            t_ns=self.now_ns, id=f"id{self.seq}", kind=kind, target="stimulator", who=who, arguments=arguments,
            role=role, nonce=f"n{self.seq}",
        )  # fmt: skip
        self.step(self.received("command", role, act))
        (answer,) = [each.message for each in self.said if each.topic == "answer"]
        assert answer.id == act.id
        return answer

    def request(self, current_ma: float, **more) -> Received:
        wish = StimRequest(
            step=1, t_ns=self.now_ns + 8 * MS, arm_id=self.arm_id, lease_ms=100, channels=(setting(current_ma),)
        )
        return self.received("request", "controller", msgspec.structs.replace(wish, **more))

    def arm(self, role: str = "operator", who: str = "") -> Answer:
        return self.command("arm", role, who, mode="normal", session="s1", envelope_sha256=ENVELOPE.sha256)

    def to_ready(self) -> Bench:
        self.step()
        assert self.command("set_envelope", "director", **asdict(ENVELOPE)).ok
        assert self.command("confirm", envelope_sha256=ENVELOPE.sha256).ok
        return self

    def to_armed(self) -> Bench:
        answer = self.to_ready().arm()
        assert answer.ok, answer.reason
        self.arm_id = answer.values["arm_id"]
        self.step(self.request(0.0))
        return self

    def to_current(self) -> Bench:
        self.to_armed()
        for _ in range(40):
            self.step(self.request(4.0))
        assert self.report.state == "STIMULATING"
        assert self.report.acknowledged == (setting(4.0),)
        return self


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_it_is_a_stepped_object_that_names_what_it_hears(bench):
    assert isinstance(bench.object, Stepped)
    assert bench.object.subscriptions == (
        "vital/amp", "phase", "request", *(f"heartbeat/{name}" for name in WATCHED)
    )  # fmt: skip


def test_asked_allowed_and_acknowledged_are_three_facts(bench):
    bench.to_armed()
    report = bench.step(request := bench.request(10.0))
    assert report.requested == (setting(10.0),)
    assert [each.current_ma < 10.0 for each in report.allowed] == [True]
    assert report.acknowledged == ()
    assert report.rule
    assert report.request == request.reference[1:]
    assert bench.step().acknowledged == report.allowed
    assert bench.object.order.settings == bench.report.allowed


class Wired(Bench):
    """A stimulator with a driver and a device behind it: what it orders goes out as bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.acknowledges = False
        self.clock = VirtualClock(self.now_ns)
        self.firmware = SimulatedDevice(start_ns=self.now_ns)
        self.driver = SimulatedDriver(
            SimulatedDriverSettings(channels={"left": 0}), MemoryTransport(self.firmware, self.clock)
        )
        self.driver.open()
        self.handover = Handover(self.driver, self.object)

    def step(self, *more: Received, after_ms: int = 10) -> StimReport:
        self.clock.advance(after_ms * MS)
        self.device = self.handover.poll(self.clock.now_ns())[0] or self.device
        report = super().step(*more, after_ms=after_ms)
        self.handover.obey(self.now_ns)
        return report


def test_a_pause_of_a_calibration_above_the_channels_own_limit_ramps_and_is_no_fault():
    bench = Wired()
    own = gate.ChannelLimits("left", 0, 25.0, 10.0)
    envelope = replace(ENVELOPE, channels=(own,))
    bench.step()
    assert bench.command("set_envelope", "director", **asdict(envelope)).ok
    assert bench.command("confirm", envelope_sha256=envelope.sha256).ok
    arguments = {"mode": "calibration", "channel": "left", "session": "s1", "envelope_sha256": envelope.sha256}
    bench.arm_id = bench.command("arm", **arguments).values["arm_id"]
    bench.step(bench.request(0.0))
    for level_ma in range(1, 19):
        assert bench.command("step", channel="left", current_ma=float(level_ma)).ok
        for cycle in range(35):
            bench.step(bench.request(float(level_ma) if cycle > 10 else 0.0))
    assert bench.report.acknowledged == (setting(18.0),)
    assert bench.command("pause").ok
    flowing_ma = []
    for _ in range(60):
        bench.step()
        flowing_ma.append(sum(each.current_ma for each in bench.report.acknowledged))
    assert flowing_ma == sorted(flowing_ma, reverse=True)
    assert len(set(flowing_ma)) > 30
    assert flowing_ma[-1] == 0.0
    assert (bench.report.state, bench.device.faults) == ("READY", ())


def test_the_newest_request_alone_counts(bench):
    bench.to_current()
    report = bench.step(bench.request(6.0), newest := bench.request(3.0))
    assert report.requested == (setting(3.0),)
    assert report.request == newest.reference[1:]


class TestEvidence:
    @pytest.mark.parametrize("peer", WATCHED)
    def test_a_peer_that_falls_silent_is_a_fault_within_150_ms(self, bench, peer):
        bench.to_current()
        bench.silent.add(peer)
        for _ in range(16):
            bench.step(bench.request(4.0))
        assert bench.report.state == "FAULT"
        assert peer in bench.report.latched
        assert bench.report.allowed == ()
        assert bench.object.order.stop

    def test_a_heartbeat_is_evidence_of_who_sent_it_alone(self, bench):
        bench.to_current()
        bench.silent.add("director")
        for _ in range(16):
            forged = Heartbeat(
                t_ns=bench.now_ns, node="director", role="director", state="running", cycle_ms=0, cycle_mean_ms=0,
                cycle_worst_ms=0,
            )  # fmt: skip
            bench.step(bench.request(4.0), bench.received("heartbeat/amp", "amp", forged))
        assert bench.report.latched.startswith("dead peer: director")

    def test_a_peer_that_says_it_has_ended_is_dead_at_once(self, bench):
        bench.to_current()
        ended = Heartbeat(
            t_ns=bench.now_ns, node="recorder", role="recorder", state="ended", cycle_ms=0, cycle_mean_ms=0,
            cycle_worst_ms=0,
        )  # fmt: skip
        bench.silent.add("recorder")
        report = bench.step(bench.request(4.0), bench.received("heartbeat/recorder", "recorder", ended))
        assert (report.state, report.allowed) == ("FAULT", ())

    @pytest.mark.parametrize("share", [(0.49, 1.0, 1.0), (1.0, 1.0, 0.0), (float("nan"), 1.0, 1.0), (1.0,)])
    def test_samples_that_are_not_valid_enough_on_a_muscles_channel_are_stale(self, bench, share):
        bench.to_current()
        bench.valid_share = share
        for _ in range(11):
            bench.step(bench.request(4.0))
        assert (bench.report.rule, bench.report.allowed) == ("stale samples", ())
        assert bench.report.state == "ARMED"

    def test_a_channel_that_is_no_muscle_may_be_as_it_likes(self, bench):
        bench.to_current()
        bench.valid_share = (0.5, 0.0, 0.5)
        for _ in range(30):
            bench.step(bench.request(4.0))
        assert bench.report.allowed == (setting(4.0),)

    @pytest.mark.parametrize("rate_hz", [None, 1799.0, 2201.0, float("nan")])
    def test_a_stream_that_is_not_at_its_rate_is_stale(self, bench, rate_hz):
        bench.to_current()
        bench.rate_hz = rate_hz
        assert bench.step(bench.request(4.0)).rule == "stale samples"

    def test_a_phase_that_is_old_or_does_not_run_lets_nothing_through(self, bench):
        bench.to_current()
        bench.phase_state = "waiting"
        assert bench.step(bench.request(4.0)).rule == "phase"
        bench.phase_state = "running"
        bench.silent.add("phase")
        for _ in range(32):
            bench.step(bench.request(4.0))
        assert bench.report.rule == "stale phase"

    def test_a_host_that_slept_is_a_fault(self, bench):
        bench.to_current()

        def clock(ahead_ms: int) -> Received:
            sample = ClockSample(t_ns=bench.now_ns, wall_ns=0, boottime_ns=bench.now_ns + ahead_ms * MS)
            return bench.received("clock", "stimulator", sample)

        bench.step(bench.request(4.0), clock(500))
        assert bench.step(bench.request(4.0), clock(540)).state == "STIMULATING"
        report = bench.step(bench.request(4.0), clock(560))
        assert report.state == "FAULT"
        assert "slept for 60 ms" in report.latched


class TestDevice:
    def test_an_acknowledgement_of_something_else_is_a_fault(self, bench):
        bench.to_current()
        bench.acknowledges = False
        bench.device = msgspec.structs.replace(bench.device, acknowledged=(setting(4.5),))
        report = bench.step(bench.request(4.0))
        assert report.state == "FAULT"
        assert "left: sent 4 mA, acknowledged 4.5 mA" in report.latched
        assert (report.allowed, bench.object.order.stop) == ((), True)

    @pytest.mark.parametrize("still", [(setting(4.5),), ()], ids=["more", "nothing"])
    def test_a_disagreement_is_over_when_the_device_has_answered_to_the_stop_that_it_gives_nothing(self, bench, still):
        bench.to_current()
        bench.acknowledges = False
        bench.device = msgspec.structs.replace(bench.device, acknowledged=still)
        assert bench.step(bench.request(4.0)).state == "FAULT"
        # The stop's answer is one to no order; before it comes, however long, nothing is well.
        for after, ack_of, acknowledged, ok in (
            ("before", bench.device.ack_of, still, False), ("goes on", 0, (setting(4.5),), False),
            ("stopped", 0, (), True),
        ):  # fmt: skip
            bench.device = msgspec.structs.replace(bench.device, ack_of=ack_of, acknowledged=acknowledged)
            for _ in range(1100):
                bench.step()
            assert bench.command("acknowledge").ok == ok, after
        bench.acknowledges = True
        assert bench.command("confirm", envelope_sha256=ENVELOPE.sha256).ok
        assert bench.arm().ok

    def test_a_device_that_ended_by_itself_is_a_fault(self, bench):
        bench.to_current()
        bench.acknowledges = False
        bench.device = msgspec.structs.replace(bench.device, acknowledged=())
        assert "sent 4 mA, acknowledged 0 mA" in bench.step(bench.request(4.0)).latched

    def test_an_acknowledgement_may_be_of_an_earlier_command(self, bench):
        bench.to_current()
        bench.acknowledges = False
        before = bench.device
        for _ in range(5):
            bench.step(bench.request(3.0))
        assert bench.object.order.settings == (setting(3.0),)
        assert bench.device == before
        assert bench.report.state == "STIMULATING"

    def test_what_it_complains_of_is_a_fault(self, bench):
        bench.to_current()
        bench.device = msgspec.structs.replace(bench.device, faults=("electrode open",))
        report = bench.step(bench.request(4.0))
        assert (report.state, report.allowed) == ("FAULT", ())
        assert "electrode open" in report.latched

    def test_a_command_without_answer_for_more_than_250_ms_is_a_fault(self, bench):
        bench.to_current()
        bench.acknowledges = False
        bench.device = msgspec.structs.replace(bench.device, oldest_unacknowledged_ns=bench.now_ns)
        for _ in range(25):
            assert bench.step(bench.request(4.0)).state == "STIMULATING"
        report = bench.step(bench.request(4.0))
        assert report.state == "FAULT"
        assert "no acknowledgement for 260 ms" in report.latched

    def test_a_device_that_is_lost_under_current_is_a_fault(self, bench):
        bench.to_current()
        bench.device = msgspec.structs.replace(bench.device, connected=False)
        report = bench.step(bench.request(4.0))
        assert (report.state, report.allowed) == ("FAULT", ())
        assert not bench.object.order.write


class TestActs:
    def test_a_script_may_not_arm_a_person(self):
        bench = Bench(replace(SETTINGS, rig_class="HUMAN")).to_ready()
        answer = bench.arm(who="script: drill")
        assert (answer.ok, answer.reason) == (False, "a script may not arm on a HUMAN rig")
        assert bench.report.state == "READY"
        assert bench.arm().ok

    @pytest.mark.parametrize("rig_class", ["SIM", "BENCH"])
    def test_where_nobody_can_be_hurt_it_may(self, rig_class):
        bench = Bench(replace(SETTINGS, rig_class=rig_class)).to_ready()
        assert bench.arm(who="script: drill").ok

    @pytest.mark.parametrize("role", ["controller", "director", "supervisor", "recorder", ""])
    def test_only_an_operator_arms(self, bench, role):
        bench.to_ready()
        assert not bench.arm(role).ok
        assert bench.report.state == "READY"

    def test_what_is_no_act_is_answered_and_refused(self, bench):
        answer = bench.command("dance")
        assert (answer.ok, "dance" in answer.reason) == (False, True)

    def test_every_act_is_an_event_with_who_and_what_became_of_it(self, bench):
        bench.to_ready()
        bench.command("arm", "controller", mode="normal")
        (event,) = bench.events()
        assert (event.kind, event.who, event.values) == ("act", "controller", {"ok": False, "act": "arm"})
        assert event.why == "controller may not arm"

    def test_a_report_names_the_envelope_in_force(self, bench):
        bench.step()
        assert bench.report.envelope_sha256 == ""
        bench.to_ready()
        assert bench.report.envelope_sha256 == ENVELOPE.sha256


class TestStop:
    def test_a_stop_wins_over_everything_that_came_with_it(self, bench):
        bench.to_current()
        stop = bench.received("stop", "stimulator", Stop(t_ns=bench.now_ns, who="pedal", why="pressed"))
        report = bench.step(bench.request(4.0), stop)
        assert (report.state, report.allowed) == ("STOPPED", ())
        assert report.latched == "stop: pressed (pedal)"
        assert bench.object.order.stop
        (event,) = [each for each in bench.events() if each.kind == "stop"]
        assert event.values == {"from": "STIMULATING", "to": "STOPPED"}

    def test_beginnings_and_ends_of_trains_are_no_events(self, bench):
        bench.to_armed()
        for _ in range(40):
            bench.step(bench.request(4.0))
            assert bench.events() == []
        for _ in range(20):
            bench.step(bench.request(0.0))
            assert bench.events() == []
        assert bench.report.state == "ARMED"


class TestDose:
    def test_it_grows_on_top_of_what_the_ledger_holds(self):
        settings = replace(SETTINGS, prior_day_charge_mc=100.0, prior_course_charge_mc=500.0)
        bench = Bench(settings).to_current()
        dose = bench.report.dose
        assert dose.session_charge_mc > 0
        assert dose.day_charge_mc == pytest.approx(100.0 + dose.session_charge_mc)
        assert dose.course_charge_mc == pytest.approx(500.0 + dose.session_charge_mc)

    def test_a_session_begun_again_goes_on_with_what_it_has_given(self):
        bench = Bench(replace(SETTINGS, prior_session=(900.0, 12.0, 34.0)))
        dose = bench.step().dose
        assert (dose.session_charge_mc, dose.session_on_s, dose.session_pulses) == (900.0, 12.0, 34)
        used_up = Bench(replace(SETTINGS, prior_session=(1000.0, 12.0, 34.0))).to_ready()
        assert used_up.arm().reason == "session charge of 1000 mC is used up"


def test_its_settings_go_through_the_record_and_make_the_same_again():
    settings = replace(SETTINGS, prior_day_charge_mc=0.1, prior_session=(1.5, 2.5, 3.0))
    text = settings_json(settings)
    json.loads(text)
    assert msgspec.json.decode(text, type=StimulatorSettings) == settings


def test_the_same_messages_give_the_same_words_bit_for_bit():
    one, other = Bench(), Bench()
    for bench in (one, other):
        bench.to_current()
    assert msgspec.msgpack.encode([each.message for each in one.said]) == msgspec.msgpack.encode(
        [each.message for each in other.said]
    )


settings_of_channels = st.lists(
    st.builds(setting, st.sampled_from([0.0, 1.0, 1.0 + 1e-12, 1.5]), st.sampled_from(["left", "right"])),
    max_size=2,
    unique_by=lambda each: each.channel,
)


@given(settings_of_channels, settings_of_channels)
def test_two_disagree_exactly_where_a_current_differs(sent, said):
    def flows(settings):
        return {each.channel: round(each.current_ma, 6) for each in settings if each.current_ma > 0}

    assert bool(disagreement(sent, said)) == (flows(sent) != flows(said))


def test_width_and_rate_are_compared_too():
    sent = setting(5.0)
    for change in ({"phase_us": 301.0}, {"rate_hz": 41.0}):
        assert disagreement([sent], [msgspec.structs.replace(sent, **change)])
