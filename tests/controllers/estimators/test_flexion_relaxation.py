"""Flexion-relaxation of a simulated back that bends, with an IMU or with marked phases."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from myoloop.controllers.choice import Choice
from myoloop.controllers.estimators.baseline import BaselineSettings
from myoloop.controllers.estimators.estimator import ImuInput, Setup, Situation
from myoloop.controllers.estimators.flexion_relaxation import (
    FlexionRelaxationSettings,
    flexion_relaxation_ratio,
    relaxation,
)
from myoloop.controllers.muscles import MuscleGroup
from myoloop.controllers.parts import Faults
from myoloop.controllers.signals.conditioning import Conditioner
from myoloop.controllers.signals.conditioning_settings import ConditioningSettings
from myoloop.platform.messages import Measure, Phase, SampleDescriptor, Samples

NAMES = ("erector_left", "erector_right", "arm")


def test_the_ratios_are_each_others_inverse_and_refuse_what_is_no_level() -> None:
    assert relaxation(50.0, 10.0) == pytest.approx(0.2)
    assert flexion_relaxation_ratio(50.0, 10.0) == pytest.approx(5.0)
    with pytest.raises(ValueError, match="bending_uv is 0"):
        relaxation(0.0, 1.0)
    with pytest.raises(ValueError, match="full_uv is nan"):
        relaxation(1.0, math.nan)
    with pytest.raises(ValueError, match="full_uv is 0"):
        flexion_relaxation_ratio(1.0, 0.0)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"bending_phase": "bend"}, "only one is named"),
        ({"bending_phase": "bend", "full_phase": "bend"}, "must differ"),
        ({"held_s": 0.0}, "held_s is 0, allowed is 0.3 to 30"),
        ({"upright_deg": 45.0}, "upright_deg is 45, allowed is below flexion_min_deg"),
    ],
)
def test_what_cannot_work_is_refused(given: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        FlexionRelaxationSettings(**given)


class _Back:
    """A trunk with an IMU mounted askew, and EMG whose level is told."""

    def __init__(self, imu: bool = True, seed: int = 1, **settings: Any) -> None:
        self.rng, self.hops, self.angle_deg = np.random.default_rng(seed), 0, 0.0
        emg = SampleDescriptor(
            topic="emg/s", rate_hz=2000.0, dtype="<f8", channels=NAMES, units=("V",) * 3, scale=(1e-6,) * 3,
            offset=(0.0,) * 3,
        )  # fmt: skip
        segment = SampleDescriptor(
            topic="imu/s", rate_hz=100.0, dtype="<f4", channels=("x", "y", "z"), units=("m/s^2",) * 3, scale=(1.0,) * 3,
            offset=(0.0,) * 3,
        )  # fmt: skip
        conditioner = Conditioner(ConditioningSettings(notch="off"), emg, (0, 1, 2), stimulated=False)
        setup = Setup(
            NAMES, 2000.0, conditioner.hop_samples, False, np.zeros(3, dtype=bool),
            imu=ImuInput(segment, (0, 1, 2), None) if imu else None,
        )  # fmt: skip
        given = {"muscles": ["erector_left", "erector_right"], **settings}
        self.group = MuscleGroup(
            conditioner, setup, BaselineSettings(), (Choice(name="flexion_relaxation", settings=given),), Faults()
        )

    def live(self, seconds: float, to_deg: float, left_uv: float, right_uv: float = 30.0, phase: str = "") -> None:
        steps = round(seconds * 100)
        for angle in np.linspace(self.angle_deg, to_deg, steps + 1)[1:]:
            now_ns = (self.hops + 1) * 10_000_000
            a = math.radians(angle + 11.0)
            gravity = 9.81 * np.array([[math.sin(a), 0.3, math.cos(a)]]) + 0.05 * self.rng.standard_normal((1, 3))
            told = Phase(t_ns=now_ns, session="s", state="running", name=phase)
            situation = Situation(now_ns, phase=told, imu=((now_ns, gravity),))
            emg = self.rng.standard_normal((20, 3)) * np.array([left_uv, right_uv, 5.0])
            self.group.add(Samples(first_sample=20 * self.hops, t_ns=now_ns), emg, 1, situation)
            self.hops += 1
            self.group.advance(now_ns, False, situation)
        self.angle_deg = to_deg

    def flexion(self, full_deg: float = 80.0, relaxed_uv: float = 4.0, held_s: float = 3.0) -> None:
        self.live(2.0, full_deg, 40.0, phase="bend")
        self.live(held_s, full_deg, relaxed_uv, phase="hang")
        self.live(2.0, 0.0, 70.0, phase="up")
        self.live(1.0, 0.0, 3.0, phase="rest")

    def told(self) -> list[Measure]:
        estimates = self.group.estimates(self.hops * 10_000_000, 150_000_000)
        return [estimate.flexion_relaxation for estimate in estimates]


@pytest.mark.parametrize(
    "back", [{}, {"imu": False, "bending_phase": "bend", "full_phase": "hang"}], ids=["imu", "phases"]
)
def test_a_muscle_that_relaxes_and_one_that_does_not(back: dict[str, Any]) -> None:
    person = _Back(**back)
    person.live(2.0, 0.0, 3.0)
    person.flexion()
    left, right, arm = person.told()
    assert left.valid
    assert right.valid
    assert left.value == pytest.approx(0.1, abs=0.06)
    assert right.value == pytest.approx(1.0, abs=0.1)
    assert not arm.valid
    assert arm.reason == "the muscle is not named for flexion-relaxation"


def test_what_is_no_flexion_is_told_and_the_newest_whole_one_counts() -> None:
    person = _Back()
    person.live(2.0, 0.0, 3.0)
    assert person.told()[0].reason == "no flexion yet"
    person.flexion(full_deg=25.0)
    assert person.told()[0].reason in {f"the trunk bent by {n} degrees, too little" for n in (24, 25)}
    person.flexion(held_s=0.3)
    assert person.told()[0].reason == "the newest flexion does not count: full flexion was not held long enough"
    person.flexion(relaxed_uv=20.0)
    assert person.told()[0].value == pytest.approx(0.5, abs=0.1)
    person.flexion(relaxed_uv=10.0)
    assert person.told()[0].value == pytest.approx(0.25, abs=0.06)


def test_without_imu_and_phases_nothing_is_claimed() -> None:
    person = _Back(imu=False)
    person.flexion()
    assert person.told()[0].reason == "no IMU on the segment and no phases of flexion are named"
    assert {measure.valid for measure in person.told()} == {False}


def test_it_goes_on_from_a_saved_state_bit_for_bit() -> None:
    one, other = _Back(), _Back()
    one.live(2.0, 0.0, 3.0)
    one.live(1.5, 60.0, 40.0)
    other.group.restore(json.loads(json.dumps(one.group.state())))
    other.hops, other.angle_deg = one.hops, one.angle_deg
    one.rng, other.rng = np.random.default_rng(3), np.random.default_rng(3)
    for person in (one, other):
        person.live(0.5, 80.0, 40.0)
        person.live(2.0, 80.0, 4.0)
        person.live(2.0, 0.0, 60.0)
    assert one.told()[0].valid
    assert one.told() == other.told()


def test_of_a_back_that_is_not_heard_nothing_is_known() -> None:
    person = _Back()
    person.live(2.0, 0.0, 3.0)
    person.flexion()
    assert person.told()[0].valid
    silent = person.group.estimates(person.hops * 10_000_000 + 151_000_000, 150_000_000)
    assert [each.flexion_relaxation.reason for each in silent] == [
        "no EMG", "no EMG", "the muscle is not named for flexion-relaxation",
    ]  # fmt: skip
    person.live(1.0, 0.0, math.nan)
    left, right, _ = person.told()
    assert left == Measure(reason="electrode off for 1 s")
    assert right.valid
    person.live(0.5, 0.0, 3.0)
    assert person.told()[0].valid
