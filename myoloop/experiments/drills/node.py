"""A node of a drill's session: the real one, with a fault that SIGUSR1 switches on.

Started by :mod:`myoloop.experiments.drills.rig` alone, as ``python -m myoloop.experiments.drills.node DEVICE FAULT RIG
NODE --runtime FOLDER``. Refused in a session that has no virtual subject.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Iterable
from pathlib import Path

from myoloop.experiments.drills.devices import Device, NoSuchDrill, device_of
from myoloop.experiments.drills.faults import Drill, drill_of
from myoloop.experiments.drills.injected import (
    JUMPS_NS,
    DrilledAcquisition,
    DrilledSubject,
    JumpingClock,
    Switch,
    faulty_bus,
    hang,
)
from myoloop.platform.errors import UserError
from myoloop.platform.node import Body
from myoloop.platform.process import read_rig_file, run_node

#: After the session the emulator is asked what its device goes on to give for so long beyond its own bound.
FORESIGHT_S = 1.0


def run(device: Device, drill: Drill, runtime: Path, name: str) -> int:
    """Be the node until its end; returns the exit code.

    Raises
    ------
    NoSuchDrill
        If nobody but a person can be on this rig.
    """
    roles = read_rig_file(runtime)["nodes"]
    refuse_unless_virtual(roles.values())
    switch = Switch()
    struck = drill.how == "inject" and drill.part == name
    body: Body | None = None
    if roles.get(name) == "subject":
        body = DrilledSubject(drill.breaks, switch, device.bound_ms * 1e-3 + FORESIGHT_S)
    elif struck and roles.get(name) == "acquisition":
        body = DrilledAcquisition(drill.name, switch)
    if not struck:
        return run_node(runtime, name, body=body)
    listen_for_strike(drill, switch)
    by_ns = JUMPS_NS.get(drill.name, 0)
    return run_node(
        runtime,
        name,
        body=body,
        bus_type=faulty_bus(drill.name, switch),
        clock=JumpingClock(by_ns, switch) if by_ns else None,
    )


def listen_for_strike(drill: Drill, switch: Switch) -> None:
    """Let the fault happen at SIGUSR1."""

    def strike(*_: object) -> None:
        switch.on = True
        if drill.name.startswith("hang-"):
            hang()

    signal.signal(signal.SIGUSR1, strike)


def refuse_unless_virtual(roles: Iterable[str]) -> None:
    """Refuse a session in which no virtual subject is stimulated.

    Raises
    ------
    NoSuchDrill
        If there is none.
    """
    if "subject" not in roles:
        raise NoSuchDrill("a drill needs a virtual subject; this rig has none")


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser()
    for name in ("device", "fault", "rig", "node"):
        parser.add_argument(name)
    parser.add_argument("--runtime", type=Path, required=True)
    given = parser.parse_args()
    device = device_of(given.device)
    try:
        return run(device, drill_of(device, given.fault), given.runtime, given.node)
    except UserError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
