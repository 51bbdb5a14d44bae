"""How the segment with the IMU lies and moves."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from myoloop.controllers.estimators.estimator import ImuInput, Situation
from myoloop.controllers.motion import Motion, MotionSettings
from myoloop.platform.messages import ChannelSetting, Dose, MotionEstimate, SampleDescriptor, StimReport
from myoloop.platform.steps import StepInput


@dataclass
class Segment:
    """A hanging segment: x along it; the angle grows about y, so that a positive one swings it away from z."""

    imu: SampleDescriptor
    settings: MotionSettings = field(default_factory=MotionSettings)
    gyroscope: tuple[int, int, int] | None = (3, 4, 5)
    seed: int = 1
    heading_rad: float = 0.0

    def __post_init__(self) -> None:
        self.motion = Motion(self.settings, ImuInput(self.imu, (0, 1, 2), self.gyroscope))
        self.rng = np.random.default_rng(self.seed)
        self.now_ns, self.angle = 10**9, 0.0

    def move(
        self, seconds: float, to: float | None = None, *, shake_hz: float = 0.0, shake: float = 0.0, **around: Any
    ) -> MotionEstimate:
        """Turn evenly to an angle within some time; the last that is told."""
        rate = ((self.angle if to is None else to) - self.angle) / seconds
        for _ in range(round(seconds * 100)):
            self.now_ns += 10_000_000
            self.angle += 0.01 * rate
            t = self.now_ns * 1e-9
            wobble = shake * np.sqrt(2) * np.sin(2 * np.pi * shake_hz * t)
            row = np.array([-9.807 * np.cos(self.angle), 0, -9.807 * np.sin(self.angle), 0, rate, wobble])
            row += self.rng.standard_normal(6) * ([0.03] * 3 + [0.005] * 3) + [0, 0, 0, 0.01, 0.01, -0.01]
            told = self.motion.step(Situation(self.now_ns, imu=[(self.now_ns, row[None])], **around))
        return told

    def wait(self, seconds: float) -> MotionEstimate:
        """No sample comes."""
        self.now_ns += round(seconds * 1e9)
        return self.motion.step(Situation(self.now_ns))


@pytest.fixture
def segment(kit: SimpleNamespace) -> Segment:
    return Segment(kit.imu)


def test_inclination_and_joint_angle_of_a_segment_that_turns_about_its_joint(segment: Segment) -> None:
    segment.move(3.0, baseline=True)
    hanging = segment.move(0.5)
    assert hanging.inclination_rad.value == pytest.approx(0.0, abs=0.02)
    assert hanging.angle_rad.value == pytest.approx(0.0, abs=0.02)
    raised = segment.move(2.0, 1.2)
    for measure in (raised.inclination_rad, raised.angle_rad):
        assert measure.valid
        assert measure.value == pytest.approx(1.2, abs=0.03)
        assert measure.low < 1.2 < measure.high
    behind = segment.move(3.0, -0.5)
    assert behind.inclination_rad.value == pytest.approx(0.5, abs=0.03)
    assert behind.angle_rad.value == pytest.approx(-0.5, abs=0.03)
    upright = segment.move(3.0, 2.6)
    assert upright.inclination_rad.value == pytest.approx(2.6, abs=0.03)


@pytest.mark.parametrize("seed", range(5))
def test_a_swing_of_90_degrees_is_told_within_2(kit: SimpleNamespace, seed: int) -> None:
    segment = Segment(kit.imu, seed=seed)
    segment.move(3.0, baseline=True)
    for _ in range(3):
        up = segment.move(2.0, np.pi / 2).angle_rad
        down = segment.move(2.0, 0.0).angle_rad
        assert up.valid
        assert down.valid
        assert np.degrees(up.value - down.value) == pytest.approx(90.0, abs=2.0)


def test_the_angle_counts_from_the_posture_at_rest_and_a_twitch_in_the_rest_does_not_move_it(segment: Segment) -> None:
    assert segment.move(1.5, 0.3).angle_rad.reason == "no posture at rest has been seen yet"
    segment.move(2.0, baseline=True)
    segment.move(0.3, 0.7, baseline=True)
    segment.move(0.3, 0.3, baseline=True)
    segment.move(1.0, baseline=True)
    assert segment.move(1.0, 0.8).angle_rad.value == pytest.approx(0.5, abs=0.03)


def test_about_an_axis_near_the_vertical_gravity_says_nothing_of_the_angle(kit: SimpleNamespace) -> None:
    segment = Segment(kit.imu, MotionSettings(joint_axis=(1.0, 0.1, 0.0)))
    segment.move(3.0, baseline=True)
    told = segment.move(0.5)
    assert "near the vertical" in told.angle_rad.reason
    assert told.inclination_rad.valid


@pytest.mark.parametrize("frequency", [3.6, 6.2, 10.5])
def test_a_tremor_is_told_two_seconds_after_it_began(segment: Segment, frequency: float) -> None:
    assert "less than 2 s" in segment.move(1.5).tremor_frequency_hz.reason
    assert segment.move(1.5).tremor_frequency_hz.reason == "no rhythm stands out"
    told = segment.move(2.1, 0.4, shake_hz=frequency, shake=0.2)
    assert told.tremor_frequency_hz.value == pytest.approx(frequency, abs=0.25)
    assert told.tremor_rad_s.value == pytest.approx(0.2, rel=0.1)
    assert segment.move(2.2).tremor_rad_s.reason == "no rhythm stands out"


@pytest.mark.parametrize(("rate_hz", "blamed"), [(8.0, True), (35.0, False), (93.0, True)])
def test_what_stimulation_shakes_is_not_called_a_tremor(segment: Segment, rate_hz: float, blamed: bool) -> None:
    """93 Hz look like 7 Hz to an IMU of 100 Hz."""
    flowing = (ChannelSetting(channel="ch1", current_ma=10.0, phase_us=250.0, rate_hz=rate_hz),)
    report = StimReport(
        step=1, t_ns=1, state="ARMED", request=None, requested=flowing, allowed=flowing, acknowledged=flowing, rule="",
        reasons=(), dose=Dose(),
    )  # fmt: skip
    told = segment.move(3.0, shake_hz=7.0, shake=0.3, report=report)
    assert told.tremor_frequency_hz.valid is not blamed
    if blamed:
        assert "stimulation" in told.tremor_frequency_hz.reason
        segment.move(1.0, shake_hz=7.0, shake=0.3)
        assert not segment.move(0.5, shake_hz=7.0, shake=0.3).tremor_rad_s.valid
        assert segment.move(1.0, shake_hz=7.0, shake=0.3).tremor_rad_s.valid


def test_silence_is_told_and_a_gap_makes_it_begin_anew(segment: Segment) -> None:
    assert segment.wait(0.01).inclination_rad.reason == "the IMU has not been heard"
    assert "less than 1 s" in segment.move(0.5).inclination_rad.reason
    segment.move(2.5, baseline=True)
    assert segment.wait(0.1).inclination_rad.valid
    assert "silent" in segment.wait(0.2).inclination_rad.reason
    segment.angle = 0.9
    assert "without a gap" in segment.move(0.9).inclination_rad.reason
    told = segment.move(0.2)
    assert told.inclination_rad.value == pytest.approx(0.9, abs=0.03)
    assert told.angle_rad.value == pytest.approx(0.9, abs=0.04)
    assert "less than 2 s" in told.tremor_rad_s.reason


def test_rows_that_are_not_numbers_are_left_out(segment: Segment) -> None:
    segment.move(2.0)
    before = segment.motion.state()
    bad = np.full((1, 6), np.nan)
    told = segment.motion.step(Situation(segment.now_ns, imu=[(segment.now_ns + 1, bad)]))
    assert told.inclination_rad.valid
    assert segment.motion.state()["_orientation"] == before["_orientation"]


def test_without_a_gyroscope_or_with_an_accelerometer_that_does_not_read_gravity_it_says_so(
    kit: SimpleNamespace,
) -> None:
    without = Segment(kit.imu, gyroscope=None).move(2.0)
    assert {getattr(without, name).reason for name in without.__struct_fields__} == {"the IMU has no gyroscope"}
    odd = Segment(kit.imu)
    for _ in range(2000):
        odd.now_ns += 10_000_000
        row = np.array([[-1.0, 0.0, 0.0, 0.0, 0.0, 0.0]])
        told = odd.motion.step(Situation(odd.now_ns, imu=[(odd.now_ns, row)]))
    assert told.inclination_rad.reason == "the accelerometer reads about 1 m/s^2 on average, gravity is 9.8"


@pytest.mark.parametrize("at_s", [0.5, 2.0, 5.0])
def test_saved_and_restored_anywhere_it_goes_on_bit_for_bit(kit: SimpleNamespace, at_s: float) -> None:
    one, other = Segment(kit.imu), Segment(kit.imu)
    one.move(at_s, 0.3, baseline=True, shake_hz=5.0, shake=0.2)
    other.motion.restore(json.loads(json.dumps(one.motion.state(), allow_nan=False)))
    other.now_ns, other.angle = one.now_ns, one.angle
    one.rng, other.rng = np.random.default_rng(7), np.random.default_rng(7)
    for _ in range(4):
        assert other.move(0.33, 0.5) == one.move(0.33, 0.5)
    assert other.motion.state() == one.motion.state()


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"long_axis": (0.0, 0.0, 0.0)}, "long_axis"),
        ({"joint_axis": (1.0, float("nan"), 0.0)}, "joint_axis"),
        ({"tau_s": 0.0}, "tau_s is 0"),
        ({"settle_s": -1.0}, "settle_s is -1"),
        ({"tremor_share": 1.5}, "tremor_share is 1.5"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(wrong: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        MotionSettings(**wrong)


def test_the_controller_tells_it_and_tells_the_policy(kit: SimpleNamespace) -> None:
    from myoloop.controllers.controller import Controller
    from myoloop.platform.messages import Samples

    controller = Controller(kit.settings())
    for n in range(1, 151):
        now_ns = kit.start_ns + n * kit.tick_ns
        rows = np.array([[-9.81, 0.0, 0.0, 0.0, 0.0, 0.0]], dtype="<f4")
        inbox = [kit.received("imu/sim", Samples(first_sample=n - 1, t_ns=now_ns), n, rows)]
        said = controller.step(StepInput(n, now_ns, inbox))[0].message
    assert said.motion.inclination_rad.value == pytest.approx(0.0, abs=0.01)
    none = Controller(kit.settings(imu=None)).step(StepInput(1, kit.start_ns, []))[0].message
    assert none.motion is None


@pytest.mark.realdata
def test_inclination_on_real_arm_movements_is_within_a_degree_of_the_reference(
    data_dir: Path, kit: SimpleNamespace
) -> None:
    """21 recordings of an arm at 50 Hz, against the maker's own fusion, which has a magnetometer too."""
    from msgspec.structs import replace

    medians = []
    for file in sorted((data_dir / "pd_imu_dryad").glob("*.npz")):
        data = np.load(file)
        motion = Motion(MotionSettings(), ImuInput(replace(kit.imu, rate_hz=50.0), (0, 1, 2), (3, 4, 5)))
        rows = np.concatenate([data["acc"], data["gyr"]], axis=1).astype(np.float64)
        reference = np.degrees(np.arccos(np.clip(-data["R"][:, 0, 2], -1.0, 1.0)))
        errors = []
        for i, row in enumerate(rows):
            now_ns = 10**9 + i * 20_000_000
            measure = motion.step(Situation(now_ns, imu=[(now_ns, row[None])])).inclination_rad
            if measure.valid:
                errors.append(abs(np.degrees(measure.value) - reference[i]))
        assert len(errors) > len(rows) - 100
        medians.append(np.median(errors))
    assert len(medians) == 21
    assert np.median(medians) <= 0.5
    assert max(medians) <= 1.0
