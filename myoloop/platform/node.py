"""The life of one process: hello, configure, ready, begin, end, bye.

A node is a loop around a body. The loop owns the sockets, the heartbeat (sent from the loop itself, so that a hung
loop is heard as silence), the lifeline to the supervisor and the order of life; the body does the work of its role.
"""

from __future__ import annotations

import contextlib
import gc
import os
import secrets
import signal
import sys
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, runtime_checkable

from myoloop.platform.bus import Asked, Bus
from myoloop.platform.clock import Clock, MonotonicClock
from myoloop.platform.errors import UserError
from myoloop.platform.liveness import Liveness, Sequences
from myoloop.platform.messages import Answer, Event, Heartbeat, Phase, Stop
from myoloop.platform.steps import Outgoing, Received

HEARTBEAT_NS = 40_000_000
#: A supervisor silent for this long is given up, and the node ends by itself.
SUPERVISOR_LOST_NS = 2_000_000_000
#: After the rig has lost its supervisor, the recorder keeps on for this long, to write what the others still say.
LAST_WORDS_NS = 1_000_000_000
#: The bus sleeps in whole milliseconds; what is due to the microsecond is waited for awake, this long at most.
AWAKE_NS = 1_000_000
#: A turn that a message brought puts off the next one of the cycle's by so much more: where messages come at the pace
#: of the cycle, there would be one right before each of them, and the message would have to wait for its end.
GRACE_NS = 2_000_000

_NODE_COMMANDS = ("configure", "begin", "end")
_MAY = frozenset({"supervisor", "director"})


class NodeFault(UserError):
    """A body cannot go on; the text is for the operator."""


class Refusal(NodeFault):
    """A body cannot be what it was told to be: not the rig is at fault, but what the user has written."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What has come since the last turn."""

    received: list[Received]
    asked: list[Asked]
    answers: list[Received]
    stops: list[Stop]
    not_alive: Mapping[str, str]


@dataclass(slots=True)
class Configuration:
    """What a node is told before it begins.

    Attributes
    ----------
    node
        Own name.
    nodes
        Role of every node of the rig, the supervisor included.
    settings
        For this node's body alone.
    """

    node: str
    nodes: dict[str, str]
    settings: dict[str, Any] = field(default_factory=dict)


class Body(Protocol):
    """The work of a role."""

    @property
    def role(self) -> str:
        """Which role it is."""
        ...

    @property
    def cycle_ns(self) -> int:
        """It gets a turn at least this often."""
        ...

    @property
    def wakes(self) -> frozenset[str]:
        """Topics that give it a turn at once."""
        ...

    @property
    def files(self) -> tuple[int, ...]:
        """File descriptors that give it a turn at once when they are ready to be read."""
        ...

    def configure(self, given: Configuration, bus: Bus) -> tuple[tuple[str, ...], dict[str, Any]]:
        """Get ready: open devices, build objects. Returns the topics to subscribe to, and values for the answer.

        Raises
        ------
        NodeFault
            If it cannot be done.
        """
        ...

    def begin(self, now_ns: int) -> None:
        """Start working."""
        ...

    def idle(self, now_ns: int) -> None:
        """Called before the beginning, for what cannot wait."""
        ...

    def turn(self, heard: Heard, now_ns: int) -> None:
        """Work on what has come and publish what follows.

        Raises
        ------
        NodeFault
            If it cannot go on.
        """
        ...

    def end(self, outcome: str, reason: str, now_ns: int) -> None:
        """Finish; called once, also after a fault."""
        ...

    def counters(self) -> Mapping[str, float]:
        """What the heartbeat should say."""
        ...


@runtime_checkable
class PunctualBody(Protocol):
    """A body that has something to do at moments of its own, between its turns."""

    @property
    def due_ns(self) -> int | None:
        """When it is next due; None where nothing is."""
        ...

    def punctual(self, now_ns: int) -> None:
        """Do what is due; short, and never before what a stop has to say."""
        ...


class CycleTimer:
    """How long turns take, now, on average and at worst over the last second of turns."""

    def __init__(self, turns: int = 100) -> None:
        self._turns: deque[float] = deque(maxlen=turns)

    def note(self, began_ns: int, ended_ns: int) -> None:
        """Note one turn."""
        self._turns.append((ended_ns - began_ns) * 1e-6)

    def figures_ms(self) -> tuple[float, float, float]:
        """Now, mean, worst."""
        if not self._turns:
            return 0.0, 0.0, 0.0
        return self._turns[-1], sum(self._turns) / len(self._turns), max(self._turns)


class Node:
    """One process's loop.

    Parameters
    ----------
    bus
        Its sockets.
    body
        Its work.
    clock
        Its time.
    lifeline
        File descriptor that ends when the supervisor does; None where it has none.
    """

    def __init__(self, bus: Bus, body: Body, *, clock: Clock | None = None, lifeline: int | None = None) -> None:
        self._bus = bus
        self._body = body
        self._punctual = body if isinstance(body, PunctualBody) else None
        self._clock = clock or MonotonicClock()
        self._lifeline = lifeline
        self._state = "hello"
        self._heard_from: set[str] = set()
        self._expected: set[str] = set()
        self._liveness = Liveness(())
        self._sequences = Sequences()
        self._timer = CycleTimer()
        self._heartbeat_ns = 0
        self._supervisor_ns: int | None = None
        self._pending = Heard([], [], [], [], {})
        self._ending: tuple[str, str] | None = None
        self._last_phase: Phase | None = None
        self._last_words_ns: int | None = None
        self._queue_full = 0

    def run(self) -> int:
        """Live; returns the exit code (0 ended as told, 3 fault)."""
        _leave_signals_to_the_supervisor()
        turn_ns = self._clock.now_ns()
        fault = told = ""
        try:
            while self._state != "ended":
                now_ns = self._clock.now_ns()
                files = self._body.files if self._state == "running" else ()
                until_ns = min(turn_ns, self._heartbeat_ns + HEARTBEAT_NS)
                due_ns = self._due_ns()
                if due_ns is not None:
                    until_ns = min(until_ns, due_ns - AWAKE_NS)
                ready = self._bus.wait((until_ns - now_ns) * 1e-9, (*files, *self._also()))
                now_ns = self._clock.now_ns()
                woken = self._collect(now_ns) or not ready.isdisjoint(files)
                if self._state == "running" and (woken or now_ns >= turn_ns):
                    self._turn(now_ns)
                    # The cycle is the longest time between two turns, not a beat beside those that messages bring.
                    turn_ns = now_ns + self._body.cycle_ns + (GRACE_NS if woken else 0)
                elif self._state in ("configured", "ready"):
                    self._body.idle(now_ns)
                self._be_punctual()
                if now_ns >= turn_ns:
                    turn_ns = max(turn_ns + self._body.cycle_ns, now_ns)
                self._beat(now_ns)
                self._watch_supervisor(now_ns)
                if self._ending is not None:
                    self._end(*self._ending)
        except NodeFault as error:
            fault = told = str(error)
            self._report_fault(fault)
        except BaseException as error:
            # A mistake of ours: the record has it in a line, standard error whole.
            fault = f"{type(error).__name__}: {error}"
            self._report_fault(fault)
            raise
        finally:
            try:
                if self._state != "ended":
                    self._end("fault", fault)
            except NodeFault as error:
                # A device that has not stopped is told besides what the node ends for.
                if str(error) != fault:
                    self._report_fault(str(error))
                    told = "; ".join(filter(None, (told, str(error))))
            finally:
                self._bus.close()
        if told:
            # Not before the device has its stop: standard error may be a pipe that nobody empties.
            print(f"{self._bus.node}: {told}", file=sys.stderr, flush=True)  # noqa: T201
        return 3 if fault else 0

    # -- inside ------------------------------------------------------------------------------------------------

    def _due_ns(self) -> int | None:
        return self._punctual.due_ns if self._punctual is not None and self._state == "running" else None

    def _be_punctual(self) -> None:
        """Wait awake for what is due within a moment, and let it be done; a stop that comes meanwhile goes first."""
        before_ns = -1
        while self._punctual is not None and (due_ns := self._due_ns()) is not None:
            now_ns = self._clock.now_ns()
            # A clock that stands would be waited for in vain.
            if now_ns < due_ns - AWAKE_NS or now_ns == before_ns or self._bus.stop_waits():
                return
            if now_ns >= due_ns:
                self._punctual.punctual(now_ns)
                return
            before_ns = now_ns

    def _also(self) -> tuple[int, ...]:
        return () if self._lifeline is None else (self._lifeline,)

    def _collect(self, now_ns: int) -> bool:
        """Fetch everything that has come; True if it should give the body a turn at once."""
        woken = False
        stops = self._bus.stops(now_ns)
        if stops:
            self._pending.stops.extend(stops)
            woken = True
        for received in self._bus.heard():
            gap = self._sequences.see(received, now_ns)
            self._liveness.see(received.topic, now_ns, gap=gap is not None)
            if gap is not None:
                self._bus.publish(Outgoing("gap", gap))
            self._note(received)
            self._pending.received.append(received)
            woken = woken or received.topic in self._body.wakes
        answers = self._bus.answers()
        if answers:
            self._pending.answers.extend(answers)
            woken = True
        for asked in self._bus.asked(_nonce):
            command = asked.received.message
            if self._is_of_life(command):
                self._obey(asked, now_ns)
            else:
                self._pending.asked.append(asked)
                woken = True
        return woken

    def _is_of_life(self, command: Any) -> bool:
        """Whether a command is for the node itself and not for what it carries."""
        # To end a session is an act of the operator's, and the director carries it out; its node lives on.
        of_a_session = self._body.role == "director" and getattr(command, "role", "") == "operator"
        kind = getattr(command, "kind", "")
        return kind in _NODE_COMMANDS and not (of_a_session and kind == "end")

    def _note(self, received: Received) -> None:
        message = received.message
        if isinstance(message, Heartbeat):
            self._heard_from.add(received.publisher)
            if message.role == "supervisor":
                self._supervisor_ns = message.t_ns
        elif isinstance(message, Phase):
            self._last_phase = message

    def _obey(self, asked: Asked, now_ns: int) -> None:
        command: Any = asked.received.message
        ok, reason, values = False, "", {}
        if command.role not in _MAY:
            reason = f"{command.role} may not {command.kind}"
        elif command.kind == "configure" and self._state == "hello":
            try:
                values = self._configure(command.arguments)
                ok = True
            except NodeFault as error:
                reason, values = str(error), {"mistake": isinstance(error, Refusal)}
        elif command.kind == "begin" and self._state == "ready":
            self._begin(now_ns)
            ok = True
        elif command.kind == "end":
            self._ending = (str(command.arguments.get("outcome", "")), str(command.arguments.get("reason", "")))
            ok = True
        else:
            reason = f"{command.kind} in state {self._state}"
        answer = Answer(t_ns=self._clock.now_ns(), id=command.id, ok=ok, reason=reason, values=values)
        self._bus.answer(asked.route, answer)

    def _configure(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        given = Configuration(self._bus.node, dict(arguments["nodes"]), dict(arguments["settings"]))
        topics, values = self._body.configure(given, self._bus)
        self._liveness = Liveness(topics)
        others = [name for name, role in given.nodes.items() if name != self._bus.node and role != "operator"]
        # Heartbeats last: a peer that is heard has already taken in all the other subscriptions.
        beats = [f"heartbeat/{name}" for name in others]
        self._bus.subscribe(others, [*(topic for topic in topics if topic not in beats), *beats])
        self._expected = set(others)
        self._state = "configured"
        gc.collect()
        gc.freeze()
        return values

    def _begin(self, now_ns: int) -> None:
        # What was heard before the beginning belongs to no session; but a stop is a stop from the first moment on.
        self._pending = Heard([], [], [], self._pending.stops, {})
        self._body.begin(now_ns)
        self._state = "running"

    def _turn(self, now_ns: int) -> None:
        # Once more: there may have been much to fetch since.
        self._pending.stops.extend(self._bus.stops(now_ns))
        pending = self._pending
        self._pending = Heard([], [], [], [], {})
        not_alive = self._liveness.not_alive(now_ns)
        # What is said in a turn goes out at its end, all at once: a driver is called before that.
        self._bus.hold()
        try:
            self._body.turn(replace(pending, not_alive=not_alive), now_ns)
        finally:
            self._bus.release()
        self._timer.note(now_ns, self._clock.now_ns())

    def _beat(self, now_ns: int) -> None:
        if self._state == "configured" and self._expected <= self._heard_from:
            self._state = "ready"
        if now_ns - self._heartbeat_ns < HEARTBEAT_NS and self._state != "ended":
            return
        self._heartbeat_ns = now_ns
        if self._bus.record_queue_full > self._queue_full:
            self._queue_full = self._bus.record_queue_full
            raise NodeFault(f"the recorder does not keep up: {self._queue_full} messages were not recorded")
        cycle_ms, mean_ms, worst_ms = self._timer.figures_ms()
        beat = Heartbeat(
            t_ns=now_ns,
            node=self._bus.node,
            role=self._body.role,
            state=self._state,
            cycle_ms=cycle_ms,
            cycle_mean_ms=mean_ms,
            cycle_worst_ms=worst_ms,
            heard=tuple(sorted(self._heard_from)) if self._state in ("configured", "ready") else (),
            counters=dict(self._body.counters()),
        )
        self._bus.publish(Outgoing(f"heartbeat/{self._bus.node}", beat))

    def _watch_supervisor(self, now_ns: int) -> None:
        """End by oneself if the supervisor has died (its lifeline is cut) or hangs (its heart is silent)."""
        if self._ending is not None or self._state == "ended":
            return
        why = ""
        if self._lifeline is not None and _is_cut(self._lifeline):
            why = "supervisor lost"
        elif self._supervisor_ns is not None and now_ns - self._supervisor_ns > SUPERVISOR_LOST_NS:
            why = "supervisor silent"
        if not why:
            return
        if self._last_words_ns is None:
            self._last_words_ns = now_ns
        patience_ns = LAST_WORDS_NS if self._body.role == "recorder" else LAST_WORDS_NS // 2
        if self._body.role == "stimulator" or now_ns - self._last_words_ns > patience_ns:
            phase = self._last_phase
            said = phase is not None and phase.state == "ended"
            self._ending = (phase.outcome, phase.reason) if said and phase is not None else ("fault", why)

    def _end(self, outcome: str, reason: str) -> None:
        now_ns = self._clock.now_ns()
        self._state = "ended"
        self._ending = None
        self._body.end(outcome, reason, now_ns)
        self._beat(self._clock.now_ns())

    def _report_fault(self, fault: str) -> None:
        event = Event(t_ns=self._clock.now_ns(), kind="fault", who=self._bus.node, why=fault)
        # What is wrong may be the very file that this would be written to; the end must come all the same.
        with contextlib.suppress(Exception):
            self._bus.publish(Outgoing("event", event))


def _nonce() -> str:
    return secrets.token_hex(8)


def _leave_signals_to_the_supervisor() -> None:
    # A terminal sends SIGINT to the whole group; only the supervisor decides the order of ending.
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _is_cut(lifeline: int) -> bool:
    """Whether the pipe from the supervisor has ended; nothing is ever written to it."""
    try:
        return os.read(lifeline, 1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
