"""A session as one MATLAB file (version 5): a struct of streams with units, and a struct of tables.

.. code-block:: matlab

   s = load('sub-P017_ses-03_att-2.mat');
   plot(s.streams.emg_amplifier.t_s, s.streams.emg_amplifier.data(:, 1))
   s.streams.emg_amplifier.units
   s.about.simulated_in_words
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from myoloop.experiments.exports.forms import FormRow
from myoloop.experiments.exports.freetext import FreeText
from myoloop.experiments.exports.opened import Opened, Piece
from myoloop.experiments.exports.outfiles import check_folder, refuse_existing, whole_or_nothing
from myoloop.experiments.exports.tables import flat, samples_of, tables_of
from myoloop.platform.recording.layout import RecordingError

SUFFIX = ".mat"
#: What one variable of a version 5 file can hold.
_MOST_BYTES = 2**31 - 1
_NAME_MAX = 63


def write_matlab(opened: Opened, forms: list[FormRow], text: FreeText, out: Path) -> list[Path]:
    """Write a session; `out` is a folder, or the file's name.

    Raises
    ------
    RecordingError
        If the file is there already, cannot be written, or would be larger than the format allows.
    """
    from scipy.io import savemat

    if out.suffix != SUFFIX:
        check_folder(out, SUFFIX)
        out = out / f"{opened.stem}{SUFFIX}"
    refuse_existing([out])
    tables = {name: _struct(flat(frame)) for name, frame in tables_of(opened, forms, text)}
    streams = {_field(piece.name): _stream(piece) for piece in opened.pieces}
    size = sum(each["data"].nbytes + each["valid"].nbytes + each["t_s"].nbytes for each in streams.values())
    if size > _MOST_BYTES:
        raise RecordingError(
            f"{opened.session.path}: {size / 1e9:.1f} GB of samples, a MATLAB file can hold 2.1; take parquet"
        )
    content = {"about": dict(opened.provenance), "streams": streams, "tables": tables}
    with whole_or_nothing(out, [out]):
        out.parent.mkdir(parents=True, exist_ok=True)
        savemat(out, content, format="5", long_field_names=True, do_compression=True, oned_as="column")
    return [out]


def _stream(piece: Piece) -> dict[str, Any]:
    sampled = samples_of(piece)
    descriptor = piece.track.record.descriptor
    return {
        "topic": descriptor.topic,
        "rate_hz": descriptor.rate_hz,
        "channels": _cells(sampled.channels),
        "units": _cells([sampled.units[name] for name in sampled.channels]),
        "t_s": sampled.columns["t_s"],
        "data": np.column_stack([sampled.columns[name] for name in sampled.channels]),
        "valid": sampled.valid,
        "segment": float(piece.number),
        "segments": float(piece.of),
        "device": descriptor.device,
    }


def _struct(frame: Any) -> dict[str, Any]:
    return {_field(str(name)): _column(frame[name]) for name in frame.columns} or {"empty": np.empty(0)}


def _column(series: Any) -> np.ndarray[Any, Any]:
    if series.dtype.kind in "fiub":
        return np.asarray(series)
    return _cells(["" if value is None else str(value) for value in series])


def _cells(texts: Sequence[str]) -> np.ndarray[Any, Any]:
    cells = np.empty(len(texts), object)
    cells[:] = texts
    return cells


def _field(name: str) -> str:
    """Make a field's name of a text: letters, digits and underscores, a letter first."""
    field = re.sub(r"\W", "_", name, flags=re.ASCII)[:_NAME_MAX]
    return field if field[:1].isalpha() else f"x{field}"[:_NAME_MAX]
