"""What makes a sample not to be trusted, judged per channel and block; pure.

Two answers per block, because they serve two readers. `invalid` says which samples an estimator must not use.
`valid_share` says whether the channel is alive, for the gate: a sample at the rail within `excused_ms` of a
stimulation pulse is invalid, but no sign of a bad stream (on a real recording of functional electrical stimulation
78 % of the 10 ms blocks hold a railed channel), so it does not count against the share.

What is judged: ``rail`` (at or beyond the amplifier's rails, or a plateau at the signal's own extreme), ``flat``
(no change for a while), ``mains`` (most of the power at the mains frequency, where there are no pulses),
``repeated`` (a block, or rows, that came before), ``gap`` (samples are missing before the block), ``rate`` (samples
come faster or slower than they should) and ``invalid`` (the source says so itself, or not a number).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt

from myoloop.acquisition.mains import MainsMeter
from myoloop.acquisition.rails import RailWatch
from myoloop.platform.messages import SampleDescriptor

_SECOND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class QualitySettings:
    """Where the lines are drawn.

    Attributes
    ----------
    excused_ms
        A rail this near a pulse is the stimulation's artifact (design section 3.5).
    flat_ms
        No change of a channel for this long is no signal. EMG only: a body at rest may well hold an
        accelerometer's last digit still, so other streams get `flat_other_ms`.
    mains_share
        Share of a second's power at the mains frequency from which the flag is raised.
    mains_bad_uv
        With the flag, r.m.s. from which the channel counts as bad: an electrode that has come off. Less than
        that is hum that a notch filter takes out.
    rate_tolerance
        Relative deviation of the measured from the nominal rate.
    repeated_memory
        How many blocks back a block is compared.
    sync_threshold
        Physical value of the trigger channel above which the trigger is on.
    """

    excused_ms: float = 30.0
    flat_ms: float = 100.0
    flat_other_ms: float = 2000.0
    mains_share: float = 0.8
    mains_bad_uv: float = 100.0
    rate_tolerance: float = 0.1
    repeated_memory: int = 100
    sync_threshold: float = 0.5


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is to be said of one block.

    Attributes
    ----------
    invalid
        (n_samples, n_channels), True where a sample must not be used; None where all are good.
    valid_share
        Per channel, 0 to 1: share of the samples due (missing ones included) that speak for a good channel.
    flags
        Per channel, comma-separated.
    rate_hz
        Samples that came per second, over the last second; None before there is enough to tell.
    missing
        Samples lost before this block.
    """

    invalid: npt.NDArray[np.bool_] | None
    valid_share: tuple[float, ...]
    flags: tuple[str, ...]
    rate_hz: float | None
    missing: int


class Quality:
    """The judge of one stream.

    Parameters
    ----------
    descriptor
        Of the stream.
    settings
        Where the lines are drawn.
    """

    def __init__(self, descriptor: SampleDescriptor, settings: QualitySettings | None = None) -> None:
        settings = settings or QualitySettings()
        self.settings = settings
        self._descriptor = descriptor
        self._channels = len(descriptor.channels)
        emg = descriptor.topic.startswith("emg/")
        flat_ms = settings.flat_ms if emg else settings.flat_other_ms
        self._flat_samples = max(2, round(descriptor.rate_hz * flat_ms / 1e3))
        self._sync = descriptor.channels.index(descriptor.sync_channel) if descriptor.sync_channel else None
        # a trigger or a counter may be constant, at its end, or the same again
        judged = np.array([unit != "1" for unit in descriptor.units])
        if self._sync is not None:
            judged[self._sync] = False
        self._judged = judged
        self._signals = None if judged.all() else np.flatnonzero(judged)
        self._rails = RailWatch(descriptor)
        self._mains = MainsMeter(descriptor, judged) if emg else None
        self._excused_ns = round(settings.excused_ms * 1e6)
        self._pulses_ns: deque[int] = deque(maxlen=4096)
        self._expected: int | None = None
        self._last_row: npt.NDArray[Any] | None = None
        self._unchanged = np.zeros(self._channels, np.int64)
        self._seen: dict[bytes, int] = {}
        self._arrivals: deque[tuple[int, int]] = deque()
        self._count = 0
        self._sync_high = False

    def see_pulses(self, times_ns: Iterable[int]) -> None:
        """Learn when current flowed: host time of leading edges, in any order, past or foretold."""
        self._pulses_ns.extend(times_ns)

    def rate_hz(self, now_ns: int) -> float | None:
        """Samples that came per second, as it looks at `now_ns`: falls while nothing comes."""
        return self._rate(now_ns)

    def judge(
        self,
        array: npt.NDArray[Any],
        first_sample: int,
        t_ns: int,
        source_invalid: npt.NDArray[np.bool_] | None = None,
    ) -> Judgement:
        """Judge a block, in the order of arrival.

        Parameters
        ----------
        array
            (n_samples, n_channels), raw, n_samples >= 1.
        first_sample, t_ns, source_invalid
            As in :class:`myoloop.acquisition.source.Block`.

        Raises
        ------
        ValueError
            If the block has not the descriptor's shape.
        """
        n, channels = array.shape if array.ndim == 2 else (0, 0)
        if n < 1 or channels != self._channels:
            raise ValueError(f"a block of shape {array.shape}, expected (samples, {self._channels})")
        again, missing = self._continuity(first_sample, n)
        self._count_arrival(n, t_ns)
        if self._sync is not None:
            self._read_sync(self._sync, array[:, self._sync], t_ns)

        own = self._known_bad(array, source_invalid)
        railed = self._rails.look(array) & self._judged
        if own is not None:
            railed &= ~own
        flat = self._flat(array)
        repeated = self._repeated(array)
        bad = own
        if flat is not None:
            bad = flat if bad is None else bad | flat
        if again or repeated:
            bad = np.zeros(array.shape, bool) if bad is None else bad.copy()
            bad[: n if repeated else again] |= self._judged
        any_rail = bool(railed.any())
        near = self._near_pulse(n, t_ns)
        hum = self._hum(array, near, missing > 0)

        flags = np.zeros((len(_FLAGS), channels), bool)
        flags[0] = railed.any(axis=0) if any_rail else False
        flags[1] = flat.any(axis=0) if flat is not None else False
        rate_hz = self._rate(t_ns)
        flags[3] = self._judged & (repeated or again > 0)
        flags[4] = missing > 0
        flags[5] = rate_hz is not None and self._off_rate(rate_hz)
        flags[6] = own.any(axis=0) if own is not None else False
        if hum is not None:
            flags[2], hum_bad = hum
            if hum_bad.any():
                bad = np.broadcast_to(hum_bad, array.shape) if bad is None else bad | hum_bad

        invalid = bad
        counted = bad
        if any_rail:
            invalid = railed if bad is None else bad | railed
            unexcused = railed if near is None else railed & ~near[:, None]
            counted = unexcused if bad is None else bad | unexcused
        due = n + missing
        lost = np.full(channels, missing) if counted is None else counted.sum(axis=0) + missing
        share = tuple((1.0 - lost / due).tolist())
        spoken = _NOTHING * channels if not flags.any() else _spoken(flags)
        return Judgement(invalid, share, spoken, rate_hz, missing)

    def _continuity(self, first_sample: int, n: int) -> tuple[int, int]:
        """Rows at the block's beginning that came before, and samples missing before it."""
        expected = first_sample if self._expected is None else self._expected
        self._expected = max(expected, first_sample + n)
        if first_sample < expected:
            return min(n, expected - first_sample), 0
        return 0, first_sample - expected

    def _count_arrival(self, n: int, t_ns: int) -> None:
        self._count += n
        arrivals = self._arrivals
        arrivals.append((t_ns, self._count))
        while len(arrivals) > 2 and arrivals[1][0] <= t_ns - _SECOND_NS:
            arrivals.popleft()

    def _rate(self, now_ns: int) -> float | None:
        if not self._arrivals:
            return None
        begin_ns, begin = self._arrivals[0]
        span = now_ns - begin_ns
        return (self._count - begin) * 1e9 / span if span >= 0.9 * _SECOND_NS else None

    def _off_rate(self, rate_hz: float) -> bool:
        nominal = self._descriptor.rate_hz
        return abs(rate_hz - nominal) > self.settings.rate_tolerance * nominal

    def _known_bad(
        self, array: npt.NDArray[Any], source_invalid: npt.NDArray[np.bool_] | None
    ) -> npt.NDArray[np.bool_] | None:
        own = source_invalid if source_invalid is not None and source_invalid.any() else None
        if array.dtype.kind == "f":
            odd = ~np.isfinite(array)
            if odd.any():
                own = odd if own is None else own | odd
        return own

    def _flat(self, array: npt.NDArray[Any]) -> npt.NDArray[np.bool_] | None:
        n = len(array)
        before = array[:1] if self._last_row is None else self._last_row
        changed = np.empty(array.shape, bool)
        np.not_equal(array[:1], before, out=changed[:1])
        np.not_equal(array[1:], array[:-1], out=changed[1:])
        self._last_row = array[-1:].copy()
        # rows since the last change, 0 where the newest row is itself a change
        still = changed[::-1].argmax(axis=0)
        self._unchanged = np.where(changed.any(axis=0), still, self._unchanged + n)
        flat = (self._unchanged >= self._flat_samples) & self._judged
        if not flat.any():
            return None
        rows: npt.NDArray[np.bool_] = flat & (np.arange(n)[:, None] >= n - self._unchanged)
        return rows

    def _repeated(self, array: npt.NDArray[Any]) -> bool:
        if self._signals is not None:
            array = array[:, self._signals]
        key = blake2b(array.tobytes(), digest_size=16).digest()
        # the newest memory is kept: pop and set again moves the key to the end of the dict
        known = self._seen.pop(key, None) is not None
        self._seen[key] = 1
        if len(self._seen) > self.settings.repeated_memory:
            del self._seen[next(iter(self._seen))]
        return known and _unlikely_by_chance(array)

    def _read_sync(self, channel: int, raw: npt.NDArray[Any], t_ns: int) -> None:
        scale, offset = self._descriptor.scale[channel], self._descriptor.offset[channel]
        high = raw * scale + offset > self.settings.sync_threshold
        if not high.any() or (self._sync_high and high.all()):
            self._sync_high = bool(high[-1])
            return
        rising = high.copy()
        rising[1:] &= ~high[:-1]
        rising[0] &= not self._sync_high
        self._sync_high = bool(high[-1])
        step_ns = 1e9 / self._descriptor.rate_hz
        last = len(raw) - 1
        self.see_pulses(t_ns - round((last - int(row)) * step_ns) for row in np.flatnonzero(rising))

    def _near_pulse(self, n: int, t_ns: int) -> npt.NDArray[np.bool_] | None:
        """Rows within the excused time of a pulse; None where there are none."""
        pulses = self._pulses_ns
        if not pulses:
            return None
        step_ns = 1e9 / self._descriptor.rate_hz
        begin_ns = t_ns - round((n - 1) * step_ns)
        excused = self._excused_ns
        while pulses and pulses[0] < begin_ns - excused:
            pulses.popleft()
        close = [p for p in pulses if begin_ns - excused <= p <= t_ns + excused]
        if not close:
            return None
        ages = (np.arange(n) - (n - 1)) * step_ns
        near = np.zeros(n, bool)
        for pulse_ns in close:
            near |= np.abs(ages - (pulse_ns - t_ns)) <= excused
        return near

    def _hum(
        self, array: npt.NDArray[Any], near: npt.NDArray[np.bool_] | None, broken: bool
    ) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]] | None:
        """Channels with the flag, and those so bad that they are not to be used."""
        if self._mains is None:
            return None
        if near is not None or broken:
            self._mains.forget()
            return None
        self._mains.add(array)
        if self._mains.share is None:
            return None
        flagged = self._mains.share >= self.settings.mains_share
        return flagged, flagged & (self._mains.rms_v * 1e6 >= self.settings.mains_bad_uv)


_FLAGS = ("rail", "flat", "mains", "repeated", "gap", "rate", "invalid")
_NOTHING = ("",)


def _spoken(flags: npt.NDArray[np.bool_]) -> tuple[str, ...]:
    return tuple(",".join(name for name, on in zip(_FLAGS, column, strict=True) if on) for column in flags.T)


def _unlikely_by_chance(array: npt.NDArray[Any]) -> bool:
    """Whether an equal block is no coincidence: it would take over 32 bits of noise to come out the same.

    A few samples of a quiet 12-bit channel, or an accelerometer at rest, are the same now and then.
    """
    bits = 0.0
    for column in array.T:
        levels = np.unique(column[np.isfinite(column)])
        if len(levels) > 1:
            step = float(np.diff(levels.astype(np.float64)).min())
            bits += len(column) * float(np.log2(1.0 + (float(levels[-1]) - float(levels[0])) / step))
    return bits > 32.0
