"""Who has a serial port open: on Linux from ``/proc``, elsewhere nobody can be named."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import NamedTuple


class Holder(NamedTuple):
    """A process that has a port open.

    Attributes
    ----------
    pid
        Its process id.
    command
        How it was called.
    """

    pid: int
    command: str


def holders(port: str, proc: Path = Path("/proc")) -> list[Holder]:
    """Processes that have `port` open, as far as this user may see; links to it are followed."""
    real = os.path.realpath(port)
    found = []
    for process in sorted((each for each in _entries(proc) if each.name.isdigit()), key=lambda each: int(each.name)):
        for link in _entries(process / "fd"):
            with contextlib.suppress(OSError):
                if str(link.readlink()) == real:
                    found.append(Holder(int(process.name), _command(process)))
                    break
    return found


def say_holders(by: list[Holder]) -> str:
    """Name them in words: ``process 4711 (minicom -D /dev/ttyUSB0)``."""
    return ", ".join(
        f"process {each.pid} ({each.command})" + (", which is this one" if each.pid == os.getpid() else "")
        for each in by
    )


def _entries(folder: Path) -> list[Path]:
    """What is in a folder that may be another user's, or vanish meanwhile."""
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _command(process: Path, longest: int = 80) -> str:
    try:
        said = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
        said = said or (process / "comm").read_text().strip()
    except OSError:
        return "unknown"
    said = " ".join(said.split())
    return said if len(said) <= longest else said[: longest - 3] + "..."
