"""``python -m myoloop``: the command line; a node's process goes straight to its work."""

from __future__ import annotations

import sys
from pathlib import Path


def main() -> int:
    """Run the command line."""
    arguments = sys.argv[1:]
    # The road every node of a rig takes: it must not pay for importing the command line.
    if len(arguments) == 5 and arguments[0] == "node" and arguments[3] == "--runtime":
        from myoloop.platform.process import run_node

        return run_node(Path(arguments[4]), arguments[2])
    from myoloop.cli import main as command_line

    return command_line()


if __name__ == "__main__":
    sys.exit(main())
