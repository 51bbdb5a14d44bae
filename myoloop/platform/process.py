"""The entry of a node's process: finds its body by role and lets the node live.

The supervisor starts ``python -P -m myoloop node RIG NAME --runtime DIR``; the rig file itself is read by the
supervisor alone, a node is told what it needs when it is configured.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from myoloop.platform.bus import Bus
from myoloop.platform.clock import Clock
from myoloop.platform.errors import UserError
from myoloop.platform.node import Body, Node
from myoloop.platform.priority import ask_for_priority
from myoloop.platform.runtime import RuntimeFolder, read_told

#: Where the work of each role stands. Names, not imports: the platform knows nothing of the rooms above it.
BODIES = {
    "acquisition": "myoloop.acquisition.node:AcquisitionBody",
    "controller": "myoloop.controllers.node:controller_body",
    "stimulator": "myoloop.stimulators.node:StimulatorBody",
    "director": "myoloop.experiments.sessions.node:director_body",
    "recorder": "myoloop.platform.recording.node:RecorderBody",
    "subject": "myoloop.experiments.subjects.node:SubjectBody",
}
RIG_FILE = "rig.json"


class NoSuchNode(UserError):
    """A name that the rig does not have."""


def write_rig_file(folder: Path, session: str, nodes: dict[str, str], rig: str = "") -> None:
    """Leave for the nodes what they must know before they are configured; `rig` is the rig's name."""
    part = folder / f"{RIG_FILE}.part"
    part.write_text(json.dumps({"session": session, "nodes": nodes, "rig": rig}), encoding="utf-8")
    part.replace(folder / RIG_FILE)


def read_rig_file(folder: Path) -> dict[str, Any]:
    """What :func:`write_rig_file` left: ``session``, ``nodes`` (name -> role) and ``rig``."""
    found: dict[str, Any] = json.loads(read_told(folder, RIG_FILE))
    return found


def body_of(role: str) -> Body:
    """Make the work of a role."""
    module, _, attribute = BODIES[role].partition(":")
    body: Body = getattr(importlib.import_module(module), attribute)()
    return body


def run_node(
    runtime: Path,
    name: str,
    *,
    body: Body | None = None,
    bus_type: Callable[..., Bus] = Bus,
    clock: Clock | None = None,
) -> int:
    """Be a node until its end; returns the exit code.

    Parameters
    ----------
    body, bus_type, clock
        Its work, how its sockets are made, its time; those of its role, and the host's clock, if not given.

    Raises
    ------
    NoSuchNode
        If the runtime folder knows no such node.
    """
    rig = read_rig_file(runtime)
    if name not in rig["nodes"]:
        raise NoSuchNode(f"the rig has no node {name!r}; it has {', '.join(sorted(rig['nodes']))}")
    if body is None:
        body = body_of(rig["nodes"][name])
    ask_for_priority(rig["nodes"][name])
    # A node that does not record pushes from its very first message, so that the recorder sees every sequence begin.
    recorder = next((each for each, role in rig["nodes"].items() if role == "recorder" and each != name), None)
    bus = bus_type(RuntimeFolder(runtime), name, session=rig["session"], recorder=recorder)
    lifeline = sys.stdin.fileno()
    os.set_blocking(lifeline, False)
    return Node(bus, body, clock=clock, lifeline=lifeline).run()
