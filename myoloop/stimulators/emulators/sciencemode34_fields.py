"""What the commands of ScienceMode 3 and 4 ask of a device, read from their payloads, and what each device takes.

Numbers are big endian. A point is a 32-bit word: 12 bits of microseconds, 10 bits of current code (half milliamperes,
300 is zero), 10 reserved bits. Facts: vendor documents of RehaMove3 and P24; the rule of total time is that of the
vendor's C library.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import NamedTuple

CODE_ZERO, CODES_PER_MA = 300, 2
MAX_MA = 130
#: A shorter point lasts as long as this one.
SHORTEST_POINT_US = 10
#: What the source needs per pulse beside its points, in the rule of total time.
OVERHEAD_US = 60
NO_MEASUREMENT = 0


class ParameterError(ValueError):
    """A payload that the device answers with result 2."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What kind of device it is.

    Attributes
    ----------
    commands
        Requests it knows; all others are unknown to it.
    results
        Result codes its protocol has.
    hv_volts
        High voltage by the code of Ll_init; 0 is off.
    outputs_per_connector
        Outputs on one connector.
    period_us, pulse_us
        Shortest and longest repetition period and pulse.
    quarter_periods
        Whether a period may be said in quarters of a millisecond.
    boot_ns
        How long it says nothing after it was switched on or reset.
    """

    name: str
    outputs: int
    outputs_per_connector: int
    commands: frozenset[int]
    results: frozenset[int]
    hv_volts: dict[int, int]
    period_us: tuple[int, int]
    pulse_us: tuple[int, int]
    quarter_periods: bool
    stop_all_flag: bool
    measures: bool
    selections: frozenset[int]
    device_id: bytes
    boot_ns: int
    firmware: tuple[int, int, int] = (0, 0, 0)
    protocol: tuple[int, int, int] = (4, 0, 0)


_COMMON = frozenset({0, 2, 4, 30, 32, 34, 36, 52, 58, 62})

PROFILES = {
    "p24": Profile(
        name="p24",
        outputs=8,
        outputs_per_connector=4,
        commands=_COMMON | {68},
        results=frozenset(range(29)),
        # assumption: the P24 takes no voltage but the one its manual has; 2 to 5 are in the C library alone
        hv_volts={0: 150, 1: 0, 6: 150},
        period_us=(500, 16_383_000),
        pulse_us=(10, 65_520),
        quarter_periods=True,
        stop_all_flag=True,
        measures=True,
        # assumption: the P24 serves all three selections of the C library
        selections=frozenset({2, 3, 4}),
        device_id=b"EMU-P24-01",
        boot_ns=1_000_000_000,
    ),
    "rehamove3": Profile(
        name="rehamove3",
        outputs=4,
        outputs_per_connector=4,
        commands=_COMMON | {50, 54},
        results=frozenset({0, 1, 2, 4, 7, 10, 11}),
        hv_volts={0: 150, 1: 0, 2: 30, 3: 60, 4: 90, 5: 120, 6: 150},
        # assumption: it refuses what its data sheet does not have (1 to 500 Hz, 20 to 16000 us)
        period_us=(2_000, 1_000_000),
        pulse_us=(20, 16_000),
        quarter_periods=False,
        stop_all_flag=False,
        measures=False,
        selections=frozenset({2}),
        device_id=b"EMU-RM3-01",
        boot_ns=10_000_000_000,
        protocol=(3, 2, 4),
    ),
}


class CodedPoint(NamedTuple):
    """One point in wire units: microseconds, and half milliamperes with sign."""

    width_us: int
    half_ma: int


@dataclass(frozen=True, slots=True)
class Shape:
    """The points of one pulse as the device gives them, and what follows from them.

    Attributes
    ----------
    points
        From the leading edge (the first point with current) to the last with current; empty where none has any.
    lead_us
        From the start of the pulse to its leading edge.
    total_us
        Of all points.
    peak_half_ma, phase_us
        Largest amplitude; width of the first phase.
    net
        Sum of half milliamperes times microseconds; 0 is balanced.
    symmetric
        Two phases alike but for their sign, with or without a gap.
    """

    points: tuple[CodedPoint, ...]
    lead_us: int
    total_us: int
    peak_half_ma: int = field(init=False)
    phase_us: int = field(init=False)
    net: int = field(init=False)
    symmetric: bool = field(init=False)

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "peak_half_ma", max((abs(point.half_ma) for point in self.points), default=0))
        put(self, "net", sum(point.width_us * point.half_ma for point in self.points))
        phase_us = 0
        for width_us, half_ma in self.points:
            if half_ma * self.points[0].half_ma <= 0:
                break
            phase_us += width_us
        put(self, "phase_us", phase_us)
        put(self, "symmetric", self._symmetric())

    def _symmetric(self) -> bool:
        phases: list[CodedPoint] = []
        for width_us, half_ma in self.points:
            if phases and phases[-1].half_ma == half_ma:
                width_us += phases.pop().width_us
            phases.append(CodedPoint(width_us, half_ma))
        phases = [phase for phase in phases if phase.half_ma]
        return len(phases) == 2 and phases[0].half_ma == -phases[1].half_ma and phases[0].width_us == phases[1].width_us


class LowLevelInit(NamedTuple):
    """Ll_init: what to measure, which voltage."""

    measurement: int
    hv_code: int


class ChannelConfig(NamedTuple):
    """Ll_channel_config: one pulse on one output; no shape where it is not to be given."""

    output: int
    shape: Shape | None


class ChannelTrain(NamedTuple):
    """One channel of Ml_update."""

    output: int
    ramp: int
    period_us: int
    shape: Shape


def read_low_level_init(payload: bytes, profile: Profile) -> LowLevelInit:
    """Read the payload of Ll_init."""
    flags = _one_byte(payload)
    wanted = LowLevelInit(flags >> 4 & 7, flags >> 1 & 7)
    # assumption: reserved bits, a voltage or a measurement that the device has not are parameter errors
    if flags & 0x81 or wanted.hv_code not in profile.hv_volts:
        raise ParameterError(f"Ll_init {flags:02x}")
    if wanted.measurement > 3 or (wanted.measurement and not profile.measures):
        raise ParameterError(f"measurement {wanted.measurement}")
    return wanted


def read_channel_config(payload: bytes, profile: Profile) -> ChannelConfig:
    """Read the payload of Ll_channel_config; the points may be absent where it is not to be executed."""
    if not payload:
        raise ParameterError("an empty Ll_channel_config")
    execute, channel, connector = payload[0] >> 7, payload[0] >> 5 & 3, payload[0] >> 4 & 1
    output = connector * profile.outputs_per_connector + channel
    if output >= profile.outputs:
        raise ParameterError(f"output {output}")
    count = (payload[0] & 0xF) + 1
    points = payload[1:]
    if not execute and not points:
        return ChannelConfig(output, None)
    if len(points) != 4 * count:
        raise ParameterError(f"{len(points)} bytes for {count} points")
    shape = _shape(points, profile)
    return ChannelConfig(output, shape if execute else None)


def read_mid_level_init(payload: bytes, profile: Profile) -> bool:
    """Read the payload of Ml_init: whether an error on one channel is to stop all."""
    flag = _one_byte(payload)
    if flag > int(profile.stop_all_flag):
        raise ParameterError(f"Ml_init {flag:02x}")
    return bool(flag)


def read_update(payload: bytes, profile: Profile) -> tuple[ChannelTrain, ...]:
    """Read the payload of Ml_update: the channels that are to run, in order of output.

    Raises
    ------
    ParameterError
        If a value is out of range, or all pulses together take more time than there is.
    """
    if not payload or payload[0] >> profile.outputs:
        raise ParameterError("channels that there are not")
    trains: list[ChannelTrain] = []
    busy_ms_per_s = Fraction(0)
    at = 1
    for output in (number for number in range(profile.outputs) if payload[0] >> number & 1):
        head = payload[at : at + 3]
        if len(head) != 3:
            raise ParameterError("too short")
        count = (head[0] >> 4) + 1
        points = payload[at + 3 : at + 3 + 4 * count]
        if len(points) != 4 * count:
            raise ParameterError("too short")
        at += 3 + 4 * count
        period_us = _period_us(head[1] << 8 | head[2], profile)
        trains.append(ChannelTrain(output, head[0] & 0xF, period_us, _shape(points, profile)))
        told_us = sum(points[k] << 4 | points[k + 1] >> 4 for k in range(0, len(points), 4))
        busy_ms_per_s += Fraction(told_us + OVERHEAD_US, period_us) * 1000
    if at != len(payload):
        raise ParameterError("too long")
    # vendor's C library: us of pulses per ms of period, rounded up, stay below 1000; 999.2 is refused
    if busy_ms_per_s > 999:
        raise ParameterError("pulses take longer than their periods")
    return tuple(trains)


def read_selection(payload: bytes, profile: Profile) -> int:
    """Read the payload of Ml_get_current_data."""
    selection = _one_byte(payload)
    if selection not in profile.selections:
        raise ParameterError(f"selection {selection}")
    return selection


def read_nothing(payload: bytes) -> None:
    """Read the payload of a command that has none."""
    if payload:
        raise ParameterError(f"{len(payload)} bytes of payload")


def _one_byte(payload: bytes) -> int:
    # assumption: a payload of the wrong length in a good packet is a parameter error
    if len(payload) != 1:
        raise ParameterError(f"{len(payload)} bytes of payload")
    return payload[0]


def _period_us(word: int, profile: Profile) -> int:
    code, quarters = word >> 1, word & 1
    if quarters and not profile.quarter_periods:
        raise ParameterError("quarters of a millisecond")
    period_us = code * (250 if quarters else 500)
    shortest_us, longest_us = profile.period_us
    if not shortest_us <= period_us <= longest_us:
        raise ParameterError(f"a period of {period_us} us")
    return period_us


def _shape(data: bytes, profile: Profile) -> Shape:
    points: list[CodedPoint] = []
    for at in range(0, len(data), 4):
        word = int.from_bytes(data[at : at + 4], "big")
        half_ma = (word >> 10 & 0x3FF) - CODE_ZERO
        # assumption: reserved bits that are set, and interpolation, are parameter errors
        if abs(half_ma) > MAX_MA * CODES_PER_MA or word & 0x3FF:
            raise ParameterError(f"point {word:08x}")
        # P24: a point shorter than 10 us lasts 10 us (assumption: one of 0 too, and on the RehaMove3)
        points.append(CodedPoint(max(word >> 20, SHORTEST_POINT_US), half_ma))
    total_us = sum(point.width_us for point in points)
    shortest_us, longest_us = profile.pulse_us
    if not shortest_us <= total_us <= longest_us:
        raise ParameterError(f"a pulse of {total_us} us")
    on = [number for number, point in enumerate(points) if point.half_ma]
    if not on:
        return Shape((), 0, total_us)
    lead_us = sum(point.width_us for point in points[: on[0]])
    return Shape(tuple(points[on[0] : on[-1] + 1]), lead_us, total_us)
