"""The screens of a day: who is there, what begins, what was seen afterwards, who signs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from myoloop.experiments.console import identity, work
from myoloop.experiments.console.page import Settings
from myoloop.experiments.console.security import Role, Tokens
from myoloop.experiments.protocols.schema import presets
from myoloop.experiments.screening.forms import FORMS
from myoloop.experiments.sessions.signoff import SignOffError, after_care
from myoloop.experiments.studies.audit import AUDIT_FILE
from myoloop.experiments.studies.chained import read_chained
from myoloop.experiments.studies.identity import Cost, add_identity, create_key_file, make_identity

PASSPHRASE = "not a good one"
EVENT = {
    "kind": ["burn"], "what": ["a red spot = small"], "place": ["left_arm"], "site": ["ext"], "began": ["2026-11-20"],
    "grade": ["mild"], "ctcae": ["1"], "serious": ["no"], "related": ["probable"], "device_related": ["yes"],
    "action": ["stopped", "treated"], "resolved": ["no"], "follow_up_on": ["2026-11-24"],
}  # fmt: skip
SIGNATURE = {"name": "C. Roth", "role": "physician", "date": "2026-11-20", "why": "seen"}


@pytest.fixture(scope="module")
def settings(tmp_path_factory, place_of_rigs, lockstep_attempt) -> Settings:
    """A study in which P1 had a session, and a key file that knows P1."""
    study = tmp_path_factory.mktemp("study")
    shutil.copytree(lockstep_attempt, study / "sub-P1/ses-01/att-1")
    (study / "sub-P1/ses-01/att-1/protocol.yaml").write_bytes(presets()["demo"].read_bytes())
    keyfile = tmp_path_factory.mktemp("keys") / "identity.key"
    create_key_file(keyfile, PASSPHRASE, cost=Cost(n=2))
    add_identity(keyfile, PASSPHRASE, "P1", make_identity("AB", 1957))
    return Settings(study=study, port=8723, tokens=Tokens(), temporary=place_of_rigs, who="jo", identity=keyfile)


@pytest.fixture
def clinician(console):
    return console.browser(Role.CLINICIAN)


@pytest.fixture
def attempt(settings):
    return settings.study / "sub-P1/ses-01/att-1"


@pytest.fixture
def afresh(settings, attempt):
    """As if nobody had written anything after the session."""
    yield
    (attempt / AUDIT_FILE).unlink(missing_ok=True)
    shutil.rmtree(attempt / "forms", ignore_errors=True)
    shutil.rmtree(settings.study / "sub-P1/record", ignore_errors=True)


@pytest.fixture
def started(monkeypatch):
    """What would have been started."""
    found = []

    def start(settings, protocol, subject, *, second):
        found.append((protocol, subject, second))
        return "job-1"

    monkeypatch.setattr(identity, "start_session", start)
    return found


# -- who is there --------------------------------------------------------------------------------------------------


def test_the_list_and_a_person_are_shown_and_no_arm_name_or_year(operator):
    for path in ("/day", "/day/P1"):
        page = operator.get(path).text
        assert "P1" in page
        assert "1957" not in page
    assert "session 1, attempt 1, complete" in operator.get("/day").text


def test_a_person_is_checked_against_the_key_file(operator):
    good = operator.post("/day/P1/check", {"second": "a.b. 1957", "passphrase": PASSPHRASE}).json()
    assert good == {"ok": True, "reason": ""}
    other = operator.post("/day/P1/check", {"second": "AB 1981", "passphrase": PASSPHRASE}).json()
    assert not other["ok"]
    assert "1981" not in other["reason"]


@pytest.mark.parametrize(
    "sent",
    [{}, {"second": "AB"}, {"second": "AB 1981"}, {"second": "AB 1957", "passphrase": "wrong"}, {"second": 3}],
)
def test_nobody_begins_who_was_not_recognised(operator, started, sent):
    answer = operator.post("/day/P1/start", {"passphrase": PASSPHRASE, **sent})
    assert not answer.json()["ok"]
    assert started == []


def test_who_is_recognised_begins_with_the_protocol_of_the_session_before(operator, started, attempt):
    sent = {"second": "AB 1957", "passphrase": PASSPHRASE, "protocol": "is not asked"}
    assert operator.post("/day/P1/start", sent).json() == {"ok": True, "job": "job-1"}
    ((protocol, subject, second),) = started
    assert (protocol, subject) == (str(attempt / "protocol.yaml"), "P1")
    assert "1957" not in repr(second)
    assert PASSPHRASE not in repr(second)


def test_what_was_typed_stands_in_no_log_and_no_file(operator, settings, refused):
    operator.post("/day/P1/check", {"second": "XQ 1911", "passphrase": PASSPHRASE})
    assert refused() == ["refused: POST '/day/P1/check' by operator: the second identifier is not that of the person"]
    for path in settings.study.rglob("*"):
        assert not path.is_file() or b"XQ 1911" not in path.read_bytes()


@pytest.mark.parametrize(
    "path", ["/day", "/day/P1", "/session", "/adverse/P1", "/sign/sub-P1/ses-01/att-1", "/patch/P1"]
)
@pytest.mark.parametrize("role", [Role.SUBJECT, Role.SUPERVISOR])
def test_others_see_nothing_of_it(console, path, role):
    assert console.browser(role).get(path).status_code == 403


def test_what_was_not_cut_off_cannot_be_closed(operator):
    refused = operator.post("/day/P1/close", {"why": "out of time"}).json()
    assert refused == {"ok": False, "reason": "P1: nothing was cut off"}
    assert operator.post("/day/P1/close", {"why": " "}).json()["reason"] == "why: is missing"


# -- the forms of a session ----------------------------------------------------------------------------------------


def test_a_form_is_checked_by_its_own_rules(operator):
    good = operator.post("/session/form/nrs", {"answers": {name: ["3"] for name in NRS}}).json()
    assert good == {"ok": True, "values": dict.fromkeys(NRS, 3), "mistakes": {}, "reason": ""}
    bad = operator.post("/session/form/nrs", {"answers": {"current": ["11"]}}).json()
    assert set(bad["mistakes"]) == set(NRS)
    assert not operator.post("/session/form/nrs", {"answers": {"current": 3}}).json()["ok"]


NRS = ("current", "average_24h", "worst_24h")


def test_every_form_can_be_shown(operator):
    for name, form in FORMS.items():
        page = operator.get(f"/session/form/{name}.ext" if form.per == "site" else f"/session/form/{name}")
        assert page.status_code == 200, name
        assert all(f'data-question="{field.id}"' in page.text for field in form.fields), name


def test_who_may_override_is_shown_and_only_a_clinician_signs(operator, clinician):
    assert "neurologist" in operator.get("/session/override/epilepsy").text
    assert "<form" in clinician.get("/session/override/epilepsy").text
    assert 'value="neurologist"' not in operator.get("/session/override/epilepsy").text
    page = clinician.get("/session/override/epilepsy").text
    assert 'value="neurologist"' in page
    assert 'value="surgeon"' not in page
    assert "Nobody may override this" in clinician.get("/session/override/feverish").text


def test_an_override_is_handed_on_in_the_words_of_its_act(clinician):
    sent = {"name": ["Dr. N"], "role": ["neurologist"], "reason": ["seizure-free"], "given_on": ["2026-11-20"],
            "sites": ["all"]}  # fmt: skip
    values = clinician.post("/session/override/epilepsy", {"answers": sent}).json()["values"]
    assert values == {
        "item": "epilepsy", "name": "Dr. N", "role": "neurologist", "reason": "seizure-free", "date": "2026-11-20",
        "sites": ["all"],
    }  # fmt: skip


# -- afterwards ----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("afresh")
def test_an_adverse_event_is_reported_followed_up_and_over(operator, clinician):
    wrong = operator.post("/adverse/P1/report", {"answers": {**EVENT, "ctcae": ["4"]}, "session": 1}).json()
    assert set(wrong["mistakes"]) == {"ctcae"}
    done = operator.post("/adverse/P1/report", {"answers": EVENT, "session": 1}).json()
    assert done["ok"], done
    assert "a red spot = small" in operator.get("/adverse/P1").text
    later = {"number": 1, "kind": "follow_up", "why": "paler", "answers": {**EVENT, "follow_up_on": ["2026-11-25"]}}
    assert clinician.post("/adverse/P1/later", later).json()["ok"]
    over = {"number": 1, "kind": "resolution", "why": "gone", "answers": {}}
    assert clinician.post("/adverse/P1/later", over).json()["ok"]
    page = operator.get("/adverse/P1").text
    assert "clinician login jo: paler" in page
    assert "over since" in page
    assert not clinician.post("/adverse/P1/later", {**over, "number": 9}).json()["ok"]


@pytest.mark.usefixtures("afresh")
def test_nobody_signs_before_it_is_told_whether_anybody_was_harmed(clinician, operator, attempt):
    named = "/sign/sub-P1/ses-01/att-1"
    refused = clinician.post(f"{named}/signature", SIGNATURE).json()
    assert not refused["ok"]
    assert "adverse event" in refused["reason"]
    told = operator.post("/adverse/P1/none", {"attempt": "sub-P1/ses-01/att-1"})
    assert told.json()["ok"]
    assert operator.post(f"{named}/signature", SIGNATURE).status_code == 403
    assert not clinician.post(f"{named}/signature", {**SIGNATURE, "role": "operator"}).json()["ok"]
    assert not clinician.post(f"{named}/signature", {**SIGNATURE, "name": " "}).json()["ok"]
    assert not clinician.post(f"{named}/signature", {**SIGNATURE, "date": "2126-01-01"}).json()["ok"]
    assert clinician.post(f"{named}/signature", SIGNATURE).json()["ok"]
    none, signed = read_chained(attempt / AUDIT_FILE)[-2:]
    assert (none["act"], none["who"], none["role"]) == ("no_adverse_event", "operator jo", "operator")
    assert (signed["act"], signed["who"], signed["role"], signed["why"]) == ("sign_off", "C. Roth", "physician", "seen")
    assert signed["new"]["adverse_events"] == "none"
    page = operator.get(named).text
    assert "Signed by C. Roth, physician, 2026-11-20: seen" in page
    assert all('<span class="simulated">SIMULATED' in text for text in (page, operator.get("/adverse/P1").text))


@pytest.mark.usefixtures("afresh")
def test_marked_skin_asks_for_an_event_and_none_cannot_be_said(operator, attempt, clinician):
    (attempt / "forms").mkdir()
    values = {"redness": "moderate", "blister": "no", "burn": "no", "hurts": "no"}
    (attempt / "forms/1-skin_after.ext.json").write_text(json.dumps({"form": "skin_after.ext", "values": values}))
    refused = operator.post("/adverse/P1/none", {"attempt": "sub-P1/ses-01/att-1"}).json()
    assert refused["reason"] == "an adverse event must be reported: the skin at ext is marked"
    assert "Must be reported: the skin at ext is marked" in operator.get("/adverse/P1").text
    assert operator.post("/adverse/P1/report", {"answers": EVENT, "session": 1}).json()["ok"]
    assert clinician.post("/sign/sub-P1/ses-01/att-1/signature", SIGNATURE).json()["ok"]


@pytest.mark.usefixtures("afresh")
def test_another_recording_in_its_place_is_not_signed(operator, clinician, attempt):
    operator.post("/adverse/P1/none", {"attempt": "sub-P1/ses-01/att-1"})
    assert clinician.post("/sign/sub-P1/ses-01/att-1/signature", SIGNATURE).json()["ok"]
    file = attempt / "session.mcap"
    whole = file.read_bytes()
    file.write_bytes(whole + b"\0")
    try:
        assert [each.holds for each in after_care(attempt, ()).signatures] == [False]
    finally:
        file.write_bytes(whole)
    assert [each.holds for each in after_care(attempt, ()).signatures] == [True]


@pytest.mark.parametrize("named", ["sub-P1/ses-01", "sub-P1/ses-01/att-9", "sub-P1/../sub-P1/ses-01/att-1", "a/b/c"])
def test_nothing_else_of_the_disk_can_be_named(clinician, named):
    answer = clinician.post(f"/sign/{named}/signature", SIGNATURE)
    assert not answer.json()["ok"]


def test_what_is_no_attempt_has_no_signature(tmp_path):
    with pytest.raises(SignOffError, match="no attempt of a study"):
        after_care(tmp_path, ())


def test_a_report_is_written_by_a_job(operator, monkeypatch, settings):
    asked = []
    monkeypatch.setattr(work, "start_job", lambda *given: asked.append(given) or "job-2")
    assert operator.post("/sign/sub-P1/ses-01/att-1/report").json() == {"ok": True, "job": "job-2"}
    ((study, kind, _, verb, arguments),) = asked
    assert (study, kind, verb) == (settings.study, "report", "report")
    assert Path(arguments[-1]) == settings.study / "sub-P1/ses-01/att-1"


@pytest.mark.usefixtures("afresh")
def test_a_patch_test_is_on_the_record_as_a_session_would_leave_it(operator):
    put_on = {"material": ["Hydrogel A"], "place": ["left_arm"], "started_at": ["2026-11-17T09:00"]}
    assert operator.post("/patch/P1", {"form": "patch_test", "answers": put_on}).json()["ok"]
    read = {**put_on, "read_at": ["2026-11-19T10:00"], "result": ["negative"]}
    del read["place"]
    assert operator.post("/patch/P1", {"form": "patch_reading", "answers": read}).json()["ok"]
    assert not operator.post("/patch/P1", {"form": "nrs", "answers": {"current": ["1"]}}).json()["ok"]
    assert "read negative" in operator.get("/patch/P1").text
