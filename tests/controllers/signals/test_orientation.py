"""The vertical as an IMU sees it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from myoloop.controllers.signals.orientation import IDENTITY, Orientation, up
from myoloop.controllers.signals.snapshot import StateError

RATE_HZ = 100.0


def _swing(seconds: float, seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A sensor that rests for four seconds, then swings about its y axis: gyroscope, accelerometer, true vertical."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    angle = 0.8 * np.sin(np.pi * t) * (t > 4.0)
    # As an IMU reads it: the mean rate since the sample before.
    rate = np.diff(angle, prepend=0.0) * RATE_HZ
    vertical = np.stack([-np.sin(angle), np.zeros_like(t), np.cos(angle)], axis=1)
    gyroscope = np.stack([np.zeros_like(t), rate, np.zeros_like(t)], axis=1) + 0.01
    noise = rng.standard_normal((2, len(t), 3))
    return gyroscope + 0.005 * noise[0], 9.81 * vertical + 0.05 * noise[1], vertical


def test_the_vertical_is_found_within_a_degree_while_the_sensor_swings() -> None:
    gyroscope, accelerometer, vertical = _swing(20.0)
    quaternions = Orientation(RATE_HZ).add(gyroscope, accelerometer)
    found = np.array([up(tuple(each)) for each in quaternions])
    away = np.degrees(np.arctan2(np.linalg.norm(np.cross(found, vertical), axis=1), np.sum(found * vertical, axis=1)))
    assert np.max(away[400:]) < 1.0
    assert np.allclose(np.linalg.norm(quaternions, axis=1), 1.0, atol=1e-9)


def test_blocks_of_any_length_give_the_same() -> None:
    gyroscope, accelerometer, _ = _swing(3.0)
    whole = Orientation(RATE_HZ).add(gyroscope, accelerometer)
    pieces = Orientation(RATE_HZ)
    found = [pieces.add(gyroscope[i : i + 7], accelerometer[i : i + 7]) for i in range(0, len(gyroscope), 7)]
    assert np.array_equal(np.concatenate(found), whole)
    assert len(pieces.add(gyroscope[:0], accelerometer[:0])) == 0
    assert pieces.quaternion == tuple(whole[-1])


@pytest.mark.parametrize("at", [0, 1, 150])
def test_state_goes_through_json_bit_for_bit(at: int) -> None:
    gyroscope, accelerometer, _ = _swing(4.0)
    one = Orientation(RATE_HZ)
    one.add(gyroscope[:at], accelerometer[:at])
    other = Orientation(RATE_HZ)
    other.add(gyroscope[::-1], accelerometer)  # It may have heard something else before.
    other.restore(json.loads(json.dumps(one.state(), allow_nan=False)))
    assert other.quaternion == one.quaternion
    assert np.array_equal(other.add(gyroscope[at:], accelerometer[at:]), one.add(gyroscope[at:], accelerometer[at:]))
    assert other.state() == one.state()


def test_a_new_start_keeps_what_is_known_of_the_bias() -> None:
    rest = np.tile([0.0, 0.0, 9.81], (1500, 1))
    known = Orientation(RATE_HZ)
    known.add(np.full((1500, 3), 0.02), rest)
    known.start_again()
    assert known.quaternion == IDENTITY
    unknown = Orientation(RATE_HZ)
    turned = {
        name: abs(2 * np.arctan2(np.linalg.norm(each[-1, 1:]), each[-1, 0]))
        for name, each in (
            ("known", known.add(np.full((50, 3), 0.02), rest[:50])),
            ("unknown", unknown.add(np.full((50, 3), 0.02), rest[:50])),
        )
    }
    assert turned["known"] < 0.2 * turned["unknown"]


def test_a_state_of_something_else_and_a_wrong_rate_are_refused() -> None:
    good = Orientation(RATE_HZ).state()
    with pytest.raises(StateError):
        Orientation(RATE_HZ).restore({"quaternion": good["quaternion"]})
    short = {**good["vqf"], "shape": [3]}
    with pytest.raises(StateError, match=r"Orientation\.vqf"):
        Orientation(RATE_HZ).restore({**good, "vqf": short})
    with pytest.raises(ValueError, match="rate_hz is 0"):
        Orientation(0.0)
