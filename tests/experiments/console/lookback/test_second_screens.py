"""The person's own screen, and that of who supervises: few things, STOP above all, nothing of anybody else's."""

from __future__ import annotations

import re

import pytest

from myoloop.experiments.console.security import Role
from myoloop.experiments.sessions.desk import FELT, ROLES

SCREENS = {"/subject": Role.SUBJECT, "/supervise": Role.SUPERVISOR}


@pytest.mark.parametrize("path", SCREENS)
def test_each_is_for_one_role_alone(study, visit, path):
    for role in Role:
        assert visit(study.root, role).get(path).status_code == (200 if role is SCREENS[path] else 403)


@pytest.mark.parametrize("path", SCREENS)
def test_stop_is_on_it_and_never_disabled(study, visit, path):
    page = visit(study.root, SCREENS[path]).get(path).text
    [button] = re.findall(r"<button[^>]*id=\"stop\"[^>]*>", page)
    assert "disabled" not in button


def test_the_person_may_say_pain_from_0_to_10_and_what_they_feel(study, visit):
    page = visit(study.root, Role.SUBJECT).get("/subject").text
    assert re.findall(r'data-score="(\d+)"', page) == [str(score) for score in range(11)]
    assert set(re.findall(r'data-felt="(\w+)"', page)) == set(FELT) - {"stop"}
    assert {"score", "felt", "stop"} == ROLES["subject"]


def test_the_person_sees_no_list_of_screens_and_nobodys_name(study, visit):
    page = visit(study.root, Role.SUBJECT).get("/subject").text
    assert "<nav" not in page
    assert "P017" not in page
    assert "A. Smith" not in page


def test_who_supervises_may_pause_mark_and_end_and_nothing_that_makes_current(study, visit):
    page = visit(study.root, Role.SUPERVISOR).get("/supervise").text
    acts = set(re.findall(r'data-act="(\w+)"', page)) | {"end", "stop"}
    assert acts == ROLES["supervisor"]
