"""A session of eight muscles that streams for an hour to an open page: nothing grows, nothing of the record is lost."""

from __future__ import annotations

import logging
import os
import re
import time
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from myoloop.platform.recording.reader import Recording

#: `MYOLOOP_STREAM_S` makes it shorter for a look.
STREAM_S = float(os.environ.get("MYOLOOP_STREAM_S", "3600"))
#: What a server and a page have taken by then is theirs.
WARM_UP_S = 60.0
GROWTH_MAX = 0.10
MUSCLES = 8

pytestmark = [pytest.mark.processes, pytest.mark.prove, pytest.mark.timeout(STREAM_S + 600.0)]


@pytest.fixture
def long_rest(root):
    """Eight muscles are heard, the first is stimulated; first there is a long rest."""
    data = YAML(typ="safe").load((root / "tests" / "data" / "desk.yaml").read_text(encoding="utf-8"))
    heard = {f"m{number}": {"muscle": f"muscle {number}", "side": "left", "emg": "monitor"} for number in range(2, 9)}
    data["sites"] |= heard
    data["devices"]["emg"]["channels"] = list(data["sites"])
    data["phases"][0] = {"rest": {"name": "a long rest", "duration": f"{STREAM_S + 3600:g} s"}}
    data["stop_rules"] = [{"attention": "300 min"}]
    return data


def test_for_an_hour_neither_server_nor_page_grows_and_nothing_is_lost(
    make_study, long_rest, consoles, somebody, whole
):
    study, rig = make_study(long_rest)
    console = consoles(study, f"--rig={rig}")
    operator = somebody(console)
    operator.begin("SIM1")
    operator.serve_until(lambda screen: screen == "busy")
    operator.open("/live")
    devtools = operator.page.context.new_cdp_session(operator.page)
    devtools.send("Performance.enable")
    operator.until(lambda: operator.says("muscle 8") or operator.says("m8"), "the streams")
    operator.page.wait_for_timeout(1000 * WARM_UP_S)
    began_mb = _server_mb(console), _page_mb(devtools)
    taken = []
    until_s = time.monotonic() + STREAM_S
    while time.monotonic() < until_s:
        operator.page.wait_for_timeout(1000 * min(30.0, STREAM_S / 20.0))
        taken.append((_server_mb(console), _page_mb(devtools)))
    ended_mb = tuple(min(each[which] for each in taken[-3:]) for which in (0, 1))
    said = f"server {began_mb[0]:.1f} to {ended_mb[0]:.1f} MB, page {began_mb[1]:.1f} to {ended_mb[1]:.1f} MB"
    logging.getLogger(__name__).info(said)
    operator.open("/session")
    operator.until(lambda: operator.screen in ("busy", "paused"), "the session")
    operator.press(f"[data-stage={operator.screen}] [data-open=end]")
    operator.page.locator("#dialog-end label").first.click()
    operator.page.click("[data-do=end]")
    operator.serve_until(lambda screen: screen == "ended")
    attempt = study / "sub-SIM1" / "ses-01" / "att-1"
    operator.press("#after-care")
    operator.press("#none")
    whole(attempt)
    rate_hz, samples = _streamed(attempt)
    assert samples >= STREAM_S * rate_hz
    for which, (before, after) in enumerate(zip(began_mb, ended_mb, strict=True)):
        assert after <= before * (1.0 + GROWTH_MAX), (("server", "page")[which], said)


def _server_mb(console) -> float:
    status = Path(f"/proc/{console.process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) / 1e3


def _page_mb(devtools) -> float:
    """What the page's scripts hold once what nobody holds any more is gone."""
    devtools.send("HeapProfiler.collectGarbage")
    metrics = {each["name"]: each["value"] for each in devtools.send("Performance.getMetrics")["metrics"]}
    return metrics["JSHeapUsedSize"] / 1e6


def _streamed(attempt) -> tuple[float, int]:
    """Rate and number of the samples of the EMG; none is missing between two blocks."""
    recording = Recording.open(attempt)
    (descriptor,) = (each for each in recording.descriptors.values() if each.topic.startswith("emg/"))
    assert len(descriptor.channels) >= MUSCLES
    following = 0
    for each in recording.messages({descriptor.topic}):
        assert each.received.message.first_sample == following
        following += len(each.received.array)
    return descriptor.rate_hz, following
