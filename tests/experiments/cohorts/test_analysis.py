"""The analysis: registered effects are recovered, withheld arms stay so, what was not registered says so."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from myoloop.experiments.cohorts.analysis import WITHHELD, Line, analyse, exploratory_plan
from myoloop.experiments.cohorts.cohort import Cohort, output_folder, tables
from myoloop.experiments.cohorts.flow import flow, guesses, harms, state
from myoloop.experiments.cohorts.gathering import CohortError
from myoloop.experiments.cohorts.people import coded_arms
from myoloop.platform.errors import UserError
from myoloop.platform.sealed import StudyKey

Made = Callable[..., Any]


def line_of(cohort: Cohort, part: str, outcome: str, contrast: str) -> Line:
    found = [
        each for each in cohort.result.lines if (each.part, each.outcome, each.contrast) == (part, outcome, contrast)
    ]
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize(
    ("part", "outcome", "contrast", "truth"),
    [
        ("primary", "mvc_force", "arms", None),
        ("secondary", "spasms_at_rest", "arms", 5 * -0.25),
        ("secondary", "evoked_fatigue", "trend", -0.02),
        ("secondary", "symmetry", "mean", 20.0),
        ("secondary", "mvc_force", "dose", 0.04),
    ],
)
def test_what_is_in_the_numbers_is_within_the_interval(
    cohort: Made, part: str, outcome: str, contrast: str, truth: float | None
) -> None:
    found = cohort(seed=4)
    if truth is None:
        dose = [each.dose_mc[1] * (1 if each.arm == "active" else -1) for each in found.people.people]
        truth = 5 * 0.04 * sum(dose) / 10
    estimate = line_of(found, part, outcome, contrast).estimate
    assert estimate.low is not None
    assert estimate.high is not None
    assert estimate.low <= truth <= estimate.high


def test_a_ratio_is_told_in_per_cent(cohort: Made) -> None:
    line = line_of(cohort(), "primary", "mvc_force", "arms")
    shown = line.shown()
    assert shown is not None
    assert line.estimate.value is not None
    assert shown[0] == pytest.approx(100 * (math.exp(line.estimate.value) - 1))
    assert line.shown_unit == "%"


def test_arms_that_are_withheld_give_no_number_that_needs_them(cohort: Made) -> None:
    found = cohort(view="pooled")
    assert found.people.arms == ()
    for line in found.result.lines:
        needs = line.contrast in ("arms", "dose") or "in the arm" in line.what
        assert (line.estimate.value is None) == needs, line.what
        assert not needs or WITHHELD in line.estimate.why
    for name, text in tables(found).items():
        # The words of the plan, and of what a dose is, name arms; nobody's arm is told.
        for said in ("active against sham", "in the arm active", "what an active arm would have had"):
            text = text.replace(said, "")
        assert "active" not in text, name
        assert "sham" not in text, name


def test_coded_arms_are_compared_and_not_named(cohort: Made) -> None:
    found = cohort(view="coded")
    primary = line_of(found, "primary", "mvc_force", "arms")
    assert primary.estimate.value is not None
    assert "arm B against arm A" in primary.what
    assert line_of(found, "secondary", "evoked_fatigue", "trend").estimate.value is None
    assert line_of(found, "secondary", "mvc_force", "dose").estimate.value is None
    assert guesses(found.gathered, found.people).why == WITHHELD
    assert tables(found)["dose_response.csv"].count("\n") == 1


def test_a_code_does_not_follow_from_the_arms_names() -> None:
    codes = {coded_arms({"active", "sham"}, StudyKey(bytes([number]) * 32))["active"] for number in range(1, 30)}
    assert codes == {"A", "B"}


def test_without_an_analysis_file_everything_is_exploratory(numbers: Made) -> None:
    gathered, people = numbers()
    plan = exploratory_plan(gathered, people)
    result = analyse(gathered, people, plan, "")
    assert not result.is_registered
    assert {each.part for each in result.lines} == {"exploratory", "sensitivity"}
    assert plan.primary.outcome == "mvc_force"


def test_what_is_not_registered_is_called_exploratory(cohort: Made) -> None:
    found = cohort(secondary=[])
    parts = {each.outcome: each.part for each in found.result.lines if each.contrast not in ("dose",)}
    assert parts["symmetry"] == parts["spasms_at_rest"] == "exploratory"


def test_missing_sessions_go_by_the_declared_rule(numbers: Made, plan: Made) -> None:
    lost = frozenset({("P001", 6), ("P002", 3), ("P003", 1)})
    gathered, people = numbers(lost=lost)
    used = {
        rule: analyse(gathered, people, plan(missing_data=rule), "a" * 64).lines[0].estimate
        for rule in ("available", "completers", "baseline_carried_forward")
    }
    assert (used["available"].people, used["available"].sessions) == (20, 117)
    assert (used["completers"].people, used["completers"].sessions) == (17, 102)
    # Whose baseline is missing has nothing to carry forward; what was filled in was not recorded.
    carried = used["baseline_carried_forward"]
    assert (carried.people, carried.sessions, carried.filled) == (19, 112, 2)
    assert "2 of 114 sessions filled in" in carried.note


def test_a_value_that_has_no_logarithm_is_left_out_and_told(numbers: Made, plan: Made) -> None:
    gathered, people = numbers()
    changed = plan(primary={"outcome": "spasms_at_rest", "scale": "log", "contrast": "arms"})
    result = analyse(gathered, people, changed, "a" * 64)
    zeros = sum(row.outcomes["spasms_at_rest"].value == 0 for row in gathered.rows)
    assert zeros > 0
    assert len(result.skipped) == zeros
    assert result.lines[0].estimate.sessions == 120 - zeros


def test_arms_that_are_not_the_studys_are_refused(numbers: Made, plan: Made) -> None:
    gathered, people = numbers()
    with pytest.raises(CohortError, match="arms: found a, b, the study has active, sham"):
        analyse(gathered, people, plan(arms={"test": "a", "reference": "b"}, secondary=[]), "a" * 64)


def test_the_flow_counts_what_records_have(numbers: Made, plan: Made) -> None:
    gathered, people = numbers(lost=frozenset({("P001", session) for session in range(1, 7)}))
    steps = {each.what: each for each in flow(gathered, people, analyse(gathered, people, plan(), "a" * 64))}
    assert steps["Enrolled"].people == 20
    assert steps["Enrolled"].by_arm == {"active": 10, "sham": 10}
    assert steps["At least one session that can be used"].sessions == 114
    assert "6 recordings: refused" in steps["At least one session that can be used"].lost
    assert steps["Analysed for the primary outcome"].people == 19
    assert state(gathered, people, people.people[0], 1, "mvc_force") == "excluded"
    assert state(gathered, people, people.people[1], 1, "mvc_force") == "used"
    assert state(gathered, people, people.people[1], 7, "mvc_force") == "not held"


def test_guesses_of_everybody_the_same_are_right_in_one_arm_and_wrong_in_the_other(numbers: Made) -> None:
    gathered, people = numbers()
    found = guesses(gathered, people)
    bang = {arm: index.estimate for arm, index in found.bang.items() if index is not None}
    assert bang == {"active": 1.0, "sham": -1.0}
    assert harms(people) == ()


def test_everybody_is_told_one_by_one_with_what_a_response_is(cohort: Made) -> None:
    found = cohort()
    changes = [each.change_pct for each in found.result.responses]
    assert len(changes) == 20
    assert changes == sorted(changes, reverse=True)
    assert all(each.responder == (each.change_pct >= 10.0) for each in found.result.responses)
    assert {each.responder for each in found.result.responses} == {True, False}


def test_the_same_numbers_make_the_same_tables_and_others_others(cohort: Made) -> None:
    assert tables(cohort()) == tables(cohort(again=True))
    assert tables(cohort())["estimates.csv"] != tables(cohort(seed=4))["estimates.csv"]


def test_a_report_that_tells_arms_stands_outside_of_the_study(cohort: Made, tmp_path: Any) -> None:
    found, study = cohort(), tmp_path / "study"
    study.mkdir()
    (study / "study.yaml").write_text("zone: UTC\n")
    with pytest.raises(UserError, match="--out: missing"):
        output_folder(study, None, found.people)
    with pytest.raises(UserError):
        output_folder(study, study / "derivatives", found.people)
    assert output_folder(study, tmp_path / "open", found.people) == tmp_path / "open"
    assert output_folder(study, None, cohort(view="pooled").people) == study / "derivatives/cohort"
