"""The Tardieu assist: a planted angle of catch is found, and where there is none, none is told."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from myoloop.experiments.analysis.tracks import EventRow, JointTrack, MeasureTrack, PulseTrack
from myoloop.experiments.outcomes.compute import COMPUTED
from myoloop.experiments.outcomes.view import Value, View
from myoloop.experiments.protocols.schema import load_protocol

DEMO = load_protocol("demo")
RATE_HZ = 2000.0
T_S, JOINT_S = np.arange(0.0, 40.0, 1.0 / RATE_HZ), np.arange(0.0, 40.0, 0.01)
#: Two slow stretches of 90 degrees in 3 s, two fast ones in 0.4 s; each is brought back at once, and held before.
SLOW_S, FAST_S, RANGE_DEG = (5.0, 13.0), (22.0, 31.0), 90.0
MARKS = (
    *((at_s + 0.3, "Tardieu V1") for at_s in SLOW_S),
    *((at_s + 0.3, "tardieu v3, m1") for at_s in FAST_S),
)


def moved(begin_s: float, lasts_s: float) -> np.ndarray:
    """There with a smooth speed, and back as fast."""
    share = np.clip((JOINT_S - begin_s) / lasts_s, 0.0, 2.0)
    return RANGE_DEG * np.where(share <= 1.0, (1 - np.cos(np.pi * share)) / 2, (1 + np.cos(np.pi * (share - 1))) / 2)


def session(
    catch_deg: float | None = 40.0, marks: Any = MARKS, sign: float = 1.0, fast_s: float = 0.4, **more: Any
) -> View:
    angle = sum(moved(at_s, 3.0) for at_s in SLOW_S) + sum(moved(at_s, fast_s) for at_s in FAST_S)
    value = np.radians(15.0 + sign * angle)
    joint = JointTrack(JOINT_S, MeasureTrack(value, value, value, np.ones(len(JOINT_S), np.bool_), {}))
    rng = np.random.default_rng(5)
    volts = 2e-6 * rng.standard_normal(len(T_S))
    for at_s in FAST_S if catch_deg is not None else ():
        onset_s = at_s + fast_s * np.arccos(1 - 2 * catch_deg / RANGE_DEG) / np.pi
        burst = (onset_s <= T_S) & (onset_s + 0.3 > T_S)
        volts[burst] += 5e-5 * rng.standard_normal(int(burst.sum()))
    record = SimpleNamespace(
        descriptor=SimpleNamespace(channels=("c1",), units=("V",)), invalid=np.zeros((len(T_S), 1), np.bool_)
    )
    track = SimpleNamespace(record=record, t_s=T_S, rate_hz=RATE_HZ, channel=lambda name: volts)
    given: dict[str, Any] = {
        "events": tuple(EventRow(at_s, "mark", "operator", why, {}) for at_s, why in marks), "joint": joint,
        "samples": {"emg/amp": track}, "delivered": dict,
        "sites": (SimpleNamespace(muscle="m1", topic="emg/amp", channel="c1"),),
    }  # fmt: skip
    return View(SimpleNamespace(**{**given, **more}), DEMO)  # type: ignore[arg-type]


def found(view: View) -> dict[str, Value]:
    return {name: COMPUTED[f"tardieu_{name}"](view) for name in ("r2", "r1", "r2_r1")}


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("catch_deg", [25.0, 40.0, 70.0])
def test_the_planted_angle_of_catch_is_found_whichever_way_the_angle_counts(catch_deg: float, sign: float) -> None:
    told = found(session(catch_deg, sign=sign))
    # 20 ms of envelope at 90 degrees in 0.4 s are some degrees.
    assert told["r1"].value == pytest.approx(catch_deg, abs=8.0)
    assert told["r2"].value == pytest.approx(RANGE_DEG, abs=1.0)
    assert told["r2_r1"].value == pytest.approx(told["r2"].value - told["r1"].value)
    assert all(each.valid and each.n == 2 for each in told.values())
    assert told["r1"].parameters["v3_peak_deg_s"] == pytest.approx(RANGE_DEG * np.pi / 2 / 0.4, rel=0.05)


def test_without_an_onset_of_the_emg_there_is_no_catch() -> None:
    told = found(session(None))
    assert told["r1"].value is None
    assert "no catch at 22.3 s: the EMG of m1 does not set in" in told["r1"].why
    assert told["r2_r1"].value is None
    assert told["r2"].value == pytest.approx(RANGE_DEG, abs=1.0)


def test_a_fast_stretch_that_is_as_slow_as_a_slow_one_is_doubted() -> None:
    told = found(session(40.0, fast_s=2.5))
    assert "needed are 2 times as much" in told["r1"].doubt
    assert not told["r1"].valid
    assert told["r2"].valid


def test_what_the_marks_do_not_say_is_not_told() -> None:
    assert found(session(marks=()))["r2"].why == "no mark says tardieu V1"
    assert found(session(marks=MARKS[:2]))["r1"].why == "no mark says tardieu V3"
    other = found(session(marks=((22.3, "tardieu V3 biceps"),)))["r1"]
    assert "the mark names biceps, EMG is heard of: m1" in other.why
    assert found(session(marks=((22.3, "Tardieu V3"),)))["r1"].n == 1, "there is only one muscle"
    assert "not held or not moved" in found(session(marks=((38.0, "tardieu V1"),)))["r2"].why


def test_a_stretch_into_which_stimulation_fell_has_no_catch() -> None:
    at_s = np.array([22.1])
    pulses = {"c1": PulseTrack(at_s, at_s, at_s, ("sent",), at_s)}
    told = found(session(delivered=lambda: pulses))["r1"]
    assert "no catch at 22.3 s: stimulation fell into it" in told.why
    assert told.n == 1
