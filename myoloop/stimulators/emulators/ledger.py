"""The delivered-pulse ledger: what a device put out, whatever it was told and whatever it said."""

from __future__ import annotations

from typing import NamedTuple

import msgspec


class Pulse(NamedTuple):
    """One delivered pulse, symmetric and biphasic.

    Attributes
    ----------
    t_ns
        Leading edge, on the clock the device was fed with.
    output
        Output of the device, from 0.
    current_ma, phase_us
        Amplitude of each phase, width of each phase.
    """

    t_ns: int
    output: int
    current_ma: float
    phase_us: float


def ledger_line(pulse: Pulse) -> bytes:
    """One JSON line of a ledger file: ``t_ns``, ``output``, ``current_ma``, ``width_us`` (per phase)."""
    row = {
        "t_ns": pulse.t_ns,
        "output": pulse.output,
        "current_ma": pulse.current_ma,
        "width_us": pulse.phase_us,
    }
    return msgspec.json.encode(row) + b"\n"
