"""A session in separate processes at real time: bring the rig up, let the operator act, end it in order."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from myoloop.experiments.sessions.bring_up import bring_up
from myoloop.experiments.sessions.card import card_of, write_card
from myoloop.experiments.sessions.desk import Desk
from myoloop.experiments.sessions.faults import Fault, Struck, check_faults, strike
from myoloop.experiments.sessions.injected import felt
from myoloop.experiments.sessions.records_after import audit_live
from myoloop.experiments.sessions.room import Free, RoomWatch, free_bytes, written_bytes
from myoloop.experiments.sessions.scripted_acts import Break, Deed, Press
from myoloop.experiments.sessions.setup import SessionSetup
from myoloop.platform.messages import (
    Answer,
    Command,
    Estimate,
    Event,
    Heartbeat,
    Phase,
    StimReport,
    Trial,
)
from myoloop.platform.recording.folder import append_log
from myoloop.platform.recording.layout import RecordingError
from myoloop.platform.recording.recover import recover
from myoloop.platform.steps import Outgoing
from myoloop.platform.supervisor import Supervisor

#: Looked at once in a while: how often the loop turns when nothing happens.
TURN_S = 0.02
#: A session whose director has ended gets this long until its nodes are told to end.
LAST_LOOK_S = 0.25
NOT_UP = "the rig did not come up"
#: Who stops by the red button of a page, as the audit has it.
UNNAMED = "unnamed"
#: Events worth a line in the log.
LOGGED = frozenset({"stop", "fault", "gate", "act", "end", "paused", "resumed", "approved", "score", "mark", "ended"})


class Operator(Protocol):
    """Whoever acts: a script, a person at the terminal or at a console."""

    @property
    def desk(self) -> Desk:
        """Where consoles ask; what they ask comes with the next step."""
        ...

    def step(self, phase: Phase | None, report: StimReport | None, now_ns: int) -> list[Command]:
        """What to do next."""
        ...

    def answered(self, answer: Answer) -> Any:
        """What became of an act."""
        ...

    def take_deeds(self) -> Sequence[Deed]:
        """Stops and faults that have come due."""
        ...


@dataclass(slots=True)
class Seen:
    """The newest of everything, for a live view.

    Attributes
    ----------
    device
        Who the stimulator says it is, and what is wrong with its port.
    """

    device: str = ""
    phase: Phase | None = None
    report: StimReport | None = None
    estimate: Estimate | None = None
    trial: Trial | None = None
    events: list[Event] = field(default_factory=list)
    beats: dict[str, Heartbeat] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LiveResult:
    """How it ended.

    Attributes
    ----------
    clean
        Whether the recorder ended the file by itself.
    """

    outcome: str
    reason: str
    clean: bool
    duration_s: float


class LiveSession:
    """One session in separate processes.

    Parameters
    ----------
    setup
        What is done, on which rig.
    operator
        Who acts.
    on_turn
        Called often with what has been seen; returns a reason to stop, or nothing.
    faults
        What is to go wrong on purpose.
    free
        Tells how many bytes are free where the session is recorded.
    after_stop_s
        How long what follows a stop is heard and recorded before the nodes are told to end.

    Raises
    ------
    FaultError
        If a fault is to strike a node that the rig does not have.
    """

    def __init__(
        self,
        setup: SessionSetup,
        operator: Operator,
        on_turn: Callable[[Seen], str] | None = None,
        faults: Sequence[Fault] = (),
        free: Free = free_bytes,
        after_stop_s: float = LAST_LOOK_S / 2,
    ) -> None:
        self.setup = setup
        self._after_stop_s = after_stop_s
        self.seen = Seen()
        self._operator = operator
        self._desk = operator.desk
        self._on_turn = on_turn
        self._faults = list(faults)
        self._free = free
        self._room = RoomWatch()
        self._struck = Struck(setup.roles())
        self._interrupted = ""
        self._stop_audited = False
        self._up = False
        check_faults(faults, setup.roles())
        log_folder = setup.folder / "nodes"
        log_folder.mkdir()
        self.supervisor = Supervisor(
            setup.session,
            setup.roles(),
            rig_name=setup.rig.rig.id,
            log_folder=log_folder,
            listen=("phase", "report", "estimate", "trial", "event"),
            interrupted=lambda: self._interrupted,
        )

    def run(self) -> LiveResult:
        """Play the session to its end, whatever that is.

        Raises
        ------
        SupervisorError, SetupError
            If the rig does not come up. Whatever is raised, everything has been ended then.
        """
        supervisor = self.supervisor
        began = time.monotonic()
        with self._signals():
            try:
                supervisor.start()
                up = bring_up(self.setup, supervisor, time.time_ns())
                self.seen.device = up.device
                if up.device:
                    self._log(self.setup.rig.node_of("stimulator") or "", up.device)
                write_card(supervisor.runtime.path, card_of(self.setup, up.descriptors, up.stop_port))
                self._up = True
                outcome, reason = self._play()
            except BaseException as error:
                # Whatever it is, a mistake in a view's drawing included: stimulator first, recorder last, all end.
                outcome, reason = (
                    ("fault", f"{type(error).__name__}: {error}")
                    if self._up
                    else ("aborted", self._interrupted or NOT_UP)
                )
                self._end(outcome, reason)
                if self._up:
                    self._log("supervisor", f"ended: {': '.join(supervisor.ended)}")
                raise
            clean = self._end(outcome, reason)
            outcome, reason = supervisor.ended
        self._log("supervisor", f"ended: {outcome}{f', {reason}' if reason else ''}")
        if not clean:
            # The recorder did not live to end its file; what it wrote is whole up to where it stops.
            with contextlib.suppress(RecordingError):
                recover(self.setup.folder, outcome=outcome, reason=reason)
        return LiveResult(outcome, reason, clean, time.monotonic() - began)

    # -- inside ------------------------------------------------------------------------------------------------

    def _end(self, outcome: str, reason: str) -> bool:
        try:
            return self.supervisor.end(outcome, reason)
        finally:
            self.supervisor.close()

    def _play(self) -> tuple[str, str]:
        """Watch, act and wait; returns outcome and reason."""
        supervisor = self.supervisor
        ended_at: float | None = None
        while True:
            for received in supervisor.turn(TURN_S):
                self._see(received.message)
            self.seen.beats = supervisor.beats
            pressed = self._hear_desk()
            if pressed is not None:
                return self._stopped(pressed, self._after_stop_s)
            for received in supervisor.take_answers():
                if isinstance(received.message, Answer):
                    self._operator.answered(received.message)
            lost = supervisor.lost()
            if lost:
                self._listen_on(LAST_LOOK_S)
                return "fault", lost[0]
            self._go_wrong()
            why = self._interrupted or (self._on_turn(self.seen) if self._on_turn is not None else "")
            if why:
                return self._stopped(Press("operator", why), LAST_LOOK_S / 2)
            phase = self.seen.phase
            if phase is not None and phase.state == "ended":
                ended_at = ended_at or time.monotonic()
                if time.monotonic() - ended_at > LAST_LOOK_S:
                    return phase.outcome, phase.reason
            else:
                self._see_to_room()
                for command in self._operator.step(phase, self.seen.report, supervisor.clock.now_ns()):
                    supervisor.operator.ask(command)
                    self._audit(command)
                pressed = self._do_deeds()
                if pressed is not None:
                    return self._stopped(pressed, self._after_stop_s)
            self._answer_desk()
            silent = self._silent()
            if silent:
                return "fault", silent

    def _stopped(self, pressed: Press, listen_s: float) -> tuple[str, str]:
        """Stop the stimulator at once, and then the session; one that had ended stays as it has."""
        supervisor, phase = self.supervisor, self.seen.phase
        self._stop_audited = True
        supervisor.stop(pressed.who, pressed.why)
        t_ns, stimulator = supervisor.clock.now_ns(), supervisor.stimulator or ""
        self._audit(Command(t_ns=t_ns, id="", kind="stop", target=stimulator, who=pressed.who, why=pressed.why))
        self._answer_desk()
        self._listen_on(listen_s)
        if phase is not None and phase.state == "ended":
            return phase.outcome, phase.reason
        return "stopped", pressed.why

    def _hear_desk(self) -> Press | None:
        """Take what consoles ask; the first stop of it."""
        stop = None
        for asked in self.supervisor.take_asked():
            command = asked.received.message
            if isinstance(command, Command):
                now_ns = self.supervisor.clock.now_ns()
                stop = self._desk.take(command, asked.route, self.seen.phase, now_ns) or stop
        return stop

    def _answer_desk(self) -> None:
        for told in self._desk.take_told():
            self.supervisor.bus.answer(told.back, told.answer)
            if not told.answer.ok:
                self._log("desk", f"refused: {told.answer.reason}")

    def _listen_on(self, for_s: float) -> None:
        """Hear what the others say to what has happened, for the log; nothing more is done, but a stop."""
        until = time.monotonic() + for_s
        while time.monotonic() < until:
            for received in self.supervisor.turn(TURN_S):
                self._see(received.message)
            pressed = self._hear_desk()
            if pressed is not None:
                self.supervisor.stop(pressed.who, pressed.why)
            self._desk.end("the session is over")
            self._answer_desk()

    def _go_wrong(self) -> None:
        phase = self.seen.phase
        for fault in [each for each in self._faults if phase is not None and phase.session_s >= each.at_s]:
            self._faults.remove(fault)
            self._log("fault", f"on purpose: {fault.act} {fault.node}".rstrip())
            if fault.act == "stop":
                self.supervisor.stop("fault", "stopped on purpose")
            else:
                strike(fault, self.supervisor.pids())

    def _see_to_room(self) -> None:
        """Tell when the disk has little room left, and end in order before it has none."""
        now_s = time.monotonic()
        director = self.setup.rig.node_of("director")
        if director is None or not self._room.is_due(now_s):
            return
        try:
            found = self._room.look(now_s, written_bytes(self.setup.folder), self._free(self.setup.folder))
        except OSError as error:
            self._log("disk", f"cannot be looked at: {error}")
            return
        if found is None or not found.verdict:
            return
        t_ns = self.supervisor.clock.now_ns()
        values: dict[str, float | str | bool | None] = {
            "left_s": round(found.left_s, 1), "verdict": found.verdict,
        }  # fmt: skip
        self._tell(Event(t_ns=t_ns, kind="disk", who="supervisor", why=found.text, values=values))
        self._log("disk", found.text)
        if found.verdict == "end":
            command = Command(
                t_ns=t_ns, id="supervisor-disk", kind="end", target=director, who="supervisor", why=found.text
            )
            self.supervisor.operator.ask(command)
            self._audit(command)

    def _tell(self, event: Event) -> None:
        self.seen.events.append(event)
        self.supervisor.bus.publish(Outgoing("event", event))

    def _audit_stop(self, stopped: Event) -> None:
        """A stop that came past this process, by the stop node or the console: neither asks who is there."""
        self._stop_audited = True
        self._audit(
            Command(
                t_ns=stopped.t_ns, id="", kind="stop", target=stopped.who, who=UNNAMED, role=UNNAMED, why=stopped.why
            )
        )

    def _audit(self, command: Command) -> None:
        try:
            audit_live(self.setup.folder, command, datetime.now(UTC))
        except OSError as error:
            # The act itself is in the recording; a session is not ended for its second copy.
            self._log("audit", f"not written: {error}")

    def _do_deeds(self) -> Press | None:
        """What has come due besides commands: the person's word, faults that strike; a stop is for the caller."""
        pressed = None
        for said in self._desk.take_said():
            self._tell(felt(said, self.supervisor.clock.now_ns()))
        for deed in self._operator.take_deeds():
            if isinstance(deed, Press):
                pressed = pressed or deed
            elif isinstance(deed, Break):
                fault = deed.fault
                self._log("fault", f"on purpose: {fault.kind}")
                self._struck.strike(fault, self.supervisor.pids(), self.supervisor.clock.now_ns())
        self._struck.thaw(self.supervisor.clock.now_ns())
        return pressed

    def _silent(self) -> str:
        """A node that hangs is silent; the gate has acted long before."""
        now_ns = self.supervisor.clock.now_ns()
        for name, beat in self.supervisor.beats.items():
            if now_ns - beat.t_ns > 1_000_000_000:
                return f"{name} has been silent for {(now_ns - beat.t_ns) / 1e9:.1f} s"
        return ""

    def _see(self, message: object) -> None:
        seen = self.seen
        if isinstance(message, Phase):
            seen.phase = message
        elif isinstance(message, StimReport):
            seen.report = message
        elif isinstance(message, Estimate):
            seen.estimate = message
        elif isinstance(message, Trial):
            seen.trial = message
        elif isinstance(message, Event):
            seen.events.append(message)
            if message.kind == "stop" and not self._stop_audited:
                self._audit_stop(message)
            if message.kind in LOGGED:
                self._log(message.who, _in_words(message))

    def _log(self, who: str, text: str) -> None:
        append_log(self.setup.folder, self.supervisor.clock.now_ns(), time.time_ns(), who, text)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """Ctrl-C, SIGTERM or a closed terminal stops stimulation and ends in order."""

        def interrupted(number: int, _: object) -> None:
            self._interrupted = f"interrupted ({signal.Signals(number).name})"

        # A terminal that is closed (SIGHUP) takes the stop key with it.
        names = ("SIGINT", "SIGTERM", "SIGHUP")
        before = {number: signal.signal(number, interrupted) for number in map(_signal_number, names) if number}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _signal_number(name: str) -> int | None:
    return getattr(signal, name, None)


def _in_words(event: Event) -> str:
    values = ", ".join(f"{name} {value}" for name, value in event.values.items())
    return ": ".join(filter(None, (event.kind, event.why, values)))
