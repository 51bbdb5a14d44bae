"""How good a controller is on a person beside adaptive gain on the same person, and over people.

The composite of a person is ``0.5 * tracking RMSE + 0.3 * fatigue at the end + 0.2 * charge``, each over that of
adaptive gain with the same person, seed and faults: 1 is as good as adaptive gain, less is better. It was fixed before
anything was trained. People are the units: intervals are of resampled people, never of trials.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

#: What counts how much; the names are those of a course.
WEIGHTS = {"rmse": 0.5, "fatigue": 0.3, "charge_mc": 0.2}
#: A person on whom a controller's composite is above this is counted and named.
WORSE = 1.1
#: By so much more of its steps than adaptive gain the gate may hold a controller back; our choice.
GATED_MORE = 0.05
LEVEL = 0.95
_RESAMPLED = 2000
#: Nothing to be relative to: of a non-responder the fatigue is nothing, whoever stimulates.
_NOTHING = 1e-9


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over people, and where it lies with the probability :data:`LEVEL`."""

    mean: float
    low: float
    high: float


def composite(figures: Mapping[str, Array], reference: Mapping[str, Array]) -> Array:
    """The composite of each person.

    Parameters
    ----------
    figures, reference
        By the names of :data:`WEIGHTS`, (people,) each: the controller's, and adaptive gain's.

    Raises
    ------
    ValueError
        If a figure is missing, is not finite, or is below 0.
    """
    total = np.zeros(0)
    for name, weight in WEIGHTS.items():
        if name not in figures or name not in reference:
            raise ValueError(f"a composite needs {', '.join(WEIGHTS)}; {name} is missing")
        relative = weight * _relative(name, np.asarray(figures[name]), np.asarray(reference[name]))
        total = relative if not len(total) else total + relative
    return total


def interval(values: npt.ArrayLike, seed: int) -> Interval:
    """Mean over people with its bootstrap interval (BCa, Efron 1987).

    Raises
    ------
    ValueError
        If there is nobody, or a value is not finite.
    """
    given = np.asarray(values, dtype=np.float64)
    if not len(given) or not np.isfinite(given).all():
        raise ValueError(f"an interval needs finite values of at least one person, found {given.tolist()}")
    mean = float(given.mean())
    if len(given) < 2 or np.ptp(given) <= _NOTHING * max(1.0, abs(mean)):
        return Interval(mean, mean, mean)
    from scipy.stats import bootstrap

    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence((0x626F6F74, seed))))
    found = bootstrap((given,), np.mean, n_resamples=_RESAMPLED, confidence_level=LEVEL, method="BCa", rng=rng)
    return Interval(mean, float(found.confidence_interval.low), float(found.confidence_interval.high))


def _relative(name: str, ours: Array, theirs: Array) -> Array:
    for values in (ours, theirs):
        if not (np.isfinite(values) & (values >= 0)).all():
            raise ValueError(
                f"{name}: found {values[~(np.isfinite(values) & (values >= 0))][0]:g}, allowed is 0 and more"
            )
    nothing = theirs <= _NOTHING
    if (nothing & (ours > _NOTHING)).any():
        raise ValueError(
            f"{name} of adaptive gain is 0 and that of the controller is not: there is nothing to be relative to"
        )
    return np.where(nothing, 1.0, ours / np.where(nothing, 1.0, theirs))
