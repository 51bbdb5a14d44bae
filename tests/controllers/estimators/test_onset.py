"""The beginning of a voluntary contraction, with and without stimulation."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

START_NS = 1_000_000_000


def _onsets_s(ran: Any, muscle: int = 0) -> list[float]:
    """Each onset that was told, once."""
    found: list[float] = []
    for _, _, said, _ in ran.steps:
        onset_ns = said.muscles[muscle].effort_onset_ns
        if onset_ns is not None and (not found or (onset_ns - START_NS) * 1e-9 != found[-1]):
            found.append((onset_ns - START_NS) * 1e-9)
    return found


def _efforts_s(ran: Any) -> list[float]:
    """When the scene's person began: 0.3 s after each prompt."""
    states = [(t, state) for t, state, *_ in ran.steps]
    return [t + 0.3 for (_, before), (t, state) in pairwise(states) if state == "await_effort" != before]


@pytest.mark.parametrize("artifact", [False, True], ids=["alone", "with what the last train left"])
def test_each_effort_is_dated_near_its_beginning(scene: Any, artifact: bool) -> None:
    ran = scene(seed=3, seconds=30.0, artifact=artifact).run()
    true, told = _efforts_s(ran), _onsets_s(ran)
    assert len(true) >= 3
    assert len(told) == len(true)
    # The effort rises with a time constant of 0.2 s: 10 of 100 uV stand above 5 uV of rest after 20 ms.
    errors = np.array(told) - np.array(true)
    assert np.abs(errors).max() <= 0.1
    assert abs(np.median(errors)) <= 0.06


def test_it_is_told_while_the_contraction_is_on_and_only_of_the_muscle_that_was_asked(scene: Any) -> None:
    ran = scene(seed=3, seconds=12.0, artifact=False).run()
    working = [said.muscles[0].effort_onset_ns for t, state, said, _ in ran.steps if state == "hold" and t > 6.5]
    assert working
    assert len(set(working)) == 1
    assert working[0] is not None
    assert _onsets_s(ran, 1) == []
    resting = [said.muscles[0].effort_onset_ns for t, _, said, _ in ran.steps if t < 4.0 or 10.9 < t < 12.0]
    assert set(resting) == {None}


def test_a_spasm_is_no_voluntary_contraction(scene: Any) -> None:
    ran = scene(seed=4, seconds=14.5, artifact=False, spasms=((11.0, 1.5, 150.0, 0),)).run()
    during = [said.muscles[0] for t, _, said, _ in ran.steps if 11.3 < t < 12.4]
    assert all(estimate.spasm.value == 1 for estimate in during)
    assert {estimate.effort_onset_ns for estimate in during} == {None}


def test_it_survives_a_restore_in_the_middle_of_an_effort(scene: Any, kit: Any) -> None:
    from myoloop.controllers.controller import Controller

    def anew(step: int, controller: Controller) -> Controller:
        if step != 560:
            return controller
        return Controller(controller.settings, json.loads(json.dumps(controller.state())))

    whole = scene(seed=3, seconds=8.0).run()
    restored = scene(seed=3, seconds=8.0).run(anew)
    assert _onsets_s(whole)
    assert [said for *_, said, _ in whole.steps] == [said for *_, said, _ in restored.steps]
