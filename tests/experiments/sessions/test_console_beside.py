"""A console beside a session: in a session of its own, found by its address, or told why it is not there."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from myoloop.experiments.sessions.console_beside import LOG, ConsoleError, start_console

#: A console that says how it was called and by which process, and stays.
STAYS = """
import json, os, sys, time
print(json.dumps({"addresses": {"operator": json.dumps([os.getpid(), *sys.argv[1:]])}}), flush=True)
time.sleep(60)
"""


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


@pytest.fixture
def study(tmp_path) -> Path:
    return tmp_path / "study"


def test_it_serves_the_same_study_with_the_same_files_and_outlives_who_started_it(study):
    beside = start_console(study, {"--rig": "rig.yaml", "--key": None}, command=python(STAYS))
    pid, *arguments = json.loads(beside.addresses["operator"])
    try:
        assert pid == beside.process.pid
        assert arguments == [str(study), "--json", "--rig=rig.yaml"]
        assert os.getsid(pid) == pid
    finally:
        beside.process.kill()
        beside.process.wait()


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("import sys; sys.stderr.write('deep in it\\nport 8723: address already in use\\n')", "port 8723: address"),
        ("pass", "it did not come up"),
        ("print('no JSON')", "it did not come up"),
        ("print('{}')", "it did not come up"),
    ],
)
def test_one_that_does_not_come_up_is_told_in_one_line_with_its_own_words(study, code, told):
    with pytest.raises(ConsoleError, match=f"^no console: {told}") as caught:
        start_console(study, {}, command=python(code))
    assert "\n" not in str(caught.value)
    assert (study / LOG).is_file()


def test_one_that_says_nothing_is_not_waited_for(study):
    with pytest.raises(ConsoleError, match="no console: it did not come up"):
        start_console(study, {}, command=python("import time; time.sleep(60)"), start_s=0.2)
