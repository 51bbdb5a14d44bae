"""Run the commands that README.md and the pages show, so that what a reader types works.

A page's ```console blocks are run in order, in a folder of the page's own, for each line that begins with
``$ myoloop`` (a line that ends in a backslash goes on in the next). A command must end with 0, or with what
``<!-- exits: 2 -->`` before its block says (``0 1`` where either is good). A block after ``<!-- not-run: reason -->``
is left out, and listed with the reason, so that leaving out is seen. Small commands on files (mkdir, cp, head, echo,
sed), which a page may need between ours, are run too; other ``$`` lines (make, git, pip) are listed as not run.

A ```yaml or ```python block after ``<!-- file: mine.yaml -->`` is added to the end of that file in the page's folder,
so that a page can tell a file piece by piece, and the commands after it read what the reader reads; a line that begins
with ``$ python mine.py`` is run where the page has told that file.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from warm_commands import Run, Warm

ROOT = Path(__file__).resolve().parents[1]
RUN = frozenset({"myoloop", "mkdir", "cp", "head", "echo", "sed"})
_FENCE = re.compile(r"^(?P<indent> *)(?P<ticks>`{3,})(?P<language>[\w{}:-]*).*$")
_MARK = re.compile(r"^\s*<!--\s*(?P<key>not-run|exits|file):\s*(?P<value>.+?)\s*-->\s*$")
_FILE = re.compile(r"^\w[\w.-]*$")


@dataclass(frozen=True)
class Command:
    """A command as a page shows it."""

    page: Path
    line: int
    text: str
    exits: frozenset[int] = frozenset({0})
    not_run: str = ""


@dataclass(frozen=True)
class Piece:
    """A piece of a file as a page shows it."""

    page: Path
    line: int
    file: str
    text: str


class BadPage(ValueError):
    """A page whose blocks or marks cannot be read."""


def steps_of(page: Path) -> Iterator[Command | Piece]:
    """Find the commands and pieces of files of a page, in order.

    Raises
    ------
    BadPage
        If a mark stands before anything but the block it is for, or a block or a continued line does not end.
    """
    lines = page.read_text(encoding="utf-8").splitlines()
    marks: dict[str, str] = {}
    told: set[str] = set()
    number = 0
    while number < len(lines):
        line = lines[number]
        number += 1
        fence = _FENCE.match(line)
        if mark := _MARK.match(line):
            if mark["key"] == "exits" and not all(code.isdigit() for code in mark["value"].split()):
                raise BadPage(f"{page}:{number}: exits: {mark['value']!r} is no exit code")
            if mark["key"] == "file" and not _FILE.match(mark["value"]):
                raise BadPage(f"{page}:{number}: file: {mark['value']!r} is not the name of a file")
            marks[mark["key"]] = mark["value"]
        elif fence:
            first = number
            while number < len(lines) and lines[number].strip() != fence["ticks"]:
                number += 1
            if number == len(lines):
                raise BadPage(f"{page}:{first}: a block that does not end")
            block = lines[first:number]
            if fence["language"] == "console" and "file" not in marks:
                yield from _of_block(page, first, block, marks, told)
            elif fence["language"] in ("yaml", "python") and marks.keys() == {"file"}:
                told.add(marks["file"])
                yield Piece(page, first, marks["file"], "".join(f"{line}\n" for line in block))
            elif marks:
                raise BadPage(f"{page}:{first}: {', '.join(marks)}: a mark that is not for a block of this kind")
            marks = {}
            number += 1
        elif line.strip() and marks:
            raise BadPage(f"{page}:{number}: a mark that no block follows")
    if marks:
        raise BadPage(f"{page}:{len(lines)}: a mark that no block follows")


def commands_of(page: Path) -> Iterator[Command]:
    """Find the commands of a page, in order; raises as `steps_of` does."""
    return (step for step in steps_of(page) if isinstance(step, Command))


def _of_block(page: Path, first: int, block: list[str], marks: dict[str, str], told: set[str]) -> Iterator[Command]:
    offset = 0
    while offset < len(block):
        start, text = offset, block[offset].strip()
        offset += 1
        if not text.startswith("$ "):
            continue
        text = text[2:]
        while text.endswith("\\"):
            if offset == len(block):
                raise BadPage(f"{page}:{first + start + 1}: a continued line that does not end")
            text = text[:-1].rstrip() + " " + block[offset].strip()
            offset += 1
        words = text.split()
        ours = words[0] in RUN or (words[0] == "python" and not told.isdisjoint(words[1:2]))
        not_run = marks.get("not-run", "" if ours else "not a myoloop command")
        yield Command(page, first + start + 1, text, frozenset(map(int, marks.get("exits", "0").split())), not_run)


def run_page(page: Path, timeout_s: float, run: Run | None = None) -> tuple[int, int, int]:
    """Run a page's commands in a folder of its own, with the clone's examples in it; (good, failed, not run).

    `run` runs a line; a shell, if it is None.
    """
    good = failed = left_out = 0
    environment = dict(os.environ)
    environment["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), environment.get("PATH", "")))
    with tempfile.TemporaryDirectory(prefix="page-") as folder:
        shutil.copytree(ROOT / "examples", Path(folder) / "examples")
        for command in steps_of(page):
            if isinstance(command, Piece):
                with (Path(folder) / command.file).open("a", encoding="utf-8") as file:
                    file.write(command.text)
                continue
            where = f"{page.name}:{command.line}"
            if command.not_run:
                left_out += 1
                print(f"not run  {where}  {command.text}  ({command.not_run})")
                continue
            began = time.monotonic()
            result, output = (run or _run)(command.text, folder, environment, timeout_s)
            took_s = time.monotonic() - began
            if result in command.exits:
                good += 1
                print(f"good     {where}  {command.text}  ({took_s:.1f} s)", flush=True)
            else:
                failed += 1
                wanted = " or ".join(map(str, sorted(command.exits)))
                print(f"FAILED   {where}  {command.text}  exit {result}, not {wanted}\n{output}", flush=True)
    return good, failed, left_out


def _run(text: str, folder: str, environment: Mapping[str, str], timeout_s: float) -> tuple[int | str, str]:
    try:
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", text],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        said = late.stdout or b""
        return f"none within {timeout_s:g} s", said if isinstance(said, str) else said.decode(errors="replace")
    return done.returncode, done.stdout


def main(arguments: list[str] | None = None) -> int:
    """Run the pages given, or README.md and docs/*.md; 0 if every command ended as it should."""
    parser = argparse.ArgumentParser(description="Run the commands that the pages show.")
    parser.add_argument("pages", nargs="*", type=Path)
    parser.add_argument("--timeout", type=float, default=300.0, help="seconds per command")
    parser.add_argument("--side-by-side", type=int, default=1, help="pages at a time, each in its own folder")
    parser.add_argument("--warm", action="store_true", help="fork commands from a process that has imported myoloop")
    options = parser.parse_args(arguments)
    # The longest first, so that none is left alone at the end.
    first = [ROOT / "docs/training.md", ROOT / "docs/protocols.md", ROOT / "README.md", ROOT / "docs/quickstart.md"]
    others = (page for page in sorted((ROOT / "docs").rglob("*.md")) if page not in first)
    pages = options.pages or [*first, *others]

    here = threading.local()
    all_warm: list[Warm] = []

    def tried(page: Path) -> tuple[int, int, int]:
        # What README.md shows is started as a reader starts it.
        if options.warm and page != ROOT / "README.md" and not hasattr(here, "warm"):
            from warm_commands import Warm  # beside this file, which is run as a script

            here.warm = Warm(_run)
            all_warm.append(here.warm)
        try:
            run = here.warm.run if options.warm and page != ROOT / "README.md" else None
            return run_page(page, options.timeout, run)
        except (BadPage, OSError) as error:
            print(f"FAILED   {error}", flush=True)
            return 0, 1, 0

    with ThreadPoolExecutor(max(1, options.side_by_side)) as pool:
        totals = [sum(column) for column in zip(*pool.map(tried, pages), strict=True)]
    for warm in all_warm:
        warm.close()
    print(f"{totals[0]} commands good, {totals[1]} failed, {totals[2]} not run")
    return 1 if totals[1] else 0


if __name__ == "__main__":
    sys.exit(main())
