"""Oswestry Disability Index: ten sections, 0 to 5 each, as per cent of the most that the answered ones could give."""

from __future__ import annotations

from myoloop.experiments.outcomes.instrument import Instrument, ScoreKind, mean_scaled, numbered

MISSING_MAX = 1

INSTRUMENTS = (
    Instrument(
        "odi",
        "Oswestry Disability Index",
        numbered(10, 0, 5),
        (
            ScoreKind(
                "odi",
                "Oswestry Disability Index",
                "%",
                mean_scaled(MISSING_MAX, 20.0),
                "sum over 5 points per answered section, in %; one section may be missing, then the most possible is "
                "45; with more there is no score",
                "Fairbank and Pynsent, Spine 2000;25:2940: 16 of 50 is 32 %, 16 of 45 with one section missed 35.6 %",
                parameters={"items": 10, "item_max": 5, "missing_max": MISSING_MAX},
            ),
        ),
        versions=("2.1a", "2.1", "2.0", "1.0"),
    ),
)
