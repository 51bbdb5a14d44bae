"""Decisions of a tracking policy, as a learner needs them: what was seen, what was done, what came of it, and where.

A decision stands at the first step of a train and every `decide_every_s` after it, until the train ends. Its
observation is the one after that step, its action the residual that is in force in the steps that follow, its outcome
what these steps showed. Recorded sessions and virtual cohorts go through the same :class:`DecisionLog`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from myoloop.controllers.policies.observation import OBSERVATION
from myoloop.controllers.policies.policy import Decision, PolicyInput
from myoloop.platform.messages import Phase

Floats = npt.NDArray[np.float64]

#: What was done: the residual, and what it led to, each as the mean over the steps that follow.
ACTION: tuple[str, ...] = (
    "residual",
    "share",  # of the muscle, asked for
    "current_ma",  # asked for, all channels together
)
#: What came of it, over the steps that follow. Errors are (due - response) over the goal, NaN where none was measured.
OUTCOME: tuple[str, ...] = (
    "seconds",  # from this decision to the next, or to the end of the train
    "measured",  # share of the steps in which the response was measured
    "error_mean",
    "error_rms",
    "charge_uc",  # booked by the gate meanwhile, one phase of each pulse
    "of_limit",  # mean of the current that the gate allowed over the target's, the channel with the most of it
    "limited",  # share of the steps in which a rule of the gate limited or refused the request
    "let_through_least",  # least share of the asked current that the reflexes left
    "saturated",  # share of the steps in which more was wanted than may be asked for
    "fatigue",  # newest valid estimate of the muscle's fatigue, 0 to 1; NaN where there is none
)
#: Where it was: within its session.
PLACE: tuple[str, ...] = (
    "t_s",  # since the policy was asked first
    "at_s",  # time in the train
    "phase",
    "block",
    "trial",
    "set_point_share",
    "last",  # 1 where the train ends before there is another decision
    "cut",  # 1 where it was ended by a stop, a pause, or the end of the record
)
_AT = {name: place for place, name in enumerate(OBSERVATION)}


@dataclass(frozen=True, slots=True)
class Decisions:
    """A table of decisions, one row each, in order of time; columns as the tuples of this module name them.

    Attributes
    ----------
    observation
        (n, len(OBSERVATION)).
    action
        (n, len(ACTION)).
    outcome
        (n, len(OUTCOME)).
    place
        (n, len(PLACE)).
    """

    observation: Floats
    action: Floats
    outcome: Floats
    place: Floats

    def __len__(self) -> int:
        return len(self.observation)

    @property
    def trains(self) -> int:
        """How many trains they are from."""
        return int(self.place[:, PLACE.index("last")].sum())

    @classmethod
    def none(cls) -> Decisions:
        """No decision."""
        widths = (len(OBSERVATION), len(ACTION), len(OUTCOME), len(PLACE))
        return cls(*(np.zeros((0, width)) for width in widths))

    @classmethod
    def joined(cls, parts: Sequence[Decisions]) -> Decisions:
        """One below the other."""
        parts = [cls.none(), *parts]
        fields = ("observation", "action", "outcome", "place")
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in fields))


class Step(NamedTuple):
    """What a step showed."""

    residual: float
    share: float
    current_ma: float
    known: bool
    error: float
    of_limit: float
    limited: bool
    let_through: float
    saturated: bool


class DecisionLog:
    """Writes down the decisions of one policy, step by step.

    Parameters
    ----------
    decide_every_s
        Time between decisions; the steps are as long as they come.
    muscle
        Whose estimated fatigue is an outcome; empty: the first that has an estimate.
    """

    def __init__(self, decide_every_s: float, muscle: str = "") -> None:
        self._every_ns = round(decide_every_s * 1e9)
        self._muscle = muscle
        self._rows: list[tuple[Floats, tuple[float, ...], tuple[float, ...], tuple[float, ...]]] = []
        self._open: _Open | None = None
        self._zero_ns: int | None = None

    def note(self, given: PolicyInput, decision: Decision, observation: Floats | None) -> bool:
        """Take in one step: what the policy was given, what it decided, what is seen after it (None: no train).

        Returns
        -------
        bool
            Whether a decision is due on what is seen now.
        """
        if self._zero_ns is None:
            self._zero_ns = given.now_ns
        train = _train(given.phase)
        if self._open is not None and (observation is None or train != self._open.train):
            self._close(given, last=True)
        if observation is None:
            return False
        if self._open is not None:
            self._open.steps.append(_step(given, decision, observation))
            if given.now_ns - self._open.begin_ns < self._every_ns:
                self._open.newest = given
                return False
            self._close(given, last=False)
        self._open = _Open(given.now_ns, train, observation, given)
        return True

    def cut(self) -> None:
        """The policy is reset, or the record ends: a train that is under way was cut."""
        if self._open is not None:
            self._close(self._open.newest, last=True, cut=True)

    def decisions(self) -> Decisions:
        """All that was written down."""
        if not self._rows:
            return Decisions.none()
        observation, action, outcome, place = zip(*self._rows, strict=True)
        return Decisions(np.array(observation), np.array(action), np.array(outcome), np.array(place))

    def _close(self, given: PolicyInput, *, last: bool, cut: bool = False) -> None:
        opened, self._open = self._open, None
        if opened is None:
            return
        if not opened.steps:
            # Nothing followed it: no action was taken on it. The decision before it was the last one.
            if self._rows and last and opened.follows(self._rows[-1][3]):
                self._rows[-1] = (*self._rows[-1][:3], _ended(self._rows[-1][3], cut))
            return
        steps = opened.steps
        known = np.array([step.error for step in steps if step.known])
        action = tuple(float(np.mean([getattr(step, name) for step in steps])) for name in ACTION)
        outcome = (
            (given.now_ns - opened.begin_ns) * 1e-9,
            len(known) / len(steps),
            float(known.mean()) if len(known) else np.nan,
            float(np.sqrt(np.mean(known**2))) if len(known) else np.nan,
            1e3 * (_booked_mc(given) - _booked_mc(opened.given)),
            float(np.mean([step.of_limit for step in steps])),
            float(np.mean([step.limited for step in steps])),
            min(step.let_through for step in steps),
            float(np.mean([step.saturated for step in steps])),
            self._fatigue(given),
        )
        place = (
            (opened.begin_ns - (self._zero_ns or 0)) * 1e-9,
            float(opened.observation[_AT["time"]]) * 10.0,
            *(float(number) for number in opened.train),
            opened.given.set_point_share,
            float(last),
            float(cut),
        )
        self._rows.append((opened.observation, action, outcome, place))

    def _fatigue(self, given: PolicyInput) -> float:
        for muscle, estimate in given.estimates.items():
            if muscle == self._muscle or not self._muscle:
                value = estimate.fatigue.value if estimate.fatigue.valid else None
                return np.nan if value is None else value
        return np.nan


class _Open:
    """A decision whose outcome is being seen."""

    def __init__(self, begin_ns: int, train: tuple[int, int, int], observation: Floats, given: PolicyInput) -> None:
        self.begin_ns = begin_ns
        self.train = train
        self.observation = observation
        self.given = self.newest = given
        self.steps: list[Step] = []

    def follows(self, place: tuple[float, ...]) -> bool:
        """Whether it belongs to the train of that row."""
        first = PLACE.index("phase")
        return place[first : first + 3] == tuple(float(number) for number in self.train)


def rows_of(decisions: Decisions) -> Mapping[str, Floats]:
    """Columns by name, ``observation.error``, ``action.residual``, …: how they stand in a file."""
    return {
        f"{part}.{name}": getattr(decisions, part)[:, column]
        for part, names in columns().items()
        for column, name in enumerate(names)
    }


def columns() -> dict[str, tuple[str, ...]]:
    """Names of the columns of each part."""
    return {"observation": OBSERVATION, "action": ACTION, "outcome": OUTCOME, "place": PLACE}


def decisions_of(column: Mapping[str, Any]) -> Decisions:
    """The inverse of :func:`rows_of`.

    Raises
    ------
    KeyError
        Naming a column that is missing.
    """
    return Decisions(
        *(
            np.column_stack([np.asarray(column[f"{part}.{name}"], np.float64) for name in names])
            for part, names in columns().items()
        )
    )


def _step(given: PolicyInput, decision: Decision, observation: Floats) -> Step:
    report = given.report
    return Step(
        residual=float(observation[_AT["residual"]]),
        share=float(observation[_AT["share"]]),
        current_ma=sum(decision.current_ma.values()),
        known=observation[_AT["known"]] > 0.5,
        error=float(observation[_AT["error"]]),
        of_limit=_of_limit(given),
        limited=report is not None and bool(report.rule),
        let_through=given.let_through,
        saturated=decision.saturated,
    )


def _booked_mc(given: PolicyInput) -> float:
    return np.nan if given.report is None else given.report.dose.session_charge_mc


def _of_limit(given: PolicyInput) -> float:
    if given.report is None:
        return 0.0
    most_ma = {target.channel: target.current_ma for target in given.phase.targets}
    shares = [item.current_ma / most_ma[item.channel] for item in given.report.allowed if most_ma.get(item.channel)]
    return max(shares, default=0.0)


def _train(phase: Phase) -> tuple[int, int, int]:
    return (phase.index, phase.block, phase.trial)


def _ended(place: tuple[float, ...], cut: bool) -> tuple[float, ...]:
    return (*place[: PLACE.index("last")], 1.0, float(cut))
