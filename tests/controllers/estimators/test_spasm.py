"""Involuntary bursts, in scenes whose truth is known."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from myoloop.controllers.estimators.burst_settings import BurstSettings
from myoloop.controllers.estimators.estimator import Heard, Setup, Situation
from myoloop.controllers.estimators.scoring import score_onsets
from myoloop.controllers.estimators.spasm import AdaptiveBurst
from myoloop.controllers.reflex import ReflexSettings, SpasmReflex


def _spasms(seed: int, seconds: float, low_uv: float = 40.0) -> tuple[tuple[float, float, float, int], ...]:
    rng = np.random.default_rng(seed + 100)
    spasms, t = [], 6.0
    while t < seconds - 4:
        spasms.append((t, rng.uniform(0.3, 1.5), rng.uniform(low_uv, 150), int(rng.integers(2))))
        t += rng.uniform(4.0, 10.0)
    return tuple(spasms)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_passive_person_under_stimulation(scene: Any, seed: int) -> None:
    spasms = _spasms(seed, 40.0)
    ran = scene(seed=seed, policy="open_loop", seconds=40.0, spasms=spasms).run()
    assert max(asked.channels[0].current_ma for *_, asked in ran.steps) == pytest.approx(20.0)
    for muscle in (0, 1):
        score = score_onsets([s[0] for s in spasms if s[3] == muscle], ran.onsets_s(muscle))
        assert score.f1 >= 0.9
        if score.latency_s is not None:
            assert abs(score.latency_s) < 0.1


def test_effort_at_the_prompt_is_no_spasm_and_nothing_is_seen_where_nothing_is(scene: Any) -> None:
    ran = scene(seed=3, policy="emg_trigger", seconds=40.0).run()
    assert ran.onsets_s(0) == []
    assert ran.onsets_s(1) == []
    assert sum(said.trigger for _, _, said, _ in ran.steps) > 3
    assert not any(asked.reason.count("spasm") for *_, asked in ran.steps)


def test_in_effort_what_cannot_be_told_is_not_told_and_what_stands_out_is(scene: Any) -> None:
    # The second hold is from about 15.5 to 18.5 s, the third from 25 to 28 s.
    weak, strong, other = (16.5, 0.8, 60.0, 0), (26.5, 0.8, 350.0, 0), (36.2, 0.8, 90.0, 1)
    ran = scene(seed=4, policy="emg_trigger", seconds=40.0, spasms=(weak, strong, other)).run()
    onsets = ran.onsets_s(0)
    assert len(onsets) == 1
    assert onsets[0] == pytest.approx(26.5, abs=0.5)
    assert ran.onsets_s(1) == [pytest.approx(36.2, abs=0.2)]
    during = [said.muscles[0].spasm for t, _, said, _ in ran.steps if 16.5 < t < 17.2]
    assert {(measure.valid, measure.value) for measure in during} == {(False, None)}
    assert all("voluntary effort" in measure.reason for measure in during)


def test_a_spasm_in_place_of_the_effort_is_dated_from_where_it_began_and_told_in_one_piece(scene: Any) -> None:
    # The third prompt is at 23.88 s; in the first moments nobody can know that what follows is no effort.
    ran = scene(seed=4, policy="emg_trigger", seconds=29.0, spasms=((24.2, 1.6, 230.0, 0),)).run()
    assert ran.onsets_s(0) == [pytest.approx(24.2, abs=0.1)]
    on = [t for t, _, said, _ in ran.steps if said.muscles[0].spasm.value == 1]
    assert 24.3 < on[0] < 25.0
    assert on[-1] == pytest.approx(25.8, abs=0.6)
    assert np.diff(on).max() < 0.02


def test_in_a_train_without_gaps_it_says_that_it_cannot_know_and_after_it_what_is_still_on_is_told(scene: Any) -> None:
    # Trains hold from 9.5 s or so on; the second spasm outlasts its train.
    given = {"policy": "open_loop", "seconds": 34.0, "pulse_hz": 80.0}
    quiet = scene(seed=8, **given).run()
    assert quiet.onsets_s(0) == []
    trains = [t for t, state, *_ in quiet.steps if state == "hold"]
    ends = [t for t, after in zip(trains, [*trains[1:], 1e9], strict=True) if after - t > 1.0]
    spasm = (ends[1] - 1.0, 6.0, 150.0, 0)
    ran = scene(seed=8, **given, spasms=(spasm,)).run()
    in_train = [
        said.muscles[0].spasm for t, state, said, _ in ran.steps if state == "hold" and spasm[0] + 0.3 < t < ends[1]
    ]
    assert not any(measure.value == 1 for measure in in_train)
    assert any("too closely" in measure.reason for measure in in_train)
    on = [t for t, _, said, _ in ran.steps if said.muscles[0].spasm.value == 1]
    assert on
    assert on[0] < ends[1] + 0.5 + 1.3


def test_before_any_effort_is_known_it_says_so(scene: Any) -> None:
    ran = scene(seed=4, policy="emg_trigger", seconds=7.0).run()
    reasons = {said.muscles[0].spasm.reason for t, _, said, _ in ran.steps if t > 5.4}
    assert "voluntary effort expected and this person's effort level is not known yet" in reasons
    first = [said.muscles[0].spasm for t, _, said, _ in ran.steps if t < 0.5]
    assert all(not measure.valid and "at rest is not known" in measure.reason for measure in first)


def test_a_burst_merges_over_short_pauses_and_a_spike_is_none(scene: Any) -> None:
    clonus = tuple((10.0 + 0.2 * k, 0.1, 120.0, 1) for k in range(8))
    ran = scene(seed=5, policy="open_loop", seconds=14.0, spasms=(*clonus, (6.0, 0.01, 60.0, 0))).run()
    assert ran.onsets_s(1) == [pytest.approx(10.0, abs=0.1)]
    assert ran.onsets_s(0) == []


def test_a_level_that_stays_up_unlatches(scene: Any) -> None:
    ran = scene(seed=6, policy="open_loop", seconds=36.0, spasms=((8.0, 40.0, 50.0, 1),)).run()
    on = [t for t, _, said, _ in ran.steps if said.muscles[1].spasm.value == 1]
    assert on[0] == pytest.approx(8.1, abs=0.1)
    assert on[-1] < 29.5
    assert ran.steps[-1][2].muscles[1].spasm.valid


def test_with_cue_as_the_prompt_activity_in_the_cue_is_effort(scene: Any) -> None:
    early = ((13.7, 1.2, 70.0, 0),)
    off = ReflexSettings(spasm=SpasmReflex(enabled=False))
    prompt = {"reflex": off, "effort_from": "prompt"}
    strict = scene(seed=7, seconds=16.0, spasms=early, settings=prompt).run()
    lenient = scene(seed=7, seconds=16.0, spasms=early, settings={"reflex": off, "effort_from": "cue"}).run()
    assert strict.onsets_s(0) == [pytest.approx(13.7, abs=0.1)]
    assert lenient.onsets_s(0) == []


class _Muscle:
    """The detector alone, told of one muscle's levels: rest is e^1.4 = 4 uV."""

    def __init__(self) -> None:
        setup = SimpleNamespace(
            muscles=("m",), hop_s=0.01, rate_hz=2000.0, effort_muscles=np.ones(1, dtype=bool)
        )  # fmt: skip
        self.burst = AdaptiveBurst(BurstSettings(), cast(Setup, setup))
        self.t_ns = 0

    def live(self, seconds: float, level_uv: float, *, asked: bool = False, share: float = 1.0) -> list[Any]:
        """What is told in each hop."""
        told = []
        for _ in range(round(seconds * 100)):
            self.t_ns += 10_000_000
            log_level, one = np.log(np.full(1, level_uv)), np.ones(1)
            heard = SimpleNamespace(
                t_ns=self.t_ns, log_level=log_level, log_level_hop=log_level, share=share * one, share_hop=share * one,
                rest=1.4 * one, rest_sigma=0.15 * one, rest_hop=1.4 * one, rest_sigma_hop=0.3 * one,
                rest_known=np.ones(1, dtype=bool), level_uv=np.full(1, level_uv), level_share=share * one, evoked=(),
            )  # fmt: skip
            self.burst.hear(cast(Heard, heard), cast(Situation, SimpleNamespace(effort_expected=asked)))
            told.append(self.burst.fields(self.t_ns)["spasm"][0])
        return told


def test_an_effort_of_which_only_the_end_is_heard_is_an_effort() -> None:
    """A train without a gap covers the whole trial; the person lets go half a second after it."""
    muscle = _Muscle()
    muscle.live(2.0, 4.0)
    unheard = muscle.live(4.0, 100.0, asked=True, share=0.0)
    assert {told.reason for told in unheard} == {"too few valid samples in the window"}
    after = muscle.live(0.5, 100.0)
    assert not any(told.value == 1 for told in after)
    assert all("voluntary effort" in told.reason for told in after[5:])
    assert {told.value for told in muscle.live(1.0, 4.0)[-50:]} == {0.0}
    # What comes later is none.
    assert muscle.live(0.5, 100.0)[-1].value == 1


def test_what_was_not_asked_for_is_no_effort_though_it_was_not_heard_before() -> None:
    muscle = _Muscle()
    muscle.live(2.0, 4.0)
    muscle.live(4.0, 100.0, share=0.0)
    assert muscle.live(0.5, 100.0)[-1].value == 1
