"""Which messages of a publisher a recording lacks, by their numbers, whatever order they stand in.

Commands are numbered by who gives them and recorded by who gets them, so that those of one publisher to two nodes may
stand in a file in either order. A number that comes late fills the hole it left.
"""

from __future__ import annotations


class Numbering:
    """The numbers of one topic of one publisher in one epoch; the first is 0.

    Attributes
    ----------
    missing
        How many numbers below the highest one seen have not been seen.
    """

    __slots__ = ("_holes", "_next", "missing")

    def __init__(self) -> None:
        self.missing = 0
        self._next = 0
        self._holes: list[tuple[int, int]] = []

    def see(self, number: int) -> None:
        """Take in one number; one seen before changes nothing."""
        if number >= self._next:
            if number > self._next:
                self._holes.append((self._next, number - 1))
                self.missing += number - self._next
            self._next = number + 1
        elif self._holes:
            self._fill(number)

    def _fill(self, number: int) -> None:
        # What comes late belongs to one of the newest holes, nearly always.
        for index in range(len(self._holes) - 1, -1, -1):
            first, last = self._holes[index]
            if number > last:
                return
            if number >= first:
                left = [(first, number - 1), (number + 1, last)]
                self._holes[index : index + 1] = [(low, high) for low, high in left if low <= high]
                self.missing -= 1
                return
