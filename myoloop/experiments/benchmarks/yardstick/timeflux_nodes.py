"""The yardstick on Timeflux: a graph and a process for each stage and for its broker, pandas frames between them.

Timeflux polls: each graph turns at a rate. At 1000 Hz polling costs it half a millisecond a hop and not a core.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
from timeflux.core.node import Node

from .notes import Notes
from .work import Shape, Work, noise

RATE_HZ = 1000


class Source(Node):
    """Emits blocks."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self._plan, self._shape = plan, Shape(**plan["shape"])
        self._blocks = [pd.DataFrame(block) for block in noise(self._shape)]
        self._notes = Notes(plan["blocks"], plan["warm"])
        self._next = 0

    def update(self) -> None:
        """The next block, if it is due."""
        number = self._next
        due_ns = self._plan["start_ns"] + number * self._shape.period_ns
        if number >= self._plan["blocks"] or time.monotonic_ns() < due_ns:
            return
        self._next += 1
        t_ns = time.monotonic_ns()
        self.o.data = self._blocks[number % len(self._blocks)]
        self.o.meta = {"number": number, "t_ns": t_ns}
        self._notes.note(number, t_ns)
        if self._notes.complete:
            self._notes.save(Path(self._plan["folder"]) / "source.npz")


class Processor(Node):
    """Works on each block."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self._plan = plan
        self._work = Work(Shape(**plan["shape"]))
        self._notes = Notes(plan["blocks"], plan["warm"])

    def update(self) -> None:
        """One command per block."""
        if not self.i.ready():
            return
        number = self.i.meta["number"]
        self.o.data = pd.DataFrame([self._work.command(self.i.data.to_numpy())])
        self.o.meta = {"number": number}
        self._notes.note(number, time.monotonic_ns())
        if self._notes.complete:
            self._notes.save(Path(self._plan["folder"]) / "processor.npz")


class Sink(Node):
    """Stamps what arrives."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self._plan = plan
        self._notes = Notes(plan["blocks"], plan["warm"])

    def update(self) -> None:
        """Stamp."""
        if not self.i.ready():
            return
        self._notes.note(self.i.meta["number"], time.monotonic_ns())
        if self._notes.complete:
            self._notes.save(Path(self._plan["folder"]) / "sink.npz")


def application(plan: dict[str, Any]) -> dict[str, Any]:
    """Graphs as Timeflux reads them."""
    ours = __name__ if __name__ != "__main__" else f"{__package__}.timeflux_nodes"

    def node(name: str, module: str, cls: str, **params: Any) -> dict[str, Any]:
        return {"id": name, "module": module, "class": cls, **({"params": params} if params else {})}

    zmq = "timeflux.nodes.zmq"
    # Over its own addresses on the loopback, away from the default ports.
    base = 20000 + int(plan["start_ns"]) % 20000
    inward, outward = f"tcp://127.0.0.1:{base}", f"tcp://127.0.0.1:{base + 1}"
    broker = [node("broker", zmq, "Broker", address_in=inward, address_out=outward)]
    source = [node("source", ours, "Source", plan=plan), node("pub", zmq, "Pub", topic="samples", address=inward)]
    processor = [
        node("sub", zmq, "Sub", topics=["samples"], address=outward),
        node("processor", ours, "Processor", plan=plan),
        node("pub", zmq, "Pub", topic="commands", address=inward),
    ]
    sink = [node("sub", zmq, "Sub", topics=["commands"], address=outward), node("sink", ours, "Sink", plan=plan)]
    return {
        "graphs": [
            {"nodes": broker},
            {"nodes": source, "edges": [{"source": "source", "target": "pub"}], "rate": RATE_HZ},
            {
                "nodes": processor,
                "edges": [{"source": "sub:samples", "target": "processor"}, {"source": "processor", "target": "pub"}],
                "rate": RATE_HZ,
            },
            {"nodes": sink, "edges": [{"source": "sub:commands", "target": "sink"}], "rate": RATE_HZ},
        ]
    }


if __name__ == "__main__":
    path = Path(json.loads(sys.argv[1])["folder"]) / "app.json"
    path.write_text(json.dumps(application(json.loads(sys.argv[1]))), encoding="utf-8")
    sys.exit(subprocess.call([sys.executable, "-P", "-m", "timeflux", str(path)]))
