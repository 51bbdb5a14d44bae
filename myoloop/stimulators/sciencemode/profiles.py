"""What the two devices can do: P24 (ScienceMode 4) and RehaMove3 (ScienceMode 3).

Figures are the makers': P24 instructions for use v1.1, RehaMove3 protocol v3.2.4, the rule of total time from the
vendor's C library.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

from myoloop.stimulators.driver import DriverError
from myoloop.stimulators.sciencemode.commands import DURATION_MAX_US, HALF_MA_MAX, POINTS_MAX, Point

#: The device needs so much besides each pulse's own points.
PULSE_OVERHEAD_US = 60
_LOAD_LIMIT_MS_PER_S = 1000
_PERIOD_MAX_US = 16_383_000
_QUARTER_PERIOD_MAX_US = 8_191_500


@dataclass(frozen=True, slots=True)
class Profile:
    """One kind of device.

    Attributes
    ----------
    name
        As the maker calls it.
    protocol
        Major number of the ScienceMode version it speaks.
    outputs
        Number of outputs; 4 for each connector.
    quarter_ms
        Whether it knows periods in steps of 0.25 ms.
    rate_max_hz
        Highest rate in mid level.
    voltages
        High voltages that can be chosen in low level, in V, with their codes, from the lowest.
    stop_all_on_error
        Whether mid level can be told to stop all outputs when one fails.
    selection
        What Ml_get_current_data is to be asked for.
    """

    name: str
    protocol: int
    outputs: int
    quarter_ms: bool
    rate_max_hz: float
    voltages: tuple[tuple[float, int], ...]
    stop_all_on_error: bool
    selection: int

    @property
    def period_step_us(self) -> int:
        """Periods are whole numbers of this in mid level."""
        return 250 if self.quarter_ms else 500

    @property
    def rate_min_hz(self) -> float:
        """Lowest rate whose period, and every shorter one, can be said in the device's steps."""
        return 1e6 / (_QUARTER_PERIOD_MAX_US if self.quarter_ms else _PERIOD_MAX_US)

    def period_code(self, period_us: int) -> tuple[int, bool]:
        """Period code and accuracy bit; the coarse steps wherever they say it.

        Raises
        ------
        DriverError
            If the period is none the device can make.
        """
        if 0 < period_us <= _PERIOD_MAX_US and period_us % 500 == 0:
            return period_us // 500, False
        if self.quarter_ms and 0 < period_us <= _QUARTER_PERIOD_MAX_US and period_us % 250 == 0:
            return period_us // 250, True
        raise DriverError(
            f"{self.name}: a period of {period_us / 1000:g} ms cannot be said; allowed are whole multiples of "
            f"{self.period_step_us / 1000:g} ms up to {_PERIOD_MAX_US // 1000} ms"
        )

    def high_voltage(self, current_max_ma: float, load_ohm: float) -> int:
        """Code of the lowest voltage that drives the largest current through the load: a limit in the hardware.

        Raises
        ------
        DriverError
            If none does.
        """
        needed_v = current_max_ma * load_ohm / 1000
        for volt, code in self.voltages:
            if volt >= needed_v:
                return code
        highest_v = self.voltages[-1][0]
        raise DriverError(
            f"{self.name}: {current_max_ma:g} mA through {load_ohm:g} ohm needs {needed_v:g} V, "
            f"the device has {highest_v:g}"
        )


P24 = Profile("P24", 4, 8, True, 2000.0, ((150.0, 0),), True, 4)
REHAMOVE3 = Profile(
    "RehaMove3", 3, 4, False, 500.0, ((30.0, 2), (60.0, 3), (90.0, 4), (120.0, 5), (150.0, 6)), False, 2
)
PROFILES = {"p24": P24, "rehamove3": REHAMOVE3}


def load_problem(trains: Iterable[tuple[int, Sequence[Point]]]) -> str:
    """Why the device cannot give all of these together; empty where it can.

    Parameters
    ----------
    trains
        Period in microseconds and points of each output that is on.
    """
    load = Fraction(0)
    for period_us, points in trains:
        if not 0 < period_us <= _PERIOD_MAX_US:
            return f"a period of {period_us / 1000:g} ms, allowed is up to {_PERIOD_MAX_US // 1000} ms"
        if not 1 <= len(points) <= POINTS_MAX:
            return f"a pulse of {len(points)} points, allowed are 1 to {POINTS_MAX}"
        for point in points:
            if not 0 <= point.duration_us <= DURATION_MAX_US or abs(point.half_ma) > HALF_MA_MAX:
                return (
                    f"a point of {point.half_ma / 2:g} mA for {point.duration_us} us, "
                    f"allowed is up to {HALF_MA_MAX / 2:g} mA and {DURATION_MAX_US} us"
                )
        busy_us = sum(point.duration_us for point in points) + PULSE_OVERHEAD_US
        load += Fraction(busy_us * 1000, period_us)
    if ceil(load) >= _LOAD_LIMIT_MS_PER_S:
        return (
            f"pulses on all outputs together take {float(load):.1f} ms of each second, "
            f"allowed is less than {_LOAD_LIMIT_MS_PER_S}"
        )
    return ""
