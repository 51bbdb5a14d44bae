"""The same as ``myoloop bench loop``, from a checkout."""

from __future__ import annotations

import argparse
import sys

from myoloop.experiments.benchmarks.loop import bench_loop
from myoloop.platform.errors import UserError


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="with peers and rounds: some twenty minutes")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    given = parser.parse_args()
    try:
        return bench_loop(full=given.full, as_json=given.json)
    except UserError as error:
        print(error, file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
