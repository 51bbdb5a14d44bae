"""Modified Ashworth Scale: six grades in order, entered by a clinician and kept as they were entered.

1+ lies between 1 and 2 and is not 1.5: grades are never averaged or subtracted, only put in order.
"""

from __future__ import annotations

from myoloop.experiments.outcomes.instrument import Answers, Instrument, Item, Score, ScoreKind

GRADES = ("0", "1", "1+", "2", "3", "4")


def _rule(answers: Answers) -> Score:
    grade = answers.known.get("grade")
    return Score(None, 0, "no grade was entered") if grade is None else Score(None, 1, code=str(grade))


INSTRUMENTS = (
    Instrument(
        "ashworth",
        "Modified Ashworth Scale",
        (Item("grade", "Grade", codes=GRADES),),
        (
            ScoreKind(
                "ashworth",
                "Modified Ashworth grade",
                "grade",
                _rule,
                "the grade as it was entered, one of 0, 1, 1+, 2, 3, 4; never averaged",
                "Bohannon and Smith, Phys Ther 1987;67:206",
                parameters={"grades": list(GRADES)},
                ordinal=True,
            ),
        ),
        per="site",
        versions=("1987",),
    ),
)
