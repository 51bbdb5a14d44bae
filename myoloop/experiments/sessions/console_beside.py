"""A console started beside a session: a process of its own, that neither ends with the session nor ends it."""

from __future__ import annotations

import json
import selectors
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from myoloop.platform.errors import UserError

COMMAND = (sys.executable, "-P", "-m", "myoloop", "console")
#: How long it may take to say where it is.
START_S = 30.0
LOG = Path("derivatives") / "console.log"


class ConsoleError(UserError):
    """No console came up."""


@dataclass(frozen=True, slots=True)
class ConsoleBeside:
    """A console that serves: its addresses by role, and its process, which is left alone."""

    addresses: Mapping[str, str]
    process: subprocess.Popen[bytes]


def start_console(
    study: Path,
    options: Mapping[str, object | None],
    *,
    command: Sequence[str] = COMMAND,
    start_s: float = START_S,
) -> ConsoleBeside:
    """Start a console on a study and wait until it serves.

    Parameters
    ----------
    options
        What the console is told besides, by option: ``--rig`` and others; None leaves one out.
    command
        What is started, before the study and its options.

    Raises
    ------
    ConsoleError
        If it does not come up, with its own last words.
    """
    log = study / LOG
    log.parent.mkdir(parents=True, exist_ok=True)
    given = [f"{name}={value}" for name, value in options.items() if value is not None]
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [*command, str(study), "--json", *given],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        )
    if process.stdout is None:
        raise ConsoleError("the console has no output")
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        line = process.stdout.readline() if selector.select(start_s) else b""
    # It says nothing else, and would say it to nobody.
    process.stdout.close()
    try:
        return ConsoleBeside(dict(json.loads(line)["addresses"]), process)
    except (ValueError, KeyError, TypeError):
        process.kill()
        process.wait()
        words = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        raise ConsoleError(f"no console: {words[-1] if words else 'it did not come up'}") from None
