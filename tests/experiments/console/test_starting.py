"""A session is begun, or gone on with, as a process of its own; never a second beside one that runs."""

from __future__ import annotations

import contextlib
import json
import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from myoloop.experiments.console import work
from myoloop.experiments.console.jobs import JOBS_FOLDER
from myoloop.experiments.console.page import Settings
from myoloop.experiments.console.runner import hold
from myoloop.experiments.console.security import Role, Tokens
from myoloop.experiments.console.starting import Second, go_on, session_folder, start_session
from myoloop.experiments.console.work import RunsAlreadyError, WorkRunsError, start_work
from myoloop.experiments.sessions.resuming import reason_in
from myoloop.experiments.studies.identity import from_line
from myoloop.platform.errors import UserError
from myoloop.session_verbs import LINE_MAX


@pytest.fixture
def own(tmp_path, place_of_rigs) -> Settings:
    """A study of a test's own."""
    return Settings(study=tmp_path, port=1, tokens=Tokens(), temporary=place_of_rigs, who="jo")


@pytest.fixture
def started(monkeypatch):
    """What was started instead of a process."""
    found = []

    def start(study, kind, title, verb, arguments, *, said=None):
        found.append((kind, verb, list(arguments), said))
        return "job"

    monkeypatch.setattr(work, "start_job", start)
    return found


def test_a_session_is_run_at_the_desk_of_the_console(own, started):
    assert start_session(own, "crps_motor_reeducation", "P001", session=2, seed=3, shadow="trained") == "job"
    ((kind, verb, arguments, said),) = started
    assert (kind, verb, said) == ("session", "run", None)
    assert arguments == [
        "--desk", "--subject=P001", f"--out={own.study}", "--session=2", "--seed=3", "--shadow=trained",
        "--", "crps_motor_reeducation",
    ]  # fmt: skip


def test_the_second_identifier_and_the_passphrase_stand_in_no_list_of_processes(own, started, tmp_path):
    second = Second(keyfile=tmp_path / "key", said="AB 1980", passphrase="open sesame")
    start_session(own, "crps_motor_reeducation", "P001", second=second)
    ((_, _, arguments, said),) = started
    assert json.loads(said) == {"second": "AB 1980", "passphrase": "open sesame"}
    assert {f"--identity={tmp_path / 'key'}", "--second=-"} <= set(arguments)
    assert not any("1980" in each or "sesame" in each for each in arguments)
    assert "1980" not in repr(second)


def test_what_looks_like_an_option_is_none(own, started):
    start_session(own, "--script=x", "--fault=stop@1s")
    ((_, _, arguments, _),) = started
    assert "--subject=--fault=stop@1s" in arguments
    assert arguments[-2:] == ["--", "--script=x"]


def test_a_stopped_session_is_gone_on_with_as_a_new_attempt_with_a_reason(own, started):
    folder = own.study / "sub-P001" / "ses-01"
    go_on(own, folder, who="operator jo", why="stopped by mistake", same_electrodes=True)
    ((_, verb, arguments, said),) = started
    assert verb == "resume"
    assert {"--desk", "--continue", "--who=operator jo", "--why=-", "--same-electrodes"} <= set(arguments)
    assert arguments[-2:] == ["--", str(folder)]
    assert json.loads(said) == {"why": "stopped by mistake"}


def test_a_reason_stands_in_no_list_of_processes_and_is_read_as_the_session_reads_it(own, started, tmp_path):
    second = Second(keyfile=tmp_path / "key", said="AB 1980", passphrase="open sesame")
    why = "felt faint: \U0001f635" * 100
    go_on(own, own.study / "sub-P001" / "ses-01", who="operator jo", why=why, second=second)
    ((_, _, arguments, said),) = started
    assert not any("faint" in each for each in arguments)
    assert len(said) <= LINE_MAX
    found, rest = reason_in(said)
    assert found == why
    assert from_line(tmp_path / "key", rest).passphrase == "open sesame"


@pytest.mark.parametrize("line", ["", "[]", "{}", '{"why": 3}', "felt faint"])
def test_a_line_without_a_reason_is_refused_and_not_repeated(line):
    with pytest.raises(UserError, match="--why -: allowed") as refused:
        reason_in(line)
    assert "faint" not in str(refused.value)


@pytest.mark.parametrize("why", ["", "  "])
def test_without_a_reason_nothing_is_gone_on_with(own, started, why):
    with pytest.raises(UserError, match="reason"):
        go_on(own, own.study / "sub-P001" / "ses-01", who="operator jo", why=why)
    assert not started


def test_a_second_start_is_refused_while_a_rig_runs(own, started, rig):
    with pytest.raises(RunsAlreadyError, match=rig.session):
        start_session(own, "crps_motor_reeducation", "P001")
    with pytest.raises(RunsAlreadyError, match=rig.session):
        go_on(own, own.study / "sub-P001" / "ses-01", who="operator jo", why="a reason")
    assert not started


@contextlib.contextmanager
def runs(own, kind, title):
    """A job that runs, as its folder has it."""
    folder = own.study / JOBS_FOLDER / f"20260504T080000Z-{kind}-0a1b2c"
    folder.mkdir(parents=True)
    (folder / "job.json").write_text(json.dumps({"kind": kind, "title": title}))
    lock = hold(folder / "lock")
    try:
        yield folder.name
    finally:
        os.close(lock)


def test_no_session_begins_beside_other_work_and_the_refusal_names_it(own, started):
    with runs(own, "report", "report of sub-P002/ses-01/att-1"), pytest.raises(WorkRunsError, match="report of sub-P0"):
        start_session(own, "crps_motor_reeducation", "P001")
    assert not started
    assert start_session(own, "crps_motor_reeducation", "P001") == "job"


def test_the_same_work_is_not_started_twice(own, started):
    with runs(own, "report", "report of it") as name:
        assert start_work(own, "report", "report of it", "report", []) == name
        assert not started
        assert start_work(own, "index", "index of the study", "index", []) == "job"


def test_of_many_that_ask_at_once_one_starts(own, monkeypatch):
    locks = []

    def start(study, kind, title, verb, arguments, *, said=None):
        folder = study / JOBS_FOLDER / f"20260504T080000Z-{kind}-{len(locks):06x}"
        folder.mkdir()
        (folder / "job.json").write_text(json.dumps({"kind": kind, "title": title}))
        locks.append(hold(folder / "lock"))
        return folder.name

    monkeypatch.setattr(work, "start_job", start)
    with ThreadPoolExecutor(8) as threads:
        asked = [threads.submit(start_work, own, "report", "report of it", "report", []) for _ in range(16)]
        names = {each.result() for each in asked}
    for lock in locks:
        os.close(lock)
    assert len(names) == len(locks) == 1


def test_a_second_start_is_refused_while_the_first_is_on_its_way(own, started):
    with runs(own, "session", "P002: lbp"):
        with pytest.raises(RunsAlreadyError, match="P002: lbp"):
            start_session(own, "crps_motor_reeducation", "P001")
        with pytest.raises(RunsAlreadyError, match="P002: lbp"):
            start_work(own, "index", "index of the study", "index", [])
    assert start_session(own, "crps_motor_reeducation", "P001") == "job"
    assert len(started) == 1


@pytest.mark.parametrize(
    "named",
    ["", "sub-P001", "ses-01", "sub-P001/ses-02", "../sub-P001/ses-01", "/etc/passwd", "sub-P001/../sub-P001/ses-01"],
)
def test_only_a_session_of_this_study_can_be_named(tmp_path, named):
    (tmp_path / "study" / "sub-P001" / "ses-01").mkdir(parents=True)
    assert session_folder(tmp_path / "study", "sub-P001/ses-01").is_dir()
    with pytest.raises(UserError, match="no session of this study"):
        session_folder(tmp_path / "study", named)


def test_a_page_goes_on_by_reason_and_session(console, operator, started, settings):
    (settings.study / "sub-P001" / "ses-01").mkdir(parents=True)
    now_ns = console.app.state.watch.now_ns
    sent = {"session": "sub-P001/ses-01", "why": "stopped by mistake", "same_electrodes": False}
    answer = operator.post("/api/go-on", {**sent, "t_ns": now_ns()})
    assert answer.json() == {"ok": True, "job": "job"}
    assert "--who=operator jo" in started[0][2]
    for wrong in (
        {},
        {"session": "sub-P001/ses-01"},
        {"session": "sub-P001/ses-01", "why": 1},
        {"session": "x", "why": "y"},
    ):
        assert operator.post("/api/go-on", {**wrong, "t_ns": now_ns()}).status_code == 409
    for role in (Role.SUPERVISOR, Role.SUBJECT):
        assert console.browser(role).post("/api/go-on", {"session": "sub-P001/ses-01", "why": "y"}).status_code == 403
    assert len(started) == 1


@pytest.mark.parametrize(
    ("age_s", "says"), [(3, "was asked 3.0 s ago; ask again"), (-3, "ahead of"), (None, "has not said when")]
)
def test_what_a_frozen_console_finds_when_it_wakes_goes_on_with_nothing(console, operator, started, age_s, says):
    sent = {"session": "sub-P001/ses-01", "why": "stopped by mistake"}
    if age_s is not None:
        sent["t_ns"] = console.app.state.watch.now_ns() - age_s * 1_000_000_000
    answer = operator.post("/api/go-on", sent)
    assert answer.status_code == 409
    assert says in answer.json()["reason"]
    assert not started


def test_of_a_sessions_job_a_page_has_no_more_than_how_it_ended(operator, settings):
    folder = settings.study / JOBS_FOLDER / "20260504T080000Z-session-0a1b2d"
    folder.mkdir(parents=True)
    (folder / "job.json").write_text(json.dumps({"kind": "session", "title": "P002: lbp"}))
    (folder / "log").write_text("12 mA at the end\n")
    (folder / "out").write_text('{"session": "x", "outcome": "stopped", "reason": "lead off", "outcomes": {"mep": 1}}')
    (folder / "ended.json").write_text('{"exit_code": 3}')
    said = operator.get(f"/api/jobs/{folder.name}").json()
    assert said["answer"] == {"session": "x", "outcome": "stopped"}
    assert said["line"] == ""
    assert operator.get("/api/jobs").json()["jobs"][0] == said
    assert operator.get("/api/jobs/nonsense").status_code == 409
