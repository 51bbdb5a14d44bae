"""Outcomes of force and movement: what a force cell and an IMU show of trains and efforts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from myoloop.experiments.analysis.tracks import Interval, SampleTrack
from myoloop.experiments.outcomes.view import Floats, Value, View, number, within
from myoloop.experiments.sessions.maximal import PLATEAU_S

#: A range is taken between these, so that one sample makes none.
RANGE_PERCENT = (2.5, 97.5)
#: Long trains of twitches are looked at in the first and last so much of them.
PART = 0.2
#: The rest before a train, above which its force is told.
BEFORE_S = 0.5
#: After a train or a burst of calibration force falls for about so long.
FALLS_S = 0.5
#: A peak is the mean over so long: the largest of many samples alone would be one with much noise.
PEAK_S = 0.1
#: So many trains at either end are compared.
TRAINS_COMPARED = 3
#: Trains are alike whose charge is within so much of their median's.
ALIKE_PCT = 5.0
#: A strongest contraction is believed of at least so many that scatter by no more than this (SENIAM, ISEK; GK).
MVC_REPEATS, CV_MAX_PCT = 3, 10.0
#: The angle at rest may have moved by so much from the first rest to the last; beyond it the zero has drifted (GK).
DRIFT_MAX_DEG = 5.0
#: States of a trial in which current is given.
_GIVEN = ("ramp_up", "hold", "ramp_down")
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
            low, high = np.percentile(angle, RANGE_PERCENT)
            told.append(float(np.degrees(high - low)))
    if not told:
        return Value(None, why="no valid angle of the joint during own efforts")
    drift_deg = _drift_deg(view)
    doubt = ""
    if drift_deg is not None and abs(drift_deg) > DRIFT_MAX_DEG:
        doubt = f"the angle at rest moved by {drift_deg:.1f} deg, allowed is {DRIFT_MAX_DEG:g}: the zero has drifted"
    drift = "not checked: no angle at rest before and after" if drift_deg is None else round(drift_deg, 2)
    return Value(float(np.median(told)), len(told), doubt=doubt, parameters={"drift_deg": drift})


def _drift_deg(view: View) -> float | None:
    """By how much the angle at rest differs between the first rest and the last; None without an angle in both."""
    rests, track = view.rests(), view.session.joint
    if len(rests) < 2:
        return None
    known = [track.angle_rad.value[within(track.t_s, rest) & track.angle_rad.valid] for rest in (rests[0], rests[-1])]
    known = [each[np.isfinite(each)] for each in known]
    if not all(len(each) for each in known):
        return None
    return float(np.degrees(np.median(known[1]) - np.median(known[0])))


def scatter(told: Sequence[float]) -> tuple[str, dict[str, Any]]:
    """Whether strongest contractions agree: why they are not believed (empty if they are), and by how much they do."""
    cv_pct = 100.0 * float(np.std(told, ddof=1) / np.mean(told)) if len(told) >= 2 and np.mean(told) > 0 else None
    found = {"cv_pct": None if cv_pct is None else round(cv_pct, 2)}
    if len(told) < MVC_REPEATS:
        return f"{len(told)} whole contractions, needed are {MVC_REPEATS}", found
    if cv_pct is None or cv_pct >= CV_MAX_PCT:
        return f"contractions scatter by {cv_pct or 0.0:.0f} %, allowed is less than {CV_MAX_PCT:g} %", found
    return "", found


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
    part_s = PART * sum((span.end_s or 0.0) - span.begin_s for span in trains) / len(trains)
    first = _above(_rms(rate[within(t_s, Interval(begin, begin + part_s))]), floor)
    last = _above(_rms(rate[within(t_s, Interval(end - part_s, end))]), floor)
    if not first > 0:
        return Value(None, why="no movement at the beginning")
    return Value(last / first, len(trains))


def evoked_fatigue(view: View) -> Value:
    """Loss of peak force above rest from the first three trains to the last three that are alike, as a share."""
    peaks = peaks_of_trains(view)
    if peaks is None:
        return Value(None, why=_NO_FORCE)
    alike, left_out = alike_peaks(view, peaks)
    newton = list(alike.values())
    if len(newton) < 2 * TRAINS_COMPARED:
        told = f"{len(newton)} trains with the same charge, needed are {2 * TRAINS_COMPARED}"
        return Value(None, len(newton), why=told, parameters=left_out)
    first, last = np.median(newton[:TRAINS_COMPARED]), np.median(newton[-TRAINS_COMPARED:])
    if not first > 0:
        return Value(None, why="no force was evoked")
    return Value(float(1.0 - last / first), len(newton), parameters=left_out)


def peaks_of_trains(view: View) -> dict[int, float] | None:
    """Peak force of each train above the rest before it, N, by the train's number from 1; None without a force cell."""
    force = _force(view)
    if force is None:
        return None
    t_s, newton = force
    trains = view.trains()
    rests = rests_before(view, t_s, newton, trains)
    peaks = {}
    for n, (span, rest_n) in enumerate(zip(trains, rests, strict=True), 1):
        keep = within(t_s, span)
        if keep.any() and rest_n is not None:
            peak_n = _plateau(t_s[keep], newton[keep], PEAK_S)
            peaks[n] = (float(np.max(newton[keep])) if peak_n is None else peak_n) - rest_n
    return peaks


def alike_peaks(view: View, peaks: Mapping[int, float]) -> tuple[dict[int, float], dict[str, Any]]:
    """The peaks of trains that were given alike, and how many were not.

    A stronger train evokes more force, however tired the muscle is: the first ones of a session, while current still
    rises onto new ground, are weaker than those that follow. Where no record tells of charge, all are taken.
    """
    charges = {}
    for trial, (begin_s, _, end_s) in zip(view.session.trials, view.session.trial_times_s, strict=True):
        if trial.kind == "block":
            inside = [n for n, span in enumerate(view.trains(), 1) if begin_s <= span.begin_s < end_s and n in peaks]
            charges.update(dict.fromkeys(inside, number(trial, "charge_mc")))
    if not np.isfinite(list(charges.values())).any():
        return dict(peaks), {}
    median_mc = float(np.nanmedian(list(charges.values())))
    within_mc = ALIKE_PCT / 100.0 * median_mc
    kept = {n: peak for n, peak in peaks.items() if abs(charges.get(n, np.nan) - median_mc) <= within_mc}
    return kept, {"trains_left_out": len(peaks) - len(kept)}


def rests_before(view: View, t_s: Floats, newton: Floats, trains: Sequence[Interval]) -> list[float | None]:
    """Force at rest before each train: the median of the half second before it, N; None without a sample there.

    Where force still falls from a burst of calibration or another train, the rest before the nearest train that has
    one of its own.
    """
    given = [Interval(span.begin_s, span.end_s) for span in view.session.trial_spans if span.state in _GIVEN]
    ends_s = np.array([each.end_s for each in given if each.end_s is not None])
    medians: list[float | None] = []
    own = []
    for n, span in enumerate(trains):
        before = within(t_s, Interval(span.begin_s - BEFORE_S, span.begin_s))
        medians.append(float(np.median(newton[before])) if before.any() else None)
        falling = (ends_s > span.begin_s - BEFORE_S - FALLS_S) & (ends_s <= span.begin_s)
        if before.any() and not falling.any():
            own.append(n)
    for n, rest_n in enumerate(medians):
        if own and rest_n is not None and n not in own:
            medians[n] = medians[min(own, key=lambda other: abs(other - n))]
    return medians


def torque_time_integral(view: View) -> Value:
    """Force above its rest before each train, integrated over the trains."""
    force = _force(view)
    if force is None:
        return Value(None, why=_NO_FORCE)
    t_s, newton = force
    each, trains = [], view.trains()
    for span, rest_n in zip(trains, rests_before(view, t_s, newton, trains), strict=True):
        keep = within(t_s, span)
        if keep.any() and rest_n is not None:
            each.append(float(np.trapezoid(newton[keep] - rest_n, t_s[keep])))
    if not each:
        return Value(None, why="no train with force was given" if trains else "no train was given")
    return Value(sum(each), len(each), parameters={"median_per_train_newton_s": float(np.median(each))})


def mvc_force(view: View) -> Value:
    """Largest plateau of whole contractions, above the force before each."""
    if _force(view) is None:
        return Value(None, why=_NO_FORCE)
    told = [pull.forward_n for pull in pulls(view)]
    if not told:
        return Value(None, why="no maximal contraction with force was made")
    doubt, parameters = scatter(told)
    return Value(max(told), len(told), doubt=doubt, parameters=parameters)


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


def _plateau(t_s: Floats, values: Floats, lasts_s: float = PLATEAU_S) -> float | None:
    """Largest mean over so long; None where there is not that much."""
    if len(t_s) < 2 or (t_s[-1] - t_s[0]) < 0.9 * lasts_s:
        return None
    samples = max(1, min(len(values), round(lasts_s / float(np.median(np.diff(t_s))))))
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
