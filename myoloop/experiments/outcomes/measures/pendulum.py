"""The pendulum test: the leg is let fall, and how far it swings at first tells how much the muscle resists.

An operator sets a mark that says ``pendulum`` at each release; the joint's angle by IMU does the rest.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from myoloop.experiments.analysis.tracks import Interval
from myoloop.experiments.outcomes.kind import Measure, OutcomeKind
from myoloop.experiments.outcomes.view import Floats, Value, View, within

MARK = "pendulum"
#: The swing is looked for so long after the mark, the leg held up before it for so long; the mark may be late by this.
AFTER_S, HELD_S, LATE_S = 8.0, 0.5, 1.0
#: Rest is the median of the last so much. A swing is no swing below this.
REST_S, SWING_MIN_DEG = 1.0, 3.0
#: Of a healthy leg the first swing is 1.6 times the way to rest (Bajd and Vodovnik 1984).
HEALTHY = 1.6


class Swing(NamedTuple):
    """One release.

    Attributes
    ----------
    first_deg
        From where the leg was held to the first turning point.
    to_rest_deg
        From there to where it hangs at the end.
    relaxation_index
        first / (1.6 to_rest): 1 or more in a healthy leg, less with spasticity.
    """

    first_deg: float
    to_rest_deg: float
    relaxation_index: float


def first_swing(t_s: Floats, angle_deg: Floats, released_s: float) -> Swing | None:
    """The first swing after a release; None where there is none to be seen.

    Parameters
    ----------
    t_s, angle_deg
        (n,) of the joint, finite, in order of time.
    released_s
        When the mark was set.
    """
    held = angle_deg[within(t_s, Interval(released_s - LATE_S - HELD_S, released_s - LATE_S))]
    after = within(t_s, Interval(released_s - LATE_S, released_s + AFTER_S))
    resting = angle_deg[within(t_s, Interval(released_s + AFTER_S - REST_S, released_s + AFTER_S))]
    if not len(held) or not after.any() or not len(resting):
        return None
    start, rest = float(np.median(held)), float(np.median(resting))
    # Told as a fall, whichever way the angle counts.
    fallen = (angle_deg[after] - start) * (1.0 if rest >= start else -1.0)
    to_rest = abs(rest - start)
    if to_rest < SWING_MIN_DEG or fallen.max() < SWING_MIN_DEG:
        return None
    turning = _turning_point(fallen, to_rest)
    return Swing(turning, to_rest, turning / (HEALTHY * to_rest))


def _turning_point(fallen: Floats, to_rest: float) -> float:
    """The first peak from which the leg comes back by a tenth of its way to rest or more; else the farthest it goes."""
    back = max(1.0, 0.1 * to_rest)
    highest = 0.0
    for value in fallen.tolist():
        if value > highest:
            highest = value
        elif highest >= SWING_MIN_DEG and highest - value >= back:
            return float(highest)
    return float(highest)


def pendulum(view: View) -> Value:
    """Median first swing over the releases that an operator marked."""
    return _of_marks(view, "first_deg")


def relaxation(view: View) -> Value:
    """Median relaxation index over the releases that an operator marked."""
    return _of_marks(view, "relaxation_index")


def _of_marks(view: View, what: str) -> Value:
    marks = [each.t_s for each in view.session.events if each.kind == "mark" and MARK in each.why.casefold()]
    if not marks:
        return Value(None, why=f"no mark says {MARK}")
    track = view.session.joint
    keep = track.angle_rad.valid & np.isfinite(track.angle_rad.value) if len(track.t_s) else np.zeros(0, np.bool_)
    t_s, angle_deg = track.t_s[keep], np.degrees(track.angle_rad.value[keep])
    found = [swing for at_s in marks if (swing := first_swing(t_s, angle_deg, at_s)) is not None]
    if not found:
        return Value(None, why=f"no swing after {len(marks)} marks: no valid angle, or the leg did not fall")
    told = [float(getattr(swing, what)) for swing in found]
    return Value(float(np.median(told)), len(told), parameters={"releases": len(marks), "swings": len(found)})


_PARAMETERS = {
    "mark": MARK, "after_s": AFTER_S, "held_s": HELD_S, "late_s": LATE_S, "rest_s": REST_S,
    "swing_min_deg": SWING_MIN_DEG,
}  # fmt: skip
_SOURCE = "Wartenberg, Neurology 1951;1:18; Bajd and Vodovnik, J Biomed Eng 1984;6:9"
MEASURES = (
    Measure("pendulum_first_swing", OutcomeKind("first swing of the leg let fall", "deg", ("imu", "mark")), pendulum,
            "from the angle held before the release to the first turning point; median over releases marked pendulum",
            _PARAMETERS, "more", _SOURCE),
    Measure("pendulum_relaxation", OutcomeKind("relaxation index of the leg let fall", "1", ("imu", "mark")),
            relaxation, "first swing over 1.6 times the way to rest; median over releases marked pendulum",
            {**_PARAMETERS, "healthy": HEALTHY}, "more", _SOURCE),
)  # fmt: skip
