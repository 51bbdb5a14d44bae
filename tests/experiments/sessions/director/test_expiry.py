"""What ends with an electrode or a day, what a button stops, who must attend, and what the attempt before has used."""

from __future__ import annotations

from dataclasses import replace

import pytest

from myoloop.experiments.protocols.plan import (
    Continuation,
    FoundThresholds,
    UsedTrials,
)
from myoloop.experiments.sessions import drawn
from myoloop.experiments.sessions.thresholds import Thresholds
from myoloop.platform.messages import Event

HOUR_NS = 3600 * 10**9
FOUND = Thresholds(6.0, 12.0, 30.0, 30.0, 250.0)


def in_hold(phase):
    return phase.kind == "block" and phase.trial_state == "hold"


def ended(phase):
    return phase.state == "ended"


def said(world, kind, **values):
    event = Event(t_ns=world.now_ns, kind=kind, who="subject", why="a lead is off", values=values)
    world.receive("event", event, "subject")


# -- the person's own button --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "values"), [("felt", {"what": "stop"}), ("stop", {})])
def test_the_persons_stop_is_a_stop(make_visit, kind, values):
    world = make_visit()
    world.visit_to(in_hold)
    said(world, kind, **values)
    world.tick()
    assert (world.phase.state, world.phase.outcome) == ("ended", "stopped")
    assert world.phase.reason == "subject pressed stop"
    assert world.to_gate[-1].kind == "pause"


# -- catch trials and pain in a calibration -----------------------------------------------------------------------


def in_catch(phase):
    return phase.kind == "calibration" and phase.trial_state == "hold" and phase.targets[0].current_ma == 0.0


def feel_nothing(world, what="sensory"):
    world.visit_to(in_catch)
    world.run(0.3)
    said(world, "felt", what=what, channel=world.phase.targets[0].channel)
    world.tick()


def test_who_feels_a_catch_step_is_not_believed_and_begins_again(make_visit):
    world = make_visit()
    feel_nothing(world)
    (alarm,) = world.events_of("false_alarm")
    assert alarm.values == {"channel": "ext", "count": 1}
    world.visit_to(lambda phase: phase.waiting_for == "step")
    assert (world.phase.trial, world.phase.targets[0].current_ma) == (0, 3.0)
    world.person.said.clear()
    world.visit_to(lambda phase: phase.waiting_for == "approve_envelope")
    rows = {trial.values["channel"]: trial.values for trial in world.trials if trial.kind == "threshold"}
    assert (rows["ext"]["sensory_ma"], rows["ext"]["motor_ma"], rows["ext"]["false_alarms"]) == (6.0, 12.0, 1.0)
    assert rows["flex"]["false_alarms"] == 0.0


def test_an_answer_to_the_step_before_is_no_false_alarm(make_visit):
    world = make_visit()
    world.visit_to(in_catch)
    world.run(0.05)
    said(world, "felt", what="sensory", channel="ext")
    world.tick()
    assert world.events_of("false_alarm") == []


def test_thresholds_of_who_feels_nothing_again_and_again_are_not_believed(make_visit):
    world = make_visit()
    for _ in range(3):
        feel_nothing(world)
    phase = world.visit_to(ended)
    assert phase.outcome == "aborted"
    assert phase.reason == "calibration: ext: 3 answers to steps without current, the thresholds cannot be believed"


def test_catch_steps_lie_in_the_first_half_of_an_ascent_and_differ():
    places = {n: drawn.catch_steps(20, 2, "s", n) for n in range(50)}
    assert all(len(steps) == 2 and steps <= set(range(10)) for steps in places.values())
    assert len(set(places.values())) > 10
    assert drawn.catch_steps(3, 5, "s") == frozenset({0, 1, 2})


def test_pain_that_rises_in_a_calibration_is_as_good_as_tolerance(make_visit):
    world = make_visit()
    world.visit_to(lambda phase: phase.kind == "calibration" and phase.trial == 5)
    world.run(0.1)
    assert world.tell("score", score=2).ok
    assert world.events_of("tolerance") == []
    assert world.tell("score", score=3).ok
    (event,) = world.events_of("tolerance")
    assert event.why == "pain score 3 is 3 above the person's own 0"
    (row,) = (trial.values for trial in world.trials if trial.kind == "threshold")
    assert row["tolerance_ma"] == 15.0


# -- electrodes and age -------------------------------------------------------------------------------------------


def test_after_an_electrode_change_there_is_no_block_without_a_new_calibration(make_visit):
    world = make_visit()
    world.visit_to(in_hold)
    said(world, "electrode_changed")
    phase = world.visit_to(ended)
    assert (phase.outcome, phase.reason) == ("aborted", "a lead is off, and no calibration is left in this session")
    assert world.trials[-1].outcome == "electrodes"
    assert world.gate.state == "READY"


def test_where_a_calibration_is_left_the_session_goes_forward_to_it(make_world, make_demo_plan, data):
    world = make_world(make_demo_plan(data / "two_channels.yaml"))
    world.until(lambda phase: phase.index == 2 and phase.trial_state == "hold", within_s=600)
    envelopes = len([command for command in world.to_gate if command.kind == "set_envelope"])
    assert world.tell("electrode_changed", why="pad dried out").ok
    world.until(lambda phase: phase.index == 3 and phase.waiting_for == "arm_calibration", within_s=5)
    sent = [command.arguments for command in world.to_gate if command.kind == "set_envelope"]
    assert len(sent) == envelopes + 1
    assert [limits["current_max_ma"] for limits in sent[-1]["channels"]] == [45.0, 45.0]
    assert world.director.state()["thresholds"] == {}
    indices = [phase.index for phase in world.phases]
    assert indices == sorted(indices)


def test_in_a_calibration_it_begins_anew(make_visit):
    world = make_visit()
    world.visit_to(lambda phase: phase.kind == "calibration" and phase.targets[0].channel == "flex")
    said(world, "lead_off")
    world.visit_to(lambda phase: phase.waiting_for == "confirm")
    world.visit_to(lambda phase: phase.waiting_for == "arm_calibration")
    assert (world.phase.index, world.phase.targets[0].channel) == (3, "ext")


def test_before_anything_flowed_a_change_of_electrodes_only_asks_for_their_placement(make_visit):
    world = make_visit()
    world.visit_to(lambda phase: phase.kind == "checks")
    world.tell("electrode_changed", why="better skin")
    assert world.director.state()["stale"] == ""
    assert "placement.ext" not in world.director.state()["answers"]
    world.visit_to(lambda phase: phase.waiting_for == "arm_calibration")


def test_with_given_thresholds_the_gate_forgets_what_it_knows(make_world, make_demo_plan, make_person):
    world = make_world(make_demo_plan("playback_fatigue"), person=make_person(effort_after_s=2.0))
    world.until(in_hold)
    trial = world.phase.trial
    world.tell("electrode_changed", why="lead")
    world.until(lambda phase: phase.waiting_for == "confirm", within_s=3)
    world.until(in_hold)
    assert world.phase.trial == trial + 1
    assert [row.outcome for row in world.trials][:1] == ["electrodes"]


def test_thresholds_of_yesterday_hold_no_more(make_visit):
    world = make_visit()
    world.visit_to(lambda phase: phase.waiting_for == "approve_envelope")
    world.operator = None
    world.now_ns += 24 * HOUR_NS
    phase = None
    world.tell("approve", why="late")
    confirm = {"envelope_sha256": world.gate.sha256}
    from myoloop.platform.messages import Command

    world.gate.act(Command(t_ns=0, id="c", kind="confirm", target="stimulator", arguments=confirm), world.now_ns)
    phase = world.visit_to(ended)
    assert phase.outcome == "aborted"
    assert phase.reason == "the thresholds of ext are 24 h old, and no calibration is left in this session"


# -- attention and limits -----------------------------------------------------------------------------------------


def attended(plan, **rules):
    return replace(plan, stop=replace(plan.stop, **rules))


def test_who_does_not_attend_pauses_the_session(make_world, make_demo_plan):
    world = make_world(attended(make_demo_plan(), attention_s=20.0))
    world.until(in_hold)
    world.operator = None
    armed_s = world.seconds
    assert 0 < world.phase.attention_left_s <= 20.0
    world.until(lambda phase: phase.state == "paused", within_s=25)
    assert world.seconds - armed_s <= 20.0 + 1.0
    assert world.events_of("paused")[-1].why == "no act of the operator for 20 s"
    assert world.phase.attention_left_s is None
    assert world.gate.state == "READY"


def test_who_attends_goes_on(make_world, make_demo_plan):
    world = make_world(attended(make_demo_plan(), attention_s=5.0))
    world.until(in_hold)
    world.operator = None
    for _ in range(10):
        assert world.tell("attend").ok
        world.run(4.0)
        assert world.phase.state == "running"


def test_a_refused_act_is_no_attention(make_world, make_demo_plan):
    world = make_world(attended(make_demo_plan(), attention_s=5.0))
    world.until(in_hold)
    world.operator = None
    for _ in range(3):
        world.run(2.0)
        assert not world.tell("level", level="x").ok
    assert world.phase.state == "paused"


def test_trains_at_a_limit_are_counted_once_each(make_visit):
    from myoloop.platform.messages import StimReport

    world = make_visit()
    world.visit_to(in_hold)
    full = world.gate.report

    def limited(phase, step, now_ns) -> StimReport:
        import msgspec

        report = full(phase, step, now_ns)
        why = ("ext: 12 of 20 mA, current density",)
        return msgspec.structs.replace(report, rule="current density", reasons=why) if report.allowed else report

    world.gate.report = limited
    phase = world.visit_to(ended)
    assert phase.reason == "3 trains were held at a limit of the envelope"
    assert len([trial for trial in world.trials if trial.kind == "block"]) == 3


def test_a_rise_is_no_limit(make_visit):
    import msgspec

    world = make_visit()
    world.visit_to(in_hold)
    full = world.gate.report
    why = ("ext: 2 of 20 mA, rise on known ground",)
    world.gate.report = lambda *given: msgspec.structs.replace(full(*given), rule="rise on known ground", reasons=why)
    assert world.visit_to(ended).outcome == "complete"


# -- going on after a kill ----------------------------------------------------------------------------------------


def go_on(**given):
    found = tuple(FoundThresholds(3, channel, FOUND, 3600.0) for channel in ("ext", "flex"))
    known = {"attempt": "att-1", "used": (UsedTrials(5, 1, 3),), "found": found, "checked": ("selectivity",)}
    return Continuation(**{**known, **given})


def test_only_unused_trials_are_given_and_found_thresholds_hold(make_visit):
    world = make_visit(planning={"go_on": go_on(), "session": "sub-T/ses-01/att-2"})
    world.gate.act = passing_session(world.gate)
    world.visit_to(ended)
    assert world.phase.outcome == "complete"
    rows = [trial for trial in world.trials if trial.kind == "block"]
    assert [(row.block, row.trial) for row in rows] == [(1, 4), (2, 1), (2, 2), (2, 3), (2, 4)]
    assert not [trial for trial in world.trials if trial.kind == "threshold"]
    assert [event.why for event in world.events_of("skipped")] == ["found by att-1"]
    assert rows[0].values["target_ma_ext"] in (12.0, 21.0)


def passing_session(gate):
    """The fake gate knows one session's name; this one is another attempt."""
    act = gate.act

    def renamed(command, now_ns):
        import msgspec

        if command.kind == "arm":
            arguments = {**command.arguments, "session": "sub-T/ses-01/att-1"}
            command = msgspec.structs.replace(command, arguments=arguments)
        return act(command, now_ns)

    return renamed


def test_the_conditions_of_unused_trials_are_those_they_would_have_had(make_visit):
    whole = make_visit()
    whole.visit_to(ended)
    rest = make_visit(planning={"go_on": go_on(), "session": "sub-T/ses-01/att-2"})
    rest.gate.act = passing_session(rest.gate)
    rest.visit_to(ended)
    names = [
        {(row.block, row.trial): row.values["condition"] for row in world.trials if row.kind == "block"}
        for world in (whole, rest)
    ]
    assert names[1].items() < names[0].items()


@pytest.mark.parametrize("change", [{"new_electrodes": True}, {"found": ()}])
def test_without_thresholds_that_hold_it_is_calibrated_anew(make_visit, change):
    world = make_visit(planning={"go_on": go_on(**change)})
    world.visit_to(ended)
    assert len([trial for trial in world.trials if trial.kind == "threshold"]) == 2
    assert len([trial for trial in world.trials if trial.kind == "block"]) == 5


def test_old_thresholds_are_none(make_visit_plan):
    old = tuple(replace(each, age_s=24 * 3600.0) for each in go_on().found)
    assert make_visit_plan(go_on=go_on(found=old)).go_on.found == ()


def test_with_every_trial_used_nothing_is_calibrated_or_armed(make_visit):
    world = make_visit(planning={"go_on": go_on(used=(UsedTrials(5, 1, 4), UsedTrials(5, 2, 4)))})
    world.visit_to(ended)
    assert world.phase.outcome == "complete"
    assert not [command for command in world.to_gate if command.kind == "arm"]


# -- other pads ----------------------------------------------------------------------------------------------------


def stepping(phase):
    return phase.kind == "calibration" and phase.waiting_for == "step"


def test_other_pads_are_asked_for_and_judged_before_they_carry_current(make_visit):
    world = make_visit()
    world.visit_to(stepping)
    assert world.tell("electrode_changed", why="new pads").ok
    world.until(lambda phase: phase.waiting_for == "form")
    assert world.phase.kind == "calibration"
    assert world.phase.forms == ("pads.ext", "pads.flex", "placement.ext", "placement.flex")
    arms = world.gate.arms
    for changed in ({}, {}, {}, {"pads_stick": "no"}):
        assert world.fill(**changed).ok
    # What is wrong is asked for again, at its site alone, and nothing is armed.
    assert world.phase.forms == ("pads.flex", "placement.flex")
    assert any(event.values.get("item") == "pads_stick" for event in world.events_of("screening"))
    world.run(0.05)
    assert world.gate.arms == arms
    world.fill_all()
    world.until(stepping)
    assert world.gate.arms > arms


def test_pads_of_a_material_without_a_patch_test_are_refused_in_mid_session_too(make_visit):
    world = make_visit()
    world.visit_to(stepping)
    world.tell("electrode_changed", why="other gel")
    world.until(lambda phase: phase.waiting_for == "form")
    for changed in ({"material": "unknown gel"}, {}, {}, {}):
        assert world.fill(**changed).ok
    assert world.phase.forms == ("pads.ext", "placement.ext")
    assert any(event.values.get("item") == "patch_test_open" for event in world.events_of("screening"))
