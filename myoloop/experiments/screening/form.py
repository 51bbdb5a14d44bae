"""A form: its questions in order, and what else holds between its answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from myoloop.experiments.screening.fields import Field

#: What there is one filled-in form of, each under ``form.instance``; "" where there is one a session.
Per = Literal["", "site", "item", "event", "material"]
#: Looks at answers that are each well formed; (field, what is wrong) for each mistake.
Check = Callable[[Mapping[str, Any]], list[tuple[str, str]]]


def _nothing(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    return []


@dataclass(frozen=True, slots=True)
class Mistake:
    """An answer that is missing or not allowed.

    Attributes
    ----------
    field
        Its key; "" where it is the form as a whole.
    """

    field: str
    problem: str


@dataclass(frozen=True, slots=True)
class Form:
    """Some questions that are answered together.

    Attributes
    ----------
    id
        Its name, and the name of its file.
    title
        What it is, for who fills it in.
    fields
        The questions, in order.
    per
        What there is one of it for.
    between
        What else must hold between answers.
    """

    id: str
    title: str
    fields: tuple[Field, ...]
    per: Per = ""
    between: Check = _nothing

    def mistakes(self, values: Any, now: datetime | None = None) -> list[Mistake]:
        """Everything that is wrong with the answers.

        Parameters
        ----------
        now
            With its zone; where given, what must not lie in the future is held to it.
        """
        if not isinstance(values, Mapping):
            return [Mistake("", "found no map of answers")]
        found: list[Mistake] = []
        for field in self.fields:
            if field.id not in values:
                if field.is_asked(values):
                    found.append(Mistake(field.id, f"not answered, allowed: {field.says_allowed()}"))
            elif problem := field.problem(values[field.id], now):
                found.append(Mistake(field.id, problem))
        known = {field.id for field in self.fields}
        allowed = ", ".join(field.id for field in self.fields)
        unknown = sorted(str(key) for key in values if key not in known)
        found += [Mistake(key, f"no such question, allowed: {allowed}") for key in unknown]
        if not found:
            found += [Mistake(field_id, problem) for field_id, problem in self.between(values)]
        return found

    def field(self, field_id: str) -> Field:
        """One question.

        Raises
        ------
        KeyError
            If it has none of that name.
        """
        for field in self.fields:
            if field.id == field_id:
                return field
        raise KeyError(field_id)
