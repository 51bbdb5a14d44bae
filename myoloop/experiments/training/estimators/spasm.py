"""The learned detector of spasms: fitted on people, its probabilities calibrated and its thresholds chosen on others.

Everything is chosen among the people it is trained with, by folds that no person is in twice (GroupKFold): which model,
its calibration, and the thresholds, which give as many matched onsets as can be had without more false ones than the
rules tell of the same people, and hardly later.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from myoloop.controllers.estimators.burst_evidence import EVIDENCE
from myoloop.controllers.estimators.learned_burst import Bursts, LearnedBurstSettings
from myoloop.experiments.training.estimators.arrays import plain_classifier
from myoloop.experiments.training.estimators.hearing import STEP_NS
from myoloop.experiments.training.estimators.scores import BurstScore, reliability, score_bursts
from myoloop.experiments.training.estimators.table import Person

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

FOLDS = 5
#: One hop in so many is learned from: neighbours hold the same samples.
EVERY = 12
#: What is learned of the beginning of a spasm counts so much more than the rest of it: it is there to be acted on.
BEGINNING_S, BEGINNING_WEIGHT = 0.2, 4.0
ON_FROM = (0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
HOPS_MIN = (1, 2, 3)
OFF_SHARE = 0.5
#: Thresholds may be later than the rules by this, in the median.
LATER_MS = 10.0


@dataclass(frozen=True, slots=True)
class Fitted:
    """What came of it.

    Attributes
    ----------
    model
        The calibrated scikit-learn pipeline.
    settings
        Of ``learned_burst``, JSON-ready.
    chosen
        How it was chosen, among the people it was trained with: losses of the candidates, scores by thresholds.
    """

    model: Any
    settings: dict[str, Any]
    chosen: dict[str, Any]


def candidates(seed: int) -> dict[str, Any]:
    """The pipelines that are compared: a straight line through the logits, and boosted trees."""
    from sklearn.ensemble import GradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    boosting = GradientBoostingClassifier(
        n_estimators=60, learning_rate=0.15, max_depth=3, subsample=0.4, max_features=0.5, min_samples_leaf=30,
        random_state=seed,
    )  # fmt: skip
    return {
        "logistic": make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)),
        "boosted": make_pipeline(StandardScaler(), boosting),
    }


def fit(people: Sequence[Person], seed: int) -> Fitted:
    """Fit on these people; the same people and seed give the same model."""
    from sklearn.base import clone
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.isotonic import IsotonicRegression
    from sklearn.metrics import log_loss
    from sklearn.model_selection import GroupKFold

    inputs, spasm, who, weight = _rows(people)
    folds = list(GroupKFold(min(FOLDS, len(people))).split(inputs, spasm, who))
    losses: dict[str, float] = {}
    scores = np.zeros(len(spasm))
    fitted: list[Any] = []
    for name, pipeline in candidates(seed).items():
        found = np.zeros(len(spasm))
        fitted = []
        weighed = f"{pipeline.steps[-1][0]}__sample_weight"
        for train, test in folds:
            fitted.append(clone(pipeline).fit(inputs[train], spasm[train], **{weighed: weight[train]}))
            found[test] = fitted[-1].predict_proba(inputs[test])[:, 1]
            scores[test] = fitted[-1].decision_function(inputs[test])
        losses[name] = float(log_loss(spasm, found))
    # Of the last candidate, the one that the loop can evaluate.
    isotonic = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(scores, spasm)
    unseen: list[Floats] = [np.empty(0)] * len(people)
    for (_, test), model in zip(folds, fitted, strict=True):
        for place in np.unique(who[test]).tolist():
            unseen[place] = isotonic.predict(model.decision_function(people[place].evidence))
    table = choose(people, unseen)
    best = table[0]
    calibrated = CalibratedClassifierCV(candidates(seed)["boosted"], cv=folds, ensemble=False, method="isotonic")
    # The weights are the model's alone: probabilities are calibrated to how often spasms are.
    calibrated.fit(inputs, spasm, **{weighed: weight})
    # Which rows were in which fold is no part of the model.
    calibrated.set_params(cv=len(folds))
    settings = {
        "model": plain_classifier(calibrated, EVIDENCE),
        "on_from": best["on_from"],
        "off_below": best["off_below"],
        "hops_min": best["hops_min"],
    }
    calibration = reliability(isotonic.predict(scores), spasm)
    return Fitted(calibrated, settings, {"log_loss": losses, "thresholds": table, "calibration": calibration})


def choose(people: Sequence[Person], probabilities: Sequence[Floats]) -> list[dict[str, Any]]:
    """Scores by thresholds, the best first: no more false onsets than the rules and hardly later, then by F1."""
    rules = scores_of_rules(people)
    allowed, latest_ms = mean_of(rules, "false_per_min"), mean_of(rules, "latency_ms") + LATER_MS
    table = []
    for on_from, hops_min in itertools.product(ON_FROM, HOPS_MIN):
        off_below = OFF_SHARE * on_from
        settings = LearnedBurstSettings(on_from=on_from, off_below=off_below, hops_min=hops_min)
        scores = [
            score_bursts(person.events, onsets_s, told_s, person.seconds)
            for person, (onsets_s, told_s) in zip(people, told(people, probabilities, settings), strict=True)
        ]
        table.append(
            {
                "on_from": on_from, "off_below": off_below, "hops_min": hops_min, "f1": mean_of(scores, "f1"),
                "false_per_min": mean_of(scores, "false_per_min"), "latency_ms": mean_of(scores, "latency_ms"),
            }
        )  # fmt: skip
    # Who tells nothing tells nothing false either.
    few = [row for row in table if row["false_per_min"] <= allowed and row["f1"] > 0.0]
    soon = [row for row in few if row["latency_ms"] <= latest_ms]
    best = max(soon or few or table, key=lambda row: row["f1"])
    return [best, *(row for row in table if row is not best)]


def told(
    people: Sequence[Person], probabilities: Sequence[Floats], settings: LearnedBurstSettings
) -> list[tuple[list[float], float]]:
    """Onsets, and for how long a burst is told, of each person: as the loop tells them, all people at once."""
    hops = min(len(one) for one in probabilities)
    chance = np.column_stack([one[:hops] for one in probabilities])
    may = np.column_stack([person.may[:hops] for person in people])
    bursts = Bursts(settings, len(people), STEP_NS * 1e-9)
    on = np.zeros((hops + 1, len(people)), dtype=np.bool_)
    for hop in range(hops):
        bursts.hear(hop * STEP_NS, chance[hop], may[hop])
        on[hop + 1] = bursts.on
    begun = on[1:] & ~on[:-1]
    return [
        ((person.t_ns[:hops][begun[:, place]] * 1e-9).tolist(), float(on[:, place].sum()) * STEP_NS * 1e-9)
        for place, person in enumerate(people)
    ]


def scores_of_rules(people: Sequence[Person]) -> list[BurstScore]:
    """How the rules do on each person."""
    return [score_bursts(one.events, one.onsets_s.tolist(), one.told_s, one.seconds) for one in people]


def mean_of(scores: Sequence[BurstScore], name: str) -> float:
    """Mean over the people of whom it is known; 0 where it is known of none."""
    values = np.array([getattr(score, name) for score in scores])
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else 0.0


def _rows(people: Sequence[Person]) -> tuple[Floats, Mask, npt.NDArray[np.int64], Floats]:
    """Evidence, truth, place of the person and weight of every so many hops in which the rules can tell anything."""
    picked = [np.flatnonzero(person.may)[place % EVERY :: EVERY] for place, person in enumerate(people)]
    pairs = list(zip(people, picked, strict=True))
    return (
        np.concatenate([person.evidence[rows] for person, rows in pairs]),
        np.concatenate([person.in_spasm[rows] for person, rows in pairs]),
        np.repeat(np.arange(len(people)), [len(rows) for rows in picked]),
        np.concatenate([_weight(person)[rows] for person, rows in pairs]),
    )


def _weight(person: Person) -> Floats:
    weight = np.ones(len(person.t_ns))
    for event in person.events:
        since_s = person.t_ns * 1e-9 - event.onset_s
        weight[(since_s > 0.0) & (since_s <= BEGINNING_S)] = BEGINNING_WEIGHT
    return weight
