"""What an openEMSstim board and its unit are set to, and the lines that say what the gate allowed.

The driver's decoder, in :mod:`myoloop.stimulators.openemsstim`, uses nothing of this.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from myoloop.platform.messages import ChannelSetting
from myoloop.stimulators.driver import DriverError
from myoloop.stimulators.wiring import check_wiring, wired

ON_TIME_MS = 300
OUTPUTS = 2
LEVELS = 3
SYMMETRIC = "symmetric_biphasic"
#: Intensity of each level: the largest whose current is not above so many thirds of that at 100 %.
_PERCENT = {1: 11, 2: 55, 3: 100}


@dataclass(frozen=True, slots=True)
class OpenEmsStimDriverSettings:
    """How the board and the unit behind it are set.

    Attributes
    ----------
    channels
        Output, 0 or 1, of each stimulation channel of the rig.
    port
        Device path, or ``socket://HOST:PORT``.
    unit_current_ma_at_full
        Measured behind the board at an intensity of 100 %, on the dummy load.
    unit_phase_us, unit_rate_hz
        As set on the unit.
    unit_waveform
        As the unit's manual says; only ``symmetric_biphasic`` is balanced as the gate asks.
    framing
        ``wv`` as the board's radio would, or ``plain``, which the newest firmware does not take.
    ready_s
        How long the board may take to start; opening its port restarts it.
    """

    channels: Mapping[str, int]
    port: str
    unit_current_ma_at_full: float
    unit_phase_us: float
    unit_rate_hz: float
    unit_waveform: str
    framing: str = "wv"
    ready_s: float = 10.0

    def __post_init__(self) -> None:
        check_wiring(self.channels, OUTPUTS, "the board has 0 and 1")
        for name, most in (
            ("unit_current_ma_at_full", 130.0), ("unit_phase_us", 1000.0), ("unit_rate_hz", 200.0), ("ready_s", 60.0),
        ):  # fmt: skip
            if not 0 < getattr(self, name) <= most:
                raise DriverError(f"{name} {getattr(self, name)}: must be above 0 and at most {most:g}")
        if self.unit_waveform != SYMMETRIC:
            raise DriverError(f"unit_waveform {self.unit_waveform!r}: must be {SYMMETRIC}, others leave net charge")
        if self.framing not in ("wv", "plain"):
            raise DriverError(f"framing {self.framing!r}: must be wv or plain")


def encoded(s: OpenEmsStimDriverSettings, settings: Sequence[ChannelSetting]) -> bytes:
    """One line for each output.

    Raises
    ------
    DriverError
        If a channel is unknown, or the unit is not set to what is asked.
    """
    lines = list(off_lines(s.framing))
    for output, wanted in wired(s.channels, settings):
        if not 0 <= wanted.current_ma <= s.unit_current_ma_at_full:
            raise DriverError(f"current_ma {wanted.current_ma} is not within 0 to {s.unit_current_ma_at_full:g}")
        step_ma = s.unit_current_ma_at_full / LEVELS
        level = max(n for n in range(LEVELS + 1) if n * step_ma <= wanted.current_ma * (1 + 1e-12))
        if level == 0:
            continue
        for name, value, is_set in (
            ("phase_us", wanted.phase_us, s.unit_phase_us), ("rate_hz", wanted.rate_hz, s.unit_rate_hz),
        ):  # fmt: skip
            if not value == is_set:
                raise DriverError(f"{name} {value}: the unit is set to {is_set:g}, nothing else can be had")
        lines[output] = command_line(output, _PERCENT[level], ON_TIME_MS, s.framing)
    return b"".join(lines)


def command_line(output: int, percent: int | None, on_time_ms: int, framing: str) -> bytes:
    """One line: an output on at an intensity, or with None for it just its time."""
    intensity = "" if percent is None else f"I{percent}"
    return framed(f"C{output}{intensity}T{on_time_ms}G", framing)


def off_lines(framing: str) -> tuple[bytes, ...]:
    """The line of each output that shuts it off; it says nothing of an intensity."""
    return tuple(command_line(output, None, 0, framing) for output in range(OUTPUTS))


def framed(text: str, framing: str) -> bytes:
    """A text as the board takes it."""
    if framing == "wv":
        return f"WV,0018,{text.encode('ascii').hex().upper()}.\n".encode("ascii")
    return text.encode("ascii") + b"\n"
