"""What a part of the protocol may ask of the director."""

from __future__ import annotations

from typing import Protocol

from myoloop.experiments.sessions.outbox import Outbox
from myoloop.experiments.sessions.watch import Ending


class Steering(Protocol):
    """The director, as calibration, blocks and requests see it."""

    def end(self, ending: Ending, out: Outbox) -> None:
        """End the session now."""
        ...

    def turn(self, stage: str) -> None:
        """Go over to another stage."""
        ...

    def enter(self, index: int, out: Outbox) -> None:
        """Enter a phase, or end as complete after the last."""
        ...

    def pause_stimulator(self, then: str, why: str, out: Outbox) -> None:
        """Have the stimulator ramp down and disarm; `then` follows its answer."""
        ...

    def set_envelope(self, out: Outbox) -> None:
        """Hand the envelope to the stimulator."""
        ...

    def resume(self, out: Outbox) -> None:
        """Go on after a pause, forward only."""
        ...

    def rest_paused(self, out: Outbox) -> None:
        """The session stands still from now on."""
        ...

    def scored(self, score: float, out: Outbox) -> None:
        """A pain score of 0 to 10 has been given."""
        ...
