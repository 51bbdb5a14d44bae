"""The course of a session: phases, states of trials, what is missing, how the nodes fared."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from myoloop.experiments.analysis.gather import Gathered
from myoloop.experiments.analysis.tracks import BeatTrack, GapRow, PhaseSpan, SampleTrack, TrialSpan
from myoloop.platform.messages import Phase


def course(got: Gathered) -> tuple[tuple[PhaseSpan, ...], tuple[TrialSpan, ...], Phase | None]:
    """Phases, states of trials, and the last phase message."""
    phases: list[PhaseSpan] = []
    spans: list[TrialSpan] = []
    phase_key: tuple[int, str, str] | None = None
    span_key: tuple[int, str, int, int, str, int] | None = None
    for message in got.phases:
        t_s = got.seconds(message.t_ns)
        key = None if message.state == "ended" or not message.name else (message.index, message.name, message.kind)
        if phases and phase_key is not None:
            phases[-1] = phases[-1]._replace(end_s=t_s)
        if key is not None and key != phase_key:
            phases.append(PhaseSpan(message.name, message.kind, message.index, t_s, t_s))
        phase_key = key
        if spans and span_key is not None:
            spans[-1] = spans[-1]._replace(end_s=t_s)
        told = message.state == "running" and message.trial_state != "idle" and message.kind != "rest"
        if not told:
            span_key = None
            continue
        now = (message.index, message.kind, message.block, message.trial, message.trial_state, message.t_state_ns)
        if now != span_key:
            begin_s = max(got.seconds(message.t_state_ns), spans[-1].begin_s if spans else -np.inf)
            if not 0 < message.t_state_ns <= message.t_ns:
                begin_s = t_s
            if spans and span_key is not None:
                spans[-1] = spans[-1]._replace(end_s=begin_s)
            spans.append(TrialSpan(message.trial_state, message.kind, message.block, message.trial, begin_s, t_s))
        span_key = now
    return tuple(phases), tuple(spans), got.phases[-1] if got.phases else None


def gap_rows(got: Gathered, samples: Mapping[str, SampleTrack]) -> tuple[GapRow, ...]:
    """Samples lost at the source, and messages that a subscriber never got."""
    rows = []
    for topic, track in samples.items():
        for gap in track.record.gaps:
            # Before the first recorded sample nothing of the session is missing: the source was open already.
            if gap.row:
                rows.append(
                    GapRow(float(track.t_s[gap.row - 1]), float(track.t_s[gap.row]), topic, gap.missing, gap.kind)
                )
    for told, who in got.told_gaps:
        t_s = got.seconds(told.t_ns)
        rows.append(GapRow(t_s, t_s, told.topic, told.last_missing - told.first_missing + 1, "message", who))
    return tuple(sorted(rows, key=lambda row: row.begin_s))


def beat_tracks(got: Gathered) -> dict[str, BeatTrack]:
    """Heartbeats by node."""
    return {node: beats.track(got.zero_ns) for node, beats in sorted(got.beats.items())}
