"""The devices that drills run on, each with the time in which it ends current by itself, and what can break on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from myoloop.experiments.protocols.schema import Protocol
from myoloop.experiments.sessions.simulated_rig import simulated_rig_data
from myoloop.experiments.sessions.virtual_body import EMULATED
from myoloop.platform.errors import UserError
from myoloop.stimulators.emulators.registry import EMULATORS

#: Pulses of the drill's train are this far apart, 1/35 s rounded up.
PERIOD_MS = 29.0


@dataclass(frozen=True, slots=True)
class Device:
    """A stimulator that drills run on.

    Attributes
    ----------
    emulator
        Whose emulator is on the virtual subject; ``simulated`` for the simulated device.
    driver, settings
        How a rig file names it.
    bound_ms, bound
        Within what time it ends current by itself when nothing is said to it any more, and why.
    breaks
        What can break on it, in the words of :mod:`myoloop.stimulators.emulators.fault_words`, and what must follow
        (see :class:`myoloop.experiments.drills.faults.Drill`).
    """

    name: str
    emulator: str
    driver: str
    settings: Mapping[str, Any]
    bound_ms: float
    bound: str
    breaks: Mapping[str, str] = field(default_factory=dict)


#: Of the line, the same everywhere: an answer that is wrong or missing ends current; one that can still be read does
#: not.
_LINE = {
    "drop-answers": "zero",
    "corrupt-answers": "zero",
    "wrong-number-answers": "zero",
    "answer-delay=400ms": "zero",
    "duplicate-answers": "either",
    "reorder-answers": "either",
    "garbage-before-answers=00ff5aa5": "goes on",
    "split-answers=2ms": "goes on",
    "vanished": "zero",
    "restart": "zero",
    "open-electrodes=0": "zero",
}
_P24 = {
    **_LINE,
    "load-ohm=0:20000": "zero",
    "load-factor=2": "goes on",
    "open-from=0:100ms": "zero",
    "general-errors=8": "zero",
    "reset-at=50ms": "zero",
}
#: Transfer, parameter, time-out, wrong level, high voltage, electrode, pulse time-out, busy, low current.
_P24_CODES = (1, 2, 4, 7, 8, 10, 16, 21, 28)

DEVICES = {
    device.name: device
    for device in (
        Device("simulated", "simulated", "simulated", {}, 200.0, "its lease of 200 ms", {**_LINE, "stuck-on": "zero"}),
        Device(
            "p24-low",
            "p24",
            "sciencemode34",
            {"port": EMULATED, "device": "p24", "current_max_ma": 40.0, "level": "low"},
            PERIOD_MS,
            "the one pulse that may wait in its queue",
            {
                **_P24,
                **{f"results-once=2:{code}": "zero" for code in _P24_CODES},
                "queue-full": "zero",
                "stop-delay=40ms": "zero",
                # Pulses without end and no command that ends them: nothing but the line itself can.
                "stuck-on": "told",
            },
        ),
        Device(
            "p24-mid",
            "p24",
            "sciencemode34",
            {"port": EMULATED, "device": "p24", "current_max_ma": 40.0, "level": "mid"},
            2000.0,
            "its time-out of 2 s",
            {
                **_P24,
                **{f"results-once=32:{code},36:{code}": "zero" for code in _P24_CODES},
                "mask-flipped=1": "zero",
                "stuck-on": "zero",
            },
        ),
        Device(
            "rehastim2",
            "rehastim2",
            "sciencemode2",
            {"port": EMULATED},
            1200.0,
            "its watchdog of 1.2 s",
            {
                **_LINE,
                **{f"results=10:{code},30:{code},32:{code}": "zero" for code in (-1, -2, -3, -8)},
                "load-ohm=0:20000": "zero",
                "quick-stop": "zero",
                "module-broken": "zero",
                "reset-at=50ms": "zero",
                "stuck-on": "zero",
            },
        ),
    )
}


class NoSuchDrill(UserError, ValueError):
    """No such device or fault; the text is for the operator."""


def device_of(name: str) -> Device:
    """Find a device.

    Raises
    ------
    NoSuchDrill
        If there is none of that name.
    """
    if name not in DEVICES:
        raise NoSuchDrill(f"--device: found {name!r}, allowed are {', '.join(DEVICES)}")
    return DEVICES[name]


def drill_rig(protocol: Protocol, device: Device, stop_port: int | None) -> dict[str, Any]:
    """A SIM rig with this device on a virtual subject, as plain data."""
    data = simulated_rig_data(protocol, name="drill")
    if device.emulator != "simulated":
        assert device.emulator in EMULATORS
        data["nodes"]["body"]["settings"]["emulator"] = device.emulator
        data["nodes"]["stimulator"] = {
            "role": "stimulator",
            "driver": device.driver,
            "settings": dict(device.settings),
        }
    if stop_port is not None:
        data["stop"] = {"port": stop_port}
    return data
