"""One spasm: its kind, its course in time, and how one is drawn.

Kinds are those of long-term recordings after spinal cord injury (Thomas 2014: unit, tonic, clonus, myoclonus), and
``burst``, an envelope of the demonstration that swells and ebbs without falling silent, so that it is one event.

``tonic``
    rises, holds its level, ebbs away as a persistent inward current does, and falls.
``burst``
    a tonic one whose level swings to half and back at 4 to 7 Hz.
``clonus``
    bursts of 45 to 60 ms at 4.5 to 7.5 Hz, silence between them.
``myoclonus``
    one burst of 60 to 250 ms.
``unit``
    two or three motor units that discharge at 7 to 12 Hz: no interference pattern, but potentials that can be told
    apart (`discharges`), and no force to speak of.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import overload

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

KINDS = ("tonic", "burst", "unit", "clonus", "myoclonus")

#: The end of a drive that ebbs away: motor neurons fall silent.
FALL_S = 0.10
#: Of its level, what is left of a drive that has ebbed away.
_EBBED = 0.1
#: Rise and fall of a single burst, as a share of its length.
_BURST_RAMP = 0.25
#: RMS of a train of potentials of peak to peak 1 and this rate: see :func:`unit_level`.
_POTENTIAL_ENERGY_S = 0.783e-3


@dataclass(frozen=True, slots=True)
class Spasm:
    """One spasm; everything of it lies within its onset and end.

    Attributes
    ----------
    muscles
        All that take part, by number; the first has it most clearly.
    onset_ns, end_ns
        First and last moment of any drive.
    kind
        One of :data:`KINDS`.
    level
        Activation it reaches, 0 to 1; of ``unit``, RMS of its potentials relative to that of a maximal contraction.
    clonus_hz
        Mean rate of the bursts of this very event (``clonus``), or of the swings of a ``burst``; 0 else.
    rise_s
        Of a tonic drive, from nothing to its level.
    ebb_s
        For so long before its end a tonic drive ebbs away; 0: it holds its level to the end.
    bursts_ns, burst_levels, burst_s
        Middle of each burst, its height relative to `level`, and the length of all (``clonus``, ``myoclonus``).
    discharges
        (time in ns, peak to peak relative to the RMS of a maximal contraction) of each potential (``unit``).
    """

    muscles: tuple[int, ...]
    onset_ns: int
    end_ns: int
    kind: str
    level: float
    clonus_hz: float = 0.0
    rise_s: float = 0.06
    ebb_s: float = 0.0
    bursts_ns: tuple[int, ...] = ()
    burst_levels: tuple[float, ...] = ()
    burst_s: float = 0.0
    discharges: tuple[tuple[int, float], ...] = ()

    @property
    def muscle(self) -> int:
        """The muscle that has it most clearly."""
        return self.muscles[0]

    @overload
    def activation(self, t_ns: int) -> float: ...
    @overload
    def activation(self, t_ns: npt.NDArray[np.int64]) -> Array: ...
    def activation(self, t_ns: int | npt.NDArray[np.int64]) -> float | Array:
        """Involuntary activation at a time or at times (n,), 0 to 1; 0 for ``unit``, which is told by discharges."""
        times = np.atleast_1d(np.asarray(t_ns, dtype=np.int64))
        if self.kind == "unit":
            drive = np.zeros(len(times))
        elif self.bursts_ns:
            drive = self._bursts(times)
        else:
            drive = self._tonic(times)
        return float(drive[0]) if np.ndim(t_ns) == 0 else drive

    def _bursts(self, times: npt.NDArray[np.int64]) -> Array:
        middles = np.asarray(self.bursts_ns, dtype=np.int64)
        half_ns = 0.5e9 * self.burst_s
        # Bursts do not overlap: the nearest one is the one that a time may lie in.
        after = np.clip(np.searchsorted(middles, times), 1, max(1, len(middles) - 1))
        before = after - 1
        after = np.minimum(after, len(middles) - 1)
        nearest = np.where(times - middles[before] <= middles[after] - times, before, after)
        left = (half_ns - np.abs(times - middles[nearest])) / (2 * half_ns * _BURST_RAMP)
        heights = np.asarray(self.burst_levels)[nearest]
        drive: Array = self.level * heights * np.clip(left, 0.0, 1.0)
        return drive

    def _tonic(self, times: npt.NDArray[np.int64]) -> Array:
        since_s, left_s = (times - self.onset_ns) * 1e-9, (self.end_ns - times) * 1e-9
        drive: Array = self.level * np.clip(np.minimum(since_s / self.rise_s, left_s / FALL_S), 0.0, 1.0)
        if self.ebb_s > 0.0:
            drive *= _EBBED ** np.clip(1.0 - left_s / self.ebb_s, 0.0, 1.0)
        if self.kind == "burst":
            drive *= 0.75 + 0.25 * np.cos(2 * math.pi * self.clonus_hz * since_s)
        return drive


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What a person's spasms have in common.

    Attributes
    ----------
    shortest_s, longest_s
        Of the time that a tonic one or a ``burst`` holds.
    clonus_hz, clonus_jitter
        Mean rate; standard deviation of an interval, relative.
    unit_size
        Median peak to peak of a potential, relative to the RMS of a maximal contraction.
    """

    rise_s: float = 0.06
    ebb_s: float = 0.0
    shortest_s: float = 0.4
    longest_s: float = 2.0
    clonus_hz: float = 6.0
    clonus_jitter: float = 0.04
    unit_size: float = 0.3


def draw_spasm(
    kind: str, muscles: tuple[int, ...], onset_ns: int, level: float, course: Course, rng: np.random.Generator
) -> Spasm:
    """Draw a spasm.

    Parameters
    ----------
    level
        Activation; ``unit`` takes its level from `course`.

    Raises
    ------
    ValueError
        If there is no such kind.
    """
    if kind not in KINDS:
        raise ValueError(f"kind: found {kind!r}, allowed are {', '.join(KINDS)}")
    if kind == "clonus":
        return _clonus(muscles, onset_ns, level, course, rng)
    if kind == "unit":
        return _unit(muscles, onset_ns, course, rng)
    if kind == "myoclonus":
        length_ns = int(rng.uniform(0.060, 0.250) * 1e9)
        return Spasm(
            muscles, onset_ns, onset_ns + length_ns, kind, level,
            bursts_ns=(onset_ns + length_ns // 2,), burst_levels=(1.0,), burst_s=length_ns * 1e-9,
        )  # fmt: skip
    held_s = rng.uniform(course.shortest_s, course.longest_s)
    swings_hz = rng.uniform(4.0, 7.0)
    return Spasm(
        muscles, onset_ns, onset_ns + int((held_s + course.ebb_s) * 1e9), kind, level,
        clonus_hz=swings_hz if kind == "burst" else 0.0, rise_s=course.rise_s, ebb_s=course.ebb_s,
    )  # fmt: skip


def unit_level(sizes: Array, length_s: float) -> float:
    """RMS over an event of potentials of these peak-to-peak sizes.

    A first Gaussian derivative of peak to peak 1 and width 1.3 ms has the energy ``e sqrt(pi) / 8 * 1.3 ms``.
    """
    return math.sqrt(_POTENTIAL_ENERGY_S * float(np.sum(np.square(sizes))) / length_s)


def _clonus(muscles: tuple[int, ...], onset_ns: int, level: float, course: Course, rng: np.random.Generator) -> Spasm:
    rate_hz = min(7.5, max(4.5, course.clonus_hz * (1.0 + 0.05 * rng.uniform(-1.0, 1.0))))
    burst_s = rng.uniform(0.045, 0.060)
    bursts = max(4, round(rng.uniform(1.2, 6.0) * rate_hz))
    deviations = course.clonus_jitter * np.clip(rng.standard_normal(bursts - 1), -3.0, 3.0)
    middles_s = burst_s / 2 + np.concatenate([[0.0], np.cumsum((1.0 + deviations) / rate_hz)])
    heights = np.exp(0.1 * np.clip(rng.standard_normal(bursts), -2.0, 2.0))
    middles_ns = onset_ns + (middles_s * 1e9).astype(np.int64)
    return Spasm(
        muscles, onset_ns, int(middles_ns[-1]) + int(0.5e9 * burst_s), "clonus", level,
        clonus_hz=float((bursts - 1) * 1e9 / (middles_ns[-1] - middles_ns[0])),
        bursts_ns=tuple(int(t) for t in middles_ns),
        burst_levels=tuple(float(height) for height in heights),
        burst_s=burst_s,
    )  # fmt: skip


def _unit(muscles: tuple[int, ...], onset_ns: int, course: Course, rng: np.random.Generator) -> Spasm:
    length_s = rng.uniform(1.0, 5.0)
    discharges: list[tuple[int, float]] = []
    for _ in range(int(rng.integers(2, 4))):
        interval_s = 1.0 / rng.uniform(7.0, 12.0)
        size = course.unit_size * math.exp(0.25 * min(2.0, max(-2.0, rng.standard_normal())))
        # Gaussian intervals cut at 3.9 standard deviations (Fuglevand 1993), all units beginning with the event.
        deviations = 0.15 * np.clip(rng.standard_normal(math.ceil(2 * length_s / interval_s)), -3.9, 3.9)
        times_s = rng.uniform(0.0, 0.5) * interval_s + np.cumsum(interval_s * (1.0 + deviations))
        discharges += [(int(t_s * 1e9), size) for t_s in times_s[times_s < length_s]]
    first_ns = min(t_ns for t_ns, _ in discharges)
    moved = tuple(sorted((onset_ns + t_ns - first_ns, size) for t_ns, size in discharges))
    # The last potential belongs to it: 10 ms.
    end_ns = moved[-1][0] + 10_000_000
    level = unit_level(np.array([size for _, size in moved]), (end_ns - onset_ns) * 1e-9)
    return Spasm(muscles, onset_ns, end_ns, "unit", min(1.0, level), discharges=moved)
