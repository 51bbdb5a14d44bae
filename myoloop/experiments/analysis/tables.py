"""The tidy tables of a session: one row per session, trial, train, pulse, event, answer, outcome.

Every row says of which session and person it is, whether that was simulated, and by which version of the code it was
made. Times are seconds of the session. What an estimator called not valid has no value here, and the reason beside it:
no table has a fatigue value of windows that stimulation or an artifact made unfit.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

import myoloop
from myoloop.experiments.analysis.frames import answers
from myoloop.experiments.analysis.latency import percentiles
from myoloop.experiments.analysis.session import Session
from myoloop.experiments.analysis.summary import summarise
from myoloop.experiments.analysis.tracks import MeasureTrack, MuscleTrack, PulseTrack
from myoloop.experiments.outcomes.attempt import Diary, Measured, measure

Row = dict[str, Any]
_TEXT, _NUMBER, _COUNT, _FLAG = pa.string(), pa.float64(), pa.int64(), pa.bool_()


class SessionKey(NamedTuple):
    """Which session a row is of, and what the index of the study says of it.

    Attributes
    ----------
    session
        ``sub-P017/ses-05/att-1``.
    status, grade, reasons
        Of the index; the reasons are what kept it from a better grade.
    last_attempt
        Whether no later attempt at the same session is in the tables; a cohort uses no other one.
    """

    session: str
    person: str
    session_number: int
    attempt: int
    status: str = ""
    grade: str = ""
    reasons: str = ""
    last_attempt: bool = True


#: What every row of every table begins with.
KEY = (
    ("session", _TEXT), ("person", _TEXT), ("session_number", _COUNT), ("attempt", _COUNT), ("last_attempt", _FLAG),
    ("simulated", _FLAG), ("code_version", _TEXT),
)  # fmt: skip
_FATIGUE = (
    ("muscle", _TEXT), ("fatigue", _NUMBER), ("fatigue_low", _NUMBER), ("fatigue_high", _NUMBER),
    ("fatigue_why_not", _TEXT),
)  # fmt: skip
_COLUMNS: dict[str, tuple[tuple[str, pa.DataType], ...]] = {
    "sessions": (
        ("session_id", _TEXT), ("status", _TEXT), ("grade", _TEXT), ("reasons", _TEXT), ("outcome", _TEXT),
        ("reason", _TEXT), ("blinded", _FLAG), ("emg_origin", _TEXT), ("stimulation_origin", _TEXT),
        ("body_origin", _TEXT), ("wall_start", pa.timestamp("ms", tz="UTC")), ("duration_s", _NUMBER),
        ("protocol", _TEXT), ("protocol_version", _TEXT), ("policy", _TEXT), ("rig_class", _TEXT),
        ("recorded_version", _TEXT), ("emg_channels", _COUNT), ("emg_rate_hz", _NUMBER), ("emg_samples", _COUNT),
        ("gaps", _COUNT), ("trials", _COUNT), ("trials_done", _COUNT), ("requests", _COUNT), ("pulses", _COUNT),
        ("pulses_known_by", _TEXT), ("charge_mc", _NUMBER), ("stimulation_s", _NUMBER), ("gate_limited", _COUNT),
        ("gate_rounded", _COUNT), ("stops", _COUNT), ("spasms_detected", _COUNT), ("spasms_true", _COUNT), *_FATIGUE,
        ("fatigue_valid_share", _NUMBER), ("fatigue_at_s", _NUMBER), ("fatigue_true_end", _NUMBER),
        ("emg_to_request_p50_ms", _NUMBER), ("emg_to_request_p99_ms", _NUMBER), ("outcomes_missing", _TEXT),
    ),
    "trials": (
        ("kind", _TEXT), ("name", _TEXT), ("block", _COUNT), ("trial", _COUNT), ("outcome", _TEXT),
        ("begin_s", _NUMBER), ("trigger_s", _NUMBER), ("end_s", _NUMBER), ("charge_mc", _NUMBER),
        ("effort_after_ms", _NUMBER), *_FATIGUE, ("values", _TEXT),
    ),
    "trains": (
        ("channel", _TEXT), ("muscle", _TEXT), ("train", _COUNT), ("phase", _TEXT), ("trial", _COUNT),
        ("begin_s", _NUMBER), ("end_s", _NUMBER), ("pulses", _COUNT), ("current_ma", _NUMBER),
        ("current_max_ma", _NUMBER), ("phase_us", _NUMBER), ("rate_hz", _NUMBER), ("charge_uc", _NUMBER),
        ("known_by", _TEXT),
    ),
    "pulses": (
        ("channel", _TEXT), ("train", _COUNT), ("t_s", _NUMBER), ("current_ma", _NUMBER), ("phase_us", _NUMBER),
        ("charge_uc", _NUMBER), ("known_by", _TEXT), ("uncertainty_ms", _NUMBER),
    ),
    "events": (("t_s", _NUMBER), ("kind", _TEXT), ("who", _TEXT), ("why", _TEXT), ("values", _TEXT)),
    "forms": (
        ("form", _TEXT), ("told", _TEXT), ("t_s", _NUMBER), ("who", _TEXT), ("field", _TEXT), ("number", _NUMBER),
        ("text", _TEXT),
    ),
    "outcomes": (
        ("outcome", _TEXT), ("of", _TEXT), ("part", _TEXT), ("text", _TEXT), ("unit", _TEXT), ("value", _NUMBER),
        ("valid", _FLAG), ("n", _COUNT), ("code", _TEXT), ("why", _TEXT), ("doubt", _TEXT), ("method", _TEXT),
        ("parameters", _TEXT), ("are", _TEXT), ("labels", _TEXT),
    ),
}  # fmt: skip
SCHEMAS: dict[str, pa.Schema] = {name: pa.schema([*KEY, *columns]) for name, columns in _COLUMNS.items()}
TABLES = tuple(SCHEMAS)


def session_tables(
    session: Session, key: SessionKey, diary: Diary = (), *, corrected: bool = False
) -> dict[str, pa.Table]:
    """Make the tables of one session.

    Parameters
    ----------
    key
        Which it is in its study.
    diary
        What the person wrote down after it.
    corrected
        Whether outcomes of spasms are of the labels that a person corrected.

    Returns
    -------
    dict
        By name, each as :data:`SCHEMAS` says.
    """
    measured = measure(session, corrected=corrected)
    rows = {
        "sessions": [_session(session, key, measured)],
        "trials": _trials(session),
        "trains": list(_trains(session)),
        "events": [_event(row) for row in session.events],
        "forms": [*_forms(session), *_diary(diary)],
        "outcomes": list(_outcomes(measured)),
    }
    tables = {name: _table(name, session, key, _columns(name, told), len(told)) for name, told in rows.items()}
    pulses = _pulses(session)
    tables["pulses"] = _table("pulses", session, key, pulses, len(pulses["t_s"]))
    return {name: tables[name] for name in TABLES}


def _columns(name: str, rows: Sequence[Row]) -> dict[str, Any]:
    return {column: [_known(row.get(column)) for row in rows] for column, _ in _COLUMNS[name]}


def _known(value: Any) -> Any:
    """A number that is none is missing, not a NaN that some programs count."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _table(name: str, session: Session, key: SessionKey, columns: Mapping[str, Any], length: int) -> pa.Table:
    same = {
        "session": key.session,
        "person": key.person,
        "session_number": key.session_number,
        "attempt": key.attempt,
        "last_attempt": key.last_attempt,
        "simulated": session.simulated,
        "code_version": myoloop.__version__,
    }
    arrays = [
        pa.repeat(pa.scalar(same[field.name], field.type), length)
        if field.name in same
        else pa.array(columns[field.name], field.type, from_pandas=True)
        for field in SCHEMAS[name]
    ]
    return pa.Table.from_arrays(arrays, schema=SCHEMAS[name])


def _session(session: Session, key: SessionKey, measured: Measured) -> Row:
    told = summarise(session, measured)
    delivered = session.delivered()
    trains = [train for pulses in delivered.values() for train in pulses.trains()]
    emg = session.emg()
    muscle = told["fatigue_muscle"]
    fatigue = session.muscles[muscle].fatigue if muscle in session.muscles else None
    origins = told["origins"] or {}
    # Under a virtual clock the times are settings, as in the index.
    latency = percentiles(np.empty(0) if session.lockstep else session.latencies_ms["emg_to_request"])
    same = (
        "outcome", "reason", "duration_s", "gaps", "trials", "trials_done", "requests", "gate_limited", "gate_rounded",
        "stops", "spasms_detected", "spasms_true", "fatigue_true_end", "session_id", "outcomes_missing",
    )  # fmt: skip
    return {
        **{name: told[name] for name in same},
        "status": key.status,
        "grade": key.grade,
        "reasons": key.reasons,
        "blinded": session.metadata.get("blinded") == "true",
        **{f"{part}_origin": origins.get(part) for part in ("emg", "stimulation", "body")},
        "wall_start": session.wall_start,
        **{name: session.metadata.get(name) for name in ("protocol", "protocol_version", "policy", "rig_class")},
        "recorded_version": session.metadata.get("version.myoloop"),
        "emg_channels": sum(_is_emg(track.record.descriptor.units) for track in emg),
        "emg_rate_hz": emg[0].rate_hz if emg else None,
        "emg_samples": told["samples"],
        "pulses": told["delivered_pulses"],
        "pulses_known_by": told["delivered_basis"],
        "charge_mc": math.fsum(float(pulses.charge_uc.sum()) for pulses in delivered.values()) * 1e-3,
        "stimulation_s": math.fsum(train.until(session.end_s) - train.begin_s for train in trains),
        **_fatigue_at_end(muscle, session.muscles.get(muscle) if muscle is not None else None),
        "fatigue_valid_share": float(fatigue.valid.mean()) if fatigue is not None and len(fatigue.valid) else None,
        "emg_to_request_p50_ms": latency["p50_ms"],
        "emg_to_request_p99_ms": latency["p99_ms"],
    }


def _is_emg(units: Sequence[str]) -> int:
    return sum(unit == "V" for unit in units)


def _fatigue_at_end(muscle: str | None, track: MuscleTrack | None) -> Row:
    """The newest valid value, and when that was; why there is none, where there never was one."""
    if muscle is None or track is None:
        return {"muscle": muscle, "fatigue_why_not": "no muscle was estimated"}
    known = np.flatnonzero(track.fatigue.valid & np.isfinite(track.fatigue.value))
    if not len(known):
        return {"muscle": muscle, "fatigue_why_not": "; ".join(track.fatigue.reasons) or "never estimated"}
    return {"muscle": muscle, "fatigue_at_s": float(track.t_s[known[-1]]), **_valid(track.fatigue, int(known[-1]))}


def _valid(track: MeasureTrack, at: int) -> Row:
    """A value that may be relied upon; else why there is none."""
    if not track.valid[at]:
        return {"fatigue_why_not": track.why_not(at)}
    return {
        "fatigue": float(track.value[at]),
        "fatigue_low": float(track.low[at]),
        "fatigue_high": float(track.high[at]),
        "fatigue_why_not": "",
    }


def _trials(session: Session) -> list[Row]:
    muscle = session.stimulated_muscle
    track = session.muscles.get(muscle) if muscle is not None else None
    rows = []
    for trial, (begin_s, trigger_s, end_s) in zip(session.trials, session.trial_times_s, strict=True):
        at = -1 if track is None else int(np.searchsorted(track.t_s, end_s, "right")) - 1
        fatigue = {"fatigue_why_not": "nothing was estimated by then"}
        if track is not None and at >= 0 and track.t_s[at] >= begin_s:
            fatigue = _valid(track.fatigue, at)
        rows.append(
            {
                "kind": trial.kind,
                "name": trial.name,
                "block": trial.block,
                "trial": trial.trial,
                "outcome": trial.outcome,
                "begin_s": begin_s,
                "trigger_s": trigger_s,
                "end_s": end_s,
                "charge_mc": _number(trial.values.get("charge_mc")),
                "effort_after_ms": _number(trial.values.get("effort_after_ms")),
                "values": _json(trial.values),
                **({"muscle": muscle, **fatigue} if trial.kind == "block" else {}),
            }
        )
    return rows


def _trains(session: Session) -> Iterator[Row]:
    muscles = {channel: site.muscle for site in session.sites for channel in site.stimulated_by}
    for channel, pulses in session.delivered().items():
        for number, rows in enumerate(_runs(pulses), 1):
            begin_s, end_s = float(pulses.t_s[rows][0]), float(pulses.t_s[rows][-1])
            apart_s = np.diff(pulses.t_s[rows])
            phase = next((each.name for each in session.phases if each.begin_s <= begin_s < each.end_s), None)
            trial = next((s.trial for s in session.trial_spans if s.begin_s <= begin_s < s.end_s), None)
            yield {
                "channel": channel,
                "muscle": muscles.get(channel),
                "train": number,
                "phase": phase,
                "trial": trial,
                "begin_s": begin_s,
                "end_s": end_s,
                "pulses": len(pulses.t_s[rows]),
                "current_ma": float(pulses.current_ma[rows].mean()),
                "current_max_ma": float(pulses.current_ma[rows].max()),
                "phase_us": float(pulses.phase_us[rows].mean()),
                "rate_hz": float(1.0 / np.median(apart_s)) if len(apart_s) and np.median(apart_s) > 0 else None,
                "charge_uc": float(pulses.charge_uc[rows].sum()),
                "known_by": "/".join(sorted(set(pulses.kind[rows]))),
            }


def _runs(pulses: PulseTrack) -> list[slice]:
    """Which pulses are those of each train."""
    begins = [int(np.searchsorted(pulses.t_s, train.begin_s)) for train in pulses.trains()]
    return [slice(begin, end) for begin, end in zip(begins, [*begins[1:], len(pulses)], strict=True)]


def _pulses(session: Session) -> dict[str, Any]:
    parts: list[dict[str, Any]] = []
    for channel, pulses in session.delivered().items():
        train = np.zeros(len(pulses), np.int64)
        for number, rows in enumerate(_runs(pulses), 1):
            train[rows] = number
        parts.append(
            {
                "channel": np.full(len(pulses), channel, object),
                "train": train,
                "t_s": pulses.t_s,
                "current_ma": pulses.current_ma,
                "phase_us": pulses.phase_us,
                "charge_uc": pulses.charge_uc,
                "known_by": np.array(pulses.kind, object),
                "uncertainty_ms": pulses.uncertainty_s * 1e3,
            }
        )
    names = [name for name, _ in _COLUMNS["pulses"]]
    return {name: np.concatenate([part[name] for part in parts]) if parts else np.empty(0) for name in names}


def _event(row: Any) -> Row:
    return {"t_s": row.t_s, "kind": row.kind, "who": row.who, "why": row.why, "values": _json(row.values)}


def _forms(session: Session) -> Iterator[Row]:
    for t_s, form, who, field, value in answers(session.events):
        yield {"form": form, "told": "session", "t_s": t_s, "who": who, "field": field, **_answer(value)}


def _diary(diary: Diary) -> Iterator[Row]:
    for form, values in diary:
        for field, value in values.items():
            if value is not None:
                yield {"form": form, "told": "diary", "field": field, **_answer(value)}


def _answer(value: Any) -> Row:
    number = _number(value)
    return {"number": number} if number is not None else {"text": value if isinstance(value, str) else _json(value)}


def _outcomes(measured: Measured) -> Iterator[Row]:
    told = measured.as_data()
    for row in told["outcomes"]:
        valid = bool(row["valid"])
        same = {
            **{name: row[name] for name in ("outcome", "part", "text", "unit", "n", "why", "doubt", "method")},
            "valid": valid,
            "parameters": _json(row["parameters"]),
            "are": told["outcomes_are"],
            "labels": told["outcomes_labels"],
        }
        yield {**same, "of": "", "value": row["value"] if valid else None, "code": row["code"]}
        for of, value in (row["parts"] or {}).items():
            yield {**same, "of": of, "value": value if valid else None}
        for of, code in (row["codes"] or {}).items():
            yield {**same, "of": of, "code": code}


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)
