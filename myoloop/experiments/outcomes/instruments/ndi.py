"""Neck Disability Index: ten sections, 0 to 5 each, as per cent of the most that the answered ones could give."""

from __future__ import annotations

from myoloop.experiments.outcomes.instrument import Instrument, ScoreKind, mean_scaled, numbered

MISSING_MAX = 2

INSTRUMENTS = (
    Instrument(
        "ndi",
        "Neck Disability Index",
        numbered(10, 0, 5),
        (
            ScoreKind(
                "ndi",
                "Neck Disability Index",
                "%",
                mean_scaled(MISSING_MAX, 20.0),
                "sum over 5 points per answered section, in %; up to two sections may be missing (each then counts as "
                "the mean of the others); with more there is no score. Points of 50 are half of it",
                "Vernon and Mior, J Manipulative Physiol Ther 1991;14:409; rule for missing sections: Vernon, J "
                "Manipulative Physiol Ther 2008;31:491 [GK]",
                parameters={"items": 10, "item_max": 5, "missing_max": MISSING_MAX},
            ),
        ),
        versions=("1991",),
    ),
)
