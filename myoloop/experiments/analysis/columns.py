"""What a long session says a hundred times a second, kept as columns of numbers: as messages it would fill the memory.

Ninety minutes of two muscles are half a million estimates, each with a dozen measures; as arrays they take a tenth of
the room.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from operator import attrgetter

import numpy as np

from myoloop.experiments.analysis.tracks import BeatTrack, Floats, MeasureTrack, floats
from myoloop.platform.messages import Estimate, Heartbeat, Measure, MuscleEstimate, Step, StimRequest

_NAN = float("nan")
#: Measures of a muscle, by their names in :class:`~myoloop.platform.messages.MuscleEstimate`.
MUSCLE_MEASURES = (
    "fatigue", "fatigue_emg", "fatigue_mwave", "fatigue_mechanical", "spasm", "effort", "response", "cocontraction",
    "frequency_slope_pct_per_min", "flexion_relaxation",
)  # fmt: skip
#: Measures of the joint, by their names in :class:`~myoloop.platform.messages.MotionEstimate`.
MOTION_MEASURES = ("angle_rad", "inclination_rad", "tremor_frequency_hz", "tremor_rad_s")

_measures_of = attrgetter(*MUSCLE_MEASURES)


def numbers(values: array[float] | array[int]) -> Floats:
    """A column as an array of floats."""
    return np.array(values, np.float64)


def seconds(t_ns: array[int], zero_ns: int) -> Floats:
    """Host times in seconds of the session."""
    return np.asarray((np.array(t_ns, np.int64) - zero_ns) * 1e-9, np.float64)


class MeasureColumn:
    """One estimated quantity over time, as it was told; what is told again is counted, not kept again."""

    __slots__ = ("_last", "_times", "_told")

    def __init__(self) -> None:
        self._told: list[Measure] = []
        self._times = array("q")
        self._last: Measure | None = None

    def add(self, told: Measure) -> None:
        """Take in the next one."""
        if told == self._last:
            self._times[-1] += 1
        else:
            self._told.append(told)
            self._times.append(1)
            self._last = told

    def track(self) -> MeasureTrack:
        """As arrays; of the reasons, how many estimates were not valid by each."""
        times = np.array(self._times, np.int64)
        index: dict[str, int] = {"": 0}
        # Reasons are a handful of sentences; whatever has more than a column can number shares the last.
        codes = [index.setdefault(told.reason, min(len(index), 0xFFFF)) for told in self._told]
        valid = np.repeat(np.array([told.valid for told in self._told], np.bool_), times)
        reason = np.repeat(np.array(codes, np.uint16), times)
        value, low, high = (
            np.repeat(floats(each), times)
            for each in ([m.value for m in self._told], [m.low for m in self._told], [m.high for m in self._told])
        )
        names = tuple(index)[: 0xFFFF + 1]
        why = np.bincount(reason[~valid], minlength=len(names))
        counts = {name: int(count) for name, count in zip(names, why, strict=True) if count}
        return MeasureTrack(value, low, high, valid, counts, reason, names)


class MuscleColumns:
    """The estimates of one muscle.

    Attributes
    ----------
    t_ns, step
        Of each estimate.
    level_uv, clonus_hz, onset_ns
        RMS, rhythm of the clonus that is on, onset of the burst that is on; NaN, NaN and -1 where there is none.
    measures
        By the names in `MUSCLE_MEASURES`.
    """

    __slots__ = ("_adds", "clonus_hz", "level_uv", "measures", "onset_ns", "step", "t_ns")

    def __init__(self) -> None:
        self.t_ns, self.step, self.onset_ns = array("q"), array("q"), array("q")
        self.level_uv, self.clonus_hz = array("d"), array("d")
        self.measures = {name: MeasureColumn() for name in MUSCLE_MEASURES}
        self._adds = tuple(column.add for column in self.measures.values())

    def add(self, estimate: Estimate, muscle: MuscleEstimate) -> None:
        """Take in the next one."""
        self.t_ns.append(estimate.t_ns)
        self.step.append(estimate.step)
        self.onset_ns.append(-1 if muscle.spasm_onset_ns is None else muscle.spasm_onset_ns)
        self.level_uv.append(_NAN if muscle.level_uv is None else muscle.level_uv)
        self.clonus_hz.append(_NAN if muscle.clonus_frequency_hz is None else muscle.clonus_frequency_hz)
        for add, told in zip(self._adds, _measures_of(muscle), strict=True):
            add(told)


class EstimateColumns:
    """Every estimate of a session.

    Attributes
    ----------
    muscles
        By muscle.
    motion_t_ns, motion
        Of the estimates of the joint: when, and by the names in `MOTION_MEASURES`.
    first_ns, last_ns
        Times of the first and last estimate in the file; None without any.
    """

    def __init__(self) -> None:
        self.muscles: dict[str, MuscleColumns] = {}
        self.motion_t_ns = array("q")
        self.motion = {name: MeasureColumn() for name in MOTION_MEASURES}
        self.first_ns: int | None = None
        self.last_ns: int | None = None

    def add(self, estimate: Estimate) -> None:
        """Take in the next one."""
        if self.first_ns is None:
            self.first_ns = estimate.t_ns
        self.last_ns = estimate.t_ns
        for muscle in estimate.muscles:
            columns = self.muscles.get(muscle.muscle)
            if columns is None:
                columns = self.muscles[muscle.muscle] = MuscleColumns()
            columns.add(estimate, muscle)
        if estimate.motion is not None:
            self.motion_t_ns.append(estimate.t_ns)
            for name, column in self.motion.items():
                column.add(getattr(estimate.motion, name))


class BeatColumns:
    """The heartbeats of one node."""

    __slots__ = ("_columns", "_t_ns")

    def __init__(self) -> None:
        self._t_ns = array("q")
        self._columns = (array("d"), array("d"), array("d"))

    def add(self, beat: Heartbeat) -> None:
        """Take in the next one."""
        self._t_ns.append(beat.t_ns)
        for column, value in zip(self._columns, (beat.cycle_ms, beat.cycle_mean_ms, beat.cycle_worst_ms), strict=True):
            column.append(value)

    def track(self, zero_ns: int) -> BeatTrack:
        """As arrays."""
        return BeatTrack(seconds(self._t_ns, zero_ns), *(numbers(column) for column in self._columns))


class RequestColumns:
    """Every request, and which message it was."""

    def __init__(self) -> None:
        self._sources: dict[tuple[str, int], int] = {}
        self.source, self.seq, self.step, self.t_ns = array("q"), array("q"), array("q"), array("q")

    def __len__(self) -> int:
        return len(self.seq)

    def add(self, publisher: str, epoch: int, seq: int, request: StimRequest) -> None:
        """Take in the next one."""
        self.source.append(self._sources.setdefault((publisher, epoch), len(self._sources)))
        self.seq.append(seq)
        self.step.append(request.step)
        self.t_ns.append(request.t_ns)

    def by_reference(self) -> Mapping[tuple[str, int, int], int]:
        """When each was made, by (publisher, epoch, seq)."""
        named = {number: source for source, number in self._sources.items()}
        return {(*named[source], seq): t_ns for source, seq, t_ns in zip(self.source, self.seq, self.t_ns, strict=True)}


class ConsumedColumns:
    """Which blocks of EMG each step of the controller consumed."""

    def __init__(self) -> None:
        self.sources: dict[tuple[str, str, int], int] = {}
        self.number = array("q")
        #: One row per block that a step consumed: which step (its place in `number`), whose, which.
        self.of, self.source, self.seq = array("q"), array("q"), array("q")

    def add(self, step: Step) -> None:
        """Take in the next one."""
        for topic, publisher, epoch, seq in step.inputs:
            if topic.startswith("emg/"):
                self.of.append(len(self.number))
                self.source.append(self.sources.setdefault((topic, publisher, epoch), len(self.sources)))
                self.seq.append(seq)
        self.number.append(step.number)
