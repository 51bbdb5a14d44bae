"""Boosted trees as plain arrays: what was fitted elsewhere, evaluated here with nothing but numpy.

The same numbers as scikit-learn's gradient boosting behind a scaler: inputs are scaled, made 32-bit floats as its trees
take them, led down each tree, and the leaves are added up. A calibration, where there is one, is a rising polyline from
that sum to a probability.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_DEPTH_MOST = 16
_TREES_MOST, _NODES_MOST = 1000, 1 << 12


class BoostedModel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Arrays of a fitted model, JSON-ready.

    Attributes
    ----------
    inputs
        Names of the inputs, in order.
    mean, scale
        Of each input: taken off, and divided by.
    base
        What is there before the first tree.
    feature, threshold, left, right, value
        Of each tree, of each node: which input, up to which value it goes left, the next nodes; the value of a leaf.
        A leaf has the feature -1.
    rises_at, rises_to
        Calibration: from this sum, to this probability; empty where there is none.
    """

    inputs: tuple[str, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    base: float
    feature: tuple[tuple[int, ...], ...]
    threshold: tuple[tuple[float, ...], ...]
    left: tuple[tuple[int, ...], ...]
    right: tuple[tuple[int, ...], ...]
    value: tuple[tuple[float, ...], ...]
    rises_at: tuple[float, ...] = ()
    rises_to: tuple[float, ...] = ()


def read_model(given: Any, inputs: tuple[str, ...]) -> BoostedModel:
    """A model from plain JSON.

    Raises
    ------
    ValueError
        If it is none, or has other inputs than these.
    """
    if not given:
        raise ValueError("model is empty: give the arrays that `myoloop train-estimators` wrote")
    try:
        model = msgspec.convert(given, BoostedModel)
    except msgspec.ValidationError as error:
        raise ValueError(f"model: {error}") from None
    if model.inputs != inputs:
        other = next((name for name in model.inputs if name not in inputs), f"{len(model.inputs)} inputs")
        raise ValueError(
            f"model.inputs: found {other}, allowed are the {len(inputs)} inputs of this estimator, in order"
        )
    return model


class Boosted:
    """A model ready to be evaluated.

    Parameters
    ----------
    model
        As :func:`read_model` gave it.

    Raises
    ------
    ValueError
        If the arrays do not belong together, a number is not finite, or a node does not lead to a later one.
    """

    def __init__(self, model: BoostedModel) -> None:
        self._check(model)
        trees, nodes = len(model.feature), max((len(tree) for tree in model.feature), default=1)
        shape = (trees, nodes)
        self._mean, self._scale = np.array(model.mean), np.array(model.scale)
        self._base = model.base
        feature = np.full(shape, -1, dtype=np.int64)
        self._threshold, self._value = np.zeros(shape), np.zeros(shape)
        self._left = np.tile(np.arange(nodes), (trees, 1))
        self._right = self._left.copy()
        for tree, features in enumerate(model.feature):
            n = len(features)
            feature[tree, :n] = features
            self._threshold[tree, :n] = model.threshold[tree]
            self._value[tree, :n] = model.value[tree]
            inner = np.array(features) >= 0
            # A leaf leads to itself, so that all trees can be walked equally far.
            self._left[tree, :n][inner] = np.array(model.left[tree])[inner]
            self._right[tree, :n][inner] = np.array(model.right[tree])[inner]
        self._feature = np.maximum(feature, 0)
        self._trees = np.arange(trees)
        self._depth = _depth(feature, self._left, self._right)
        self._rises_at, self._rises_to = np.array(model.rises_at), np.array(model.rises_to)

    def score(self, inputs: Floats) -> Floats:
        """The sum of the leaves of (n, inputs): (n,)."""
        scaled = ((inputs - self._mean) / self._scale).astype(np.float32)
        node = np.zeros((len(inputs), len(self._trees)), dtype=np.int64)
        rows = np.arange(len(inputs))[:, None]
        for _ in range(self._depth):
            goes_left = scaled[rows, self._feature[self._trees, node]] <= self._threshold[self._trees, node]
            node = np.where(goes_left, self._left[self._trees, node], self._right[self._trees, node])
        total: Floats = self._base + self._value[self._trees, node].sum(axis=1)
        return total

    def probability(self, inputs: Floats) -> Floats:
        """The calibrated probability of (n, inputs): (n,); without a calibration, the logistic function of the sum."""
        score = self.score(inputs)
        if not len(self._rises_at):
            plain: Floats = 1.0 / (1.0 + np.exp(-score))
            return plain
        calibrated: Floats = np.interp(score, self._rises_at, self._rises_to)
        return calibrated

    @staticmethod
    def _check(model: BoostedModel) -> None:
        width = len(model.inputs)
        if len(model.mean) != width or len(model.scale) != width:
            raise ValueError(f"model: {len(model.mean)} means and {len(model.scale)} scales for {width} inputs")
        if not all(scale > 0 for scale in model.scale):
            raise ValueError("model.scale: found a value that is not above 0")
        if not 1 <= len(model.feature) <= _TREES_MOST:
            raise ValueError(f"model.feature: {len(model.feature)} trees, allowed are 1 to {_TREES_MOST}")
        tables = (model.threshold, model.left, model.right, model.value)
        if any(len(table) != len(model.feature) for table in tables):
            raise ValueError("model: feature, threshold, left, right and value have different numbers of trees")
        for tree, features in enumerate(model.feature):
            where, n = f"model, tree {tree}", len(features)
            if not 1 <= n <= _NODES_MOST or any(len(table[tree]) != n for table in tables):
                raise ValueError(f"{where}: its arrays have different lengths, or not 1 to {_NODES_MOST} nodes")
            for node, feature in enumerate(features):
                if not -1 <= feature < width:
                    raise ValueError(f"{where}: node {node} asks for input {feature}, allowed are -1 to {width - 1}")
                nexts = (model.left[tree][node], model.right[tree][node])
                if feature >= 0 and not all(node < after < n for after in nexts):
                    raise ValueError(f"{where}: node {node} leads to {nexts[0]} and {nexts[1]}, not to later nodes")
        numbers = (model.base, *model.mean, *model.scale, *model.rises_at, *model.rises_to)
        leaves = (number for table in (model.threshold, model.value) for tree in table for number in tree)
        if not all(map(math.isfinite, numbers)) or not all(map(math.isfinite, leaves)):
            raise ValueError("model: found a number that is not finite")
        rises_at, rises_to = model.rises_at, model.rises_to
        if len(rises_at) != len(rises_to) or list(rises_at) != sorted(rises_at) or list(rises_to) != sorted(rises_to):
            raise ValueError("model: rises_at and rises_to must be as long as one another and rise")
        if rises_to and not 0.0 <= rises_to[0] <= rises_to[-1] <= 1.0:
            raise ValueError("model.rises_to: found a value that is no probability")


def _depth(feature: npt.NDArray[np.int64], left: npt.NDArray[np.int64], right: npt.NDArray[np.int64]) -> int:
    """How far down the deepest leaf is."""
    deep = np.zeros(feature.shape, dtype=np.int64)
    for tree, node in zip(*np.nonzero(feature >= 0), strict=True):
        for after in (left[tree, node], right[tree, node]):
            deep[tree, after] = max(deep[tree, after], deep[tree, node] + 1)
    depth = int(deep.max())
    if depth > _DEPTH_MOST:
        raise ValueError(f"model: a tree is {depth} deep, allowed is {_DEPTH_MOST}")
    return depth
