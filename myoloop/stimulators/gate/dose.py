"""What a person has had: in this session, in a day, in this course; and the ledger that outlives a session.

The ledger (``dose.jsonl`` in the person's folder) is one JSON object a line. Each line holds a session's totals so
far, and the wall time at which they were reached.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from myoloop.stimulators.gate.envelope import Envelope, finite

#: A day is any 24 hours: a date would change at midnight somewhere, in the middle of somebody's session.
DAY_NS = 24 * 3600 * 1_000_000_000


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
    """What the ledger holds.

    Attributes
    ----------
    day_charge_mc, course_charge_mc
        Charge of other sessions: of the last 24 hours, and of the whole course (those hours included).
    session
        What this very session has had already, where it was begun before; the gate goes on from there.
    """

    day_charge_mc: float = 0.0
    course_charge_mc: float = 0.0
    session: DoseTotals = DoseTotals()


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
    """Which limit the dose has reached; empty while there is some left. What is no number has reached all."""
    if not dose.on_s < envelope.session_on_s_max:
        return f"session on-time of {envelope.session_on_s_max:g} s is used up"
    if not dose.charge_mc < envelope.session_charge_mc_max:
        return f"session charge of {envelope.session_charge_mc_max:g} mC is used up"
    if not prior.day_charge_mc + dose.charge_mc < envelope.day_charge_mc_max:
        return f"charge of the day of {envelope.day_charge_mc_max:g} mC is used up"
    if not prior.course_charge_mc + dose.charge_mc < envelope.course_charge_mc_max:
        return f"charge of the course of {envelope.course_charge_mc_max:g} mC is used up"
    return ""


def ledger_line(subject: str, session: str, wall_ns: int, dose: DoseTotals) -> str:
    """One line of the ledger, with its line end.

    Parameters
    ----------
    session
        Which session of the person, the same for all attempts at it.
    wall_ns
        Wall time at which the totals were reached.
    """
    entry = {
        "subject": subject,
        "session": session,
        "wall_ns": wall_ns,
        "charge_mc": dose.charge_mc,
        "on_s": dose.on_s,
        "pulses": round(dose.pulses),
    }
    return json.dumps(entry, sort_keys=True, allow_nan=False) + "\n"


def read_ledger(text: str, subject: str, session: str, wall_ns: int) -> PriorDose:
    """Sum what other sessions, and this one so far, have given this person.

    A session's totals only grow: of its lines the largest numbers count, so that one begun again with nothing in its
    memory takes nothing back. Lines are appended, so none was given before those that stand above it, whatever the
    clock said then; and what seems to come from the future is not old. A clock that is set back forgets nothing.

    Parameters
    ----------
    wall_ns
        Wall time now: what was given in the 24 hours before counts for the day.

    Raises
    ------
    LedgerError
        If a line is cut, is not ours, belongs to another person, or holds a number that cannot be a dose or a time.
    """
    if text and not text.endswith("\n"):
        raise LedgerError(f"line {text.count(chr(10)) + 1}: cut off; what it held is not known")
    newest_ns = 0.0
    #: Charge that each session had when the last 24 hours began.
    older: dict[str, float] = {}
    totals: dict[str, DoseTotals] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            entry = json.loads(line)
            owner, name = entry["subject"], str(entry["session"])
            found = {key: entry[key] for key in ("charge_mc", "on_s", "pulses", "wall_ns")}
        except (ValueError, KeyError, TypeError, RecursionError):
            raise LedgerError(f"line {number}: found {line[:80]!r}, allowed is a dose entry") from None
        if owner != subject:
            raise LedgerError(f"line {number}: belongs to {owner!r}, this is {subject!r}")
        charge_mc, on_s, pulses, at_ns = (_number(f"line {number}: {key}", value) for key, value in found.items())
        before = totals.get(name, DoseTotals())
        total = DoseTotals(max(before.charge_mc, charge_mc), max(before.on_s, on_s), max(before.pulses, pulses))
        totals[name] = total
        newest_ns = max(newest_ns, at_ns)
        if newest_ns < wall_ns - DAY_NS:
            older[name] = total.charge_mc
    this = totals.pop(session, DoseTotals())
    return PriorDose(
        sum(total.charge_mc - older.get(name, 0.0) for name, total in totals.items()),
        sum(total.charge_mc for total in totals.values()),
        this,
    )


def _number(where: str, value: object) -> float:
    number = finite(value)
    if number is None or number < 0.0:
        raise LedgerError(f"{where}: found {value!r}, allowed is 0 or more")
    return number
