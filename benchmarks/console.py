"""What the console's live view costs a server, and how often a browser draws it."""

from __future__ import annotations

import argparse
import sys

from myoloop.experiments.benchmarks.console_cost import bench_console


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="without server and browser: seconds")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    given = parser.parse_args()
    return bench_console(quick=given.quick, as_json=given.json)


if __name__ == "__main__":
    sys.exit(main())
