"""The mapping file of a recording: which column, dataset or signal is which channel, and in what unit.

A YAML file beside the recording::

    rate: 1000 Hz
    mains: 50 Hz
    delimiter: tab                   # text files: comma, tab, semicolon, space
    channels:
      - {from: CH1, name: flexor, unit: mV, scale: 4.57763671875e-05, offset: -1.5, rails: [0, 65535]}
      - {from: 5, name: acc_z, kind: imu, unit: g}
      - {from: nSeq, kind: ignored}

A channel's value in its unit is ``raw * scale + offset``, raw as it stands in the file. `from` is the name of a
column, signal or dataset, or its number from 1. In NPZ and HDF5 files an index may follow, ``emg_V[3]`` or
``emg_V[8,0]``: one number for each axis but the longest, which is time. Where the file itself says the unit (EDF,
BDF, what MNE reads, OpenSignals EMG), leave unit, scale and offset out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, field_validator, model_validator

from myoloop.acquisition.units import to_si
from myoloop.platform.quantities import QuantityError, parse
from myoloop.platform.yamlfile import Lines, at, load_model, load_yaml

Kind = Literal["emg", "imu", "force", "trigger", "ignored"]
Format = Literal["csv", "tsv", "npz", "hdf5", "edf", "bdf", "mne", "xdf"]
Delimiter = Literal["comma", "tab", "semicolon", "space"]


def _rate(value: Any) -> float:
    try:
        rate_hz = parse(value, "Hz")
    except QuantityError as error:
        raise ValueError(error.why) from None
    if not rate_hz > 0:
        raise ValueError("a rate is greater than 0 Hz")
    return rate_hz


RateHz = Annotated[float, BeforeValidator(_rate)]


class Strict(BaseModel):
    """A part of a mapping file: no unknown key, no number that is none."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ChannelMap(Strict):
    """One channel.

    Attributes
    ----------
    source
        ``from``: where it is in the file.
    name
        What it is called from here on; as in the file if empty.
    kind
        ``trigger``: the stimulator's trigger, sampled beside the EMG; ``ignored``: known and left out.
    unit, scale, offset
        Value in the unit is raw * scale + offset.
    rails
        Raw values at and beyond which the amplifier is saturated.
    rate_hz
        ``rate``, where it differs from the file's.
    """

    source: str | int = Field(alias="from")
    name: str = Field("", pattern=r"^[^\s,/]*$", max_length=63)
    kind: Kind = "emg"
    unit: str = ""
    scale: float = 1.0
    offset: float = 0.0
    rails: tuple[float, float] | None = None
    rate_hz: RateHz | None = Field(None, alias="rate")

    @field_validator("unit")
    @classmethod
    def _is_known(cls, value: str) -> str:
        if value:
            to_si(value)
        return value

    @field_validator("scale")
    @classmethod
    def _is_not_zero(cls, value: float) -> float:
        if value == 0:
            raise ValueError("a scale of 0 makes every sample the same")
        return value

    @field_validator("rails")
    @classmethod
    def _are_in_order(cls, value: tuple[float, float] | None) -> tuple[float, float] | None:
        if value is not None and not value[0] < value[1]:
            raise ValueError("the lower rail comes first")
        return value

    @model_validator(mode="after")
    def _scale_has_a_unit(self) -> ChannelMap:
        if not self.unit and self.kind != "trigger" and (self.scale != 1.0 or self.offset != 0.0):
            raise ValueError("scale and offset need a unit")
        return self


class Mapping(Strict):
    """A mapping file.

    Attributes
    ----------
    format
        By the file's ending if None; ``mne`` for everything that MNE reads; ``xdf`` can be imported, not played.
    rate_hz
        ``rate`` of all channels; not needed where the file says it.
    mains_hz
        ``mains``.
    device
        What it was recorded with.
    simulated
        Whether it was made up: nobody's EMG is in it, and whatever is shown of it says so.
    delimiter, header, skip_lines, comment
        Of text files: what separates columns (by the ending if None), whether the first line names them, how many
        lines to leave out before it, and what begins a line that says nothing.
    """

    format: Format | None = None
    rate_hz: RateHz | None = Field(None, alias="rate")
    mains_hz: RateHz = Field(50.0, alias="mains")
    device: str = ""
    simulated: bool = False
    delimiter: Delimiter | None = None
    header: bool = False
    skip_lines: int = Field(0, ge=0)
    comment: str = Field("#", max_length=4)
    channels: list[ChannelMap] = Field(min_length=1)

    _path: str = PrivateAttr(default="")
    _lines: Lines = PrivateAttr(default_factory=dict)

    @model_validator(mode="after")
    def _hangs_together(self) -> Mapping:
        used = [channel for channel in self.channels if channel.kind != "ignored"]
        if not used:
            raise ValueError("channels: all are ignored")
        for kind in ("emg", "imu", "force"):
            names = [channel.name or str(channel.source) for channel in used if self.stream_of(channel) == kind]
            for name in names:
                if names.count(name) > 1:
                    raise ValueError(f"channels: the name {name!r} stands twice among {kind}")
        triggers = [channel for channel in used if channel.kind == "trigger"]
        if len(triggers) > 1:
            raise ValueError("channels: more than one trigger")
        if triggers and not any(channel.kind == "emg" for channel in used):
            raise ValueError("channels: a trigger is sampled beside EMG, and there is none")
        return self

    @property
    def sources(self) -> list[str | int]:
        """Everything of the file that is needed."""
        return [channel.source for channel in self.channels]

    def place(self, channel: ChannelMap, key: str) -> str:
        """``file:line: key`` of what is said of a channel; empty where it was read from no file."""
        if not self._path:
            return ""
        number = next(number for number, each in enumerate(self.channels) if each is channel)
        return at(self._path, self._lines, ("channels", number, key))

    @staticmethod
    def stream_of(channel: ChannelMap) -> str:
        """Which stream a channel belongs to: the trigger goes with the EMG."""
        return "emg" if channel.kind == "trigger" else channel.kind


MappingT = TypeVar("MappingT", bound=Mapping)


def load_mapping(path: Path | str) -> Mapping:
    """Read a mapping file.

    Raises
    ------
    FileError
        With every mistake in it, one line each.
    """
    return load_mapping_of(path, Mapping)


def load_mapping_of(path: Path | str, model: type[MappingT]) -> MappingT:
    """The same for a mapping that says more."""
    mapping = load_model(path, model)
    mapping._path, mapping._lines = str(path), load_yaml(path)[1]
    return mapping
