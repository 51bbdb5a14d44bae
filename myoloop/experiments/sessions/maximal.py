"""The MVC phase: strongest voluntary contractions one after the other; no current, ever.

Of each attempt the highest plateau of the EMG level counts, and of all attempts the best: later effort is told relative
to it. Who cannot or may not is normed otherwise, as the protocol says, and the norm is named.
"""

from __future__ import annotations

from dataclasses import replace
from math import isfinite

from myoloop.experiments.protocols.plan import MvcPlan, PhasePlan, Plan
from myoloop.experiments.sessions.outbox import Outbox
from myoloop.experiments.sessions.place import Norm, Place, Pulling
from myoloop.experiments.sessions.steering import Steering
from myoloop.experiments.sessions.telling import mvc_lengths_s
from myoloop.experiments.sessions.watch import Ending
from myoloop.platform.messages import Command, Estimate, Trial

#: A plateau is the mean of the level over so long; a shorter peak is chance (SENIAM and ISEK use 0.5 to 1 s, GK).
PLATEAU_S = 0.5


def enter(steering: Steering, plan: Plan, place: Place, out: Outbox) -> None:
    """Begin with the first attempt; an armed stimulator is disarmed."""
    place.pulling = Pulling(since_ns=place.now_ns)
    if place.arm_id:
        steering.pause_stimulator("calibrate", "maximal voluntary contraction", out)


def heard(plan: Plan, place: Place, estimate: Estimate) -> None:
    """Take note of the muscle's level while it pulls."""
    phase, now = place.phase(plan), place.pulling
    if place.stage != "phase" or phase is None or phase.mvc is None or now is None or now.state != "pull":
        return
    level_uv = next((muscle.level_uv for muscle in estimate.muscles if muscle.muscle == phase.mvc.muscle), None)
    if level_uv is None or not isfinite(level_uv):
        # A plateau with a hole in it is none.
        place.pulling = replace(now, levels=())
        return
    oldest_ns = estimate.t_ns - round(PLATEAU_S * 1e9)
    levels = (*(each for each in now.levels if oldest_ns <= each[0] < estimate.t_ns), (estimate.t_ns, level_uv))
    peak_uv = now.peak_uv
    # The first of them must be as old as a plateau is long, but for one cycle of estimates.
    if levels[0][0] - oldest_ns <= round(0.1 * PLATEAU_S * 1e9):
        mean_uv = sum(level for _, level in levels) / len(levels)
        peak_uv = mean_uv if peak_uv is None else max(peak_uv, mean_uv)
    place.pulling = replace(now, levels=levels, peak_uv=peak_uv)


def go_on(steering: Steering, plan: Plan, place: Place, out: Outbox) -> None:
    """Let time pass."""
    phase, now = place.phase(plan), place.pulling
    if phase is None or phase.mvc is None or now is None or place.arm_id:
        return
    if place.now_ns - now.since_ns < round(mvc_lengths_s(phase)[now.state] * 1e9):
        return
    if now.state == "pull":
        best_uv = max((each for each in (now.best_uv, now.peak_uv) if each is not None), default=None)
        out.trial(_row(phase, phase.mvc, now, place.now_ns, "done" if now.peak_uv is not None else "not heard"))
        now = replace(now, best_uv=best_uv)
    if now.state == "cue":
        place.pulling = replace(now, state="pull", since_ns=place.now_ns, levels=(), peak_uv=None)
    elif now.state == "pull":
        place.pulling = replace(now, state="rest", since_ns=place.now_ns, levels=(), peak_uv=None)
    elif now.attempt < phase.mvc.repeats:
        place.pulling = Pulling(attempt=now.attempt + 1, since_ns=place.now_ns, best_uv=now.best_uv)
    else:
        _done(steering, place, phase.mvc, Norm("mvc", now.best_uv), "", out)


def interrupted(plan: Plan, place: Place, out: Outbox) -> None:
    """A pause cuts an attempt; it is made again from its announcement."""
    phase, now = place.phase(plan), place.pulling
    if phase is None or phase.mvc is None or now is None:
        return
    if now.state == "pull":
        out.trial(_row(phase, phase.mvc, now, place.now_ns, "paused"))
    if now.state != "rest":
        place.pulling = replace(now, state="cue", since_ns=place.now_ns, levels=(), peak_uv=None)


def resumed(place: Place, away_ns: int) -> None:
    """The pause is over: its time does not count."""
    if place.pulling is not None:
        place.pulling = replace(place.pulling, since_ns=place.pulling.since_ns + away_ns)


def skip(steering: Steering, plan: Plan, place: Place, command: Command, out: Outbox) -> str:
    """The person cannot or may not pull: go on with another norm, or not at all."""
    phase, now = place.phase(plan), place.pulling
    if place.stage not in ("phase", "paused") or phase is None or phase.mvc is None or now is None:
        return "no maximal contraction is asked for now"
    why = command.why.strip()
    if not why:
        return "to skip the maximal contraction needs a reason"
    if phase.mvc.skip == "refuse":
        steering.end(Ending("aborted", f"{phase.name}: skipped ({why}), which the protocol does not allow"), out)
        return ""
    if place.stage == "paused":
        return "the session is paused; resume first"
    norm = Norm(phase.mvc.skip, _other_norm_uv(place, phase.mvc))
    out.trial(_row(phase, phase.mvc, now, place.now_ns, "skipped", norm))
    _done(steering, place, phase.mvc, norm, f"{command.who}: {why}", out)
    return ""


def _done(steering: Steering, place: Place, mvc: MvcPlan, norm: Norm, why: str, out: Outbox) -> None:
    place.norms[mvc.muscle] = norm
    place.pulling = None
    out.event("mvc", why=why, values={"muscle": mvc.muscle, "norm": norm.kind, "value_uv": norm.value_uv})
    steering.enter(place.index + 1, out)


def _other_norm_uv(place: Place, mvc: MvcPlan) -> float | None:
    if mvc.skip == "rest_noise":
        return place.noise_uv.get(mvc.muscle)
    evoked = [answers[mvc.muscle] for answers in place.evoked_level_uv.values() if mvc.muscle in answers]
    return max(evoked, default=None)


def _row(phase: PhasePlan, mvc: MvcPlan, now: Pulling, now_ns: int, outcome: str, norm: Norm | None = None) -> Trial:
    values: dict[str, float | str | None] = {"muscle": mvc.muscle, "peak_uv": now.peak_uv}
    if norm is not None:
        values |= {"norm": norm.kind, "norm_uv": norm.value_uv}
    return Trial(
        t_ns=now_ns,
        kind="mvc",
        name=phase.name,
        block=1,
        trial=now.attempt,
        outcome=outcome,
        begin_ns=now.since_ns,
        end_ns=now_ns,
        values=values,
    )
