"""What a session is made of once it is over: arrays and intervals on one time base, in seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from myoloop.platform.recording.samples import SampleRecord

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
#: What parts two trains: a pause of so many usual intervals between pulses, and at least so long.
TRAIN_PAUSE_INTERVALS, TRAIN_PAUSE_MIN_S = 3.0, 0.2


class Interval(NamedTuple):
    """A stretch of time; `end_s` is None where it had not ended when the recording did."""

    begin_s: float
    end_s: float | None

    def until(self, session_end_s: float) -> float:
        """Its end, or the session's."""
        return session_end_s if self.end_s is None else self.end_s


class PhaseSpan(NamedTuple):
    """A phase of the protocol, from its first message to the next phase's; `number` counts from 0."""

    name: str
    kind: str
    number: int
    begin_s: float
    end_s: float


class TrialSpan(NamedTuple):
    """A state of a trial (or of a calibration burst) while it lasted."""

    state: str
    kind: str
    block: int
    trial: int
    begin_s: float
    end_s: float


class EventRow(NamedTuple):
    """Something that happened once."""

    t_s: float
    kind: str
    who: str
    why: str
    values: Mapping[str, float | str | bool | None]


class GapRow(NamedTuple):
    """Something that is missing.

    Attributes
    ----------
    begin_s, end_s
        Where in time; equal where a moment is all that is known.
    topic
        Of what.
    missing
        How many samples or messages; None where it cannot be known, negative where samples come again.
    kind
        ``lost`` or ``restart`` (samples, at the source), ``message`` (a subscriber never got it).
    who
        The subscriber, for messages.
    """

    begin_s: float
    end_s: float
    topic: str
    missing: int | None
    kind: str
    who: str = ""


@dataclass(frozen=True, slots=True)
class SampleTrack:
    """One sample stream.

    Attributes
    ----------
    record
        As recorded: counts, validity, blocks, gaps.
    t_s
        (n_samples,): host time, each block's newest sample at the block's own stamp, the others before it at the
        nominal rate.
    """

    record: SampleRecord
    t_s: Floats

    @property
    def topic(self) -> str:
        """``emg/<source>``, …"""
        return self.record.descriptor.topic

    @property
    def rate_hz(self) -> float:
        """Nominal rate."""
        return self.record.descriptor.rate_hz

    def channel(self, name: str) -> npt.NDArray[np.float32]:
        """One channel in the descriptor's unit, rounded once to float32."""
        column = self.record.descriptor.channels.index(name)
        scale, offset = self.record.descriptor.scale[column], self.record.descriptor.offset[column]
        return (self.record.counts[:, column].astype(np.float64) * scale + offset).astype(np.float32)


@dataclass(frozen=True, slots=True)
class MeasureTrack:
    """One estimated quantity over time.

    Attributes
    ----------
    value, low, high
        (n_estimates,), NaN where the estimator gave none.
    valid
        Whether it might be acted on.
    reasons
        How many estimates were not valid, by reason.
    reason, told
        (n_estimates,), the place in `told` of each one's reason; None where it is not known estimate by estimate.
    """

    value: Floats
    low: Floats
    high: Floats
    valid: Mask
    reasons: Mapping[str, int]
    reason: npt.NDArray[np.uint16] | None = None
    told: tuple[str, ...] = ()

    def why_not(self, at: int) -> str:
        """Why one estimate is not valid; empty where it is."""
        if self.valid[at]:
            return ""
        return self.told[self.reason[at]] if self.reason is not None else "; ".join(self.reasons) or "not valid"

    @property
    def last_valid(self) -> float | None:
        """The newest valid value."""
        known = np.flatnonzero(self.valid & np.isfinite(self.value))
        return float(self.value[known[-1]]) if len(known) else None


@dataclass(frozen=True, slots=True)
class MuscleTrack:
    """What the controller believed of one muscle.

    Attributes
    ----------
    t_s
        (n_estimates,).
    level_uv
        RMS of the EMG as the controller knew it; NaN where it did not.
    fatigue, spasm, effort, response, cocontraction
        As :class:`myoloop.platform.messages.MuscleEstimate` has them.
    terms
        By name, what `fatigue` is made of: ``voluntary EMG``, ``M-wave``, ``mechanical``.
    spasms
        Bursts, each from the onset the estimator named to the first estimate that denied it.
    clonus_hz, slope_pct_per_min
        Rhythm of the clonus that is on, and slope of the mean frequency; NaN where there is none.
    """

    t_s: Floats
    level_uv: Floats
    fatigue: MeasureTrack
    terms: Mapping[str, MeasureTrack]
    spasm: MeasureTrack
    effort: MeasureTrack
    response: MeasureTrack
    cocontraction: MeasureTrack
    spasms: tuple[Interval, ...]
    clonus_hz: Floats
    slope_pct_per_min: MeasureTrack


@dataclass(frozen=True, slots=True)
class JointTrack:
    """The joint with the IMU: its angle from where it was at rest; empty without an IMU.

    Attributes
    ----------
    t_s
        (n_estimates,).
    angle_rad
        As :class:`myoloop.platform.messages.MotionEstimate` has it.
    """

    t_s: Floats
    angle_rad: MeasureTrack


@dataclass(frozen=True, slots=True)
class CurrentTrack:
    """One stimulation channel as the gate reported it, step by step.

    Attributes
    ----------
    t_s
        (n_reports,).
    asked_ma, allowed_ma, acknowledged_ma
        Requested, let through, and confirmed by the device; 0 where the channel was not named.
    cap_ma
        The most the envelope in force would let this person have on this channel; NaN while there was none.
    """

    t_s: Floats
    asked_ma: Floats
    allowed_ma: Floats
    acknowledged_ma: Floats
    cap_ma: Floats


@dataclass(frozen=True, slots=True)
class PulseTrack:
    """The pulses of one channel in order of time.

    Attributes
    ----------
    t_s, current_ma, phase_us
        (n_pulses,): leading edge, amplitude of each phase, width of each phase.
    kind
        Per pulse: ``ledger`` (the body's own), ``acknowledged``, ``sent``, ``predicted``.
    uncertainty_s
        Per pulse, half-width.
    """

    t_s: Floats
    current_ma: Floats
    phase_us: Floats
    kind: tuple[str, ...]
    uncertainty_s: Floats

    def of_kind(self, *kinds: str) -> PulseTrack:
        """Only the pulses of some kinds."""
        keep = np.array([kind in kinds for kind in self.kind], np.bool_)
        return PulseTrack(
            self.t_s[keep],
            self.current_ma[keep],
            self.phase_us[keep],
            tuple(kind for kind in self.kind if kind in kinds),
            self.uncertainty_s[keep],
        )

    def __len__(self) -> int:
        return len(self.t_s)

    @property
    def charge_uc(self) -> Floats:
        """Charge of each pulse's one phase."""
        return self.current_ma * self.phase_us * 1e-3

    def trains(self) -> tuple[Interval, ...]:
        """Runs of pulses: a pause of some usual intervals, and of some time at least, parts two of them."""
        if not len(self.t_s):
            return ()
        apart_s = np.diff(self.t_s)
        usual_s = float(np.median(apart_s)) if len(apart_s) else 0.0
        pause_s = max(TRAIN_PAUSE_MIN_S, TRAIN_PAUSE_INTERVALS * usual_s)
        cuts = np.flatnonzero(apart_s > pause_s)
        begins, ends = np.append(0, cuts + 1), np.append(cuts, len(self.t_s) - 1)
        return tuple(Interval(float(self.t_s[b]), float(self.t_s[e])) for b, e in zip(begins, ends, strict=True))


@dataclass(frozen=True, slots=True)
class Truths:
    """What the virtual subject knew of itself; all empty where nobody did.

    Attributes
    ----------
    fatigue, force_n
        By muscle: (t_s, value).
    spasms
        By muscle.
    pulses
        By channel: the body's own ledger of what was delivered.
    ledger, told_spasms
        Whether there is such a ledger, and whether true spasms are known, be there none.
    """

    fatigue: Mapping[str, tuple[Floats, Floats]] = field(default_factory=dict)
    force_n: Mapping[str, tuple[Floats, Floats]] = field(default_factory=dict)
    spasms: Mapping[str, tuple[Interval, ...]] = field(default_factory=dict)
    pulses: Mapping[str, PulseTrack] = field(default_factory=dict)
    ledger: bool = False
    told_spasms: bool = False


@dataclass(frozen=True, slots=True)
class GateTally:
    """What the gate did, over all its reports.

    Attributes
    ----------
    reports
        How many there are.
    limited
        Reports in which less was allowed than asked for by a rule of the gate.
    rounded
        Reports in which it was less only by rounding down to the device's step.
    rules
        By rule: reports limited by it, and one reason in its own words.
    latches
        (t_s, cause) of each time it latched.
    states
        By state: seconds spent in it.
    envelope
        The last one in force, as plain data; empty where there was none.
    """

    reports: int = 0
    limited: int = 0
    rounded: int = 0
    rules: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    latches: tuple[tuple[float, str], ...] = ()
    states: Mapping[str, float] = field(default_factory=dict)
    envelope: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BeatTrack:
    """Cycle times that a node told of itself, ms; `worst_ms` is its worst cycle up to then."""

    t_s: Floats
    cycle_ms: Floats
    mean_ms: Floats
    worst_ms: Floats


class MuscleSite(NamedTuple):
    """Where a muscle is heard, and by which channels it is stimulated."""

    muscle: str
    topic: str
    channel: str
    stimulated_by: tuple[str, ...]


def floats(values: Any) -> Floats:
    """An array of floats, None as NaN."""
    return np.array([np.nan if value is None else value for value in values], np.float64)
