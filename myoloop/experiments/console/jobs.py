"""Work that runs beside the console and outlives it: a folder of its own below the study for each.

``job.json`` says what it is, ``lock`` is held for as long as it lives, ``log`` has what it said, ``out`` its answer,
``ended.json`` its exit code. Nothing of it is kept in the console's memory.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from myoloop.experiments.console.runner import (
    ENDED_FILE,
    JOB_FILE,
    LOG_FILE,
    OUT_FILE,
    hold,
    write_whole,
)
from myoloop.platform.errors import UserError
from myoloop.platform.runtime import LOCK, is_locked

#: Below the study.
JOBS_FOLDER: Final = Path("derivatives") / "jobs"
SESSION: Final = "session"
_TAIL_BYTES: Final = 4096
#: How a verb says how far it is: "3 of 40" or "3/40".
_FAR = re.compile(r"\b(\d+)\s*(?:of|/)\s*(\d+)\b")
_NAME = re.compile(r"[0-9]{8}T[0-9]{6}Z-[a-z]+-[0-9a-f]{6}")


class JobError(UserError, ValueError):
    """A job that cannot be started or found; one line for the operator."""


@dataclass(frozen=True, slots=True)
class Job:
    """How a job stands.

    Attributes
    ----------
    state
        ``running``, ``done`` (exit code 0), ``failed`` (another one), ``lost`` (killed with its runner).
    line
        The last thing that it said.
    share
        How much of it is done, from 0 to 1, where it says so.
    exit_code
        Once it has ended.
    answer
        The object that it printed at its end.
    """

    id: str
    kind: str
    title: str
    began_at: str
    state: str
    line: str = ""
    share: float | None = None
    exit_code: int | None = None
    ended_at: str = ""
    answer: Mapping[str, Any] | None = None


def start_job(
    study: Path,
    kind: str,
    title: str,
    verb: str,
    arguments: Sequence[str],
    *,
    said: str | None = None,
    wall: datetime | None = None,
) -> str:
    """Start ``myoloop VERB --json ARGUMENTS`` in a session of its own; returns the job's id.

    Parameters
    ----------
    kind
        One word of small letters.
    said
        Given to it on standard input: what must stand in no list of processes and in no file.

    Raises
    ------
    JobError
        If the study cannot be written to.
    """
    began = (wall or datetime.now(UTC)).strftime("%Y%m%dT%H%M%SZ")
    name = f"{began}-{kind}-{secrets.token_hex(3)}"
    folder = study / JOBS_FOLDER / name
    about = {"kind": kind, "title": title, "began_at": began, "arguments": [verb, "--json", *arguments]}
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Arguments, log and answer are for whoever runs the console alone.
        with contextlib.suppress(PermissionError):
            folder.parent.chmod(0o700)
        folder.mkdir(mode=0o700)
        # Held from before there is anything to be seen: a job is never taken for a lost one.
        descriptor = hold(folder / LOCK)
    except OSError as error:
        raise JobError(f"{folder}: {(error.strerror or str(error)).lower()}") from None
    try:
        write_whole(folder / JOB_FILE, about)
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "myoloop.experiments.console.runner", str(folder), str(descriptor)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            pass_fds=(descriptor,),
        )
    finally:
        os.close(descriptor)
    assert process.stdin is not None
    # One that has ended already reads nothing, and its folder says how it ended.
    with contextlib.suppress(BrokenPipeError), process.stdin as given:
        given.write((said or "").encode())
    # Who started a process must see it out, or it stays in the list of processes.
    threading.Thread(target=process.wait, daemon=True).start()
    return name


def jobs(study: Path) -> list[Job]:
    """All jobs of a study, the newest first."""
    folder = study / JOBS_FOLDER
    names = sorted((each.name for each in folder.glob("*") if _NAME.fullmatch(each.name)), reverse=True)
    return [job for job in (_read(folder / name) for name in names) if job is not None]


def newest(study: Path, kind: str) -> Job | None:
    """The newest job of a kind; None where there is none."""
    names = sorted((each.name for each in (study / JOBS_FOLDER).glob(f"*-{kind}-*")), reverse=True)
    return next((found for name in names if (found := _read(study / JOBS_FOLDER / name)) is not None), None)


def job(study: Path, name: str) -> Job:
    """One job.

    Raises
    ------
    JobError
        If there is no such job.
    """
    found = _read(study / JOBS_FOLDER / name) if _NAME.fullmatch(name) else None
    if found is None:
        raise JobError(f"{name[:80]!r}: no such job in {study}")
    return found


def _read(folder: Path) -> Job | None:
    about = _object(folder / JOB_FILE)
    if about is None:
        return None
    # In this order: what ends between the two has left its end behind.
    held = is_locked(folder)
    ended = _object(folder / ENDED_FILE)
    lines = _tail(folder / LOG_FILE)
    code = ended.get("exit_code") if ended is not None else None
    state = "running" if held else "lost"
    if ended is not None:
        state = "done" if code == 0 else "failed"
    return Job(
        folder.name,
        kind=str(about.get("kind", "")),
        title=str(about.get("title", "")),
        began_at=str(about.get("began_at", "")),
        state=state,
        line=lines[-1] if lines else "",
        share=1.0 if state == "done" else _share(lines),
        exit_code=code if isinstance(code, int) else None,
        ended_at=str(ended.get("ended_at", "")) if ended is not None else "",
        answer=_object(folder / OUT_FILE) if ended is not None else None,
    )


def _object(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _tail(log: Path) -> list[str]:
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
            text = file.read(_TAIL_BYTES).decode(errors="replace")
    except OSError:
        return []
    return [line.strip() for line in text.splitlines() if line.strip()]


def _share(lines: Sequence[str]) -> float | None:
    """How far the newest line that says it is."""
    for line in reversed(lines):
        found = _FAR.search(line)
        if found is not None and int(found[2]) > 0:
            return min(1.0, int(found[1]) / int(found[2]))
    return None
