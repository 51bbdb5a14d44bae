"""The gate's tests notice a change of the gate: the tool works, and a sample of mutants is noticed."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

TOOL = Path(__file__).parent / "gate_mutants.py"


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("gate_mutants", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a < b", {"a <= b", "a >= b"}),
        ("a + 2", {"a - 2", "a + 3"}),
        ("a * 2.0", {"a / 2.0", "a * 2.2"}),
        ("if a:\n    b = c", {"if not a:\n    b = c"}),
        ("f(a)", {"pass"}),
        ("a and b", {"a or b", "a", "b"}),
        ("not a", {"a"}),
        ("x = max(a, b)", {"x = min(a, b)"}),
        ("x = replace(a, b=c, d=e)", {"x = replace(a, d=e)", "x = replace(a, b=c)"}),
        ("b if a else c", {"c if a else b"}),
        ("True", {"False"}),
    ],
)
def test_what_is_changed(tool: ModuleType, before: str, after: set[str]) -> None:
    tree = ast.parse(before)
    found = set()
    for at, node in enumerate(ast.walk(tree)):
        for number, _ in enumerate(tool.changed(node)):
            found.add(tool.Mutant("x.py", at, number, 1, before, "").source(before))
    assert found == after


def test_every_mutant_is_another_module_than_the_gates_own(tool: ModuleType) -> None:
    every = tool.mutants()
    assert len(every) > 700
    for mutant in every[::40]:
        text = (tool.ROOT / tool.GATE / mutant.module).read_text(encoding="utf-8")
        assert mutant.source(text) != ast.unparse(ast.parse(text)), mutant


def test_what_is_called_equivalent_is_there_and_has_a_reason(tool: ModuleType) -> None:
    known = {(mutant.module, mutant.before, mutant.change) for mutant in tool.mutants()}
    assert set(tool.EQUIVALENT) <= known
    assert all(tool.EQUIVALENT.values())


def test_parts_are_together_all_that_is_to_be_noticed(tool: ModuleType) -> None:
    """Two runs side by side miss no mutant."""
    listed: list[str] = []
    for part in ("1/2", "2/2"):
        run = subprocess.run(
            [sys.executable, str(TOOL), "--list", "--part", part], capture_output=True, text=True, check=True
        )
        listed += run.stdout.splitlines()
    assert sorted(listed) == sorted(str(mutant) for mutant in tool.mutants() if not mutant.reason)


@pytest.mark.prove
@pytest.mark.timeout(4 * 3600)
@pytest.mark.skipif(sys.platform == "win32", reason="the tool forks")
def test_every_mutant_is_noticed_or_explained() -> None:
    """Half an hour on two quiet cores; who survives is named with its line."""
    runs = [
        subprocess.Popen(
            [sys.executable, str(TOOL), "--part", f"{part}/2"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for part in (1, 2)
    ]
    said = [run.communicate()[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], "\n".join(said)
