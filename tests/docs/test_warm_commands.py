"""A page's command that is forked does what one that is started does: arguments, folder, exit code, output, time."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "docs" / "warm_commands.py"


@pytest.fixture(scope="module")
def module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_warm_commands", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules["docs_warm_commands"] = made
    spec.loader.exec_module(made)
    return made


@pytest.fixture(scope="module")
def warm(module: ModuleType) -> Iterator[Any]:
    made = module.Warm(lambda text, *_: (0, f"by a shell: {text}"))
    yield made
    made.close()


def test_it_runs_where_it_is_told_and_what_it_prints_comes_back(warm: Any, tmp_path: Path) -> None:
    result, said = warm.run("myoloop new protocol draft", str(tmp_path), dict(os.environ), 60.0)
    assert result == 0
    assert (tmp_path / "draft.yaml").is_file()
    assert "draft.yaml" in said


def test_a_mistake_ends_with_its_exit_code_and_its_line(warm: Any, tmp_path: Path) -> None:
    result, said = warm.run("myoloop lint 'no such.yaml'", str(tmp_path), dict(os.environ), 60.0)
    assert result == 2
    assert len(said.splitlines()) == 1
    assert said.startswith("no such.yaml: ")


def test_one_that_does_not_end_is_killed_and_the_next_one_runs(warm: Any, tmp_path: Path) -> None:
    result, _ = warm.run("myoloop demo --speed max --out study", str(tmp_path), dict(os.environ), 0.1)
    assert result == "none within 0.1 s"
    assert warm.run("myoloop --help", str(tmp_path), dict(os.environ), 60.0)[0] == 0


@pytest.mark.parametrize(
    "text", ["echo a > b", "myoloop demo --json > first.json", "cp a b", "myoloop sites | head -1"]
)
def test_what_a_shell_has_to_read_is_left_to_one(warm: Any, tmp_path: Path, text: str) -> None:
    assert warm.run(text, str(tmp_path), dict(os.environ), 1.0) == (0, f"by a shell: {text}")
