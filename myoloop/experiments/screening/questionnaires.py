"""Forms without a say in who may be stimulated: what a person feels, guesses and expects, before, during and after.

The wordings are our own; no item of a licensed questionnaire stands here.
"""

from __future__ import annotations

from myoloop.experiments.screening.fields import Field
from myoloop.experiments.screening.form import Form

#: What a pulse can feel like; the words stand beside the amplitude at which they were said.
SENSATIONS = (
    "nothing", "tingling", "pulsing", "tapping", "pulling", "cramping", "warm", "burning", "pricking", "sharp",
    "itching", "numb", "deep", "spreading",
)  # fmt: skip


def _rating(name: str, question: str, *, optional: bool = False) -> Field:
    """A numerical rating from 0 to 10."""
    return Field(name, question, "number", high=10, optional=optional)


QUESTIONNAIRES = (
    Form(
        "nrs",
        "Pain from 0 (none) to 10 (the worst there could be)",
        (
            _rating("current", "How strong is your pain now?"),
            _rating("average_24h", "How strong was it on average in the last 24 hours?"),
            _rating("worst_24h", "How strong was it at its worst in the last 24 hours?"),
        ),
    ),
    Form(
        "nrs_now",
        "Pain now, asked between blocks",
        (_rating("current", "How strong is your pain now, from 0 (none) to 10 (the worst there could be)?"),),
    ),
    Form(
        "comfort",
        "Discomfort of the train before, asked after each setting that is tried",
        (_rating("discomfort", "How unpleasant was it, from 0 (not) to 10 (enough, no more)?"),),
    ),
    Form(
        "allodynia_map",
        "Pain at light touch: a stroke of a soft brush, at each site",
        (
            _rating("brush", "How much does the stroke hurt beside the pads, from 0 (not) to 10 (as bad as can be)?"),
            _rating("brush_other_side", "How much at the same place of the other side (0 to 10)?", optional=True),
            _rating("brush_worst", "How much where it hurts most on this limb or part (0 to 10)?"),
            Field("worst_at", "Where is that?", "text", optional=True),
            Field(
                "zone_cm", "How far from the nearer pad does the zone begin in which a stroke hurts?", "number",
                unit="cm", high=100, whole=False, optional=True,
            ),
        ),
        "site",
    ),
    Form(
        "pgic",
        "Change since the study began",
        (
            Field(
                "change",
                "How have you changed since the study began? 1 very much better, 2 much better, 3 a little better, "
                "4 no change, 5 a little worse, 6 much worse, 7 very much worse",
                "number",
                low=1,
                high=7,
            ),
        ),
    ),
    Form(
        "expectations",
        "What the person expects, before the first session",
        (
            _rating("benefit", "How much do you expect to get better, from 0 (not at all) to 10 (completely)?"),
            _rating("worry", "How worried are you about the stimulation, from 0 (not at all) to 10 (very)?"),
            Field("had_before", "Have you had electrical stimulation before?", "yes_no_unsure"),
        ),
    ),
    Form(
        "blinding_guess",
        "Which treatment it was thought to be; asked during the course and after it",
        (
            Field("who", "Who guesses?", "choice", ("participant", "operator", "assessor")),
            Field("when", "When is this asked?", "choice", ("during", "after")),
            Field("guess", "Which treatment do you think it is?", "choice", ("active", "sham", "do_not_know")),
            _rating("sure", "How sure are you, from 0 (a pure guess) to 10 (certain)?"),
            Field("because", "What makes you think so?", "text", optional=True),
        ),
    ),
    Form(
        "doms",
        "Soreness of the muscle after a session",
        (
            Field("after_h", "How long after the session?", "number", unit="h", low=0, high=168),
            _rating("soreness", "How sore is the muscle when you use it, from 0 (not) to 10 (as sore as can be)?"),
            Field("dark_urine", "Has your urine been dark since the session?", "yes_no_unsure"),
            Field("much_swelling", "Is the muscle hard, swollen or so weak that you cannot use it?", "yes_no_unsure"),
        ),
    ),
    Form(
        "follow_up",
        "How it went on after a session (1 h, 24 h) or after the course (months)",
        (
            Field("after_h", "How long after?", "number", unit="h", low=0, high=20_000),
            Field("reached", "Was the person reached?", "yes_no"),
            Field(
                "current",
                "How strong is your pain now, from 0 to 10?",
                "number",
                high=10,
                asked_if=("reached", ("yes",)),
            ),
            Field("relief_h", "For how long was it better?", "number", unit="h", high=20_000, optional=True),
            Field("flared", "Did the pain flare up?", "yes_no_unsure", asked_if=("reached", ("yes",))),
            Field("came_back", "Did the complaint come back?", "yes_no_unsure", asked_if=("reached", ("yes",))),
            Field("new_complaint", "Is there anything new that hurts or worries you?", "yes_no_unsure",
                  asked_if=("reached", ("yes",))),
        ),
    ),
    Form(
        "yes_no_feel",
        "Sub-sensory check in the middle of a session",
        (Field("feels", "Do you feel anything under the pads?", "yes_no_unsure"),),
    ),
    Form(
        "sensation_words",
        "What it feels like, at a step of the thresholds",
        (
            Field("words", "Which words fit what you feel?", "choices", SENSATIONS, alone=("nothing",)),
            Field("current_ma", "At which current?", "number", unit="mA", high=200, whole=False),
            Field("channel", "On which channel?", "text"),
        ),
    ),
    Form(
        "mood_sleep",
        "Mood and sleep of the last 24 hours",
        (
            _rating("mood", "How was your mood, from 0 (very bad) to 10 (very good)?"),
            _rating("sleep", "How did you sleep, from 0 (very badly) to 10 (very well)?"),
            _rating("wellbeing", "How well do you feel altogether, from 0 (not at all) to 10 (as well as can be)?"),
        ),
    ),
    Form(
        "unblinding_reason",
        "Why an arm is told",
        (
            Field("why", "Why must the arm be known?", "choice",
                  ("adverse_event", "treatment_decision", "request_of_authority", "by_mistake", "other")),
            Field("detail", "What happened?", "text"),
            Field("by", "Who asks for it (name)?", "text"),
            Field("told_to", "Who will know the arm?", "choices", ("physician", "investigator", "participant",
                  "operator", "assessor")),
            Field("continues", "Does the person go on with the study?", "yes_no_unsure"),
        ),
    ),
)  # fmt: skip
