"""The optimise phase: within the person's own envelope, rated train by train, never again what hurt, and then used."""

from __future__ import annotations

import json

import msgspec
import pytest

from myoloop.experiments.sessions.director import director_from
from myoloop.platform.messages import Estimate, Event, Measure, MuscleEstimate, MWave


class AnsweringMuscles:
    """Two muscles whose M-wave goes with charge; the second answers more."""

    def __init__(self):
        self.gain = {"ext": 40.0, "flex": 60.0}
        self.quiet = False
        self.spasm = 0.0

    def answers(self, phase, now_ns):
        if phase.kind != "calibration" or phase.trial_state != "hold":
            return []
        target = phase.targets[0]
        return [
            Event(t_ns=now_ns, kind="felt", who="subject", values={"what": what, "channel": target.channel})
            for what, level_ma in (("motor", 10.0), ("tolerance", 28.0))
            if target.current_ma >= level_ma
        ]

    def estimate(self, phase, step, now_ns):
        on = phase is not None and phase.trial_state == "hold" and phase.targets and not self.quiet
        target = phase.targets[0] if on else None
        muscles = []
        for name, gain in self.gain.items():
            wave = None
            if target is not None and target.channel == name:
                size_uv = gain * target.current_ma * target.phase_us / 250.0
                wave = MWave(
                    t_ns=now_ns, pulses=8, channel=name, peak_to_peak_uv=size_uv, rectified_area_uv_ms=1.0,
                    first_phase_uv_ms=1.0, second_phase_uv_ms=1.0, duration_ms=5.0, latency_ms=3.0,
                )  # fmt: skip
            known = Measure(value=self.spasm, valid=True, reason="")
            muscles.append(
                MuscleEstimate(
                    muscle=name, level_uv=5.0, fatigue=Measure(), spasm=known, effort=Measure(), response=Measure(),
                    mwave=wave,
                )
            )  # fmt: skip
        return Estimate(step=step, t_ns=now_ns, muscles=tuple(muscles))


@pytest.fixture
def make(make_world, make_demo_plan, data):
    """A session whose muscles answer."""

    def made():
        world = make_world(make_demo_plan(data / "set_up.yaml"), person=AnsweringMuscles())
        world.operator.leave_to_keys()
        return world

    return made


def rate(world, discomfort=4.0):
    """Go on to the next question and answer it; whether one was asked before the phase was over."""
    world.until(lambda phase: phase.waiting_for == "form" or phase.kind == "block" or phase.state == "ended")
    if world.phase.waiting_for != "form":
        return False
    assert world.phase.forms == ("comfort",)
    assert world.tell("form", form="comfort", values={"discomfort": discomfort}).ok
    return True


def rate_all(world, discomfort=4.0):
    while rate(world, discomfort):
        pass


def tried(world):
    return [trial for trial in world.trials if trial.kind == "optimise"]


def in_train(phase):
    return phase.kind == "optimise" and phase.trial_state == "hold"


def test_settings_are_tried_one_by_one_and_the_best_is_used_by_the_block(make):
    world = make()
    rate_all(world)
    (chosen,) = world.events_of("chosen")
    assert chosen.values["channel"] == "flex"
    world.until(lambda phase: phase.kind == "block" and phase.trial_state == "hold")
    (target,) = world.phase.targets
    assert (target.channel, target.phase_us, target.rate_hz) == (
        "flex", chosen.values["phase_us"], chosen.values["rate_hz"],
    )  # fmt: skip
    assert target.current_ma == int(0.9 * chosen.values["current_ma"])
    world.to_end()
    assert world.phase.outcome == "complete"


def test_the_thresholds_make_an_envelope_that_is_approved_and_armed_anew_before_any_trial(make):
    world = make()
    world.until(in_train)
    assert len(world.events_of("approved")) == 1
    envelopes = [command for command in world.to_gate if command.kind == "set_envelope"]
    assert [each["current_max_ma"] for each in envelopes[-1].arguments["channels"]] == [25.0, 25.0]
    assert world.gate.state == "ARMED"
    rate_all(world)
    for trial in tried(world):
        assert trial.values["current_ma"] <= 25.0
        # Never more charge than was tolerated at the calibration's width.
        assert trial.values["current_ma"] * trial.values["phase_us"] <= 25.0 * 250.0


def test_every_proposal_and_every_row_says_why(make):
    world = make()
    rate_all(world)
    proposed = world.events_of("proposed")
    assert len(proposed) == len(tried(world))
    for event, trial in zip(proposed, tried(world), strict=True):
        assert event.why
        assert trial.values["proposed"] == event.why
        assert trial.values["discomfort"] == 4.0
        assert trial.values["response"] > 0.0


def test_the_next_train_waits_for_the_rating(make):
    world = make()
    world.until(lambda phase: phase.waiting_for == "form")
    before = len(world.events_of("proposed"))
    world.run(20.0)
    assert world.phase.waiting_for == "form"
    assert len(world.events_of("proposed")) == before


def test_what_is_rated_too_high_is_not_given_again_nor_what_is_stronger(make):
    world = make()
    for discomfort in (3.0, 9.0, 3.0, 9.0):
        rate(world, discomfort)
    rate_all(world, 3.0)
    hurt = {trial.values["channel"]: trial.values for trial in tried(world) if trial.values["discomfort"] == 9.0}
    later = [trial.values for trial in tried(world)[4:]]
    assert len(hurt) == 2
    assert later
    for values in later:
        bound = hurt[values["channel"]]
        assert any(values[name] < bound[name] for name in ("current_ma", "phase_us", "rate_hz"))


@pytest.mark.parametrize("how", ["score", "felt"])
def test_pain_in_a_train_ends_it_at_once_and_closes_the_setting(make, how):
    world = make()
    world.tell("score", score=1.0)
    world.until(in_train)
    target = world.phase.targets[0]
    if how == "score":
        world.tell("score", score=4.0)
    else:
        felt = Event(t_ns=world.now_ns, kind="felt", who="subject", values={"what": "tolerance"})
        world.receive("event", felt, "subject")
        world.tick()
    assert world.phase.trial_state == "ramp_down"
    (event,) = world.events_of("tolerance")[-1:]
    assert event.values["channel"] == target.channel
    world.run(6.0)
    assert tried(world)[0].outcome == event.why.partition(": ")[0]
    # The weakest level of that pad has hurt: nothing of it is left.
    rate_all(world)
    assert {trial.values["channel"] for trial in tried(world)[1:]} == {"flex"}


def test_the_operator_ends_it_with_a_reason_and_the_choice_is_among_what_was_tried(make):
    world = make()
    assert world.tell("skip_optimise", why="tired").reason == "no optimisation is under way"
    rate(world)
    world.until(in_train)
    assert world.tell("skip_optimise").reason == "to end the optimisation needs a reason"
    assert world.tell("skip_optimise", why="tired").ok
    assert world.phase.trial_state == "ramp_down"
    world.until(lambda phase: phase.kind == "block")
    (chosen,) = world.events_of("chosen")
    assert chosen.values["current_ma"] == tried(world)[0].values["current_ma"]
    assert chosen.values["ended"] == "op: tired"


def test_without_anything_comfortable_nothing_is_chosen_and_no_block_is_given(make):
    world = make()
    rate_all(world, 10.0)
    world.to_end()
    assert world.phase.outcome == "aborted"
    assert world.phase.reason == "train: no settings were chosen by an optimisation"


def test_a_pause_cuts_the_train_which_is_given_again_after_it(make):
    world = make()
    rate(world)
    world.until(in_train)
    cut = world.phase.targets
    world.tell("pause", why="telephone")
    world.until(lambda phase: phase.state == "paused")
    assert tried(world)[-1].outcome == "paused"
    world.tell("resume", why="done")
    world.until(in_train)
    assert world.phase.targets == cut


def test_a_pause_before_the_rating_leaves_it_to_be_given(make):
    world = make()
    world.until(lambda phase: phase.waiting_for == "form")
    world.tell("pause", why="telephone")
    world.until(lambda phase: phase.state == "paused")
    world.tell("resume", why="done")
    assert rate(world)
    world.run(0.5)
    assert len(tried(world)) == 1


def test_a_train_with_a_spasm_in_it_is_not_measured(make):
    world = make()
    world.until(in_train)
    world.person.spasm = 1.0
    world.run(0.1)
    world.person.spasm = 0.0
    rate(world)
    world.run(0.1)
    assert tried(world)[0].outcome == "not measured"
    assert tried(world)[0].values["response"] is None


def test_a_train_that_the_gate_held_back_is_given_again_and_not_rated(make):
    world = make()
    gate = world.gate
    whole = gate.report

    def held_back(phase, step, now_ns):
        report = whole(phase, step, now_ns)
        half = tuple(msgspec.structs.replace(each, current_ma=0.5 * each.current_ma) for each in report.allowed)
        return msgspec.structs.replace(report, allowed=half)

    world.until(lambda phase: phase.kind == "optimise")
    gate.report = held_back
    world.until(in_train)
    world.until(lambda phase: phase.trial_state == "idle" and phase.trial == 1)
    assert world.phase.waiting_for == ""
    assert tried(world)[0].outcome == "not measured"
    gate.report = whole
    rate(world)
    world.run(0.1)
    assert len(world.events_of("proposed")) == 2
    assert tried(world)[1].values["current_ma"] == tried(world)[0].values["current_ma"]


def test_other_electrodes_forget_what_was_chosen(make):
    world = make()
    rate_all(world)
    world.until(lambda phase: phase.kind == "block")
    world.tell("electrode_changed", why="a pad fell off")
    world.to_end()
    assert "no calibration is left" in world.phase.reason


def test_a_director_restored_in_the_midst_of_it_goes_on_alike(make):
    world = make()
    rate(world)
    rate(world)
    kept = json.dumps(world.director.state())
    settings = msgspec.json.encode(world.settings)
    begun = len(world.given)
    rate_all(world)
    world.to_end()
    again = director_from(settings, kept)
    assert [again.step(given) for given in world.given[begun:]] == world.said[begun:]
