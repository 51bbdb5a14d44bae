"""Movement per charge."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from myoloop.controllers.estimators.estimator import ImuInput, Setup, Situation
from myoloop.controllers.estimators.response import MechanicalResponse, ResponseSettings
from myoloop.platform.messages import ChannelSetting, Dose, Phase, SampleDescriptor, StimReport

FORCE = SampleDescriptor(
    topic="force/sim", rate_hz=100.0, dtype="<f4", channels=("force",), units=("N",), scale=(1.0,), offset=(0.0,)
)


def _setup(
    kit: SimpleNamespace, *, imu: bool = True, force: bool = False, channels: tuple[str, ...] = ("ch1",)
) -> Setup:
    unit = ImuInput(kit.imu, (0, 1, 2), (3, 4, 5)) if imu else None
    cell = FORCE if force else None
    return Setup(("agonist", "antagonist"), 2000.0, 20, True, np.zeros(2, dtype=bool), (channels, ()), unit, cell)


class _Limb:
    """A limb that turns as told while a train flows; its force cell reads 100 N per radian, and 7 N more."""

    def __init__(self, kit: SimpleNamespace, settings: ResponseSettings, **setup: Any) -> None:
        self.kit, self.now_ns, self.trial = kit, 1_000_000_000, 0
        self.estimator = MechanicalResponse(settings, _setup(kit, **setup))
        self.rng = np.random.default_rng(1)

    def _live(
        self, state: str, seconds: float, angle: float, current_ma: float, rate: float = 0.0, kind: str = "block"
    ) -> None:
        since_ns = self.now_ns
        for _ in range(round(seconds * 100)):
            self.now_ns += 10_000_000
            gravity = 9.81 * np.array([np.sin(angle), 0.0, np.cos(angle)]) + 0.02 * self.rng.standard_normal(3)
            row = np.concatenate([gravity, [0.0, rate + 0.01, 0.0]])[None]
            flowing = (ChannelSetting(channel="ch1", current_ma=current_ma, phase_us=250.0, rate_hz=35.0),)
            report = StimReport(
                step=1, t_ns=self.now_ns, state="ARMED", request=None, requested=flowing, allowed=flowing,
                acknowledged=flowing, rule="", reasons=(), dose=Dose(),
            )  # fmt: skip
            told = {"trial": self.trial, "t_state_ns": since_ns, "kind": kind}
            phase: Phase = self.kit.phase(self.now_ns, state, **told)
            pull = np.array([[7.0 + 100.0 * (angle - 0.1) + 0.5 * self.rng.standard_normal()]])
            self.estimator.step(
                Situation(self.now_ns, phase, report=report, imu=[(self.now_ns, row)], force=[(self.now_ns, pull)])
            )

    def train(self, angle: float, current_ma: float = 20.0) -> None:
        self.trial += 1
        self._live("rest", 1.0, 0.1, 0.0)
        self._live("ramp_up", 0.5, 0.1 + angle / 2, current_ma / 2, angle / 0.5)
        self._live("hold", 2.0, 0.1 + angle, current_ma)
        self._live("ramp_down", 0.5, 0.1, 0.0, -angle / 0.5)

    def fields(self) -> Any:
        return self.estimator.fields(self.now_ns)


@pytest.mark.parametrize(
    ("settings", "sensors"),
    [
        ({}, {}),
        ({"angle_from": "gyro"}, {}),
        ({}, {"force": True, "imu": False}),
        ({"response_from": "force"}, {"force": True}),
        ({"response_from": "imu"}, {"force": True}),
    ],
)
def test_half_the_movement_for_the_same_charge_is_half_the_response(
    kit: SimpleNamespace, settings: dict[str, Any], sensors: dict[str, Any]
) -> None:
    limb = _Limb(kit, ResponseSettings(**settings), **sensors)
    for angle in np.linspace(0.6, 0.3, 9):
        limb.train(float(angle))
    limb._live("rest", 0.1, 0.1, 0.0)
    response, fatigue = limb.fields()["response"][0], limb.fields()["fatigue_mechanical"][0]
    assert response.value == pytest.approx(0.5, abs=0.05)
    assert fatigue.value == pytest.approx(0.5, abs=0.05)
    assert fatigue.low < 0.5 < fatigue.high
    assert limb.fields()["response"][1].reason == "no stimulation channel drives this muscle"


def test_few_trains_are_not_enough_evidence(kit: SimpleNamespace) -> None:
    limb = _Limb(kit, ResponseSettings())
    assert limb.fields()["response"][0].reason == "no steady train yet"
    limb.train(0.5)
    limb.train(0.5)
    limb._live("rest", 0.1, 0.1, 0.0)
    assert limb.fields()["fatigue_mechanical"][0].reason == "not enough evidence: 2 of 4 steady trains"


def test_why_a_train_did_not_count_is_told(kit: SimpleNamespace) -> None:
    limb = _Limb(kit, ResponseSettings())
    limb.train(0.005)
    limb._live("rest", 0.1, 0.1, 0.0)
    assert limb.fields()["response"][0].reason == "no steady train yet (nothing turned by 0.02 rad or more)"
    limb.train(0.5, 0.0)
    limb._live("rest", 0.1, 0.1, 0.0)
    assert limb.fields()["response"][0].reason == "no steady train yet (no current flowed)"
    limb.trial += 1
    limb._live("hold", 0.7, 0.5, 20.0)
    limb._live("rest", 0.1, 0.1, 0.0)
    assert limb.fields()["response"][0].reason == "no steady train yet (steady for less than 0.5 s)"


def test_a_response_that_is_gone_at_once_was_not_lost_by_fatigue_but_one_that_fades_was(kit: SimpleNamespace) -> None:
    limb = _Limb(kit, ResponseSettings())
    for _ in range(6):
        limb.train(0.5)
    limb.train(0.001)
    limb._live("rest", 0.1, 0.1, 0.0)
    assert limb.fields()["fatigue_mechanical"][0].value < 0.05
    late = limb.estimator.fields(limb.now_ns + 91 * 10**9)["response"][0]
    assert late.reason == "no steady train for 90 s (nothing turned by 0.02 rad or more)"
    for angle in np.linspace(0.45, 0.0, 30):
        limb.train(float(angle))
    limb._live("rest", 0.1, 0.1, 0.0)
    assert limb.fields()["fatigue_mechanical"][0].value > 0.9


def test_a_train_in_which_something_else_moved_the_limb_moves_the_estimate_little(kit: SimpleNamespace) -> None:
    limb = _Limb(kit, ResponseSettings())
    rng = np.random.default_rng(3)
    for _ in range(12):
        limb.train(float(0.5 + 0.01 * rng.standard_normal()))
    limb._live("rest", 0.1, 0.1, 0.0)
    before = limb.fields()["response"][0].value
    limb.train(0.9)
    limb._live("rest", 0.1, 0.1, 0.0)
    assert limb.fields()["response"][0].value == pytest.approx(before, abs=0.08)


def test_the_further_the_charge_from_the_first_trains_the_wider_then_nothing(kit: SimpleNamespace) -> None:
    widths = []
    for current in (20.0, 16.0, 9.0):
        limb = _Limb(kit, ResponseSettings())
        for _ in range(5):
            limb.train(0.5)
        for _ in range(5):
            limb.train(0.5 * (current / 20) ** 2, current)
        limb._live("rest", 0.1, 0.1, 0.0)
        fatigue = limb.fields()["fatigue_mechanical"][0]
        if current == 9.0:
            assert fatigue.reason == "the charge is not comparable with that of the first trains"
        else:
            assert fatigue.value == pytest.approx(0.0, abs=0.05)
            widths.append(fatigue.high - fatigue.low)
    assert widths[1] > 1.2 * widths[0]


def test_a_hold_whose_current_was_cut_does_not_count(kit: SimpleNamespace) -> None:
    limb = _Limb(kit, ResponseSettings())
    limb.trial = 1
    limb._live("rest", 1.0, 0.1, 0.0)
    limb._live("hold", 1.5, 0.6, 20.0)
    limb._live("hold", 1.5, 0.2, 0.0)
    limb._live("rest", 0.1, 0.1, 0.0)
    assert limb.fields()["response"][0].reason == "no steady train yet (its charge varied by more than 20 %)"


def test_without_an_imu_and_after_a_long_time_it_says_so(kit: SimpleNamespace) -> None:
    assert _Limb(kit, ResponseSettings(), imu=False).fields()["response"][0].reason == "no IMU and no force cell"
    limb = _Limb(kit, ResponseSettings())
    for _ in range(5):
        limb.train(0.5)
    limb._live("rest", 0.1, 0.1, 0.0)
    assert limb.fields()["response"][0].valid
    assert "no steady train for 90 s" in limb.estimator.fields(limb.now_ns + 91 * 10**9)["response"][0].reason


@pytest.mark.parametrize("trains", [0, 2, 6])
def test_state_goes_through_json_bit_for_bit(kit: SimpleNamespace, trains: int) -> None:
    one, other = _Limb(kit, ResponseSettings()), _Limb(kit, ResponseSettings())
    for _ in range(trains):
        one.train(0.5)
    one.trial += 1
    one._live("hold", 1.0, 0.6, 20.0)
    other.estimator.restore(json.loads(json.dumps(one.estimator.state(), allow_nan=False)))
    other.now_ns, other.trial = one.now_ns, one.trial
    one.rng = np.random.default_rng(4)
    other.rng = np.random.default_rng(4)
    for limb in (one, other):
        limb._live("hold", 1.0, 0.6, 20.0)
        for angle in (0.5, 0.45, 0.4):
            limb.train(angle)
    assert one.estimator.state() == other.estimator.state()
    assert one.fields() == other.fields()


def test_a_gyroscope_must_be_there_to_be_used(kit: SimpleNamespace) -> None:
    setup = Setup(("a",), 2000.0, 20, True, np.zeros(1, dtype=bool), (("ch1",),), ImuInput(kit.imu, (0, 1, 2), None))
    with pytest.raises(ValueError, match="no gyroscope"):
        MechanicalResponse(ResponseSettings(angle_from="gyro"), setup)
    with pytest.raises(ValueError, match="no force cell"):
        MechanicalResponse(ResponseSettings(response_from="force"), setup)
    with pytest.raises(ValueError, match="trains_min is 2"):
        ResponseSettings(trains_min=2)


@pytest.mark.parametrize(("calibrated", "known"), [(True, 3.0), (False, 2.0)])
def test_how_movement_goes_with_charge_is_known_from_the_calibration_and_learned_from_the_trains(
    kit: SimpleNamespace, calibrated: bool, known: float
) -> None:
    """Here as its third power: with less current and no fatigue, none must be seen."""
    limb = _Limb(kit, ResponseSettings())
    if calibrated:
        for current in (12.0, 14.0, 16.0, 18.0, 20.0):
            limb.trial += 1
            limb._live("rest", 1.0, 0.1, 0.0, kind="calibration")
            limb._live("hold", 1.0, 0.1 + 0.5 * (current / 20) ** 3, current, kind="calibration")
        limb._live("rest", 1.0, 0.1, 0.0, kind="calibration")
    for current in (20.0, 20.0, 20.0, 20.0):
        limb.train(0.5, current)
    limb._live("rest", 0.1, 0.1, 0.0)
    assert limb.estimator._gain.power(0) == pytest.approx(known, abs=0.1)
    for current in (20.0, 18.0, 17.0, 16.0, 16.0, 18.0, 16.0, 20.0, 16.0):
        limb.train(0.5 * (current / 20) ** 3, current)
    limb._live("rest", 0.1, 0.1, 0.0)
    fatigue = limb.fields()["fatigue_mechanical"][0]
    assert limb.estimator._gain.power(0) == pytest.approx(3.0, abs=0.2)
    assert fatigue.low <= 0.0
    assert fatigue.value < 0.03
