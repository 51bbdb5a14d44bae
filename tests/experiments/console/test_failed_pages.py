"""A page that fails still has STOP, and says nothing of what it failed with."""

from __future__ import annotations

import pytest

from myoloop.experiments.console import page
from myoloop.experiments.console.page import name_for
from myoloop.experiments.console.security import Role
from myoloop.experiments.console.serving import ConsoleError, named


@pytest.fixture
def broken(monkeypatch):
    """A page that is wrong in itself: the list of sessions."""

    def lines(*_, **__):
        raise ZeroDivisionError("arm 12 mA")

    monkeypatch.setattr("myoloop.experiments.console.sessions_page.lines_of", lines)


@pytest.mark.parametrize("all_broken", [False, True])
def test_a_page_that_fails_has_stop_and_one_line_in_the_log(operator, broken, refused, monkeypatch, all_broken):
    if all_broken:
        monkeypatch.setattr(page, "_common", lambda request: 1 / 0)
    answer = operator.get("/sessions")
    assert answer.status_code == 500
    assert 'id="stop"' in answer.text
    assert "STOP works" in answer.text
    assert "arm" not in answer.text.partition("<main")[2].partition("</main>")[0]
    (line,) = refused()
    assert line.startswith("failed: GET '/sessions' by operator: ZeroDivisionError at test_failed_pages.py:")
    assert "12 mA" not in line


def test_answers_that_are_none_are_refused_in_words(operator):
    answer = operator.post("/adverse/P1/report", {"answers": 5})
    assert answer.status_code == 409
    assert answer.json()["reason"].startswith("answers: allowed is a map of questions")


def test_whoever_has_a_roles_address_is_named_on_record_and_a_login_is_called_one(settings):
    from dataclasses import replace

    given = replace(settings, names=named(["clinician=C. Roth", "operator = A. Smith"]))
    assert [name_for(role, given) for role in Role] == [
        {"operator": "operator A. Smith", "clinician": "clinician C. Roth", "subject": "subject"}.get(
            role, f"{role} login jo"
        )
        for role in Role
    ]
    assert name_for(Role.OPERATOR, settings) == "operator jo"
    assert name_for(Role.CLINICIAN, settings) == "clinician login jo"


@pytest.mark.parametrize(
    "given", ["C. Roth", "clinician=", "nurse=A", "subject=A", "operator=a\nb", f"operator={'a' * 65}"]
)
def test_what_names_nobody_is_refused(given):
    with pytest.raises(ConsoleError, match="allowed is ROLE=NAME, ROLE one of operator, "):
        named([given])


def test_a_role_has_one_name():
    with pytest.raises(ConsoleError, match="operator has a name already"):
        named(["operator=A", "operator=B"])
