"""What goes wrong in a part that may be anybody's code: told in one plain line, each cause once."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

LINE_MAX = 200
#: Causes that are told of; a part that finds ever new ones is known well enough by then.
CAUSES_MAX = 20
#: A start record must travel in one message, and a policy's state is a part of it.
STATE_BYTES_MAX = 500_000
#: Where an object lies in memory is another place in a replay.
_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]+")


class Faults:
    """Faults of parts, waiting to be told; each cause is told once."""

    def __init__(self) -> None:
        self._told: list[str] = []
        self._news: list[str] = []

    def tell(self, cause: str, text: str) -> None:
        """Note a fault, unless one of the same cause was noted before."""
        if cause not in self._told and len(self._told) < CAUSES_MAX:
            self._told.append(cause)
            self._news.append(text)

    def take(self) -> list[str]:
        """What has been noted since this was last asked."""
        if not self._news:
            return []
        news, self._news = self._news, []
        return news

    def state(self) -> dict[str, Any]:
        """What a restored object needs to go on: JSON-ready."""
        return {"told": list(self._told), "news": list(self._news)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over a saved state."""
        self._told, self._news = list(state["told"]), list(state["news"])


def one_line(text: object) -> str:
    """Any object's text as a line that travels: short, of characters that can be encoded, the same in a replay."""
    line = text if type(text) is str else str(text)
    if len(line) <= LINE_MAX and line.isascii() and line.isprintable() and "0x" not in line:
        return line
    line = " ".join(line[: 2 * LINE_MAX].encode("utf-8", "replace").decode("utf-8").split())
    return _ADDRESS.sub("0x", line)[:LINE_MAX]


def said(error: Exception) -> str:
    """An exception in one line."""
    try:
        text = one_line(error)
    except Exception:  # noqa: BLE001 - also an exception's own text may be anybody's code
        text = ""
    name = type(error).__name__
    return f"{name}: {text}" if text else name


def savable(state: object) -> str:
    """Why a part's state cannot be saved; empty where it can."""
    size = len(json.dumps(state, allow_nan=False))
    return f"{size} bytes of JSON, at most {STATE_BYTES_MAX}" if size > STATE_BYTES_MAX else ""
