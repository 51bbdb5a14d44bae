"""A session as Parquet files: one for each stretch of a stream, one for each table.

Where the numbers come from stands in each file's metadata (keys ``myoloop.<what>``), units in that of its columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from myoloop.experiments.exports.forms import FormRow
from myoloop.experiments.exports.freetext import FreeText
from myoloop.experiments.exports.opened import Opened
from myoloop.experiments.exports.outfiles import whole_or_nothing
from myoloop.experiments.exports.tables import flat, samples_of, tables_of


def write_parquet(opened: Opened, forms: list[FormRow], text: FreeText, out: Path) -> list[Path]:
    """Write a session into a folder of its own in `out`.

    Raises
    ------
    RecordingError
        If the folder is there already, or cannot be written.
    """
    folder = out / opened.stem
    written = []
    with whole_or_nothing(out, [folder]):
        folder.mkdir(parents=True)
        for name, table in arrow_tables(opened, forms, text):
            file = folder / f"{name}.parquet"
            pq.write_table(table, file, compression="zstd")
            written.append(file)
    return written


def arrow_tables(opened: Opened, forms: list[FormRow], text: FreeText) -> list[tuple[str, Any]]:
    """Give everything of a session as Arrow tables, samples first, by the name of their file."""
    # What must be refused is refused before anything is written.
    said = [
        (name, pa.Table.from_pandas(flat(frame), preserve_index=False))
        for name, frame in tables_of(opened, forms, text)
    ]
    tables = []
    for piece in opened.pieces:
        sampled = samples_of(piece)
        segment = {"segment": f"{piece.number} of {piece.of}", "rate_hz": repr(piece.track.rate_hz)}
        tables.append(
            (
                f"samples_{piece.name}",
                _described(pa.table(sampled.columns), {**opened.provenance, **segment}, sampled.units),
            )
        )
    return [*tables, *((name, _described(table, opened.provenance, {})) for name, table in said)]


def _described(table: Any, made: Mapping[str, str], units: Mapping[str, str]) -> Any:
    fields = [
        field.with_metadata({"unit": units[field.name]}) if field.name in units else field for field in table.schema
    ]
    metadata = {f"myoloop.{key}": value for key, value in made.items()}
    return table.cast(pa.schema(fields, metadata=metadata))
