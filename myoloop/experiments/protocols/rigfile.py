"""Writes rig files to edit: for a BrainFlow board, or with a virtual subject, whose stimulator may be an emulator."""

from __future__ import annotations

import io
import re
from pathlib import Path

from ruamel.yaml import YAML

from myoloop.acquisition.boards import board_rig
from myoloop.experiments.protocols.schema import load_protocol
from myoloop.experiments.protocols.templates import NewFileError, write_new

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,30}")


def new_rig_file(
    name: str, folder: Path | str = ".", *, board: str | None = None, device: str | None = None, protocol: str
) -> Path:
    """Write ``NAME.yaml``.

    Parameters
    ----------
    board
        BrainFlow's name of a board; None writes a SIM rig with a virtual subject.
    device
        Name of the emulator that a SIM rig has for its stimulator, with ``:mid`` behind it for the mid level of a P24
        or RehaMove3; None for a simulated stimulator.
    protocol
        Whose muscles and channels a SIM rig has.

    Raises
    ------
    NewFileError
        If the name will not do, the file exists, or it cannot be written, or a board is to have an emulator.
    EmulatedRigError
        If there is no such device.
    """
    if board is not None and device is not None:
        raise NewFileError("found --board and --device, allowed is one of them: an emulator is on a virtual subject")
    if not _NAME.fullmatch(name):
        raise NewFileError(f"found {name!r}, allowed is a name of 1 to 31 of a-z, 0-9, _ and -")
    path = Path(folder) / f"{name}.yaml"
    write_new({path: board_rig(board, name) if board is not None else _simulated(name, protocol, device)}, refuse=path)
    return path


def _simulated(name: str, protocol: str, device: str | None) -> str:
    from myoloop.experiments.sessions.emulated_rig import emulated_rig_data
    from myoloop.experiments.sessions.simulated_rig import simulated_rig_data

    text = io.StringIO()
    text.write(f"# A SIM rig with the muscles of {protocol}: a virtual subject instead of a person.\n")
    chosen = load_protocol(protocol)
    if device is None:
        data = simulated_rig_data(chosen, name=name)
    else:
        kind, _, level = device.partition(":")
        data = emulated_rig_data(chosen, kind, level=level or "low", name=name)
    YAML().dump(data, text)
    return text.getvalue()
