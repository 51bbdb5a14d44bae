"""Pulses of all stimulation channels, from whichever source tells of them best."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from myoloop.controllers.signals.pulse_clock import PulseClock
from myoloop.controllers.signals.snapshot import Restorable, Table

Floats = npt.NDArray[np.float64]

#: Trains of 5 to 500 pulses/s.
_SHORTEST_S, _LONGEST_S = 0.002, 0.2
#: A channel of which nothing was heard for so long does not stimulate.
_SILENT_S = 1.0
#: News of a pulse that was taken for granted comes within so long, or there was none.
NEWS_S = 0.08
#: The host and a trigger line speak of the same pulse, rows.
_SAME = 2.0
MOST_CHANNELS = 32


class PulseTimes(Restorable):
    """One clock per stimulation channel.

    Parameters
    ----------
    rate_hz
        Of the EMG, in whose rows all is counted.
    """

    _kept: ClassVar[tuple[str, ...]] = ("_told", "clocks")

    def __init__(self, rate_hz: float) -> None:
        self._rate = rate_hz
        self.clocks = Table(lambda: PulseClock(_SHORTEST_S * rate_hz, _LONGEST_S * rate_hz), MOST_CHANNELS)
        #: What the host told of each channel: row of the newest pulse and its current.
        self._told: dict[str, list[float]] = {}

    def forget(self) -> None:
        """Rows are lost: where in a train we are is not known any more."""
        for _, clock in self.clocks:
            clock.forget()
        self._told = {}

    def told(self, channel: str, row: float, current_ma: float) -> None:
        """Hear what the host says of a pulse."""
        if channel in self._told or len(self._told) < MOST_CHANNELS:
            self._told[channel] = [row, current_ma]

    def set_current(self, channel: str, current_ma: float) -> None:
        """Hear what current a channel gives from now on; without any its train is over."""
        if channel in self._told:
            self._told[channel][1] = current_ma
        if not current_ma and channel in self.clocks:
            self.clocks.of(channel).forget()

    def current_ma(self, channel: str) -> float:
        """Of the newest pulse of which the host told; 0 where it told nothing."""
        return self._told[channel][1] if channel in self._told else 0.0

    def channel_at(self, row: float) -> tuple[str, ...]:
        """Which channels gave a pulse; empty where it cannot be told."""
        there = tuple(name for name, (last, _) in self._told.items() if abs(row - last) <= _SAME)
        if there:
            return there
        recent = [name for name, (last, _) in self._told.items() if row - last < _SILENT_S * self._rate]
        if len(recent) == 1:
            return tuple(recent)
        train = self.train_at(row)
        return tuple(train.split("\n")) if train else ()

    def train_at(self, row: float) -> str | None:
        """The steady train that a pulse fits best, None where it fits none."""
        best, nearest = None, 0.08
        for name, clock in self.clocks:
            if clock.next() is not None and abs(row - clock.row) < _SILENT_S * self._rate:
                turns = (row - clock.row) / clock.period
                if abs(turns - round(turns)) < nearest:
                    best, nearest = name, abs(turns - round(turns))
        return best

    def observe(self, channel: str, row: float, sd: float, doubts: int = 0) -> tuple[float, int] | None:
        """Take in a pulse; where it fell as its train says, and its running number; None where it is not believed."""
        clock = self.clocks.of(channel)
        refined = clock.observe(row, sd, doubts)
        if refined is None:
            return None
        steps = round((refined - clock.row) / clock.period) if clock.period else 0
        return refined, clock.number + steps

    def expected(self, until: float, news_s: float = NEWS_S) -> list[tuple[str, float, int]]:
        """Pulses of steady trains up to row `until` of which nobody has told yet: channel, row, number.

        A train of which nobody has told for `news_s` and two periods is over.
        """
        made = []
        for name, clock in self.clocks:
            while (row := clock.next()) is not None and row <= until:
                if clock.skipped * clock.period > news_s * self._rate + 2.0 * clock.period:
                    clock.seen = 1
                    break
                made.append((name, clock.skip(), clock.number))
        return made

    def steady(self, row: float) -> bool:
        """Whether every channel that stimulates does so in a train that is known well enough to foretell."""
        known = False
        for name, (last, _) in self._told.items():
            if row - last < NEWS_S * self._rate * 2:
                clock = self.clocks.get(name)
                if clock is None or clock.next() is None:
                    return False
                known = True
        return known

    def due(self, begin: float, end: float) -> bool:
        """Whether a pulse of a steady train is expected within these rows."""
        for _, clock in self.clocks:
            row = clock.next()
            if row is not None and begin <= row <= end:
                return True
        return False


def sharpest(samples: Floats, begin: int, end: int) -> tuple[int, float]:
    """Row in [begin, end) where the second difference is largest, and how many times the usual one that is."""
    curve = np.abs(np.diff(samples, 2, axis=0))
    usual = np.maximum(np.median(curve, axis=0), 1e-3)
    score = np.zeros(len(samples))
    score[1:-1] = (curve / usual).max(axis=1)
    if end <= begin:
        return begin, 0.0
    at = begin + int(score[begin:end].argmax())
    return at, float(score[at])
