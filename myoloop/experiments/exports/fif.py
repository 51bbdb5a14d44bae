"""A session for MNE-Python: FIF files that hold the recorded samples and say what happened when.

One file per sample stream; streams of one rate that run side by side share one. Every sample is the recorded one,
rounded once to float32. MNE has no place for samples that are not there and filters spread NaN over everything, so
lost samples are zeros under an annotation ``BAD_gap``, and samples that are no finite number zeros under
``BAD_invalid``; MNE leaves both out of whatever it averages or cuts.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from myoloop.experiments.analysis.mne_raw import raw_of
from myoloop.experiments.exports.opened import Opened, Piece, open_session
from myoloop.experiments.exports.outfiles import names_of, whole_or_nothing

SUFFIX = "_raw.fif"


def export_fif(path: Path | str, out: Path) -> list[Path]:
    """Write a session's samples as FIF, with annotations; see :func:`write_fif`.

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
    return write_fif(open_session(path), out)


def write_fif(opened: Opened, out: Path) -> list[Path]:
    """Write samples as FIF.

    EMG in V as type ``emg``, the sync channel as ``stim``, everything else (IMU in m/s^2 and rad/s, force in N,
    counters) as ``misc`` in its own unit. Annotations: those of :func:`myoloop.experiments.analysis.mne_raw.raw_of`.
    The measurement date is set only where the wall time is known; a simulated session says so in
    ``info["description"]``, which also holds code version and hash of the input.
    """
    groups = side_by_side(opened.pieces)
    files = names_of(opened, ["-".join(piece.name for piece in group) for group in groups], out, SUFFIX, "FIF")
    with whole_or_nothing(out, files):
        files[0].parent.mkdir(parents=True, exist_ok=True)
        for file, group in zip(files, groups, strict=True):
            raw = raw_of(opened.session, [piece.track for piece in group])
            made = opened.provenance
            raw.info["subject_info"] = {"his_id": opened.person} if opened.person else None
            raw.info["description"] += (
                f" Written by {made['generator']} {made['generator_version']}; input sha256 {made['input_sha256']}."
            )
            raw.save(file, fmt="single", overwrite=False, verbose="ERROR")
    return files


def side_by_side(pieces: Sequence[Piece]) -> list[list[Piece]]:
    """Streams that share a file: same rate, same length, begun within half a sample, nothing lost."""
    groups: list[list[Piece]] = []
    for piece in pieces:
        track = piece.track
        for group in groups:
            first = group[0].track
            together = (
                piece.of == group[0].of == 1
                and first.rate_hz == track.rate_hz
                and len(first.t_s) == len(track.t_s)
                and abs(first.t_s[0] - track.t_s[0]) * track.rate_hz < 0.5
                and not any(gap.row for each in (first, track) for gap in each.record.gaps)
            )
            if together:
                group.append(piece)
                break
        else:
            groups.append([piece])
    return groups
