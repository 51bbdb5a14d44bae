"""COMPACT, the core outcome set for studies of CRPS: which questionnaires belong to it, and what each came to.

The set has no total. Its questionnaires are licensed, each by its owner: they are filled in and scored where the
licence is, and what they came to is entered here. The severity score and the global impression of the set are
instruments of their own, ``css16`` or ``css17`` and ``pgic``.
"""

from __future__ import annotations

from myoloop.experiments.outcomes.instrument import Answers, Better, Instrument, Item, Score, ScoreKind, one

#: (item, label in our words, lowest, highest, whole, unit, better): *GK* the ranges, of each one's own manual.
_PARTS: tuple[tuple[str, str, float, float, bool, str, Better], ...] = (
    ("pain", "Pain intensity, last 7 days", 0, 10, True, "points", "less"),
    ("neuropathic", "SF-MPQ-2, mean of the neuropathic items", 0, 10, False, "points", "less"),
    ("pain_interference", "PROMIS-29, pain interference", 20, 80, False, "T", "less"),
    ("physical_function", "PROMIS-29, physical function", 20, 80, False, "T", "more"),
    ("social", "PROMIS-29, social roles", 20, 80, False, "T", "more"),
    ("fatigue", "PROMIS-29, fatigue", 20, 80, False, "T", "less"),
    ("sleep", "PROMIS-29, sleep disturbance", 20, 80, False, "T", "less"),
    ("anxiety", "PROMIS-29, anxiety", 20, 80, False, "T", "less"),
    ("depression", "PROMIS-29, depression", 20, 80, False, "T", "less"),
    ("catastrophising", "Pain Catastrophizing Scale, total", 0, 52, True, "points", "less"),
    ("self_efficacy", "Pain Self-Efficacy Questionnaire, total", 0, 60, True, "points", "more"),
    ("health", "EQ-5D-5L, visual scale", 0, 100, True, "points", "more"),
)
_SOURCE = "Grieve et al, Pain 2017;158:1083 (users.md P54); which parts and ranges: GK, check each licence and manual"


def _parts(answers: Answers) -> Score:
    n = len(answers.known)
    if not n:
        return Score(None, 0, "no part of the set was entered")
    missing = f"not entered: {', '.join(answers.missing)}" if answers.missing else ""
    return Score(float(n), n, missing, parameters={"parts": len(_PARTS)})


INSTRUMENTS = (
    Instrument(
        "compact",
        "COMPACT set: what its questionnaires came to",
        tuple(
            Item(name, label, low, high, whole, "" if unit == "points" else unit)
            for name, label, low, high, whole, unit, _ in _PARTS
        ),
        (
            ScoreKind(
                "compact_parts",
                "COMPACT, parts that were entered",
                "parts",
                _parts,
                f"how many of the {len(_PARTS)} parts were entered; the set has no total",
                _SOURCE,
                "more",
            ),
            *(
                ScoreKind(
                    f"compact_{name}",
                    f"COMPACT: {label}",
                    unit,
                    one(name),
                    "what the questionnaire came to, as it was entered; without it there is no score",
                    _SOURCE,
                    better,
                )
                for name, label, _, _, _, unit, better in _PARTS
            ),
        ),
        versions=("2017",),
    ),
)
