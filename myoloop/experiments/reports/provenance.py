"""Where every number on a page is from: which code, with which parameters, from which input."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import myoloop
from myoloop.experiments.analysis import envelope
from myoloop.experiments.analysis.session import Session
from myoloop.experiments.outcomes.attempt import Measured
from myoloop.experiments.reports import figure_trigger
from myoloop.experiments.reports.drawing import BINS, Drawn
from myoloop.experiments.reports.tables import Table
from myoloop.experiments.training.jobs import code_sha256

#: What a number on the page depends on besides the recording.
CODE = (
    "experiments/analysis", "experiments/outcomes", "experiments/reports", "experiments/review", "experiments/index",
    "controllers/estimators/scoring.py", "controllers/signals", "platform/recording",
)  # fmt: skip
_ENVELOPE = {
    "band_hz": list(envelope.BAND_HZ), "window_s": envelope.WINDOW_S, "hop_s": envelope.HOP_S,
    "left_out_about_a_pulse_s": list(envelope.PULSE_S), "share_min": envelope.SHARE_MIN,
}  # fmt: skip
#: Parameters of a figure, by its name; of others none but how lines are thinned out.
_OF_FIGURES: dict[str, dict[str, Any]] = {
    "timeline": _ENVELOPE,
    "trigger": {**_ENVELOPE, "around_s": list(figure_trigger.AROUND_S), "step_s": figure_trigger.STEP_S,
                "interval": 0.95, "triggers_min": figure_trigger.TRIGGERS_MIN},
    "recruitment": {"current_step_ma": 0.5},
    "contractions": {"slope": "Theil and Sen", "interval": 0.95},
    "fatigue": {"as": "estimated while the session ran"},
}  # fmt: skip


def facts(session: Session) -> list[tuple[str, str]]:
    """Code and input, label and value."""
    told = session.metadata
    rows = [
        ("myoloop", myoloop.__version__),
        ("Code, SHA-256", code_sha256(CODE)),
        ("Recording, SHA-256", file_sha256(session.path)),
        ("Protocol, SHA-256", told.get("sha256.protocol.yaml") or told.get("sha256.protocol", "")),
    ]
    for name in ("review.jsonl",):
        beside = session.path.parent / name
        if beside.is_file():
            rows.append((f"{name}, SHA-256", file_sha256(beside)))
    return [(label, value) for label, value in rows if value]


def parameters(measured: Measured, figures: Sequence[Drawn]) -> Table:
    """One row for each outcome and figure: how it is made and with which numbers."""
    rows = [(f"outcome {row['outcome']}", row["method"], words(row["parameters"]) or "none") for row in measured.rows()]
    rows += [
        (f"figure {each.name}", each.title, words({**_OF_FIGURES.get(each.name, {}), "bins": BINS})) for each in figures
    ]
    caption = (
        f"n = {len(rows)}. Every number on this page is made by the code above, with these parameters, from the "
        f"recording above; tables without a row here count or copy what the recording says, as their captions tell."
    )
    return Table(("what", "how it is made", "parameters"), tuple(rows), caption)


def file_sha256(path: Path) -> str:
    """Of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def words(values: Any) -> str:
    """Parameters on one line, in their order."""
    if isinstance(values, dict):
        return ", ".join(f"{name} {words(value)}" for name, value in values.items())
    if isinstance(values, list | tuple):
        return f"[{', '.join(map(words, values))}]"
    return f"{values:.6g}" if isinstance(values, float) else str(values)
