"""`myoloop outcomes`: those there are, and those of a session."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from myoloop.cli import app
from myoloop.experiments.outcomes.registry import OUTCOMES
from myoloop.experiments.protocols.schema import load_protocol
from myoloop.platform.recording.writer import RecordingWriter


def told(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["outcomes", *arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, (result.exit_code, result.stdout, result.stderr)
    return result.stdout if code < 2 else result.stderr


@pytest.fixture
def attempt(tmp_path) -> Path:
    """A session of the demonstration in which nothing happened."""
    folder = tmp_path / "study" / "sub-P017" / "ses-03" / "att-1"
    folder.mkdir(parents=True)
    content = Path(load_protocol("demo")._path).read_bytes()
    (folder / "protocol.yaml").write_bytes(content)
    metadata = {"simulated": "true", "sha256.protocol.yaml": hashlib.sha256(content).hexdigest()}
    with RecordingWriter(folder, session="s1", descriptors=[], metadata=metadata, live=False) as writer:
        writer.end("complete", "", 1)
    return folder


def test_without_a_session_it_lists_all_that_a_protocol_may_name() -> None:
    assert [line.split()[0] for line in told().splitlines()] == list(OUTCOMES)
    found = json.loads(told("--json"))
    assert found["doms"] == {"text": OUTCOMES["doms"].text, "unit": "points", "needs": ["diary:doms"]}


def test_with_a_session_it_computes_what_its_protocol_names(attempt) -> None:
    text = told(str(attempt))
    assert text.startswith("outcomes (effects planted in the virtual subject):\n  primary   effort_started_share")
    found = json.loads(told(str(attempt), "--json"))
    assert found["outcomes"][0]["outcome"] == "effort_started_share"
    assert found["outcomes"][0]["value"] is None
    assert found["outcomes"][0]["why"] == "no trial came to its end"


def test_a_session_whose_protocol_is_gone_fails_the_check(attempt) -> None:
    (attempt / "protocol.yaml").unlink()
    assert "none: " in told(str(attempt), code=1)


def test_a_diary_is_of_a_session_and_must_be_there(attempt, tmp_path) -> None:
    assert "--diary" in told("--diary", str(tmp_path / "d.jsonl"), code=2)
    assert "there is no such file" in told(str(attempt), "--diary", str(tmp_path / "d.jsonl"), code=2)
    assert "no such file or folder" in told(str(tmp_path / "nothing"), code=2)
