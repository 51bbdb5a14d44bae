from myoloop.experiments.sessions.conclude import conclude
from myoloop.experiments.sessions.run import SessionEnd


def test_a_session_that_left_no_record_ends_as_it_ended(tmp_path):
    (tmp_path / "session.mcap").touch()
    told = conclude(SessionEnd(tmp_path, "fault", "recorder: killed", 1.0))
    assert (told["outcome"], told["reason"], told["report"]) == ("fault", "recorder: killed", None)
    assert "is empty" in told["not_reported"]


def test_a_session_that_ended_has_a_summary_and_a_report(lockstep_attempt):
    told = conclude(SessionEnd(lockstep_attempt, "complete", "", 1.0))
    assert told["session"] == str(lockstep_attempt)
    assert told["report"].endswith("report.html")
    assert told["samples"] > 0
