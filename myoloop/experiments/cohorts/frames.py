"""The values of a study as models take them: a row for each person and session that an estimate may rest on.

Who is in neither of the arms that are compared is in no comparison of arms, and is told with the reason.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from myoloop.experiments.cohorts.gathering import Gathered, SessionRow
from myoloop.experiments.cohorts.people import People, Person
from myoloop.experiments.cohorts.registered import DoseResponse, Registered

_COLUMNS = ["person", "session", "t", "y", "test", "stratum", "station", "head", "told_min", "filled"]
#: Coded arms: B is told against A.
_CODED = ("B", "A")


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


class Frames:
    """Values of the used sessions, arranged for one model after the other.

    Attributes
    ----------
    last_t
        Sessions from baseline to the last.
    skipped
        Values that a scale could not take, one line each.
    """

    def __init__(self, gathered: Gathered, people: People, registered: Registered) -> None:
        self._used = gathered.used()
        self._people = people
        self._plan = registered
        self.skipped: list[str] = []
        self.last_t = float(registered.sessions - registered.baseline)

    def frame(
        self, outcome: str, scale: str, rule: str, arm: str | None = None, *, compared: bool = False
    ) -> pd.DataFrame:
        """A row for each person and session from baseline on.

        Parameters
        ----------
        arm
            Of this arm alone.
        compared
            Only of people in one of the two arms that are compared.
        """
        rows = []
        for (name, session), row in sorted(self._used.items()):
            person = self._people.of(name)
            y = self._value(row, outcome, scale)
            if person is None or y is None or not self._plan.baseline <= session <= self._plan.sessions:
                continue
            if (arm is not None and person.arm != arm) or (compared and self.why_not_compared(person)):
                continue
            t, told_min = float(session - self._plan.baseline), row.outcomes[outcome].told_min
            rows.append((name, session, t, y, self.test(person.arm), person.stratum, person.station, row.head,
                         math.nan if told_min is None else told_min, False))  # fmt: skip
        frame = pd.DataFrame(rows, columns=_COLUMNS)
        if rule == "completers":
            whole = frame.groupby("person")["session"].nunique()
            wanted = set(whole[whole == self._plan.sessions - self._plan.baseline + 1].index)
            return frame[frame["person"].isin(wanted)].reset_index(drop=True)
        if rule == "baseline_carried_forward":
            return self._carried(frame)
        return frame

    def test(self, arm: str) -> int:
        """1 in the test arm."""
        pair = self._pair()
        return int(pair is not None and arm == pair[0])

    def why_not_compared(self, person: Person) -> str:
        """Why somebody is in no comparison of arms; empty where they are, or where there are no arms to compare."""
        pair = self._pair()
        if pair is None or person.arm in pair:
            return ""
        return f"is in the arm {person.arm}, compared are {pair[0]} and {pair[1]}" if person.arm else "has no arm"

    def not_compared(self) -> tuple[tuple[str, str], ...]:
        """Who has sessions that are used and is in no comparison of arms, and why."""
        if self._people.view == "pooled" and self._people.allocated:
            return ()
        people = [each for each in self._people.people if any(name == each.name for name, _ in self._used)]
        return tuple((each.name, why) for each in people if (why := self.why_not_compared(each)))

    def _pair(self) -> tuple[str, str] | None:
        if self._people.view == "coded":
            return _CODED
        arms = self._plan.arms
        return (arms.test, arms.reference) if arms is not None else None

    def dose_points(self, wanted: DoseResponse) -> tuple[DosePoint, ...]:
        """Change from baseline to the last session used, and the charge of all sessions before that one."""
        withheld = self._people.view == "pooled" and self._people.allocated
        found = []
        for name, first, last in self._ends():
            person = self._people.of(name)
            ys = [self._value(row, wanted.outcome, wanted.scale) for row in (first, last)]
            if person is None or ys[0] is None or ys[1] is None:
                continue
            if not withheld and self.why_not_compared(person):
                continue
            dose_mc = sum(mc for session, mc in person.dose_mc.items() if first.session <= session < last.session)
            found.append(DosePoint(name, person.arm, dose_mc, ys[1] - ys[0], last.session))
        return tuple(found)

    def of_doses(self, points: Sequence[DosePoint]) -> pd.DataFrame:
        """A row for each person: dose, change, arm, covariates."""
        rows = []
        for each in points:
            person = self._people.of(each.person)
            place = (person.stratum, person.station) if person is not None else ("", "")
            rows.append((each.person, each.dose_mc, each.change, self.test(each.arm), "", *place))
        return pd.DataFrame(rows, columns=["person", "dose", "change", "test", "head", "stratum", "station"])

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

    def _carried(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Fill a missing session with the person's baseline, and mark it as filled in."""
        rows: list[tuple[Any, ...]] = []
        for name, own in frame.groupby("person"):
            base = own[own["t"] == 0]
            if not len(base):
                continue
            known = {int(row.session): tuple(row) for row in own.itertuples(index=False)}
            first = base.iloc[0]
            for session in range(self._plan.baseline, self._plan.sessions + 1):
                filled = (name, session, float(session - self._plan.baseline), first["y"], first["test"],
                          first["stratum"], first["station"], first["head"], first["told_min"], True)  # fmt: skip
                rows.append(known.get(session, filled))
        return pd.DataFrame(rows, columns=_COLUMNS)


def input_sha256(frame: pd.DataFrame) -> str:
    """Hash of what went into an estimate: who, when, which value, from which recording."""
    columns = [name for name in ("person", "session", "dose", "test", "y", "told_min", "head") if name in frame]
    lines = ["\t".join(map(repr, row)) for row in frame[columns].astype(object).itertuples(index=False, name=None)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _of(row: SessionRow, outcome: str) -> float | None:
    found = row.outcomes.get(outcome)
    return None if found is None else found.value
