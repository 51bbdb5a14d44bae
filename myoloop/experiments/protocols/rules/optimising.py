"""Can an optimisation of settings be given, and is what it chooses used as it may be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from myoloop.experiments.protocols.envelope import DEFAULTS
from myoloop.experiments.protocols.phases import OPTIMUM, BlockPhase, Condition, OptimisePhase
from myoloop.experiments.protocols.plan import calibrated_pulses, optimise_timing_of
from myoloop.experiments.protocols.rigsummary import RigSummary
from myoloop.experiments.protocols.schema import Protocol
from myoloop.platform.yamlfile import KeyPath
from myoloop.stimulators.gate.ceilings import CEILINGS, TETANIC_ABOVE_HZ

Finding = tuple[KeyPath, str, Any]
_NEEDED = frozenset({"motor", "tolerance"})


def thresholds_are_known(protocol: Protocol) -> Iterator[Finding]:
    """Motor threshold and tolerance of every pad are measured before, with pulses that are among those to choose from.

    Given thresholds will not do: they say nothing of single pads.
    """
    for index, phase in _phases(protocol):
        keys: KeyPath = ("phases", index, "optimise")
        yield from _channels_exist(protocol, keys, phase)
        known = {
            name: set(item.calibration.order)
            for item in protocol.phases[:index]
            if item.calibration is not None
            for name in item.calibration.channels or protocol.stimulation
        }
        for pulse in calibrated_pulses(protocol, _channels(protocol, phase), index):
            missing = sorted(_NEEDED - known.get(pulse.channel, set()))
            if missing and protocol.thresholds is None:
                text = f"no calibration before it finds the {' and '.join(missing)} threshold of {pulse.channel}"
                yield keys, text, "error"
            for key, value, among, unit in (
                ("phases", pulse.phase_us, phase.phases_us, "us"),
                ("rates", pulse.rate_hz, phase.rates_hz, "Hz"),
            ):
                if among and value not in among:
                    text = f"{value:g} {unit}, with which {pulse.channel} is calibrated, is missing: it begins there"
                    yield (*keys, key), text, "error"


def response_can_be_seen(protocol: Protocol) -> Iterator[Finding]:
    """Movement needs an IMU, an M-wave the EMG of the muscle under the pads."""
    for index, phase in _phases(protocol):
        keys: KeyPath = ("phases", index, "optimise", "response")
        if phase.response == "movement" and protocol.devices.imu is None:
            yield keys, "found movement, but devices has no imu", "error"
        rested = any(item.rest is not None and item.rest.baseline for item in protocol.phases[:index])
        if phase.response == "movement" and not rested:
            text = "no rest phase with baseline before it: movement can only be told from a rest that was seen"
            yield keys, text, "error"
        for name in _channels(protocol, phase) if phase.response == "mwave" else ():
            site = protocol.stimulation[name].site
            if site not in protocol.devices.emg.channels:
                yield keys, f"found mwave, but devices.emg.channels has no {site}, on which {name} is", "error"


def settings_within_envelope(protocol: Protocol) -> Iterator[Finding]:
    """Widths and rates lie within the envelope, trains within its ramp, longest train and duty."""
    limits, default = protocol.envelope, DEFAULTS[protocol.envelope.waveform_class]
    ceiling = CEILINGS[limits.waveform_class]
    for index, phase in _phases(protocol):
        keys: KeyPath = ("phases", index, "optimise")
        for key, values, span, unit in (
            ("phases", phase.phases_us, limits.phase_us or default.phase_us, "us"),
            ("rates", phase.rates_hz, limits.rate_hz or default.rate_hz, "Hz"),
        ):
            for place, value in enumerate(values):
                if not span[0] <= value <= span[1]:
                    text = f"found {value:g} {unit}, allowed by the envelope is {span[0]:g} to {span[1]:g} {unit}"
                    yield (*keys, key, place), text, "error"
        timing = optimise_timing_of(phase)
        ramp_s = limits.ramp_min_s or default.known_ground_ramp_s_min
        if phase.ramp_up_s < ramp_s:
            text = f"found {phase.ramp_up_s:g} s, allowed by the envelope is at least {ramp_s:g} s"
            yield (*keys, "ramp_up"), text, "error"
        on_max_s = limits.on_max_s or default.on_s_max or ceiling.on_s_max
        rates_hz = phase.rates_hz or tuple(channel.rate_hz for channel in protocol.stimulation.values())
        if max(rates_hz) <= TETANIC_ABOVE_HZ or on_max_s is None:
            continue
        if timing.on_s > on_max_s:
            text = f"found {timing.on_s:g} s on with its ramps, allowed by the envelope's on_max is {on_max_s:g} s"
            yield (*keys, "hold"), text, "error"
        duty, duty_max = timing.on_s / timing.shortest_s, limits.duty_max or default.duty_max
        if duty > duty_max * (1 + 1e-9):
            text = f"found {duty:.0%} duty, allowed by the envelope's duty_max is {duty_max:.0%}"
            yield (*keys, "rest"), text, "error"


def choice_is_used_well(protocol: Protocol) -> Iterator[Finding]:
    """A block at the optimum follows an optimisation, is no stronger, and names no pulses of its own."""
    optimised = False
    for index, item in enumerate(protocol.phases):
        optimised = optimised or item.optimise is not None
        block = item.block
        if block is None:
            continue
        keys: KeyPath = ("phases", index, "block")
        asked: list[tuple[KeyPath, BlockPhase | Condition]] = [(keys, block)]
        asked += [((*keys, "conditions", name), each) for name, each in block.conditions.items()]
        for at, each in asked:
            wanted = each.intensity
            if wanted is None or wanted.ref != OPTIMUM:
                continue
            if not optimised:
                yield (*at, "intensity"), "found optimum, but no optimise phase comes before it", "error"
            if wanted.x is not None and wanted.x > 1.0:
                text = f"found {wanted.x:g} x optimum, allowed is at most 1: no more has been tried"
                yield (*at, "intensity", "x"), text, "error"
            for key, value in (("phase", each.phase_us), ("rate", each.rate_hz)):
                if value is not None:
                    text = f"found a {key} beside the optimum, which brings its own: leave it out"
                    yield (*at, key), text, "error"


def no_arm_shows(protocol: Protocol) -> Iterator[Finding]:
    """Trains of an optimisation are given as those of a block are: where a sham gives nothing, nothing would answer."""
    shams = [name for name, arm in protocol.arms.items() if arm.treatment == "sham"]
    for index, _ in _phases(protocol):
        if shams:
            text = (
                f"found with the arm {shams[0]}, a sham: its trains would move nothing, and show the arm; allowed is a "
                "session before the arms begin"
            )
            yield ("phases", index, "optimise"), text, "error"


def device_gives_them(protocol: Protocol, rig: RigSummary) -> Iterator[Finding]:
    """Every width and rate is one that the device gives."""
    can = rig.device
    if can is None:
        return
    for index, phase in _phases(protocol):
        for key, values, least, most, step, unit in (
            ("phases", phase.phases_us, can.phase_min_us, can.phase_max_us, can.phase_step_us, "us"),
            ("rates", phase.rates_hz, can.rate_min_hz, can.rate_max_hz, can.rate_step_hz, "Hz"),
        ):
            for place, value in enumerate(values):
                keys: KeyPath = ("phases", index, "optimise", key, place)
                if not least <= value <= most:
                    text = f"found {value:g} {unit}, {rig.the_device} gives {least:g} to {most:g} {unit}"
                    yield keys, text, "error"
                elif step > 0 and abs(value / step - round(value / step)) > 1e-6:
                    text = (
                        f"found {value:.9g} {unit}, allowed is a whole number of {rig.the_device}'s steps of "
                        f"{step:g} {unit}"
                    )
                    yield keys, text, "error"


RULES = (thresholds_are_known, response_can_be_seen, settings_within_envelope, choice_is_used_well, no_arm_shows)
RIG_RULES = (device_gives_them,)


def _phases(protocol: Protocol) -> Iterator[tuple[int, OptimisePhase]]:
    for index, item in enumerate(protocol.phases):
        if item.optimise is not None:
            yield index, item.optimise


def _channels(protocol: Protocol, phase: OptimisePhase) -> tuple[str, ...]:
    return tuple(name for name in phase.channels or protocol.stimulation if name in protocol.stimulation)


def _channels_exist(protocol: Protocol, keys: KeyPath, phase: OptimisePhase) -> Iterator[Finding]:
    allowed = ", ".join(protocol.stimulation)
    for place, name in enumerate(phase.channels):
        if name not in protocol.stimulation:
            text = f"found {name!r}, allowed is a channel of stimulation: {allowed}"
            yield (*keys, "channels", place), text, "error"
