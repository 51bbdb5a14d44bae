"""Co-contraction: how much an agonist and its antagonist are active at the same time.

Falconer and Winter's index over a sliding window, 2 * sum(min(a, b)) / sum(a + b), is 1 where both are equally active
and 0 where only one is; a and b are levels freed of rest by power and divided by each muscle's own reference, since
microvolts of two muscles mean nothing beside one another. Rudolph's index weighs the same overlap by how strong it is,
and the overflow index compares muscles outside a task with the one that does it (pure functions here).

Two electrodes that hear the same muscle look like perfect co-contraction. Where the two signals are copies of one
another within a few milliseconds, the index is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from myoloop.controllers.estimators.estimator import Heard, Setup, Situation
from myoloop.controllers.signals.snapshot import Restorable
from myoloop.platform.messages import Measure

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

#: A value every 50 ms; which muscle is the lower one is told from five of them about each.
_EVERY = 5
_AROUND = 5
#: Hops from one look for cross-talk to the next.
_COMPARED = 100
#: Share of the window's values that must be usable.
_FULL = 0.8
_SHARE_MIN = 0.15
#: Fewer samples that are good on both channels correlate by chance.
_SAMPLES_MIN = 400

_NO_PAIR = Measure(reason="no pair is named")
_SILENT = Measure(reason="no EMG")
_REASONS = (
    "the level at rest is not known yet",
    "no contraction yet to compare with",
    "too few valid samples in the window",
    "neither muscle of the pair is active",
)
VALID, NO_REST, NO_REFERENCE, FEW, QUIET, COPIES = range(6)


def falconer_winter(agonist: npt.ArrayLike, antagonist: npt.ArrayLike) -> float:
    """Share of the activity that is common, 0 to 1 (Falconer and Winter 1985).

    Parameters
    ----------
    agonist, antagonist
        (n,) envelopes, freed of rest and normalised, from 0.

    Raises
    ------
    ValueError
        If they are not as long as each other, are negative or not finite, or nothing is active.
    """
    a, b = _envelopes(agonist, antagonist)
    total = float(np.add.reduce(a + b))
    if total <= 0:
        raise ValueError("neither envelope is above 0: there is nothing to share")
    return float(2.0 * np.add.reduce(np.minimum(a, b)) / total)


def rudolph(agonist: npt.ArrayLike, antagonist: npt.ArrayLike) -> float:
    """Mean of (lower / higher) * (lower + higher) (Rudolph et al. 2000): 0 to 2 for envelopes of 0 to 1.

    Parameters
    ----------
    agonist, antagonist
        (n,) envelopes, freed of rest and normalised, from 0.

    Raises
    ------
    ValueError
        If they are not as long as each other, or are negative or not finite.
    """
    a, b = _envelopes(agonist, antagonist)
    low, high = np.minimum(a, b), np.maximum(a, b)
    ratio = np.divide(low, high, out=np.zeros_like(low), where=high > 0)
    return float(np.mean(ratio * (low + high)))


def overflow(task_uv: float, others_uv: npt.ArrayLike) -> Floats:
    """Activity of muscles that have no part in a task, relative to the one that does it.

    Parameters
    ----------
    task_uv
        RMS of the task muscle over the task, freed of rest.
    others_uv
        (n,) the same of the others.

    Raises
    ------
    ValueError
        If a level is negative or not finite, or the task muscle is silent.
    """
    others = np.asarray(others_uv, dtype=np.float64)
    if not task_uv > 0 or not np.isfinite(task_uv):
        raise ValueError(f"task_uv is {task_uv:g}, allowed is above 0")
    if others.size and not (np.isfinite(others).all() and others.min() >= 0):
        raise ValueError("others_uv has a value that is negative or not finite")
    return others / task_uv


def likeness(one: Floats, other: Floats, good: Mask, lag_max: int) -> float:
    """Largest correlation of two signals over lags of up to `lag_max` samples either way, 0 to 1; 0 where unknown.

    Parameters
    ----------
    one, other
        (n,) band-passed samples.
    good
        (n,) where both may be used; the others count as zero.
    """
    if np.count_nonzero(good) < min(_SAMPLES_MIN, max(1, len(good) // 2)):
        return 0.0
    x, y = np.where(good, one, 0.0), np.where(good, other, 0.0)
    power = float(x @ x) * float(y @ y)
    if not power > 0:
        return 0.0
    n, m = len(x), lag_max
    # Correlation at every lag as one product: rows of `windows` are `other`, shifted.
    padded = np.concatenate([np.zeros(m), y, np.zeros(m)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, n)
    return float(np.abs(windows @ x).max() / np.sqrt(power))


def _envelopes(agonist: npt.ArrayLike, antagonist: npt.ArrayLike) -> tuple[Floats, Floats]:
    a, b = np.asarray(agonist, dtype=np.float64), np.asarray(antagonist, dtype=np.float64)
    if a.ndim != 1 or a.shape != b.shape or not a.size:
        raise ValueError(f"envelopes of shapes {a.shape} and {b.shape}: both must be (n,), n above 0")
    both = np.concatenate([a, b])
    if not np.isfinite(both).all() or both.min() < 0:
        raise ValueError("an envelope has a value that is negative or not finite")
    return a, b


@dataclass(frozen=True, slots=True, kw_only=True)
class CocontractionSettings:
    """Which muscles work against each other.

    Attributes
    ----------
    pairs
        (agonist, antagonist), both on one EMG source; pairs on other sources are passed over.
    window_s
        The index is taken over the newest so much.
    reference_uv
        RMS that counts as 1, per muscle, best from a maximal voluntary contraction; what is not named is the
        strongest contraction of this session so far.
    active_min
        The stronger of the two must be above this share of its reference on average, or there is nothing to say.
    shortest_s
        A shorter contraction is no reference.
    copy_r, copy_lag_ms
        Channels that correlate so much within such a lag hear one muscle.
    silent_ms
        Without EMG for so long nothing is known.

    Raises
    ------
    ValueError
        If a value is out of its range, or a muscle is in two pairs.
    """

    pairs: tuple[tuple[str, str], ...] = ()
    window_s: float = 1.0
    reference_uv: dict[str, float] = field(default_factory=dict)
    active_min: float = 0.05
    shortest_s: float = 0.5
    copy_r: float = 0.7
    copy_lag_ms: float = 5.0
    silent_ms: float = 150.0

    def __post_init__(self) -> None:
        names = [name for pair in self.pairs for name in pair]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"pairs: {', '.join(twice)} named more than once, a muscle belongs to one pair")
        ranges = {
            "window_s": (0.25, 60.0), "active_min": (0.0, 1.0), "shortest_s": (0.1, 60.0), "copy_r": (0.1, 1.0),
            "copy_lag_ms": (0.0, 20.0), "silent_ms": (20.0, 10_000.0),
        }  # fmt: skip
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"{name} is {value:g}, allowed is {low:g} to {high:g}")
        for muscle, value in self.reference_uv.items():
            if not 0 < value < float("inf"):
                raise ValueError(f"reference_uv of {muscle} is {value:g}, allowed is above 0")


class Cocontraction(Restorable):
    """Falconer and Winter's index of each named pair, told for both of its muscles."""

    Settings = CocontractionSettings

    _kept: ClassVar[tuple[str, ...]] = (
        "_reference", "_power", "_hops", "_values", "_usable", "_ticks", "_likeness", "_codes", "_index", "_heard_ns",
    )  # fmt: skip

    def __init__(self, settings: CocontractionSettings, setup: Setup) -> None:
        self._settings = settings
        place = {name: number for number, name in enumerate(setup.muscles)}
        self._pairs = _places(settings.pairs, place)
        self._muscles = len(setup.muscles)
        self._silent_ns = round(settings.silent_ms * 1e6)
        self._shortest = round(settings.shortest_s / setup.hop_s)
        self._lag = round(settings.copy_lag_ms * 1e-3 * setup.rate_hz)
        size = max(2, round(settings.window_s / (_EVERY * setup.hop_s)))
        self._fixed: Mask = np.array([name in settings.reference_uv for name in setup.muscles])
        self._reference: Floats = np.array([settings.reference_uv.get(name, 0.0) for name in setup.muscles])
        self._power: Floats = np.zeros(self._muscles)
        self._hops = np.zeros(self._muscles, dtype=np.int64)
        # Newest last, of every 50 ms: power freed of rest and its standard deviation, per muscle.
        self._values: Floats = np.zeros((2, size + _AROUND - 1, self._muscles))
        self._usable: Mask = np.zeros((size + _AROUND - 1, self._muscles), dtype=np.bool_)
        self._ticks = 0
        self._likeness: Floats = np.zeros(len(self._pairs))
        self._codes = np.full(len(self._pairs), NO_REST, dtype=np.int64)
        self._index: Floats = np.zeros(len(self._pairs))
        self._heard_ns: int | None = None
        self._told: list[Measure] = []
        self._write()

    def hear(self, heard: Heard, situation: Situation) -> None:
        """Take in one hop."""
        self._heard_ns = heard.t_ns
        if not len(self._pairs):
            return
        self._ticks += 1
        every = self._ticks % _EVERY == 0
        ended = np.count_nonzero(heard.contraction_ended) > 0
        if not every and not ended and not np.count_nonzero(heard.contraction_began):
            return
        power = np.exp(2.0 * heard.log_level)
        own = power - np.exp(2.0 * heard.rest)
        self._learn(heard, own, every)
        if not every:
            return
        for ring in (self._values[0], self._values[1], self._usable):
            ring[:-1] = ring[1:]
        self._values[0, -1] = own
        self._values[1, -1] = 2.0 * heard.rest_sigma * power
        self._usable[-1] = heard.rest_known & (heard.share >= _SHARE_MIN)
        if self._ticks % _COMPARED == 0:
            self._compare(heard)
        self._tell(heard)

    def step(self, situation: Situation) -> None:
        """Nothing: EMG alone tells it."""

    def fields(self, now_ns: int) -> Mapping[str, Sequence[Any]]:
        """``cocontraction``."""
        if not len(self._pairs):
            return {"cocontraction": self._told}
        if self._heard_ns is None or now_ns - self._heard_ns > self._silent_ns:
            silent = [_NO_PAIR] * self._muscles
            for place in self._pairs.ravel().tolist():
                silent[place] = _SILENT
            return {"cocontraction": silent}
        return {"cocontraction": self._told}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over a saved state."""
        super().restore(state)
        self._write()

    def _learn(self, heard: Heard, own: Floats, every: bool) -> None:
        self._power[heard.contraction_began] = 0.0
        self._hops[heard.contraction_began] = 0
        if every:
            counted = heard.contracting & (heard.level_share >= _SHARE_MIN)
            if len(heard.spasm):
                counted &= ~heard.spasm
            self._power[counted] += own[counted]
            self._hops[counted] += 1
        done = heard.contraction_ended & (self._hops * _EVERY >= self._shortest) & ~self._fixed
        if np.count_nonzero(done):
            mean = np.sqrt(self._power / np.maximum(self._hops, 1))
            self._reference[done] = np.maximum(self._reference, mean)[done]

    def _compare(self, heard: Heard) -> None:
        """Whether the two channels of each pair are copies; about once a second."""
        for number, (a, b) in enumerate(self._pairs.tolist()):
            good = heard.recent_good[:, a] & heard.recent_good[:, b]
            self._likeness[number] = likeness(heard.recent[:, a], heard.recent[:, b], good, self._lag)

    def _tell(self, heard: Heard) -> None:
        a, b = self._pairs[:, 0], self._pairs[:, 1]
        reference = np.where(self._reference > 0, self._reference, 1.0)
        power, scatter = self._values
        half = _AROUND // 2
        usable = self._usable[half:-half]
        level = np.sqrt(np.maximum(power[half:-half], 0.0)) / reference
        # The level of 250 ms about each value, and how uncertain it is: the lower muscle is told by it, so that
        # noise is not taken for the minimum; what is summed is the 50 ms themselves, so that a change is not smeared.
        around, spread, count = _sums(power * self._usable, scatter * scatter * self._usable, self._usable)
        count = np.maximum(count, 1)
        around = np.sqrt(np.maximum(around / count, 1e-12))
        spread = np.minimum(0.5 * np.sqrt(spread) / count / around, around) / reference
        around /= reference
        usable = usable[:, a] & usable[:, b]
        one, other = level[:, a], level[:, b]
        difference = around[:, a] - around[:, b]
        low = np.where(difference < 0, one, other) + _too_low(difference, np.hypot(spread[:, a], spread[:, b]))
        total, shared, *alone = np.add.reduce(np.array([one + other, low, one, other]) * usable, axis=1)
        self._index = np.minimum(np.maximum(2.0 * shared / np.maximum(total, 1e-12), 0.0), 1.0)
        count = np.add.reduce(usable, axis=0, dtype=np.int64)
        mean = np.maximum(*alone)
        codes = np.zeros(len(self._pairs), dtype=np.int64)
        codes[mean < self._settings.active_min * np.maximum(count, 1)] = QUIET
        codes[(self._likeness >= self._settings.copy_r) & (codes == VALID)] = COPIES
        codes[(self._reference[a] <= 0) | (self._reference[b] <= 0)] = NO_REFERENCE
        codes[count < _FULL * len(usable)] = FEW
        codes[~(heard.rest_known[a] & heard.rest_known[b])] = NO_REST
        self._codes = codes
        self._write()

    def _write(self) -> None:
        told = [_NO_PAIR] * self._muscles
        for number, pair in enumerate(self._pairs.tolist()):
            code = int(self._codes[number])
            if code == VALID:
                measure = Measure(value=float(self._index[number]), valid=True, reason="")
            elif code == COPIES:
                r = float(self._likeness[number])
                measure = Measure(reason=f"both channels hear the same signal (r = {r:.2f}): cross-talk")
            else:
                measure = Measure(reason=_REASONS[code - 1])
            for place in pair:
                told[place] = measure
        self._told = told


def _sums(*ticks: npt.NDArray[Any]) -> list[Floats]:
    """Of each, sums over `_AROUND` successive rows; all in one go."""
    rows, columns = ticks[0].shape
    total = np.zeros((rows + 1, len(ticks), columns))
    for place, each in enumerate(ticks):
        total[1:, place] = each
    np.add.accumulate(total, axis=0, out=total)
    sums = total[_AROUND:] - total[:-_AROUND]
    return [sums[:, place] for place in range(len(ticks))]


def _too_low(difference: Floats, scatter: Floats) -> Floats:
    """By how much the lower of two uncertain levels is expected to come out too low.

    The mean of the minimum of two normal variables lies theta * phi(z) - |d| * Phi(-|z|) below the lower mean, where
    theta is the spread of their difference d and z = d / theta.
    """
    theta = np.maximum(scatter, 1e-12)
    z = np.abs(difference) / theta
    density = np.exp(-0.5 * z * z) * 0.3989422804014327
    # Phi(-z) within 1e-4 (Abramowitz and Stegun 26.2.16), so that no special function is needed.
    t = 1.0 / (1.0 + 0.33267 * z)
    tail = density * t * (0.4361836 + t * (-0.1201676 + 0.9372980 * t))
    return theta * density - np.abs(difference) * tail


def _places(pairs: tuple[tuple[str, str], ...], place: Mapping[str, int]) -> npt.NDArray[np.int64]:
    """Columns of the pairs that are on this source.

    Raises
    ------
    ValueError
        If only one of a pair is.
    """
    here = []
    for pair in pairs:
        known = [name for name in pair if name in place]
        if len(known) == 1:
            other = next(name for name in pair if name not in place)
            raise ValueError(f"pairs: {other} is not on the EMG source of {known[0]}, heard are {', '.join(place)}")
        if known:
            here.append([place[name] for name in pair])
    return np.array(here, dtype=np.int64).reshape(-1, 2)
