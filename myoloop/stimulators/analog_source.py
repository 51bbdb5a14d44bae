"""What an isolated current source at analog outputs is set to, and what its driver needs of those outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import floor
from typing import Protocol

from myoloop.stimulators.driver import DriverError
from myoloop.stimulators.wiring import check_wiring

#: A buffer is read again sample by sample before it is played; more would take too long.
SAMPLES_MAX = 20_000
_RIG_CLASSES = ("SIM", "BENCH", "HUMAN")


@dataclass(frozen=True, slots=True)
class AnalogSettings:
    """How the source is wired and what was measured of it.

    Attributes
    ----------
    channels
        Analog output of each stimulation channel of the rig.
    port
        The device's name in NI MAX, such as ``Dev1``.
    rig_class
        ``SIM``, ``BENCH`` or ``HUMAN``, as in the rig's header.
    volts_per_ma
        Of the source's input for 1 mA, measured on the dummy load.
    source_current_max_ma
        The most that the source gives, by its own limit.
    zero_code
        Code at which no current flows, measured on the dummy load.
    heartbeat_line
        Digital output such as ``port0/line0`` to the relay in the leads; must be there on a HUMAN rig.
    range_v, dac_bits
        The converter: plus and minus so many volts in so many bits.
    sample_rate_hz
        A whole number of samples for each width.
    lease_ms
        The longest buffer.
    rate_max_hz
        The most pulses in a second that the host makes.
    """

    channels: Mapping[str, int]
    port: str
    rig_class: str
    volts_per_ma: float
    source_current_max_ma: float
    zero_code: int
    heartbeat_line: str = ""
    outputs: int = 2
    range_v: float = 10.0
    dac_bits: int = 16
    sample_rate_hz: int = 100_000
    lease_ms: int = 100
    rate_max_hz: float = 100.0

    def __post_init__(self) -> None:
        if self.rig_class not in _RIG_CLASSES:
            raise DriverError(f"rig_class {self.rig_class!r}: must be {', '.join(_RIG_CLASSES)}")
        if self.rig_class == "HUMAN" and not self.heartbeat_line:
            raise DriverError("rig_class HUMAN: refused without heartbeat_line, the relay that opens the leads")
        for name, least, most in (
            ("volts_per_ma", 1e-3, 1e5), ("source_current_max_ma", 1e-3, 130.0), ("range_v", 0.1, 20.0),
            ("dac_bits", 8, 16), ("sample_rate_hz", 1000, 1_000_000), ("lease_ms", 1, 100),
            ("rate_max_hz", 0.1, 200.0), ("outputs", 1, 32),
        ):  # fmt: skip
            if not least <= getattr(self, name) <= most:
                raise DriverError(f"{name} {getattr(self, name)}: must be {least:g} to {most:g}")
        if not abs(self.zero_code) <= 1 << (self.dac_bits - 4):
            raise DriverError(f"zero_code {self.zero_code}: must be within a sixteenth of the range around 0")
        if self.sample_rate_hz * self.lease_ms > 1000 * SAMPLES_MAX:
            raise DriverError(f"lease_ms {self.lease_ms}: more than {SAMPLES_MAX} samples at {self.sample_rate_hz} Hz")
        if 1_000_000 % self.sample_rate_hz:
            raise DriverError(f"sample_rate_hz {self.sample_rate_hz}: a sample must be a whole number of us")
        check_wiring(self.channels, self.outputs, f"the device has 0 to {self.outputs - 1}")
        if self.code_max < 1:
            raise DriverError(f"source_current_max_ma {self.source_current_max_ma}: less than the converter's step")

    @property
    def step_ma(self) -> float:
        """Current of one code."""
        return 2 * self.range_v / (1 << self.dac_bits) / self.volts_per_ma

    @property
    def code_max(self) -> int:
        """Largest amplitude in codes, that the source gives and the converter has on both sides."""
        return min(
            floor(self.source_current_max_ma / self.step_ma + 1e-9),
            (1 << (self.dac_bits - 1)) - 1 - abs(self.zero_code),
        )


class AnalogOutput(Protocol):
    """What the driver needs of a device; :class:`~myoloop.stimulators.ni_output.NiOutput` is the real one."""

    identity: str

    def play(self, buffers: Sequence[Sequence[int]], sample_rate_hz: int) -> None:
        """Generate a buffer for each output, once; OSError if it cannot."""
        ...

    def done(self) -> bool:
        """Whether the last buffer is over; OSError if it went wrong."""
        ...

    def zero(self) -> None:
        """Set all outputs to rest at once; OSError if it cannot."""
        ...

    def heartbeat(self, level: bool) -> None:
        """Set the relay's line; OSError if it cannot."""
        ...

    def close(self) -> None:
        """Release it."""
        ...
