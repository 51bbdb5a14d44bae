"""The operator's process of a drill's session: the real supervisor, with a drill's nodes under it.

Started by :mod:`myoloop.experiments.drills.run` alone. It tells in ``up.json`` beside the study who is who, once the
protocol runs.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import msgspec
from rich.console import Console

from myoloop.experiments.drills.devices import NoSuchDrill, device_of
from myoloop.experiments.drills.faults import drill_of
from myoloop.experiments.drills.injected import Switch
from myoloop.experiments.drills.node import listen_for_strike, refuse_unless_virtual
from myoloop.experiments.sessions.acting import operator_of
from myoloop.experiments.sessions.keyboard import Keyboard
from myoloop.experiments.sessions.live import LiveSession, Seen
from myoloop.experiments.sessions.run import prepare
from myoloop.experiments.sessions.script import Script
from myoloop.experiments.sessions.view import LiveView
from myoloop.experiments.sessions.virtual_body import emulates
from myoloop.platform.errors import UserError
from myoloop.platform.rig import Rig

UP = "up.json"
PERSON = "SIM1"


class Up(msgspec.Struct, frozen=True, kw_only=True):
    """Where a session is that runs.

    Attributes
    ----------
    pids
        Process of each node.
    folder
        The attempt's.
    """

    pids: dict[str, int]
    runtime: str
    folder: str


def refuse_unless_simulated(rig: Rig) -> None:
    """Refuse a rig that a person could be on.

    Raises
    ------
    NoSuchDrill
        If it is not a SIM rig whose stimulator is simulated or emulated on a virtual subject.
    """
    if rig.rig.rig_class != "SIM":
        raise NoSuchDrill(f"rig {rig.rig.id}: found class {rig.rig.rig_class}, faults are brought into SIM rigs only")
    refuse_unless_virtual([node.role for node in rig.nodes.values()])
    stimulator = rig.node_of("stimulator")
    if stimulator is None or not (rig.nodes[stimulator].driver == "simulated" or emulates(rig)):
        raise NoSuchDrill(f"rig {rig.rig.id}: its stimulator is neither simulated nor emulated")


def play(protocol: Path, rig: Path, study: Path, device: str, fault: str) -> int:
    """Play the session; returns the exit code."""
    drill = drill_of(device_of(device), fault)
    setup = prepare(str(protocol), subject=PERSON, rig=str(rig), study=study, seed=1, speed="real")
    refuse_unless_simulated(setup.rig)
    if drill.how == "inject" and drill.part == "supervisor":
        listen_for_strike(drill, Switch())
    keyboard = Keyboard(serves=False)
    told = False
    with (
        Path(os.devnull).open("w", encoding="utf-8") as nowhere,
        LiveView(setup, Console(file=nowhere), quiet=drill.how != "key", keyboard=keyboard).shown() as view,
    ):

        def turn(seen: Seen) -> str:
            nonlocal told
            if not told:
                told = True
                pids, runtime = session.supervisor.pids(), str(session.supervisor.runtime.path)
                part = study.parent / f"{UP}.part"
                part.write_bytes(msgspec.json.encode(Up(pids=pids, runtime=runtime, folder=str(setup.folder))))
                part.replace(study.parent / UP)
            return view.turn(seen)

        operator = operator_of(setup, Script(), keyboard if view.keys else None)
        session = LiveSession(setup, operator, turn)
        session.supervisor.node_command = ("-m", "myoloop.experiments.drills.node", device, fault)
        result = session.run()
    return 0 if result.outcome == "complete" else 3


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser()
    for name in ("protocol", "rig", "study"):
        parser.add_argument(name, type=Path)
    parser.add_argument("device")
    parser.add_argument("fault")
    given = parser.parse_args()
    try:
        return play(given.protocol, given.rig, given.study, given.device, given.fault)
    except UserError as error:
        for line in getattr(error, "problems", None) or [str(error)]:
            print(line, file=sys.stderr)  # noqa: T201
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
