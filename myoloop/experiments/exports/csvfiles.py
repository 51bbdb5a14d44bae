"""A session as CSV files, the same tables as in Parquet, and ``about.json``: where they come from, and units."""

from __future__ import annotations

import json
from pathlib import Path

from pyarrow import csv

from myoloop.experiments.exports.forms import FormRow
from myoloop.experiments.exports.freetext import FreeText
from myoloop.experiments.exports.opened import Opened
from myoloop.experiments.exports.outfiles import whole_or_nothing
from myoloop.experiments.exports.parquet import arrow_tables

ABOUT = "about.json"


def write_csv(opened: Opened, forms: list[FormRow], text: FreeText, out: Path) -> list[Path]:
    """Write a session into a folder of its own in `out`; NaN is an empty cell.

    Raises
    ------
    RecordingError
        If the folder is there already, or cannot be written.
    """
    folder = out / opened.stem
    written = []
    files = {}
    with whole_or_nothing(out, [folder]):
        folder.mkdir(parents=True)
        for name, table in arrow_tables(opened, forms, text):
            file = folder / f"{name}.csv"
            csv.write_csv(table, file)
            written.append(file)
            said = {key.decode(): value.decode() for key, value in table.schema.metadata.items()}
            more = {
                key.removeprefix("myoloop."): said[key] for key in ("myoloop.segment", "myoloop.rate_hz") if key in said
            }
            units = {f.name: f.metadata[b"unit"].decode() for f in table.schema if f.metadata and b"unit" in f.metadata}
            files[file.name] = {**more, **({"units": units} if units else {})}
        about = {**opened.provenance, "files": files}
        written.append(folder / ABOUT)
        written[-1].write_text(json.dumps(about, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return written
