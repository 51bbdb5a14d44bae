"""What this machine can do, and what to fix."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from myoloop.platform.runtime import MAX_SOCKET_PATH, OwnedRuntimeFolder, RuntimeFolderError

DISK_FREE_MIN_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at.

    Attributes
    ----------
    verdict
        ``ok``, ``warning`` (something will not work, the loop does) or ``broken``.
    fix
        What to do; empty where nothing is.
    """

    name: str
    verdict: str
    found: str
    fix: str = ""


def examine(study: Path) -> list[Finding]:
    """Look at everything."""
    looks: list[Callable[[], Finding]] = [
        _python,
        _system,
        _cores,
        _clock,
        _timer,
        _runtime,
        lambda: _study(study),
        lambda: _disk(study),
        _parts,
        _brainflow,
        _lsl,
        _serial,
        _power,
    ]
    return [look() for look in looks]


def _python() -> Finding:
    found = platform.python_version()
    good = (3, 11) <= sys.version_info[:2] <= (3, 13)
    return Finding("python", "ok" if good else "warning", found, "" if good else "tested with 3.11 to 3.13")


def _system() -> Finding:
    tested = sys.platform == "linux"
    fix = "" if tested else "only Linux is tested; try everything on a dummy load first"
    return Finding("system", "ok" if tested else "warning", platform.platform(), fix)


def _cores() -> Finding:
    cores = os.cpu_count() or 1
    fix = "" if cores >= 2 else "a loop of six processes needs two cores"
    return Finding("processor", "ok" if cores >= 2 else "warning", f"{cores} cores, {platform.machine()}", fix)


def _clock() -> Finding:
    info = time.get_clock_info("monotonic")
    good = info.resolution <= 1e-6
    return Finding(
        "monotonic clock",
        "ok" if good else "broken",
        f"resolution {info.resolution * 1e9:.0f} ns",
        "" if good else "stamps would be too coarse",
    )


def _timer() -> Finding:
    """How late a sleep of 1 ms ends; the loop sleeps to absolute deadlines."""
    late_ms = []
    for _ in range(50):
        began = time.monotonic_ns()
        time.sleep(0.001)
        late_ms.append((time.monotonic_ns() - began) * 1e-6 - 1.0)
    worst = sorted(late_ms)[-2]
    good = worst < 5.0
    return Finding(
        "timer",
        "ok" if good else "warning",
        f"a sleep of 1 ms ends up to {worst:.1f} ms late",
        "" if good else "close other programs; use the performance power plan",
    )


def _runtime() -> Finding:
    base = tempfile.gettempdir()
    try:
        folder = OwnedRuntimeFolder()
    except (OSError, RuntimeFolderError) as error:
        return Finding(
            "sockets", "broken", str(error), f"set TMPDIR to a folder of at most {MAX_SOCKET_PATH - 60} letters"
        )
    folder.remove()
    return Finding("sockets", "ok", f"in {base}")


def _study(study: Path) -> Finding:
    """Whether a session could be written there; nothing is left behind."""
    place = _nearest(study)
    fix = "name a folder that can be written with --out"
    if not place.is_dir():
        return Finding("study", "broken", f"{place} is a file, a folder is needed", fix)
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        return Finding("study", "broken", f"{place} cannot be written: {(error.strerror or str(error)).lower()}", fix)
    return Finding("study", "ok", f"{study} {'can be written' if study.exists() else 'can be made'}")


def _nearest(study: Path) -> Path:
    """The study's folder, or what is there of the way to it."""
    path = study.absolute()
    return next(each for each in (path, *path.parents) if each.exists() or each.is_symlink())


def _parts() -> Finding:
    """What can be chosen by name, ours and that of installed packages."""
    from myoloop.acquisition.registry import source_names
    from myoloop.experiments.reports.registry import report_names

    found = f"sources {', '.join(source_names())}; reports {', '.join(report_names())}"
    return Finding("parts", "ok", found)


def _disk(study: Path) -> Finding:
    place = _nearest(study)
    free = shutil.disk_usage(place).free
    good = free >= DISK_FREE_MIN_BYTES
    return Finding(
        "disk", "ok" if good else "warning", f"{free / 1e9:.1f} GB free", "" if good else "an hour needs up to 1 GB"
    )


def _brainflow() -> Finding:
    from myoloop.acquisition.boards import load_brainflow
    from myoloop.acquisition.source import SourceError

    try:
        found = load_brainflow()
    except SourceError as error:
        return Finding("BrainFlow", "warning", str(error), "boards cannot be used; simulation and playback can")
    return Finding("BrainFlow", "ok", f"{len(list(found.BoardIds))} boards")


def _lsl() -> Finding:
    there = importlib.util.find_spec("pylsl") is not None
    return Finding(
        "LSL",
        "ok" if there else "warning",
        "pylsl" if there else "not installed",
        "" if there else "pip install 'myoloop[lsl]'",
    )


def _serial() -> Finding:
    from serial.tools.list_ports import comports

    ports = [port.device for port in comports()]
    barred = [port for port in ports if not os.access(port, os.R_OK | os.W_OK)]
    fix = f"no permission for {', '.join(barred)}: add yourself to the group that owns it" if barred else ""
    return Finding("serial ports", "warning" if barred else "ok", ", ".join(ports) or "none", fix)


def _power() -> Finding:
    """A laptop that falls asleep ends a session as a fault."""
    batteries = sorted(Path("/sys/class/power_supply").glob("BAT*")) if sys.platform == "linux" else []
    if not batteries:
        return Finding("power", "ok", "no battery seen")
    status = (batteries[0] / "status").read_text(encoding="ascii").strip()
    fix = "on battery: switch automatic sleep off for the session" if status == "Discharging" else ""
    return Finding("power", "warning" if fix else "ok", f"battery {status.lower()}", fix)
