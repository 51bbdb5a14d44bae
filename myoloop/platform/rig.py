"""The rig file: which nodes, with which devices, and which channel of theirs is which muscle.

The same protocol runs on SIM, BENCH and HUMAN rigs; only the rig differs. What a rig says here is checked when it is
read; whether a device has the channels is known when it is opened.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, field_validator, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from myoloop.platform.quantities import QuantityError, parse
from myoloop.platform.yamlfile import FileError, KeyPath, Lines, at, dotted, explain, load_yaml

NodeRole = Literal["acquisition", "controller", "stimulator", "director", "recorder", "subject"]
_NAME = r"^[a-z0-9][a-z0-9_-]{0,30}$"
#: Who else has a key on a running rig; no node may pass for one of them.
RESERVED = frozenset({"supervisor", "operator", "observer"})


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RigHeader(_Strict):
    """Identity of the rig and what it may touch."""

    id: str = Field(pattern=_NAME)
    rig_class: Literal["SIM", "BENCH", "HUMAN"] = Field(alias="class")


class NodeEntry(_Strict):
    """One process.

    Attributes
    ----------
    role
        What it does.
    source, driver
        Name of the source or driver, for acquisition and stimulator.
    settings
        Settings of source, driver or subject; checked by it.
    host
        Where it runs; only this host for now.
    """

    role: NodeRole
    source: str | None = None
    driver: str | None = None
    settings: dict[str, Any] = {}
    host: Literal["localhost"] = "localhost"

    @model_validator(mode="after")
    def _named_device(self) -> NodeEntry:
        if self.role == "acquisition" and not self.source:
            raise ValueError("an acquisition node names its source")
        if self.role == "stimulator" and not self.driver:
            raise ValueError("a stimulator node names its driver")
        return self


class EmgChannel(_Strict):
    """Which source's channel is a muscle of the protocol."""

    source: str
    channel: str


class ImuPlace(_Strict):
    """Which source carries the inertial sensor, and where it sits."""

    source: str


class ForcePlace(_Strict):
    """Which source carries the force or torque cell."""

    source: str


class StimulationPlace(_Strict):
    """Which output of the device a channel of the protocol is, and its pad."""

    output: int = Field(ge=0, le=63)
    pad: str

    @field_validator("pad", mode="before")
    @classmethod
    def _is_area(cls, value: object) -> object:
        try:
            area_cm2 = parse(value, "cm2")
        except QuantityError as error:
            raise ValueError(error.why) from None
        if not area_cm2 > 0:
            raise ValueError("allowed is an area greater than 0 cm2")
        return value

    @property
    def pad_area_cm2(self) -> float:
        """Area of the smaller pad."""
        return parse(self.pad, "cm2")


class StopPaths(_Strict):
    """How else than by key one can stop: a loopback port that takes any POST, a pedal's device file."""

    port: int | None = Field(default=None, ge=1024, le=65535)
    pedal: str | None = None


class Rig(_Strict):
    """A rig file.

    Attributes
    ----------
    emg
        The protocol's muscles; `stimulated_person` is False where the EMG is another person's (a playback), so that
        no stimulation artifact can be in it.
    """

    rig: RigHeader
    nodes: dict[str, NodeEntry]
    emg: dict[str, EmgChannel]
    imu: ImuPlace | None = None
    force: ForcePlace | None = None
    stimulation: dict[str, StimulationPlace] = {}
    stimulated_person: bool = True
    stop: StopPaths | None = None

    _path: str = PrivateAttr(default="")
    _lines: Lines = PrivateAttr(default_factory=dict)

    def place(self, keys: KeyPath, written: str = "") -> str:
        """``file:line: key`` of a value in the rig's file; the key alone where it was read from no file.

        Parameters
        ----------
        written
            The key as it is to be shown, where that says more than `keys` can.
        """
        if not self._path:
            return written or dotted(keys)
        found = at(self._path, self._lines, keys)
        return found.removesuffix(dotted(keys)) + written if written else found

    @model_validator(mode="after")
    def _hangs_together(self) -> Rig:
        mistakes = [
            InitErrorDetails(
                type=PydanticCustomError("value_error", "{error}", {"error": text}), loc=where, input=found
            )
            for where, found, text in self._mistakes()
        ]
        if mistakes:
            raise ValidationError.from_exception_data("Rig", mistakes)
        return self

    def _mistakes(self) -> Iterator[tuple[tuple[str, ...], Any, str]]:
        """What is wrong between the parts: where, what was found, what is allowed."""
        for name in self.nodes:
            if name in RESERVED:
                yield ("nodes", name), name, "is the name of another that takes part, call the node something else"
            elif not re.fullmatch(_NAME, name):
                yield ("nodes", name), name, "allowed is a name of 1 to 31 of a-z, 0-9, _ and -"
        sources = self.sources()
        heard: dict[tuple[str, str], str] = {}
        for muscle, place in self.emg.items():
            if place.source not in sources:
                yield ("emg", muscle, "source"), place.source, f"allowed is a source of the rig: {', '.join(sources)}"
            other = heard.setdefault((place.source, place.channel), muscle)
            if other != muscle:
                yield ("emg", muscle, "channel"), place.channel, f"{other} has this channel of {place.source} already"
        for kind, sensor in (("imu", self.imu), ("force", self.force)):
            if sensor is not None and sensor.source not in sources:
                yield (kind, "source"), sensor.source, f"allowed is a source of the rig: {', '.join(sources)}"
        taken: dict[int, str] = {}
        for channel, wired in self.stimulation.items():
            first = taken.setdefault(wired.output, channel)
            if first != channel:
                yield ("stimulation", channel, "output"), wired.output, f"{first} has this output already"
        for role in ("controller", "stimulator", "director", "recorder", "subject"):
            names = [name for name, node in self.nodes.items() if node.role == role]
            for name in names[1:]:
                yield ("nodes", name, "role"), role, f"{names[0]} is of this role already, allowed is one"
        subject = self.node_of("subject")
        if self.rig.rig_class == "HUMAN" and subject is not None:
            yield ("nodes", subject, "role"), "subject", "a virtual subject belongs on a SIM or BENCH rig, not on HUMAN"

    def node_of(self, role: NodeRole) -> str | None:
        """Name of the only node of a role; None where there is none."""
        return next((name for name, node in self.nodes.items() if node.role == role), None)

    def sources(self) -> list[str]:
        """Names of the acquisition nodes."""
        return [name for name, node in self.nodes.items() if node.role == "acquisition"]


def load_rig(path: Path | str) -> Rig:
    """Read a rig file.

    Raises
    ------
    FileError
        With every mistake in it, one line each.
    """
    data, lines = load_yaml(path)
    if isinstance(data, dict) and "rig" not in data and {"protocol", "phases"} <= data.keys():
        raise FileError([f"{path}:{lines[('protocol',)]}: is a protocol file, a rig file is needed"])
    try:
        rig = _with_paths_from(Rig.model_validate(data), Path(path).parent)
    except ValidationError as error:
        raise FileError(explain(error, path, data, lines, Rig)) from None
    rig._path, rig._lines = str(path), lines
    missing = [role for role in ("controller", "stimulator", "director", "recorder") if not rig.node_of(role)]
    if missing and rig.stimulation:
        raise FileError([f"{rig.place(('nodes',))}: no node of role {', '.join(missing)}"])
    return rig


#: Settings of sources that name files; a rig names them relative to itself.
_FILE_SETTINGS = ("file", "file_aux", "mapping")


def _with_paths_from(rig: Rig, folder: Path) -> Rig:
    nodes = {
        name: node.model_copy(
            update={
                "settings": {
                    key: str((folder / value).resolve()) if key in _FILE_SETTINGS and isinstance(value, str) else value
                    for key, value in node.settings.items()
                }
            }
        )
        for name, node in rig.nodes.items()
    }
    return rig.model_copy(update={"nodes": nodes})
