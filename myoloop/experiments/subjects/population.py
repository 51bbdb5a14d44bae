"""People: drawn from a population, or typical of one.

The population is a starting point for simulation, not a description of patients.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from zlib import crc32

import numpy as np

from myoloop.experiments.subjects.distributions import Chances, Distribution, Relative, Same
from myoloop.experiments.subjects.parameters import SubjectParameters
from myoloop.experiments.subjects.presets import distributions

_DIGITS = 6
_DEFAULT = SubjectParameters()


def population(seed: int, n: int, preset: str) -> list[SubjectParameters]:
    """Draw people.

    Parameters
    ----------
    seed
        Person number i is ``draw(seed + i, preset)``, so that each of them can be named in a subject file.
    n
        How many.
    preset
        One of :data:`myoloop.experiments.subjects.presets.PRESETS`.

    Raises
    ------
    ValueError
        If there is no such preset, or `n` is negative.
    """
    if n < 0:
        raise ValueError(f"n: found {n}, allowed is a number of people from 0")
    return [draw(seed + number, preset) for number in range(n)]


def draw(seed: int, preset: str = "demo") -> SubjectParameters:
    """Draw a person; the same seed and preset give the same person.

    Every parameter has a stream of its own, named after it: a parameter that is added, or whose distribution is
    changed, moves no other one.

    Raises
    ------
    ValueError
        If there is no such preset.
    """

    def stream(name: str) -> np.random.Generator:
        own = np.random.SeedSequence((0x5375626A, seed, crc32(name.encode())))
        return np.random.Generator(np.random.PCG64(own))

    return SubjectParameters(**{name: _rounded(value) for name, value in _values(preset, stream).items()})


def typical(preset: str) -> SubjectParameters:
    """The person in the middle of a group: the median of every distribution.

    Raises
    ------
    ValueError
        If there is no such preset.
    """
    middle = _Middle()
    return SubjectParameters(**_values(preset, lambda name: middle))


def distributions_of(preset: str) -> dict[str, Distribution]:
    """How each parameter is distributed in a group, by name.

    Raises
    ------
    ValueError
        If there is no such preset.
    """
    declared = fields(SubjectParameters)
    return distributions(
        preset,
        {parameter.name: parameter.metadata["varies"] for parameter in declared},
        {parameter.name: getattr(_DEFAULT, parameter.name) for parameter in declared},
    )


def _values(preset: str, stream: Callable[[str], Chances]) -> dict[str, float]:
    """A value of every parameter: first of those that stand alone, then of those that go with others."""
    values: dict[str, float] = {}
    waiting: dict[str, Relative] = {}
    for name, distribution in distributions_of(preset).items():
        if isinstance(distribution, Relative):
            waiting[name] = distribution
        elif isinstance(distribution, Same):
            values[name] = distribution.value
        else:
            values[name] = _allowed(name, distribution.draw(stream(name)))
    while waiting:
        for name, distribution in list(waiting.items()):
            try:
                scale = distribution.to(values)
            except KeyError:
                continue
            values[name] = _allowed(name, scale * distribution.draw(stream(name)))
            del waiting[name]
            break
        else:
            raise ValueError(f"{', '.join(waiting)}: go with parameters that do not exist, or with one another")
    return {parameter.name: values[parameter.name] for parameter in fields(SubjectParameters)}


def _allowed(name: str, value: float) -> float:
    limits = SubjectParameters.__dataclass_fields__[name].metadata
    return float(min(limits["high"], max(limits["low"], value)))


def _rounded(value: float) -> float:
    """To figures that a person can read in a file."""
    return float(f"{value:.{_DIGITS}g}")


class _Middle:
    """Half of the people lie below what is drawn from it."""

    def random(self) -> float:
        """The middle of the unit interval."""
        return 0.5
