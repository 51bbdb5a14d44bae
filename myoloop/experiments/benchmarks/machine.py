"""What machine it was measured on."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import numpy as np
import zmq


def machine() -> dict[str, str | int | float | None]:
    """Facts that latencies depend on; None where the system does not tell."""
    return {
        "system": f"{platform.system()} {platform.release()}",
        "processor": _cpuinfo("model name") or platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "load_1min": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "pyzmq": zmq.__version__,
        "libzmq": zmq.zmq_version(),
    }


def other_load_share(before: tuple[int, int], after: tuple[int, int], own_s: float) -> float | None:
    """Share of all cores that others used between two readings of :func:`busy_ticks`; None where not told."""
    total = after[1] - before[1]
    if total <= 0:
        return None
    own_ticks = own_s * os.sysconf("SC_CLK_TCK")
    return round(max(0.0, after[0] - before[0] - own_ticks) / total, 3)


def busy_ticks() -> tuple[int, int]:
    """Ticks that all cores together were busy, and all there were, since the start; zeros where not told."""
    try:
        first = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()[1:9]
    except OSError:
        return 0, 0
    ticks = [int(value) for value in first]
    idle = ticks[3] + ticks[4]
    return sum(ticks) - idle, sum(ticks)


def _cpuinfo(name: str) -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")
