"""The ends of our own loop when it is measured: a source that stamps, a policy, a driver that stamps.

They are announced by entry points only for the time of a run (:mod:`myoloop.experiments.benchmarks.ours`), so that no
rig can name them otherwise.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from myoloop.acquisition.source import Block, Reading
from myoloop.controllers.policies.policy import Decision, PolicyInput
from myoloop.experiments.benchmarks.yardstick.work import SCALE_V, UV_PER_MA, Shape, noise
from myoloop.platform.clock import MonotonicClock
from myoloop.platform.messages import ChannelSetting, DeviceReport, Pulses, SampleDescriptor
from myoloop.stimulators.driver import Capabilities, DecodedOutput
from myoloop.stimulators.emulators.simulated import DeviceSettings, SimulatedDevice
from myoloop.stimulators.simulated import SimulatedDriver, SimulatedDriverSettings
from myoloop.stimulators.transport import MemoryTransport

#: The device's step: so fine that whatever the ramp allows since the last step is at least one of it.
CURRENT_STEP_MA = 0.001
CURRENT_MAX_MA = 5.0
#: The command of a block differs from the last ones by its place in this round, so that each of them is written.
PLACES = 8


@dataclass(frozen=True, slots=True)
class StampedSourceSettings:
    """What it emits."""

    channels: int = 16
    block: int = 20
    rate_hz: float = 2000.0


class StampedSource:
    """Noise, block by block, each stamped when it is handed over.

    Parameters
    ----------
    settings
        What it emits.
    name
        Of the node.
    """

    Settings = StampedSourceSettings

    def __init__(self, settings: StampedSourceSettings, name: str) -> None:
        self._shape = Shape(settings.channels, settings.block, settings.rate_hz)
        self._topic = f"emg/{name}"
        self._blocks = noise(self._shape)
        self._given = 0
        self._closed = threading.Event()
        self._clockwork: threading.Thread | None = None

    def open(self) -> tuple[SampleDescriptor, ...]:
        """Say what the stream is."""
        channels = self._shape.channels
        return (
            SampleDescriptor(
                topic=self._topic,
                rate_hz=self._shape.rate_hz,
                dtype="<i2",
                channels=tuple(f"m{i}" for i in range(channels)),
                units=("V",) * channels,
                scale=(SCALE_V,) * channels,
                offset=(0.0,) * channels,
                rail_low=-32768.0,
                rail_high=32767.0,
                device="yardstick",
            ),
        )

    def fileno(self) -> int:
        """Becomes readable with each block, as a device's port does."""
        if self._clockwork is None:
            self._due, self._tell = os.pipe()
            os.set_blocking(self._due, False)
            os.set_blocking(self._tell, False)
            self._clockwork = threading.Thread(target=self._tick, daemon=True)
            self._clockwork.start()
        return self._due

    def read(self, wait_s: float) -> list[Reading]:
        """The blocks that are due, each stamped now."""
        if self._clockwork is None:
            return []
        try:
            due = len(os.read(self._due, 64))
        except BlockingIOError:
            return []
        given: list[Reading] = []
        for _ in range(due):
            block = self._blocks[self._given % len(self._blocks)]
            first = self._given * self._shape.block
            self._given += 1
            given.append(Block(self._topic, first, time.monotonic_ns(), block))
        return given

    def close(self) -> None:
        """Stop the clockwork."""
        self._closed.set()
        if self._clockwork is not None:
            self._clockwork.join()
            self._clockwork = None
            os.close(self._due)
            os.close(self._tell)

    def _tick(self) -> None:
        """Say at absolute times that a block is due."""
        due_ns = time.monotonic_ns()
        while not self._closed.is_set():
            due_ns += self._shape.period_ns
            wait_ns = due_ns - time.monotonic_ns()
            if wait_ns > 0:
                time.sleep(wait_ns * 1e-9)
            with contextlib.suppress(BlockingIOError):
                os.write(self._tell, b".")


@dataclass(frozen=True, slots=True)
class EveryBlockSettings:
    """Nothing to choose."""


class EveryBlock:
    """Current follows the RMS over 250 ms, and differs with every block, so that every block's command is written."""

    Settings = EveryBlockSettings

    def __init__(self, settings: EveryBlockSettings, channels: tuple[str, ...]) -> None:
        self._channels = channels
        self._count = 0

    def decide(self, given: PolicyInput) -> Decision:
        """Ask for it."""
        levels = [each.level_uv for each in given.estimates.values() if each.level_uv is not None]
        self._count += 1
        mean_uv = sum(levels) / len(levels) if levels else 0.0
        whole = min(CURRENT_MAX_MA - 1.0, mean_uv / UV_PER_MA)
        # Rounded to more than the round of places, so that the level's own changes do not undo a place; and at the end
        # to the device's step, because the gate rounds down what is less than a whole one by a rounding error.
        current_ma = round(round(whole, 1) + CURRENT_STEP_MA * (self._count % PLACES), 3)
        return Decision(dict.fromkeys(self._channels, current_ma), "yardstick")

    def reset(self) -> None:
        """Begin anew."""
        self._count = 0

    def state(self) -> dict[str, Any]:
        """The count."""
        return {"count": self._count}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over a count."""
        self._count = int(state["count"])


@dataclass(frozen=True, slots=True)
class StampedDriverSettings:
    """Where it notes when it was called."""

    channels: Mapping[str, int]
    notes: str


class StampedDriver:
    """The simulated stimulator's driver and codec, its device in the same process; each write is stamped on arrival.

    Parameters
    ----------
    settings
        Where the notes go, at the end.
    """

    Settings = StampedDriverSettings

    def __init__(self, settings: StampedDriverSettings) -> None:
        self._notes = Path(settings.notes)
        self._stamps = array("q")
        codes_per_ma = round(1 / CURRENT_STEP_MA)
        device = SimulatedDevice(
            DeviceSettings(codes_per_ma=codes_per_ma, current_max_ma=CURRENT_MAX_MA), start_ns=time.monotonic_ns()
        )
        self._driver = SimulatedDriver(
            SimulatedDriverSettings(
                channels=settings.channels, current_step_ma=CURRENT_STEP_MA, current_max_ma=CURRENT_MAX_MA
            ),
            MemoryTransport(device, MonotonicClock()),
        )

    @property
    def capabilities(self) -> Capabilities:
        """Those of the simulated stimulator."""
        return self._driver.capabilities

    def open(self) -> str:
        """Open the device."""
        return self._driver.open()

    def encode(self, settings: Sequence[ChannelSetting]) -> bytes:
        """Encode."""
        return self._driver.encode(settings)

    def decode(self, data: bytes) -> tuple[DecodedOutput, ...]:
        """Decode."""
        return self._driver.decode(data)

    def write(self, data: bytes, now_ns: int) -> None:
        """Note the step's time, which names the step, and the time of this call; then write."""
        t_ns = time.monotonic_ns()
        self._stamps.append(now_ns)
        self._stamps.append(t_ns)
        self._driver.write(data, now_ns)

    def stop(self, now_ns: int) -> None:
        """Stop."""
        self._driver.stop(now_ns)

    def poll(self, now_ns: int) -> tuple[DeviceReport, tuple[Pulses, ...]]:
        """Poll."""
        return self._driver.poll(now_ns)

    def close(self) -> None:
        """Close, and leave the notes: (n, 2) of step time and time of the call."""
        self._driver.close()
        np.save(self._notes, np.frombuffer(self._stamps, dtype=np.int64).reshape(-1, 2))
