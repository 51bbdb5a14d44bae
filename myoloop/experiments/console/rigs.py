"""The rigs that run on this host now, each with the card that its session left for the console."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from myoloop.platform.process import read_rig_file
from myoloop.platform.runtime import running

CARD_FILE = "console.json"


@dataclass(frozen=True, slots=True)
class RunningRig:
    """A rig whose supervisor lives.

    Attributes
    ----------
    folder
        Its runtime folder.
    card
        What the session says of itself, empty until it is up.
    """

    folder: Path
    session: str
    card: dict[str, Any]

    @property
    def blinded(self) -> bool:
        """Whether nobody here may learn the arm; unknown is yes."""
        return bool(self.card.get("blinded", True))

    @property
    def stop_port(self) -> int | None:
        """Port of its stop node, if that is known yet."""
        port = self.card.get("stop_port")
        return port if isinstance(port, int) else None


def running_rigs(base: Path) -> list[RunningRig]:
    """Every rig that runs here; one that cannot be read has no name and no card, and is there all the same."""
    found = []
    for folder in running(base):
        try:
            session = str(read_rig_file(folder)["session"])
        except (OSError, ValueError, KeyError, TypeError):
            session = ""
        found.append(RunningRig(folder, session, _card(folder)))
    return found


def _card(folder: Path) -> dict[str, Any]:
    try:
        card = json.loads((folder / CARD_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return card if isinstance(card, dict) else {}
