"""What a session is as tables: its samples, evenly laid out with NaN where they were lost, and what happened."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from myoloop.experiments.analysis.mne_raw import lay_out, train_parameters, unusable
from myoloop.experiments.analysis.reading import load
from myoloop.experiments.exports.bids_recording import with_holes
from myoloop.experiments.exports.forms import FormRow
from myoloop.experiments.exports.freetext import FreeText
from myoloop.experiments.exports.opened import Opened, Piece

if TYPE_CHECKING:
    import pandas as pd

#: Who else may be named in an event besides the nodes of the rig: no one's name.
_ROLES = frozenset(
    {"controller", "director", "operator", "participant", "person", "script", "stimulator", "supervisor"}
)


class Sampled(NamedTuple):
    """A stretch of a stream, evenly laid out.

    Attributes
    ----------
    columns
        ``sample`` (counts on through gaps), ``t_s`` (host time in the session; in a gap between its neighbours'), each
        channel in its unit as float32 (NaN where it was lost), ``invalid`` (channels that must not be used, joined by
        ``;``).
    units
        By column.
    channels
        The columns that are channels, in order.
    valid
        (n, n_channels): whether a sample is there and may be used.
    """

    columns: dict[str, np.ndarray[Any, Any]]
    units: dict[str, str]
    channels: tuple[str, ...]
    valid: np.ndarray[Any, np.dtype[np.bool_]]


def samples_of(piece: Piece) -> Sampled:
    """Lay out a stretch of a stream."""
    laid, track = lay_out(piece.track), piece.track
    descriptor, numbers = track.record.descriptor, np.arange(laid.samples.shape[1])
    columns: dict[str, np.ndarray[Any, Any]] = {"sample": numbers, "t_s": np.interp(numbers, laid.at, track.t_s)}
    samples = with_holes(laid)
    names = tuple(f"{name}_" if name in ("sample", "t_s", "invalid") else name for name in descriptor.channels)
    columns |= {name: samples[:, column] for column, name in enumerate(names)}
    invalid = np.zeros(samples.shape, np.bool_)
    invalid[laid.at] = unusable(track)
    columns["invalid"] = _named(invalid, names)
    return Sampled(
        columns, {"t_s": "s", **dict(zip(names, descriptor.units, strict=True))}, names, ~(invalid | np.isnan(samples))
    )


def tables_of(opened: Opened, forms: list[FormRow], text: FreeText) -> Iterator[tuple[str, pd.DataFrame]]:
    """Give every table of a session but its samples, by name; what is free text in it was scanned.

    Raises
    ------
    UserError
        If free text is to be refused that holds what must not leave.
    """
    import pandas as pd

    session = opened.session
    recording = load(session.path)
    yield "phases", recording.phases
    yield "trials", recording.trials
    trains = [
        {"channel": channel, "begin_s": train.begin_s, "end_s": train.end_s, **train_parameters(pulses, train)}
        for channel, pulses in session.delivered().items()
        for train in pulses.trains()
    ]
    yield "trains", pd.DataFrame(trains, columns=None if trains else ["channel", "begin_s", "end_s"])
    yield (
        "pulses",
        pd.concat([_pulses(name, track) for name, track in session.delivered().items()] or [_pulses("", None)]),
    )
    yield "events", pd.DataFrame(_events(opened, text), columns=["t_s", "kind", "who", "why", "values"])
    yield "gaps", pd.DataFrame(session.gaps, columns=["begin_s", "end_s", "topic", "missing", "kind", "who"])
    yield "estimates", recording.estimates
    yield "requests", recording.decisions
    yield "reports", recording.reports
    if session.simulated:
        yield "truth", recording.truth
    if forms:
        yield "forms", pd.DataFrame([_answer(row, key, value) for row in forms for key, value in row.values.items()])


def flat(frame: pd.DataFrame) -> pd.DataFrame:
    """Give a table whose columns of mixed values are text, so that any format takes it."""
    frame = frame.reset_index(drop=True)
    for name in frame.columns:
        if frame[name].dtype == object:
            frame[name] = ["" if _is_none(value) else str(value) for value in frame[name]]
    return frame


def _is_none(value: Any) -> bool:
    return value is None or (isinstance(value, float) and np.isnan(value))


def _named(invalid: np.ndarray[Any, np.dtype[np.bool_]], names: Sequence[str]) -> np.ndarray[Any, Any]:
    """Names of the channels that are invalid, for each row."""
    patterns, which = np.unique(np.packbits(invalid, axis=1), axis=0, return_inverse=True)
    bits = np.unpackbits(patterns, axis=1, count=len(names)).astype(np.bool_)
    told = np.array([";".join(np.array(names)[row]) for row in bits], object)
    return told[which.reshape(-1)] if len(told) else np.empty(len(invalid), object)


def _pulses(channel: str, track: Any) -> pd.DataFrame:
    import pandas as pd

    from myoloop.experiments.analysis.frames import pulse_columns
    from myoloop.experiments.analysis.tracks import PulseTrack

    none = PulseTrack(*(np.empty(0),) * 3, (), np.empty(0))
    return pd.DataFrame(pulse_columns(channel, track if track is not None else none))


def _events(opened: Opened, text: FreeText) -> Iterator[tuple[float, str, str, str, str]]:
    known = _ROLES | set(opened.session.beats)
    for event in opened.session.events:
        where = f"{opened.stem}, event {event.kind} at {event.t_s:.1f} s"
        # Answers stand among the forms, cleaned by the type of their question.
        values = {} if event.kind == "form" else event.values
        said = json.dumps(_scanned(values, text, where), ensure_ascii=False, sort_keys=True) if values else ""
        who = event.who if not event.who or event.who in known else "person"
        yield event.t_s, event.kind, who, text.scanned(event.why, where), said


def _scanned(values: Mapping[str, Any], text: FreeText, where: str) -> dict[str, Any]:
    return {
        key: text.scanned(value, f"{where}, {key}") if isinstance(value, str) else value
        for key, value in values.items()
        if key != "who"
    }


def _answer(row: FormRow, key: str, value: Any) -> dict[str, Any]:
    return {"t_s": row.t_s, "form": row.form, "instance": row.instance, "question": key, "answer": str(value)}
