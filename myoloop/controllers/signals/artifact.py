"""What of the EMG around a stimulation pulse can be used, and what cannot.

Three kinds of samples are lost to a pulse: those within its blank (the stimulus itself), those at the amplifier's
rail and shortly behind them, and those where subtracting the mean answer leaves more than the EMG itself. They are
not evidence for anything; they are left out, not set to zero. Before the filter something else is put in their place.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from myoloop.controllers.signals.snapshot import Restorable

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_LONGEST_MS = 1000.0
#: Longer gaps are not filled by what EMG usually does; corners of its spectrum; white noise beside it, without which
#: the noise of an amplifier at rest would be made more of.
_KRIGED_S = 0.008
_LOW_HZ, _HIGH_HZ = 40.0, 100.0
_WHITE = 0.1


class ArtifactSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is left out around a pulse, what is subtracted, and how long the controller waits.

    Attributes
    ----------
    pulses_from
        Where pulse times come from: ``sync`` (the amplifier's trigger channel), ``host`` (the stimulator's messages),
        ``artifact`` (found in the EMG); ``auto`` is ``sync`` where there is such a channel, else ``host``.
    before_ms, after_ms
        From this long before a pulse to this long after it nothing is used.
    mwave_ms
        While no template is known the blank ends only here: an M-wave lasts to about 18 ms.
    template_ms
        How far behind a pulse the template reaches, at most to the next pulse.
    template_pulses
        The template is a mean with the memory of so many pulses.
    seed_pulses
        A template is used after so many pulses, and after as many more in which what it leaves was looked at.
    left_ratio
        What is left where must not be above so many times the power of the EMG between M-waves.
    jitter_ms
        Standard deviation of a pulse against its own clock.
    gap_ms
        After so long without a pulse a template is only a first guess.
    recovery_ms
        An amplifier that was at its rail is not believed for so long.
    flat_top
        Where rails are not known: three samples in a row alike, this near to the largest one seen, are one.
    onset_threshold
        ``artifact``: an onset is this many times sharper than the EMG usually is.
    refractory_ms
        ``artifact``: nothing is another pulse for so long.
    open_ms
        The end of a blank must be in hand to bridge it: while stimulation may flow samples wait for it up to so long.
    wait_ms
        Samples wait so long for news of pulses where neither a trigger channel nor a steady train tells of them.
    quiet_after_ms
        Stimulation may flow from the first request for current until this long after the last sign of it.
    sync_level
        Physical value of the sync channel above which the trigger is on.
    """

    pulses_from: Literal["auto", "sync", "host", "artifact"] = "auto"
    before_ms: float = 0.5
    after_ms: float = 3.0
    mwave_ms: float = 18.0
    template_ms: float = 30.0
    template_pulses: int = 40
    seed_pulses: int = 4
    left_ratio: float = 3.0
    jitter_ms: float = 0.1
    gap_ms: float = 500.0
    recovery_ms: float = 2.0
    flat_top: float = 0.97
    onset_threshold: float = 12.0
    refractory_ms: float = 10.0
    open_ms: float = 10.0
    wait_ms: float = 30.0
    quiet_after_ms: float = 300.0
    sync_level: float = 0.5

    def __post_init__(self) -> None:
        for name in (
            "before_ms", "after_ms", "mwave_ms", "template_ms", "jitter_ms", "gap_ms", "recovery_ms", "refractory_ms",
            "open_ms", "wait_ms", "quiet_after_ms",
        ):  # fmt: skip
            value = getattr(self, name)
            if not 0 <= value <= _LONGEST_MS:
                raise ValueError(f"artifact.{name} is {value}, allowed is 0 to {_LONGEST_MS:g} ms")
        for low, high in (("after_ms", "mwave_ms"), ("mwave_ms", "template_ms"), ("open_ms", "wait_ms")):
            if getattr(self, low) > getattr(self, high):
                raise ValueError(
                    f"artifact.{low} is {getattr(self, low):g}, allowed is at most {high}, {getattr(self, high):g} ms"
                )
        for name, least, most in (("template_pulses", 2, 1000), ("seed_pulses", 2, 100)):
            value = getattr(self, name)
            if not least <= value <= most:
                raise ValueError(f"artifact.{name} is {value}, allowed is {least} to {most}")
        if not self.left_ratio >= 1:
            raise ValueError(f"artifact.left_ratio is {self.left_ratio}, allowed is 1 and above")
        if not 0 < self.flat_top <= 1:
            raise ValueError(f"artifact.flat_top is {self.flat_top}, allowed is above 0 to 1")
        if not self.onset_threshold > 1:
            raise ValueError(f"artifact.onset_threshold is {self.onset_threshold}, allowed is above 1")

    def check_rate(self, channel: str, pulses_hz: float) -> None:
        """See that a pulse rate leaves something to hear.

        Raises
        ------
        ValueError
            If the blank is as long as the pulse interval, or the interval as long as what counts as a gap.
        """
        if not pulses_hz > 0:
            return
        interval_ms = 1000.0 / pulses_hz
        blank_ms = self.before_ms + self.after_ms
        if blank_ms >= interval_ms:
            raise ValueError(
                f"artifact.before_ms + after_ms is {blank_ms:g}, allowed is less than the pulse interval of "
                f"{channel}, {interval_ms:.4g} ms"
            )
        if self.gap_ms <= interval_ms:
            raise ValueError(
                f"artifact.gap_ms is {self.gap_ms:g}, allowed is more than the pulse interval of {channel}, "
                f"{interval_ms:.4g} ms"
            )


class Clipping(Restorable):
    """Marks samples at the amplifier's rail, and those behind them while it recovers.

    Parameters
    ----------
    low, high
        The rails in the unit of the samples, per channel; None where unknown: then flat tops are looked for.
    recovery_rows
        How long it recovers.
    flat_top
        How near to the largest value seen a flat top must lie.
    """

    _kept: ClassVar[tuple[str, ...]] = ("_since", "_tail", "_largest")

    def __init__(
        self, low: Floats | None, high: Floats | None, channels: int, recovery_rows: int, flat_top: float
    ) -> None:
        self._low, self._high = low, high
        #: Between these no channel is at its rail.
        self._free = (-np.inf, np.inf) if low is None or high is None else (float(low.max()), float(high.min()))
        self._recovery = recovery_rows
        self._flat = flat_top
        #: Rows since the last clipped one.
        self._since = np.full(channels, recovery_rows + 1, dtype=np.int64)
        self._tail: Floats = np.zeros((2, channels))
        self._largest: Floats = np.zeros(channels)

    def skip(self) -> None:
        """Samples were left out: nothing is known of those just before the next."""
        self._since[:] = self._recovery + 1
        self._tail[:] = 0.0

    def mark(self, samples: Floats, bad: Mask) -> None:
        """Add to `bad` (n, channels) what is clipped in `samples` and what is not believed behind it."""
        clipped = self._clipped(samples)
        if clipped is None:
            if not np.count_nonzero(self._since <= self._recovery):
                return
            clipped = np.zeros(samples.shape, dtype=np.bool_)
        rows = np.arange(len(samples))[:, None]
        last = np.where(clipped, rows, -1 - self._since)
        np.maximum.accumulate(last, axis=0, out=last)
        behind = rows - last
        bad |= behind <= self._recovery
        self._since[:] = np.minimum(len(samples) - 1 - last[-1], self._recovery + 1)

    def _clipped(self, samples: Floats) -> Mask | None:
        if self._low is not None and self._high is not None:
            low, high = self._free
            if low < np.minimum.reduce(samples, axis=None) and np.maximum.reduce(samples, axis=None) < high:
                return None
            clipped: Mask = (samples <= self._low) | (samples >= self._high)
            return clipped if np.count_nonzero(clipped) else None
        return self._flat_tops(samples)

    def _flat_tops(self, samples: Floats) -> Mask | None:
        size = np.maximum.reduce(np.abs(samples), axis=0)
        largest = np.maximum(self._largest, size, out=self._largest)
        whole = np.concatenate([self._tail, samples])
        self._tail[:] = whole[-2:]
        if not np.count_nonzero(size >= self._flat * largest):
            return None
        high = (np.abs(whole) >= self._flat * largest) & (largest > 0)
        three = high[:-2] & high[1:-1] & high[2:]
        if not np.count_nonzero(three):
            return None
        marked = np.zeros(whole.shape, dtype=np.bool_)
        for shift in range(3):
            marked[shift : shift + len(three)] |= three
        return marked[2:]


class Bridge:
    """Puts something in the place of samples that are missing, so that the filter behind does not ring.

    What covers a short gap is the mean of what EMG with a usual spectrum can do there, given the samples on both sides
    (ordinary kriging: ``K_go inv(K_oo) x_o``, weights of sum 1). Over a long one it is a straight line. Either way it
    is never evidence.

    Parameters
    ----------
    rate_hz
        Of the samples.
    """

    #: Samples on each side that are looked at.
    REACH = 8

    def __init__(self, rate_hz: float) -> None:
        self._longest = round(_KRIGED_S * rate_hz)
        lag_s = np.arange(self._longest + 2 * self.REACH) / rate_hz
        f = np.arange(0.5, 0.5 * rate_hz)
        # Stulen and De Luca's spectrum; its corners are low, so that no more is claimed than slow EMG allows.
        power = f**2 / ((f**2 + _LOW_HZ**2) * (f**2 + _HIGH_HZ**2) ** 2)
        self._covariance: Floats = np.cos(2 * np.pi * np.outer(lag_s, f)) @ (power / power.sum())
        self._covariance[0] += _WHITE
        self._weights: dict[tuple[int, int], Floats] = {}

    def fill(self, samples: Floats, missing: Mask, before: Floats) -> None:
        """Fill what is missing of each channel, in place.

        Parameters
        ----------
        samples, missing
            (n, channels).
        before
            (REACH, channels), the rows before the first, filled already.
        """
        n = len(samples)
        whole = np.concatenate([before, samples])
        # Bytes are searched and compared in a tenth of the time that arrays of this size take.
        packed = missing.T.tobytes()
        groups: dict[bytes, list[int]] = {}
        for channel in range(missing.shape[1]):
            groups.setdefault(packed[channel * n : (channel + 1) * n], []).append(channel)
        for key, channels in groups.items():
            columns: Any = slice(None) if len(groups) == 1 else channels
            low = key.find(1)
            while low >= 0:
                high = _found(key, 0, low)
                following = _found(key, 1, high)
                self._fill_one(whole, columns, low, high, min(following - high, self.REACH))
                low = following if following < n else -1
        samples[:] = whole[self.REACH :]

    def _fill_one(self, whole: Floats, columns: Any, low: int, high: int, behind: int) -> None:
        reach, gap = self.REACH, high - low
        rows = slice(low + reach, high + reach)
        x = whole[low : high + reach + behind, columns]
        start = x[reach - 1]
        if behind == 0:
            whole[rows, columns] = start
        elif gap > self._longest:
            stop = x[gap + reach]
            whole[rows, columns] = start + (stop - start) * (np.arange(1, gap + 1) / (gap + 1))[:, None]
        else:
            weights = self._weights.get((gap, behind))
            if weights is None:
                weights = self._weights[gap, behind] = self._kriging(gap, behind)
            whole[rows, columns] = weights @ np.concatenate([x[:reach], x[gap + reach :]])

    def _kriging(self, gap: int, behind: int) -> Floats:
        at = np.concatenate([np.arange(-self.REACH, 0), np.arange(gap, gap + behind)])
        between = self._covariance[np.abs(at[:, None] - at)]
        across = self._covariance[np.abs(np.arange(gap)[:, None] - at)]
        made: Floats = np.linalg.solve(between, across.T).T
        # Whatever the level, it is kept (ordinary kriging).
        level = np.linalg.solve(between, np.ones(len(at)))
        made += (1.0 - made.sum(axis=1))[:, None] * (level / level.sum())
        return made


def _found(key: bytes, value: int, begin: int) -> int:
    """Where a value is next from `begin` on; the end where it is not."""
    at = key.find(value, begin)
    return len(key) if at < 0 else at


def as_mask(packed: bytes, rows: int, width: int) -> Mask:
    """The mask (rows, width) that a block's packed bits say."""
    bits = np.unpackbits(np.frombuffer(packed, dtype=np.uint8), count=rows * width)
    return bits.reshape(rows, width).astype(np.bool_)
