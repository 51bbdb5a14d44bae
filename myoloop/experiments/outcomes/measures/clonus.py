"""Clonus per minute of the time in which it could be told."""

from __future__ import annotations

import numpy as np

from myoloop.experiments.analysis.tracks import Interval, MuscleTrack
from myoloop.experiments.outcomes.kind import Measure, OutcomeKind
from myoloop.experiments.outcomes.view import Value, View, of_each, told_s, within


def clonus_bursts(track: MuscleTrack) -> tuple[Interval, ...]:
    """Bursts in which the estimator told a rhythm."""
    told_at_s = track.t_s[np.isfinite(track.clonus_hz)]
    return tuple(burst for burst in track.spasms if within(told_at_s, burst).any())


def clonus_rate(view: View) -> Value:
    """Bursts with a rhythm over the minutes in which the estimator could tell whether there is a burst."""
    rates, bursts, minutes = {}, 0, {}
    for name, track in view.session.muscles.items():
        told_min = told_s(track.t_s, track.spasm) / 60.0
        if told_min > 0:
            found = len(clonus_bursts(track))
            rates[name] = found / told_min
            bursts += found
            minutes[name] = round(told_min, 4)
    value = of_each(rates, bursts, "never told")
    return value if value.value is None else Value(value.value, value.n, value.parts, parameters={"told_min": minutes})


MEASURES = (
    Measure(
        "clonus_rate",
        OutcomeKind("clonus per minute of rest and stimulation", "1/min", ("emg",)),
        clonus_rate,
        "bursts with a rhythm over the minutes in which the estimator could tell a burst; mean of muscles",
        better="less",
        source="Thomas et al. 2014 (users.md P47y): bursts of clonus from EMG",
    ),
)
