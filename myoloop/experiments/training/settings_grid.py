"""The settings that an optimisation may try: pad by level of current by pulse width by rate, within all hard caps.

A level is a share of the way from the motor threshold to the most that this person may have on the pad, both measured
at one width. What a point at another width may have follows from the strength-duration law whatever the chronaxie is:
narrower pulses never excite more at the same current, wider ones never more at the same charge. So no point has more
than the cap's current, and none more than the charge of the cap's current at the width it was measured with.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from myoloop.stimulators.gate.limits import round_down

#: The most that limits of other kinds (r.m.s., density, …) leave at a width and rate, in mA.
CapOf = Callable[[str, float, float], float]


@dataclass(frozen=True, slots=True)
class Pad:
    """One pair of pads, as far as it is known before.

    Attributes
    ----------
    motor_ma, cap_ma
        Motor threshold, and the most that this person may have.
    measured_us
        Width of the pulses that both were measured with.
    """

    channel: str
    motor_ma: float
    cap_ma: float
    measured_us: float


@dataclass(frozen=True, slots=True)
class Point:
    """One setting.

    Attributes
    ----------
    at
        Its place on each axis of the pad: level, width, rate, from 0.
    strength
        Charge per phase over the most that the cap allows, 0 to 1.
    """

    channel: str
    current_ma: float
    phase_us: float
    rate_hz: float
    at: tuple[int, int, int]
    strength: float

    def __str__(self) -> str:
        return f"{self.channel} {self.current_ma:g} mA, {self.phase_us:g} us, {self.rate_hz:g} Hz"


def make_grid(
    pads: Sequence[Pad],
    levels: Sequence[float],
    widths_us: Sequence[float],
    rates_hz: Sequence[float],
    *,
    step_ma: float,
    cap_of: CapOf = lambda channel, phase_us, rate_hz: float("inf"),
) -> tuple[Point, ...]:
    """Every setting within the caps, pad by pad, weakest first.

    Parameters
    ----------
    levels
        Shares of the way from motor threshold to cap, rising, 0 to 1.
    step_ma
        Currents are rounded down to it.
    cap_of
        Further limits by channel, width in us and rate in Hz.
    """
    found = []
    for pad in pads:
        charge_max = pad.cap_ma * pad.measured_us
        for i, level in enumerate(levels):
            wanted_ma = pad.motor_ma + level * max(0.0, pad.cap_ma - pad.motor_ma)
            current_ma = round_down(min(wanted_ma, pad.cap_ma), step_ma)
            for j, phase_us in enumerate(widths_us):
                for k, rate_hz in enumerate(rates_hz):
                    over = current_ma * phase_us > charge_max * (1.0 + 1e-9)
                    if current_ma <= 0.0 or over or current_ma > cap_of(pad.channel, phase_us, rate_hz):
                        continue
                    strength = current_ma * phase_us / charge_max
                    found.append(Point(pad.channel, current_ma, phase_us, rate_hz, (i, j, k), strength))
    return tuple(found)


def stronger(one: Point, other: Point) -> bool:
    """Whether it is at least as strong in everything, on the same pad; every point is so to itself."""
    return one.channel == other.channel and all(a >= b for a, b in zip(one.at, other.at, strict=True))


def neighbouring(points: Sequence[Point], known: Sequence[Point]) -> npt.NDArray[np.bool_]:
    """Whether one is a step from another: on the same pad, no axis by more than one, stronger on one axis at most.

    Returns
    -------
    bool array (points, known)
        Row: the one that would be tried; column: the one that was.
    """
    at = [np.array([point.at for point in those], dtype=np.int64).reshape(-1, 3) for those in (points, known)]
    channels = [np.array([point.channel for point in those], dtype=np.str_) for those in (points, known)]
    steps = at[0][:, None, :] - at[1][None, :, :]
    one_apart = (np.abs(steps) <= 1).all(axis=2) & ((steps > 0).sum(axis=2) <= 1)
    found: npt.NDArray[np.bool_] = one_apart & (channels[0][:, None] == channels[1][None, :])
    return found
