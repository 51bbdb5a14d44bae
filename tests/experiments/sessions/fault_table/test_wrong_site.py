"""users.md 4b: wrong electrode site; no block begins while the wrong muscle answers to calibration."""

from __future__ import annotations

import pytest

from myoloop.experiments.protocols.schema import presets

#: The preset, with fewer trials and a quicker calibration; what is checked is as it is shipped.
SHORTER = {
    "trials: 12": "trials: 1",
    "  - timeouts: 10\n": "",
    "repeat: 2": "repeat: 1",
    "interval: 2.5 s": "interval: 1.3 s",
    "burst: 1 s": "burst: 0.55 s",
    "duration: 20 s": "duration: 1 s",
    "after, duration: 30 s": "after, duration: 1 s",
}
SCRIPT = """
date: 2026-11-21
operator: {{name: A. Smith, role: clinician, reaction: 0.2 s}}
others: clear
forms: {{nrs: person, nrs_now: person}}
acts:
  - {{when: {{waiting: retry, after: 1 s}}, do: {{end: the leads are not where they should be}}}}
  {swap}
"""
SWAP = "- {when: {phase: baseline}, do: {fault: {kind: swapped_leads, channel: ext, other: flex}}}"


@pytest.fixture
def stroke(play, tmp_path):
    text = presets()["emgtrig_wrist_stroke"].read_text()
    for found, shorter in SHORTER.items():
        assert found in text
        text = text.replace(found, shorter)
    path = tmp_path / "stroke.yaml"
    path.write_text(text)
    return lambda swap: play(SCRIPT.format(swap=swap), path)


def selectivity(played) -> list:
    return [each for each in played.told("check") if each.values["check"] == "selectivity"]


@pytest.mark.prove
def test_swapped_leads_keep_the_first_block_from_beginning(stroke):
    played = stroke(SWAP)
    (check,) = selectivity(played)
    assert check.values["ok"] is False
    assert "ext" in check.why
    waits = [each.waiting_for for each in played.messages("phase")]
    assert "retry" in waits
    assert not any(each.kind == "block" for each in played.messages("phase"))
    assert not [each for each in played.messages("trial") if each.kind == "block"]
    assert (played.end.outcome, "the leads are not where" in played.end.reason) == ("aborted", True)


@pytest.mark.prove
def test_leads_that_are_right_let_it_begin(stroke):
    played = stroke("")
    assert [check.values["ok"] for check in selectivity(played)] == [True]
    assert played.end.outcome == "complete"
    assert len([each for each in played.messages("trial") if each.kind == "block"]) == 1
