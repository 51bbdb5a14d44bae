"""Store a finished recording smaller: the same records in the same order, in zstd chunks with an index.

Never part of stopping. A new file is written beside, verified against the chain, synced, and takes the old one's
place in one step. A ``.part`` that a kill left behind is ignored by everyone and replaced by the next attempt.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from myoloop.platform.recording.file import RecordFile
from myoloop.platform.recording.folder import find_recording, sync_folder
from myoloop.platform.recording.layout import RecordingError
from myoloop.platform.recording.manifest import read_manifest, write_manifest
from myoloop.platform.recording.scan import Scan
from myoloop.platform.recording.verify import FileCheck, verify


@dataclass(frozen=True, slots=True)
class Compaction:
    """What compaction did.

    Attributes
    ----------
    path
        The session file.
    bytes_before, bytes_after
        Its size; equal where it was compacted already.
    """

    path: str
    bytes_before: int
    bytes_after: int


def compact(path: Path | str) -> Compaction:
    """Compact a finished recording.

    Raises
    ------
    RecordingError
        If it is not whole and good, or cannot be written; the session file is as it was then.
    """
    file = find_recording(path)
    found = verify(file)
    if found.status != "good":
        what = found.problems[0].what if found.problems else "it has no end"
        raise RecordingError(f"{file}: is {found.status}, only a good recording is compacted: {what}")
    if found.compacted:
        return Compaction(str(file), found.bytes, found.bytes)
    part = file.with_name(file.name + ".part")
    _rewrite(file, found.bytes, part)
    check = FileCheck(part)
    if check.status != "good" or (check.head, check.records) != (found.head, found.records):
        part.unlink()
        raise RecordingError(f"{file}: the compacted copy is not the same recording; it was thrown away")
    manifest = read_manifest(file.parent)
    if manifest is not None:
        # Both forms are known before the files change places: no kill leaves one that the manifest does not know.
        files = (*(f for f in manifest.files if f.form != "compacted"), check.file_hash("compacted"))
        write_manifest(file.parent, msgspec.structs.replace(manifest, files=files))
    part.replace(file)
    sync_folder(file.parent)
    return Compaction(str(file), found.bytes, check.size)


def _rewrite(source: Path, size: int, part: Path) -> None:
    with source.open("rb", buffering=1 << 20) as stream:
        scan = Scan(stream, size)
        records = scan.records()
        next(records)
        if scan.header is None:
            raise RecordingError(f"{source}: has no header")
        file = RecordFile(part, new=False, chunked=True, buffered=True, library=scan.header.library)
        try:
            for record in records:
                file.copy(record)
            file.finish()
        finally:
            file.close()
