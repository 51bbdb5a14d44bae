"""What goes wrong in a planted study: recordings that are damaged or cut short, a clock, a unit."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from myoloop.experiments.cohorts.planted import PlantedPerson
from myoloop.platform.recording.compact import compact
from myoloop.platform.recording.layout import SESSION_FILE
from myoloop.platform.recording.manifest import MANIFEST_FILE
from myoloop.platform.recording.reader import Recording
from myoloop.platform.recording.writer import RecordingWriter

BIT_FLIP, CUT, GARBAGE = "bit flip", "cut", "garbage"
CLOCK_JUMP, WRONG_UNIT, INTERRUPTED, MISSED = "clock jump", "wrong unit", "interrupted", "missed"
#: Faults with whose person, counted from the first, and session they come; in this order as far as there is room.
_PLACES = (
    (BIT_FLIP, 2, 3), (CUT, 5, 4), (GARBAGE, 8, 2), (CLOCK_JUMP, 3, 4), (WRONG_UNIT, 6, 2), (INTERRUPTED, 9, 5),
    (INTERRUPTED, 12, 3), (MISSED, 4, 6), (MISSED, 13, 6),
)  # fmt: skip
_FORCE = "force/"
#: The recording says kilonewton where its numbers are newton.
_WRONG = "kN"


def plan(people: Sequence[PlantedPerson], sessions: int, *, short: bool = False) -> dict[tuple[str, int], str]:
    """Which fault comes in which session of whom; a small study has one person for several, but no session two."""
    found: dict[tuple[str, int], str] = {}
    for fault, number, session in _PLACES:
        if short and fault == CLOCK_JUMP:
            continue  # it comes while a guess is asked for, which short sessions leave out
        # Who misses a session does not come again: sessions are numbered as they are held.
        at = [sessions] if fault == MISSED else [min(session, sessions), *range(2, sessions + 1)]
        names = [people[(number - 1 + more) % len(people)].name for more in range(len(people))]
        place = next(((name, each) for name in names for each in at if (name, each) not in found), None)
        if place is not None:
            found[place] = fault
    return found


def spoil(study: Path, faults: Mapping[tuple[str, int], str]) -> list[str]:
    """Damage the recordings that are there; give back one line for each fault of the study."""
    told = []
    for (person, session), fault in sorted(faults.items()):
        told.append(f"{person}, session {session}: {fault}")
        file = study / f"sub-{person}" / f"ses-{session:02d}" / "att-1" / SESSION_FILE
        if fault == BIT_FLIP:
            content = bytearray(file.read_bytes())
            content[len(content) // 2] ^= 0x10
            file.write_bytes(content)
        elif fault == CUT:
            file.write_bytes(file.read_bytes()[: file.stat().st_size * 3 // 5])
        elif fault == GARBAGE:
            file.write_bytes(bytes((17 * each + 5) % 256 for each in range(4096)))
        elif fault == WRONG_UNIT:
            _write_with_unit(file.parent)
    return told


def _write_with_unit(folder: Path) -> None:
    """Write the recording once more, whole and with its chain, as a station would whose force cell was set up wrong."""
    recording = Recording.open(folder)
    other = folder.with_name("rewritten")
    other.mkdir()
    descriptors = [
        msgspec.structs.replace(each, units=(_WRONG,) * len(each.units)) if topic.startswith(_FORCE) else each
        for topic, each in recording.descriptors.items()
    ]
    writer = RecordingWriter(
        other, session=recording.metadata["session"], descriptors=descriptors, metadata=recording.metadata, live=False
    )
    log_time_ns = 0
    for _, frames, log_time_ns in recording.frames(set(recording.topics()) - {"chain"}):
        writer.write(frames, log_time_ns)
    writer.end(recording.outcome or "complete", recording.reason, log_time_ns)
    compact(other)
    for name in (SESSION_FILE, MANIFEST_FILE):
        (other / name).replace(folder / name)
    shutil.rmtree(other)
