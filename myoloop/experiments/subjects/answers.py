"""What the virtual person answers when asked: forms whose answers are the person's own.

Pure: a form and how it is with the person go in, the form's values come out, with the person's own scatter. Forms that
somebody else fills in (screening, skin, placement) are none of these. None of it describes how people answer; it is
there so that a protocol's questions are answered by somebody whose state is known.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from myoloop.experiments.subjects.distributions import Parameters, Uniform, parameter

#: What was felt within this is what a person answers about.
LATELY_NS = 120_000_000_000
#: Without a pulse for so long the next one is of another train.
_ANOTHER_TRAIN_NS = 500_000_000
#: A share of the pain at the beginning that is gone, and the answer of change that goes with it. That 30 % is "much
#: better" is Farrar 2001; the other steps are our choice.
_BETTER = ((0.5, 1), (0.3, 2), (0.1, 3))
_WORDS = {
    "": ("nothing",),
    "sensory": ("tingling", "pulsing", "tapping"),
    "motor": ("pulling", "tapping", "deep"),
    "tolerance": ("cramping", "sharp", "burning"),
}


@dataclass(frozen=True, kw_only=True)
class AnswerParameters(Parameters):
    """How a person answers.

    Attributes
    ----------
    answer_spread
        Standard deviation of a rating before it is rounded to a whole number.
    pain_of_day
        By how much the average pain of the last 24 hours was above (below 0: below) the baseline.
    mood, sleep
        Without pain, 0 to 10; each falls by `mood_per_pain` per point of pain.
    mood_per_pain
        See there.
    expects_benefit, worries
        Before the first session, 0 to 10.
    feel_wrong
        Probability of a wrong answer about whether anything is felt.
    guess_by_feeling
        Probability of guessing "active" where something was felt lately.
    guess_none
        Probability of no guess; the rest is a coin where nothing was felt.
    """

    answer_spread: float = parameter(0.3, 0.0, 3.0, source="our choice: seldom off by more than one, as pain is said")
    pain_of_day: float = parameter(
        0.0, -3.0, 3.0, varies=Uniform(-1.0, 1.0), source="our choice: pain moves by a point from day to day"
    )
    mood: float = parameter(8.0, 0.0, 10.0, varies=Uniform(6.0, 9.0), source="our choice: good")
    sleep: float = parameter(8.0, 0.0, 10.0, varies=Uniform(5.0, 9.0), source="our choice: good to fair")
    mood_per_pain: float = parameter(
        0.4, 0.0, 2.0, varies=Uniform(0.1, 0.6), source="our choice: strong pain costs three points"
    )
    expects_benefit: float = parameter(
        5.0, 0.0, 10.0, varies=Uniform(3.0, 9.0), source="our choice: who takes part expects something"
    )
    worries: float = parameter(2.0, 0.0, 10.0, varies=Uniform(0.0, 5.0), source="our choice: little")
    feel_wrong: float = parameter(
        0.0, 0.0, 0.5, varies=Uniform(0.0, 0.05), source="our choice: seldom; nobody by default"
    )
    guess_by_feeling: float = parameter(
        0.8, 0.5, 1.0, varies=Uniform(0.6, 0.95), source="our choice: tingling gives an arm away to most"
    )
    guess_none: float = parameter(0.3, 0.0, 1.0, varies=Uniform(0.1, 0.5), source="our choice: a third do not guess")


@dataclass(frozen=True, slots=True)
class BodyState:
    """How it is with the person, when asked.

    Attributes
    ----------
    pain_said
        What they say their pain is, 0 to 10.
    pain, pain_before
        As it is, and as it was when the session began.
    felt
        The most that was felt lately: ``sensory``, ``motor``, ``tolerance``, or nothing.
    channel, current_ma
        Of that.
    fatigue
        Of the most tired muscle, 0 to 1.
    soreness, after_h
        How sore the muscles are, and how long after the work.
    discomfort
        Of the newest train at its worst: 0, not felt, to 10, at tolerance, and above.
    """

    pain_said: int = 0
    pain: float = 0.0
    pain_before: float = 0.0
    felt: str = ""
    channel: str = ""
    current_ma: float = 0.0
    fatigue: float = 0.0
    soreness: float = 0.0
    after_h: float = 0.0
    discomfort: float = 0.0


def answers(form_id: str, state: BodyState, p: AnswerParameters, rng: np.random.Generator) -> dict[str, Any] | None:
    """What the person answers; None to a form that is not theirs.

    Parameters
    ----------
    form_id
        One of :data:`OWN`.
    rng
        For the scatter of what is said.
    """
    made = _ANSWERS.get(form_id)
    return None if made is None else made(state, p, rng)


class Feelings:
    """What the person remembers having felt, for as long as they answer about it."""

    def __init__(self) -> None:
        self._newest: dict[str, tuple[int, str, float]] = {}
        self._pulse_ns: int | None = None
        #: How unpleasant the newest train was at its worst.
        self.discomfort = 0.0

    def feel(self, t_ns: int, channel: str, current_ma: float, levels: list[str], discomfort: float = 0.0) -> None:
        """A pulse passes under the pads; `levels` are those it is above, the lowest first."""
        if self._pulse_ns is None or t_ns - self._pulse_ns > _ANOTHER_TRAIN_NS:
            self.discomfort = 0.0
        self._pulse_ns, self.discomfort = t_ns, max(self.discomfort, discomfort)
        for what in levels:
            self._newest[what] = (t_ns, channel, current_ma)

    def lately(self, t_ns: int) -> tuple[str, str, float]:
        """The most that was felt of late, with the channel and its current in mA; nothing where nothing was."""
        for what in ("tolerance", "motor", "sensory"):
            found = self._newest.get(what)
            if found is not None and t_ns - found[0] <= LATELY_NS:
                return what, found[1], found[2]
        return "", "", 0.0


def _nrs(state: BodyState, p: AnswerParameters, rng: np.random.Generator) -> dict[str, Any]:
    average = _rating(state.pain_before + p.pain_of_day, p, rng)
    worst = max(average, state.pain_said, _rating(state.pain_before + abs(p.pain_of_day) + 1.0, p, rng))
    return {"current": state.pain_said, "average_24h": average, "worst_24h": worst}


def _nrs_now(state: BodyState, p: AnswerParameters, rng: np.random.Generator) -> dict[str, Any]:
    return {"current": state.pain_said}


def _comfort(state: BodyState, p: AnswerParameters, rng: np.random.Generator) -> dict[str, Any]:
    return {"discomfort": _rating(state.discomfort, p, rng)}


def _pgic(state: BodyState, p: AnswerParameters, rng: np.random.Generator) -> dict[str, Any]:
    """Since the session began: the virtual person has no study behind it."""
    gone = (state.pain_before - state.pain) / max(1.0, state.pain_before)
    step = next((answer for share, answer in _BETTER if abs(gone) >= share), 4)
    return {"change": step if gone >= 0 else 8 - step}


def _doms(state: BodyState, p: AnswerParameters, rng: np.random.Generator) -> dict[str, Any]:
    sore = _rating(state.soreness, p, rng) if state.soreness > 0.0 else 0
    return {"after_h": round(state.after_h), "soreness": sore, "dark_urine": "no", "much_swelling": "no"}


def _feels(state: BodyState, p: AnswerParameters, rng: np.random.Generator) -> dict[str, Any]:
    felt = bool(state.felt) != (float(rng.random()) < p.feel_wrong)
    return {"feels": "yes" if felt else "no"}


def _mood_sleep(state: BodyState, p: AnswerParameters, rng: np.random.Generator) -> dict[str, Any]:
    lost = p.mood_per_pain * state.pain
    mood, sleep = _rating(p.mood - lost, p, rng), _rating(p.sleep - lost, p, rng)
    wellbeing = _rating(0.5 * (p.mood + p.sleep) - lost - state.fatigue, p, rng)
    return {"mood": mood, "sleep": sleep, "wellbeing": wellbeing}


def _words(state: BodyState, p: AnswerParameters, rng: np.random.Generator) -> dict[str, Any]:
    said = _WORDS[state.felt]
    count = min(len(said), 1 + int(rng.integers(2)))
    chosen = rng.choice(len(said), size=count, replace=False)
    return {
        "words": [said[number] for number in sorted(int(each) for each in chosen)],
        "current_ma": state.current_ma,
        "channel": state.channel or "none",
    }


def _guess(state: BodyState, p: AnswerParameters, rng: np.random.Generator) -> dict[str, Any]:
    unsure, which = float(rng.random()), float(rng.random())
    if state.felt:
        guess, sure = ("active" if which < p.guess_by_feeling else "sham"), 6.0
    elif unsure < p.guess_none:
        guess, sure = "do_not_know", 0.0
    else:
        guess, sure = ("active" if which < 0.5 else "sham"), 2.0
    return {"who": "participant", "when": "during", "guess": guess, "sure": _rating(sure, p, rng)}


def _expectations(state: BodyState, p: AnswerParameters, rng: np.random.Generator) -> dict[str, Any]:
    return {
        "benefit": _rating(p.expects_benefit, p, rng),
        "worry": _rating(p.worries, p, rng),
        "had_before": "no",
    }


def _rating(value: float, p: AnswerParameters, rng: np.random.Generator) -> int:
    said = value + p.answer_spread * float(rng.standard_normal())
    return round(min(10.0, max(0.0, said)))


_ANSWERS: dict[str, Callable[[BodyState, AnswerParameters, np.random.Generator], dict[str, Any]]] = {
    "nrs": _nrs,
    "nrs_now": _nrs_now,
    "comfort": _comfort,
    "pgic": _pgic,
    "doms": _doms,
    "yes_no_feel": _feels,
    "mood_sleep": _mood_sleep,
    "sensation_words": _words,
    "blinding_guess": _guess,
    "expectations": _expectations,
}
#: Forms that the person answers.
OWN = frozenset(_ANSWERS)
