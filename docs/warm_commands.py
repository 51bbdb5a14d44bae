"""Run commands of myoloop in processes that need not import it anew: each is forked from one that has.

A page's command takes a second to import what it needs, and there are some two hundred. The same `main` runs with the
same arguments, in the same folder, on descriptors of its own; what a shell has to read is started by one.
"""

from __future__ import annotations

import importlib
import json
import os
import queue
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

#: What most commands import; nothing here starts a thread that a fork would lose.
WARM = (
    "myoloop.cli",
    "scipy.signal",
    "scipy.stats",
    "myoloop.experiments.sessions.run",
    "myoloop.experiments.replay",
    "myoloop.experiments.reports.session",
    "myoloop.experiments.index.study",
)
Run = Callable[[str, str, Mapping[str, str], float], tuple[int | str, str]]


class Warm:
    """A process that has imported myoloop, and forks for each command.

    Parameters
    ----------
    cold
        Runs a line that a shell has to read.
    """

    def __init__(self, cold: Run) -> None:
        self._cold = cold
        self._server = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._told: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def run(self, text: str, folder: str, environment: Mapping[str, str], timeout_s: float) -> tuple[int | str, str]:
        """Run a line; its exit code, or what happened instead, and what was printed."""
        words = words_of(text)
        if words is None:
            return self._cold(text, folder, environment, timeout_s)
        with tempfile.NamedTemporaryFile("r", encoding="utf-8", errors="replace") as printed:
            ask = {"words": words, "folder": folder, "environment": dict(environment), "printed": printed.name}
            assert self._server.stdin is not None
            self._server.stdin.write(json.dumps(ask) + "\n")
            self._server.stdin.flush()
            pid = int(self._told.get())
            result: int | str
            try:
                result = int(self._told.get(timeout=timeout_s))
            except queue.Empty:
                os.killpg(pid, signal.SIGKILL)
                self._told.get()
                result = f"none within {timeout_s:g} s"
            return result, printed.read()

    def _listen(self) -> None:
        assert self._server.stdout is not None
        for line in self._server.stdout:
            self._told.put(line)
        # Whoever still waits gets no number, and fails.
        self._told.put("the process that runs the pages' commands has ended")

    def close(self) -> None:
        """End the process."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.close()
        self._server.wait()
        self._listener.join()
        self._server.stdout.close()


def serve() -> int:
    """Fork for each line that is asked; in the fork, the command's exit code."""
    for name in WARM:
        importlib.import_module(name)
    for line in sys.stdin:
        asked = json.loads(line)
        pid = os.fork()
        if pid == 0:
            return _command(asked)
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
    return 0


def _command(asked: Mapping[str, object]) -> int:
    os.setsid()
    os.chdir(str(asked["folder"]))
    environment = asked["environment"]
    assert isinstance(environment, dict)
    os.environ.clear()
    os.environ.update(environment)
    nothing = os.open(os.devnull, os.O_RDONLY)
    printed = os.open(str(asked["printed"]), os.O_WRONLY)
    for mine, its in ((nothing, 0), (printed, 1), (printed, 2)):
        os.dup2(mine, its)
    words = asked["words"]
    assert isinstance(words, list)
    sys.argv = ["myoloop", *words]
    from myoloop.cli import main

    return main()


def words_of(text: str) -> list[str] | None:
    """The words behind ``myoloop``; None where a shell has to read the line, or it is another command."""
    if any(mark in text for mark in "|&;<>$`*?(){}~#\\\n"):
        return None
    words = shlex.split(text)
    return words[1:] if words[:1] == ["myoloop"] else None


if __name__ == "__main__":
    sys.path[:1] = [str(Path(__file__).resolve().parents[1])]
    sys.exit(serve())
