"""Every act of the operator is a key: what each does, and the questions that some ask first.

Pure: keys and the newest phase go in, deeds come out. A stop comes before everything: SPACE while the stimulator is
armed, F12 always, whatever else is being typed. ESC drops a question and nothing more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from myoloop.experiments.screening.fields import Field
from myoloop.experiments.screening.forms import form_of
from myoloop.experiments.sessions.scripted_acts import Ask, Deed, Press
from myoloop.platform.messages import Phase

STOP_KEYS = frozenset({" ", "s", "S", "F12"})
ENTER, ESCAPE, BACKSPACE = "ENTER", "ESC", "BACKSPACE"
#: One step of the operator's dial.
LEVEL_STEP = 0.05
#: For the page that is printed, and the line under the view.
KEYS: dict[str, str] = {
    "SPACE, F12, s": "stop",
    "ENTER": "do what is waited for: confirm, arm, step, approve",
    "p": "pause",
    "r": "resume; asks for the reason",
    "+ -": "level up, down",
    "n": "pain score; then 0 to 9, or t for 10",
    "m": "mark",
    "a": "attend",
    "h": "hold before the next trial",
    "f": "fill in the form that is asked",
    "o": "override; asks item, name, role, reason, date",
    "t": "try a check again",
    "k": "no maximal contraction; asks for the reason",
    "e": "end the session; asks for the reason",
    "ESC": "drop a question; never ends anything",
}


@dataclass(slots=True)
class _Question:
    """Something that is being asked in the terminal."""

    prompt: str
    take: Callable[[str], str]
    typed: str = ""
    wrong: str = ""


@dataclass(slots=True)
class _Filling:
    """A form that is being filled in."""

    form: str
    left: list[Field]
    values: dict[str, Any] = field(default_factory=dict)


class Keyboard:
    """The operator's keys.

    Parameters
    ----------
    who
        On the record.
    serves
        Whether ENTER does what is waited for; a scripted operator does it by itself.
    """

    def __init__(self, who: str = "operator", *, serves: bool = True) -> None:
        self._who = who
        self._serves = serves
        self._question: _Question | None = None
        self._deeds: list[Deed] = []
        self._wanted = False
        self._phase: Phase | None = None
        self._told = ""

    def tell(self, told: str) -> None:
        """Why the last act was refused; nothing where it was done."""
        self._told = told

    @property
    def line(self) -> str:
        """What is asked, and what has been typed; or the keys there are."""
        asked = self._question
        if asked is None:
            refused = f"  [refused: {self._told}]" if self._told else ""
            return f"SPACE stop  p pause  r resume  +/- level  n score  m mark  a attend  f form  e end{refused}"
        wrong = f"  [{asked.wrong}]" if asked.wrong else ""
        return f"{asked.prompt}: {asked.typed}_{wrong}   (ESC drops the question)"

    def feed(self, keys: Sequence[str], phase: Phase | None) -> Press | None:
        """Take keys in order; a stop comes back at once, other deeds wait to be taken."""
        self._phase = phase
        stop = None
        for key in keys:
            if self._stops(key):
                stop = stop or Press(self._who, "stop key")
            else:
                self._take(key)
        return stop

    def take_deeds(self) -> list[Deed]:
        """Deeds since last asked."""
        deeds, self._deeds = self._deeds, []
        return deeds

    def take_wanted(self) -> bool:
        """Whether ENTER asked to do what is waited for, since last asked."""
        wanted, self._wanted = self._wanted, False
        return wanted

    def _stops(self, key: str) -> bool:
        # A reason has blanks in it; they may be typed only where no current can flow.
        armed = self._phase is None or bool(self._phase.arm_id)
        if self._question is None:
            return key in STOP_KEYS
        return key == "F12" or (key == " " and armed)

    def _take(self, key: str) -> None:
        if self._question is not None:
            self._answer(self._question, key)
            return
        phase = self._phase
        plain = {"p": Ask("pause", "operator's key"), "m": Ask("mark", "operator's key"), "a": Ask("attend"),
                 "h": Ask("hold", "operator's key"), "t": Ask("retry", "operator's key")}  # fmt: skip
        if key in plain:
            self._deeds.append(plain[key])
        elif key in ("+", "-") and phase is not None:
            level = phase.level + (LEVEL_STEP if key == "+" else -LEVEL_STEP)
            self._deeds.append(Ask("level", arguments={"level": round(min(1.0, max(0.0, level)), 9)}))
        elif key == "n":
            self._question = _Question("pain now, 0 to 9, t for 10", self._scored)
        elif key in ("r", "e", "k"):
            skips = "skip_optimise" if phase is not None and phase.kind == "optimise" else "skip_mvc"
            kind = {"r": "resume", "e": "end", "k": skips}[key]
            self._question = _Question(f"{kind.replace('_', ' ')}: why", self._reasoned(kind))
        elif key == "f":
            self._begin_form()
        elif key == "o":
            self._begin_override()
        elif key == ENTER and self._serves:
            self._wanted = True

    def _answer(self, asked: _Question, key: str) -> None:
        if key == ESCAPE:
            self._question = None
        elif key == BACKSPACE:
            asked.typed = asked.typed[:-1]
        elif key == ENTER:
            self._finish(asked)
        elif len(key) == 1 and key.isprintable():
            asked.typed += key
            if asked.take == self._scored:
                self._finish(asked)

    def _finish(self, asked: _Question) -> None:
        self._question = None
        wrong = asked.take(asked.typed.strip())
        if wrong:
            # Asked again, unless the answer has brought another question.
            self._question = _Question(asked.prompt, asked.take, wrong=wrong)

    def _scored(self, text: str) -> str:
        if text != "t" and not (len(text) == 1 and text in "0123456789"):
            return "allowed is 0 to 9, or t for 10"
        self._deeds.append(Ask("score", arguments={"score": 10.0 if text == "t" else float(text)}))
        return ""

    def _reasoned(self, kind: str) -> Callable[[str], str]:
        def take(text: str) -> str:
            if not text:
                return "a reason is needed"
            self._deeds.append(Ask(kind, text))
            return ""

        return take

    # -- questions one after the other ---------------------------------------------------------------------------

    def _begin_form(self) -> None:
        forms = self._phase.forms if self._phase is not None else ()
        if not forms:
            return
        try:
            form, _ = form_of(forms[0])
        except KeyError:
            # One of several of its kind: which one is part of the answer.
            self._question = _Question(f"{forms[0]}: of which (a name)", lambda text: self._named(forms[0], text))
            return
        self._ask_next(_Filling(forms[0], list(form.fields)))

    def _named(self, form: str, text: str) -> str:
        try:
            found, _ = form_of(f"{form}.{text}")
        except KeyError as error:
            return str(error.args[0])
        self._ask_next(_Filling(f"{form}.{text}", list(found.fields)))
        return ""

    def _ask_next(self, filling: _Filling) -> None:
        while filling.left:
            asked = filling.left[0]
            if asked.optional or asked.is_asked(filling.values):
                optional = ", ENTER leaves it out" if asked.optional else ""
                prompt = f"{filling.form}: {asked.question} ({asked.says_allowed()}{optional})"
                self._question = _Question(prompt, lambda text: self._filled(filling, text))
                return
            filling.left.pop(0)
        self._deeds.append(Ask("form", arguments={"form": filling.form, "values": dict(filling.values)}))

    def _filled(self, filling: _Filling, text: str) -> str:
        asked = filling.left[0]
        if text or not asked.optional:
            try:
                filling.values[asked.id] = asked.typed(text)
            except ValueError as error:
                return str(error)
        filling.left.pop(0)
        self._ask_next(filling)
        return ""

    def _begin_override(self) -> None:
        self._ask_override(["item", "name", "role", "reason", "date"], {})

    def _ask_override(self, left: list[str], values: Mapping[str, str]) -> None:
        if not left:
            self._deeds.append(Ask("override", values["reason"], dict(values)))
            return

        def take(text: str) -> str:
            if not text:
                return "an answer is needed"
            self._ask_override(left[1:], {**values, left[0]: text})
            return ""

        self._question = _Question(f"override: {left[0]}", take)
