"""Runs a command with everything it starts, and ends all of it with whoever asked for it, however that one ends.

It leads a session of its own; its standard input is a pipe from the one who asked, and nothing is written to it.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys

_LOOK_S = 0.1


def main(command: list[str]) -> int:
    """Run ``guard COMMAND ...``; returns what the command returns, if it ends by itself."""
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    while child.poll() is None:
        if select.select([sys.stdin], [], [], _LOOK_S)[0]:
            os.killpg(0, signal.SIGKILL)
    return child.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
