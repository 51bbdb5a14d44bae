"""Starts, watches and ends the nodes of a rig; restarts none.

The supervisor lives in the process that the operator started. Each node is a process in a session of its own with a
lifeline to here (its standard input): when the supervisor dies, however, the nodes end by themselves.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from myoloop.platform.bus import Asked, Bus, send_stop
from myoloop.platform.clock import Clock, MonotonicClock
from myoloop.platform.errors import UserError
from myoloop.platform.keyring import make_keys
from myoloop.platform.messages import Answer, Command, Event, Heartbeat
from myoloop.platform.node import HEARTBEAT_NS, CycleTimer
from myoloop.platform.process import write_rig_file
from myoloop.platform.runtime import OwnedRuntimeFolder
from myoloop.platform.steps import Outgoing, Received

#: Who may come and go while a rig runs, and in which role: this process's own acts, a console, who only looks on.
VISITORS = {"operator": "operator", "console": "operator", "observer": "observer"}
#: What a node's process is.
NODE_COMMAND = ("-m", "myoloop", "node")
#: How long a node may take to come up and to configure (a device may need seconds).
START_S = 30.0
#: How long nodes get to end by themselves, stimulator and recorder separately; together under 4.5 s.
END_S = 0.8
#: A stimulator waits 1 s for its device's word that it has stopped and 0.2 s for its port to empty; then it books the
#: dose and tells what was wrong.
STIMULATOR_END_S = 1.9
RECORDER_END_S = 1.6
_READY = re.compile(r"ready (\d+)")


class SupervisorError(UserError):
    """The rig cannot be brought up; the text is for the operator."""

    exit_code = 3


class RefusedError(SupervisorError):
    """A node cannot be what the user has written that it is."""

    exit_code = 2


@dataclass(slots=True)
class _Child:
    process: subprocess.Popen[bytes]
    log: Path


class Supervisor:
    """The nodes of one rig on this host.

    Parameters
    ----------
    session
        Session id.
    nodes
        Role of each node.
    rig_name
        By which ``myoloop node RIG NAME`` finds it, and what the process list shows.
    log_folder
        Where each node's standard error goes.
    listen
        Topics that the supervisor itself wants to hear (for the live view).
    interrupted
        Why not to wait any longer, or nothing; asked while nodes come up.
    """

    def __init__(
        self,
        session: str,
        nodes: dict[str, str],
        *,
        rig_name: str,
        log_folder: Path,
        listen: Iterable[str] = (),
        interrupted: Callable[[], str] = str,
    ) -> None:
        self.session = session
        self._interrupted = interrupted
        self.nodes = {**nodes, "supervisor": "supervisor"}
        self.beats: dict[str, Heartbeat] = {}
        #: How the session ended: outcome and reason.
        self.ended = ("", "")
        self.clock: Clock = MonotonicClock()
        #: What is started as a node, before the rig's name and the node's.
        self.node_command: tuple[str, ...] = NODE_COMMAND
        self._rig_name = rig_name
        self._log_folder = log_folder
        self._children: dict[str, _Child] = {}
        self._stop_node: _Child | None = None
        self._timer = CycleTimer()
        self._beat_ns = 0
        self._state = "hello"
        self.recorder = next((name for name, role in nodes.items() if role == "recorder"), None)
        self.stimulator = next((name for name, role in nodes.items() if role == "stimulator"), None)
        with contextlib.ExitStack() as undo:
            self.runtime = OwnedRuntimeFolder()
            undo.callback(self.runtime.remove)
            make_keys(self.runtime.path, {**self.nodes, **VISITORS})
            write_rig_file(self.runtime.path, session, nodes, rig_name)
            self.bus = Bus(self.runtime, "supervisor", session=session, recorder=self.recorder)
            undo.callback(self.bus.close)
            self.operator = Bus(self.runtime, "operator", session=session, recorder=self.recorder)
            undo.callback(self.operator.close)
            self.bus.subscribe(nodes, [*listen, *(f"heartbeat/{name}" for name in nodes)])
            undo.pop_all()
        self._received: list[Received] = []
        self._answers: dict[str, Received] = {}
        self._asked: list[Asked] = []

    # -- bringing up -------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start every node's process and wait until each is heard.

        Raises
        ------
        SupervisorError
            If one ends or stays silent; its own words are in the text.
        """
        for name in self.nodes:
            if name != "supervisor":
                self._children[name] = self._spawn(name)
        self._until(lambda: len(self.beats) == len(self._children), START_S, "come up")

    def start_stop_node(self, port: int | None, pedal: str | None) -> int:
        """Start the process that turns a POST or a pedal into a stop; it is no part of the loop and not watched.

        Returns the port on which it listens: a free one where none is given.

        Raises
        ------
        SupervisorError
            If it does not come up.
        """
        path = self.runtime.socket_path(f"{self.stimulator}.stop")
        command = [sys.executable, "-P", "-m", "myoloop.stimulators.stop", str(path)]
        command += ["--port", str(port or 0)]
        command += ["--pedal", pedal] if pedal is not None else []
        log = self._log_folder / "stop.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=file, stderr=subprocess.STDOUT, start_new_session=True
            )
        self._stop_node = _Child(process, log)
        deadline = time.monotonic() + START_S
        while not (ready := _READY.fullmatch(self._last_words(self._stop_node))):
            self._check_interrupted()
            if process.poll() is not None:
                raise SupervisorError(self._last_words(self._stop_node) or "the stop node ended")
            if time.monotonic() > deadline:
                raise SupervisorError(f"the stop node did not come up within {START_S:g} s")
            self._collect(0.02)
        return int(ready[1])

    def configure(self, name: str, settings: dict[str, Any]) -> dict[str, Any]:
        """Tell a node what it is for; returns what it answers.

        Raises
        ------
        RefusedError
            If it cannot be what it is told.
        SupervisorError
            If it cannot be configured, or does not answer.
        """
        answer = self.ask(name, "configure", {"nodes": self.nodes, "settings": settings})
        if not answer.ok:
            refused = RefusedError if answer.values.get("mistake") else SupervisorError
            raise refused(f"{name}: {answer.reason}")
        return answer.values

    def begin(self, order: Iterable[str]) -> None:
        """Wait until every node has heard every other, then let them begin in this order.

        Raises
        ------
        SupervisorError
            If one does not get ready.
        """
        self._state = "ready"
        self._until(lambda: all(beat.state == "ready" for beat in self.beats.values()), START_S, "get ready")
        self._state = "running"
        for name in order:
            answer = self.ask(name, "begin", {})
            if not answer.ok:
                raise SupervisorError(f"{name}: {answer.reason}")

    def ask(self, target: str, kind: str, arguments: dict[str, Any], *, as_operator: bool = False) -> Answer:
        """Send a command and wait for its answer.

        Raises
        ------
        SupervisorError
            If none comes, or the node's process has ended.
        """
        command_id = self.send(target, kind, arguments, as_operator=as_operator)
        self._until(lambda: command_id in self._answers, START_S, f"answer {kind}", only=target)
        answer = self._answers.pop(command_id).message
        if not isinstance(answer, Answer):
            raise SupervisorError(f"{target}: answered {kind} with something else")
        return answer

    def send(
        self, target: str, kind: str, arguments: dict[str, Any], *, as_operator: bool = False, who: str = ""
    ) -> str:
        """Send a command without waiting; the answer will be in :meth:`take_answers`."""
        command = Command(
            t_ns=self.clock.now_ns(), id=uuid.uuid4().hex, kind=kind, target=target, arguments=arguments, who=who
        )
        (self.operator if as_operator else self.bus).ask(command)
        return command.id

    # -- watching ----------------------------------------------------------------------------------------------

    def turn(self, timeout_s: float) -> list[Received]:
        """Wait for something to happen, at most so long; beat; give what has been heard."""
        deadline_ns = self.clock.now_ns() + round(timeout_s * 1e9)
        self._collect(min(timeout_s, 0.02))
        while not self._received and not self._asked and self.clock.now_ns() < deadline_ns:
            self._collect((deadline_ns - self.clock.now_ns()) * 1e-9)
        received, self._received = self._received, []
        return received

    def take_answers(self) -> list[Received]:
        """Answers that have come to commands sent without waiting."""
        answers, self._answers = self._answers, {}
        return list(answers.values())

    def take_asked(self) -> list[Asked]:
        """What a console has asked of this session since last asked; each wants an answer."""
        asked, self._asked = self._asked, []
        return asked

    def lost(self) -> list[str]:
        """Nodes whose process has ended though nobody told it to, with what they last said."""
        return [
            self._obituary(name, child) for name, child in self._children.items() if child.process.poll() is not None
        ]

    def stop(self, who: str, why: str) -> None:
        """Stop the stimulator at once."""
        if self.stimulator is not None:
            with contextlib.suppress(OSError):
                send_stop(self.runtime, self.stimulator, who, why)

    def pids(self) -> dict[str, int]:
        """Process id of each node that lives."""
        return {name: child.process.pid for name, child in self._children.items() if child.process.poll() is None}

    # -- ending ------------------------------------------------------------------------------------------------

    def end(self, outcome: str, reason: str) -> bool:
        """End all nodes: stimulator first, recorder last. True if the recorder ended its file by itself.

        What a stimulator finds wrong as it ends (a device that has not stopped) makes a fault of any ending and is
        told besides its reason; see :attr:`ended`.
        """
        self.ended = (outcome, reason)
        stimulators = [name for name, role in self.nodes.items() if role == "stimulator"]
        others = [name for name in self._children if name not in stimulators and name != self.recorder]
        before = len(self._received)
        self._end_group(stimulators, STIMULATOR_END_S)
        fault = self._fault_of(stimulators, before)
        if fault:
            self.ended = ("fault", "; ".join(filter(None, (reason, fault))))
        self._end_group(others, END_S)
        clean = True
        if self.recorder is not None:
            child = self._children.get(self.recorder)
            if child is not None and child.process.poll() is None:
                # A recorder that was frozen still has everything in its queue.
                _signal(child.process, "SIGCONT")
                self._end_group([self.recorder], RECORDER_END_S)
            clean = child is not None and child.process.poll() == 0
        return clean

    def close(self) -> None:
        """Kill what is left and remove the runtime folder; may be called twice."""
        for child in [*self._children.values(), *([self._stop_node] if self._stop_node is not None else [])]:
            if child.process.poll() is None:
                child.process.kill()
            child.process.wait()
            if child.process.stdin is not None:
                child.process.stdin.close()
        self.operator.close()
        self.bus.close()
        self.runtime.remove()

    def _fault_of(self, names: list[str], before: int) -> str:
        """What these have told as they ended, if it was a fault; what they had told before is left out."""
        self._collect(0.01)
        for received in self._received[before:]:
            message = received.message
            if not isinstance(message, Event) or received.publisher not in names:
                continue
            # A change of its gate's state has values.
            if message.kind == "fault" and not message.values:
                return f"{received.publisher}: {message.why}"
        return ""

    def _end_group(self, names: list[str], patience_s: float) -> None:
        arguments = {"outcome": self.ended[0], "reason": self.ended[1]}
        alive = [name for name in names if name in self._children and self._children[name].process.poll() is None]
        for name in alive:
            self.send(name, "end", arguments)
        deadline_ns = self.clock.now_ns() + round(patience_s * 1e9)
        while self.clock.now_ns() < deadline_ns and any(self._children[n].process.poll() is None for n in alive):
            self._collect(0.01)
        for name in alive:
            if self._children[name].process.poll() is None:
                self._children[name].process.kill()
                self._children[name].process.wait()

    # -- inside ------------------------------------------------------------------------------------------------

    def _spawn(self, name: str) -> _Child:
        log = self._log_folder / f"{name}.log"
        command = [sys.executable, "-P", *self.node_command, self._rig_name, name]
        command += ["--runtime", str(self.runtime.path)]
        with log.open("wb") as file:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            )
        return _Child(process, log)

    def _until(self, done: Callable[[], bool], patience_s: float, what: str, *, only: str | None = None) -> None:
        deadline = time.monotonic() + patience_s
        while not done():
            self._check_interrupted()
            for name, child in self._children.items():
                if child.process.poll() is not None:
                    raise SupervisorError(f"{self._obituary(name, child)} (before it could {what})")
            if time.monotonic() > deadline:
                waiting = only or ", ".join(n for n in self._children if n not in self.beats) or "some node"
                raise SupervisorError(f"{waiting} did not {what} within {patience_s:g} s")
            self._collect(0.02)

    def _check_interrupted(self) -> None:
        why = self._interrupted()
        if why:
            raise SupervisorError(why)

    def _collect(self, timeout_s: float) -> None:
        began_ns = self.clock.now_ns()
        self.bus.wait(min(timeout_s, max(0.0, (self._beat_ns + HEARTBEAT_NS - began_ns) * 1e-9)))
        began_ns = self.clock.now_ns()
        for received in self.bus.heard():
            if isinstance(received.message, Heartbeat):
                self.beats[received.publisher] = received.message
            self._received.append(received)
        for bus in (self.bus, self.operator):
            for received in bus.answers():
                answer = received.message
                if isinstance(answer, Answer):
                    self._answers[answer.id] = received
        self._asked += self.bus.asked()
        self._timer.note(began_ns, self.clock.now_ns())
        self._beat(began_ns)

    def _beat(self, now_ns: int) -> None:
        if now_ns - self._beat_ns < HEARTBEAT_NS:
            return
        self._beat_ns = now_ns
        cycle_ms, mean_ms, worst_ms = self._timer.figures_ms()
        beat = Heartbeat(
            t_ns=now_ns,
            node="supervisor",
            role="supervisor",
            state=self._state,
            cycle_ms=cycle_ms,
            cycle_mean_ms=mean_ms,
            cycle_worst_ms=worst_ms,
        )
        self.bus.publish(Outgoing("heartbeat/supervisor", beat))

    def _obituary(self, name: str, child: _Child) -> str:
        """Which node has ended, and what it last said or what ended it."""
        words = self._last_words(child).removeprefix(f"{name}: ")
        return f"{name}: {words or f'process ended with {child.process.poll()}'}"

    def _last_words(self, child: _Child) -> str:
        try:
            lines = child.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        except OSError:
            return ""
        return lines[-1] if lines else ""


def _signal(process: subprocess.Popen[bytes], name: str) -> None:
    number = getattr(signal, name, None)
    if number is not None:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)
