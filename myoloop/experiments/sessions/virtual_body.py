"""From a rig's node of role ``subject`` to the body that its simulated source and stimulator are attached to."""

from __future__ import annotations

from typing import Annotated

import msgspec

from myoloop.experiments.subjects.leads import LeadFall
from myoloop.experiments.subjects.node import BodySettings, make_body
from myoloop.experiments.subjects.parameters import SubjectParameters
from myoloop.experiments.subjects.person import MuscleSite
from myoloop.experiments.subjects.presets import PRESETS
from myoloop.platform.errors import UserError
from myoloop.platform.plugins import PluginError, plugin_settings
from myoloop.platform.rig import Rig
from myoloop.stimulators.driver import DriverError
from myoloop.stimulators.emulators.registry import EMULATORS, EmulatorError
from myoloop.stimulators.emulators.simulated import DeviceSettings
from myoloop.stimulators.simulated import SimulatedDriver

#: Port of a driver whose device is the emulator on the rig's own virtual subject.
EMULATED = "emulated"


class VirtualBodyError(UserError, ValueError):
    """Settings of a virtual subject that do not fit; one line for the operator."""


def virtual_body(rig: Rig, parameters: SubjectParameters, seed: int) -> BodySettings:
    """What a body is made of.

    Raises
    ------
    VirtualBodyError
        If its settings do not fit.
    """
    name = rig.node_of("subject") or ""
    at = ("nodes", name, "settings")
    try:
        given = msgspec.convert(rig.nodes[name].settings, _Subject)
    except msgspec.ValidationError as error:
        problem, _, where = str(error).partition(" - at `$")
        key = where.strip(".`")
        place = rig.place((*at, *key.split(".")), f"nodes.{name}.settings{f'.{key}' if key else ''}")
        raise VirtualBodyError(f"{place}: {problem[:1].lower()}{problem[1:]}") from None
    # A body that only lends its stimulator (the EMG comes from elsewhere) has one muscle under each pair of pads.
    bare = {channel: _Site((channel,), {channel: output}) for channel, output in _outputs(rig).items()}
    muscles = tuple(
        MuscleSite(
            muscle,
            site.emg,
            tuple((output, channel) for channel, output in site.outputs.items()),
            site.joint_sign,
            site.effort_share,
            site.activation_max,
            site.strength,
        )
        for muscle, site in (bare if given.muscles is None else given.muscles).items()
    )
    settings = BodySettings(
        parameters=parameters,
        seed=seed,
        muscles=muscles,
        source=given.source or name,
        heard=given.source is not None,
        force_cell=given.force_cell,
        device=_device(rig),
        emulator=given.emulator,
        by_hand=_by_hand(rig, given.emulator),
        faults=given.faults,
        leads_off=given.leads_off,
    )
    try:
        make_body(settings, 0)
    except EmulatorError as error:
        key = "faults" if str(error).startswith("fault") else "emulator"
        raise VirtualBodyError(f"{rig.place((*at, key))}: {error}") from None
    except ValueError as error:
        raise VirtualBodyError(f"{rig.place(at)}: {error}") from None
    return settings


def group_of(rig: Rig) -> str:
    """The group that people on this rig's virtual subject are drawn from.

    Raises
    ------
    VirtualBodyError
        If there is no such group.
    """
    name = rig.node_of("subject")
    group = "demo" if name is None else str(rig.nodes[name].settings.get("group", "demo"))
    if group not in PRESETS:
        place = rig.place(("nodes", name or "", "settings", "group"), f"nodes.{name}.settings.group")
        raise VirtualBodyError(f"{place}: found {group!r}, allowed: {', '.join(PRESETS)}")
    return group


def emulates(rig: Rig) -> bool:
    """Whether the rig's driver talks to the emulator on its virtual subject."""
    name = rig.node_of("stimulator")
    return name is not None and rig.nodes[name].settings.get("port") == EMULATED


def emulator_of(rig: Rig) -> str:
    """Name of the emulator on the rig's virtual subject; empty where there is none."""
    name = rig.node_of("subject")
    return "" if name is None else str(rig.nodes[name].settings.get("emulator", ""))


class _Site(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One muscle of a virtual subject, as a rig writes it."""

    emg: tuple[str, ...] = ()
    outputs: dict[str, int] = {}
    joint_sign: float = 1.0
    effort_share: float = 1.0
    activation_max: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)] = 1.0
    strength: Annotated[float, msgspec.Meta(ge=0.1, le=2.0)] = 1.0


class _Subject(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Settings of a node of role ``subject``.

    Without `source` its EMG is heard by nobody. With `emulator` the stimulator on it is the emulator of that name, and
    a driver with ``port: emulated`` talks to it; what its driver says was set by hand is set on it. `faults` break on
    the stimulator, as ``open-electrodes=0@2``: their seconds count from its first pulse. `leads_off` of the amplifier
    fall in a trial, as ``{channel: ext, phase: train, trial: 2, for_s: 4}``, whoever operates. Who is named by a
    pseudonym alone is drawn from `group`.
    """

    muscles: dict[str, _Site] | None = None
    source: str | None = None
    force_cell: bool = False
    emulator: str = ""
    faults: tuple[str, ...] = ()
    leads_off: tuple[LeadFall, ...] = ()
    group: str = "demo"


def _outputs(rig: Rig) -> dict[str, int]:
    return {channel: place.output for channel, place in rig.stimulation.items()}


def _by_hand(rig: Rig, emulator: str) -> dict[str, float]:
    """What somebody has set on the unit behind the device: what the driver's settings say."""
    kind = EMULATORS.get(emulator)
    name = rig.node_of("stimulator")
    if kind is None or name is None:
        return {}
    settings = rig.nodes[name].settings
    return {
        key: float(value)
        for key in kind.by_hand
        if isinstance(value := settings.get(key), int | float) and not isinstance(value, bool)
    }


def _device(rig: Rig) -> DeviceSettings:
    """The stimulator in the body's reach: as wide as its driver takes it to be."""
    name = rig.node_of("stimulator") or ""
    stimulator = rig.nodes.get(name)
    if stimulator is None or stimulator.driver != "simulated":
        return DeviceSettings()
    try:
        driver = plugin_settings(
            "driver 'simulated'", SimulatedDriver, {**stimulator.settings, "channels": _outputs(rig)}
        )
    except (PluginError, DriverError) as error:
        raise VirtualBodyError(f"{rig.place(('nodes', name, 'settings'))}: {error}") from None
    return DeviceSettings(
        outputs=driver.outputs,
        codes_per_ma=driver.codes_per_ma,
        current_max_ma=driver.current_max_ma,
        phase_min_us=driver.phase_min_us,
        phase_max_us=driver.phase_max_us,
        rate_max_hz=driver.rate_max_hz,
    )
