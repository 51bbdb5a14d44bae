"""The verbs of training: what the command line itself refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from myoloop.cli import app


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (["train", "--quick", "--people", "40", "--out", "t"], "--people"),
        (["train", "--quick", "--seeds", "7", "--out", "t"], "--seeds"),
        (["train-estimators", "--quick", "--seconds", "10", "--out", "t"], "--seconds"),
        (["evaluate", "t", "--quick", "--people", "3"], "--people"),
        (["optimise", "--quick", "--people", "3"], "--people"),
    ],
)
def test_a_size_beside_quick_is_refused_and_not_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], option: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == f"--quick: found with {option}; it has a size of its own: leave out one of them\n"
    assert list(tmp_path.iterdir()) == []
