"""Pressure pain threshold of a site: mean of three repeats, with how far they scatter."""

from __future__ import annotations

from statistics import mean, stdev

from myoloop.experiments.outcomes.instrument import Answers, Instrument, Item, Score, ScoreKind

REPEATS = tuple(f"repeat_{n}_kpa" for n in (1, 2, 3))
RAMP = "ramp_kpa_s"


def _rule(answers: Answers) -> Score:
    told = answers.numbers(*REPEATS)
    if len(told) < len(REPEATS):
        return Score(None, len(told), f"{len(told)} of {len(REPEATS)} repeats, allowed: all")
    middle = mean(told)
    ramp = answers.known.get(RAMP)
    parameters = {
        "repeats": len(told),
        "scatter_pct": round(100.0 * stdev(told) / middle, 2),
        "ramp_kpa_s": None if ramp is None else float(ramp),
    }
    return Score(middle, len(told), parameters=parameters)


INSTRUMENTS = (
    Instrument(
        "ppt",
        "Pressure pain threshold",
        (
            *(Item(name, f"Threshold, repeat {n}", 1, 3000, False, "kPa") for n, name in enumerate(REPEATS, 1)),
            Item(RAMP, "Rate at which the pressure rose", 1, 500, False, "kPa/s"),
        ),
        (
            ScoreKind(
                "ppt",
                "pressure pain threshold, mean of three",
                "kPa",
                _rule,
                "mean of three repeats; with fewer there is none. The rate of rise is kept: thresholds of two rates "
                "cannot be compared",
                "three repeats: Balaguier et al., PLoS One 2016;11:e0160866",
                better="more",
                parameters={"repeats": len(REPEATS)},
            ),
        ),
        per="site",
        versions=("three repeats",),
    ),
)
