"""Is every branch of the codecs gone through? Reads what coverage has measured (JSON), of whole modules and functions.

``python tests/stimulators/codecs_covered.py coverage.json``; the exit code is 1 where a line or a branch is missing.
What is here is between the gate's order and the bytes, or between the bytes and what they say; that of a driver which
only listens and reports has its tests, and no promise of this kind.
"""

# ruff: noqa: T201

from __future__ import annotations

import json
import sys
from pathlib import Path

PACKAGE = "myoloop/stimulators"
#: Whole modules.
MODULES = (
    *(f"sciencemode/{name}.py" for name in ("frames", "commands", "answers", "decoder", "profiles", "settings")),
    *(f"sciencemode2/{name}.py" for name in ("frames", "commands", "encoder", "decoder")),
    "openemsstim_lines.py", "openemsstim_decoder.py", "ttl_trigger_settings.py", "analog_source.py", "wiring.py",
)  # fmt: skip
#: What encodes and decodes in modules that hold a driver too.
FUNCTIONS = {
    "simulated.py": ("SimulatedDriver.encode", "SimulatedDriver.decode", "_frame", "_code_down", "_exactly"),
    "openemsstim.py": ("OpenEmsStimDriver.encode", "OpenEmsStimDriver.decode"),
    "ttl_trigger.py": ("TtlTriggerDriver.encode", "TtlTriggerDriver.decode", "TtlTriggerDriver._plain", "_line"),
    "analog.py": (
        "AnalogDriver.encode", "AnalogDriver.decode", "AnalogDriver._read", "AnalogDriver._pulse_of",
        "AnalogDriver._check", "AnalogDriver._code_down", "_whole",
    ),
    "sciencemode/low_level.py": ("LowLevel.encode", "LowLevel.decode", "LowLevel._read"),
    "sciencemode/mid_level.py": ("MidLevel.encode", "MidLevel.decode", "MidLevel._read"),
}  # fmt: skip


def missing(measured: dict) -> list[str]:
    """Every line and branch that was not gone through; KeyError where a module or function is not there."""
    files = {name.partition(f"{PACKAGE}/")[2]: found for name, found in measured["files"].items()}
    regions = [(module, files[module]) for module in MODULES]
    regions += [
        (f"{module}: {function}", files[module]["functions"][function])
        for module, functions in FUNCTIONS.items()
        for function in functions
    ]
    return [
        f"{where}: lines {found['missing_lines']}, branches {found['missing_branches']}"
        for where, found in regions
        if found["missing_lines"] or found["missing_branches"]
    ]


def main() -> int:
    """Print what is missing."""
    found = missing(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    print(*found or ["every branch of the codecs is gone through"], sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
