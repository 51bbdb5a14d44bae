"""From a fitted scikit-learn pipeline to the plain arrays that the loop evaluates."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from myoloop.controllers.estimators.boosted import BoostedModel


def plain_classifier(calibrated: Any, inputs: tuple[str, ...]) -> dict[str, Any]:
    """Of a ``CalibratedClassifierCV`` (isotonic, no ensemble) over a scaler and gradient boosting: JSON-ready.

    Raises
    ------
    ValueError
        If it is anything else.
    """
    if len(calibrated.calibrated_classifiers_) != 1:
        raise ValueError("an ensemble of calibrated classifiers has no plain arrays: fit it with ensemble=False")
    (fitted,) = calibrated.calibrated_classifiers_
    (isotonic,) = fitted.calibrators
    scaler, boosting = (step for _, step in fitted.estimator.steps)
    share = float(boosting.init_.class_prior_[1])
    base = float(np.log(share / (1.0 - share)))
    return _plain(scaler, boosting, base, inputs, isotonic)


def plain_regressor(pipeline: Any, inputs: tuple[str, ...]) -> dict[str, Any]:
    """Of a scaler and gradient boosting with squared errors: JSON-ready."""
    scaler, boosting = (step for _, step in pipeline.steps)
    return _plain(scaler, boosting, float(np.ravel(boosting.init_.constant_)[0]), inputs)


def _plain(scaler: Any, boosting: Any, base: float, inputs: tuple[str, ...], isotonic: Any = None) -> dict[str, Any]:
    trees = [estimator.tree_ for estimator in boosting.estimators_[:, 0]]
    rate = float(boosting.learning_rate)
    model = BoostedModel(
        inputs=inputs,
        mean=tuple(scaler.mean_.tolist()),
        scale=tuple(scaler.scale_.tolist()),
        base=base,
        feature=tuple(tuple(np.maximum(tree.feature, -1).tolist()) for tree in trees),
        threshold=tuple(tuple(tree.threshold.tolist()) for tree in trees),
        left=tuple(tuple(tree.children_left.tolist()) for tree in trees),
        right=tuple(tuple(tree.children_right.tolist()) for tree in trees),
        value=tuple(tuple((rate * tree.value[:, 0, 0]).tolist()) for tree in trees),
        rises_at=() if isotonic is None else tuple(isotonic.X_thresholds_.tolist()),
        rises_to=() if isotonic is None else tuple(isotonic.y_thresholds_.tolist()),
    )
    plain: dict[str, Any] = msgspec.to_builtins(model)
    return plain
