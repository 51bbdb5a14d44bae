"""A recorded session as arrays: everything a report, an export or a summary needs, on one time base.

Time is seconds since the first phase message (without one: since the first sample), on the recording host's monotonic
clock. Nothing is resampled, filtered or filled in. A file that was cut by a kill is read as far as it goes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from myoloop.experiments.analysis import course, gather
from myoloop.experiments.analysis.gating import gate_tracks
from myoloop.experiments.analysis.latency import latencies
from myoloop.experiments.analysis.tracks import (
    BeatTrack,
    CurrentTrack,
    EventRow,
    Floats,
    GapRow,
    GateTally,
    JointTrack,
    MuscleSite,
    MuscleTrack,
    PhaseSpan,
    PulseTrack,
    SampleTrack,
    TrialSpan,
    Truths,
)
from myoloop.experiments.origins import Origins, origins_in
from myoloop.platform.messages import Dose, Trial
from myoloop.platform.recording.folder import place_of
from myoloop.platform.recording.layout import RecordingError
from myoloop.platform.recording.manifest import read_manifest
from myoloop.platform.recording.seek import SeekableRecording

#: How a recorded pulse is known, best first.
_BASES = ("acknowledged", "predicted", "sent")


@dataclass(frozen=True, slots=True)
class Session:
    """One session attempt.

    Attributes
    ----------
    path
        The session file.
    metadata, settings
        What the session says of itself; settings of each kind of object (``controller``, ``director``,
        ``stimulator``) from its start record.
    simulated
        Whether any part of it was; None where a cut file does not say.
    complete, recovered
        Whether the file has its end; whether it was once cut and made whole.
    outcome, reason
        From the end record, else from the last phase message; empty if neither is there.
    zero_ns
        Host monotonic time of 0 s.
    end_s
        Of the last phase message, sample or report.
    samples
        By topic.
    sites
        The muscles that the controller heard, in its order.
    muscles, joint
        What it believed of each, and of the joint with the IMU.
    currents
        By stimulation channel.
    pulses
        By stimulation channel, as the stimulator's node told of them.
    phases, trials, trial_spans, events, gaps
        The session's course.
    trial_times_s
        (begin, trigger or None, end) of each row in `trials`.
    truth
        What the virtual subject knew.
    gate, dose
        What the gate did; the dose it counted.
    beats
        By node.
    latencies_ms
        ``emg_to_request`` (newest EMG sample consumed to the request made of it), ``request_to_report`` (request to
        the gate's verdict on it), ``verdict_to_pulse`` (first verdict that let current through to the channel's first
        pulse after it, once per train).
    requests
        How many there were.
    counts
        Messages by topic.
    missing_messages
        Messages absent from the record by their numbers, by topic; of the streams that were read.
    """

    path: Path
    metadata: Mapping[str, str]
    settings: Mapping[str, Mapping[str, Any]]
    simulated: bool | None
    complete: bool
    recovered: bool
    outcome: str
    reason: str
    zero_ns: int
    end_s: float
    samples: Mapping[str, SampleTrack]
    sites: tuple[MuscleSite, ...]
    muscles: Mapping[str, MuscleTrack]
    joint: JointTrack
    currents: Mapping[str, CurrentTrack]
    pulses: Mapping[str, PulseTrack]
    phases: tuple[PhaseSpan, ...]
    trials: tuple[Trial, ...]
    trial_times_s: tuple[tuple[float, float | None, float], ...]
    trial_spans: tuple[TrialSpan, ...]
    events: tuple[EventRow, ...]
    gaps: tuple[GapRow, ...]
    truth: Truths
    gate: GateTally
    dose: Dose
    beats: Mapping[str, BeatTrack]
    latencies_ms: Mapping[str, Floats]
    requests: int
    counts: Mapping[str, int]
    missing_messages: Mapping[str, int]

    @property
    def subject(self) -> str:
        """The pseudonym; empty where nothing says it."""
        place = place_of(self.path)
        return self.metadata.get("subject") or (place.subject if place else "")

    @property
    def session_id(self) -> str:
        """As in the heads of all messages."""
        return self.metadata.get("session", "")

    @property
    def wall_start(self) -> datetime | None:
        """Wall time (UTC) at the start; None where it is not known, as under a virtual clock."""
        text = self.metadata.get("wall_start_ns", "")
        return datetime.fromtimestamp(int(text) / 1e9, UTC) if text.isdecimal() and int(text) > 0 else None

    @property
    def lockstep(self) -> bool:
        """Whether it ran under a virtual clock: nodes beat, and no cycle took any time."""
        return bool(self.beats) and not any(beat.worst_ms.any() or beat.cycle_ms.any() for beat in self.beats.values())

    @property
    def origins(self) -> Origins | None:
        """Which parts were simulated; None where the record does not say so part by part."""
        return origins_in(self.metadata)

    def emg(self) -> list[SampleTrack]:
        """The EMG streams."""
        return [track for topic, track in self.samples.items() if topic.startswith("emg/")]

    @property
    def stimulated_muscle(self) -> str | None:
        """The heard muscle whose channels had the most current; the first heard where none had any."""
        sites = [site for site in self.sites if site.stimulated_by]
        charge = [sum(self._charge_uc(channel) for channel in site.stimulated_by) for site in sites]
        if sites:
            return sites[charge.index(max(charge))].muscle
        return self.sites[0].muscle if self.sites else next(iter(self.muscles), None)

    @property
    def delivered_basis(self) -> str:
        """How delivered pulses are known: ``ledger`` (the body's own), ``acknowledged``, ``predicted``, ``sent``."""
        if self.truth.ledger:
            return "ledger"
        kinds = {kind for track in self.pulses.values() for kind in track.kind}
        return next((basis for basis in _BASES if basis in kinds), "acknowledged")

    def delivered(self) -> dict[str, PulseTrack]:
        """Pulses by channel, from the best account there is."""
        if self.truth.ledger:
            return dict(self.truth.pulses)
        return {name: track.of_kind(self.delivered_basis) for name, track in self.pulses.items()}

    def _charge_uc(self, channel: str) -> float:
        track = self.delivered().get(channel)
        return 0.0 if track is None else float((track.current_ma * track.phase_us).sum()) * 1e-3


def load(path: Path | str) -> Session:
    """Read a session.

    Parameters
    ----------
    path
        Session file or the folder of its attempt.

    Raises
    ------
    RecordingError
        If there is none, or it is damaged.
    """
    recording = SeekableRecording.open(path, check_all=True)
    return session_of(recording, gather.gather(recording))


def session_of(recording: SeekableRecording, got: gather.Gathered) -> Session:
    """Make a session of everything that was gathered of a recording."""
    zero_ns = got.zero_ns
    phases, trial_spans, last = course.course(got)
    settings = gather.settings_of(got)
    samples = gather.sample_tracks(got)
    muscles = gather.muscle_tracks(got)
    pulses = gather.pulse_tracks(got)
    truth = gather.truths(got)
    currents, tally, dose = gate_tracks(got, settings)
    return Session(
        path=recording.path,
        metadata=recording.metadata,
        settings=settings,
        simulated=recording.simulated,
        complete=recording.complete,
        recovered=was_recovered(recording.path.parent),
        outcome=recording.outcome or (last.outcome if last is not None else ""),
        reason=recording.reason or (last.reason if last is not None else ""),
        zero_ns=zero_ns,
        end_s=got.end_s,
        samples=samples,
        sites=gather.muscle_sites(settings, samples),
        muscles=muscles,
        joint=gather.joint_track(got),
        currents=currents,
        pulses=pulses,
        phases=phases,
        trials=tuple(got.trials),
        trial_times_s=tuple(got.trial_times()),
        trial_spans=trial_spans,
        events=got.event_rows(),
        gaps=course.gap_rows(got, samples),
        truth=truth,
        gate=tally,
        dose=dose,
        beats=course.beat_tracks(got),
        latencies_ms=latencies(got, currents, truth.pulses if truth.ledger else pulses),
        requests=len(got.requests),
        counts=recording.counts,
        missing_messages=got.missing,
    )


def was_recovered(folder: Path) -> bool:
    """Whether the manifest says that the file was once cut and made whole."""
    try:
        manifest = read_manifest(folder)
    except RecordingError:
        # A manifest that is none is for `verify` to tell of; the recording is read all the same.
        return False
    return manifest is not None and manifest.recovered
