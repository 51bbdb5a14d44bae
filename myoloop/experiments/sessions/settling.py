"""What an attempt leaves with the person once it has ended, records and course; once, whatever is killed.

A mark in the attempt's folder says that all of it is written. An attempt that has ended without one (a kill came in
between, or somebody made its recording whole by `myoloop recover`) is settled before the person's next session: no
gap, adverse event or flare is passed over.
"""

from __future__ import annotations

import json
from pathlib import Path

from myoloop.experiments.sessions.booking import book
from myoloop.experiments.sessions.records_after import leave_records
from myoloop.platform.recording.folder import replace_file
from myoloop.platform.recording.layout import SESSION_FILE, RecordingError
from myoloop.platform.recording.reader import Recording

SETTLED_FILE = "settled.json"


def settle(folder: Path, outcome: str) -> None:
    """Leave everything of an attempt that has ended, then the mark.

    Raises
    ------
    RecordingError
        If the recording cannot be read.
    UserError
        If a log of the person cannot be added to.
    """
    leave_records(folder)
    book(folder, outcome)
    replace_file(folder / SETTLED_FILE, (json.dumps({"outcome": outcome}) + "\n").encode())


def settle_all(person: Path) -> None:
    """Settle every attempt of a person that has ended and is not; nobody runs a session of theirs meanwhile.

    Raises
    ------
    UserError
        As `settle`: then nobody knows what the person has had.
    """
    for attempt in sorted(person.glob("ses-*/att-*"), key=_number):
        if (attempt / SESSION_FILE).is_file() and not (attempt / SETTLED_FILE).exists():
            try:
                recording = Recording.open(attempt, check=False)
            except RecordingError:
                # Nothing in it can be read; to close it says so.
                continue
            if recording.complete:
                settle(attempt, recording.outcome or "interrupted")


def _number(attempt: Path) -> tuple[int, ...]:
    parts = (attempt.parent.name.removeprefix("ses-"), attempt.name.removeprefix("att-"))
    return tuple(int(part) if part.isdigit() else 0 for part in parts)
