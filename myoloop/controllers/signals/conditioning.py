"""Raw blocks of one EMG source become hops: 10 ms of band-passed EMG, each sample known to be good or not.

What pulses leave in the EMG is subtracted, or bridged where it cannot be, before the filter, so that nothing of it
rings on; samples that are no evidence are marked. While stimulation may flow a hop waits until the end of a blank
that lies over its own end is in hand, and for news of pulses where neither a trigger channel nor the steady train
tells of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from myoloop.controllers.estimators.estimator import Evoked
from myoloop.controllers.signals.artifact import Bridge, Clipping, as_mask
from myoloop.controllers.signals.conditioning_settings import ConditioningSettings
from myoloop.controllers.signals.filters import BlockFilter, bandpass, notch
from myoloop.controllers.signals.snapshot import Restorable, StateError, freeze_array, thaw_array
from myoloop.controllers.signals.source import MICROVOLTS, check, rails_of
from myoloop.controllers.signals.stimuli import Stimuli
from myoloop.controllers.signals.subtraction import JOINT, Frame, Rows, Subtraction
from myoloop.platform.messages import Pulses, SampleDescriptor, Samples

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

HOP_S = 0.010
#: Room for samples that wait; a block longer than half of this is more than a loop can have missed.
ROOM_S = 4.0
#: No pulse keeps an amplifier at its rail for so many hops on end.
PULSE_HOPS = 5


@dataclass(slots=True)
class Hop:
    """Ten milliseconds of conditioned EMG.

    Attributes
    ----------
    t_ns
        Host time of its newest sample.
    samples
        (hop_samples, channels) in µV.
    good
        Which of them may be used.
    invalid
        Per channel, how many may not be used for another reason than a pulse.
    blanked
        Whether a pulse spoilt any of them.
    lost_hops
        How many hops before it were lost, 0 in a stream without gaps.
    evoked
        What stands behind each pulse whose frame ended in it.
    """

    t_ns: int
    samples: Floats
    good: Mask
    invalid: Floats
    blanked: bool
    lost_hops: int
    evoked: Sequence[Evoked] = ()


class Conditioner(Restorable):
    """The front of the controller for one EMG source.

    Parameters
    ----------
    settings
        Bands and artifact handling.
    descriptor
        What the source says of itself.
    columns
        Which columns of its array are used, in the order of the muscles.
    stimulated
        Whether the source sits on the person who is stimulated.

    Raises
    ------
    ValueError
        If the rate leaves no band, a column does not exist, or a unit is not volts.
    """

    _kept: ClassVar[tuple[str, ...]] = (
        "_filter", "_subtraction", "_stimuli", "_clipping", "_next_sample", "_epoch", "_settling", "_last", "_lost",
        "_primed", "_origin", "_whole_hops", "released_ns", "late_pulses",
    )  # fmt: skip

    def __init__(
        self,
        settings: ConditioningSettings,
        descriptor: SampleDescriptor,
        columns: tuple[int, ...],
        stimulated: bool,
    ) -> None:
        rate = descriptor.rate_hz
        check(descriptor, columns)
        self.rate_hz = rate
        self.hop_samples = max(1, round(rate * HOP_S))
        # Columns side by side are taken as a view.
        side_by_side = columns == tuple(range(columns[0], columns[0] + len(columns)))
        self._columns: Any = slice(columns[0], columns[-1] + 1) if side_by_side else np.array(columns, dtype=np.intp)
        self._width = len(descriptor.channels)
        self._scale: Floats = np.array([descriptor.scale[c] for c in columns]) * MICROVOLTS
        self._offset: Floats = np.array([descriptor.offset[c] for c in columns]) * MICROVOLTS
        self._stimulated = stimulated
        artifact = settings.artifact
        self._news_ns = round(artifact.wait_ms * 1e6)
        self._open_ns = round(artifact.open_ms * 1e6)
        self._settle_samples = round(settings.settle_ms * 1e-3 * rate)
        self._period_ns = 1e9 / rate
        sos = bandpass(rate, settings.low_hz, settings.high_hz)
        if settings.notch != "off":
            mains = notch(rate, descriptor.mains_hz, settings.notch == "harmonics")
            sos = np.concatenate([sos, mains])
        channels = len(columns)
        self._filter = BlockFilter(sos, channels)
        self._subtraction = Subtraction(artifact, rate, channels)
        self._stimuli = Stimuli(artifact, descriptor, channels, stimulated, self._subtraction)
        low, high = rails_of(descriptor, columns)
        recovery = round(artifact.recovery_ms * 1e-3 * rate)
        self._clipping = Clipping(low, high, channels, recovery, artifact.flat_top)
        self._ahead = math.ceil(max(artifact.open_ms, artifact.after_ms) * 1e-3 * rate)
        self._history = self._subtraction.history
        room = max(8 * self.hop_samples, round(ROOM_S * rate))
        self._longest = room // 2
        self._room = room + self._history
        self._raw: Floats = np.zeros((self._room, channels))
        self._bad: Mask = np.zeros((self._room, channels), dtype=np.bool_)
        self._cleaned: Floats = np.zeros((self._room, channels))
        self._times = np.zeros(self._room, dtype=np.int64)
        self._ages: dict[int, npt.NDArray[np.int64]] = {}
        self._rows = np.arange(self.hop_samples)[:, None]
        self._all_good: Mask = np.ones((self.hop_samples, channels), dtype=np.bool_)
        self._all_good.setflags(write=False)
        self._none: Floats = np.zeros(channels)
        self._none.setflags(write=False)
        self._start = 0
        self._end = 0
        #: Up to where clipped samples have been looked for.
        self._looked = 0
        #: Row of the stream that entry 0 of the rings is.
        self._origin = 0
        self._next_sample: int | None = None
        self._epoch: int | None = None
        self._settling: npt.NDArray[np.int64] = np.zeros(channels, dtype=np.int64)
        #: Hops in a row of which no sample of a channel was valid.
        self._whole_hops: npt.NDArray[np.int64] = np.zeros(channels, dtype=np.int64)
        #: The newest rows that went into the filter.
        self._last: Floats = np.zeros((Bridge.REACH, channels))
        self._bridge = Bridge(rate)
        self._lost = 0
        self._primed = False
        #: Host time up to which samples have been released, None before the first.
        self.released_ns: int | None = None
        #: Pulses that were heard of after the samples they spoilt had been used.
        self.late_pulses = 0

    def state(self) -> dict[str, Any]:
        """What a restored object needs to go on bit for bit; of the samples only those that are still looked at."""
        first = max(0, self._start - self._history)
        kept = slice(first, self._end)
        rings = {name: freeze_array(getattr(self, name)[kept]) for name in _RINGS}
        return {
            **super().state(), "waiting": rings, "behind": self._start - first, "first": self._origin + first,
            "looked": max(0, self._looked - first),
        }  # fmt: skip

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over a saved state.

        Raises
        ------
        StateError
            If it is not the state of a conditioner with these channels.
        """
        rest = dict(state)
        waiting, behind, first = rest.pop("waiting", None), rest.pop("behind", 0), rest.pop("first", 0)
        looked = rest.pop("looked", 0)
        super().restore(rest)
        count = waiting["_times"]["shape"][0] if isinstance(waiting, Mapping) else -1
        if not 0 <= behind <= count <= self._room:
            raise StateError("state of Conditioner: no samples that wait, or too many")
        self._start, self._end, self._origin, self._looked = behind, count, first, looked
        for name in _RINGS:
            ring = getattr(self, name)
            ring[:count] = thaw_array(waiting[name], f"Conditioner.{name}", (count, *ring.shape[1:]), ring.dtype)

    def add(self, message: Samples, array: npt.NDArray[Any], epoch: int) -> list[Hop]:
        """Take in a block; hops come back only where a gap ends what was waiting."""
        n = len(array)
        hops: list[Hop] = []
        if n == 0:
            return hops
        expected = self._next_sample
        if expected is not None and (epoch != self._epoch or message.first_sample != expected):
            hops = self._break(max(0, message.first_sample - expected) if epoch == self._epoch else 0)
        self._epoch = epoch
        self._next_sample = message.first_sample + n
        if n > self._longest:
            hops += self._break(n - self._longest)
            array = array[-self._longest :]
        if self._end + n > self._room:
            hops += self._make_room(len(array))
        self._append(message, array, n)
        return hops

    def hear(self, message: Pulses) -> int:
        """Remember pulses; how many hops already released they had spoilt."""
        if not self._stimulated or not message.t_ns:
            return 0
        rows = Rows(self._origin, self._raw[: self._end], self._bad[: self._end], self._cleaned)
        earliest = math.inf
        for time_ns in message.t_ns:
            row = self._row_of(time_ns)
            earliest = min(earliest, self._stimuli.hear(message, row, rows, self._origin + self._start))
        if self.released_ns is None or not earliest < (start := self._origin + self._start):
            return 0
        self.late_pulses += 1
        # What the pulse left in the filter is forgotten, and the time that takes is not used.
        self._settling[:] = self._settle_samples
        return int((start - earliest) / self.hop_samples) + 1

    def hear_currents(self, current_ma: Mapping[str, float]) -> None:
        """Hear what the stimulator gives on each channel: news of the pulses themselves comes later."""
        if self._stimulated:
            self._stimuli.hear_currents(current_ma)

    def freeze(self, involuntary: Mask) -> None:
        """Hear where involuntary activity is on: nothing is learned of the answer to pulses meanwhile."""
        if self._stimulated:
            self._subtraction.frozen[:] = involuntary

    def release(self, now_ns: int, stimulating: bool) -> list[Hop]:
        """Hand over every whole hop that need not wait any longer."""
        hops: list[Hop] = []
        size = self.hop_samples
        if self._end - self._start < size:
            return hops
        waits = stimulating and self._stimulated
        until = now_ns
        if self._subtraction.pulses:
            self._mark_clipped()
        if waits and not self._stimuli.foretell(self._origin + self._end):
            until = now_ns - self._news_ns
        while self._end - self._start >= size:
            newest = int(self._times[self._start + size - 1])
            if waits and (newest > until or (now_ns - newest < self._open_ns and self._is_open(size))):
                break
            hops.append(self._hop(newest))
        return hops

    def _is_open(self, size: int) -> bool:
        """Whether what lies over the end of the next hop cannot be bridged yet."""
        last = self._start + size - 1
        row, end = self._origin + last, self._origin + self._end
        if self._subtraction.open_until(row) >= end:
            return True
        if self._stimuli.due(end, row):
            return True
        if not self._subtraction.pulses or not np.count_nonzero(self._bad[last]):
            return False
        return bool(self._bad[last : self._end].all(axis=0).any())

    def _append(self, message: Samples, array: npt.NDArray[Any], n: int) -> None:
        kept = len(array)
        rows = slice(self._end, self._end + kept)
        raw = self._raw[rows]
        np.multiply(array[:, self._columns], self._scale, out=raw)
        raw += self._offset
        self._times[rows] = message.t_ns - self._age(kept)
        bad = self._bad[rows]
        bad[:] = False
        if message.invalid:
            bad[:] = as_mask(message.invalid, n, self._width)[-kept:, self._columns]
        if not math.isfinite(np.add.reduce(raw, axis=None)):
            bad |= ~np.isfinite(raw)
            raw[bad] = 0.0
        first = self._origin + self._end
        self._end += kept
        if self._stimulated:
            self._stimuli.see(raw, array, first)

    def _row_of(self, time_ns: int) -> float:
        """Row of the stream at a host time, with its fraction."""
        if not self._end:
            return float(self._origin)
        times = self._times[: self._end]
        at = min(int(times.searchsorted(time_ns)), self._end - 1)
        return self._origin + at - (int(times[at]) - time_ns) / self._period_ns

    def _age(self, n: int) -> npt.NDArray[np.int64]:
        age = self._ages.get(n)
        if age is None:
            if len(self._ages) >= 64:
                self._ages.clear()
            age = self._ages[n] = np.round(np.arange(n - 1, -1, -1) * self._period_ns).astype(np.int64)
        return age

    def _hop(self, newest_ns: int) -> Hop:
        size, start = self.hop_samples, self._start
        stop = start + size
        raw = self._raw[start:stop]
        bad = self._bad[start:stop]
        good = self._all_good
        if not self._primed:
            self._filter.settle(raw[0])
            self._last[:] = raw[0]
            self._settling[:] = np.maximum(self._settling, self._settle_samples)
            self._primed = True
        invalid = self._none
        blanked = False
        rows: Rows | None = None
        if self._subtraction.pulses:
            rows = Rows(self._origin, self._raw[: self._end], self._bad[: self._end], self._cleaned)
            self._mark_clipped()
            n = min(size + self._ahead, self._end - start)
            x, missing, unused = self._subtraction.clean(rows, self._origin + start, size, n)
            if np.count_nonzero(missing):
                self._bridge.fill(x, missing, self._last)
            raw = x[:size]
            spoilt = unused[:size]
            if np.count_nonzero(spoilt):
                blanked = True
                good = ~spoilt
            if np.count_nonzero(bad):
                # What is clipped behind a pulse is the pulse's, unless it never ends: then the electrode is off.
                whole = bad.all(axis=0)
                self._whole_hops = np.where(whole, self._whole_hops + 1, 0)
                behind = self._subtraction.behind(self._origin + start, size)
                invalid = (bad & ~behind[:, None]).sum(axis=0, dtype=np.float64)
                invalid[self._whole_hops > PULSE_HOPS] = size
                self._settling[whole & (invalid >= size)] = self._settle_samples + size
            elif np.count_nonzero(self._whole_hops):
                self._whole_hops[:] = 0
        elif np.count_nonzero(bad):
            n = min(size + self._ahead, self._end - start)
            x, missing = self._raw[start : start + n].copy(), self._bad[start : start + n]
            self._bridge.fill(x, missing, self._last)
            raw = x[:size]
            good = ~bad
            invalid = bad.sum(axis=0, dtype=np.float64)
            whole = bad.all(axis=0)
            self._whole_hops = np.where(whole, self._whole_hops + 1, 0)
            self._settling[whole] = self._settle_samples + size
        if np.count_nonzero(self._settling):
            settled = self._rows >= self._settling
            good = good & settled
            invalid = np.maximum(invalid, size - settled.sum(axis=0, dtype=np.float64))
            np.maximum(self._settling - size, 0, out=self._settling)
        filtered = self._filter.process(raw)
        self._last[:] = raw[-Bridge.REACH :] if size >= Bridge.REACH else np.concatenate([self._last, raw])[size:]
        lost, self._lost = self._lost, 0
        self._start = stop
        self.released_ns = newest_ns
        evoked: Sequence[Evoked] = ()
        if rows is not None:
            done = self._subtraction.finish(rows, self._origin + stop)
            evoked = [each for frame in done for each in self._evoked(frame)]
        return Hop(newest_ns, filtered, good, invalid, blanked, lost, evoked)

    def _mark_clipped(self) -> None:
        """Look for the rail in rows near pulses; elsewhere what the source says of its samples is enough."""
        begin = max(self._looked, self._start)
        if begin < self._end:
            if begin > self._looked:
                self._clipping.skip()
            self._clipping.mark(self._raw[begin : self._end], self._bad[begin : self._end])
            self._looked = self._end

    def _evoked(self, frame: Frame) -> list[Evoked]:
        """A frame as each of the channels evoked it that gave its pulse."""
        rows = np.arange(len(frame.raw), dtype=np.float64)
        since_ms: Floats = (rows + (frame.begin - frame.row)) * (self._period_ns * 1e-6)
        whole = min(max(int(frame.row) - self._origin, 0), self._end - 1)
        t_ns = int(self._times[whole]) + round((frame.row - self._origin - whole) * self._period_ns)
        names = [""] if frame.channel.startswith("~") else frame.channel.split(JOINT)
        return [Evoked(t_ns, name, since_ms, frame.raw, frame.good) for name in names]

    def _break(self, missing: int) -> list[Hop]:
        """Samples are missing: hand over what is whole, forget the rest, settle anew."""
        hops = []
        while self._end - self._start >= self.hop_samples:
            hops.append(self._hop(int(self._times[self._start + self.hop_samples - 1])))
        self._origin += self._end
        self._start = self._end = self._looked = 0
        self._lost += missing // self.hop_samples + 1
        self._primed = False
        self._subtraction.forget()
        self._stimuli.forget()
        return hops

    def _make_room(self, n: int) -> list[Hop]:
        hops = []
        while self._end - self._start + self._history > self._room - n and self._end - self._start >= self.hop_samples:
            hops.append(self._hop(int(self._times[self._start + self.hop_samples - 1])))
        first = max(0, self._start - self._history)
        kept = self._end - first
        for ring in (self._raw, self._bad, self._cleaned, self._times):
            ring[:kept] = ring[first : self._end].copy()
        self._origin += first
        self._looked = max(0, self._looked - first)
        self._start, self._end = self._start - first, kept
        return hops


_RINGS = ("_raw", "_bad", "_cleaned", "_times")
