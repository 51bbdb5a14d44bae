"""What the protocol rests on: its grade, each value on which safety rests with the grade of its source.

Nothing here is computed from the session. It stands in the report so that no number is read without it.
"""

from __future__ import annotations

from collections import Counter

from myoloop.experiments.protocols.evidence import FREE_MARKS, GRADES, Grade, marks_of, safety_parameters
from myoloop.experiments.protocols.schema import Protocol
from myoloop.experiments.reports.tables import Table

MECHANISM = "hypothesised"
#: What is said of every protocol, whatever its grade.
STATEMENT = (
    "The grade is that of the protocol as a whole, as its author has judged it. How stimulation would bring an effect "
    "about is a hypothesis: nothing in this session measures a mechanism. What no sensor or form of this session "
    "measured is not implied."
)
_GRADES: dict[Grade, str] = {
    "trial": "a trial",
    "review": "a review or guideline",
    "maker": "a maker's document or a standard",
    "web": "a page on the web",
    "unverified": "nothing that was verified",
}


def facts(protocol: Protocol) -> list[tuple[str, str]]:
    """Grade, what is said of mechanisms, how many values rest on what, the author's note."""
    evidence = protocol.protocol.evidence
    counted = Counter(each.grade for each in safety_parameters(protocol))
    rest = ", ".join(f"{counted[grade]} on {_GRADES[grade]}" for grade in GRADES if counted[grade])
    rows = [
        ("Protocol", f"{protocol.protocol.title} ({protocol.protocol.id} {protocol.protocol.version})"),
        ("Grade of evidence", evidence.grade),
        ("Mechanism", MECHANISM),
        ("Values on which safety rests", rest or "none"),
        ("Note", " ".join(evidence.note.split())),
    ]
    return [(label, value) for label, value in rows if value]


def parameters(protocol: Protocol) -> Table | None:
    """Every value on which safety rests, the best founded first."""
    found = sorted(safety_parameters(protocol), key=lambda each: GRADES.index(each.grade))
    if not found:
        return None
    marks = protocol.protocol.evidence.marks
    rows = tuple(
        (each.path, each.written, each.grade, ", ".join(marks_of(marks, each.path)) or "no mark") for each in found
    )
    free = "; ".join(f"{mark}: {text}" for mark, text in FREE_MARKS.items())
    return Table(("value", "as written", "grade", "marks"), rows, f"n = {len(rows)} values. {free}.")


def sources(protocol: Protocol) -> Table | None:
    """What the marks stand for."""
    rows = tuple((mark, each.grade, each.text) for mark, each in protocol.protocol.evidence.sources.items())
    return Table(("mark", "grade", "source"), rows, f"n = {len(rows)} sources.") if rows else None
