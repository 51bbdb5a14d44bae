"""What a person of an arm is given of what is asked for: all of it, its beginning, or nothing.

Pure, standard library alone. It only ever takes away: on no channel and at no time is more given than is asked for,
and width and rate of the pulses are none of its business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Literal

#: A train is over when nothing was asked for so long; a request that drops out for a moment begins no new one.
TRAIN_OVER_NS = 250_000_000


@dataclass(frozen=True, slots=True)
class Treatment:
    """How an arm is treated.

    Attributes
    ----------
    kind
        ``active``: as asked for. ``transient``: as asked for during `on_s` of each train, then in a straight line to
        zero within `fade_s`, and zero to the train's end. ``zero_current``: nothing at all.
    on_s, fade_s
        Of a transient sham, seconds.

    Raises
    ------
    ValueError
        If a length is negative or no number.
    """

    kind: Literal["active", "transient", "zero_current"] = "active"
    on_s: float = 0.0
    fade_s: float = 0.0

    def __post_init__(self) -> None:
        for name in ("on_s", "fade_s"):
            value = getattr(self, name)
            if not (isfinite(value) and value >= 0.0):
                raise ValueError(f"{name}: found {value!r}, allowed is 0 or more seconds")
        if self.kind not in ("active", "transient", "zero_current"):
            raise ValueError(f"kind: found {self.kind!r}, allowed are active, transient, zero_current")


@dataclass(frozen=True, slots=True)
class Train:
    """A train on one channel: when it began, and when anything was last asked for."""

    began_ns: int
    asked_ns: int


Trains = Mapping[str, Train]


def give(
    treatment: Treatment, trains: Trains, asked: Mapping[str, float], now_ns: int
) -> tuple[Trains, dict[str, float]]:
    """What is given now.

    Parameters
    ----------
    trains
        What this returned last; empty at first.
    asked
        Current in mA per channel, 0 or missing where none.
    now_ns
        Monotonic time.

    Returns
    -------
    tuple
        The trains that go on, and current in mA for every channel of `asked`.
    """
    going = {channel: train for channel, train in trains.items() if 0 <= now_ns - train.asked_ns <= TRAIN_OVER_NS}
    given: dict[str, float] = {}
    for channel, current_ma in asked.items():
        if not current_ma > 0.0:
            given[channel] = 0.0
            continue
        began_ns = going[channel].began_ns if channel in going else now_ns
        going[channel] = Train(began_ns, now_ns)
        given[channel] = current_ma * share(treatment, (now_ns - began_ns) * 1e-9)
    return going, given


def share(treatment: Treatment, since_s: float) -> float:
    """How much of what is asked for is given so long after a train's beginning, 0 to 1."""
    if treatment.kind == "active":
        return 1.0
    if treatment.kind == "zero_current":
        return 0.0
    if since_s <= treatment.on_s:
        return 1.0
    past_s = since_s - treatment.on_s
    return 1.0 - past_s / treatment.fade_s if past_s < treatment.fade_s else 0.0
