"""A template of what pulses leave: what it says follows all that it was told."""

from __future__ import annotations

import json

import numpy as np

from myoloop.controllers.signals.interpolation import MARGIN
from myoloop.controllers.signals.template import Template

ROWS = 60


def test_what_subtraction_leaves_follows_the_current_of_the_mean_also_where_nothing_was_learned_since() -> None:
    rng = np.random.default_rng(3)
    wave = 1000.0 * np.exp(-(((np.arange(ROWS + 2 * MARGIN) - 20.0) / 4.0) ** 2))[:, None]
    template = Template(ROWS, 0, 1, 20, 0.1)
    everywhere, nobody = np.ones(wave.shape, dtype=bool), np.zeros(1, dtype=bool)
    for number in range(30):
        template.step(20.0)
        frame, left = wave + rng.standard_normal(wave.shape), rng.standard_normal((ROWS, 1))
        template.learn(frame, everywhere, 0.0, number, left, ROWS, 4, nobody)
    at_the_mean = template.leaves(4.0, 20.0)
    assert not at_the_mean.any()
    for _ in range(40):
        template.step(21.2)  # pulses in a spasm: heard, but not learned from
    restored = Template(ROWS, 0, 1, 20, 0.1)
    restored.restore(json.loads(json.dumps(template.state())))
    assert template.leaves(4.0, 20.0).any()
    assert np.array_equal(template.leaves(4.0, 20.0), restored.leaves(4.0, 20.0))
    assert template.leaves(4.0, 20.0) is template.leaves(4.0, 20.0)
