"""``manifest.json``: beside the session file, what it should be.

Everything in it stands in the session file too, save the hashes of the file itself; it is there to be read without
any tool, and to be kept elsewhere. It carries a hash of itself and has one spelling only, so that every edit shows.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from myoloop.platform.recording.folder import replace_file
from myoloop.platform.recording.layout import RecordingError

MANIFEST_FILE = "manifest.json"
FORMAT = "myoloop-manifest-1"


class FileHash(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A form the session file has had: as written live, recovered, or compacted; any of them is the right one."""

    form: str
    bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the session file should be.

    Attributes
    ----------
    outcome, reason
        How the session ended: ``complete``, ``stopped``, ``aborted``, ``fault``, ``interrupted``.
    simulated
        True where no person was on the electrodes.
    recovered
        True where the file had been cut and was made whole.
    chain_sha256, records
        Head of the chain, and how many records it covers.
    versions, metadata
        The session's metadata: those called ``version.<what>``, and the others.
    manifest_sha256
        Of this manifest with this field empty.
    """

    format: str = FORMAT
    session: str
    outcome: str
    reason: str
    simulated: bool
    recovered: bool = False
    chain_sha256: str
    records: int
    files: tuple[FileHash, ...]
    versions: dict[str, str]
    metadata: dict[str, str]
    manifest_sha256: str = ""


def compose(
    session: dict[str, str],
    end: dict[str, str],
    *,
    chain_sha256: str,
    records: int,
    files: tuple[FileHash, ...],
    recovered: bool = False,
) -> Manifest:
    """Make the manifest of a session from its metadata and end record."""
    return Manifest(
        session=session["session"],
        outcome=end["outcome"],
        reason=end["reason"],
        simulated=session["simulated"] == "true",
        recovered=recovered,
        chain_sha256=chain_sha256,
        records=records,
        files=files,
        versions={k.removeprefix("version."): v for k, v in session.items() if k.startswith("version.")},
        metadata={k: v for k, v in session.items() if not k.startswith("version.")},
    )


def to_bytes(manifest: Manifest) -> bytes:
    """Spell a manifest, its own hash filled in."""
    bare = msgspec.structs.replace(manifest, manifest_sha256="")
    digest = hashlib.sha256(_spell(bare)).hexdigest()
    return _spell(msgspec.structs.replace(manifest, manifest_sha256=digest))


def write_manifest(folder: Path, manifest: Manifest) -> Manifest:
    """Write ``manifest.json``, whole or not at all, and return it with its own hash filled in."""
    content = to_bytes(manifest)
    replace_file(folder / MANIFEST_FILE, content)
    return msgspec.json.decode(content, type=Manifest)


def read_manifest(folder: Path) -> Manifest | None:
    """Read ``manifest.json``; None where there is none.

    Raises
    ------
    RecordingError
        If it is not one, or not as it was written.
    """
    path = folder / MANIFEST_FILE
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RecordingError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        manifest = msgspec.json.decode(content, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RecordingError(f"{path}: not a manifest: {error}") from None
    if manifest.format != FORMAT:
        raise RecordingError(f"{path}: format {manifest.format[:40]!r}, this reads {FORMAT!r}")
    if to_bytes(manifest) != content:
        raise RecordingError(f"{path}: was edited since it was written")
    return manifest


def _spell(manifest: Manifest) -> bytes:
    return msgspec.json.format(msgspec.json.encode(manifest, order="deterministic"), indent=2) + b"\n"
