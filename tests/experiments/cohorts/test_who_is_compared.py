"""Who and what an estimate rests on: two arms and nobody else, what was recorded, what is held constant."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from myoloop.experiments.cohorts import effects
from myoloop.experiments.cohorts.analysis import Other, analyse, exploratory_plan
from myoloop.experiments.cohorts.cohort import Cohort, tables
from myoloop.experiments.cohorts.flow import flow
from myoloop.experiments.cohorts.frames import Frames
from myoloop.experiments.cohorts.gathering import CohortError, Gathered
from myoloop.experiments.cohorts.people import People

Made = Callable[..., Any]


def moved(people: People, **arms: str) -> People:
    """Some people with another arm, or with none."""
    told = tuple(replace(each, arm=arms.get(each.name, each.arm)) for each in people.people)
    return replace(people, people=told, arms=tuple(sorted({each.arm for each in told if each.arm})))


def named(*others: str) -> dict[str, Any]:
    return {"test": "active", "reference": "sham", "others": list(others)}


def test_who_is_in_neither_arm_is_in_no_comparison_and_is_told(numbers: Made, plan: Made) -> None:
    gathered, people = numbers()
    people = moved(people, P001="", P002="third")
    registered = plan(arms=named("third"), secondary=[])
    result = analyse(gathered, people, registered, "a" * 64)
    between = [each for each in result.lines if each.contrast in ("arms", "dose")]
    assert len(between) >= 6
    assert {each.estimate.people for each in between} == {18}, [(each.what, each.estimate.people) for each in between]
    assert dict(result.not_compared) == {
        "P001": "has no arm",
        "P002": "is in the arm third, compared are active and sham",
    }
    last = flow(gathered, people, result)[-1]
    assert (last.people, last.lost) == (
        18, ("P001 has no arm", "P002 is in the arm third, compared are active and sham"),
    )  # fmt: skip
    told = csv.DictReader(io.StringIO(tables(Cohort(gathered, people, result, "c" * 64, "d" * 64))["people.csv"]))
    assert {row["person"]: why for row in told if (why := row["not in comparisons of arms"])} == dict(
        result.not_compared
    )


def test_who_has_no_code_is_not_arm_a(numbers: Made, plan: Made) -> None:
    gathered, people = numbers(view="coded")
    result = analyse(gathered, moved(people, P001=""), plan(secondary=[]), "a" * 64)
    assert result.lines[0].estimate.people == 19
    assert result.not_compared == (("P001", "has no arm"),)


def test_a_third_arm_must_be_named(numbers: Made, plan: Made) -> None:
    gathered, people = numbers()
    with pytest.raises(CohortError, match=r"two are compared; the rest must be named: others: \[third\]"):
        analyse(gathered, moved(people, P002="third"), plan(secondary=[]), "a" * 64)


def test_everybody_counts_where_no_arms_are_compared(numbers: Made, plan: Made) -> None:
    gathered, people = numbers()
    changed = plan(primary={"outcome": "mvc_force", "scale": "log", "contrast": "trend"}, secondary=[])
    assert analyse(gathered, moved(people, P001=""), changed, "a" * 64).lines[0].estimate.people == 20


def test_sessions_that_name_several_primary_outcomes_are_not_analysed_by_the_first(numbers: Made) -> None:
    gathered, people = numbers()
    first, *others = gathered.rows
    mixed = Gathered(gathered.study, (replace(first, primary="active_rom"), *others), simulated=True)
    with pytest.raises(CohortError, match=r"name 2 primary outcomes \(active_rom, mvc_force\)"):
        exploratory_plan(mixed, people)


# -- what was recorded ------------------------------------------------------------------------------------


def test_an_estimate_is_not_made_of_sessions_that_nobody_recorded(numbers: Made, plan: Made) -> None:
    later = frozenset((f"P{who:03d}", session) for who in range(1, 21) for session in range(2, 7))
    gathered, people = numbers(lost=later)
    estimate = analyse(gathered, people, plan(missing_data="baseline_carried_forward"), "a" * 64).lines[0].estimate
    assert estimate.value is None
    assert "nobody has a second recorded value" in estimate.why
    assert (estimate.people, estimate.sessions, estimate.filled) == (20, 20, 100)


def test_nor_of_more_that_was_filled_in_than_half(numbers: Made, plan: Made) -> None:
    later = frozenset((f"P{who:03d}", session) for who in range(1, 21) for session in range(3, 7))
    gathered, people = numbers(lost=later)
    estimate = analyse(gathered, people, plan(missing_data="baseline_carried_forward"), "a" * 64).lines[0].estimate
    assert estimate.value is None
    assert "67 % of the sessions would be filled in, allowed are 50 %" in estimate.why


def test_other_recordings_make_a_line_beside_the_registered_one(numbers: Made, plan: Made) -> None:
    gathered, people = numbers(lost=frozenset({("P001", 6)}))
    more, _ = numbers()
    result = analyse(gathered, people, plan(), "a" * 64, other=Other(more, ("complete", "recovered")))
    (line,) = [each for each in result.lines if "recordings used" in each.what]
    assert line.what.endswith("recordings used: complete, recovered")
    assert (line.part, line.estimate.sessions) == ("sensitivity", 120)
    assert result.lines[0].estimate.sessions == 119
    assert line.input_sha256 != result.lines[0].input_sha256


# -- on which scale, with what held constant --------------------------------------------------------------


def test_a_mean_of_logarithms_is_told_as_a_geometric_mean_in_the_outcomes_unit(numbers: Made, plan: Made) -> None:
    gathered, people = numbers()
    changed = plan(primary={"outcome": "mvc_force", "scale": "log", "contrast": "mean"}, secondary=[])
    line = analyse(gathered, people, changed, "a" * 64).lines[0]
    shown = line.shown()
    assert shown is not None
    values: dict[str, list[float]] = {}
    for row in gathered.rows:
        values.setdefault(row.person, []).append(row.outcomes["mvc_force"].value)
    assert shown[0] == pytest.approx(float(np.exp(np.mean([np.mean(np.log(each)) for each in values.values()]))))
    assert shown[1] < shown[0] < shown[2]
    assert (line.shown_unit, line.estimate.p) == ("N", None)
    assert "geometric mean" in line.what
    assert "geometric mean" in line.estimate.method


def with_strata(seed: int = 1) -> pd.DataFrame:
    """Twelve people, six in each of two strata that have other levels and other slopes; no arm does anything."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(12):
        # Most of one stratum are in one arm.
        stratum = "high" if number < 6 else "low"
        test = int(number in (0, 1, 2, 3, 6, 7))
        gain = 1.0 if stratum == "high" else 0.1
        for t in range(4):
            y = 10.0 * (stratum == "high") + gain * t + 0.05 * rng.standard_normal()
            rows.append((f"P{number}", float(t), y, test, stratum, "one"))
    return pd.DataFrame(rows, columns=["person", "t", "y", "test", "stratum", "station"])


@pytest.mark.parametrize(
    "make",
    [
        lambda frame, held: effects.two_stage(frame, 0.95, held),
        lambda frame, held: effects.at_last(frame.assign(y=frame["y"] - 10.0 * (frame["stratum"] == "high")), 3.0,
                                            0.95, held),
    ],
)  # fmt: skip
def test_covariates_are_held_constant_where_no_mixed_model_is_fitted(make: Callable[..., effects.Estimated]) -> None:
    frame = with_strata()
    without, held = make(frame, ()), make(frame, ("stratum", "station"))
    assert without.value is not None
    assert held.value is not None
    assert abs(held.value) < 0.1 < abs(without.value)


def test_covariates_are_held_constant_in_a_trend() -> None:
    frame = with_strata()
    # The high ones have no later sessions: without their level the mean falls.
    frame = frame[(frame["stratum"] == "low") | (frame["t"] < 1)].assign(y=lambda each: each["y"] + 1.0)
    without, held = (effects.trend(frame, 0.95, "intercept", "rate", each) for each in ((), ("stratum",)))
    assert without.value is not None
    assert held.value is not None
    assert held.value > 0.0 > without.value


def test_covariates_that_tell_the_arms_give_no_estimate() -> None:
    frame = with_strata()
    frame["stratum"] = np.where(frame["test"] == 1, "a", "b")
    estimate = effects.two_stage(frame, 0.95, ("stratum",))
    assert estimate.value is None
    assert "cannot be told apart" in estimate.why


def test_a_rate_of_a_long_rest_weighs_more_than_one_of_a_short_one() -> None:
    rows = []
    for number in range(8):
        long = number < 4
        for t in (0.0, 1.0):
            # Where it was looked at for long, spasms halve; in short looks there are as many as before.
            rate = (4.0 if t == 0.0 else 2.0) + 0.1 * number if long else 4.0 + 0.1 * number
            rows.append((f"P{number}", t, rate, 0, 10.0 if long else 0.5))
    frame = pd.DataFrame(rows, columns=["person", "t", "y", "test", "told_min"])
    weighed, same = (
        effects.trend(frame, 0.95, "intercept", "rate"),
        effects.trend(frame.drop(columns="told_min"), 0.95, "intercept", "rate"),
    )
    assert weighed.value is not None
    assert same.value is not None
    assert weighed.value < -0.5 < same.value < -0.15
    assert "offset by the minutes" in weighed.method
    assert "every session the same weight" in same.method


def test_minutes_that_are_not_known_of_all_are_used_of_none(numbers: Made, plan: Made) -> None:
    gathered, people = numbers()
    first, *others = gathered.rows
    known = replace(first, outcomes={**first.outcomes, "spasms_at_rest": replace(
        first.outcomes["spasms_at_rest"], told_min=0.6)})  # fmt: skip
    part = Gathered(gathered.study, (known, *others), simulated=True)
    frame = Frames(part, people, plan()).frame("spasms_at_rest", "rate", "available")
    assert int(frame["told_min"].notna().sum()) == 1
    assert "not known of all" in effects.rate_effect(frame, 0.95).method
