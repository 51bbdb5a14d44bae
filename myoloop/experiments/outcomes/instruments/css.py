"""CRPS Severity Score in its two versions, which are two instruments: never mixed, never subtracted from each other."""

from __future__ import annotations

from myoloop.experiments.outcomes.instrument import Instrument, Item, ScoreKind, sum_of_all

_RULE = "no rule for missing items was published: without one of them there is no score"
_SIXTEEN = tuple(
    Item(f"{kind}_{n}", f"{kind.capitalize()} {n}, 1 where it is there", 0, 1)
    for kind in ("symptom", "sign")
    for n in range(1, 9)
)
_SEVENTEEN = tuple(Item(f"item_{n}", f"Item {n}, 1 where it is there", 0, 1) for n in range(1, 18))

INSTRUMENTS = (
    Instrument(
        "css16",
        "CRPS Severity Score, 16 items (2017)",
        _SIXTEEN,
        (
            ScoreKind(
                "css16",
                "CRPS Severity Score, 16 items",
                "points",
                sum_of_all(),
                f"number of 8 symptoms and 8 signs that are there, 0 to 16; {_RULE}",
                "Harden et al., Pain 2017;158:1430",
                parameters={"items": 16},
            ),
        ),
        versions=("css16",),
    ),
    Instrument(
        "css17",
        "CRPS Severity Score, 17 items (2010)",
        _SEVENTEEN,
        (
            ScoreKind(
                "css17",
                "CRPS Severity Score, 17 items",
                "points",
                sum_of_all(),
                f"number of 17 symptoms and signs that are there, 0 to 17; {_RULE}",
                "Harden et al., Pain 2010;151:870",
                parameters={"items": 17},
            ),
        ),
        versions=("css17",),
    ),
)
