"""Numerical rating of pain, 0 to 10: now, on average and at its worst in the last 24 hours."""

from __future__ import annotations

from myoloop.experiments.outcomes.instrument import Instrument, Item, ScoreKind, one

_SOURCE = "Dworkin et al., Pain 2005;113:9 (IMMPACT: 0 to 10, as answered)"
_METHOD = "the answer, as it is; without one there is no score"

INSTRUMENTS = (
    Instrument(
        "nrs",
        "Numerical rating of pain",
        tuple(
            Item(name, f"Pain, {words}", 0, 10)
            for name, words in (
                ("current", "now"), ("average_24h", "on average in 24 h"), ("worst_24h", "at its worst in 24 h"),
            )
        ),
        (
            ScoreKind("nrs_current", "pain now", "points", one("current"), _METHOD, _SOURCE),
            ScoreKind("nrs_average", "pain on average, 24 h", "points", one("average_24h"), _METHOD, _SOURCE),
            ScoreKind("nrs_worst", "pain at its worst, 24 h", "points", one("worst_24h"), _METHOD, _SOURCE),
        ),
        asked=True,
    ),
)  # fmt: skip
