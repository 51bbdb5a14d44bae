"""A SIM rig for any protocol whose stimulator is an emulator: real driver, real bytes, on a virtual subject."""

from __future__ import annotations

from typing import Any

from myoloop.experiments.protocols.schema import Protocol
from myoloop.experiments.sessions.simulated_rig import simulated_rig_data
from myoloop.experiments.sessions.virtual_body import EMULATED
from myoloop.platform.errors import UserError

#: What can be emulated, with the driver that talks to it.
DRIVERS = {
    "p24": "sciencemode34",
    "rehamove3": "sciencemode34",
    "rehastim2": "sciencemode2",
    "openemsstim": "openemsstim",
    "ttl": "ttl_trigger",
}
_WAVEFORM = "symmetric_biphasic"


class EmulatedRigError(UserError, ValueError):
    """No such device, or not at that level."""


def emulated_rig_data(
    protocol: Protocol, device: str, *, level: str = "low", name: str = "emulated", faults: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Make it, as plain data, as a rig file holds it.

    Parameters
    ----------
    device
        Name of an emulator.
    level
        ``low`` or ``mid``, of a P24 or RehaMove3.
    faults
        What breaks on the device, in words; seconds count from its first pulse.

    Raises
    ------
    EmulatedRigError
        If there is no such device, or the protocol has no stimulation that it could be set to.
    """
    if device not in DRIVERS:
        raise EmulatedRigError(f"device {device!r}: allowed are {', '.join(DRIVERS)}")
    if level not in ("low", "mid"):
        raise EmulatedRigError(f"level {level!r}: allowed are low, mid")
    data = simulated_rig_data(protocol, name=name)
    data["nodes"]["body"]["settings"] |= {"emulator": device, **({"faults": list(faults)} if faults else {})}
    settings = {"port": EMULATED, **_settings(protocol, device, level)}
    data["nodes"]["stimulator"] = {"role": "stimulator", "driver": DRIVERS[device], "settings": settings}
    return data


def _settings(protocol: Protocol, device: str, level: str) -> dict[str, Any]:
    stops_ma = [item.calibration.stop_at_ma for item in protocol.phases if item.calibration]
    most_ma = max([protocol.envelope.current_max_ma, *stops_ma])
    if device in ("p24", "rehamove3"):
        return {"device": device, "current_max_ma": most_ma, "level": level}
    if device == "rehastim2":
        return {}
    # Width and rate of all channels are set by hand: to those of the first.
    first = next(iter(protocol.stimulation.values()), None)
    if first is None:
        raise EmulatedRigError(f"device {device!r}: is set by hand, and the protocol stimulates nothing")
    if device == "ttl":
        return {"set_current_ma": most_ma, "set_phase_us": first.phase_us, "set_waveform": _WAVEFORM}
    return {
        "unit_current_ma_at_full": most_ma,
        "unit_phase_us": first.phase_us,
        "unit_rate_hz": first.rate_hz,
        "unit_waveform": _WAVEFORM,
    }
