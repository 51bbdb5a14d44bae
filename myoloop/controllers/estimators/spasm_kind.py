"""What kind of spasm it is: unit, tonic, clonus or myoclonus (the kinds of Thomas 2014), and the rhythm of clonus.

It is told from the course of the 10 ms level since the burst began, at most every 100 ms while the burst is on and
once more at its end, by rules:

``clonus``
    three bursts or more that follow one another at 4 to 8 Hz with intervals that scatter by less than 25 %.
``unit``
    single potentials that can be told apart: most of what stands above rest is no longer than two or three hops. Where
    pulses leave too few of the hops for that, it is told by the samples: between potentials most of them are small.
``myoclonus``
    one burst of up to 250 ms.
``tonic``
    half a second or more of activity without those marks.

The gyroscope, where there is one, can only help: where the rhythm of the EMG is weak, the same rhythm in the movement
makes it a clonus. Its absence takes nothing away, since clonus against a fixed joint moves nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from myoloop.controllers.estimators.clonus import HIGH_HZ, LOW_HZ, Rhythm, find_rhythm
from myoloop.controllers.estimators.estimator import Heard, Setup, Situation
from myoloop.controllers.signals.snapshot import Restorable

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

KINDS = ("", "unit", "tonic", "clonus", "myoclonus")
UNDECIDED, UNIT, TONIC, CLONUS, MYOCLONUS = range(5)

#: A burst has begun at most so long before it is known to be one.
_BACK_S = 0.15
_GYRO_S = 1.5
#: With fewer of the hops than this the lengths of what stands out mean nothing.
_WHOLE = 0.9
_SMALL, _SAMPLES_MIN = 0.3, 60


@dataclass(frozen=True, slots=True, kw_only=True)
class SpasmKindSettings:
    """Where the kinds part.

    Attributes
    ----------
    memory_s
        Of a longer burst only so much of the newest is looked at.
    every_ms
        How often a burst that is on is looked at.
    rhythm
        Autocorrelation that a clonus needs; half of it where the gyroscope shows the same rhythm.
    clear_rhythm
        Autocorrelation from which it is a clonus also where it looks like single potentials.
    scatter
        Coefficient of variation of its intervals, at most.
    unit_run_ms, unit_share
        Of the time above rest, at least this share is in pieces no longer than that: single potentials.
    sparse_share
        Under stimulation it is a unit where this share of the samples is below three tenths of their RMS; of steady
        activity that share is a quarter.
    myoclonus_ms
        A burst up to so long is a myoclonus.
    tonic_ms
        A burst is tonic after so long.

    Raises
    ------
    ValueError
        If a value is out of its range.
    """

    memory_s: float = 6.4
    every_ms: float = 100.0
    rhythm: float = 0.35
    clear_rhythm: float = 0.5
    scatter: float = 0.25
    unit_run_ms: float = 30.0
    unit_share: float = 0.5
    sparse_share: float = 0.4
    myoclonus_ms: float = 270.0
    tonic_ms: float = 500.0

    def __post_init__(self) -> None:
        ranges = {
            "memory_s": (1.5, 20.0), "every_ms": (10.0, 1000.0), "rhythm": (0.05, 1.0), "clear_rhythm": (0.05, 1.0),
            "scatter": (0.01, 1.0), "unit_run_ms": (10.0, 100.0), "unit_share": (0.0, 1.0), "sparse_share": (0.0, 1.0),
            "myoclonus_ms": (50.0, 1000.0), "tonic_ms": (100.0, 5000.0),
        }  # fmt: skip
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"{name} is {value:g}, allowed is {low:g} to {high:g}")
        if self.myoclonus_ms >= self.tonic_ms:
            raise ValueError(f"myoclonus_ms is {self.myoclonus_ms:g}, allowed is below tonic_ms ({self.tonic_ms:g})")


class SpasmKind(Restorable):
    """Kind and rhythm of each muscle's spasm; stands behind the estimator that finds spasms."""

    Settings = SpasmKindSettings

    _kept: ClassVar[tuple[str, ...]] = (
        "_levels", "_shares", "_at", "_on", "_hops", "_kind", "_rate_hz", "_gyro", "_gyro_at", "_any",
        "_sparse", "_looks",
    )  # fmt: skip

    def __init__(self, settings: SpasmKindSettings, setup: Setup) -> None:
        self._settings = settings
        self._hop_s = setup.hop_s
        muscles = len(setup.muscles)
        self._back = round(_BACK_S / setup.hop_s)
        self._size = round(settings.memory_s / setup.hop_s) + self._back
        self._every = max(1, round(settings.every_ms * 1e-3 / setup.hop_s))
        self._turn = np.arange(muscles) % self._every
        self._levels = np.zeros((self._size, muscles), dtype=np.float32)
        self._shares = np.zeros((self._size, muscles), dtype=np.float32)
        self._at = -1
        self._on: Mask = np.zeros(muscles, dtype=np.bool_)
        self._any = False
        self._hops = np.zeros(muscles, dtype=np.int64)
        self._kind = np.zeros(muscles, dtype=np.int64)
        self._rate_hz: Floats = np.full(muscles, np.nan)
        #: Sum and number of the shares of small samples in this burst.
        self._sparse: Floats = np.zeros(muscles)
        self._looks = np.zeros(muscles, dtype=np.int64)
        self._hop_samples = setup.hop_samples
        imu = setup.imu
        self._axes = None if imu is None or imu.gyroscope is None else list(imu.gyroscope)
        self._gyro_hz = 0.0 if imu is None else imu.descriptor.rate_hz
        self._gyro: Floats = np.zeros((max(1, round(_GYRO_S * self._gyro_hz)), 3))
        self._gyro_at = 0
        self._told: dict[str, list[Any]] = {}
        self._write()

    def hear(self, heard: Heard, situation: Situation) -> None:
        """Take in one hop, with what the spasm estimator found in it."""
        at = self._at = (self._at + 1) % self._size
        self._levels[at] = heard.log_level_hop
        self._shares[at] = heard.share_hop
        spasm = heard.spasm
        any_on = bool(np.count_nonzero(spasm))
        if not any_on and not self._any:
            return
        begun, ended = spasm & ~self._on, self._on & ~spasm
        self._on, self._any = spasm.copy(), any_on
        self._hops += 1
        self._hops[begun] = 0
        news = bool(np.count_nonzero(begun))
        if news:
            self._kind[begun] = UNDECIDED
            self._rate_hz[begun] = np.nan
            self._sparse[begun] = 0.0
            self._looks[begun] = 0
        # Not all of them in the same hop, where several began together.
        due = ended | (spasm & ((self._hops + self._turn) % self._every == self._every - 1))
        for muscle in np.flatnonzero(due).tolist():
            self._look(muscle, heard, bool(ended[muscle]))
            news = True
        if news:
            self._write()

    def step(self, situation: Situation) -> None:
        """Keep the newest of the gyroscope."""
        if self._axes is None:
            return
        for _, rows in situation.imu:
            for row in rows[:, self._axes]:
                self._gyro[self._gyro_at % len(self._gyro)] = row
                self._gyro_at += 1

    def fields(self, now_ns: int) -> Mapping[str, Sequence[Any]]:
        """``spasm_kind`` and ``clonus_frequency_hz``."""
        return self._told

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over a saved state."""
        super().restore(state)
        self._write()

    def _look(self, muscle: int, heard: Heard, ended: bool) -> None:
        count = min(int(self._hops[muscle]) + 1 + self._back, self._size)
        rows = np.arange(self._at - count + 1, self._at + 1) % self._size
        level = self._levels[rows, muscle].astype(np.float64)
        known = self._shares[rows, muscle] >= 0.5
        if not np.count_nonzero(known):
            return
        if not known.all():
            level = np.interp(np.arange(count), np.flatnonzero(known), level[known])
        sparse: float | None = None
        if np.count_nonzero(known) < _WHOLE * count:
            if not ended:
                self._sparse[muscle] += self._small(muscle, heard)
                self._looks[muscle] += 1
            sparse = float(self._sparse[muscle]) / max(1, int(self._looks[muscle]))
        rest = float(heard.rest_hop[muscle])
        kind, rhythm = tell_kind(level, rest, self._hop_s, self._settings, ended, self._moves, sparse)
        if kind != UNDECIDED or ended:
            self._kind[muscle] = kind
            self._rate_hz[muscle] = rhythm.frequency_hz if rhythm is not None and kind == CLONUS else np.nan

    def _small(self, muscle: int, heard: Heard) -> float:
        """Share of small samples among those since the burst began, of at most the last second."""
        rows = min(int(self._hops[muscle] + 1) * self._hop_samples, len(heard.recent))
        used = heard.recent[-rows:, muscle][heard.recent_good[-rows:, muscle]]
        if len(used) < _SAMPLES_MIN:
            return 0.0
        rms = float(np.sqrt(used @ used / len(used)))
        return float(np.count_nonzero(np.abs(used) < _SMALL * rms)) / len(used)

    def _moves(self, frequency_hz: float) -> bool:
        """Whether the gyroscope shows this rhythm."""
        if self._axes is None or self._gyro_at < len(self._gyro):
            return False
        order = np.arange(self._gyro_at, self._gyro_at + len(self._gyro)) % len(self._gyro)
        rows = self._gyro[order]
        if not np.isfinite(rows).all():
            return False
        axis = rows[:, int(np.argmax(rows.var(axis=0)))]
        seen = find_rhythm(axis - axis.min(), 1.0 / self._gyro_hz)
        return seen is not None and seen.strength > 0.4 and abs(seen.frequency_hz / frequency_hz - 1.0) < 0.15

    def _write(self) -> None:
        kinds = [KINDS[kind] for kind in self._kind.tolist()]
        rates = [None if rate != rate else rate for rate in self._rate_hz.tolist()]
        self._told = {"spasm_kind": kinds, "clonus_frequency_hz": rates}


def tell_kind(
    level: Floats,
    rest: float,
    hop_s: float,
    settings: SpasmKindSettings,
    ended: bool,
    moves: Any,
    sparse: float | None = None,
) -> tuple[int, Rhythm | None]:
    """Kind of a burst and its rhythm.

    Parameters
    ----------
    level
        (n,) ln(RMS / uV) of each hop, from shortly before the burst to now.
    rest
        The same at rest.
    ended
        Whether it is over.
    moves
        ``moves(frequency_hz)``: whether the limb moves in this rhythm.
    sparse
        Share of small samples in it, where pulses spoilt too many of the hops; else None.

    Returns
    -------
    kind
        One of the constants of this module; 0 while it cannot be told.
    rhythm
        None where there is none.
    """
    rise = level - rest
    # Half way, on a logarithmic scale, from rest to the burst's own strength.
    strong = float(np.partition(rise, -max(1, len(rise) // 20))[-max(1, len(rise) // 20) :].mean())
    above = rise > max(0.5 * strong, np.log(1.6))
    where = np.flatnonzero(above)
    if not where.size:
        return UNDECIDED, None
    begin, end = int(where[0]), int(where[-1]) + 1
    active = above[begin:end]
    length_s = (end - begin) * hop_s
    quiet_s = (len(level) - end) * hop_s
    edges = np.flatnonzero(np.diff(np.concatenate([[0], active.view(np.int8), [0]])))
    runs = edges[1::2] - edges[::2]
    unit_run = round(settings.unit_run_ms * 1e-3 / hop_s)
    spiky = float(runs[runs <= unit_run].sum() / runs.sum())
    envelope = np.exp(rise[begin:end])
    envelope = np.sqrt(np.maximum(envelope - 1.0, 0.0))
    rhythm = find_rhythm(envelope, hop_s) if length_s >= 0.3 else None
    if rhythm is not None and _is_clonus(rhythm, settings, moves):
        # In noise a burst falls into pieces; what beats so clearly is a clonus all the same.
        pieces = spiky >= settings.unit_share and rhythm.strength < settings.clear_rhythm
        if not pieces:
            return CLONUS, rhythm
    over = ended or quiet_s >= 0.2
    if length_s <= settings.myoclonus_ms * 1e-3:
        return (MYOCLONUS if over else UNDECIDED), rhythm
    if length_s < settings.tonic_ms * 1e-3 and not ended:
        return UNDECIDED, rhythm
    single = spiky >= settings.unit_share if sparse is None else sparse >= settings.sparse_share
    return (UNIT if single else TONIC), rhythm


def _is_clonus(rhythm: Rhythm, settings: SpasmKindSettings, moves: Any) -> bool:
    if not LOW_HZ <= rhythm.frequency_hz <= HIGH_HZ or rhythm.bursts < 3 or rhythm.scatter >= settings.scatter:
        return False
    if rhythm.strength >= settings.rhythm:
        return True
    return rhythm.strength >= 0.5 * settings.rhythm and bool(moves(rhythm.frequency_hz))
