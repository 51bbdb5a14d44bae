"""What is wrong with a protocol, by itself and on a rig; every mistake at once, one line each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from myoloop.experiments.protocols.rigsummary import RigSummary
from myoloop.experiments.protocols.rules import (
    asking,
    calibrated,
    consistency,
    dosing,
    meaningless,
    optimising,
    places,
    serving,
    study,
    trains,
    yoking,
)
from myoloop.experiments.protocols.schema import Protocol, load_protocol
from myoloop.platform.yamlfile import FileError, KeyPath, UnreadableFile

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake.

    Attributes
    ----------
    place
        ``file:line: key``.
    text
        What was found, and what is allowed.
    severity
        A protocol with an ``error`` does not run.
    line, column
        From 1; 0 where the mistake is none of one place.
    """

    place: str
    text: str
    severity: Severity = "error"
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        marked = "warning: " if self.severity == "warning" else ""
        return f"{self.place}: {marked}{self.text}" if self.text else self.place

    def with_column(self) -> str:
        """The same with ``file:line:column``, as editors and compilers have it."""
        text = str(self)
        return text.replace(f":{self.line}:", f":{self.line}:{self.column}:", 1) if self.column else text


#: A mistake as a rule finds it: where in the file, what, how bad.
Finding = tuple[KeyPath, str, Severity]
Rule = Callable[[Protocol], Iterator[Finding]]
RigRule = Callable[[Protocol, RigSummary], Iterator[Finding]]

_RULES: tuple[Rule, ...] = (
    *consistency.RULES,
    *dosing.RULES,
    *calibrated.RULES,
    *study.RULES,
    *meaningless.RULES,
    *yoking.RULES,
    *optimising.RULES,
    *places.RULES,
    *asking.RULES,
)


def lint(protocol: Protocol, rig: RigSummary | None = None) -> list[Problem]:
    """Everything that is wrong with a protocol that could be read, in the order of its lines.

    Parameters
    ----------
    rig
        Where given, also what this rig cannot serve.
    """
    findings: list[Finding] = []
    for rule in _RULES:
        findings += rule(protocol)
    if rig is not None:
        for rig_rule in (*serving.RULES, *trains.RULES, *places.RIG_RULES, *optimising.RIG_RULES):
            findings += rig_rule(protocol, rig)
    findings.sort(key=lambda finding: (protocol.line(finding[0]), finding[0] and str(finding[0][0])))
    return [
        Problem(protocol.place(keys), text, severity, int(mark := protocol.line(keys)), getattr(mark, "column", 0))
        for keys, text, severity in findings
    ]


def lint_file(path_or_preset: Path | str, rig: RigSummary | None = None) -> list[Problem]:
    """Everything that is wrong with a file: what is no protocol in it, or what `lint` finds in one.

    Raises
    ------
    UnreadableFile
        If there is no such file, or it is no text: then there is nothing that could be mended in it.
    """
    try:
        protocol = load_protocol(path_or_preset)
    except UnreadableFile:
        raise
    except FileError as error:
        places = [(text, getattr(text, "line", 0), getattr(text, "column", 0)) for text in error.problems]
        return [Problem(text, "", line=line, column=column) for text, line, column in places]
    return lint(protocol, rig)


def errors(problems: list[Problem]) -> list[Problem]:
    """Those that keep a protocol from running."""
    return [problem for problem in problems if problem.severity == "error"]
