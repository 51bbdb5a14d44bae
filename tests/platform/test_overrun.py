"""An object has no clock: that a step of its own took too long is told to it with its next one, and recorded."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import pytest

from myoloop.platform import wire
from myoloop.platform.clock import VirtualClock
from myoloop.platform.messages import Overrun, Step
from myoloop.platform.node import Configuration, Heard
from myoloop.platform.stepping import SteppedBody
from myoloop.platform.steps import Outgoing, Received, StepInput

LIMIT_NS = 20_000_000
NOTHING = Heard([], [], [], [], MappingProxyType({}))


class Slow:
    """Takes as long as it is told to."""

    name = "controller"
    subscriptions: tuple[str, ...] = ()

    def __init__(self, clock: VirtualClock) -> None:
        self.clock, self.takes_ns = clock, 0
        self.heard: list[list[Any]] = []

    def step(self, given: StepInput) -> list[Outgoing]:
        self.clock.advance(self.takes_ns)
        self.heard.append([each.message for each in given.received])
        return []

    def state(self) -> dict[str, Any]:
        return {}


class Roads:
    """A bus that keeps what is said."""

    def __init__(self) -> None:
        self.said: list[Received] = []

    def publish(self, outgoing: Outgoing) -> list[bytes]:
        frames = wire.encode(
            outgoing.topic, outgoing.message, session="s", publisher="controller", epoch=1, seq=len(self.said)
        )
        self.said.append(wire.decode(frames)[1])
        return frames

    def own(self, outgoing: Outgoing) -> Received:
        self.publish(outgoing)
        return self.said[-1]


@pytest.mark.parametrize(("takes_ns", "late"), [(0, False), (LIMIT_NS, False), (LIMIT_NS + 1_000_000, True)])
def test_a_step_beyond_the_limit_is_an_input_of_the_next_and_stands_in_the_record(takes_ns: int, late: bool) -> None:
    clock, roads = VirtualClock(), Roads()
    slow = Slow(clock)
    body = SteppedBody(
        "controller", lambda _: (slow, "{}"), lambda _: (), LIMIT_NS, step_ns=LIMIT_NS, clock=clock
    )  # fmt: skip
    body.configure(Configuration("controller", {}, {}), roads)  # type: ignore[arg-type]
    slow.takes_ns = takes_ns
    body.turn(NOTHING, clock.now_ns())
    slow.takes_ns = 0
    for _ in range(2):
        body.turn(NOTHING, clock.now_ns())
    told = Overrun(t_ns=1_000_000_000 + takes_ns, step=1, took_ms=takes_ns * 1e-6, limit_ms=20.0)
    assert slow.heard == [[], [told] if late else [], []]
    overruns = [each for each in roads.said if each.topic == "overrun/controller"]
    steps = [each.message for each in roads.said if isinstance(each.message, Step)]
    assert [each.message for each in overruns] == ([told] if late else [])
    assert [step.inputs for step in steps] == [(), tuple(each.reference for each in overruns), ()]
