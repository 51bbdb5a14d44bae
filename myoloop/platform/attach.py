"""Find the running rig that a node started by hand belongs to."""

from __future__ import annotations

import tempfile
from pathlib import Path

from myoloop.platform.errors import UserError
from myoloop.platform.process import RIG_FILE, read_rig_file
from myoloop.platform.runtime import running


class NoSuchRig(UserError):
    """No rig of that name runs on this host, or several do."""


def runtime_of(rig: str) -> Path:
    """The runtime folder of a running rig.

    Parameters
    ----------
    rig
        Its file, or its name: the file's ``rig.id``.

    Raises
    ------
    NoSuchRig
        If no rig of that name runs on this host, or several do.
    FileError
        If the rig file cannot be read.
    """
    name = _name(rig)
    found = {folder: _rig_in(folder) for folder in running(Path(tempfile.gettempdir()))}
    folders = [folder for folder, each in found.items() if each == name]
    if len(folders) == 1:
        return folders[0]
    if folders:
        raise NoSuchRig(
            f"{len(folders)} rigs called {name!r} run on this host; name one with --runtime: "
            f"{', '.join(map(str, folders))}"
        )
    others = ", ".join(sorted({each for each in found.values() if each}))
    raise NoSuchRig(f"no rig called {name!r} runs on this host; {f'there runs {others}' if others else 'none does'}")


def check_runtime(runtime: Path, rig: str) -> None:
    """Refuse a folder that is not the runtime folder of this rig.

    Raises
    ------
    NoSuchRig
        If it is no runtime folder, or another rig's.
    FileError
        If the rig file cannot be read.
    """
    found = _rig_in(runtime)
    if found is None:
        raise NoSuchRig(f"--runtime: found {str(runtime)!r}, which is no runtime folder")
    name = _name(rig)
    if found and found != name:
        raise NoSuchRig(f"--runtime: found {str(runtime)!r}, which is of the rig {found!r}, not of {name!r}")


def _name(rig: str) -> str:
    if not Path(rig).is_file() and Path(rig).suffix not in (".yaml", ".yml"):
        return rig
    from myoloop.platform.rig import load_rig

    return load_rig(rig).rig.id


def _rig_in(folder: Path) -> str | None:
    """Name of the rig that a runtime folder is of; None where it cannot be told."""
    if not (folder / RIG_FILE).is_file():
        return None
    try:
        return str(read_rig_file(folder).get("rig", ""))
    except (OSError, ValueError, AttributeError):
        return None
