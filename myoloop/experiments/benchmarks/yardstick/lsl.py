"""Lab Streaming Layer: one outlet per direction, the block's number in a channel of its own."""

from __future__ import annotations

import time

import numpy as np
import pylsl

from .link import Counts
from .work import Shape

RESOLVE_S = 15.0


class LslLink:
    """One stream; the sender has the outlet."""

    def __init__(self, shape: Shape, name: str, what: str, end: str) -> None:
        self._block = shape.block
        if end == "send":
            channels, rate = (shape.channels + 1, shape.rate_hz) if what == "samples" else (2, 0.0)
            # Numbers of blocks do not fit int16; float32 says them exactly up to 16 million.
            info = pylsl.StreamInfo(name, "yardstick", channels, rate, "float32", f"myoloop-{name}")
            self._outlet = pylsl.StreamOutlet(info, shape.block if what == "samples" else 1)
        else:
            found = pylsl.resolve_byprop("name", name, timeout=RESOLVE_S)
            if not found:
                raise RuntimeError(f"LSL stream {name} was not found within {RESOLVE_S:g} s")
            self._inlet = pylsl.StreamInlet(found[0], max_buflen=10)
            self._inlet.open_stream(timeout=RESOLVE_S)

    def send_block(self, number: int, t_ns: int, block: Counts) -> None:
        """Push a chunk, stamped."""
        rows = np.empty((len(block), block.shape[1] + 1), dtype=np.float32)
        rows[:, :-1] = block
        rows[:, -1] = number
        self._outlet.push_chunk(rows, t_ns * 1e-9)

    def receive_block(self, wait_s: float) -> tuple[int, Counts] | None:
        """Pull a chunk."""
        rows, _ = self._inlet.pull_chunk(timeout=wait_s, max_samples=self._block)
        if len(rows) < self._block:
            return None
        array = np.asarray(rows)
        return int(array[-1, -1]), array[:, :-1].astype("<i2")

    def send_command(self, number: int, current_ma: float) -> None:
        """Push a sample."""
        self._outlet.push_sample([float(number), current_ma], time.monotonic())

    def receive_command(self, wait_s: float) -> int | None:
        """Pull a sample."""
        sample, _ = self._inlet.pull_sample(timeout=wait_s)
        return None if sample is None else int(sample[0])
