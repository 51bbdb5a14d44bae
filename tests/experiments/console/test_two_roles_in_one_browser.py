"""One browser is of one role: a page of another role that was opened in it before asks nothing, and is told why."""

from __future__ import annotations

from myoloop.experiments.console.security import Role


def test_a_page_whose_browser_was_entered_as_another_role_since_asks_nothing_and_is_told_what_to_do(console, refused):
    browser = console.browser(Role.OPERATOR)
    browser.get(f"/enter?token={console.tokens.to_enter(Role.SUBJECT)}")
    answer = browser.post("/api/act", {"act": "felt", "arguments": {"what": "sensory"}})
    assert answer.status_code == 403
    assert "this page is of the operator, and the browser has been entered as subject since" in answer.text
    assert "a profile, of its own" in answer.text
    assert len(refused()) == 1
