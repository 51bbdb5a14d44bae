"""When pulses fell, in rows of the EMG and in fractions of a row.

A trigger line says in which sampling interval a pulse fell, a host some tenths of a millisecond, the artifact to a
row or better where it is strong. Stimulators keep their period, so the clock behind any of the three is known better
than each of its pulses: a line is fitted to the newest ones with a fading memory (an alpha-beta filter whose gains
are those of least squares over all pulses so far, down to a floor). It predicts the next pulse too.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from myoloop.controllers.signals.snapshot import Restorable

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

#: The fit's memory: about 20 pulses (alpha-beta filter, gains of least squares over n = 20).
_MEMORY = 20
#: A pulse may lie this share of a period away from where it was expected and still be of the same train.
_STRAY = 0.08
#: So many pulses may be missing in a train.
_MISSING = 8
LOCKED_AFTER = 4
#: An onset is at least this share of the newest ones, whose memory keeps so much from block to block.
_OF_PEAK, _PEAK_KEEPS = 0.3, 0.98
#: What is so many times sharper than the newest onset is another pulse, however soon it comes.
_LOUDER = 3.0
#: A row long before any.
NEVER = -1e15


class PulseClock(Restorable):
    """Period and phase of one train of pulses.

    Parameters
    ----------
    shortest_rows, longest_rows
        Intervals that can be a period.
    """

    _kept: ClassVar[tuple[str, ...]] = ("row", "period", "seen", "number", "skipped", "_strays")

    def __init__(self, shortest_rows: float, longest_rows: float) -> None:
        self._shortest, self._longest = shortest_rows, longest_rows
        #: Newest pulse, as refined; `NEVER` before the first.
        self.row = NEVER
        #: Rows between pulses, 0 where unknown.
        self.period = 0.0
        #: Pulses of this train that fitted.
        self.seen = 0
        #: Running number of the newest pulse; pulses that were missed are counted.
        self.number = 0
        #: Pulses taken for granted since the newest that was seen.
        self.skipped = 0
        self._strays = 0

    def observe(self, row: float, sd: float, doubts: int = 0) -> float | None:
        """Take in a pulse; where it fell, as the whole train says; None where it is not believed.

        Parameters
        ----------
        row
            Where it was seen.
        sd
            Standard deviation of that, rows. What is known to a tenth of a row is not moved.
        doubts
            So many in a row that do not fit a steady train are not believed.
        """
        gap = row - self.row
        if self.seen >= LOCKED_AFTER and -_MISSING * self.period < gap < 0.5 * self.period:
            return self._confirm(row, sd, gap, doubts)
        count = round(gap / self.period) if self.period else 0
        miss = gap - count * self.period
        if not 1 <= count <= _MISSING or abs(miss) > max(3.0 * sd, _STRAY * self.period):
            return self._stray(row, gap, doubts)
        self.skipped = self._strays = 0
        self.seen = n = self.seen + 1
        self.number += count
        n = min(n, _MEMORY)
        expected = self.row + count * self.period
        self.period += 6.0 / (n * (n + 1)) * miss / count
        self.row = expected + 2.0 * (2 * n - 1) / (n * (n + 1)) * miss
        return row if sd <= 0.1 else self.row

    def next(self) -> float | None:
        """Where the next pulse is expected; None while there is no train."""
        return self.row + self.period if self.seen >= LOCKED_AFTER else None

    def skip(self) -> float:
        """Take the expected pulse for given: nobody has told of it yet."""
        self.row += self.period
        self.number += 1
        self.skipped += 1
        return self.row

    def forget(self) -> None:
        """Begin anew."""
        self.row, self.period, self.seen = NEVER, 0.0, 0

    def _confirm(self, row: float, sd: float, gap: float, doubts: int) -> float | None:
        """A pulse that had been taken for granted."""
        count = round(gap / self.period)
        miss = gap - count * self.period
        if abs(miss) > max(3.0 * sd, _STRAY * self.period):
            return self._stray(row, gap, doubts)
        self.skipped = self._strays = 0
        n = min(self.seen, _MEMORY)
        share = 2.0 * (2 * n - 1) / (n * (n + 1))
        expected = self.row + count * self.period
        self.row += share * miss
        self.period += 6.0 / (n * (n + 1)) * miss
        self.seen += 1
        return row if sd <= 0.1 else expected + share * miss

    def _stray(self, row: float, gap: float, doubts: int) -> float | None:
        self._strays += 1
        if self.seen >= LOCKED_AFTER and self._strays <= doubts and gap < _MISSING * self.period:
            return None
        return self._restart(row, gap)

    def _restart(self, row: float, gap: float) -> float:
        fits = self._shortest <= gap <= self._longest
        self.period, self.seen = (gap, 2) if fits else (0.0, 1)
        self.row = row
        self.number += 1
        self.skipped = self._strays = 0
        return row


class ArtifactOnsets(Restorable):
    """Finds pulses by the artifact itself: edges sharper than EMG can be.

    The second difference weights a frequency f with its square, so that an edge of 0.1 ms stands out of EMG (most of
    it below 200 Hz). A pulse is where the sum over channels, each relative to its own usual, stands above
    `threshold`.

    Parameters
    ----------
    channels
        Of the EMG.
    threshold
        In units of the usual second difference, mean over the three most affected channels.
    refractory_rows
        Nothing is a new pulse for so long.
    """

    _kept: ClassVar[tuple[str, ...]] = ("_tail", "_usual", "_wait", "_known", "_peak", "_newest")

    def __init__(self, channels: int, threshold: float, refractory_rows: int) -> None:
        self._threshold, self._refractory = threshold, refractory_rows
        self._most = min(3, channels)
        self._tail: Floats = np.zeros((2, channels))
        #: Per channel, the usual absolute second difference.
        self._usual: Floats = np.zeros(channels)
        self._wait = 0
        self._known = 0
        self._peak = 0.0
        self._newest = 0.0

    def find(self, samples: Floats) -> list[tuple[int, int]]:
        """Rows of `samples` (n, channels) where a pulse began, and the channel that shows it most."""
        curve = np.abs(np.diff(np.concatenate([self._tail, samples]), 2, axis=0))
        self._tail[:] = samples[-2:] if len(samples) >= 2 else np.concatenate([self._tail[1:], samples])
        usual = np.median(curve, axis=0)
        if not self._known:
            self._usual[:] = usual
        share = curve / np.maximum(self._usual, 1e-3)
        # Not what is seen in and behind a pulse: its share of the rows must not raise the threshold.
        slow = np.where(usual > self._usual, 0.02, 0.1)
        if self._known < 50:
            slow = np.maximum(slow, 1.0 / (1.0 + self._known))
        self._usual += slow * (usual - self._usual)
        self._known += 1
        score = np.sort(share, axis=1)[:, -self._most :].mean(axis=1)
        found = []
        at = 0
        self._peak *= _PEAK_KEEPS
        above = np.flatnonzero(score > self._threshold)
        for row in above.tolist():
            if row < at + self._wait and score[row] < _LOUDER * self._newest:
                continue
            if score[row] < _OF_PEAK * self._peak:
                continue
            self._newest = float(score[row : row + 3].max())
            self._peak += 0.3 * (float(score[row : row + 3].max()) - self._peak)
            # A second difference at row n is of the edge at n - 1.
            found.append((row - 1, int(curve[row : row + 3].max(axis=0).argmax())))
            at, self._wait = row, self._refractory
        self._wait = max(0, self._wait - (len(samples) - at))
        return found
