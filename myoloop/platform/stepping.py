"""Takes the steps of a pure object and writes down each of them: in a node, in lockstep, everywhere the same."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from myoloop import __version__
from myoloop.platform.bus import Bus
from myoloop.platform.clock import Clock, MonotonicClock
from myoloop.platform.messages import Answer, Command, Overrun, Start, Step
from myoloop.platform.node import Configuration, Heard, Refusal
from myoloop.platform.steps import Outgoing, Received, StepInput, Stepped


def digest(received: Iterable[Received]) -> int:
    """CRC-32 over the CRCs of messages, in order."""
    return zlib.crc32(b"".join(each.crc.to_bytes(4, "little") for each in received))


def start_record(stepped: Stepped, kind: str, settings: str, versions: Mapping[str, str]) -> Outgoing:
    """What the object is before its first step, for the record."""
    state = json.dumps(stepped.state(), allow_nan=False, separators=(",", ":"))
    start = Start(object=stepped.name, kind=kind, settings=settings, state=state, versions=dict(versions))
    return Outgoing(f"start/{stepped.name}", start)


class Stepping:
    """Collects what arrives for an object and steps it.

    Parameters
    ----------
    stepped
        The object.
    """

    def __init__(self, stepped: Stepped) -> None:
        self.stepped = stepped
        self.number = 0
        self._inbox: list[Received] = []

    def receive(self, received: Received) -> None:
        """Put a message into the next step's input."""
        self._inbox.append(received)

    def step(self, now_ns: int, not_alive: Mapping[str, str]) -> list[Outgoing]:
        """Take a step with everything received since the last.

        Returns
        -------
        list of Outgoing
            The step's own record first, then what the object has to say.
        """
        self.number += 1
        inbox, self._inbox = self._inbox, []
        outgoing = self.stepped.step(StepInput(self.number, now_ns, inbox, not_alive))
        record = Step(
            number=self.number,
            now_ns=now_ns,
            inputs=tuple(each.reference for each in inbox),
            not_alive=dict(not_alive),
            digest=digest(inbox),
        )
        return [Outgoing(f"step/{self.stepped.name}", record), *outgoing]


class BusStepping:
    """A stepped object behind a node's sockets: what it may hear goes in, what it says goes where it belongs.

    Parameters
    ----------
    stepped
        The object.
    bus
        The node's sockets.
    obeys
        Roles whose commands reach the object at all; None where the object itself judges by role.
    """

    def __init__(self, stepped: Stepped, bus: Bus, obeys: frozenset[str] | None = None) -> None:
        self._stepping = Stepping(stepped)
        self._bus = bus
        self._obeys = obeys
        self._topics = frozenset(stepped.subscriptions)
        self._routes: dict[str, bytes] = {}

    def take(self, heard: Heard) -> None:
        """Put what has come into the next step's input."""
        for received in heard.received:
            if received.topic in self._topics:
                self._stepping.receive(received)
        for received in heard.answers:
            self._stepping.receive(received)
        for asked in heard.asked:
            command = asked.received.message
            if not isinstance(command, Command):
                continue
            if self._obeys is not None and command.role not in self._obeys:
                reason = f"{command.role} may not {command.kind}"
                self._bus.answer(asked.route, Answer(t_ns=command.t_ns, id=command.id, ok=False, reason=reason))
                continue
            self._routes[command.id] = asked.route
            self._stepping.receive(asked.received)

    @property
    def number(self) -> int:
        """Of the newest step."""
        return self._stepping.number

    def receive(self, received: Received) -> None:
        """Put one message of the node's own into the next step's input."""
        self._stepping.receive(received)

    def step(self, now_ns: int, not_alive: Mapping[str, str]) -> None:
        """Take a step and send everything the object has to say."""
        known = {topic: why for topic, why in not_alive.items() if topic in self._topics}
        for outgoing in self._stepping.step(now_ns, known):
            message = outgoing.message
            if isinstance(message, Answer):
                route = self._routes.pop(message.id, None)
                if route is not None:
                    self._bus.answer(route, message)
            elif isinstance(message, Command):
                self._bus.ask(message)
            else:
                self._bus.publish(outgoing)


class SteppedBody:
    """The work of a node whose object needs nothing but messages: controller and director.

    Parameters
    ----------
    role
        Role of the node; also the kind its start record names.
    build
        Makes the object from a configuration's settings and gives its settings as JSON.
    wakes
        Topics that make it take a step at once, given the object.
    cycle_ns
        It takes a step at least this often.
    obeys
        Roles whose commands it takes; None where the object itself judges by role.
    step_ns
        A step that takes longer is told to the object with its next one, and recorded; None: none is.
    clock
        What its steps are measured by.
    """

    files: tuple[int, ...] = ()

    def __init__(
        self,
        role: str,
        build: Callable[[Mapping[str, Any]], tuple[Stepped, str]],
        wakes: Callable[[Stepped], Iterable[str]],
        cycle_ns: int,
        obeys: frozenset[str] | None = None,
        *,
        step_ns: int | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.role = role
        self._step_ns = step_ns
        self._clock = clock or MonotonicClock()
        self.cycle_ns = cycle_ns
        self.wakes: frozenset[str] = frozenset()
        self._build = build
        self._obeys = obeys
        self._wakes_of = wakes

    def configure(self, given: Configuration, bus: Bus) -> tuple[tuple[str, ...], dict[str, Any]]:
        """Build the object.

        Raises
        ------
        Refusal
            If its settings do not fit.
        """
        try:
            self._stepped, self._settings = self._build(given.settings)
        except ValueError as error:
            raise Refusal(str(error)) from None
        self._bus = bus
        self._stepping = BusStepping(self._stepped, bus, self._obeys)
        self.wakes = frozenset(self._wakes_of(self._stepped))
        return tuple(self._stepped.subscriptions), {}

    def begin(self, now_ns: int) -> None:
        """Write down what it starts from."""
        self._bus.publish(start_record(self._stepped, self.role, self._settings, {"myoloop": __version__}))

    def idle(self, now_ns: int) -> None:
        """Nothing to do before the beginning."""

    def turn(self, heard: Heard, now_ns: int) -> None:
        """Take a step, and tell the object in its next one if it took too long."""
        self._stepping.take(heard)
        began_ns = self._clock.now_ns()
        self._stepping.step(now_ns, heard.not_alive)
        took_ns = self._clock.now_ns() - began_ns
        if self._step_ns is not None and took_ns > self._step_ns:
            late = Overrun(
                t_ns=began_ns + took_ns,
                step=self._stepping.number,
                took_ms=took_ns * 1e-6,
                limit_ms=self._step_ns * 1e-6,
            )
            self._stepping.receive(self._bus.own(Outgoing(f"overrun/{self._stepped.name}", late)))

    def end(self, outcome: str, reason: str, now_ns: int) -> None:
        """Nothing to put away."""

    def counters(self) -> dict[str, float]:
        """Nothing to count."""
        return {}
