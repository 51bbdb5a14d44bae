"""Can this rig serve it: its class, its channels and their rates, its device."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from myoloop.experiments.protocols.phases import BlockPhase, CalibrationPhase
from myoloop.experiments.protocols.rigsummary import RigSummary
from myoloop.experiments.protocols.schema import Protocol
from myoloop.platform.yamlfile import KeyPath
from myoloop.stimulators.gate.ceilings import PAD_AREA_MIN_CM2

Finding = tuple[KeyPath, str, Any]


def class_of_rig(protocol: Protocol, rig: RigSummary) -> Iterator[Finding]:
    """The protocol may run on a rig of this class."""
    if rig.rig_class not in protocol.protocol.rigs:
        allowed = ", ".join(protocol.protocol.rigs)
        keys: KeyPath = ("protocol", "rigs")
        yield keys, f"the rig {rig.name} is {rig.rig_class}, allowed for this protocol is {allowed}", "error"
    if protocol.thresholds is not None and rig.rig_class == "HUMAN":
        yield ("thresholds",), f"given instead of measured, the rig {rig.name} is HUMAN", "error"
    if protocol.envelope.waveform_class == "microcurrent" and rig.rig_class == "HUMAN":
        text = "microcurrent runs on SIM and BENCH rigs only: no supported device reads back so small a current"
        yield ("envelope", "waveform_class"), text, "error"


def inputs(protocol: Protocol, rig: RigSummary) -> Iterator[Finding]:
    """EMG of every muscle at the rate needed; an IMU where it is not optional."""
    wanted = protocol.devices.emg
    had = ", ".join(channel.name for channel in rig.inputs if channel.kind == "emg") or "none"
    for index, name in enumerate(wanted.channels):
        channel = rig.input("emg", name)
        keys: KeyPath = ("devices", "emg", "channels", index)
        if channel is None:
            yield keys, f"the rig {rig.name} has no EMG channel {name!r}, it has {had}", "error"
        elif channel.rate_hz is not None and channel.rate_hz < wanted.min_rate_hz:
            text = f"found {wanted.min_rate_hz:g} Hz, the rig {rig.name} acquires {name} at {channel.rate_hz:g} Hz"
            yield ("devices", "emg", "min_rate"), text, "error"
    if protocol.devices.force is not None and rig.input("force") is None:
        yield ("devices", "force"), f"the rig {rig.name} has no force cell", "error"
    imu = protocol.devices.imu
    if imu is not None and rig.input("imu") is None:
        severity = "warning" if imu.optional else "error"
        yield ("devices", "imu"), f"the rig {rig.name} has no IMU", severity


def outputs(protocol: Protocol, rig: RigSummary) -> Iterator[Finding]:
    """Every stimulation channel, with a pad as large as planned."""
    had = ", ".join(channel.name for channel in rig.outputs) or "none"
    for name, channel in protocol.stimulation.items():
        output = rig.output(name)
        if output is None:
            yield (
                ("stimulation", name),
                f"the rig {rig.name} has no stimulation channel {name!r}, it has {had}",
                "error",
            )
            continue
        if rig.device is not None and output.output >= rig.device.outputs:
            text = (
                f"is output {output.output} of the rig {rig.name}, {rig.the_device} has 0 to {rig.device.outputs - 1}"
            )
            yield ("stimulation", name), text, "error"
        site = protocol.sites.get(channel.site)
        planned_cm2 = site.pad_area_cm2 if site is not None else None
        least_cm2 = max(PAD_AREA_MIN_CM2, planned_cm2 or 0.0)
        if output.pad_area_cm2 < least_cm2 * (1 - 1e-9):
            text = f"needs {least_cm2:g} cm2, the rig {rig.name} has a pad of {output.pad_area_cm2:g} cm2 for {name}"
            yield ("sites", channel.site, "pad"), text, "error"


def device(protocol: Protocol, rig: RigSummary) -> Iterator[Finding]:
    """Currents, steps, widths and rates that the stimulator can give."""
    if rig.device is None:
        yield ("devices", "stim"), f"the rig {rig.name} has no stimulator", "error"
        return
    can = rig.device
    at_least = f"allowed is at least {can.current_step_ma:g} mA: {rig.the_device}'s least step"
    stim = protocol.devices.stim
    if stim.min_step_ma < can.current_step_ma * (1 - 1e-9):
        yield ("devices", "stim", "min_step"), f"found {stim.min_step_ma:g} mA, {at_least}", "error"
    if protocol.envelope.current_max_ma > can.current_max_ma:
        text = (
            f"found {protocol.envelope.current_max_ma:g} mA, {rig.the_device} gives at most {can.current_max_ma:g} mA"
        )
        yield ("envelope", "current_max"), text, "error"
    for name, channel in protocol.stimulation.items():
        yield from _pulse(("stimulation", name), channel.phase_us, channel.rate_hz, rig)
    for index, item in enumerate(protocol.phases):
        phase = item.content
        if isinstance(phase, BlockPhase | CalibrationPhase):
            yield from _pulse(("phases", index, item.kind), phase.phase_us, phase.rate_hz, rig)
        if isinstance(phase, CalibrationPhase):
            yield from _steps(protocol, index, phase, rig)
        if isinstance(phase, BlockPhase) and phase.intensity.fixed_ma is not None:
            fixed_ma = phase.intensity.fixed_ma
            if fixed_ma < can.current_step_ma:
                yield ("phases", index, "block", "intensity", "fixed"), f"found {fixed_ma:g} mA, {at_least}", "error"


RULES = (class_of_rig, inputs, outputs, device)


def _steps(protocol: Protocol, index: int, calibration: CalibrationPhase, rig: RigSummary) -> Iterator[Finding]:
    if rig.device is None:
        return
    step_ma, least_ma = calibration.step_ma, rig.device.current_step_ma
    keys: KeyPath = ("phases", index, "calibration")
    steps = step_ma / least_ma
    if steps < 1 - 1e-6 or abs(steps - round(steps)) > 1e-6:
        found = protocol.written((*keys, "step")) or f"{step_ma:g} mA"
        text = f"found {found}, allowed is a whole number of {rig.the_device}'s least steps of {least_ma:g} mA"
        yield (*keys, "step"), text, "error"
    if calibration.stop_at_ma > rig.device.current_max_ma:
        text = f"found {calibration.stop_at_ma:g} mA, {rig.the_device} gives at most {rig.device.current_max_ma:g} mA"
        yield (*keys, "stop_at"), text, "error"


def _pulse(keys: KeyPath, width_us: float | None, rate_hz: float | None, rig: RigSummary) -> Iterator[Finding]:
    can = rig.device
    if can is None:
        return
    for key, value, least, most, step, unit in (
        ("phase", width_us, can.phase_min_us, can.phase_max_us, can.phase_step_us, "us"),
        ("rate", rate_hz, can.rate_min_hz, can.rate_max_hz, can.rate_step_hz, "Hz"),
    ):
        if value is None:
            continue
        if not least <= value <= most:
            yield (*keys, key), f"found {value:g} {unit}, {rig.the_device} gives {least:g} to {most:g} {unit}", "error"
        elif step > 0 and abs(value / step - round(value / step)) > 1e-6:
            text = f"found {value:.9g} {unit}, allowed is a whole number of {rig.the_device}'s steps of {step:g} {unit}"
            yield (*keys, key), text, "error"
