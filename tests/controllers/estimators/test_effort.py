"""Effort relative to rest and to this session's own contractions."""

from __future__ import annotations

from typing import Any

import pytest

from myoloop.controllers.choice import Choice
from myoloop.controllers.settings import DEFAULT_ESTIMATORS
from myoloop.platform.plugins import PluginError


def _with(settings: dict[str, Any]) -> dict[str, Any]:
    return {
        "estimators": tuple(
            Choice(name=c.name, settings=settings) if c.name == "effort" else c for c in DEFAULT_ESTIMATORS
        )
    }


def test_it_is_learned_from_contractions_that_were_asked_for(scene: Any) -> None:
    ran = scene(seed=1, seconds=26.0, artifact=False).run()
    before = [said.muscles[0].effort for t, _, said, _ in ran.steps if 1.0 < t < 8.0]
    assert not any(measure.valid for measure in before)
    assert before[-1].reason == "no contraction yet to compare with"
    working = [said.muscles[0].effort for t, state, said, _ in ran.steps if t > 15 and state == "hold"]
    resting = [said.muscles[0].effort for t, state, said, _ in ran.steps if 12.5 < t < 13.3]
    assert all(measure.valid for measure in (*working, *resting))
    assert sum(measure.value for measure in working) / len(working) > 0.7
    assert max(measure.value for measure in resting) < 0.1


def test_a_reference_from_the_settings_is_used_from_the_beginning(scene: Any) -> None:
    ran = scene(seed=1, seconds=8.5, artifact=False, settings=_with({"reference_uv": {"agonist": 200.0}})).run()
    working = [said.muscles[0].effort.value for t, state, said, _ in ran.steps if state == "hold" and t > 7]
    assert sum(working) / len(working) == pytest.approx(0.5, abs=0.12)


def test_a_muscle_of_which_nothing_is_asked_has_no_reference(scene: Any) -> None:
    ran = scene(seed=1, policy="open_loop", seconds=9.0, spasms=((3.0, 2.0, 100.0, 0),)).run()
    assert ran.steps[-1][2].muscles[0].effort.reason == "no contraction yet to compare with"


def test_a_reference_that_is_not_above_zero_or_a_muscle_that_is_not_there_is_refused(scene: Any) -> None:
    with pytest.raises((PluginError, ValueError), match="above 0"):
        scene(seconds=0.1, settings=_with({"reference_uv": {"agonist": 0.0}})).run()
