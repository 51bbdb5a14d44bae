"""The process that sees one job through, whatever becomes of the console. Standard library alone.

Run as ``python -P -m myoloop.experiments.console.runner FOLDER``; what the folder has, and who holds its lock, is told
in :mod:`~myoloop.experiments.console.jobs`.
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

JOB_FILE, LOG_FILE, OUT_FILE, ENDED_FILE = "job.json", "log", "out", "ended.json"


def hold(lock: Path) -> int:
    """Hold a job's lock, for as long as the descriptor that this gives is open here or in a child that got it."""
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return descriptor


def write_whole(path: Path, data: object) -> None:
    """Write an object so that nobody reads half of it."""
    part = path.with_name(f"{path.name}.part")
    part.write_text(json.dumps(data, indent=1), encoding="utf-8")
    part.replace(path)


def main(folder: Path, descriptor: int) -> int:
    """Run the job's command to its end; standard input is handed on to it."""
    arguments = json.loads((folder / JOB_FILE).read_text(encoding="utf-8"))["arguments"]
    with (folder / OUT_FILE).open("wb") as out, (folder / LOG_FILE).open("wb") as log:
        # The child has the lock too: it holds for as long as one of the two lives.
        code = subprocess.call(
            [sys.executable, "-P", "-m", "myoloop", *arguments], stdout=out, stderr=log, pass_fds=(descriptor,)
        )
    ended_at = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    write_whole(folder / ENDED_FILE, {"exit_code": code, "ended_at": ended_at})
    return code


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
