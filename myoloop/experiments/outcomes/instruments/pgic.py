"""Patient Global Impression of Change: 1 (very much better) to 7 (very much worse), the anchor of what matters."""

from __future__ import annotations

from myoloop.experiments.outcomes.instrument import Instrument, Item, ScoreKind, one

INSTRUMENTS = (
    Instrument(
        "pgic",
        "Patient Global Impression of Change",
        (Item("change", "Change since the study began, 1 very much better to 7 very much worse", 1, 7),),
        (
            ScoreKind(
                "pgic",
                "patient global impression of change",
                "1 to 7",
                one("change"),
                "the answer, as it is: 1 very much better, 4 no change, 7 very much worse",
                "Guy, ECDEU assessment manual, 1976; Dworkin et al., J Pain 2008;9:105 (IMMPACT)",
            ),
        ),
        asked=True,
    ),
)
