"""What only the stimulator's node may read: the arms of a list, and the true side of a blinded session.

Two kinds of seal with one key, an X25519 private key that the study keeps outside its folder:

- an **entry** of the sealed list is closed with the public key alone, so that whoever imports or keeps the list need
  not be able to open it (X25519, HKDF-SHA256, ChaCha20-Poly1305; each entry with a key of its own);
- a **record** of a session is closed and opened with a key derived from the private key and the session's id
  (AES-SIV, RFC 5297). It is deterministic: what a replay seals again is equal byte for byte. Number and purpose are
  bound to it, so that none can stand in another's place.

What is sealed is padded first: lengths do not tell the arm either.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESSIV, ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from myoloop.platform.errors import UserError

LIST_FILE = "allocation.sealed"
LIST_FORMAT = "myoloop sealed list 1"
_KEY_HEAD = "myoloop-study-key-1 "
#: An arm's name in an entry: padded to this, in bytes.
_ARM_BYTES = 64
_KEY_BYTES = 32
#: Every key of an entry is used once: its nonce may be constant.
_ONCE = bytes(12)
#: Files whose presence makes a folder a study's.
_STUDY_FILES = ("study.yaml", "participants.tsv", LIST_FILE, "audit.jsonl")


class SealedError(UserError):
    """A key, a list or a record that cannot be had or does not open; one line for the operator."""


@dataclass(frozen=True, slots=True)
class StudyKey:
    """The private key of a study; never printed.

    Attributes
    ----------
    secret
        32 bytes, X25519.
    """

    secret: bytes = field(repr=False)

    @property
    def public(self) -> bytes:
        """What entries are closed with; no secret."""
        return X25519PrivateKey.from_private_bytes(self.secret).public_key().public_bytes_raw()


@dataclass(frozen=True, slots=True)
class SealedEntry:
    """One place of the list; everything but the arm is to be read by all.

    Attributes
    ----------
    number
        From 1, unique in the list.
    stratum, station
        Whom and where it is for; empty where the list has none.
    box
        The arm, closed.
    """

    number: int
    stratum: str
    station: str
    box: bytes


@dataclass(frozen=True, slots=True)
class SealedList:
    """A list as it stands in ``allocation.sealed``.

    Attributes
    ----------
    public
        The key it was closed with.
    """

    public: bytes
    entries: tuple[SealedEntry, ...]

    def arm(self, number: int, key: StudyKey) -> str:
        """Open one entry.

        Raises
        ------
        SealedError
            If there is no such entry, the key is another study's, or the entry was changed or moved.
        """
        entry = next((each for each in self.entries if each.number == number), None)
        if entry is None:
            raise SealedError(f"sealed list: there is no entry {number}, it has {len(self.entries)}")
        if key.public != self.public:
            raise SealedError("sealed list: it was closed for another key")
        ephemeral, closed = entry.box[:_KEY_BYTES], entry.box[_KEY_BYTES:]
        try:
            shared = X25519PrivateKey.from_private_bytes(key.secret).exchange(
                X25519PublicKey.from_public_bytes(ephemeral)
            )
            opened = ChaCha20Poly1305(_derived(shared, ephemeral + self.public)).decrypt(
                _ONCE, closed, _entry_about(entry.number, entry.stratum, entry.station)
            )
        except (InvalidTag, ValueError):
            raise SealedError(f"sealed list: entry {number} does not open, it was changed or moved") from None
        return _unpadded(opened).decode()


def new_key() -> StudyKey:
    """A key for a new study."""
    return StudyKey(X25519PrivateKey.generate().private_bytes_raw())


def write_key(path: Path | str, key: StudyKey) -> None:
    """Write a key file that only this user can read.

    Raises
    ------
    SealedError
        If there is a file already, it would stand inside a study's folder, or it cannot be written.
    """
    file = Path(path)
    _not_in_a_study(file)
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as written:
            written.write(_KEY_HEAD + base64.b64encode(key.secret).decode() + "\n")
            written.flush()
            os.fsync(written.fileno())
    except OSError as error:
        raise SealedError(f"study key {file}: {error.strerror}") from None


def read_key(path: Path | str) -> StudyKey:
    """Read a key file.

    Raises
    ------
    SealedError
        If it cannot be read or is none, others than its owner may read it, or it stands inside a study's folder.
    """
    file = Path(path)
    _not_in_a_study(file)
    try:
        mode = file.stat().st_mode
        text = file.read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise SealedError(f"study key {file}: {error.strerror}") from None
    if os.name == "posix" and mode & 0o077:
        raise SealedError(f"study key {file}: others may read it (mode {mode & 0o777:o}), allowed is 600")
    try:
        secret = base64.b64decode(text.removeprefix(_KEY_HEAD).strip(), validate=True)
    except (binascii.Error, ValueError):
        secret = b""
    if not text.startswith(_KEY_HEAD) or len(secret) != _KEY_BYTES:
        raise SealedError(f"study key {file}: this is no study key")
    return StudyKey(secret)


def seal_list(public: bytes, entries: Iterable[tuple[int, str, str, str]]) -> bytes:
    """Close a list; the content of ``allocation.sealed``.

    Parameters
    ----------
    public
        The study's public key.
    entries
        (number, stratum, station, arm) of each, numbers unique.

    Raises
    ------
    SealedError
        If two have one number, or an arm's name is empty or too long.
    """
    rows: list[dict[str, Any]] = []
    numbers: set[int] = set()
    for number, stratum, station, arm in entries:
        if number in numbers:
            raise SealedError(f"sealed list: two entries have number {number}")
        numbers.add(number)
        if not 0 < len(arm.encode()) <= _ARM_BYTES - 4:
            raise SealedError(f"sealed list: entry {number}: an arm's name has 1 to {_ARM_BYTES - 4} bytes")
        once = X25519PrivateKey.generate()
        ephemeral = once.public_key().public_bytes_raw()
        shared = once.exchange(X25519PublicKey.from_public_bytes(public))
        closed = ChaCha20Poly1305(_derived(shared, ephemeral + public)).encrypt(
            _ONCE, _padded(arm.encode(), _ARM_BYTES), _entry_about(number, stratum, station)
        )
        box = base64.b64encode(ephemeral + closed).decode()
        rows.append({"number": number, "stratum": stratum, "station": station, "box": box})
    head = {"format": LIST_FORMAT, "public": public.hex()}
    return "".join(json.dumps(each, sort_keys=True, ensure_ascii=False) + "\n" for each in (head, *rows)).encode()


def read_list(data: bytes) -> SealedList:
    """Read what may be read of a list: everything but the arms.

    Raises
    ------
    SealedError
        With the line that is none of such a list.
    """
    lines = data.decode("utf-8", "replace").splitlines()
    try:
        head = json.loads(lines[0])
        public = bytes.fromhex(head["public"])
        good = head["format"] == LIST_FORMAT and len(public) == _KEY_BYTES
    except (ValueError, KeyError, TypeError, IndexError, RecursionError):
        good = False
    if not good:
        raise SealedError("sealed list: line 1: this is no sealed list")
    entries: dict[int, SealedEntry] = {}
    for place, line in enumerate(lines[1:], start=2):
        try:
            entry = _entry(json.loads(line))
        except (ValueError, KeyError, TypeError, RecursionError):
            raise SealedError(f"sealed list: line {place}: this is no entry") from None
        if entry.number in entries:
            raise SealedError(f"sealed list: line {place}: number {entry.number} stands twice")
        entries[entry.number] = entry
    return SealedList(public, tuple(entries.values()))


def load_list(path: Path | str) -> SealedList:
    """The same from a file.

    Raises
    ------
    SealedError
        If it cannot be read or is no sealed list.
    """
    try:
        return read_list(Path(path).read_bytes())
    except OSError as error:
        raise SealedError(f"sealed list {path}: {error.strerror}") from None


class SessionBox:
    """Closes and opens the records of one session.

    Parameters
    ----------
    key
        The study's.
    session
        The session's id.
    """

    def __init__(self, key: StudyKey, session: str) -> None:
        derived = HKDF(SHA256(), 64, salt=None, info=b"myoloop session\0" + session.encode()).derive(key.secret)
        self._siv = AESSIV(derived)

    def seal(self, what: str, number: int, plain: bytes, size: int) -> bytes:
        """Close a record.

        Parameters
        ----------
        what, number
            Which it is; must be given again to open it.
        size
            Its length is padded to the next multiple of this, bytes.
        """
        return self._siv.encrypt(_padded(plain, size), [_record_about(what, number)])

    def open(self, what: str, number: int, sealed: bytes) -> bytes:
        """Open a record.

        Raises
        ------
        SealedError
            If it is not this record of this session, or it was changed, or the key is another study's.
        """
        try:
            return _unpadded(self._siv.decrypt(sealed, [_record_about(what, number)]))
        except (InvalidTag, ValueError):
            raise SealedError(f"sealed {what} {number}: does not open with this key") from None


def _entry(row: Mapping[str, Any]) -> SealedEntry:
    number, stratum, station, box = (row[name] for name in ("number", "stratum", "station", "box"))
    if type(number) is not int or number < 1 or not all(isinstance(each, str) for each in (stratum, station, box)):
        raise ValueError(number)
    return SealedEntry(number, stratum, station, base64.b64decode(box, validate=True))


def _derived(shared: bytes, about: bytes) -> bytes:
    return HKDF(SHA256(), _KEY_BYTES, salt=None, info=b"myoloop entry\0" + about).derive(shared)


def _entry_about(number: int, stratum: str, station: str) -> bytes:
    return json.dumps([LIST_FORMAT, number, stratum, station]).encode()


def _record_about(what: str, number: int) -> bytes:
    return f"{what}/{number}".encode()


def _padded(plain: bytes, size: int) -> bytes:
    framed = struct.pack("<I", len(plain)) + plain
    return framed + bytes(-len(framed) % size)


def _unpadded(padded: bytes) -> bytes:
    (length,) = struct.unpack_from("<I", padded)
    if length > len(padded) - 4:
        raise ValueError(length)
    return padded[4 : 4 + length]


def _not_in_a_study(file: Path) -> None:
    for folder in file.resolve().parents:
        if any((folder / name).exists() for name in _STUDY_FILES):
            raise SealedError(f"study key {file}: stands inside the study {folder}, it must be kept elsewhere")
