"""Ascending steps: what is felt at which level, over several ascents."""

from __future__ import annotations

import math

import pytest
from hypothesis import given as given_that
from hypothesis import settings
from hypothesis import strategies as st

from myoloop.experiments.sessions.thresholds import (
    Ascent,
    AscentPlan,
    NotMeasured,
    Thresholds,
    closed,
    felt,
    given,
    intensity_ma,
    next_level_ma,
    restarted,
    result,
    served,
    stepped,
)

PLAN = AscentPlan(("sensory", "motor", "tolerance"), start_ma=1.0, step_ma=1.0, stop_at_ma=20.0)


def climb(plan, person_ma, ascent=None):
    """Step until done; the person says each thing once, at the first level that reaches it."""
    ascent = ascent or Ascent()
    levels = []
    while not ascent.done:
        level_ma = next_level_ma(plan, ascent)
        if level_ma is None:
            ascent = closed(plan, ascent)
            continue
        levels.append(level_ma)
        repeat = ascent.repeat
        ascent = given(plan, stepped(plan, ascent), level_ma)
        for what, threshold_ma in person_ma.items():
            if level_ma >= threshold_ma and ascent.repeat == repeat and not ascent.done:
                ascent = felt(plan, ascent, what)
    return ascent, levels


def test_levels_rise_from_the_bottom_until_enough():
    ascent, levels = climb(PLAN, {"sensory": 2.5, "motor": 5.0, "tolerance": 8.0})
    assert levels == [1, 2, 3, 4, 5, 6, 7, 8]
    assert result(ascent, 250.0) == Thresholds(3.0, 5.0, 8.0, 8.0, 250.0)


def test_small_steps_do_not_add_up_an_error():
    plan = AscentPlan(("sensory",), start_ma=0.01, step_ma=0.01, stop_at_ma=0.5)
    assert [plan.level_ma(n) for n in (0, 2, 49)] == [0.01, 0.03, 0.5]
    assert plan.steps == 50


def test_without_tolerance_the_ceiling_caps():
    ascent, levels = climb(PLAN, {"sensory": 3, "motor": 6})
    assert levels[-1] == 20.0
    assert result(ascent, 0.0) == Thresholds(3.0, 6.0, None, 20.0)


def test_of_several_ascents_means_and_the_lowest_tolerance():
    plan = AscentPlan(PLAN.order, 1.0, 1.0, 20.0, repeats=2)
    ascent, _ = climb(plan, {"sensory": 2, "motor": 4, "tolerance": 9})
    assert not ascent.found
    assert result(ascent, 0.0) == Thresholds(2.0, 4.0, 9.0, 9.0)
    mixed = Ascent(
        past=({"sensory": 2, "motor": 4, "tolerance": 9}, {"sensory": 3, "motor": 6}), done=True, highest_ma=9
    )
    assert result(mixed, 0.0) == Thresholds(2.5, 5.0, 9, 9)


def test_what_was_once_enough_is_not_reached_again():
    plan = AscentPlan(PLAN.order, 1.0, 1.0, 20.0, repeats=3)
    ascent, levels = climb(plan, {"sensory": 2, "motor": 4, "tolerance": 9})
    assert levels.count(9.0) == 1
    assert max(levels[9:]) == 8.0
    assert result(ascent, 0.0).tolerance_ma == 9.0


def up_to(plan, level_ma):
    """An ascent in which each level up to this one has flowed."""
    ascent = Ascent()
    while ascent.given_ma < level_ma:
        ascent = stepped(plan, ascent)
        ascent = served(plan, given(plan, ascent, plan.level_ma(ascent.steps - 1)))
    return ascent


def test_a_level_that_did_not_flow_is_asked_for_again_and_then_given_up():
    ascent = stepped(PLAN, up_to(PLAN, 3.0))
    for _ in range(9):
        ascent = served(PLAN, given(PLAN, ascent, 3.0))
        assert next_level_ma(PLAN, ascent) == 4.0
        ascent = stepped(PLAN, ascent)
    ascent = served(PLAN, ascent)
    assert ascent.done
    assert result(ascent, 0.0).cap_ma == 3.0


def test_a_burst_that_was_cut_short_is_given_again():
    ascent = stepped(PLAN, up_to(PLAN, 3.0))
    for current_ma in (1.0, 4.0, 4.0, 0.0):
        ascent = given(PLAN, ascent, current_ma)
    ascent = served(PLAN, ascent)
    assert next_level_ma(PLAN, ascent) == 4.0
    ascent = served(PLAN, given(PLAN, stepped(PLAN, ascent), 4.0))
    assert next_level_ma(PLAN, ascent) == 5.0


def test_what_flows_counts_and_not_what_was_asked_for():
    ascent = given(PLAN, stepped(PLAN, up_to(PLAN, 3.0)), 3.5)
    assert felt(PLAN, ascent, "motor").found == {"motor": 3.5, "sensory": 3.5}
    # A level that is at least half a step nearer than the last one has been given.
    assert next_level_ma(PLAN, served(PLAN, ascent)) == 5.0


def test_more_than_was_asked_for_is_not_the_steps_doing():
    assert given(PLAN, stepped(PLAN, Ascent()), 9.0).given_ma == 1.0


def test_who_says_enough_is_believed_though_nothing_flowed():
    ascent = felt(PLAN, stepped(PLAN, Ascent()), "tolerance")
    assert ascent.done
    assert result(ascent, 0.0).tolerance_ma == 1.0


def test_a_muscle_that_moves_has_been_felt():
    ascent = felt(PLAN, up_to(PLAN, 2.0), "motor")
    assert ascent.found == {"motor": 2.0, "sensory": 2.0}


def test_enough_ends_an_ascent_that_looks_for_less():
    plan = AscentPlan(("sensory", "motor"), 1.0, 1.0, 20.0)
    ascent = felt(plan, up_to(plan, 1.0), "tolerance")
    assert ascent.done
    assert result(ascent, 0.0) == Thresholds(None, None, 1.0, 1.0)


def test_an_answer_before_the_first_step_says_nothing():
    assert felt(PLAN, Ascent(), "sensory") == Ascent()
    assert felt(PLAN, stepped(PLAN, Ascent()), "motor").found == {}


def test_the_first_answer_stands():
    ascent = given(PLAN, stepped(PLAN, felt(PLAN, up_to(PLAN, 1.0), "sensory")), 2.0)
    assert felt(PLAN, ascent, "sensory").found == {"sensory": 1.0}


def test_after_an_interruption_it_rises_from_the_bottom():
    ascent = restarted(felt(PLAN, up_to(PLAN, 2.0), "sensory"))
    assert next_level_ma(PLAN, ascent) == 1.0
    assert ascent.found == {"sensory": 2.0}


def test_no_step_beyond_the_ceiling():
    ascent, _ = climb(PLAN, {})
    with pytest.raises(ValueError, match="no step is left"):
        stepped(PLAN, ascent)


@pytest.mark.parametrize(
    "values",
    [(0.0, 1.0, 5.0), (1.0, 0.0, 5.0), (6.0, 1.0, 5.0), (1.0, math.nan, 5.0), (1.0, 1.0, math.inf)],
)
def test_a_way_that_does_not_rise_is_refused(values):
    with pytest.raises(ValueError, match="rising"):
        AscentPlan(PLAN.order, *values)


def test_an_unknown_threshold_is_refused():
    with pytest.raises(ValueError, match="sensory, motor, tolerance"):
        felt(PLAN, Ascent(), "pain")
    with pytest.raises(ValueError, match="allowed are"):
        AscentPlan(("pain",), 1.0, 1.0, 5.0)


def test_intensity_is_a_threshold_times_a_factor_or_part_of_the_way():
    found = Thresholds(4.0, 10.0, 30.0, 30.0)
    assert intensity_ma(found, ref="sensory", x=1.5, share=None, to="tolerance") == 6.0
    assert intensity_ma(found, ref="motor", x=None, share=0.6, to="tolerance") == pytest.approx(22.0)


def test_intensity_of_a_threshold_that_was_not_met():
    found = Thresholds(4.0, None, None, 20.0)
    with pytest.raises(NotMeasured, match="no motor threshold was met up to 20 mA"):
        intensity_ma(found, ref="motor", x=1.0, share=None, to="tolerance")
    # A tolerance beyond what was tried is at least that.
    assert intensity_ma(found, ref="sensory", x=None, share=0.5, to="tolerance") == 12.0


@given_that(
    person=st.tuples(st.floats(0.5, 25), st.floats(0.5, 25), st.floats(0.5, 25)).map(sorted),
    repeats=st.integers(1, 3),
    step_ma=st.sampled_from([0.5, 1.0, 2.0]),
)
@settings(deadline=None)
def test_nobody_is_given_more_than_one_step_above_enough(person, repeats, step_ma):
    plan = AscentPlan(PLAN.order, step_ma, step_ma, 20.0, repeats)
    ascent, levels = climb(plan, dict(zip(PLAN.order, person, strict=True)))
    found = result(ascent, 0.0)
    assert max(levels) < person[2] + step_ma + 1e-9
    assert found.cap_ma == max(levels)
    met = [value for value in (found.sensory_ma, found.motor_ma, found.tolerance_ma) if value is not None]
    assert met == sorted(met)
