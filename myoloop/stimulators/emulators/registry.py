"""Which emulators there are, by name."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from myoloop.platform.errors import UserError
from myoloop.stimulators.emulators.emulator import Emulator

_HERE = "myoloop.stimulators.emulators"
_SCIENCEMODE34 = f"{_HERE}.sciencemode34:ScienceMode34Device"


class EmulatorError(UserError):
    """No such emulator, or not such a fault; the text is for the operator."""


@dataclass(frozen=True, slots=True)
class EmulatorKind:
    """An emulator that there is.

    Attributes
    ----------
    name
        What it is called on the command line.
    device
        Whose bytes it speaks.
    target
        ``module:Class``; imported only when it is made.
    options
        What the class is given beside `start_ns`.
    resets_on_open
        The board restarts when a host opens its port (a serial control line is wired to its reset).
    setting
        Name of the driver's setting that says where it is.
    by_hand
        What somebody sets on the unit behind it; of the same name and unit among the driver's settings.
    """

    name: str
    device: str
    target: str
    options: Mapping[str, Any] = field(default_factory=dict)
    resets_on_open: bool = False
    setting: str = "port"
    by_hand: tuple[str, ...] = ()

    def make(self, start_ns: int, by_hand: Mapping[str, float] | None = None) -> Emulator:
        """Switch one on.

        Parameters
        ----------
        by_hand
            What the unit behind it is set to; as the emulator has it where nothing is said.

        Raises
        ------
        EmulatorError
            If it is not installed.
        """
        module, _, name = self.target.partition(":")
        try:
            made = getattr(importlib.import_module(module), name)(**self.options, start_ns=start_ns)
            if by_hand:
                # What it is by itself, and what was set on it.
                settings = replace(made.settings, **{key: by_hand[key] for key in self.by_hand if key in by_hand})
                made = type(made)(settings, start_ns=start_ns)
        except (ImportError, AttributeError) as error:
            raise EmulatorError(f"emulator {self.name}: is not installed: {error}") from None
        if not isinstance(made, Emulator):
            raise EmulatorError(f"emulator {self.name}: {name} lacks something of the Emulator contract")
        return made


EMULATORS = {
    kind.name: kind
    for kind in (
        EmulatorKind("p24", "Hasomed P24 (ScienceMode 4)", _SCIENCEMODE34, {"profile": "p24"}),
        EmulatorKind("rehamove3", "Hasomed RehaMove3 (ScienceMode 3)", _SCIENCEMODE34, {"profile": "rehamove3"}),
        EmulatorKind("rehastim2", "Hasomed RehaStim2 (ScienceMode 2)", f"{_HERE}.sciencemode2:RehaStim2Device"),
        EmulatorKind(
            "openemsstim", "openEMSstim board", f"{_HERE}.openemsstim:OpenEmsStimDevice", resets_on_open=True,
            by_hand=("unit_current_ma_at_full", "unit_rate_hz", "unit_phase_us"),
        ),
        EmulatorKind(
            "ttl", "myoloop's TTL trigger board", f"{_HERE}.ttl_trigger:TtlTriggerDevice", resets_on_open=True,
            by_hand=("set_current_ma", "set_phase_us"),
        ),
        EmulatorKind("simulated", "simulated stimulator", f"{_HERE}.simulated:SimulatedDevice", setting="address"),
    )
}  # fmt: skip


def emulator_kind(name: str) -> EmulatorKind:
    """Find one by name.

    Raises
    ------
    EmulatorError
        If there is none of that name.
    """
    if name not in EMULATORS:
        raise EmulatorError(f"emulator {name!r}: there is none; there are {', '.join(EMULATORS)}")
    return EMULATORS[name]
