"""What a person has had: in this session, today, in this course; and the ledger that outlives a session.

The ledger (``dose.jsonl`` in the person's folder) is one JSON object a line. Each line holds a session's totals so
far; the last line of a session counts.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from math import isfinite

from myoloop.stimulators.gate.envelope import Envelope


class LedgerError(ValueError):
    """A ledger that cannot be believed: without it nobody is armed."""


@dataclass(frozen=True, slots=True)
class DoseTotals:
    """Charge per phase summed over pulses and channels, time with current, pulses."""

    charge_mc: float = 0.0
    on_s: float = 0.0
    pulses: float = 0.0


@dataclass(frozen=True, slots=True)
class PriorDose:
    """Charge of other sessions: today's, and of the whole course (today's included)."""

    day_charge_mc: float = 0.0
    course_charge_mc: float = 0.0


def add_dose(dose: DoseTotals, settings: Iterable[tuple[float, float]], elapsed_ns: int) -> DoseTotals:
    """Add a cycle's worth.

    Parameters
    ----------
    settings
        (charge per phase in uC, rate in Hz) of every channel that had current.
    """
    elapsed_s = elapsed_ns * 1e-9
    charge_mc, pulses, on = dose.charge_mc, dose.pulses, False
    for charge_uc, rate_hz in settings:
        charge_mc += charge_uc * 1e-3 * rate_hz * elapsed_s
        pulses += rate_hz * elapsed_s
        on = True
    return DoseTotals(charge_mc, dose.on_s + (elapsed_s if on else 0.0), pulses)


def dose_exceeded(dose: DoseTotals, prior: PriorDose, envelope: Envelope) -> str:
    """Which limit the dose has reached; empty while there is some left."""
    if dose.on_s >= envelope.session_on_s_max:
        return f"session on-time of {envelope.session_on_s_max:g} s is used up"
    if dose.charge_mc >= envelope.session_charge_mc_max:
        return f"session charge of {envelope.session_charge_mc_max:g} mC is used up"
    if prior.day_charge_mc + dose.charge_mc >= envelope.day_charge_mc_max:
        return f"charge of the day of {envelope.day_charge_mc_max:g} mC is used up"
    if prior.course_charge_mc + dose.charge_mc >= envelope.course_charge_mc_max:
        return f"charge of the course of {envelope.course_charge_mc_max:g} mC is used up"
    return ""


def ledger_line(subject: str, session: str, day: str, dose: DoseTotals) -> str:
    """One line of the ledger, with its line end.

    Parameters
    ----------
    day
        ISO date of the session's begin.
    """
    entry = {
        "subject": subject,
        "session": session,
        "day": day,
        "charge_mc": dose.charge_mc,
        "on_s": dose.on_s,
        "pulses": round(dose.pulses),
    }
    return json.dumps(entry, sort_keys=True, allow_nan=False) + "\n"


def read_ledger(text: str, subject: str, session: str, day: str) -> PriorDose:
    """Sum what other sessions have given this person.

    Raises
    ------
    LedgerError
        If a line is cut, is not ours, belongs to another person, or holds a number that cannot be a dose.
    """
    if text and not text.endswith("\n"):
        raise LedgerError(f"line {text.count(chr(10)) + 1}: cut off; what it held is not known")
    last: dict[str, tuple[str, float]] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            entry = json.loads(line)
            owner, name, when, charge_mc = (
                entry["subject"],
                entry["session"],
                entry["day"],
                entry["charge_mc"],
            )
        except (ValueError, KeyError, TypeError):
            raise LedgerError(f"line {number}: found {line[:80]!r}, allowed is a dose entry") from None
        if owner != subject:
            raise LedgerError(f"line {number}: belongs to {owner!r}, this is {subject!r}")
        if isinstance(charge_mc, bool) or not isinstance(charge_mc, (int, float)) or not _is_dose(charge_mc):
            raise LedgerError(f"line {number}: charge_mc: found {charge_mc!r}, allowed is 0 or more")
        last[str(name)] = (str(when), float(charge_mc))
    last.pop(session, None)
    return PriorDose(
        sum(charge for when, charge in last.values() if when == day),
        sum(charge for _, charge in last.values()),
    )


def _is_dose(value: float) -> bool:
    return isfinite(value) and value >= 0
