"""The pages of a recorded session in a real browser: drawn without an error, scrubbed by keys, labels corrected."""

from __future__ import annotations

import pytest

from myoloop.experiments.console.lookback.overview import make_overview
from myoloop.experiments.console.security import Role

pytestmark = pytest.mark.processes

# How much of the scope is in the ink of signals.
_INK = """() => {
  const canvas = document.getElementById("scope");
  const cells = canvas.getContext("2d").getImageData(130, 5, canvas.width - 150, canvas.height - 80).data;
  let count = 0;
  for (let i = 0; i < cells.length; i += 4) {
    count += cells[i] < 60 && cells[i + 1] > 60 && cells[i + 1] < 100 && cells[i + 2] > 100 && cells[i + 2] < 140;
  }
  return count;
}"""


@pytest.fixture(scope="module")
def recorded_here(served, known):
    """The console's study has one session, and its overview."""
    make_overview(known.write(served.settings.study / "sub-P017" / "ses-03" / "att-1"))
    return served


def serious(page) -> list[str]:
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [each["id"] for each in found if each["impact"] in ("serious", "critical")]


def test_a_recorded_session_is_drawn_scrubbed_and_corrected(recorded_here, page):
    page.goto(recorded_here.address(Role.OPERATOR))
    page.goto(f"{recorded_here.origin.url}/sessions/P017/3/1")
    page.locator("#labels tr").nth(2).wait_for()
    assert page.evaluate(_INK) > 300
    for _ in range(3):
        page.get_by_role("button", name="Closer").click()
    page.locator("h1").click()
    page.keyboard.press("End")
    assert float(page.locator("#from").input_value()) > 1.0
    page.locator("#tracks").click(position={"x": 500, "y": 60})
    page.locator("#at tr").nth(3).wait_for()
    page.get_by_role("button", name="Reject spasm-biceps-2").click()
    page.get_by_text("reject needs a reason").wait_for()
    page.locator("#why").fill("an artefact")
    page.get_by_role("button", name="Reject spasm-biceps-2").click()
    page.locator("#labels").get_by_text("rejected").wait_for()
    assert serious(page) == []


@pytest.mark.parametrize(
    ("role", "path"),
    [
        (Role.OPERATOR, "/sessions"),
        (Role.OPERATOR, "/jobs"),
        (Role.SUBJECT, "/subject"),
        (Role.SUPERVISOR, "/supervise"),
    ],
)
def test_a_page_has_no_serious_fault_of_accessibility(recorded_here, page, role, path):
    page.goto(recorded_here.address(role))
    page.goto(recorded_here.origin.url + path)
    page.locator("#stop").wait_for()
    assert serious(page) == []
