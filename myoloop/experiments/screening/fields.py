"""One question of a form: its type, what is allowed, and how its answer is checked or typed.

Answers are plain JSON: text, numbers, lists of text. The same answer comes from a script and from a terminal, where
`typed` makes it of what was keyed in.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from math import isfinite
from typing import Any, Literal

Type = Literal["yes_no", "yes_no_unsure", "choice", "choices", "number", "text", "date", "time", "names", "file"]

TEXT_MAX = 500
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,30}")
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_WHOLE = re.compile(r"-?[0-9]{1,9}")
_DECIMAL = re.compile(r"-?[0-9]{1,9}\.[0-9]{1,9}")
_YES_NO = ("yes", "no")
_UNSURE = (*_YES_NO, "unsure")


@dataclass(frozen=True, slots=True)
class Field:
    """A question.

    Attributes
    ----------
    id
        Its key among the form's values.
    question
        As it is asked.
    type
        ``choices`` takes several of `allowed`, ``names`` a list of names or ``all`` alone, ``time`` a moment with
        its time zone, ``file`` the name of a file without a path.
    allowed
        Of a choice. In ``choices``, `alone` may not stand beside others.
    unit, low, high, whole
        Of a number: its unit, least and greatest value, whether it must be whole.
    optional
        Whether the question may be left out; no rule takes that for an answer.
    asked_if
        Another field and its values for which this is asked; otherwise it may be left out.
    past
        Whether a date or a time must not lie in the future.
    """

    id: str
    question: str
    type: Type
    allowed: tuple[str, ...] = ()
    alone: tuple[str, ...] = ()
    unit: str = ""
    low: float = 0.0
    high: float = 0.0
    whole: bool = True
    optional: bool = False
    asked_if: tuple[str, tuple[str, ...]] | None = None
    past: bool = False

    @property
    def values(self) -> tuple[str, ...]:
        """The answers to choose from; () where the answer is free."""
        return _YES_NO if self.type == "yes_no" else _UNSURE if self.type == "yes_no_unsure" else self.allowed

    def says_allowed(self) -> str:
        """What may be answered, in words."""
        if self.type == "choices":
            return f"one or more of {', '.join(self.allowed)}"
        if self.values:
            return ", ".join(self.values)
        if self.type == "number":
            what = "a whole number" if self.whole else "a number"
            return f"{what} from {self.low:g} to {self.high:g}" + (f" {self.unit}" if self.unit else "")
        return {
            "text": f"text of 1 to {TEXT_MAX} letters on one line",
            "date": "a date such as 2026-11-21" + (", not in the future" if self.past else ""),
            "time": "a time with its zone such as 2026-11-21T09:30:00+00:00"
            + (", not in the future" if self.past else ""),
            "names": "a list of names of sites, or all",
            "file": "the name of a file, without a path",
        }[self.type]

    def is_asked(self, values: Mapping[str, Any]) -> bool:
        """Whether this must be answered beside these other answers."""
        if self.optional:
            return False
        return self.asked_if is None or values.get(self.asked_if[0]) in self.asked_if[1]

    def problem(self, value: Any, now: datetime | None = None) -> str:
        """What is wrong with an answer, "" if nothing.

        Parameters
        ----------
        now
            With its zone; where given, what must not lie in the future is held to it.
        """
        good = self._fits(value) and (now is None or not self.past or not self._is_future(value, now))
        return "" if good else f"found {_shown(value)}, allowed: {self.says_allowed()}"

    def _fits(self, value: Any) -> bool:
        if self.type == "number":
            number = isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
            return number and self.low <= value <= self.high and not (self.whole and value != int(value))
        if self.type in ("choices", "names"):
            return self._fits_list(value)
        if not isinstance(value, str):
            return False
        if self.values:
            return value in self.values
        if self.type == "date":
            return parsed_date(value) is not None
        if self.type == "time":
            return parsed_time(value) is not None
        if self.type == "file":
            return _FILE.fullmatch(value) is not None and ".." not in value
        return len(value.strip()) > 0 and len(value) <= TEXT_MAX and value.isprintable()

    def _fits_list(self, value: Any) -> bool:
        if not isinstance(value, list | tuple) or not value or not all(isinstance(each, str) for each in value):
            return False
        if len(set(value)) != len(value):
            return False
        if self.type == "names":
            return tuple(value) == ("all",) or ("all" not in value and all(_NAME.fullmatch(each) for each in value))
        return set(value) <= set(self.allowed) and (len(value) == 1 or not set(value) & set(self.alone))

    def _is_future(self, value: str, now: datetime) -> bool:
        if self.type == "date":
            day = parsed_date(value)
            return day is None or day > now.date()
        moment = parsed_time(value)
        return moment is None or moment > now

    def typed(self, text: str) -> Any:
        """The answer that was keyed in: a value, its first letter or its number; several parted by blanks.

        Raises
        ------
        ValueError
            If it is none; the text is one line for the person at the terminal.
        """
        text = text.strip()
        value: Any = text
        if self.type == "number":
            value = int(text) if _WHOLE.fullmatch(text) else float(text) if _DECIMAL.fullmatch(text) else text
        elif self.type in ("yes_no", "yes_no_unsure"):
            value = next((each for each in self.values if text and each[0] == text.lower()), text)
        elif self.type == "choice":
            value = self._numbered(text)
        elif self.type in ("choices", "names"):
            value = [self._numbered(each) for each in text.replace(",", " ").split()]
        problem = self.problem(value)
        if problem:
            raise ValueError(f"{self.id}: {problem}")
        return value

    @property
    def coded(self) -> bool:
        """Whether an answer could be taken for another's place, as grades could: then each is keyed in as it is."""
        return any(each.isdecimal() and 1 <= int(each) <= len(self.allowed) for each in self.allowed)

    def _numbered(self, text: str) -> str:
        if self.coded:
            return text
        number = int(text) if re.fullmatch(r"[0-9]{1,3}", text) else 0
        return self.allowed[number - 1] if 1 <= number <= len(self.allowed) and text not in self.allowed else text


def parsed_date(value: Any) -> date | None:
    """A date of an answer; None if it is none."""
    if not isinstance(value, str) or not _DATE.fullmatch(value):
        return None
    try:
        return date.fromisoformat(value)
    except ValueError:
        return None


def parsed_time(value: Any) -> datetime | None:
    """A moment of an answer, with its zone; None if it is none."""
    if not isinstance(value, str) or not _DATE.match(value):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
