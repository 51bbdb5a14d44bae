"""BDF+ (24 bit) and EDF+ (16 bit) files with annotations, written with edfio.

A sample is kept to within half a step of the file: the greatest size of a sample of its channel, either way, over
2^23 - 1 steps of BDF and 2^15 - 1 of EDF, so that 0 is 0. One stimulation artifact widens the range, and with it the
steps of EDF: take BDF for what was recorded under stimulation. Lost samples are zeros under ``BAD_gap``, samples that
are no finite number zeros under ``BAD_invalid``. A data record must be full: where the samples do not fill the last
one, zeros under ``BAD_padding`` do.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, time
from decimal import ROUND_CEILING, Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import edfio
import numpy as np
import numpy.typing as npt

from myoloop.experiments.analysis.mne_raw import Laid, Mark, channels_of, finite, lay_out, marks_of, measured_at
from myoloop.experiments.exports.opened import Opened, Piece
from myoloop.experiments.exports.outfiles import names_of, whole_or_nothing
from myoloop.platform.recording.layout import RecordingError

#: Characters that a header has for a channel's name, and for a number.
LABEL, NUMBER = 16, 8
#: The greatest digital value of each format, either way.
_MOST = {"bdf": 2**23 - 1, "edf": 2**15 - 1}
#: A data record is at most this long, and at least a twentieth of it, wherever the number of samples allows.
_RECORD_S = 1.0
_MICROVOLT = "uV"


class Grid(NamedTuple):
    """The values that a channel of a file can have: from -`most` to `most` in its unit, in `steps` either way."""

    most: float
    steps: int

    @property
    def step(self) -> float:
        """Distance of two neighbours."""
        return self.most / self.steps


def write_edf(opened: Opened, out: Path, kind: str = "bdf") -> list[Path]:
    """Write each stream as a file with annotations.

    EMG is in uV, everything else in its own unit. The date is set only where the wall time is known.

    Parameters
    ----------
    out
        A folder, or the first file's name.
    kind
        ``bdf`` or ``edf``.

    Raises
    ------
    RecordingError
        If a file is there already or cannot be written.
    """
    files = names_of(opened, [piece.name for piece in opened.pieces], out, f".{kind}", kind.upper())
    with whole_or_nothing(out, files):
        files[0].parent.mkdir(parents=True, exist_ok=True)
        for file, piece in zip(files, opened.pieces, strict=True):
            laid = lay_out(piece.track)
            marks = marks_of(opened.session, [piece.track], [laid])
            write_piece(opened, piece, laid, file, kind=kind, marks=marks)
    return files


def write_piece(
    opened: Opened, piece: Piece, laid: Laid, file: Path, *, kind: str = "bdf", marks: Iterable[Mark] | None = None
) -> int:
    """Write one stretch of a stream.

    Parameters
    ----------
    marks
        What becomes annotations, and the date with them; None for a plain file without either, as BIDS wants.

    Returns
    -------
    int
        How many samples were padded.
    """
    descriptor = piece.track.record.descriptor
    rate_hz = descriptor.rate_hz
    length = laid.samples.shape[1]
    record, padded = fill_records(length, rate_hz)
    seconds = float(eight(record / Fraction(rate_hz)))
    signals = []
    for column, (label, unit) in enumerate(zip(labels_of(piece), descriptor.units, strict=True)):
        values, said = (finite(laid.samples[column].astype(np.float64)), unit)
        if unit == "V":
            values, said = values * 1e6, _MICROVOLT
        digital, grid = quantise(np.append(values, np.zeros(padded)), kind)
        signals.append(
            _signal(kind).from_digital(
                digital,
                # Of the header's own numbers, so that both agree to the last digit.
                record / seconds,
                label=label,
                physical_dimension="" if said == "1" else said,
                physical_range=(-grid.most, grid.most),
                digital_range=(-grid.steps, grid.steps),
                transducer_type="simulated" if opened.session.simulated else "",
            )
        )
    measured = measured_at(opened.session, piece.track) if marks is not None else None
    annotations = None
    if marks is not None:
        annotations = list(_annotations(opened, marks, length / rate_hz, padded / rate_hz))
    made = (edfio.Bdf if kind == "bdf" else edfio.Edf)(
        signals,
        patient=edfio.Patient(code=opened.person or "X"),
        recording=_recording(opened, measured),
        starttime=None if measured is None else _clock(measured),
        data_record_duration=seconds,
        annotations=annotations,
    )
    made.write(file)
    return padded


def quantise(values: npt.NDArray[np.float64], kind: str) -> tuple[npt.NDArray[Any], Grid]:
    """Round finite values to the finest grid that holds them and 0, and whose ends fit into a header.

    Returns
    -------
    digital
        (n,) int32 of BDF, int16 of EDF.
    grid
        What they stand for.

    Raises
    ------
    RecordingError
        If a value is too large for a header.
    """
    size = float(np.abs(values).max(initial=0.0)) or 1.0
    # The sign takes one character of the eight.
    grid = Grid(float(eight(size, NUMBER - 1, ROUND_CEILING)), _MOST[kind])
    digital = np.clip(np.round(values / grid.step), -grid.steps, grid.steps)
    return digital.astype(np.int32 if kind == "bdf" else np.int16), grid


def eight(value: float | Fraction, room: int = NUMBER, rounding: str | None = None) -> Decimal:
    """Write a number that is not below 0 in the eight characters of a header.

    Parameters
    ----------
    room
        How many characters there are.
    rounding
        Of :mod:`decimal`; None to the nearest.

    Raises
    ------
    RecordingError
        If it is too large for them.
    """
    exact = Decimal(value) if isinstance(value, float) else Decimal(value.numerator) / Decimal(value.denominator)
    for places in range(room - 2, -1, -1):
        text = f"{exact.quantize(Decimal(1).scaleb(-places), rounding=rounding):f}"
        # Nothing is written with more digits than it has.
        text = text.rstrip("0").rstrip(".") if "." in text else text
        if len(text) <= room:
            return Decimal(text)
    raise RecordingError(f"found {float(value):g}, too large for the header of an EDF or BDF file")


def fill_records(length: int, rate_hz: float) -> tuple[int, int]:
    """Say how many samples a data record has, and how many are missing in the last one.

    The length of a record must be exact in eight characters. Records that leave none missing are preferred.
    """
    rate = Fraction(rate_hz).limit_denominator(10**6)
    most, least = max(1, math.floor(_RECORD_S * rate)), max(1, math.ceil(_RECORD_S / 20 * rate))
    for number in range(most, least - 1, -1):
        if length % number == 0 and _is_exact(number / rate):
            return number, 0
    for number in range(least, most + 1):
        if _is_exact(number / rate):
            return number, -length % number
    # A rate such as 148.148 Hz: all in one record, whose length is as exact as it can be said.
    return length, 0


def labels_of(piece: Piece) -> list[str]:
    """Name the channels within 16 characters of ASCII; what does not fit is numbered."""
    names = channels_of([piece.track])[0]
    fitting = [name if name.isascii() and name.isprintable() and len(name) <= LABEL else "" for name in names]
    return [name or f"ch{number}" for number, name in enumerate(fitting, 1)]


def _is_exact(seconds: Fraction) -> bool:
    try:
        return Fraction(eight(seconds)) == seconds
    except RecordingError:
        return False


def _signal(kind: str) -> Any:
    return edfio.BdfSignal if kind == "bdf" else edfio.EdfSignal


def _annotations(
    opened: Opened, marks: Iterable[Mark], length_s: float, padded_s: float
) -> Iterable[edfio.EdfAnnotation]:
    made = opened.provenance
    said = [
        *([opened.simulated] if opened.simulated else []),
        f"{made['generator']} {made['generator_version']}",
        f"input sha256 {made['input_sha256']}",
    ]
    for text in said:
        yield edfio.EdfAnnotation(0.0, None, text)
    for mark in marks:
        channels = f" {','.join(mark.channels)}" if mark.channels else ""
        parameters = "".join(f" {name}={_shown(value)}" for name, value in mark.extras.items())
        yield edfio.EdfAnnotation(mark.onset_s, mark.length_s or None, f"{mark.what}{channels}{parameters}")
    if padded_s:
        yield edfio.EdfAnnotation(length_s, padded_s, "BAD_padding")


def _shown(value: float | str) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _recording(opened: Opened, measured: datetime | None) -> edfio.Recording:
    made = opened.provenance
    words: Sequence[str] = (
        *(("SIMULATED",) if opened.session.simulated else ()),
        f"myoloop-{made['generator_version']}",
        f"sha256-{made['input_sha256'][:16]}",
    )
    return edfio.Recording(startdate=None if measured is None else measured.astimezone(UTC).date(), additional=words)


def _clock(measured: datetime) -> time:
    return measured.astimezone(UTC).time()
