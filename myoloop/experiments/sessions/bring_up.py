"""From started processes to a rig that runs: every node is told what it is for, then all begin."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from myoloop.experiments.sessions.setup import (
    SessionSetup,
    body_settings,
    controller_settings,
    director_settings,
    recording_metadata,
    stimulator_node_settings,
)
from myoloop.experiments.sessions.virtual_body import emulates
from myoloop.platform.messages import SampleDescriptor
from myoloop.platform.supervisor import Supervisor


@dataclass(frozen=True, slots=True)
class Up:
    """What is known of a rig once it runs.

    Attributes
    ----------
    device
        Who the stimulator says it is, and what is wrong with its port.
    descriptors
        What the sources say of themselves.
    stop_port
        On which the stop node listens; None where there is no stimulator.
    """

    device: str
    descriptors: tuple[SampleDescriptor, ...]
    stop_port: int | None


def bring_up(setup: SessionSetup, supervisor: Supervisor, wall_ns: int) -> Up:
    """Configure every node in the order in which they need one another, then let all begin.

    Parameters
    ----------
    wall_ns
        When the session begins, by the wall clock.

    Raises
    ------
    SupervisorError, SetupError
        If one cannot be what it is told, or does not come.
    """
    rig = setup.rig
    runtime = supervisor.runtime
    body = rig.node_of("subject")
    addresses = {what: f"unix:{runtime.socket_path(f'{body}.{what}')}" for what in ("source", "device")}
    terminal = runtime.socket_path(f"{body}.tty")
    if emulates(rig):
        addresses["device"] = f"pty:{terminal}"
    if body is not None:
        settings = {
            "body": msgspec.to_builtins(body_settings(setup)),
            "source_address": addresses["source"],
            "device_address": addresses["device"],
            # The body's own ledger says what it was really given.
            "ledger": str(setup.folder / "body-ledger.jsonl") if setup.allocated is None else "",
        }
        supervisor.configure(body, settings)
    descriptors: list[SampleDescriptor] = []
    for name in rig.sources():
        node = rig.nodes[name]
        attached = node.source == "simulated" and body is not None
        source_settings = {**node.settings, **({"address": addresses["source"]} if attached else {})}
        settings = {
            "source": node.source,
            "source_settings": source_settings,
            "stimulated_person": rig.stimulated_person,
        }
        values = supervisor.configure(name, settings)
        descriptors += [msgspec.convert(each, SampleDescriptor) for each in values["descriptors"]]
    recorder = rig.node_of("recorder")
    if recorder is not None:
        settings = {
            "folder": str(setup.folder),
            "descriptors": [msgspec.to_builtins(each) for each in descriptors],
            "metadata": recording_metadata(setup, wall_ns),
            "required_topics": ["report", "estimate", *(each.topic for each in descriptors)],
        }
        supervisor.configure(recorder, settings)
    stimulator = rig.node_of("stimulator")
    device, stop_port = "", None
    if stimulator is not None:
        settings = stimulator_node_settings(setup, descriptors)
        if rig.nodes[stimulator].driver == "simulated" and body is not None:
            settings["driver_settings"]["address"] = addresses["device"]
        elif emulates(rig):
            settings["driver_settings"]["port"] = str(terminal)
        device = str(supervisor.configure(stimulator, settings).get("identity", ""))
        wired = (rig.stop.port, rig.stop.pedal) if rig.stop is not None else (None, None)
        stop_port = supervisor.start_stop_node(*wired)
    controller = rig.node_of("controller")
    if controller is not None:
        chosen = controller_settings(setup, descriptors)
        supervisor.configure(controller, {"controller": msgspec.to_builtins(chosen)})
    director = rig.node_of("director")
    if director is not None:
        supervisor.configure(director, {"director": msgspec.to_builtins(director_settings(setup))})
    order = [recorder, stimulator, controller, body, *rig.sources(), director]
    supervisor.begin([name for name in order if name is not None])
    return Up(device, tuple(descriptors), stop_port)
