"""How loud a muscle is between stimulation pulses, late enough after each that nothing of its answer is left.

What is evoked by a pulse, and what its subtraction leaves, is locked to it and over after about 12 ms; a spasm does
not know of pulses and is as strong in the gaps. So what is loud only close behind pulses is no spasm. The level in the
gaps has a rest of its own, learned while nothing is on.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from myoloop.controllers.estimators.baseline import MedianMemory
from myoloop.controllers.estimators.estimator import Heard
from myoloop.controllers.signals.snapshot import Restorable

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

#: Pulses that are remembered, of all channels together.
_PULSES = 32
#: A train goes on if its newest pulse was heard of within this: slow twitches are trains too, and what the last pulse
#: leaves in the levels of 50 and 250 ms is no spasm.
_GOES_ON_NS = 350_000_000
#: Rest in the gaps between pulses is known after so many values.
FIRST = 8
#: For so long a train has only just begun.
_NEW_NS = 600_000_000
#: After so long nothing of a pulse is in any level: the longest takes in 250 ms of valid samples.
_LEFT_NS = 1_000_000_000
#: After such a pause rest in the gaps is learned anew.
_STALE_NS = 2_000_000_000
#: Intervals that scatter less than this are steady: the next pulses come when they must.
_STEADY = 0.08
_FLOOR_UV2 = 1e-6


class PulseGaps(Restorable):
    """Level of each muscle in the gaps between pulses.

    Parameters
    ----------
    muscles
        Number of muscles.
    rate_hz
        Of the samples.
    late_ms
        From so long after a pulse on its answer is over.
    window_ms
        The gaps of the newest so much are taken together.
    rows_min
        Fewer samples say nothing.
    memory
        Values that rest in the gaps is the median of.
    """

    _kept: ClassVar[tuple[str, ...]] = ("_times_ns", "_count", "_began_ns", "rest")

    def __init__(
        self, muscles: int, rate_hz: float, late_ms: float = 12.0, window_ms: float = 70.0, rows_min: int = 30,
        memory: int = 80,
    ) -> None:  # fmt: skip
        self._rows = round(window_ms * 1e-3 * rate_hz)
        self._late_ns = round(late_ms * 1e6)
        self._rows_min = rows_min
        #: Of the rows of the window, the newest first.
        self._ages_ns: list[int] = [round(row * 1e9 / rate_hz) for row in range(self._rows)]
        self._times_ns = np.zeros(_PULSES, dtype=np.int64)
        self._count = 0
        #: First pulse of the newest train.
        self._began_ns = 0
        self.rest = MedianMemory(memory, muscles, 0.08, 0.35)

    def hear(self, heard: Heard) -> None:
        """Remember the pulses whose answers are complete."""
        for evoked in heard.evoked:
            if self._count and evoked.t_ns == int(self._times_ns[-1]):
                # A pulse of several channels at once is one: else half of the intervals were none, and no train steady.
                continue
            if not self._count or evoked.t_ns - int(self._times_ns[-1]) > _GOES_ON_NS:
                self._began_ns = evoked.t_ns
            if evoked.t_ns - int(self._times_ns[-1]) > _STALE_NS:
                self.rest.clear(np.ones(len(self.rest.count), dtype=np.bool_))
            self._times_ns[:-1] = self._times_ns[1:]
            self._times_ns[-1] = evoked.t_ns
            self._count = min(self._count + 1, _PULSES)

    def goes_on(self, t_ns: int) -> bool:
        """Whether pulses are given at this time."""
        return self._count > 0 and t_ns - int(self._times_ns[-1]) < _GOES_ON_NS

    def new(self, t_ns: int) -> bool:
        """Whether the train has begun only just now."""
        return t_ns - self._began_ns <= _NEW_NS

    def long_over(self, t_ns: int) -> bool:
        """Whether the newest pulse is so long ago that no level holds anything of it."""
        return not self._count or t_ns - int(self._times_ns[-1]) > _LEFT_NS

    def dense(self) -> bool:
        """Whether the newest pulses follow one another too closely for any gap to be heard."""
        lately: list[int] = self._times_ns[max(_PULSES - self._count, _PULSES - 9) :].tolist()
        intervals = sorted(after - before for before, after in pairwise(lately))
        if len(intervals) < 3:
            return False
        period_ns = max(1, intervals[len(intervals) // 2])
        return self._rows * (1.0 - self._late_ns / period_ns) < self._rows_min

    def level(self, heard: Heard) -> tuple[Floats, Floats]:
        """ln(RMS / uV) in the gaps of the newest window, and of how many samples; of 0 where those are too few."""
        late = self._late(heard.t_ns)
        used = heard.recent[-self._rows :].compress(late, axis=0)
        good = heard.recent_good[-self._rows :].compress(late, axis=0)
        if np.count_nonzero(good) == good.size:
            count = np.full(good.shape[1], float(len(good)))
        else:
            used = used * good
            count = np.add.reduce(good, axis=0, dtype=np.float64)
        power = np.einsum("ij,ij->j", used, used) / np.maximum(count, 1.0)
        count[count < self._rows_min] = 0.0
        return 0.5 * np.log(np.maximum(power, _FLOOR_UV2)), count

    def _late(self, now_ns: int) -> Mask:
        """Which rows of the window are late enough behind every pulse.

        The answer to the newest pulse that was heard of is over; whether another came is told by the train's period.
        """
        late = np.ones(self._rows, dtype=np.bool_)
        for time_ns in reversed(self._pulses(now_ns)):
            age_ns = now_ns - time_ns
            if age_ns - self._late_ns >= self._ages_ns[-1]:
                break
            begin = self._rows - bisect_right(self._ages_ns, age_ns)
            late[begin : self._rows - bisect_right(self._ages_ns, age_ns - self._late_ns)] = False
        return late

    def learn(self, level: Floats, where: Mask, compute: bool) -> None:
        """Take a level of rest in the gaps; `compute` the median and the spread anew."""
        self.rest.add(level, where)
        if compute:
            self.rest.compute()

    def _pulses(self, now_ns: int) -> list[int]:
        """In order, known pulses and those that a steady train must have given since."""
        known: list[int] = sorted(self._times_ns[_PULSES - self._count :].tolist())
        newest = known[-1]
        lately = known[-9:]
        intervals = sorted(after - before for before, after in pairwise(lately))
        count = len(intervals)
        if count < 3:
            # Nobody knows yet: nothing behind the newest pulse but its own gap.
            return [*known, newest + 2 * self._late_ns]
        period = (intervals[(count - 1) // 2] + intervals[count // 2]) // 2
        steady = max(intervals[-1] - period, period - intervals[0]) <= max(_STEADY * period, 1e6)
        missing = max(0, min(8, (now_ns - newest) // max(period, 1_000_000)))
        if steady:
            known += [newest + period * turn for turn in range(1, missing + 1)]
        return known
