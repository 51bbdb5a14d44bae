"""Outcomes that are scores: from the form of the session or of the diary, with version, items and what is not met."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from myoloop.cli import app
from myoloop.experiments.analysis.tracks import EventRow
from myoloop.experiments.outcomes.compute import COMPUTED, as_rows
from myoloop.experiments.outcomes.view import Value, View
from myoloop.experiments.protocols.schema import load_protocol
from myoloop.experiments.screening.forms import FORMS, check_form

DEMO = load_protocol("demo")


def scored(name: str, *forms: dict, diary: tuple = ()) -> Value:
    events = tuple(EventRow(float(n), "form", "operator", "", values) for n, values in enumerate(forms))
    return COMPUTED[name](View(SimpleNamespace(events=events), DEMO, diary))  # type: ignore[arg-type]


ODI = {"form": "odi", "version": "2.1a", **{f"item_{n}": 2 for n in range(1, 11)}}


def test_the_newest_form_counts_and_its_version_is_told():
    found = scored("odi", {**ODI, "item_1": 5}, ODI)
    assert (found.value, found.n, found.parameters["version"]) == (40.0, 10, "2.1a")
    assert found.valid


def test_what_the_diary_holds_counts_where_the_session_asked_nothing():
    answers = {key: value for key, value in ODI.items() if key != "form"}
    assert scored("odi", diary=(("odi", answers),)).value == 40.0
    assert scored("odi").why == "the form odi was not filled in"


def test_a_rule_that_is_not_met_says_what_it_lacks():
    answers = {f"{name}_{kind}": 0 for kind in ("symptom", "sign")
               for name in ("sensory", "vasomotor", "sudomotor_oedema", "motor_trophic")}  # fmt: skip
    found = scored("budapest_clinical", {"form": "budapest", **answers, "pain_disproportionate": 1,
                                         "no_better_diagnosis": 1})  # fmt: skip
    assert found.value == 0.0
    assert found.why.startswith("not met: symptoms in 0 of 4 categories, needed: 3")


def test_grades_of_several_sites_are_never_averaged():
    one = scored("ashworth", {"form": "ashworth.elbow", "grade": "1+"})
    assert (one.value, one.code, one.valid) == (None, "1+", True)
    two = scored("ashworth", {"form": "ashworth.elbow", "grade": "1+"}, {"form": "ashworth.wrist", "grade": "3"})
    assert (two.value, two.code, two.codes) == (None, "", {"elbow": "1+", "wrist": "3"})
    assert two.why == "2 sites: grades are not averaged"
    (row,) = as_rows({"ashworth": two})
    assert json.loads(json.dumps(row))["codes"] == {"elbow": "1+", "wrist": "3"}


def test_each_scored_form_is_asked_by_item_number_and_may_be_left_unanswered():
    for name in ("odi", "ndi", "dash", "css16", "css17", "budapest", "psfs", "ppt", "ashworth"):
        form_id = f"{name}.ext" if FORMS[name].per else name
        version = FORMS[name].field("version").allowed[0]
        assert check_form(form_id, {"version": version}) == []
        assert check_form(form_id, {}) != []


def test_no_wording_of_a_questionnaire_is_shipped():
    for name in ("odi", "ndi", "dash", "css17"):
        for field in FORMS[name].fields[1:]:
            assert field.question.startswith(("Item ", "Symptom ", "Sign "))
            assert len(field.question) < 50


def told(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["score", *arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, (result.exit_code, result.stdout, result.stderr)
    return result.stdout if code < 2 else " ".join(result.stderr.split())


def test_a_file_of_answers_is_scored_line_by_line(tmp_path):
    file = tmp_path / "psfs.csv"
    file.write_text("subject,session,frequency,severity\nP001,1,3,2\nP001,2,0,\nP001,3,5,1\n")
    rows = json.loads(told("psfs", "--answers", str(file), "--json", code=1))
    assert [(row["line"], row["score"], row["value"]) for row in rows] == [
        (2, "psfs_frequency", 3.0), (2, "psfs_severity", 2.0), (3, "psfs_frequency", 0.0), (3, "psfs_severity", None),
        (4, "psfs_frequency", None), (4, "psfs_severity", None),
    ]  # fmt: skip
    assert "line 4 (P001 3): psfs_frequency missing: frequency: found 5.0, allowed" in told(
        "psfs", "--answers", str(file), code=1
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [("subject,item_99\nP001,1\n", "columns: found item_99, allowed: item_1"), ("subject\nP001\n", "no item of it")],
)
def test_a_file_that_is_of_no_instrument_is_refused(tmp_path, text, says):
    (tmp_path / "a.csv").write_text(text)
    assert says in told("odi", "--answers", str(tmp_path / "a.csv"), code=2)


def test_all_instruments_are_listed_with_their_rules_and_important_changes():
    listed = {row["instrument"]: row for row in json.loads(told("--json"))}
    (odi,) = listed["odi"]["scores"]
    assert odi["important_changes"][0]["amount"] == "10 %"
    assert odi["source"].startswith("Fairbank")


def test_the_set_for_crps_has_parts_and_no_total():
    some = {"form": "compact", "version": "2017", "catastrophising": 20, "health": 70}
    found = scored("compact_parts", some)
    assert (found.value, found.parameters["parts"]) == (2.0, 12)
    assert "not entered: pain, neuropathic" in found.why
    assert scored("compact_catastrophising", some).value == 20.0
    assert scored("compact_self_efficacy", some).why == "self_efficacy was not answered"
    assert "catastrophising: found 53" in scored("compact_parts", {**some, "catastrophising": 53}).why
    assert scored("compact_parts", {"form": "compact", "version": "2017"}).value is None
    assert FORMS["compact"].field("catastrophising").high == 52
