"""Small recordings with planted faults, in study folders."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from myoloop.platform import wire
from myoloop.platform.messages import Event, Heartbeat, SampleDescriptor, Samples
from myoloop.platform.recording.folder import create_attempt
from myoloop.platform.recording.writer import RecordingWriter

BLOCK_NS = 10_000_000
ROWS = 20
PERSON = {"simulated": "false", "origin.emg": "live", "origin.stimulation": "device", "origin.body": "person"}
VIRTUAL = {
    "simulated": "true",
    "origin.emg": "simulated",
    "origin.stimulation": "simulated",
    "origin.body": "simulated",
}


def emg(unit: str = "V", scale: float = 1e-6) -> SampleDescriptor:
    """Two channels at 2 kHz."""
    return SampleDescriptor(
        topic="emg/amp",
        rate_hz=2000.0,
        dtype="<i2",
        channels=("biceps", "triceps"),
        units=(unit, unit),
        scale=(scale, scale),
        offset=(0.0, 0.0),
    )


def imu(unit: str = "m/s^2", scale: float = 1.0) -> SampleDescriptor:
    """An accelerometer at 100 Hz."""
    return SampleDescriptor(
        topic="imu/amp",
        rate_hz=100.0,
        dtype="<f4",
        channels=("acc_x", "acc_y", "acc_z"),
        units=(unit,) * 3,
        scale=(scale,) * 3,
        offset=(0.0,) * 3,
    )


def record(
    study: Path,
    person: str,
    *,
    session: int = 1,
    blocks: int = 400,
    seed: int = 0,
    metadata: dict[str, str] | None = None,
    outcome: str = "complete",
    jump_s: float = 0.0,
    jump_at: int = 200,
    lost: tuple[int, ...] = (),
    slower: float = 0.0,
    descriptors: tuple[SampleDescriptor, ...] = (),
    invalid: bytes = b"",
    cycle_ms: float | None = None,
) -> Path:
    """Record a session; return its attempt's folder."""
    folder = create_attempt(study, person, session)
    told = {"subject": person, "protocol": "tiny", "wall_start_ns": "1700000000000000000", **(metadata or PERSON)}
    rng = np.random.default_rng(seed)
    heard, felt = descriptors or (emg(), imu())
    with RecordingWriter(folder, session=f"s{seed}", descriptors=[heard, felt], metadata=told, live=False) as writer:

        def say(topic: str, message: Any, seq: int, array: Any = None) -> None:
            frames = wire.encode(topic, message, session=f"s{seed}", publisher="amp", epoch=1, seq=seq, array=array)
            writer.write(frames, message.t_ns, seq)

        for block in range(blocks):
            t_ns = round((block + 1) * BLOCK_NS * (1 + slower))
            t_ns += round(jump_s * 1e9) if block >= jump_at else 0
            counts = rng.normal(0.0, 8.0, (ROWS, 2)).astype("<i2")
            if block not in lost:
                say("emg/amp", Samples(first_sample=ROWS * block, t_ns=t_ns, invalid=invalid), block, counts)
            gravity = np.array([[0.0, 0.0, 9.81]]) + rng.normal(0.0, 0.1, (1, 3))
            say("imu/amp", Samples(first_sample=block, t_ns=t_ns), block, gravity.astype("<f4"))
            if block % 100 == 0:
                say("event", Event(t_ns=t_ns, kind="mark", who="operator"), block // 100)
                if cycle_ms is not None:
                    beat = {"cycle_ms": cycle_ms, "cycle_mean_ms": cycle_ms, "cycle_worst_ms": cycle_ms}
                    told_by = Heartbeat(t_ns=t_ns, node="controller", role="controller", state="running", **beat)
                    say("heartbeat/controller", told_by, block // 100)
        if outcome:
            writer.end(outcome, "" if outcome == "complete" else "the operator stopped it", t_ns)
    return folder


def flip_a_bit(folder: Path, where: float) -> int:
    """Flip one bit at a share of the file; return its byte."""
    path = folder / "session.mcap"
    content = bytearray(path.read_bytes())
    at = round(where * len(content))
    content[at] ^= 1
    path.write_bytes(content)
    return at


@pytest.fixture(scope="session")
def made() -> SimpleNamespace:
    """What the tests of the index record and break."""
    return SimpleNamespace(record=record, emg=emg, imu=imu, flip=flip_a_bit, PERSON=PERSON, VIRTUAL=VIRTUAL)
