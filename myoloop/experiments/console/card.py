"""What a running session says of itself to whoever looks on: the card in its runtime folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from myoloop.experiments.sessions.still_up import CARD_FILE
from myoloop.platform.runtime import read_told


class CardMuscle(msgspec.Struct, frozen=True):
    """Where a muscle is heard: the value in µV is ``raw * scale_uv + offset_uv``."""

    name: str
    topic: str
    column: int
    rate_hz: float
    scale_uv: float
    offset_uv: float = msgspec.field(name="offset", default=0.0)


class CardChannel(msgspec.Struct, frozen=True):
    """A stimulation channel and what it may give at most."""

    name: str
    cap_ma: float
    site: str = ""


class CardPhase(msgspec.Struct, frozen=True):
    """A phase of the protocol."""

    name: str
    kind: str


class Card(msgspec.Struct, frozen=True):
    """What is constant for a session.

    Attributes
    ----------
    blinded
        Where the card does not say, it is.
    """

    session: str
    study: str = ""
    subject: str = ""
    protocol: str = ""
    title: str = ""
    rig_class: str = ""
    simulated: bool = False
    blinded: bool = True
    muscles: tuple[CardMuscle, ...] = ()
    imu: dict[str, Any] | None = None
    channels: tuple[CardChannel, ...] = ()
    phases: tuple[CardPhase, ...] = ()
    stop_port: int | None = None
    stimulator: str | None = None
    director: str | None = None
    sites: tuple[Any, ...] = ()


def read_card(folder: Path) -> Card | None:
    """The card in a runtime folder; None where there is none yet, or none that can be read."""
    try:
        return msgspec.json.decode(read_told(folder, CARD_FILE), type=Card)
    except (OSError, ValueError, RecursionError):
        return None
