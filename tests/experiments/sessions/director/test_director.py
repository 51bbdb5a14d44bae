"""The director plays a whole protocol, goes forward only, and ends with a reason."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from myoloop.experiments.protocols.plan import Continuation, StopRules
from myoloop.experiments.sessions.director import Director, director_from
from myoloop.experiments.sessions.trials import trial_table
from myoloop.platform.messages import Command, Event
from myoloop.platform.steps import StepInput, Stepped

TRAIN = ("ramp_up", "hold", "ramp_down")
DATA = Path(__file__).parents[3] / "data"


def in_hold(phase):
    return phase.kind == "block" and phase.trial_state == "hold"


def with_stop(plan, **rules):
    return replace(plan, stop=StopRules(**rules))


# -- the whole way ------------------------------------------------------------------------------------------------


PLAYED = {}


@pytest.fixture
def demo(make_world):
    """One whole demo, played once and looked at by several tests."""
    if not PLAYED:
        PLAYED["world"] = make_world()
        PLAYED["world"].to_end()
    return PLAYED["world"]


def test_it_is_a_stepped_object(make_world):
    world = make_world()
    assert isinstance(world.director, Stepped)
    assert world.director.name == "director"
    assert set(world.director.subscriptions) >= {"command", "answer", "event", "report", "estimate"}


def test_a_whole_demo_is_complete_within_175_s(demo):
    assert (demo.phase.outcome, demo.phase.reason) == ("complete", "")
    assert 120 < demo.seconds <= 175


def test_the_operator_was_needed_in_this_order(demo):
    waits = [phase.waiting_for for phase in demo.phases if phase.waiting_for]
    order = [wait for wait, before in zip(waits, ["", *waits[:-1]], strict=True) if wait != before]
    assert order == ["confirm", "arm_calibration", "step", "approve_envelope", "confirm", "arm"]


def test_all_phases_came_in_their_order(demo):
    indices = [phase.index for phase in demo.phases]
    assert indices == sorted(indices)
    assert set(indices[:-1]) >= {0, 1, 2, 3, 4}


def test_every_trial_has_its_row(demo):
    rows = [trial for trial in demo.trials if trial.kind == "block"]
    assert [row.trial for row in rows] == list(range(1, 12))
    assert {row.outcome for row in rows} == {"effort"}
    for row in rows:
        assert row.begin_ns < row.trigger_ns < row.end_ns
        assert row.values["effort_after_ms"] == pytest.approx(1800, abs=30)
        assert row.values["target_ma_ext"] == row.values["peak_ma_ext"] == 22.0
        assert row.values["fatigue_ext"] == 0.1
        assert row.values["charge_mc"] > 0


def test_the_rows_become_a_table(demo):
    columns, rows = trial_table(demo.trials)
    assert len(rows) == 12
    assert {"peak_ma_ext", "effort_after_ms", "motor_ma"} <= set(columns)


def test_the_thresholds_have_theirs(demo):
    (row,) = (trial for trial in demo.trials if trial.kind == "threshold")
    assert row.outcome == "found"
    assert row.values["sensory_ma"] == 6.0
    assert row.values["motor_ma"] == 12.0
    assert row.values["tolerance_ma"] == 30.0


def test_the_participants_envelope_is_nine_tenths_of_tolerance(demo):
    set_envelope = [command for command in demo.to_gate if command.kind == "set_envelope"]
    caps = [command.arguments["channels"][0]["current_max_ma"] for command in set_envelope]
    assert caps == [40.0, 27.0]
    # 12 + 0.6 x (30 - 12) mA, rounded down to the device's step
    (target,) = next(phase.targets for phase in demo.phases if in_hold(phase))
    assert (target.current_ma, target.phase_us, target.rate_hz) == (22.0, 250.0, 35.0)


def test_the_phase_is_told_ten_times_a_second_and_at_each_change(demo):
    gaps_ns = [later.t_ns - before.t_ns for before, later in pairwise(demo.phases)]
    assert max(gaps_ns) <= 100_000_000
    changes = [phase for before, phase in pairwise(demo.phases) if before.trial_state != phase.trial_state]
    assert all(phase.t_state_ns == phase.t_ns for phase in changes if phase.kind == "block")


def test_no_target_is_wanted_while_anything_is_waited_for(demo):
    for phase in demo.phases:
        if phase.state != "running":
            assert phase.trial_state not in TRAIN
        if phase.trial_state in TRAIN:
            assert phase.arm_id


def test_the_calibration_rises_one_step_at_a_time(demo):
    steps = [command.arguments["current_ma"] for command in demo.to_gate if command.kind == "step"]
    assert steps == [3.0 * n for n in range(1, 11)]


def test_the_baseline_is_told_only_at_rest(demo):
    kinds = {(phase.kind, phase.state) for phase in demo.phases if phase.baseline}
    assert kinds == {("rest", "running")}


def test_at_the_end_the_stimulator_is_paused(demo):
    assert demo.to_gate[-1].kind == "pause"
    assert demo.gate.state == "READY"
    assert demo.phase.arm_id == ""


def test_the_same_inputs_give_the_same_outputs(demo):
    twin = Director(demo.settings)
    for given, said in zip(demo.given, demo.said, strict=True):
        assert twin.step(given) == said


def test_it_goes_on_bit_for_bit_from_a_saved_state(demo):
    whole = Director(demo.settings)
    settings = msgspec.json.encode(demo.settings)
    for number, given in enumerate(demo.given):
        if number % 1500 == 700:
            kept = json.dumps(whole.state(), allow_nan=False)
            whole = director_from(settings, kept)
        assert whole.step(given) == demo.said[number]


# -- other ways ---------------------------------------------------------------------------------------------------


def test_without_effort_the_trials_assist(make_world, make_person, make_demo_plan):
    world = make_world(person=make_person(effort_after_s=None))
    world.to_end()
    assert {trial.outcome for trial in world.trials if trial.kind == "block"} == {"assisted"}


def test_without_a_motor_threshold_it_ends_and_says_so(make_world, make_person):
    world = make_world(person=make_person(motor_ma=99.0))
    phase = world.to_end()
    assert phase.outcome == "aborted"
    assert phase.reason == "assisted extension: ext: no motor threshold was met up to 30 mA"


def test_without_tolerance_the_ceiling_of_the_calibration_is_the_cap(make_world, make_person):
    world = make_world(person=make_person(tolerance_ma=99.0))
    world.until(lambda phase: phase.waiting_for == "arm")
    assert world.trials[0].outcome == "tolerance not met"
    last = [command for command in world.to_gate if command.kind == "set_envelope"][-1]
    assert last.arguments["channels"][0]["current_max_ma"] == 40.0


def test_given_thresholds_need_no_calibration(make_world, make_demo_plan, make_person):
    plan = make_demo_plan("playback_fatigue")
    assert plan.envelope.channels[0].current_max_ma == 30.0
    world = make_world(plan, person=make_person(effort_after_s=2.0))
    world.to_end()
    waits = {phase.waiting_for for phase in world.phases}
    assert waits == {"", "confirm", "arm"}
    (target,) = next(phase.targets for phase in world.phases if in_hold(phase))
    assert target.current_ma == 20.0
    # As long as the recording, however many trials are left.
    assert 127.0 <= world.seconds <= 134.0


def test_two_channels_are_calibrated_one_after_the_other_and_again(make_world, make_demo_plan):
    world = make_world(make_demo_plan(DATA / "two_channels.yaml"))
    world.until(lambda phase: phase.waiting_for == "approve_envelope")
    arms = [command.arguments["channel"] for command in world.to_gate if command.kind == "arm"]
    assert arms == ["left", "right"]
    world.until(lambda phase: phase.waiting_for == "arm_calibration" and phase.index == 3, within_s=900)
    assert world.gate.state == "READY"
    world.until(lambda phase: phase.index == 4 and phase.trial_state == "hold", within_s=400)
    # Motor threshold 11 mA in steps of 1 mA, times 1.2, rounded down to the device's step.
    assert [(t.channel, t.current_ma, t.phase_us) for t in world.phase.targets] == [
        ("left", 13.0, 250.0),
        ("right", 13.0, 250.0),
    ]


# -- pause, hold, end ---------------------------------------------------------------------------------------------


def test_a_pause_never_repeats_a_trial(make_world):
    world = make_world(operator=True)
    world.until(lambda phase: in_hold(phase) and phase.trial == 2)
    assert world.tell("pause", why="cough").ok
    world.until(lambda phase: phase.state == "paused", within_s=1)
    assert world.phase.arm_id == ""
    assert world.gate.state == "READY"
    assert world.trials[-1].outcome == "paused"
    assert world.trials[-1].trial == 2
    refused = world.tell("resume")
    assert (refused.ok, refused.reason) == (False, "to resume needs a reason")
    assert world.tell("resume", why="cough is over").ok
    assert world.phase.waiting_for == "arm"
    world.until(lambda phase: phase.trial_state == "cue", within_s=3)
    assert world.phase.trial == 3
    world.to_end()
    rows = [trial.trial for trial in world.trials if trial.kind == "block"]
    assert rows == list(range(1, 12))


def test_while_the_stimulator_ramps_down_the_trial_does_too(make_world):
    world = make_world()
    world.until(in_hold)
    world.gate.mute = True
    world.tell("pause", why="x")
    world.run(0.1)
    assert (world.phase.state, world.phase.trial_state) == ("running", "ramp_down")


def test_a_pause_stops_the_clock_of_a_rest(make_world):
    world = make_world(operator=False)
    world.operator = None
    world.until(lambda phase: phase.waiting_for == "confirm")
    confirm(world)
    world.run(5.0)
    left_s = world.phase.seconds_left
    assert world.tell("pause", why="x").ok
    world.run(20.0)
    assert world.phase.state == "paused"
    assert world.phase.seconds_left == pytest.approx(left_s, abs=0.11)
    world.tell("resume", why="y")
    world.until(lambda phase: phase.index == 1, within_s=left_s + 0.2)
    assert world.phase.session_s == pytest.approx(12.0, abs=0.1)


def confirm(world):
    arguments = {"envelope_sha256": world.gate.sha256}
    command = Command(t_ns=0, id="c", kind="confirm", target="stimulator", arguments=arguments)
    assert world.gate.act(command, world.now_ns).ok
    world.run(0.05)


def test_a_pause_in_a_calibration_begins_the_ascent_again(make_world):
    world = make_world()
    world.until(lambda phase: phase.kind == "calibration" and phase.trial == 4)
    world.tell("pause", why="x")
    world.until(lambda phase: phase.state == "paused", within_s=1)
    world.tell("resume", why="y")
    assert world.phase.waiting_for == "arm_calibration"
    world.until(lambda phase: phase.waiting_for == "step", within_s=2)
    assert world.phase.targets[0].current_ma == 3.0


def test_a_step_that_the_gate_does_not_give_is_asked_for_again(make_world):
    world = make_world()
    world.until(lambda phase: phase.kind == "calibration" and phase.trial == 4)
    full = world.gate.report

    def none_flows(phase, step, now_ns):
        return msgspec.structs.replace(full(phase, step, now_ns), allowed=())

    world.until(lambda phase: phase.waiting_for == "step", within_s=3)
    world.gate.report = none_flows
    world.until(lambda phase: phase.trial == 5, within_s=3)
    world.until(lambda phase: phase.waiting_for == "step", within_s=3)
    assert (world.phase.trial, world.phase.targets[0].current_ma) == (4, 15.0)
    world.gate.report = full
    world.until(lambda phase: phase.trial == 6, within_s=3)


def test_a_stimulator_paused_by_somebody_else_pauses_the_session(make_world):
    world = make_world()
    world.until(in_hold)
    world.gate.state = "READY"
    world.until(lambda phase: phase.state == "paused", within_s=1)
    assert any(event.kind == "paused" and "not armed any more" in event.why for event in world.events)
    assert world.trials[-1].outcome == "paused"


def test_hold_lets_the_trial_end_and_begins_no_other(make_world):
    world = make_world()
    world.until(in_hold)
    assert world.tell("hold", why="question").ok
    world.run(10.0)
    assert (world.phase.trial_state, world.phase.trial) == ("idle", 1)
    assert world.phase.waiting_for == "resume"
    assert world.phase.state == "running"
    assert world.gate.state == "ARMED"
    assert world.tell("resume", why="answered").ok
    world.run(0.1)
    assert world.phase.trial == 2


def test_an_operators_end_ramps_down_first(make_world):
    world = make_world()
    world.until(in_hold)
    assert world.tell("end", why="enough for today").ok
    phase = world.to_end(within_s=2)
    assert (phase.outcome, phase.reason) == ("aborted", "op: enough for today")
    assert world.gate.state == "READY"
    assert world.trials[-1].outcome == "aborted"


def test_level_mark_and_score(make_world):
    world = make_world()
    world.run(1.0)
    assert world.tell("level", level=0.4).ok
    assert world.phase.level == 0.4
    for bad in (1.5, -0.1, float("nan"), "half", True, None):
        assert not world.tell("level", level=bad).ok
    assert world.phase.level == 0.4
    assert world.tell("mark", why="sneezed").ok
    assert any(event.kind == "mark" and event.why == "sneezed" for event in world.events)
    assert world.tell("score", score=3).ok
    assert not world.tell("score", score=11).ok


@pytest.mark.parametrize(
    ("kind", "arguments", "says"),
    [
        ("armed", {"arm_id": "x"}, "no arming is waited for"),
        ("armed", {}, "allowed is what the stimulator answered"),
        ("stepped", {"current_ma": 2.0}, "no calibration is armed"),
        ("stepped", {}, "stepped.current_ma"),
        ("approve", {}, "no envelope waits"),
        ("resume", {}, "needs a reason"),
        ("stimulate", {"current_ma": 40}, "unknown act 'stimulate', known are approve, armed, attend, el"),
    ],
)
def test_acts_out_of_place_are_refused_and_change_nothing(make_world, kind, arguments, says):
    world = make_world()
    world.run(3.0)
    before = world.phase
    answer = world.tell(kind, **arguments)
    assert not answer.ok
    assert says in answer.reason
    assert (world.phase.state, world.phase.arm_id, world.phase.index) == (before.state, "", before.index)


def test_a_step_that_was_not_asked_for_is_refused(make_world):
    world = make_world()
    world.until(lambda phase: phase.waiting_for == "step")
    answer = world.tell("stepped", current_ma=40.0)
    assert answer.reason == "stepped to 40 mA, the step asked for is 3 mA"


def test_commands_to_others_are_not_answered(make_world):
    world = make_world()
    world.receive("command", Command(t_ns=0, id="q", kind="end", target="recorder"), "operator")
    world.run(0.1)
    assert world.phase.state != "ended"
    assert all(answer.id != "q" for answer in world.answers)


# -- faults and stop rules ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("state", "outcome"), [("FAULT", "fault"), ("STOPPED", "stopped")])
def test_a_latched_gate_ends_the_session(make_world, state, outcome):
    world = make_world()
    world.until(in_hold)
    world.gate.state, world.gate.latched = state, "heartbeat of controller lost"
    phase = world.to_end(within_s=0.1)
    assert phase.outcome == outcome
    assert phase.reason == f"stimulator {state}: heartbeat of controller lost"
    assert world.trials[-1].outcome == outcome


@pytest.mark.parametrize(("verdict", "ends"), [("silent", True), ("slow", False), ("gap", False)])
def test_a_peer_that_is_gone_ends_the_session(make_world, verdict, ends):
    world = make_world()
    world.until(in_hold)
    world.not_alive = {"heartbeat/controller": verdict}
    world.run(0.25)
    assert world.phase.state == "running"
    world.run(0.15)
    assert (world.phase.state == "ended") is ends
    if ends:
        assert world.phase.outcome == "fault"
        assert "heartbeat/controller: silent" in world.phase.reason


def test_a_peer_that_comes_back_in_time_does_not(make_world):
    world = make_world()
    world.until(in_hold)
    for _ in range(5):
        world.not_alive = {"heartbeat/controller": "silent"}
        world.run(0.2)
        world.not_alive = {}
        world.run(0.05)
    assert world.phase.state == "running"


def test_who_is_never_heard_is_waited_for_and_then_named(make_world):
    world = make_world()
    world.not_alive = {"heartbeat/controller": "never"}
    world.run(5.0)
    assert (world.phase.state, world.to_gate) == ("waiting", [])
    phase = world.to_end(within_s=30)
    assert phase.outcome == "fault"
    assert phase.reason == "not ready within 30 s: never heard: heartbeat/controller"


def test_an_envelope_that_is_refused_ends_the_session(make_world, make_gate):
    world = make_world(gate=make_gate(refuse={"set_envelope": "envelope.step_ma: found 9"}))
    phase = world.to_end(within_s=1)
    assert phase.outcome == "fault"
    assert phase.reason == "the stimulator refused set_envelope: envelope.step_ma: found 9"


def test_a_stimulator_that_does_not_answer_ends_the_session(make_world, make_gate):
    world = make_world(gate=make_gate(mute=True))
    phase = world.to_end(within_s=3)
    assert phase.reason == "stimulator: no answer to set_envelope within 2 s"


@pytest.mark.parametrize(
    ("rules", "scores", "reason"),
    [
        ({"pain_rise": 2}, [3, 4, 5], "pain score 5 is 2 above the person's own 3, the protocol ends at 2"),
        ({"pain_rise": 2}, [7, 8, 6], ""),
        ({"pain_ceiling": 9}, [8, 9], "pain score 9, the protocol ends at 9"),
    ],
)
def test_pain_is_judged_against_the_persons_own_first_score(make_world, make_demo_plan, rules, scores, reason):
    world = make_world(with_stop(make_demo_plan(), **rules))
    world.run(2.0)
    for score in scores:
        world.tell("score", score=score)
    assert world.phase.reason == reason
    assert world.phase.outcome == ("stopped" if reason else "")


@pytest.mark.parametrize(("first", "over"), [(5, 5), (2, 4)])
def test_a_session_that_is_gone_on_with_keeps_the_pain_it_began_with(make_world, make_demo_plan, first, over):
    plan = replace(with_stop(make_demo_plan(), pain_rise=2), go_on=Continuation("att-1", pain_baseline=3.0))
    world = make_world(plan)
    world.run(2.0)
    for score in dict.fromkeys((first, over)):
        assert not world.phase.outcome
        world.tell("score", score=score)
    assert world.phase.outcome == "stopped"


def test_a_score_may_come_from_the_person(make_world, make_demo_plan):
    world = make_world(with_stop(make_demo_plan(), pain_ceiling=8))
    world.until(in_hold)
    event = Event(t_ns=world.now_ns, kind="score", who="subject", values={"score": 8})
    world.receive("event", event, "subject")
    world.tick()
    assert world.phase.outcome == "stopped"
    assert world.to_gate[-1].kind == "pause"


def test_spasms_are_counted_by_their_onsets(make_world, make_demo_plan):
    world = make_world(with_stop(make_demo_plan(), spasm_count=3, spasm_within_s=10.0))
    world.until(in_hold)
    for _ in range(3):
        assert world.phase.state == "running"
        world.person.spasm_onset_ns = world.now_ns
        world.run(1.0)
    assert world.phase.reason == "3 spasms within 10 s"


def test_spasms_far_apart_are_not_too_many(make_world, make_demo_plan):
    world = make_world(with_stop(make_demo_plan(), spasm_count=3, spasm_within_s=2.0))
    world.until(in_hold)
    for _ in range(4):
        world.person.spasm_onset_ns = world.now_ns
        world.run(3.0)
    assert world.phase.state == "running"


def test_efforts_that_do_not_come_end_the_session(make_world, make_demo_plan, make_person):
    world = make_world(with_stop(make_demo_plan(), timeouts=3), person=make_person(effort_after_s=None))
    phase = world.to_end()
    assert (phase.outcome, phase.reason) == ("stopped", "no effort in 3 trials in a row")


def test_the_longest_session_counts_waiting_too(make_world, make_demo_plan):
    world = make_world(with_stop(make_demo_plan(), session_max_s=20.0), operator=False)
    phase = world.to_end(within_s=21)
    assert phase.outcome == "stopped"
    assert "20 s" in phase.reason


def test_once_ended_it_stays_ended(make_world):
    world = make_world()
    world.until(in_hold)
    world.gate.state = "STOPPED"
    ended = world.to_end(within_s=0.1)
    world.gate.state, world.gate.latched = "READY", ""
    for kind in ("resume", "armed", "end", "hold"):
        answer = world.tell(kind, why="x", arm_id="y")
        assert answer.reason == "the session has ended as stopped"
    world.run(1.0)
    assert (world.phase.outcome, world.phase.reason, world.phase.arm_id) == (ended.outcome, ended.reason, "")


def test_a_clock_that_stands_still_or_jumps_back_adds_no_time(make_world):
    world = make_world()
    world.run(3.0)
    session_s = world.phase.session_s
    for now_ns in (world.now_ns, world.now_ns - 10**9):
        world.director.step(StepInput(world.number, now_ns, ()))
    assert world.director.state()["running_ns"] * 1e-9 == pytest.approx(session_s, abs=0.12)
