"""From a recording to latencies: which write to the driver answered which block.

Nothing is guessed from times: the recorded steps say which blocks a step of the controller took in, which request it
made, and which step of the stimulator took that request in.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from myoloop.platform.messages import Samples, Step, StimRequest
from myoloop.platform.recording.reader import Recording


@dataclass(frozen=True, slots=True)
class Lineage:
    """What became of each block.

    Attributes
    ----------
    emitted_ns, arrived_ns
        (n_blocks,) by the block's number; 0 where it was not recorded, or no write answered it.
    own
        (n_blocks,) True where the write was of the request made in the block's own step, alone with it.
    out_of_order
        Blocks that were taken in after a later one.
    """

    emitted_ns: npt.NDArray[np.int64]
    arrived_ns: npt.NDArray[np.int64]
    own: npt.NDArray[np.bool_]
    out_of_order: int


def read_lineage(session: Path, topic: str, writes: Mapping[int, int]) -> Lineage:
    """Follow every block of a recorded session to the driver.

    Parameters
    ----------
    session
        The attempt's folder.
    topic
        Of the blocks.
    writes
        Time of the call of the driver, by the time that the stimulator's step was given.
    """
    emitted: dict[int, int] = {}
    step_of_block: dict[int, int] = {}
    request_of_step: dict[int, int] = {}
    taken: list[tuple[int, int]] = []
    out_of_order, newest = 0, -1
    for received, _ in Recording.open(session).messages({topic, "step/controller", "step/stimulator", "request"}):
        message = received.message
        if isinstance(message, Samples):
            emitted[received.seq] = message.t_ns
        elif isinstance(message, StimRequest):
            request_of_step[message.step] = received.seq
        elif isinstance(message, Step) and received.topic == "step/controller":
            for seq in _numbers(message, topic):
                step_of_block[seq] = message.number
                out_of_order += seq < newest
                newest = max(newest, seq)
        elif isinstance(message, Step):
            for seq in _numbers(message, "request")[-1:]:
                insort(taken, (seq, writes.get(message.now_ns, 0)))
    return _joined(emitted, step_of_block, request_of_step, [pair for pair in taken if pair[1]], out_of_order)


def _joined(
    emitted: Mapping[int, int],
    step_of_block: Mapping[int, int],
    request_of_step: Mapping[int, int],
    written: list[tuple[int, int]],
    out_of_order: int,
) -> Lineage:
    count = max(emitted, default=-1) + 1
    emitted_ns = np.zeros(count, dtype=np.int64)
    arrived_ns = np.zeros(count, dtype=np.int64)
    own = np.zeros(count, dtype=np.bool_)
    blocks_in_step: dict[int, int] = {}
    for taking in step_of_block.values():
        blocks_in_step[taking] = blocks_in_step.get(taking, 0) + 1
    numbers = np.array([seq for seq, _ in written], dtype=np.int64)
    for block, t_ns in emitted.items():
        emitted_ns[block] = t_ns
        step = step_of_block.get(block)
        request = request_of_step.get(step) if step is not None else None
        if step is None or request is None:
            continue
        # A request that a newer one overtook is answered by the newer one's write: its filter has seen the block.
        at = int(np.searchsorted(numbers, request))
        if at < len(written):
            arrived_ns[block] = written[at][1]
            own[block] = written[at][0] == request and blocks_in_step[step] == 1
    return Lineage(emitted_ns, arrived_ns, own, out_of_order)


def _numbers(step: Step, topic: str) -> list[int]:
    return [seq for name, _, _, seq in step.inputs if name == topic]
