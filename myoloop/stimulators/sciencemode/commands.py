"""Commands to a ScienceMode 3 or 4 stimulator, as bytes.

All that a driver may send, and no more: there is no firmware update, no service command, and none of the measuring
unit's. Values out of range raise; nothing is rounded or clipped here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from myoloop.stimulators.sciencemode.frames import Frame, encode


class Command(IntEnum):
    """Numbers of the commands; the answer to one has the next number."""

    LL_INIT = 0
    LL_CHANNEL_CONFIG = 2
    LL_STOP = 4
    ML_INIT = 30
    ML_UPDATE = 32
    ML_STOP = 34
    ML_GET_CURRENT_DATA = 36
    GET_VERSION_MAIN = 50
    GET_DEVICE_ID = 52
    GET_BATTERY_STATUS = 54
    RESET = 58
    GET_STIM_STATUS = 62
    GET_EXTENDED_VERSION = 68


#: Commands that are a number and nothing else.
PLAIN = frozenset(
    (
        Command.LL_STOP, Command.ML_STOP, Command.GET_VERSION_MAIN, Command.GET_DEVICE_ID,
        Command.GET_BATTERY_STATUS, Command.RESET, Command.GET_STIM_STATUS, Command.GET_EXTENDED_VERSION,
    )
)  # fmt: skip

POINTS_MAX = 16
DURATION_MAX_US = 4095
#: 130 mA. The wire could say 150; the maker's library refuses more than 130, and so do we.
HALF_MA_MAX = 260
RAMP_MAX = 15
PERIOD_CODE_MAX = 32767


@dataclass(frozen=True, slots=True)
class Point:
    """One step of a pulse's shape.

    Attributes
    ----------
    duration_us
        How long, 0 to 4095.
    half_ma
        Signed current in steps of 0.5 mA.
    """

    duration_us: int
    half_ma: int


@dataclass(frozen=True, slots=True)
class Train:
    """What mid level repeats on one output.

    Attributes
    ----------
    period_code
        Period in steps of 0.5 ms, of 0.25 ms where `quarter_ms`.
    ramp
        Pulses, 0 to 15, over which the device lets the amplitude of a newly enabled output rise.
    """

    points: tuple[Point, ...]
    period_code: int
    quarter_ms: bool = False
    ramp: int = 0


def plain(number: int, command: Command) -> bytes:
    """One of the commands without fields.

    Raises
    ------
    ValueError
        If the command has fields.
    """
    if command not in PLAIN:
        raise ValueError(f"{command.name} is not a command without fields")
    return encode(Frame(number, command))


def ll_init(number: int, *, measurement: int = 0, high_voltage: int = 0) -> bytes:
    """Begin low level.

    Parameters
    ----------
    measurement
        0 none, 1 current, 2 voltage of each pulse, 3 high-voltage source; comes with each answer.
    high_voltage
        0 the device's standard, 1 off, 2 to 6: 30, 60, 90, 120, 150 V (ScienceMode 3).
    """
    payload = _within("measurement", measurement, 0, 3) << 4 | _within("high_voltage", high_voltage, 0, 6) << 1
    return encode(Frame(number, Command.LL_INIT, bytes((payload,))))


def ll_channel_config(
    number: int, channel: int, connector: int, points: Sequence[Point], *, execute: bool = True
) -> bytes:
    """Give one pulse now on output ``4 * connector + channel``."""
    head = (
        execute << 7
        | _within("channel", channel, 0, 3) << 5
        | _within("connector", connector, 0, 1) << 4
        | _within("number of points", len(points), 1, POINTS_MAX) - 1
    )
    return encode(Frame(number, Command.LL_CHANNEL_CONFIG, bytes((head,)) + _points(points)))


def ml_init(number: int, *, stop_all_on_error: bool) -> bytes:
    """Begin mid level; ScienceMode 3 wants ``stop_all_on_error=False``."""
    return encode(Frame(number, Command.ML_INIT, bytes((stop_all_on_error,))))


def ml_update(number: int, trains: Mapping[int, Train]) -> bytes:
    """Set all outputs, 0 to 7, to `trains`; one that is not named goes to zero."""
    mask = 0
    fields = b""
    for output in sorted(trains):
        train = trains[output]
        mask |= 1 << _within("output", output, 0, 7)
        count = _within("number of points", len(train.points), 1, POINTS_MAX)
        fields += bytes(((count - 1) << 4 | _within("ramp", train.ramp, 0, RAMP_MAX),))
        period = _within("period code", train.period_code, 1, PERIOD_CODE_MAX) << 1 | train.quarter_ms
        fields += period.to_bytes(2, "big") + _points(train.points)
    return encode(Frame(number, Command.ML_UPDATE, bytes((mask,)) + fields))


def ml_get_current_data(number: int, selection: int) -> bytes:
    """Ask for state (4: every output; 2, 3: electrode errors of 4, 8). Keeps the device going as an update does."""
    payload = bytes((_within("selection", selection, 2, 4),))
    return encode(Frame(number, Command.ML_GET_CURRENT_DATA, payload))


def _points(points: Sequence[Point]) -> bytes:
    data = b""
    for point in points:
        duration = _within("duration_us", point.duration_us, 0, DURATION_MAX_US)
        code = _within("half_ma", point.half_ma, -HALF_MA_MAX, HALF_MA_MAX) + 300
        data += (duration << 20 | code << 10).to_bytes(4, "big")
    return data


def _within(name: str, value: int, low: int, high: int) -> int:
    if not low <= value <= high:
        raise ValueError(f"{name} {value}: allowed is {low} to {high}")
    return value
