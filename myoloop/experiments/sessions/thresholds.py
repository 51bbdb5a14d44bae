"""Thresholds by ascending steps: what a person feels, what moves the muscle, what is enough.

The current rises in equal steps from the bottom until the last threshold of the order is met or the ceiling is
reached; that is one ascent. Of several ascents the sensory and motor thresholds are the mean, the tolerance is the
lowest: what was once enough is not reached again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import isfinite

#: A level that does not flow (a spasm took it away, a limit) is asked for so often.
TRIES = 10
RANK: dict[str, int] = {"sensory": 0, "motor": 1, "tolerance": 2}


@dataclass(frozen=True, slots=True)
class AscentPlan:
    """How the current rises.

    Attributes
    ----------
    order
        Thresholds looked for; the last one ends an ascent.
    start_ma, step_ma, stop_at_ma
        First level, increment, highest level.
    repeats
        How many ascents.
    """

    order: tuple[str, ...]
    start_ma: float
    step_ma: float
    stop_at_ma: float
    repeats: int = 1

    def __post_init__(self) -> None:
        values = (self.start_ma, self.step_ma, self.stop_at_ma)
        if not all(isfinite(value) and value > 0 for value in values) or self.start_ma > self.stop_at_ma:
            raise ValueError(f"start, step, stop_at: found {values} mA, allowed are rising positive currents")
        if not self.order or any(what not in RANK for what in self.order) or self.repeats < 1:
            raise ValueError(f"order: found {self.order} x {self.repeats}, allowed are {', '.join(RANK)}")

    def level_ma(self, step: int) -> float:
        """Current of a step, 0 being the first; computed from the bottom so that no error adds up."""
        return round(self.start_ma + step * self.step_ma, 9)

    @property
    def steps(self) -> int:
        """Number of levels, the first included."""
        return int((self.stop_at_ma - self.start_ma) / self.step_ma + 1e-9) + 1


@dataclass(frozen=True, slots=True)
class Ascent:
    """Where an ascent stands.

    Attributes
    ----------
    repeat
        Which ascent, from 1.
    steps
        Steps taken in it; the level is that of the last one.
    found
        Thresholds of this ascent, in mA.
    past
        Thresholds of the ascents before.
    done
        Whether the last ascent has ended.
    given_ma, highest_ma
        The most that has flowed in this ascent, and in any: what was asked for but did not flow is no threshold.
    tries
        How often the present level was asked for without flowing.
    reached, cut
        Whether the present level has flowed, and whether less has flowed after that: a burst cut short by the gate is
        no burst at that level.
    """

    repeat: int = 1
    steps: int = 0
    found: Mapping[str, float] = field(default_factory=dict)
    past: tuple[Mapping[str, float], ...] = ()
    done: bool = False
    given_ma: float = 0.0
    highest_ma: float = 0.0
    tries: int = 0
    reached: bool = False
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Of one channel, in mA; None where it was not met or not looked for.

    Attributes
    ----------
    cap_ma
        The most this person may be given on this channel, before the factor on tolerance: the tolerance, or the
        highest level tried where tolerance was not met.
    phase_us
        Width of the pulses they were measured with; 0 where they were given.
    """

    sensory_ma: float | None
    motor_ma: float | None
    tolerance_ma: float | None
    cap_ma: float
    phase_us: float = 0.0

    def value_ma(self, what: str) -> float | None:
        """One of them by name."""
        return {"sensory": self.sensory_ma, "motor": self.motor_ma, "tolerance": self.tolerance_ma}[what]


class NotMeasured(ValueError):
    """An intensity refers to a threshold that was not met."""


def next_level_ma(plan: AscentPlan, ascent: Ascent) -> float | None:
    """Level of the next step; None where the ceiling, or what was once enough, would be reached."""
    if ascent.done or ascent.steps >= plan.steps:
        return None
    level_ma = plan.level_ma(ascent.steps)
    enough_ma = min((past["tolerance"] for past in ascent.past if "tolerance" in past), default=None)
    return None if enough_ma is not None and level_ma >= enough_ma else level_ma


def stepped(plan: AscentPlan, ascent: Ascent) -> Ascent:
    """One step has been taken.

    Raises
    ------
    ValueError
        If there is none to take.
    """
    level_ma = next_level_ma(plan, ascent)
    if level_ma is None:
        raise ValueError("no step is left to take")
    return replace(ascent, steps=ascent.steps + 1, reached=False, cut=False)


def given(plan: AscentPlan, ascent: Ascent, current_ma: float) -> Ascent:
    """So much flows now; more than the level of the last step is not its doing."""
    if ascent.done or ascent.steps == 0:
        return ascent
    level_ma = plan.level_ma(ascent.steps - 1)
    given_ma = max(ascent.given_ma, min(current_ma, level_ma))
    flows = current_ma >= level_ma - 0.5 * plan.step_ma
    return replace(
        ascent,
        given_ma=given_ma,
        highest_ma=max(ascent.highest_ma, given_ma),
        reached=ascent.reached or flows,
        cut=ascent.cut or (ascent.reached and not flows),
    )


def served(plan: AscentPlan, ascent: Ascent) -> Ascent:
    """The burst of the last step is over; a level that did not flow to its end is tried again, and then given up."""
    if ascent.done or ascent.steps == 0:
        return ascent
    if ascent.reached and not ascent.cut:
        return replace(ascent, tries=0)
    tries = ascent.tries + 1
    return closed(plan, ascent) if tries >= TRIES else replace(ascent, steps=ascent.steps - 1, tries=tries)


def felt(plan: AscentPlan, ascent: Ascent, what: str) -> Ascent:
    """The person, or who watches the muscle, has answered; an answer before anything has flowed says nothing.

    The threshold is what has flowed by then, not what was asked for.

    What is met at the same level or above a threshold that was not reported is taken to be that threshold too: who
    sees the muscle move has been felt by. Tolerance ends the ascent whatever the order looks for.
    """
    if what not in RANK:
        raise ValueError(f"found {what!r}, allowed are {', '.join(RANK)}")
    if ascent.done or (ascent.given_ma <= 0.0 and what != "tolerance"):
        return ascent
    # Who says enough is believed, whatever flowed.
    threshold_ma = ascent.given_ma or plan.start_ma
    found = dict(ascent.found)
    found.setdefault(what, threshold_ma)
    if what == "motor":
        found.setdefault("sensory", threshold_ma)
    ascent = replace(ascent, found=found)
    return closed(plan, ascent) if RANK[what] >= RANK[plan.order[-1]] else ascent


def closed(plan: AscentPlan, ascent: Ascent) -> Ascent:
    """An ascent is over: the next begins at the bottom, or all are done."""
    past = (*ascent.past, dict(ascent.found))
    done = ascent.repeat >= plan.repeats
    repeat = ascent.repeat if done else ascent.repeat + 1
    return Ascent(repeat=repeat, past=past, done=done, highest_ma=ascent.highest_ma)


def disbelieved(ascent: Ascent) -> Ascent:
    """The same ascent from the bottom, and nothing that was said in it stands."""
    return Ascent(repeat=ascent.repeat, past=ascent.past, highest_ma=ascent.highest_ma)


def restarted(ascent: Ascent) -> Ascent:
    """The same ascent from the bottom, after an interruption; what was said stands."""
    return replace(ascent, steps=0, given_ma=0.0, tries=0, reached=False, cut=False)


def result(ascent: Ascent, phase_us: float) -> Thresholds:
    """Thresholds of all ascents.

    Raises
    ------
    ValueError
        If they are not done.
    """
    if not ascent.done:
        raise ValueError("the ascents are not done")
    tolerances = [past["tolerance"] for past in ascent.past if "tolerance" in past]
    tolerance_ma = min(tolerances, default=None)
    return Thresholds(
        _mean([past["sensory"] for past in ascent.past if "sensory" in past]),
        _mean([past["motor"] for past in ascent.past if "motor" in past]),
        tolerance_ma,
        tolerance_ma if tolerance_ma is not None else ascent.highest_ma,
        phase_us,
    )


def intensity_ma(thresholds: Thresholds, *, ref: str, x: float | None, share: float | None, to: str) -> float:
    """Resolve an intensity.

    Raises
    ------
    NotMeasured
        If a threshold it refers to was not met.
    """
    base_ma = _needed(thresholds, ref)
    if share is None:
        return base_ma * (x if x is not None else 1.0)
    return base_ma + share * max(0.0, _needed(thresholds, to) - base_ma)


def _needed(thresholds: Thresholds, what: str) -> float:
    value_ma = thresholds.value_ma(what)
    if value_ma is None and what == "tolerance":
        # Tolerance beyond the highest level tried: that level is a lower bound of it.
        value_ma = thresholds.cap_ma
    if value_ma is None:
        raise NotMeasured(f"no {what} threshold was met up to {thresholds.cap_ma:g} mA")
    return value_ma


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
