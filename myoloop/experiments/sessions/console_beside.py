"""A console started beside a session: a process of its own, that neither ends with the session nor ends it."""

from __future__ import annotations

import json
import selectors
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from myoloop.platform.errors import UserError

#: How long it may take to say where it is.
START_S = 30.0
LOG = Path("derivatives") / "console.log"


class ConsoleError(UserError):
    """No console came up."""


def start_console(study: Path, options: Mapping[str, object | None], *, start_s: float = START_S) -> str:
    """Start a console on a study and wait until it serves; returns its address.

    Parameters
    ----------
    options
        What the console is told besides, by option: ``--rig`` and others; None leaves one out.

    Raises
    ------
    ConsoleError
        If it does not come up, with its own last words.
    """
    log = study / LOG
    log.parent.mkdir(parents=True, exist_ok=True)
    given = [f"{name}={value}" for name, value in options.items() if value is not None]
    command = [sys.executable, "-P", "-m", "myoloop", "console", str(study), "--json", *given]
    with log.open("wb") as errors:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, start_new_session=True
        )
    if process.stdout is None:
        raise ConsoleError("the console has no output")
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        line = process.stdout.readline() if selector.select(start_s) else b""
    try:
        return str(json.loads(line)["url"])
    except (ValueError, KeyError, TypeError):
        process.kill()
        process.wait()
        process.stdout.close()
        words = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        raise ConsoleError(f"no console: {words[-1] if words else 'it did not come up'}") from None
