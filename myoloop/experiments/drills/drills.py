"""Several drills one after another, and the file in which what they found is kept."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from myoloop.experiments.drills.devices import Device
from myoloop.experiments.drills.faults import Drill
from myoloop.experiments.drills.findings import Finding
from myoloop.experiments.drills.run import remove, run_drill
from myoloop.experiments.drills.stops import StopFigures


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that drills have found.

    Attributes
    ----------
    stops
        From a stop to its bytes, by device.
    """

    drills: tuple[Finding, ...] = ()
    stops: dict[str, StopFigures] = {}

    @property
    def passed(self) -> bool:
        """Whether all did."""
        return all(each.passed for each in self.drills) and all(each.passed for each in self.stops.values())


def run_drills(
    pairs: Iterable[tuple[Device, Drill]], on_each: Callable[[Finding], None], keep: Path | None = None
) -> list[Finding]:
    """Run them one after another.

    Parameters
    ----------
    on_each
        Called with each finding as it comes.
    keep
        Folder in which the sessions stay; None removes each when it has been judged.
    """
    findings: list[Finding] = []
    for device, drill in pairs:
        base = Path(tempfile.mkdtemp(prefix="drill-")) if keep is None else keep
        place = base / f"{device.name}-{len(findings) + 1:03}"
        try:
            finding = run_drill(device, drill, place)
        finally:
            if keep is None:
                remove(base)
        on_each(finding)
        findings.append(finding)
    return findings


def keep_found(path: Path, new: Found) -> Found:
    """Put what was found into a file, beside what others left there; a drill that was run again is replaced."""
    old = msgspec.json.decode(path.read_bytes(), type=Found) if path.exists() else Found()
    rows = {(each.device, each.fault): each for each in (*old.drills, *new.drills)}
    found = Found(drills=tuple(rows.values()), stops={**old.stops, **new.stops})
    part = path.with_name(f"{path.name}.part")
    part.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")
    part.replace(path)
    return found
