"""Room on the disk: enough for the whole session before it begins, and seen to while it is recorded."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from myoloop.experiments.sessions.setup import SetupError
from myoloop.platform.messages import SampleDescriptor

#: Everything that is no sample (estimates, requests, reports, phases, heartbeats at 100 steps a second), as measured
#: on the drill and on the fault table's protocol: 0.42 and 0.49 MB/s before a recording is compacted.
TALK_BYTES_S = 500_000
#: On what is foreseen: the compacted copy is made beside the recording, and people take their time.
FACTOR = 1.5
#: users.md 4b (PROP): told at this much, ended in order at that much.
WARN_LEFT_S, END_LEFT_S = 15 * 60.0, 3 * 60.0
#: How often it is looked at, and how much of the past tells the rate.
EVERY_S, WINDOW_S = 5.0, 60.0

#: How many bytes are free where a folder is, or will be.
Free = Callable[[Path], int]


def free_bytes(folder: Path) -> int:
    """Free bytes of the disk that a folder is on, whether it is there yet or not.

    Raises
    ------
    OSError
        If the system cannot tell.
    """
    there = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    return shutil.disk_usage(there).free


def rate_bytes_s(descriptors: Iterable[SampleDescriptor]) -> float:
    """What a session with these streams writes in a second."""
    samples = sum(each.rate_hz * len(each.channels) * np.dtype(each.dtype).itemsize for each in descriptors)
    return samples + TALK_BYTES_S


def refuse_if_full(
    folder: Path, descriptors: Iterable[SampleDescriptor], length_s: float, free: Free = free_bytes
) -> None:
    """Refuse a session for which there is not enough room.

    Parameters
    ----------
    folder
        Where it is recorded.
    length_s
        Of the longest session that the protocol allows; where there is no end to it, only the reserve is asked for.

    Raises
    ------
    SetupError
        With what is free and what is needed, or why that cannot be known.
    """
    longest_s = length_s if math.isfinite(length_s) else 0.0
    needed = round(FACTOR * rate_bytes_s(descriptors) * (longest_s + END_LEFT_S))
    try:
        left = free(folder)
    except OSError as error:
        raise SetupError(f"{folder}: how much of the disk is free cannot be told: {error.strerror or error}") from None
    if left < needed:
        raise SetupError(
            f"{folder}: {left / 1e6:.0f} MB free, needed are {needed / 1e6:.0f} MB "
            f"for up to {longest_s / 60:.0f} min of recording and a reserve"
        )


@dataclass(frozen=True, slots=True)
class Room:
    """What was found in a look at the disk.

    Attributes
    ----------
    left_s
        For how long the disk lasts at the rate seen.
    verdict
        ``warn`` once, when little is left; ``end`` once, when it is time to end.
    """

    left_s: float
    verdict: Literal["", "warn", "end"] = ""

    @property
    def text(self) -> str:
        """In words."""
        return f"the disk lasts for {self.left_s / 60:.1f} min more"


class RoomWatch:
    """How long the disk will last at the rate at which this session fills it.

    The rate is the session's own: what others write for a moment (a copy, an update) ends no session, but what they
    have taken is not free any more.
    """

    def __init__(self) -> None:
        self._seen: list[tuple[float, int]] = []
        self._told: set[str] = set()
        self._next_s = -math.inf

    def is_due(self, now_s: float) -> bool:
        """Whether it is time to look."""
        return now_s >= self._next_s

    def look(self, now_s: float, written: int, left: int) -> Room | None:
        """Judge from what the session has written so far and what is left; None before a rate is known."""
        self._next_s = now_s + EVERY_S
        self._seen = [*(each for each in self._seen if now_s - each[0] <= WINDOW_S), (now_s, written)]
        (begin_s, begin), (end_s, end) = self._seen[0], self._seen[-1]
        if end_s <= begin_s or end <= begin:
            return None
        left_s = left * (end_s - begin_s) / (end - begin)
        verdict: Literal["", "warn", "end"] = ""
        if left_s < END_LEFT_S:
            verdict = "end"
        elif left_s < WARN_LEFT_S:
            verdict = "warn"
        if verdict in self._told:
            return Room(left_s)
        if verdict:
            self._told.add(verdict)
        return Room(left_s, verdict)


def written_bytes(folder: Path) -> int:
    """What an attempt's folder holds by now."""
    total = 0
    for path in folder.iterdir():
        try:
            total += path.stat().st_size
        except FileNotFoundError:
            continue
    return total
