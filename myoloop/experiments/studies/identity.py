"""The second check of who somebody is: initials and year of birth, in an encrypted key file outside the study folder.

The file is the only place where a pseudonym meets anything personal. It is encrypted with a passphrase
(scrypt, then ChaCha20-Poly1305), and nothing in the study says what stands in it, or what was typed.
"""

from __future__ import annotations

import base64
import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from myoloop.experiments.studies.participants import check_person
from myoloop.experiments.studies.secret_files import refuse_inside, replace_secret, write_secret
from myoloop.platform.errors import UserError

FORMAT = "myoloop-identity-1"
_SALT_BYTES, _NONCE_BYTES = 32, 12
_FIRST_YEAR, _LAST_YEAR = 1900, 2100
_INITIALS = re.compile(r"\w{1,6}")
LEAST_PASSPHRASE = 10


@dataclass(frozen=True, slots=True)
class Cost:
    """What one guess of the passphrase costs, as scrypt's parameters (RFC 7914): about ``128 n r`` bytes of memory."""

    n: int = 1 << 16
    r: int = 8
    p: int = 1


#: More than this a key file may not ask for: it would only be a way to stop the program.
_MOST = Cost(1 << 20, 16, 4)


@dataclass(frozen=True, slots=True)
class Identity:
    """The second identifier of a person."""

    initials: str
    birth_year: int


def make_identity(initials: str, birth_year: int) -> Identity:
    """Check and tidy what was typed: initials in capitals, without dots and spaces.

    Raises
    ------
    UserError
        If they are not 1 to 6 letters, or the year is not one of a living person.
    """
    tidy = re.sub(r"[\s.\-]", "", initials).upper()
    if not _INITIALS.fullmatch(tidy) or not tidy.isalpha():
        raise UserError("initials: allowed are 1 to 6 letters")
    if not _FIRST_YEAR <= birth_year <= _LAST_YEAR:
        raise UserError(f"year of birth: allowed is {_FIRST_YEAR} to {_LAST_YEAR}")
    return Identity(tidy, birth_year)


@dataclass(frozen=True, slots=True)
class SecondCheck:
    """Who somebody says they are, and what it is checked against; neither is ever shown or written down.

    Attributes
    ----------
    key_file, passphrase
        The key file, and what opens it.
    said
        What the person, or their papers, say.
    """

    key_file: Path
    passphrase: str = field(repr=False)
    said: Identity = field(repr=False)


def parse_identity(text: str) -> Identity:
    """Read what is typed in one line, such as ``AB 1980``.

    Raises
    ------
    UserError
        If it is not initials and year of birth; it does not repeat what was typed.
    """
    initials, _, year = text.strip().rpartition(" ")
    if not re.fullmatch(r"[0-9]{4}", year):
        raise UserError('second identifier: allowed are initials and year of birth, such as "AB 1980"')
    return make_identity(initials, int(year))


def from_line(key_file: Path, line: str, passphrase: str | None = None) -> SecondCheck:
    """Read what another program says in one line, so that it stands in no list of processes.

    Parameters
    ----------
    line
        A JSON object: ``second`` such as ``AB 1980``, and ``passphrase``.
    passphrase
        What opens the key file where the line does not say it.

    Raises
    ------
    UserError
        If it is none; it does not repeat what was said.
    """
    try:
        told = json.loads(line)
    except ValueError:
        told = None
    allowed = 'allowed is one line of JSON on standard input, {"second": "AB 1980", "passphrase": "..."}'
    if not isinstance(told, dict) or not all(isinstance(each, str) for each in told.values()):
        raise UserError(f"--second -: {allowed}")
    opens = told.get("passphrase", passphrase)
    if "second" not in told or opens is None or set(told) - {"second", "passphrase"}:
        raise UserError(f"--second -: {allowed}")
    return SecondCheck(key_file, opens, parse_identity(told["second"]))


def create_key_file(
    path: Path | str, passphrase: str, study: Path | str | None = None, cost: Cost | None = None
) -> None:
    """Make an empty key file, which only its owner may read.

    Raises
    ------
    UserError
        If it is there, would stand in a study folder, or the passphrase is too short.
    """
    refuse_inside(path, study, "the key file")
    if len(passphrase) < LEAST_PASSPHRASE:
        raise UserError(f"passphrase: {len(passphrase)} characters, allowed are {LEAST_PASSPHRASE} or more")
    write_secret(Path(path), _seal({}, passphrase, cost or Cost()))


def add_identity(path: Path | str, passphrase: str, person: str, identity: Identity) -> None:
    """Add a person; nobody who is in it is changed.

    Raises
    ------
    UserError
        If the person is in it, the file stands in a study folder, or cannot be opened.
    """
    check_person(person)
    people, cost = _open(Path(path), passphrase)
    if person in people:
        raise UserError(f"{path}: {person} is in it already; remove the entry first if it is wrong")
    people[person] = {"initials": identity.initials, "birth_year": identity.birth_year}
    replace_secret(Path(path), _seal(people, passphrase, cost))


def remove_identity(path: Path | str, passphrase: str, person: str) -> None:
    """Remove a person, as after a withdrawal.

    Raises
    ------
    UserError
        If the person is not in it, or the file cannot be opened.
    """
    people, cost = _open(Path(path), passphrase)
    if people.pop(person, None) is None:
        raise UserError(f"{path}: {person} is not in it")
    replace_secret(Path(path), _seal(people, passphrase, cost))


def check_identity(path: Path | str, passphrase: str, person: str, identity: Identity) -> bool:
    """Whether the second identifier is that of the person.

    Raises
    ------
    UserError
        If the person is not in the file, it stands in a study folder, or it cannot be opened: then nobody is checked,
        and no session may go on.
    """
    people, _ = _open(Path(path), passphrase)
    if person not in people:
        raise UserError(f"{path}: {person} is not in it; who this is cannot be checked")
    return bool(people[person] == {"initials": identity.initials, "birth_year": identity.birth_year})


def _seal(people: dict[str, Any], passphrase: str, cost: Cost) -> bytes:
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    salt, nonce = os.urandom(_SALT_BYTES), os.urandom(_NONCE_BYTES)
    head = {"format": FORMAT, "salt": _text(salt), "nonce": _text(nonce), "n": cost.n, "r": cost.r, "p": cost.p}
    content = json.dumps(people, sort_keys=True, ensure_ascii=False).encode()
    closed = ChaCha20Poly1305(_key(passphrase, salt, cost)).encrypt(nonce, content, _canonical(head))
    return (json.dumps({**head, "sealed": _text(closed)}, sort_keys=True, indent=1) + "\n").encode()


def _open(path: Path, passphrase: str) -> tuple[dict[str, Any], Cost]:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    refuse_inside(path, None, "the key file")
    try:
        mode = path.stat().st_mode & 0o777
        row = json.loads(path.read_bytes())
        closed, salt, nonce = (base64.b64decode(row[name], validate=True) for name in ("sealed", "salt", "nonce"))
        cost = Cost(*(int(row[name]) for name in ("n", "r", "p")))
        del row["sealed"]
    except OSError as error:
        raise UserError(f"{path}: key file cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{path}: not a key file") from None
    if os.name == "posix" and mode & 0o077:
        raise UserError(f"{path}: others may read it (mode {mode:o}), allowed is 600")
    much = cost.n > _MOST.n or cost.r > _MOST.r or cost.p > _MOST.p
    if row.get("format") != FORMAT or len(salt) != _SALT_BYTES or len(nonce) != _NONCE_BYTES or much:
        raise UserError(f"{path}: not a key file")
    try:
        opened = ChaCha20Poly1305(_key(passphrase, salt, cost)).decrypt(nonce, closed, _canonical(row))
    except (InvalidTag, ValueError):
        raise UserError(f"{path}: does not open: the passphrase is wrong, or the file was altered") from None
    people: dict[str, Any] = json.loads(opened)
    return people, cost


def _key(passphrase: str, salt: bytes, cost: Cost) -> bytes:
    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

    return Scrypt(salt=salt, length=32, n=cost.n, r=cost.r, p=cost.p).derive(passphrase.encode())


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _canonical(head: dict[str, Any]) -> bytes:
    return json.dumps(head, sort_keys=True, separators=(",", ":")).encode()
