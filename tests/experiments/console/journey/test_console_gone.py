"""The console is killed in mid-session: the session goes on, and a console that is opened later finds it as it is."""

from __future__ import annotations

import json

import pytest
from ruamel.yaml import YAML

from myoloop.platform.recording.reader import Recording

pytestmark = [pytest.mark.processes, pytest.mark.prove, pytest.mark.timeout(300)]
TRIALS = 6


@pytest.fixture
def desk(root):
    """Six trains; without a sign of life for a few seconds the session pauses."""
    data = YAML(typ="safe").load((root / "tests" / "data" / "desk.yaml").read_text(encoding="utf-8"))
    block = data["phases"][2]["block"]
    block.update(trials=TRIALS, rest="2 s")
    return data


def test_one_that_is_killed_and_opened_again_loses_and_changes_nothing(make_study, desk, consoles, somebody, whole):
    study, rig = make_study(desk)
    first = consoles(study, f"--rig={rig}")
    operator = somebody(first)
    operator.begin("SIM1")
    operator.serve_until(operator.in_trial(1, "On"))
    first.kill()
    attempt = study / "sub-SIM1" / "ses-01" / "att-1"
    operator.until(lambda: operator.page.locator("#link[data-state=down]").count(), "the page tells that it is alone")
    before = operator.trial()

    again = consoles(study, f"--rig={rig}")
    operator.page.context.clear_cookies()
    other = somebody(again)
    other.open("/session")
    other.until(lambda: other.screen == "run" and other.trial()[0] > before[0], "the session is shown as it is")
    other.page.keyboard.press("n")
    other.page.keyboard.press("4")
    other.until(lambda: other.says("last: 4 of 10"), "an act by the second console")
    other.serve_until(lambda screen: screen == "ended")
    other.press("#after-care")
    other.until(lambda: other.page.locator("#none").count(), "the attempt is closed")
    assert whole(attempt) == "complete"
    trials = [each.received.message for each in Recording.open(attempt).messages({"trial"})]
    assert sum(each.outcome == "done" for each in trials) == TRIALS, [each.outcome for each in trials]
    scores = [json.loads(line) for line in (attempt / "audit.jsonl").read_text().splitlines() if '"score"' in line]
    assert len(scores) == 1


def test_a_prompt_for_attention_that_nobody_answers_pauses_the_session(make_study, desk, consoles, somebody):
    desk["stop_rules"] = [{"attention": "30 s"}]
    desk["phases"][2]["block"]["trials"] = 20
    study, rig = make_study(desk)
    console = consoles(study, f"--rig={rig}")
    operator = somebody(console)
    operator.begin("SIM1")
    operator.serve_until(lambda screen: screen == "run")
    operator.until(lambda: operator.page.locator("#attention").is_visible(), "the prompt")
    console.kill()
    again = consoles(study, f"--rig={rig}")
    operator.page.context.clear_cookies()
    other = somebody(again)
    other.open("/session")
    other.until(lambda: other.screen == "paused", "the pause")
    other.press("[data-stage=paused] [data-go-on]")
    other.go_on("back at the page")
    other.serve_until(lambda screen: screen == "run")
