"""The optimise phase: one setting after the other, each a short train; the best that was comfortable is chosen.

Trains are given at the normal arming, within the envelope that followed from the person's own thresholds. A train
whose current the gate is still letting rise is given again before it counts. What hurts ends the train at once.
"""

from __future__ import annotations

from dataclasses import replace
from math import isfinite

from myoloop.experiments.protocols.plan import OptimisePlan, PhasePlan, Plan
from myoloop.experiments.sessions import trial_machine, trialblock
from myoloop.experiments.sessions.outbox import Outbox
from myoloop.experiments.sessions.place import ChosenSettings, InBlock, Optimising, Place
from myoloop.experiments.sessions.steering import Steering
from myoloop.experiments.sessions.trial_machine import TrialState
from myoloop.experiments.sessions.trials import trial_of_setting
from myoloop.experiments.sessions.watch import Ending
from myoloop.experiments.training.optimisation import Optimiser, OptimiserSettings, Tried
from myoloop.experiments.training.settings_grid import Pad, Point, make_grid
from myoloop.platform.messages import Command, Estimate, Event, Target, Trial
from myoloop.stimulators.gate.envelope import DeviceLimits
from myoloop.stimulators.gate.limits import current_cap

#: The form in which the person rates each train, and its field.
FORM, RATING = "comfort", "discomfort"
#: So often a setting is given without reaching its current before it is given up: the gate lets current rise step by
#: step above what this person has had.
HELD_BACK_MAX = 10
_IN_TRAIN = ("ramp_up", "hold")


def enter(steering: Steering, plan: Plan, place: Place, out: Outbox) -> None:
    """Make this person's grid; the first train comes once the stimulator is armed."""
    phase = place.phase(plan)
    if phase is None or phase.optimise is None:
        return
    if _needless(plan, place):
        out.event("skipped", why="no trial that needs its settings is left", values={"phase": phase.name})
        steering.enter(place.index + 1, out)
        return
    try:
        settings = settings_of(plan, place, phase.optimise)
    except ValueError as error:
        steering.end(Ending("aborted", f"{phase.name}: {error}"), out)
        return
    place.optimising = Optimising(settings)
    place.block = InBlock(trial=0, state=TrialState(since_ns=place.now_ns), begun=True)
    place.answers.pop(FORM, None)
    out.event("optimising", why=f"{len(settings.points)} settings to choose from", values={"phase": phase.name})


def settings_of(plan: Plan, place: Place, optimise: OptimisePlan) -> OptimiserSettings:
    """What there is to choose from for this person.

    Raises
    ------
    ValueError
        If a threshold is missing, or nothing is within the envelope.
    """
    envelope = place.own_envelope(plan)
    device = DeviceLimits(1, float("1e9"), plan.device_step_ma, envelope.phase_us, envelope.rate_hz)
    pads = []
    for pulse in place.kept(optimise.pulses):
        found, limits = place.thresholds.get(pulse.channel), envelope.channel(pulse.channel)
        if found is None or found.motor_ma is None or limits is None:
            raise ValueError(f"{pulse.channel}: no motor threshold was measured")
        cap_ma = min(limits.current_max_ma, found.cap_ma)
        pads.append(Pad(pulse.channel, min(found.motor_ma, cap_ma), cap_ma, pulse.phase_us))

    def cap_of(channel: str, phase_us: float, rate_hz: float) -> float:
        limits = envelope.channel(channel)
        return 0.0 if limits is None else current_cap(limits, envelope, device, phase_us, rate_hz, False)[0]

    points = make_grid(
        pads, optimise.levels, optimise.phases_us, optimise.rates_hz, step_ma=plan.device_step_ma, cap_of=cap_of
    )
    if not points:
        raise ValueError("no setting is within the envelope")
    return OptimiserSettings(
        points=points,
        start={pulse.channel: (pulse.phase_us, pulse.rate_hz) for pulse in optimise.pulses},
        trials=optimise.trials,
        discomfort_max=optimise.discomfort_max,
        kappa=optimise.kappa,
    )


def go_on(steering: Steering, plan: Plan, place: Place, out: Outbox) -> None:
    """Let time pass."""
    phase, here, now = place.phase(plan), place.block, place.optimising
    if phase is None or phase.optimise is None or here is None or now is None or not place.arm_id:
        return
    if here.state.name != "idle":
        state, step = trial_machine.advance(phase.optimise.timing, here.state, place.now_ns, False)
        place.block = replace(here, state=state)
        if step is not None and step.after == "idle":
            _train_over(phase, place, out)
        return
    if place.holding or place.forms:
        return
    if now.rating or (now.point is not None and (now.refused or now.ended)):
        _rated(phase, place, now, out)
    elif now.point is not None:
        _begin(phase.optimise, place, now)
    else:
        _propose(steering, phase, place, now, out)


def heard(plan: Plan, place: Place, estimate: Estimate) -> None:
    """Take note of the response while the train holds at its current."""
    phase, here, now = place.phase(plan), place.block, place.optimising
    if place.stage != "phase" or phase is None or phase.optimise is None or here is None or now is None:
        return
    if now.point is None or here.state.name != "hold":
        return
    point = now.settings.points[now.point]
    # Measured is the second half of the hold, and only where the current was there by then.
    late = estimate.t_ns - here.state.since_ns >= round(0.5e9 * phase.optimise.timing.hold_s)
    there = here.peak_ma.get(point.channel, 0.0) >= point.current_ma - 0.5 * plan.device_step_ma
    reached = now.reached or (there and not late)
    spasm = next(
        (each.muscle for each in estimate.muscles if each.spasm.valid and (each.spasm.value or 0.0) >= 0.5), ""
    )
    response = now.response
    if reached and late:
        told = _response(plan, phase.optimise.response, point, here.state.since_ns, estimate)
        if told is not None:
            response = told if response is None else max(response, told)
    spoilt = now.spoilt or (f"spasm of {spasm}" if spasm else "")
    place.optimising = replace(now, reached=reached, response=response, spoilt=spoilt)


def felt(plan: Plan, place: Place, event: Event, out: Outbox) -> None:
    """The person calls it enough in the midst of a train."""
    if event.values.get("what") == "tolerance":
        _hurts(plan, place, "the person called it enough", out)


def pained(plan: Plan, place: Place, score: float, out: Outbox) -> None:
    """A pain score has been given: too far above the person's first one the train under way is over."""
    phase = place.phase(plan)
    if phase is None or phase.optimise is None:
        return
    most, baseline = phase.optimise.abort_pain_rise, place.tally.pain_baseline
    if most is not None and baseline is not None and score - baseline >= most:
        _hurts(plan, place, f"pain score {score:g} is {score - baseline:g} above the person's own {baseline:g}", out)


def skip(steering: Steering, plan: Plan, place: Place, command: Command, out: Outbox) -> str:
    """The operator has had enough of it: the choice is made among what has been tried."""
    phase, now = place.phase(plan), place.optimising
    if place.stage != "phase" or phase is None or phase.optimise is None or now is None:
        return "no optimisation is under way"
    why = command.why.strip()
    if not why:
        return "to end the optimisation needs a reason"
    out.event("skipped", why=f"{command.who}: {why}", values={"phase": phase.name})
    place.optimising = replace(now, ended=f"{command.who}: {why}")
    _end_train(place)
    return ""


def resumed(place: Place) -> None:
    """After a pause the train that was cut is given again; one that was over is still to be rated."""
    now = place.optimising
    if now is not None and not now.rating:
        place.optimising = replace(now, response=None, reached=False, spoilt="")


def targets_of(plan: OptimisePlan, point: Point) -> tuple[Target, ...]:
    """A setting, as the controller is told it."""
    return (
        Target(
            channel=point.channel,
            current_ma=point.current_ma,
            phase_us=point.phase_us,
            rate_hz=point.rate_hz,
            ramp_up_s=plan.timing.ramp_up_s,
            ramp_down_s=plan.timing.ramp_down_s,
        ),
    )


def _response(plan: Plan, what: str, point: Point, since_ns: int, estimate: Estimate) -> float | None:
    if what == "movement":
        angle = estimate.motion.angle_rad if estimate.motion is not None else None
        return abs(angle.value) if angle is not None and angle.valid and angle.value is not None else None
    site = plan.site_of(point.channel)
    for muscle in estimate.muscles:
        wave = muscle.mwave
        if site is not None and muscle.muscle == site.name and wave is not None and wave.t_ns >= since_ns:
            return wave.peak_to_peak_uv if wave.channel in ("", point.channel) else None
    return None


def _hurts(plan: Plan, place: Place, why: str, out: Outbox) -> None:
    phase, here, now = place.phase(plan), place.block, place.optimising
    if place.stage != "phase" or phase is None or phase.optimise is None or here is None or now is None:
        return
    if now.point is None or now.refused or (here.state.name == "idle" and not now.rating):
        return
    point = now.settings.points[now.point]
    out.event("tolerance", why=f"{why}: {point} and what is stronger is not given again", values=_values(point))
    place.optimising = replace(now, refused=why)
    _end_train(place)


def _end_train(place: Place) -> None:
    if place.block is not None and place.block.state.name in ("cue", *_IN_TRAIN):
        state, _ = trial_machine.end(place.block.state, place.now_ns)
        place.block = replace(place.block, state=state)


def _propose(steering: Steering, phase: PhasePlan, place: Place, now: Optimising, out: Outbox) -> None:
    optimiser = Optimiser(now.settings, now.tried)
    proposal = None if now.ended else optimiser.propose()
    if proposal is None:
        _choose(steering, phase, place, now, optimiser, out)
        return
    number = len(now.tried) + 1
    values: dict[str, float | str | bool | None] = {**_values(now.settings.points[proposal.point]), "trial": number}
    out.event("proposed", why=proposal.reason, values=values)
    place.optimising = replace(now, point=proposal.point, why=proposal.reason, held_back=0, refused="")


def _choose(
    steering: Steering, phase: PhasePlan, place: Place, now: Optimising, optimiser: Optimiser, out: Outbox
) -> None:
    choice = optimiser.choose()
    if choice is None:
        place.chosen = None
        out.event("chosen", why="nothing that was tried was comfortable and measured", values={"phase": phase.name})
    else:
        point = now.settings.points[choice.point]
        place.chosen = ChosenSettings(point.channel, point.current_ma, point.phase_us, point.rate_hz, phase.name)
        values = {**_values(point), "expected": choice.expected, "trials": float(len(now.tried))}
        out.event("chosen", why=choice.reason, values={**values, "ended": now.ended or None})
    steering.enter(place.index + 1, out)


def _begin(plan: OptimisePlan, place: Place, now: Optimising) -> None:
    if place.block is None or now.point is None:
        return
    state, _ = trial_machine.begin(TrialState(), place.now_ns)
    place.optimising = replace(now, response=None, reached=False, spoilt="")
    place.block = replace(
        place.block,
        trial=place.block.trial + 1,
        state=state,
        targets=targets_of(plan, now.settings.points[now.point]),
        peak_ma={},
        capped=False,
        dose_mc=place.gate.charge_mc,
        fatigue=dict(place.fatigue),
    )


def _train_over(phase: PhasePlan, place: Place, out: Outbox) -> None:
    """Ask how it was; a train that did not reach its current is given again, unless a limit holds it back."""
    here, now = place.block, place.optimising
    if here is None or now is None or now.point is None:
        return
    if now.reached or now.refused or now.ended:
        place.optimising = replace(now, rating=True)
        if not now.refused and not now.ended:
            place.forms = (FORM,)
        return
    held_back = now.held_back + 1
    refused = "the gate holds it at a limit" if here.capped else ""
    refused = refused or (f"its current was not reached in {held_back} trains" if held_back >= HELD_BACK_MAX else "")
    place.optimising = replace(now, held_back=held_back, refused=refused)
    if not refused:
        tried = Tried(now.point)
        out.trial(_row(phase, place, here, replace(now, why="current still rising to new ground"), tried))


def _rated(phase: PhasePlan, place: Place, now: Optimising, out: Outbox) -> None:
    here = place.block
    if here is None or now.point is None:
        return
    rating = place.answers.pop(FORM, {}).get(RATING)
    discomfort = float(rating) if isinstance(rating, int | float) and isfinite(rating) else None
    response = now.response if now.reached and not now.spoilt else None
    tried = Tried(now.point, response, discomfort if now.reached else None, now.refused)
    out.trial(_row(phase, place, here, now, tried))
    place.optimising = Optimising(now.settings, (*now.tried, tried), ended=now.ended)


def _row(phase: PhasePlan, place: Place, here: InBlock, now: Optimising, tried: Tried) -> Trial:
    point, why = now.settings.points[tried.point], f"{now.why} ({now.spoilt})" if now.spoilt else now.why
    charge_mc = place.gate.charge_mc - here.dose_mc
    return trial_of_setting(phase, here.trial, point, tried, why, here.state.begin_ns, place.now_ns, charge_mc)


def _needless(plan: Plan, place: Place) -> bool:
    """Whether every trial after it was used up by the attempt before."""
    later = [index for index in range(place.index + 1, len(plan.phases)) if plan.phases[index].block is not None]
    return plan.go_on is not None and bool(later) and all(trialblock.used_up(plan, index) for index in later)


def _values(point: Point) -> dict[str, float | str | bool | None]:
    return {
        "channel": point.channel,
        "current_ma": point.current_ma,
        "phase_us": point.phase_us,
        "rate_hz": point.rate_hz,
    }
