"""The protocol file: what is done, to which muscles, how strongly, how long, and when it must end.

Later versions of the schema add keys; none changes the meaning of one that is here.
Every quantity carries its unit, unknown keys are errors, and intensity is a threshold of the person times a factor,
never a bare number, save fixed microcurrent. What each value rests on stands in `protocol.evidence.marks`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PrivateAttr, ValidationError, model_validator

from myoloop.experiments.protocols.fields import (
    Area,
    Charge,
    Count,
    Current,
    Density,
    DoseCharge,
    Factor,
    Milliseconds,
    Name,
    PartOfTheWay,
    PowerDensity,
    PulseWidth,
    Rate,
    RmsCurrent,
    Score,
    Seconds,
    SecondsOrZero,
    Share,
    Slope,
    Strict,
    Text,
)
from myoloop.platform.yamlfile import FileError, KeyPath, Lines, UnreadableFile, at, dotted, explain, load_yaml

WaveformClass = Literal["nmes", "tens", "microcurrent"]
RigClass = Literal["SIM", "BENCH", "HUMAN"]
Threshold = Literal["sensory", "motor", "tolerance"]

PRESETS = Path(__file__).parent / "presets"


class Evidence(Strict):
    """How well the protocol is supported, and each of its values.

    Attributes
    ----------
    grade
        Of the protocol as a whole.
    sources
        Mark to reference; ``GK`` (general knowledge, unverified) and ``PROP`` (our own proposal) need none.
    marks
        Path of a value in this file, such as ``stimulation.ext.rate``, to the marks it rests on.
    note
        What a reader must know before believing any of it.
    """

    grade: Literal["none", "very low", "low", "moderate", "high"]
    sources: dict[str, Text] = Field(default_factory=dict)
    marks: dict[str, tuple[Text, ...]] = Field(default_factory=dict)
    note: str = ""


class Header(Strict):
    """Identity of the protocol; `rigs` are the classes of rig it may run on."""

    id: Name
    version: Annotated[str, Field(strict=True, pattern=r"^\d+\.\d+\.\d+$")]
    schema_version: Literal[1] = Field(alias="schema")
    title: Text
    rigs: tuple[RigClass, ...] = Field(default=("SIM", "BENCH", "HUMAN"), min_length=1)
    evidence: Evidence


class EmgDevice(Strict):
    """EMG that must be there: `channels` are names of sites."""

    min_rate_hz: Rate = Field(alias="min_rate")
    channels: tuple[Name, ...] = Field(min_length=1)


class StimDevice(Strict):
    """Stimulator that can serve: microampere or milliampere class, and the coarsest step that will do."""

    device_class: Literal["mA", "uA"] = Field(alias="class")
    min_step_ma: Current = Field(alias="min_step")


class ImuDevice(Strict):
    """Inertial sensor."""

    optional: bool = False


class Devices(Strict):
    """What the rig must have."""

    emg: EmgDevice
    stim: StimDevice
    imu: ImuDevice | None = None


class Site(Strict):
    """A muscle: where it is, its pad (the smaller one) if it is stimulated, its part in the EMG."""

    muscle: Text
    side: Literal["left", "right", "both", "midline"]
    pad_area_cm2: Area | None = Field(default=None, alias="pad")
    emg: Literal["agonist", "antagonist", "monitor", "none"] = "none"
    posture: str = ""
    avoid: str = ""


class EnvelopeLimits(Strict):
    """Limits that no controller passes; what is not given takes the class's default."""

    waveform_class: WaveformClass
    current_max_ma: Current = Field(alias="current_max")
    current_calibrating_ma: Current | None = Field(default=None, alias="current_calibrating")
    phase_us: tuple[PulseWidth, PulseWidth] | None = Field(default=None, alias="phase")
    rate_hz: tuple[Rate, Rate] | None = Field(default=None, alias="rate")
    charge_max_uc: Charge | None = Field(default=None, alias="charge_max")
    rms_max_ma: RmsCurrent | None = Field(default=None, alias="rms_max")
    density_max_ma_cm2: Density | None = Field(default=None, alias="density_max")
    power_density_max_w_cm2: PowerDensity | None = Field(default=None, alias="power_density_max")
    channels_max: Count | None = None
    on_max_s: Seconds | None = Field(default=None, alias="on_max")
    duty_max: Share | None = None
    total_on_s: Seconds | None = Field(default=None, alias="total_on")
    session_charge_mc: DoseCharge | None = Field(default=None, alias="session_charge")
    day_charge_mc: DoseCharge | None = Field(default=None, alias="day_charge")
    course_charge_mc: DoseCharge | None = Field(default=None, alias="course_charge")
    step_ma: Current | None = Field(default=None, alias="step")
    slew_ma_per_s: Slope | None = Field(default=None, alias="slew")
    ramp_min_s: Seconds | None = Field(default=None, alias="ramp_min")
    pause_ramp_s: Seconds | None = Field(default=None, alias="pause_ramp")
    sensor_age_ms: Milliseconds | None = Field(default=None, alias="sensor_age")


class StimulationChannel(Strict):
    """One pair of pads and the pulses it gives; the key is the channel's name."""

    site: Name
    phase_us: PulseWidth = Field(alias="phase")
    rate_hz: Rate = Field(alias="rate")


class RestPhase(Strict):
    """Nothing is asked and nothing is given; `baseline` lets the estimators learn what rest looks like."""

    name: Text = "rest"
    duration_s: Seconds = Field(alias="duration")
    baseline: bool = True
    prompt: str = "Rest. Do not move."


class CalibrationPhase(Strict):
    """Rising steps, each an act of the operator, until the person says what was asked for.

    Attributes
    ----------
    order
        Thresholds in the order they are met; the last one ends an ascent.
    start_ma, step_ma, stop_at_ma
        First level, its increment, and the highest level tried.
    interval_s, burst_s
        From one step to the next at the soonest, and how long each is on.
    channels, phase_us, rate_hz
        Whose thresholds, and with which pulses if other than the channel's own.
    """

    name: Text = "calibration"
    method: Literal["ascending_steps"] = "ascending_steps"
    order: tuple[Threshold, ...] = Field(min_length=1)
    step_ma: Current = Field(alias="step")
    start_ma: Current | None = Field(default=None, alias="start")
    stop_at_ma: Current = Field(alias="stop_at")
    interval_s: Seconds = Field(alias="interval")
    burst_s: Seconds = Field(alias="burst")
    repeats: Count = 1
    channels: tuple[Name, ...] = ()
    phase_us: PulseWidth | None = Field(default=None, alias="phase")
    rate_hz: Rate | None = Field(default=None, alias="rate")
    prompt: str = "Say when you feel it, when the muscle moves, and when it is enough."


class AwaitEffort(Strict):
    """How long an effort is waited for, and what happens without one; what an effort is, the policy judges."""

    timeout_s: Seconds = Field(alias="timeout")
    on_timeout: Literal["assist", "skip"]


class Intensity(Strict):
    """How strong: a threshold times `x`, or a `share` of the way from it `to` a higher one, or fixed microcurrent."""

    ref: Threshold | None = None
    x: Factor | None = None
    share: PartOfTheWay | None = None
    to: Threshold = "tolerance"
    fixed_ma: Current | None = Field(default=None, alias="fixed")

    @model_validator(mode="after")
    def _one_way_of_saying_it(self) -> Intensity:
        ways = sum(way is not None for way in (self.x, self.share, self.fixed_ma))
        if ways != 1 or (self.ref is None) != (self.fixed_ma is not None):
            raise ValueError("allowed is {ref, x} or {ref, share, to} or, for microcurrent, {fixed}")
        if self.share is not None and self.ref == self.to:
            raise ValueError(f"a share needs two thresholds, {self.ref} and {self.to} are one")
        return self


def _no_bare_number(value: Any) -> Any:
    if isinstance(value, dict | Intensity):
        return value
    raise ValueError(
        "a bare value is no intensity; allowed is a threshold of the person times a factor, like {ref: motor, x: 1.2}"
    )


class BlockPhase(Strict):
    """Trials; `repeat` times with `between` of rest.

    Attributes
    ----------
    machine
        ``effort`` (a train answers an effort), ``cyclic`` (trains by the clock), ``continuous`` (one long train).
    cue_s, ramp_up_s, hold_s, ramp_down_s, rest_s
        Length of the trial's states.
    await_effort
        For machine ``effort``.
    at_most_s
        After this long no new trial begins, however many are left.
    channels, phase_us, rate_hz
        Which channels, and with which pulses if other than their own.
    """

    name: Text = "block"
    repeat: Count = 1
    between_s: SecondsOrZero = Field(default=0.0, alias="between")
    trials: Count = 1
    at_most_s: Seconds | None = Field(default=None, alias="at_most")
    machine: Literal["effort", "cyclic", "continuous"]
    cue_s: SecondsOrZero = Field(default=0.0, alias="cue")
    await_effort: AwaitEffort | None = Field(default=None, alias="await")
    ramp_up_s: Seconds = Field(alias="ramp_up")
    hold_s: Seconds = Field(alias="hold")
    ramp_down_s: Seconds = Field(alias="ramp_down")
    rest_s: SecondsOrZero = Field(default=0.0, alias="rest")
    intensity: Annotated[Intensity, BeforeValidator(_no_bare_number)]
    channels: tuple[Name, ...] = ()
    phase_us: PulseWidth | None = Field(default=None, alias="phase")
    rate_hz: Rate | None = Field(default=None, alias="rate")
    prompt: str = ""

    @model_validator(mode="after")
    def _waits_only_for_effort(self) -> BlockPhase:
        if self.machine == "effort" and self.await_effort is None:
            raise ValueError("machine effort needs await: {timeout, on_timeout}")
        if self.machine != "effort" and self.await_effort is not None:
            raise ValueError(f"machine {self.machine} waits for no effort; await is allowed with effort only")
        return self


class PhaseItem(Strict):
    """One entry of `phases`: exactly one of the three."""

    rest: RestPhase | None = None
    calibration: CalibrationPhase | None = None
    block: BlockPhase | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> PhaseItem:
        if sum(part is not None for part in (self.rest, self.calibration, self.block)) != 1:
            raise ValueError("allowed is exactly one of rest, calibration, block")
        return self

    @property
    def kind(self) -> Literal["rest", "calibration", "block"]:
        """Which of the three it is."""
        return "rest" if self.rest else "calibration" if self.calibration else "block"

    @property
    def content(self) -> RestPhase | CalibrationPhase | BlockPhase:
        """The one that is there."""
        part = self.rest or self.calibration or self.block
        if part is None:
            raise ValueError("an empty phase")
        return part


class FixedThresholds(Strict):
    """Thresholds given instead of measured; never for a person."""

    sensory_ma: Current | None = Field(default=None, alias="sensory")
    motor_ma: Current | None = Field(default=None, alias="motor")
    tolerance_ma: Current = Field(alias="tolerance")


class ControllerChoice(Strict):
    """Which policy, with which settings; settings carry units and are checked by what they configure."""

    policy: Name
    settings: dict[str, Any] = Field(default_factory=dict)
    reflex: dict[str, Any] = Field(default_factory=dict)
    estimators: dict[str, Any] = Field(default_factory=dict)


class SpasmRule(Strict):
    """So many spasms within so long."""

    count: Count
    within_s: Seconds = Field(alias="within")


class StopRule(Strict):
    """One reason to end the session: exactly one key.

    Attributes
    ----------
    pain_rise, pain_ceiling
        Of the 0 to 10 score: above the person's own first score, and in all.
    spasms
        How many within how long.
    session_max_s
        From the session's begin.
    timeouts
        Efforts in a row that did not come.
    """

    pain_rise: Score | None = None
    pain_ceiling: Score | None = None
    spasms: SpasmRule | None = None
    session_max_s: Seconds | None = Field(default=None, alias="session_max")
    timeouts: Count | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> StopRule:
        if len(self.model_fields_set) != 1:
            raise ValueError("allowed is exactly one of pain_rise, pain_ceiling, spasms, session_max, timeouts")
        return self


class Outcomes(Strict):
    """What is measured."""

    primary: Text
    secondary: tuple[Text, ...] = ()


class Protocol(Strict):
    """A whole protocol file."""

    protocol: Header
    devices: Devices
    sites: dict[Name, Site] = Field(min_length=1)
    envelope: EnvelopeLimits
    stimulation: dict[Name, StimulationChannel] = Field(min_length=1)
    thresholds: FixedThresholds | None = None
    phases: tuple[PhaseItem, ...] = Field(min_length=1)
    controller: ControllerChoice
    stop_rules: tuple[StopRule, ...] = ()
    outcomes: Outcomes

    _path: str = PrivateAttr(default="<protocol>")
    _lines: Lines = PrivateAttr(default_factory=dict)
    _data: Any = PrivateAttr(default=None)

    @property
    def path(self) -> str:
        """The file it was read from."""
        return self._path

    def place(self, keys: KeyPath) -> str:
        """``file:line: key`` of a value in its file."""
        return at(self._path, self._lines, keys)

    def line(self, keys: KeyPath) -> int:
        """Line of a value in its file, or of the nearest key above it; 0 where it was read from no file."""
        while keys and keys not in self._lines:
            keys = keys[:-1]
        return self._lines.get(keys, 0)

    def written(self, keys: KeyPath) -> str:
        """A value as its file has it; empty where it was read from no file."""
        value = self._data
        for key in keys:
            inside = key in value if isinstance(value, dict) else isinstance(value, list) and isinstance(key, int)
            if not inside:
                return ""
            value = value[key]
        return str(value)

    def has(self, path: str) -> bool:
        """Whether the file gives a value at a path such as ``phases[2].block.hold``."""
        return path in {dotted(keys) for keys in self._lines if keys}


def load_protocol(path_or_preset: Path | str) -> Protocol:
    """Read a protocol from a file, or a preset by its name.

    Raises
    ------
    FileError
        With every mistake in the file, one line each: ``file:line: key: found X, allowed Y``.
    """
    path = _resolve(path_or_preset)
    data, lines = load_yaml(path)
    if isinstance(data, dict) and "protocol" not in data and {"rig", "nodes"} <= data.keys():
        raise FileError([f"{path}:{lines[('rig',)]}: is a rig file, a protocol file is needed"])
    try:
        protocol = Protocol.model_validate(data)
    except ValidationError as error:
        raise FileError(explain(error, path, data, lines, Protocol)) from None
    protocol._path = str(path)
    protocol._lines = lines
    protocol._data = data
    return protocol


def presets() -> dict[str, Path]:
    """Names and files of the protocols that ship."""
    return {path.stem: path for path in sorted(PRESETS.glob("*.yaml"))}


def _resolve(path_or_preset: Path | str) -> Path:
    path = Path(path_or_preset)
    known = presets()
    if isinstance(path_or_preset, str) and path_or_preset in known and not path.exists():
        return known[path_or_preset]
    if not path.exists() and path.suffix == "" and len(path.parts) == 1:
        raise UnreadableFile([f"{path}: no such file and no such preset; presets are {', '.join(known)}"])
    return path
