"""The rigs that run on this host now, each with the card that its session left for the console."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from myoloop.experiments.console.card import Card, read_card
from myoloop.platform.process import read_rig_file
from myoloop.platform.runtime import running


@dataclass(frozen=True, slots=True)
class RunningRig:
    """A rig whose supervisor lives.

    Attributes
    ----------
    folder
        Its runtime folder.
    session
        Its session, empty where that cannot be read.
    card
        What the session says of itself; until it is up, nothing but that it may be blinded.
    """

    folder: Path
    session: str
    card: Card


def running_rigs(base: Path, study: Path | None = None) -> list[RunningRig]:
    """Every rig that runs here, those of the study first; one that cannot be read has no name, and is there as well."""
    found = []
    for folder in running(base):
        try:
            session = str(read_rig_file(folder)["session"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            session = ""
        found.append(RunningRig(folder, session, read_card(folder) or Card(session)))
    return sorted(found, key=lambda rig: study is None or rig.card.study != str(study.resolve()))
