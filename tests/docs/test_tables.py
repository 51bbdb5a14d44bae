"""The tables that the pages take from the code are the code's."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from myoloop.experiments.outcomes.registry import OUTCOMES
from myoloop.experiments.protocols.schema import presets
from myoloop.experiments.screening.forms import FORMS
from myoloop.experiments.screening.items import ITEMS
from myoloop.platform.streams import STREAMS
from myoloop.stimulators.gate.states import TRANSITIONS

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture(scope="module")
def tables() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_tables", DOCS / "tables.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "name",
    [
        "streams",
        "transitions",
        "ceilings",
        "protocols",
        "sites",
        "sites-makers",
        "screening",
        "forms",
        "outcomes",
        "changes",
        "hazards",
        "coverage-counts",
        "coverage",
        "coverage-screening",
    ],
)
def test_the_page_holds_the_table_of_the_code(tables: ModuleType, name: str) -> None:
    page, make = tables.TABLES[name]
    text = (DOCS / page).read_text(encoding="utf-8")
    assert tables.with_table(text, name, make()) == text, "run: python docs/tables.py --write"


def test_every_stream_has_one_row(tables: ModuleType) -> None:
    rows = tables.streams().splitlines()[2:]
    assert len(rows) == len(STREAMS)
    for row, stream in zip(rows, STREAMS, strict=True):
        assert row.startswith(f"| `{stream.name}")
        assert f"`{stream.message.__name__}`" in row
        assert row.count("|") == 9


def test_every_outcome_has_one_row_with_unit_and_how_it_is_computed(tables: ModuleType) -> None:
    rows = tables.outcomes().splitlines()[2:]
    assert len(rows) == len(OUTCOMES)
    for row, (name, kind) in zip(rows, OUTCOMES.items(), strict=True):
        assert row.startswith(f"| `{name}` | {kind.text} | {kind.unit} |")
        assert all(cell.strip() for cell in row.split("|")[1:-1])
        assert row.count("|") == 6


def test_every_transition_has_one_row(tables: ModuleType) -> None:
    assert len(tables.transitions().splitlines()) == len(TRANSITIONS) + 2


def test_every_protocol_that_ships_has_one_row(tables: ModuleType) -> None:
    rows = tables.protocols().splitlines()[2:]
    assert [row.split("`")[1] for row in rows] == list(presets())
    assert "| `crps_tens` | CRPS, conventional TENS proximal to the painful zone | low | pain score after" in rows[2]


def test_every_screening_item_has_one_row_with_who_may_override(tables: ModuleType) -> None:
    rows = [line for line in tables.screening().splitlines() if line.startswith("| `")]
    assert len(rows) == len(ITEMS)
    for item in ITEMS:
        (row,) = (row for row in rows if row.startswith(f"| `{item.id}` |"))
        assert row.count("|") == 6
        assert item.text in row
        assert all(role in row for role in item.override_by)
        assert ("| nobody |" in row) == (item.kind == "absolute")


def test_every_form_has_one_row_with_its_questions(tables: ModuleType) -> None:
    rows = tables.forms().splitlines()[2:]
    assert len(rows) == len(FORMS)
    for row, form in zip(rows, FORMS.values(), strict=True):
        assert all(f"`{field.id}`" in row for field in form.fields)


def test_a_table_replaces_what_stood_between_its_marks(tables: ModuleType) -> None:
    begin, end = "<!-- x: begin, made by docs/tables.py -->", "<!-- x: end -->"
    made = tables.with_table(f"before\n{begin}\nold\n{end}\nafter\n", "x", "new")
    assert made == f"before\n{begin}\n\nnew\n\n{end}\nafter\n"
    assert tables.with_table(made, "x", "new") == made


def test_a_page_without_the_marks_is_refused(tables: ModuleType) -> None:
    with pytest.raises(ValueError, match="x: begin"):
        tables.with_table("nothing here", "x", "new")
