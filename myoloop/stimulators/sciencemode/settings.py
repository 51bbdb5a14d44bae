"""How a P24 or RehaMove3 is wired and used, and what is wanted of its outputs in its own units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import floor, isfinite
from typing import Literal, NamedTuple

from myoloop.platform.messages import ChannelSetting
from myoloop.stimulators.driver import DriverError
from myoloop.stimulators.sciencemode.commands import DURATION_MAX_US, HALF_MA_MAX, Point
from myoloop.stimulators.sciencemode.profiles import PROFILES, Profile, load_problem
from myoloop.stimulators.wiring import check_wiring, wired

#: The device acts on shorter times as on this.
PHASE_MIN_US = 10
GAP_MAX_US = 1000
#: Low level: each pulse waits for the receipt of the one before it, 5 to 15 ms over USB.
LOW_RATE_MAX_HZ = 100.0


@dataclass(frozen=True, slots=True)
class ScienceMode34Settings:
    """How the device is wired.

    Attributes
    ----------
    channels
        Output number, from 0, of each stimulation channel of the rig: 4 per connector (yellow, then green), in the
        order red, blue, black, white.
    port
        A device path such as ``/dev/ttyACM0``, or ``socket://HOST:PORT``; not used where a transport is given.
    device
        ``p24`` or ``rehamove3``.
    current_max_ma
        The largest current this rig may ever give, at most 130; where the device can, its voltage is kept to what this
        needs.
    level
        ``low``: the host gives each pulse (closed loop). ``mid``: the device times itself (programmes).
    load_ohm
        Largest load that `current_max_ma` is to be driven through.
    interphase_us
        Rest at 0 mA between the phases: 0, or 10 to 1000.
    """

    channels: Mapping[str, int]
    port: str
    device: Literal["p24", "rehamove3"]
    current_max_ma: float
    level: Literal["low", "mid"] = "low"
    load_ohm: float = 1000.0
    interphase_us: int = 0

    def __post_init__(self) -> None:
        if self.device not in PROFILES:
            raise DriverError(f"device {self.device!r}: allowed are {', '.join(PROFILES)}")
        if self.level not in ("low", "mid"):
            raise DriverError(f"level {self.level!r}: allowed are low, mid")
        outputs = self.profile.outputs
        if not self.channels:
            raise DriverError("channels: none is named")
        check_wiring(self.channels, outputs, f"a {self.profile.name} has 0 to {outputs - 1}")
        if not 0.5 <= self.current_max_ma <= HALF_MA_MAX / 2:
            raise DriverError(f"current_max_ma {self.current_max_ma}: allowed is 0.5 to {HALF_MA_MAX / 2:g}")
        if not (isfinite(self.load_ohm) and self.load_ohm > 0):
            raise DriverError(f"load_ohm {self.load_ohm}: must be greater than 0")
        if self.interphase_us and not PHASE_MIN_US <= self.interphase_us <= GAP_MAX_US:
            raise DriverError(f"interphase_us {self.interphase_us}: allowed is 0, or {PHASE_MIN_US} to {GAP_MAX_US}")
        self.profile.high_voltage(self.current_max_ma, self.load_ohm)

    @property
    def profile(self) -> Profile:
        """What the device can do."""
        return PROFILES[self.device]

    def name_of(self, output: int) -> str:
        """The channel on an output."""
        return next((name for name, at in self.channels.items() if at == output), f"output {output}")

    def points(self, half_ma: int, phase_us: int) -> tuple[Point, ...]:
        """A symmetric pulse, positive first."""
        gap = (Point(self.interphase_us, 0),) if self.interphase_us else ()
        return (Point(phase_us, half_ma), *gap, Point(phase_us, -half_ma))


class Wanted(NamedTuple):
    """A train on one output, in the device's units."""

    output: int
    points: tuple[Point, ...]
    period_us: int


def wanted_trains(
    wiring: ScienceMode34Settings, settings: Sequence[ChannelSetting], period_step_us: int, rate_hz: tuple[float, float]
) -> tuple[Wanted, ...]:
    """What `settings` want of the outputs; current is rounded down, a current of less than 0.5 mA is zero.

    Raises
    ------
    DriverError
        If a channel is unknown, a value is out of range or cannot be said exactly, or it is too much together.
    """
    trains: list[Wanted] = []
    for output, one in wired(wiring.channels, settings):
        if not 0 <= one.current_ma <= wiring.current_max_ma:
            raise DriverError(f"{one.channel}: {one.current_ma} mA, allowed is 0 to {wiring.current_max_ma:g}")
        half_ma = floor(one.current_ma * 2)
        if half_ma == 0:
            continue
        phase_us = _whole(one.channel, one.phase_us, "us")
        if not PHASE_MIN_US <= phase_us <= DURATION_MAX_US:
            raise DriverError(f"{one.channel}: {phase_us} us, allowed is {PHASE_MIN_US} to {DURATION_MAX_US}")
        low_hz, high_hz = rate_hz
        if not low_hz * (1 - 1e-9) <= one.rate_hz <= high_hz * (1 + 1e-9):
            raise DriverError(f"{one.channel}: {one.rate_hz} Hz, allowed is {low_hz:.4g} to {high_hz:g}")
        period_us = _period(one.channel, one.rate_hz, period_step_us)
        trains.append(Wanted(output, wiring.points(half_ma, phase_us), period_us))
    problem = load_problem((train.period_us, train.points) for train in trains)
    if problem:
        raise DriverError(problem)
    return tuple(sorted(trains))


def _whole(channel: str, value: float, unit: str) -> int:
    if not isfinite(value) or value != round(value):
        raise DriverError(f"{channel}: {value} {unit}, allowed are whole numbers")
    return round(value)


def _period(channel: str, rate_hz: float, step_us: int) -> int:
    exact_us = 1e6 / rate_hz
    period_us = round(exact_us / step_us) * step_us
    if abs(period_us - exact_us) > 1e-9 * exact_us:
        raise DriverError(
            f"{channel}: {rate_hz} Hz is a period of {exact_us:.3f} us; allowed are whole multiples of {step_us} us"
        )
    return period_us
