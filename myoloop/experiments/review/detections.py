"""What the detector found in a recording: bursts with their kind, and contractions, as it told them while it ran."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from myoloop.experiments.analysis.bursts import detected
from myoloop.experiments.analysis.session import Session
from myoloop.experiments.review.labels import Label, Span, number_labels
from myoloop.platform.messages import Estimate
from myoloop.platform.recording.reader import Recording

CLONUS = "clonus"
#: Times are told to the microsecond: what is finer than that is no difference between two labels.
_DIGITS = 6


class _Told(NamedTuple):
    """Of one muscle at one estimate: whether a burst is on, since when, whether it is clonic; since when it pulls.

    A long session has a million: no more is kept than is needed.
    """

    t_s: float
    spasm: float | None
    spasm_onset_s: float | None
    clonic: bool
    pull_onset_s: float | None


def detections(session: Session) -> tuple[Label, ...]:
    """Every event of every heard muscle, in order of time."""
    found = []
    for muscle, rows in _told(session).items():
        clonic_s = [row.t_s for row in rows if row.clonic]
        for burst in detected((row.t_s, row.spasm, row.spasm_onset_s) for row in rows):
            span = _span(burst.begin_s, burst.end_s)
            found.append((CLONUS if _is_clonus(span, clonic_s) else "spasm", muscle, span))
        for pull in detected((row.t_s, float(row.pull_onset_s is not None), row.pull_onset_s) for row in rows):
            found.append(("contraction", muscle, _span(pull.begin_s, pull.end_s)))
    return number_labels(found)


def _told(session: Session) -> dict[str, list[_Told]]:
    rows: dict[str, list[_Told]] = {}
    for estimate in _estimates(session):
        t_s = (estimate.t_ns - session.zero_ns) * 1e-9
        for each in estimate.muscles:
            clonic = each.spasm_kind == CLONUS and (each.spasm.value or 0.0) > 0.5
            spasm, pull = (_onset_s(session, ns) for ns in (each.spasm_onset_ns, each.effort_onset_ns))
            rows.setdefault(each.muscle, []).append(_Told(t_s, each.spasm.value, spasm, clonic, pull))
    return rows


def _estimates(session: Session) -> Iterator[Estimate]:
    for received, _ in Recording.open(session.path).messages({"estimate"}):
        if isinstance(received.message, Estimate):
            yield received.message


def _is_clonus(span: Span, clonic_s: list[float]) -> bool:
    return any(span.begin_s <= t_s and (span.end_s is None or t_s < span.end_s) for t_s in clonic_s)


def _onset_s(session: Session, onset_ns: int | None) -> float | None:
    return None if onset_ns is None else (onset_ns - session.zero_ns) * 1e-9


def _span(begin_s: float, end_s: float | None) -> Span:
    return Span(round(begin_s, _DIGITS), None if end_s is None else round(end_s, _DIGITS))
