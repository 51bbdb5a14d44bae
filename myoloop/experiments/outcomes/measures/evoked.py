"""Fatigue of evoked contractions as a slope over trains, and by the M-wave."""

from __future__ import annotations

import numpy as np

from myoloop.experiments.outcomes.kind import Measure, OutcomeKind
from myoloop.experiments.outcomes.mechanical import ALIKE_PCT, PEAK_S, alike_peaks, peaks_of_trains
from myoloop.experiments.outcomes.view import Value, View, of_each

TRAINS_MIN = 6
LEVEL = 0.95


def evoked_slope(view: View) -> Value:
    """Theil and Sen's slope of alike trains' peak force over their number, in % of the line's beginning."""
    peaks = peaks_of_trains(view)
    if peaks.why:
        return Value(None, why=peaks.why)
    alike, left_out = alike_peaks(view, peaks)
    if len(alike) < TRAINS_MIN:
        told = f"{len(alike)} trains with the same charge, needed are {TRAINS_MIN}"
        return Value(None, len(alike), why=told, parameters=left_out)
    found = slope(np.array(list(alike), dtype=np.float64), np.array(list(alike.values())))
    if found is None:
        return Value(None, len(alike), why="no force was evoked")
    pct, low, high = found
    return Value(pct, len(alike), parameters={"low": low, "high": high, **left_out})


def slope(x: np.ndarray, y: np.ndarray) -> tuple[float, float, float] | None:
    """Theil and Sen's slope with its 95 % interval, in % of the line's value at the first x; None below zero there."""
    from scipy.stats import theilslopes

    found = theilslopes(y, x, LEVEL)
    beginning = float(np.median(y - found.slope * (x - x[0])))
    if not beginning > 0:
        return None
    pct = 100.0 / beginning
    return float(found.slope) * pct, float(found.low_slope) * pct, float(found.high_slope) * pct


def mwave_fatigue(view: View) -> Value:
    """Newest fatigue by the M-wave that the estimator called valid."""
    parts = {
        name: last
        for name, track in view.session.muscles.items()
        if (last := track.terms["M-wave"].last_valid) is not None
    }
    muscle = view.session.stimulated_muscle
    if muscle in parts:
        return Value(parts[muscle], 1, parts)
    return of_each(parts, len(parts), "no M-wave that was valid")


MEASURES = (
    Measure(
        "evoked_fatigue_slope",
        OutcomeKind("slope of evoked force over the trains", "%/train", ("force", "block")),
        evoked_slope,
        "Theil and Sen's slope of peak force above the rest before each train, per train, in % of the line's first "
        "value, over trains with the same charge; interval of the slope in `parameters`",
        {"trains_min": TRAINS_MIN, "interval": LEVEL, "peak_s": PEAK_S, "alike_pct": ALIKE_PCT},
        "more",
        "Sen, J Am Stat Assoc 1968;63:1379; regression slope of evoked torque: users.md P59",
    ),
    Measure(
        "mwave_fatigue",
        OutcomeKind("fatigue by the M-wave", "1", ("emg", "block")),
        mwave_fatigue,
        "newest value of the estimator's M-wave term; averages with a clipped or contaminated M-wave are not valid",
        better="less",
    ),
)
