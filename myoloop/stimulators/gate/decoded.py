"""The bytes, read again before they are written: do they say what was allowed, and nothing more?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from myoloop.stimulators.gate.envelope import DeviceLimits, Envelope
from myoloop.stimulators.gate.limits import Setting, current_cap, out_of_range


@dataclass(frozen=True, slots=True)
class WireOutput:
    """One output that is not zero, as the wire's own integers say it.

    Attributes
    ----------
    net_charge_wire
        Signed current code times duration code, summed over the pulse; exactly 0 when balanced.
    """

    output: int
    current_ma: float
    phase_us: float
    rate_hz: float
    net_charge_wire: int


#: Codes become physical numbers by a division: two numbers this close are the same code.
_SAME = 1e-9


def disagreement(
    allowed: Sequence[Setting],
    decoded: Sequence[WireOutput],
    envelope: Envelope | None,
    device: DeviceLimits,
    calibrating: bool,
) -> str:
    """What is wrong with the bytes; empty where they may be written.

    Bytes for zero on all outputs are always right. Current may be less than allowed by under a step, never more.
    """
    if not decoded:
        return "" if not allowed else "bytes say zero where current is allowed"
    if envelope is None:
        return "bytes say current, and there is no envelope"
    wanted = {setting.channel: setting for setting in allowed}
    outputs = {limits.output: limits for limits in envelope.channels if limits.channel in wanted}
    for wire in decoded:
        limits = outputs.pop(wire.output, None)
        if limits is None:
            return f"bytes say current on output {wire.output}, where none is allowed"
        setting = wanted.pop(limits.channel)
        if wire.net_charge_wire != 0:
            return f"bytes for output {wire.output} are not balanced: net {wire.net_charge_wire}"
        said = Setting(setting.channel, wire.current_ma, wire.phase_us, wire.rate_hz)
        why = out_of_range(said, envelope, device)
        if why:
            return f"bytes for {why}"
        for name, value, right in (
            ("us", wire.phase_us, setting.phase_us),
            ("Hz", wire.rate_hz, setting.rate_hz),
        ):
            if not abs(value - right) <= _SAME * right:
                return f"bytes for {setting.channel} say {value:g} {name}, allowed is {right:g}"
        cap_ma, rule = current_cap(limits, envelope, device, wire.phase_us, wire.rate_hz, calibrating)
        most_ma = min(setting.current_ma, cap_ma)
        if not wire.current_ma <= most_ma * (1.0 + _SAME):
            return f"bytes for {setting.channel} say {wire.current_ma:g} mA, at most {most_ma:g} ({rule})"
        if not wire.current_ma > setting.current_ma - device.current_step_ma:
            return f"bytes for {setting.channel} say {wire.current_ma:g} mA, allowed is {setting.current_ma:g}"
    if wanted:
        return f"bytes say nothing of {', '.join(sorted(wanted))}"
    return ""
