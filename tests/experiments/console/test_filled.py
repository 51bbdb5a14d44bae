"""What a page sends of a form becomes the form's own answers, and every mistake is told at its question."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from myoloop.experiments.console.filled import NotAnswersError, answers_of, filled, questions, sent_answers
from myoloop.experiments.screening.clear import clear_answers
from myoloop.experiments.screening.forms import FORMS, check_form

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
OF_A_FINDING = {"adverse_event", "incident", "override", "unblinding_reason"}


def as_sent(values):
    """As a page would send these answers."""
    return {
        name: [str(each) for each in (value if isinstance(value, list) else [value])] for name, value in values.items()
    }


@pytest.mark.parametrize("name", sorted(set(FORMS) - OF_A_FINDING))
def test_a_form_that_is_filled_in_whole_comes_as_it_would_from_a_script(name):
    form_id = f"{name}.x" if FORMS[name].per else name
    values = clear_answers(form_id, "SIM", NOW)
    assert check_form(form_id, values, NOW) == []
    done = filled(form_id, as_sent(values), NOW)
    assert done.mistakes == ()
    assert done.values == values


def test_a_number_that_is_out_of_range_and_a_question_left_out_are_told_where_they_are():
    done = filled("nrs", {"current": ["3"], "average_24h": ["11"], "worst_24h": ["  "]}, NOW)
    assert set(done.says()) == {"average_24h", "worst_24h"}
    assert done.says()["average_24h"].startswith("found 11, allowed")
    assert done.values == {"current": 3}


def test_a_time_without_a_zone_is_the_studys():
    sent = {"material": ["gel"], "place": ["left_arm"], "started_at": ["2026-11-19T09:30"]}
    done = filled("patch_test.gel", sent, NOW, "Europe/Berlin")
    assert (done.mistakes, done.values["started_at"]) == ((), "2026-11-19T09:30:00+01:00")


def test_what_lies_in_the_future_is_refused():
    sent = {"material": ["gel"], "place": ["left_arm"], "started_at": ["2026-11-21T09:01:00+00:00"]}
    assert "started_at" in filled("patch_test.gel", sent, NOW).says()


def test_two_answers_to_one_question_are_none():
    done = filled("skin_after.ext", {"redness": ["none", "mild"], "blister": ["no"]}, NOW)
    assert done.says()["redness"].startswith("found 2 answers")
    assert "redness" not in done.values


def test_a_question_that_the_form_does_not_have_is_told():
    assert "unheard_of" in filled("skin_after.ext", {"unheard_of": ["1"]}, NOW).says()


def test_there_is_no_such_form():
    with pytest.raises(NotAnswersError, match="did you mean"):
        filled("nrss", {}, NOW)
    with pytest.raises(NotAnswersError, match="one for each site"):
        filled("skin", {}, NOW)


@pytest.mark.parametrize("data", [None, [], {"a": "b"}, {"a": [1]}, {1: ["a"]}, {"a": ["b"] * 65}])
def test_what_is_no_map_of_texts_is_refused(data):
    with pytest.raises(NotAnswersError, match="answers"):
        sent_answers(data)


TEXTS = st.dictionaries(
    st.sampled_from([field.id for field in FORMS["adverse_event"].fields] + ["else"]),
    st.lists(st.text(max_size=20) | st.sampled_from(["yes", "no", "1", "2026-11-20", "pain"]), max_size=3),
)


@given(TEXTS)
def test_nothing_that_is_handed_on_has_a_mistake(sent):
    done = filled("adverse_event.x", sent, NOW)
    assert done.mistakes or not check_form("adverse_event.x", done.values, NOW)


def test_every_question_has_a_shape_and_every_choice_a_word():
    for form in FORMS.values():
        for asked in questions(form, NOW, sites=("ext",)):
            assert asked.shape in ("radios", "checks", "select", "score", "number", "text", "date", "moment")
            assert all(words for _, words in asked.choices)
            assert bool(asked.choices) == (asked.shape in ("radios", "checks", "select", "score"))


def test_pain_is_a_row_of_eleven():
    (current, *_) = questions(FORMS["nrs"], NOW)
    assert (current.shape, [value for value, _ in current.choices]) == ("score", [str(each) for each in range(11)])


def test_what_is_filled_in_already_is_shown_as_it_would_be_sent():
    values = {"redness": "mild", "blister": "no"}
    shown = {each.id: list(each.present) for each in questions(FORMS["skin_after"], NOW, values)}
    assert answers_of(FORMS["skin_after"], shown)[0] == values
