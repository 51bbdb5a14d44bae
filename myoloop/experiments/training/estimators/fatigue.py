"""The learned index of evoked fatigue: fitted on people, its interval made on others than it was fitted on.

The interval is conformal: half of it is a multiple of the error that a second model foresees, the multiple such that
19 of 20 errors on people that neither model had seen lay within.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from myoloop.controllers.estimators.fatigue_evidence import EVIDENCE
from myoloop.controllers.estimators.learned_fatigue import LearnedFatigueSettings
from myoloop.experiments.training.estimators.arrays import plain_regressor
from myoloop.experiments.training.estimators.scores import rms
from myoloop.experiments.training.estimators.spasm import FOLDS
from myoloop.experiments.training.estimators.table import Person

Floats = npt.NDArray[np.float64]

COVERAGE = 0.95


@dataclass(frozen=True, slots=True)
class Fitted:
    """What came of it.

    Attributes
    ----------
    model, error_model
        scikit-learn pipelines: the share of force lost, and how far that is off.
    settings
        Of ``learned_fatigue``, JSON-ready.
    chosen
        How it was chosen, among the people it was trained with.
    """

    model: Any
    error_model: Any
    settings: dict[str, Any]
    chosen: dict[str, Any]


def candidates(seed: int) -> dict[str, Any]:
    """The pipelines that are compared: a straight line, and boosted trees."""
    from sklearn.ensemble import GradientBoostingRegressor
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    boosting = GradientBoostingRegressor(
        n_estimators=150, learning_rate=0.06, max_depth=3, subsample=0.5, max_features=0.5, min_samples_leaf=20,
        random_state=seed,
    )  # fmt: skip
    return {
        "ridge": make_pipeline(StandardScaler(), Ridge()),
        "boosted": make_pipeline(StandardScaler(), boosting),
    }


def fit(people: Sequence[Person], seed: int) -> Fitted:
    """Fit on these people; the same people and seed give the same model.

    Raises
    ------
    ValueError
        If the rules told fatigue of fewer than two of them: sessions are too short to learn from.
    """
    from sklearn.model_selection import GroupKFold, cross_val_predict

    known = [np.isfinite(person.fused[:, 0]) for person in people]
    inputs = np.concatenate([one.fatigue_evidence[rows] for one, rows in zip(people, known, strict=True)])
    lost = np.concatenate([one.lost[rows] for one, rows in zip(people, known, strict=True)])
    rules = np.concatenate([one.fused[rows, 0] for one, rows in zip(people, known, strict=True)])
    who = np.repeat(np.arange(len(people)), [int(rows.sum()) for rows in known])
    count = len(np.unique(who))
    if count < 2:
        raise ValueError(f"fatigue was told of {count} people: longer sessions are needed")
    folds = list(GroupKFold(min(FOLDS, count)).split(inputs, lost, who))
    errors = {"rules": rms(rules - lost)}
    found = np.zeros(len(lost))
    for name, pipeline in candidates(seed).items():
        found = cross_val_predict(pipeline, inputs, lost, cv=folds)
        errors[name] = rms(found - lost)
    # Of the last candidate, the one that the loop can evaluate.
    away = np.abs(np.clip(found, 0.0, 1.0) - lost)
    least = LearnedFatigueSettings().error_least
    foreseen = np.maximum(cross_val_predict(candidates(seed)["boosted"], inputs, away, cv=folds), least)
    widen = float(np.quantile(away / foreseen, COVERAGE, method="higher"))
    model, error_model = (candidates(seed)["boosted"].fit(inputs, target) for target in (lost, away))
    settings = {
        "model": plain_regressor(model, EVIDENCE),
        "error_model": plain_regressor(error_model, EVIDENCE),
        "widen": round(widen, 6),
    }
    return Fitted(model, error_model, settings, {"rms_error": errors, "people": count, "rows": len(lost)})
