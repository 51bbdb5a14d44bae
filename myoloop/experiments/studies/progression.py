"""How treatment goes on: declarative rules that move one value of a person by one step where results allow it.

A rule looks at one measure of the sessions (or blocks) since its value last changed: where enough of the newest in a
row meet the comparison, the value moves by one step, within bounds. Regression is the same with a step down. A missing
result moves nothing, a value moves at most once in a session, and a session with a flare moves nothing up. A flare of
a session that has no result is no result: it breaks no row. Changes belong to the person's record, never to the
protocol file.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any, Literal, get_args

from myoloop.experiments.protocols.study import Progression
from myoloop.experiments.studies.moments import write_moment
from myoloop.platform.errors import UserError

When = Literal["session_end", "block_end"]
Comparison = Literal["at_least", "below", "at_most", "above"]

_WORDS = {"at_least": "at least", "below": "below", "at_most": "at most", "above": "above"}


class ProgressionError(UserError, ValueError):
    """Rules and values that do not fit, or a record that is none; one line for the operator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressionRule:
    """Where a measure is so, so many times in a row, a value moves a step.

    Attributes
    ----------
    measure
        Id of an outcome or a result.
    path
        Of the value, as in the protocol file: ``phases[3].block.intensity.share``.
    by
        The step, in the unit of the value; negative for regression.
    least, most
        Bounds. A step is cut at the bound it meets; a value beyond a bound is not moved further.
    """

    name: str
    when: When
    measure: str
    comparison: Comparison
    value: float
    in_a_row: int
    path: str
    by: float
    least: float
    most: float

    def __post_init__(self) -> None:
        if self.comparison not in _WORDS:
            raise ValueError(f"{self.name}: found {self.comparison!r}, allowed: {', '.join(_WORDS)}")
        if not all(map(math.isfinite, (self.value, self.by, self.least, self.most))) or self.by == 0:
            raise ValueError(f"{self.name}: value, by, least and most are finite numbers, and by is not 0")
        if self.least > self.most:
            raise ValueError(f"{self.name}: least {self.least:g} is above most {self.most:g}")
        if self.in_a_row < 1:
            raise ValueError(f"{self.name}: in_a_row: found {self.in_a_row}, allowed is at least 1")

    def met(self, found: float) -> bool:
        """Whether one result is as the rule wants it."""
        if self.comparison == "at_least":
            return found >= self.value
        if self.comparison == "at_most":
            return found <= self.value
        return found < self.value if self.comparison == "below" else found > self.value


@dataclass(frozen=True, slots=True)
class Result:
    """What a session, or a block of it, came to.

    Attributes
    ----------
    measures
        By id; None, or absent, where it was not had.
    flare
        Whether a flare was recorded for the session.
    """

    session: int
    when: When
    measures: Mapping[str, float | None] = field(default_factory=dict)
    flare: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """One step of one value; `seen` is how many results there were, those of before are used up."""

    session: int
    rule: str
    path: str
    old: float
    new: float
    why: str
    seen: int


def rule_of(section: Progression) -> ProgressionRule:
    """Make a rule of one entry of a protocol's section `progression`."""
    comparison: Comparison = "below" if section.at_least is None else "at_least"
    value = section.below if section.at_least is None else section.at_least
    if value is None:
        raise ProgressionError(f"{section.name}: neither at_least nor below")
    return ProgressionRule(
        name=section.name,
        when=section.when,
        measure=section.measure,
        comparison=comparison,
        value=value,
        in_a_row=section.in_a_row,
        path=section.path,
        by=section.by,
        least=section.least,
        most=section.most,
    )


def progress(
    rules: Sequence[ProgressionRule],
    results: Sequence[Result],
    present: Mapping[str, float],
    changes: Sequence[Change],
) -> tuple[Change, ...]:
    """Say what moves after the newest result.

    Of several rules that would move one value, the one with the lowest step does: where one says up and one says down,
    it is down.

    Parameters
    ----------
    results
        Of the person, oldest first, all of them.
    present
        Value at each rule's path as it holds today.
    changes
        Made so far, from the same record.

    Raises
    ------
    ProgressionError
        If there is no finite value at a rule's path.
    """
    missing = sorted({rule.path for rule in rules if not _finite(present.get(rule.path))})
    if missing:
        raise ProgressionError(f"progression: no number at {', '.join(missing)}")
    newest = newest_result(results)
    if newest is None:
        return ()
    moved = {change.path for change in changes if change.session == newest.session}
    flare = any(each.flare for each in results if each.session == newest.session)
    found: list[Change] = []
    for rule in sorted(rules, key=lambda each: each.by):
        if rule.when != newest.when or rule.path in moved or (flare and rule.by > 0):
            continue
        used = max((change.seen for change in changes if change.path == rule.path), default=0)
        run = _run(rule, results[used:])
        if run is None:
            continue
        # Also where its bound leaves nothing to move: a rule that says down keeps the path from going up.
        moved.add(rule.path)
        old = present[rule.path]
        if (new := _stepped(rule, old)) != old:
            found.append(Change(newest.session, rule.name, rule.path, old, new, _why(rule, run), len(results)))
    return tuple(sorted(found, key=lambda each: each.path))


def newest_result(results: Sequence[Result]) -> Result | None:
    """The newest result in which something was measured; a flare told of a session without one is none."""
    return next((each for each in reversed(results) if each.measures), None)


def flare_share(next_share: float, results: Iterable[Result], session: int) -> float:
    """Share of its dose that a session has: `next_share` where the session held before it had a flare, else all.

    Where a flare was told in an attempt at this very session, all its attempts have that share.

    Parameters
    ----------
    session
        Number of the session that is to begin.

    Raises
    ------
    ProgressionError
        If `next_share` is no share above 0.
    """
    if not 0 < next_share <= 1:
        raise ProgressionError(f"flare: found {next_share!r}, allowed is a share above 0, at most 1")
    so_far = [each for each in results if each.session <= session]
    last = max((each.session for each in so_far if each.session < session), default=None)
    return next_share if any(each.flare for each in so_far if each.session in (last, session)) else 1.0


def personal_values(log: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """What holds today for this person, by path, from the lines of ``record/progression.jsonl``.

    A path that is not in it has the protocol's value.
    """
    return {change.path: change.new for change in read_progression(log)[1]}


def read_progression(log: Iterable[Mapping[str, Any]]) -> tuple[tuple[Result, ...], tuple[Change, ...]]:
    """Read results and changes; lines of other kinds are passed over.

    Raises
    ------
    ProgressionError
        If a line is not what its kind says.
    """
    results: list[Result] = []
    changes: list[Change] = []
    for line in log:
        try:
            if line.get("kind") == "result":
                measures = {str(key): _number(value) for key, value in line["measures"].items()}
                if line["when"] not in get_args(When):
                    raise ValueError(f"when: found {line['when']!r}, allowed: {', '.join(get_args(When))}")
                results.append(Result(int(line["session"]), line["when"], measures, bool(line["flare"])))
            elif line.get("kind") == "flare":
                results = _with_flare(results, int(line["session"]))
            elif line.get("kind") == "change" and "reassigned_from" not in line:
                # A step that was made from another person's values is not this person's; the result is.
                texts = (str(line["rule"]), str(line["path"]))
                old, new = float(line["old"]), float(line["new"])
                changes.append(Change(int(line["session"]), *texts, old, new, str(line["why"]), len(results)))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ProgressionError(f"progression: entry {line.get('n')}: not a {line['kind']}: {error}") from None
    return tuple(results), tuple(changes)


def result_line(result: Result, at: datetime) -> dict[str, Any]:
    """Compose what is appended for a result."""
    measures = {key: value if _finite(value) else None for key, value in result.measures.items()}
    return {"kind": "result", "wall_utc": write_moment(at), **asdict(result), "measures": measures}


def flare_line(session: int, at: datetime, who: str, why: str) -> dict[str, Any]:
    """Compose what is appended where a flare is told after the session it belongs to.

    Raises
    ------
    ProgressionError
        If nobody is named, or nothing said.
    """
    if not who.strip() or not why.strip():
        raise ProgressionError("a flare needs who recorded it, and what was seen")
    return {"kind": "flare", "wall_utc": write_moment(at), "session": session, "who": who, "why": why}


def change_line(change: Change, at: datetime) -> dict[str, Any]:
    """Compose what is appended for a change."""
    # How many results came before it, the order of the log says; one that is reassigned takes nothing else along.
    said = {key: value for key, value in asdict(change).items() if key != "seen"}
    return {"kind": "change", "wall_utc": write_moment(at), **said}


def _run(rule: ProgressionRule, fresh: Sequence[Result]) -> list[float] | None:
    """Take the newest results in a row that meet the rule; None where there are not enough, or one is missing."""
    told = [each for each in fresh if each.when == rule.when and each.measures]
    newest = [each.measures.get(rule.measure) for each in told][-rule.in_a_row :]
    run = [value for value in newest if value is not None and math.isfinite(value) and rule.met(value)]
    return run if len(run) == rule.in_a_row else None


def _with_flare(results: Sequence[Result], session: int) -> list[Result]:
    """Mark the session's results; one that has none gets one without measures, which only its flare is told by."""
    marked = [replace(each, flare=True) if each.session == session else each for each in results]
    if all(each.session != session for each in results):
        marked.append(Result(session, "session_end", {}, flare=True))
    return marked


def _stepped(rule: ProgressionRule, old: float) -> float:
    """One step at most: a value beyond the bound stays where it is, and is not brought back by more than a step."""
    # 0.1 + 0.2 is 0.3 to whoever wrote the rule.
    new = float(f"{old + rule.by:.12g}")
    return max(old, min(rule.most, new)) if rule.by > 0 else min(old, max(rule.least, new))


def _why(rule: ProgressionRule, run: Sequence[float]) -> str:
    found = ", ".join(f"{value:g}" for value in run)
    times = f", {rule.in_a_row} in a row" if rule.in_a_row > 1 else ""
    return f"{rule.name}: {rule.measure} {found} ({_WORDS[rule.comparison]} {rule.value:g}{times})"


def _finite(value: float | None) -> bool:
    return value is not None and not isinstance(value, bool) and math.isfinite(value)


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
