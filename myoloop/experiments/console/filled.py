"""What a page sends of a form, as the form's own answers: the same types, the same checks, nothing made up.

A page sends text; `Field` says what each text means. What is left empty is left out, so that the form itself says
whether that is allowed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from myoloop.experiments.screening.fields import Field
from myoloop.experiments.screening.form import Form, Mistake
from myoloop.experiments.screening.forms import form_of
from myoloop.platform.errors import UserError

#: A question with more answers than this is a list to open, not a row of buttons.
BUTTONS_MAX = 12
#: The most answers to one question, and questions of one form, that a page can send.
ANSWERS_MAX = 64


class NotAnswersError(UserError, ValueError):
    """What was sent is no form's answers at all; one line."""


@dataclass(frozen=True, slots=True)
class Filled:
    """A form as a page has sent it.

    Attributes
    ----------
    form_id
        With its instance, such as ``skin.ext``.
    values
        Answers by question, plain JSON.
    mistakes
        Everything that is wrong; () where it can be handed on.
    """

    form_id: str
    values: dict[str, Any]
    mistakes: tuple[Mistake, ...]

    def says(self) -> dict[str, str]:
        """The mistakes by question, "" for the form as a whole."""
        found: dict[str, str] = {}
        for each in self.mistakes:
            found[each.field] = f"{found[each.field]}; {each.problem}" if each.field in found else each.problem
        return found


def sent_answers(data: Any) -> dict[str, tuple[str, ...]]:
    """The answers of a page's JSON: a list of texts for each question.

    Raises
    ------
    NotAnswersError
        If it is anything else.
    """
    if not isinstance(data, Mapping) or len(data) > ANSWERS_MAX:
        raise NotAnswersError("answers: allowed is a map of questions, each with a list of texts")
    found = {}
    for name, texts in data.items():
        good = isinstance(texts, list) and len(texts) <= ANSWERS_MAX and all(isinstance(text, str) for text in texts)
        if not isinstance(name, str) or not good:
            raise NotAnswersError("answers: allowed is a map of questions, each with a list of texts")
        found[name] = tuple(texts)
    return found


def filled(form_id: str, sent: Mapping[str, Sequence[str]], now: datetime, zone: str = "UTC") -> Filled:
    """Read and check a form.

    Parameters
    ----------
    sent
        Texts by question, as :func:`sent_answers` gives them.
    now
        With its zone; what must not lie in the future is held to it.
    zone
        IANA name of the zone in which a time without one was meant.

    Raises
    ------
    NotAnswersError
        If there is no such form.
    """
    try:
        form, _ = form_of(form_id)
    except KeyError as error:
        raise NotAnswersError(str(error.args[0])) from None
    values, mistakes = answers_of(form, sent, zone)
    unread = {each.field for each in mistakes}
    mistakes += [each for each in form.mistakes(values, now) if each.field not in unread]
    return Filled(form_id, values, tuple(mistakes))


def answers_of(
    form: Form, sent: Mapping[str, Sequence[str]], zone: str = "UTC"
) -> tuple[dict[str, Any], list[Mistake]]:
    """The answers by the types of their questions, and those that could not be read."""
    fields = {field.id: field for field in form.fields}
    values: dict[str, Any] = {}
    mistakes: list[Mistake] = []
    for name, texts in sent.items():
        told = [text.strip() for text in texts if text.strip()]
        if not told:
            continue
        field = fields.get(name)
        if field is None:
            # The form itself says that it has no such question.
            values[name] = told
        elif field.type in ("choices", "names"):
            values[name] = told
        elif len(told) > 1:
            mistakes.append(Mistake(name, f"found {len(told)} answers, allowed: {field.says_allowed()}"))
        else:
            try:
                values[name] = _read(field, told[0], zone)
            except ValueError as error:
                mistakes.append(Mistake(name, str(error).removeprefix(f"{name}: ")))
    return values, mistakes


def _read(field: Field, text: str, zone: str) -> Any:
    if field.type == "time":
        return field.typed(_with_zone(text, zone))
    if field.type == "number":
        return field.typed(text)
    problem = field.problem(text)
    if problem:
        raise ValueError(problem)
    return text


def _with_zone(text: str, zone: str) -> str:
    """A page's clock says no zone: the study's is meant."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    return text if moment.tzinfo is not None else moment.replace(tzinfo=ZoneInfo(zone)).isoformat()


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as a page shows it.

    Attributes
    ----------
    shape
        ``radios``, ``checks``, ``select``, ``score``, ``number``, ``text``, ``date``, ``moment``.
    choices
        Value and words of each answer to choose from.
    present
        What is filled in already.
    asked_if
        The question, and the answers to it, for which this is asked; None where it always is.
    must
        Whether it must be answered wherever it is asked.
    alone
        Of `choices`: those that stand beside no other.
    """

    id: str
    question: str
    shape: str
    choices: tuple[tuple[str, str], ...] = ()
    present: tuple[str, ...] = ()
    unit: str = ""
    low: str = ""
    high: str = ""
    step: str = "1"
    latest: str = ""
    hint: str = ""
    must: bool = True
    asked_if: tuple[str, str] | None = None
    alone: tuple[str, ...] = ()


def questions(
    form: Form, now: datetime, present: Mapping[str, Any] | None = None, sites: Sequence[str] = ()
) -> tuple[Asked, ...]:
    """The questions of a form as a page shows them.

    Parameters
    ----------
    present
        Answers to begin with.
    sites
        Names that a question for sites may be answered with.
    """
    return tuple(_asked(field, now, (present or {}).get(field.id), sites) for field in form.fields)


def _asked(field: Field, now: datetime, present: Any, sites: Sequence[str]) -> Asked:
    shape, choices = _shape(field, sites)
    told = present if isinstance(present, list | tuple) else [] if present is None else [present]
    return Asked(
        field.id,
        field.question,
        shape,
        tuple((value, value if field.coded else value.replace("_", " ")) for value in choices),
        tuple(map(str, told)),
        field.unit,
        f"{field.low:g}" if field.type == "number" else "",
        f"{field.high:g}" if field.type == "number" else "",
        "1" if field.whole else "any",
        _latest(field, now),
        field.says_allowed() if field.type in ("number", "names", "file") and shape != "score" else "",
        not field.optional,
        None if field.asked_if is None else (field.asked_if[0], " ".join(field.asked_if[1])),
        ("all",) if field.type == "names" else field.alone,
    )


def _shape(field: Field, sites: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    if field.type == "choices":
        return "checks", field.allowed
    if field.type == "names" and sites:
        return "checks", ("all", *sites)
    if field.values:
        return ("radios" if len(field.values) <= BUTTONS_MAX else "select"), field.values
    if field.type == "number" and field.whole and (field.low, field.high) == (0, 10):
        return "score", tuple(map(str, range(11)))
    return {"number": "number", "date": "date", "time": "moment"}.get(field.type, "text"), ()


def _latest(field: Field, now: datetime) -> str:
    if not field.past:
        return ""
    return now.date().isoformat() if field.type == "date" else f"{now:%Y-%m-%dT%H:%M}"
