"""Outcomes of force and movement: what a force cell and an IMU show of trains and efforts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from myoloop.experiments.analysis.tracks import Interval, SampleTrack
from myoloop.experiments.outcomes.force import NO_REST, Rest, force_of, rests_before
from myoloop.experiments.outcomes.view import Floats, Value, View, number, within
from myoloop.experiments.sessions.maximal import PLATEAU_S

#: A range is taken between these, so that one sample makes none.
RANGE_PERCENT = (2.5, 97.5)
#: Long trains of twitches are looked at in the first and last so much of them.
PART = 0.2
#: A peak is the mean over so long: the largest of many samples alone would be one with much noise.
PEAK_S = 0.1
#: So many trains at either end are compared.
TRAINS_COMPARED = 3
#: A unit within a name.
WRITTEN = {"N": "newton", "Nm": "newton_metre"}
#: Trains are alike whose charge is within so much of their median's.
ALIKE_PCT = 5.0
#: A strongest contraction is believed of at least so many that scatter by no more than this (SENIAM, ISEK; GK).
MVC_REPEATS, CV_MAX_PCT = 3, 10.0
#: The angle at rest may have moved by so much from the first rest to the last; beyond it the zero has drifted (GK).
DRIFT_MAX_DEG = 5.0


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


def of_strongest(told: Sequence[tuple[str, float]]) -> list[float]:
    """Contractions of the muscle that made the strongest one, of contractions with their muscle: others differ."""
    strongest = max(told, key=lambda each: each[1], default=("", 0.0))[0]
    return [value for muscle, value in told if muscle == strongest]


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
    if peaks.why:
        return Value(None, why=peaks.why)
    alike, left_out = alike_peaks(view, peaks)
    told = list(alike.values())
    if len(told) < 2 * TRAINS_COMPARED:
        why = f"{len(told)} trains with the same charge, needed are {2 * TRAINS_COMPARED}"
        return Value(None, len(told), why=why, parameters=left_out)
    first, last = np.median(told[:TRAINS_COMPARED]), np.median(told[-TRAINS_COMPARED:])
    if not first > 0:
        return Value(None, why="no force was evoked")
    return Value(float(1.0 - last / first), len(told), parameters=left_out)


class Peaks(NamedTuple):
    """Peak force of trains above rest.

    Attributes
    ----------
    by_train
        By the train's number from 1, in `unit`.
    unit
        Of the force.
    after_effort
        Of how many trains the person was asked to pull until just before: their force is not of the current alone.
    why
        Why there is none; empty where there is.
    """

    by_train: dict[int, float]
    unit: str
    after_effort: int = 0
    why: str = ""


def peaks_of_trains(view: View) -> Peaks:
    """Peak force of each train above the rest before it."""
    force = force_of(view)
    if force.why:
        return Peaks({}, "", why=force.why)
    trains = view.trains()
    rests = rests_before(view, force, trains)
    peaks, after_effort = {}, 0
    for n, (span, rest) in enumerate(zip(trains, rests, strict=True), 1):
        keep = within(force.t_s, span)
        if keep.any() and rest is not None:
            peak = _plateau(force.t_s[keep], force.value[keep], PEAK_S)
            peaks[n] = (float(np.max(force.value[keep])) if peak is None else peak) - rest.value
            after_effort += rest.after_effort
    return Peaks(peaks, force.unit, after_effort, "" if peaks else _why_none(trains, rests))


def _why_none(trains: Sequence[Interval], rests: Sequence[Rest | None]) -> str:
    if not trains:
        return "no train was given"
    return "no sample of force in any train" if any(rests) else NO_REST


def alike_peaks(view: View, found: Peaks) -> tuple[dict[int, float], dict[str, Any]]:
    """The peaks of trains that were given alike, and how many were not.

    A stronger train evokes more force, however tired the muscle is: the first ones of a session, while current still
    rises onto new ground, are weaker than those that follow. Where no record tells of charge, all are taken.
    """
    peaks = found.by_train
    said = {"trains_after_effort": found.after_effort} if found.after_effort else {}
    charges = {}
    for trial, (begin_s, _, end_s) in zip(view.session.trials, view.session.trial_times_s, strict=True):
        if trial.kind == "block":
            inside = [n for n, span in enumerate(view.trains(), 1) if begin_s <= span.begin_s < end_s and n in peaks]
            charges.update(dict.fromkeys(inside, number(trial, "charge_mc")))
    if not np.isfinite(list(charges.values())).any():
        return dict(peaks), said
    median_mc = float(np.nanmedian(list(charges.values())))
    within_mc = ALIKE_PCT / 100.0 * median_mc
    kept = {n: peak for n, peak in peaks.items() if abs(charges.get(n, np.nan) - median_mc) <= within_mc}
    return kept, {"trains_left_out": len(peaks) - len(kept), **said}


def torque_time_integral(view: View) -> Value:
    """Force above its rest before each train, integrated over the trains."""
    force = force_of(view)
    if force.why:
        return Value(None, why=force.why)
    trains = view.trains()
    rests = rests_before(view, force, trains)
    each, after_effort = [], 0
    for span, rest in zip(trains, rests, strict=True):
        keep = within(force.t_s, span)
        if keep.any() and rest is not None:
            each.append(float(np.trapezoid(force.value[keep] - rest.value, force.t_s[keep])))
            after_effort += rest.after_effort
    if not each:
        return Value(None, why=_why_none(trains, rests))
    below = sum(one < 0 for one in each)
    doubt = ""
    if sum(each) < 0 or 2 * below > len(each):
        doubt = (
            f"force is below its rest in {below} of {len(each)} trains: the rest was none, or the cell is turned round"
        )
    parameters: dict[str, Any] = {f"median_per_train_{WRITTEN[force.unit]}_s": float(np.median(each))}
    if after_effort:
        parameters["trains_after_effort"] = after_effort
    return Value(sum(each), len(each), doubt=doubt, parameters=parameters, unit=f"{force.unit}*s")


def mvc_force(view: View) -> Value:
    """Largest plateau of whole contractions, above the force before each; believed by that muscle's contractions."""
    force = force_of(view)
    if force.why:
        return Value(None, why=force.why)
    told = of_strongest([(pull.muscle, pull.forward) for pull in pulls(view)])
    if not told:
        return Value(None, why="no maximal contraction with force was made")
    doubt, parameters = scatter(told)
    return Value(max(told), len(told), doubt=doubt, parameters=parameters, unit=force.unit)


class Pull(NamedTuple):
    """The force of one whole maximal contraction, above the force before it, in the cell's unit.

    Attributes
    ----------
    forward
        Largest plateau in the cell's own direction.
    either_way
        The larger of those in both directions: an antagonist pulls the cell the other way.
    """

    muscle: str
    forward: float
    either_way: float


def pulls(view: View) -> list[Pull]:
    """Every whole maximal contraction with force, in order; none where there is no cell."""
    force = force_of(view)
    t_s, value = force.t_s, force.value
    told: list[Pull] = []
    if force.why:
        return told
    for trial, (begin_s, _, end_s) in zip(view.session.trials, view.session.trial_times_s, strict=True):
        if trial.kind != "mvc" or trial.outcome != "done":
            continue
        pull = within(t_s, Interval(begin_s, end_s))
        before = within(t_s, Interval(begin_s - PLATEAU_S, begin_s))
        if not before.any():
            continue
        above = value[pull] - float(np.median(value[before]))
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
