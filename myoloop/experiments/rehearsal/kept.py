"""Rehearsals that were kept: which there are, of which rig and device, and what they show.

Each lies beside its own recording, in ``STUDY/rehearsals/sub-LOAD/ses-NN/att-N/rehearsal.json``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from myoloop.experiments.rehearsal.findings import Findings
from myoloop.experiments.screening.equipment import Device
from myoloop.platform.recording.folder import keep_copy
from myoloop.platform.rig import Rig

#: Where in a study folder; a study of its own, so that a dummy load is nobody's person.
FOLDER = "rehearsals"
#: Whom the recordings are of.
LOAD = "LOAD"
FILE = "rehearsal.json"


class Rehearsal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is kept of one.

    Attributes
    ----------
    at
        When it ended, with its zone.
    wiring_sha256
        Of what the rig's own class, id and virtual subject have no part in: sources, stimulator, channels.
    device
        Who the stimulator said it is.
    simulated
        Whether no real stimulator was in it.
    """

    schema: int = 1
    at: str
    rig: str
    rig_class: str
    wiring_sha256: str
    device: str
    simulated: bool
    passed: bool
    protocol: str
    findings: Findings

    @property
    def moment(self) -> datetime:
        """When it ended."""
        return datetime.fromisoformat(self.at)


def wiring_sha256(rig: Rig) -> str:
    """Hash of all that a BENCH copy of a rig has in common with it."""
    data = rig.model_dump(mode="json", by_alias=True)
    data = {key: value for key, value in data.items() if key not in ("rig", "stop")}
    data["nodes"] = {
        name: node for name, node in data["nodes"].items() if node["role"] in ("acquisition", "stimulator")
    }
    for node in data["nodes"].values():
        # A driver that says the rig's class again must say the copy's.
        node["settings"].pop("rig_class", None)
    return hashlib.sha256(json.dumps(data, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def keep(folder: Path, rehearsal: Rehearsal) -> Path:
    """Put it beside its recording."""
    content = msgspec.json.format(msgspec.json.encode(rehearsal), indent=1)
    keep_copy(folder, FILE, content + b"\n")
    return folder / FILE


def rehearsals_in(study: Path) -> list[Rehearsal]:
    """All that are kept in a study, the newest last; what cannot be read shows nothing and is left out."""
    found = []
    for path in (study / FOLDER / f"sub-{LOAD}").glob(f"ses-*/att-*/{FILE}"):
        try:
            one = msgspec.json.decode(path.read_bytes(), type=Rehearsal)
            if one.moment.tzinfo is not None:
                found.append(one)
        except (OSError, ValueError):
            # A file that is damaged, or of another version, is no evidence.
            continue
    return sorted(found, key=lambda one: one.moment)


def rehearsed(devices: Iterable[Device], study: Path) -> tuple[Device, ...]:
    """A station's devices, whose newest self-test is a rehearsal where that was later; one that failed counts too.

    A rehearsal is of the device whose serial number it told; a simulated one is of none.
    """
    kept = [one for one in rehearsals_in(study) if not one.simulated and one.rig_class == "BENCH"]
    return tuple(_with_newest(device, kept) for device in devices)


def _with_newest(device: Device, kept: Iterable[Rehearsal]) -> Device:
    for one in kept:
        later = device.self_test_at is None or one.moment > device.self_test_at
        if later and _is_of(one, device.serial):
            device = replace(device, self_test_at=one.moment, self_test_passed=one.passed)
    return device


def _is_of(one: Rehearsal, serial: str) -> bool:
    words = one.device.replace(",", " ").replace(";", " ").split()
    return bool(serial.strip()) and serial.strip() in words


def say_last(rig: Rig, study: Path) -> tuple[bool, str]:
    """Whether this very rig has passed its last rehearsal, and which that was, in a line for the operator."""
    kept = [one for one in rehearsals_in(study) if not one.simulated]
    if not kept:
        return False, f"rig {rig.rig.id}: no rehearsal on a dummy load is kept in {study}: myoloop rehearse"
    wiring = wiring_sha256(rig)
    same = [one for one in kept if one.wiring_sha256 == wiring]
    if not same:
        return False, (
            f"rig {rig.rig.id}: never rehearsed as it is wired now; the last rehearsal, {_said(kept[-1])}, "
            "was of other settings or channels: myoloop rehearse"
        )
    last = same[-1]
    if not last.passed:
        return False, f"rig {rig.rig.id}: the last rehearsal, {_said(last)}, failed: {last.findings.problems[0]}"
    return True, f"rig {rig.rig.id}: last rehearsed {_said(last)}: passed"


def _said(one: Rehearsal) -> str:
    return f"{one.moment:%Y-%m-%d %H:%M} {one.moment:%Z} with {one.device or 'a device that did not say who it is'}"


def as_data(rehearsal: Rehearsal) -> dict[str, Any]:
    """The same as plain data."""
    data: dict[str, Any] = msgspec.to_builtins(rehearsal)
    return data
