"""Whatever is pressed, and whatever a controller asks for: current rises no faster than it may, and not above the cap.

Director and the real gate in one process; the witness keeps its own books of what has flowed.
"""

from __future__ import annotations

from dataclasses import replace
from math import inf

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from myoloop.platform.messages import ChannelSetting as Setting
from myoloop.platform.messages import (
    Command,
    DeviceReport,
    Event,
    Heartbeat,
    StimRequest,
    Stop,
    Vital,
)
from myoloop.platform.steps import Received, StepInput
from myoloop.stimulators.stimulator import Stimulator, StimulatorSettings, VitalSource

SESSION = "sub-T/ses-01/att-1"
TICK_S = 0.01
DEVICE_STEP_MA = 1.0
WATCHED = ("controller", "director")
SETTINGS = StimulatorSettings(
    session=SESSION, subject="T", rig_class="SIM", watched=WATCHED, vitals=(VitalSource("vital/amp", 2000.0, (0,)),),
    outputs=4, current_max_ma=100.0, current_step_ma=DEVICE_STEP_MA, phase_us=(20.0, 500.0), rate_hz=(1.0, 120.0),
)  # fmt: skip


class RealGate:
    """The stimulator's own object, a device that does at once what it is told, and a controller that may be mad."""

    def __init__(self, channels):
        self.object = Stimulator(SETTINGS)
        self.channels = channels
        self.greed_ma = None
        self.number = self.seq = 0
        self.accepted_for = ""
        self.stops = []
        self.written = 0
        self.acknowledged = ()

    @property
    def state(self):
        return self.object.gate_state.name

    @property
    def sha256(self):
        envelope = self.object.gate_state.envelope
        return "" if envelope is None else envelope.sha256

    def act(self, command: Command, now_ns: int):
        role = "director" if command.who == "director" else "operator"
        self.seq += 1
        given = msgspec.structs.replace(command, role=role, nonce=f"n{self.seq}", who="script")
        said = self.step([Received("command", role, 1, self.seq, given)], now_ns)
        return next(each.message for each in said if each.topic == "answer")

    def report(self, phase, step, now_ns):
        messages = [
            Received(
                f"heartbeat/{name}", name, 1, step,
                Heartbeat(t_ns=now_ns, node=name, role="x", state="running", cycle_ms=0, cycle_mean_ms=0,
                          cycle_worst_ms=0),
            )
            for name in WATCHED
        ]  # fmt: skip
        vital = Vital(topic="emg/amp", samples_seq=step, t_ns=now_ns, rate_hz=2000.0, valid_share=(1.0,), flags=("",))
        messages.append(Received("vital/amp", "amp", 1, step, vital))
        device = DeviceReport(
            t_ns=now_ns, connected=True, identity="fake", acknowledged=self.acknowledged, ack_of=self.written,
        )  # fmt: skip
        messages.append(Received("device", "stimulator", 1, step, device))
        if phase is not None:
            messages.append(Received("phase", "director", 1, step, phase))
            messages.append(Received("request", "controller", 1, step, self.request(phase, step, now_ns)))
        messages += [Received("stop", "x", 1, step, stop) for stop in self.stops]
        self.stops = []
        said = self.step(messages, now_ns)
        return next(each.message for each in said if each.topic == "report")

    def request(self, phase, step, now_ns):
        targets = {target.channel: target for target in phase.targets}
        on = phase.trial_state in ("ramp_up", "hold") and phase.arm_id == self.accepted_for
        if self.greed_ma is not None and phase.arm_id == self.accepted_for:
            wanted = dict.fromkeys(targets or self.channels, self.greed_ma)
        else:
            wanted = {name: target.current_ma if on else 0.0 for name, target in targets.items()}
        self.accepted_for = phase.arm_id
        channels = []
        for name in self.channels:
            shape = targets.get(name)
            us, hz = (shape.phase_us, shape.rate_hz) if shape is not None else (250.0, 35.0)
            channels.append(Setting(channel=name, current_ma=wanted.get(name, 0.0), phase_us=us, rate_hz=hz))
        return StimRequest(step=step, t_ns=now_ns, arm_id=phase.arm_id, lease_ms=100, channels=tuple(channels))

    def step(self, messages, now_ns):
        self.number += 1
        said = self.object.step(StepInput(self.number, now_ns, tuple(messages)))
        order = self.object.order
        if order.stop:
            self.acknowledged = ()
        if order.write:
            self.written += 1
            self.acknowledged = order.settings
        return said


class Witness:
    """What has flowed, and what therefore may."""

    def __init__(self, plan):
        self.plan = plan
        self.highest = {}
        self.before = {}
        self.least = {}
        self.flowed = 0
        self.most_ma = 0.0

    def judge(self, world):
        gate = world.gate.object.gate_state
        latest = world.given[-1].received
        report = next(received.message for received in latest if received.topic == "report")
        allowed = {setting.channel: setting.current_ma for setting in report.allowed}
        if not allowed and (gate.envelope is None or gate.latch is not None or gate.ground == {}):
            # Nothing is known of the person any more: everything begins at zero again.
            self.highest, self.least = {}, {}
        now_s = world.now_ns * 1e-9
        for channel, current_ma in allowed.items():
            self.flowed += 1
            self.most_ma = max(self.most_ma, current_ma)
            envelope = gate.envelope
            self.check_cap(world, report, envelope, channel, current_ma)
            known_ma, was_ma = self.highest.get(channel, 0.0), self.before.get(channel, 0.0)
            # Within one cycle: a part of the ramp over known ground, and one step beyond it.
            part_ma = known_ma * TICK_S / envelope.known_ground_ramp_s_min
            assert current_ma <= was_ma + part_ma + envelope.step_ma + DEVICE_STEP_MA + 1e-6
            if current_ma > known_ma:
                slew = envelope.new_ground_ma_per_s
                least = min(self.least.get(channel, inf), known_ma - slew * now_s)
                self.least[channel] = least
                # Over any time: one step, and what the slew allows.
                assert current_ma <= least + slew * now_s + envelope.step_ma + 1e-6
                self.highest[channel] = current_ma
        self.before = allowed

    def check_cap(self, world, report, envelope, channel, current_ma):
        planned = self.plan.envelope
        calibrating = report.state == "CALIBRATING" or world.phase.kind == "calibration"
        cap_ma = envelope.current_ma_calibrating if calibrating else envelope.channel(channel).current_max_ma
        assert current_ma <= cap_ma + 1e-9
        assert envelope.current_ma_calibrating <= planned.current_ma_calibrating
        assert envelope.channel(channel).current_max_ma <= planned.channel(channel).current_max_ma
        tolerance = world.director.state()["thresholds"].get(channel, {}).get("tolerance_ma")
        if not calibrating:
            assert tolerance is not None
            assert current_ma <= 0.9 * tolerance + 1e-9


KEYS = (
    "confirm", "arm", "arm_calibration", "step", "step_wild", "stepped", "stepped_wild", "approve", "pause", "resume",
    "hold", "level", "attend", "retry", "override", "form", "skip_mvc", "electrode_changed", "armed_wild", "felt",
    "tolerance", "score", "stop", "acknowledge", "greed", "sane", "gate_pause",
)  # fmt: skip


def press(world, key, number):
    """One key, pressed whether it makes sense or not; nothing is asked of the answer."""
    gate, phase = world.gate, world.phase
    channel = phase.targets[0].channel if phase.targets else "ext"
    to_gate = {
        "confirm": ("confirm", {"envelope_sha256": gate.sha256}),
        "arm": ("arm", {"mode": "normal", "session": SESSION, "envelope_sha256": gate.sha256}),
        "arm_calibration": (
            "arm",
            {"mode": "calibration", "channel": channel, "session": SESSION, "envelope_sha256": gate.sha256},
        ),
        "step": ("step", {"channel": channel, "current_ma": phase.targets[0].current_ma if phase.targets else 3.0}),
        "step_wild": ("step", {"channel": channel, "current_ma": float(number)}),
        "acknowledge": ("acknowledge", {}),
        "gate_pause": ("pause", {}),
    }
    if key in to_gate:
        kind, arguments = to_gate[key]
        command = Command(t_ns=world.now_ns, id=f"k{number}", kind=kind, target="stimulator", arguments=arguments)
        answer = gate.act(command, world.now_ns)
        if kind == "arm" and answer.ok:
            world.tell("armed", arm_id=str(answer.values["arm_id"]))
    elif key in ("greed", "sane"):
        gate.greed_ma = float(number) * 3 if key == "greed" else None
    elif key == "stop":
        gate.stops.append(Stop(t_ns=world.now_ns, who="x", why="y"))
    elif key in ("felt", "tolerance"):
        what = "tolerance" if key == "tolerance" else ("sensory", "motor")[number % 2]
        values = {"what": what, "channel": channel}
        world.receive("event", Event(t_ns=world.now_ns, kind="felt", who="subject", values=values), "subject")
    elif key == "armed_wild":
        world.tell("armed", arm_id=f"n{number}")
    elif key in ("stepped", "stepped_wild"):
        level_ma = phase.targets[0].current_ma if phase.targets and key == "stepped" else float(number)
        world.tell("stepped", current_ma=level_ma)
    else:
        values = {"level": number % 2, "score": number % 3, "form": "nrs_now", "values": {"current": 0}}
        world.tell(key, why="a key", **values)


PRESSES = st.lists(
    st.tuples(st.sampled_from(KEYS), st.integers(0, 40), st.sampled_from([0, 1, 3, 10, 40])), min_size=0, max_size=40
)


def played(make_visit, make_visit_plan, first, presses):
    """A session whose operator does what is waited for, with other keys pressed in between from a moment on."""
    whole = make_visit_plan()
    calibration = replace(
        whole.phases[3], calibration=replace(whole.phases[3].calibration, interval_s=0.5, burst_s=0.3)
    )
    calibration = replace(calibration, calibration=replace(calibration.calibration, pulses=calibration.pulses[:1]))
    block = replace(whole.phases[5].block, prompts=(), repeat=1, pulses=whole.phases[5].block.pulses[:1])
    conditions = tuple(replace(each, pulses=each.pulses[:1]) for each in block.conditions)
    block = replace(whole.phases[5], block=replace(block, conditions=conditions))
    plan = replace(whole, phases=(calibration, block, calibration, block), stop=replace(whole.stop, cap_hits=None))
    world = make_visit(plan=plan, gate=RealGate(("ext", "flex")))
    witness = Witness(plan)
    tick = world.tick

    def watched():
        phase = tick()
        witness.judge(world)
        return phase

    world.tick = watched
    world.run(first)
    for number, (key, value, ticks) in enumerate(presses):
        if world.phase.state == "ended":
            break
        press(world, key, value if value else number)
        world.run(ticks * TICK_S)
    world.run(6.0)
    return world, witness


@settings(
    deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(first=st.sampled_from([0.3, 1.5, 4.0, 8.0, 12.0]), presses=PRESSES)
def test_no_keys_raise_current_faster_than_the_slew_or_above_the_cap(make_visit, make_visit_plan, first, presses):
    played(make_visit, make_visit_plan, first, presses)


def test_without_other_keys_the_same_session_gives_its_trains(make_visit, make_visit_plan):
    world, witness = played(make_visit, make_visit_plan, 40.0, [])
    assert world.phase.outcome == "complete"
    assert witness.flowed > 500
    assert 20.0 < witness.most_ma <= 30.0
    peaks = [trial.values["peak_ma_ext"] for trial in world.trials if trial.kind == "block"]
    assert peaks == [trial.values["target_ma_ext"] for trial in world.trials if trial.kind == "block"]
    assert len(peaks) == 8
    assert min(peaks) >= 9.0


def test_a_greedy_controller_stays_within_what_the_person_called_enough(make_visit, make_visit_plan):
    _, witness = played(make_visit, make_visit_plan, 8.0, [("greed", 40, 40), ("resume", 0, 40)] * 10)
    assert witness.flowed > 100


def test_a_gate_armed_for_trials_in_a_calibration_is_disarmed_before_current_flows(make_visit, make_visit_plan):
    world, witness = played(make_visit, make_visit_plan, 0.5, [])
    while world.phase.waiting_for != "arm_calibration":
        world.tick()
    world.operator = None
    world.gate.greed_ma, witness.most_ma = 90.0, 0.0
    press(world, "arm", 1)
    world.until(lambda phase: phase.state == "paused", within_s=2)
    assert "not armed for a calibration" in world.events_of("paused")[-1].why
    assert witness.most_ma <= 3.0
