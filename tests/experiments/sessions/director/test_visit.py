"""A whole visit: screening, checks, MVC, calibration with catch trials, conditions and prompts."""

from __future__ import annotations

import json
from dataclasses import replace

import msgspec
import pytest

from myoloop.experiments.sessions.director import Director, director_from
from myoloop.platform.messages import Event

TRAIN = ("ramp_up", "hold", "ramp_down")
PLAYED = {}


def ended(phase):
    return phase.state == "ended"


@pytest.fixture
def visit(make_visit):
    """One whole visit, played once and looked at by several tests."""
    if not PLAYED:
        PLAYED["world"] = make_visit()
        PLAYED["world"].visit_to(ended)
    return PLAYED["world"]


# -- the whole way ------------------------------------------------------------------------------------------------


def test_a_whole_visit_is_complete(visit):
    assert (visit.phase.outcome, visit.phase.reason) == ("complete", "")


def test_the_operator_was_needed_in_this_order(visit):
    waits = [phase.waiting_for for phase in visit.phases if phase.waiting_for]
    order = [wait for wait, before in zip(waits, ["", *waits[:-1]], strict=True) if wait != before]
    two_channels = ["arm_calibration", "step", "arm_calibration", "step"]
    assert order == ["confirm", "form", *two_channels, "approve_envelope", "confirm", "arm", "form"]


def test_screening_asks_what_the_gate_needs_and_what_the_protocol_adds(visit):
    forms = next(phase.forms for phase in visit.phases if phase.forms)
    assert forms[:2] == ("contraindications", "medication")
    assert {"skin.ext", "skin.flex", "pads.ext", "placement.flex", "inspection"} < set(forms)
    assert forms[-1] == "nrs_now"


def test_every_form_is_an_event_with_who_and_what(visit):
    told = [event for event in visit.events_of("form") if event.values["form"] == "skin_after.ext"]
    assert [(event.values["who"], event.values["redness"]) for event in told] == [("op", "none")]


def test_placement_that_screening_has_asked_is_not_asked_again(visit):
    forms = [event.values["form"] for event in visit.events_of("form")]
    assert forms.count("placement.ext") == 1


def test_every_check_is_told_with_what_it_found(visit):
    found = {(event.values["check"], event.values["ok"]): event for event in visit.events_of("check")}
    assert set(found) == {("device", True), ("noise", True), ("impedance", True), ("selectivity", True)}
    assert found["impedance", True].values["found"] == "not measured"
    selectivity = found["selectivity", True].values
    assert (selectivity["ext_ext_uv"], selectivity["ext_flex_uv"]) == (900.0, 200.0)
    noise = [event.values for event in visit.events_of("check") if event.values["check"] == "noise"]
    assert (noise[0]["ext_uv"], noise[0]["flex_uv"]) == (pytest.approx(4.0), pytest.approx(5.0))


def test_maximal_contractions_have_rows_and_name_their_norm(visit):
    rows = [trial for trial in visit.trials if trial.kind == "mvc"]
    assert [(row.trial, row.outcome, row.values["muscle"]) for row in rows] == [(1, "done", "ext"), (2, "done", "ext")]
    assert all(row.values["peak_uv"] == pytest.approx(300.0) for row in rows)
    (event,) = visit.events_of("mvc")
    assert (event.values["norm"], event.values["value_uv"]) == ("mvc", pytest.approx(300.0))


def test_nothing_is_armed_outside_calibration_and_blocks(visit):
    for phase in visit.phases:
        if phase.kind in ("screening", "questions", "checks", "mvc") and phase.state != "ended":
            assert phase.targets == ()
            assert phase.arm_id == "" or phase.state == "running"
    for phase, said in zip(visit.phases[1:], visit.phases, strict=False):
        if phase.kind == said.kind == "mvc" and phase.trial_state == "await_effort":
            assert phase.arm_id == ""


def test_catch_steps_give_nothing_and_say_nothing(visit):
    holds = {}
    for phase in visit.phases:
        if phase.kind == "calibration" and phase.trial_state == "hold":
            holds[phase.targets[0].channel, phase.t_state_ns] = (phase.targets[0].current_ma, phase.prompt)
    for channel in ("ext", "flex"):
        levels = [level for (name, _), (level, _) in sorted(holds.items()) if name == channel]
        assert levels.count(0.0) == 1
        assert [level for level in levels if level] == [3.0 * n for n in range(1, 11)]
    assert len({prompt for _, prompt in holds.values()}) == 1
    # The step is asked for and taken like any other.
    steps = [command.arguments["current_ma"] for command in visit.to_gate if command.kind == "step"]
    assert len(steps) == 22


def test_conditions_are_balanced_and_stand_in_the_rows(visit):
    rows = [trial for trial in visit.trials if trial.kind == "block"]
    assert [(row.block, row.trial) for row in rows] == [(b, t) for b in (1, 2) for t in (1, 2, 3, 4)]
    names = [row.values["condition"] for row in rows]
    assert all(set(names[i : i + 2]) == {"weak", "strong"} for i in range(0, 8, 2))
    targets = {row.values["condition"]: row.values["target_ma_ext"] for row in rows}
    assert targets == {"weak": 12.0, "strong": 21.0}
    assert all(row.values["peak_ma_ext"] == row.values["target_ma_ext"] for row in rows)


def test_a_condition_has_its_own_rate(visit):
    rates = {
        (phase.targets[0].current_ma, phase.targets[0].rate_hz)
        for phase in visit.phases
        if phase.kind == "block" and phase.trial_state == "hold"
    }
    assert rates == {(12.0, 35.0), (21.0, 20.0)}


def test_prompts_are_asked_after_each_repetition_and_nothing_flows_meanwhile(visit):
    asked = [phase for phase in visit.phases if phase.kind == "block" and phase.waiting_for == "form"]
    assert {phase.block for phase in asked} == {1, 2}
    assert {(phase.forms, phase.state, phase.trial_state) for phase in asked} == {(("nrs_now",), "waiting", "idle")}


def test_the_same_inputs_give_the_same_outputs_also_from_a_saved_state(visit):
    whole = Director(visit.settings)
    settings = msgspec.json.encode(visit.settings)
    for number, given in enumerate(visit.given):
        if number % 700 == 350:
            whole = director_from(settings, json.dumps(whole.state(), allow_nan=False))
        assert whole.step(given) == visit.said[number]


def test_another_session_draws_another_order(make_visit_plan):
    from myoloop.experiments.sessions import drawn

    def order(session):
        return [drawn.condition_of(("a", "b", "c"), "balanced", n, session, 5) for n in range(30)]

    plans = [make_visit_plan(session=f"sub-T/ses-01/att-{attempt}") for attempt in (1, 2)]
    assert drawn.session_of(plans[0]) == drawn.session_of(plans[1]) == "sub-T/ses-01"
    assert order("sub-T/ses-01") == order("sub-T/ses-01") != order("sub-T/ses-02")
    assert all(order("x").count(name) == 10 for name in "abc")
    assert {drawn.condition_of("ab", "random", n, "s") for n in range(20)} == {"a", "b"}
    assert [drawn.condition_of("ab", "fixed", n, "s") for n in range(4)] == ["a", "b", "a", "b"]


# -- forms and screening ------------------------------------------------------------------------------------------


def asked(phase):
    return phase.waiting_for == "form"


def test_a_form_with_mistakes_is_refused_with_each_of_them(make_visit):
    world = make_visit()
    world.until(asked)
    answer = world.fill("skin.ext", wound="perhaps", colour="blue")
    assert not answer.ok
    assert "skin.ext: wound: found 'perhaps'" in answer.reason
    assert "skin.ext: colour: no such question" in answer.reason
    assert world.phase.forms[0] == "contraindications"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"form": "pgic", "values": {"change": 4}}, "pgic is not asked now; asked is contraindications"),
        ({"form": "nothing", "values": {}}, "nothing: no such form"),
        ({"form": "nrs_now"}, "allowed is a form's id and its values"),
        ({"form": 3, "values": {}}, "allowed is a form's id and its values"),
    ],
)
def test_a_form_that_is_not_asked_is_refused(make_visit, arguments, says):
    world = make_visit()
    world.until(asked)
    answer = world.tell("form", **arguments)
    assert not answer.ok
    assert says in answer.reason


def test_an_adverse_event_may_be_told_at_any_time(make_visit):
    world = make_visit()
    world.until(asked)
    values = {
        "kind": "soreness", "what": "sore arm", "place": "left_arm", "site": "none", "began": "2026-11-20",
        "grade": "mild", "ctcae": 1, "serious": "no", "related": "possible", "device_related": "no",
        "action": ["none"], "resolved": "yes", "resolved_on": "2026-11-20",
    }  # fmt: skip
    assert world.tell("form", form="adverse_event.sore", values=values).ok
    assert world.events_of("form")[-1].values["action"] == "none"


def test_an_absolute_finding_ends_the_session_with_its_reason(make_visit):
    world = make_visit()
    phase = world.visit_to(ended, contraindications={"feverish": "yes"})
    assert phase.outcome == "aborted"
    assert phase.reason.startswith("screening: feverish")
    assert [event.values["item"] for event in world.events_of("screening") if event.values["verdict"] == "blocked"]
    assert not [command for command in world.to_gate if command.kind == "arm"]


def test_what_may_be_overridden_waits_for_a_named_person(make_visit):
    world = make_visit()
    world.visit_to(lambda phase: phase.waiting_for == "override", contraindications={"epilepsy": "yes"})
    assert "epilepsy" in world.director.state()["blocked"]
    who = {"item": "epilepsy", "name": "Dr. N. Euro", "reason": "seizure-free for years", "date": "2026-11-21"}
    assert "role" in world.tell("override", **who).reason
    assert "may not override" in world.tell("override", **who, role="surgeon").reason
    assert world.phase.waiting_for == "override"
    assert list(world.phase.wrong) == ["epilepsy"]
    assert "neurologist" in world.phase.wrong["epilepsy"]
    assert world.tell("override", **{**who, "item": "feverish"}, role="neurologist").reason.startswith("override.item")
    assert world.tell("override", **who, role="neurologist").ok
    world.until(lambda phase: phase.kind == "checks", within_s=1)
    (told,) = (event for event in world.events_of("screening") if event.values["verdict"] == "overridden")
    assert (told.values["name"], told.values["role"]) == ("Dr. N. Euro", "neurologist")


def test_without_an_override_the_operator_may_only_end(make_visit):
    world = make_visit()
    world.visit_to(lambda phase: phase.waiting_for == "override", contraindications={"epilepsy": "yes"})
    world.run(3.0)
    assert world.phase.waiting_for == "override"
    world.tell("end", why="not today")
    assert world.phase.outcome == "aborted"


def test_a_site_the_protocol_can_do_without_is_left_out(make_visit):
    world = make_visit()
    world.visit_to(lambda phase: phase.kind == "calibration", skin_flex={"wound": "yes"})
    (event,) = world.events_of("dropped")
    assert event.values == {"sites": "flex", "channels": "flex"}
    caps = {limits["channel"]: limits["current_max_ma"] for limits in world.gate.envelope["channels"]}
    assert caps == {"ext": 40.0, "flex": 0.0}
    world.visit_to(ended)
    assert world.phase.outcome == "complete"
    assert {command.arguments.get("channel") for command in world.to_gate if command.kind == "arm"} == {"ext", None}
    rows = [trial.values for trial in world.trials if trial.kind == "block"]
    assert all("target_ma_flex" not in values for values in rows)


def test_with_every_site_blocked_there_is_no_session(make_visit):
    world = make_visit()
    wound = {"wound": "yes"}
    phase = world.visit_to(ended, skin_flex=wound, skin_ext=wound)
    assert phase.reason.startswith("screening: ")
    assert phase.outcome == "aborted"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"history": {}}, "the person's history was not told"),
        ({"history": {"sessions": "three"}}, "the person's history: "),
        ({"wall": "yesterday"}, "wall time: found 'yesterday'"),
        ({"places": {}}, "site ext: where on the body it is was not told"),
    ],
)
def test_screening_fails_closed_where_something_is_not_known(make_visit, make_visit_plan, change, says):
    plan = make_visit_plan()
    world = make_visit(plan=replace(plan, screening=replace(plan.screening, **change)))
    phase = world.visit_to(ended)
    assert phase.outcome == "aborted"
    assert phase.reason.startswith("screening: ")
    assert says in phase.reason


def test_a_pain_score_in_a_form_counts_for_the_stop_rules(make_visit):
    world = make_visit()
    phase = world.visit_to(ended, nrs_now={"current": 9})
    assert (phase.outcome, phase.reason) == ("stopped", "pain score 9, the protocol ends at 9")


# -- checks -------------------------------------------------------------------------------------------------------


def waits_for_retry(phase):
    return phase.waiting_for == "retry"


def test_a_noisy_channel_is_named_and_waited_for(make_visit, make_visit_person):
    person = make_visit_person(noise_uv={"ext": 4.0, "flex": 40.0})
    world = make_visit(person=person)
    world.visit_to(waits_for_retry)
    (bad,) = (event for event in world.events_of("check") if not event.values["ok"])
    assert bad.why == "flex: 40.0 uV at rest, at most 15"
    assert list(world.phase.wrong) == ["noise"]
    assert not world.tell("override", item="noise").ok
    world.run(2.0)
    assert world.phase.waiting_for == "retry"
    person.noise_uv["flex"] = 5.0
    assert world.tell("retry", why="skin cleaned").ok
    world.until(lambda phase: phase.kind == "mvc", within_s=3)


def test_a_channel_that_says_nothing_is_not_quiet(make_visit, make_visit_person):
    world = make_visit(person=make_visit_person(noise_uv={"ext": 4.0}))
    world.visit_to(waits_for_retry)
    assert world.events_of("check")[1].why == "flex: no EMG was heard"


def test_a_high_impedance_is_named(make_visit):
    world = make_visit()
    world.visit_to(lambda phase: phase.kind == "checks")
    values = {"ext": 9000.0, "flex": 1200.0, "bad": float("nan")}
    world.receive("event", Event(t_ns=world.now_ns, kind="impedance", who="amp", values=values), "amp")
    world.visit_to(waits_for_retry)
    assert "ext: 9000 Ohm, at most 5000" in [event.why for event in world.events_of("check")]


def test_a_human_rig_needs_a_run_on_a_dummy_load(make_visit, make_visit_plan):
    plan = make_visit_plan()
    # On a HUMAN rig the papers of the device count too, so screening is left out here.
    phases = plan.phases[1:]
    plan = replace(plan, phases=phases, screening=replace(plan.screening, rig_class="HUMAN"))
    world = make_visit(plan=plan)
    world.visit_to(waits_for_retry)
    assert world.events_of("check")[0].why == "the device has not been run on a dummy load"
    done = replace(plan, screening=replace(plan.screening, dummy_load="2026-11-20"))
    world = make_visit(plan=done)
    world.visit_to(lambda phase: phase.kind == "mvc")


def test_the_wrong_muscle_is_named_and_overridden_by_name_only(make_visit, make_visit_person):
    world = make_visit(person=make_visit_person(swapped=True))
    world.visit_to(waits_for_retry)
    bad = world.events_of("check")[-1]
    assert bad.why.startswith("ext: flex answers with 900 uV, ext with 200 uV")
    refused = world.tell("retry", why="looked again")
    assert "none is left" in refused.reason
    who = {"item": "selectivity", "name": "Ann Other", "role": "clinician", "date": "2026-11-21"}
    assert not world.tell("override", **who).ok
    old = world.tell("override", **{**who, "date": "2026-11-20"}, reason="cross-talk, seen to extend")
    assert old.reason == "override.date: found 2026-11-20, allowed is today, 2026-11-21"
    assert world.tell("override", **who, reason="cross-talk, seen to extend").ok
    assert world.phase.kind == "block"


# -- maximal contractions -----------------------------------------------------------------------------------------


def pulls(phase):
    return phase.kind == "mvc" and phase.trial_state == "await_effort"


def test_who_cannot_pull_is_normed_by_the_noise_at_rest(make_visit):
    world = make_visit()
    world.visit_to(pulls)
    assert world.tell("skip_mvc").reason == "to skip the maximal contraction needs a reason"
    assert world.tell("skip_mvc", why="painful").ok
    (event,) = world.events_of("mvc")
    assert (event.values["norm"], event.values["value_uv"]) == ("rest_noise", pytest.approx(4.0))
    (row,) = (trial for trial in world.trials if trial.kind == "mvc")
    assert (row.outcome, row.values["norm"]) == ("skipped", "rest_noise")


def test_where_the_protocol_refuses_a_skip_the_session_ends(make_visit, make_visit_plan):
    plan = make_visit_plan()
    mvc = replace(plan.phases[2], mvc=replace(plan.phases[2].mvc, skip="refuse"))
    world = make_visit(plan=replace(plan, phases=(*plan.phases[:2], mvc, *plan.phases[3:])))
    world.visit_to(pulls)
    world.tell("skip_mvc", why="painful")
    assert world.phase.reason == "MVC: skipped (painful), which the protocol does not allow"


def test_a_peak_shorter_than_a_plateau_is_averaged_away(make_visit, make_visit_person):
    person = make_visit_person(pull_uv=100.0)
    world = make_visit(person=person)
    world.visit_to(pulls)
    world.run(1.0)
    person.pull_uv = 1000.0
    world.run(0.05)
    person.pull_uv = 100.0
    world.until(lambda phase: phase.trial_state == "rest" and phase.kind == "mvc", within_s=2)
    assert world.trials[-1].values["peak_uv"] == pytest.approx(190.0, abs=5.0)


def test_a_pause_cuts_an_attempt_which_is_made_again(make_visit):
    world = make_visit()
    world.visit_to(pulls)
    world.run(0.5)
    world.tell("pause", why="cough")
    assert world.trials[-1].outcome == "paused"
    world.run(1.0)
    world.tell("resume", why="over")
    assert (world.phase.trial_state, world.phase.trial) == ("cue", 1)
    world.visit_to(lambda phase: phase.kind == "calibration")
    assert [trial.outcome for trial in world.trials if trial.kind == "mvc"] == ["paused", "done", "done"]
