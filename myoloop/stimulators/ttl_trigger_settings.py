"""What the trigger box and the stimulator behind it are set to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from myoloop.stimulators.driver import DriverError
from myoloop.stimulators.wiring import check_wiring

OUTPUTS = 4
TRAIN_MAX_MS = 250
SYMMETRIC = "symmetric_biphasic"


@dataclass(frozen=True, slots=True)
class TtlTriggerDriverSettings:
    """How the box and the stimulator behind it are set.

    Attributes
    ----------
    channels
        Output of the box, 0 to 3, of each stimulation channel of the rig.
    port
        Device path, or ``socket://HOST:PORT``.
    set_current_ma, set_phase_us
        As set by hand on the stimulator: amplitude and width of each phase.
    set_waveform
        As set on the stimulator; only ``symmetric_biphasic`` is balanced as the gate asks.
    rate_max_hz
        Most that may be asked for, at most the firmware's 149.9.
    train_ms
        How long the box goes on after a line.
    ready_s
        How long the box may take to start; opening its port restarts it.
    """

    channels: Mapping[str, int]
    port: str
    set_current_ma: float
    set_phase_us: float
    set_waveform: str
    rate_max_hz: float = 100.0
    train_ms: int = 150
    ready_s: float = 5.0

    def __post_init__(self) -> None:
        check_wiring(self.channels, OUTPUTS, f"the box has 0 to {OUTPUTS - 1}")
        for name, least, most in (
            ("set_current_ma", 0.0, 130.0), ("set_phase_us", 0.0, 2000.0), ("rate_max_hz", 1.0, 149.9),
            ("train_ms", 100, TRAIN_MAX_MS), ("ready_s", 0.0, 60.0),
        ):  # fmt: skip
            value = getattr(self, name)
            if not (least <= value <= most and value > 0):
                raise DriverError(f"{name} {value}: must be above 0, at least {least:g} and at most {most:g}")
        if self.set_waveform != SYMMETRIC:
            raise DriverError(f"set_waveform {self.set_waveform!r}: must be {SYMMETRIC}, others leave net charge")
