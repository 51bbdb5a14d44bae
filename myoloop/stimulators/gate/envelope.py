"""The participant's envelope: immutable, hashed, never wider than the class or the device."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from math import isfinite
from typing import Any

from myoloop.stimulators.gate.ceilings import CEILINGS, PAD_AREA_MIN_CM2, PAUSE_RAMP_MAX_S, SENSOR_AGE_MAX_MS


class EnvelopeError(ValueError):
    """An envelope that is not one, or that is wider than it may be; the text names the field, the value, the limit."""


def finite(value: object) -> float | None:
    """`value` as a float if it is a finite number; None for everything else, truth values and huge integers too."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if isfinite(number) else None


@dataclass(frozen=True, slots=True)
class DeviceLimits:
    """What the device can do; the gate never lets a request go beyond it.

    Raises
    ------
    EnvelopeError
        If a number is none: compared with anything it would limit nothing.
    """

    outputs: int
    current_max_ma: float
    current_step_ma: float
    phase_us: tuple[float, float]
    rate_hz: tuple[float, float]
    #: Periods between pulses are whole numbers of this; 0 where the device can say any.
    period_step_us: float = 0.0
    #: An output that comes on gives a pulse at once, however short the time since its last one.
    restarts_at_once: bool = False

    def __post_init__(self) -> None:
        given = {"current_max_ma": self.current_max_ma, "current_step_ma": self.current_step_ma}
        for name in given:
            if not _number("device", given, name) > 0.0:
                raise EnvelopeError(f"device.{name}: found {given[name]:g}, allowed is above 0")
        if not _number("device", {"period_step_us": self.period_step_us}, "period_step_us") >= 0.0:
            raise EnvelopeError(f"device.period_step_us: found {self.period_step_us:g}, allowed is 0 or more")
        _range("device", "phase_us", self.phase_us)
        _range("device", "rate_hz", self.rate_hz)


@dataclass(frozen=True, slots=True)
class ChannelLimits:
    """One channel: where it leaves the device, its pad, and the most this person may have on it."""

    channel: str
    output: int
    pad_area_cm2: float
    current_max_ma: float


@dataclass(frozen=True, slots=True)
class Envelope:
    """All limits of one person in one session; every field must be given, none has a default.

    Attributes
    ----------
    session, subject
        Whom and which session it is for.
    waveform_class
        ``nmes``, ``tens`` or ``microcurrent``.
    charge_per_phase_uc, rms_ma, rms_density_ma_cm2, power_density_w_cm2
        Limits per channel; the last two over the part of the pad assumed to stick.
    on_s_max
        Longest uninterrupted tetanic train in s, or None where the class has no such limit.
    duty_max
        Share of time a channel may be on at tetanic rates.
    session_on_s_max, session_charge_mc_max, day_charge_mc_max, course_charge_mc_max
        Dose; charge is charge per phase summed over pulses and channels.
    step_ma, new_ground_ma_per_s, known_ground_ramp_s_min
        How fast current may rise.
    current_ma_calibrating
        Cap while thresholds are sought.
    required_vitals
        Topics ``vital/<source>`` without which no current flows.
    sensor_age_ms
        How old their last good block may be.
    ramp_down_s
        How long a pause takes to reach zero.
    """

    session: str
    subject: str
    waveform_class: str
    channels: tuple[ChannelLimits, ...]
    phase_us: tuple[float, float]
    rate_hz: tuple[float, float]
    charge_per_phase_uc: float
    rms_ma: float
    rms_density_ma_cm2: float
    power_density_w_cm2: float
    channels_max: int
    on_s_max: float | None
    duty_max: float
    session_on_s_max: float
    session_charge_mc_max: float
    day_charge_mc_max: float
    course_charge_mc_max: float
    step_ma: float
    new_ground_ma_per_s: float
    known_ground_ramp_s_min: float
    current_ma_calibrating: float
    required_vitals: tuple[str, ...]
    sensor_age_ms: float
    ramp_down_s: float

    def channel(self, name: str) -> ChannelLimits | None:
        """Find a channel by name."""
        for limits in self.channels:
            if limits.channel == name:
                return limits
        return None

    def to_json(self) -> str:
        """Canonical JSON: same envelope, same text, same hash."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"), allow_nan=False)

    @property
    def sha256(self) -> str:
        """Hash that an operator's arming names."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()


def parse_envelope(values: Mapping[str, Any]) -> Envelope:
    """Make an envelope from what came over the wire.

    Raises
    ------
    EnvelopeError
        If a field is missing, unknown or of the wrong kind.
    """
    given = dict(values)
    _check_names("envelope", given, Envelope)
    channels = given["channels"]
    if not isinstance(channels, (list, tuple)):
        raise EnvelopeError(f"envelope.channels: found {channels!r}, allowed is a list")
    parsed = []
    for index, entry in enumerate(channels):
        where = f"envelope.channels[{index}]"
        if not isinstance(entry, Mapping):
            raise EnvelopeError(f"{where}: found {entry!r}, allowed is a mapping")
        _check_names(where, entry, ChannelLimits)
        parsed.append(
            ChannelLimits(
                _text(where, entry, "channel"),
                _whole(where, entry, "output"),
                _number(where, entry, "pad_area_cm2"),
                _number(where, entry, "current_max_ma"),
            )
        )
    given["channels"] = tuple(parsed)
    for name in ("phase_us", "rate_hz"):
        given[name] = _range("envelope", name, given[name])
    given["required_vitals"] = _topics(given["required_vitals"])
    for name in ("session", "subject", "waveform_class"):
        _text("envelope", given, name)
    given["channels_max"] = _whole("envelope", given, "channels_max")
    for name in _NUMBERS:
        given[name] = _number("envelope", given, name)
    if given["on_s_max"] is not None:
        given["on_s_max"] = _number("envelope", given, "on_s_max")
    return Envelope(**given)


_NUMBERS = (
    "charge_per_phase_uc", "rms_ma", "rms_density_ma_cm2", "power_density_w_cm2", "duty_max", "session_on_s_max",
    "session_charge_mc_max", "day_charge_mc_max", "course_charge_mc_max", "step_ma", "new_ground_ma_per_s",
    "known_ground_ramp_s_min", "current_ma_calibrating", "sensor_age_ms", "ramp_down_s",
)  # fmt: skip


def check_envelope(envelope: Envelope, device: DeviceLimits) -> None:
    """Refuse an envelope that is wider than its class ceiling or the device.

    Raises
    ------
    EnvelopeError
        Naming the first field that is too wide, its value and the widest allowed.
    """
    ceiling = CEILINGS.get(envelope.waveform_class)
    if ceiling is None:
        raise EnvelopeError(
            f"envelope.waveform_class: found {envelope.waveform_class!r}, allowed are {sorted(CEILINGS)}"
        )
    if not envelope.channels:
        raise EnvelopeError("envelope.channels: none given")
    if not envelope.required_vitals:
        raise EnvelopeError("envelope.required_vitals: none given; no current flows unwatched")
    current_max = min(ceiling.current_ma, device.current_max_ma)
    names: set[str] = set()
    outputs: set[int] = set()
    for limits in envelope.channels:
        where = f"envelope.channels[{limits.channel}]"
        _at_most(f"{where}.current_max_ma", limits.current_max_ma, current_max, above=0.0, or_equal=True)
        _at_least(f"{where}.pad_area_cm2", limits.pad_area_cm2, PAD_AREA_MIN_CM2)
        if not 0 <= limits.output < device.outputs:
            raise EnvelopeError(f"{where}.output: found {limits.output}, the device has 0 to {device.outputs - 1}")
        if limits.channel in names or limits.output in outputs:
            raise EnvelopeError(f"{where}: its name or output stands twice")
        names.add(limits.channel)
        outputs.add(limits.output)
    _within("envelope.phase_us", envelope.phase_us, ceiling.phase_us, device.phase_us)
    _within("envelope.rate_hz", envelope.rate_hz, ceiling.rate_hz, device.rate_hz)
    _at_most("envelope.charge_per_phase_uc", envelope.charge_per_phase_uc, ceiling.charge_per_phase_uc)
    _at_most("envelope.rms_ma", envelope.rms_ma, ceiling.rms_ma)
    _at_most("envelope.rms_density_ma_cm2", envelope.rms_density_ma_cm2, ceiling.rms_density_ma_cm2)
    _at_most("envelope.power_density_w_cm2", envelope.power_density_w_cm2, ceiling.power_density_w_cm2)
    _at_most("envelope.channels_max", envelope.channels_max, ceiling.channels_max)
    if ceiling.on_s_max is not None:
        if envelope.on_s_max is None:
            raise EnvelopeError(f"envelope.on_s_max: found none, allowed is at most {ceiling.on_s_max:g}")
        _at_most("envelope.on_s_max", envelope.on_s_max, ceiling.on_s_max)
    elif envelope.on_s_max is not None:
        _at_most("envelope.on_s_max", envelope.on_s_max, ceiling.session_s_max)
    _at_most("envelope.duty_max", envelope.duty_max, ceiling.duty_max)
    if envelope.on_s_max is None and envelope.duty_max < 1.0:
        raise EnvelopeError(f"envelope.on_s_max: found none, a duty_max of {envelope.duty_max:g} needs one")
    _at_most("envelope.session_on_s_max", envelope.session_on_s_max, ceiling.session_s_max)
    most_charge_mc = ceiling.charge_per_phase_uc * ceiling.rate_hz[1] * ceiling.session_s_max * 1e-3
    for name in ("session_charge_mc_max", "day_charge_mc_max", "course_charge_mc_max"):
        _at_most(f"envelope.{name}", getattr(envelope, name), most_charge_mc * _CHARGE_SESSIONS[name])
    _at_most("envelope.step_ma", envelope.step_ma, ceiling.step_ma)
    _at_most("envelope.new_ground_ma_per_s", envelope.new_ground_ma_per_s, ceiling.new_ground_ma_per_s)
    _at_least("envelope.known_ground_ramp_s_min", envelope.known_ground_ramp_s_min, ceiling.known_ground_ramp_s_min)
    _at_most("envelope.current_ma_calibrating", envelope.current_ma_calibrating, current_max)
    _at_most("envelope.sensor_age_ms", envelope.sensor_age_ms, SENSOR_AGE_MAX_MS)
    _at_most("envelope.ramp_down_s", envelope.ramp_down_s, PAUSE_RAMP_MAX_S)


#: How many sessions' worth of the class's charge a dose limit may stand for.
_CHARGE_SESSIONS = {"session_charge_mc_max": 1, "day_charge_mc_max": 4, "course_charge_mc_max": 400}


def _check_names(where: str, given: Mapping[str, Any], kind: type) -> None:
    known = {field.name for field in fields(kind)}
    for name in sorted(known - set(given)):
        raise EnvelopeError(f"{where}.{name}: missing")
    for name in sorted(set(map(str, given)) - known):
        raise EnvelopeError(f"{where}.{name}: unknown key")


def _number(where: str, given: Mapping[str, Any], name: str) -> float:
    value = finite(given[name])
    if value is None:
        raise EnvelopeError(f"{where}.{name}: found {given[name]!r}, allowed is a finite number")
    return value


def _whole(where: str, given: Mapping[str, Any], name: str) -> int:
    value = given[name]
    if isinstance(value, bool) or not isinstance(value, int) or not abs(value) < 2**31:
        raise EnvelopeError(f"{where}.{name}: found {value!r}, allowed is a whole number")
    return value


def _text(where: str, given: Mapping[str, Any], name: str) -> str:
    value = given[name]
    if not isinstance(value, str) or not value:
        raise EnvelopeError(f"{where}.{name}: found {value!r}, allowed is a name")
    return value


def _range(where: str, name: str, value: object) -> tuple[float, float]:
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        raise EnvelopeError(f"{where}.{name}: found {value!r}, allowed is [least, most]")
    low, high = (_number(where, {name: part}, name) for part in value)
    if low > high:
        raise EnvelopeError(f"{where}.{name}: found {value!r}, the least is more than the most")
    return low, high


def _topics(value: object) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)) or not all(isinstance(topic, str) and topic for topic in value):
        raise EnvelopeError(f"envelope.required_vitals: found {value!r}, allowed is a list of topics")
    return tuple(value)


def _at_most(where: str, value: float, most: float, *, above: float = 0.0, or_equal: bool = False) -> None:
    low_enough = value <= most
    high_enough = value >= above if or_equal else value > above
    if not (low_enough and high_enough):
        raise EnvelopeError(f"{where}: found {value:g}, allowed is above {above:g} and at most {most:g}")


def _at_least(where: str, value: float, least: float) -> None:
    if not value >= least:
        raise EnvelopeError(f"{where}: found {value:g}, allowed is at least {least:g}")


def _within(where: str, value: tuple[float, float], *allowed: tuple[float, float]) -> None:
    low = max(bounds[0] for bounds in allowed)
    high = min(bounds[1] for bounds in allowed)
    if not (low <= value[0] <= value[1] <= high):
        raise EnvelopeError(f"{where}: found {value[0]:g} to {value[1]:g}, allowed is within {low:g} to {high:g}")
