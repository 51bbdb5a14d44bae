"""What a drill has shown: times from the device's own ledger, held against limit and envelope; as rows and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from myoloop.experiments.drills.devices import Device
from myoloop.experiments.drills.faults import Drill

#: From the fault to the last pulse, where the device's own bound comes on top.
ZERO_WITHIN_MS = 250.0
#: A train that must go on has a pulse within so many periods of the last look.
_MISSED = 5
#: Between what an emulator stamps and what its rate says: its ledger is in whole microseconds.
_SLACK_MS = 0.01
#: A fault counts only where there was a pulse so shortly before it.
_FLOWED_NS = 100_000_000


class LedgerPulse(msgspec.Struct, frozen=True):
    """A pulse as a ledger's line has it."""

    t_ns: int
    output: int
    current_ma: float
    width_us: float


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One row.

    Attributes
    ----------
    last_pulse_ms
        From just before the fault (or from the stop, where the fault shows only then) to the last pulse; 0 where none
        followed. None where the fault never came.
    goes_on
        Whether current still flowed at the last look.
    limit_ms, bound_ms
        Within what time current had to end; what of it is the device's own.
    largest_ma, envelope_ma
        Of the whole session.
    told
        Why current ended, as it stands on record.
    wrong
        What was not as it must be; empty where all was.
    """

    device: str
    fault: str
    group: str
    says: str
    expects: str
    last_pulse_ms: float | None
    goes_on: bool
    limit_ms: float
    bound_ms: float
    bound: str
    largest_ma: float
    envelope_ma: float
    told: str
    wrong: tuple[str, ...]
    passed: bool

    @classmethod
    def broken(cls, device: Device, drill: Drill, why: str) -> Finding:
        """Of a session that did not come as far as its fault."""
        return _finding(device, drill, None, False, (0.0, 0.0), "", (why,))


def judge(
    device: Device,
    drill: Drill,
    pulses: Sequence[LedgerPulse],
    envelope: Mapping[str, Any],
    told: str,
    struck_ns: int,
    watched_ns: int,
) -> Finding:
    """Hold a ledger against what must be.

    Parameters
    ----------
    pulses
        All of the session, in order of time.
    envelope
        As ``envelope.json`` has it.
    struck_ns, watched_ns
        When it failed; until when the session was left to itself.
    """
    after = [pulse.t_ns for pulse in pulses if pulse.t_ns > struck_ns]
    last_ms = (after[-1] - struck_ns) * 1e-6 if after else 0.0
    limit_ms = ZERO_WITHIN_MS + device.bound_ms
    flowing = [t_ns for t_ns in after if t_ns <= watched_ns]
    period_ms = 1e3 / 35.0
    goes_on = bool(flowing) and (watched_ns - flowing[-1]) * 1e-6 <= _MISSED * period_ms
    wrong = _over(pulses, envelope)
    if not any(struck_ns - _FLOWED_NS < pulse.t_ns <= struck_ns for pulse in pulses):
        return Finding.broken(device, drill, "no current flowed when it failed")
    if drill.expects == "zero" and last_ms > limit_ms:
        wrong.append(f"current flowed for {last_ms:.0f} ms, allowed is {limit_ms:.0f}")
    if drill.expects in ("zero", "told") and not told:
        wrong.append("no reason is told")
    if drill.expects == "goes on" and not goes_on:
        wrong.append(f"current ended after {last_ms:.0f} ms, and must not")
    if drill.expects == "either" and not goes_on and last_ms > limit_ms:
        wrong.append(f"current ended after {last_ms:.0f} ms, allowed is {limit_ms:.0f} or not at all")
    largest_ma = max((pulse.current_ma for pulse in pulses), default=0.0)
    most_ma = max(float(each["current_max_ma"]) for each in envelope["channels"])
    return _finding(device, drill, last_ms, goes_on, (largest_ma, most_ma), told, tuple(wrong))


def _finding(
    device: Device,
    drill: Drill,
    last_ms: float | None,
    goes_on: bool,
    currents: tuple[float, float],
    told: str,
    wrong: tuple[str, ...],
) -> Finding:
    return Finding(
        device=device.name,
        fault=drill.name,
        group=drill.group,
        says=drill.says,
        expects=drill.expects,
        last_pulse_ms=None if last_ms is None else round(last_ms, 1),
        goes_on=goes_on,
        limit_ms=ZERO_WITHIN_MS + device.bound_ms,
        bound_ms=device.bound_ms,
        bound=device.bound,
        largest_ma=currents[0],
        envelope_ma=currents[1],
        told=told,
        wrong=wrong,
        passed=not wrong,
    )


def _over(pulses: Sequence[LedgerPulse], envelope: Mapping[str, Any]) -> list[str]:
    """Each way in which some pulse was over the envelope, once."""
    most_ma = {int(each["output"]): float(each["current_max_ma"]) for each in envelope["channels"]}
    low_us, high_us = envelope["phase_us"]
    wrong: dict[str, str] = {}
    before_ns: dict[int, int] = {}
    for pulse in pulses:
        allowed_ma = most_ma.get(pulse.output, 0.0)
        if pulse.current_ma > allowed_ma:
            wrong.setdefault("current", f"a pulse of {pulse.current_ma:g} mA, allowed is {allowed_ma:g}")
        if not low_us <= pulse.width_us <= high_us:
            wrong.setdefault("width", f"a pulse of {pulse.width_us:g} us, allowed is {low_us:g} to {high_us:g}")
        charge_uc = pulse.current_ma * pulse.width_us * 1e-3
        if charge_uc > envelope["charge_per_phase_uc"]:
            wrong.setdefault("charge", f"{charge_uc:g} uC, allowed is {envelope['charge_per_phase_uc']:g}")
        apart_ms = (pulse.t_ns - before_ns.get(pulse.output, -(10**18))) * 1e-6
        least_ms = 1e3 / envelope["rate_hz"][1]
        if apart_ms < least_ms - _SLACK_MS:
            wrong.setdefault("rate", f"two pulses {apart_ms:.1f} ms apart, allowed is {least_ms:.1f}")
        before_ns[pulse.output] = pulse.t_ns
    return list(wrong.values())


def table(findings: Sequence[Finding]) -> str:
    """Rows for people, then what went wrong."""
    head = ("device", "fault", "last pulse", "limit", "largest", "", "told")
    rows = [head, *(_row(each) for each in findings)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head) - 1)]
    lines = [
        "  ".join([*(cell.ljust(w) for cell, w in zip(row, widths, strict=False)), row[-1]]).rstrip() for row in rows
    ]
    bounds = dict.fromkeys(f"{each.device}: {each.bound_ms:.0f} ms of the limit are {each.bound}" for each in findings)
    failed = [f"{each.device} {each.fault}: {why}" for each in findings for why in each.wrong]
    count = sum(each.passed for each in findings)
    return "\n".join([*lines, "", *bounds, *failed, f"{count} of {len(findings)} passed"])


def finding_line(finding: Finding) -> str:
    """One finding as it comes."""
    verdict = "pass" if finding.passed else f"FAIL ({'; '.join(finding.wrong)})"
    return f"{finding.device} {finding.fault}: {last_pulse_text(finding)}, {verdict}: {finding.told}"


def last_pulse_text(finding: Finding) -> str:
    """When current ended."""
    if finding.last_pulse_ms is None:
        return "not run"
    return "goes on" if finding.goes_on else f"{finding.last_pulse_ms:.0f} ms"


def limit_text(finding: Finding) -> str:
    """When it had to."""
    return {
        "goes on": "must go on",
        "either": f"{finding.limit_ms:.0f} ms or none",
        "told": "must be told",
    }.get(finding.expects, f"{finding.limit_ms:.0f} ms")


def _row(finding: Finding) -> tuple[str, ...]:
    return (
        finding.device,
        finding.fault,
        last_pulse_text(finding),
        limit_text(finding),
        f"{finding.largest_ma:g} of {finding.envelope_ma:g} mA",
        "pass" if finding.passed else "FAIL",
        finding.told,
    )
