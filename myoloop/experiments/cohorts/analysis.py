"""The analysis of a study: every registered estimate, what it would be under other rules, and what else there is.

Arms that are withheld are withheld here: an estimate that needs them says so and gives no number.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from myoloop.experiments.cohorts import effects
from myoloop.experiments.cohorts.effects import Estimated, not_estimated
from myoloop.experiments.cohorts.frames import DosePoint, Frames, Response, input_sha256
from myoloop.experiments.cohorts.gathering import CohortError, Gathered
from myoloop.experiments.cohorts.people import People
from myoloop.experiments.cohorts.registered import Arms, DoseResponse, Estimate, MissingRule, Registered
from myoloop.experiments.outcomes.registry import OUTCOMES

WITHHELD = "arms are withheld"


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
        if self.scale == "log":
            # A geometric mean, in the outcome's own unit.
            return math.exp(e.value), math.exp(e.low), math.exp(e.high)
        return e.value, e.low, e.high

    @property
    def shown_unit(self) -> str:
        """Of what is shown."""
        return "%" if self.is_ratio else self.unit


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Everything an analysis found.

    Attributes
    ----------
    analysis_sha256
        Of the analysis file; empty where nothing was registered.
    skipped
        Values that a scale could not take, one line each.
    not_compared
        Who has sessions that are used and is in no comparison of arms, and why.
    """

    registered: Registered
    analysis_sha256: str
    lines: tuple[Line, ...]
    dose: tuple[DosePoint, ...]
    responses: tuple[Response, ...]
    skipped: tuple[str, ...]
    not_compared: tuple[tuple[str, str], ...] = ()

    @property
    def is_registered(self) -> bool:
        """Whether there was an analysis file."""
        return bool(self.analysis_sha256)

    def line(self, part: str, outcome: str = "") -> Line | None:
        """The first line of a part, of an outcome if one is named."""
        return next((each for each in self.lines if each.part == part and outcome in ("", each.outcome)), None)


@dataclass(frozen=True, slots=True)
class Other:
    """A study gathered with other recordings than the analysis file has it."""

    gathered: Gathered
    use: tuple[str, ...]


def exploratory_plan(gathered: Gathered, people: People) -> Registered:
    """What is analysed where nothing was registered: the protocol's own primary outcome, and all of it exploratory.

    Raises
    ------
    UserError
        If no session that is used names a primary outcome, or they name several.
    """
    used = [row for row in gathered.rows if row.used]
    named = [name for name, _ in Counter(row.primary for row in used if row.primary).most_common()]
    if not named:
        raise CohortError(f"{gathered.study}: no session can be used, so nothing can be analysed; see myoloop index")
    if len(named) > 1:
        raise CohortError(
            f"{gathered.study}: sessions name {len(named)} primary outcomes ({', '.join(sorted(named))}); "
            "an analysis file has to say which is meant"
        )
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


def analyse(
    gathered: Gathered, people: People, registered: Registered, analysis_sha256: str, *, other: Other | None = None
) -> Result:
    """Do everything that is registered, and what is told beside it.

    Parameters
    ----------
    other
        The study gathered with other recordings than the registered ones: one more line beside the primary.

    Raises
    ------
    CohortError
        If the registered arms are not those of the study.
    """
    _check_arms(people, registered)
    data = _Lines(gathered, people, registered)
    lines: list[Line] = []
    for part, each in registered.estimates():
        lines.append(data.line(part if analysis_sha256 else "exploratory", each, registered.missing_data))
    primary = registered.primary
    lines += _sensitivity(data, primary, registered)
    if other is not None:
        line = _Lines(other.gathered, people, registered).line("sensitivity", primary, registered.missing_data)
        lines.append(replace(line, what=f"{line.what}; recordings used: {', '.join(other.use)}"))
    points = data.frames.dose_points(registered.dose_response) if registered.dose_response is not None else ()
    if registered.dose_response is not None:
        lines.append(
            data.dose_line(registered.dose_response, points, "secondary" if analysis_sha256 else "exploratory")
        )
    named = {each.outcome for _, each in registered.estimates()}
    others = sorted({name for row in gathered.rows for name in row.outcomes} - named)
    for name in others:
        kind: Any = "arms" if registered.arms is not None and people.view != "pooled" else "trend"
        lines.append(data.line("exploratory", Estimate(outcome=name, contrast=kind), registered.missing_data))
    return Result(
        registered=registered, analysis_sha256=analysis_sha256, lines=tuple(lines), dose=points,
        responses=data.frames.responses(), skipped=tuple(dict.fromkeys(data.frames.skipped)),
        not_compared=data.frames.not_compared(),
    )  # fmt: skip


def _check_arms(people: People, registered: Registered) -> None:
    if registered.arms is None or people.view != "open":
        return
    wanted = {registered.arms.test, registered.arms.reference}
    if not wanted <= set(people.arms):
        raise CohortError(
            f"analysis file: arms: found {', '.join(sorted(wanted))}, the study has {', '.join(people.arms) or 'none'}"
        )
    rest = sorted(set(people.arms) - wanted - set(registered.arms.others))
    if rest:
        raise CohortError(
            f"analysis file: arms: the study has {', '.join(people.arms)}, two are compared; the rest must be named: "
            f"others: [{', '.join(rest)}]"
        )


def _sensitivity(data: _Lines, primary: Estimate, registered: Registered) -> list[Line]:
    """The primary estimate under other rules; exploratory by their nature, and named so in the report."""
    found = []
    rules: tuple[MissingRule, ...] = ("available", "completers", "baseline_carried_forward")
    for rule in rules:
        if rule != registered.missing_data:
            line = data.line("sensitivity", primary, rule)
            found.append(replace(line, what=f"{line.what}; missing data: {rule.replace('_', ' ')}"))
    if primary.contrast == "arms" and primary.scale != "rate":
        last_t, level, held = data.frames.last_t, registered.confidence, registered.covariates
        for name, make in (
            ("each person's own slope", lambda frame: effects.two_stage(frame, level, held).times(last_t)),
            ("last session alone", lambda frame: effects.at_last(frame, last_t, level, held)),
        ):
            line = data.line("sensitivity", primary, registered.missing_data, given=make)
            found.append(replace(line, what=f"{line.what}; {name}"))
    return found


class _Lines:
    """Estimates of a study, one after the other."""

    def __init__(self, gathered: Gathered, people: People, registered: Registered) -> None:
        self.frames = Frames(gathered, people, registered)
        self._gathered = gathered
        self._people = people
        self._plan = registered

    def line(
        self, part: str, wanted: Estimate, rule: str, given: Callable[[pd.DataFrame], Estimated] | None = None
    ) -> Line:
        """One estimate."""
        view, arm, between = self._people.view, wanted.arm, wanted.contrast == "arms"
        needs_arms = between or arm is not None
        hidden = needs_arms and (view == "pooled" or (view == "coded" and arm is not None)) and self._people.allocated
        frame = self.frames.frame(
            wanted.outcome, wanted.scale, rule, None if hidden else arm, compared=between and not hidden
        )
        if hidden:
            estimate = not_estimated(WITHHELD)
        elif not len(frame):
            told = "nobody in one of the arms has a value of it" if between else "no session has a value of it"
            estimate = not_estimated(told, frame)
        elif why := effects.mostly_filled(frame):
            estimate = not_estimated(why, frame)
        else:
            estimate = given(frame) if given is not None else self._estimated(wanted, frame)
        unit = self._gathered.unit(wanted.outcome)
        return Line(
            part=part, outcome=wanted.outcome, what=self._words(wanted), contrast=wanted.contrast, scale=wanted.scale,
            unit=unit + ("/session" if wanted.contrast == "trend" else ""), estimate=estimate,
            input_sha256=input_sha256(frame),
        )  # fmt: skip

    def _estimated(self, wanted: Estimate, frame: pd.DataFrame) -> Estimated:
        plan, level, held = self._plan, self._plan.confidence, self._plan.covariates
        if wanted.contrast == "mean":
            return effects.mean_of_people(frame, level, wanted.scale)
        if wanted.contrast == "trend":
            return effects.trend(frame, level, plan.random, wanted.scale, held)
        if wanted.scale == "rate":
            return effects.rate_effect(frame, level, held).times(self.frames.last_t)
        return effects.arms_effect(frame, level, plan.random, held).times(self.frames.last_t)

    def dose_line(self, wanted: DoseResponse, points: Sequence[DosePoint], part: str) -> Line:
        """Slope of the change on the dose."""
        frame = self.frames.of_doses(points)
        if self._people.view != "open" and self._people.allocated:
            estimate = not_estimated(f"{WITHHELD}, and with them what was given")
        else:
            estimate = effects.slope_on_dose(frame, self._plan.confidence, self._plan.covariates)
        kind = OUTCOMES[wanted.outcome]
        return Line(
            part=part, outcome=wanted.outcome, what=f"change of {kind.text} per mC delivered before", contrast="dose",
            scale=wanted.scale, unit=f"{self._gathered.unit(wanted.outcome)}/mC", estimate=estimate,
            input_sha256=input_sha256(frame.rename(columns={"change": "y"})),
        )  # fmt: skip

    def _words(self, wanted: Estimate) -> str:
        kind, last = OUTCOMES[wanted.outcome].text, self._plan.sessions
        if wanted.contrast == "mean":
            return f"{kind}: {'geometric mean' if wanted.scale == 'log' else 'mean'} over people"
        if wanted.contrast == "trend":
            return f"{kind}: change per session{f' in the arm {wanted.arm}' if wanted.arm else ', all together'}"
        if self._people.view == "coded":
            return f"{kind}: arm B against arm A at session {last}"
        arms = self._plan.arms
        told = f"{arms.test} against {arms.reference}" if arms is not None else "between arms"
        return f"{kind}: {told} at session {last}"


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
