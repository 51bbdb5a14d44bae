"""Fatigue from the EMG spectrum, contraction by contraction.

As a muscle fatigues its fibres conduct more slowly and the spectrum moves down. A single second of EMG says little
(the mean frequency of one second scatters by 4.5 %), so nothing is trended but whole contractions: the steady middle
of each is cut into pieces, their power spectra are averaged (Welch), and a robust line goes through the mean
frequencies. Where the person is stimulated only stretches between trains count.

**From frequency to fatigue.** Conduction velocity v scales the whole spectrum; in the band 20-450 Hz the mean
frequency follows as v^0.83 (ratio 0.8306 for a loss of 20 %, by exact quadrature over the Stulen-De Luca spectrum).
With a conduction velocity that has fallen by 30 % at fatigue 0.6, fatigue = (1 - v / v0) / 0.5. That slope differs
between people; the interval carries 15 % for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from myoloop.controllers.estimators.estimator import Heard, Setup, Situation
from myoloop.controllers.estimators.trend import departure
from myoloop.controllers.signals.features import Spectrum, mean_frequency_hz, median_frequency_hz, spectral_validity
from myoloop.controllers.signals.snapshot import Restorable
from myoloop.platform.messages import Measure

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

#: d ln MNF / d ln v in the band 20-450 Hz: ln 0.8306 / ln 0.8.
BAND_SENSITIVITY = 0.832
#: Fall of conduction velocity per unit of fatigue: 30 % at 0.6.
VELOCITY_FALL_PER_FATIGUE = 0.5
#: How much that differs between people (standard deviation, relative).
MAPPING_SD = 0.15
#: Scatter of ln MNF of one second of steady EMG; it falls with the root of the length.
SECOND_SCATTER = 0.045
#: Scatter of ln MNF between contractions is never believed to be below this, however long they are.
SCATTER_MIN = 0.02
_WAITING = 8
_MOST_POINTS = 160
_FIRST_POINTS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class SpectrumSettings:
    """Which stretches count, and when they are enough.

    Attributes
    ----------
    segment_s
        Length of one spectrum; half of it overlaps with the next. None: 1 s, and 0.5 s where the person is stimulated
        and the stretches between trains are short.
    trim_s
        What is left out at the beginning and the end of each contraction. None: 0.5 s, and 0.3 s where the person is
        stimulated.
    segments_min
        A contraction with fewer of them does not count.
    invalid_share_max
        A segment with more samples that are not valid (rail) is not used. One that a pulse touches never is.
    contractions_min
        Fewer are not enough evidence.
    early, late
        Beginning and present are judged from so many contractions.
    stale_s
        After so long without a contraction nothing is known of the present.
    """

    segment_s: float | None = None
    trim_s: float | None = None
    segments_min: int = 1
    invalid_share_max: float = 0.1
    contractions_min: int = 4
    early: int = 8
    late: int = 12
    stale_s: float = 90.0

    def __post_init__(self) -> None:
        if self.contractions_min < 3 or self.early < 3 or self.late < 3:
            raise ValueError("contractions_min, early and late must be at least 3: a line through fewer says nothing")
        if self.segment_s is not None and not 0.1 <= self.segment_s <= 1.0:
            raise ValueError(f"segment_s is {self.segment_s}, allowed is 0.1 to 1 s")


class ContractionSpectrum(Restorable):
    """Fatigue of each muscle by the fall of its mean frequency, 0 (fresh) to 1."""

    Settings = SpectrumSettings

    _kept: ClassVar[tuple[str, ...]] = (
        "_hops", "_clear", "_since", "_length", "_waiting", "_waiting_end", "_sum", "_segments", "_centre_ns",
        "_points", "_last_ns",
    )  # fmt: skip

    def __init__(self, settings: SpectrumSettings, setup: Setup) -> None:
        self._settings = settings
        self._muscles = muscles = len(setup.muscles)
        self._unfit = spectral_validity(setup.rate_hz)
        hop_s = setup.hop_s
        usual_s, trim_s = (0.5, 0.3) if setup.stimulated else (1.0, 0.5)
        segment_s = usual_s if settings.segment_s is None else settings.segment_s
        trim_s = trim_s if settings.trim_s is None else settings.trim_s
        self._segment_hops = max(2, round(segment_s / hop_s))
        self.look_back = self._segment_hops * setup.hop_samples
        self._step_hops = self._segment_hops // 2
        # A contraction is noticed 100 ms after it began and 200 ms after it ended (BaselineSettings).
        self._begin_hops = max(0, round((trim_s - 0.1) / hop_s))
        self._end_hops = round((trim_s + 0.2) / hop_s)
        self._half_ns = round(0.5 * segment_s * 1e9)
        self._spectrum = Spectrum(setup.rate_hz, self.look_back)
        lines = len(self._spectrum.frequencies_hz)
        self._hops = 0
        self._clear = 0
        self._since = np.zeros(muscles, dtype=np.int64)
        self._length = np.zeros(muscles, dtype=np.int64)
        self._waiting: Floats = np.zeros((_WAITING, lines, muscles))
        self._waiting_end = np.full((_WAITING, muscles), -1, dtype=np.int64)
        self._sum: Floats = np.zeros((lines, muscles))
        self._segments = np.zeros(muscles, dtype=np.int64)
        self._centre_ns = np.zeros(muscles, dtype=np.int64)
        # Per muscle: [t_ns, ln MNF, MDF in Hz, segments, number of the contraction].
        self._points: list[list[list[Any]]] = [[] for _ in range(muscles)]
        self._last_ns = np.zeros(muscles, dtype=np.int64)
        self._stale: Mask = np.zeros(muscles, dtype=np.bool_)
        self._fields: dict[str, list[Any]] | None = None

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over a saved state.

        Raises
        ------
        StateError
            If it is not the state of such an estimator.
        """
        super().restore(state)
        self._fields = None

    def hear(self, heard: Heard, situation: Situation) -> None:
        """Take in one hop."""
        if self._unfit:
            return
        self._hops += 1
        self._clear = 0 if heard.blanked or heard.lost_hops else self._clear + 1
        began = heard.contraction_began
        if np.count_nonzero(began):
            self._begin(began)
        self._since += 1
        self._length = np.where(heard.contracting & ~heard.spasm, self._length + 1, 0)
        self._commit(heard)
        if np.count_nonzero(heard.contraction_ended):
            self._finish(np.flatnonzero(heard.contraction_ended))
        if self._clear >= self._segment_hops:
            due = (self._length >= self._begin_hops + self._segment_hops) & (self._since >= self._step_hops)
            if np.count_nonzero(due):
                self._segment(np.flatnonzero(due), heard)

    def step(self, situation: Situation) -> None:
        """Nothing: the spectrum is told from EMG alone."""

    def fields(self, now_ns: int) -> Mapping[str, Sequence[Any]]:
        """``fatigue_emg``, ``median_frequency_hz``, ``mean_frequency_hz``, ``contraction_t_ns``, ``contractions``."""
        stale = now_ns - self._last_ns > self._settings.stale_s * 1e9
        if self._fields is None or not np.array_equal(stale, self._stale):
            self._stale = stale
            self._fields = self._tell(stale.tolist())
        return self._fields

    def _begin(self, began: Mask) -> None:
        self._waiting_end[:, began] = -1
        self._sum[:, began] = 0.0
        self._segments[began] = 0
        self._centre_ns[began] = 0
        self._since[began] = self._step_hops

    def _segment(self, columns: npt.NDArray[np.intp], heard: Heard) -> None:
        invalid = 1.0 - heard.recent_good[-self.look_back :, columns].mean(axis=0)
        self._since[columns] = 0
        columns = columns[invalid <= self._settings.invalid_share_max]
        if columns.size == 0:
            return
        density = self._spectrum.density(heard.recent[-self.look_back :, columns])
        slot = (self._hops // self._step_hops) % _WAITING
        self._waiting[slot, :, columns] = density.T
        self._waiting_end[slot, columns] = self._hops

    def _commit(self, heard: Heard) -> None:
        """Count the segments that are by now known not to have lain at the contraction's end."""
        ripe = (self._waiting_end >= 0) & (self._waiting_end <= self._hops - self._end_hops)
        if not np.count_nonzero(ripe):
            return
        hop_ns = 2 * self._half_ns // self._segment_hops
        for slot, column in zip(*np.nonzero(ripe), strict=True):
            self._sum[:, column] += self._waiting[slot, :, column]
            self._segments[column] += 1
            back = self._hops - int(self._waiting_end[slot, column])
            self._centre_ns[column] += heard.t_ns - back * hop_ns - self._half_ns
        self._waiting_end[ripe] = -1

    def _finish(self, columns: npt.NDArray[np.intp]) -> None:
        self._waiting_end[:, columns] = -1
        for column in columns.tolist():
            segments = int(self._segments[column])
            if segments < self._settings.segments_min:
                continue
            density = self._sum[:, column : column + 1] / segments
            frequencies = self._spectrum.frequencies_hz
            mnf = float(mean_frequency_hz(frequencies, density)[0])
            mdf = float(median_frequency_hz(frequencies, density)[0])
            if not (np.isfinite(mnf) and np.isfinite(mdf)):
                continue
            points = self._points[column]
            number = points[-1][4] + 1 if points else 1
            t_ns = int(self._centre_ns[column]) // segments
            points.append([t_ns, float(np.log(mnf)), mdf, segments, number])
            if len(points) > _MOST_POINTS:
                del points[_FIRST_POINTS]
            self._last_ns[column] = t_ns
            self._segments[column] = 0
            self._fields = None

    def _tell(self, stale: list[bool]) -> dict[str, list[Any]]:
        newest = [points[-1] if points else None for points in self._points]
        return {
            "fatigue_emg": [self._measure(points, old) for points, old in zip(self._points, stale, strict=True)],
            "median_frequency_hz": [point and point[2] for point in newest],
            "mean_frequency_hz": [point and float(np.exp(point[1])) for point in newest],
            "contraction_t_ns": [point and point[0] for point in newest],
            "contractions": [point[4] if point else 0 for point in newest],
        }

    def _measure(self, points: list[list[Any]], stale: bool) -> Measure:
        if self._unfit:
            return Measure(reason=self._unfit)
        settings = self._settings
        if len(points) < settings.contractions_min:
            return Measure(
                reason=f"not enough evidence: {len(points)} of {settings.contractions_min} steady contractions"
            )
        if stale:
            return Measure(reason=f"no steady contraction for {settings.stale_s:g} s")
        table = np.array([point[:4] for point in points], dtype=np.float64)
        t_s = (table[:, 0] - table[0, 0]) * 1e-9
        # Segments overlap by half.
        length_s = 2e-9 * self._half_ns * 0.5 * (float(np.median(table[:, 3])) + 1.0)
        scatter_min = max(SCATTER_MIN, SECOND_SCATTER / float(np.sqrt(length_s)))
        moved = departure(
            t_s, table[:, 1], table[:, 3], early=settings.early, late=settings.late, scatter_min=scatter_min
        )
        return fatigue_of_frequency(moved.last - moved.first, moved.sd)


def fatigue_of_frequency(log_ratio: float, sd: float) -> Measure:
    """Fatigue from ln(MNF / MNF at the beginning) and its standard deviation.

    The value is kept within 0 to 1; the interval is not, so that its width stays what is known.
    """
    velocity = float(np.exp(log_ratio / BAND_SENSITIVITY))
    fatigue = (1.0 - velocity) / VELOCITY_FALL_PER_FATIGUE
    slope = velocity / BAND_SENSITIVITY / VELOCITY_FALL_PER_FATIGUE
    spread = 1.96 * float(np.hypot(slope * sd, MAPPING_SD * fatigue))
    return Measure(
        value=min(max(fatigue, 0.0), 1.0), low=fatigue - spread, high=fatigue + spread, valid=True, reason=""
    )


def fuse(emg: Measure, mechanical: Measure) -> Measure:
    """One fatigue from the electrical and the mechanical term, each weighed by the inverse of its variance.

    Where they disagree by more than their intervals allow, the interval of what is told is widened (Birge's ratio).
    The interval of a term is symmetric about what it would say without limits; that of the result lies in 0 to 1.
    """
    terms = [term for term in (emg, mechanical) if term.valid and term.low is not None and term.high is not None]
    if not terms:
        both = [term.reason for term in (emg, mechanical) if term.reason]
        return Measure(reason="; ".join(both))
    centres = [0.5 * ((term.low or 0.0) + (term.high or 0.0)) for term in terms]
    weights = [(3.92 / max((term.high or 0.0) - (term.low or 0.0), 1e-6)) ** 2 for term in terms]
    total = sum(weights)
    value = sum(w * c for w, c in zip(weights, centres, strict=True)) / total
    chi_square = sum(w * (c - value) ** 2 for w, c in zip(weights, centres, strict=True))
    spread = 1.96 * (max(1.0, chi_square) / total) ** 0.5
    return Measure(value=_unit(value), low=_unit(value - spread), high=_unit(value + spread), valid=True, reason="")


def _unit(value: float) -> float:
    return min(max(value, 0.0), 1.0)
