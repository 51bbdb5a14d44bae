"""How well persons were kept from knowing their arm: the indices of Bang and of James, from their guesses.

Bang's index is the share of right guesses in an arm beyond what chance would give: 1 all right, 0 as by chance, -1 all
wrong, one for each arm. James' index is one for both arms: 0 everybody right, 0.5 as by chance, 1 nobody would guess.

A guess at the end alone is a poor test: who got better says "active". Ask during the study as well.

Sources: Bang, Ni, Davis, Control Clin Trials 2004;25:143 (index and its variance); James, Bloch, Lee, Kraemer, Fuller,
Stat Med 1996;15:1421 (index, weights; its variance is the delta method's).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

#: Weights of James: how blind a right, a wrong guess and "I do not know" are.
RIGHT, WRONG, UNKNOWN = 0.0, 0.5, 1.0


@dataclass(frozen=True, slots=True)
class Index:
    """An index with its two-sided interval by the normal approximation, which may reach beyond its range.

    Attributes
    ----------
    n
        Answers it rests on.
    """

    estimate: float
    standard_error: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class Guessed:
    """Answers of the persons in one arm; `unknown` is "I do not know"."""

    right: int
    wrong: int
    unknown: int

    @property
    def n(self) -> int:
        """How many answered."""
        return self.right + self.wrong + self.unknown


def count_guesses(pairs: Iterable[tuple[str, str | None]], arms: Sequence[str]) -> dict[str, Guessed]:
    """Count answers by arm.

    Parameters
    ----------
    pairs
        Arm and guessed arm (None: "I do not know") of each person who was asked.
    arms
        The two arms.

    Raises
    ------
    ValueError
        If there are not two arms, or one that is not among them is named.
    """
    if len(set(arms)) != 2 or len(arms) != 2:
        raise ValueError(f"arms: found {', '.join(arms)}, allowed are two")
    counts = {arm: [0, 0, 0] for arm in arms}
    for arm, guess in pairs:
        if arm not in counts or (guess is not None and guess not in counts):
            raise ValueError(f"arm {arm!r}, guess {guess!r}: allowed are {', '.join(arms)}")
        counts[arm][2 if guess is None else int(guess != arm)] += 1
    return {arm: Guessed(*each) for arm, each in counts.items()}


def bang_index(guessed: Guessed, level: float = 0.95) -> Index | None:
    """Bang's index of one arm; None if nobody answered.

    Parameters
    ----------
    guessed
        Answers of that arm.
    level
        Of the interval.
    """
    n = guessed.n
    if n == 0:
        return None
    right, wrong = guessed.right / n, guessed.wrong / n
    estimate = right - wrong
    return _index(estimate, (right + wrong - estimate**2) / n, n, level)


def james_index(guessed: Mapping[str, Guessed], level: float = 0.95) -> Index | None:
    """James' index of two arms; None where it is not defined (nobody answered, or answers came from one arm only).

    Parameters
    ----------
    guessed
        Answers of each arm, from :func:`count_guesses`.
    level
        Of the interval.

    Raises
    ------
    ValueError
        If there are not two arms.
    """
    if len(guessed) != 2:
        raise ValueError(f"arms: found {len(guessed)}, allowed are two")
    a, b = guessed.values()
    n = a.n + b.n
    if a.n == 0 or b.n == 0:
        return None
    # Cells of those who guessed, as shares of all: (arm, guess).
    cells = [[a.right / n, a.wrong / n], [b.wrong / n, b.right / n]]
    weights = [[RIGHT, WRONG], [WRONG, RIGHT]]
    arm = [sum(row) for row in cells]
    guess = [cells[0][k] + cells[1][k] for k in (0, 1)]
    unknown = (a.unknown + b.unknown) / n
    if a.unknown + b.unknown == n:
        return Index(1.0, 0.0, 1.0, 1.0, n)
    known = 1.0 - unknown
    pairs = [(i, k) for i in (0, 1) for k in (0, 1)]
    observed = sum(weights[i][k] * cells[i][k] for i, k in pairs)
    expected = sum(weights[i][k] * arm[i] * guess[k] for i, k in pairs)
    if expected == 0.0:
        return None
    # James writes [1 + unknown + known * kappa] / 2, with kappa from O / known and E / known^2: the same.
    ratio = observed / expected
    estimate = unknown + 0.5 * known**2 * ratio
    # Delta method: slope of the index along each cell, then the multinomial's variance.
    slopes = []
    for i, k in pairs:
        of_expected = sum(weights[i][m] * guess[m] for m in (0, 1)) + sum(weights[m][k] * arm[m] for m in (0, 1))
        of_ratio = (weights[i][k] - ratio * of_expected) / expected
        slopes.append((cells[i][k], 0.5 * (known**2 * of_ratio)))
    slopes.append((unknown, 1.0 - known * ratio))
    mean = sum(share * slope for share, slope in slopes)
    variance = (sum(share * slope**2 for share, slope in slopes) - mean**2) / n
    return _index(estimate, max(0.0, variance), n, level)


def _index(estimate: float, variance: float, n: int, level: float) -> Index:
    if not 0.0 < level < 1.0:
        raise ValueError(f"level: found {level}, allowed is between 0 and 1")
    error = math.sqrt(max(0.0, variance))
    reach = NormalDist().inv_cdf(0.5 + level / 2) * error
    return Index(estimate, error, estimate - reach, estimate + reach, n)
