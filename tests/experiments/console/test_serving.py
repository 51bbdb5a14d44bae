"""The verb: it serves until Ctrl-C, on loopback alone, and says in one line what keeps it from serving."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest
from typer.testing import CliRunner

from myoloop.cli import app
from myoloop.experiments.console import opening, serving
from myoloop.experiments.console.security import Origin, Role, Tokens
from myoloop.experiments.console.serving import ConsoleError, listen_on


def said(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["console", *arguments])
    return result.exit_code, result.output


def test_a_study_that_is_not_there_is_bad_input(tmp_path):
    code, text = said(str(tmp_path / "nowhere"), "--no-open")
    assert code == 2
    assert "nowhere: no such folder" in text


@pytest.mark.parametrize("option", ["--rig", "--key", "--identity"])
def test_a_file_that_is_not_there_is_bad_input(tmp_path, option):
    code, text = said(str(tmp_path), "--no-open", "--port=0", option, str(tmp_path / "nowhere"))
    assert code == 2
    assert f"{option} {tmp_path / 'nowhere'}: no such file" in text


def test_a_port_that_is_taken_is_bad_input():
    with listen_on(0) as bound, pytest.raises(ConsoleError, match="address already in use; is another console open"):
        listen_on(bound.getsockname()[1])


def test_it_listens_on_loopback_alone():
    with listen_on(0) as bound:
        assert bound.getsockname()[0] == "127.0.0.1"


def test_the_address_that_a_browser_is_opened_with_is_good_for_one_use(monkeypatch, eventually):
    opened = []
    monkeypatch.setattr(opening.webbrowser, "open", opened.append)
    tokens = Tokens()
    opening.open_browser(Origin(8723), tokens)
    address = eventually(lambda: opened and opened[0])
    token = address.partition("token=")[2]
    assert token != tokens.to_enter(Role.OPERATOR)
    assert tokens.entered_as(token, opening.now_s()) is Role.OPERATOR
    assert tokens.entered_as(token, opening.now_s()) is None


def test_what_was_refused_is_kept_in_the_study(tmp_path):
    log = serving.log
    before = log.handlers[:], log.level, log.propagate
    try:
        serving._log_to(tmp_path / "jobs")
        log.warning("refused: GET '/' by nobody: a reason")
    finally:
        for each in set(log.handlers) - set(before[0]):
            log.removeHandler(each)
            each.close()
        log.level, log.propagate = before[1:]
    (line,) = (tmp_path / "jobs" / "console.log").read_text().splitlines()
    assert line.endswith("Z refused: GET '/' by nobody: a reason")


@pytest.mark.processes
def test_it_serves_until_ctrl_c_and_ends_cleanly(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "myoloop", "console", str(tmp_path), "--port=0", "--no-open", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    answer = json.loads(process.stdout.readline())
    assert set(answer["addresses"]) == set(Role)
    with urllib.request.urlopen(answer["addresses"]["operator"].replace("/enter", "/static/stop.js")) as page:
        assert b"STOP" in page.read()
    # A page that stays open does not keep it from ending.
    with socket.create_connection(("127.0.0.1", int(answer["url"].rpartition(":")[2]))) as held:
        held.sendall(b"GET /static/stop.js HTTP/1.1\r\n")
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    assert process.stderr.read() == ""
    process.stdout.close()
    process.stderr.close()
