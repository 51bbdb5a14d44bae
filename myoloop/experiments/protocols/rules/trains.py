"""Can this device say each train of the protocol, and at which rate: what its steps make of it, and its own encoder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from myoloop.experiments.protocols.envelope import DEFAULTS
from myoloop.experiments.protocols.phases import BlockPhase, CalibrationPhase
from myoloop.experiments.protocols.rigsummary import RigSummary
from myoloop.experiments.protocols.schema import Protocol
from myoloop.platform.messages import ChannelSetting
from myoloop.platform.yamlfile import KeyPath
from myoloop.stimulators.driver import Capabilities
from myoloop.stimulators.gate.limits import round_down, served_rate_hz

Finding = tuple[KeyPath, str, Any]
#: A rate that the device gives is told where it differs by more than this share.
_TOLD = 1e-3


class _Train(NamedTuple):
    """One channel's pulses, as a phase has them, and where the file says width and rate."""

    channel: str
    phase_us: float
    rate_hz: float
    rate_keys: KeyPath


def rates_as_given(protocol: Protocol, rig: RigSummary) -> Iterator[Finding]:
    """What the device makes of each rate: a period is a whole number of its steps, never a shorter one.

    The gate refuses each request whose rate comes out below the envelope's least: where that is the rate itself, as in
    an envelope of one single rate, nothing would ever be given.
    """
    can = rig.device
    if can is None or not can.period_step_us:
        return
    limits = protocol.envelope
    least_hz = (limits.rate_hz or DEFAULTS[limits.waveform_class].rate_hz)[0]
    asked = {train.rate_keys: train.rate_hz for _, _, trains in _phases(protocol) for train in trains}
    for keys, rate_hz in {**asked, **_optimised_rates(protocol)}.items():
        if not can.rate_min_hz <= rate_hz <= can.rate_max_hz:
            continue
        given_hz = served_rate_hz(rate_hz, can.period_step_us)
        found = f"found {rate_hz:g} Hz, {rig.the_device} gives {given_hz:.4g} Hz"
        if given_hz < can.rate_min_hz * (1 - 1e-9):
            yield keys, f"{found}, which is below its least of {can.rate_min_hz:.4g} Hz", "error"
        elif given_hz < least_hz <= rate_hz:
            has = f"{rig.the_device} has {_neighbours(given_hz, can)}"
            text = f"found {rate_hz:.9g} Hz, allowed by the envelope is at least {least_hz:.9g} Hz, and {has}"
            yield keys, text, "error"
        elif given_hz < rate_hz * (1 - _TOLD):
            step_ms = can.period_step_us / 1000
            yield keys, f"{found}: its periods are whole numbers of {step_ms:g} ms", "warning"


def rates_apart(protocol: Protocol, rig: RigSummary) -> Iterator[Finding]:
    """Two rates of an optimisation that the device gives as one would be tried as two."""
    can = rig.device
    if can is None or not can.period_step_us:
        return
    first: dict[tuple[Any, float], float] = {}
    for keys, rate_hz in _optimised_rates(protocol).items():
        given_hz = served_rate_hz(rate_hz, can.period_step_us)
        other_hz = first.setdefault((keys[1], given_hz), rate_hz)
        if other_hz != rate_hz:
            yield (
                keys,
                f"found {rate_hz:g} Hz, {rig.the_device} gives it as {other_hz:g} Hz: {given_hz:.4g} Hz",
                "error",
            )


def rates_at_once(protocol: Protocol, rig: RigSummary) -> Iterator[Finding]:
    """Channels that are on at once have one rate where the device has only one."""
    if rig.device is None or not rig.device.one_rate or protocol.envelope.channels_max == 1:
        return
    for keys, phase, trains in _phases(protocol):
        if isinstance(phase, BlockPhase) and len({train.rate_hz for train in trains}) > 1:
            found = ", ".join(f"{train.channel} at {train.rate_hz:g} Hz" for train in trains)
            yield keys, f"found {found}, {rig.the_device} gives all its outputs one rate", "error"


def currents_as_given(protocol: Protocol, rig: RigSummary) -> Iterator[Finding]:
    """Currents that are none of the device's, or that it could never rise to."""
    if rig.device is None:
        return
    limits, step_ma = protocol.envelope, rig.device.current_step_ma
    has = f"{rig.the_device}'s least step is {step_ma:g} mA"
    if limits.current_max_ma < step_ma * (1 - 1e-9):
        text = f"found {limits.current_max_ma:g} mA, nothing could ever be given: {has}"
        yield ("envelope", "current_max"), text, "error"
    rise_ma = limits.step_ma or max([DEFAULTS[limits.waveform_class].step_ma, *_calibration_steps_ma(protocol)])
    if rise_ma < step_ma * (1 - 1e-9):
        text = f"found {rise_ma:g} mA as the most that current rises by at once, it could never rise: {has}"
        yield ("envelope", "step"), text, "error"
    for index, item in enumerate(protocol.phases):
        phase = item.content
        if isinstance(phase, CalibrationPhase) and phase.start_ma is not None:
            yield from _whole(("phases", index, "calibration", "start"), phase.start_ma, step_ma, has)
        if isinstance(phase, BlockPhase) and phase.intensity.fixed_ma is not None:
            yield from _whole(("phases", index, "block", "intensity", "fixed"), phase.intensity.fixed_ma, step_ma, has)


def encoder_takes_them(protocol: Protocol, rig: RigSummary) -> Iterator[Finding]:
    """The driver's own encoder, asked for each train at its most: alone, and where a block has several at once."""
    can = rig.device
    if can is None or rig.refuses is None:
        return
    for keys, phase, trains in _phases(protocol):
        most_ma = phase.stop_at_ma if isinstance(phase, CalibrationPhase) else protocol.envelope.current_max_ma
        known = [train for train in trains if rig.output(train.channel) is not None and _in_range(train, can)]
        asked = [_setting(train, most_ma, can) for train in known]
        alone = {why: None for setting in asked if (why := rig.refuses((setting,)))}
        together = "" if alone or isinstance(phase, CalibrationPhase) or len(asked) < 2 else rig.refuses(asked)
        if together and protocol.envelope.channels_max != 1 and not _mixed(trains, can):
            alone[together] = None
        yield from ((keys, f"{rig.the_device}: {why}", "error") for why in alone)


RULES = (rates_as_given, rates_apart, rates_at_once, currents_as_given, encoder_takes_them)


def _optimised_rates(protocol: Protocol) -> dict[KeyPath, float]:
    """Each rate that an optimisation may try, by where the file says it."""
    return {
        ("phases", index, "optimise", "rates", place): rate_hz
        for index, item in enumerate(protocol.phases)
        if item.optimise is not None
        for place, rate_hz in enumerate(item.optimise.rates_hz)
    }


def _phases(protocol: Protocol) -> Iterator[tuple[KeyPath, CalibrationPhase | BlockPhase, tuple[_Train, ...]]]:
    """Each phase that stimulates, and once more for each condition of a block that has pulses of its own."""
    for index, item in enumerate(protocol.phases):
        phase = item.content
        if not isinstance(phase, CalibrationPhase | BlockPhase):
            continue
        keys: KeyPath = ("phases", index, item.kind)
        yield keys, phase, _trains(protocol, phase, keys, phase.phase_us, phase.rate_hz)
        for name, condition in phase.conditions.items() if isinstance(phase, BlockPhase) else ():
            if condition.phase_us or condition.rate_hz:
                at: KeyPath = (*keys, "conditions", name)
                phase_us = condition.phase_us or phase.phase_us
                rate_keys = at if condition.rate_hz else keys
                yield at, phase, _trains(protocol, phase, rate_keys, phase_us, condition.rate_hz or phase.rate_hz)


def _trains(
    protocol: Protocol,
    phase: CalibrationPhase | BlockPhase,
    keys: KeyPath,
    phase_us: float | None,
    rate_hz: float | None,
) -> tuple[_Train, ...]:
    found = []
    for name in phase.channels or tuple(protocol.stimulation):
        own = protocol.stimulation.get(name)
        if own is not None:
            rate_keys = (*keys, "rate") if rate_hz else ("stimulation", name, "rate")
            found.append(_Train(name, phase_us or own.phase_us, rate_hz or own.rate_hz, rate_keys))
    return tuple(found)


def _neighbours(given_hz: float, can: Capabilities) -> str:
    """The rates next to one that the device cannot count: the one that it would give, and the next quicker one."""
    quicker_us = 1e6 / given_hz - can.period_step_us
    quicker_hz = 1e6 / quicker_us if quicker_us > 0 else float("inf")
    rates = f"{given_hz:.6g}" + (f" and {quicker_hz:.6g}" if quicker_hz <= can.rate_max_hz * (1 + 1e-9) else "")
    return f"{rates} Hz: its periods are whole numbers of {can.period_step_us / 1000:g} ms"


def _in_range(train: _Train, can: Capabilities) -> bool:
    """Whether nothing else has been said against it already."""
    return (
        can.phase_min_us <= train.phase_us <= can.phase_max_us and can.rate_min_hz <= train.rate_hz <= can.rate_max_hz
    )


def _mixed(trains: Sequence[_Train], can: Capabilities) -> bool:
    return can.one_rate and len({train.rate_hz for train in trains}) > 1


def _setting(train: _Train, most_ma: float, can: Capabilities) -> ChannelSetting:
    current_ma = round_down(min(most_ma, can.current_max_ma), can.current_step_ma)
    rate_hz = served_rate_hz(train.rate_hz, can.period_step_us)
    return ChannelSetting(channel=train.channel, current_ma=current_ma, phase_us=train.phase_us, rate_hz=rate_hz)


def _calibration_steps_ma(protocol: Protocol) -> list[float]:
    return [phase.calibration.step_ma for phase in protocol.phases if phase.calibration]


def _whole(keys: KeyPath, found_ma: float, step_ma: float, has: str) -> Iterator[Finding]:
    given_ma = round_down(found_ma * (1 + 1e-9), step_ma)
    if abs(given_ma - found_ma) > 1e-6 * found_ma:
        yield keys, f"found {found_ma:g} mA, given would be {given_ma:g} mA: {has}", "warning"
