"""Spasms per minute of the protocol's rests: what calibration, trains and efforts evoke is not among them."""

from __future__ import annotations

import numpy as np

from myoloop.experiments.outcomes.kind import Measure, OutcomeKind
from myoloop.experiments.outcomes.view import Value, View, of_each, within


def spasms_at_rest(view: View) -> Value:
    """Spasms that began in a rest with baseline, over the minutes of rest in which the estimator could tell one."""
    rests = view.rests()
    if not rests:
        return Value(None, why="no rest with baseline")
    rates, spasms, minutes = {}, 0, {}
    for name, track in view.session.muscles.items():
        resting = np.any([within(track.t_s, span) for span in rests], axis=0)
        if len(track.t_s) < 2 or not (resting & track.spasm.valid).any():
            continue
        told_min = float(np.count_nonzero(resting & track.spasm.valid) * np.median(np.diff(track.t_s))) / 60.0
        began_s = np.array([burst.begin_s for burst in track.spasms])
        found = int(np.any([within(began_s, span) for span in rests], axis=0).sum()) if len(began_s) else 0
        rates[name] = found / told_min
        spasms += found
        minutes[name] = round(told_min, 4)
    value = of_each(rates, spasms, "never told")
    return value if value.value is None else Value(value.value, value.n, value.parts, parameters={"told_min": minutes})


MEASURES = (
    Measure(
        "spasms_at_rest",
        OutcomeKind("spasms per minute of rest", "1/min", ("emg", "rest")),
        spasms_at_rest,
        "bursts of the estimator that began in a rest with baseline, over the minutes of rest in which it could tell; "
        "mean of muscles",
        better="less",
        source="our choice: trains and a calibration evoke what by EMG alone may be taken for a spasm",
    ),
)
