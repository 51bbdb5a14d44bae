"""users.md 4b: pain, spasm provoked, operator absent, fire alarm."""

from __future__ import annotations

from pathlib import Path

TRAIN = "when: {phase: train, trial: 1, state: hold, after: 2 s}"


def test_the_persons_own_button_is_zero_within_100_ms_and_latches(play):
    played = play(f"acts: [{{{TRAIN}, do: subject_stop}}]")
    (stop,) = played.messages("stop")
    assert stop.who == "subject"
    assert played.ms_to_zero(stop.t_ns) <= 100
    assert (played.end.outcome, "own button" in played.end.reason) == ("stopped", True)


def test_a_pain_score_that_rises_ends_the_session_with_score_and_current_on_record(play):
    played = play(f"acts: [{{at: 1 s, do: {{score: 2}}}}, {{{TRAIN}, do: {{score: 5}}}}]")
    assert played.end.outcome == "stopped"
    assert "pain score 5 is 3 above the person's own 2" in played.end.reason
    scores = [event for event in played.told("score") if event.who == "director"]
    assert [event.values["score"] for event in scores] == [2.0, 5.0]
    flowing = [report for report in played.messages("report") if report.t_ns <= scores[1].t_ns][-1]
    assert flowing.acknowledged[0].current_ma == 12.0
    assert played.ms_to_zero(scores[1].t_ns) <= 1000


def test_the_second_provoked_spasm_ends_the_session(play, tmp_path):
    path = tmp_path / "spasms.yaml"
    text = (Path(__file__).parent / "table.yaml").read_text()
    path.write_text(text.replace("- pain_rise: 2", "- spasms: {count: 2, within: 1 min}"))
    spasm = "do: {fault: {kind: spasm_provoked, channel: ext}}"
    rest = "when: {phase: train, trial: 1, state: rest, after: 3 s}"
    played = play(f"acts: [{{{TRAIN}, {spasm}}}, {{{rest}, {spasm}}}]", path)
    assert played.ms_to_zero() <= 700
    assert (played.end.outcome, played.end.reason) == ("stopped", "2 spasms within 60 s")
    assert len(played.told("injected", "spasm_provoked")) == 2


def test_an_operator_who_is_gone_has_the_current_ramp_to_zero(play, tmp_path):
    path = tmp_path / "attention.yaml"
    text = (Path(__file__).parent / "table.yaml").read_text()
    path.write_text(text.replace("- pain_rise: 2", "- attention: 3 s"))
    attended = play("acts: []", path)
    assert attended.end.outcome == "complete"
    gone = "{when: {phase: train, state: ramp_up}, do: {fault: {kind: operator_absent}}}"
    absent = play(f"acts: [{gone}, {{when: {{waiting: resume, after: 1 s}}, do: {{end: nobody came}}}}]", path)
    assert absent.ms_to_zero() <= 4000
    assert not any(report.allowed for report in absent.reports_after(4000))
    assert absent.told("paused", "no act of the operator for 3 s")
    assert (absent.end.outcome, "nobody came" in absent.end.reason) == ("aborted", True)


def test_an_evacuation_closes_everything_safely(play):
    played = play(f"acts: [{{{TRAIN}, do: evacuate}}]")
    (stop,) = played.messages("stop")
    assert played.ms_to_zero(stop.t_ns) <= 100
    assert played.end.outcome == "stopped"
    assert "evacuation" in played.end.reason
    assert played.recording.complete
