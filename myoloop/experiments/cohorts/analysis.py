"""The analysis of a study: every registered estimate, what it would be under other rules, and what else there is.

Arms that are withheld are withheld here: an estimate that needs them says so and gives no number.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from myoloop.experiments.cohorts import effects
from myoloop.experiments.cohorts.effects import Estimated, not_estimated
from myoloop.experiments.cohorts.gathering import CohortError, Gathered, SessionRow
from myoloop.experiments.cohorts.people import People
from myoloop.experiments.cohorts.registered import Arms, DoseResponse, Estimate, MissingRule, Registered
from myoloop.experiments.outcomes.registry import OUTCOMES

WITHHELD = "arms are withheld"
_COLUMNS = ["person", "session", "t", "y", "test", "stratum", "station", "head"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One estimate as it is reported.

    Attributes
    ----------
    part
        ``primary``, ``secondary``, ``exploratory`` or ``sensitivity``.
    what
        In words.
    estimate
        On the model's scale, for the whole course where it is between arms.
    scale, unit
        ``log`` and ``rate`` are logarithms of ratios; unit of the outcome.
    input_sha256
        Of the values that went in, each with the head of its recording's chain.
    """

    part: str
    outcome: str
    what: str
    contrast: str
    scale: str
    unit: str
    estimate: Estimated
    input_sha256: str

    @property
    def is_ratio(self) -> bool:
        """Whether it is told as a change in per cent."""
        return self.scale != "raw" and self.contrast != "mean"

    def shown(self) -> tuple[float, float, float] | None:
        """Value and interval as they are told: per cent for a ratio, else in the outcome's unit."""
        e = self.estimate
        if e.value is None or e.low is None or e.high is None:
            return None
        if self.is_ratio:
            return _percent(e.value), _percent(e.low), _percent(e.high)
        return e.value, e.low, e.high

    @property
    def shown_unit(self) -> str:
        """Of what is shown."""
        return "%" if self.is_ratio else self.unit


@dataclass(frozen=True, slots=True)
class DosePoint:
    """One person's change beside the dose before it; `change` on the scale of the analysis."""

    person: str
    arm: str
    dose_mc: float
    change: float
    last_session: int


@dataclass(frozen=True, slots=True)
class Response:
    """How one person's outcome moved from baseline to the last session used, in per cent of baseline."""

    person: str
    arm: str
    baseline: float
    last: float
    last_session: int
    change_pct: float
    responder: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Everything an analysis found.

    Attributes
    ----------
    analysis_sha256
        Of the analysis file; empty where nothing was registered.
    skipped
        Values that a scale could not take, one line each.
    """

    registered: Registered
    analysis_sha256: str
    lines: tuple[Line, ...]
    dose: tuple[DosePoint, ...]
    responses: tuple[Response, ...]
    skipped: tuple[str, ...]

    @property
    def is_registered(self) -> bool:
        """Whether there was an analysis file."""
        return bool(self.analysis_sha256)

    def line(self, part: str, outcome: str = "") -> Line | None:
        """The first line of a part, of an outcome if one is named."""
        return next((each for each in self.lines if each.part == part and outcome in ("", each.outcome)), None)


def exploratory_plan(gathered: Gathered, people: People) -> Registered:
    """What is analysed where nothing was registered: the protocol's own primary outcome, and all of it exploratory.

    Raises
    ------
    UserError
        If no session that is used names a primary outcome.
    """
    used = [row for row in gathered.rows if row.used]
    named = [row.primary for row in used if row.primary]
    if not named:
        raise CohortError(f"{gathered.study}: no session can be used, so nothing can be analysed; see myoloop index")
    others = sorted({name for row in used for name in row.outcomes} - {named[0]})
    two = people.view == "open" and len(people.arms) == 2
    reference = "sham" if "sham" in people.arms else people.arms[0] if two else ""
    arms = Arms(test=next(each for each in people.arms if each != reference), reference=reference) if two else None
    contrast: Any = "arms" if arms is not None else "trend"
    estimates = [Estimate(outcome=name, contrast=contrast) for name in (named[0], *others)]
    return Registered.model_validate(
        {
            "analysis": {"id": "none", "version": "0.0.0", "registered": "1970-01-01", "where": "nowhere"},
            "sessions": max(2, *(row.session for row in used), *(each.planned or 0 for each in people.people)),
            "arms": None if arms is None else arms.model_dump(),
            "primary": estimates[0].model_dump(),
            "secondary": [each.model_dump() for each in estimates[1:]],
            "dose_response": {"outcome": named[0]},
        }
    )


def analyse(gathered: Gathered, people: People, registered: Registered, analysis_sha256: str) -> Result:
    """Do everything that is registered, and what is told beside it.

    Raises
    ------
    CohortError
        If the registered arms are not those of the study.
    """
    _check_arms(people, registered)
    data = _Data(gathered, people, registered)
    lines: list[Line] = []
    for part, each in registered.estimates():
        lines.append(data.line(part if analysis_sha256 else "exploratory", each, registered.missing_data))
    primary = registered.primary
    lines += _sensitivity(data, primary, registered)
    points = data.dose_points(registered.dose_response) if registered.dose_response is not None else ()
    if registered.dose_response is not None:
        lines.append(
            data.dose_line(registered.dose_response, points, "secondary" if analysis_sha256 else "exploratory")
        )
    named = {each.outcome for _, each in registered.estimates()}
    others = sorted({name for row in gathered.rows for name in row.outcomes} - named)
    for name in others:
        kind: Any = "arms" if registered.arms is not None and people.view != "pooled" else "trend"
        lines.append(data.line("exploratory", Estimate(outcome=name, contrast=kind), registered.missing_data))
    skipped = tuple(dict.fromkeys(data.skipped))
    return Result(
        registered=registered, analysis_sha256=analysis_sha256, lines=tuple(lines), dose=points,
        responses=data.responses(), skipped=skipped,
    )  # fmt: skip


def _check_arms(people: People, registered: Registered) -> None:
    if registered.arms is None or people.view != "open":
        return
    wanted = {registered.arms.test, registered.arms.reference}
    if not wanted <= set(people.arms):
        raise CohortError(
            f"analysis file: arms: found {', '.join(sorted(wanted))}, the study has {', '.join(people.arms) or 'none'}"
        )


def _sensitivity(data: _Data, primary: Estimate, registered: Registered) -> list[Line]:
    """The primary estimate under other rules; exploratory by their nature, and named so in the report."""
    found = []
    rules: tuple[MissingRule, ...] = ("available", "completers", "baseline_carried_forward")
    for rule in rules:
        if rule != registered.missing_data:
            line = data.line("sensitivity", primary, rule)
            found.append(replace(line, what=f"{line.what}; missing data: {rule.replace('_', ' ')}"))
    if primary.contrast == "arms" and primary.scale != "rate":
        frame = data.frame(primary.outcome, primary.scale, registered.missing_data)
        for name, make in (
            ("each person's own slope", lambda: effects.two_stage(frame, registered.confidence).times(data.last_t)),
            ("last session alone", lambda: effects.at_last(frame, data.last_t, registered.confidence)),
        ):
            line = data.line("sensitivity", primary, registered.missing_data, given=make)
            found.append(replace(line, what=f"{line.what}; {name}"))
    return found


class _Data:
    """Values of the used sessions, arranged for one model after the other."""

    def __init__(self, gathered: Gathered, people: People, registered: Registered) -> None:
        self._used = gathered.used()
        self._people = people
        self._plan = registered
        self.skipped: list[str] = []
        self.last_t = float(registered.sessions - registered.baseline)

    def frame(self, outcome: str, scale: str, rule: str, arm: str | None = None) -> pd.DataFrame:
        """A row for each person and session from baseline on."""
        rows = []
        for (name, session), row in sorted(self._used.items()):
            person = self._people.of(name)
            y = self._value(row, outcome, scale)
            if person is None or y is None or not self._plan.baseline <= session <= self._plan.sessions:
                continue
            if arm is not None and person.arm != arm:
                continue
            t = float(session - self._plan.baseline)
            rows.append((name, session, t, y, self._test(person.arm), person.stratum, person.station, row.head))
        frame = pd.DataFrame(rows, columns=_COLUMNS)
        if rule == "completers":
            whole = frame.groupby("person")["session"].nunique()
            wanted = set(whole[whole == self._plan.sessions - self._plan.baseline + 1].index)
            return frame[frame["person"].isin(wanted)].reset_index(drop=True)
        if rule == "baseline_carried_forward":
            return self._carried(frame)
        return frame

    def line(self, part: str, wanted: Estimate, rule: str, given: Any = None) -> Line:
        """One estimate."""
        plan, view = self._plan, self._people.view
        arm = wanted.arm
        needs_arms = wanted.contrast == "arms" or arm is not None
        hidden = needs_arms and (view == "pooled" or (view == "coded" and arm is not None)) and self._people.allocated
        frame = self.frame(wanted.outcome, wanted.scale, rule, None if hidden else arm)
        if hidden:
            estimate = not_estimated(WITHHELD)
        elif given is not None:
            estimate = given()
        elif not len(frame):
            estimate = not_estimated("no session has a value of it", frame)
        elif wanted.contrast == "mean":
            estimate = effects.mean_of_people(frame, plan.confidence)
        elif wanted.contrast == "trend":
            estimate = effects.trend(frame, plan.confidence, plan.random, wanted.scale)
        elif wanted.scale == "rate":
            estimate = effects.rate_effect(frame, plan.confidence, plan.covariates).times(self.last_t)
        else:
            estimate = effects.arms_effect(frame, plan.confidence, plan.random, plan.covariates).times(self.last_t)
        kind = OUTCOMES[wanted.outcome]
        return Line(
            part=part, outcome=wanted.outcome, what=self._words(wanted), contrast=wanted.contrast, scale=wanted.scale,
            unit=kind.unit + ("/session" if wanted.contrast == "trend" else ""), estimate=estimate,
            input_sha256=input_sha256(frame),
        )  # fmt: skip

    def dose_points(self, wanted: DoseResponse) -> tuple[DosePoint, ...]:
        """Change from baseline to the last session used, and the charge of all sessions before that one."""
        found = []
        for name, first, last in self._ends():
            person = self._people.of(name)
            ys = [self._value(row, wanted.outcome, wanted.scale) for row in (first, last)]
            if person is None or ys[0] is None or ys[1] is None:
                continue
            dose_mc = sum(mc for session, mc in person.dose_mc.items() if first.session <= session < last.session)
            found.append(DosePoint(name, person.arm, dose_mc, ys[1] - ys[0], last.session))
        return tuple(found)

    def dose_line(self, wanted: DoseResponse, points: Sequence[DosePoint], part: str) -> Line:
        """Slope of the change on the dose."""
        rows = [(each.person, each.dose_mc, each.change, self._test(each.arm), "") for each in points]
        frame = pd.DataFrame(rows, columns=["person", "dose", "change", "test", "head"])
        if self._people.view != "open" and self._people.allocated:
            estimate = not_estimated(f"{WITHHELD}, and with them what was given")
        else:
            estimate = effects.slope_on_dose(frame, self._plan.confidence)
        kind = OUTCOMES[wanted.outcome]
        return Line(
            part=part, outcome=wanted.outcome, what=f"change of {kind.text} per mC delivered before", contrast="dose",
            scale=wanted.scale, unit=f"{kind.unit}/mC", estimate=estimate,
            input_sha256=input_sha256(frame.rename(columns={"change": "y"})),
        )  # fmt: skip

    def responses(self) -> tuple[Response, ...]:
        """Everybody's own change, the largest first."""
        rule = self._plan.responder
        outcome = rule.outcome if rule is not None else self._plan.primary.outcome
        found = []
        for name, first, last in self._ends():
            person, before, after = self._people.of(name), _of(first, outcome), _of(last, outcome)
            if person is None or before is None or after is None or before == 0.0:
                continue
            change_pct = 100.0 * (after - before) / abs(before)
            reached = rule is not None and (
                change_pct >= rule.change_pct if rule.change_pct >= 0 else change_pct <= rule.change_pct
            )
            found.append(Response(name, person.arm, before, after, last.session, change_pct, reached))
        return tuple(sorted(found, key=lambda each: (-each.change_pct, each.person)))

    def _ends(self) -> list[tuple[str, SessionRow, SessionRow]]:
        """First and last session used of everybody who has the baseline and a later one."""
        found = []
        for name in sorted({person for person, _ in self._used}):
            first = self._used.get((name, self._plan.baseline))
            later = [row for (who, session), row in sorted(self._used.items())
                     if who == name and self._plan.baseline < session <= self._plan.sessions]  # fmt: skip
            if first is not None and later:
                found.append((name, first, later[-1]))
        return found

    def _value(self, row: SessionRow, outcome: str, scale: str) -> float | None:
        value = _of(row, outcome)
        if value is None or scale != "log":
            return value
        if value <= 0.0:
            self.skipped.append(f"{row.path}: {outcome} is {value:g}, which has no logarithm")
            return None
        return math.log(value)

    def _test(self, arm: str) -> int:
        """1 in the test arm; of coded arms B."""
        if self._people.view == "coded":
            return int(arm == "B")
        return int(self._plan.arms is not None and arm == self._plan.arms.test)

    def _words(self, wanted: Estimate) -> str:
        kind, last = OUTCOMES[wanted.outcome].text, self._plan.sessions
        if wanted.contrast == "mean":
            return f"{kind}: mean over people"
        if wanted.contrast == "trend":
            return f"{kind}: change per session{f' in the arm {wanted.arm}' if wanted.arm else ', all together'}"
        if self._people.view == "coded":
            return f"{kind}: arm B against arm A at session {last}"
        arms = self._plan.arms
        told = f"{arms.test} against {arms.reference}" if arms is not None else "between arms"
        return f"{kind}: {told} at session {last}"

    def _carried(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Fill a missing session with the person's baseline."""
        rows: list[tuple[Any, ...]] = []
        for name, own in frame.groupby("person"):
            base = own[own["t"] == 0]
            if not len(base):
                continue
            known = {int(row.session): tuple(row) for row in own.itertuples(index=False)}
            first = base.iloc[0]
            for session in range(self._plan.baseline, self._plan.sessions + 1):
                filled = (name, session, float(session - self._plan.baseline), first["y"], first["test"],
                          first["stratum"], first["station"], first["head"])  # fmt: skip
                rows.append(known.get(session, filled))
        return pd.DataFrame(rows, columns=_COLUMNS)


def input_sha256(frame: pd.DataFrame) -> str:
    """Hash of what went into an estimate: who, when, which value, from which recording."""
    columns = [name for name in ("person", "session", "dose", "test", "y", "head") if name in frame]
    lines = ["\t".join(map(repr, row)) for row in frame[columns].astype(object).itertuples(index=False, name=None)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _of(row: SessionRow, outcome: str) -> float | None:
    found = row.outcomes.get(outcome)
    return None if found is None else found.value


def _percent(log: float) -> float:
    return 100.0 * math.expm1(log)


def by_arm(values: Mapping[str, Any], people: People) -> dict[str, list[Any]]:
    """Group what is told of people by arm, all under one name where arms are withheld."""
    found: dict[str, list[Any]] = {arm: [] for arm in people.arms} or {"all": []}
    for name, value in values.items():
        person = people.of(name)
        arm = person.arm if person is not None and person.arm in found else None
        if arm is not None:
            found[arm].append(value)
        elif "all" in found:
            found["all"].append(value)
    return found
