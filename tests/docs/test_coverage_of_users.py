"""What the page of coverage says is so: each row once, each test there and not left out, each hazard with one."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from myoloop.experiments.screening.items import ITEMS, item_of

ROOT = Path(__file__).resolve().parents[2]
COVERAGE: list[dict[str, Any]] = YAML(typ="safe").load(ROOT / "docs" / "coverage.yaml")
ROWS = {row["row"]: row for row in COVERAGE}
EXTRA = [f"x{number}" for number in range(1, 14)]
#: Contraindications, what must be looked at, warnings, harm.
HAZARDS = [*range(25, 40), *EXTRA]
NAMED = sorted({test for row in COVERAGE for test in row.get("tests", ())})
#: What takes too long for every build, and is tried by `make prove`.
LONG = sorted({test for row in COVERAGE for test in row.get("make_prove", ())})
#: Marks with which a test does not run, or may fail, in every build.
LEFT_OUT = {"skip", "xfail", "prove", "realdata"}

EachRow = pytest.mark.parametrize("row", COVERAGE, ids=lambda row: str(row["row"]))


@cache
def _module(path: str) -> ast.Module:
    return ast.parse((ROOT / path).read_text(encoding="utf-8"))


def _found(test: str) -> tuple[ast.Module, list[ast.ClassDef | ast.FunctionDef]]:
    """The module of a node id, and its classes and function, outermost first; LookupError where it is not there."""
    path, *names = test.split("::")
    if not (ROOT / path).is_file() or not names:
        raise LookupError(path)
    module = _module(path)
    inside: list[ast.stmt] = module.body
    way: list[ast.ClassDef | ast.FunctionDef] = []
    for name in names:
        there = (each for each in inside if isinstance(each, ast.ClassDef | ast.FunctionDef) and each.name == name)
        node = next(there, None)
        if node is None:
            raise LookupError(f"{path} has no {name}")
        way.append(node)
        inside = node.body
    return module, way


def _marks(test: str) -> set[str]:
    """Names of the marks that hold for a test whatever it runs on (a skip with a condition is none of them)."""
    module, way = _found(test)
    marks = [mark for node in way for mark in node.decorator_list]
    for statement in module.body:
        if isinstance(statement, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == "pytestmark" for target in statement.targets
        ):
            value = statement.value
            marks += value.elts if isinstance(value, ast.List | ast.Tuple) else [value]
    plain = [mark.func if isinstance(mark, ast.Call) else mark for mark in marks]
    return {mark.attr for mark in plain if isinstance(mark, ast.Attribute)}


def _checks_something(module: ast.Module, node: ast.AST) -> bool:
    """Whether a test, or what of its own module it uses, asserts anything or expects an error."""
    there = {each.name: each for each in ast.walk(module) if isinstance(each, ast.FunctionDef | ast.ClassDef)}
    seen: set[str] = set()
    waiting = [node]
    while waiting:
        for each in ast.walk(waiting.pop()):
            if isinstance(each, ast.Assert) or (isinstance(each, ast.Attribute) and each.attr == "raises"):
                return True
            name = each.id if isinstance(each, ast.Name) else each.attr if isinstance(each, ast.Attribute) else None
            if name == "AssertionError":
                return True
            if name in there and name not in seen:
                seen.add(name)
                waiting.append(there[name])
    return False


def test_every_row_is_there_once() -> None:
    assert len(ROWS) == len(COVERAGE)
    assert list(ROWS) == [*range(1, 51), *EXTRA]


@EachRow
def test_a_row_says_what_it_must(row: dict[str, Any]) -> None:
    assert set(row) <= {"row", "claim", "status", "feature", "items", "tests", "make_prove", "note", "not_yet"}
    assert row["claim"]
    assert row["feature"]
    assert row["status"] in ("proven", "not yet", "out of scope")
    if row["status"] == "proven":
        assert row["tests"], "proven by no test"
    else:
        assert row["note"], "not proven, and no word why"
        assert "not_yet" not in row, "the note says what is missing"


@pytest.mark.parametrize("test", NAMED)
def test_a_test_that_is_named_is_there_and_not_left_out(test: str) -> None:
    _, way = _found(test)
    assert isinstance(way[-1], ast.FunctionDef)
    assert way[-1].name.startswith("test_")
    assert all(node.name.startswith("Test") for node in way[:-1])
    assert not _marks(test) & LEFT_OUT


@pytest.mark.parametrize("test", LONG)
def test_a_test_that_make_prove_runs_is_there_and_is_called_so(test: str) -> None:
    assert _marks(test) & LEFT_OUT == {"prove"}


@pytest.mark.parametrize("test", [*NAMED, *LONG])
def test_a_test_that_is_named_can_fail(test: str) -> None:
    module, way = _found(test)
    assert _checks_something(module, way[-1])


@pytest.mark.parametrize("row", HAZARDS)
def test_whatever_may_harm_has_a_test(row: int | str) -> None:
    assert ROWS[row]["status"] == "proven"
    assert ROWS[row]["tests"]


@EachRow
def test_items_of_screening_are_those_that_name_the_row(row: dict[str, Any]) -> None:
    named = set(row.get("items", ()))
    if isinstance(row["row"], int):
        assert named == {item.id for item in ITEMS if row["row"] in item.rows}
    else:
        assert named
        assert all(item_of(name).sources for name in named)


def test_no_item_of_screening_is_forgotten() -> None:
    named = {name for row in COVERAGE for name in row.get("items", ())}
    # Asked beyond what the rows and sources hold, each with a mark of its own.
    assert {item.id for item in ITEMS} - named == {"anticoagulant", "allodynia"}


@pytest.mark.parametrize(
    ("source", "checks"),
    [
        ("def test_a(): assert 1\n", True),
        ("def helper(): assert 1\ndef test_a(): helper()\n", True),
        ("def helper(): assert 1\ndef test_a(): print()\n", False),
        ("def test_a():\n    with pytest.raises(ValueError): int('x')\n", True),
    ],
)
def test_a_test_that_cannot_fail_is_seen(source: str, checks: bool) -> None:
    module = ast.parse(source)
    assert _checks_something(module, module.body[-1]) == checks


@pytest.mark.parametrize(
    ("source", "name", "left_out"),
    [
        ("import pytest\n@pytest.mark.skip\ndef test_a(): assert 1\n", "test_a", True),
        ('import pytest\npytestmark = [pytest.mark.skip(reason="x")]\ndef test_a(): assert 1\n', "test_a", True),
        ("import pytest\n@pytest.mark.prove\nclass TestA:\n    def test_b(self): assert 1\n", "TestA::test_b", True),
        ('import pytest\n@pytest.mark.skipif(1, reason="x")\ndef test_a(): assert 1\n', "test_a", False),
        ("def test_a(): assert 1\n", "test_a", False),
    ],
)
def test_what_is_left_out_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, name: str, left_out: bool
) -> None:
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    path = f"test_{len(source)}.py"
    (tmp_path / path).write_text(source)
    _module.cache_clear()
    assert bool(_marks(f"{path}::{name}") & LEFT_OUT) == left_out
    with pytest.raises(LookupError):
        _found(f"{path}::test_that_is_not_there")
