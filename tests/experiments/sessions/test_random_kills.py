"""Sessions killed whole at random moments, as by a power cut: each can be read, settled, and repeats no dose."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from myoloop.experiments.sessions.continuing import close, continuation, standing
from myoloop.experiments.sessions.resuming import go_on_with
from myoloop.experiments.sessions.run import run_lockstep
from myoloop.experiments.studies.chained import check_chained
from myoloop.platform.recording.layout import SESSION_FILE
from myoloop.platform.recording.reader import Recording
from myoloop.platform.recording.verify import verify

pytestmark = [pytest.mark.processes, pytest.mark.timeout(150)]

#: Of what was written, at most so much may be missing from the file after a kill.
LOST_MAX_NS = 1_000_000_000


def kill_all(rig, after_s: float) -> int:
    """Let the session run for so long from its first recorded byte, then kill everything at once."""
    rig.wait_for(lambda: (rig.folder / SESSION_FILE).exists(), "a recording", 30.0)
    time.sleep(after_s)  # the moment is the point of the test
    t_ns = time.monotonic_ns()
    for pid in [rig.process.pid, *rig.nodes().values()]:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    rig.process.wait(10)
    rig.wait_for(lambda: not rig.nodes(), "the end of all nodes", 10.0)
    return t_ns


def check(rig, seed: int) -> None:
    struck_ns = kill_all(rig, random.Random(seed).uniform(0.0, 12.0))
    attempt: Path = rig.folder
    found = standing(attempt)
    assert found.state in ("cut", "ended"), found
    recording = Recording.open(attempt, check=False)
    if recording.last_ns is not None and found.state == "cut":
        assert struck_ns - recording.last_ns <= LOST_MAX_NS
    log = attempt / "audit.jsonl"
    if log.exists():
        assert check_chained(log).problems == []
    ledger = [json.loads(line) for line in (rig.out / "sub-SIM1" / "dose.jsonl").read_text().splitlines() if line]
    booked_mc = [line["charge_mc"] for line in ledger]
    assert booked_mc == sorted(booked_mc)
    if found.state != "cut":
        return
    close(attempt, who="test", role="operator", why="killed on purpose", wall=datetime.now(UTC))
    assert verify(attempt).status == "good"
    went = continuation(attempt.parent, datetime.now(UTC))
    setup = go_on_with(attempt.parent, who="test", why="go on", speed="max")
    end = run_lockstep(setup)
    again = Recording.open(end.folder)
    given = {(each.received.message.block, each.received.message.trial) for each in again.messages({"trial"})}
    used = {(each.repeat, trial) for each in went.used for trial in range(1, each.trials + 1)}
    assert not given & used
    first = next(each.received.message for each in again.messages({"report"}))
    assert first.dose.session_charge_mc == pytest.approx(max(booked_mc, default=0.0))


@pytest.mark.parametrize("seed", range(1))
def test_a_session_killed_at_any_moment_is_whole_as_far_as_it_went(start_rig, seed):
    check(start_rig(), seed)


@pytest.mark.prove
@pytest.mark.parametrize("seed", range(1, 201))
def test_two_hundred_sessions_killed_at_any_moment(start_rig, seed):
    check(start_rig(), seed)
