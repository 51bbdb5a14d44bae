"""A study that is planted in seconds, and cohorts of numbers alone, made by the same law without any session."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from myoloop.experiments.cohorts.analysis import analyse
from myoloop.experiments.cohorts.cohort import Cohort
from myoloop.experiments.cohorts.gathering import Gathered, Measurement, SessionRow
from myoloop.experiments.cohorts.people import People, Person
from myoloop.experiments.cohorts.planting import Cohort as Wanted
from myoloop.experiments.cohorts.planting import Made, plant
from myoloop.experiments.cohorts.registered import Registered

PLAN: dict[str, Any] = {
    "analysis": {"id": "numbers", "version": "1.0.0", "registered": "2026-03-01", "where": "here"},
    "sessions": 6,
    "arms": {"test": "active", "reference": "sham"},
    "primary": {"outcome": "mvc_force", "scale": "log", "contrast": "arms"},
    "secondary": [
        {"outcome": "spasms_at_rest", "scale": "rate", "contrast": "arms"},
        {"outcome": "evoked_fatigue", "contrast": "trend", "arm": "active"},
        {"outcome": "symmetry", "contrast": "mean"},
    ],
    "dose_response": {"outcome": "mvc_force", "scale": "log"},
    "responder": {"outcome": "mvc_force", "change_pct": 10.0},
}
#: What the numbers are made with: strength per mC, spasms per session (log), fatigue per session, asymmetry in %.
STRENGTH, SPASMS, FATIGUE, ASYMMETRY = 0.04, -0.25, -0.02, 20.0


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Four people, two short sessions each: the second ones are spoiled, each in another way."""
    return plant(tmp_path_factory.mktemp("planted") / "out", Wanted(people=4, sessions=2, short=True))


@pytest.fixture(scope="session")
def plan() -> Callable[..., Registered]:
    """The registered plan, with changes."""
    return lambda **changes: Registered.model_validate({**PLAN, **changes})


@pytest.fixture(scope="session")
def numbers() -> Callable[..., tuple[Gathered, People]]:
    """A study of numbers: 20 people, 6 sessions, effects as above; ``lost`` are missing (person, session)."""

    def made(
        seed: int = 1, view: str = "open", lost: frozenset[tuple[str, int]] = frozenset()
    ) -> tuple[Gathered, People]:
        rng = np.random.default_rng(seed)
        rows, people = [], []
        for number in range(1, 21):
            name, arm = f"P{number:03d}", "active" if number % 2 else "sham"
            own, spasms = math.log(100) + 0.15 * rng.standard_normal(), rng.uniform(3, 5)
            own_gain, dose_mc = STRENGTH * (1 + 0.1 * rng.standard_normal()), float(rng.uniform(0.6, 1.6))
            given = dose_mc if arm == "active" else 0.1 * dose_mc
            for session in range(1, 7):
                t, active = session - 1, arm == "active"
                values = {
                    "mvc_force": math.exp(own + own_gain * given * t + 0.02 * rng.standard_normal()),
                    "spasms_at_rest": rng.poisson(spasms * math.exp(SPASMS * t * active)) / 1.0,
                    "evoked_fatigue": 0.25 + FATIGUE * t * active + 0.01 * rng.standard_normal(),
                    "symmetry": ASYMMETRY + 2.0 * rng.standard_normal(),
                }
                missing = (name, session) in lost
                outcomes = {} if missing else {key: Measurement(float(v), 1) for key, v in values.items()}
                row = SessionRow(
                    person=name, session=session, attempt=1, path=f"sub-{name}/ses-{session:02d}/att-1",
                    status="complete", grade="A", excluded="refused: damaged" if missing else "", wall_start="",
                    duration_s=60.0, head=f"{name}{session}", outcomes=outcomes, primary="mvc_force",
                    guess="active" if session == 6 else None,
                )  # fmt: skip
                rows.append(row)
            shown = {"open": arm, "coded": "A" if arm == "active" else "B", "pooled": ""}[view]
            # Without arms, what an active arm would have had.
            doses = dict.fromkeys(range(1, 7), given if view == "open" else dose_mc)
            people.append(Person(name=name, status="enrolled", enrolled_on="2026-03-02", arm=shown, stratum="all",
                                 planned=6, begun=6, complete=6, dose_mc=doses, planned_mc=doses))  # fmt: skip
        arms = tuple(sorted({each.arm for each in people if each.arm}))
        told = People(tuple(people), view, arms, allocated=True, list_sha256="0" * 64, unblinded=0)  # type: ignore[arg-type]
        return Gathered(Path("study"), tuple(rows), simulated=True), told

    return made


@pytest.fixture(scope="session")
def cohort(numbers: Callable[..., tuple[Gathered, People]], plan: Callable[..., Registered]) -> Callable[..., Cohort]:
    """The numbers, analysed."""

    done: dict[str, Cohort] = {}

    def made(seed: int = 1, view: str = "open", *, again: bool = False, **changes: Any) -> Cohort:
        key = f"{seed} {view} {changes}"
        if again or key not in done:
            gathered, people = numbers(seed, view)
            result = analyse(gathered, people, plan(**changes), "a" * 64)
            done[key] = Cohort(gathered, people, result, "c" * 64, "d" * 64)
        return done[key]

    return made
