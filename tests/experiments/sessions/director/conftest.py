"""A small world for the director: a gate that only knows its acts, a person who answers, an operator."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from myoloop.experiments.protocols.plan import PlaceOnBody, ScreeningPlan, make_plan
from myoloop.experiments.protocols.rigsummary import InputChannel, OutputChannel, RigSummary
from myoloop.experiments.protocols.schema import load_protocol
from myoloop.experiments.screening.clear import clear_answers, clear_history
from myoloop.experiments.sessions.director import Director, DirectorSettings
from myoloop.experiments.sessions.operator import ScriptedOperator
from myoloop.platform.messages import (
    Answer,
    ChannelSetting,
    Command,
    Dose,
    Estimate,
    Event,
    Measure,
    MuscleEstimate,
    MWave,
    Phase,
    StimReport,
    Trial,
)
from myoloop.platform.steps import Outgoing, Received, StepInput
from myoloop.stimulators.driver import Capabilities

TICK_NS = 10_000_000
SESSION = "sub-T/ses-01/att-1"
DATA = Path(__file__).parents[3] / "data"
WALL = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
DEVICE = Capabilities(
    outputs=4,
    current_max_ma=100.0,
    current_step_ma=1.0,
    phase_min_us=20.0,
    phase_max_us=500.0,
    phase_step_us=10.0,
    rate_min_hz=1.0,
    rate_max_hz=120.0,
    lease_ms=200.0,
    times_itself=False,
)
PEERS = ("estimate", "heartbeat/controller", "heartbeat/stimulator", "report")


def rig_for(protocol, rig_class="SIM", *, device=DEVICE, rate_hz=2000.0):
    inputs = [InputChannel(name, "emg", rate_hz, "amp") for name in protocol.devices.emg.channels]
    inputs.append(InputChannel("imu", "imu", 100.0, "amp"))
    outputs = [
        OutputChannel(name, number, protocol.sites[channel.site].pad_area_cm2 or 25.0)
        for number, (name, channel) in enumerate(protocol.stimulation.items())
    ]
    return RigSummary("bench-1", rig_class, tuple(inputs), tuple(outputs), device)


def plan_of(name="demo", rig_class="SIM", *, session=SESSION, **planning):
    protocol = load_protocol(name)
    return make_plan(protocol, rig_for(protocol, rig_class), session, "T", **planning)


def visit_plan(**planning):
    """The plan of a whole visit, with a history in which nothing has ever happened."""
    places = {"ext": PlaceOnBody("arm"), "flex": PlaceOnBody("arm")}
    history = msgspec.to_builtins(clear_history("SIM", WALL))
    given = {"screening": ScreeningPlan(wall=WALL.isoformat(), history=history, places=places)}
    return plan_of(DATA / "visit.yaml", **{**given, **planning})


@dataclass
class FakeGate:
    """Acts and states of the gate, without any of its limits."""

    state: str = "CONNECTED"
    envelope: dict | None = None
    sha256: str = ""
    arms: int = 0
    level_ma: float = 0.0
    allowed: tuple = ()
    charge_mc: float = 0.0
    latched: str = ""
    refuse: dict = field(default_factory=dict)
    mute: bool = False

    def act(self, command: Command, now_ns: int) -> Answer | None:
        if self.mute:
            return None
        ok, reason, values = True, "", {}
        given = command.arguments
        if command.kind in self.refuse:
            ok, reason = False, self.refuse[command.kind]
        elif command.kind == "set_envelope":
            assert self.state in ("CONNECTED", "READY")
            self.envelope, self.state = given, "CONNECTED"
            self.sha256 = hashlib.sha256(json.dumps(given, sort_keys=True).encode()).hexdigest()
            values = {"envelope_sha256": self.sha256}
        elif command.kind == "confirm":
            ok = self.state == "CONNECTED" and given["envelope_sha256"] == self.sha256
            reason = "" if ok else "confirm names another envelope"
            self.state = "READY" if ok else self.state
        elif command.kind == "arm":
            ok = self.state == "READY" and given["envelope_sha256"] == self.sha256
            ok = ok and given["session"] == SESSION
            reason = "" if ok else f"arming is from READY, this is {self.state}"
            if ok:
                self.arms += 1
                self.level_ma = 0.0
                self.state = "CALIBRATING" if given["mode"] == "calibration" else "ARMED"
                values = {"arm_id": f"arm-{self.arms}"}
        elif command.kind == "step":
            assert self.state == "CALIBRATING"
            assert given["current_ma"] <= self.level_ma + self.envelope["step_ma"] + 1e-9
            self.level_ma = given["current_ma"]
        elif command.kind == "pause":
            self.state = "READY" if self.state in ("CALIBRATING", "ARMED", "STIMULATING") else self.state
        return Answer(t_ns=now_ns, id=command.id, ok=ok, reason=reason, values=values)

    def report(self, phase: Phase | None, step: int, now_ns: int) -> StimReport:
        train = phase is not None and phase.trial_state in ("ramp_up", "hold", "ramp_down")
        live = self.state in ("CALIBRATING", "ARMED", "STIMULATING") and phase.state == "running"
        self.allowed = (
            tuple(
                ChannelSetting(channel=t.channel, current_ma=t.current_ma, phase_us=t.phase_us, rate_hz=t.rate_hz)
                for t in phase.targets
            )
            if train and live
            else ()
        )
        for setting in self.allowed:
            self.charge_mc += setting.current_ma * setting.phase_us * 1e-6 * setting.rate_hz * TICK_NS * 1e-9
        return StimReport(
            step=step, t_ns=now_ns, state=self.state, request=None, requested=(), allowed=self.allowed,
            acknowledged=(), rule="", reasons=(), dose=Dose(session_charge_mc=self.charge_mc),
            envelope_sha256=self.sha256, latched=self.latched,
        )  # fmt: skip


@dataclass
class Person:
    """Says each threshold once per ascent, and makes an effort when asked."""

    sensory_ma: float = 5.0
    motor_ma: float = 11.0
    tolerance_ma: float = 30.0
    effort_after_s: float | None = 1.5
    spasm_onset_ns: int | None = None
    fatigue: float = 0.1
    said: set = field(default_factory=set)

    def answers(self, phase: Phase, now_ns: int) -> list[Event]:
        if phase.kind != "calibration" or phase.trial_state != "hold":
            return []
        target = phase.targets[0]
        found = []
        for what in ("sensory", "motor", "tolerance"):
            key = (phase.index, target.channel, phase.block, what)
            if target.current_ma >= getattr(self, f"{what}_ma") and key not in self.said:
                self.said.add(key)
                values = {"what": what, "channel": target.channel, "current_ma": target.current_ma}
                found.append(Event(t_ns=now_ns, kind="felt", who="subject", values=values))
        return found

    def estimate(self, phase: Phase | None, step: int, now_ns: int) -> Estimate:
        waiting = phase is not None and phase.trial_state == "await_effort" and self.effort_after_s is not None
        trigger = waiting and now_ns - phase.t_state_ns >= self.effort_after_s * 1e9
        known = Measure(value=0.0 if self.spasm_onset_ns is None else 1.0, valid=True, reason="")
        muscle = MuscleEstimate(
            muscle="ext", level_uv=10.0, fatigue=Measure(value=self.fatigue, valid=True, reason=""), spasm=known,
            effort=Measure(), response=Measure(), spasm_onset_ns=self.spasm_onset_ns,
        )  # fmt: skip
        return Estimate(step=step, t_ns=now_ns, muscles=(muscle,), trigger=trigger)


@dataclass
class VisitPerson(Person):
    """Two muscles; each channel's own answers most, and both are quiet at rest."""

    noise_uv: dict = field(default_factory=lambda: {"ext": 4.0, "flex": 5.0})
    pull_uv: float = 300.0
    swapped: bool = False

    def estimate(self, phase: Phase | None, step: int, now_ns: int) -> Estimate:
        muscles = []
        on = phase is not None and phase.kind == "calibration" and phase.trial_state == "hold"
        target = phase.targets[0] if on and phase.targets[0].current_ma > 0 else None
        for name in ("ext", "flex"):
            own = target is not None and (target.channel == name) is not self.swapped
            wave = None
            if target is not None:
                wave = MWave(
                    t_ns=now_ns, pulses=8, channel=target.channel, peak_to_peak_uv=900.0 if own else 200.0,
                    rectified_area_uv_ms=1.0, first_phase_uv_ms=1.0, second_phase_uv_ms=1.0, duration_ms=5.0,
                    latency_ms=3.0,
                )  # fmt: skip
            pulling = phase is not None and phase.kind == "mvc" and phase.trial_state == "await_effort"
            level_uv = self.pull_uv if pulling and name == "ext" else self.noise_uv.get(name)
            known = Measure(value=0.0, valid=True, reason="")
            muscle = MuscleEstimate(
                muscle=name, level_uv=level_uv, fatigue=Measure(), spasm=known, effort=Measure(), response=Measure(),
                mwave=wave,
            )  # fmt: skip
            muscles.append(muscle)
        return Estimate(step=step, t_ns=now_ns, muscles=tuple(muscles))


class World:
    """Director, gate, person and operator under one clock."""

    def __init__(self, plan=None, *, gate=None, person=None, operator=True, settings=None):
        self.settings = settings or DirectorSettings(session=SESSION, plan=plan or plan_of(), peers=PEERS)
        self.director = Director(self.settings)
        self.gate = gate or FakeGate()
        self.person = person or Person()
        self.operator = ScriptedOperator("SIM") if operator else None
        self.now_ns = 1_000_000_000
        self.number = 0
        self.seq = 0
        self.inbox: list[Received] = []
        self.not_alive: dict[str, str] = {}
        self.phases: list[Phase] = []
        self.trials: list[Trial] = []
        self.events: list[Event] = []
        self.to_gate: list[Command] = []
        self.answers: list[Answer] = []
        self.given: list[StepInput] = []
        self.said: list[list[Outgoing]] = []

    @property
    def phase(self):
        return self.phases[-1] if self.phases else None

    @property
    def seconds(self):
        return (self.now_ns - 1_000_000_000) * 1e-9

    def receive(self, topic, message, publisher="x"):
        self.seq += 1
        self.inbox.append(Received(topic, publisher, 1, self.seq, message))

    def tell(self, kind, *, why="", who="op", **arguments):
        """An operator's command to the director; the answer to it."""
        self.seq += 1
        identity = f"t-{self.seq}"
        command = Command(
            t_ns=self.now_ns, id=identity, kind=kind, target="director", who=who, why=why, arguments=arguments
        )
        self.receive("command", command, "operator")
        self.tick()
        return next(answer for answer in self.answers if answer.id == identity)

    def tick(self):
        self.now_ns += TICK_NS
        self.number += 1
        report = self.gate.report(self.phase, self.number, self.now_ns)
        self.receive("report", report, "stimulator")
        self.receive("estimate", self.person.estimate(self.phase, self.number, self.now_ns), "controller")
        if self.phase is not None:
            for event in self.person.answers(self.phase, self.now_ns):
                self.receive("event", event, "subject")
        given = StepInput(self.number, self.now_ns, tuple(self.inbox), dict(self.not_alive))
        self.inbox = []
        said = self.director.step(given)
        self.given.append(given)
        self.said.append(said)
        for outgoing in said:
            self._carry(outgoing)
        if self.operator is not None:
            for command in self.operator.step(self.phase, report, self.now_ns):
                if command.target == "stimulator":
                    self._to_gate(command, self.operator.answered)
                else:
                    self.receive("command", command, "operator")
        return self.phase

    def _carry(self, outgoing):
        message = outgoing.message
        if isinstance(message, Phase):
            self.phases.append(message)
        elif isinstance(message, Trial):
            self.trials.append(message)
        elif isinstance(message, Event):
            self.events.append(message)
        elif isinstance(message, Command):
            self._to_gate(message, lambda answer: self.receive("answer", answer, "stimulator"))
        elif isinstance(message, Answer):
            self.answers.append(message)
            if self.operator is not None:
                self.operator.answered(message)

    def _to_gate(self, command, deliver):
        self.to_gate.append(command)
        answer = self.gate.act(command, self.now_ns)
        if answer is not None:
            deliver(answer)

    def until(self, reached, *, within_s=400.0):
        """Go on until the phase satisfies `reached`."""
        end_ns = self.now_ns + within_s * 1e9
        while self.phase is None or not reached(self.phase):
            assert self.now_ns < end_ns, f"not within {within_s} s; last: {self.phase}"
            self.tick()
        return self.phase

    def run(self, seconds):
        for _ in range(round(seconds * 1e9 / TICK_NS)):
            self.tick()
        return self.phase

    def fill(self, form=None, **changed):
        """Fill in the form that is asked for first, without any finding but what is changed; the answer."""
        form = form or self.phase.forms[0]
        values = {**clear_answers(form, "SIM", WALL), **changed}
        return self.tell("form", form=form, values=values)

    def fill_all(self, **changed):
        """Fill in every form that is asked for; changes are by form."""
        while self.phase.state == "waiting" and self.phase.waiting_for == "form":
            form = self.phase.forms[0]
            answer = self.fill(**changed.get(form.replace(".", "_"), {}))
            assert answer.ok, answer.reason

    def visit_to(self, reached, **changed):
        """Go on, filling in every form, until the phase satisfies `reached`."""
        while True:
            self.until(lambda phase: reached(phase) or phase.waiting_for == "form" or phase.state == "ended")
            if reached(self.phase) or self.phase.state == "ended":
                return self.phase
            self.fill_all(**changed)

    def events_of(self, kind):
        """Events of a kind, in order."""
        return [event for event in self.events if event.kind == kind]

    def to_end(self, within_s=400.0):
        return self.until(lambda phase: phase.state == "ended", within_s=within_s)


@pytest.fixture
def make_world():
    """Builds a world; arguments as of `World`."""
    return World


@pytest.fixture
def make_person():
    """Builds a person; arguments as of `Person`."""
    return Person


@pytest.fixture
def make_gate():
    """Builds a fake gate; arguments as of `FakeGate`."""
    return FakeGate


@pytest.fixture
def make_demo_plan():
    """Builds the plan of a preset; arguments as of `plan_of`."""
    return plan_of


@pytest.fixture
def make_rig_summary():
    """Builds a rig that serves a protocol; arguments as of `rig_for`."""
    return rig_for


@pytest.fixture
def make_visit():
    """Builds a world for a whole visit: `planning` goes into its plan, the rest into the world."""

    def make(*, person=None, planning=None, plan=None, **world):
        return World(plan or visit_plan(**(planning or {})), person=person or VisitPerson(), **world)

    return make


@pytest.fixture
def make_visit_person():
    """Builds the person of a visit; arguments as of `VisitPerson`."""
    return VisitPerson


@pytest.fixture
def make_visit_plan():
    """Builds the plan of a visit; arguments as of `make_plan`."""
    return visit_plan


@pytest.fixture
def data():
    """The tests' own protocols."""
    return DATA
