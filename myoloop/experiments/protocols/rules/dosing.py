"""Is it too much: against the ceilings of the waveform class and the protocol's own envelope."""

from __future__ import annotations

from collections.abc import Iterator
from math import sqrt
from typing import Any

from myoloop.experiments.protocols.envelope import DEFAULTS, TOLERANCE_SHARE
from myoloop.experiments.protocols.phases import BlockPhase, CalibrationPhase, Intensity
from myoloop.experiments.protocols.plan import ascent_of, optimise_timing_of, timing_of
from myoloop.experiments.protocols.schema import Protocol
from myoloop.platform.yamlfile import KeyPath
from myoloop.stimulators.gate.ceilings import (
    CALIBRATION_STEP_NS,
    CEILINGS,
    CONTACT_FRACTION,
    LOAD_OHM,
    PAD_AREA_MIN_CM2,
    PAUSE_RAMP_MAX_S,
    SENSOR_AGE_MAX_MS,
    TETANIC_ABOVE_HZ,
)
from myoloop.stimulators.gate.limits import rms_factor

#: What a burst lasts beyond the time in which the gate lets it reach its level.
BURST_MARGIN_S = 0.1

Finding = tuple[KeyPath, str, Any]


def envelope_within_class(protocol: Protocol) -> Iterator[Finding]:
    """No limit of the envelope is wider than its waveform class allows."""
    limits, ceiling = protocol.envelope, CEILINGS[protocol.envelope.waveform_class]
    most: tuple[tuple[str, float | None, float | None, str], ...] = (
        ("current_max", limits.current_max_ma, ceiling.current_ma, "mA"),
        ("current_calibrating", limits.current_calibrating_ma, ceiling.current_ma, "mA"),
        ("charge_max", limits.charge_max_uc, ceiling.charge_per_phase_uc, "uC"),
        ("rms_max", limits.rms_max_ma, ceiling.rms_ma, "mA"),
        ("density_max", limits.density_max_ma_cm2, ceiling.rms_density_ma_cm2, "mA_rms/cm2"),
        ("power_density_max", limits.power_density_max_w_cm2, ceiling.power_density_w_cm2, "W/cm2"),
        ("channels_max", limits.channels_max, ceiling.channels_max, "channels"),
        ("on_max", limits.on_max_s, ceiling.on_s_max, "s"),
        ("duty_max", limits.duty_max, ceiling.duty_max, "of the time"),
        ("total_on", limits.total_on_s, ceiling.session_s_max, "s"),
        ("step", limits.step_ma, ceiling.step_ma, "mA"),
        ("slew", limits.slew_ma_per_s, ceiling.new_ground_ma_per_s, "mA/s"),
        ("pause_ramp", limits.pause_ramp_s, PAUSE_RAMP_MAX_S, "s"),
        ("sensor_age", limits.sensor_age_ms, SENSOR_AGE_MAX_MS, "ms"),
    )
    for key, found, allowed, unit in most:
        if found is not None and allowed is not None and found > allowed:
            text = f"found {found:g} {unit}, allowed for {limits.waveform_class} is at most {allowed:g} {unit}"
            yield ("envelope", key), text, "error"
    if limits.ramp_min_s is not None and limits.ramp_min_s < ceiling.known_ground_ramp_s_min:
        text = f"found {limits.ramp_min_s:g} s, allowed is at least {ceiling.known_ground_ramp_s_min:g} s"
        yield ("envelope", "ramp_min"), text, "error"
    for key, span, bounds, unit in (
        ("phase", limits.phase_us, ceiling.phase_us, "us"),
        ("rate", limits.rate_hz, ceiling.rate_hz, "Hz"),
    ):
        if span is not None and not bounds[0] <= span[0] <= span[1] <= bounds[1]:
            allowed_text = f"allowed for {limits.waveform_class} is within {bounds[0]:g} to {bounds[1]:g} {unit}"
            yield ("envelope", key), f"found {span[0]:g} to {span[1]:g} {unit}, {allowed_text}", "error"
    if limits.on_max_s is None and ceiling.on_s_max is None and (limits.duty_max or 1.0) < 1.0:
        yield ("envelope", "duty_max"), "found a duty limit without on_max, which it is counted in", "error"


def pulses_within_envelope(protocol: Protocol) -> Iterator[Finding]:
    """Width and rate of every pulse that is planned."""
    default = DEFAULTS[protocol.envelope.waveform_class]
    phase_us = protocol.envelope.phase_us or default.phase_us
    rate_hz = protocol.envelope.rate_hz or default.rate_hz
    for keys, width_us, rate in _pulses(protocol):
        if width_us is not None and not phase_us[0] <= width_us <= phase_us[1]:
            allowed = f"allowed by the envelope is {phase_us[0]:g} to {phase_us[1]:g} us"
            yield (*keys, "phase"), f"found {width_us:g} us, {allowed}", "error"
        if rate is not None and not rate_hz[0] <= rate <= rate_hz[1]:
            allowed = f"allowed by the envelope is {rate_hz[0]:g} to {rate_hz[1]:g} Hz"
            yield (*keys, "rate"), f"found {rate:g} Hz, {allowed}", "error"


def density_over_the_pad(protocol: Protocol) -> Iterator[Finding]:
    """At the most current the protocol may reach, half of the pad sticking, density, charge and r.m.s. are allowed."""
    limits, default = protocol.envelope, DEFAULTS[protocol.envelope.waveform_class]
    density = limits.density_max_ma_cm2 or default.rms_density_ma_cm2
    power = limits.power_density_max_w_cm2 or CEILINGS[limits.waveform_class].power_density_w_cm2
    for name, channel in protocol.stimulation.items():
        site = protocol.sites.get(channel.site)
        if site is None or site.pad_area_cm2 is None:
            continue
        if site.pad_area_cm2 < PAD_AREA_MIN_CM2:
            text = f"found {site.pad_area_cm2:g} cm2, allowed is at least {PAD_AREA_MIN_CM2:g} cm2"
            yield ("sites", channel.site, "pad"), text, "error"
        factor = max(rms_factor(width, rate) for width, rate in _used(protocol, name))
        contact_cm2 = site.pad_area_cm2 * CONTACT_FRACTION
        found = limits.current_max_ma * factor / contact_cm2
        allowed = min(density, sqrt(power * contact_cm2 / LOAD_OHM) * 1e3 / contact_cm2)
        if found > allowed * (1 + 1e-9):
            text = (
                f"found {found:.2f} mA_rms/cm2 for {name} at {limits.current_max_ma:g} mA with half of "
                f"{site.pad_area_cm2:g} cm2 sticking, allowed is {allowed:.2g} mA_rms/cm2: a larger pad or less current"
            )
            yield ("sites", channel.site, "pad"), text, "error"


def charge_and_rms_leave_the_current(protocol: Protocol) -> Iterator[Finding]:
    """A current that another limit never lets through is worth a word."""
    limits, default = protocol.envelope, DEFAULTS[protocol.envelope.waveform_class]
    charge_uc = limits.charge_max_uc or default.charge_per_phase_uc
    rms_ma = limits.rms_max_ma or default.rms_ma
    for name in protocol.stimulation:
        for width_us, rate_hz in sorted(_used(protocol, name)):
            least_ma = min(charge_uc * 1e3 / width_us, rms_ma / rms_factor(width_us, rate_hz))
            if least_ma < limits.current_max_ma * (1 - 1e-9):
                text = (
                    f"found {limits.current_max_ma:g} mA, but {name} at {width_us:g} us and {rate_hz:g} Hz is held "
                    f"to {least_ma:.3g} mA by charge or r.m.s. current"
                )
                yield ("envelope", "current_max"), text, "warning"


def trains_within_duty(protocol: Protocol) -> Iterator[Finding]:
    """On-time and duty of tetanic trains and calibration bursts, ramps counted, and all of them together."""
    limits, default = protocol.envelope, DEFAULTS[protocol.envelope.waveform_class]
    on_max_s = limits.on_max_s or default.on_s_max
    duty_max = limits.duty_max or default.duty_max
    total_s = 0.0
    for index, item in enumerate(protocol.phases):
        block = item.block
        if isinstance(item.content, CalibrationPhase):
            total_s += _most_on_s(protocol, item.content)
            duty = item.content.burst_s / item.content.interval_s
            tetanic = any(rate > TETANIC_ABOVE_HZ for rate in _rates(protocol, item.content))
            if tetanic and on_max_s is not None and duty > duty_max * (1 + 1e-9):
                text = (
                    f"found {item.content.interval_s:g} s with bursts of {item.content.burst_s:g} s, {duty:.0%} duty: "
                    f"the gate would cut steps short, allowed by the envelope's duty_max is {duty_max:.0%}"
                )
                yield ("phases", index, "calibration", "interval"), text, "error"
        if item.optimise is not None:
            total_s += optimise_timing_of(item.optimise).on_s * item.optimise.trials
        if block is None:
            continue
        timing = timing_of(protocol, block)
        keys: KeyPath = ("phases", index, "block")
        planned_s = timing.on_s * block.trials * block.repeat
        total_s += min(planned_s, block.at_most_s * timing.on_s / timing.shortest_s) if block.at_most_s else planned_s
        tetanic = any(rate > TETANIC_ABOVE_HZ for rate in _rates(protocol, block))
        if not tetanic or on_max_s is None:
            continue
        if timing.on_s > on_max_s:
            text = f"found {timing.on_s:g} s on with its ramps, allowed by the envelope's on_max is {on_max_s:g} s"
            yield (*keys, "hold"), text, "error"
        duty = timing.on_s / timing.shortest_s
        if (block.trials > 1 or block.repeat > 1) and duty > duty_max * (1 + 1e-9):
            text = (
                f"found {duty:.0%} duty ({timing.on_s:g} s on, {timing.shortest_s - timing.on_s:g} s off), "
                f"allowed by the envelope's duty_max is {duty_max:.0%}"
            )
            yield (*keys, "rest"), text, "error"
    allowed_s = limits.total_on_s or default.session_s * duty_max
    if total_s > allowed_s * (1 + 1e-9):
        text = (
            f"calibration and blocks plan up to {total_s:g} s on, allowed by the envelope's total_on is {allowed_s:g} s"
        )
        yield ("envelope", "total_on"), text, "error"


def ramps_and_intensity(protocol: Protocol) -> Iterator[Finding]:
    """Ramps are not steeper, intensity is not higher than the envelope lets through."""
    limits, default = protocol.envelope, DEFAULTS[protocol.envelope.waveform_class]
    ramp_s = limits.ramp_min_s or default.known_ground_ramp_s_min
    for index, item in enumerate(protocol.phases):
        block = item.block
        if block is None:
            continue
        keys: KeyPath = ("phases", index, "block")
        if block.ramp_up_s < ramp_s:
            text = f"found {block.ramp_up_s:g} s, allowed by the envelope is at least {ramp_s:g} s"
            yield (*keys, "ramp_up"), text, "error"
        for below, each in block.variants():
            yield from _intensity(protocol, (*keys, *below, "intensity"), each.intensity)


def tens_moves_nothing(protocol: Protocol) -> Iterator[Finding]:
    """TENS at a tetanic rate is felt and contracts nothing: its intensity is of the sensory threshold.

    Single twitches, at lower rates, are what the motor threshold is for in this class; contractions are `nmes`.
    """
    if protocol.envelope.waveform_class != "tens":
        return
    for index, item in enumerate(protocol.phases):
        block = item.block
        if block is None:
            continue
        own_hz = max(_rates(protocol, block), default=0.0)
        keys: KeyPath = ("phases", index, "block")
        asked = [((*keys, "intensity"), block.intensity, own_hz)] if len(block.conditions) == 0 else []
        for name, condition in block.conditions.items():
            place: KeyPath = (*keys, "conditions", name, "intensity")
            where = place if condition.intensity is not None else (*keys, "intensity")
            asked.append((where, condition.intensity or block.intensity, condition.rate_hz or own_hz))
        for where, wanted, rate_hz in asked:
            if rate_hz > TETANIC_ABOVE_HZ and wanted.ref in ("motor", "tolerance"):
                text = (
                    f"found the {wanted.ref} threshold at {rate_hz:g} Hz, which is a contraction: allowed for tens "
                    f"above {TETANIC_ABOVE_HZ:g} Hz is ref: sensory"
                )
                yield (*where, "ref"), text, "error"


def calibration_within_class(protocol: Protocol) -> Iterator[Finding]:
    """Steps of a calibration are acts far enough apart, and end where the class does."""
    limits = protocol.envelope
    default, ceiling = DEFAULTS[limits.waveform_class], CEILINGS[limits.waveform_class]
    most_ma = min(limits.current_calibrating_ma or default.current_calibrating_ma, ceiling.current_ma)
    step_ma = min(limits.step_ma or ceiling.step_ma, ceiling.step_ma)
    for index, item in enumerate(protocol.phases):
        calibration = item.calibration
        if calibration is None:
            continue
        keys: KeyPath = ("phases", index, "calibration")
        if calibration.interval_s * 1e9 < CALIBRATION_STEP_NS:
            text = f"found {calibration.interval_s:g} s, allowed is at least {CALIBRATION_STEP_NS * 1e-9:g} s"
            yield (*keys, "interval"), text, "error"
        reach_s = _reach_s(protocol, calibration)
        if calibration.burst_s < reach_s * (1 - 1e-9):
            text = (
                f"found {calibration.burst_s:g} s, allowed is at least {reach_s:.2g} s: the ramp on known ground, the "
                f"step at the envelope's slew, {BURST_MARGIN_S:g} s to be felt"
            )
            yield (*keys, "burst"), text, "error"
        if calibration.stop_at_ma > most_ma:
            text = f"found {calibration.stop_at_ma:g} mA, allowed while calibrating is at most {most_ma:g} mA"
            yield (*keys, "stop_at"), text, "error"
        if calibration.step_ma > step_ma:
            text = f"found {calibration.step_ma:g} mA, allowed by envelope and class is at most {step_ma:g} mA"
            yield (*keys, "step"), text, "error"


def class_fits_device(protocol: Protocol) -> Iterator[Finding]:
    """Microcurrent needs a microampere device, and a step that can say it."""
    microcurrent = protocol.envelope.waveform_class == "microcurrent"
    device = protocol.devices.stim
    if microcurrent != (device.device_class == "uA"):
        wanted = "uA" if microcurrent else "mA"
        text = f"found {device.device_class}, allowed for {protocol.envelope.waveform_class} is {wanted}"
        yield ("devices", "stim", "class"), text, "error"
    for index, item in enumerate(protocol.phases):
        calibration = item.calibration
        if calibration is not None and not _multiple(calibration.step_ma, device.min_step_ma):
            found = protocol.written(("phases", index, "calibration", "step")) or f"{calibration.step_ma:g} mA"
            text = (
                f"found {found}, allowed is a whole number of the device's least steps of "
                f"{device.min_step_ma:g} mA (devices.stim.min_step)"
            )
            yield ("phases", index, "calibration", "step"), text, "error"


RULES = (
    envelope_within_class,
    pulses_within_envelope,
    density_over_the_pad,
    charge_and_rms_leave_the_current,
    trains_within_duty,
    ramps_and_intensity,
    tens_moves_nothing,
    calibration_within_class,
    class_fits_device,
)


def _intensity(protocol: Protocol, keys: KeyPath, wanted: Intensity) -> Iterator[Finding]:
    limits = protocol.envelope
    if wanted.fixed_ma is not None:
        if limits.waveform_class != "microcurrent":
            text = f"found {wanted.fixed_ma:g} mA as a fixed current, allowed for microcurrent only: give ref and x"
            yield (*keys, "fixed"), text, "error"
        if wanted.fixed_ma > limits.current_max_ma:
            text = f"found {wanted.fixed_ma:g} mA, the envelope's current_max is {limits.current_max_ma:g} mA"
            yield (*keys, "fixed"), text, "error"
    if wanted.ref == "tolerance" and wanted.x is not None and wanted.x > TOLERANCE_SHARE:
        text = f"found {wanted.x:g} x tolerance, allowed is at most {TOLERANCE_SHARE:g} x tolerance"
        yield (*keys, "x"), text, "error"


def _pulses(protocol: Protocol) -> Iterator[tuple[KeyPath, float | None, float | None]]:
    for name, channel in protocol.stimulation.items():
        yield ("stimulation", name), channel.phase_us, channel.rate_hz
    for index, item in enumerate(protocol.phases):
        if isinstance(item.content, BlockPhase | CalibrationPhase):
            yield ("phases", index, item.kind), item.content.phase_us, item.content.rate_hz
        for name, condition in item.block.conditions.items() if item.block is not None else ():
            yield ("phases", index, "block", "conditions", name), condition.phase_us, condition.rate_hz


def _reach_s(protocol: Protocol, calibration: CalibrationPhase) -> float:
    """How long a burst takes to reach a new level, and for the gate to count it as known."""
    limits, default = protocol.envelope, DEFAULTS[protocol.envelope.waveform_class]
    slew = limits.slew_ma_per_s or default.new_ground_ma_per_s
    known_s = max([calibration.step_ma / slew, *(1.0 / rate for rate in _rates(protocol, calibration))])
    return (limits.ramp_min_s or default.known_ground_ramp_s_min) + known_s + BURST_MARGIN_S


def _used(protocol: Protocol, channel: str) -> set[tuple[float, float]]:
    """(width in us, rate in Hz) of every pulse that a channel gives in a block; its own where no block names it."""
    own = protocol.stimulation[channel]
    used = {
        (block.phase_us or own.phase_us, block.rate_hz or own.rate_hz)
        for item in protocol.phases
        if item.block is not None and (not item.block.channels or channel in item.block.channels)
        for _, block in item.block.variants()
    }
    return used or {(own.phase_us, own.rate_hz)}


def _rates(protocol: Protocol, phase: BlockPhase | CalibrationPhase) -> list[float]:
    given = [each for _, each in phase.variants()] if isinstance(phase, BlockPhase) else [phase]
    return [each.rate_hz or protocol.stimulation[name].rate_hz for each in given for name in _channels(protocol, phase)]


def _channels(protocol: Protocol, phase: BlockPhase | CalibrationPhase) -> list[str]:
    return [name for name in phase.channels or protocol.stimulation if name in protocol.stimulation]


def _most_on_s(protocol: Protocol, calibration: CalibrationPhase) -> float:
    """How long a calibration is on if no step is the last one before the highest."""
    steps = max(ascent_of(calibration).steps, 0) * calibration.repeats * len(_channels(protocol, calibration))
    return steps * calibration.burst_s


def _multiple(value: float, step: float) -> bool:
    steps = value / step
    return steps > 0.5 and abs(steps - round(steps)) < 1e-6
