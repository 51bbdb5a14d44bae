"""What the virtual person answers: forms that are theirs, by how it is with them, in values that the forms allow."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.experiments.screening.forms import check_form
from myoloop.experiments.subjects.answers import LATELY_NS, OWN, AnswerParameters, BodyState, Feelings, answers
from myoloop.experiments.subjects.population import draw

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
SURE = AnswerParameters(answer_spread=0.0)


def say(form, state=None, parameters=SURE, seed=1):
    return answers(form, state or BodyState(), parameters, np.random.default_rng(seed))


def share(form, field, value, state, parameters=SURE, n=400):
    rng = np.random.default_rng(1)
    return sum(answers(form, state, parameters, rng)[field] == value for _ in range(n)) / n


def test_forms_that_somebody_else_fills_in_are_not_the_persons():
    assert {"nrs", "nrs_now", "pgic", "doms", "yes_no_feel", "mood_sleep"} < OWN
    assert {"sensation_words", "blinding_guess", "expectations"} < OWN
    assert say("contraindications") is None
    assert say("skin_after.ext") is None


@given(
    st.sampled_from(sorted(OWN)), st.integers(0, 10**6), st.floats(0, 10), st.floats(0, 10),
    st.sampled_from(["", "sensory", "motor", "tolerance"]), st.floats(0, 10), st.integers(0, 168),
)  # fmt: skip
@settings(deadline=None)
def test_every_answer_is_one_that_the_form_allows(form, seed, pain, before, felt, sore, after_h):
    state = BodyState(
        pain_said=round(pain), pain=pain, pain_before=before, felt=felt, channel="ext" if felt else "",
        current_ma=8.5 if felt else 0.0, fatigue=0.3, soreness=sore, after_h=float(after_h),
    )  # fmt: skip
    assert check_form(form, say(form, state, draw(seed, "able_bodied"), seed), NOW) == []


def test_pain_is_what_they_say_it_is():
    state = BodyState(pain_said=4, pain=4.2, pain_before=6.0)
    assert say("nrs_now", state) == {"current": 4}
    assert say("nrs", state) == {"current": 4, "average_24h": 6, "worst_24h": 7}


@pytest.mark.parametrize(("pain", "change"), [(6.0, 4), (5.0, 3), (4.0, 2), (2.5, 1), (7.0, 5), (8.0, 6), (9.5, 7)])
def test_change_goes_by_the_share_of_the_pain_that_is_gone(pain, change):
    assert say("pgic", BodyState(pain=pain, pain_before=6.0)) == {"change": change}


def test_who_felt_something_of_late_says_so_and_errs_as_often_as_they_do():
    felt = BodyState(felt="sensory")
    assert say("yes_no_feel", felt) == {"feels": "yes"}
    assert say("yes_no_feel") == {"feels": "no"}
    assert share("yes_no_feel", "feels", "no", felt, replace(SURE, feel_wrong=0.2)) == pytest.approx(0.2, abs=0.06)


def test_a_guess_is_a_coin_unless_something_is_felt():
    nothing = BodyState()
    assert share("blinding_guess", "guess", "do_not_know", nothing) == pytest.approx(0.3, abs=0.07)
    assert share("blinding_guess", "guess", "active", nothing) == pytest.approx(0.35, abs=0.07)
    assert share("blinding_guess", "guess", "active", BodyState(felt="motor")) == pytest.approx(0.8, abs=0.06)


def test_words_go_with_what_is_felt():
    assert say("sensation_words") == {"words": ["nothing"], "current_ma": 0.0, "channel": "none"}
    said = say("sensation_words", BodyState(felt="tolerance", channel="ext", current_ma=21.0))
    assert set(said["words"]) <= {"cramping", "sharp", "burning"}
    assert (said["current_ma"], said["channel"]) == (21.0, "ext")


def test_pain_costs_mood_and_sleep():
    assert say("mood_sleep") == {"mood": 8, "sleep": 8, "wellbeing": 8}
    assert say("mood_sleep", BodyState(pain=5.0)) == {"mood": 6, "sleep": 6, "wellbeing": 6}


def test_the_most_that_was_felt_is_remembered_for_two_minutes():
    made = Feelings()
    assert made.lately(0) == ("", "", 0.0)
    made.feel(0, "ext", 20.0, ["sensory", "motor"])
    made.feel(5_000_000_000, "ext", 8.0, ["sensory"])
    assert made.lately(6_000_000_000) == ("motor", "ext", 20.0)
    assert made.lately(LATELY_NS + 1) == ("sensory", "ext", 8.0)
    assert made.lately(LATELY_NS + 5_000_000_001) == ("", "", 0.0)
