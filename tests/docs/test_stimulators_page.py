"""The page about stimulators: its tables are the code's, and every assumption that the code marks stands in it."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import fields
from pathlib import Path
from types import ModuleType

import pytest

from myoloop.stimulators.registry import BUILT_IN

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "stimulators.md"


@pytest.fixture(scope="module")
def tables() -> ModuleType:
    spec = importlib.util.spec_from_file_location("device_tables", ROOT / "docs" / "device_tables.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_has_the_tables_of_the_code(tables):
    text = PAGE.read_text(encoding="utf-8")
    assert tables.with_tables(text) == text, "run: python docs/device_tables.py --write"


def test_every_mark_of_an_assumption_stands_in_the_page(tables):
    text = PAGE.read_text(encoding="utf-8")
    marks = sum(
        len(re.findall(r"\bassumption: ", path.read_text(encoding="utf-8")))
        for path in (ROOT / "myoloop" / "stimulators").rglob("*.py")
    )
    found = list(tables.marked())
    assert len(found) == marks > 50
    assert all(f"  - {said}\n" in text and f"- `{path}`\n" in text for path, said in found)


def test_no_assumption_is_marked_elsewhere():
    elsewhere = [
        str(path)
        for path in (ROOT / "myoloop").rglob("*.py")
        if "stimulators" not in path.parts and "# assumption:" in path.read_text(encoding="utf-8")
    ]
    assert elsewhere == []


@pytest.mark.parametrize("driver", BUILT_IN)
def test_every_setting_of_a_driver_is_on_the_page(tables, driver):
    module, _, name = BUILT_IN[driver].partition(":")
    wanted = getattr(importlib.import_module(module), name).Settings
    part = PAGE.read_text(encoding="utf-8").partition(f"### `{driver}`\n")[2].partition("\n##")[0]
    for each in fields(wanted):
        assert each.name == "channels" or f"| `{each.name}` |" in part


def test_the_page_without_a_mark_is_refused(tables):
    with pytest.raises(ValueError, match="should hold the lines"):
        tables.with_tables("no page")
