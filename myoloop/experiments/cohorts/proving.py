"""What an analysis of a planted study has to find: the truth file held against a cohort. Only proofs read it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from myoloop.experiments.cohorts import spoiling
from myoloop.experiments.cohorts.cohort import Cohort
from myoloop.experiments.cohorts.planted import ACTIVE, SHAM

#: How each fault must be listed: the beginning of the reason, or one of these statuses.
_LISTED = {
    spoiling.BIT_FLIP: ("refused",), spoiling.GARBAGE: ("refused",), spoiling.CUT: ("cut",),
    spoiling.CLOCK_JUMP: ("clock_jump",), spoiling.WRONG_UNIT: ("wrong_unit",),
    spoiling.INTERRUPTED: ("interrupted", "recovered"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Recovered:
    """One planted effect and what was found of it, on the model's scale."""

    what: str
    planted: float
    value: float | None
    low: float | None
    high: float | None

    @property
    def within(self) -> bool:
        """Whether the interval holds what was planted."""
        return self.low is not None and self.high is not None and self.low <= self.planted <= self.high


def recovered(truth_file: Path, cohort: Cohort) -> list[Recovered]:
    """Every planted effect beside its estimate."""
    truth = json.loads(truth_file.read_text("utf-8"))
    found = []
    for what, (part, outcome, contrast, planted) in _expected(truth).items():
        line = next(
            (
                each
                for each in cohort.result.lines
                if (each.part, each.outcome, each.contrast) == (part, outcome, contrast)
            ),
            None,
        )
        e = line.estimate if line is not None else None
        found.append(Recovered(what, planted, *((e.value, e.low, e.high) if e is not None else (None, None, None))))
    return found


def not_listed(truth_file: Path, cohort: Cohort) -> list[str]:
    """Faults that are used, or not listed with their own reason; nothing, where all is well."""
    truth = json.loads(truth_file.read_text("utf-8"))
    rows = {(row.person, row.session): row for row in cohort.gathered.rows}
    found = []
    for each in truth["faults"]:
        name, session, fault = each["person"], each["session"], each["fault"]
        row = rows.get((name, session))
        if fault == spoiling.MISSED:
            if row is not None:
                found.append(f"{name} session {session}: was missed, and a recording is there")
        elif row is None or row.used or not row.excluded.startswith(_LISTED[fault]):
            found.append(f"{name} session {session}: {fault}: {'not there' if row is None else row.excluded or 'used'}")
    return found


def _expected(truth: Mapping[str, Any]) -> dict[str, tuple[str, str, str, float]]:
    effects, last_t = truth["cohort"]["effects"], truth["cohort"]["sessions"] - 1
    people = truth["people"].values()
    gain = {arm: _mean_slope(people, arm, "log_gain") for arm in (ACTIVE, SHAM)}
    asymmetry = float(np.mean([each["asymmetry_pct"] for each in people]))
    return {
        "strength": ("primary", "mvc_force", "arms", last_t * (gain[ACTIVE] - gain[SHAM])),
        "spasms": ("secondary", "spasms_at_rest", "arms", last_t * effects["spasm_per_session"]),
        "fatigue": ("secondary", "evoked_fatigue", "trend", _mean_slope(people, ACTIVE, "evoked_loss")),
        "asymmetry": ("secondary", "symmetry", "mean", asymmetry),
        "dose-response": ("secondary", "mvc_force", "dose", effects["strength_per_mc"]),
    }


def _mean_slope(people: Any, arm: str, what: str) -> float:
    """Mean over the people of an arm of each one's slope over sessions."""
    slopes = []
    for each in people:
        points = [(int(session), told[what]) for session, told in each["sessions"].items() if told[what] is not None]
        if each["arm"] == arm and len(points) > 1:
            at, values = ([float(point[k]) for point in points] for k in (0, 1))
            slopes.append(float(np.polyfit(at, values, 1)[0]))
    return float(np.mean(slopes))
