"""A flare that is told today makes today's session smaller, as it does the next one; nothing gets larger by it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from myoloop.experiments.protocols.plan import FlarePlan, SessionCaps
from myoloop.experiments.screening.adverse import tells_flare
from myoloop.experiments.sessions.director import Director
from myoloop.experiments.sessions.place import Place
from myoloop.experiments.sessions.thresholds import Thresholds

SHARE = 0.5
FLARED = {"contraindications": {"flare": "yes"}}


@pytest.fixture
def make_flare(make_visit, make_visit_plan):
    def made(flare=None, **planning):
        return make_visit(plan=replace(make_visit_plan(**planning), flare=flare or FlarePlan(SHARE)))

    return made


def _set(world) -> list[dict]:
    return [command.arguments for command in world.to_gate if command.kind == "set_envelope"]


def _in_checks(phase) -> bool:
    return phase.kind == "checks" and phase.state == "running"


def test_the_envelope_after_screening_has_the_share_of_the_time_on_and_says_why(make_flare) -> None:
    world = make_flare()
    world.visit_to(_in_checks, **FLARED)
    first, second = _set(world)
    assert (first["session_on_s_max"], second["session_on_s_max"]) == (600.0, 300.0)
    (event,) = world.events_of("flare")
    assert event.why == "a flare was told in contraindications: today's dose is smaller too"
    assert event.values == {"share_of_time_on": 0.5, "on_at_most_before_s": 600.0, "on_at_most_s": 300.0}
    # It is confirmed like any other before the next phase begins.
    waits = [phase.waiting_for for phase in world.phases if phase.waiting_for]
    assert [wait for wait, before in zip(waits, ["", *waits], strict=False) if wait != before] == [
        "confirm", "form", "confirm",
    ]  # fmt: skip


def test_it_holds_to_the_sessions_end_whatever_is_calibrated(make_flare) -> None:
    world = make_flare()
    world.visit_to(lambda phase: phase.state == "ended", **FLARED)
    assert (world.phase.outcome, world.phase.reason) == ("complete", "")
    assert [each["session_on_s_max"] for each in _set(world)] == [600.0, 300.0, 300.0]


def test_nothing_else_of_the_envelope_moves_and_nothing_is_raised(make_flare) -> None:
    world = make_flare()
    world.visit_to(_in_checks, **FLARED)
    first, second = _set(world)
    assert {name for name in first if first[name] != second[name]} == {"session_on_s_max"}


def test_without_a_flare_without_a_rule_and_where_in_doubt_the_session_goes_on_as_it_is(make_flare, make_visit) -> None:
    for world, answer in ((make_flare(), "no"), (make_visit(), "yes")):
        world.visit_to(_in_checks, contraindications={"flare": answer})
        assert [each["session_on_s_max"] for each in _set(world)] == [600.0]
        assert not world.events_of("flare")


def test_a_flare_that_is_on_record_takes_nothing_more_away_when_it_is_told_again(make_flare) -> None:
    world = make_flare(FlarePlan(SHARE, on_record=True), caps=SessionCaps(1.0, SHARE, SHARE))
    world.visit_to(_in_checks, **FLARED)
    assert [each["session_on_s_max"] for each in _set(world)] == [300.0]
    (event,) = world.events_of("flare")
    assert "smaller for a flare on record already" in event.why


def test_where_an_item_is_overridden_first_it_is_taken_into_account_once(make_flare) -> None:
    world = make_flare()
    answers = {"contraindications": {"flare": "yes", "epilepsy": "yes"}}
    world.visit_to(lambda phase: phase.waiting_for == "override", **answers)
    assert not world.events_of("flare")
    who = {"item": "epilepsy", "name": "Dr. N. Euro", "reason": "seizure-free for years", "date": "2026-11-21"}
    assert world.tell("override", **who, role="neurologist").ok
    world.until(_in_checks, within_s=5)
    assert len(world.events_of("flare")) == 1
    assert [each["session_on_s_max"] for each in _set(world)] == [600.0, 300.0]


def test_a_site_left_out_and_a_flare_are_one_envelope(make_flare) -> None:
    world = make_flare()
    world.visit_to(_in_checks, **FLARED, skin_flex={"wound": "yes"})
    _, second = _set(world)
    assert second["session_on_s_max"] == 300.0
    assert [limits["current_max_ma"] > 0 for limits in second["channels"]] == [True, False]
    assert len(world.events_of("flare")) == 1


def test_the_same_inputs_give_the_same_outputs_from_a_saved_state(make_flare) -> None:
    world = make_flare()
    world.visit_to(_in_checks, **FLARED)
    again = Director(world.settings)
    for number, taken in enumerate(world.given):
        if number == len(world.given) // 2:
            again = Director(world.settings, again.state())
        assert again.step(taken) == world.said[number]


@pytest.mark.parametrize(
    ("form", "values", "expected"),
    [
        ("contraindications", {"flare": "yes"}, True),
        ("contraindications", {"flare": "no"}, False),
        ("follow_up", {"flared": "yes"}, True),
        ("follow_up.1", {"flared": True}, True),
        ("follow_up", {"flared": "unsure"}, False),
        ("follow_up", {"flare": "yes"}, False),
        ("nrs", {"flared": "yes"}, False),
    ],
)
def test_which_answers_tell_a_flare(form, values, expected) -> None:
    assert tells_flare(form, values) is expected


def test_the_plan_knows_whether_a_flare_is_on_record(make_demo_plan) -> None:
    assert make_demo_plan("crps_tens").flare == FlarePlan(0.5)
    assert make_demo_plan("crps_tens", caps=SessionCaps(0.8, 0.6)).flare == FlarePlan(0.5)
    halved = make_demo_plan("crps_tens", caps=SessionCaps(0.8, 0.3, flare_share=0.5))
    assert halved.flare == FlarePlan(0.5, on_record=True)
    assert make_demo_plan("demo").flare is None


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    on_share=st.floats(0, 1, exclude_min=True), next_share=st.floats(0, 1, exclude_min=True),
    on_record=st.booleans(), dropped=st.sampled_from([(), ("ext",), ("flex",)]),
    tolerance_ma=st.floats(1, 60),
)  # fmt: skip
def test_no_flare_raises_any_limit(make_visit_plan, on_share, next_share, on_record, dropped, tolerance_ma) -> None:
    plan = make_visit_plan()
    plan = replace(
        plan,
        envelope=replace(plan.envelope, session_on_s_max=plan.envelope.session_on_s_max * on_share),
        flare=FlarePlan(next_share, on_record),
    )
    found = {"ext": Thresholds(1.0, 2.0, tolerance_ma, tolerance_ma)}
    calm = Place(envelope=plan.envelope, dropped=dropped, thresholds=found)
    flared = Place(envelope=plan.envelope, dropped=dropped, thresholds=found, flare="contraindications")
    before, after = calm.own_envelope(plan), flared.own_envelope(plan)
    assert after.session_on_s_max <= before.session_on_s_max
    assert replace(after, session_on_s_max=before.session_on_s_max) == before
