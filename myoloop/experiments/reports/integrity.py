"""How whole the samples are, stream by stream: lost samples, jitter of the stamps, segments of the clock."""

from __future__ import annotations

import numpy as np

from myoloop.experiments.analysis.session import Session
from myoloop.experiments.analysis.tracks import SampleTrack
from myoloop.experiments.index.segments import segments_of
from myoloop.experiments.reports.tables import Table, number_words


def streams_kept(session: Session) -> Table | None:
    """One row for each sample stream."""
    rows = []
    for topic, track in session.samples.items():
        lost, cut = lost_samples(track), segments_of(track.record)
        causes = ", ".join(dict.fromkeys(each.cause for each in cut[1:]))
        rows.append(
            (
                topic, str(len(track.record.counts)), str(lost),
                f"{100 * lost / max(1, lost + len(track.record.counts)):.3f}", number_words(jitter_p99_ms(track), 3),
                f"{len(cut)}" + (f" (cut by {causes})" if causes else ""),
            )
        )  # fmt: skip
    if not rows:
        return None
    columns = ("stream", "samples per channel", "lost", "lost (%)", "jitter, 99 % (ms)", "segments of its clock")
    caption = (
        f"n = {len(rows)} streams. Lost: by the source's own count. Jitter: how far 99 % of the blocks' stamps lie "
        f"from an even clock of the measured rate, at most. A clock that jumped, a count that went back or a source "
        f"opened anew begins another segment; segments are never joined."
    )
    return Table(columns, tuple(rows), caption)


def lost_samples(track: SampleTrack) -> int:
    """Samples that the source counted and the record lacks."""
    return sum(gap.missing for gap in track.record.gaps if gap.missing is not None and gap.missing > 0)


def jitter_p99_ms(track: SampleTrack) -> float | None:
    """See the table's caption; within the longest segment, None of less than three blocks."""
    record = track.record
    cut = segments_of(record)
    if not cut:
        return None
    longest = max(cut, key=lambda each: each.end_block - each.first_block)
    blocks = slice(longest.first_block, longest.end_block)
    rows = np.diff(np.append(record.row, len(record.counts)))[blocks]
    host_s = (record.t_ns[blocks] - record.t_ns[longest.first_block]) * 1e-9
    count = (record.first_sample[blocks] + rows).astype(np.float64)
    if len(host_s) < 3:
        return None
    slope, offset = np.polyfit(count - count[0], host_s, 1)
    away_s = host_s - (slope * (count - count[0]) + offset)
    return float(np.percentile(np.abs(away_s), 99)) * 1e3
