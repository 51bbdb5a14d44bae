"""Dose planned against delivered, and where the session stands in the person's course."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from myoloop.experiments.analysis.dosing import Amount, ChannelDose, block_doses
from myoloop.experiments.analysis.session import Session
from myoloop.experiments.reports.beside import Beside, ended_at
from myoloop.experiments.reports.tables import Table, number_words
from myoloop.experiments.studies.adherence import Dose, adherence
from myoloop.experiments.studies.course import due, session_caps
from myoloop.experiments.studies.courselog import PersonCourse
from myoloop.experiments.studies.moments import say_moment


def planned(session: Session) -> Table | None:
    """Each channel of each block: trains, on-time, pulses and charge, delivered of planned."""
    doses = block_doses(session)
    if not doses:
        return None
    rows = [_row(each) for each in doses]
    if len(doses) > 1:
        rows.append(_row(replace(doses[0], block="all", channel="all", planned=_sum([each.planned for each in doses]),
                                 delivered=_sum([each.delivered for each in doses]), mean_ma=None,
                                 tolerance_share=None)))  # fmt: skip
    used = sum(each.used_before for each in {each.block: each for each in doses}.values())
    columns = (
        "block", "channel", "trains", "on-time (s)", "pulses", "charge (mC)", "charge (%)", "mean current (mA)",
        "of tolerance (%)",
    )  # fmt: skip
    caption = (
        "Delivered of planned. Planned: every trial of the protocol with this person's own values, at the targets that "
        "were resolved; a trial that was skipped, held back or cut short gives less. Charge: one phase of each pulse."
    )
    if session.metadata.get("blinded") == "true":
        caption += " Nominal in every arm: what an active arm would have had."
    if used:
        caption += f" {used} of the planned trials were used by earlier attempts at this session."
    return Table(columns, tuple(rows), caption)


def course(session: Session, beside: Beside) -> list[tuple[str, str]]:
    """Label and value: which session of the course it is, and how well the course was kept at its end."""
    rows = [("Session, attempt", f"{beside.place.session}, attempt {beside.place.attempt}")] if beside.place else []
    now = ended_at(session)
    if beside.course is None or beside.place is None or now is None:
        return rows
    return rows + _course(beside.course, beside.place.session, now)


def _course(known: PersonCourse, number: int, now: datetime) -> list[tuple[str, str]]:
    plan = known.plan
    # As it stood when this session ended: what came later belongs into later reports.
    booked = [each for each in known.booked if each.begin <= now]
    kept, asks = adherence(plan, booked, now), due(plan, booked, now, closed_at=known.closed_at)
    caps = session_caps(plan, booked, number)
    percent = "not yet to be told" if kept.percent is None else f"{kept.percent:.0f} %"
    rows = [
        ("Place in the course", f"session {number} of {plan.planned}"),
        ("Prescribed", f"{plan.sessions_per_week} a week for {plan.weeks} weeks"),
        ("Sessions by then", f"{kept.due} due: {kept.done} done, {kept.partial} partial, {kept.missed} missed"),
        ("Adherence", percent),
        ("Charge of the course", _dose(kept.charge_mc, "mC")),
        ("On-time of the course", _dose(kept.on_s, "s")),
        ("Share of the day's tolerance", _share(kept.tolerance_share)),
    ]
    if caps.why:
        shares = f"{caps.current_share:.0%} of the current, {caps.on_time_share:.0%} of the on-time"
        rows.append(("Smaller session", f"{shares}: {caps.why}"))
    if asks.next is not None:
        rows.append(("Next session", f"{asks.next.session}, from {say_moment(asks.next.opens, plan.zone)}"))
    for each in known.overrides:
        if each.session == number:
            said = f"{each.rule}, lifted by {each.name} ({each.role}): {each.reason}"
            rows.append(("Begun in spite of", said))
    return rows


def _row(each: ChannelDose) -> tuple[str, ...]:
    asked, given = each.planned, each.delivered
    share = given.charge_mc / asked.charge_mc if asked.charge_mc > 0 else math.nan
    return (
        each.block,
        each.channel,
        f"{given.trains:g} of {asked.trains:g}",
        f"{given.on_s:.1f} of {asked.on_s:.1f}",
        f"{given.pulses:g} of {asked.pulses:.0f}",
        f"{given.charge_mc:.2f} of {_known(asked.charge_mc)}",
        number_words(100 * share if math.isfinite(share) else None, 0),
        number_words(each.mean_ma, 1),
        number_words(100 * each.tolerance_share if each.tolerance_share is not None else None, 0),
    )


def _sum(amounts: Sequence[Amount]) -> Amount:
    return Amount(
        sum(each.trains for each in amounts),
        math.fsum(each.on_s for each in amounts),
        sum(each.pulses for each in amounts),
        sum(each.charge_mc for each in amounts),
    )


def _known(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else "unknown (no target)"


def _dose(dose: Dose, unit: str) -> str:
    if dose.share is None:
        # Of charge: what is planned follows from thresholds that nobody had when the session was booked.
        return f"{dose.delivered:.1f} {unit}, how much was planned is not known"
    return f"{dose.delivered:.1f} of {dose.planned:.1f} {unit} ({_share(dose.share)})"


def _share(share: float | None) -> str:
    return "not known" if share is None else f"{share:.0%}"
