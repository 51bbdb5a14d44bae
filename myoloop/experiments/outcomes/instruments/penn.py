"""Penn Spasm Frequency Scale: how often (0 to 4), and how bad (1 to 3) where there are any; two grades, no sum."""

from __future__ import annotations

from myoloop.experiments.outcomes.instrument import Answers, Instrument, Item, Score, ScoreKind

_SOURCE = "Penn et al., N Engl J Med 1989;320:1517; NINDS CDE F1765: part 2 is not asked where part 1 is 0"


def _frequency(answers: Answers) -> Score:
    contradiction = _contradiction(answers)
    if contradiction or "frequency" not in answers.known:
        return Score(None, len(answers.known), contradiction or "frequency was not answered")
    return Score(float(answers.known["frequency"]), 1)


def _severity(answers: Answers) -> Score:
    contradiction = _contradiction(answers)
    if contradiction:
        return Score(None, len(answers.known), contradiction)
    if answers.known.get("frequency") == 0:
        return Score(None, 1, "no spasms: severity is not asked")
    if "frequency" not in answers.known:
        return Score(None, len(answers.known), "frequency was not answered, so severity has nothing to stand beside")
    if "severity" not in answers.known:
        return Score(None, 1, "severity was not answered")
    return Score(float(answers.known["severity"]), 2)


def _contradiction(answers: Answers) -> str:
    if answers.known.get("frequency") == 0 and "severity" in answers.known:
        found = answers.known["severity"]
        return f"severity: found {found!r}, allowed only where frequency is more than 0"
    return ""


INSTRUMENTS = (
    Instrument(
        "psfs",
        "Penn Spasm Frequency Scale",
        (Item("frequency", "Frequency of spasms", 0, 4), Item("severity", "Severity of spasms, if any", 1, 3)),
        (
            ScoreKind("psfs_frequency", "Penn Spasm Frequency Scale, frequency", "0 to 4", _frequency,
                      "the answer, as it is; none where severity contradicts it", _SOURCE),
            ScoreKind("psfs_severity", "Penn Spasm Frequency Scale, severity", "1 to 3", _severity,
                      "the answer, as it is; none where there are no spasms", _SOURCE),
        ),
        versions=("1989",),
    ),
)  # fmt: skip
