"""What can be known of a rig before anything of it is started: that its parts exist, and what they will be.

Files are read and names are looked up; no device is touched. Every mistake is told at once, with its place in the rig
file, so that a session that cannot be does not even get a folder.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from myoloop.acquisition.registry import foresee_source
from myoloop.acquisition.source import Foreseen, SourceError, SourceMistake
from myoloop.experiments.origins import SIMULATED, Origins
from myoloop.experiments.sessions.virtual_body import (
    EMULATED,
    VirtualBodyError,
    emulates,
    emulator_of,
    virtual_body,
)
from myoloop.experiments.subjects.node import make_body
from myoloop.experiments.subjects.parameters import SubjectParameters
from myoloop.platform.messages import ChannelSetting, SampleDescriptor
from myoloop.platform.plugins import PluginError, find_plugin, plugin_settings
from myoloop.platform.rig import Rig
from myoloop.platform.yamlfile import FileError, KeyPath
from myoloop.stimulators import registry as drivers
from myoloop.stimulators.driver import Capabilities, Driver, DriverError


@dataclass(frozen=True, slots=True)
class Survey:
    """What is known of a rig.

    Attributes
    ----------
    sources
        By the name of the acquisition node.
    device
        What the stimulator can do; None where there is none, or it was not looked at.
    refuses
        Why its driver cannot say settings of its channels; empty where it can.
    """

    sources: Mapping[str, Foreseen]
    device: Capabilities | None = None
    refuses: Callable[[Sequence[ChannelSetting]], str] | None = None


def survey(rig: Rig, *, stimulator: bool = True) -> Survey:
    """Look at a rig.

    Parameters
    ----------
    stimulator
        Whether it is to stimulate; a rig that is only listened to may have one that cannot run.

    Raises
    ------
    FileError
        With every mistake that can be seen, one line each.
    """
    problems: list[str] = []
    driver = _driver(rig, problems) if stimulator else None
    # A body has its stimulator's settings too: what is wrong with them has been said.
    body = _body(rig, problems) if not problems else None
    sources = {name: _source(rig, name, body, problems) for name in rig.sources()}
    problems += _channels_that_are_not_there(rig, sources)
    if problems:
        raise FileError(list(dict.fromkeys(problems)))
    known = {name: foreseen for name, foreseen in sources.items() if foreseen is not None}
    return Survey(known) if driver is None else Survey(known, driver.capabilities, _refusals(driver))


def needs_body(rig: Rig) -> bool:
    """Whether a source hears the rig's own virtual subject."""
    return rig.node_of("subject") is not None and any(rig.nodes[name].source == SIMULATED for name in rig.sources())


def origins_of(rig: Rig, known: Survey, *, stimulates: bool = True) -> Origins:
    """Which parts of a session on a rig are simulated.

    Parameters
    ----------
    stimulates
        False where the rig is only listened to.
    """
    stimulator = rig.node_of("stimulator") if stimulates else None
    has_body = rig.node_of("subject") is not None if stimulates else needs_body(rig)
    driver = rig.nodes[stimulator].driver if stimulator is not None else None
    return Origins(
        emg="+".join(sorted({source.origin for source in known.sources.values()})),
        stimulation="none" if driver is None else SIMULATED if driver == SIMULATED or emulates(rig) else "device",
        body=SIMULATED if has_body else "person" if rig.rig.rig_class == "HUMAN" else "none",
    )


def _driver(rig: Rig, problems: list[str]) -> Driver | None:
    name = rig.node_of("stimulator")
    if name is None:
        return None
    node = rig.nodes[name]
    driver = node.driver or ""
    channels = {channel: place.output for channel, place in rig.stimulation.items()}
    try:
        found = find_plugin(drivers.GROUP, drivers.BUILT_IN, driver)
        plugin_settings(f"driver {driver!r}", found, {**node.settings, "channels": channels})
        made = drivers.make_driver(driver, node.settings, channels)
    except PluginError as error:
        problems.append(_misfit(rig, name, "driver", error))
        return None
    except DriverError as error:
        setting = _first_word(str(error))
        if setting in node.settings:
            found = str(error).removeprefix(setting)
            problems.append(f"{rig.place(('nodes', name, 'settings', setting))}: found{found}")
        else:
            problems.append(f"{rig.place(('nodes', name))}: {error}")
        return None
    problems += _unattached(rig, name, "driver", driver)
    if emulates(rig) and not emulator_of(rig):
        place = rig.place(("nodes", name, "settings", "port"))
        problems.append(f"{place}: found {EMULATED!r}, which needs a node of role subject with an emulator on this rig")
    said = node.settings.get("rig_class")
    if said is not None and said != rig.rig.rig_class:
        place = rig.place(("nodes", name, "settings", "rig_class"))
        problems.append(f"{place}: found {said!r}, driver {driver!r} is on a rig that is {rig.rig.rig_class}")
    return made


def _refusals(driver: Driver) -> Callable[[Sequence[ChannelSetting]], str]:
    """Ask its encoder, which needs no open port."""

    def refuses(settings: Sequence[ChannelSetting]) -> str:
        try:
            driver.encode(settings)
        except DriverError as error:
            return str(error)
        return ""

    return refuses


def _body(rig: Rig, problems: list[str]) -> tuple[SampleDescriptor, ...] | None:
    """Streams of the rig's virtual subject; None where there is none, or it cannot be made."""
    if rig.node_of("subject") is None:
        return None
    try:
        settings = virtual_body(rig, SubjectParameters(), 0)
    except VirtualBodyError as error:
        problems.append(str(error))
        return None
    return make_body(settings, 0).descriptors if settings.heard else ()


def _source(rig: Rig, name: str, body: tuple[SampleDescriptor, ...] | None, problems: list[str]) -> Foreseen | None:
    node = rig.nodes[name]
    kind = node.source or ""
    try:
        foreseen = foresee_source(kind, node.settings, name=name)
    except PluginError as error:
        problems.append(_misfit(rig, name, "source", error))
        return None
    except SourceMistake as error:
        keys = ("nodes", name, "settings", error.setting)
        problems += [f"{rig.place(keys)}: {error}"] if error.setting else error.problems
        return None
    except SourceError:
        # This machine cannot tell (a library that is not installed here); opening will.
        return Foreseen()
    unattached = _unattached(rig, name, "source", kind)
    problems += unattached
    if kind == SIMULATED and rig.node_of("subject") is not None:
        return Foreseen("simulated", body)
    return None if unattached else foreseen


def _unattached(rig: Rig, name: str, what: str, kind: str) -> list[str]:
    """A part that is attached to a body, where there is no body."""
    if kind != SIMULATED or rig.node_of("subject") is not None or rig.nodes[name].settings.get("address"):
        return []
    place = rig.place(("nodes", name, what))
    return [f"{place}: found '{kind}', which needs a node of role subject on this rig, or settings.address of another"]


def _channels_that_are_not_there(rig: Rig, sources: Mapping[str, Foreseen | None]) -> Iterator[str]:
    for muscle, place in rig.emg.items():
        there = _channels(sources.get(place.source), f"emg/{place.source}")
        if there is not None and place.channel not in there:
            had = ", ".join(there) or "no EMG at all"
            keys = ("emg", muscle, "channel")
            yield f"{rig.place(keys)}: found {place.channel!r}, source {place.source} has {had}"
    if rig.imu is not None and _channels(sources.get(rig.imu.source), f"imu/{rig.imu.source}") == ():
        yield f"{rig.place(('imu', 'source'))}: found {rig.imu.source!r}, a source without accelerometer and gyroscope"
    if rig.force is not None and _channels(sources.get(rig.force.source), f"force/{rig.force.source}") == ():
        yield f"{rig.place(('force', 'source'))}: found {rig.force.source!r}, a source without a force cell"


def _channels(foreseen: Foreseen | None, topic: str) -> tuple[str, ...] | None:
    """Channels of a stream; () where it will not be there, None where nobody can tell yet."""
    if foreseen is None or foreseen.descriptors is None:
        return None
    return next((each.channels for each in foreseen.descriptors if each.topic == topic), ())


def _misfit(rig: Rig, name: str, what: str, error: PluginError) -> str:
    """A part that does not exist or whose settings do not fit it, with its place in the rig file."""
    written = f"nodes.{name}.{error.key}" if error.key else f"nodes.{name}.{what}"
    keys: KeyPath = tuple(re.findall(r"[^.\[\]]+", error.key)) if error.key else (what,)
    return f"{rig.place(('nodes', name, *keys), written)}: {error.problem}"


def _first_word(text: str) -> str:
    found = re.match(r"\w*", text)
    return found[0] if found is not None else ""
