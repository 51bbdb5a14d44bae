"""M-waves: what each muscle answers to its own stimulation channel, and what their change says of fatigue.

Frames behind the pulses of a channel are averaged in tens and described. Two things change as the muscle tires: the
wave becomes wider, since its fibres conduct more slowly, and it changes in size. Width follows conduction velocity
whatever the muscle; size does not: it first grows with use (potentiation), then falls in some muscles and hardly in
others, while force falls in all. So width carries the term, and size counts with the spread that it has from muscle
to muscle. Neither sees what fails between the membrane and the filament. Only waves at about the charge of the first
ones are compared.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from myoloop.controllers.estimators.contractions import MAPPING_SD, VELOCITY_FALL_PER_FATIGUE
from myoloop.controllers.estimators.electrodes import ELECTRODE_OFF, ElectrodeWatch
from myoloop.controllers.estimators.estimator import Evoked, Heard, Setup, Situation
from myoloop.controllers.signals.mwave import MWaveShape, describe, on_grid, without_tail
from myoloop.controllers.signals.snapshot import Restorable
from myoloop.platform.messages import Measure, MWave

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

#: Width: an average of ten scatters about so much (standard deviation of its logarithm) even where there is no noise.
WIDTH_SCATTER = 0.01
#: Size lost at a fatigue of 1, and its spread over muscles (10 to 50 %); what potentiation may have added.
SIZE_FALL, SIZE_FALL_SD, POTENTIATION_SD = 0.3, 0.15, 0.15
#: A train is over after so long.
_TRAIN_S = 0.25
#: So many pulses in a row that are each a train of their own are too slow for averages.
_LONE = 3
#: A frame ends with the blank of the next pulse, this much before it and up to a sample earlier.
_BLANK_MS = 0.75
#: Charges are the same within this ratio.
_SAME = 0.95
#: So many averages are needed to tell the present.
_NEWEST_MIN = 2
_NO_EMG = Measure(reason="no EMG")
_OFF = Measure(reason=ELECTRODE_OFF)


@dataclass(frozen=True, slots=True, kw_only=True)
class MWaveSettings:
    """What is averaged and compared.

    Attributes
    ----------
    pulses
        So many make an average.
    begin_ms, end_ms
        Window behind the pulse.
    skip_s
        Stimulation of a channel until its M-waves count: before that they grow with use.
    first, newest
        So many averages are the beginning, and the present.
    comparable
        Averages at a charge within this share of the first ones' are compared.
    noise_ratio
        A wave whose peak to peak is below so many standard deviations of the EMG in its average is none.
    stale_s
        After so long without an average nothing is known of the present.
    silent_ms
        Nor without EMG for so long.
    gap_s
        After a gap of so long in the EMG the electrode is held to be another one.
    """

    pulses: int = 10
    begin_ms: float = 3.0
    end_ms: float = 20.0
    skip_s: float = 8.0
    first: int = 5
    newest: int = 6
    comparable: float = 0.15
    noise_ratio: float = 8.0
    stale_s: float = 90.0
    silent_ms: float = 150.0
    gap_s: float = 10.0

    def __post_init__(self) -> None:
        if not 1 <= self.pulses <= 1000:
            raise ValueError(f"mwave.pulses is {self.pulses}, allowed is 1 to 1000")
        if not 0 <= self.begin_ms < self.end_ms <= 100:
            raise ValueError(
                f"mwave.begin_ms to end_ms is {self.begin_ms:g} to {self.end_ms:g}, allowed is 0 <= begin < end <= 100"
            )
        for name in ("first", "newest"):
            if not 2 <= getattr(self, name) <= 100:
                raise ValueError(f"mwave.{name} is {getattr(self, name)}, allowed is 2 to 100")
        for name in ("skip_s", "comparable", "noise_ratio", "stale_s", "silent_ms", "gap_s"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"mwave.{name} is {getattr(self, name)}, allowed is 0 and above")


class _Course(Restorable):
    """The averages of one muscle on one stimulation channel: ln width, ln size."""

    _kept: ClassVar[tuple[str, ...]] = ("first", "newest", "charge_uc", "reason", "t_ns", "carried", "why")

    def __init__(self) -> None:
        self.first: list[list[float]] = []
        self.newest: list[list[float]] = []
        #: Of the first averages.
        self.charge_uc = 0.0
        #: Why the newest average does not count; empty where it does.
        self.reason = ""
        self.t_ns = 0
        #: Fatigue and its standard deviation when the electrode was last lost, and how it was.
        self.carried = [0.0, 0.0]
        self.why = ""


class MWaves(Restorable):
    """``mwave`` and ``fatigue_mwave`` of each muscle."""

    Settings = MWaveSettings

    _kept: ClassVar[tuple[str, ...]] = (
        "_sum", "_squares", "_count", "_clipped", "_on_s", "_newest_ns", "_charges", "_shown", "_told", "_told_ns",
        "_electrodes", "_heard_ns", "_lone",
    )  # fmt: skip

    def __init__(self, settings: MWaveSettings, setup: Setup) -> None:
        self._settings = settings
        self._channels = tuple(sorted({name for names in setup.channels for name in names}))
        drives = setup.channels or ((),) * len(setup.muscles)
        self._drives = [[name in names for names in drives] for name in self._channels]
        self._step_ms = 1e3 / setup.rate_hz
        self._begin = math.ceil(settings.begin_ms / self._step_ms)
        self._rows = math.floor(settings.end_ms / self._step_ms) + 1
        if self._rows - self._begin < 5:
            raise ValueError(
                f"mwave.begin_ms to end_ms is {settings.begin_ms:g} to {settings.end_ms:g}, "
                f"allowed is at least 5 samples, {5 * self._step_ms:g} ms"
            )
        muscles, channels = len(setup.muscles), len(self._channels)
        self._sum: Floats = np.zeros((channels, self._rows, muscles))
        self._squares: Floats = np.zeros((channels, muscles))
        self._count = np.zeros((channels, muscles), dtype=np.int64)
        self._clipped = np.zeros((channels, muscles), dtype=np.bool_)
        #: Stimulation of each channel so far, and its newest pulse.
        self._on_s: Floats = np.zeros(channels)
        self._newest_ns = np.zeros(channels, dtype=np.int64)
        #: Pulses in a row that stand alone.
        self._lone = np.zeros(channels, dtype=np.int64)
        #: Least and largest charge of the pulses of the running average, per channel.
        self._charges: Floats = np.zeros((channels, 2))
        self._courses = [[_Course() for _ in range(muscles)] for _ in range(channels)]
        self._driven_by: Mask = np.array(self._drives, dtype=np.bool_).reshape(channels, muscles)
        why = "no stimulation channel drives this muscle"
        self._driven = driven = [any(row[muscle] for row in self._drives) for muscle in range(muscles)]
        #: Per muscle: fields of the newest MWave, empty before the first.
        self._shown: list[list[Any]] = [[] for _ in range(muscles)]
        #: Per muscle: value, low, high, reason.
        self._told: list[list[Any]] = [[None, None, None, "no pulse yet" if each else why] for each in driven]
        self._told_ns = [0] * muscles
        self._fields: dict[str, Sequence[Any]] | None = None
        self._stale_ns = round(settings.stale_s * 1e9)
        self._old: list[bool] = [False] * muscles
        self._electrodes = ElectrodeWatch(muscles, setup.hop_s)
        self._gap_hops = max(1, round(settings.gap_s / setup.hop_s))
        self._hop_s = setup.hop_s
        self._heard_ns: int | None = None
        self._silent_ns = round(settings.silent_ms * 1e6)
        self._silent = False

    def state(self) -> dict[str, Any]:
        """What a restored object needs to go on bit for bit: JSON-ready."""
        return {**super().state(), "courses": [[each.state() for each in row] for row in self._courses]}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over a saved state."""
        rest = dict(state)
        courses = rest.pop("courses")
        super().restore(rest)
        for row, saved in zip(self._courses, courses, strict=True):
            for course, each in zip(row, saved, strict=True):
                course.restore(each)
        self._fields = None

    def hear(self, heard: Heard, situation: Situation) -> None:
        """Take in the frames of one hop."""
        self._heard_ns = heard.t_ns
        if heard.lost_hops >= self._gap_hops:
            everybody = range(len(self._shown))
            self._break(everybody, f"a gap of {heard.lost_hops * self._hop_s:.0f} s in the EMG")
        changed = self._electrodes.hear(heard)
        if changed.size:
            off = self._electrodes.off
            self._break([muscle for muscle in changed.tolist() if off[muscle]], ELECTRODE_OFF)
        waves: dict[int, tuple[Floats, Mask]] = {}
        for evoked in heard.evoked:
            self._frame(evoked, heard.spasm, situation, waves)

    def step(self, situation: Situation) -> None:
        """Nothing: M-waves are told from EMG and the current."""

    def fields(self, now_ns: int) -> Mapping[str, Sequence[Any]]:
        """``mwave`` and ``fatigue_mwave``; the same lists until something new is known."""
        old = [told > 0 and now_ns - told > self._stale_ns for told in self._told_ns]
        silent = self._heard_ns is not None and now_ns - self._heard_ns > self._silent_ns
        if self._fields is None or old != self._old or silent != self._silent:
            self._old, self._silent = old, silent
            stale = Measure(reason=f"no M-wave for {self._settings.stale_s:g} s")
            self._fields = {
                "mwave": [_wave(row) for row in self._shown],
                "fatigue_mwave": [
                    self._of_now(muscle, stale if gone else _measure(row))
                    for muscle, (row, gone) in enumerate(zip(self._told, old, strict=True))
                ],
            }
        return self._fields

    def _of_now(self, muscle: int, told: Measure) -> Measure:
        """What was told, unless the muscle is not heard at all."""
        if not self._driven[muscle]:
            return told
        if self._silent:
            return _NO_EMG
        return _OFF if self._electrodes.off[muscle] else told

    def _break(self, muscles: Iterable[int], why: str) -> None:
        """M-waves from here on are not compared with those before: what they said is carried over."""
        self._fields = None
        for muscle in muscles:
            for channel, row in enumerate(self._courses):
                if not self._drives[channel][muscle]:
                    continue
                self._begin_average(channel)
                course = row[muscle]
                if not course.first:
                    continue
                if len(course.newest) >= _NEWEST_MIN:
                    course.carried = list(self._fatigue(course))
                course.first, course.newest, course.charge_uc = [], [], 0.0
                course.why = why
                self._told[muscle] = [None, None, None, f"not enough evidence: no averages of M-waves since {why}"]

    def _frame(self, evoked: Evoked, spasm: Mask, situation: Situation, waves: dict[int, tuple[Floats, Mask]]) -> None:
        """Take in a frame; `waves` holds what was made of the frames of this hop, which several channels may share."""
        name = evoked.channel
        if not name and len(self._channels) == 1:
            name = self._channels[0]
        if name not in self._channels:
            return
        channel = self._channels.index(name)
        gap_s = (evoked.t_ns - int(self._newest_ns[channel])) * 1e-9
        self._newest_ns[channel] = evoked.t_ns
        if 0.0 < gap_s < _TRAIN_S:
            self._on_s[channel] += gap_s
            self._lone[channel] = 0
        else:
            self._begin_average(channel)
            self._lone[channel] += 1
            if self._lone[channel] >= _LONE:
                self._refuse(channel, f"fewer than {1.0 / _TRAIN_S:g} pulses/s: too few for an average", unknown=True)
        if evoked.since_ms[-1] < self._settings.end_ms - _BLANK_MS - self._step_ms:
            until_ms = float(evoked.since_ms[-1])
            why = f"the next pulse comes {until_ms:.3g} ms later, within the M-wave's {self._settings.end_ms:g} ms"
            self._refuse(channel, why)
            return
        charge_uc = _charge_uc(name, situation)
        low, high = self._charges[channel].tolist()
        if not self._count[channel].any():
            low = high = charge_uc
        elif not _SAME * high <= charge_uc <= low / _SAME:
            # Of waves at different currents no mean is made.
            self._begin_average(channel)
            self._refuse(channel, "not enough evidence: the current changes from pulse to pulse", first=True)
            low = high = charge_uc
        self._charges[channel] = min(low, charge_uc), max(high, charge_uc)
        if id(evoked.frame_uv) not in waves:
            waves[id(evoked.frame_uv)] = self._wave(evoked)
        wave, clipped = waves[id(evoked.frame_uv)]
        free = ~spasm if len(spasm) else np.ones(wave.shape[1], dtype=np.bool_)
        self._sum[channel] += wave * free
        self._squares[channel] += np.einsum("ij,ij->j", wave[self._begin :], wave[self._begin :]) * free
        self._count[channel] += free
        self._clipped[channel] |= clipped
        done = (self._count[channel] >= self._settings.pulses) & self._driven_by[channel]
        if np.count_nonzero(done):
            for muscle in np.flatnonzero(done).tolist():
                self._average(channel, muscle, evoked.t_ns, float(self._charges[channel].mean()))
            if situation.phase is not None and situation.phase.kind == "calibration":
                self._show_others(channel, evoked.t_ns)
            self._begin_average(channel)

    def _wave(self, evoked: Evoked) -> tuple[Floats, Mask]:
        """A frame on the grid, and whose window has a sample that is not valid."""
        wave = on_grid(evoked.frame_uv, evoked.since_ms, self._step_ms, self._rows)
        begin = evoked.since_ms.searchsorted(self._settings.begin_ms)
        end = evoked.since_ms.searchsorted(self._settings.end_ms, side="right")
        clipped: Mask = ~np.logical_and.reduce(evoked.good[begin:end], axis=0)
        return wave, clipped

    def _begin_average(self, channel: int) -> None:
        self._sum[channel] = 0.0
        self._squares[channel] = 0.0
        self._count[channel] = 0
        self._clipped[channel] = False
        self._charges[channel] = 0.0

    def _refuse(self, channel: int, why: str, first: bool = False, unknown: bool = False) -> None:
        """Say why there is nothing; `first`: only where nothing has been yet, `unknown`: where nothing is known."""
        for muscle, drives in enumerate(self._drives[channel]):
            if drives and self._told[muscle][3] != why and not (first and self._told_ns[muscle]):
                if unknown and not self._told[muscle][3]:
                    continue
                self._told[muscle] = [None, None, None, why]
                self._fields = None

    def _show_others(self, channel: int, t_ns: int) -> None:
        """While thresholds are sought, what other muscles answer to this channel: is the right one stimulated?"""
        others = (self._count[channel] >= self._settings.pulses) & ~self._driven_by[channel]
        for muscle in np.flatnonzero(others).tolist():
            self._describe(channel, muscle, t_ns)

    def _average(self, channel: int, muscle: int, t_ns: int, charge_uc: float) -> None:
        shape, stands, clipped = self._describe(channel, muscle, t_ns)
        course = self._courses[channel][muscle]
        course.t_ns = t_ns
        course.reason = self._why_not(course, stands, clipped, charge_uc, float(self._on_s[channel]))
        if not course.reason:
            self._take_in(course, shape, charge_uc)
        self._told_ns[muscle] = t_ns
        self._told[muscle] = self._judge(course)

    def _describe(self, channel: int, muscle: int, t_ns: int) -> tuple[MWaveShape, bool, bool]:
        """The average's shape, whether it stands out of the EMG, and whether the amplifier was at its rail; shown."""
        count = int(self._count[channel, muscle])
        mean = self._sum[channel, :, muscle] / count
        wave = mean[self._begin :]
        # What the single frames scatter about their mean is the EMG's.
        spread = max(float(self._squares[channel, muscle]) / count - float(wave @ wave), 0.0) / len(wave)
        wave = without_tail(wave, self._step_ms)
        shape = describe(wave, self._begin * self._step_ms, self._step_ms)
        noise_uv = math.sqrt(spread / count)
        clipped = bool(self._clipped[channel, muscle])
        self._fields = None
        stands = shape.peak_to_peak_uv > self._settings.noise_ratio * noise_uv
        if stands:
            self._shown[muscle] = [
                t_ns, count, self._channels[channel], shape.peak_to_peak_uv, shape.rectified_area_uv_ms,
                shape.first_phase_uv_ms, shape.second_phase_uv_ms, shape.duration_ms, shape.latency_ms, clipped,
            ]  # fmt: skip
        return shape, stands, clipped

    def _why_not(self, course: _Course, stands: bool, clipped: bool, charge_uc: float, on_s: float) -> str:
        settings = self._settings
        if not stands:
            return "no M-wave stands out of the EMG"
        if clipped:
            return "the amplifier was at its rail within the M-wave"
        if on_s < settings.skip_s:
            return f"not enough evidence: M-waves still grow in the first {settings.skip_s:g} s of stimulation"
        if not charge_uc > 0:
            return "the current of the pulses is not known"
        if course.first and abs(charge_uc / course.charge_uc - 1.0) > settings.comparable:
            return "the current is not comparable with that of the first M-waves"
        return ""

    def _take_in(self, course: _Course, shape: MWaveShape, charge_uc: float) -> None:
        row = [math.log(shape.duration_ms), math.log(shape.peak_to_peak_uv)]
        if len(course.first) < self._settings.first:
            course.first.append(row)
            course.charge_uc += (charge_uc - course.charge_uc) / len(course.first)
        else:
            course.newest = [*course.newest, row][-self._settings.newest :]

    def _judge(self, course: _Course) -> list[Any]:
        if course.reason:
            return [None, None, None, course.reason]
        need = self._settings.first + _NEWEST_MIN
        have = len(course.first) + len(course.newest)
        if have < need:
            since = f" since {course.why}" if course.why else ""
            return [None, None, None, f"not enough evidence: {have} of {need} averages of M-waves{since}"]
        fatigue, sd = self._fatigue(course)
        spread = 1.96 * sd
        # How much of what was carried over the muscle has recovered meanwhile is not known.
        low = fatigue - spread - max(course.carried[0], 0.0)
        return [min(max(fatigue, 0.0), 1.0), low, fatigue + spread, ""]

    @staticmethod
    def _fatigue(course: _Course) -> tuple[float, float]:
        """Fatigue and its standard deviation, with what was carried over."""
        fatigue, sd = fatigue_of_mwaves(np.array(course.first), np.array(course.newest))
        return course.carried[0] + fatigue, math.hypot(course.carried[1], sd)


def fatigue_of_mwaves(first: Floats, newest: Floats) -> tuple[float, float]:
    """Fatigue and its standard deviation from (n, 2) rows of ln width and ln size, at the beginning and now.

    Width gives relative conduction velocity, which falls by `VELOCITY_FALL_PER_FATIGUE`; size falls by `SIZE_FALL`
    with a spread of `SIZE_FALL_SD` over muscles. Both are weighed by the inverse of their variances, widened where
    they disagree.
    """
    change = newest.mean(axis=0) - first.mean(axis=0)
    scatter = np.maximum(np.stack([first.std(axis=0, ddof=1), newest.std(axis=0, ddof=1)]).max(axis=0), WIDTH_SCATTER)
    sd = scatter * math.sqrt(1.0 / len(first) + 1.0 / len(newest))
    velocity, size = math.exp(-float(change[0])), math.exp(float(change[1]))
    by_width = (1.0 - velocity) / VELOCITY_FALL_PER_FATIGUE
    width_sd = math.hypot(velocity * float(sd[0]) / VELOCITY_FALL_PER_FATIGUE, 2.0 * MAPPING_SD * by_width)
    width_sd = math.hypot(width_sd, 0.05)
    by_size = (1.0 - size) / SIZE_FALL
    size_sd = math.hypot(size * float(sd[1]), POTENTIATION_SD) / SIZE_FALL
    size_sd = math.hypot(size_sd, SIZE_FALL_SD / SIZE_FALL * by_size)
    weights = 1.0 / width_sd**2, 1.0 / size_sd**2
    total = weights[0] + weights[1]
    fatigue = (weights[0] * by_width + weights[1] * by_size) / total
    apart = weights[0] * (by_width - fatigue) ** 2 + weights[1] * (by_size - fatigue) ** 2
    return fatigue, math.sqrt(max(1.0, apart) / total)


def _charge_uc(channel: str, situation: Situation) -> float:
    """Of a pulse's phase, as the stimulator was last allowed to give; 0 where that is not known."""
    if situation.report is None:
        return 0.0
    for item in situation.report.allowed:
        if item.channel == channel:
            return item.current_ma * item.phase_us * 1e-3
    return 0.0


def _wave(row: Sequence[Any]) -> MWave | None:
    if not row:
        return None
    return MWave(
        t_ns=row[0], pulses=row[1], channel=row[2], peak_to_peak_uv=row[3], rectified_area_uv_ms=row[4],
        first_phase_uv_ms=row[5], second_phase_uv_ms=row[6], duration_ms=row[7], latency_ms=row[8], clipped=row[9],
    )  # fmt: skip


def _measure(row: Sequence[Any]) -> Measure:
    value, low, high, reason = row
    return Measure(value=value, low=low, high=high, valid=not reason, reason=reason)
