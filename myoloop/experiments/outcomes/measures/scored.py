"""Scores of instruments, answered in this session or in the diary after it: one outcome for each score there is."""

from __future__ import annotations

from collections.abc import Callable

from myoloop.experiments.outcomes.instrument import VERSION, Instrument, ScoreKind
from myoloop.experiments.outcomes.kind import Measure, OutcomeKind
from myoloop.experiments.outcomes.scoring import SCORES
from myoloop.experiments.outcomes.view import Value, View

#: Outcomes of these names were there before instruments were.
_ELSEWHERE = frozenset({"pgic"})


def _measure(instrument: Instrument, kind: ScoreKind) -> Measure:
    return Measure(
        kind.name,
        OutcomeKind(kind.text, kind.unit, (f"form:{instrument.form_id}",)),
        _computed(instrument, kind),
        kind.method,
        {**kind.parameters, "instrument": instrument.id},
        kind.better,
        kind.source,
    )


def _computed(instrument: Instrument, kind: ScoreKind) -> Callable[[View], Value]:
    def compute(view: View) -> Value:
        told = view.forms(instrument.form_id)
        if not told:
            return Value(None, why=f"the form {instrument.form_id} was not filled in")
        scores = {site: instrument.score(values)[kind.name] for site, values in told.items()}
        versions = sorted({str(values[VERSION]) for values in told.values() if values.get(VERSION)})
        of_one = next(iter(scores.values())).parameters if len(scores) == 1 else {}
        parameters = {**of_one, **({"version": versions[0] if len(versions) == 1 else versions} if versions else {})}
        n = sum(score.n for score in scores.values())
        why = "; ".join(f"{site}: {score.why}" if site else score.why for site, score in scores.items() if score.why)
        unmet = [lack for score in scores.values() for lack in score.unmet]
        if unmet:
            why = "; ".join([*([why] if why else []), f"not met: {', '.join(unmet)}"])
        if kind.ordinal:
            codes = {site: score.code for site, score in scores.items() if score.code}
            single = next(iter(codes.values())) if len(codes) == 1 else ""
            apart = f"{len(codes)} sites: grades are not averaged" if len(codes) > 1 else ""
            return Value(None, n, why=why or apart, code=single, codes=codes or None, parameters=parameters)
        values = {site: score.value for site, score in scores.items() if score.value is not None}
        if not values:
            return Value(None, n, why=why, parameters=parameters)
        parts = {site: value for site, value in values.items() if site} or None
        return Value(sum(values.values()) / len(values), n, parts, why, parameters=parameters)

    compute.__doc__ = kind.method
    return compute


MEASURES = tuple(_measure(*found) for name, found in SCORES.items() if name not in _ELSEWHERE)
