"""Whether a recording is of a blinded session, by what it says of itself; where it says nothing, by its study."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from myoloop.platform.sealed import LIST_FILE

#: Key of a recording's metadata: ``true`` or ``false``.
BLINDED_KEY = "blinded"


def was_blinded(metadata: Mapping[str, str], study: Path | None) -> bool:
    """Whether a recording must be kept from those who are to stay blind.

    Parameters
    ----------
    metadata
        Of the recording. Recordings made before sessions said ``false`` have no such key where they were open.
    study
        Folder of its study. A recording that says nothing is taken for a blinded one where arms are given by a list.
    """
    said = metadata.get(BLINDED_KEY)
    if said is None:
        return study is not None and (study / LIST_FILE).exists()
    return said != "false"
