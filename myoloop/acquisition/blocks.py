"""From arrays as a device's library hands them over to blocks with an unbroken count; pure."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from myoloop.acquisition.counter import CounterRule, PackageCounter, Run
from myoloop.acquisition.source import Block

#: Far below what may travel in one message; after a stall, seconds of samples can come at once.
MAX_BLOCK_BYTES = 1 << 20


class BlockMaker:
    """Counts the samples of one stream, by the device's own counter where it has one that is understood.

    Parameters
    ----------
    topic
        Of the stream.
    rule
        How the device counts; None where it does not, or not as far as is known.
    """

    def __init__(self, topic: str, rule: CounterRule | None) -> None:
        self._topic = topic
        self._counter = PackageCounter(rule) if rule else None
        self._next_sample = 0

    def make(
        self,
        array: npt.NDArray[Any],
        t_ns: int,
        stamps: npt.NDArray[Any] | None = None,
        counts: npt.NDArray[Any] | None = None,
    ) -> list[Block]:
        """Make blocks of an array that came at once: one, or more where samples are missing in it or it is large.

        Parameters
        ----------
        array
            (n_samples, n_channels).
        t_ns
            When it came; the stamp of all its blocks, because it came at once.
        stamps
            (n_samples,), the device's own.
        counts
            (n_samples,), the device's counter; not looked at without a rule.
        """
        if len(array) == 0:
            return []
        runs, repeated = [Run(0, len(array), 0)], None
        if self._counter is not None and counts is not None:
            runs, repeated = self._counter.follow(counts)
        most = max(1, MAX_BLOCK_BYTES // max(1, array[:1].nbytes))
        blocks = []
        for run in runs:
            self._next_sample += run.missing
            for begin in range(run.begin, run.end, most):
                end = min(run.end, begin + most)
                invalid = None
                if repeated is not None and repeated[begin:end].any():
                    invalid = np.repeat(repeated[begin:end, None], array.shape[1], axis=1)
                stamp = None if stamps is None else float(stamps[end - 1])
                blocks.append(Block(self._topic, self._next_sample, t_ns, array[begin:end], stamp, invalid))
                self._next_sample += end - begin
        return blocks
