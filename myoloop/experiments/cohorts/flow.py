"""Who came how far: the flow from enrolment to analysis, what is missing where, adverse events, guesses of the arm."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

from myoloop.experiments.cohorts.analysis import Result
from myoloop.experiments.cohorts.gathering import Gathered, SessionRow
from myoloop.experiments.cohorts.people import People, Person
from myoloop.experiments.studies.blinding import Guessed, Index, bang_index, count_guesses, james_index

#: ``used``; ``excluded``: recorded and not used; ``no value``: used, and the primary outcome could not be had;
#: ``not held``; ``withdrawn``: removed with the person.
State = Literal["used", "excluded", "no value", "not held", "withdrawn"]
STATES: tuple[State, ...] = ("used", "no value", "excluded", "not held", "withdrawn")
UNKNOWN = "do_not_know"


@dataclass(frozen=True, slots=True)
class Step:
    """One box of the flow.

    Attributes
    ----------
    people
        Everybody, then by arm where arms are shown.
    lost
        Why people or sessions did not come to the next box, one line each.
    """

    what: str
    people: int
    by_arm: dict[str, int]
    sessions: int | None = None
    lost: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Harm:
    """Adverse events of one kind in one arm."""

    arm: str
    kind: str
    grade: str
    related: str
    events: int
    people: int
    serious: int
    open: int
    sessions: int

    @property
    def per_100_sessions(self) -> float | None:
        """Events per 100 sessions that were begun in that arm."""
        return 100.0 * self.events / self.sessions if self.sessions else None


@dataclass(frozen=True, slots=True)
class Guesses:
    """Indices of blinding; Bang's for each arm."""

    counts: dict[str, Guessed]
    bang: dict[str, Index | None]
    james: Index | None
    why: str = ""


def flow(gathered: Gathered, people: People, result: Result) -> tuple[Step, ...]:
    """The boxes in order; only what stands in records is counted."""
    everybody = people.people
    allocated = [each for each in everybody if each.stratum] if people.allocated else []
    begun = [each for each in everybody if each.begun]
    finished = [each for each in begun if each.planned is not None and each.complete >= each.planned]
    used_names = {name for name, _ in gathered.used()}
    used = [each for each in everybody if each.name in used_names]
    analysed = _analysed(gathered, people, result)
    excluded = Counter(_reason(row) for row in gathered.rows if not row.used)
    withdrawn = [each for each in everybody if each.status == "withdrawn"]
    steps = [_step("Enrolled", everybody, people, lost=_lost("withdrawn, all data removed", withdrawn))]
    if people.allocated:
        steps.append(_step("Allocated", allocated, people, lost=_lost("not allocated", everybody, allocated)))
    before = allocated if people.allocated else everybody
    steps.append(
        _step("Began at least one session", begun, people, sessions=sum(each.begun for each in begun),
              lost=_lost("no session on record", before, begun))
    )  # fmt: skip
    steps.append(_step("Completed every planned session", finished, people, lost=_lost("did not", begun, finished)))
    steps.append(
        _step("At least one session that can be used", used, people, sessions=len(gathered.used()),
              lost=tuple(f"{n} recording{'s' if n > 1 else ''}: {why}" for why, n in sorted(excluded.items())))
    )  # fmt: skip
    apart = dict(result.not_compared) if result.registered.primary.contrast == "arms" else {}
    without = [each for each in used if each.name not in apart]
    lost = (*_lost("no value of it", without, analysed), *(f"{name} {why}" for name, why in apart.items()))
    steps.append(_step("Analysed for the primary outcome", analysed, people, lost=lost))
    return tuple(steps)


def state(gathered: Gathered, people: People, person: Person, session: int, outcome: str) -> State:
    """What became of a session."""
    row = gathered.used().get((person.name, session))
    if row is not None:
        found = row.outcomes.get(outcome)
        return "used" if found is not None and found.value is not None else "no value"
    if person.status == "withdrawn":
        return "withdrawn"
    if any((each.person, each.session) == (person.name, session) for each in gathered.rows):
        return "excluded"
    return "not held"


def harms(people: People) -> tuple[Harm, ...]:
    """Adverse events by arm, kind, grade and relation."""
    begun = Counter(dict.fromkeys(people.arms or ("all",), 0))
    kinds: dict[tuple[str, str, str, str], list[tuple[str, bool, bool]]] = {}
    for person in people.people:
        arm = person.arm if person.arm in people.arms else "all"
        begun[arm] += person.begun
        for event in person.events:
            values = event.values
            key = (arm, str(values["kind"]), str(values["grade"]), str(values["related"]))
            kinds.setdefault(key, []).append((person.name, values["serious"] == "yes", event.open))
    return tuple(
        Harm(*key, len(rows), len({name for name, _, _ in rows}), sum(serious for _, serious, _ in rows),
             sum(is_open for _, _, is_open in rows), begun[key[0]])
        for key, rows in sorted(kinds.items())
    )  # fmt: skip


def guesses(gathered: Gathered, people: People) -> Guesses:
    """The last guess of each person against the arm."""
    if people.view != "open" or len(people.arms) != 2:
        return Guesses({}, {}, None, "arms are withheld" if people.allocated else "the study has no arms")
    last: dict[str, str] = {}
    for row in gathered.rows:
        if row.used and row.guess is not None:
            last[row.person] = row.guess
    pairs = []
    for name, guess in sorted(last.items()):
        person = people.of(name)
        if person is None or person.arm not in people.arms:
            continue
        if guess != UNKNOWN and guess not in people.arms:
            return Guesses({}, {}, None, f"a guess is {guess!r}, which is none of the arms {', '.join(people.arms)}")
        pairs.append((person.arm, None if guess == UNKNOWN else guess))
    if not pairs:
        return Guesses({}, {}, None, "nobody was asked")
    counts = count_guesses(pairs, people.arms)
    return Guesses(counts, {arm: bang_index(each) for arm, each in counts.items()}, james_index(counts))


def _analysed(gathered: Gathered, people: People, result: Result) -> list[Person]:
    primary = result.registered.primary.outcome
    names = {
        row.person for row in gathered.rows
        if row.used and (found := row.outcomes.get(primary)) is not None and found.value is not None
    }  # fmt: skip
    if result.registered.primary.contrast == "arms":
        names -= set(dict(result.not_compared))
    return [each for each in people.people if each.name in names]


def _step(
    what: str, found: list[Person] | tuple[Person, ...], people: People, *, sessions: int | None = None,
    lost: tuple[str, ...] = (),
) -> Step:  # fmt: skip
    by_arm = {arm: sum(each.arm == arm for each in found) for arm in people.arms}
    return Step(what, len(found), by_arm, sessions, lost)


def _lost(why: str, before: list[Person] | tuple[Person, ...], after: list[Person] | None = None) -> tuple[str, ...]:
    names = [each.name for each in before if after is None or each not in after]
    return (f"{len(names)} {why}: {', '.join(names)}",) if names else ()


def _reason(row: SessionRow) -> str:
    """A reason without what is the recording's own."""
    return row.excluded.split(":", 1)[0].split(",", 1)[0]
