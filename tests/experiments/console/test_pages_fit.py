"""Every page, for whoever may see it: no fault of accessibility, nothing beside the screen, STOP always in sight."""

from __future__ import annotations

import shutil

import pytest

from myoloop.experiments.console.security import Role
from myoloop.experiments.protocols.schema import presets

pytestmark = pytest.mark.processes

ATTEMPT = "sub-P1/ses-01/att-1"
PAGES = {
    Role.CLINICIAN: (
        "/", "/day", "/day/P1", "/day/NEW1", "/adverse/P1", "/patch/P1", f"/sign/{ATTEMPT}", "/session", "/live",
        "/sessions", "/sessions/P1/1/1", "/jobs", "/nowhere",
    ),
    Role.SUPERVISOR: ("/supervise",),
    Role.SUBJECT: ("/subject",),
}  # fmt: skip


@pytest.fixture(scope="module")
def studied(served, lockstep_attempt):
    attempt = served.settings.study / ATTEMPT
    shutil.copytree(lockstep_attempt, attempt)
    (attempt / "protocol.yaml").write_bytes(presets()["demo"].read_bytes())
    return served


@pytest.mark.parametrize("role", PAGES)
def test_every_page_can_be_read_by_everybody_and_fits_the_screen(studied, page, axe, misfits, role):
    page.goto(studied.address(role))
    found = {}
    for path in PAGES[role]:
        page.goto(f"{studied.origin.url}{path}")
        found[path] = axe(page) + misfits(page)
        if path == "/adverse/P1":
            page.click("#new summary")
            found["a report"] = axe(page) + misfits(page)
    assert {path: faults for path, faults in found.items() if faults} == {}
