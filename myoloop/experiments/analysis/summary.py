"""A session in one plain dict: what `myoloop demo --json` prints and a table of sessions is made of."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from myoloop.experiments.analysis import bursts
from myoloop.experiments.analysis.latency import percentiles
from myoloop.experiments.analysis.session import Session
from myoloop.experiments.outcomes.attempt import Measured, measure
from myoloop.platform.messages import Trial


def spasm_score(session: Session) -> bursts.SpasmScore | None:
    """Onset-matched, all heard muscles together; None where the true spasms are not known."""
    if not session.truth.told_spasms:
        return None
    found = {name: track.spasms for name, track in session.muscles.items()}
    return bursts.score(session.truth.spasms, found, session.end_s)


def summarise(session: Session, measured: Measured | None = None) -> dict[str, Any]:
    """Sum up a session; JSON-ready.

    Parameters
    ----------
    measured
        Its outcomes, where they have been computed already.

    Returns
    -------
    dict
        ``samples``: EMG samples per channel, all EMG streams; ``gaps``: places where samples or messages are missing;
        ``requests``; ``delivered_pulses`` and ``delivered_basis`` (``ledger`` is the body's own, else what the
        stimulator said); ``spasms_true``, ``spasms_detected``, ``spasm_f1`` (heard muscles only, and no onset within
        half a second of the end; None where the truth is not known, of which ``spasms_detected`` is then all);
        ``fatigue_true_end``, ``fatigue_estimated_end`` (``fatigue_muscle``; the estimate is the last valid one; None
        where there is none); ``gate_limited``: reports in which a rule of the gate allowed less than was asked;
        ``gate_rounded``: those in which only the device's step did; ``stops``: times the gate latched; ``outcome``,
        ``reason``, ``complete``, ``simulated`` (whether any part was), ``origins`` (of ``emg``, ``stimulation`` and
        ``body``; None where the record does not say), ``duration_s``, ``trials``, ``trials_done`` (those with current
        whose end nothing brought forward), ``latency_ms`` (by leg: ``n``, ``p50_ms``, ``p99_ms``, ``p999_ms``,
        ``worst_ms``), ``cycle_ms`` (the same by node), ``subject``, ``session_id``; ``outcomes``: those that the
        protocol names and the platform computes, primary first (``part``, ``outcome``, ``text``, ``unit``, ``value`` or
        None, ``n``, ``parts`` by muscle or channel, ``why`` there is none); ``outcomes_are``: what they are effects in,
        where that is no person; ``outcomes_missing``: why there are none at all; ``outcomes_entered``: what somebody
        enters elsewhere.
    """
    found = spasm_score(session)
    muscle = session.stimulated_muscle
    track = session.muscles.get(muscle) if muscle is not None else None
    true_fatigue = session.truth.fatigue.get(muscle) if muscle is not None else None
    in_blocks = [trial for trial in session.trials if trial.kind == "block"]
    estimated = track.fatigue.last_valid if track is not None else None
    measured = measure(session) if measured is None else measured
    return {
        "session_id": session.session_id,
        "subject": session.subject,
        "simulated": session.simulated,
        "origins": asdict(session.origins) if session.origins is not None else None,
        "outcome": session.outcome,
        "reason": session.reason,
        "complete": session.complete,
        "duration_s": round(session.end_s, 3),
        "samples": sum(len(each.record.counts) for each in session.emg()),
        "gaps": len(session.gaps),
        "requests": session.requests,
        "delivered_pulses": sum(len(each) for each in session.delivered().values()),
        "delivered_basis": session.delivered_basis,
        "spasms_true": found.matched + found.missed if found is not None else None,
        "spasms_detected": sum(len(each.spasms) for each in session.muscles.values())
        if found is None
        else found.matched + found.false,
        "spasm_f1": round(found.f1, 4) if found is not None else None,
        "fatigue_muscle": muscle,
        "fatigue_true_end": round(float(true_fatigue[1][-1]), 4) if true_fatigue is not None else None,
        "fatigue_estimated_end": round(estimated, 4) if estimated is not None else None,
        "gate_limited": session.gate.limited,
        "gate_rounded": session.gate.rounded,
        "stops": len(session.gate.latches),
        "trials": len(in_blocks),
        "trials_done": sum(_done(trial) for trial in in_blocks),
        "latency_ms": {leg: percentiles(values) for leg, values in session.latencies_ms.items()},
        "cycle_ms": {node: percentiles(beat.cycle_ms) for node, beat in session.beats.items()},
        **measured.as_data(),
    }


def _done(trial: Trial) -> bool:
    # A protocol's train may come to nothing: a reflex or the gate held it back.
    charge_mc = trial.values.get("charge_mc")
    return (
        trial.outcome in ("effort", "assisted", "done", "yoked")
        and isinstance(charge_mc, int | float)
        and charge_mc > 0
    )
