"""Where the real recordings are; they are never part of the project."""

from __future__ import annotations

import os
from pathlib import Path

#: Says where the folder of recordings is.
VARIABLE = "MYOLOOP_DATA"
#: Else beside the repository.
_BESIDE = Path(__file__).resolve().parents[4] / "shared" / "data"


def folder(name: str) -> Path | None:
    """Folder of a set of recordings, None where it is absent."""
    told = os.environ.get(VARIABLE)
    path = (Path(told) if told else _BESIDE) / name
    return path if path.is_dir() else None
