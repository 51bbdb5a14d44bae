"""From a protocol, a rig and a person's thresholds to the envelope that the gate enforces.

A protocol says what it wants limited; what it does not say takes the default of its waveform class; the gate then
refuses whatever is wider than its own ceiling. Nothing here widens anything: thresholds only lower the current.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import floor

from myoloop.experiments.protocols.rigsummary import RigSummary
from myoloop.experiments.protocols.schema import Protocol
from myoloop.stimulators.gate.ceilings import CEILINGS
from myoloop.stimulators.gate.envelope import ChannelLimits, Envelope

#: A person's current stays below what they called enough by this factor.
TOLERANCE_SHARE = 0.9
#: Ramp of a pause where a protocol says nothing.
PAUSE_RAMP_S = 0.5
#: Age of the last good block where a protocol says nothing.
SENSOR_AGE_MS = 100.0


@dataclass(frozen=True, slots=True)
class ClassDefaults:
    """What a protocol of a waveform class gets where it says nothing: an engineering proposal, not a standard.

    Attributes
    ----------
    sessions_per_day
        How many sessions' worth of charge a day may hold.
    """

    current_calibrating_ma: float
    phase_us: tuple[float, float]
    rate_hz: tuple[float, float]
    charge_per_phase_uc: float
    rms_ma: float
    rms_density_ma_cm2: float
    step_ma: float
    new_ground_ma_per_s: float
    known_ground_ramp_s_min: float
    on_s_max: float | None
    duty_max: float
    session_s: float
    sessions_per_day: int


DEFAULTS: dict[str, ClassDefaults] = {
    "nmes": ClassDefaults(
        100.0, (100.0, 400.0), (2.0, 80.0), 12.0, 10.0, 1.0, 1.0, 5.0, 0.1, 6.0, 6.0 / 18.0, 1200.0, 3
    ),
    "tens": ClassDefaults(60.0, (50.0, 250.0), (2.0, 120.0), 6.0, 8.0, 0.5, 1.0, 5.0, 0.5, None, 1.0, 1800.0, 4),
    "microcurrent": ClassDefaults(
        1.0, (100.0, 1_000_000.0), (0.3, 100.0), 500.0, 0.6, 0.1, 0.01, 0.1, 1.0, None, 1.0, 1800.0, 3
    ),
}
#: Days of a course whose charge an envelope allows where a protocol says nothing.
COURSE_DAYS = 30


def make_envelope(protocol: Protocol, rig: RigSummary, session: str, subject: str) -> Envelope:
    """Envelope of a protocol on a rig, before this person's thresholds are known.

    Raises
    ------
    ValueError
        If the rig lacks a channel of the protocol, or its device every width or rate; `lint` says so with its line.
    """
    limits = protocol.envelope
    default = DEFAULTS[limits.waveform_class]
    ceiling = CEILINGS[limits.waveform_class]
    charge_uc = limits.charge_max_uc or default.charge_per_phase_uc
    phase_us, rate_hz = limits.phase_us or default.phase_us, limits.rate_hz or default.rate_hz
    current_ma = default.current_calibrating_ma
    if (device := rig.device) is not None:
        # The gate refuses an envelope that is wider than the device: limits are the least of all.
        phase_us = _within("envelope.phase", "us", phase_us, (device.phase_min_us, device.phase_max_us))
        rate_hz = _within("envelope.rate", "Hz", rate_hz, (device.rate_min_hz, device.rate_max_hz))
        current_ma = min(current_ma, device.current_max_ma)
    duty_max = limits.duty_max or default.duty_max
    total_on_s = limits.total_on_s or default.session_s * duty_max
    channels = _channels(protocol, rig)
    # All that the other limits let through in the time allowed: a cap on a sum, never a goal.
    session_mc = limits.session_charge_mc or charge_uc * 1e-3 * rate_hz[1] * total_on_s * len(channels)
    session_mc = min(session_mc, ceiling.charge_per_phase_uc * 1e-3 * ceiling.rate_hz[1] * ceiling.session_s_max)
    day_mc = limits.day_charge_mc or session_mc * default.sessions_per_day
    stops_ma = [phase.calibration.stop_at_ma for phase in protocol.phases if phase.calibration]
    calibrating_ma = limits.current_calibrating_ma or max(stops_ma, default=limits.current_max_ma)
    return Envelope(
        session=session,
        subject=subject,
        waveform_class=limits.waveform_class,
        channels=channels,
        phase_us=phase_us,
        rate_hz=rate_hz,
        charge_per_phase_uc=charge_uc,
        rms_ma=limits.rms_max_ma or default.rms_ma,
        rms_density_ma_cm2=limits.density_max_ma_cm2 or default.rms_density_ma_cm2,
        power_density_w_cm2=limits.power_density_max_w_cm2 or ceiling.power_density_w_cm2,
        channels_max=limits.channels_max or min(len(channels), ceiling.channels_max),
        on_s_max=limits.on_max_s or default.on_s_max,
        duty_max=duty_max,
        session_on_s_max=total_on_s,
        session_charge_mc_max=session_mc,
        day_charge_mc_max=day_mc,
        course_charge_mc_max=limits.course_charge_mc or day_mc * COURSE_DAYS,
        step_ma=limits.step_ma or max([default.step_ma, *_steps_ma(protocol)]),
        new_ground_ma_per_s=limits.slew_ma_per_s or default.new_ground_ma_per_s,
        known_ground_ramp_s_min=limits.ramp_min_s or default.known_ground_ramp_s_min,
        current_ma_calibrating=min(calibrating_ma, current_ma),
        required_vitals=_vitals(protocol, rig),
        sensor_age_ms=limits.sensor_age_ms or SENSOR_AGE_MS,
        ramp_down_s=limits.pause_ramp_s or PAUSE_RAMP_S,
    )


def narrow(envelope: Envelope, caps_ma: Mapping[str, float], step_ma: float) -> Envelope:
    """The same envelope with each named channel's current lowered to a cap, rounded down to the device's step."""
    channels = tuple(
        replace(limits, current_max_ma=min(limits.current_max_ma, _floor_to(caps_ma[limits.channel], step_ma)))
        if limits.channel in caps_ma
        else limits
        for limits in envelope.channels
    )
    return replace(envelope, channels=channels)


def _channels(protocol: Protocol, rig: RigSummary) -> tuple[ChannelLimits, ...]:
    found = []
    for name, channel in protocol.stimulation.items():
        output = rig.output(name)
        site = protocol.sites.get(channel.site)
        if output is None or site is None:
            raise ValueError(f"the rig {rig.name} has no stimulation channel {name}")
        # The smaller of what the protocol plans and the rig says is stuck on.
        area_cm2 = min(output.pad_area_cm2, site.pad_area_cm2 or output.pad_area_cm2)
        found.append(ChannelLimits(name, output.output, area_cm2, protocol.envelope.current_max_ma))
    return tuple(found)


def _within(name: str, unit: str, wanted: tuple[float, float], can: tuple[float, float]) -> tuple[float, float]:
    least, most = max(wanted[0], can[0]), min(wanted[1], can[1])
    if least > most:
        raise ValueError(
            f"{name}: found {wanted[0]:g} to {wanted[1]:g} {unit}, the device gives {can[0]:g} to {can[1]:g} {unit}"
        )
    return least, most


def _vitals(protocol: Protocol, rig: RigSummary) -> tuple[str, ...]:
    sources = {channel.source for name in protocol.devices.emg.channels if (channel := rig.input("emg", name))}
    imu = protocol.devices.imu
    if imu is not None and not imu.optional and (channel := rig.input("imu")):
        sources.add(channel.source)
    if not sources:
        raise ValueError(f"the rig {rig.name} has none of the EMG channels {', '.join(protocol.devices.emg.channels)}")
    return tuple(f"vital/{source}" for source in sorted(sources))


def _steps_ma(protocol: Protocol) -> list[float]:
    return [phase.calibration.step_ma for phase in protocol.phases if phase.calibration]


def _floor_to(value: float, step: float) -> float:
    # A cap that is a whole number of steps must not lose one to floating point, nor gain a bit by it.
    return min(value, floor(value / step + 1e-9) * step)
