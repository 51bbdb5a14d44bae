"""The tables of the page about stimulators: settings of each driver, fault words of each emulator, assumptions.

``python docs/device_tables.py`` prints them, ``--write`` puts them into the page, each between its two marks. A test
holds the page to them.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any

from myoloop.stimulators.emulators.fault_words import fault_kinds
from myoloop.stimulators.emulators.registry import EMULATORS
from myoloop.stimulators.registry import BUILT_IN

PAGE = Path(__file__).resolve().parent / "stimulators.md"
PACKAGE = Path(inspect.getfile(importlib.import_module("myoloop"))).parent
MARK = re.compile(r"\bassumption: ")


def settings() -> str:
    """Every driver's settings, from its dataclass."""
    parts = []
    for name, target in sorted(BUILT_IN.items()):
        module, _, cls = target.partition(":")
        wanted = getattr(importlib.import_module(module), cls).Settings
        said = attributes(inspect.getdoc(wanted) or "")
        rows = (
            (f"`{each.name}`", _default(each), said.get(each.name, "")) for each in fields(wanted)
            if each.name != "channels"
        )  # fmt: skip
        parts.append(f"### `{name}`\n\n{_table(('setting', 'if left out', 'says'), rows)}")
    return "\n\n".join(parts)


def attributes(doc: str) -> dict[str, str]:
    """What a docstring in numpydoc says of each attribute."""
    _, _, text = doc.partition("Attributes\n----------\n")
    found: dict[str, list[str]] = {}
    names: list[str] = []
    for line in text.splitlines():
        if line and not line[0].isspace():
            names = [name.strip() for name in line.split(",")]
        for name in names:
            found.setdefault(name, []).extend([line.strip()] if line[:1].isspace() else [])
    return {name: " ".join(lines).replace("``", "`") for name, lines in found.items()}


def _default(each: Field[Any]) -> str:
    if each.default is MISSING and each.default_factory is MISSING:
        return "must be given"
    value = each.default
    return "none" if value == "" else f"`{str(value).lower() if isinstance(value, bool) else value}`"


def fault_words() -> str:
    """What may break on each emulator."""
    common = set.intersection(*(set(fault_kinds(kind.make(0).faults)) for kind in EMULATORS.values()))
    rows = [("every one", _words(common))]
    for name, kind in EMULATORS.items():
        rows.append((f"`{name}`, besides", _words(set(fault_kinds(kind.make(0).faults)) - common)))
    return _table(("emulator", "words"), rows)


def _words(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in sorted(words))


def assumptions() -> str:
    """What the makers do not say and the code takes to be so, file by file."""
    rows: dict[str, list[str]] = {}
    for path, text in marked():
        rows.setdefault(path, []).append(text)
    return "\n".join(
        f"- `{path}`\n" + "\n".join(f"  - {text}" for text in texts) for path, texts in sorted(rows.items())
    )


def marked() -> Iterator[tuple[str, str]]:
    """Each sentence that the code marks as an assumption, with the file it stands in."""
    for path in sorted((PACKAGE / "stimulators").rglob("*.py")):
        lines = path.read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines):
            found = MARK.search(line)
            if found is None:
                continue
            text = line[found.end() :]
            comment = line.lstrip().startswith("#")
            for after in lines[number + 1 :]:
                more = after.strip()
                if not comment or not more.startswith("#") or MARK.search(more):
                    break
                text += " " + more.lstrip("#: ")
            text = text.strip().removesuffix('"""').rstrip(".")
            # Where the whole remark stands in brackets.
            text = text.removesuffix(")") if text.count(")") > text.count("(") else text
            yield str(path.relative_to(PACKAGE.parent)), text


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    columns = tuple(head)
    lines = [columns, ("---",) * len(columns), *(tuple(cell.replace("|", "\\|") for cell in row) for row in rows)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


TABLES: dict[str, Callable[[], str]] = {"settings": settings, "fault-words": fault_words, "assumptions": assumptions}


def with_tables(text: str) -> str:
    """The page with every table between its marks.

    Raises
    ------
    ValueError
        If the page lacks a mark.
    """
    for name, make in TABLES.items():
        begin, end = f"<!-- {name}: begin, made by docs/device_tables.py -->", f"<!-- {name}: end -->"
        if text.count(begin) != 1 or text.count(end) != 1:
            raise ValueError(f"the page should hold the lines {begin} and {end} once")
        before, _, rest = text.partition(begin)
        text = f"{before}{begin}\n\n{make()}\n\n{end}{rest.partition(end)[2]}"
    return text


if __name__ == "__main__":
    if "--write" in sys.argv[1:]:
        PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        for name, make in TABLES.items():
            print(f"{name}:\n\n{make()}\n")
