"""What a questionnaire, a checklist or a clinician's grade is to the software: its items by number, and its scores.

No wording of an instrument stands here: who uses one has its text and its licence. What is scored is the number (or the
code) that was answered to each item. An answer that is not one of the item's own makes the score missing, and says so;
an item without an answer is dealt with by the instrument's own rule, which is named with its source.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import fsum, isfinite
from typing import Any, Literal

#: Keys of an answered form that are no answers: which form, who filled it in.
BESIDE = frozenset({"form", "who"})
#: Key of the version of the questionnaire that was used.
VERSION = "version"

Better = Literal["less", "more", ""]


@dataclass(frozen=True, slots=True)
class Item:
    """One item: a number from `low` to `high`, or one of some codes.

    Attributes
    ----------
    label
        What is shown where it is asked; our own words, never those of an instrument.
    codes
        Allowed codes, in their order; empty where the answer is a number.
    """

    id: str
    label: str = ""
    low: float = 0.0
    high: float = 1.0
    whole: bool = True
    unit: str = ""
    codes: tuple[str, ...] = ()

    def problem(self, value: Any) -> str:
        """What is wrong with an answer; empty if nothing."""
        if self.codes:
            return "" if isinstance(value, str) and value in self.codes else self._found(value)
        number = isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
        good = number and self.low <= value <= self.high and not (self.whole and value != int(value))
        return "" if good else self._found(value)

    def _found(self, value: Any) -> str:
        what = "a whole number" if self.whole else "a number"
        unit = f" {self.unit}" if self.unit else ""
        allowed = ", ".join(self.codes) if self.codes else f"{what} from {self.low:g} to {self.high:g}{unit}"
        return f"{self.id}: found {value!r}, allowed: {allowed}"


@dataclass(frozen=True, slots=True)
class Answers:
    """The answers to an instrument's items, each checked.

    Attributes
    ----------
    known
        By item, in the instrument's order.
    missing
        Items without an answer.
    """

    known: Mapping[str, Any]
    missing: tuple[str, ...]

    def numbers(self, *items: str) -> list[float]:
        """Known answers of some items, all where none is named."""
        return [float(self.known[each]) for each in (items or tuple(self.known)) if each in self.known]


@dataclass(frozen=True, slots=True)
class Score:
    """What came of the answers.

    Attributes
    ----------
    value
        None where it is missing; `why` says so.
    n
        Items that it rests on.
    code
        Of an ordinal grade: as it was entered. A grade is no number, and has no `value`.
    unmet
        Of a rule that is met or not: what it lacks.
    parameters
        What was used to make it, beside the instrument's own: how many were missing, what a repeat was.
    """

    value: float | None
    n: int = 0
    why: str = ""
    code: str = ""
    unmet: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ScoreKind:
    """One score of an instrument.

    Attributes
    ----------
    name
        Its id, which is an outcome's too.
    method
        How it is computed, in a sentence, with the rule for items that are missing.
    source
        Of scoring and of that rule; *GK* marks general knowledge that was not looked up.
    ordinal
        Whether it is a grade: never averaged, never subtracted.
    """

    name: str
    text: str
    unit: str
    rule: Callable[[Answers], Score]
    method: str
    source: str
    better: Better = "less"
    parameters: Mapping[str, Any] = field(default_factory=dict)
    ordinal: bool = False


@dataclass(frozen=True, slots=True)
class Instrument:
    """One instrument in one version.

    Attributes
    ----------
    form
        Id of the form that its answers come in; the instrument's own where `asked` is false.
    asked
        Whether a form with these items stands elsewhere already.
    per
        ``site`` where there is one at each site.
    versions
        What may stand under ``version``, the first being usual; () where there is only one.
    """

    id: str
    title: str
    items: tuple[Item, ...]
    scores: tuple[ScoreKind, ...]
    versions: tuple[str, ...] = ()
    form: str = ""
    asked: bool = False
    per: Literal["", "site"] = ""

    @property
    def form_id(self) -> str:
        """Of its answers, without a site."""
        return self.form or self.id

    def read(self, values: Mapping[str, Any]) -> tuple[Answers, str]:
        """Check the answers.

        Returns
        -------
        tuple
            The answers, and what is wrong with them: empty where each is the item's own, and no key is of another
            instrument or of another version.
        """
        items = {item.id: item for item in self.items}
        known, wrong = {}, []
        for key, value in values.items():
            if key in BESIDE or value is None:
                continue
            if key == VERSION and self.versions:
                if value not in self.versions:
                    wrong.append(f"version: found {value!r}, allowed: {', '.join(self.versions)}")
            elif key not in items:
                wrong.append(f"{key}: {self.id} has no such item")
            elif problem := items[key].problem(value):
                wrong.append(problem)
            else:
                known[key] = value
        ordered = {key: known[key] for key in items if key in known}
        return Answers(ordered, tuple(key for key in items if key not in known)), "; ".join(wrong)

    def score(self, values: Mapping[str, Any]) -> dict[str, Score]:
        """Score answers; an answer that is wrong leaves every score missing, with what is wrong."""
        answers, wrong = self.read(values)
        if wrong:
            return {kind.name: Score(None, len(answers.known), wrong) for kind in self.scores}
        return {kind.name: kind.rule(answers) for kind in self.scores}


def numbered(count: int, low: float, high: float, first: str = "item") -> tuple[Item, ...]:
    """Items that have nothing but a number: ``item_1``, ``item_2``, …"""
    return tuple(Item(f"{first}_{n}", f"{first.capitalize()} {n}", low, high) for n in range(1, count + 1))


def mean_scaled(missing_max: int, per_point: float, lowest: float = 0.0) -> Callable[[Answers], Score]:
    """Mean of the answered items, less `lowest`, times `per_point`: what a sum over a shrunken most possible is too.

    Parameters
    ----------
    missing_max
        With more items missing there is no score.
    """

    def rule(answers: Answers) -> Score:
        told = answers.numbers()
        missing = len(answers.missing)
        if missing > missing_max or not told:
            return Score(None, len(told), _too_few(answers, missing_max))
        value = (fsum(told) / len(told) - lowest) * per_point
        return Score(value, len(told), parameters={"items_missing": missing})

    return rule


def one(item: str) -> Callable[[Answers], Score]:
    """The answer to one item, as it is."""

    def rule(answers: Answers) -> Score:
        if item not in answers.known:
            return Score(None, 0, f"{item} was not answered")
        return Score(float(answers.known[item]), 1)

    return rule


def sum_of_all() -> Callable[[Answers], Score]:
    """The sum; nothing where an item is missing."""

    def rule(answers: Answers) -> Score:
        told = answers.numbers()
        if answers.missing:
            return Score(None, len(told), _too_few(answers, 0))
        return Score(fsum(told), len(told), parameters={"items_missing": 0})

    return rule


def _too_few(answers: Answers, missing_max: int) -> str:
    named = ", ".join(answers.missing[:4]) + (", …" if len(answers.missing) > 4 else "")
    of = len(answers.known) + len(answers.missing)
    return f"{len(answers.missing)} of {of} items are missing ({named}), allowed: at most {missing_max}"
