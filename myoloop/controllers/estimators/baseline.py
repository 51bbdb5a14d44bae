"""What a muscle sounds like at rest, and when it contracts.

The level at rest is the median of ln(RMS) over the last 4 s of rest, so that it follows a drift of 5 % a second
closely enough for a threshold of 1.6 times rest; its spread, over 15 s and about that moving median, is that of the
lower half, since what does not belong to rest is always louder. It is learned only while the muscle is quiet and
nobody has asked for effort (but for the first seconds, of which nothing else is known), so that neither effort nor a
long spasm becomes the new rest. Three things
make it learn anew: a level far below what it holds to be rest (it began in a contraction), activity that nobody asked
for and that does not end (the electrode or the tone has changed), and activity that comes back so soon, for so long,
that no rest has been heard between. What rose while the muscle was active, and crosses the threshold only now and
then, is learned from the moments between.
"""

from __future__ import annotations

import math
from typing import ClassVar

import msgspec
import numpy as np
import numpy.typing as npt

from myoloop.controllers.signals.snapshot import Restorable

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


class BaselineSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How rest is learned and a contraction told from it.

    Attributes
    ----------
    memory_s, spread_s
        How much rest the median and the spread are taken over.
    first_s, firm_s
        Rest is known after this much of it; until there is so much more, quiet counts even where effort is expected.
    every_ms
        A value is taken this often (windows of 50 ms do not overlap).
    active_sigmas, active_ratio
        The muscle is active above rest + the larger of so many spreads and ln(ratio).
    settle_ms
        After activity nothing is learned for this long.
    fall_sigmas, fall_ratio, fall_s
        A level below rest by so much for so long: what was held to be rest was not.
    watchdog_s
        Activity that nobody asked for and that lasts so long is the new rest.
    hasty_s
        Without a pause long enough to learn from for so long, every quiet moment is learned from.
    starved_s
        Without any for so long, what there is is the new rest.
    contraction_of_reference
        A contraction is also above this share of the usual contraction's level, once there is one.
    contraction_begin_ms, contraction_end_ms
        How long it must be above, and below, to begin and to end.

    Raises
    ------
    ValueError
        If a value is out of its range.
    """

    memory_s: float = 4.0
    spread_s: float = 15.0
    first_s: float = 0.6
    firm_s: float = 3.0
    every_ms: float = 50.0
    active_sigmas: float = 4.0
    active_ratio: float = 1.6
    settle_ms: float = 200.0
    fall_sigmas: float = 5.0
    fall_ratio: float = 1.8
    fall_s: float = 0.3
    watchdog_s: float = 20.0
    hasty_s: float = 2.0
    starved_s: float = 22.0
    contraction_of_reference: float = 0.2
    contraction_begin_ms: float = 100.0
    contraction_end_ms: float = 200.0

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if name == "settle_ms":
                fits, allowed = 0.0 <= value < math.inf, "0 and above"
            elif name.endswith("_ratio"):
                fits, allowed = 1.0 < value < math.inf, "above 1"
            elif name == "contraction_of_reference":
                fits, allowed = 0.0 < value <= 1.0, "above 0, up to 1"
            elif name == "firm_s":
                fits, allowed = self.first_s <= value < math.inf, f"first_s ({self.first_s:g}) and above"
            else:
                fits, allowed = 0.0 < value < math.inf, "above 0"
            if not fits:
                raise ValueError(f"baseline.{name} is {value:g}, allowed is {allowed}")


#: Hops of activity that the watchdog forgets for a quiet one.
_TAKEN_BACK = 5
#: A spread of fewer values is no better than that of the short memory.
_SPREAD_FIRST = 40


class MedianMemory(Restorable):
    """Median, spread and upper reach of the newest values of each muscle, each muscle with its own count.

    Parameters
    ----------
    size
        How many values are kept.
    muscles
        Number of muscles.
    sigma_min, sigma_max
        The spread is never below and never above these.
    """

    _kept: ClassVar[tuple[str, ...]] = ("_values", "count", "median", "sigma", "upper")

    def __init__(self, size: int, muscles: int, sigma_min: float, sigma_max: float) -> None:
        self._size = size
        self._sigma_min, self._sigma_max = sigma_min, sigma_max
        self._values: Floats = np.full((size, muscles), np.nan)
        self.count: npt.NDArray[np.int64] = np.zeros(muscles, dtype=np.int64)
        self.median: Floats = np.zeros(muscles)
        self.sigma: Floats = np.full(muscles, sigma_min)
        #: By how much a tenth of the values is above the median.
        self.upper: Floats = np.zeros(muscles)

    def add(self, values: Floats, where: Mask) -> None:
        """Remember one value of each muscle in `where`."""
        columns = where.nonzero()[0]
        self._values[self.count[columns] % self._size, columns] = values[columns]
        self.count[columns] += 1

    def clear(self, where: Mask) -> None:
        """Forget everything of the muscles in `where`; median and spread stay until they are computed again."""
        self._values[:, where] = np.nan
        self.count[where] = 0

    def compute(self) -> None:
        """All of them anew, of every muscle that has a value."""
        known = np.flatnonzero(self.count > 0)
        if known.size == 0:
            return
        ordered = np.sort(self._values[:, known], axis=0)  # NaN last
        kept = np.minimum(self.count[known], self._size)
        columns = np.arange(known.size)
        median = 0.5 * (ordered[(kept - 1) // 2, columns] + ordered[kept // 2, columns])
        self.median[known] = median
        # Of a normal distribution the lower quartile lies 0.6745 standard deviations below the median.
        spread = (median - ordered[kept // 4, columns]) / 0.6745
        self.upper[known] = ordered[(9 * kept) // 10, columns] - median
        self.sigma[known] = np.minimum(np.maximum(spread, self._sigma_min), self._sigma_max)


class RestBaseline(Restorable):
    """Rest level and contractions of the muscles on one source.

    Parameters
    ----------
    settings
        How it learns.
    muscles
        Number of muscles.
    hop_s
        Length of a hop.
    """

    _kept: ClassVar[tuple[str, ...]] = (
        "slow", "fast", "known", "reference", "_hops", "_since_active", "_active", "_low", "contracting", "_above",
        "_below", "_power", "_length", "_computed", "_starved", "_unsettled",
        "_slow_spread", "_fast_spread",
    )  # fmt: skip

    def __init__(self, settings: BaselineSettings, muscles: int, hop_s: float) -> None:
        self._settings = settings
        self._every = max(1, round(settings.every_ms * 1e-3 / hop_s))
        tick_s = self._every * hop_s
        size = max(8, round(settings.memory_s / tick_s))
        self._first = max(4, round(settings.first_s / tick_s))
        self._firm = max(self._first, round(settings.firm_s / tick_s))
        self._compute_every = max(1, round(0.5 / tick_s)) * self._every
        self._settle = round(settings.settle_ms * 1e-3 / hop_s)
        self._fall = max(1, round(settings.fall_s / tick_s))
        self._watchdog = round(settings.watchdog_s / hop_s)
        self._hasty = round(settings.hasty_s / tick_s)
        self._starve = round(settings.starved_s / tick_s)
        self._begin = max(1, round(settings.contraction_begin_ms * 1e-3 / hop_s))
        self._end = max(1, round(settings.contraction_end_ms * 1e-3 / hop_s))
        self._log_active = float(np.log(settings.active_ratio))
        self._log_fall = float(np.log(settings.fall_ratio))
        self._log_share = float(np.log(settings.contraction_of_reference))
        # Windows of 50 and of 10 ms of surface EMG cannot scatter less than this, and at rest do not scatter more.
        self.slow = MedianMemory(size, muscles, 0.08, 0.35)
        self.fast = MedianMemory(size, muscles, 0.20, 0.60)
        # Distances from the median as it was then: a rest that moves does not look like one that scatters.
        scattered = max(size, round(settings.spread_s / tick_s))
        self._slow_spread = MedianMemory(scattered, muscles, 0.08, 0.35)
        self._fast_spread = MedianMemory(scattered, muscles, 0.20, 0.60)
        self.known: Mask = np.zeros(muscles, dtype=np.bool_)
        #: ln level of the usual contraction; minus infinity before the first.
        self.reference: Floats = np.full(muscles, -np.inf)
        self._hops = 0
        self._computed = 0
        zeros = np.zeros(muscles, dtype=np.int64)
        self._since_active = np.full(muscles, self._settle, dtype=np.int64)
        self._active = zeros.copy()
        self._low = zeros.copy()
        #: Values since one was learned, and since one was learned in a pause that was long enough.
        self._starved = zeros.copy()
        self._unsettled = zeros.copy()
        self.contracting: Mask = np.zeros(muscles, dtype=np.bool_)
        self._above = zeros.copy()
        self._below = zeros.copy()
        self._power: Floats = np.zeros(muscles)
        self._length = zeros.copy()
        self._nobody: Mask = np.zeros(muscles, dtype=np.bool_)
        self._nobody.setflags(write=False)
        self.began: Mask = self._nobody
        self.ended: Mask = self._nobody

    def hear(
        self, level: Floats, level_hop: Floats, usable: Mask, usable_hop: Mask, asked: Mask, inflate: Floats
    ) -> None:
        """Take in the levels of one hop.

        Parameters
        ----------
        level, level_hop
            ln(RMS) over 50 ms and over the hop.
        usable, usable_hop
            Where enough samples were valid to say so.
        asked
            Where voluntary effort is expected.
        inflate
            By how much fewer valid samples widen the spread.
        """
        settings = self._settings
        self._hops += 1
        margin = np.maximum(settings.active_sigmas * self.slow.sigma * inflate, self._log_active)
        active = usable & self.known & (level > self.slow.median + margin)
        self._since_active += 1
        anybody = np.count_nonzero(active) > 0
        if anybody or np.count_nonzero(self._active):
            self._since_active[active] = 0
            quiet = usable & ~active
            self._active[active & ~asked] += 1
            # A moment below the threshold does not make rest of it: it takes back a little of what has been counted.
            self._active[quiet] = np.maximum(self._active[quiet] - _TAKEN_BACK, 0)
            self._active[asked] = 0
        self._contract(level, usable, margin)
        if anybody and np.count_nonzero(stuck := self._active > self._watchdog):
            self._relearn(stuck)
        if self._hops % self._every == 0:
            self._learn(level, level_hop, usable & usable_hop, asked, inflate)

    def _learn(self, level: Floats, level_hop: Floats, usable: Mask, asked: Mask, inflate: Floats) -> None:
        settings = self._settings
        settled = self._since_active >= self._settle
        self._unsettled[usable] += 1
        self._unsettled[settled | asked | ~self.known] = 0
        # A rest that rose meanwhile is above the threshold now and then: it would never be learned.
        quiet = settled | ((self._unsettled > self._hasty) & (self._since_active > 0))
        fresh = usable & ((quiet & (~asked | (self.slow.count < self._firm))) | ~self.known)
        # Learned as if all samples had been valid: who compares with it widens it by the share that is.
        away, away_hop = (level - self.slow.median) / inflate, level_hop - self.fast.median
        self.slow.add(np.where(self.known, self.slow.median + away, level), fresh)
        self.fast.add(level_hop, fresh)
        self._slow_spread.add(away, fresh & self.known)
        self._fast_spread.add(away_hop, fresh & self.known)
        self._starved[usable] += 1
        self._starved[fresh | asked] = 0
        starving = self.known & (self._starved > self._starve)
        if np.count_nonzero(starving):
            self._relearn(starving)
        margin = np.maximum(settings.fall_sigmas * self.slow.sigma, self._log_fall)
        low = usable & self.known & (level < self.slow.median - margin)
        self._low[low] += 1
        self._low[usable & ~low] = 0
        fallen = self._low >= self._fall
        if np.count_nonzero(fallen):
            self._relearn(fallen)
            self._low[fallen] = 0
        waiting = ~self.known & (self.slow.count >= self._first)
        if np.count_nonzero(waiting) or self._hops - self._computed >= self._compute_every:
            self._computed = self._hops
            self.slow.compute()
            self.fast.compute()
            self._scatter(self.slow, self._slow_spread)
            self._scatter(self.fast, self._fast_spread)
            self.known |= waiting

    @staticmethod
    def _scatter(memory: MedianMemory, spread: MedianMemory) -> None:
        """Take the spread from the longer memory once there is more in it than in the shorter one."""
        spread.compute()
        longer = spread.count > np.minimum(memory.count, _SPREAD_FIRST)
        memory.sigma[longer] = spread.sigma[longer]

    def _relearn(self, where: Mask) -> None:
        self.slow.clear(where)
        self.fast.clear(where)
        self._slow_spread.clear(where)
        self._fast_spread.clear(where)
        self.known[where] = False
        self._active[where] = 0
        self._starved[where] = 0
        self._since_active[where] = self._settle
        self.contracting[where] = False
        self._above[where] = 0

    def _contract(self, level: Floats, usable: Mask, margin: Floats) -> None:
        threshold = np.maximum(self.slow.median + margin, self.reference + self._log_share)
        above = usable & self.known & (level > threshold)
        if not (np.count_nonzero(above) or np.count_nonzero(self.contracting)):
            self._above[usable] = 0
            self._below += usable
            self.began = self.ended = self._nobody
            return
        below = usable & ~above
        self._above[above] += 1
        self._above[below] = 0
        self._below[below] += 1
        self._below[above] = 0
        before = self.contracting
        self.contracting = self.known & np.where(before, self._below < self._end, self._above >= self._begin)
        self.began = self.contracting & ~before
        self.ended = before & ~self.contracting
        counted = self.contracting & above
        self._power[self.began] = 0.0
        self._length[self.began] = 0
        self._power[counted] += level[counted]
        self._length[counted] += 1
        if np.count_nonzero(self.ended):
            long = self.ended & (self._length * 1.0 >= 5 * self._begin)
            mean = self._power / np.maximum(self._length, 1)
            # Half way towards the newest, so that one odd contraction does not set the gate.
            known = np.isfinite(self.reference)
            self.reference[long & ~known] = mean[long & ~known]
            self.reference[long & known] += 0.5 * (mean - self.reference)[long & known]
