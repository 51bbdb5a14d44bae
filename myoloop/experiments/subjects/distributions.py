"""How a parameter of a virtual person differs between people: a range, a distribution, and where both are from."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from statistics import NormalDist
from typing import Any, Protocol

_NORMAL = NormalDist()


class Chances(Protocol):
    """What values are drawn with: one of numpy's generators, or what stands in for it."""

    def random(self) -> float:
        """A number of the unit interval."""
        ...


class Distribution(Protocol):
    """Anything that a value can be drawn from."""

    def draw(self, rng: Chances) -> float:
        """One person's value; takes the same number of draws from `rng` whatever comes of it."""
        ...


@dataclass(frozen=True, slots=True)
class Same:
    """The same for everybody."""

    value: float

    def draw(self, rng: Chances) -> float:
        """The value; one draw is spent, so that a change of one distribution moves no other parameter."""
        rng.random()
        return self.value


@dataclass(frozen=True, slots=True)
class Uniform:
    """Anywhere between two values."""

    low: float
    high: float

    def draw(self, rng: Chances) -> float:
        """One person's value."""
        return self.low + (self.high - self.low) * float(rng.random())


@dataclass(frozen=True, slots=True)
class LogNormal:
    """About a median; `spread` is the standard deviation of the logarithm, cut off at two of them."""

    median: float
    spread: float

    def draw(self, rng: Chances) -> float:
        """One person's value."""
        # Two spreads at most, so that nobody leaves the ranges that the models were tried in.
        z = _NORMAL.inv_cdf(0.02275 + 0.9545 * float(rng.random()))
        return self.median * math.exp(self.spread * z)


@dataclass(frozen=True, slots=True)
class Relative:
    """Goes with other parameters: a factor, drawn, times what the others give.

    Attributes
    ----------
    to
        From the parameters that do not hang on others to what the factor scales.
    factor
        How it differs between people whose other parameters are the same.
    """

    to: Callable[[Mapping[str, float]], float]
    factor: Distribution

    def draw(self, rng: Chances) -> float:
        """The factor alone."""
        return self.factor.draw(rng)


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
    if varies is None:
        varies = Same(default)
    return field(default=default, metadata={"low": low, "high": high, "varies": varies, "source": source})


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """Parameters of one model: every field declared by :func:`parameter`, every value within what is allowed.

    Raises
    ------
    ValueError
        Naming the parameter, what was found and what is allowed.
    """

    def __post_init__(self) -> None:
        for declared in fields(self):
            value = getattr(self, declared.name)
            low, high = declared.metadata["low"], declared.metadata["high"]
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise ValueError(f"{declared.name}: found {value!r}, allowed is a number from {low:g} to {high:g}")
            if not low <= value <= high:
                raise ValueError(f"{declared.name}: found {value:g}, allowed is {low:g} to {high:g}")
