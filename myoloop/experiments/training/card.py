"""The data card of a dataset: who is in it, what was left out and why, what it is fit for, what it is not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from typing import Any

import myoloop
from myoloop.experiments.training.from_cohort import Drawn
from myoloop.experiments.training.from_sessions import FromStudy, as_row
from myoloop.experiments.training.split import HALVES, Half, Person
from myoloop.experiments.training.task import Task

#: What the arithmetic and the files hang on.
_LIBRARIES = ("numpy", "scipy", "pyarrow")
_NOT_HELD = "not held: a study folder has no age, sex or diagnosis, and identities are kept elsewhere"
LIMITS = (
    "Recorded decisions are those of adaptive gain: they show nothing of what another action would have done there.",
    "Fatigue is the controller's estimate, not a measurement; where it is missing there was none.",
    "Only sessions with a tracked set point are in it; who could not be calibrated for one is not.",
    "Virtual people are a model's: that a controller is good for them says nothing yet of people.",
)


def data_card(
    kind: str,
    people: Sequence[Person],
    halves: Mapping[str, Half],
    studies: Sequence[FromStudy],
    cohort: tuple[Task, Sequence[Drawn], float] | None,
) -> dict[str, Any]:
    """Everything that the card says, as plain data.

    Parameters
    ----------
    cohort
        Task, people, and the share of their decisions that were drawn by lot.
    """
    strata = {name: stratum for study in studies for name, stratum in study.strata.items()}
    held = {person.name for person in people}
    return {
        "holds": kind,
        "subjects": {half: sum(halves[person.name] == half for person in people) for half in HALVES},
        "sources": {
            source: {
                half: sum(person.source == source and halves[person.name] == half for person in people)
                for half in HALVES
            }
            for source in sorted({person.source for person in people})
        },
        "sessions": [{"source": study.source, **as_row(used)} for study in studies for used in study.used],
        "excluded": [
            {"source": study.source, "session": session, "reason": reason}
            for study in studies
            for session, reason in study.excluded
        ],
        "arms": _arms(studies),
        "demographics": {
            "people": _NOT_HELD,
            "strata": dict(sorted(Counter(strata[name] for name in held if name in strata).items())),
        },
        "cohort": None if cohort is None else _cohort(*cohort),
        "limits": list(LIMITS),
        "versions": {"myoloop": myoloop.__version__, **{name: version(name) for name in _LIBRARIES}},
    }


def say_card(card: Mapping[str, Any]) -> str:
    """The card in words."""
    subjects = card["subjects"]
    lines = [f"holds: {card['holds']}"]
    lines += [f"subjects: {sum(subjects.values())}, {subjects['train']} to train, {subjects['held_out']} held out"]
    lines += [
        f"  {source}: {row['train']} to train, {row['held_out']} held out" for source, row in card["sources"].items()
    ]
    sessions = card["sessions"]
    lines += [f"recorded sessions: {len(sessions)} used, {len(card['excluded'])} excluded"]
    lines += [
        f"  {row['session']}: {row['state']}, replayed {row['replayed']}, {row['trains']} trains "
        f"({row['cut_trains']} cut), {row['decisions']} decisions"
        for row in sessions
    ]
    lines += [f"  excluded: {row['session']}: {row['reason']}" for row in card["excluded"]]
    lines += [f"arms: {card['arms']}", f"demographics: {card['demographics']['people']}"]
    lines += [f"  stratum {name}: {count}" for name, count in card["demographics"]["strata"].items()]
    cohort = card["cohort"]
    if cohort is not None:
        lines += [
            f"virtual cohort: task {cohort['task']['name']}, {cohort['people']} people of {cohort['preset']} from "
            f"number {cohort['first']}, {cohort['non_responders']} non-responders, "
            f"{100 * cohort['explored_share']:.0f} % of the decisions drawn by lot"
        ]
    return "\n".join([*lines, *(f"limit: {line}" for line in card["limits"])])


def _arms(studies: Iterable[FromStudy]) -> str:
    blinded = sum(reason.startswith("blinded") for study in studies for _, reason in study.excluded)
    if not blinded:
        return "none: every session was given in the open"
    return (
        f"{blinded} blinded sessions are excluded: the forces would tell their arm; the others were given in the open"
    )


def _cohort(task: Task, drawn: Sequence[Drawn], explore: float) -> dict[str, Any]:
    return {
        "task": task.model_dump(mode="json"),
        "preset": task.people.preset,
        "people": len(drawn),
        "first": min((each.number for each in drawn), default=0),
        "non_responders": sum(not each.responds for each in drawn),
        "explored_share": explore,
        "courses": [
            {
                "person": each.name,
                "rmse": each.rmse,
                "fatigue": each.fatigue,
                "charge_mc": each.charge_mc,
                "violations": each.violations,
                "decisions": len(each.decisions),
            }
            for each in drawn
        ],
    }
