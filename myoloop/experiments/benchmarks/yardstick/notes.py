"""What a source and a sink write down: when each block was emitted and when its command arrived."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import numpy.typing as npt


class Notes:
    """Stamps by block number, and the CPU time between the end of the warm-up and the last block.

    Parameters
    ----------
    blocks, warm
        How many blocks there will be, and how many of them, from the first, are warm-up.
    """

    def __init__(self, blocks: int, warm: int) -> None:
        self.t_ns: npt.NDArray[np.int64] = np.zeros(blocks, dtype=np.int64)
        self._warm = warm
        self._newest = -1
        self._out_of_order = 0
        self._cpu_s = time.process_time()
        self._cold = True

    def note(self, number: int, t_ns: int) -> None:
        """Note a block; of two stamps the first counts."""
        if self._cold and number >= self._warm:
            self._cold = False
            self._cpu_s = time.process_time()
        if not 0 <= number < len(self.t_ns):
            return
        if number < self._newest:
            self._out_of_order += 1
        self._newest = max(self._newest, number)
        if self.t_ns[number] == 0:
            self.t_ns[number] = t_ns

    @property
    def complete(self) -> bool:
        """Whether the last block has been noted."""
        return self._newest == len(self.t_ns) - 1

    def save(self, path: Path) -> None:
        """Write stamps, CPU seconds and how many were out of order to an npz file."""
        part = path.with_suffix(".part.npz")
        np.savez(part, t_ns=self.t_ns, cpu_s=time.process_time() - self._cpu_s, out_of_order=self._out_of_order)
        part.replace(path)
