"""What a protocol rests on: sources with their grade, and for each value the marks of those it is taken from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from pydantic import BeforeValidator, Field

from myoloop.experiments.protocols.fields import Strict, Text

if TYPE_CHECKING:
    from myoloop.experiments.protocols.schema import Protocol

#: From the best to none.
Grade = Literal["trial", "review", "maker", "web", "unverified"]
GRADES: tuple[Grade, ...] = ("trial", "review", "maker", "web", "unverified")

#: Marks that need no source, and are no evidence: general knowledge, unverified; our own proposal.
FREE_MARKS = {"GK": "general knowledge, unverified", "PROP": "our own proposal"}

#: Values on which safety rests, as beginnings or ends of their paths; see `safety_parameters`.
_SAFETY_SECTIONS = (
    "envelope.", "stimulation.", "stop_rules", "course.", "thresholds.", "progression[", "flare.", "sham.",
)  # fmt: skip
#: Of these, what is no such value: names, and what only asks.
_NO_SAFETY = (".site", ".waveform_class", ".name", ".check.form", ".check.during", ".check.after")
_SAFETY_KEYS = frozenset(
    {"pad", "step", "start", "stop_at", "interval", "burst", "ramp_up", "hold", "ramp_down", "rest", "intensity",
     "phase", "rate", "phases", "rates", "levels", "discomfort_max", "trials", "repeat", "catch_trials",
     "abort_pain_rise", "at_most", "avoid", "impedance_max"}
)  # fmt: skip


class Source(Strict):
    """Where a value is from, and of what kind that is; a bare text is of no grade that is known."""

    text: Text
    grade: Grade = "unverified"


def _text_alone(value: Any) -> Any:
    return {"text": value} if isinstance(value, str) else value


class Evidence(Strict):
    """How well the protocol is supported, and each of its values.

    Attributes
    ----------
    grade
        Of the protocol as a whole.
    sources
        Mark to reference; ``GK`` (general knowledge, unverified) and ``PROP`` (our own proposal) need none.
    marks
        Path of a value in this file, such as ``stimulation.ext.rate``, to the marks it rests on. A mark for a path
        that holds several values (``stop_rules``) is a mark for all of them.
    note
        What a reader must know before believing any of it.
    """

    grade: Literal["none", "very low", "low", "moderate", "high"]
    sources: dict[str, Annotated[Source, BeforeValidator(_text_alone)]] = Field(default_factory=dict)
    marks: dict[str, tuple[Text, ...]] = Field(default_factory=dict)
    note: str = ""

    def grade_of(self, path: str) -> Grade:
        """Best grade among the marks of a value, or of what it is a part of; ``unverified`` without any."""
        marks = marks_of(self.marks, path)
        grades = {self.sources[mark].grade for mark in marks if mark in self.sources}
        return next((grade for grade in GRADES if grade in grades), "unverified")


class SafetyParameter(NamedTuple):
    """A value on which safety rests, as the file has it, and the grade of what it is taken from."""

    path: str
    written: str
    grade: Grade


def safety_parameters(protocol: Protocol) -> tuple[SafetyParameter, ...]:
    """Every value of the file on which safety rests, in the order of its lines.

    These are what a clinician signs one by one where their grade is not ``trial``: limits, pulses, pads, steps of
    calibration, lengths and intensity of trains, rules of stopping and of the course; what progression may move, how
    far and for which result; what is left after a flare; what a sham gives.
    """
    evidence = protocol.protocol.evidence
    return tuple(
        SafetyParameter(path, protocol.written(keys), evidence.grade_of(path))
        for path, keys in protocol.values()
        if _is_safety(path)
    )


def marks_of(marks: Mapping[str, tuple[str, ...]], path: str) -> tuple[str, ...]:
    """Marks of a value, or else of the nearest part of the file that it is in."""
    for whole in _upwards(path):
        if whole in marks:
            return marks[whole]
    return ()


def _upwards(path: str) -> Iterator[str]:
    yield path
    while (cut := max(path.rfind("."), path.rfind("["))) > 0:
        path = path[:cut]
        yield path


def _is_safety(path: str) -> bool:
    if path.startswith(_SAFETY_SECTIONS):
        return not path.endswith(_NO_SAFETY)
    if not path.startswith(("phases[", "sites.")):
        return False
    # Phases have their number and kind before their keys, sites their name.
    parts = path.replace("[", ".").split(".")[3 if path.startswith("phases") else 2 :]
    return any(part in _SAFETY_KEYS for part in parts)
