"""What was tried in an ``optimise`` phase, one row each, with the best of what was known by then."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from myoloop.experiments.analysis.session import Session
from myoloop.experiments.reports.tables import MOST_ROWS, Table, number_words

#: A rating above this was not comfortable, where the record holds no plan that says so.
_USUAL_MAX = 10.0


def settings_tried(session: Session) -> Table | None:
    """One row for each train of an ``optimise`` phase; None where there was none."""
    rows = [trial for trial in session.trials if trial.kind == "optimise"]
    if not rows:
        return None
    most = _discomfort_max(session)
    cells, best = [], None
    for trial in rows:
        values = trial.values
        response, discomfort = _number(values.get("response")), _number(values.get("discomfort"))
        comfortable = discomfort is None or discomfort <= most
        if trial.outcome == "done" and response is not None and comfortable and (best is None or response > best[0]):
            best = (response, str(trial.trial))
        cells.append(
            (
                str(trial.trial), str(values.get("channel")), number_words(values.get("current_ma"), 1),
                number_words(values.get("phase_us"), 0), number_words(values.get("rate_hz"), 0),
                number_words(response, 3), number_words(discomfort, 0), trial.outcome,
                str(values.get("proposed") or ""), best[1] if best is not None else "none",
            )
        )  # fmt: skip
    columns = (
        "train", "channel", "current (mA)", "phase (µs)", "rate (Hz)", "response", "discomfort (0 to 10)", "outcome",
        "proposed because", "best so far (train)",
    )  # fmt: skip
    caption = (
        f"n = {len(rows)} trains. Best so far: the largest measured response of a comfortable train (discomfort of at "
        f"most {most:g}), as one reads it off the table; the phase itself reckons with the scatter of responses. "
        f"{_chosen(session)} Response: M-wave in µV or movement in rad, as the protocol says."
    )
    if len(cells) > MOST_ROWS:
        caption += f" {len(cells) - MOST_ROWS} more rows stand in trials.csv."
    return Table(columns, tuple(cells[:MOST_ROWS]), caption)


def _discomfort_max(session: Session) -> float:
    plan = session.settings.get("director", {}).get("plan")
    phases: Any = plan.get("phases", ()) if isinstance(plan, Mapping) else ()
    for phase in phases:
        optimise = phase.get("optimise") if isinstance(phase, Mapping) else None
        if isinstance(optimise, Mapping) and (most := _number(optimise.get("discomfort_max"))) is not None:
            return most
    return _USUAL_MAX


def _chosen(session: Session) -> str:
    chosen = [event for event in session.events if event.kind == "chosen"]
    if not chosen:
        return "No choice was made: the phase did not come to its end."
    values, why = chosen[-1].values, chosen[-1].why
    if "current_ma" not in values:
        return f"Chosen: none ({why})."
    said = f"{values.get('channel')}, {values['current_ma']:g} mA, {values['phase_us']:g} µs, {values['rate_hz']:g} Hz"
    return f"Chosen: {said} ({why})."


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
