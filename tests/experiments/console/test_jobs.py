"""Work beside the console: it outlives it, and whoever opens the console again sees how it stands."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from myoloop.experiments.console.jobs import JOBS_FOLDER, JobError, job, jobs, start_job
from myoloop.experiments.console.runner import hold, main
from myoloop.platform.errors import UserError
from myoloop.platform.runtime import is_locked

MORNING = datetime(2026, 5, 4, 8, 0, 0, tzinfo=UTC)


def kept(study, name="20260504T080000Z-index-0a1b2c", *, log="", ended=None, out=None, **about):
    """A job as it would stand in its folder."""
    folder = study / JOBS_FOLDER / name
    folder.mkdir(parents=True)
    said = {"kind": "index", "title": "Index", "began_at": "20260504T080000Z", "arguments": ["index"], **about}
    (folder / "job.json").write_text(json.dumps(said))
    (folder / "log").write_text(log)
    (folder / "lock").touch()
    if ended is not None:
        (folder / "ended.json").write_text(json.dumps({"exit_code": ended, "ended_at": "20260504T081000Z"}))
    if out is not None:
        (folder / "out").write_text(out)
    return folder


@pytest.mark.parametrize(
    ("log", "share"),
    [
        ("sessions: 3 of 40, 2 min, 24 min left\n", 3 / 40),
        ("sessions: 3 of 40\nsomething else\n", 3 / 40),
        ("1 of 4\n\n2/4\n", 0.5),
        ("9 of 4\n", 1.0),
        ("0 of 0\n", None),
        ("all is well\n", None),
        ("", None),
    ],
)
def test_how_far_a_job_is_stands_in_what_it_said_last(tmp_path, log, share):
    lock = hold(kept(tmp_path, log=log) / "lock")
    try:
        (found,) = jobs(tmp_path)
    finally:
        os.close(lock)
    assert (found.state, found.share) == ("running", share)


@pytest.mark.parametrize(("code", "state"), [(0, "done"), (1, "failed"), (3, "failed"), (-9, "failed")])
def test_an_ended_job_says_how_it_ended_and_what_it_answered(tmp_path, code, state):
    kept(tmp_path, ended=code, out='{"report": "x.html"}', log="done\n")
    found = job(tmp_path, "20260504T080000Z-index-0a1b2c")
    assert (found.state, found.exit_code, found.answer, found.line) == (state, code, {"report": "x.html"}, "done")


def test_a_job_whose_processes_were_killed_is_lost_not_running(tmp_path):
    kept(tmp_path)
    assert jobs(tmp_path)[0].state == "lost"


def test_the_newest_job_stands_first_and_what_is_no_job_not_at_all(tmp_path):
    for name in ("20260504T080000Z-index-0a1b2c", "20260505T080000Z-report-0a1b2c", "other"):
        kept(tmp_path, name)
    (tmp_path / JOBS_FOLDER / "20260506T080000Z-index-0a1b2c").mkdir()
    assert [each.id[:8] for each in jobs(tmp_path)] == ["20260505", "20260504"]
    assert jobs(tmp_path / "nowhere") == []


@pytest.mark.parametrize(
    "name", ["", "..", "../../x", "20260504T080000Z-index-zzzzzz", "20260504T080000Z-index-0a1b2c/.."]
)
def test_a_job_that_is_none_is_told_in_one_line(tmp_path, name):
    with pytest.raises(JobError, match="no such job"):
        job(tmp_path, name)


def test_what_a_job_was_given_and_said_is_for_whoever_runs_the_console_alone(tmp_path, monkeypatch):
    monkeypatch.setattr("subprocess.Popen", lambda *given, **more: SimpleNamespace(stdin=io.BytesIO(), wait=int))
    (tmp_path / JOBS_FOLDER).mkdir(parents=True, mode=0o755)
    name = start_job(tmp_path, "index", "Index", "index", [])
    for folder in (tmp_path / JOBS_FOLDER, tmp_path / JOBS_FOLDER / name):
        assert folder.stat().st_mode & 0o777 == 0o700


def test_a_study_that_cannot_be_written_to_is_told_in_one_line(tmp_path):
    (tmp_path / "derivatives").touch()
    with pytest.raises(UserError, match="derivatives"):
        start_job(tmp_path, "index", "Index", "index", [])


def test_a_lock_is_held_for_as_long_as_its_descriptor_is_open(tmp_path):
    assert not is_locked(tmp_path)
    descriptor = hold(tmp_path / "lock")
    assert is_locked(tmp_path)
    with pytest.raises(OSError, match="unavailable"):
        hold(tmp_path / "lock")
    os.close(descriptor)
    assert not is_locked(tmp_path)


def test_the_runner_keeps_answer_log_and_exit_code(tmp_path):
    folder = kept(tmp_path, arguments=["show", "--json", "no_such_protocol"])
    descriptor = hold(folder / "lock")
    assert main(folder, descriptor) == 2
    os.close(descriptor)
    (found,) = jobs(tmp_path)
    assert (found.state, found.exit_code) == ("failed", 2)
    assert "no_such_protocol" in found.line


@pytest.mark.processes
def test_a_job_goes_on_when_the_console_that_started_it_is_killed(tmp_path, eventually):
    code = (
        "import sys, time; from pathlib import Path; from myoloop.experiments.console.jobs import start_job;"
        "print(start_job(Path(sys.argv[1]), 'index', 'Index', 'index', [sys.argv[1]]), flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    name = process.stdout.readline().strip()
    process.send_signal(signal.SIGKILL)
    process.stdout.close()
    process.wait()
    done = eventually(lambda: (found := job(tmp_path, name)).state != "running" and found, "the job's end", 60)
    assert (done.state, done.answer["sessions"]) == ("done", [])
