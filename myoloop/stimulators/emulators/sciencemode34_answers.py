"""Fields of the answers of ScienceMode 3 and 4, behind the result code."""

from __future__ import annotations

import math
from collections.abc import Mapping

from myoloop.stimulators.emulators.sciencemode34_fields import CODES_PER_MA, NO_MEASUREMENT, Profile, Shape

SAMPLES = 128
STIM_CURRENT, STIM_VOLTAGE = 1, 2
#: Fields of answers that are as long whatever they say, by request.
_LENGTHS = {50: 6, 52: 10, 54: 3, 62: 2, 68: 12}
_LL_CHANNEL_CONFIG, _ML_GET_CURRENT_DATA = 2, 36
_DATA_LENGTHS = {2: 1, 3: 2, 4: 5}
#: Ml_get_current_data, selection 4: 1 electrode error, 2 pulse time-out, 3 pulse low current, by result code.
_CHANNEL_STATES = {10: 1, 16: 2, 28: 3}
_BATTERY_PERCENT, _BATTERY_MV = 80, 7400


def empty_fields(profile: Profile, request: int, payload: bytes) -> bytes:
    """Fields of an answer that refuses: zeros, but for what names the channel or the selection."""
    if request == _LL_CHANNEL_CONFIG:
        channel = payload[0] >> 5 & 3 if payload else 0
        connector = payload[0] >> 4 & 1 if payload else 0
        return _channel_bytes(profile, connector, channel)
    if request == _ML_GET_CURRENT_DATA:
        selection = payload[0] if payload else 0
        return bytes((selection,)) + bytes(_DATA_LENGTHS.get(selection, 0))
    return bytes(_LENGTHS.get(request, 0))


def identity_fields(profile: Profile, request: int) -> bytes:
    """Fields of the answers to Get_version_main, Get_device_id, Get_battery_status and Get_extended_version."""
    versions = bytes((*profile.firmware, *profile.protocol))
    return {
        50: versions,
        52: profile.device_id,
        54: bytes((_BATTERY_PERCENT,)) + _BATTERY_MV.to_bytes(2, "big"),
        # no hash
        68: versions + bytes(6),
    }[request]


def channel_fields(
    profile: Profile,
    output: int,
    measurement: int = NO_MEASUREMENT,
    shape: Shape | None = None,
    load_ohm: float = 0.0,
    volts: int = 0,
) -> bytes:
    """Fields of Ll_channel_config_ack: the channel, and what was measured of the pulse where something was."""
    named = _channel_bytes(profile, output // profile.outputs_per_connector, output % profile.outputs_per_connector)
    if measurement == NO_MEASUREMENT or shape is None:
        return named
    step_us = max(1, math.ceil(shape.total_us / SAMPLES))
    samples = b"".join(
        _sample(measurement, _current_ma(shape, k * step_us), load_ohm, volts).to_bytes(2, "big")
        for k in range(SAMPLES)
    )
    return named[:-1] + bytes((measurement,)) + step_us.to_bytes(2, "big") + samples


def state_fields(selection: int, mask: int, running: bool, errors: Mapping[int, int]) -> bytes:
    """Fields of Ml_get_current_data_ack."""
    if selection == 4:
        nibbles = [_CHANNEL_STATES[errors[output]] if output in errors else 0 for output in range(8)]
        pairs = zip(nibbles[::2], nibbles[1::2], strict=True)
        return bytes((selection, mask, *(even | odd << 4 for even, odd in pairs)))
    groups = range({2: 1, 3: 2}[selection])
    # assumption: any error counts as an electrode error here, and each byte says of the device whether it runs
    return bytes((selection,)) + bytes(
        (running << 4) | sum(1 << bit for bit in range(4) if group * 4 + bit in errors) for group in groups
    )


def _channel_bytes(profile: Profile, connector: int, channel: int) -> bytes:
    # The P24 names the measurement behind it; the RehaMove3 has none.
    named = bytes((connector << 4 | channel,))
    return named + bytes((NO_MEASUREMENT,)) if profile.measures else named


def _current_ma(shape: Shape, t_us: int) -> float:
    """Amplitude `t_us` after the start of the pulse."""
    at_us = shape.lead_us
    if t_us < at_us:
        return 0.0
    for width_us, half_ma in shape.points:
        at_us += width_us
        if t_us < at_us:
            return abs(half_ma) / CODES_PER_MA
    return 0.0


def _sample(measurement: int, current_ma: float, load_ohm: float, volts: int) -> int:
    """One sample; assumption: in hundredths of mA or V, without sign."""
    if measurement == STIM_CURRENT:
        value = current_ma if math.isfinite(load_ohm) else 0.0
    elif measurement == STIM_VOLTAGE:
        value = current_ma * load_ohm / 1000 if math.isfinite(load_ohm) else float(volts if current_ma else 0)
    else:
        value = float(volts)
    return min(round(value * 100), 0xFFFF)
