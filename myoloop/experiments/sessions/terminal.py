"""Keys of a terminal, one by one and by name."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager

#: What terminals send for the keys that are no characters; F12 of the usual kinds.
_SEQUENCES = {"\x1b[24~": "F12", "\x1b[24;1~": "F12"}
_CONTROLS = {"\r": "ENTER", "\n": "ENTER", "\x7f": "BACKSPACE", "\b": "BACKSPACE", "\x1b": "ESC"}


@contextmanager
def single_keys() -> Iterator[bool]:
    """Read keys without Enter, where standard input is a terminal that can."""
    if not sys.stdin.isatty() or sys.platform == "win32":
        yield False
        return
    import termios
    import tty

    before = termios.tcgetattr(sys.stdin)
    try:
        tty.setcbreak(sys.stdin)
        yield True
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def typed() -> str:
    """What was typed since last asked."""
    # Past Python's own buffer: what it has taken in, select does not see, and that may be the stop key.
    text = ""
    while select.select([sys.stdin], [], [], 0)[0]:
        data = os.read(sys.stdin.fileno(), 1024)
        if not data:
            break
        text += data.decode(errors="replace")
    return text


def pressed() -> set[str]:
    """Characters typed since last asked."""
    return set(typed())


def named(text: str) -> list[str]:
    """Keys by name, in order; sequences of keys that are not known here are left out."""
    keys = []
    while text:
        sequence = next((each for each in _SEQUENCES if text.startswith(each)), "")
        if sequence:
            keys.append(_SEQUENCES[sequence])
            text = text[len(sequence) :]
        elif text.startswith(("\x1b[", "\x1bO")):
            # Parameters, then one letter: no more, so that no stop key behind it is taken for a part of it.
            rest = text[2:].lstrip("0123456789;")
            text = rest[1:] if rest[:1].isalpha() or rest[:1] == "~" else rest
        else:
            keys.append(_CONTROLS.get(text[0], text[0]))
            text = text[1:]
    return keys
