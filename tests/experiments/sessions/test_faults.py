"""What goes wrong on purpose: read strictly, checked against the rig before it starts, struck at living processes."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from myoloop.experiments.sessions.faults import Fault, FaultError, check_faults, parse_fault, strike


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("kill:controller@20s", Fault("kill", "controller", 20.0)),
        ("freeze:amp-2@0.5s", Fault("freeze", "amp-2", 0.5)),
        ("stop@10s", Fault("stop", "", 10.0)),
    ],
)
def test_a_fault_says_what_whom_and_when(text, fault):
    assert parse_fault(text) == fault


@pytest.mark.parametrize(
    "text",
    ["", "kill@3s", "stop:controller@3s", "kill:controller", "kill:controller@3", "kill:controller@-3s",
     "kill:A B@3s", "explode:controller@3s", "kill:controller@3s please"],
)  # fmt: skip
def test_anything_else_is_answered_with_what_is_allowed(text):
    with pytest.raises(FaultError, match="kill:NODE@20s, freeze:NODE@20s or stop@20s") as caught:
        parse_fault(text)
    assert repr(text) in str(caught.value)


def test_a_node_that_the_rig_does_not_have_is_told_before_anything_starts():
    check_faults([Fault("stop", "", 1.0), Fault("kill", "amp", 1.0)], {"amp": "acquisition"})
    with pytest.raises(FaultError, match="no node 'ampp'; the rig has amp, recorder"):
        check_faults([Fault("kill", "ampp", 1.0)], ["recorder", "amp"])


@pytest.fixture
def process():
    made = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    yield made
    made.kill()
    made.wait()
    made.stdin.close()


def test_a_kill_is_a_kill(process):
    strike(Fault("kill", "amp", 0.0), {"amp": process.pid})
    assert process.wait(10) == -signal.SIGKILL


def test_a_frozen_one_stands_still_and_lives(process, eventually):
    strike(Fault("freeze", "amp", 0.0), {"amp": process.pid})
    eventually(lambda: Path(f"/proc/{process.pid}/stat").read_text().split()[2] == "T", "standstill")
    assert process.poll() is None


def test_one_that_has_died_meanwhile_is_left_alone(process):
    process.kill()
    process.wait()
    strike(Fault("kill", "amp", 0.0), {"amp": process.pid})
    strike(Fault("kill", "amp", 0.0), {})
