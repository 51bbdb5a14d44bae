"""What every emulated device does alike: it lives until now, then hears, answers, and tells what it delivered."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from typing import Generic, TypeVar

from myoloop.stimulators.emulators.faults import AnswerQueue, LineFaults
from myoloop.stimulators.emulators.ledger import Pulse

F = TypeVar("F", bound=LineFaults)


class EmulatedDevice(ABC, Generic[F]):
    """Base of an emulator; times are `now_ns` of the clock of who runs it.

    Parameters
    ----------
    faults
        What is broken: the line's knobs and the device's own.
    """

    def __init__(self, faults: F) -> None:
        self.faults = faults
        self._answers = AnswerQueue(faults)
        #: In order of time.
        self._delivered: deque[Pulse] = deque()

    @property
    @abstractmethod
    def active(self) -> tuple[int, ...]:
        """Outputs that are on, in order, numbered from 0."""

    def feed(self, data: bytes, now_ns: int) -> None:
        """Take bytes from the host; they may be cut anywhere and have garbage between what is meant."""
        self._advance(now_ns)
        if not self.faults.vanished:
            self._hear(data, now_ns)

    def take(self, now_ns: int) -> bytes:
        """Bytes that leave for the host by `now_ns`."""
        self._advance(now_ns)
        return self._answers.take(now_ns)

    def pulses_until(self, now_ns: int) -> list[Pulse]:
        """Every pulse delivered up to and including `now_ns` that was not asked for yet, in order of time."""
        self._advance(now_ns)
        self._deliver(now_ns)
        pulses: list[Pulse] = []
        # A command may have been heard later than what is asked for: pulses since then are not told yet.
        while self._delivered and self._delivered[0].t_ns <= now_ns:
            pulses.append(self._delivered.popleft())
        return pulses

    def restart(self, now_ns: int) -> None:
        """Lose power for a moment."""
        self._advance(now_ns)
        self._restart(now_ns)

    @abstractmethod
    def _advance(self, until_ns: int) -> None:
        """Do all that falls due by then."""

    @abstractmethod
    def _hear(self, data: bytes, now_ns: int) -> None:
        """Take bytes from a line that is not cut."""

    @abstractmethod
    def _restart(self, now_ns: int) -> None:
        """Begin as after a loss of power."""

    def _deliver(self, until_ns: int) -> None:
        """Put every pulse up to and including then among the delivered, where :meth:`_advance` has not."""
