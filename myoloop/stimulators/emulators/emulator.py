"""The contract of an emulator: a device that speaks its wire protocol, as a plain object.

Whoever runs it (the verb ``emulate``, the virtual subject's server, a lockstep session, a test) hands it bytes with
the time and asks for its answers and its pulses. It has no clock, no thread and no port. What it delivered is told
by :meth:`Emulator.pulses_until` alone, never by what it was told or by what it says.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from myoloop.stimulators.emulators.faults import LineFaults
from myoloop.stimulators.emulators.ledger import Pulse


@runtime_checkable
class Emulator(Protocol):
    """A stimulator's firmware; times are `now_ns` of the clock of who runs it and never go back."""

    @property
    def faults(self) -> LineFaults:
        """What is broken: the line's knobs and the device's own, set from outside at any time."""
        ...

    @property
    def active(self) -> tuple[int, ...]:
        """Outputs that are on, in order, numbered from 0."""
        ...

    def feed(self, data: bytes, now_ns: int) -> None:
        """Take bytes from the host; they may be cut anywhere and have garbage between frames."""
        ...

    def take(self, now_ns: int) -> bytes:
        """Bytes that leave for the host by `now_ns`."""
        ...

    def pulses_until(self, now_ns: int) -> list[Pulse]:
        """Every pulse delivered up to and including `now_ns` that was not asked for yet, in order of time."""
        ...

    def restart(self, now_ns: int) -> None:
        """Lose power for a moment."""
        ...
