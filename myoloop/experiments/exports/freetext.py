"""Free text that leaves the study is scanned first: dates, addresses, and names that are known.

What is looked for, and nothing else: dates (2026-11-21, 21.11.2026, 11/21/26, 21 November 2026, Nov 21), e-mail
addresses, telephone numbers of seven digits or more, and the names that the study knows: whoever signed, acted, filled
in a form or cleared a person, and what is listed by hand (such as the second identifiers, which stand in the key file
alone). A name that nobody listed is not found: read free text before it is handed on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from myoloop.platform.errors import UserError

Mode = Literal["redact", "refuse"]
MODES: tuple[Mode, ...] = ("redact", "refuse")
_MONTHS = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sep(?:t(?:ember)?)?|oct(?:ober)?|"
    r"nov(?:ember)?|dec(?:ember)?)"
)
_FOUND = {
    "date": re.compile(
        r"\b\d{4}[-./]\d{1,2}[-./]\d{1,2}(?:T[\d:.+Z-]+)?\b"
        r"|\b\d{1,2}[-./]\d{1,2}[-./](?:\d{4}|\d{2})\b"
        rf"|\b\d{{1,2}}\.?(?:st|nd|rd|th)?(?:\s+of)?\s+{_MONTHS}\b\.?(?:,?\s+\d{{4}})?"
        rf"|\b{_MONTHS}\b\.?\s+\d{{1,2}}(?:st|nd|rd|th)?\b(?:,?\s+\d{{4}})?"
        rf"|\b{_MONTHS}\s+\d{{4}}\b",
        re.IGNORECASE,
    ),
    "e-mail address": re.compile(r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+\b"),
    "telephone number": re.compile(r"(?<![\w.])\+?\d(?:[ /()-]{0,2}\d){6,}(?![\w.])"),
}
#: A word of a listed name, or a year that stands beside it.
_WORD = re.compile(r"[^\W\d_]{2,}|(?<!\d)\d{4}(?!\d)")
#: Words of a role or of what a computer does that stand where a name is asked for; no names of people.
NO_NAMES = frozenset(
    {
        "and", "clinician", "controller", "director", "doctor", "nobody", "none", "nurse", "of", "operator", "person",
        "participant", "physician", "physiotherapist", "recorder", "rehearsal", "script", "simulated", "stimulator",
        "student", "subject", "supervisor", "the", "unknown", "virtual",
    }
)  # fmt: skip


@dataclass
class FreeText:
    """What is looked for, and what was found.

    Parameters
    ----------
    names
        Known names; each word of two letters or more is looked for by itself, and each year, as in ``AB 1980``.
    mode
        ``redact``: what is found is left out, and told; ``refuse``: the export ends.

    Attributes
    ----------
    told
        A line for each text in which something was found: where and how many of what, never what.
    """

    names: Iterable[str] = ()
    mode: Mode = "redact"
    told: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._words: set[str] = set()
        self._names: re.Pattern[str] | None = None
        self.add_names(self.names)

    def add_names(self, names: Iterable[str]) -> None:
        """Look for these, too, from now on."""
        self._words |= {word.lower() for name in names for word in _WORD.findall(name)} - NO_NAMES
        # The longest first, so that no part of a name is left behind.
        listed = "|".join(re.escape(word) for word in sorted(self._words, key=lambda word: (-len(word), word)))
        self._names = re.compile(rf"(?<!\w)(?:{listed})(?!\w)", re.IGNORECASE) if listed else None

    def scanned(self, text: str, where: str) -> str:
        """Give a text without what was found in it.

        Parameters
        ----------
        where
            Session, form and question, for the line that is told.

        Raises
        ------
        UserError
            If something was found and that is to be refused.
        """
        found: list[str] = []
        for what, pattern in (*_FOUND.items(), *((("name", self._names),) if self._names is not None else ())):
            text, count = pattern.subn(f"[{what}]", text)
            if count:
                found.append(f"{count} {what}{'s' if count > 1 and not what.endswith('s') else ''}")
        if not found:
            return text
        line = f"{where}: {', '.join(found)}"
        if self.mode == "refuse":
            raise UserError(f"{line} in free text; correct it there, or export with --text redact")
        self.told.append(f"{line} left out of free text")
        return text


def read_names(path: Path | str) -> tuple[str, ...]:
    """Read names that must not leave, one a line.

    Raises
    ------
    UserError
        If there is no such file, or it is not text.
    """
    try:
        return tuple(line.strip() for line in Path(path).read_text("utf-8").splitlines() if line.strip())
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: is no text in UTF-8") from None
