"""The page's tables name every key that a mapping file may have, and no other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from myoloop.acquisition.mapping import ChannelMap, Mapping


@pytest.mark.parametrize(
    ("model", "heading"), [(Mapping, "| key | says |"), (ChannelMap, "| key of a channel | says |")]
)
def test_the_table_is_the_formats(root: Path, model: type[BaseModel], heading: str) -> None:
    page = (root / "docs" / "rig.md").read_text(encoding="utf-8")
    assert page.count(heading) == 1
    rows = page.split(heading)[1].split("\n\n")[0].splitlines()[2:]
    named = {key for row in rows for key in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert named == {field.alias or name for name, field in model.model_fields.items()}
