"""Fatigue from the EMG spectrum, contraction by contraction.

As a muscle fatigues its fibres conduct more slowly and the spectrum moves down. A single second of EMG says little
(the mean frequency of one second scatters by 4.5 %), so nothing is trended but whole contractions: the steady middle
of each is cut into pieces, their power spectra are averaged (Welch), the spectrum of rest is taken off, and a robust
line goes through the mean frequencies. Where the person is stimulated only stretches between trains count. What a row
of contractions says stands in :mod:`myoloop.controllers.estimators.contractions`.

Nothing is ever reset in silence. The index falls only where newer contractions have a higher frequency; after a pause
it is not told before three of them; after an electrode change it goes on from what it was, with an interval that
reaches down to full recovery.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from myoloop.controllers.estimators.contractions import (
    Baseline,
    Carried,
    Contraction,
    Course,
    Evidence,
    baseline,
    change,
    course,
    fatigue_of_frequency,
    over_a_break,
    slope,
)
from myoloop.controllers.estimators.estimator import Heard, Setup, Situation
from myoloop.controllers.signals.features import (
    Array,
    Spectrum,
    log_dimitrov_index,
    mean_frequency_hz,
    median_frequency_hz,
    spectral_moment,
    spectral_validity,
    subtract_noise,
)
from myoloop.controllers.signals.snapshot import Restorable
from myoloop.platform.messages import Measure

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_MOST_POINTS = 160
_FIRST_POINTS = 20
#: A piece of rest is quiet where none of its fifths is louder than the level of rest by more than this ratio.
_QUIET_RATIO = 1.6
_QUIET_PIECES = 5
#: Below this share of valid samples a hop was not heard.
_HEARD_SHARE_MIN = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class SpectrumSettings:
    """Which stretches count, and when they are enough.

    Attributes
    ----------
    segment_s
        Length of one spectrum; two thirds of it overlap with the next. None: 0.25 s.
    trim_s
        What is left out at the beginning and the end of each contraction, beside the 50 ms or so that the level needs
        to rise. None: 0.25 s.
    steady_min_s
        A contraction of which less is left does not count. None: 1 s, and 0.5 s where the person is stimulated and the
        stretches between trains are short.
    band_hz
        Band of the spectra. None: 10 to 500 Hz, or to 0.45 of the rate where that is less; a band that is set and
        reaches further is refused.
    noise_memory_s
        The spectrum at rest is averaged over about so much of it.
    invalid_share_max
        A segment with more samples that are not valid (rail) is not used. One that a pulse touches never is.
    contractions_min, slope_contractions_min
        Fewer are not enough evidence for the index, and for slope and quadrant.
    early, late
        Beginning and present are judged from so many contractions.
    slope_contractions
        The slope is that of the newest so many since the last pause.
    stale_s
        After so long without a contraction nothing is known of the present.
    pause_s
        After a longer pause between contractions the muscle may have recovered: the present is judged from those since.
    electrode_off_s, gap_s
        After a channel was at its rail or dead for so long, or the stream has missed so much, it is held to be another
        electrode: contractions before and after are not compared.
    """

    segment_s: float | None = None
    trim_s: float | None = None
    steady_min_s: float | None = None
    band_hz: tuple[float, float] | None = None
    noise_memory_s: float = 10.0
    invalid_share_max: float = 0.1
    contractions_min: int = 4
    slope_contractions_min: int = 5
    early: int = 8
    late: int = 12
    slope_contractions: int = 40
    stale_s: float = 90.0
    pause_s: float = 90.0
    electrode_off_s: float = 1.0
    gap_s: float = 10.0

    def __post_init__(self) -> None:
        if self.contractions_min < 3 or self.early < 3 or self.late < 3:
            raise ValueError("contractions_min, early and late must be at least 3: a line through fewer says nothing")
        if not 5 <= self.slope_contractions_min <= self.slope_contractions <= _MOST_POINTS:
            raise ValueError(
                f"slope_contractions_min is {self.slope_contractions_min} and slope_contractions "
                f"{self.slope_contractions}, allowed is 5 <= the one <= the other <= {_MOST_POINTS}: no 95 % interval "
                "can be had from fewer"
            )
        if self.segment_s is not None and not 0.1 <= self.segment_s <= 1.0:
            raise ValueError(f"segment_s is {self.segment_s}, allowed is 0.1 to 1 s")
        if self.trim_s is not None and not 0.1 <= self.trim_s <= 2.0:
            raise ValueError(f"trim_s is {self.trim_s}, allowed is 0.1 to 2 s")
        if not 0.0 <= self.invalid_share_max < 1.0:
            raise ValueError(f"invalid_share_max is {self.invalid_share_max}, allowed is 0 to below 1")
        for name in ("noise_memory_s", "stale_s", "pause_s", "electrode_off_s", "gap_s"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}, allowed is more than 0")


class ContractionSpectrum(Restorable):
    """Fatigue of each muscle by the fall of its mean frequency, 0 (fresh) to 1."""

    Settings = SpectrumSettings

    _kept: ClassVar[tuple[str, ...]] = (
        "_hops", "_clear", "_since", "_length", "_waiting", "_waiting_end", "_sum", "_segments", "_centre_ns",
        "_tried", "_invalid", "_noise", "_noise_count", "_off", "_points", "_numbers", "_carried", "_why", "_last_ns",
    )  # fmt: skip

    def __init__(self, settings: SpectrumSettings, setup: Setup) -> None:
        self._settings = settings
        self._muscles = muscles = len(setup.muscles)
        self._unfit = spectral_validity(setup.rate_hz)
        hop_s = setup.hop_s
        segment_s = 0.25 if settings.segment_s is None else settings.segment_s
        trim_s = 0.25 if settings.trim_s is None else settings.trim_s
        steady_s = (0.5 if setup.stimulated else 1.0) if settings.steady_min_s is None else settings.steady_min_s
        self._segment_hops = max(2, round(segment_s / hop_s))
        self.look_back = self._segment_hops * setup.hop_samples
        self._step_hops = max(1, self._segment_hops // 3)
        self._segments_min = max(1, round((steady_s / hop_s - self._segment_hops) / self._step_hops) + 1)
        # A contraction is noticed 100 ms after it began and 200 ms after it ended (BaselineSettings).
        self._begin_hops = max(0, round((trim_s - 0.1) / hop_s))
        self._end_hops = round((trim_s + 0.2) / hop_s)
        # So many segments can wait to be known not to have lain at the end.
        self._slots = self._end_hops // self._step_hops + 2
        self._half_ns = round(0.5 * segment_s * 1e9)
        self._off_hops = max(1, round(settings.electrode_off_s / hop_s))
        self._gap_hops = max(1, round(settings.gap_s / hop_s))
        self._noise_most = max(1, round(settings.noise_memory_s / segment_s))
        self._evidence = Evidence(
            contractions_min=settings.contractions_min,
            slope_contractions_min=settings.slope_contractions_min,
            early=settings.early,
            late=settings.late,
            slope_contractions=settings.slope_contractions,
            pause_s=settings.pause_s,
            segment_s=segment_s,
        )
        self._spectrum = Spectrum(setup.rate_hz, self.look_back, settings.band_hz)
        lines = len(self._spectrum.frequencies_hz)
        self._hops = 0
        self._clear = 0
        self._since = np.zeros(muscles, dtype=np.int64)
        self._length = np.zeros(muscles, dtype=np.int64)
        self._waiting: Floats = np.zeros((self._slots, lines, muscles))
        self._waiting_end = np.full((self._slots, muscles), -1, dtype=np.int64)
        self._sum: Floats = np.zeros((lines, muscles))
        self._segments = np.zeros(muscles, dtype=np.int64)
        self._centre_ns = np.zeros(muscles, dtype=np.int64)
        self._tried = np.zeros(muscles, dtype=np.int64)
        self._invalid: Floats = np.zeros(muscles)
        self._noise: Floats = np.zeros((lines, muscles))
        self._noise_count = np.zeros(muscles, dtype=np.int64)
        self._off = np.zeros(muscles, dtype=np.int64)
        # Per muscle: its contractions, as `Contraction` orders them.
        self._points: list[list[list[Any]]] = [[] for _ in range(muscles)]
        self._numbers = [0] * muscles
        self._carried: list[list[float]] = [[0.0, 0.0] for _ in range(muscles)]
        self._why = [""] * muscles
        self._last_ns = np.zeros(muscles, dtype=np.int64)
        self._stale: Mask = np.zeros(muscles, dtype=np.bool_)
        self._told: list[tuple[Any, ...] | None] = [None] * muscles
        self._fields: dict[str, list[Any]] | None = None

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over a saved state.

        Raises
        ------
        StateError
            If it is not the state of such an estimator.
        """
        super().restore(state)
        self._forget(range(self._muscles))

    def hear(self, heard: Heard, situation: Situation) -> None:
        """Take in one hop."""
        if self._unfit:
            return
        self._hops += 1
        self._clear = 0 if heard.blanked or heard.lost_hops else self._clear + 1
        if not heard.blanked:
            self._watch_electrodes(heard)
        began = heard.contraction_began
        if np.count_nonzero(began):
            self._begin(began)
        self._since += 1
        self._length += 1
        self._length *= heard.contracting & ~heard.spasm
        self._commit(heard)
        if np.count_nonzero(heard.contraction_ended):
            self._finish(np.flatnonzero(heard.contraction_ended))
        if self._clear >= self._segment_hops:
            due = (self._length >= self._begin_hops + self._segment_hops) & (self._since >= self._step_hops)
            if np.count_nonzero(due):
                self._segment(np.flatnonzero(due), heard)
            if self._hops % self._segment_hops == 0:
                self._learn_rest(heard)

    def step(self, situation: Situation) -> None:
        """Nothing: the spectrum is told from EMG alone."""

    def fields(self, now_ns: int) -> Mapping[str, Sequence[Any]]:
        """``fatigue_emg``, ``frequency_slope_pct_per_min``, ``jasa``; frequencies, time and number of the newest."""
        stale = now_ns - self._last_ns > self._settings.stale_s * 1e9
        if self._fields is None or np.count_nonzero(stale != self._stale):
            self._forget(np.flatnonzero(stale != self._stale).tolist())
            self._stale = stale
            self._fields = self._tell(stale.tolist())
        return self._fields

    def course(self, muscle: int) -> Course | None:
        """Slopes of one muscle since its last pause; None where there are not enough contractions."""
        return course(self.contractions(muscle), self._evidence)

    def baseline(self, muscle: int) -> Baseline | None:
        """Median and MAD of the first three contractions on this electrode; None before the third."""
        return baseline(self.contractions(muscle))

    def contractions(self, muscle: int) -> list[Contraction]:
        """The contractions that are remembered of one muscle: the first and the newest."""
        return [Contraction(*point) for point in self._points[muscle]]

    def _watch_electrodes(self, heard: Heard) -> None:
        if heard.lost_hops >= self._gap_hops:
            lost_s = heard.lost_hops * self._half_ns * 2e-9 / self._segment_hops
            self._break(list(range(self._muscles)), f"a gap of {lost_s:.0f} s in the EMG")
        unheard = heard.share_hop < _HEARD_SHARE_MIN
        if np.count_nonzero(unheard):
            self._off = np.where(unheard, self._off + 1, 0)
            gone = np.flatnonzero(self._off == self._off_hops)
            if gone.size:
                self._break(gone.tolist(), f"electrode off for {self._settings.electrode_off_s:g} s")
        elif np.count_nonzero(self._off):
            self._off[:] = 0

    def _break(self, columns: list[int], why: str) -> None:
        """Contractions from here on are not compared with those before: what is known so far is carried over."""
        gone = np.zeros(self._muscles, dtype=np.bool_)
        gone[columns] = True
        self._begin(gone)
        self._length[gone] = 0
        self._noise_count[gone] = 0
        for column in columns:
            if not self._points[column]:
                continue
            carried = Carried(*self._carried[column])
            known = change(self.contractions(column), self._evidence, carried)
            self._carried[column] = list(over_a_break(known, carried))
            self._points[column] = []
            self._why[column] = why
        self._forget(columns)

    def _begin(self, began: Mask) -> None:
        self._waiting_end[:, began] = -1
        self._sum[:, began] = 0.0
        self._segments[began] = 0
        self._centre_ns[began] = 0
        self._tried[began] = 0
        self._invalid[began] = 0.0
        self._since[began] = self._step_hops

    def _segment(self, columns: npt.NDArray[np.intp], heard: Heard) -> None:
        invalid = 1.0 - heard.recent_good[-self.look_back :, columns].mean(axis=0)
        self._since[columns] = 0
        self._tried[columns] += 1
        self._invalid[columns] += invalid
        columns = columns[invalid <= self._settings.invalid_share_max]
        if columns.size == 0:
            return
        density = self._spectrum.density(heard.recent[-self.look_back :, columns])
        slot = (self._hops // self._step_hops) % self._slots
        self._waiting[slot, :, columns] = density.T
        self._waiting_end[slot, columns] = self._hops

    def _commit(self, heard: Heard) -> None:
        """Count the segments that are by now known not to have lain at the contraction's end."""
        ripe = self._waiting_end >= 0
        if not np.count_nonzero(ripe):
            return
        ripe &= self._waiting_end <= self._hops - self._end_hops
        if not np.count_nonzero(ripe):
            return
        hop_ns = 2 * self._half_ns // self._segment_hops
        for slot, column in zip(*np.nonzero(ripe), strict=True):
            self._sum[:, column] += self._waiting[slot, :, column]
            self._segments[column] += 1
            back = self._hops - int(self._waiting_end[slot, column])
            self._centre_ns[column] += heard.t_ns - back * hop_ns - self._half_ns
        self._waiting_end[ripe] = -1

    def _learn_rest(self, heard: Heard) -> None:
        """Average the spectrum of muscles that are quiet."""
        n = self.look_back
        recent = heard.recent[-n:]
        quiet = heard.rest_known & ~heard.contracting & ~heard.spasm & heard.recent_good[-n:].all(axis=0)
        pieces = recent[n % _QUIET_PIECES :].reshape(_QUIET_PIECES, -1, self._muscles)
        loudest = np.einsum("ijk,ijk->ik", pieces, pieces).max(axis=0) / pieces.shape[1]
        quiet &= loudest < _QUIET_RATIO**2 * np.exp(2.0 * heard.rest)
        columns = np.flatnonzero(quiet)
        if columns.size == 0:
            return
        weight = 1.0 / (np.minimum(self._noise_count[columns], self._noise_most - 1) + 1.0)
        self._noise[:, columns] += weight * (self._spectrum.density(recent[:, columns]) - self._noise[:, columns])
        self._noise_count[columns] += 1

    def _finish(self, columns: npt.NDArray[np.intp]) -> None:
        self._waiting_end[:, columns] = -1
        for column in columns.tolist():
            segments = int(self._segments[column])
            if segments < self._segments_min:
                continue
            density: Array = self._sum[:, column : column + 1] / segments
            if self._noise_count[column]:
                density = subtract_noise(density, self._noise[:, column : column + 1])
            lines = self._spectrum.frequencies_hz
            mnf = float(mean_frequency_hz(lines, density)[0])
            mdf = float(median_frequency_hz(lines, density)[0])
            power = float(spectral_moment(lines, density, 0)[0])
            index = float(log_dimitrov_index(lines, density)[0])
            if not np.isfinite((mnf, mdf, power, index)).all() or power <= 0:
                continue
            t_ns = int(self._centre_ns[column]) // segments
            self._numbers[column] += 1
            points = self._points[column]
            points.append(
                list(
                    Contraction(
                        t_ns, float(np.log(mnf)), mdf, segments, self._numbers[column], 0.5 * float(np.log(power)),
                        index, float(self._invalid[column] / max(self._tried[column], 1)),
                    )
                )
            )  # fmt: skip
            if len(points) > _MOST_POINTS:
                del points[_FIRST_POINTS]
            self._last_ns[column] = t_ns
            self._segments[column] = 0
            self._forget((column,))

    def _forget(self, columns: Sequence[int]) -> None:
        """What was told of these muscles is no longer what is known."""
        for column in columns:
            self._told[column] = None
        self._fields = None

    def _tell(self, stale: list[bool]) -> dict[str, list[Any]]:
        for column, told in enumerate(self._told):
            if told is None:
                self._told[column] = self._measures(column, stale[column])
        told_of = [told for told in self._told if told is not None]
        newest = [points[-1] if points else None for points in self._points]
        return {
            "fatigue_emg": [told[0] for told in told_of],
            "frequency_slope_pct_per_min": [told[1] for told in told_of],
            "jasa": [told[2] for told in told_of],
            "median_frequency_hz": [point and point[2] for point in newest],
            "mean_frequency_hz": [point and float(np.exp(point[1])) for point in newest],
            "contraction_t_ns": [point and point[0] for point in newest],
            "contractions": list(self._numbers),
        }

    def _measures(self, column: int, stale: bool) -> tuple[Measure, Measure, str]:
        """Index, slope and quadrant of one muscle."""
        if self._unfit:
            unfit = Measure(reason=self._unfit)
            return unfit, unfit, ""
        points = self.contractions(column)
        why = self._why[column]
        known = change(points, self._evidence, Carried(*self._carried[column]))
        found = course(points, self._evidence)
        rate = slope(found, points, self._evidence)
        if isinstance(known, str):
            reason = f"{known} since {why}" if why else known
            index = Measure(reason=reason)
        elif stale:
            index = Measure(reason=f"no steady contraction for {self._settings.stale_s:g} s")
        else:
            index = fatigue_of_frequency(known.log_ratio, known.sd)
        if stale and rate.valid:
            rate, found = Measure(reason=f"no steady contraction for {self._settings.stale_s:g} s"), None
        return index, rate, found.jasa if found is not None else ""
