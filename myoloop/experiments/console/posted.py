"""What a page has posted, as plain JSON; anything else is a mistake that names the key."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request

from myoloop.platform.errors import UserError

TEXT_MAX = 2000
_WHOLE_MIN, _WHOLE_MAX = -(2**63), 2**63 - 1


class PostedError(UserError, ValueError):
    """What was posted is not what is allowed there."""


async def posted(request: Request) -> dict[str, Any]:
    """Read the object that was posted.

    Raises
    ------
    PostedError
        If it is none.
    """
    return read_object(await request.body())


def read_object(data: bytes | str) -> dict[str, Any]:
    """Read one JSON object; NaN and infinity are none of JSON's numbers.

    Raises
    ------
    PostedError
        If it is none, or has halves of characters, or whole numbers of more than 64 bits: nothing could hand them on.
    """
    try:
        found = json.loads(data, parse_constant=_refused, parse_int=_whole)
        json.dumps(found, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        raise PostedError("what was sent is not JSON") from None
    if not isinstance(found, dict):
        raise PostedError("what was sent is not a JSON object")
    return found


def _refused(name: str) -> float:
    raise ValueError(name)


def _whole(digits: str) -> int:
    found = int(digits)
    if not _WHOLE_MIN <= found <= _WHOLE_MAX:
        raise ValueError(digits[:32])
    return found


def text(sent: Mapping[str, Any], key: str, *, needed: bool = True) -> str:
    """One text of it.

    Raises
    ------
    PostedError
        If it is missing though needed, no text, or too long.
    """
    found = sent.get(key, "")
    if not isinstance(found, str) or len(found) > TEXT_MAX:
        raise PostedError(f"{key}: found {str(found)[:80]!r}, allowed is a text of at most {TEXT_MAX} characters")
    if needed and not found.strip():
        raise PostedError(f"{key}: is missing")
    return found.strip()


def flag(sent: Mapping[str, Any], key: str) -> bool:
    """One yes or no of it; missing is no.

    Raises
    ------
    PostedError
        If it is neither.
    """
    found = sent.get(key, False)
    if not isinstance(found, bool):
        raise PostedError(f"{key}: found {str(found)[:80]!r}, allowed is true or false")
    return found
