"""The page of a running session gets what it needs from the protocol that is played: pictures, ticks, who may what."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from myoloop.experiments.console.places_planned import sites_shown
from myoloop.experiments.console.rig_watch import RigWatch
from myoloop.experiments.console.security import Role
from myoloop.experiments.console.session_page import PICTURE_POLICY
from myoloop.experiments.protocols.schema import load_protocol
from myoloop.experiments.sessions.still_up import CARD_FILE
from myoloop.platform.messages import Phase

PROTOCOL = load_protocol("crps_motor_reeducation")


@pytest.fixture(scope="module", autouse=True)
def _nobody_listens():
    """The rig here has a card and no bus: nothing is to be heard of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RigWatch, "start", lambda _: None)
        patch.setattr(RigWatch, "close", lambda _: None)
        yield


@pytest.fixture
def running(rig, settings):
    """A session of a person with CRPS runs here."""
    attempt = settings.study / rig.session
    attempt.mkdir(parents=True, exist_ok=True)
    (attempt / "protocol.yaml").write_bytes(Path(PROTOCOL.path).read_bytes())
    card = {"session": rig.session, "study": str(settings.study), "subject": "P001", "simulated": True,
            "blinded": False, "title": "T"}  # fmt: skip
    (rig.folder.path / CARD_FILE).write_text(json.dumps(card))
    return rig


def test_placement_is_asked_beside_the_sites_picture_with_a_tick_for_each_electrode(operator, running):
    page = operator.get("/session/form/placement.ext").text
    assert 'src="/session/picture/ext"' in page
    ticks = [each.says for each in sites_shown(PROTOCOL)["ext"].electrodes]
    assert len(ticks) == page.count("data-tick=") == 4
    assert all(f'data-tick="{says}"' in page for says in ticks)


def test_pads_and_skin_have_the_picture_too_and_other_forms_none(operator, running):
    assert all("/session/picture/ext" in operator.get(f"/session/form/{name}.ext").text for name in ("pads", "skin"))
    assert "picture" not in operator.get("/session/form/nrs").text


def test_a_picture_may_load_nothing_and_has_its_own_style(operator, running):
    answer = operator.get("/session/picture/ext")
    assert answer.headers["content-type"] == "image/svg+xml"
    assert answer.headers["content-security-policy"] == PICTURE_POLICY
    assert "cathode" in answer.text


def test_there_is_no_picture_of_what_the_protocol_has_not(operator, running):
    assert operator.get("/session/picture/ankle").status_code == 409


def test_without_a_session_there_is_no_picture_and_the_page_says_so(operator):
    assert operator.get("/session/picture/ext").status_code == 409
    assert "No session is running" in operator.get("/session").text


def test_an_override_names_the_sites_of_the_session(console, running):
    page = console.browser(Role.CLINICIAN).get("/session/override/implanted_electronics").text
    assert 'name="sites"' in page
    assert 'value="ext"' in page
    assert 'value="flex"' not in page


def test_every_wait_of_a_session_and_every_phase_has_its_screen(root, operator):
    stage = (root / "myoloop/experiments/console/static/stage.js").read_text()
    page = operator.get("/session").text
    waits = ["confirm", "form", "override", "retry", "arm_calibration", "step", "approve_envelope", "arm", "resume"]
    assert all(f"``{wait}``" in Phase.__doc__ for wait in waits)
    for wait in waits:
        (shown,) = [line for line in stage.splitlines() if line.strip().startswith(f"{wait}: ")]
        name = shown.split('"')[1]
        assert f'data-stage="{name}"' in page


def test_the_dial_is_shown_only_where_the_operator_sets_the_level(operator, running, settings):
    assert "data-level-dial hidden" in operator.get("/session").text
    text = Path(PROTOCOL.path).read_text()
    begin, end = text.index("\ncontroller:"), text.index("\nstop_rules:")
    attempt = settings.study / "sub-P001/ses-02/att-1"
    attempt.mkdir(parents=True)
    (attempt / "protocol.yaml").write_text(f"{text[:begin]}\ncontroller: {{policy: manual}}\n{text[end:]}")
    card = json.loads((running.folder.path / CARD_FILE).read_text())
    (running.folder.path / CARD_FILE).write_text(json.dumps({**card, "session": "sub-P001/ses-02/att-1"}))
    assert "data-level-dial>" in operator.get("/session").text
