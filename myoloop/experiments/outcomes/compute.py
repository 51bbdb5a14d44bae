"""Each outcome from a session: one function each, and the table that names them.

What cannot be had is told with its reason and never filled in; a session that was cut gives what it has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from myoloop.experiments.analysis.dosing import block_doses
from myoloop.experiments.analysis.session import Session
from myoloop.experiments.outcomes.mechanical import (
    active_rom,
    evoked_fatigue,
    mvc_force,
    of_strongest,
    scatter,
    torque_time_integral,
    twitch_amplitude,
)
from myoloop.experiments.outcomes.methods import method_of, parameters_of
from myoloop.experiments.outcomes.registry import MEASURES, OUTCOMES
from myoloop.experiments.outcomes.symmetry import symmetry
from myoloop.experiments.outcomes.view import Value, View, number, of_each, told_s, within
from myoloop.experiments.protocols.schema import Protocol

#: Co-contraction and effort are read while the person makes it, without stimulation where there is such a time.
_EFFORT_STATES = ("await_effort", "ramp_up", "hold")


def compute(
    session: Session, protocol: Protocol, diary: Sequence[tuple[str, Mapping[str, Any]]] = ()
) -> dict[str, Value]:
    """Every outcome that the protocol names, primary first.

    Parameters
    ----------
    diary
        What the person wrote down after the session: form and answers.

    Returns
    -------
    dict
        By the outcome's id; measures that are entered by hand are not in it.
    """
    named = [protocol.outcomes.primary.measure, *(each.measure for each in protocol.outcomes.secondary)]
    view = View(session, protocol, diary)
    return {name: COMPUTED[name](view) for name in dict.fromkeys(named) if name in COMPUTED}


_YOKED = "the trains were yoked to another person's: none answered an effort"


def trials_done(view: View) -> Value:
    """Trials whose train was given to its end."""
    return Value(float(len(view.done())), len(view.trials()))


def effort_started_share(view: View) -> Value:
    """Of the trials that awaited an effort and got a train or were skipped."""
    if view.yoked:
        return Value(None, why=_YOKED)
    awaited = [trial for trial in view.trials() if trial.outcome in ("effort", "assisted", "skipped")]
    if not awaited:
        return Value(None, why="no trial came to its end")
    return Value(sum(trial.outcome == "effort" for trial in awaited) / len(awaited), len(awaited))


def trigger_latency(view: View) -> Value:
    """From the prompt to the trigger: what `effort_after_ms` counts from the trial's begin, less the cue."""
    if view.yoked:
        return Value(None, why=_YOKED)
    cues_ms: dict[str, set[float]] = {}
    for phase in view.protocol.phases:
        if phase.block is not None:
            cues_ms.setdefault(phase.block.name, set()).add(1e3 * phase.block.cue_s)
    # Each block has its own cue; where two of one name differ, whose a trial is cannot be told.
    told = [
        number(trial, "effort_after_ms") - next(iter(cues_ms[trial.name]))
        for trial in view.trials()
        if trial.outcome == "effort" and len(cues_ms.get(trial.name, ())) == 1
    ]
    told = [value for value in told if np.isfinite(value)]
    if not told:
        begun = any(trial.outcome == "effort" for trial in view.trials())
        return Value(None, why="whose cue it was is not known" if begun else "no effort started a train")
    return Value(float(np.median(told)), len(told))


def dose_share(view: View) -> Value:
    """Charge that was delivered over what the director's plan makes at the targets that were resolved."""
    doses = [dose for dose in block_doses(view.session) if np.isfinite(dose.planned.charge_mc)]
    planned_mc = sum(dose.planned.charge_mc for dose in doses)
    if not planned_mc > 0:
        return Value(None, why="no target was resolved")
    return Value(sum(dose.delivered.charge_mc for dose in doses) / planned_mc, len(view.trials()))


def fatigue_index(view: View) -> Value:
    """The newest valid fatigue of the stimulated muscle."""
    muscle = view.session.stimulated_muscle
    track = view.session.muscles.get(muscle) if muscle is not None else None
    last = track.fatigue.last_valid if track is not None else None
    return Value(last, 1, why="" if last is not None else "not enough evidence of fatigue")


def median_frequency(view: View) -> Value:
    """Slope over contractions, as the estimator told it last."""
    parts = {
        name: last
        for name, track in view.session.muscles.items()
        if (last := track.slope_pct_per_min.last_valid) is not None
    }
    muscle = view.session.stimulated_muscle
    if muscle in parts:
        return Value(parts[muscle], 1, parts)
    return of_each(parts, len(parts), "no slope: too few contractions")


def resting_emg(view: View) -> Value:
    """RMS in the last rest over that in the first, geometric mean over muscles."""
    rests = view.rests()
    if len(rests) < 2:
        return Value(None, why="no rest before and after")
    logs = {}
    for name, track in view.session.muscles.items():
        before, after = (track.level_uv[within(track.t_s, rest)] for rest in (rests[0], rests[-1]))
        if np.isfinite(before).any() and np.isfinite(after).any():
            logs[name] = float(np.log(np.nanmedian(after) / np.nanmedian(before)))
    if not logs:
        return Value(None, why="no EMG at rest")
    parts = {name: float(np.exp(log)) for name, log in logs.items()}
    return Value(float(np.exp(np.mean(list(logs.values())))), len(parts), parts)


def spasm_count(view: View) -> Value:
    """Per minute in which it could be told whether there is one."""
    counts, minutes = {}, 0.0
    for name, track in view.session.muscles.items():
        told_min = told_s(track.t_s, track.spasm) / 60.0
        if told_min > 0:
            counts[name] = len(track.spasms) / told_min
            minutes += told_min
    return of_each(counts, sum(len(track.spasms) for track in view.session.muscles.values()), "never told")


def spasm_share(view: View) -> Value:
    """Of the time in which it could be told."""
    shares = {}
    for name, track in view.session.muscles.items():
        known = track.spasm.valid & np.isfinite(track.spasm.value)
        if known.any():
            shares[name] = float(np.mean(track.spasm.value[known] > 0.5))
    return of_each(shares, len(shares), "never told")


def clonus_frequency(view: View) -> Value:
    """Median over the time in which a clonus was on."""
    told = {}
    for name, track in view.session.muscles.items():
        rhythm = track.clonus_hz[np.isfinite(track.clonus_hz)]
        if len(rhythm):
            told[name] = float(np.median(rhythm))
    return of_each(told, len(told), "no clonus was told")


def cocontraction(view: View) -> Value:
    """Mean of the valid index while effort was asked for."""
    told = []
    for track in view.session.muscles.values():
        for span in view.states(*_EFFORT_STATES):
            keep = within(track.t_s, span) & track.cocontraction.valid
            told += [value for value in track.cocontraction.value[keep].tolist() if np.isfinite(value)]
    if not told:
        return Value(None, why="no valid index during effort")
    return Value(float(np.mean(told)), len(told))


def mvc_emg(view: View) -> Value:
    """Largest plateau, of whole contractions; believed by that muscle's contractions."""
    done = [trial for trial in view.trials("mvc") if trial.outcome == "done"]
    peaks = [(str(trial.values.get("muscle", "")), number(trial, "peak_uv")) for trial in done]
    told = of_strongest([each for each in peaks if np.isfinite(each[1])])
    if not told:
        return Value(None, why="no maximal contraction was made")
    doubt, parameters = scatter(told)
    return Value(max(told), len(told), doubt=doubt, parameters=parameters)


def sensory_threshold(view: View) -> Value:
    """As charge per phase."""
    return _threshold(view, "sensory")


def motor_threshold(view: View) -> Value:
    """As charge per phase."""
    return _threshold(view, "motor")


def tolerance(view: View) -> Value:
    """As charge per phase."""
    return _threshold(view, "tolerance")


def nrs_change(view: View) -> Value:
    """Last pain score of the session less its first."""
    told = view.answers("current", "nrs", "nrs_now")
    if len(told) < 2:
        return Value(None, len(told), why="fewer than two pain scores")
    return Value(told[-1] - told[0], len(told))


def pgic(view: View) -> Value:
    """The newest answer."""
    told = view.answers("change", "pgic")
    return Value(told[-1], len(told)) if told else Value(None, why="not asked")


def doms(view: View) -> Value:
    """Largest soreness of the days after."""
    told = [float(values["soreness"]) for form, values in view.diary if form == "doms" and "soreness" in values]
    return Value(max(told), len(told)) if told else Value(None, why="no entry in the diary yet")


#: Every outcome of the registry; a test holds the two to one another.
COMPUTED: dict[str, Callable[[View], Value]] = {
    "trials_done": trials_done,
    "effort_started_share": effort_started_share,
    "trigger_latency": trigger_latency,
    "dose_share": dose_share,
    "fatigue_index": fatigue_index,
    "median_frequency": median_frequency,
    "evoked_fatigue": evoked_fatigue,
    "torque_time_integral": torque_time_integral,
    "resting_emg": resting_emg,
    "spasm_count": spasm_count,
    "spasm_share": spasm_share,
    "clonus_frequency": clonus_frequency,
    "cocontraction": cocontraction,
    "mvc_emg": mvc_emg,
    "mvc_force": mvc_force,
    "symmetry": symmetry,
    "active_rom": active_rom,
    "twitch_amplitude": twitch_amplitude,
    "sensory_threshold": sensory_threshold,
    "motor_threshold": motor_threshold,
    "tolerance": tolerance,
    "nrs_change": nrs_change,
    "pgic": pgic,
    "doms": doms,
    **{name: measure.compute for name, measure in MEASURES.items()},
}


def as_rows(found: Mapping[str, Value]) -> list[dict[str, Any]]:
    """For JSON and tables, in the order of the protocol."""
    return [
        {
            "outcome": name,
            "text": OUTCOMES[name].text,
            "unit": each.unit or OUTCOMES[name].unit,
            "value": each.value,
            "valid": each.valid,
            "n": each.n,
            "parts": dict(each.parts) if each.parts else None,
            "why": each.why,
            "doubt": each.doubt,
            "code": each.code,
            "codes": dict(each.codes) if each.codes else None,
            "method": method_of(name),
            "parameters": {**parameters_of(name), **each.parameters},
        }
        for name, each in found.items()
    ]


def _threshold(view: View, name: str) -> Value:
    parts = {}
    for trial in view.trials("threshold"):
        charge_uc = number(trial, f"{name}_ma") * number(trial, "phase_us") * 1e-3
        if np.isfinite(charge_uc):
            parts[str(trial.values.get("channel", trial.name))] = charge_uc
    return of_each(parts, len(parts), f"no {name} threshold was found")
