"""The live view in a real browser: what the scope draws is what was sampled, and what stands beside it can be read."""

from __future__ import annotations

import base64
import contextlib
import threading
import time

import numpy as np
import pytest

from myoloop.experiments.benchmarks.pretend_rig import PretendRig
from myoloop.experiments.console.bins import MinMax
from myoloop.experiments.console.frames import bins_section, frame
from myoloop.experiments.console.security import Role

pytestmark = pytest.mark.processes

LAYOUT = {
    "streams": [{"topic": "emg/amp", "muscles": ["one", "two"], "bin_us": 5000, "unit": "µV"}],
    "lines": [],
    "channels": [],
}
_SCOPE = "document.getElementById('live-view').scope"
# A scope of its own on an empty page of the console, given frames.
_DRAW = """async ([layout, frames]) => {
  const { Scope } = await import("/static/scope.js");
  const canvas = document.createElement("canvas");
  canvas.style.width = "900px";
  canvas.style.height = "400px";
  document.querySelector("main").replaceChildren(canvas);
  const scope = new Scope(canvas);
  scope.lay(layout);
  scope.take(Uint8Array.from(atob(frames), (each) => each.charCodeAt(0)).buffer);
  scope.scale = 5000;
  scope.draw();
  const bins = scope.streams[0];
  const told = [];
  for (let bin = bins.first; bin < bins.next; bin += 1) {
    const at = (bin % bins.kept) * bins.columns;
    told.push([0, 1].map((column) => [bins.low[at + column], bins.high[at + column], bins.flags[at + column]]));
  }
  const pen = canvas.getContext("2d");
  const ink = (x, y, width, height) => {
    const cells = pen.getImageData(x, y, width, height).data;
    let count = 0;
    for (let i = 0; i < cells.length; i += 4) {
      count += cells[i] < 100 && cells[i + 2] > 80 && cells[i + 2] < 140;
    }
    return count;
  };
  // Above the middle of each lane, beyond what quiet samples reach.
  return { told, first: bins.first, one: ink(125, 5, 760, 60), two: ink(125, 200, 760, 50) };
}"""


@contextlib.contextmanager
def running(**more):
    """A rig that says something by itself."""
    rig, ended = PretendRig(4, **more), threading.Event()

    def play():
        next_s = time.monotonic()
        while not ended.wait(max(0.0, next_s - time.monotonic())):
            next_s += 0.01
            rig.turn(time.monotonic_ns())

    player = threading.Thread(target=play)
    player.start()
    try:
        rig.tell_card()
        yield rig
    finally:
        ended.set()
        player.join()
        rig.close()


@pytest.fixture
def operator(served, page):
    page.goto(served.address(Role.OPERATOR))
    return page


def until(page, expression):
    """Wait for it; the page's own policy forbids playwright's way."""
    deadline_s = time.monotonic() + 15
    while not page.evaluate(expression):
        assert time.monotonic() < deadline_s, expression
        page.wait_for_timeout(50)


def test_one_sample_of_one_muscle_in_twenty_thousand_is_drawn_and_a_hole_is_known(operator):
    bins = MinMax([0, 1], [1.0, 1.0], [0.0, 0.0], 2000.0)
    samples = np.zeros((20_000, 2), "<i4")
    samples[13_337, 0] = 4000
    for begin in range(0, 20_000, 20):
        if not 8_000 <= begin < 9_000:
            bins.add(("amp", 1), begin, 1_000_000_000 + begin * 500_000, samples[begin : begin + 20])
    sent = frame(1, [bins_section(0, run, bins.bin_ns) for run in bins.take()])
    seen = operator.evaluate(_DRAW, [LAYOUT, base64.b64encode(sent).decode()])
    assert seen["first"] == 0
    assert len(seen["told"]) == 2000
    assert [number for number, told in enumerate(seen["told"]) if told[0][1] == 4000] == [1333]
    assert {number for number, told in enumerate(seen["told"]) if told[1][2]} == set(range(800, 900))
    assert seen["one"] > 0
    assert seen["two"] == 0


class TestPage:
    def test_shows_a_running_session_stands_still_and_looks_back(self, served, operator, axe):
        with running():
            operator.goto(f"{served.origin.url}/live")
            operator.get_by_text("Now try to move.").or_(operator.get_by_text("Relax.")).wait_for()
            until(operator, f"{_SCOPE}.frames > 30")
            operator.get_by_text("under 40").wait_for()
            assert operator.evaluate(f"[...{_SCOPE}.thresholds]") == [["muscle_1", 40]]
            text = operator.locator("#live-view").inner_text()
            for word in ("cap 25.0 mA", "muscle 4", "under 40", "0.20 [0.10, 0.30]", "grows", "director", "alive"):
                assert word in text, word
            operator.click("[data-live=freeze]")
            still = operator.evaluate(f"{_SCOPE}.frozen_us")
            assert still is not None
            until(operator, f"{_SCOPE}.newest_us > {still} + 500000")
            assert operator.evaluate(f"{_SCOPE}.frozen_us") == still
            operator.get_by_role("button", name="Run again").click()
            assert operator.evaluate(f"{_SCOPE}.frozen_us") is None
            assert axe(operator) == []
        operator.get_by_text("No session is running").wait_for()

    def test_of_a_blinded_session_has_levels_and_no_signal(self, served, operator):
        frames = []
        operator.on("websocket", lambda socket: socket.on("framereceived", lambda got: frames.append(got)))
        with running(blinded=True):
            operator.goto(f"{served.origin.url}/live")
            operator.get_by_text("level 55 %").wait_for()
            assert operator.locator("canvas").is_hidden()
            text = operator.locator("#live-view").inner_text()
            assert "of the cap, 25.0 mA; nominal" in text
            assert "14.0 mA" not in text
            assert "Dose" not in text
        assert frames
        assert not [each for each in frames if isinstance(each, bytes)]
