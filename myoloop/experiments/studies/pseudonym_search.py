"""Where a pseudonym stands: in every name and every content below a folder, also inside what is compressed.

A pseudonym counts where it is a word of its own: ``P017`` in ``sub-P017_emg.bdf``, not in ``P0171`` or ``XP017``. Only
`Words` of any case find it in other letters, ``p017``. In recordings it is looked for in everything but the samples, in
tables column by column, in archives member by member. What cannot be looked into (pictures, what is encrypted or torn)
is named: it is not proven of these.
"""

from __future__ import annotations

import gzip
import os
import re
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from mcap.opcode import Opcode

from myoloop.platform.recording.layout import MAGIC, DamagedRecording
from myoloop.platform.recording.scan import HEAD_BYTES, MESSAGE_HEAD, Scan

_MESSAGE = int(Opcode.MESSAGE)
_DATA = HEAD_BYTES + MESSAGE_HEAD.size
_LENGTHS = struct.Struct("<II")
_BLOCK = 1 << 20
#: Longer than any pseudonym in any spelling.
_OVERLAP = 256
_PICTURES = frozenset({".png", ".jpg", ".jpeg", ".pdf", ".gif", ".webp"})
_SEALED = frozenset({".sealed", ".key"})


class _NotSearched(Exception):
    """A content that cannot be looked into; the text says why."""


@dataclass(slots=True)
class Found:
    """What a search found.

    Attributes
    ----------
    hits
        By path below its root: how often the pseudonym stands in it, its name counted.
    files
        How many files were searched.
    opened
        How many of them were looked into, by what they are.
    not_searched
        Those that cannot be looked into, and why; their names were searched.
    """

    hits: dict[str, int] = field(default_factory=dict)
    files: int = 0
    opened: Counter[str] = field(default_factory=Counter)
    not_searched: dict[str, str] = field(default_factory=dict)

    def in_words(self) -> str:
        """One line."""
        inside = ", ".join(f"{number} {kind}" for kind, number in sorted(self.opened.items()))
        told = f"searched {self.files} files{f' ({inside} looked into)' if inside else ''}"
        return f"{told}; {len(self.not_searched)} by name only" if self.not_searched else told


class Words:
    """Finds some words, each by itself, in names and bytes.

    Parameters
    ----------
    words
        Of letters and digits.
    any_case
        Whether capital and small letters are the same.
    """

    def __init__(self, words: Iterable[str], *, any_case: bool = False) -> None:
        words = tuple(words)
        case = re.IGNORECASE if any_case else re.NOFLAG
        any_of = "|".join(re.escape(word) for word in sorted(words))
        wide = b"|".join(b"\0".join(re.escape(word[i : i + 1]).encode() for i in range(len(word))) for word in words)
        self.text = re.compile(rf"(?<![A-Za-z0-9])(?:{any_of})(?![A-Za-z0-9])", case)
        self._bytes = re.compile(self.text.pattern.encode(), case)
        # As UTF-16 has it, of either byte order: MATLAB, Windows.
        self._wide = re.compile(rb"(?<![A-Za-z0-9]\0)(?:" + wide + rb")(?!\0[A-Za-z0-9])", case)
        #: For Arrow, whose expressions look neither forward nor back.
        self.column = f"{'(?i)' if any_case else ''}(^|[^A-Za-z0-9])({any_of})([^A-Za-z0-9]|$)"

    def count(self, content: bytes) -> int:
        """How often they stand in some bytes."""
        return sum(1 for _ in self._bytes.finditer(content)) + sum(1 for _ in self._wide.finditer(content))

    def count_stream(self, file: BinaryIO) -> int:
        """How often they stand in a file, block by block."""
        found, before = 0, b""
        while block := file.read(_BLOCK):
            whole = before + block
            # What stands in the overlap was counted with the block before, unless it was cut there.
            keep = whole[-_OVERLAP:]
            found += self.count(whole) - self.count(keep)
            before = keep
        return found + self.count(before)


def search(root: Path, words: Words, skip: Iterable[Path] = ()) -> Found:
    """Search everything below a folder; links are searched by name, never followed.

    Parameters
    ----------
    root
        The folder.
    skip
        Files and folders that are left out.
    """
    found, left_out = Found(), set(skip)
    for folder, folders, names in os.walk(root):
        here = Path(folder)
        folders[:] = sorted(each for each in folders if here / each not in left_out)
        for name in [*(each for each in folders if (here / each).is_symlink()), *sorted(names)]:
            path = here / name
            if path in left_out:
                continue
            relative = path.relative_to(root).as_posix()
            hits = len(words.text.findall(relative))
            found.files += 1
            if not path.is_symlink():
                hits += _inside(path, relative, words, found)
            if hits:
                found.hits[relative] = hits
    return found


def _inside(path: Path, relative: str, words: Words, found: Found) -> int:
    try:
        if path.suffix in _PICTURES:
            raise _NotSearched("a picture")
        if path.suffix in _SEALED:
            raise _NotSearched("sealed")
        with path.open("rb") as file:
            kind, count = _kind_of(file.read(16))
            file.seek(0)
            hits = count(file, words) if count is not None else words.count_stream(file)
    except _NotSearched as why:
        found.not_searched[relative] = str(why)
        return 0
    except OSError as error:
        found.not_searched[relative] = error.strerror or "cannot be read"
        return 0
    if kind:
        found.opened[kind] += 1
    return hits


Count = Callable[[BinaryIO, Words], int]


def _kind_of(begin: bytes) -> tuple[str, Count | None]:
    kinds: tuple[tuple[bytes, str, Count], ...] = (
        (MAGIC[:6], "recordings", _recording),
        (b"PAR1", "tables", _table),
        (b"PK\x03\x04", "archives", _archive),
        (b"\x1f\x8b", "archives", _gzip),
        (b"\x89HDF\r\n", "HDF5", _hdf5),
        (b"MATLAB 5.0 MAT-f", "MATLAB", _matlab),
        (b"\x93NUMPY", "arrays", _array),
    )
    return next(((kind, count) for magic, kind, count in kinds if begin.startswith(magic)), ("", None))


def _recording(file: BinaryIO, words: Words) -> int:
    """Everything but the arrays; of a damaged one also its raw bytes, as far as they are not compressed."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    hits = 0
    try:
        for record in Scan(file, size, check_crcs=False).records():
            content = record.data
            if record.opcode == _MESSAGE and len(content) >= _DATA + _LENGTHS.size:
                content = content[: _DATA + _LENGTHS.size + sum(_LENGTHS.unpack_from(content, _DATA))]
            hits += words.count(content)
    except DamagedRecording as damage:
        file.seek(0)
        hits += words.count_stream(file)
        if not hits:
            raise _NotSearched(f"damaged at byte {damage.offset}, searched up to there and as it stands") from None
    return hits


def _table(file: BinaryIO, words: Words) -> int:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    try:
        table = parquet.ParquetFile(file)
        schema = table.schema_arrow
        hits = words.count(" ".join(schema.names).encode())
        hits += sum(words.count(key) + words.count(value) for key, value in (schema.metadata or {}).items())
        for batch in table.iter_batches():
            hits += sum(_column(column, words) for column in batch.columns)
    except (pa.ArrowException, OSError) as error:
        raise _NotSearched(f"a table that cannot be read: {error}") from None
    return hits


def _column(column: Any, words: Words) -> int:
    import pyarrow as pa
    import pyarrow.compute as compute

    kind = column.type
    if pa.types.is_dictionary(kind):
        return _column(column.dictionary, words)
    if pa.types.is_struct(kind):
        return sum(_column(each, words) for each in column.flatten())
    if pa.types.is_map(kind):
        return _column(column.keys, words) + _column(column.items, words)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _column(column.flatten(), words)
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return sum(words.count(each) for each in column.to_pylist() if each is not None)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return compute.sum(compute.match_substring_regex(column, words.column)).as_py() or 0
    return 0


def _archive(file: BinaryIO, words: Words) -> int:
    hits = 0
    try:
        with zipfile.ZipFile(file) as archive:
            for member in archive.infolist():
                hits += len(words.text.findall(member.filename)) + words.count(member.comment)
                with archive.open(member) as inside:
                    _, count = _kind_of(inside.read(16))
                    inside.seek(0)
                    hits += count(inside, words) if count is not None else words.count_stream(inside)  # type: ignore[arg-type]
    except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError) as error:
        raise _NotSearched(f"an archive that cannot be unpacked: {error}") from None
    return hits


def _gzip(file: BinaryIO, words: Words) -> int:
    try:
        with gzip.open(file) as inside:
            return words.count_stream(inside)  # type: ignore[arg-type]  # typeshed: it reads bytes
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise _NotSearched(f"cannot be unpacked: {error}") from None


def _hdf5(file: BinaryIO, words: Words) -> int:
    import h5py
    import numpy as np

    def texts(owner: Any) -> Iterator[bytes]:
        for key, value in owner.attrs.items():
            yield f"{key} {value}".encode()

    hits = 0

    def visit(name: str, item: Any) -> None:
        nonlocal hits
        hits += words.count(name.encode()) + sum(words.count(each) for each in texts(item))
        if isinstance(item, h5py.Dataset) and item.dtype.kind in "OSV":
            hits += sum(words.count(_bytes_of(each)) for each in np.ravel(item[()]))
        elif isinstance(item, h5py.Dataset) and (item.attrs.get("MATLAB_class") == b"char" or item.dtype.itemsize == 1):
            # MATLAB keeps its characters as numbers of two bytes.
            hits += words.count(np.asarray(item[()]).tobytes())

    try:
        with h5py.File(file, "r") as tree:
            hits += sum(words.count(each) for each in texts(tree))
            tree.visititems(visit)
    except (OSError, RuntimeError, ValueError) as error:
        raise _NotSearched(f"an HDF5 file that cannot be read: {error}") from None
    return hits


def _array(file: BinaryIO, words: Words) -> int:
    """A NumPy array, text by text: nothing stands between those that fill their width."""
    import numpy as np

    try:
        array = np.lib.format.read_array(file, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise _NotSearched(f"an array that cannot be read: {error}") from None
    if array.dtype.kind == "V" or array.dtype.itemsize == 1:  # also text that is kept as bytes
        return words.count(array.tobytes())
    return sum(words.count(_bytes_of(each)) for each in array.ravel()) if array.dtype.kind in "US" else 0


def _bytes_of(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def _matlab(file: BinaryIO, words: Words) -> int:
    """MATLAB 5: a header, then elements, most of them compressed."""
    content = file.read()
    hits, at = words.count(content[:128]), 128
    order = "<" if content[126:128] == b"IM" else ">"
    while at + 8 <= len(content):
        kind, length = struct.unpack_from(f"{order}II", content, at)
        element = content[at + 8 : at + 8 + length]
        if kind == 15:
            try:
                element = zlib.decompress(element)
            except zlib.error as error:
                raise _NotSearched(f"a MATLAB file that cannot be unpacked: {error}") from None
        hits += words.count(element)
        at += 8 + length
    return hits
