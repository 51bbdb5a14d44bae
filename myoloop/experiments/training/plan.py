"""How large a training is, and who takes part in which half of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from myoloop.experiments.subjects.fingerprint import fingerprint
from myoloop.experiments.subjects.population import draw
from myoloop.experiments.training.fitted_q import FittedQSettings
from myoloop.experiments.training.from_cohort import cohort_name
from myoloop.experiments.training.split import Half, Person, one_name_each, split
from myoloop.experiments.training.task import Task
from myoloop.platform.errors import UserError


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Size of a training.

    Attributes
    ----------
    people, first
        Virtual people of the cohort, and the number of the first.
    held_out_share, validate_share
        Of the people, never seen in training; of the others, on whom a seed is chosen.
    repetitions
        Trials of each session, instead of the task's.
    seeds, rounds
        Trainings from the beginning; rounds of exploring and fitting in each, of which every one but the first explores
        around what the one before has learnt.
    people_a_round
        Who explore in one round of one seed, drawn from those who are fitted on.
    explore_first, explore_later
        Share of the decisions that are drawn by lot: neighbours, up to two actions away, of the classic action or of
        what was learnt before. Far from there is nothing to be learnt that is needed.
    leaves, leaf_least
        Of the distilled tree.
    budget_share
        What the learned controller may add, as a share of what adaptive gain needs in a session (median).
    """

    people: int = 200
    first: int = 0
    held_out_share: float = 0.3
    validate_share: float = 0.1
    repetitions: int = 15
    seeds: int = 5
    rounds: int = 2
    people_a_round: int = 28
    explore_first: float = 0.7
    explore_later: float = 0.4
    fit: FittedQSettings = FittedQSettings()
    leaves: int = 300
    leaf_least: int = 60
    budget_share: float = 0.15

    def __post_init__(self) -> None:
        for name, low, high in (("people", 5, 100_000), ("repetitions", 1, 360), ("seeds", 1, 100), ("rounds", 1, 10),
                                ("people_a_round", 1, 10_000), ("first", 0, 10**9)):  # fmt: skip
            value = getattr(self, name)
            if not low <= value <= high:
                raise UserError(f"{name}: found {value}, allowed is {low} to {high}")
        for name in ("held_out_share", "validate_share"):
            value = getattr(self, name)
            if not 0.0 < value < 1.0:
                raise UserError(f"{name}: found {value:g}, allowed is above 0 and below 1")


#: To see that it runs: nothing that it finds means anything.
QUICK = Plan(
    people=12,
    repetitions=3,
    seeds=2,
    rounds=1,
    people_a_round=4,
    validate_share=0.25,
    fit=replace(FittedQSettings(), growths=1, trees=10, leaf_least=40),
    leaves=40,
    leaf_least=40,
)


@dataclass(frozen=True, slots=True)
class Parts:
    """Numbers of the people, by what they are for."""

    fitted: tuple[int, ...]
    validated: tuple[int, ...]
    held_out: tuple[int, ...]


def parts_of(
    task: Task, plan: Plan, seed: int, given: Mapping[str, Half] | None = None, others: Sequence[Person] = ()
) -> Parts:
    """Split a cohort by person; those who are validated on are of the training half.

    Parameters
    ----------
    given
        Halves that stand already, such as those of a dataset, by name.
    others
        Who else is learned from: a virtual person may stand there under a study's pseudonym.

    Raises
    ------
    LeakError
        If two of the people are the same.
    """
    preset = task.people.preset
    numbers = {cohort_name(task, plan.first + n): plan.first + n for n in range(plan.people)}
    people = [
        Person(name, f"cohort {task.name}", True, frozenset({fingerprint(draw(number, preset))}))
        for name, number in numbers.items()
    ]
    one_name_each([*people, *others])
    halves = split(people, seed=seed, held_out_share=plan.held_out_share, given=given)
    trained = [person for person in people if halves[person.name] == "train"]
    again = split(trained, seed=seed + 1, held_out_share=plan.validate_share)
    held_out = [numbers[person.name] for person in people if halves[person.name] == "held_out"]
    if len(trained) < 2 or not held_out:
        raise UserError(f"{len(trained)} people to train on and {len(held_out)} held out: at least 2 and 1 are needed")
    return Parts(
        fitted=tuple(numbers[name] for name, half in again.items() if half == "train"),
        validated=tuple(numbers[name] for name, half in again.items() if half == "held_out"),
        held_out=tuple(held_out),
    )
