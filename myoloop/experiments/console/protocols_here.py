"""Which protocols a study plays: its own files, those its sessions were played from, then what ships.

A study has no entry that names its protocol: what its sessions have kept, and what lies in its folder, says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from myoloop.experiments.protocols.schema import load_protocol, presets
from myoloop.experiments.sessions.admission import KEPT_PROTOCOL
from myoloop.experiments.studies.signatures import sha256_of
from myoloop.platform.errors import UserError

#: Where a study's own protocols may lie, relative to its folder.
_OWN = ("*.yaml", "*.yml", "protocols/*.yaml", "protocols/*.yml")


@dataclass(frozen=True, slots=True)
class Playable:
    """A protocol that can be chosen.

    Attributes
    ----------
    key
        Hash of its bytes: what a page sends to name it.
    name
        A preset's name, or the path of the file, as `myoloop run` takes it.
    origin
        ``study`` (a file of its own, or kept by a session), or ``preset``.
    """

    key: str
    name: str
    title: str
    origin: str


def playable(study: Path) -> tuple[Playable, ...]:
    """Every protocol that can be chosen, the study's own first; files that are none are passed over."""
    found: dict[str, Playable] = {}
    for path, origin in _files(study):
        try:
            key = sha256_of(path)
            if key in found:
                continue
            protocol = load_protocol(path).protocol
        except (UserError, OSError, ValueError):
            # Another kind of file: study.yaml, a rig.
            continue
        name = path.stem if origin == "preset" else str(path)
        found[key] = Playable(key, name, f"{protocol.title} ({protocol.id} {protocol.version})", origin)
    return tuple(found.values())


def chosen(study: Path, key: str) -> Playable:
    """One of them by its key.

    Raises
    ------
    UserError
        If there is none any more.
    """
    for each in playable(study):
        if each.key == key:
            return each
    raise UserError("protocol: the one that was chosen is not there any more, or has been changed; choose again")


def _files(study: Path) -> Iterator[tuple[Path, str]]:
    for pattern in _OWN:
        yield from ((path, "study") for path in sorted(study.glob(pattern)))
    yield from ((path, "study") for path in sorted(study.glob(f"sub-*/ses-*/att-*/{KEPT_PROTOCOL}"), reverse=True))
    yield from ((path, "preset") for path in presets().values())
