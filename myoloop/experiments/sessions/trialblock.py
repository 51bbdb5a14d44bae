"""The block phase: trials one after the other, each with its row."""

from __future__ import annotations

from dataclasses import replace

from myoloop.experiments.protocols.phases import OPTIMUM
from myoloop.experiments.protocols.plan import BlockPlan, ConditionPlan, Plan, PulsePlan
from myoloop.experiments.sessions import asking, drawn, trial_machine, watch
from myoloop.experiments.sessions.outbox import Outbox
from myoloop.experiments.sessions.place import InBlock, Place
from myoloop.experiments.sessions.steering import Steering
from myoloop.experiments.sessions.thresholds import NotMeasured, intensity_ma
from myoloop.experiments.sessions.trial_machine import TrialState
from myoloop.experiments.sessions.trials import trial_of_block
from myoloop.experiments.sessions.watch import Ending
from myoloop.platform.messages import StimReport, Target
from myoloop.stimulators.gate.limits import round_down


def enter(steering: Steering, plan: Plan, place: Place, out: Outbox) -> None:
    """Resolve the targets; the first trial begins once the stimulator is armed."""
    phase = place.phase(plan)
    if phase is None or phase.block is None:
        return
    if used_up(plan, place.index):
        out.event("skipped", why="all its trials were used before", values={"phase": phase.name})
        steering.enter(place.index + 1, out)
        return
    repeat, trial = _begin_at(plan, place.index)
    try:
        # Every condition must be possible before the first trial is given.
        for condition in phase.block.conditions:
            resolved(plan, place, phase.block, condition)
        targets = resolved(plan, place, phase.block, _condition(plan, place.index, phase.block, repeat, trial + 1))
    except NotMeasured as error:
        steering.end(Ending("aborted", f"{phase.name}: {error}"), out)
        return
    place.block = InBlock(repeat=repeat, trial=trial, targets=targets, state=TrialState(since_ns=place.now_ns))


def armed(plan: Plan, place: Place) -> None:
    """The block's time begins with its first arming; what an attempt before has used of it is gone."""
    if place.block is not None and not place.block.begun:
        used_s = plan.go_on.elapsed_of_s(place.index) if plan.go_on is not None else 0.0
        place.since_ns = place.now_ns - round(used_s * 1e9)
        place.block = replace(place.block, begun=True)


def used_up(plan: Plan, index: int) -> bool:
    """Whether an attempt before has begun every trial of a block."""
    block = plan.phases[index].block
    if block is None or plan.go_on is None:
        return False
    repeat, trial = _begin_at(plan, index)
    late = block.at_most_s is not None and plan.go_on.elapsed_of_s(index) >= block.at_most_s
    return late or (repeat >= block.repeat and trial >= block.trials)


def _begin_at(plan: Plan, index: int) -> tuple[int, int]:
    """Repetition, and its last trial that an attempt before has begun."""
    used = plan.go_on.used_of(index) if plan.go_on is not None else {}
    if not used:
        return 1, 0
    repeat = max(used)
    return repeat, used[repeat]


def go_on(steering: Steering, plan: Plan, place: Place, out: Outbox) -> None:
    """Let time pass."""
    phase, here = place.phase(plan), place.block
    if phase is None or phase.block is None or here is None or not place.arm_id:
        return
    block = phase.block
    if here.state.name == "idle":
        _between_trials(steering, plan, block, place, out)
        return
    late = block.at_most_s is not None and place.now_ns - place.since_ns >= round(block.at_most_s * 1e9)
    if late and here.state.name in ("cue", "await_effort"):
        state, step = trial_machine.end(here.state, place.now_ns)
    else:
        state, step = trial_machine.advance(block.timing, here.state, place.now_ns, place.effort)
    place.block = replace(here, state=state)
    if step is None:
        return
    if step.before == "await_effort" and step.cause != "end":
        place.tally, ending = watch.tried(place.tally, plan.stop, step.cause == "effort")
        if ending is not None:
            steering.end(ending, out)
            return
    if step.after == "idle":
        out.trial(trial_of_block(phase, place.block, place.now_ns, place.gate.charge_mc))


def ramp_down(place: Place) -> None:
    """While the stimulator pauses, the trial ends the planned way."""
    if place.block is not None and place.block.state.name in ("cue", "await_effort", "ramp_up", "hold"):
        state, _ = trial_machine.end(place.block.state, place.now_ns)
        place.block = replace(place.block, state=state)


def cut(plan: Plan, place: Place, why: str, out: Outbox) -> None:
    """The trial under way is over; the next one will be another."""
    phase, here = place.phase(plan), place.block
    if phase is None or here is None or here.state.name == "idle":
        return
    out.trial(trial_of_block(phase, here, place.now_ns, place.gate.charge_mc, why))
    place.block = replace(here, state=TrialState(since_ns=place.now_ns))


def with_peak(block: InBlock, report: StimReport) -> InBlock:
    """The block with what the gate has just allowed, while a trial is under way."""
    if block.state.name == "idle":
        return block
    higher = {
        setting.channel: setting.current_ma
        for setting in report.allowed
        if setting.current_ma > block.peak_ma.get(setting.channel, 0.0)
    }
    return replace(block, peak_ma={**block.peak_ma, **higher}) if higher else block


def held_at_cap(steering: Steering, plan: Plan, place: Place, report: StimReport, out: Outbox) -> None:
    """Count a train that the gate holds at a limit, once."""
    here = place.block
    if here is None or here.capped or here.state.name not in trial_machine.TRAIN or not watch.at_cap(report):
        return
    place.block = replace(here, capped=True)
    place.tally, ending = watch.capped(place.tally, plan.stop)
    if ending is not None:
        steering.end(ending, out)


def resolved(plan: Plan, place: Place, block: BlockPlan, condition: ConditionPlan | None) -> tuple[Target, ...]:
    """Targets of a block's trial for this person, below what they called enough.

    Raises
    ------
    NotMeasured
        If the intensity refers to a threshold that was not met.
    """
    envelope = place.own_envelope(plan)
    wanted = condition.intensity if condition is not None else block.intensity
    targets = []
    pulses = condition.pulses if condition is not None else block.pulses
    if wanted.ref == OPTIMUM:
        pulses = _chosen(place)
    for pulse in place.kept(pulses):
        limits = envelope.channel(pulse.channel)
        found = place.thresholds.get(pulse.channel)
        if wanted.fixed_ma is not None:
            current_ma = wanted.fixed_ma
        elif wanted.ref == OPTIMUM and place.chosen is not None:
            # Whatever progression has made of the factor: more has not been tried.
            current_ma = place.chosen.current_ma * min(1.0, wanted.x if wanted.x is not None else 1.0)
        elif found is None:
            raise NotMeasured(f"{pulse.channel}: no threshold was measured")
        else:
            try:
                current_ma = intensity_ma(found, ref=wanted.ref, x=wanted.x, share=wanted.share, to=wanted.to)
            except NotMeasured as error:
                raise NotMeasured(f"{pulse.channel}: {error}") from None
        if limits is None:
            raise NotMeasured(f"{pulse.channel}: not in the envelope")
        current_ma = round_down(min(current_ma, limits.current_max_ma), plan.device_step_ma)
        targets.append(
            Target(
                channel=pulse.channel,
                current_ma=current_ma,
                phase_us=pulse.phase_us,
                rate_hz=pulse.rate_hz,
                ramp_up_s=block.timing.ramp_up_s,
                ramp_down_s=block.timing.ramp_down_s,
            )
        )
    return tuple(targets)


def _chosen(place: Place) -> tuple[PulsePlan, ...]:
    """Pads, width and rate that an optimisation has chosen."""
    chosen = place.chosen
    if chosen is None:
        raise NotMeasured("no settings were chosen by an optimisation")
    return (PulsePlan(chosen.channel, chosen.phase_us, chosen.rate_hz),)


def unresolved(plan: Plan, place: Place) -> str:
    """Why a block before the next calibration cannot be given to this person; empty if all can."""
    for index in range(place.index + 1, len(plan.phases)):
        phase = plan.phases[index]
        if phase.calibration is not None:
            return ""
        if phase.block is not None and not used_up(plan, index):
            try:
                for condition in phase.block.conditions or (None,):
                    wanted = condition.intensity if condition is not None else phase.block.intensity
                    if wanted.ref != OPTIMUM:
                        resolved(plan, place, phase.block, condition)
            except NotMeasured as error:
                return f"{phase.name}: {error}"
    return ""


def _condition(plan: Plan, index: int, block: BlockPlan, repeat: int, trial: int) -> ConditionPlan | None:
    """Whose turn it is; repetition and trial from 1."""
    number = (repeat - 1) * block.trials + trial - 1
    names = [condition.name for condition in block.conditions]
    name = drawn.condition_of(names, block.order, number, drawn.session_of(plan), index)
    return next((condition for condition in block.conditions if condition.name == name), None)


def _between_trials(steering: Steering, plan: Plan, block: BlockPlan, place: Place, out: Outbox) -> None:
    here = place.block
    if here is None or place.holding or place.forms:
        return
    late = block.at_most_s is not None and place.now_ns - place.since_ns >= round(block.at_most_s * 1e9)
    over = late or here.trial >= block.trials
    if over and here.between_ns is None and block.prompts and here.asked < here.repeat:
        place.block = replace(here, asked=here.repeat)
        place.forms = asking.instances(plan, place, block.prompts)
        return
    if here.between_ns is not None:
        if place.now_ns - here.between_ns < round(block.between_s * 1e9) and not late:
            return
        here = replace(here, repeat=here.repeat + 1, trial=0, between_ns=None)
    if late or here.trial >= block.trials:
        if late or here.repeat >= block.repeat:
            steering.enter(place.index + 1, out)
        else:
            place.block = replace(here, between_ns=place.now_ns)
        return
    state, _ = trial_machine.begin(TrialState(), place.now_ns)
    condition = _condition(plan, place.index, block, here.repeat, here.trial + 1)
    place.block = replace(
        here,
        trial=here.trial + 1,
        state=state,
        targets=here.targets if condition is None else resolved(plan, place, block, condition),
        condition="" if condition is None else condition.name,
        capped=False,
        peak_ma={},
        dose_mc=place.gate.charge_mc,
        fatigue=dict(place.fatigue),
    )
