"""The tables of the pages that the code itself knows best, made from what the nodes run.

``python docs/tables.py`` prints them, ``--write`` puts them into their pages, each between its two marks. A test
holds the pages to them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import fields
from pathlib import Path

from myoloop.platform.streams import ROLES, STREAMS, Stream
from myoloop.stimulators.gate.ceilings import CEILINGS
from myoloop.stimulators.gate.states import TRANSITIONS

DOCS = Path(__file__).resolve().parent


def streams() -> str:
    """Every stream: one row of `STREAMS` each."""
    head = ("topic", "message", "from", "a second", "dead after", "road", "recorded", "says")
    return _table(head, (_stream(stream) for stream in STREAMS))


def _stream(stream: Stream) -> tuple[str, ...]:
    topic = stream.name if stream.instance is None else f"{stream.name}/<{stream.instance}>"
    everyone = stream.publishers == frozenset(ROLES)
    return (
        f"`{topic}`",
        f"`{stream.message.__name__}`",
        "any" if everyone else ", ".join(role for role in ROLES if role in stream.publishers),
        "" if stream.rate_hz is None else f"{stream.rate_hz:g}",
        "" if stream.dead_after_ms is None else f"{stream.dead_after_ms} ms",
        stream.road,
        "yes" if stream.recorded else "no",
        stream.says,
    )


def transitions() -> str:
    """Every way from one state of the gate to another."""
    rows = ((f"`{begin}`", cause, f"`{end}`") for (begin, cause), end in TRANSITIONS.items())
    return _table(("from", "cause", "to"), rows)


def ceilings() -> str:
    """The hard limits of each waveform class."""
    classes = tuple(CEILINGS)
    some = CEILINGS[classes[0]]
    rows = ((f"`{row.name}`", *(_limit(getattr(CEILINGS[name], row.name)) for name in classes)) for row in fields(some))
    return _table(("ceiling", *(f"`{name}`" for name in classes)), rows)


def _limit(value: float | tuple[float, float] | None) -> str:
    if value is None:
        return "none"
    return f"{value[0]:.7g} to {value[1]:.7g}" if isinstance(value, tuple) else f"{value:.7g}"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    columns = tuple(head)
    lines = [columns, ("---",) * len(columns), *(tuple(row) for row in rows)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


#: Name of the marks, the page they stand on, what stands between them.
TABLES: dict[str, tuple[str, Callable[[], str]]] = {
    "streams": ("architecture.md", streams),
    "transitions": ("architecture.md", transitions),
    "ceilings": ("safety.md", ceilings),
}


def with_table(text: str, name: str, table: str) -> str:
    """A page's text with `table` between the marks of `name`.

    Raises
    ------
    ValueError
        If the page lacks a mark.
    """
    begin, end = f"<!-- {name}: begin, made by docs/tables.py -->", f"<!-- {name}: end -->"
    for mark in (begin, end):
        if text.count(mark) != 1:
            raise ValueError(f"a page should hold the line {mark} once, this one does {text.count(mark)} times")
    before, _, rest = text.partition(begin)
    after = rest.partition(end)[2]
    return f"{before}{begin}\n\n{table}\n\n{end}{after}"


if __name__ == "__main__":
    for name, (page, make) in TABLES.items():
        if "--write" in sys.argv[1:]:
            path = DOCS / page
            path.write_text(with_table(path.read_text(encoding="utf-8"), name, make()), encoding="utf-8")
        else:
            print(f"{name}, in docs/{page}:\n\n{make()}\n")
