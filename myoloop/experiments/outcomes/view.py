"""What an outcome is computed from: a session, its protocol, and what a person wrote down afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

import numpy as np
import numpy.typing as npt

from myoloop.experiments.analysis.session import Session
from myoloop.experiments.analysis.tracks import Interval, MeasureTrack
from myoloop.experiments.protocols.plan import YOKED
from myoloop.experiments.protocols.schema import Protocol
from myoloop.platform.messages import Trial

Floats = npt.NDArray[np.float64]

#: Outcomes of trials with a train that nothing brought forward.
DONE = frozenset({"effort", "assisted", "done", "yoked"})


@dataclass(frozen=True, slots=True)
class Value:
    """One outcome of one session.

    Attributes
    ----------
    value
        In the outcome's unit; None where it could not be had.
    parts
        The same by muscle or channel, where it was computed for several.
    n
        Of how many trials, contractions, answers.
    why
        Why there is none, or what a reader must know.
    doubt
        Why a value that could be computed is not valid: it was measured so badly that nothing rests on it.
    code
        Of an ordinal scale: the grade as it was entered. It is no number, and `value` is None.
    codes
        The same by site.
    parameters
        What this one value was made with, beside what its outcome always is: windows that were left out, repeats.
    unit
        Of this one value, where it depends on what was recorded: force in N or in Nm; empty where it is the outcome's.
    """

    value: float | None
    n: int = 0
    parts: Mapping[str, float] | None = None
    why: str = ""
    doubt: str = ""
    code: str = ""
    codes: Mapping[str, str] | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    unit: str = ""

    @property
    def valid(self) -> bool:
        """Whether there is something that may be relied upon."""
        return (self.value is not None or bool(self.code or self.codes)) and not self.doubt


@dataclass(frozen=True, slots=True)
class View:
    """One session, as outcomes look at it.

    Attributes
    ----------
    diary
        Entries of the days after: form and answers.
    """

    session: Session
    protocol: Protocol
    diary: Sequence[tuple[str, Mapping[str, Any]]] = ()

    @property
    def yoked(self) -> bool:
        """Whether the triggers were another person's: then no trial tells of an own effort."""
        return self.protocol.controller.policy == YOKED

    def trials(self, kind: str = "block") -> list[Trial]:
        """Rows of one kind, in order."""
        return [trial for trial in self.session.trials if trial.kind == kind]

    def done(self) -> list[Trial]:
        """Trials whose train was given to its end."""
        return [trial for trial in self.trials() if trial.outcome in DONE and number(trial, "charge_mc", 0.0) > 0]

    def rests(self) -> list[Interval]:
        """Rest phases with baseline that lasted, each without the second in which the person settles."""
        resting = [item.rest is not None and item.rest.baseline for item in self.protocol.phases]
        spans = [
            Interval(span.begin_s + 1.0, span.end_s)
            for span in self.session.phases
            if span.number < len(resting) and resting[span.number]
        ]
        return [span for span in spans if span.end_s is not None and span.end_s - span.begin_s >= 1.0]

    def states(self, *names: str) -> Iterator[Interval]:
        """States of trials in blocks."""
        for span in self.session.trial_spans:
            if span.kind == "block" and span.state in names:
                yield Interval(span.begin_s, span.end_s)

    def trains(self) -> list[Interval]:
        """While targets are wanted: ramp up, hold and ramp down of each trial, as one."""
        joined: list[Interval] = []
        for each in self.states("ramp_up", "hold", "ramp_down"):
            if joined and joined[-1].end_s is not None and each.begin_s - joined[-1].end_s < 0.05:
                joined[-1] = Interval(joined[-1].begin_s, each.end_s)
            else:
                joined.append(each)
        return joined

    def forms(self, form_id: str) -> dict[str, Mapping[str, Any]]:
        """The newest answers of a form, by instance (empty where there is one a session); in the session first."""
        told = [event.values for event in self.session.events if event.kind == "form"]
        told = [*({**values, "form": form} for form, values in self.diary), *told]
        found: dict[str, Mapping[str, Any]] = {}
        for values in told:
            name, _, instance = str(values.get("form", "")).partition(".")
            if name == form_id:
                found[instance] = values
        return found

    def answers(self, asked: str, *forms: str) -> list[float]:
        """Numbers that were answered, in order of time."""
        told = []
        for event in self.session.events:
            if event.kind == "form" and event.values.get("form") in forms:
                value = event.values.get(asked)
                if isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value):
                    told.append(float(value))
        return told


def number(trial: Trial, name: str, otherwise: float = float("nan")) -> float:
    """A number of a trial's row."""
    value = trial.values.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else otherwise


def within(t_s: Floats, span: Interval) -> npt.NDArray[np.bool_]:
    """Which times lie in a span."""
    end_s = np.inf if span.end_s is None else span.end_s
    return (t_s >= span.begin_s) & (t_s < end_s)


def of_each(parts: Mapping[str, float], n: int, why: str) -> Value:
    """The mean of several muscles or channels; none where there is none."""
    known = {name: value for name, value in parts.items() if isfinite(value)}
    if not known:
        return Value(None, why=why)
    return Value(float(np.mean(list(known.values()))), n, known)


def told_s(t_s: Floats, told: MeasureTrack) -> float:
    """For how long an estimate could be told."""
    if len(t_s) < 2:
        return 0.0
    return float(np.count_nonzero(told.valid) * np.median(np.diff(t_s)))
