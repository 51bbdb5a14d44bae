"""What a session leaves in the person's course: that it began, what it gave, what it came to, and what moves then."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from myoloop.experiments.analysis.dosing import Amount, ChannelDose, block_doses
from myoloop.experiments.analysis.session import Session, load
from myoloop.experiments.outcomes.attempt import PROTOCOL_COPY
from myoloop.experiments.outcomes.compute import COMPUTED
from myoloop.experiments.outcomes.view import View
from myoloop.experiments.protocols.schema import Protocol, load_protocol
from myoloop.experiments.screening.adverse import tells_flare
from myoloop.experiments.studies import progression
from myoloop.experiments.studies.chained import read_chained
from myoloop.experiments.studies.courselog import begun_line, ended_line, plan_line, plan_of, read_course
from myoloop.experiments.studies.personrecord import append_record, record_path
from myoloop.experiments.studies.signatures import sha256_of
from myoloop.experiments.studies.studyfile import load_study
from myoloop.platform.recording.folder import place_of

_TOLD_BY = "the person"


def book(folder: Path, outcome: str) -> tuple[progression.Change, ...]:
    """Write an attempt that has ended, or was closed after a kill, into the person's course.

    It is written once it is over, from its recording: what was refused before it began has used nothing up, and what
    was killed cannot be passed over, because nobody begins another session before it is closed or gone on with. What
    is written already is not written again: a kill may have come in between.

    Parameters
    ----------
    folder
        The attempt's.
    outcome
        As the session's, or ``interrupted``.

    Returns
    -------
    tuple of Change
        What holds for the person from the next session on.
    """
    place = place_of(folder)
    protocol = load_protocol(folder / PROTOCOL_COPY)
    if place is None or protocol.course is None:
        return ()
    session = load(folder)
    begin = session.wall_start
    if begin is None:
        return ()
    end = begin + timedelta(seconds=session.end_s)
    doses = block_doses(session)
    stimulated = any(len(track) for track in session.delivered().values())
    known = read_course(read_chained(record_path(place.study, place.subject, "course")))
    if known is None:
        study = load_study(place.study)
        plan = plan_of(protocol.course, study.zone, study.override_roles)
        line = plan_line(plan, sha256_of(folder / PROTOCOL_COPY), begin)
        append_record(place.study, place.subject, "course", line)
    here = (place.session, place.attempt)
    booked = next((each for each in known.booked if (each.session, each.attempt) == here), None) if known else None
    if booked is None:
        planned = _sum(doses, "planned")
        append_record(place.study, place.subject, "course", begun_line(*here, begin, **planned))
    if booked is None or not booked.outcome:
        ended = ended_line(
            *here, end, outcome if stimulated or outcome == "complete" else "refused",
            tolerance_share=_tolerance_share(doses), **_sum(doses, "delivered"),
        )  # fmt: skip
        append_record(place.study, place.subject, "course", ended)
    return _progress(session, protocol, place.study, place.subject, place.session, end, complete=outcome == "complete")


def _progress(
    session: Session, protocol: Protocol, study: Path, person: str, number: int, now: datetime, *, complete: bool
) -> tuple[progression.Change, ...]:
    rules = [progression.rule_of(each) for each in protocol.progression]
    if not rules and protocol.flare is None:
        return ()
    path = record_path(study, person, "progression")
    before, _ = progression.read_progression(read_chained(path))
    flared = _flared(session)
    if not complete:
        # Of a session that was cut short nothing is concluded, but what the person told of a flare holds.
        if flared and not any(each.flare for each in before if each.session == number):
            line = progression.flare_line(number, now, _TOLD_BY, "told in a form of a session that was not complete")
            append_record(study, person, "progression", line)
        return ()
    if not any(each.session == number and each.measures for each in before):
        view = View(session, protocol)
        measures = {rule.measure: COMPUTED[rule.measure](view).value for rule in rules}
        result = progression.Result(number, "session_end", measures, flare=flared)
        append_record(study, person, "progression", progression.result_line(result, now))
    results, changes = progression.read_progression(read_chained(path))
    newest = progression.newest_result(results)
    if newest is None or newest.session != number:
        return ()
    present = {rule.path: float(protocol.written(protocol.keys(rule.path))) for rule in rules}
    present.update({change.path: change.new for change in changes})
    moved = progression.progress(rules, results, present, changes)
    for change in moved:
        append_record(study, person, "progression", progression.change_line(change, now))
    return moved


def _sum(doses: tuple[ChannelDose, ...], what: str) -> dict[str, Any]:
    """On-time, charge and pulses of all blocks; a charge that was never resolved counts as none."""
    amounts: list[Amount] = [getattr(dose, what) for dose in doses]
    charges = [each.charge_mc for each in amounts if math.isfinite(each.charge_mc)]
    return {
        "on_s": math.fsum(each.on_s for each in amounts),
        "charge_mc": math.fsum(charges),
        "pulses": round(math.fsum(each.pulses for each in amounts)),
    }


def _tolerance_share(doses: tuple[ChannelDose, ...]) -> float | None:
    shares = [(dose.tolerance_share, dose.delivered.on_s) for dose in doses if dose.tolerance_share is not None]
    total_s = sum(on_s for _, on_s in shares)
    if not total_s > 0:
        return None
    return math.fsum(share * on_s for share, on_s in shares) / total_s


def _flared(session: Session) -> bool:
    """Whether the person told of a flare since the last session."""
    told = (event.values for event in session.events if event.kind == "form")
    return any(tells_flare(str(values.get("form")), values) for values in told)
