"""What a person has had: in this session, in a day, in this course; and the ledger that outlives a session.

The ledger (``dose.jsonl`` in the person's folder) is one JSON object a line. Each line holds a session's totals so
far, and the wall time at which they were reached.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import floor

from myoloop.stimulators.gate.ceilings import REST_MIN_NS
from myoloop.stimulators.gate.envelope import Envelope, finite

#: A day is any 24 hours: a date would change at midnight somewhere, in the middle of somebody's session.
DAY_NS = 24 * 3600 * 1_000_000_000


class LedgerError(ValueError):
    """A ledger that cannot be believed: without it nobody is armed."""


@dataclass(frozen=True, slots=True)
class DoseTotals:
    """Charge per phase summed over pulses and channels, time with current, pulses; never less than was given."""

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


@dataclass(frozen=True, slots=True)
class Period:
    """A pulse period of an output: in it a device gives at most one pulse, whenever that comes.

    Attributes
    ----------
    passed_ns, lasts_ns
        Time since it began; how long it is at the fastest rate since.
    charge_uc
        What is booked for its pulse: the largest charge per phase that was in force.
    """

    passed_ns: int
    lasts_ns: int
    charge_uc: float


@dataclass(frozen=True, slots=True)
class Running:
    """What of the dose is not over.

    Attributes
    ----------
    periods
        By output; also of one whose current has ended within the period.
    gap_ns
        Time since there was current anywhere of which it is not known yet whether it is rest.
    rest_in_ns
        How much more of it makes all of it rest; 0 in rest.
    """

    periods: Mapping[int, Period] = field(default_factory=dict)
    gap_ns: int = 0
    rest_in_ns: int = 0


#: (charge per phase in uC, rate in Hz) by output, of those with current.
Flows = Mapping[int, tuple[float, float]]


def book_pulses(dose: DoseTotals, running: Running, flows: Flows) -> tuple[DoseTotals, Running]:
    """Book the pulses that may come at once, as these flow from now on.

    Whatever its phase, a device gives no two pulses of an output closer together than the shortest period asked for
    since the first of them. Then each of the periods that are counted here holds at most one, and a whole pulse is
    booked for each as it begins: in a time d at a rate f that is floor(d f) + 1, what a device gives whose first pulse
    comes at once. A larger charge within the period is booked instead of the smaller one.
    """
    charge_mc, pulses, periods = dose.charge_mc, dose.pulses, dict(running.periods)
    for output, (charge_uc, rate_hz) in flows.items():
        period_ns = _period_ns(rate_hz)
        period = periods.get(output)
        if period is None or period.passed_ns >= min(period.lasts_ns, period_ns):
            period = Period(0, period_ns, 0.0)
            pulses += 1.0
        charge_mc += max(0.0, charge_uc - period.charge_uc) * 1e-3
        lasts_ns, most_uc = min(period.lasts_ns, period_ns), max(period.charge_uc, charge_uc)
        periods[output] = Period(period.passed_ns, lasts_ns, most_uc)
    return replace(dose, charge_mc=charge_mc, pulses=pulses), replace(running, periods=periods)


def pass_dose(dose: DoseTotals, running: Running, flows: Flows, elapsed_ns: int) -> tuple[DoseTotals, Running]:
    """Let time pass while these flow, for which :func:`book_pulses` was asked as they began.

    Time without current is rest, and not booked, once it is longer than a period of what flowed last and longer than
    any gap within a train; if there is current again before, it was time with current.
    """
    charge_mc, pulses, periods = dose.charge_mc, dose.pulses, {}
    for output, period in running.periods.items():
        passed_ns = period.passed_ns + elapsed_ns
        if output in flows:
            charge_uc, rate_hz = flows[output]
            period_ns = _period_ns(rate_hz)
            # Those that have begun since: one that begins now does so only if current goes on.
            begun = max(0, -((period.lasts_ns - passed_ns) // period_ns))
            if begun:
                charge_mc += begun * charge_uc * 1e-3
                pulses += begun
                passed_ns -= period.lasts_ns + (begun - 1) * period_ns
                period = Period(passed_ns, period_ns, charge_uc)
            periods[output] = replace(period, passed_ns=passed_ns)
        elif passed_ns < period.lasts_ns:
            periods[output] = replace(period, passed_ns=passed_ns)
    on_s, gap_ns = dose.on_s, running.gap_ns + elapsed_ns
    rest_in_ns = max(0, running.rest_in_ns - elapsed_ns)
    if flows:
        on_s, gap_ns = on_s + gap_ns * 1e-9, 0
        rest_in_ns = max(rest_in_ns, REST_MIN_NS, *(_period_ns(rate_hz) for _, rate_hz in flows.values()))
    elif not rest_in_ns:
        gap_ns = 0
    return DoseTotals(charge_mc, on_s, pulses), Running(periods, gap_ns, rest_in_ns)


def _period_ns(rate_hz: float) -> int:
    return floor(1e9 / rate_hz)


def dose_with_gap(dose: DoseTotals, running: Running) -> DoseTotals:
    """The dose if there is current now: what is not known to be rest counts as on."""
    return replace(dose, on_s=dose.on_s + running.gap_ns * 1e-9)


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
