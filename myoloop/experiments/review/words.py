"""A review in lines for a terminal."""

from __future__ import annotations

from typing import Any

from myoloop.experiments.review.labels import Label
from myoloop.experiments.review.review import Review


def as_data(review: Review) -> dict[str, Any]:
    """JSON-ready: what `--json` prints and the console shows."""
    return {
        "session": review.session_id,
        "folder": str(review.folder),
        "detections_sha256": review.sha256,
        "labels": [_row(each) for each in review.rows],
        "scores": [each.as_data() for each in review.scores()],
        "acts": len(review.acts),
    }


def say_review(review: Review) -> str:
    """The labels one line each, then the detector's figures class by class."""
    lines = [_line(each) for each in review.rows] or ["no event was detected"]
    for each in review.scores():
        low, high = each.tolerance_s
        if each.open:
            figures = each.why
        else:
            figures = (
                f"F1 {_number(each.f1)}, precision {_number(each.precision)}, recall {_number(each.recall)} "
                f"({each.matched} matched, {each.missed} missed, {each.false} false; onsets within {low:g} to "
                f"{high:g} s)" + (f"; {each.why}" if each.why else "")
            )
        lines.append(f"{each.kind}: {each.labels} labels, {each.detected} detections: {figures}")
    return "\n".join(lines)


def _row(label: Label) -> dict[str, Any]:
    found = label.detected
    return {
        "id": label.id, "class": label.kind, "muscle": label.muscle, "begin_s": label.span.begin_s,
        "end_s": label.span.end_s, "state": label.state,
        "detected": None if found is None else {"begin_s": found.begin_s, "end_s": found.end_s},
    }  # fmt: skip


def _line(label: Label) -> str:
    end = "the end" if label.span.end_s is None else f"{label.span.end_s:.2f}"
    return f"{label.id:28}{label.span.begin_s:9.2f} to {end:>8} s  {label.state}" + (
        f" as {label.kind}" if label.detected_as else ""
    )


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.2f}"
