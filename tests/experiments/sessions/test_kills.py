"""Every part of the rig killed and frozen while at least 10 mA flow: current ends, the file holds and says why."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest

from myoloop.platform.recording.reader import Recording
from myoloop.platform.recording.verify import verify

pytestmark = [pytest.mark.processes, pytest.mark.timeout(150)]

PARTS = ("controller", "amplifier", "recorder", "director", "supervisor", "stimulator")
SIGNALS = {"killed": signal.SIGKILL, "frozen": signal.SIGSTOP}
ALL = [(part, how) for part in PARTS for how in SIGNALS]
#: CI takes a seeded sample (and drills kill the stimulator); `make prove` takes all.
SAMPLE = [(part, random.Random(f"2 {part}").choice(list(SIGNALS))) for part in ("recorder", "supervisor")]
ZERO_WITHIN_MS = 250.0


@pytest.fixture
def rig(start_rig):
    return start_rig()


def check(rig, part: str, how: str) -> None:
    rig.wait_for_current(10.0)
    struck_ns = rig.strike(part, SIGNALS[how])
    if part == "supervisor":
        # Nobody is left to tell the nodes to end: they see it for themselves.
        rig.wait_for(lambda: not rig.nodes(), "the end of all nodes", 15.0)
        if how == "frozen":
            rig.strike("supervisor", signal.SIGCONT)
            rig.process.wait(30)
    else:
        rig.process.wait(30)
    last_ms = (rig.pulses()[-1]["t_ns"] - struck_ns) * 1e-6
    assert last_ms <= ZERO_WITHIN_MS, f"current flowed for {last_ms:.0f} ms"
    print(f"{part} {how}: last pulse after {last_ms:.0f} ms")  # noqa: T201
    if (part, how) != ("supervisor", "killed"):
        assert rig.process.returncode == 3, rig.stderr.read_text()
    recording = Recording.open(rig.folder)
    found = verify(rig.folder)
    assert found.status == "good", found.problems
    assert recording.outcome == "fault"
    assert part in recording.reason, recording.reason
    rig.wait_for(lambda: not rig.nodes(), "the end of all nodes", 10.0)
    leftovers = list(Path(os.environ["TMPDIR"]).glob("myo-*"))
    assert not leftovers, [list(path.iterdir()) for path in leftovers]


@pytest.mark.parametrize(("part", "how"), SAMPLE)
def test_current_ends_when_a_part_dies(rig, part, how):
    check(rig, part, how)


@pytest.mark.prove
@pytest.mark.parametrize(("part", "how"), [pair for pair in ALL if pair not in SAMPLE])
def test_current_ends_when_any_part_dies_in_any_way(rig, part, how):
    check(rig, part, how)


def test_the_first_interrupt_ends_all_in_order_within_three_seconds(rig):
    rig.wait_for_current(10.0)
    struck_ns = rig.strike("supervisor", signal.SIGINT)
    rig.wait_for(lambda: not rig.nodes(), "the end of all nodes", 10.0)
    took_s = (time.monotonic_ns() - struck_ns) * 1e-9
    assert took_s <= 3.0
    assert (rig.pulses()[-1]["t_ns"] - struck_ns) * 1e-6 <= ZERO_WITHIN_MS
    rig.process.wait(30)
    assert rig.process.returncode == 3
    recording = Recording.open(rig.folder)
    assert (recording.outcome, recording.complete) == ("stopped", True)
    assert "SIGINT" in recording.reason
