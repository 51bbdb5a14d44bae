"""Writes rig files to edit: for a BrainFlow board, or with a virtual subject."""

from __future__ import annotations

import io
import re
from pathlib import Path

from ruamel.yaml import YAML

from myoloop.acquisition.boards import board_rig
from myoloop.experiments.protocols.schema import load_protocol
from myoloop.experiments.protocols.templates import NewFileError, write_new

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,30}")


def new_rig_file(name: str, folder: Path | str = ".", *, board: str | None = None, protocol: str) -> Path:
    """Write ``NAME.yaml``.

    Parameters
    ----------
    board
        BrainFlow's name of a board; None writes a SIM rig with a virtual subject.
    protocol
        Whose muscles and channels a SIM rig has.

    Raises
    ------
    NewFileError
        If the name will not do, the file exists, or it cannot be written.
    """
    if not _NAME.fullmatch(name):
        raise NewFileError(f"found {name!r}, allowed is a name of 1 to 31 of a-z, 0-9, _ and -")
    path = Path(folder) / f"{name}.yaml"
    write_new({path: board_rig(board, name) if board is not None else _simulated(name, protocol)}, refuse=path)
    return path


def _simulated(name: str, protocol: str) -> str:
    from myoloop.experiments.sessions.simulated_rig import simulated_rig_data

    text = io.StringIO()
    text.write(f"# A SIM rig with the muscles of {protocol}: a virtual subject instead of a person.\n")
    YAML().dump(simulated_rig_data(load_protocol(protocol), name=name), text)
    return text.getvalue()
