"""Epochs around delivered pulses, as MNE-Python takes them: what M-waves are averaged from.

An M-wave begins milliseconds after its pulse, while the amplifier may still be at its rail from the pulse itself. Those
samples are marked as not to be used; MNE would throw away every epoch for them. Here they stay, and the metadata say
what share of each epoch they are. Epochs with lost samples are left out.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from myoloop.experiments.analysis.mne_raw import lay_out, pulse_parameters, raw_of
from myoloop.experiments.analysis.session import Session
from myoloop.experiments.analysis.tracks import SampleTrack
from myoloop.platform.recording.layout import RecordingError

#: Name of epochs around pulses that two channels gave within one sample.
TOGETHER = "+"


def epochs_around_pulses(
    session: Session, track: SampleTrack, *, channel: str | None = None, tmin_s: float = -0.005, tmax_s: float = 0.05
) -> Any:
    """Make ``mne.Epochs`` of a stream around the pulses of a session.

    Parameters
    ----------
    session, track
        The session, and a stream of it (of one stretch, if its clock jumped).
    channel
        Stimulation channel; None: all. Pulses of several channels within one sample are one epoch, called
        ``pulse/<one>+<other>``.
    tmin_s, tmax_s
        Of each epoch, from the pulse's leading edge. Nothing is subtracted as baseline: before the next pulse of a
        train the muscle is not at rest.

    Returns
    -------
    mne.Epochs
        Of the EMG channels; one event id per stimulation channel; ``metadata`` with the parameters of each pulse, its
        time ``t_s``, and ``invalid_share``, of the epoch's samples those that must not be used.

    Raises
    ------
    RecordingError
        If the session has no such pulse within the stream, or the stream has no EMG.
    """
    import mne
    import pandas as pd

    delivered = session.delivered()
    if channel is not None and channel not in delivered:
        known = ", ".join(delivered) or "none"
        raise RecordingError(f"{session.path}: no pulses of channel {channel!r}; there are: {known}")
    raw = raw_of(session, [track])
    if "emg" not in raw.get_channel_types():
        raise RecordingError(f"{session.path}: {track.topic} has no channel of EMG")
    laid = lay_out(track)
    rows: dict[int, dict[str, Any]] = {}
    for name, pulses in delivered.items():
        if channel is not None and name != channel:
            continue
        for number, t_s in enumerate(pulses.t_s.tolist()):
            if not track.t_s[0] <= t_s <= track.t_s[-1]:
                continue
            row = int(np.searchsorted(track.t_s, t_s))
            nearer = row > 0 and t_s - track.t_s[row - 1] < track.t_s[row] - t_s
            at = int(laid.at[row - nearer])
            if at in rows:
                rows[at]["channel"] += TOGETHER + name
            else:
                rows[at] = {"channel": name, "t_s": t_s, **pulse_parameters(pulses, number)}
    if not rows:
        raise RecordingError(f"{session.path}: no pulses while {track.topic} was recorded")
    samples = sorted(rows)
    names = sorted({row["channel"] for row in rows.values()})
    ids = {f"pulse/{name}": number for number, name in enumerate(names, 1)}
    events = np.array([[at, 0, ids[f"pulse/{rows[at]['channel']}"]] for at in samples], np.int64)
    metadata = pd.DataFrame([rows[at] for at in samples])
    metadata["invalid_share"] = _invalid_share(track, laid.at, samples, tmin_s, tmax_s)
    kept = raw.annotations.copy()
    kept.delete([number for number, each in enumerate(kept) if each["description"] == "BAD_invalid"])
    raw.set_annotations(kept, verbose="ERROR")
    return mne.Epochs(
        raw,
        events,
        ids,
        tmin=tmin_s,
        tmax=tmax_s,
        baseline=None,
        picks="emg",
        reject_by_annotation=True,
        metadata=metadata,
        preload=True,
        verbose="ERROR",
    )


def _invalid_share(track: SampleTrack, at: Any, samples: list[int], tmin_s: float, tmax_s: float) -> list[float]:
    """Of the EMG in each epoch, the share of samples that must not be used."""
    emg = [unit == "V" for unit in track.record.descriptor.units]
    invalid = np.zeros(int(at[-1]) + 1)
    invalid[at] = track.record.invalid[:, emg].mean(axis=1)
    summed = np.concatenate([[0.0], np.cumsum(invalid)])
    begin = np.clip(np.array(samples) + round(tmin_s * track.rate_hz), 0, len(invalid))
    end = np.clip(np.array(samples) + round(tmax_s * track.rate_hz) + 1, 0, len(invalid))
    return ((summed[end] - summed[begin]) / np.maximum(end - begin, 1)).tolist()  # type: ignore[no-any-return]
