"""The loop's three processes ask for real-time scheduling; without the right to it nothing changes."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from myoloop.platform.priority import PRIORITIES, ask_for_priority

ASK = (
    "import os, sys, threading\n"
    "from myoloop.platform.priority import ask_for_priority\n"
    "given = ask_for_priority(sys.argv[1])\n"
    "found = []\n"
    "thread = threading.Thread(target=lambda: found.append(os.sched_getscheduler(0)))\n"
    "thread.start(); thread.join()\n"
    "print(int(given), os.sched_getscheduler(0), os.sched_getparam(0).sched_priority, found[0])\n"
)
linux = pytest.mark.skipif(sys.platform != "linux" or (os.cpu_count() or 1) < 2, reason="Linux with two cores only")


def _asked(role: str) -> tuple[int, int, int, int]:
    """What a process of its own gets: given, policy, priority, policy of a thread started later."""
    done = subprocess.run([sys.executable, "-c", ASK, role], capture_output=True, text=True, check=True)
    given, policy, priority, of_thread = map(int, done.stdout.split())
    return given, policy, priority, of_thread


@linux
@pytest.mark.parametrize("role", sorted(PRIORITIES))
def test_a_process_of_the_loop_gets_its_priority_or_stays_as_it_was(role: str) -> None:
    given, policy, priority, of_thread = _asked(role)

    if given:
        assert (policy, priority, of_thread) == (os.SCHED_RR, PRIORITIES[role], os.SCHED_RR)
    else:
        assert (policy, of_thread) == (os.sched_getscheduler(0),) * 2


@linux
@pytest.mark.parametrize("role", ["recorder", "director", "supervisor", "operator", "subject"])
def test_everybody_else_stays_ordinary(role: str) -> None:
    assert _asked(role)[:2] == (0, os.sched_getscheduler(0))


@linux
def test_without_the_right_it_is_refused_quietly(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError("not permitted")

    monkeypatch.setattr(os, "sched_setscheduler", refuse)

    assert not ask_for_priority("stimulator")


def test_nobody_is_asked_for_on_a_single_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 1)

    assert not ask_for_priority("stimulator")


def test_the_one_that_takes_current_away_comes_first() -> None:
    assert max(PRIORITIES, key=PRIORITIES.__getitem__) == "stimulator"
