"""A session as MNE-Python takes it: an evenly laid out signal, and annotations that say what happened when.

Every sample is the recorded one, rounded once to float32. MNE has no place for samples that are not there and filters
spread NaN over everything, so lost samples are zeros under an annotation ``BAD_gap``, and samples that are no finite
number zeros under ``BAD_invalid``; MNE leaves both out of whatever it averages or cuts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from myoloop.experiments.analysis.session import Session
from myoloop.experiments.analysis.tracks import Floats, Interval, PulseTrack, SampleTrack
from myoloop.platform.messages import ClockSample, SampleDescriptor
from myoloop.platform.recording.seek import SeekableRecording

#: Zeros put in for lost samples are at most so many more than the clock has room for.
_SLACK_S = 1.0


def raw_of(session: Session, tracks: Sequence[SampleTrack], *, pulses: bool = False) -> Any:
    """Make a ``mne.io.Raw`` of sample streams that run side by side.

    EMG in V as type ``emg``, the sync channel as ``stim``, everything else (IMU in m/s^2 and rad/s, force in N,
    counters) as ``misc`` in its own unit: take ``picks="emg"`` wherever MNE asks for channels, for nothing is picked by
    default. Annotations: ``phase/<name>``, ``trial/<state>``, ``stimulation/<channel>`` (trains, of delivered pulses,
    with their parameters as extras), ``spasm_detected/<muscle>``, ``spasm_true/<muscle>``, ``event/<kind>``,
    ``BAD_gap``, ``BAD_invalid`` (samples that must not be used, with their channels). The measurement date is set
    only where the wall time is known; a simulated session says so in ``info["description"]``.

    Parameters
    ----------
    session
        The session that they are of.
    tracks
        Streams of one rate and length that begin together; one at least.
    pulses
        Annotate every delivered pulse too, as ``pulse/<channel>``, its parameters as extras.

    Returns
    -------
    mne.io.RawArray
    """
    import mne

    laid = [lay_out(track) for track in tracks]
    names, types = channels_of(tracks)
    info = mne.create_info(names, tracks[0].rate_hz, types, verbose="ERROR")
    samples = finite(np.concatenate([each.samples for each in laid]).astype(np.float64))
    raw = mne.io.RawArray(samples, info, verbose="ERROR")
    raw.info["description"] = description_of(session, tracks)
    raw.info["line_freq"] = tracks[0].record.descriptor.mains_hz
    raw.info["subject_info"] = {"his_id": session.subject} if session.subject else None
    raw.set_meas_date(measured_at(session, tracks[0]))
    marks = marks_of(session, tracks, laid, pulses=pulses)
    annotations = mne.Annotations(
        onset=[mark.onset_s for mark in marks],
        duration=[mark.length_s for mark in marks],
        description=[mark.what for mark in marks],
        orig_time=raw.info["meas_date"],
        ch_names=[mark.channels for mark in marks],
        extras=[dict(mark.extras) for mark in marks],
    )
    raw.set_annotations(annotations, verbose="ERROR")
    return raw


class Mark(NamedTuple):
    """One annotation: onset and length in seconds of the file, what, on which channels (none: all), and parameters."""

    onset_s: float
    length_s: float
    what: str
    channels: tuple[str, ...] = ()
    extras: Mapping[str, float | str] = {}


class Laid(NamedTuple):
    """A stream laid out evenly, lost samples as zeros.

    Attributes
    ----------
    samples
        (n_channels, n), in the descriptor's units.
    at
        (n_rows,): where each recorded row stands in it.
    gaps
        (begin, length, kind) in samples of it.
    """

    samples: npt.NDArray[np.float32]
    at: npt.NDArray[np.int64]
    gaps: tuple[tuple[int, int, str], ...]


def lay_out(track: SampleTrack) -> Laid:
    """Put a stream's rows where they belong on an even time base that begins with its first recorded sample.

    Samples lost at the source, and a stretch in which the source was opened anew, leave room for as many as are
    missing by the source's count or by the clock; samples that came again stand where they were recorded.
    """
    record, rate_hz = track.record, track.rate_hz
    shift = np.zeros(len(record.counts) + 1, np.int64)
    gaps: list[tuple[int, int, str]] = []
    moved = 0
    for gap in record.gaps:
        if not gap.row:
            continue
        by_clock = max(0, round(float(track.t_s[gap.row] - track.t_s[gap.row - 1]) * rate_hz) - 1)
        most = by_clock + round(_SLACK_S * rate_hz)
        missing = by_clock if gap.missing is None else min(gap.missing, most)
        room = max(0, missing)
        gaps.append((gap.row + moved, room, gap.kind))
        shift[gap.row] += room
        moved += room
    at = np.arange(len(record.counts)) + np.cumsum(shift[:-1])
    samples = np.zeros((record.counts.shape[1], len(record.counts) + moved), np.float32)
    samples[:, at] = record.physical().T
    return Laid(samples, at, tuple(gaps))


def finite(samples: Floats) -> Floats:
    """Samples with zeros where there is no finite number: no signal format but text has a place for one."""
    return np.where(np.isfinite(samples), samples, 0.0)


def unusable(track: SampleTrack) -> npt.NDArray[np.bool_]:
    """(n_samples, n_channels): samples that were marked as not to be used, or are no finite number."""
    record = track.record
    return record.invalid | ~np.isfinite(record.counts) if record.counts.dtype.kind == "f" else record.invalid


def train_parameters(pulses: PulseTrack, train: Interval) -> dict[str, float | str]:
    """What a train of pulses was: means over its pulses, their number, rate and charge of one phase."""
    end_s = float(pulses.t_s[-1]) if train.end_s is None else train.end_s
    within = slice(*np.searchsorted(pulses.t_s, [train.begin_s, np.nextafter(end_s, np.inf)]).tolist())
    t_s = pulses.t_s[within]
    apart_s = np.diff(t_s)
    return {
        "current_ma": float(pulses.current_ma[within].mean()),
        "phase_us": float(pulses.phase_us[within].mean()),
        "rate_hz": float(1.0 / np.median(apart_s)) if len(apart_s) and np.median(apart_s) > 0 else float("nan"),
        "pulses": len(t_s),
        "charge_uc": float(pulses.charge_uc[within].sum()),
        "known_by": "/".join(sorted(set(pulses.kind[within]))),
    }


def pulse_parameters(pulses: PulseTrack, number: int) -> dict[str, float | str]:
    """What one pulse was, and how well its time is known."""
    return {
        "current_ma": float(pulses.current_ma[number]),
        "phase_us": float(pulses.phase_us[number]),
        "charge_uc": float(pulses.current_ma[number] * pulses.phase_us[number] * 1e-3),
        "known_by": pulses.kind[number],
        "uncertainty_ms": float(pulses.uncertainty_s[number] * 1e3),
    }


def channels_of(group: Sequence[SampleTrack]) -> tuple[list[str], list[str]]:
    """Name and type (``emg``, ``stim``, ``misc``) of each channel; what two streams name alike gets the stream's."""
    plain = [name for track in group for name in track.record.descriptor.channels]
    names, types = [], []
    for track in group:
        descriptor = track.record.descriptor
        for name, unit in zip(descriptor.channels, descriptor.units, strict=True):
            names.append(name if plain.count(name) == 1 else f"{descriptor.topic.replace('/', '-')} {name}")
            types.append(_type(descriptor, name, unit))
    return names, types


def _type(descriptor: SampleDescriptor, name: str, unit: str) -> str:
    if name == descriptor.sync_channel:
        return "stim"
    return "emg" if unit == "V" and descriptor.topic.startswith("emg/") else "misc"


def description_of(session: Session, group: Sequence[SampleTrack]) -> str:
    """What a file of these streams says of itself: what was simulated, whose they are, units that are not volts."""
    said = {
        True: "SIMULATED: no person was on the electrodes.",
        False: "",
        None: "SIMULATED OR NOT: UNKNOWN, the recording was cut before it said so.",
    }[session.simulated]
    if session.origins is not None and not session.origins.everything:
        said = f"{session.origins.stamp_in_full()}." if session.simulated else session.origins.in_words()
    units = "; ".join(
        f"{name} in {unit}"
        for track in group
        for name, unit in zip(track.record.descriptor.channels, track.record.descriptor.units, strict=True)
        if unit not in ("V", "1")
    )
    parts = (
        said,
        f"myoloop session {session.session_id}, {', '.join(track.topic for track in group)}.",
        "Lost samples are zeros under BAD_gap.",
        f"Units: {units}." if units else "",
    )
    return " ".join(part for part in parts if part)


def measured_at(session: Session, track: SampleTrack) -> datetime | None:
    """Wall time of the first sample; None where the wall time is not known."""
    start = session.wall_start
    if start is None:
        return None
    first_ns = session.zero_ns + round(float(track.t_s[0]) * 1e9)
    for received, _ in SeekableRecording.open(session.path).messages({"clock"}):
        if isinstance(received.message, ClockSample):
            wall_ns = received.message.wall_ns + first_ns - received.message.t_ns
            return datetime.fromtimestamp(wall_ns // 1000 / 1e6, UTC)
    return start


def marks_of(
    session: Session, tracks: Sequence[SampleTrack], laid: Sequence[Laid], *, pulses: bool = False
) -> list[Mark]:
    """Everything that annotations say of streams that were laid out, in order, cut to their length."""
    marks = [
        *_gap_marks(tracks, laid),
        *_invalid_marks(tracks, laid, channels_of(tracks)[0]),
        *_course_marks(session, tracks[0], laid[0], pulses=pulses),
    ]
    length_s = laid[0].samples.shape[1] / tracks[0].rate_hz
    return sorted(_within(marks, length_s), key=lambda mark: mark[:4])


def _gap_marks(group: Sequence[SampleTrack], laid: Sequence[Laid]) -> Iterator[Mark]:
    for track, each in zip(group, laid, strict=True):
        for begin, length, _ in each.gaps:
            # Where no sample is missing by any count the two neighbours still do not belong together.
            yield Mark(begin / track.rate_hz, max(length, 1) / track.rate_hz, "BAD_gap")


def _invalid_marks(group: Sequence[SampleTrack], laid: Sequence[Laid], names: Sequence[str]) -> Iterator[Mark]:
    column = 0
    for track, each in zip(group, laid, strict=True):
        invalid = unusable(track)
        own = names[column : column + invalid.shape[1]]
        column += invalid.shape[1]
        # A stretch lasts as long as the same channels are invalid in samples that stand side by side.
        changes = np.flatnonzero((np.diff(invalid, axis=0)).any(axis=1) | (np.diff(each.at) != 1)) + 1
        bounds = np.concatenate(([0], changes, [len(invalid)])) if len(invalid) else np.zeros(1, np.int64)
        for begin, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
            if invalid[begin].any():
                which = tuple(name for name, bad in zip(own, invalid[begin].tolist(), strict=True) if bad)
                yield Mark(int(each.at[begin]) / track.rate_hz, (end - begin) / track.rate_hz, "BAD_invalid", which)


def _course_marks(session: Session, track: SampleTrack, laid: Laid, *, pulses: bool) -> Iterator[Mark]:
    """Everything that happened, from the host's time to the file's through the blocks' own stamps."""
    place = _Placing(track, laid)
    for phase in session.phases:
        yield place.mark(Interval(phase.begin_s, phase.end_s), f"phase/{phase.name}", session.end_s)
    for span in session.trial_spans:
        yield place.mark(Interval(span.begin_s, span.end_s), f"trial/{span.state}", session.end_s)
    for channel, delivered in session.delivered().items():
        for train in delivered.trains():
            said = place.mark(train, f"stimulation/{channel}", session.end_s)
            yield said._replace(extras=train_parameters(delivered, train))
        for number in range(len(delivered) if pulses else 0):
            t_s = float(delivered.t_s[number])
            said = place.mark(Interval(t_s, t_s), f"pulse/{channel}", session.end_s)
            yield said._replace(extras=pulse_parameters(delivered, number))
    for muscle, estimated in session.muscles.items():
        for burst in estimated.spasms:
            yield place.mark(burst, f"spasm_detected/{muscle}", session.end_s)
    for muscle, spasms in session.truth.spasms.items():
        for spasm in spasms:
            yield place.mark(spasm, f"spasm_true/{muscle}", session.end_s)
    for event in session.events:
        yield place.mark(Interval(event.t_s, event.t_s), f"event/{event.kind}", session.end_s)


class _Placing:
    """From the session's time to a file's."""

    def __init__(self, track: SampleTrack, laid: Laid) -> None:
        record = track.record
        newest = np.append(record.row[1:], len(record.counts)) - 1
        # The blocks' own stamps, made to rise where a host's stamps did not.
        self._t_s: Floats = np.maximum.accumulate(track.t_s[newest])
        self._file_s: Floats = laid.at[newest] / track.rate_hz

    def mark(self, when: Interval, what: str, end_s: float) -> Mark:
        """An annotation on all channels."""
        begin_s = self._place(when.begin_s)
        return Mark(begin_s, max(0.0, self._place(when.until(end_s)) - begin_s), what)

    def _place(self, t_s: float) -> float:
        if t_s <= self._t_s[0]:
            return float(self._file_s[0] + t_s - self._t_s[0])
        if t_s >= self._t_s[-1]:
            return float(self._file_s[-1] + t_s - self._t_s[-1])
        return float(np.interp(t_s, self._t_s, self._file_s))


def _within(marks: Sequence[Mark], length_s: float) -> Iterator[Mark]:
    """Cut marks to the file; MNE would drop or warn about what reaches beyond it."""
    for mark in marks:
        begin_s, end_s = max(0.0, mark.onset_s), min(length_s, mark.onset_s + mark.length_s)
        if begin_s <= end_s and begin_s < length_s:
            yield mark._replace(onset_s=begin_s, length_s=end_s - begin_s)
