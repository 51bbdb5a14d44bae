"""Outcomes in words for a terminal: those of one session, and all that there are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from myoloop.experiments.outcomes.registry import NEEDS, OUTCOMES

#: Labels that nobody has touched.
DETECTED = "detected"

#: The part of a need before its colon, in words; after it stands a form's id.
_OF_FORMS = {"form": "the form {}", "diary": "the form {} in the diary"}


def value_words(value: float | None) -> str:
    """Three digits that count, more of a whole number; a dash where there is none."""
    if value is None:
        return "–"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def say_outcomes(told: Mapping[str, Any]) -> str:
    """The outcomes of a session, one line each.

    Parameters
    ----------
    told
        A session's summary, or :meth:`~myoloop.experiments.outcomes.attempt.Measured.as_data`.
    """
    heading = "outcomes" + (f" ({told['outcomes_are']})" if told["outcomes_are"] else "")
    if told.get("outcomes_labels", DETECTED) != DETECTED:
        heading += f", labels of spasms {told['outcomes_labels']}"
    if told["outcomes_missing"]:
        return f"{heading}: none: {told['outcomes_missing']}"
    lines = [f"{heading}:"]
    for row in told["outcomes"]:
        said = f"none: {row['why']}" if row["value"] is None else f"{value_words(row['value'])} {row['unit']}"
        said = f"{row['code']} {row['unit']}" if row["code"] else said
        parts = ", ".join(f"{name} {value_words(value)}" for name, value in (row["parts"] or {}).items())
        parts = ", ".join(f"{name} {code}" for name, code in row["codes"].items()) if row["codes"] else parts
        of = f" (n {row['n']}{f'; {parts}' if parts else ''})" if row["value"] is not None or row["codes"] else ""
        of += f" NOT VALID: {row['doubt']}" if row["doubt"] else ""
        lines.append(f"  {row['part']:10}{row['outcome']:28}{said}{of}")
    lines += [f"  {row['part']:10}{row['text']}: entered by the {row['by']}" for row in told["outcomes_entered"]]
    return "\n".join(lines)


def need_words(need: str) -> str:
    """What an outcome cannot be had without."""
    kind, _, form = need.partition(":")
    return _OF_FORMS[kind].format(form) if form else NEEDS[need]


def known_data() -> dict[str, dict[str, Any]]:
    """Every outcome that a protocol may name, as plain data."""
    return {name: {"text": kind.text, "unit": kind.unit, "needs": list(kind.needs)} for name, kind in OUTCOMES.items()}


def say_known() -> str:
    """The same, one line each."""
    return "\n".join(
        f"{name:28}{kind.unit:8}{kind.text}; needs {', '.join(map(need_words, kind.needs))}"
        for name, kind in OUTCOMES.items()
    )
