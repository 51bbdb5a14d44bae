"""A SIM rig for any protocol: a virtual subject with the protocol's muscles, pads and electrodes."""

from __future__ import annotations

from typing import Any

from myoloop.experiments.protocols.schema import Protocol
from myoloop.platform.rig import Rig

#: How much of a voluntary effort goes to a muscle, and whether its force raises the joint angle, by its part.
_PART = {"agonist": (1.0, 1.0), "antagonist": (0.1, -1.0), "monitor": (0.0, 0.0), "none": (0.0, 0.0)}
#: Pad of a channel where the protocol plans none.
_PAD_CM2 = 25.0
#: A stimulator fit for microcurrent has steps of 10 uA.
_MICROCURRENT = {"current_step_ma": 0.01, "current_max_ma": 1.0, "phase_max_us": 1_000_000, "rate_max_hz": 1000.0}


def simulated_rig(protocol: Protocol, *, name: str = "simulated", force_cell: bool = False) -> Rig:
    """Make the rig.

    Parameters
    ----------
    force_cell
        Whether it has one on the joint though the protocol does not ask for it.
    """
    return Rig.model_validate(simulated_rig_data(protocol, name=name, force_cell=force_cell))


def simulated_rig_data(protocol: Protocol, *, name: str = "simulated", force_cell: bool = False) -> dict[str, Any]:
    """The same as plain data, as a rig file holds it."""
    outputs = {channel: number for number, channel in enumerate(protocol.stimulation)}
    heard = [site for site, place in protocol.sites.items() if place.emg != "none"]
    muscles = {}
    for site, place in protocol.sites.items():
        effort_share, joint_sign = _PART[place.emg]
        wired = {channel: outputs[channel] for channel, pulses in protocol.stimulation.items() if pulses.site == site}
        if site in heard or wired:
            muscles[site] = {
                "emg": [site] if site in heard else [],
                "outputs": wired,
                "joint_sign": joint_sign or (1.0 if wired else 0.0),
                "effort_share": effort_share,
            }
    device = {"outputs": max(2, len(outputs)), **(_MICROCURRENT if protocol.devices.stim.device_class == "uA" else {})}
    stimulation = {
        channel: {"output": outputs[channel], "pad": f"{protocol.sites[pulses.site].pad_area_cm2 or _PAD_CM2:g} cm2"}
        for channel, pulses in protocol.stimulation.items()
    }
    body: dict[str, Any] = {"muscles": muscles, "source": "amplifier"}
    force_cell = force_cell or protocol.devices.force is not None
    if force_cell:
        body["force_cell"] = True
    return {
        "rig": {"id": name, "class": "SIM"},
        "nodes": {
            "body": {"role": "subject", "settings": body},
            "amplifier": {"role": "acquisition", "source": "simulated"},
            "controller": {"role": "controller"},
            "stimulator": {"role": "stimulator", "driver": "simulated", "settings": device},
            "director": {"role": "director"},
            "recorder": {"role": "recorder"},
        },
        "emg": {site: {"source": "amplifier", "channel": site} for site in heard},
        "imu": {"source": "amplifier"},
        **({"force": {"source": "amplifier"}} if force_cell else {}),
        "stimulation": stimulation,
    }
