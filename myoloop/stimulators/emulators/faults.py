"""Faults that every emulator has: of the line to its host, and of its electrodes.

An emulator's own faults are a subclass of :class:`LineFaults` with the device's knobs added; what it answers goes
through an :class:`AnswerQueue`, which lets it leave late, twice, spoiled or not at all. Faults hold for what is
answered after they were set. Nothing here has a clock: times are handed in.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class LineFaults:
    """What is broken between device and host, and behind the device; set from outside at any time.

    Attributes
    ----------
    drop_answers
        Answers do not leave.
    duplicate_answers
        Each answer leaves twice.
    corrupt_answers
        Answers leave with one bit flipped in their middle.
    wrong_number_answers
        Answers carry another number than the command they answer (their checksum is good). Nothing where the
        protocol has no numbers.
    reorder_answers
        Of each two answers the second leaves first.
    answer_delay_ns
        How much later than they should answers leave.
    garbage_before_answers
        Bytes that leave before each answer.
    split_answers_ns
        Answers leave in two halves, this far apart; 0 leaves them whole.
    answers_left
        The faults above act on so many answers yet; None for all.
    vanished
        The cable is out: the device hears and says nothing. Who runs the emulator takes its port away too.
    open_electrodes
        Outputs through which no current can flow.
    """

    drop_answers: bool = False
    duplicate_answers: bool = False
    corrupt_answers: bool = False
    wrong_number_answers: bool = False
    reorder_answers: bool = False
    answer_delay_ns: int = 0
    garbage_before_answers: bytes = b""
    split_answers_ns: int = 0
    answers_left: int | None = None
    vanished: bool = False
    open_electrodes: set[int] = field(default_factory=set)


class AnswerQueue:
    """Answers on their way to the host, in the order in which they are due.

    Parameters
    ----------
    faults
        The device's; read at each call, so that they may be changed (in place) at any time.
    """

    def __init__(self, faults: LineFaults) -> None:
        self.faults = faults
        self._count = 0
        self._queue: list[tuple[int, int, bytes, int]] = []
        self._rest: tuple[int, bytes] | None = None
        self._held: list[tuple[int, bytes, int]] = []

    def add(self, answer: bytes, due_ns: int, renumbered: Callable[[], bytes] | None = None) -> None:
        """Have a whole answer leave at `due_ns`, or as the faults have it.

        Parameters
        ----------
        renumbered
            Makes the same answer with a number that is not the command's; None where answers carry none.
        """
        faults = self.faults
        if faults.vanished:
            return
        if not self._strikes():
            self._put([(due_ns, answer, 0)])
            return
        if faults.drop_answers:
            return
        if faults.wrong_number_answers and renumbered is not None:
            answer = renumbered()
        if faults.corrupt_answers:
            answer = flip_bit(answer)
        entry = (due_ns + faults.answer_delay_ns, faults.garbage_before_answers + answer, faults.split_answers_ns)
        entries = [entry] * (2 if faults.duplicate_answers else 1)
        if faults.reorder_answers and not self._held:
            self._held = entries
        else:
            self._put(entries)

    def take(self, now_ns: int) -> bytes:
        """Bytes that leave by `now_ns`; an answer in two halves lets no other between them."""
        if self.faults.vanished:
            self.clear()
            return b""
        left = b""
        while True:
            if self._rest is not None:
                if self._rest[0] > now_ns:
                    return left
                left += self._rest[1]
                self._rest = None
            if not self._queue or self._queue[0][0] > now_ns:
                return left
            due_ns, _, answer, split_ns = heapq.heappop(self._queue)
            half = len(answer) // 2 if split_ns else len(answer)
            left += answer[:half]
            if half < len(answer):
                self._rest = (due_ns + split_ns, answer[half:])

    def clear(self) -> None:
        """Forget all that has not left: a device that lost its power."""
        self._queue.clear()
        self._rest = None
        self._held = []

    def _strikes(self) -> bool:
        """Do the faults act on the answer that comes now? Counts it."""
        faults = self.faults
        if faults.answers_left is None:
            return True
        if faults.answers_left <= 0:
            return False
        faults.answers_left -= 1
        return True

    def _put(self, entries: list[tuple[int, bytes, int]]) -> None:
        # What was held back leaves right behind these.
        held = [(max(due_ns, entries[-1][0]), answer, split_ns) for due_ns, answer, split_ns in self._held]
        self._held = []
        for due_ns, answer, split_ns in entries + held:
            self._count += 1
            heapq.heappush(self._queue, (due_ns, self._count, answer, split_ns))


def flip_bit(data: bytes) -> bytes:
    """The same bytes with one bit flipped in the middle."""
    if not data:
        return data
    middle = len(data) // 2
    return data[:middle] + bytes((data[middle] ^ 0x10,)) + data[middle + 1 :]
