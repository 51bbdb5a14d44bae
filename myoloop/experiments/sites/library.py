"""The files of the library, and a study's own beside them: what there is, and one of them by name."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import get_args

from pydantic import RootModel

from myoloop.experiments.protocols.evidence import FREE_MARKS, Source
from myoloop.experiments.sites.schema import SiteFile, SiteInfo
from myoloop.experiments.sites.zones import Side
from myoloop.platform.errors import UserError
from myoloop.platform.yamlfile import FileError, load_model

LIBRARY = Path(__file__).parent / "lib"
SOURCES = Path(__file__).parent / "sources.yaml"

_REFERENCE = re.compile(r"(?:lib/)?([a-z][a-z0-9_]{0,46})")
_SIDES = ("left", "right", "both")


class SiteError(UserError, ValueError):
    """A reference to a site that is none; the text says what is allowed."""


class SourceTable(RootModel[dict[str, Source]]):
    """What the marks of the library's files stand for."""


def sites(own: Path | str | None = None) -> dict[str, Path]:
    """Every site's file by name, in the order of names.

    Parameters
    ----------
    own
        A folder with a study's own sites, beside the library's.

    Raises
    ------
    FileError
        If `own` is no folder, or a file in it has the name of a site of the library.
    """
    found = {path.stem: path for path in LIBRARY.glob("*.yaml")}
    if own is not None:
        folder = Path(own)
        if not folder.is_dir():
            raise FileError([f"{folder}: is no folder, allowed is one with a YAML file for each site"])
        for path in sorted(folder.glob("*.yaml")):
            if path.stem in found:
                raise FileError([f"{path}: the library has a site {path.stem}, allowed is another name"])
            found[path.stem] = path
    return dict(sorted(found.items()))


def load_site(name: str, own: Path | str | None = None) -> SiteInfo:
    """A site by its name, with or without ``lib/`` before it and the side behind it: ``lib/wrist_extensors_left``.

    Parameters
    ----------
    own
        As of :func:`sites`.

    Returns
    -------
    SiteInfo
        With the side that is meant; None where the name says none and there are two.

    Raises
    ------
    SiteError
        If there is no such site, or not on that side.
    FileError
        With every mistake in its file.
    """
    match = _REFERENCE.fullmatch(name)
    if match is None:
        raise SiteError(f"site {name[:60]!r}: allowed is a name such as lib/wrist_extensors_left")
    known = sites(own)
    base, side = _taken_apart(match[1], known)
    path = known.get(base)
    if path is None:
        near = difflib.get_close_matches(base, known, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise SiteError(f"site {name!r}: not known{hint}, allowed: {', '.join(known)}")
    file = _load_file(path)
    if file.sides == ("midline",):
        if side is not None:
            raise SiteError(f"site {name!r}: {base} lies in the midline, allowed is no side")
        side = "midline"
    return _on(file, side)


def sources(site: SiteFile) -> dict[str, Source]:
    """What the marks of a site stand for, in the order of their names; marks that need no source are left out."""
    table = {**_shared_sources(), **site.evidence.sources}
    used = {mark for marks in site.evidence.marks.values() for mark in marks} - FREE_MARKS.keys()
    return {mark: table[mark] for mark in sorted(used)}


def _taken_apart(text: str, known: Mapping[str, Path]) -> tuple[str, Side | None]:
    if text in known:
        return text, None
    for side in get_args(Side):
        if side in _SIDES and text.endswith(f"_{side}"):
            return text.removesuffix(f"_{side}"), side
    return text, None


def _load_file(path: Path) -> SiteFile:
    file = load_model(path, SiteFile)
    if file.name != path.stem:
        raise FileError([f"{path}: name: found {file.name!r}, allowed is the file's own name, {path.stem!r}"])
    table = {**_shared_sources(), **file.evidence.sources}
    allowed = ", ".join((*FREE_MARKS, *table))
    unknown = [
        f"{path}: evidence.marks.{key}: mark {mark!r} has no source, allowed: {allowed}"
        for key, marks in file.evidence.marks.items()
        for mark in marks
        if mark not in FREE_MARKS and mark not in table
    ]
    if unknown:
        raise FileError(unknown)
    return file


def _on(file: SiteFile, side: Side | None) -> SiteInfo:
    # Values are those of a file that was checked; only the side is new.
    return SiteInfo.model_construct(**{key: getattr(file, key) for key in type(file).model_fields}, side=side)


@cache
def _shared_sources() -> dict[str, Source]:
    return load_model(SOURCES, SourceTable).root
