"""A whole session in one process under a virtual clock: as fast as the processor, the same every time.

The objects are those of the separate processes, in a fixed order, with the delays a real rig has: a request reaches the
stimulator one cycle after the samples it was made from, pulses begin when the device has the bytes. What passes goes
through the same encoding, gets the same numbers and stands in the same file.
"""

from __future__ import annotations

import contextlib
import hashlib
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from myoloop import __version__
from myoloop.acquisition.intake import Intake, vital_topics
from myoloop.acquisition.registry import make_source
from myoloop.acquisition.simulated import SimulatedSource, SimulatedSourceSettings
from myoloop.acquisition.source import Block, Ended, Source
from myoloop.controllers.shadowed import Shadowed, make_controller
from myoloop.experiments.sessions.acting import scripted_operator
from myoloop.experiments.sessions.director import Director
from myoloop.experiments.sessions.injected import FaultySource, Injected, felt
from myoloop.experiments.sessions.lockstep_bus import LockstepBus
from myoloop.experiments.sessions.script import Script
from myoloop.experiments.sessions.scripted_acts import Break, Press, Say
from myoloop.experiments.sessions.setup import (
    SessionSetup,
    SetupError,
    body_settings,
    controller_settings,
    director_settings,
    recording_metadata,
    stimulator_node_settings,
)
from myoloop.experiments.subjects.node import make_body, told
from myoloop.platform.clock import VirtualClock
from myoloop.platform.messages import (
    Answer,
    Command,
    Event,
    Heartbeat,
    Phase,
    Pulses,
    SampleDescriptor,
    StimReport,
    Stop,
)
from myoloop.platform.node import HEARTBEAT_NS
from myoloop.platform.recording.writer import RecordingWriter
from myoloop.platform.rig import Rig
from myoloop.platform.stepping import Stepping, start_record
from myoloop.platform.steps import Outgoing, Received, Stepped
from myoloop.stimulators.assignment import blinding_of
from myoloop.stimulators.dose_ledger import Ledger, read_prior
from myoloop.stimulators.node import Handover, Words, make_stimulator
from myoloop.stimulators.simulated import SimulatedDriver, SimulatedDriverSettings
from myoloop.stimulators.stimulator import settings_json
from myoloop.stimulators.transport import MemoryTransport

TICK_NS = 10_000_000
START_NS = 1_000_000_000
#: The director looks every other tick, as its process does.
DIRECTOR_TICKS = 2
#: Devices that a virtual clock can drive.
IN_LOCKSTEP = {"acquisition": ("simulated", "playback"), "stimulator": ("simulated",)}
#: A session that has not ended after this much virtual time never will.
LONGEST_NS = 4 * 3600 * 1_000_000_000


@dataclass(frozen=True, slots=True)
class LockstepResult:
    """How it ended, and how long it took by its own clock."""

    outcome: str
    reason: str
    duration_s: float


class Lockstep:
    """One session.

    Parameters
    ----------
    setup
        What is done, on which rig; its rig must be a SIM rig with a virtual subject.
    record
        Whether to write a recording into the setup's folder.
    wall_start_ns
        What the record gives as its wall time.
    on_tick
        Called every tick with the newest phase, for progress.
    script
        What operator and person do, and what goes wrong.

    Raises
    ------
    SetupError
        If something of the rig can only run at real time.
    """

    def __init__(
        self,
        setup: SessionSetup,
        *,
        record: bool = True,
        wall_start_ns: int = 0,
        on_tick: Callable[[Phase | None], None] | None = None,
        script: Script | None = None,
    ) -> None:
        check_lockstep(setup.rig)
        self.setup = setup
        self.clock = VirtualClock(START_NS)
        self._on_tick = on_tick
        self._names = {node.role: name for name, node in setup.rig.nodes.items()}
        self._body_settings = body_settings(setup)
        self.body = make_body(self._body_settings, START_NS)
        self._sources = {name: FaultySource(self._make_source(name)) for name in setup.rig.sources()}
        self._intakes: dict[str, Intake] = {}
        descriptors: tuple[SampleDescriptor, ...] = ()
        for source in self._sources.values():
            described = source.open()
            topics = vital_topics(described)
            self._intakes.update({each.topic: Intake(each, topics[each.topic]) for each in described})
            descriptors += described
        self.writer = (
            RecordingWriter(
                setup.folder,
                session=setup.session,
                descriptors=descriptors,
                metadata=recording_metadata(setup, wall_start_ns),
                publisher=self._names["recorder"],
                live=False,
            )
            if record
            else None
        )
        self.bus = LockstepBus(setup.session, self.clock, self.writer)
        self._make_objects(descriptors)
        self._operator = scripted_operator(setup, script, self._ask_person)
        self._phase: Phase | None = None
        self._report: StimReport | None = None
        self._acts = 0
        self._askers: dict[str, str] = {}
        self._beat_ns = 0
        self._injected = Injected(
            setup, self.body, self._sources, self.bus, self._controller, self._steppings[self._names["stimulator"]]
        )
        self._connect()

    def run(self) -> LockstepResult:
        """Play the session to its end; Ctrl-C ends it as a stop, with the recording whole."""
        for name, stepping in self._steppings.items():
            stepped, settings = stepping.stepped, self._settings[name]
            kind = {self._names[r]: r for r in ("controller", "stimulator", "director")}[name]
            self.bus.publish(name, start_record(stepped, kind, settings, {"myoloop": __version__}))
        tick = 0
        try:
            with _after_each_tick() as interrupted:
                while not self._ended() and self.clock.now_ns() < LONGEST_NS:
                    self.tick(tick)
                    tick += 1
                    if interrupted:
                        raise KeyboardInterrupt
        except KeyboardInterrupt:
            return self._close("stopped", "interrupted (SIGINT)")
        except BaseException as error:
            self._close("fault", f"{type(error).__name__}: {error}")
            raise
        return self.close()

    def tick(self, tick: int) -> None:
        """Ten milliseconds."""
        now_ns = self.clock.advance(TICK_NS)
        self._injected.tick(now_ns)
        self._beat(now_ns)
        self._live_on(now_ns)
        if tick % DIRECTOR_TICKS == 0:
            self._step(self._names["director"], now_ns)
            self._operate(now_ns)
        # The request of the last tick reaches the stimulator now: samples to request take one cycle.
        self._stimulate(now_ns)
        if not self._injected.stalls("controller", now_ns):
            self._step(self._names["controller"], now_ns)
        if self.writer is not None:
            self.writer.tick(now_ns)
        if self._on_tick is not None:
            self._on_tick(self._phase)

    def stop(self, who: str, why: str) -> None:
        """Stop, as a person would."""
        self._stops.append(Stop(t_ns=self.clock.now_ns(), who=who, why=why))

    def close(self) -> LockstepResult:
        """End the recording and book the dose."""
        phase = self._phase
        if phase is None or not phase.outcome:
            return self._close("aborted", "the session did not end" if phase is not None else "never began")
        return self._close(phase.outcome, phase.reason)

    # -- inside ------------------------------------------------------------------------------------------------

    def _close(self, outcome: str, reason: str) -> LockstepResult:
        if self.writer is not None:
            self.writer.end(outcome, reason, self.clock.now_ns())
        if self._ledger is not None:
            stimulator = self._stimulator
            self._ledger.close(stimulator.shown_state.dose, self.clock.now_ns(), stimulator.gate_state.dose)
        return LockstepResult(outcome, reason, (self.clock.now_ns() - START_NS) * 1e-9)

    def _make_objects(self, descriptors: tuple[SampleDescriptor, ...]) -> None:
        setup = self.setup
        node = stimulator_node_settings(setup, descriptors)
        settings = SimulatedDriverSettings(**{**node["driver_settings"], "channels": node["outputs"]})
        self._driver = SimulatedDriver(settings, MemoryTransport(self.body, self.clock))
        self._driver.open()
        controller = make_controller(controller_settings(setup, descriptors))
        self._controller = controller.controller if isinstance(controller, Shadowed) else controller
        chosen = director_settings(setup)
        director = Director(chosen)
        # What is not recorded is not booked: nobody holds the ledger then.
        person = (setup.ledger, setup.subject, setup.dose_session)
        blinding = blinding_of(node)
        seal = None if blinding is None else blinding.dose
        self._ledger = Ledger.open(*person, seal) if self.writer is not None else None
        prior = self._ledger.prior if self._ledger is not None else read_prior(*person)
        with contextlib.nullcontext() if self._ledger is None else self._ledger.let_go_if_refused():
            stimulator = make_stimulator(node, self._driver, prior, blinding)
        self._stimulator = stimulator
        self._handover = Handover(self._driver, stimulator, blinded=stimulator.seals is not None)
        self._words = Words(stimulator)
        objects: dict[str, tuple[Stepped, str]] = {
            self._names["stimulator"]: (stimulator, settings_json(stimulator.settings)),
            self._names["controller"]: (controller, controller.settings.to_json()),
            self._names["director"]: (director, msgspec.json.encode(chosen).decode()),
        }
        self._steppings = {name: Stepping(stepped) for name, (stepped, _) in objects.items()}
        self._settings = {name: text for name, (_, text) in objects.items()}
        self._stops: list[Stop] = []

    def _connect(self) -> None:
        for stepping in self._steppings.values():
            for topic in stepping.stepped.subscriptions:
                if topic not in ("command", "answer"):
                    self.bus.subscribe(topic, stepping.receive)
        self.bus.subscribe("phase", self._see_phase)
        self.bus.subscribe("report", self._see_report)
        self.bus.subscribe("pulse", self._see_pulses)

    def _see_phase(self, received: Received) -> None:
        if isinstance(received.message, Phase):
            self._phase = received.message
            self.body.see(received.message, self.clock.now_ns())

    def _see_report(self, received: Received) -> None:
        if isinstance(received.message, StimReport):
            self._report = received.message

    def _see_pulses(self, received: Received) -> None:
        if isinstance(received.message, Pulses):
            for intake in self._intakes.values():
                intake.see_pulses(received.message.t_ns)

    def _beat(self, now_ns: int) -> None:
        if now_ns - self._beat_ns < HEARTBEAT_NS:
            return
        self._beat_ns = now_ns
        for name, role in {**self.setup.roles(), "supervisor": "supervisor"}.items():
            if self._injected.stalls(role, now_ns):
                continue
            beat = Heartbeat(
                t_ns=now_ns,
                node=name,
                role=role,
                state="running",
                cycle_ms=0.0,
                cycle_mean_ms=0.0,
                cycle_worst_ms=0.0,
            )
            self.bus.publish(name, Outgoing(f"heartbeat/{name}", beat))

    def _live_on(self, now_ns: int) -> None:
        lived = self.body.step_to(now_ns)
        body = self._names["subject"]
        for truth in told(self._body_settings, lived.truths):
            self.bus.publish(body, truth)
        for event in lived.events:
            self.bus.publish(body, Outgoing("event", event))
        for name, source in self._sources.items():
            for reading in source.read(0.0):
                if isinstance(reading, Block):
                    for outgoing in self._intakes[reading.topic].take(reading):
                        self.bus.publish(name, outgoing)
                elif isinstance(reading, Ended):
                    event = Event(t_ns=now_ns, kind="ended", who=name, why=reading.why)
                    self.bus.publish(name, Outgoing("event", event))

    def _make_source(self, name: str) -> Source:
        node = self.setup.rig.nodes[name]
        if node.source == "simulated":
            return SimulatedSource(SimulatedSourceSettings(), body=self.body)
        return make_source(node.source or "", node.settings, name=name, clock=self.clock)

    def _step(self, name: str, now_ns: int) -> None:
        for outgoing in self._steppings[name].step(now_ns, {}):
            message = outgoing.message
            if isinstance(message, Command):
                self._ask(name, self.setup.roles()[name], message)
            else:
                received = self.bus.publish(name, outgoing)
                if isinstance(message, Answer):
                    self._deliver(received, message)

    def _stimulate(self, now_ns: int) -> None:
        name = self._names["stimulator"]
        stepping = self._steppings[name]
        if self._stops:
            self._driver.stop(now_ns)
        for stop in self._stops:
            stepping.receive(self.bus.publish(name, Outgoing("stop", stop)))
        self._stops.clear()
        report, pulses = self._handover.poll(now_ns)
        if report is not None:
            stepping.receive(self.bus.publish(name, self._words.device(report, now_ns)))
        self._step(name, now_ns)
        self._handover.obey(now_ns)
        for each in self._words.pulses(pulses, now_ns):
            self.bus.publish(name, each)

    def _operate(self, now_ns: int) -> None:
        for command in self._operator.step(self._phase, self._report, now_ns):
            self._ask("operator", "operator", command)
        for deed in self._operator.take_deeds():
            if isinstance(deed, Press):
                self.stop(deed.who, deed.why)
            elif isinstance(deed, Say):
                self.bus.publish(self._names["subject"], Outgoing("event", felt(deed, now_ns)))
            elif isinstance(deed, Break):
                self._injected.strike(deed.fault, now_ns)

    def _ask_person(self, form: str) -> dict[str, Any] | None:
        subject = self.body.subject
        return subject.person.answer(form, self.clock.now_ns(), max(subject.fatigue.values()))

    def _ask(self, sender: str, role: str, command: Command) -> None:
        """Carry a command to its target, as the target's node would record it."""
        self._acts += 1
        nonce = hashlib.sha256(f"{self.setup.session}/{self._acts}".encode()).hexdigest()[:16]
        asked = msgspec.structs.replace(command, role=role, nonce=nonce)
        self._askers[command.id] = sender
        self._steppings[command.target].receive(self.bus.publish(sender, Outgoing("command", asked)))

    def _deliver(self, received: Received, answer: Answer) -> None:
        asker = self._askers.pop(answer.id, "")
        if asker == "operator":
            self._operator.answered(answer)
        elif asker in self._steppings:
            self._steppings[asker].receive(received)

    def _ended(self) -> bool:
        return self._phase is not None and self._phase.state == "ended"


@contextlib.contextmanager
def _after_each_tick() -> Iterator[list[int]]:
    """Let Ctrl-C wait for the end of a tick: a step that is written down has said what it had to say."""
    interrupted: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield interrupted
        return
    before = signal.signal(signal.SIGINT, lambda number, _: interrupted.append(number))
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, before)


def check_lockstep(rig: Rig) -> None:
    """Refuse a rig with anything that a virtual clock cannot drive.

    Raises
    ------
    SetupError
        One line that names the node.
    """
    if rig.node_of("subject") is None:
        raise SetupError(f"rig {rig.rig.id}: --speed max needs a node of role subject; use --speed real")
    for name, node in rig.nodes.items():
        device = {"acquisition": node.source, "stimulator": node.driver}.get(node.role)
        allowed = IN_LOCKSTEP.get(node.role, ())
        if device is not None and device not in allowed:
            what = "source" if node.role == "acquisition" else "driver"
            raise SetupError(
                f"nodes.{name}.{what}: found {device!r}, --speed max runs {' or '.join(allowed)}; use --speed real"
            )
