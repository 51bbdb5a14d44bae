"""Who is who on the wire: one CURVE key pair per node and its role, in a folder only this user can read.

The supervisor makes them for one session. A node proves itself with its secret key; what it may do is looked up by
its public key for every command, in the list as it stands at that moment.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zmq

FILE = "keys.json"


@dataclass(frozen=True, slots=True)
class Key:
    """A node's key pair (Z85 text) and role."""

    node: str
    role: str
    public: bytes
    secret: bytes


class Keyring:
    """The list of keys in a runtime folder; read again whenever it has changed."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._stamp = (-1, -1)
        self._keys: dict[str, Key] = {}
        self._by_public: dict[bytes, Key] = {}

    def key(self, node: str) -> Key:
        """A node's own key.

        Raises
        ------
        KeyError
            If the list has no such node.
        """
        self._refresh()
        return self._keys[node]

    def role(self, node: str) -> str | None:
        """A node's role; None for one that is not in the list."""
        self._refresh()
        key = self._keys.get(node)
        return None if key is None else key.role

    def owner(self, public: bytes) -> Key | None:
        """Whose public key this is, if anybody's."""
        self._refresh()
        return self._by_public.get(public)

    def callback(self, domain: str, key: bytes) -> bool:
        """Answer pyzmq's authenticator: may this key connect at all?"""
        return self.owner(key) is not None

    def _refresh(self) -> None:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            # Without a list nobody is anybody.
            self._keys, self._by_public, self._stamp = {}, {}, (-1, -1)
            return
        # A new list is a new file: two within one tick of the file system's clock still differ.
        stamp = (found.st_mtime_ns, found.st_ino)
        if stamp == self._stamp:
            return
        entries: list[dict[str, Any]] = json.loads(self._path.read_text(encoding="ascii"))
        keys = [Key(e["node"], e["role"], e["public"].encode(), e["secret"].encode()) for e in entries]
        self._keys = {key.node: key for key in keys}
        self._by_public = {key.public: key for key in keys}
        self._stamp = stamp


def make_keys(folder: Path, nodes: dict[str, str]) -> None:
    """Make a key pair for every node (name -> role) and write the list, readable by this user alone."""
    entries = []
    for node, role in nodes.items():
        public, secret = zmq.curve_keypair()
        entries.append({"node": node, "role": role, "public": public.decode(), "secret": secret.decode()})
    path = folder / FILE
    part = path.with_suffix(".part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        json.dump(entries, file)
    part.replace(path)
