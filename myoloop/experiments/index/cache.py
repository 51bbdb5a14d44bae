"""What was read of a recording, kept as long as its content is the same.

``derivatives/index/sub-P017/ses-05_att-1.json`` holds the facts under the SHA-256 of the attempt's content (session
file, manifest and copies) and of the code that read them. Reading gigabytes only to see that nothing changed takes
minutes, so the content is not hashed again while every file has the size, the inode, and the times of content and of
status that it had when it was hashed. The time of status cannot be set back by any program, as the time of content can:
an edit that hides behind ``touch`` is seen. What is not seen are bits that rot on the disk; `rehash` reads all. A file
that was changed within two seconds of being hashed is hashed again: a clock of files may be as coarse as that.
"""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

import msgspec

from myoloop.experiments.index.facts import SessionFacts
from myoloop.experiments.training.jobs import code_sha256
from myoloop.platform.recording.folder import AttemptPlace, replace_file
from myoloop.platform.recording.layout import SESSION_FILE

INDEX_FOLDER = "derivatives/index"
FORMAT = "myoloop-index-1"
#: Facts depend on these.
CODE = ("experiments/index", "experiments/analysis", "experiments/origins.py", "platform", "stimulators/gate")
SETTLED_NS = 2_000_000_000


class Look(msgspec.Struct, frozen=True, array_like=True):
    """A file as it was found, without its content."""

    name: str
    bytes: int
    inode: int
    modified_ns: int
    changed_ns: int


class Kept(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file of the cache.

    Attributes
    ----------
    code, content_sha256
        Of what read it, and of what was read.
    looks, hashed_ns
        The files as they were when they were hashed, and when that was (wall time).
    facts_sha256
        Of the facts as they are spelled here: who edits them is not believed.
    """

    format: str
    code: str
    content_sha256: str
    looks: tuple[Look, ...]
    hashed_ns: int
    facts_sha256: str
    facts: SessionFacts


def kept_path(place: AttemptPlace) -> Path:
    """Where the facts of an attempt are kept."""
    name = f"ses-{place.session:02d}_att-{place.attempt}.json"
    return place.study / INDEX_FOLDER / f"sub-{place.subject}" / name


def read_kept(path: Path) -> Kept | None:
    """What is kept; None where there is nothing, or nothing that this code may believe."""
    try:
        kept = msgspec.json.decode(path.read_bytes(), type=Kept)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    whole = kept.format == FORMAT and kept.code == _code() and kept.facts_sha256 == _sha256(kept.facts)
    return kept if whole else None


def write_kept(path: Path, facts: SessionFacts, content_sha256: str, looks: tuple[Look, ...], hashed_ns: int) -> None:
    """Keep the facts of a content.

    Raises
    ------
    OSError
        If they cannot be written.
    """
    kept = Kept(
        format=FORMAT,
        code=_code(),
        content_sha256=content_sha256,
        looks=looks,
        hashed_ns=hashed_ns,
        facts_sha256=_sha256(facts),
        facts=facts,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, msgspec.json.encode(kept) + b"\n")


def look_at(attempt: Path) -> tuple[Look, ...]:
    """The files of an attempt that its facts depend on, in order of their names."""
    return tuple(
        Look(path.name, found.st_size, found.st_ino, found.st_mtime_ns, found.st_ctime_ns)
        for path in _content(attempt)
        if (found := path.stat())
    )


def unchanged(kept: Kept, looks: tuple[Look, ...], *, settled_ns: int = SETTLED_NS) -> bool:
    """Whether the files are, by all that can be seen without reading them, those that were hashed."""
    newest = max((max(each.modified_ns, each.changed_ns) for each in looks), default=0)
    return bool(looks) and looks == kept.looks and newest + settled_ns <= kept.hashed_ns


def hash_content(attempt: Path) -> str:
    """SHA-256 over names and contents of the same files."""
    whole = hashlib.sha256()
    for path in _content(attempt):
        with path.open("rb") as file:
            whole.update(f"{path.name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return whole.hexdigest()


def _content(attempt: Path) -> list[Path]:
    """Session file, manifest and copies."""
    return sorted(
        path
        for path in attempt.iterdir()
        if (path.name == SESSION_FILE or path.suffix in (".yaml", ".json")) and path.is_file()
    )


@functools.cache
def _code() -> str:
    """Of the code that runs here, which does not change while it does."""
    return code_sha256(CODE)


def _sha256(facts: SessionFacts) -> str:
    return hashlib.sha256(msgspec.json.encode(facts)).hexdigest()
