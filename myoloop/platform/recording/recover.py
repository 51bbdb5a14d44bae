"""Make a cut recording whole, and save of a damaged one what can be saved.

Every whole record of the cut file goes, byte for byte, into a new file beside it, which then gets an end record with
outcome ``interrupted``, summary and footer, is verified, and takes the old one's place in one step. What is lost is
the record that the cut went through. The old file stays as ``session.mcap.damaged``. A whole file whose manifest is
missing (its writer died in between) gets one.

A damaged file is left alone unless one says what is to be kept of it: only what the chain vouches for before the
damage, or of each stream everything that can still be read (:mod:`.salvage`). What was kept and what was lost is told
stream by stream either way.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from myoloop.platform.recording.file import RecordFile, refuse_if_written
from myoloop.platform.recording.folder import find_recording, sync_folder
from myoloop.platform.recording.layout import END, RecordingError
from myoloop.platform.recording.manifest import MANIFEST_FILE, compose, write_manifest
from myoloop.platform.recording.salvage import Salvage, Salvaging, StreamSalvage
from myoloop.platform.recording.scan import Scan
from myoloop.platform.recording.verify import FileCheck, verify
from myoloop.platform.recording.writer import OUTCOMES

KEPT_SUFFIX = ".damaged"
_REASON = "recovered:"


@dataclass(frozen=True, slots=True)
class Recovery:
    """What became of a cut recording.

    Attributes
    ----------
    path, kept
        The session file, whole now, and the file as it was found.
    records
        Records that were kept, the new end record not among them.
    lost_bytes
        What stood after the last whole record; stream by stream: in the stretches that could not be kept.
    outcome, head
        As the session file says now.
    streams
        What became of each stream, where any of it was lost or is not vouched for by the chain of the file as found.
    """

    path: str
    kept: str
    records: int
    lost_bytes: int
    outcome: str
    head: str
    streams: tuple[StreamSalvage, ...] = ()


def recover(
    path: Path | str,
    *,
    vouched_only: bool = False,
    each_stream: bool = False,
    outcome: str = "interrupted",
    reason: str = "",
) -> Recovery:
    """Make a cut recording whole, or save of a damaged one what can be saved.

    Parameters
    ----------
    path
        Session file or its folder.
    vouched_only
        Also take a damaged file, and keep of it only what stands before the damage and is vouched for by the chain.
    each_stream
        Also take a damaged file, and keep of each stream all that can still be read, vouched for or not.
    outcome, reason
        How the session ended, where whoever recovers knows it.

    Raises
    ------
    RecordingError
        If the recording is being written, or whole, or damaged and neither `vouched_only` nor `each_stream` is given,
        or nothing of it can be kept.
    """
    if vouched_only and each_stream:
        raise RecordingError("vouched only, or each stream as far as it can be read: one of them")
    file = find_recording(path)
    refuse_if_written(file)
    found = verify(file)
    check = FileCheck(file)
    if found.status == "good":
        if MANIFEST_FILE in found.missing:
            recovered = check.end["reason"].startswith(_REASON)
            _leave_manifest(check, "recovered" if recovered else "live", recovered=recovered)
            return Recovery(found.path, found.path, found.records, 0, found.outcome, found.head)
        raise RecordingError(f"{file}: is whole, there is nothing to recover")
    if found.status == "damaged" and not (vouched_only or each_stream):
        left = (
            f"; --vouched-only keeps the {found.records} records before the damage that the chain vouches for, "
            "--each-stream of every stream all that can still be read"
        )
        raise RecordingError(
            f"{file}: is damaged, not merely cut ({found.problems[0].what}){left if found.records else ''}"
        )
    limit = found.records if check.status == "damaged" else None
    if "session" not in check.session or limit == 0:
        raise RecordingError(f"{file}: is cut or damaged before its first chain message, nothing can be kept")
    part = file.with_name(file.name + ".part")
    salvage = None
    if each_stream and check.status == "damaged":
        salvage = _salvage(check, part, outcome, reason)
        records = salvage.records
    else:
        records = _rewrite(check, part, limit, outcome, reason)
    again = FileCheck(part)
    if again.status != "good":
        raise RecordingError(f"{part}: did not verify after it was written: {again.problems[0].what}")
    kept = _keep(file)
    manifest = file.parent / MANIFEST_FILE
    if manifest.exists():
        # A whole file without a manifest is good, one beside another file's manifest is not: so it goes first.
        manifest.replace(_free_name(manifest))
    part.replace(file)
    sync_folder(file.parent)
    again.path = file
    _leave_manifest(again, "recovered", recovered=True)
    if salvage is not None:
        lost, streams = salvage.lost_bytes, salvage.streams
    else:
        lost = found.bytes - (check.cut_at if check.cut_at is not None else found.verified_bytes)
        streams = ()
    return Recovery(str(file), str(kept), records, lost, again.end["outcome"], again.head, streams)


def _leave_manifest(check: FileCheck, form: str, *, recovered: bool) -> None:
    manifest = compose(
        check.session,
        check.end,
        chain_sha256=check.head,
        records=check.records,
        files=(check.file_hash(form),),
        recovered=recovered,
    )
    write_manifest(check.path.parent, manifest)


def _rewrite(check: FileCheck, part: Path, limit: int | None, outcome: str, why: str) -> int:
    """Copy the records (at most `limit`) into `part`, and end it; return how many were copied."""
    copied = 0
    with check.path.open("rb", buffering=1 << 20) as stream:
        scan = Scan(stream, check.size, check_crcs=limit is None)
        records = scan.records()
        header = next(records, None)
        if header is None or scan.header is None:
            raise RecordingError(f"{check.path}: is cut before its header, nothing can be kept")
        file = RecordFile(part, new=False, chunked=False, buffered=True, library=scan.header.library)
        try:
            copied = 1
            while copied != limit and (record := next(records, None)) is not None:
                file.copy(record)
                copied += 1
            if END not in scan.metadata:
                reason = f"{_REASON} the file was cut at byte {check.size}"
                if limit is not None:
                    reason = f"{_REASON} damaged, kept as far as the chain vouches for it ({limit} records)"
                if why:
                    reason = f"{reason}; {why}"
                file.end_record(outcome, reason, check.last_log_time_ns)
            file.finish()
        finally:
            file.close()
    return copied


def _salvage(check: FileCheck, part: Path, outcome: str, why: str) -> Salvage:
    """Copy of each stream what can be read into `part`, and end it."""
    with check.path.open("rb", buffering=1 << 20) as stream:
        scan = Scan(stream, check.size)
        if next(scan.records(), None) is None or scan.header is None:
            raise RecordingError(f"{check.path}: is damaged in its header, nothing can be kept")
        library = scan.header.library
    file = RecordFile(part, new=False, chunked=False, buffered=True, library=library)
    try:
        done = Salvaging(check, file).run()
        kept = sum(each.vouched + each.unvouched for each in done.streams)
        unvouched = sum(each.unvouched for each in done.streams)
        reason = (
            f"{_REASON} damaged in {done.holes} stretches; of {kept} messages that were kept the chain does not vouch "
            f"for {unvouched}"
        )
        said = done.outcome if done.outcome in OUTCOMES else outcome
        file.end_record(said, f"{reason}; {why}" if why else reason, max(check.last_log_time_ns, done.last_ns))
        file.finish()
    finally:
        file.close()
    return done


def _keep(file: Path) -> Path:
    """Give the file as it was found a second name that nothing else has."""
    kept = _free_name(file)
    try:
        os.link(file, kept)
    except OSError:  # a file system without links
        shutil.copy2(file, kept)
    return kept


def _free_name(file: Path) -> Path:
    names = (file.with_name(file.name + KEPT_SUFFIX + (f"-{n}" if n > 1 else "")) for n in count(1))
    return next(name for name in names if not name.exists())
