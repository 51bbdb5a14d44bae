"""A short session from today's list to the signature, by clicks and keys alone."""

from __future__ import annotations

import pytest
from ruamel.yaml import YAML

# To be seen green on a quiet machine before every CI run waits for it.
pytestmark = [pytest.mark.processes, pytest.mark.prove, pytest.mark.timeout(180)]


@pytest.fixture
def desk(root):
    """Its thresholds are left out where nothing was moved since."""
    return dict(YAML(typ="safe").load((root / "tests" / "data" / "desk.yaml").read_text(encoding="utf-8")))


def test_from_the_list_over_a_stop_to_the_signature(make_study, desk, consoles, somebody, whole, audited):
    study, rig = make_study(desk)
    console = consoles(study, f"--rig={rig}")
    operator = somebody(console)
    operator.begin("SIM1")
    operator.serve_until(operator.in_trial(1, "On"))
    operator.page.keyboard.press("n")
    operator.page.keyboard.press("3")
    operator.until(lambda: operator.says("last: 3 of 10"), "the score")
    operator.page.keyboard.press("Space")
    operator.until(lambda: operator.page.locator("#stop[data-state=acknowledged]").count(), "the acknowledgement")
    operator.until(lambda: operator.page.is_enabled("#go-on-open"), "the end of the attempt")
    operator.page.click("#go-on-open")
    operator.go_on("looked after", same_electrodes=True)
    operator.follow(2)
    operator.serve_until(lambda screen: screen == "ended")
    assert operator.says("The session has ended: complete")
    operator.page.click("#after-care")
    operator.press("#none")
    operator.until(lambda: operator.says("None, said operator"), "none")

    clinician = somebody(console, "clinician")
    clinician.open("/sign/sub-SIM1/ses-01/att-2")
    clinician.page.fill("#name", "C. Roth")
    clinician.page.check("#sign input[value=physician]")
    clinician.page.click("#sign button[type=submit]")
    clinician.until(lambda: clinician.says("Signed by C. Roth, physician"), "the signature")

    first, second = (study / "sub-SIM1" / "ses-01" / name for name in ("att-1", "att-2"))
    assert (whole(first), whole(second)) == ("stopped", "complete")
    found = audited(first, second)
    assert operator.did.items() <= found.items(), (operator.did, found)
    assert audited(first, role="unnamed") == {"stop": 1}
