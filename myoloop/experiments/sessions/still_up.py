"""Whether the rig of an attempt is still up: its device may be let go of already while its recorder writes the end."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from myoloop.platform.runtime import read_told, running

#: What a running session tells of itself, in its runtime folder.
CARD_FILE = "console.json"


def is_up(attempt: Path) -> bool:
    """Whether a supervisor lives on this host whose session this attempt is."""
    here = attempt.resolve()
    return any(_attempt_of(folder) == here for folder in running(Path(tempfile.gettempdir())))


def _attempt_of(folder: Path) -> Path | None:
    """Where a rig records; None where it does not say, or is gone by now."""
    try:
        card = json.loads(read_told(folder, CARD_FILE))
        return Path(card["study"], card["session"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
