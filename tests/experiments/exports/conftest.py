"""A study whose every number is known: a person with forms and a clock that jumped, a virtual one, a broken file."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from myoloop.platform import wire
from myoloop.platform.messages import Event, Phase, Pulses, SampleDescriptor, Samples
from myoloop.platform.recording.writer import RecordingWriter

MS = 1_000_000
BLOCK_MS = 20
BLOCKS = 100
#: The host's clock steps by so much before the block of this number; the source's count goes on.
JUMP_MS, JUMP_BLOCK = 3_000, 60
#: This block of the second stretch never came.
LOST_BLOCK = 80
EMG = SampleDescriptor(
    topic="emg/box", rate_hz=2000.0, dtype="<i4", channels=("vastus", "hamstrings"), units=("V", "V"),
    scale=(2.235e-8, 2.235e-8), offset=(0.0, 0.0), mains_hz=60.0, device="Box 8, serial 12",
)  # fmt: skip
FORCE = SampleDescriptor(
    topic="force/cell", rate_hz=500.0, dtype="<f4", channels=("pull",), units=("N",), scale=(1.0,), offset=(0.0,)
)
METADATA = {
    "simulated": "false", "origin.emg": "live", "origin.stimulation": "device", "origin.body": "person",
    "subject": "P001", "protocol": "quad_immobilised", "protocol_version": "1.0.0", "rig_class": "HUMAN",
    "wall_start_ns": "1795262400000000000", "version.myoloop": "0.1.0",
}  # fmt: skip
FORMS: tuple[dict[str, Any], ...] = (
    {"form": "clearance", "who": "script (Rita Quentin)", "by": "Dr. Kowalski", "role": "physician",
     "given_on": "2026-11-20", "sites": "all", "after_surgery": "no",
     "restrictions": "call Rita on 2026-11-30, or +49 30 1234567"},
    {"form": "medication", "who": "Rita Quentin", "medication_changed": "yes", "botulinum": "no",
     "antispastic_changed": "no", "anticoagulant": "no", "change": "Baclofen since 3 May 2026, says Kowalski"},
    {"form": "nrs", "who": "Rita Quentin", "current": 3.0, "average_24h": 4.0, "worst_24h": 6.0},
)  # fmt: skip
#: What must stand nowhere in an export of it.
SECRET = ("rita", "quentin", "kowalski", "1234567", "2026-11", "may 2026")


def emg_counts() -> np.ndarray:
    """(4000, 2): 24 bit counts, an artifact that is a thousand times as large among them."""
    counts = np.random.default_rng(11).normal(0.0, 900.0, (BLOCKS * BLOCK_MS * 2, 2)).astype("<i4")
    counts[1000] = (-4_000_000, 3_999_999)
    return counts


#: Of a session with holes: what is no number, by row and channel of the EMG, and by row of the force.
EMG_HOLES, FORCE_HOLES = {(500, 0): np.nan, (501, 0): np.inf, (700, 1): -np.inf}, {33: np.nan}


def write_person(folder: Path, *, metadata: dict[str, str] | None = None, holes: bool = False) -> Path:
    """Write a session of a person: a jump of the clock, a lost block, forms, three pulses, an event in free words.

    With `holes` its EMG is of floats, some of which, and one of the force, are no finite number.
    """
    folder.mkdir(parents=True, exist_ok=True)
    said = METADATA if metadata is None else metadata
    counts, seq = emg_counts(), {}
    emg = EMG
    if holes:
        emg, counts = replace(EMG, dtype="<f4", scale=(1.0, 1.0)), (counts * 2.235e-8).astype("<f4")
        for place, value in EMG_HOLES.items():
            counts[place] = value

    def say(topic: str, publisher: str, message: Any, t_ns: int, array: np.ndarray | None = None) -> None:
        seq[topic] = seq.get(topic, -1) + 1
        frames = wire.encode(topic, message, session="s9", publisher=publisher, epoch=1, seq=seq[topic], array=array)
        writer.write(frames, t_ns, seq[topic])

    with RecordingWriter(folder, session="s9", descriptors=[emg, FORCE], metadata=said, live=False) as writer:
        for block in range(BLOCKS):
            t_ns = (1_000 + block * BLOCK_MS + (JUMP_MS if block >= JUMP_BLOCK else 0)) * MS
            if block % 5 == 0:
                phase = Phase(t_ns=t_ns, session="s9", state="running", name="work", kind="rest")
                say("phase", "director", phase, t_ns)
            rows = slice(block * BLOCK_MS * 2, (block + 1) * BLOCK_MS * 2)
            if block != LOST_BLOCK:
                samples = Samples(first_sample=rows.start, t_ns=t_ns + 19 * MS)
                say("emg/box", "box", samples, t_ns + 19 * MS, counts[rows])
            pull = np.full((10, 1), 0.1 * block, "<f4")
            for row, value in FORCE_HOLES.items():
                if holes and row // 10 == block:
                    pull[row % 10] = value
            say("force/cell", "cell", Samples(first_sample=block * 10, t_ns=t_ns + 19 * MS), t_ns + 19 * MS, pull)
            if block < len(FORMS):
                say("event", "director", Event(t_ns=t_ns, kind="form", who="director", values=FORMS[block]), t_ns)
            if block == 10:
                why = "Rita says it hurts"
                say("event", "director", Event(t_ns=t_ns, kind="mark", who="Rita Quentin", why=why), t_ns)
            if block in (20, 21, 22):
                told = Pulses(channel="quad", t_ns=(t_ns,), uncertainty_ns=1000, kind="acknowledged", current_ma=25.0,
                              phase_us=300.0)  # fmt: skip
                say("pulse", "stimulator", told, t_ns)
        writer.end("complete", "", t_ns + 30 * MS)
    return folder


@pytest.fixture(scope="session")
def person() -> SimpleNamespace:
    """The session of a person, to be written anywhere, and what it was made of."""
    return SimpleNamespace(write=write_person, EMG=EMG, METADATA=METADATA, counts=emg_counts(), SECRET=SECRET)


@pytest.fixture(scope="session")
def study(known, tmp_path_factory) -> Path:
    """Two people, one of them virtual, and a file that is broken; read only."""
    root = tmp_path_factory.mktemp("studies") / "knee"
    write_person(root / "sub-P001" / "ses-01" / "att-1")
    later = str(int(METADATA["wall_start_ns"]) + 3 * 86_400 * 10**9)
    write_person(root / "sub-P001" / "ses-02" / "att-1", metadata={**METADATA, "wall_start_ns": later})
    known.write(root / "sub-P017" / "ses-03" / "att-2")
    broken = root / "sub-P002" / "ses-01" / "att-1"
    broken.mkdir(parents=True)
    (broken / "session.mcap").write_bytes(b"no recording at all")
    return root


@pytest.fixture(scope="session")
def validated() -> Callable[[Path], list[tuple[str, str]]]:
    """Check a data set with the validator of BIDS; its errors, as code and place."""

    def check(root: Path) -> list[tuple[str, str]]:
        beside = Path(sys.executable).with_name("bids-validator-deno")
        validator = str(beside) if beside.exists() else shutil.which("bids-validator-deno")
        assert validator is not None, "bids-validator-deno is missing: pip install -e '.[test]'"
        command = [validator, "--format", "json", "--max-rows", "-1", str(root)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        found = json.loads(done.stdout)["issues"]["issues"]
        assert found, "there is always something that is only recommended"
        return [(each["code"], each.get("location", "")) for each in found if each["severity"] == "error"]

    return check
