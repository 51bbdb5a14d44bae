"""Fitted pipelines as skops files, which name every type they hold: only those of a fixed list are ever made.

A file is read in two steps. Its schema is JSON: each type that it names must stand on the list here, which is shorter
than what skops itself would trust. Only then is it loaded. A pickle is no such file and is refused unread.

The same model gives the same bytes: skops numbers objects by their place in memory, which is replaced by their order.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from myoloop.platform.errors import UserError

ALLOWED_TYPES = frozenset(
    {
        "builtins.dict", "builtins.list", "builtins.str", "builtins.tuple",
        "numpy.float64", "numpy.int64", "numpy.ndarray", "numpy.random.mtrand.RandomState",
        "sklearn._loss._loss.CyHalfBinomialLoss", "sklearn._loss._loss.CyHalfSquaredError",
        "sklearn._loss.link.IdentityLink", "sklearn._loss.link.Interval", "sklearn._loss.link.LogitLink",
        "sklearn._loss.loss.HalfBinomialLoss", "sklearn._loss.loss.HalfSquaredError",
        "sklearn.calibration.CalibratedClassifierCV", "sklearn.calibration._CalibratedClassifier",
        "sklearn.dummy.DummyClassifier", "sklearn.dummy.DummyRegressor",
        "sklearn.ensemble._gb.GradientBoostingClassifier", "sklearn.ensemble._gb.GradientBoostingRegressor",
        "sklearn.isotonic.IsotonicRegression", "sklearn.pipeline.Pipeline",
        "sklearn.preprocessing._data.StandardScaler", "sklearn.tree._classes.DecisionTreeRegressor",
        "sklearn.tree._tree.Tree",
    }
)  # fmt: skip
_SCHEMA = "schema.json"
_BYTES_MOST = 100_000_000


class StoredError(UserError, ValueError):
    """A file that is no fitted pipeline of ours, in one line."""


def pack(model: Any) -> bytes:
    """A fitted pipeline as the bytes of a skops file.

    Raises
    ------
    StoredError
        If it holds a type that :func:`unpack` would refuse.
    """
    import skops.io

    with zipfile.ZipFile(io.BytesIO(skops.io.dumps(model))) as file:
        members = {name: file.read(name) for name in file.namelist()}
    schema = members.pop(_SCHEMA).decode()
    _check(json.loads(schema), "the model")
    # Numbers of objects, in the order in which the schema names them.
    ids = {old: str(new) for new, old in enumerate(dict.fromkeys(re.findall(r'"__id__": (\d+)', schema)), start=1)}
    schema = re.sub(r'"__id__": (\d+)', lambda found: f'"__id__": {ids[found[1]]}', schema)
    schema = re.sub(r'"(\d+)(\.npy|\.npz)"', lambda found: f'"{ids.get(found[1], found[1])}{found[2]}"', schema)
    renamed = {_renamed(name, ids): content for name, content in members.items()}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for name in sorted(renamed):
            # A ZipInfo without a time is of 1980.
            file.writestr(zipfile.ZipInfo(name), renamed[name], zipfile.ZIP_DEFLATED)
        file.writestr(zipfile.ZipInfo(_SCHEMA), schema, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def unpack(content: bytes, where: str) -> Any:
    """A fitted pipeline from the bytes of a skops file.

    Raises
    ------
    StoredError
        If it is none, or names a type that is not allowed.
    """
    import skops.io

    if len(content) > _BYTES_MOST:
        raise StoredError(f"{where}: {len(content)} bytes, allowed are {_BYTES_MOST}")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as file:
            if sum(member.file_size for member in file.infolist()) > 4 * _BYTES_MOST:
                raise StoredError(f"{where}: larger than {4 * _BYTES_MOST} bytes when unpacked")
            schema = json.loads(file.read(_SCHEMA))
    except (zipfile.BadZipFile, KeyError, ValueError, EOFError, OSError, NotImplementedError) as error:
        if isinstance(error, StoredError):
            raise
        raise StoredError(f"{where}: not a skops file; pickles are never loaded") from None
    _check(schema, where)
    try:
        return skops.io.loads(content, trusted=sorted(ALLOWED_TYPES))
    except Exception as error:  # noqa: BLE001 - a file that was tampered with makes anything of it raise anything
        raise StoredError(f"{where}: cannot be loaded: {' '.join(str(error).split())[:200]}") from None


def read(path: Path) -> Any:
    """A fitted pipeline from a file.

    Raises
    ------
    StoredError
        As :func:`unpack`.
    """
    return unpack(path.read_bytes(), str(path))


def _check(schema: Any, where: str) -> None:
    foreign = sorted(set(_types(schema)) - ALLOWED_TYPES)
    if foreign:
        more = f" and {len(foreign) - 1} more" if len(foreign) > 1 else ""
        raise StoredError(f"{where}: holds the type {foreign[0]}{more}, which is not on the fixed list")


def _types(node: Any) -> Iterator[str]:
    """Every type that a schema names, however deep, and every loader's content that is a type itself."""
    stack = [node]
    while stack:
        one = stack.pop()
        if isinstance(one, dict):
            if "__class__" in one or "__loader__" in one or "__module__" in one:
                yield f"{one.get('__module__')}.{one.get('__class__')}"
            stack += one.values()
        elif isinstance(one, list):
            stack += one


def _renamed(name: str, ids: dict[str, str]) -> str:
    number, dot, ending = name.partition(".")
    return f"{ids.get(number, number)}{dot}{ending}"
