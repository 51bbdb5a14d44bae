"""One walk through a recording, and the tracks made of what it found."""

from __future__ import annotations

import gc
import json
import math
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from myoloop.experiments.analysis import bursts
from myoloop.experiments.analysis.columns import (
    BeatColumns,
    ConsumedColumns,
    EstimateColumns,
    MuscleColumns,
    RequestColumns,
    numbers,
    seconds,
)
from myoloop.experiments.analysis.tracks import (
    EventRow,
    Floats,
    Interval,
    JointTrack,
    MuscleSite,
    MuscleTrack,
    PulseTrack,
    SampleTrack,
    Truths,
)
from myoloop.platform import wire
from myoloop.platform.messages import (
    Command,
    Estimate,
    Event,
    Gap,
    Heartbeat,
    Phase,
    Pulses,
    Samples,
    Start,
    Step,
    StimReport,
    StimRequest,
    Trial,
    Truth,
)
from myoloop.platform.recording.layout import RecordingError
from myoloop.platform.recording.numbering import Numbering
from myoloop.platform.recording.samples import SampleJoin, SampleRecord
from myoloop.platform.recording.seek import SeekableRecording
from myoloop.platform.steps import Received

#: Streams that no analysis needs message by message.
_NOT_READ = frozenset({"vital", "chain", "clock", "answer", "device", "stop"})


@dataclass(slots=True)
class Gathered:
    """What was found, in file order, times still in ns.

    Attributes
    ----------
    steps
        Which EMG the controller's steps consumed.
    """

    joins: dict[str, SampleJoin] = field(default_factory=dict)
    starts: dict[str, Start] = field(default_factory=dict)
    phases: list[Phase] = field(default_factory=list)
    estimates: EstimateColumns = field(default_factory=EstimateColumns)
    requests: RequestColumns = field(default_factory=RequestColumns)
    reports: list[StimReport] = field(default_factory=list)
    pulses: list[Pulses] = field(default_factory=list)
    trials: list[Trial] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    told_gaps: list[tuple[Gap, str]] = field(default_factory=list)
    envelopes: list[Mapping[str, Any]] = field(default_factory=list)
    beats: dict[str, BeatColumns] = field(default_factory=dict)
    truths: dict[str, list[Truth]] = field(default_factory=dict)
    steps: ConsumedColumns = field(default_factory=ConsumedColumns)
    records: dict[str, SampleRecord] = field(default_factory=dict)
    zero_ns: int = 0
    end_s: float = 0.0
    _numbers: dict[tuple[str, str, int], Numbering] = field(default_factory=dict)
    _sorted: dict[type, Callable[[Any], None]] = field(init=False)

    @property
    def missing(self) -> dict[str, int]:
        """By topic, messages that are absent by their numbers."""
        told: dict[str, int] = {}
        for (topic, _, _), numbering in self._numbers.items():
            if numbering.missing:
                told[topic] = told.get(topic, 0) + numbering.missing
        return told

    def seconds(self, t_ns: int | None) -> float:
        """On the session's time base; NaN for None."""
        return float("nan") if t_ns is None else (t_ns - self.zero_ns) * 1e-9

    def is_controller(self, name: str) -> bool:
        """Whether an object of this name has said that it is the controller."""
        start = self.starts.get("controller")
        return start is not None and start.object == name

    def event_rows(self) -> tuple[EventRow, ...]:
        """Events in order of time."""
        rows = [EventRow(self.seconds(e.t_ns), e.kind, e.who, e.why, e.values) for e in self.events]
        return tuple(sorted(rows, key=lambda row: row.t_s))

    def trial_times(self) -> Iterator[tuple[float, float | None, float]]:
        """Begin, trigger and end of each trial."""
        for trial in self.trials:
            trigger = None if trial.trigger_ns is None else self.seconds(trial.trigger_ns)
            yield self.seconds(trial.begin_ns), trigger, self.seconds(trial.end_ns)

    def take(self, received: Received, log_time_ns: int) -> None:
        """Sort in one message."""
        topic, publisher, epoch, seq = received.reference
        key = (topic, publisher, epoch)
        numbering = self._numbers.get(key)
        if numbering is None:
            numbering = self._numbers[key] = Numbering()
        numbering.see(seq)
        message = received.message
        kind = type(message)
        if kind is Samples:
            self.joins[topic].add(received, log_time_ns)
        elif kind in self._sorted:
            self._sorted[kind](message)
        elif isinstance(message, StimRequest):
            self.requests.add(publisher, epoch, seq, message)
        elif isinstance(message, Truth):
            self.truths.setdefault(topic.removeprefix("truth/"), []).append(message)
        elif isinstance(message, Start):
            self.starts.setdefault(message.kind, message)
        elif isinstance(message, Gap):
            self.told_gaps.append((message, publisher))
        elif isinstance(message, Command) and message.kind == "set_envelope":
            self.envelopes.append(message.arguments)

    def __post_init__(self) -> None:
        self._sorted = {
            Estimate: self.estimates.add,
            Step: self.steps.add,
            Heartbeat: self._beat,
            StimReport: self._report,
            Phase: self.phases.append,
            Pulses: self.pulses.append,
            Trial: self.trials.append,
            Event: self.events.append,
        }

    def _beat(self, beat: Heartbeat) -> None:
        beats = self.beats.get(beat.node)
        if beats is None:
            beats = self.beats[beat.node] = BeatColumns()
        beats.add(beat)

    def _report(self, report: StimReport) -> None:
        """Keep a report; what it repeats of the one before is kept once."""
        if self.reports:
            last = self.reports[-1]
            for name in ("requested", "allowed", "acknowledged", "reasons", "dose"):
                before = getattr(last, name)
                if before == getattr(report, name):
                    msgspec.structs.force_setattr(report, name, before)
        self.reports.append(report)


def gather(recording: SeekableRecording, names: Collection[str] | None = None) -> Gathered:
    """Walk through a recording once.

    Parameters
    ----------
    names
        Streams that are wanted (``phase``, ``estimate``, …); None: all that any analysis needs.

    Raises
    ------
    RecordingError
        Where it cannot be read.
    """
    got = Gathered(
        joins={
            topic: SampleJoin(each)
            for topic, each in recording.descriptors.items()
            if names is None or topic.partition("/")[0] in names
        }
    )
    wanted = {topic for topic in recording.topics() if _is_wanted(topic.partition("/")[0], names)}
    with _without_collection():
        for topic, record, log_time_ns in recording.records(wanted):
            # An object's start stands before its steps; only the controller's are asked for what they consumed.
            if topic.startswith("step/") and not got.is_controller(topic.removeprefix("step/")):
                continue
            try:
                head, message, array = wire.read_record(topic, record)
            except wire.WireError as error:
                raise RecordingError(f"{recording.path}: a message on {topic} at {log_time_ns} ns: {error}") from None
            got.take(Received(topic, head.publisher, head.epoch, head.seq, message, array), log_time_ns)
    got.records = {topic: got.joins.pop(topic).record() for topic in list(got.joins)}
    got.zero_ns = _zero_ns(got)
    stamps = [int(record.t_ns[-1]) for record in got.records.values() if len(record.t_ns)]
    stamps += [rows[-1].t_ns for rows in (got.phases, got.reports) if rows]
    stamps += [got.estimates.last_ns] if got.estimates.last_ns is not None else []
    got.end_s = max((got.seconds(t_ns) for t_ns in stamps), default=0.0)
    return got


def _is_wanted(name: str, names: Collection[str] | None) -> bool:
    return name not in _NOT_READ if names is None else name in names


def settings_of(got: Gathered) -> dict[str, dict[str, Any]]:
    """Settings of each kind of object, as plain data; what is not JSON is left out."""
    settings = {}
    for kind, start in got.starts.items():
        try:
            value = json.loads(start.settings)
        except ValueError:
            continue
        if isinstance(value, dict):
            settings[kind] = value
    return settings


def sample_tracks(got: Gathered) -> dict[str, SampleTrack]:
    """Sample streams with a time for each sample."""
    tracks = {}
    for topic, record in got.records.items():
        sizes = np.diff(np.append(record.row, len(record.counts)))
        period_ns = 1e9 / record.descriptor.rate_hz
        # From the end of its block: 0 for the newest sample, and back at the nominal rate.
        before = np.repeat(record.row + sizes - 1, sizes) - np.arange(len(record.counts))
        t_ns = np.repeat((record.t_ns - got.zero_ns).astype(np.float64), sizes) - before * period_ns
        tracks[topic] = SampleTrack(record, t_ns * 1e-9)
    return tracks


def muscle_sites(
    settings: Mapping[str, Mapping[str, Any]], samples: Mapping[str, SampleTrack]
) -> tuple[MuscleSite, ...]:
    """Where the controller heard each muscle, and what stimulated it; the EMG channels themselves where none did."""
    controller = settings.get("controller", {})
    sites = []
    for each in controller.get("muscles", ()):
        track = samples.get(each["topic"])
        if track is None:
            continue
        name = track.record.descriptor.channels[each["column"]]
        by = tuple(out["channel"] for out in controller.get("stim", ()) if out.get("muscle") == each["muscle"])
        sites.append(MuscleSite(each["muscle"], each["topic"], name, by))
    if sites:
        return tuple(sites)
    return tuple(
        MuscleSite(name, topic, name, ())
        for topic, track in samples.items()
        if topic.startswith("emg/")
        for name, unit in zip(track.record.descriptor.channels, track.record.descriptor.units, strict=True)
        if unit == "V"
    )


def muscle_tracks(got: Gathered) -> dict[str, MuscleTrack]:
    """Estimates by muscle."""
    return {name: _muscle_track(got, told) for name, told in got.estimates.muscles.items()}


def _muscle_track(got: Gathered, told: MuscleColumns) -> MuscleTrack:
    t_s = seconds(told.t_ns, got.zero_ns)
    found = {name: column.track() for name, column in told.measures.items()}
    spasm = (None if math.isnan(value) else value for value in found["spasm"].value.tolist())
    onsets = (None if onset_ns < 0 else got.seconds(onset_ns) for onset_ns in told.onset_ns)
    return MuscleTrack(
        t_s=t_s,
        level_uv=numbers(told.level_uv),
        fatigue=found["fatigue"],
        terms={
            "voluntary EMG": found["fatigue_emg"],
            "M-wave": found["fatigue_mwave"],
            "mechanical": found["fatigue_mechanical"],
        },
        spasm=found["spasm"],
        effort=found["effort"],
        response=found["response"],
        cocontraction=found["cocontraction"],
        clonus_hz=numbers(told.clonus_hz),
        slope_pct_per_min=found["frequency_slope_pct_per_min"],
        spasms=bursts.detected(zip(t_s.tolist(), spasm, onsets, strict=True)),
    )


def joint_track(got: Gathered) -> JointTrack:
    """Angle of the joint, where there is an IMU."""
    t_s = seconds(got.estimates.motion_t_ns, got.zero_ns)
    return JointTrack(t_s, got.estimates.motion["angle_rad"].track())


def pulse_tracks(got: Gathered) -> dict[str, PulseTrack]:
    """Pulses by channel, as the stimulator's node told of them."""
    rows: dict[str, list[tuple[float, float, float, str, float]]] = {}
    for told in got.pulses:
        uncertainty_s = told.uncertainty_ns * 1e-9
        rows.setdefault(told.channel, []).extend(
            (got.seconds(t_ns), told.current_ma, told.phase_us, told.kind, uncertainty_s) for t_ns in told.t_ns
        )
    return {channel: _pulses(pulses) for channel, pulses in rows.items()}


def truths(got: Gathered) -> Truths:
    """What the virtual subject said of itself."""
    pulses: dict[str, list[tuple[float, float, float, str, float]]] = {}
    for truth in got.truths.get("pulse", ()):
        values = truth.values
        channel = values.get("channel")
        name = str(channel) if channel is not None else f"output {values.get('output')}"
        current_ma, phase_us = _number(values.get("current_ma")), _number(values.get("phase_us"))
        pulses.setdefault(name, []).extend(
            (got.seconds(t_ns), current_ma, phase_us, "ledger", 0.0) for t_ns in truth.pulses_ns
        )
    spasms: dict[str, dict[int, Interval]] = {}
    for truth in got.truths.get("spasm", ()):
        onset_ns, end_ns = truth.values.get("onset_ns"), truth.values.get("end_ns")
        if isinstance(onset_ns, int):
            end_s = got.seconds(end_ns) if isinstance(end_ns, int) else None
            muscle = spasms.setdefault(str(truth.values.get("muscle")), {})
            # A spasm is told of twice: when it begins, and with its end when it is over.
            if end_s is not None or onset_ns not in muscle:
                muscle[onset_ns] = Interval(got.seconds(onset_ns), end_s)
    return Truths(
        fatigue=_by_muscle(got, "fatigue"),
        force_n=_by_muscle(got, "force"),
        spasms={name: tuple(found[key] for key in sorted(found)) for name, found in spasms.items()},
        pulses={name: _pulses(rows) for name, rows in pulses.items()},
        # A body tells of its force all the time; one that was never stimulated has an empty ledger, not none.
        ledger=bool(pulses or got.truths.get("force")),
        told_spasms=bool(spasms or got.truths.get("force")),
    )


@contextmanager
def _without_collection() -> Iterator[None]:
    """Keep the garbage collector from looking through a hundred thousand messages again and again: none is garbage."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _zero_ns(got: Gathered) -> int:
    if got.phases:
        return got.phases[0].t_ns
    firsts = []
    for record in got.records.values():
        if len(record.row):
            size = int(record.row[1]) if len(record.row) > 1 else len(record.counts)
            firsts.append(int(record.t_ns[0]) - round((size - 1) / record.descriptor.rate_hz * 1e9))
    if firsts:
        return min(firsts)
    told = next((rows[0].t_ns for rows in (got.reports, got.events) if rows), got.estimates.first_ns)
    return 0 if told is None else told


def _pulses(rows: list[tuple[float, float, float, str, float]]) -> PulseTrack:
    rows = sorted(rows)
    t_s, current_ma, phase_us, kind, uncertainty_s = zip(*rows, strict=True) if rows else ((),) * 5
    return PulseTrack(np.array(t_s), np.array(current_ma), np.array(phase_us), tuple(kind), np.array(uncertainty_s))


def _by_muscle(got: Gathered, what: str) -> dict[str, tuple[Floats, Floats]]:
    rows: dict[str, tuple[list[float], list[float]]] = {}
    for truth in got.truths.get(what, ()):
        for muscle, value in truth.values.items():
            if isinstance(value, int | float):
                times, values = rows.setdefault(muscle, ([], []))
                times.append(got.seconds(truth.t_ns))
                values.append(float(value))
    return {muscle: (np.array(times), np.array(values)) for muscle, (times, values) in rows.items()}


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else float("nan")
