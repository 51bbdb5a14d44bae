"""The yardstick on ezmsg: three units, each in a process of its own, messages through its shared memory."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ezmsg.core as ez
import numpy as np

from .notes import Notes
from .work import Shape, Work, noise


class PlanSettings(ez.Settings):
    """The plan of the round."""

    plan: dict[str, Any]


@dataclass
class Samples:
    """A block."""

    number: int
    t_ns: int
    block: np.ndarray = field(repr=False)


@dataclass
class Command:
    """A command."""

    number: int
    current_ma: float


class Source(ez.Unit):
    """Emits blocks."""

    SETTINGS = PlanSettings
    OUTPUT = ez.OutputStream(Samples)

    @ez.publisher(OUTPUT)
    async def emit(self) -> AsyncGenerator[Any, None]:
        """Each block at its time."""
        plan = self.SETTINGS.plan
        shape = Shape(**plan["shape"])
        blocks = noise(shape)
        notes = Notes(plan["blocks"], plan["warm"])
        for number in range(plan["blocks"]):
            wait_ns = plan["start_ns"] + number * shape.period_ns - time.monotonic_ns()
            if wait_ns > 0:
                await asyncio.sleep(wait_ns * 1e-9)
            t_ns = time.monotonic_ns()
            yield self.OUTPUT, Samples(number, t_ns, blocks[number % len(blocks)])
            notes.note(number, t_ns)
        notes.save(Path(plan["folder"]) / "source.npz")


class Processor(ez.Unit):
    """Works on each block."""

    SETTINGS = PlanSettings
    INPUT = ez.InputStream(Samples)
    OUTPUT = ez.OutputStream(Command)

    async def initialize(self) -> None:
        """Make the filter."""
        plan = self.SETTINGS.plan
        self.work = Work(Shape(**plan["shape"]))
        self.notes = Notes(plan["blocks"], plan["warm"])

    @ez.subscriber(INPUT, zero_copy=True)
    @ez.publisher(OUTPUT)
    async def on_samples(self, message: Samples) -> AsyncGenerator[Any, None]:
        """One command per block."""
        yield self.OUTPUT, Command(message.number, self.work.command(message.block))
        self.notes.note(message.number, time.monotonic_ns())
        if self.notes.complete:
            self.notes.save(Path(self.SETTINGS.plan["folder"]) / "processor.npz")


class Sink(ez.Unit):
    """Stamps what arrives."""

    SETTINGS = PlanSettings
    INPUT = ez.InputStream(Command)

    async def initialize(self) -> None:
        """Begin the notes."""
        plan = self.SETTINGS.plan
        self.notes = Notes(plan["blocks"], plan["warm"])

    @ez.subscriber(INPUT)
    async def on_command(self, message: Command) -> None:
        """Stamp."""
        self.notes.note(message.number, time.monotonic_ns())
        if self.notes.complete:
            self.notes.save(Path(self.SETTINGS.plan["folder"]) / "sink.npz")


class Loop(ez.Collection):
    """All three."""

    SETTINGS = PlanSettings
    SOURCE = Source()
    PROCESSOR = Processor()
    SINK = Sink()

    def configure(self) -> None:
        """Hand on the plan."""
        for unit in (self.SOURCE, self.PROCESSOR, self.SINK):
            unit.apply_settings(self.SETTINGS)

    def network(self) -> ez.NetworkDefinition:
        """Source to processor to sink."""
        return ((self.SOURCE.OUTPUT, self.PROCESSOR.INPUT), (self.PROCESSOR.OUTPUT, self.SINK.INPUT))

    def process_components(self) -> tuple[Any, ...]:
        """Each in a process of its own."""
        return (self.SOURCE, self.PROCESSOR, self.SINK)


if __name__ == "__main__":
    ez.run(LOOP=Loop(PlanSettings(json.loads(sys.argv[1]))))
