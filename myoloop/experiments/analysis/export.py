"""A session for MNE-Python: FIF files that hold the recorded samples and say what happened when.

One file per sample stream; streams of one rate that run side by side share one. Every sample is the recorded one,
rounded once to float32. MNE has no place for samples that are not there and filters spread NaN over everything, so
lost samples are zeros under an annotation ``BAD_gap``, which MNE leaves out of whatever it averages or cuts.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from myoloop.experiments.analysis.mne_raw import raw_of
from myoloop.experiments.analysis.session import Session, load
from myoloop.experiments.analysis.tracks import SampleTrack
from myoloop.platform.recording.folder import place_of
from myoloop.platform.recording.layout import RecordingError

SUFFIX = "_raw.fif"


def export_fif(path: Path | str, out: Path) -> list[Path]:
    """Write a session's samples as FIF, with annotations.

    EMG in V as type ``emg``, the sync channel as ``stim``, everything else (IMU in m/s^2 and rad/s, force in N,
    counters) as ``misc`` in its own unit. Annotations: ``phase/<name>``, ``trial/<state>``, ``stimulation/<channel>``
    (trains, of delivered pulses), ``spasm_detected/<muscle>``, ``spasm_true/<muscle>``, ``event/<kind>``, ``BAD_gap``,
    ``BAD_invalid`` (samples marked as not to be used, with their channels). The measurement date is set only where the
    wall time is known; a simulated session says so in ``info["description"]``.

    Parameters
    ----------
    path
        Session file or the folder of its attempt.
    out
        A folder, made if it is not there, or a file name ending in ``_raw.fif`` for the first file; the others then
        have the stream's name before that ending.

    Returns
    -------
    list of Path
        The files written, EMG first.

    Raises
    ------
    RecordingError
        If there is no recording, it is damaged or holds no samples, a file is there already (nothing is overwritten)
        or cannot be written.
    """
    session = load(path)
    groups = _groups([track for track in session.samples.values() if len(track.record.counts)])
    if not groups:
        raise RecordingError(f"{session.path}: no samples to export")
    files = _names(session, groups, out)
    for file in files:
        if file.exists():
            raise RecordingError(f"{file}: is already there, nothing is overwritten")
    try:
        files[0].parent.mkdir(parents=True, exist_ok=True)
        for file, group in zip(files, groups, strict=True):
            raw_of(session, group).save(file, fmt="single", overwrite=False, verbose="ERROR")
    except OSError as error:
        raise RecordingError(f"{out}: cannot be written: {error.strerror or error}") from None
    return files


def _groups(tracks: Sequence[SampleTrack]) -> list[list[SampleTrack]]:
    """Streams that share a file: same rate, same length, begun within half a sample, nothing lost."""
    kinds = ("emg", "imu", "force")
    groups: list[list[SampleTrack]] = []
    for track in sorted(tracks, key=lambda each: kinds.index(each.topic.partition("/")[0])):
        for group in groups:
            first = group[0]
            side_by_side = (
                first.rate_hz == track.rate_hz
                and len(first.t_s) == len(track.t_s)
                and abs(first.t_s[0] - track.t_s[0]) * track.rate_hz < 0.5
                and not any(gap.row for each in (first, track) for gap in each.record.gaps)
            )
            if side_by_side:
                group.append(track)
                break
        else:
            groups.append([track])
    return groups


def _names(session: Session, groups: Sequence[Sequence[SampleTrack]], out: Path) -> list[Path]:
    streams = ["-".join(track.topic.replace("/", "-") for track in group) for group in groups]
    if out.suffix == ".fif":
        if not out.name.endswith(SUFFIX):
            raise RecordingError(f"{out}: the name of a FIF file must end in {SUFFIX}")
        stem = out.name.removesuffix(SUFFIX)
        return [out, *(out.with_name(f"{stem}_{stream}{SUFFIX}") for stream in streams[1:])]
    if out.is_file() or (out.suffix and not out.is_dir()):
        what = "is a file" if out.is_file() else f"ends in {out.suffix}"
        raise RecordingError(f"{out}: {what}; a folder or a name ending in {SUFFIX} is needed")
    place = place_of(session.path)
    stem = (
        f"sub-{place.subject}_ses-{place.session:02d}_att-{place.attempt}"
        if place is not None
        else session.session_id or session.path.stem
    )
    return [out / f"{stem}_{stream}{SUFFIX}" for stream in streams]
