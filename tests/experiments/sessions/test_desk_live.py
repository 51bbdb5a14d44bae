"""A session in real processes, served over the bus alone; its console and whoever started it are killed on the way."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from myoloop.experiments.objects import builders
from myoloop.experiments.replay import replay
from myoloop.experiments.sessions.card import CARD_FILE
from myoloop.experiments.sessions.records_after import acts_of, filled_forms
from myoloop.platform.messages import Answer, Command
from myoloop.platform.recording.reader import Recording

pytestmark = [pytest.mark.processes, pytest.mark.timeout(180)]
HERE = Path(__file__).parent
PROTOCOL = HERE.parents[1] / "data" / "desk.yaml"
CLIENT = HERE / "desk_client.py"
#: What starts a session as a console does, and is then gone.
STARTER = (
    "import subprocess, sys, time\n"
    "run = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,"
    " start_new_session=True)\n"
    "print(run.pid, flush=True)\n"
    "run.communicate()\n"
)


class Page:
    """A console's process, and what it has said."""

    def __init__(self, runtime: Path, name: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-P", str(CLIENT), str(runtime), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # What has been said and is not read yet must be seen by select.
            bufsize=0,
        )
        self.said: list[dict] = []

    def order(self, what: str) -> None:
        self.process.stdin.write(what.encode() + b"\n")

    def until(self, reached, patience_s: float = 60.0):
        """Read what it says until something in it is so."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while True:
                assert selector.select(patience_s), f"nothing said; last: {self.said[-1:]}"
                line = self.process.stdout.readline()
                assert line, f"ended with {self.process.wait()}; last: {self.said[-1:]}"
                self.said.append(json.loads(line))
                if reached(self.said[-1]):
                    return self.said[-1]

    def answers(self, kind: str) -> list[dict]:
        return [each for each in self.said if each.get("answer") == kind]

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


def audited(attempt: Path, act: str) -> list[dict]:
    lines = (attempt / "audit.jsonl").read_text(encoding="utf-8").splitlines()
    return [row for row in map(json.loads, lines) if row["act"] == act]


def steps_left_alone(page: Page, for_ns: int) -> None:
    """Look on while a step is waited for, so long and without it being done."""
    began_ns = page.until(lambda seen: seen.get("waiting_for") == "step")["t_ns"]
    page.until(lambda seen: seen.get("t_ns", 0) - began_ns > for_ns)
    assert {seen["waiting_for"] for seen in page.said if seen.get("t_ns", 0) >= began_ns} == {"step"}


@pytest.fixture
def started(short_folder, tmp_path, eventually):
    """A session that was started with ``--desk`` by a process that is dead by now: its card, folders and process."""
    study = tmp_path / "study"
    command = [sys.executable, "-P", "-m", "myoloop", "run", str(PROTOCOL), "--subject", "SIM1", "--out", str(study)]
    starter = subprocess.Popen(
        [sys.executable, "-P", "-c", STARTER, *command, "--desk", "--json"], stdout=subprocess.PIPE
    )
    pid = int(starter.stdout.readline())
    (card,) = eventually(lambda: list(short_folder.glob(f"*/{CARD_FILE}")), "the card", 60.0)
    starter.kill()
    starter.wait()
    starter.stdout.close()
    yield json.loads(card.read_text()), card.parent, study / "sub-SIM1" / "ses-01" / "att-1", pid
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def test_a_console_that_is_killed_and_another_that_goes_on_serve_a_whole_session(started, eventually):
    card, runtime, attempt, pid = started
    assert (card["session"], card["simulated"], card["blinded"]) == ("sub-SIM1/ses-01/att-1", True, False)
    assert [(each["name"], each["cap_ma"]) for each in card["channels"]] == [("ext", 20.0)]
    first = Page(runtime, "A")
    try:
        first.order("serve")
        first.until(lambda seen: seen.get("trial_state") == "hold" and seen["kind"] == "calibration")
    finally:
        first.end()
    assert all(first.answers(kind)[-1]["ok"] for kind in ("form", "serve"))
    assert len(audited(attempt, "step")) == 1

    second = Page(runtime, "B")
    try:
        # Nobody holds the button any more, and nobody else serves.
        steps_left_alone(second, 1_500_000_000)
        assert len(audited(attempt, "step")) == 1
        second.order("serve")
        second.until(lambda seen: seen.get("state") == "ended")
    finally:
        second.end()
    # The person's first word belonged to the step that the first console served.
    assert [each["ok"] for each in second.answers("felt")] == [True, True]
    # It was told to nobody that it has ended, and it has ended in order all the same, report and all.
    eventually(lambda: (attempt / "report" / "report.html").is_file(), "the report", 60.0)
    eventually(lambda: not Path(f"/proc/{pid}").exists() or _is_zombie(pid), "its end", 30.0)

    recording = Recording.open(attempt)
    assert (recording.complete, recording.outcome) == (True, "complete")
    assert replay(attempt, builders()).equal
    names = {row["who"] for kind in ("confirm", "arm", "step", "form") for row in audited(attempt, kind)}
    assert names == {"operator A", "operator B"}
    assert {row["role"] for row in audited(attempt, "step")} == {"operator"}
    (form,) = filled_forms(recording)
    assert (form.form, form.values, form.who) == ("nrs_now", {"current": 2}, "operator A")
    asked = [each.received.message for each in recording.messages({"command", "answer"})]
    at_desk = [each for each in asked if isinstance(each, Command) and each.target == "supervisor"]
    assert {each.role for each in at_desk} == {"operator"}
    answered = {each.id for each in asked if isinstance(each, Answer)}
    left = [each.id for each in at_desk if each.id not in answered]
    # What a console had asked when it was killed was answered to nobody, and is on record.
    assert left == []
    assert not [act for act in acts_of(recording) if act.act in ("serve", "raise", "felt")]


def test_the_persons_own_button_ends_the_session_as_a_stop_key_does(started, eventually):
    _, runtime, attempt, _ = started
    page = Page(runtime, "A")
    try:
        page.order("serve")
        page.until(lambda seen: seen.get("trial_state") == "hold" and seen["kind"] == "calibration")
        page.order("stop")
        assert page.until(lambda seen: seen.get("answer") == "stop")["ok"]
        page.until(lambda seen: seen.get("state") == "ended")
    finally:
        page.end()
    eventually(lambda: (attempt / "report" / "report.html").is_file(), "the report", 60.0)
    recording = Recording.open(attempt)
    assert (recording.complete, recording.outcome, recording.reason) == (True, "stopped", "subject's own button")
    (stop,) = (each.received.message for each in recording.messages({"stop"}))
    assert (stop.who, stop.why) == ("subject", "subject's own button")
    assert [(row["who"], row["why"]) for row in audited(attempt, "stop")] == [("subject", "subject's own button")]


def _is_zombie(pid: int) -> bool:
    """Whether a process has ended and nobody has asked how: an orphan where nobody collects them."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True
