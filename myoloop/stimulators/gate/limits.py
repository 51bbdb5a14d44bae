"""How much current a channel may have at a given pulse width and rate: the least of all limits, and its name."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor, sqrt

from myoloop.stimulators.gate.ceilings import CEILINGS, CONTACT_FRACTION, LOAD_OHM
from myoloop.stimulators.gate.envelope import ChannelLimits, DeviceLimits, Envelope, finite


@dataclass(frozen=True, slots=True)
class Setting:
    """Symmetric biphasic pulses on one channel."""

    channel: str
    current_ma: float
    phase_us: float
    rate_hz: float

    @property
    def charge_uc(self) -> float:
        """Charge per phase in uC."""
        return self.current_ma * self.phase_us * 1e-3


def rms_factor(phase_us: float, rate_hz: float) -> float:
    """I_rms / I_peak of symmetric biphasic pulses: sqrt(2 w f) (Enraf-Nonius Endomed 484 manual, p. 47)."""
    return sqrt(2.0 * phase_us * 1e-6 * rate_hz)


def current_cap(
    channel: ChannelLimits,
    envelope: Envelope,
    device: DeviceLimits,
    phase_us: float,
    rate_hz: float,
    calibrating: bool,
) -> tuple[float, str]:
    """Largest allowed amplitude in mA, and the rule that makes it so.

    Every limit is an upper bound on current, so lowering any of them can only lower the result.
    """
    ceiling = CEILINGS[envelope.waveform_class]
    factor = rms_factor(phase_us, rate_hz)
    contact_cm2 = channel.pad_area_cm2 * CONTACT_FRACTION
    density = min(envelope.rms_density_ma_cm2, ceiling.rms_density_ma_cm2)
    power = min(envelope.power_density_w_cm2, ceiling.power_density_w_cm2)
    caps = (
        (envelope.current_ma_calibrating if calibrating else channel.current_max_ma, "current"),
        (ceiling.current_ma, "current ceiling"),
        (device.current_max_ma, "device current"),
        (min(envelope.charge_per_phase_uc, ceiling.charge_per_phase_uc) * 1e3 / phase_us, "charge per phase"),
        (min(envelope.rms_ma, ceiling.rms_ma) / factor, "r.m.s. current"),
        (density * contact_cm2 / factor, "current density"),
        # P = R I_rms^2 / A, with I in mA
        (sqrt(power * contact_cm2 / LOAD_OHM) * 1e3 / factor, "power density"),
    )
    return min(caps)


def out_of_range(setting: Setting, envelope: Envelope, device: DeviceLimits) -> str:
    """Why a setting is refused outright; empty where its width and rate are allowed.

    Width and rate count only where there is current; numbers that are none count always.
    """
    values = (setting.current_ma, setting.phase_us, setting.rate_hz)
    if any(finite(value) is None for value in values):
        return f"{setting.channel}: not a finite number"
    if setting.current_ma < 0:
        return f"{setting.channel}: {setting.current_ma:g} mA is negative"
    if setting.current_ma == 0:
        return ""
    ceiling = CEILINGS[envelope.waveform_class]
    for name, value, bounds in (
        ("us", setting.phase_us, (envelope.phase_us, ceiling.phase_us, device.phase_us)),
        ("Hz", setting.rate_hz, (envelope.rate_hz, ceiling.rate_hz, device.rate_hz)),
    ):
        low = max(pair[0] for pair in bounds)
        high = min(pair[1] for pair in bounds)
        if not low <= value <= high:
            return f"{setting.channel}: {value:g} {name} is not within {low:g} to {high:g}"
    # Both phases must fit between two pulses.
    if 2.0 * setting.phase_us * 1e-6 * setting.rate_hz > 1.0:
        return f"{setting.channel}: two phases of {setting.phase_us:g} us do not fit {setting.rate_hz:g} Hz"
    return ""


def round_down(current_ma: float, step_ma: float) -> float:
    """Largest whole number of the device's steps that is not above `current_ma`, whatever floating point does.

    Where the step is a part of 1 mA it is the very number that the device's code stands for: 3 steps of 0.1 mA are
    0.3 mA, and not the 0.30000000000000004 that would lose a step when it is encoded.
    """
    per_ma = round(1.0 / step_ma)
    exact = abs(per_ma * step_ma - 1.0) < 1e-9
    steps = floor(current_ma / step_ma) + 1
    while steps > 0 and (steps / per_ma if exact else steps * step_ma) > current_ma:
        steps -= 1
    if steps <= 0:
        return 0.0
    return steps / per_ma if exact else steps * step_ma


def served_rate_hz(rate_hz: float, period_step_us: float) -> float:
    """The nearest rate, not above `rate_hz`, whose period is a whole number of the device's steps.

    Fewer pulses of the same strength are within every limit that more of them were within.
    """
    if period_step_us == 0.0:
        return rate_hz
    # A period that is whole but for a rounding error is whole.
    steps = ceil(1e6 / rate_hz / period_step_us * (1.0 - 1e-12))
    return 1e6 / (steps * period_step_us)
