"""The page's tables name every key that a mapping file may have, and no other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from myoloop.acquisition.mapping import ChannelMap, Mapping
from myoloop.experiments.imports.mapping import ImportedChannel, ImportMapping, load_import_mapping


@pytest.mark.parametrize(
    ("model", "heading"), [(Mapping, "| key | says |"), (ChannelMap, "| key of a channel | says |")]
)
def test_the_table_is_the_formats(root: Path, model: type[BaseModel], heading: str) -> None:
    page = (root / "docs" / "rig.md").read_text(encoding="utf-8")
    assert page.count(heading) == 1
    rows = page.split(heading)[1].split("\n\n")[0].splitlines()[2:]
    named = {key for row in rows for key in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert named == {field.alias or name for name, field in model.model_fields.items()}


def test_the_table_of_an_import_is_what_it_has_beside(root: Path) -> None:
    page = (root / "docs" / "import.md").read_text(encoding="utf-8")
    rows = page.split("| key of an import | says |")[1].split("\n\n")[0].splitlines()[2:]
    named = {key for row in rows for key in re.findall(r"`(\w+)`", row.split("|")[1])}
    more = set(ImportMapping.model_fields) - set(Mapping.model_fields)
    assert named == more | (set(ImportedChannel.model_fields) - set(ChannelMap.model_fields))


def test_the_shipped_mappings_can_be_read(root: Path) -> None:
    paths = sorted((root / "examples" / "mappings").glob("*.yaml"))
    assert len(paths) >= 6
    for path in paths:
        load_import_mapping(path)
