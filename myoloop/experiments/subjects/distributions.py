"""How a parameter of a virtual person differs between people: a range, a distribution, and where both are from."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np


class Distribution(Protocol):
    """Anything that a value can be drawn from."""

    def draw(self, rng: np.random.Generator) -> float:
        """One person's value; takes the same number of draws from `rng` whatever comes of it."""
        ...


@dataclass(frozen=True, slots=True)
class Same:
    """The same for everybody."""

    value: float

    def draw(self, rng: np.random.Generator) -> float:
        """The value; one draw is spent, so that a change of one distribution moves no other parameter."""
        rng.random()
        return self.value


@dataclass(frozen=True, slots=True)
class Uniform:
    """Anywhere between two values."""

    low: float
    high: float

    def draw(self, rng: np.random.Generator) -> float:
        """One person's value."""
        return self.low + (self.high - self.low) * float(rng.random())


@dataclass(frozen=True, slots=True)
class LogNormal:
    """About a median; `spread` is the standard deviation of the logarithm, cut off at two of them."""

    median: float
    spread: float

    def draw(self, rng: np.random.Generator) -> float:
        """One person's value."""
        from scipy.special import ndtri

        # Two spreads at most, so that nobody leaves the ranges that the models were tried in.
        z = float(ndtri(0.02275 + 0.9545 * rng.random()))
        return self.median * math.exp(self.spread * z)


def parameter(default: float, low: float, high: float, *, varies: Distribution | None = None, source: str) -> Any:
    """Declare a parameter of a virtual person: a field of a frozen keyword-only dataclass.

    Parameters
    ----------
    default
        Of a person who is not drawn.
    low, high
        What is allowed.
    varies
        How it differs between people; None: it does not.
    source
        Where value and distribution are from: a publication, a measurement, or "our choice" and why.
    """
    varies = varies or Same(default)
    return field(default=default, metadata={"low": low, "high": high, "varies": varies, "source": source})
