"""Forms: what is missing or wrong is said in one line each; a script and a terminal give the same answers."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.experiments.screening.clear import clear_answers
from myoloop.experiments.screening.fields import Field
from myoloop.experiments.screening.form import Form
from myoloop.experiments.screening.forms import FORMS, check_form, describe_form, form_of

NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
OF_A_FINDING = {"override", "adverse_event", "incident", "unblinding_reason"}
FIELDS = [(form, field) for form in FORMS.values() for field in form.fields]

EVENT: dict[str, Any] = {
    "kind": "burn",
    "what": "red spot of 1 cm under the distal pad",
    "place": "left_arm",
    "site": "ext",
    "began": "2026-11-20",
    "grade": "moderate",
    "ctcae": 2,
    "serious": "no",
    "related": "probable",
    "device_related": "unsure",
    "action": ["stopped", "treated"],
    "resolved": "no",
    "follow_up_on": "2026-11-23",
}


def _id(form: Form) -> str:
    return f"{form.id}.ext" if form.per else form.id


def test_all_the_forms_of_a_session_are_there() -> None:
    assert set(FORMS) >= {
        "contraindications", "clearance", "skin", "medication", "patch_test", "inspection", "placement", "supervision",
        "skin_after", "adverse_event", "nrs", "pgic", "expectations", "blinding_guess", "doms", "sensation_words",
        "follow_up", "unblinding_reason", "yes_no_feel", "mood_sleep", "concomitant_care", "incident", "override",
        "allodynia_map",
    }  # fmt: skip


@pytest.mark.parametrize(("form", "field"), FIELDS, ids=[f"{form.id}.{field.id}" for form, field in FIELDS])
def test_every_question_can_be_asked_and_keyed_in(form: Form, field: Field) -> None:
    assert field.question.endswith(("?", ")", "worse"))
    assert (field.type in ("choice", "choices")) == bool(field.allowed)
    assert field.type != "number" or field.low < field.high
    if field.asked_if is not None:
        asked = [each.id for each in form.fields]
        assert asked.index(field.asked_if[0]) < asked.index(field.id)
        assert set(field.asked_if[1]) <= set(form.field(field.asked_if[0]).values)
    keyed = {
        "yes_no": ("n", "no"),
        "yes_no_unsure": ("u", "unsure"),
        "number": (f"{field.high:g}", field.high),
        "text": ("as before", "as before"),
        "date": ("2026-11-21", "2026-11-21"),
        "time": ("2026-11-21T09:30:00+01:00", "2026-11-21T09:30:00+01:00"),
        "names": ("ext, flex", ["ext", "flex"]),
        "file": ("photo_3.jpg", "photo_3.jpg"),
        "choice": (field.allowed[1] if field.coded else "1", field.allowed[field.coded] if field.allowed else ""),
        "choices": ("1", [field.allowed[0]] if field.allowed else []),
    }
    text, value = keyed[field.type]
    assert field.typed(text) == value
    assert field.problem(field.typed(text), NOW + timedelta(days=1)) == ""


@pytest.mark.parametrize("form", [form for form in FORMS.values() if form.id not in OF_A_FINDING], ids=lambda f: f.id)
def test_the_answers_of_somebody_without_a_finding_are_whole_and_plain_data(form: Form) -> None:
    values = clear_answers(_id(form), "SIM", NOW)
    assert check_form(_id(form), values, NOW) == []
    assert json.loads(json.dumps(values)) == values


@pytest.mark.parametrize("form", [form for form in FORMS.values() if form.id not in OF_A_FINDING], ids=lambda f: f.id)
def test_each_answer_that_is_left_out_is_named(form: Form) -> None:
    values = clear_answers(_id(form), "BENCH", NOW)
    for key in values:
        if form.field(key).optional:
            continue
        less = {each: value for each, value in values.items() if each != key}
        assert any(line.startswith(f"{_id(form)}: {key}: not answered") for line in check_form(_id(form), less, NOW))
    assert len(check_form(_id(form), {}, NOW)) >= 1


@pytest.mark.parametrize("rig_class", ["HUMAN", "human", "", "DEMO"])
def test_nobody_answers_for_a_person(rig_class: str) -> None:
    with pytest.raises(ValueError, match="people answer for themselves"):
        clear_answers("contraindications", rig_class, NOW)


@pytest.mark.parametrize("form_id", sorted(OF_A_FINDING))
def test_a_form_of_a_finding_has_no_answers_without_one(form_id: str) -> None:
    with pytest.raises(ValueError, match="without a finding"):
        clear_answers(f"{form_id}.x" if FORMS[form_id].per else form_id, "SIM", NOW)


@pytest.mark.parametrize(
    ("form_id", "line"),
    [
        ("nrs", "nrs: current: found 11, allowed: a whole number from 0 to 10"),
        ("skn.ext", "skn.ext: no such form (did you mean skin?)"),
        ("skin", "skin: there is one for each site, allowed: skin.NAME with NAME of a-z, 0-9, _ and -"),
        ("skin../x", "skin../x: there is one for each site, allowed: skin.NAME with NAME of a-z, 0-9, _ and -"),
        ("nrs.ext", "nrs.ext: there is one a session, allowed: nrs"),
    ],
)
def test_a_mistake_is_one_clear_line(form_id: str, line: str) -> None:
    assert check_form(form_id, {"current": 11, "average_24h": 3, "worst_24h": 10}) == [line]


def test_every_mistake_is_told_at_once_and_an_unknown_answer_is_one() -> None:
    found = check_form("nrs", {"current": 3.5, "average_24h": True, "wrst": 4})
    assert [line.split(": ")[1] for line in found] == ["current", "average_24h", "worst_24h", "wrst"]
    assert "allowed: current, average_24h, worst_24h" in found[-1]


@pytest.mark.parametrize("values", [None, [], "yes", 3])
def test_what_is_no_map_is_refused(values: Any) -> None:
    assert check_form("nrs", values) == ["nrs: found no map of answers"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (Field("x", "?", "yes_no"), "unsure"),
        (Field("x", "?", "yes_no"), True),
        (Field("x", "?", "yes_no_unsure"), "YES"),
        (Field("x", "?", "number", high=10), float("nan")),
        (Field("x", "?", "number", high=10), "3"),
        (Field("x", "?", "number", high=10, whole=False), -0.1),
        (Field("x", "?", "text"), "   "),
        (Field("x", "?", "text"), "two\nlines"),
        (Field("x", "?", "text"), "x" * 501),
        (Field("x", "?", "date"), "21.11.2026"),
        (Field("x", "?", "date"), "20261121"),
        (Field("x", "?", "date"), "2026-02-30"),
        (Field("x", "?", "date", past=True), "2026-11-22"),
        (Field("x", "?", "time"), "2026-11-21T09:30:00"),
        (Field("x", "?", "time", past=True), "2026-11-21T09:30:01+00:00"),
        (Field("x", "?", "names"), []),
        (Field("x", "?", "names"), ["all", "ext"]),
        (Field("x", "?", "names"), ["../ext"]),
        (Field("x", "?", "names"), "ext"),
        (Field("x", "?", "file"), "../key.jpg"),
        (Field("x", "?", "file"), "a..jpg"),
        (Field("x", "?", "choices", ("none", "a", "b"), alone=("none",)), ["none", "a"]),
        (Field("x", "?", "choices", ("none", "a", "b"), alone=("none",)), ["a", "a"]),
        (Field("x", "?", "choices", ("none", "a", "b")), [["a"]]),
    ],
)
def test_an_answer_of_the_wrong_kind_is_refused(field: Field, value: Any) -> None:
    problem = field.problem(value, NOW)
    assert problem.startswith("found ")
    assert ", allowed: " in problem


@settings(deadline=None)
@given(
    st.sampled_from([field for _, field in FIELDS]),
    st.text()
    | st.none()
    | st.floats()
    | st.booleans()
    | st.lists(st.text() | st.integers())
    | st.dictionaries(st.text(), st.text()),
)
def test_no_value_at_all_makes_a_check_fall_over(field: Field, value: Any) -> None:
    assert isinstance(field.problem(value, NOW), str)


@settings(deadline=None)
@given(st.sampled_from([field for _, field in FIELDS]), st.text(max_size=30))
def test_what_is_keyed_in_is_an_answer_or_one_line(field: Field, text: str) -> None:
    try:
        answer = ("value", field.typed(text))
    except ValueError as error:
        answer = ("line", str(error))
    if answer[0] == "value":
        assert field.problem(answer[1]) == ""
    else:
        assert answer[1].startswith(f"{field.id}: found ")
        assert "\n" not in answer[1]


def test_several_can_be_keyed_in_by_number_or_word() -> None:
    words = FORMS["sensation_words"].field("words")
    assert words.typed("2 burning") == ["tingling", "burning"]
    with pytest.raises(ValueError, match="one or more of"):
        words.typed("99")


def test_words_for_what_is_felt_are_kept_with_their_current() -> None:
    felt = {"words": ["tingling", "pulsing"], "current_ma": 6.5, "channel": "ext"}
    assert check_form("sensation_words", felt) == []
    for key in felt:
        (problem,) = check_form("sensation_words", {name: value for name, value in felt.items() if name != key})
        assert problem.startswith(f"sensation_words: {key}: not answered")
    assert check_form("sensation_words", {**felt, "words": ["nothing", "burning"]}) != []


def test_a_conditional_question_is_asked_on_its_condition_alone() -> None:
    values = clear_answers("medication", "SIM", NOW)
    assert "change" not in values
    assert check_form("medication", {**values, "medication_changed": "yes"}) == [
        "medication: change: not answered, allowed: text of 1 to 500 letters on one line"
    ]


def test_an_adverse_event_is_whole() -> None:
    assert check_form("adverse_event.1", EVENT, NOW) == []
    resolved = {**EVENT, "resolved": "yes", "resolved_on": "2026-11-21", "photo": "event-1.jpg"}
    assert check_form("adverse_event.1", resolved, NOW) == []


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"ctcae": 3}, "ctcae: found 3, allowed for moderate: 2"),
        ({"grade": "mild"}, "ctcae: found 2, allowed for mild: 1"),
        ({"resolved": "yes"}, "resolved_on: not answered"),
        ({"resolved": "yes", "resolved_on": "2026-11-19"}, "allowed: not before it began on 2026-11-20"),
        ({"resolved": "yes", "resolved_on": "2026-11-22"}, "not in the future"),
        ({"resolved_on": "2026-11-21"}, "allowed only where resolved is yes"),
        ({"related": "maybe"}, "related: found 'maybe'"),
        ({"photo": "../x.jpg"}, "photo: found"),
    ],
)
def test_an_adverse_event_that_contradicts_itself_is_refused(changed: dict[str, Any], says: str) -> None:
    (line,) = check_form("adverse_event.1", {**EVENT, **changed}, NOW)
    assert says in line


@pytest.mark.parametrize("form_id", sorted(FORMS))
def test_a_form_describes_its_questions_in_order(form_id: str) -> None:
    text = describe_form(form_id)
    form = FORMS[form_id]
    assert text.startswith(f"{form_id}: {form.title}")
    places = [text.index(f". {field.id}: {field.question}") for field in form.fields]
    assert places == sorted(places)
    assert len(text.splitlines()) == 1 + 2 * len(form.fields)


def test_a_description_says_what_to_key_in_and_when_a_question_falls_away() -> None:
    text = describe_form("medication")
    assert "y = yes, n = no, u = unsure" in text
    assert "asked if medication_changed is yes or unsure" in text
    assert "may be left out" in describe_form("placement.ext")
    with pytest.raises(KeyError, match="did you mean"):
        describe_form("placment")


def test_a_grade_is_keyed_in_as_it_is_written_and_never_by_its_place() -> None:
    grade = FORMS["ashworth"].field("grade")
    assert [grade.typed(each) for each in ("1", "1+", "2")] == ["1", "1+", "2"]
    with pytest.raises(ValueError, match="allowed: 0, 1, 1\\+, 2, 3, 4"):
        grade.typed("5")
    assert "as it is written: 0, 1, 1+, 2, 3, 4" in describe_form("ashworth.ext")


def test_an_id_names_form_and_instance() -> None:
    form, instance = form_of("override.implanted_electronics")
    assert (form.id, instance) == ("override", "implanted_electronics")
