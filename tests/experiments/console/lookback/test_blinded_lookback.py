"""A blinded session, looked back at: its course and nothing of what a muscle did or was given, until it is opened."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from myoloop.experiments.cohorts.opening import ACT as ALL_OPENED
from myoloop.experiments.console import work
from myoloop.experiments.console.lookback.instead import Steps
from myoloop.experiments.console.lookback.opened import may_see_all
from myoloop.experiments.console.lookback.overview import make_overview, overview_folder
from myoloop.experiments.console.lookback.recorded import recorded
from myoloop.experiments.console.security import Role
from myoloop.experiments.studies.audit import audit_of, record_act
from myoloop.platform.errors import UserError
from myoloop.platform.recording.folder import AttemptPlace
from myoloop.platform.sealed import LIST_FILE

STAFF = (Role.OPERATOR, Role.CLINICIAN, Role.SUPERVISOR)


@pytest.fixture(scope="module")
def blinded(known, tmp_path_factory) -> SimpleNamespace:
    root = tmp_path_factory.mktemp("blinded")
    attempt = known.write(root / "sub-P017" / "ses-03" / "att-1", metadata={**known.METADATA, "blinded": "true"})
    make_overview(attempt)
    return SimpleNamespace(
        root=root, attempt=attempt, place=AttemptPlace(root, "P017", 3, 1), page="/sessions/P017/3/1",
        api="/api/sessions/P017/3/1",
    )  # fmt: skip


@pytest.fixture
def opened(blinded):
    """The audit says that everybody's arm was opened; taken back at the end."""
    log = audit_of(blinded.root)
    record_act(log, datetime(2026, 11, 22, tzinfo=UTC), "A", "analyst", ALL_OPENED, "arms of all", "blinded", {}, "end")
    yield
    (blinded.root / "audit.jsonl").unlink()


def test_nothing_is_even_made_of_what_a_muscle_did_or_was_given(blinded):
    folder = overview_folder(blinded.place)
    assert [path.name for path in folder.iterdir()] == ["overview.json"]
    facts = json.loads((folder / "overview.json").read_text())
    assert (facts["lanes"], facts["detected"], facts["gaps"]) == ([], [], [])
    assert all(span["rule"] == span["reason"] == span["latched"] == "" for span in facts["gate"])
    assert all(trial["values"] == {} and trial["trigger_s"] is None for trial in facts["trials"])
    assert not {"of_seed", "of_sha256_protocol", "of_processor"} & facts["about"].keys()


@pytest.mark.parametrize("role", STAFF)
def test_the_page_shows_the_course_alone_whatever_the_role(blinded, visit, role):
    visitor = visit(blinded.root, role)
    page = visitor.get(blinded.page).text
    assert "Blinded: signals, estimates, requests and current are not shown" in page
    assert 'id="scope"' not in page
    assert 'id="compare"' not in page
    facts = visitor.get(f"{blinded.api}/facts").json()
    assert facts["phases"]
    assert (facts["lanes"], facts["comparisons"], facts["whole"]) == ([], [], False)
    assert facts["gate"][1]["state"] == "STIMULATING"


@pytest.mark.parametrize("role", STAFF)
@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("bins?from_s=0&to_s=1&n=10&lane=emg/amp", "there is: none"),
        ("bins?from_s=0&to_s=1&n=10&lane=current/c1", "there is: none"),
        ("bins?from_s=0&to_s=1&n=10&lane=instead/x/c1", "there is: none"),
        ("at?t_s=1.1", "what was decided at a moment is not shown"),
        ("labels", "what a muscle did is not shown"),
    ],
)
def test_no_address_gives_a_signal_an_estimate_a_request_or_a_current(blinded, visit, role, path, says):
    answer = visit(blinded.root, role).get(f"{blinded.api}/{path}")
    assert answer.status_code == 409
    assert says in answer.text


def test_nothing_is_compared_or_labelled(blinded, visit, tmp_path):
    visitor = visit(blinded.root, Role.CLINICIAN)
    answer = visitor.post(f"{blinded.api}/work", {"work": "compare", "controller": "demo"})
    assert "blinded" in answer.json()["reason"]
    acts = {"acts": [{"act": "confirm", "id": "spasm-biceps-1"}]}
    assert "blinded" in visitor.post(f"{blinded.api}/labels", acts).json()["reason"]
    (tmp_path / "other.yaml").write_text("controller: {policy: manual}\n")
    with pytest.raises(UserError, match="blinded; what a controller asks for follows the EMG"):
        Steps().write(blinded.attempt, tmp_path / "other.yaml", tmp_path, {})


def test_only_the_blinded_report_may_be_opened(blinded, visit):
    for name in ("report", "report/blinded"):
        (blinded.attempt / name).mkdir(exist_ok=True)
        (blinded.attempt / name / "report.html").write_text(f"<p>{name}</p>")
    visitor = visit(blinded.root, Role.OPERATOR)
    assert visitor.get(f"{blinded.page}/report/page").text == "<p>report/blinded</p>"
    assert visitor.get(f"{blinded.page}/report/page", kind="session").status_code == 409


@pytest.fixture
def written(monkeypatch) -> list[list[str]]:
    """What would have been started to write a report."""
    found: list[list[str]] = []
    monkeypatch.setattr(work, "start_job", lambda study, kind, title, *given: found.append(given[1]) or "job")
    return found


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.CLINICIAN])
def test_the_report_that_is_written_anew_is_the_blinded_one_whichever_page_asks(blinded, visit, written, role):
    visitor = visit(blinded.root, role)
    assert visitor.post(f"{blinded.api}/work", {"work": "report"}).json()["job"] == "job"
    assert visitor.post("/sign/sub-P017/ses-03/att-1/report", {}).json()["job"] == "job"
    assert written == [["--blinded", "--", str(blinded.attempt)]] * 2


@pytest.mark.parametrize(("role", "whole"), [(Role.OPERATOR, False), (Role.CLINICIAN, True)])
def test_once_opened_only_a_clinician_has_the_whole_report_written(blinded, opened, visit, written, role, whole):
    visit(blinded.root, role).post("/sign/sub-P017/ses-03/att-1/report", {})
    assert [("--blinded" not in each) for each in written] == [whole]


@pytest.mark.parametrize(("role", "sees"), [("clinician", True), ("operator", False), ("supervisor", False)])
def test_once_the_arms_are_opened_by_an_audited_act_a_clinician_sees_all(blinded, opened, visit, role, sees):
    assert may_see_all(blinded.root, "P017", role) is sees
    visitor = visit(blinded.root, Role(role))
    answer = visitor.get(f"{blinded.api}/bins?from_s=0&to_s=1&n=10&lane=emg/amp")
    assert (answer.status_code == 200) is sees
    assert visitor.get(f"{blinded.api}/facts").json()["whole"] is sees


def test_the_arm_of_one_opens_that_persons_sessions_alone(blinded):
    log = audit_of(blinded.root)
    wall = datetime(2026, 11, 22, tzinfo=UTC)
    record_act(log, wall, "B", "pi", "unblind", "arm of P017", "blinded", {}, "emergency")
    try:
        assert may_see_all(blinded.root, "P017", "clinician")
        assert not may_see_all(blinded.root, "P018", "clinician")
    finally:
        (blinded.root / "audit.jsonl").unlink()


def test_what_is_made_of_an_opened_session_stands_apart_and_is_not_shown_to_who_stays_blind(blinded, opened, visit):
    folder = make_overview(blinded.attempt, opened=True)
    assert folder != overview_folder(blinded.place)
    assert "current/c1" in [lane.name for lane in recorded(blinded.place, opened=True).lanes()]
    assert recorded(blinded.place).lanes() == ()
    assert visit(blinded.root, Role.OPERATOR).get(f"{blinded.api}/facts").json()["lanes"] == []


@pytest.mark.parametrize(("said", "blinded"), [({}, True), ({"blinded": "false"}, False), ({"blinded": "?"}, True)])
def test_where_arms_are_given_by_a_list_only_what_says_so_is_open(known, tmp_path, said, blinded):
    (tmp_path / LIST_FILE).touch()
    metadata = {key: value for key, value in known.METADATA.items() if key != "blinded"} | said
    known.write(tmp_path / "sub-P017" / "ses-03" / "att-1", metadata=metadata)
    here = recorded(AttemptPlace(tmp_path, "P017", 3, 1))
    assert (here.blinded, here.whole) == (blinded, not blinded)
    assert (here.lanes() == ()) is blinded
