"""Disabilities of the Arm, Shoulder and Hand: 30 items, 1 to 5, of which at least 27 must be answered."""

from __future__ import annotations

from myoloop.experiments.outcomes.instrument import Instrument, ScoreKind, mean_scaled, numbered

ITEMS, ANSWERED_MIN = 30, 27

INSTRUMENTS = (
    Instrument(
        "dash",
        "Disabilities of the Arm, Shoulder and Hand",
        numbered(ITEMS, 1, 5),
        (
            ScoreKind(
                "dash",
                "DASH disability and symptoms",
                "points",
                mean_scaled(ITEMS - ANSWERED_MIN, 25.0, lowest=1.0),
                "(mean of the answered items - 1) x 25; fewer than 27 answers of 30 give no score",
                "Institute for Work & Health, Scoring the DASH, 2002: at least 27 of the 30 items",
                parameters={"items": ITEMS, "answered_min": ANSWERED_MIN},
            ),
        ),
        versions=("1.0",),
    ),
)
