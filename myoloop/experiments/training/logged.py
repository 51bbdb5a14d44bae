"""Decisions of a dataset as transitions: what recorded sessions, or a logged cohort, add to learning.

Of what was recorded the truth is not known: the error is that of the measured response, and for the loss of force
stands the share of the muscle that was asked for, which drives it. All is relative to the person's own decisions
without a residual.
"""

from __future__ import annotations

import numpy as np

from myoloop.controllers.policies.residual import ACTIONS
from myoloop.experiments.training.composite import WEIGHTS
from myoloop.experiments.training.dataset import Dataset
from myoloop.experiments.training.decisions import ACTION, OUTCOME, PLACE, Decisions
from myoloop.experiments.training.fitted_q import Transitions, together
from myoloop.experiments.training.train import Logged

_CLASSIC_LEAST = 20
_LEAST = 1e-9


def read_logged(dataset: Dataset) -> Logged:
    """The training half of a dataset; people of whom too few decisions are known are left out."""
    names, decisions = dataset.half("train")
    rows = np.array(names)
    parts = []
    for number, name in enumerate(sorted(set(names))):
        own = _of(decisions, rows == name)
        made = person_transitions(own, -1 - number)
        if made is not None:
            parts.append(made)
    transitions = together(parts) if parts else None
    return Logged(dataset.sha256, dict(dataset.halves), transitions, len(parts), tuple(dataset.people))


def person_transitions(decisions: Decisions, person: int) -> Transitions | None:
    """Transitions of one person; None where too few decisions without a residual say what is usual for them.

    Parameters
    ----------
    person
        Number that they get; below 0, so that none of a cohort has it.
    """
    action, outcome, place = decisions.action, decisions.outcome, decisions.place
    residual, share = action[:, ACTION.index("residual")], action[:, ACTION.index("share")]
    square = np.square(outcome[:, OUTCOME.index("error_rms")])
    charge = outcome[:, OUTCOME.index("charge_uc")] / np.maximum(outcome[:, OUTCOME.index("seconds")], _LEAST)
    cut, last = place[:, PLACE.index("cut")] > 0.0, place[:, PLACE.index("last")] > 0.0
    # As it is learned from: what float32 cannot hold is not finite there.
    seen = decisions.observation.astype(np.float32)
    heard = np.isfinite(square) & np.isfinite(seen).all(axis=1) & np.isfinite(charge)
    classic = heard & (np.abs(residual) < _LEAST)
    if classic.sum() < _CLASSIC_LEAST:
        return None
    usual = max(float(square[classic].mean()), _LEAST)
    cost = (
        WEIGHTS["rmse"] * square / (2.0 * usual)
        + WEIGHTS["fatigue"] * share / max(float(share[classic].mean()), _LEAST)
        + WEIGHTS["charge_mc"] * charge / max(float(charge[classic].mean()), _LEAST)
    )
    reward = float(cost[classic].mean()) - cost
    nearest = np.abs(residual[:, None] - np.asarray(ACTIONS)).argmin(axis=1)
    follows = np.concatenate([heard[1:], [False]])
    # A train that was cut, or one whose next decision saw nothing, says nothing of what would have followed.
    usable = heard & ~cut & (last | follows)
    if not usable.any():
        return None
    following = np.nan_to_num(np.concatenate([seen[1:], seen[-1:]]))
    made = Transitions(seen, nearest, reward, following, last, np.full(len(seen), person, dtype=np.int64))
    return made.of(np.flatnonzero(usable))


def _of(decisions: Decisions, rows: np.ndarray) -> Decisions:
    return Decisions(
        decisions.observation[rows], decisions.action[rows], decisions.outcome[rows], decisions.place[rows]
    )
