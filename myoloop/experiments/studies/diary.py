"""What a person is asked between sessions, what they wrote, and what was never written.

A prompt belongs to a session (soreness at 24 h and 48 h, pain at 1 h) or to the end of the course (follow-up
questionnaires). Each has a window: an answer inside it counts as one at that time, a later one is kept and called
late, and where the window has passed without one it is missed, and counted as missed. Nothing is ever overwritten: a
correction is an entry of its own that names the one it corrects.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from myoloop.experiments.studies.moments import read_moment, say_span, write_moment
from myoloop.platform.errors import UserError

State = Literal["waiting", "due", "missed", "answered", "late"]

#: Forms that tell a change which may explain an effect as well as the stimulation does: the question, and its kind.
CONFOUNDERS = {
    "medication": ("medication_changed", "medication"),
    "concomitant_care": ("care_changed", "concomitant care"),
}


class DiaryError(UserError, ValueError):
    """An entry or a diary that cannot be; one line for the operator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiaryPrompt:
    """One thing that is asked after every session.

    Attributes
    ----------
    form
        What is asked: a form's id, such as ``doms`` or ``nrs``.
    after_s
        From the end of the session until it is asked.
    window_s
        How long an answer still counts as one at that time.
    """

    form: str
    after_s: float
    window_s: float

    def __post_init__(self) -> None:
        if not self.form:
            raise ValueError("form: found '', allowed is the id of a form")
        if not (math.isfinite(self.after_s) and self.after_s >= 0):
            raise ValueError(f"after_s: found {self.after_s!r}, allowed is a time in s, at least 0")
        if not (math.isfinite(self.window_s) and self.window_s > 0):
            raise ValueError(f"window_s: found {self.window_s!r}, allowed is a time in s, above 0")


@dataclass(frozen=True, slots=True)
class Prompt:
    """One asking: what and after which session (None: after the course), since when, from when and until when."""

    name: str
    form: str
    session: int | None
    since: datetime
    opens: datetime
    closes: datetime

    @property
    def key(self) -> str:
        """What tells it from all others."""
        return prompt_key(self.session, self.name)


@dataclass(frozen=True, slots=True)
class Entry:
    """What was written.

    Attributes
    ----------
    n
        Number in the log.
    session, prompt
        Session and name of the prompt it answers; None and empty where nobody had asked.
    who
        Who wrote it down: the person, or who asked them.
    corrects
        Number of the entry that this one stands in for.
    """

    n: int
    at: datetime
    form: str
    session: int | None
    prompt: str
    who: str
    values: Mapping[str, Any] = field(default_factory=dict)
    corrects: int | None = None
    why: str = ""

    @property
    def key(self) -> str:
        """Key of the prompt it answers; empty where nobody had asked."""
        return prompt_key(self.session, self.prompt)


@dataclass(frozen=True, slots=True)
class Asked:
    """A prompt and what became of it; `entry` is what holds as its answer, corrections taken in."""

    prompt: Prompt
    state: State
    entry: Entry | None = None


@dataclass(frozen=True, slots=True)
class Confounder:
    """A change of medication or of other care, which an analysis must know of."""

    at: datetime
    kind: str
    values: Mapping[str, Any]


def session_prompts(prompts: Sequence[DiaryPrompt], ended: Iterable[tuple[int, datetime]]) -> tuple[Prompt, ...]:
    """Say what is asked after each session.

    Parameters
    ----------
    ended
        Number of each session, and when it ended.
    """
    return tuple(_prompt(asked, number, end) for number, end in ended for asked in prompts)


def followup_prompts(form: str, followups_s: Sequence[float], window_s: float, ended: datetime) -> tuple[Prompt, ...]:
    """Say what is asked after the course, each so many seconds after its last session."""
    return tuple(
        _prompt(DiaryPrompt(form=form, after_s=after_s, window_s=window_s), None, ended) for after_s in followups_s
    )


def asked(prompts: Iterable[Prompt], entries: Sequence[Entry], now: datetime) -> tuple[Asked, ...]:
    """Say what became of each prompt by now."""
    standing = standing_entries(entries)
    return tuple(_asked(prompt, standing, now) for prompt in prompts)


def answers(prompts: Iterable[Prompt], entries: Sequence[Entry], form: str, now: datetime) -> Prompt | None:
    """Find the prompt that an entry of this form answers now: the oldest one that is open and not answered.

    Where none is open it is the newest one that was missed, so that a late answer is kept as one; None where nobody
    has asked.
    """
    states = [each for each in asked(prompts, entries, now) if each.prompt.form == form]
    due = [each.prompt for each in states if each.state == "due"]
    if due:
        return min(due, key=lambda prompt: (prompt.closes, prompt.key))
    missed = [each.prompt for each in states if each.state == "missed"]
    return max(missed, key=lambda prompt: (prompt.closes, prompt.key)) if missed else None


def standing_entries(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """Put each correction in the place of what it corrects: its values hold, at the time of the first writing."""
    held: dict[int, Entry] = {}
    stands_for: dict[int, int] = {}
    for entry in sorted(entries, key=lambda each: each.n):
        if entry.corrects is None:
            held[entry.n] = entry
            stands_for[entry.n] = entry.n
        elif (first := stands_for.get(entry.corrects)) is not None:
            old = held[first]
            held[first] = replace(entry, n=old.n, at=old.at, session=old.session, prompt=old.prompt)
            stands_for[entry.n] = first
    return tuple(held[n] for n in sorted(held))


def confounders(entries: Sequence[Entry]) -> tuple[Confounder, ...]:
    """Every change of medication or of other care that was told, in the order told; one in doubt counts as one."""
    return tuple(
        Confounder(entry.at, CONFOUNDERS[entry.form][1], entry.values)
        for entry in standing_entries(entries)
        if entry.form in CONFOUNDERS and entry.values.get(CONFOUNDERS[entry.form][0]) != "no"
    )


def entry_line(
    *,
    at: datetime,
    form: str,
    prompt: Prompt | None,
    who: str,
    values: Mapping[str, Any],
    corrects: Entry | None = None,
    why: str = "",
) -> dict[str, Any]:
    """Compose what is appended to ``record/diary.jsonl``.

    Raises
    ------
    DiaryError
        If nothing was written, nobody is named, or a correction says no reason or changes the form.
    """
    if not form or not values:
        raise DiaryError("an entry needs a form and at least one value")
    if not who.strip():
        raise DiaryError("an entry needs who wrote it")
    if corrects is not None and (corrects.form != form or not why.strip()):
        raise DiaryError(f"a correction of entry {corrects.n} needs its form, {corrects.form}, and a reason")
    answered = corrects or prompt
    line = {
        "kind": "entry",
        "wall_utc": write_moment(at),
        "form": form,
        "session": answered.session if answered else None,
        "prompt": corrects.prompt if corrects else prompt.name if prompt else "",
        "who": who,
        "values": dict(values),
        "why": why,
    }
    # Named as in every log of the record: the earlier line that this one is about.
    return line if corrects is None else {**line, "event": corrects.n}


def prompt_key(session: int | None, name: str) -> str:
    """Write a prompt as it is shown: ``ses-05 doms 24 h``, ``follow_up 4 wk``."""
    return name if session is None else f"ses-{session:02d} {name}"


def read_diary(lines: Iterable[Mapping[str, Any]]) -> tuple[Entry, ...]:
    """Read the lines of ``record/diary.jsonl``; lines of other kinds are passed over.

    Raises
    ------
    DiaryError
        If a line is no entry.
    """
    return tuple(_entry(line) for line in lines if line.get("kind") == "entry")


def _entry(line: Mapping[str, Any]) -> Entry:
    try:
        return Entry(
            n=int(line["n"]),
            at=read_moment(line["wall_utc"]),
            form=str(line["form"]),
            session=None if line["session"] is None else int(line["session"]),
            prompt=str(line["prompt"]),
            who=str(line["who"]),
            values=dict(line["values"]),
            corrects=int(line["event"]) if "event" in line else None,
            why=str(line["why"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DiaryError(f"diary: entry {line.get('n')}: not an entry: {error}") from None


def _prompt(prompt: DiaryPrompt, session: int | None, end: datetime) -> Prompt:
    opens = end + timedelta(seconds=prompt.after_s)
    return Prompt(
        f"{prompt.form} {say_span(prompt.after_s)}",
        prompt.form,
        session,
        end,
        opens,
        opens + timedelta(seconds=prompt.window_s),
    )


def _asked(prompt: Prompt, standing: Sequence[Entry], now: datetime) -> Asked:
    # What was written before the time has come says nothing about that time.
    written = [each for each in standing if each.key == prompt.key and prompt.opens <= each.at <= now]
    if written:
        first = min(written, key=lambda each: (each.at, each.n))
        return Asked(prompt, "answered" if first.at <= prompt.closes else "late", first)
    if now < prompt.opens:
        return Asked(prompt, "waiting")
    return Asked(prompt, "due" if now <= prompt.closes else "missed")
