"""Raw blocks of one EMG source become hops: 10 ms of band-passed EMG, each sample known to be good or not.

While stimulation may flow, samples wait until the pulses among them are known; the spoilt stretch is bridged before
the filter, so that the artifact does not ring on in it, and left out of everything after it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from myoloop.controllers.signals.artifact import ArtifactSettings, SpoiltStretches, bridge, hold
from myoloop.controllers.signals.filters import BlockFilter, bandpass, notch
from myoloop.controllers.signals.snapshot import Restorable, StateError, freeze_array, thaw_array
from myoloop.platform.messages import Pulses, SampleDescriptor, Samples

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

HOP_S = 0.010
#: Room for samples that wait; a block longer than half of this is more than a loop can have missed.
ROOM_S = 4.0
MICROVOLTS = 1e6


class ConditioningSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How raw EMG is made ready.

    Attributes
    ----------
    low_hz, high_hz
        Band-pass, Butterworth of order 4; the upper end is lowered to 0.45 of the rate.
    notch
        ``off``, ``mains`` or ``harmonics`` (mains and its multiples).
    settle_ms
        How long after a gap, or after a whole block without a valid sample, the filter's output is not used.
    artifact
        What is left out around pulses.
    """

    low_hz: float = 20.0
    high_hz: float = 450.0
    notch: Literal["off", "mains", "harmonics"] = "mains"
    settle_ms: float = 100.0
    artifact: ArtifactSettings = ArtifactSettings()


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
    """

    t_ns: int
    samples: Floats
    good: Mask
    invalid: Floats
    blanked: bool
    lost_hops: int


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
        "_filter", "_spoilt", "_next_sample", "_epoch", "_settling", "_last", "_lost", "_primed", "_sync_on",
        "released_ns", "late_pulses",
    )  # fmt: skip

    def __init__(
        self,
        settings: ConditioningSettings,
        descriptor: SampleDescriptor,
        columns: tuple[int, ...],
        stimulated: bool,
    ) -> None:
        rate = descriptor.rate_hz
        _check(descriptor, columns)
        self.rate_hz = rate
        self.hop_samples = max(1, round(rate * HOP_S))
        self._columns = np.array(columns, dtype=np.intp)
        self._width = len(descriptor.channels)
        self._scale: Floats = np.array([descriptor.scale[c] for c in columns]) * MICROVOLTS
        self._offset: Floats = np.array([descriptor.offset[c] for c in columns]) * MICROVOLTS
        self._stimulated = stimulated
        self._wait_ns = round(settings.artifact.wait_ms * 1e6)
        self._settle_samples = round(settings.settle_ms * 1e-3 * rate)
        self._period_ns = 1e9 / rate
        self._sync = _sync_of(descriptor) if stimulated else None
        self._sync_level = settings.artifact.sync_level
        sos = bandpass(rate, settings.low_hz, settings.high_hz)
        if settings.notch != "off":
            mains = notch(rate, descriptor.mains_hz, settings.notch == "harmonics")
            sos = np.concatenate([sos, mains])
        channels = len(columns)
        self._filter = BlockFilter(sos, channels)
        self._spoilt = SpoiltStretches(settings.artifact)
        self._room = max(8 * self.hop_samples, round(ROOM_S * rate))
        self._raw: Floats = np.zeros((self._room, channels))
        self._bad: Mask = np.zeros((self._room, channels), dtype=np.bool_)
        self._times = np.zeros(self._room, dtype=np.int64)
        self._ages: dict[int, npt.NDArray[np.int64]] = {}
        self._rows = np.arange(self.hop_samples)[:, None]
        self._all_good: Mask = np.ones((self.hop_samples, channels), dtype=np.bool_)
        self._all_good.setflags(write=False)
        self._none: Floats = np.zeros(channels)
        self._none.setflags(write=False)
        self._start = 0
        self._end = 0
        self._next_sample: int | None = None
        self._epoch: int | None = None
        self._settling: npt.NDArray[np.int64] = np.zeros(channels, dtype=np.int64)
        self._last: Floats = np.zeros(channels)
        self._lost = 0
        self._primed = False
        self._sync_on = False
        #: Host time up to which samples have been released, None before the first.
        self.released_ns: int | None = None
        #: Pulses that were heard of after the samples they spoilt had been used.
        self.late_pulses = 0

    def state(self) -> dict[str, Any]:
        """What a restored object needs to go on bit for bit; of the samples only those that wait."""
        waiting = slice(self._start, self._end)
        rings = {name: freeze_array(getattr(self, name)[waiting]) for name in ("_raw", "_bad", "_times")}
        return {**super().state(), "waiting": rings}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over a saved state.

        Raises
        ------
        StateError
            If it is not the state of a conditioner with these channels.
        """
        rest = dict(state)
        waiting = rest.pop("waiting", None)
        super().restore(rest)
        count = waiting["_times"]["shape"][0] if isinstance(waiting, Mapping) else -1
        if not 0 <= count <= self._room:
            raise StateError("state of Conditioner: no samples that wait, or too many")
        self._start, self._end = 0, count
        for name, saved in waiting.items():
            ring = getattr(self, name)
            ring[:count] = thaw_array(saved, f"Conditioner.{name}", (count, *ring.shape[1:]), ring.dtype)

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
        if n > self._room // 2:
            hops += self._break(n - self._room // 2)
            array = array[-(self._room // 2) :]
        if self._end + n > self._room:
            hops += self._make_room(len(array))
        self._append(message, array, n)
        return hops

    def hear(self, message: Pulses) -> int:
        """Remember pulses; how many hops already released they had spoilt."""
        if not self._stimulated or self._sync is not None:
            return 0
        begin = self._spoilt.add(message.t_ns, message.uncertainty_ns)
        if begin is None or self.released_ns is None or begin > self.released_ns:
            return 0
        self.late_pulses += 1
        # What the pulse left in the filter is forgotten, and the time that takes is not used.
        self._settling[:] = self._settle_samples
        return int((self.released_ns - begin) / (self._period_ns * self.hop_samples)) + 1

    def release(self, now_ns: int, stimulating: bool) -> list[Hop]:
        """Hand over every whole hop that need not wait any longer."""
        until = now_ns - self._wait_ns if stimulating and self._stimulated else None
        hops = []
        size = self.hop_samples
        while self._end - self._start >= size:
            newest = int(self._times[self._start + size - 1])
            if until is not None and newest > until:
                break
            hops.append(self._hop(newest))
        return hops

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
            packed = np.frombuffer(message.invalid, dtype=np.uint8)
            mask = np.unpackbits(packed, count=n * self._width).reshape(n, self._width)
            bad[:] = mask[-kept:, self._columns]
        if not np.isfinite(raw.sum()):
            bad |= ~np.isfinite(raw)
            raw[bad] = 0.0
        if self._sync is not None:
            column, scale, offset = self._sync
            on = array[:, column] * scale + offset > self._sync_level
            rising = on & ~np.concatenate([[self._sync_on], on[:-1]])
            self._sync_on = bool(on[-1])
            if np.count_nonzero(rising):
                self._spoilt.add(self._times[rows][rising].tolist())
        self._end += kept

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
        runs: list[tuple[int, int]] = []
        if self._stimulated:
            self._spoilt.forget(int(self._times[start]))
            waiting = slice(start, self._end)
            runs = self._spoilt.runs(self._times[waiting])
            if runs and runs[0][0] < size:
                bridge(self._raw[waiting], self._bad[waiting], runs, size, self._last)
        if np.count_nonzero(bad):
            hold(raw, bad, self._last)
            good = ~bad
            self._settling[bad.all(axis=0)] = self._settle_samples + size
        if np.count_nonzero(self._settling):
            good = good & (self._rows >= self._settling)
            np.maximum(self._settling - size, 0, out=self._settling)
        invalid = self._none if good is self._all_good else size - good.sum(axis=0, dtype=np.float64)
        blanked = bool(runs) and runs[0][0] < size
        if blanked:
            good = good.copy()
            for low, high in runs:
                good[low:high] = False
        filtered = self._filter.process(raw)
        self._last[:] = raw[-1]
        lost, self._lost = self._lost, 0
        self._start = stop
        self.released_ns = newest_ns
        return Hop(newest_ns, filtered, good, invalid, blanked, lost)

    def _break(self, missing: int) -> list[Hop]:
        """Samples are missing: hand over what is whole, forget the rest, settle anew."""
        hops = []
        while self._end - self._start >= self.hop_samples:
            hops.append(self._hop(int(self._times[self._start + self.hop_samples - 1])))
        self._start = self._end = 0
        self._lost += missing // self.hop_samples + 1
        self._primed = False
        return hops

    def _make_room(self, n: int) -> list[Hop]:
        hops = []
        while self._end - self._start > self._room - n:
            hops.append(self._hop(int(self._times[self._start + self.hop_samples - 1])))
        waiting = self._end - self._start
        for ring in (self._raw, self._bad, self._times):
            ring[:waiting] = ring[self._start : self._end].copy()
        self._start, self._end = 0, waiting
        return hops


def _check(descriptor: SampleDescriptor, columns: tuple[int, ...]) -> None:
    if not columns:
        raise ValueError(f"{descriptor.topic}: no column is used")
    for column in columns:
        if not 0 <= column < len(descriptor.channels):
            raise ValueError(
                f"{descriptor.topic}: column {column} does not exist, it has {len(descriptor.channels)} channels"
            )
        if descriptor.units[column] != "V":
            name, unit = descriptor.channels[column], descriptor.units[column]
            raise ValueError(f"{descriptor.topic}: channel {name} is in {unit!r}, EMG must be in 'V'")


def _sync_of(descriptor: SampleDescriptor) -> tuple[int, float, float] | None:
    if descriptor.sync_channel is None:
        return None
    if descriptor.sync_channel not in descriptor.channels:
        raise ValueError(f"{descriptor.topic}: sync channel {descriptor.sync_channel!r} is not one of its channels")
    column = descriptor.channels.index(descriptor.sync_channel)
    return column, descriptor.scale[column], descriptor.offset[column]
