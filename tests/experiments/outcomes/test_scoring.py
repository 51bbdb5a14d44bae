"""Scores of instruments from answers by item number: hand-computed cases, and every way to be missing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from myoloop.experiments.outcomes.scoring import INSTRUMENTS, NotScored, score


def items(count: int, value: float, first: str = "item", **more: object) -> dict[str, object]:
    return {**{f"{first}_{n}": value for n in range(1, count + 1)}, **more}


# Each by hand; the sources are those that the instrument's file names.
GOLDEN = [
    # Fairbank and Pynsent's own two examples: 16 of 50 is 32 %, 16 of 45 is 35.6 %.
    ("odi", {**items(10, 0), "item_1": 5, "item_2": 5, "item_3": 5, "item_4": 1}, {"odi": 32.0}),
    ("odi", {**items(9, 0), "item_1": 5, "item_2": 5, "item_3": 5, "item_4": 1}, {"odi": 100 * 16 / 45}),
    ("ndi", {**items(10, 1), "item_10": 5}, {"ndi": 28.0}),
    # Two missing: (8 x 2) / (8 x 5).
    ("ndi", items(8, 2), {"ndi": 40.0}),
    # Institute for Work & Health: ((sum / n) - 1) x 25.
    ("dash", items(30, 1), {"dash": 0.0}),
    ("dash", items(30, 5), {"dash": 100.0}),
    ("dash", {**items(30, 2), "item_1": 5}, {"dash": (63 / 30 - 1) * 25}),
    ("dash", items(27, 3), {"dash": 50.0}),
    ("css16", {**items(8, 1, "symptom"), **items(8, 0, "sign"), "sign_3": 1}, {"css16": 9.0}),
    ("css17", items(17, 1), {"css17": 17.0}),
    ("nrs", {"current": 6, "average_24h": 5, "worst_24h": 8}, {"nrs_current": 6, "nrs_average": 5, "nrs_worst": 8}),
    ("pgic", {"change": 2}, {"pgic": 2.0}),
    ("psfs", {"frequency": 3, "severity": 2}, {"psfs_frequency": 3.0, "psfs_severity": 2.0}),
    ("psfs", {"frequency": 0}, {"psfs_frequency": 0.0, "psfs_severity": None}),
    ("ppt", {"repeat_1_kpa": 200, "repeat_2_kpa": 220, "repeat_3_kpa": 240, "ramp_kpa_s": 50}, {"ppt": 220.0}),
]


@pytest.mark.parametrize(("name", "answers", "expected"), GOLDEN)
def test_scores_are_those_computed_by_hand(name, answers, expected):
    found = score(name, answers)
    assert {key: each.value for key, each in found.items()} == {
        key: None if value is None else pytest.approx(value) for key, value in expected.items()
    }


MISSING = [
    ("odi", items(8, 1), "2 of 10 items are missing (item_9, item_10), allowed: at most 1"),
    ("ndi", items(7, 1), "3 of 10 items are missing (item_8, item_9, item_10), allowed: at most 2"),
    ("dash", items(26, 1), "4 of 30 items are missing (item_27, item_28, item_29, item_30), allowed: at most 3"),
    ("css16", items(8, 1, "symptom"), "8 of 16 items are missing"),
    ("css17", items(16, 1), "1 of 17 items are missing (item_17), allowed: at most 0"),
    ("ppt", {"repeat_1_kpa": 200, "repeat_2_kpa": 220}, "2 of 3 repeats, allowed: all"),
    ("psfs", {"severity": 2}, "frequency was not answered"),
    ("pgic", {}, "change was not answered"),
    ("ashworth", {}, "no grade was entered"),
]


@pytest.mark.parametrize(("name", "answers", "why"), MISSING)
def test_too_few_answers_give_no_score_and_say_which_are_missing(name, answers, why):
    for each in score(name, answers).values():
        assert (each.value, each.code) == (None, "")
        assert each.why.startswith(why)


WRONG = [
    ("odi", items(10, 0, item_3=6), "item_3: found 6, allowed: a whole number from 0 to 5"),
    ("odi", items(10, 0, item_3=True), "item_3: found True"),
    ("dash", items(30, 1, item_30=0), "item_30: found 0, allowed: a whole number from 1 to 5"),
    ("dash", items(30, 1, item_30=2.5), "item_30: found 2.5"),
    ("ndi", items(10, 1, item_2="2"), "item_2: found '2'"),
    ("nrs", {"current": float("nan"), "average_24h": 1, "worst_24h": 1}, "current: found nan"),
    ("odi", items(11, 0), "item_11: odi has no such item"),
    ("ashworth", {"grade": "1.5"}, "grade: found '1.5', allowed: 0, 1, 1+, 2, 3, 4"),
    ("ashworth", {"grade": 1}, "grade: found 1"),
    ("psfs", {"frequency": 0, "severity": 2}, "severity: found 2, allowed only where frequency is more than 0"),
]


@pytest.mark.parametrize(("name", "answers", "why"), WRONG)
def test_one_wrong_answer_leaves_every_score_missing_and_is_named(name, answers, why):
    for each in score(name, answers).values():
        assert (each.value, each.code) == (None, "")
        assert why in each.why


def test_a_wrong_answer_is_never_taken_for_a_missing_one():
    # With one item missing ODI has a score; with the same item wrong it has none.
    answers = items(9, 2)
    assert score("odi", answers)["odi"].value == 40.0
    assert score("odi", {**answers, "item_10": 9})["odi"].value is None


def test_the_two_versions_of_css_are_never_mixed():
    sixteen = {**items(8, 1, "symptom"), **items(8, 1, "sign")}
    assert "css17 has no such item" in score("css17", sixteen)["css17"].why
    assert "css16 has no such item" in score("css16", items(17, 1))["css16"].why
    found = score("css16", {**sixteen, "version": "css17"})["css16"]
    assert (found.value, found.why) == (None, "version: found 'css17', allowed: css16")


def test_a_grade_is_kept_as_it_was_entered_and_is_no_number():
    found = score("ashworth", {"grade": "1+", "version": "1987"})["ashworth"]
    assert (found.value, found.code, found.why) == (None, "1+", "")


CATEGORIES = ("sensory", "vasomotor", "sudomotor_oedema", "motor_trophic")


def budapest(symptoms: int, signs: int, **more: int) -> dict[str, int]:
    there = {f"{name}_symptom": int(n < symptoms) for n, name in enumerate(CATEGORIES)}
    there |= {f"{name}_sign": int(n < signs) for n, name in enumerate(CATEGORIES)}
    return {"pain_disproportionate": 1, "no_better_diagnosis": 1, **there, **more}


@pytest.mark.parametrize(
    ("answers", "clinical", "research"),
    [
        (budapest(4, 2), 1.0, 1.0),
        (budapest(3, 2), 1.0, 0.0),
        (budapest(2, 4), 0.0, 0.0),
        (budapest(4, 1), 0.0, 0.0),
        (budapest(4, 4, pain_disproportionate=0), 0.0, 0.0),
        (budapest(4, 4, no_better_diagnosis=0), 0.0, 0.0),
    ],
)
def test_budapest_by_both_rules(answers, clinical, research):
    found = score("budapest", answers)
    assert (found["budapest_clinical"].value, found["budapest_research"].value) == (clinical, research)
    assert bool(found["budapest_research"].unmet) == (research == 0.0)


def test_budapest_names_what_is_not_met():
    found = score("budapest", budapest(3, 1))
    assert found["budapest_clinical"].unmet == (
        "signs in 1 of 4 categories, needed: 2 (none: vasomotor, sudomotor_oedema, motor_trophic)",
    )
    assert found["budapest_research"].unmet[0].startswith("symptoms in 3 of 4 categories, needed: 4 (none: motor_tr")


def test_budapest_stays_open_only_where_a_missing_answer_could_change_it():
    answers = budapest(3, 2)
    del answers["motor_trophic_symptom"]
    found = score("budapest", answers)
    assert found["budapest_clinical"].value == 1.0
    assert found["budapest_research"].value is None
    assert found["budapest_research"].why == "symptoms in 3 of 4 needed categories, not answered: motor_trophic"
    no_signs = {key: value for key, value in budapest(4, 0).items() if key != "vasomotor_symptom"}
    assert score("budapest", no_signs)["budapest_research"].value == 0.0


def test_an_instrument_that_is_not_there_is_refused_with_a_near_name():
    with pytest.raises(NotScored, match=r"found 'dahs' \(did you mean dash\?\), allowed: ashworth"):
        score("dahs", {})


@given(st.dictionaries(st.sampled_from([f"item_{n}" for n in range(1, 32)]), st.integers(-1, 6)))
def test_whatever_is_answered_dash_is_within_its_range_or_says_why(answers):
    found = score("dash", answers)["dash"]
    good = all(1 <= value <= 5 for value in answers.values()) and "item_31" not in answers and len(answers) >= 27
    assert (found.value is not None) == good
    if found.value is None:
        assert found.why
    else:
        assert 0.0 <= found.value <= 100.0


def test_each_score_says_how_it_is_made_and_by_whom():
    for instrument in INSTRUMENTS.values():
        for kind in instrument.scores:
            assert len(kind.method) > 10
            assert kind.source
