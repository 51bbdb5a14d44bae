"""The protocol file: what is done, to which muscles, how strongly, how long, and when it must end.

Later versions of the schema add keys; none changes the meaning of one that is here.
Every quantity carries its unit, unknown keys are errors, and intensity is a threshold of the person times a factor,
never a bare number, save fixed microcurrent. What each value rests on stands in `protocol.evidence.marks`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PrivateAttr, ValidationError, model_validator

from myoloop.experiments.protocols.evidence import Evidence, marks_of
from myoloop.experiments.protocols.fields import (
    Area,
    Charge,
    Count,
    Current,
    Density,
    DoseCharge,
    Milliseconds,
    Name,
    PowerDensity,
    PulseWidth,
    Rate,
    RmsCurrent,
    Score,
    Seconds,
    Share,
    Slope,
    Strict,
    Text,
)
from myoloop.experiments.protocols.phases import PhaseItem
from myoloop.experiments.protocols.study import (
    Allocation,
    Arm,
    Course,
    FlareRule,
    Population,
    Progression,
    Sham,
    Spirit,
    Tidier,
)
from myoloop.platform.yamlfile import FileError, KeyPath, Lines, UnreadableFile, at, dotted, explain, load_yaml

WaveformClass = Literal["nmes", "tens", "microcurrent"]
RigClass = Literal["SIM", "BENCH", "HUMAN"]

PRESETS = Path(__file__).parent / "presets"


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


class ForceDevice(Strict):
    """Force cell."""

    optional: Literal[False] = False


class Devices(Strict):
    """What the rig must have."""

    emg: EmgDevice
    stim: StimDevice
    imu: ImuDevice | None = None
    force: ForceDevice | None = None


class Site(Strict):
    """A muscle: where it is, its pad (the smaller one) if it is stimulated, its part in the EMG.

    Attributes
    ----------
    ref
        Of the site library, such as ``lib/wrist_extensors_left``: landmarks, picture, no-go zones.
    pads
        How many.
    cathode
        Which of them is the cathode of the first phase, in words.
    """

    ref: Annotated[str, Field(strict=True, pattern=r"^lib/[a-z0-9_]+$")] | None = None
    muscle: Text
    side: Literal["left", "right", "both", "midline"]
    pad_area_cm2: Area | None = Field(default=None, alias="pad")
    emg: Literal["agonist", "antagonist", "monitor", "none"] = "none"
    pads: Annotated[int, Field(strict=True, ge=1, le=8)] = 2
    cathode: str = ""
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
    attention_s
        The operator has given no sign of attention for so long, though asked: the train ramps down and the session is
        paused.
    cap_hits
        Trials in a row in which the gate allowed less than was asked.
    """

    pain_rise: Score | None = None
    pain_ceiling: Score | None = None
    spasms: SpasmRule | None = None
    session_max_s: Seconds | None = Field(default=None, alias="session_max")
    timeouts: Count | None = None
    attention_s: Seconds | None = Field(default=None, alias="attention")
    cap_hits: Count | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> StopRule:
        if len(self.model_fields_set) != 1:
            raise ValueError(
                f"allowed is exactly one of {', '.join(f.alias or n for n, f in StopRule.model_fields.items())}"
            )
        return self


class Outcome(Strict):
    """What is measured.

    Attributes
    ----------
    measure
        An outcome that is computed from the recording or its forms, by its id (``myoloop outcomes`` lists them).
    entered
        What a person measures and enters, in words.
    by
        Who enters it.
    """

    measure: Name | None = None
    entered: Text | None = None
    by: Literal["person", "operator", "clinician", "blinded assessor"] | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> Outcome:
        if (self.measure is None) == (self.entered is None) or (self.entered is None) != (self.by is None):
            raise ValueError("allowed is an outcome's id, or {entered: what, by: who}")
        return self


def _id_alone(value: Any) -> Any:
    return {"measure": value} if isinstance(value, str) else value


AnyOutcome = Annotated[Outcome, BeforeValidator(_id_alone)]


class Outcomes(Strict):
    """What is measured, named before the study begins."""

    primary: AnyOutcome
    secondary: tuple[AnyOutcome, ...] = ()


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
    course: Course | None = None
    arms: dict[Name, Arm] = Field(default_factory=dict)
    allocation: Allocation | None = None
    sham: Sham | None = None
    progression: tuple[Progression, ...] = ()
    flare: FlareRule | None = None
    population: Population | None = None
    tidier: Tidier | None = None
    spirit: Spirit | None = None

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

    def values(self) -> tuple[tuple[str, KeyPath], ...]:
        """Path and keys of every single value of its file, in the order of their lines."""
        inner = {keys[:-1] for keys in self._lines if keys}
        return tuple((dotted(keys), keys) for keys in self._lines if keys and keys not in inner)

    def keys(self, path: str) -> KeyPath:
        """Keys of a path such as ``phases[2].block.hold``; () where the file has no such value."""
        return next((keys for keys in self._lines if dotted(keys) == path), ())

    def marked(self, path: str) -> bool:
        """Whether any mark says what a value rests on."""
        return bool(marks_of(self.protocol.evidence.marks, path))

    def forms(self) -> tuple[tuple[str, ...], ...]:
        """Forms of each phase that asks any, in their order."""
        asked = (getattr(item.content, "forms", ()) + getattr(item.content, "prompts", ()) for item in self.phases)
        return tuple(forms for forms in asked if forms)

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
