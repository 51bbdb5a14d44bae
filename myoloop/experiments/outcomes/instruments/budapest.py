"""The Budapest criteria of CRPS, by the clinical and by the research rule, with what each lacks.

Where an answer is missing a rule is decided all the same if the answer could not change it.
"""

from __future__ import annotations

from collections.abc import Callable

from myoloop.experiments.outcomes.instrument import Answers, Instrument, Item, Score, ScoreKind

CATEGORIES = ("sensory", "vasomotor", "sudomotor_oedema", "motor_trophic")
SIGNS_MIN = 2
_SOURCE = "Harden et al., Pain 2010;150:268 (criteria and both rules)"


def _rule(symptoms_min: int) -> Callable[[Answers], Score]:
    def rule(answers: Answers) -> Score:
        parts = [
            _single(answers, "pain_disproportionate"),
            _enough(answers, "symptom", symptoms_min),
            _enough(answers, "sign", SIGNS_MIN),
            _single(answers, "no_better_diagnosis"),
        ]
        n = len(answers.known)
        unmet = tuple(said for met, said in parts if met is False)
        if unmet:
            return Score(0.0, n, unmet=unmet)
        open_ = [said for met, said in parts if met is None]
        return Score(None, n, "; ".join(open_)) if open_ else Score(1.0, n)

    return rule


def _single(answers: Answers, item: str) -> tuple[bool | None, str]:
    if item not in answers.known:
        return None, f"{item} was not answered"
    return bool(answers.known[item]), f"{item}: no"


def _enough(answers: Answers, kind: str, least: int) -> tuple[bool | None, str]:
    """Whether so many categories have one; None where a missing answer decides it."""
    there = [name for name in CATEGORIES if answers.known.get(f"{name}_{kind}") == 1]
    absent = [name for name in CATEGORIES if answers.known.get(f"{name}_{kind}") == 0]
    if len(there) >= least:
        return True, ""
    if len(CATEGORIES) - len(absent) < least:
        return (
            False,
            f"{kind}s in {len(there)} of {len(CATEGORIES)} categories, needed: {least} (none: {_list(absent)})",
        )
    missing = [name for name in CATEGORIES if name not in there and name not in absent]
    return None, f"{kind}s in {len(there)} of {least} needed categories, not answered: {_list(missing)}"


def _list(names: list[str]) -> str:
    return ", ".join(names)


INSTRUMENTS = (
    Instrument(
        "budapest",
        "Budapest criteria of CRPS",
        (
            Item("pain_disproportionate", "Continuing pain, out of proportion to what began it, 1 yes"),
            *(
                Item(f"{name}_{kind}", f"At least one {kind}: {name.replace('_', ' or ')}, 1 yes")
                for kind in ("symptom", "sign")
                for name in CATEGORIES
            ),
            Item("no_better_diagnosis", "No other diagnosis explains it better, 1 that is so"),
        ),
        (
            ScoreKind(
                "budapest_clinical",
                "Budapest criteria, clinical rule",
                "1",
                _rule(3),
                "1 where met: symptoms in 3 or more of 4 categories, signs in 2 or more, pain out of proportion, no "
                "better diagnosis; a missing answer leaves it open only where it could change it",
                _SOURCE,
                parameters={"symptom_categories_min": 3, "sign_categories_min": SIGNS_MIN},
            ),
            ScoreKind(
                "budapest_research",
                "Budapest criteria, research rule",
                "1",
                _rule(4),
                "1 where met: symptoms in all 4 categories, signs in 2 or more, pain out of proportion, no better "
                "diagnosis; a missing answer leaves it open only where it could change it",
                _SOURCE,
                parameters={"symptom_categories_min": 4, "sign_categories_min": SIGNS_MIN},
            ),
        ),
        versions=("2010",),
    ),
)
