"""From settings to bytes: always the whole way there, from whatever the device does now.

A setting with current is three packets, StopChannelListMode, InitChannelListMode and StartChannelListMode with
successive numbers; zero is the first alone. Interval and outputs are kept in the device from one Init to the next, so
a Start says nothing of the rate; because the three always go together, the bytes say everything. The session writes
of them what is still missing: only the Start where the device has acknowledged this very Init and runs on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from myoloop.platform.messages import ChannelSetting
from myoloop.stimulators.driver import DriverError
from myoloop.stimulators.sciencemode2 import commands
from myoloop.stimulators.sciencemode2.frames import frame
from myoloop.stimulators.wiring import wired

CURRENT_MAX_MA = 130
PHASE_MIN_US, PHASE_MAX_US = 20, 500
RATE_MIN_HZ, RATE_MAX_HZ = 1.0, 50.0


def encode_setting(settings: Sequence[ChannelSetting], outputs: Mapping[str, int], number: int) -> bytes:
    """Packets from `number` on that set all outputs to `settings` and nothing else.

    Raises
    ------
    DriverError
        If a channel is unknown or twice, a value cannot be said, or two channels have different rates.
    """
    stop = frame(commands.stop_list(number))
    pulses: dict[int, tuple[int, int]] = {}
    rates: dict[str, float] = {}
    for output, wanted in wired(outputs, settings):
        if not 0 <= wanted.current_ma <= CURRENT_MAX_MA:
            raise DriverError(f"current_ma {wanted.current_ma}: the device gives 0 to {CURRENT_MAX_MA}")
        if wanted.current_ma < 1:
            continue
        pulses[output] = (_width_us(wanted.phase_us), int(wanted.current_ma))
        rates[wanted.channel] = wanted.rate_hz
    if not pulses:
        return stop
    order = sorted(pulses)
    periods = {channel: _period_us(rate_hz) for channel, rate_hz in rates.items()}
    if len(set(periods.values())) > 1:
        told = ", ".join(f"{channel} {rate_hz:g} Hz" for channel, rate_hz in rates.items())
        raise DriverError(f"{told}: all outputs of a RehaStim2 have one rate")
    init = commands.init_list((number + 1) % 256, order, next(iter(periods.values())))
    start = commands.start_list((number + 2) % 256, [pulses[output] for output in order])
    return stop + frame(init) + frame(start)


def _width_us(phase_us: float) -> int:
    if not PHASE_MIN_US <= phase_us <= PHASE_MAX_US:
        raise DriverError(f"phase_us {phase_us}: the device gives {PHASE_MIN_US} to {PHASE_MAX_US}")
    if phase_us != int(phase_us):
        raise DriverError(f"phase_us {phase_us} cannot be said: the step is 1")
    return int(phase_us)


def _period_us(rate_hz: float) -> int:
    if not RATE_MIN_HZ <= rate_hz <= RATE_MAX_HZ:
        raise DriverError(f"rate_hz {rate_hz}: the device gives {RATE_MIN_HZ:g} to {RATE_MAX_HZ:g}")
    steps = round(1e6 / rate_hz / commands.STEP_US)
    if abs(steps * commands.STEP_US * rate_hz - 1e6) > 1e-3:
        raise DriverError(f"rate_hz {rate_hz} cannot be said: the period is a multiple of 0.5 ms")
    return steps * commands.STEP_US
