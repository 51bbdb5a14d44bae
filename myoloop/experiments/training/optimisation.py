"""Which setting of a pad to try next, and which to take: Bayesian optimisation that never goes far from what was felt.

First the current: on each pad, at the width and rate of the calibration, the highest level that is comfortable is
found by bisection. Then the rest, by two Gaussian processes over all that was tried. One is of the response, over the
largest seen; it has the number of the trial as an axis, because a muscle that tires answers less to the same setting.
The next point is the one whose upper bound is highest. The other is of discomfort; a point is open only
where it neighbours a point that was comfortable, and where the upper bound of its discomfort (the lower bound of its
comfort) is within what is allowed. A point that hurt is closed for good with every stronger one of its pad. A point may
be tried again where that tells most. What is chosen in the end has been tried, and was comfortable each time.

Everything follows from what was tried: the same history proposes the same point, with the same reason.

The method is that of Bonizzato et al. (Cell Reports Medicine 2023; OptimizeNeurostim): Matern-5/2 with a length scale
per axis, upper confidence bound with kappa 3 to 4, response over the running maximum, choice among the tested. Safe
expansion is after SafeOpt (Sui et al., ICML 2015).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from myoloop.experiments.training.discomfort import upper_bound
from myoloop.experiments.training.gaussian_process import GaussianProcess
from myoloop.experiments.training.settings_grid import Point, neighbouring, stronger

Array = npt.NDArray[np.float64]

#: Digits by which points are compared, so that the last bits of linear algebra decide nothing.
_DIGITS = 9
#: Two points on different pads are as far apart as the ends of an axis.
_APART = math.sqrt(0.5)
#: A rating is a whole number.
_ROUNDED = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimiserSettings:
    """What to choose from, and how.

    Attributes
    ----------
    points
        All that may be tried; the widths and rates of the calibration are among those of each pad.
    start
        By channel, the width in us and the rate in Hz at which its current is found first.
    trials
        At most so many.
    discomfort_max
        The highest rating that is allowed, 0 to 10; a point that was rated higher is closed. Ratings are whole numbers:
        a point is open where the bound of its discomfort rounds to no more.
    kappa, comfort_kappa
        Standard deviations of the upper bounds of response and of discomfort.
    noise_floor
        Standard deviation of the response's noise, over the largest response, at least.
    tries
        How often one point may be tried.
    """

    points: tuple[Point, ...]
    start: Mapping[str, tuple[float, float]]
    trials: int
    discomfort_max: float = 7.0
    kappa: float = 3.0
    comfort_kappa: float = 2.0
    noise_floor: float = 0.01
    tries: int = 3


@dataclass(frozen=True, slots=True)
class Tried:
    """One trial.

    Attributes
    ----------
    point
        Index into the points.
    response
        In any unit, the same in all; None where it was not measured.
    discomfort
        0 to 10; None where nobody said.
    refused
        Why the point is closed, whatever was said: it hurt, or the gate held it at a limit; empty where it is not.
    """

    point: int
    response: float | None = None
    discomfort: float | None = None
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Proposal:
    """What to try next, and why."""

    point: int
    reason: str


@dataclass(frozen=True, slots=True)
class Choice:
    """What to take: the point, the response expected of it over the largest seen, and why."""

    point: int
    expected: float
    reason: str


class Optimiser:
    """Proposes, is told, chooses; a pure object.

    Parameters
    ----------
    settings
        What to choose from.
    tried
        What was tried before, to go on from there.

    Raises
    ------
    ValueError
        If a trial is of no point.
    """

    def __init__(self, settings: OptimiserSettings, tried: Sequence[Tried] = ()) -> None:
        self.settings = settings
        points = settings.points
        self._levels = {
            channel: [
                number
                for number, point in enumerate(points)
                if point.channel == channel and (point.phase_us, point.rate_hz) == tuple(settings.start[channel])
            ]
            for channel in dict.fromkeys(point.channel for point in points)
        }
        self._tried: list[Tried] = []
        for each in tried:
            self.told(each)

    @property
    def tried(self) -> tuple[Tried, ...]:
        """All trials so far, in order."""
        return tuple(self._tried)

    def state(self) -> dict[str, Any]:
        """What a restored optimiser needs to go on bit for bit: JSON-ready."""
        return {"tried": [asdict(each) for each in self._tried]}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over a saved state."""
        self._tried = []
        for each in state["tried"]:
            self.told(Tried(**each))

    def told(self, tried: Tried) -> None:
        """A trial is over.

        Raises
        ------
        ValueError
            If it is of no point, or a number is none.
        """
        if not 0 <= tried.point < len(self.settings.points):
            raise ValueError(f"point: found {tried.point}, allowed is 0 to {len(self.settings.points) - 1}")
        if any(value is not None and not math.isfinite(value) for value in (tried.response, tried.discomfort)):
            raise ValueError(
                f"response {tried.response}, discomfort {tried.discomfort}: allowed are numbers or nothing"
            )
        self._tried.append(tried)

    def closed(self) -> dict[int, str]:
        """Points that are not to be tried (again), and why."""
        points, found = self.settings.points, dict[int, str]()
        for tried in self._tried:
            why = self._why_closed(tried)
            if not why:
                continue
            for number, point in enumerate(points):
                if stronger(point, points[tried.point]):
                    same = number == tried.point
                    found.setdefault(number, why if same else f"stronger than {points[tried.point]}: {why}")
        return found

    def comfortable(self) -> set[int]:
        """Points that were tried, and told to be within what is allowed each time."""
        closed = self.closed()
        return {tried.point for tried in self._tried if tried.discomfort is not None and tried.point not in closed}

    def propose(self) -> Proposal | None:
        """The next point, with the reason; None where there is nothing left to try, or to gain."""
        if len(self._tried) >= self.settings.trials:
            return None
        for channel in self._levels:
            proposal = self._bisect(channel)
            if proposal is not None:
                return proposal
        return self._explore()

    def choose(self) -> Choice | None:
        """The best of what was tried and comfortable; None where nothing was."""
        allowed = self.comfortable() & {each.point for each in self._tried if each.response is not None}
        if not allowed:
            return None
        points, numbers = self.settings.points, sorted(allowed)
        mean, deviation = self._responses().at(self._scaled(numbers, [len(self._tried)] * len(numbers)))
        best = max(range(len(numbers)), key=lambda n: (round(float(mean[n]), _DIGITS), -points[numbers[n]].strength))
        expected = round(float(mean[best]), _DIGITS)
        why = (
            f"{points[numbers[best]]}: expected {expected:.2f} +- {float(deviation[best]):.2f} of the largest "
            f"response, the most of {len(numbers)} tried and comfortable"
        )
        return Choice(numbers[best], expected, why)

    def _why_closed(self, tried: Tried) -> str:
        most = self.settings.discomfort_max
        if tried.refused:
            return tried.refused
        if tried.discomfort is not None and tried.discomfort > most:
            return f"discomfort {tried.discomfort:g}, allowed is {most:g}"
        return ""

    def _bisect(self, channel: str) -> Proposal | None:
        """The highest comfortable level at the start's width and rate, between one that is and one that is not."""
        settings = self.settings
        levels = self._levels[channel]
        fine, closed = self.comfortable(), self.closed()
        unsaid = {each.point for each in self._tried} - fine
        low = max((place for place, number in enumerate(levels) if number in fine), default=-1)
        high = min(
            (place for place, n in enumerate(levels) if place > low and (n in closed or n in unsaid)),
            default=len(levels),
        )
        if high - low <= 1:
            return None
        place = 0 if low < 0 else (low + high) // 2
        if low >= 0:
            bounds = self._discomfort_bounds(levels[low + 1 : place + 1])
            open_ = [low + 1 + n for n, bound in enumerate(bounds) if bound <= settings.discomfort_max + _ROUNDED]
            if not open_:
                return None
            place = open_[-1]
        point = settings.points[levels[place]]
        if low < 0:
            return Proposal(levels[place], f"{point}: the weakest level of the pad, first")
        above = "the ceiling" if high == len(levels) else f"{settings.points[levels[high]].current_ma:g} mA"
        return Proposal(
            levels[place],
            f"{point}: bisection between {settings.points[levels[low]].current_ma:g} mA, which is comfortable, "
            f"and {above}",
        )

    def _explore(self) -> Proposal | None:
        settings, points = self.settings, self.settings.points
        fine, closed = self.comfortable(), self.closed()
        if not any(each.response is not None for each in self._tried) or not fine:
            return None
        times: dict[int, int] = {}
        for each in self._tried:
            times[each.point] = times.get(each.point, 0) + 1
        beside = neighbouring(points, [points[number] for number in sorted(fine)]).any(axis=1)
        near = [int(number) for number in np.flatnonzero(beside) if number not in closed and number not in times]
        bounds = self._discomfort_bounds(near)
        open_ = [
            number for number, bound in zip(near, bounds, strict=True) if bound <= settings.discomfort_max + _ROUNDED
        ]
        again = [number for number in sorted(fine) if times[number] < settings.tries]
        numbers = [*open_, *again]
        if not numbers:
            return None
        process = self._responses()
        mean, deviation = process.at(self._scaled(numbers, [len(self._tried)] * len(numbers)))
        upper = np.round(mean + settings.kappa * deviation, _DIGITS)
        best = int(np.argmax(upper))
        known, _ = process.at(self._scaled(sorted(fine), [len(self._tried)] * len(fine)))
        if upper[best] <= float(known.max()):
            return None
        what = (
            f"expected {mean[best]:.2f} +- {deviation[best]:.2f}, upper bound {upper[best]:.2f} of the largest response"
        )
        if best >= len(open_):
            return Proposal(numbers[best], f"{points[numbers[best]]}, once more: {what}, the highest of {len(numbers)}")
        bound = dict(zip(near, bounds, strict=True))[numbers[best]]
        return Proposal(
            numbers[best],
            f"{points[numbers[best]]}: {what}, the highest of {len(numbers)}; "
            f"discomfort at most {bound:.1f} of {settings.discomfort_max:g}, beside a point that was comfortable",
        )

    def _responses(self) -> GaussianProcess:
        """Of the response over the largest seen."""
        measured = [(n, each.point, each.response) for n, each in enumerate(self._tried) if each.response is not None]
        y = np.array([response for _, _, response in measured], dtype=np.float64)
        most = float(np.abs(y).max())
        x = self._scaled([point for _, point, _ in measured], [number for number, _, _ in measured])
        return GaussianProcess(x, y / (most or 1.0), noise_floor=self.settings.noise_floor)

    def _discomfort_bounds(self, numbers: Sequence[int]) -> list[float]:
        """Upper bound of the discomfort at points, 0 to 10."""
        points = self.settings.points
        told = [(each.point, each.discomfort) for each in self._tried if each.discomfort is not None]
        return upper_bound(
            [points[number] for number, _ in told],
            [discomfort for _, discomfort in told],
            [points[number] for number in numbers],
            self.settings.comfort_kappa,
        )

    def _scaled(self, numbers: Sequence[int], when: Sequence[int]) -> Array:
        """Points as the process sees them: level, width, rate and number of the trial from 0 to 1, a column per pad."""
        points = self.settings.points
        ends = np.maximum(1, np.max([point.at for point in points], axis=0))
        channels = list(dict.fromkeys(point.channel for point in points))
        x = np.zeros((len(numbers), 4 + len(channels)))
        x[:, 3] = np.array(when) / self.settings.trials
        for row, number in enumerate(numbers):
            point = points[number]
            x[row, :3] = np.array(point.at) / ends
            x[row, 4 + channels.index(point.channel)] = _APART
        return x
