"""The delivered-pulse ledger: what a device put out, whatever it was told and whatever it said."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec


class Point(NamedTuple):
    """One stretch of constant current within a pulse, signed."""

    current_ma: float
    width_us: float


class Pulse(NamedTuple):
    """One delivered pulse, symmetric and biphasic unless it has `points`.

    Attributes
    ----------
    t_ns
        Leading edge, on the clock the device was fed with.
    output
        Output of the device, from 0.
    current_ma, phase_us
        Amplitude of each phase, width of each phase. Where there are `points`: the largest amplitude, and the width
        of the first phase.
    points
        All of a pulse that is not two like phases of opposite sign, from its leading edge on; otherwise empty.
    net_charge_nc
        Direct current that the pulse leaves behind, in nC (mA times us); exactly 0 where it is balanced.
    """

    t_ns: int
    output: int
    current_ma: float
    phase_us: float
    points: tuple[Point, ...] = ()
    net_charge_nc: float = 0.0


def ledger_line(pulse: Pulse) -> bytes:
    """One JSON line of a ledger file: ``t_ns``, ``output``, ``current_ma``, ``width_us`` (per phase).

    A pulse with points has ``points`` (pairs of mA and us) and ``net_charge_nc`` too.
    """
    row: dict[str, Any] = {
        "t_ns": pulse.t_ns,
        "output": pulse.output,
        "current_ma": pulse.current_ma,
        "width_us": pulse.phase_us,
    }
    if pulse.points:
        row["points"] = pulse.points
        row["net_charge_nc"] = pulse.net_charge_nc
    return msgspec.json.encode(row) + b"\n"
