"""One stage in a process of its own: source, processor or sink, over any of the links.

It is told on standard input, one JSON line per segment, when to begin and how many blocks there are; at the end of
its input it ends.
"""

from __future__ import annotations

import ctypes
import gc
import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

from .link import Link, open_link
from .notes import Notes
from .work import Shape, Work, noise

#: After the last block is due, so long is waited for it.
GRACE_NS = 1_000_000_000
_WAIT_S = 0.25
_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> int:
    """Run ``stage ROLE KIND SETTINGS``."""
    die_with_parent()
    role, kind, text = arguments
    settings = json.loads(text)
    shape = Shape(**settings["shape"])
    if role == "source":
        blocks = noise(shape)
        outlet = open_link(kind, "samples", "send", shape, settings)
    elif role == "processor":
        # The sender of a direction is there before its receiver looks for it.
        work = Work(shape, matrix=settings.get("matrix", False))
        outlet = open_link(kind, "commands", "send", shape, settings)
        inlet = open_link(kind, "samples", "receive", shape, settings)
    else:
        inlet = open_link(kind, "commands", "receive", shape, settings)
    gc.collect()
    gc.freeze()
    _say({"ready": role})
    for line in sys.stdin:
        segment: dict[str, Any] = json.loads(line)
        notes = Notes(segment["blocks"], segment["warm"])
        if role == "source":
            _emit(outlet, blocks, shape, segment, notes)
        elif role == "processor":
            _work(inlet, outlet, work, shape, segment, notes)
        else:
            _arrive(inlet, shape, segment, notes)
        notes.save(Path(segment["folder"]) / f"{role}.npz")
        _say({"done": role})
    return 0


def die_with_parent() -> None:
    """Ask the kernel to end this process with the one that started it, where it can."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def emit(start_ns: int, period_ns: int, count: int) -> Any:
    """Numbers from 0, each at its time."""
    for number in range(count):
        wait_ns = start_ns + number * period_ns - time.monotonic_ns()
        if wait_ns > 0:
            time.sleep(wait_ns * 1e-9)
        yield number


def _emit(outlet: Link, blocks: list[Any], shape: Shape, segment: dict[str, Any], notes: Notes) -> None:
    base = segment["base"]
    for number in emit(segment["start_ns"], shape.period_ns, segment["blocks"]):
        block = blocks[number % len(blocks)]
        t_ns = time.monotonic_ns()
        outlet.send_block(base + number, t_ns, block)
        notes.note(number, t_ns)


def _work(inlet: Link, outlet: Link, work: Work, shape: Shape, segment: dict[str, Any], notes: Notes) -> None:
    base, deadline_ns = segment["base"], _deadline_ns(shape, segment)
    while not notes.complete and time.monotonic_ns() < deadline_ns:
        received = inlet.receive_block(_WAIT_S)
        if received is not None:
            number, block = received
            outlet.send_command(number, work.command(block))
            notes.note(number - base, time.monotonic_ns())


def _arrive(inlet: Link, shape: Shape, segment: dict[str, Any], notes: Notes) -> None:
    base, deadline_ns = segment["base"], _deadline_ns(shape, segment)
    while not notes.complete and time.monotonic_ns() < deadline_ns:
        number = inlet.receive_command(_WAIT_S)
        if number is not None:
            notes.note(number - base, time.monotonic_ns())


def _deadline_ns(shape: Shape, segment: dict[str, Any]) -> int:
    return int(segment["start_ns"] + segment["blocks"] * shape.period_ns + GRACE_NS)


def _say(what: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
