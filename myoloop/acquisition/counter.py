"""The package counter of a device: what it says of lost and repeated samples; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class CounterRule:
    """How a device counts.

    Attributes
    ----------
    wrap
        Begins at zero again after this many counts.
    step
        From one sample to the next.
    """

    wrap: int = 256
    step: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.step < self.wrap or self.wrap % self.step:
            raise ValueError(f"counter: found step {self.step}, wrap {self.wrap}; allowed: wrap a multiple of step")


@dataclass(frozen=True, slots=True)
class Run:
    """Rows without a loss between them.

    Attributes
    ----------
    begin, end
        Rows of the array, half open.
    missing
        Samples lost just before it, as far as the counter can tell: with a loss longer than its wrap, too few.
    """

    begin: int
    end: int
    missing: int


class PackageCounter:
    """Follows a counter over the arrays that come.

    Parameters
    ----------
    rule
        How the device counts.
    """

    #: A counter this many samples back is a sample that came again, not a loss of almost a whole wrap.
    BACK = 8

    def __init__(self, rule: CounterRule) -> None:
        self._rule = rule
        self._last: float | None = None

    def follow(self, counts: npt.NDArray[Any]) -> tuple[list[Run], npt.NDArray[np.bool_] | None]:
        """Take the counter column of the next array.

        Returns
        -------
        runs
            Which rows belong together, in order; they cover all rows.
        repeated
            (n_samples,), True where the counter stood still, went back or is no number; None where it never did.
        """
        n = len(counts)
        if n == 0:
            return [], None
        rule = self._rule
        last = self._last
        steps = np.diff(counts, prepend=counts[0] - rule.step if last is None else last) % rule.wrap
        if (steps == rule.step).all():
            self._last = float(counts[-1])
            return [Run(0, n, 0)], None
        return self._slowly(counts)

    def _slowly(self, counts: npt.NDArray[Any]) -> tuple[list[Run], npt.NDArray[np.bool_]]:
        rule = self._rule
        runs: list[Run] = []
        repeated = np.zeros(len(counts), bool)
        begin, missing = 0, 0
        for row, count in enumerate(counts.tolist()):
            steps = 1.0 if self._last is None else ((count - self._last) % rule.wrap) / rule.step
            # NaN fails the comparisons: a row that cannot be placed
            if not count >= 0 or not 1 <= steps < rule.wrap / rule.step - self.BACK:
                repeated[row] = True
                continue
            if steps >= 2:
                if row > begin:
                    runs.append(Run(begin, row, missing))
                begin, missing = row, int(steps) - 1
            self._last = count
        runs.append(Run(begin, len(counts), missing))
        return runs, repeated
