"""What the detector found in a recording: bursts with their kind, and contractions, as it told them while it ran."""

from __future__ import annotations

from collections.abc import Iterator

from myoloop.experiments.analysis.bursts import detected
from myoloop.experiments.analysis.session import Session
from myoloop.experiments.review.labels import Label, Span, number_labels
from myoloop.platform.messages import Estimate, MuscleEstimate
from myoloop.platform.recording.reader import Recording

CLONUS = "clonus"
#: Times are told to the microsecond: what is finer than that is no difference between two labels.
_DIGITS = 6


def detections(session: Session) -> tuple[Label, ...]:
    """Every event of every heard muscle, in order of time."""
    told = _told(session)
    found = []
    for muscle, rows in told.items():
        kinds = _kinds(rows)
        for burst in detected((t_s, row.spasm.value, _onset_s(session, row.spasm_onset_ns)) for t_s, row in rows):
            span = _span(burst.begin_s, burst.end_s)
            found.append((CLONUS if _is_clonus(span, kinds) else "spasm", muscle, span))
        for pull in detected(
            (t_s, float(row.effort_onset_ns is not None), _onset_s(session, row.effort_onset_ns)) for t_s, row in rows
        ):
            found.append(("contraction", muscle, _span(pull.begin_s, pull.end_s)))
    return number_labels(found)


def _told(session: Session) -> dict[str, list[tuple[float, MuscleEstimate]]]:
    rows: dict[str, list[tuple[float, MuscleEstimate]]] = {}
    for estimate in _estimates(session):
        t_s = (estimate.t_ns - session.zero_ns) * 1e-9
        for each in estimate.muscles:
            rows.setdefault(each.muscle, []).append((t_s, each))
    return rows


def _estimates(session: Session) -> Iterator[Estimate]:
    for received, _ in Recording.open(session.path).messages({"estimate"}):
        if isinstance(received.message, Estimate):
            yield received.message


def _kinds(rows: list[tuple[float, MuscleEstimate]]) -> list[float]:
    """When a burst was on and of the kind clonus."""
    return [t_s for t_s, row in rows if row.spasm_kind == CLONUS and (row.spasm.value or 0.0) > 0.5]


def _is_clonus(span: Span, clonic_s: list[float]) -> bool:
    return any(span.begin_s <= t_s and (span.end_s is None or t_s < span.end_s) for t_s in clonic_s)


def _onset_s(session: Session, onset_ns: int | None) -> float | None:
    return None if onset_ns is None else (onset_ns - session.zero_ns) * 1e-9


def _span(begin_s: float, end_s: float | None) -> Span:
    return Span(round(begin_s, _DIGITS), None if end_s is None else round(end_s, _DIGITS))
