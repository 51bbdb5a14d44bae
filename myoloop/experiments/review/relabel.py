"""A session with the events that a person says happened, in the place of those the detector found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from myoloop.experiments.analysis.session import Session
from myoloop.experiments.analysis.tracks import Floats, Interval, Mask, MuscleTrack
from myoloop.experiments.review.review import Review

#: Classes that outcomes of spasms rest on.
BURSTS = ("spasm", "clonus")


def relabelled(session: Session, review: Review) -> Session:
    """Bursts and their kind as the labels have them; when anything could be told at all stays the estimator's own.

    A label in a stretch in which the estimator could not tell counts as a burst and adds no time: a rate is then higher
    than the estimator's stretches alone would make it.
    """
    spasms, clonus = review.corrected(*BURSTS), review.corrected("clonus")
    muscles = {
        name: _relabelled(track, spasms.get(name, ()), clonus.get(name, ())) for name, track in session.muscles.items()
    }
    return replace(session, muscles=muscles)


def _relabelled(track: MuscleTrack, spasms: tuple[Interval, ...], clonus: tuple[Interval, ...]) -> MuscleTrack:
    on = _within(track.t_s, spasms)
    value = np.where(np.isfinite(track.spasm.value), on.astype(np.float64), np.nan)
    rhythm = np.where(_within(track.t_s, clonus), track.clonus_hz, np.nan)
    return replace(track, spasms=spasms, spasm=replace(track.spasm, value=value), clonus_hz=rhythm)


def _within(t_s: Floats, spans: tuple[Interval, ...]) -> Mask:
    inside = np.zeros(len(t_s), np.bool_)
    for span in spans:
        inside |= (t_s >= span.begin_s) & (t_s < (np.inf if span.end_s is None else span.end_s))
    return inside
