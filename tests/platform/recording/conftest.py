"""Small recordings to write, read, cut and tamper with."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest

from myoloop.platform import wire
from myoloop.platform.messages import Event, Phase, SampleDescriptor, Samples
from myoloop.platform.recording.chain import ChainSchedule
from myoloop.platform.recording.file import RecordFile
from myoloop.platform.recording.layout import SESSION_FILE
from myoloop.platform.recording.manifest import read_manifest, write_manifest
from myoloop.platform.recording.scan import RawRecord, Scan
from myoloop.platform.recording.verify import FileCheck
from myoloop.platform.recording.writer import RecordingWriter

EMG = SampleDescriptor(
    topic="emg/sim",
    rate_hz=2000.0,
    dtype="<i2",
    channels=("biceps", "triceps"),
    units=("V", "V"),
    scale=(1.5e-7, 2.5e-7),
    offset=(0.0, 1e-3),
    rail_low=-32768.0,
    rail_high=32767.0,
    device="simulated",
)
METADATA = {"simulated": "true", "version.myoloop": "0.1", "subject": "P017", "wall_start_ns": "1700000000000000000"}
TICK_NS = 10_000_000


def example_frames(blocks: int) -> list[list[bytes]]:
    """EMG blocks of 20 samples, a phase with every tenth, an event with every fiftieth."""
    rng = np.random.default_rng(blocks)
    frames = []
    seq = {"phase": 0, "event": 0}

    def add(topic, message, number, array=None):
        frames.append(wire.encode(topic, message, session="s1", publisher="node", epoch=1, seq=number, array=array))

    for i in range(blocks):
        t_ns = (i + 1) * TICK_NS
        add("emg/sim", Samples(first_sample=20 * i, t_ns=t_ns), i, rng.integers(-300, 300, (20, 2)).astype("<i2"))
        if i % 10 == 0:
            add("phase", Phase(t_ns=t_ns, session="s1", state="running"), seq["phase"])
            seq["phase"] += 1
        if i % 50 == 0:
            add("event", Event(t_ns=t_ns, kind="mark", who="operator", why=f"number {i}"), seq["event"])
            seq["event"] += 1
    return frames


def write_example(
    folder: Path, blocks: int = 30, *, live: bool = False, end: bool = True, **options
) -> list[list[bytes]]:
    """Write a recording into `folder` and return the frames that are in it."""
    folder.mkdir(parents=True, exist_ok=True)
    frames = example_frames(blocks)
    options.setdefault("metadata", METADATA)
    options.setdefault("chain", ChainSchedule(every_records=10))
    with RecordingWriter(folder, session="s1", descriptors=[EMG], live=live, **options) as writer:
        for i, message in enumerate(frames):
            writer.write(message, (i + 1) * TICK_NS, i)
        if end:
            writer.end("complete", "", (len(frames) + 1) * TICK_NS)
    return frames


def raw_records(path: Path) -> list[RawRecord]:
    """All records of the data section."""
    with path.open("rb") as stream:
        return list(Scan(stream, path.stat().st_size).records())


def forge(folder: Path, edit: Callable[[list[RawRecord]], Iterable[RawRecord]]) -> None:
    """Edit a recording as someone with an MCAP library would: CRCs, summary and manifest fit again, not the chain."""
    path = folder / SESSION_FILE
    part = folder / "forged"
    records = raw_records(path)
    file = RecordFile(part, new=True, chunked=False, buffered=True, library="forger")
    for record in edit(records[1:]):
        file.copy(record)
    file.finish()
    part.replace(path)
    check = FileCheck(path)
    manifest = read_manifest(folder)
    if manifest is not None:
        write_manifest(folder, msgspec.structs.replace(manifest, files=(check.file_hash("live"),)))


def flip(path: Path, offset: int, bits: int) -> None:
    """Flip bits of one byte of a file."""
    data = bytearray(path.read_bytes())
    data[offset] ^= bits
    path.write_bytes(data)


@pytest.fixture(scope="session")
def example() -> SimpleNamespace:
    """What the tests of recordings make and break."""
    return SimpleNamespace(
        EMG=EMG,
        METADATA=METADATA,
        TICK_NS=TICK_NS,
        frames=example_frames,
        write=write_example,
        raw_records=raw_records,
        forge=forge,
        flip=flip,
    )


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """The folder of a small finished recording."""
    folder = tmp_path / "att-1"
    write_example(folder)
    return folder
