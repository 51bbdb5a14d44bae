"""Answers to a form as they are given on a command line: ``question=answer``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from myoloop.experiments.screening.forms import form_of
from myoloop.platform.errors import UserError


class AnswerError(UserError, ValueError):
    """Answers that cannot be read: `problems` has one clear line for each."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(problems))


@dataclass(frozen=True, slots=True)
class Found:
    """What a verb answers: for machines and for people."""

    data: dict[str, Any]
    text: str


def answered(form_id: str, texts: Sequence[str]) -> dict[str, Any]:
    """Read answers by the types of the form's questions; a form with one question takes its answer alone.

    Raises
    ------
    AnswerError
        With every mistake: no such form or question, one answered twice, an answer that is not allowed.
    """
    try:
        form, _ = form_of(form_id)
    except KeyError as error:
        raise AnswerError([str(error.args[0])]) from None
    fields = {field.id: field for field in form.fields}
    values: dict[str, Any] = {}
    problems = []
    for text in texts:
        key, equals, answer = text.partition("=")
        if not equals and len(fields) == 1:
            key, answer = next(iter(fields)), text
        key = key.strip()
        if key not in fields:
            problems.append(f"{form_id}: found {text!r}, allowed is question=answer, with one of {', '.join(fields)}")
        elif key in values:
            problems.append(f"{form_id}: {key}: answered twice")
        else:
            try:
                values[key] = fields[key].typed(answer)
            except ValueError as error:
                problems.append(f"{form_id}: {error}")
    if problems:
        raise AnswerError(problems)
    return values
