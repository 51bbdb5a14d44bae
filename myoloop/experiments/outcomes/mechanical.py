"""Outcomes of force and movement: what a force cell and an IMU show of trains and efforts."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from myoloop.experiments.analysis.tracks import Interval, SampleTrack
from myoloop.experiments.outcomes.view import Floats, Value, View, within
from myoloop.experiments.sessions.maximal import PLATEAU_S

#: A range is taken between these, so that one sample makes none.
_RANGE_PERCENT = (2.5, 97.5)
#: Long trains of twitches are looked at in the first and last so much of them.
_PART = 0.2
_NO_FORCE = "no force cell was recorded"


def active_rom(view: View) -> Value:
    """Range of the joint's angle while the person tries, before any train: median over trials, degrees."""
    track = view.session.joint
    told = []
    for span in view.states("await_effort"):
        keep = within(track.t_s, span) & track.angle_rad.valid
        angle = track.angle_rad.value[keep]
        angle = angle[np.isfinite(angle)]
        if len(angle) >= 10:
            low, high = np.percentile(angle, _RANGE_PERCENT)
            told.append(float(np.degrees(high - low)))
    if not told:
        return Value(None, why="no valid angle of the joint during own efforts")
    return Value(float(np.median(told)), len(told))


def twitch_amplitude(view: View) -> Value:
    """RMS of the gyroscope in the last fifth of the trains over that in their first, each above what rest shows."""
    gyroscope = _gyroscope(view)
    trains = [span for span in view.trains() if span.end_s is not None and span.end_s - span.begin_s >= 1.0]
    if gyroscope is None or not trains:
        return Value(None, why="no IMU was recorded" if gyroscope is None else "no train was given")
    t_s, rate = gyroscope
    rests = view.rests()
    floor = _rms(rate[within(t_s, rests[0])]) if rests else 0.0
    begin, end = trains[0].begin_s, trains[-1].end_s or trains[-1].begin_s
    part_s = _PART * sum((span.end_s or 0.0) - span.begin_s for span in trains) / len(trains)
    first = _above(_rms(rate[within(t_s, Interval(begin, begin + part_s))]), floor)
    last = _above(_rms(rate[within(t_s, Interval(end - part_s, end))]), floor)
    if not first > 0:
        return Value(None, why="no movement at the beginning")
    return Value(last / first, len(trains))


def evoked_fatigue(view: View) -> Value:
    """Loss of peak force from the first three trains to the last three, as a share."""
    force = _force(view)
    if force is None:
        return Value(None, why=_NO_FORCE)
    t_s, newton = force
    peaks = [float(np.max(newton[keep])) for span in view.trains() if (keep := within(t_s, span)).any()]
    if len(peaks) < 6:
        return Value(None, len(peaks), why="fewer than six trains")
    first, last = np.median(peaks[:3]), np.median(peaks[-3:])
    return Value(float(1.0 - last / first), len(peaks)) if first > 0 else Value(None, why="no force was evoked")


def torque_time_integral(view: View) -> Value:
    """Force above its rest before each train, integrated over the trains."""
    force = _force(view)
    if force is None:
        return Value(None, why=_NO_FORCE)
    t_s, newton = force
    total, trains = 0.0, view.trains()
    for span in trains:
        keep = within(t_s, span)
        before = within(t_s, Interval(span.begin_s - 0.5, span.begin_s))
        if keep.any() and before.any():
            total += float(np.trapezoid(newton[keep] - np.median(newton[before]), t_s[keep]))
    return Value(total, len(trains)) if trains else Value(None, why="no train was given")


def mvc_force(view: View) -> Value:
    """Largest plateau of whole contractions, above the force before each."""
    if _force(view) is None:
        return Value(None, why=_NO_FORCE)
    told = [pull.forward_n for pull in pulls(view)]
    return Value(max(told), len(told)) if told else Value(None, why="no maximal contraction with force was made")


class Pull(NamedTuple):
    """The force of one whole maximal contraction, above the force before it.

    Attributes
    ----------
    forward_n
        Largest plateau in the cell's own direction.
    either_way_n
        The larger of those in both directions: an antagonist pulls the cell the other way.
    """

    muscle: str
    forward_n: float
    either_way_n: float


def pulls(view: View) -> list[Pull]:
    """Every whole maximal contraction with force, in order; none where there is no cell."""
    force = _force(view)
    if force is None:
        return []
    t_s, newton = force
    told = []
    for trial, (begin_s, _, end_s) in zip(view.session.trials, view.session.trial_times_s, strict=True):
        if trial.kind != "mvc" or trial.outcome != "done":
            continue
        pull = within(t_s, Interval(begin_s, end_s))
        before = within(t_s, Interval(begin_s - PLATEAU_S, begin_s))
        if not before.any():
            continue
        above = newton[pull] - float(np.median(newton[before]))
        forward, back = _plateau(t_s[pull], above), _plateau(t_s[pull], -above)
        if forward is not None and back is not None:
            told.append(Pull(str(trial.values.get("muscle", "")), forward, max(forward, back)))
    return told


def _plateau(t_s: Floats, values: Floats) -> float | None:
    """Largest mean over `PLATEAU_S`; None where there is not that much."""
    if len(t_s) < 2 or (t_s[-1] - t_s[0]) < 0.9 * PLATEAU_S:
        return None
    samples = max(1, min(len(values), round(PLATEAU_S / float(np.median(np.diff(t_s))))))
    sums = np.concatenate(([0.0], np.cumsum(values)))
    return float(np.max(sums[samples:] - sums[:-samples]) / samples)


def _force(view: View) -> tuple[Floats, Floats] | None:
    track = _track(view, "force/")
    if track is None:
        return None
    return track.t_s, track.channel(track.record.descriptor.channels[0]).astype(np.float64)


def _gyroscope(view: View) -> tuple[Floats, Floats] | None:
    track = _track(view, "imu/")
    if track is None:
        return None
    units = track.record.descriptor.units
    names = [name for name, unit in zip(track.record.descriptor.channels, units, strict=True) if unit == "rad/s"]
    if not names:
        return None
    axes = np.stack([track.channel(name).astype(np.float64) for name in names])
    return track.t_s, np.sqrt(np.sum(axes**2, axis=0))


def _track(view: View, begins: str) -> SampleTrack | None:
    return next((track for topic, track in view.session.samples.items() if topic.startswith(begins)), None)


def _rms(values: Floats) -> float:
    return float(np.sqrt(np.mean(values**2))) if len(values) else 0.0


def _above(level: float, floor: float) -> float:
    return float(np.sqrt(max(0.0, level**2 - floor**2)))
