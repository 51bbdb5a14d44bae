"""How BIDS writes tables and their descriptions: tab-separated, ``n/a`` for what is not there, JSON beside."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from myoloop.platform.recording.layout import RecordingError

ABSENT = "n/a"
Row = Mapping[str, Any]


def label(text: str) -> str:
    """Make an entity's label of a name: letters and digits alone."""
    return re.sub(r"[^A-Za-z0-9]+", "", text) or "unnamed"


def cell(value: Any) -> str:
    """Write one value; what has no value, or none that is finite, is ``n/a``."""
    if value is None or value == "" or (isinstance(value, float | np.floating) and not math.isfinite(value)):
        return ABSENT
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float | np.floating):
        return f"{float(value):.9g}"
    return re.sub(r"[\t\r\n]+", " ", str(value)).strip() or ABSENT


def write_table(path: Path, columns: Sequence[str], rows: Sequence[Row]) -> Path:
    """Write a table with a head; what a row does not name is ``n/a``."""
    lines = ["\t".join(columns), *("\t".join(cell(row.get(name)) for name in columns) for row in rows)]
    return write_text(path, "\n".join(lines) + "\n")


def write_json(path: Path, content: Mapping[str, Any]) -> Path:
    """Write a description; keys without a value are left out."""
    kept = {key: value for key, value in content.items() if value is not None and value != ""}
    return write_text(path, json.dumps(kept, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> Path:
    """Write a file that is not there yet.

    Raises
    ------
    RecordingError
        If it is there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except FileExistsError:
        raise RecordingError(f"{path}: is already there, nothing is overwritten") from None
    return path
