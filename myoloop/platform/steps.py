"""The contract of everything that decides: plain objects, stepped.

Controller, stimulator (the gate with its evidence) and director are such objects. They are given the time and what
has arrived, and give back what to publish; they read no clock, no file, no socket and no global random state. The
same object runs in a node, under the virtual clock, in a replay and in training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy.typing as npt

from myoloop.platform.messages import Message


@dataclass(frozen=True, slots=True)
class Received:
    """A message as it arrived.

    Attributes
    ----------
    topic, publisher, epoch, seq
        Which message of the world this is: `publisher` is the node's name, `epoch` changes when it restarts, `seq`
        counts 0, 1, 2, … per topic and epoch.
    message
        The decoded struct.
    array
        (n_samples, n_channels), read-only, where the message carries one.
    crc
        CRC-32 over body and array bytes.
    """

    topic: str
    publisher: str
    epoch: int
    seq: int
    message: Message
    array: npt.NDArray[Any] | None = None
    crc: int = 0

    @property
    def reference(self) -> tuple[str, str, int, int]:
        """What a step record names it by."""
        return (self.topic, self.publisher, self.epoch, self.seq)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to publish."""

    topic: str
    message: Message
    array: npt.NDArray[Any] | None = None


@dataclass(frozen=True, slots=True)
class StepInput:
    """Everything one step may know."""

    number: int
    now_ns: int
    received: Sequence[Received]
    not_alive: Mapping[str, str] = field(default_factory=dict)


@runtime_checkable
class Stepped(Protocol):
    """A pure object in the loop."""

    @property
    def name(self) -> str:
        """Instance name in ``step/<name>``."""
        ...

    @property
    def subscriptions(self) -> tuple[str, ...]:
        """Topics it consumes, exact."""
        ...

    def step(self, given: StepInput) -> list[Outgoing]:
        """Take one step and say what to publish, in order."""
        ...

    def state(self) -> dict[str, Any]:
        """What a restored object needs to go on bit for bit: JSON-ready."""
        ...
