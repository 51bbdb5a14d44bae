"""One recording that is about to be exported: its streams cut where a clock jumped, and where its numbers come from."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

import myoloop
from myoloop.experiments.analysis.session import Session, load
from myoloop.experiments.analysis.tracks import PulseTrack, SampleTrack
from myoloop.experiments.index.segments import Segment, segments_of
from myoloop.experiments.unsealed import NotBlinded, pulses_given
from myoloop.platform.recording.folder import AttemptPlace, place_of
from myoloop.platform.recording.layout import RecordingError

_KINDS = ("emg", "imu", "force")


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """A stretch of a sample stream with one clock.

    Attributes
    ----------
    track
        Its samples alone.
    number, of
        Which stretch of how many, from 1.
    segment
        Why it begins, and by how much the clock stepped.
    """

    track: SampleTrack
    number: int
    of: int
    segment: Segment

    @property
    def name(self) -> str:
        """The stream, as a part of a file name; with the number of the stretch where there are several."""
        stream = self.track.topic.replace("/", "-")
        return stream if self.of == 1 else f"{stream}_seg-{self.number}"


@dataclass(frozen=True, slots=True, eq=False)
class Opened:
    """A recording that is about to be exported.

    Attributes
    ----------
    session
        What was recorded.
    place
        Where it stands in its study; None outside of one.
    pieces
        Its streams, EMG first, each cut into stretches with one clock.
    sha256
        Of the session file.
    blinded
        Whether what was really given is sealed.
    unsealed
        Whether `session` holds the pulses that were really given, of a blinded one.
    """

    session: Session
    place: AttemptPlace | None
    pieces: tuple[Piece, ...]
    sha256: str
    blinded: bool
    unsealed: bool = False

    @property
    def person(self) -> str:
        """Whose it is: by its place, which moves with a session that is reassigned; empty where nobody says."""
        return self.place.subject if self.place is not None else self.session.subject

    @property
    def stem(self) -> str:
        """Begins the names of its files."""
        if self.place is not None:
            return f"sub-{self.place.subject}_ses-{self.place.session:02d}_att-{self.place.attempt}"
        return re.sub(r"[^A-Za-z0-9_-]+", "-", self.session.session_id) or self.session.path.stem

    @property
    def simulated(self) -> str:
        """What was simulated, in words; empty where nothing was."""
        if self.session.simulated is None:
            return "SIMULATED OR NOT: UNKNOWN, the recording was cut before it said so"
        if not self.session.simulated:
            return ""
        origins = self.session.origins
        if origins is None or origins.everything:
            return "SIMULATED: no person was on the electrodes"
        return origins.stamp_in_full()

    @property
    def provenance(self) -> dict[str, str]:
        """What every file says of where its numbers come from."""
        said = {
            "generator": "myoloop",
            "generator_version": myoloop.__version__,
            "input": self.stem,
            "input_sha256": self.sha256,
            "recorded_with": self.session.metadata.get("version.myoloop", ""),
            "simulated": {True: "true", False: "false", None: "unknown"}[self.session.simulated],
            "simulated_in_words": self.simulated,
            "protocol": self.session.metadata.get("protocol", ""),
            "protocol_version": self.session.metadata.get("protocol_version", ""),
            "recording": "complete" if self.session.complete else "cut",
            "outcome": self.session.outcome,
        }
        if self.blinded:
            said["stimulation"] = "as given, unsealed" if self.unsealed else "nominal: the session is blinded"
        return {key: value for key, value in said.items() if value}


def open_session(path: Path | str, key: Path | str | None = None) -> Opened:
    """Read a session to be exported.

    Parameters
    ----------
    path
        Session file or the folder of its attempt.
    key
        The study's key: of a blinded session the pulses are then those that were really given.

    Raises
    ------
    RecordingError
        If there is none, it is damaged, or it holds no samples.
    SealedError
        If the key cannot be read, or is another study's.
    """
    session = load(path)
    pieces = tuple(piece for track in _in_order(session.samples.values()) for piece in cut(track))
    if not pieces:
        raise RecordingError(f"{session.path}: no samples to export")
    blinded = bool(session.settings.get("stimulator", {}).get("blinded"))
    if key is not None and blinded:
        session = replace(session, pulses=_given(session, key))
    with session.path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return Opened(session, place_of(session.path), pieces, sha256, blinded, blinded and key is not None)


def cut(track: SampleTrack) -> tuple[Piece, ...]:
    """Cut a stream into its stretches with one clock; of an empty one there is none."""
    found = segments_of(track.record)
    return tuple(Piece(_part(track, each), number, len(found), each) for number, each in enumerate(found, 1))


def _part(track: SampleTrack, segment: Segment) -> SampleTrack:
    record = track.record
    rows, blocks = slice(segment.first_row, segment.end_row), slice(segment.first_block, segment.end_block)
    part = replace(
        record,
        counts=record.counts[rows],
        invalid=record.invalid[rows],
        row=record.row[blocks] - segment.first_row,
        first_sample=record.first_sample[blocks],
        t_ns=record.t_ns[blocks],
        device_t=record.device_t[blocks],
        log_time_ns=record.log_time_ns[blocks],
        seq=record.seq[blocks],
        epoch=record.epoch[blocks],
        publisher=record.publisher[blocks],
        gaps=tuple(
            gap._replace(row=gap.row - segment.first_row)
            for gap in record.gaps
            if segment.first_row < gap.row < segment.end_row
        ),
    )
    return SampleTrack(part, track.t_s[rows])


def _in_order(tracks: Iterable[SampleTrack]) -> list[SampleTrack]:
    return sorted(tracks, key=lambda track: _KINDS.index(track.topic.partition("/")[0]))


def _given(session: Session, key: Path | str) -> dict[str, PulseTrack]:
    rows: dict[str, list[tuple[float, float, float, str, float]]] = {}
    try:
        for told in pulses_given(session.path, key):
            rows.setdefault(told.channel, []).extend(
                ((t_ns - session.zero_ns) * 1e-9, told.current_ma, told.phase_us, told.kind, told.uncertainty_ns * 1e-9)
                for t_ns in told.t_ns
            )
    except NotBlinded:
        return dict(session.pulses)
    tracks = {}
    for channel, pulses in rows.items():
        t_s, current_ma, phase_us, kind, uncertainty_s = zip(*sorted(pulses), strict=True)
        tracks[channel] = PulseTrack(
            np.array(t_s), np.array(current_ma), np.array(phase_us), kind, np.array(uncertainty_s)
        )
    return tracks
