"""What the table of hazards says is so: each row whole, each test there, not left out, and able to fail."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[2]
HAZARDS: list[dict[str, Any]] = YAML(typ="safe").load(ROOT / "docs" / "hazards.yaml")
GROUPS = ("loop", "request", "device", "person", "station")
NAMED = sorted({test for row in HAZARDS for test in row["tests"]})
LONG = sorted({test for row in HAZARDS for test in row.get("make_prove", ())})

EachRow = pytest.mark.parametrize("row", HAZARDS, ids=lambda row: row["hazard"][:40])


@pytest.fixture(scope="module")
def coverage() -> ModuleType:
    """What the page of coverage is checked with: it knows how a node id is found, and when a test can fail."""
    spec = importlib.util.spec_from_file_location(
        "coverage_of_users", Path(__file__).with_name("test_coverage_of_users.py")
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@EachRow
def test_a_row_says_what_detects_it_within_what_time_and_what_holds_then(row: dict[str, Any]) -> None:
    assert set(row) <= {"hazard", "group", "detected_by", "within", "safe_state", "tests", "make_prove", "limit"}
    for name in ("hazard", "detected_by", "within", "safe_state"):
        assert isinstance(row[name], str), name
        assert row[name].strip(), name
    assert row["group"] in GROUPS
    assert row["tests"], "proven by no test"


def test_no_hazard_stands_twice_and_every_group_has_some() -> None:
    assert len({row["hazard"] for row in HAZARDS}) == len(HAZARDS)
    assert [*dict.fromkeys(row["group"] for row in HAZARDS)] == list(GROUPS)


@pytest.mark.parametrize("test", NAMED)
def test_a_test_that_is_named_is_there_not_left_out_and_can_fail(coverage: ModuleType, test: str) -> None:
    module, way = coverage._found(test)
    assert way[-1].name.startswith("test_")
    assert not coverage._marks(test) & coverage.LEFT_OUT
    assert coverage._checks_something(module, way[-1])


@pytest.mark.parametrize("test", LONG)
def test_a_test_that_make_prove_runs_is_there_called_so_and_can_fail(coverage: ModuleType, test: str) -> None:
    module, way = coverage._found(test)
    assert coverage._marks(test) & coverage.LEFT_OUT == {"prove"}
    assert coverage._checks_something(module, way[-1])


def test_every_driver_has_a_hazard_of_its_own() -> None:
    text = " ".join(NAMED)
    for driver in ("sciencemode/", "sciencemode2/", "test_openemsstim", "test_ttl_trigger", "test_analog", "simulated"):
        assert driver in text
