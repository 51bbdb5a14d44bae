"""Look back through the console's pages: what is listed, shown, corrected, started, and to whom."""

from __future__ import annotations

import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from myoloop.experiments.console import sessions_page, work
from myoloop.experiments.console.frames import read_message
from myoloop.experiments.console.lookback.overview import make_overview
from myoloop.experiments.console.security import Role
from myoloop.experiments.console.sessions_page import lines_of
from myoloop.experiments.index.study import index_study
from myoloop.experiments.studies.chained import read_chained


@pytest.fixture
def own(study, tmp_path) -> SimpleNamespace:
    """A copy of the study that a test may change."""
    root = tmp_path / "study"
    shutil.copytree(study.root, root)
    attempt = root / study.attempt.relative_to(study.root)
    make_overview(attempt)
    return SimpleNamespace(root=root, attempt=attempt, page=study.page, api=study.api)


@pytest.fixture
def started(monkeypatch) -> list[tuple]:
    """Jobs that would have been started."""
    found: list[tuple] = []

    def start(study, kind, title, verb, arguments, **_):
        found.append((kind, title, [verb, *arguments]))
        return f"job-{len(found)}"

    monkeypatch.setattr(work, "start_job", start)
    return found


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.CLINICIAN, Role.SUPERVISOR])
def test_the_staff_and_who_supervises_may_look_back(study, visit, role):
    page = visit(study.root, role).get(study.page)
    assert page.status_code == 200
    assert "P017, session 3" in page.text
    assert 'id="stop"' in page.text
    assert ('id="compare"' in page.text) == (role is not Role.SUPERVISOR)


@pytest.mark.parametrize("path", ["page", "api/facts", "list", "jobs"])
def test_the_person_sees_none_of_it(study, visit, path):
    path = {"page": study.page, "api/facts": f"{study.api}/facts", "list": "/sessions", "jobs": "/jobs"}[path]
    assert visit(study.root, Role.SUBJECT).get(path).status_code == 403


def test_the_list_says_what_nobody_has_read_and_then_how_each_session_ended(own, visit, started):
    visitor = visit(own.root, Role.OPERATOR)
    assert "not read yet" in visitor.get("/sessions").text
    assert visitor.post("/api/sessions/index", {}).json()["job"] == "job-1"
    assert started == [("index", "index of the study", ["index", "--", str(own.root)])]
    index_study(own.root)
    [line], unread = lines_of(own.root, settled_ns=0)
    assert (line.person, line.session, line.status, line.look, unread) == ("P017", 3, "interrupted", "warn", 0)


def test_facts_say_all_that_the_page_needs(study, visit):
    facts = visit(study.root, Role.OPERATOR).get(f"{study.api}/facts").json()
    assert facts["made"]
    assert facts["whole"]
    assert {"emg/amp", "imu/amp", "muscle/biceps", "current/c1"} <= {lane["name"] for lane in facts["lanes"]}
    assert facts["end_s"] == pytest.approx(4.0, abs=0.1)
    assert facts["sites"][0] == {"muscle": "biceps", "topic": "emg/amp", "channel": "m1", "stimulated_by": ["c1"]}
    assert "would have differed" in facts["note"]


def test_bins_come_as_a_frame_of_the_scope_lane_by_lane(study, visit, known):
    asked = {"from_s": 2.4995, "to_s": 2.7995, "n": 60, "lane": ["emg/amp", "current/c1"]}
    answer = visit(study.root, Role.SUPERVISOR).get(f"{study.api}/bins", **asked)
    [[emg, current]] = read_message(answer.content)
    assert (emg.source, current.source) == (0, 1)
    raw = known.counts[2500:2800, 0].reshape(60, 5)
    assert np.allclose(emg.high[:, 0], raw.max(axis=1), atol=1e-3)
    assert emg.t_us[0] == pytest.approx(2.4995e6)
    assert current.low.shape == (60, 4)


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({"from_s": 0, "to_s": 1, "n": 10}, "found 0 lanes"),
        ({"from_s": "x", "to_s": 1, "n": 10, "lane": "emg/amp"}, "as numbers"),
        ({"from_s": 1, "to_s": 0, "n": 10, "lane": "emg/amp"}, "stretch: found 1.0 to 0.0"),
        ({"from_s": 0, "to_s": 1, "n": 10, "lane": "../../etc/passwd"}, "lane: found"),
        ({"from_s": 0, "to_s": 1, "n": 10, "lane": "instead/../../x/c1"}, "comparison: found"),
    ],
)
def test_what_cannot_be_shown_is_one_clear_line(study, visit, query, says):
    answer = visit(study.root, Role.OPERATOR).get(f"{study.api}/bins", **query)
    assert answer.status_code == 409
    assert says in answer.text


def test_what_was_decided_at_a_moment(study, visit):
    told = visit(study.root, Role.OPERATOR).get(f"{study.api}/at", t_s=1.1).json()
    assert told["report"]["rule"] == "rise onto new ground"


@pytest.mark.parametrize("path", ["/sessions/P017/9/1", "/sessions/..%2F..%2Fetc/1/1", "/sessions/P017/0/1"])
def test_an_address_of_no_session_is_refused_in_words(study, visit, path):
    answer = visit(study.root, Role.OPERATOR).get(path)
    assert answer.status_code in (404, 409)
    assert "Traceback" not in answer.text


def test_a_session_that_runs_now_is_looked_at_live(study, visit, monkeypatch):
    rig = SimpleNamespace(session="sub-P017/ses-03/att-1")
    monkeypatch.setattr(sessions_page, "running_rigs", lambda base: [rig])
    answer = visit(study.root, Role.OPERATOR).get(f"{study.api}/facts")
    assert answer.status_code == 409
    assert "runs now; look at it under Live" in answer.text


class TestLabels:
    def test_confirming_is_an_audited_act_in_the_name_of_who_is_at_the_page(self, own, visit):
        visitor = visit(own.root, Role.CLINICIAN, who="B. Jones")
        labels = visitor.get(f"{own.api}/labels").json()["labels"]
        first = labels[0]["id"]
        answer = visitor.post(f"{own.api}/labels", {"acts": [{"act": "confirm", "id": first}]}).json()
        assert answer["ok"]
        assert next(each for each in answer["labels"] if each["id"] == first)["state"] == "confirmed"
        [entry] = read_chained(own.attempt / "review.jsonl")
        acted = (entry["who"], entry["role"], entry["act"], entry["what"])
        assert acted == ("login B. Jones", "clinician", "confirm", first)

    def test_a_change_without_a_reason_is_refused_and_nothing_is_written(self, own, visit):
        visitor = visit(own.root, Role.OPERATOR)
        first = visitor.get(f"{own.api}/labels").json()["labels"][0]["id"]
        answer = visitor.post(f"{own.api}/labels", {"acts": [{"act": "reject", "id": first}]})
        assert answer.status_code == 409
        assert "needs a reason" in answer.json()["reason"]
        assert not (own.attempt / "review.jsonl").exists()

    def test_the_detectors_f1_stands_there_once_all_are_judged(self, own, visit):
        visitor = visit(own.root, Role.OPERATOR)
        labels = visitor.get(f"{own.api}/labels").json()["labels"]
        acts = [{"act": "confirm", "id": each["id"]} for each in labels[:-1]]
        acts += [{"act": "reject", "id": labels[-1]["id"], "why": "an artefact"}]
        acts += [{"act": "whole", "class": "spasm", "muscle": "", "why": "seen on video"}]
        [score] = visitor.post(f"{own.api}/labels", {"acts": acts}).json()["scores"]
        assert score["class"] == "spasm"
        assert score["precision"] == pytest.approx(2 / 3)
        assert score["recall"] == 1.0
        assert score["f1"] == pytest.approx(0.8)

    def test_who_supervises_reads_them_only(self, own, visit):
        visitor = visit(own.root, Role.SUPERVISOR)
        first = visitor.get(f"{own.api}/labels").json()["labels"][0]["id"]
        answer = visitor.post(f"{own.api}/labels", {"acts": [{"act": "confirm", "id": first}]})
        assert answer.status_code == 403
        assert not (own.attempt / "review.jsonl").exists()

    @pytest.mark.parametrize(
        "said", [{}, {"acts": []}, {"acts": [1]}, {"acts": [{"act": "confirm", "path": "x"}]}, {"acts": [{"act": 5}]}]
    )
    def test_what_is_no_act_changes_nothing(self, own, visit, said):
        answer = visit(own.root, Role.OPERATOR).post(f"{own.api}/labels", said)
        assert not answer.json()["ok"]
        assert not (own.attempt / "review.jsonl").exists()


class TestWork:
    def test_a_comparison_is_a_job_on_a_controller_that_is_listed(self, study, visit, started):
        visitor = visit(study.root, Role.OPERATOR)
        answer = visitor.post(f"{study.api}/work", {"work": "compare", "controller": "demo"}).json()
        assert answer["job"] == "job-1"
        [(kind, title, arguments)] = started
        assert (kind, title) == ("compare", "compare of sub-P017/ses-03/att-1")
        assert arguments[0] == "replay"
        assert arguments[arguments.index("--out") + 1].endswith("derivatives/instead/sub-P017/ses-03_att-1")
        assert arguments[-2:] == ["--", str(study.attempt)]

    @pytest.mark.parametrize(
        ("said", "says"),
        [
            ({"work": "compare", "controller": "../../../etc/passwd"}, "controller: found"),
            ({"work": "rm"}, "work: found 'rm', allowed"),
            ({}, "work: is missing"),
        ],
    )
    def test_what_is_not_listed_is_not_started(self, study, visit, started, said, says):
        answer = visit(study.root, Role.OPERATOR).post(f"{study.api}/work", said)
        assert answer.status_code == 409
        assert says in answer.json()["reason"]
        assert started == []

    def test_nothing_is_started_beside_a_session_that_runs(self, study, visit, started, monkeypatch):
        monkeypatch.setattr(work, "running_rigs", lambda base: [SimpleNamespace(session="sub-P001/ses-01/att-1")])
        answer = visit(study.root, Role.OPERATOR).post(f"{study.api}/work", {"work": "report"})
        assert "sub-P001/ses-01/att-1 runs on this host; allowed once it has ended" in answer.json()["reason"]
        assert started == []

    def test_who_supervises_starts_nothing(self, study, visit, started):
        assert visit(study.root, Role.SUPERVISOR).post(f"{study.api}/work", {"work": "report"}).status_code == 403
        assert started == []


def test_a_report_is_shown_under_the_bar_with_stop_and_nothing_of_it_runs(own, visit):
    visitor = visit(own.root, Role.OPERATOR)
    assert visitor.get(f"{own.page}/report").status_code == 409
    folder = own.attempt / "report"
    folder.mkdir()
    (folder / "report.html").write_text("<title>R</title><script>alert(1)</script><p>done</p>")
    page = visitor.get(f"{own.page}/report")
    assert 'id="stop"' in page.text
    assert "script-src 'self';" in page.headers["content-security-policy"]
    body = visitor.get(f"{own.page}/report/page", kind="session")
    assert "<p>done</p>" in body.text
    assert "sandbox" in body.headers["content-security-policy"]
    assert "script-src" not in body.headers["content-security-policy"]
