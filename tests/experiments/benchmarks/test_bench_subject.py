"""The benchmark of the virtual subject: what it compares with is what it says, and it finds what it should."""

import json
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from myoloop.experiments.benchmarks import ding_reference, parts_subject
from myoloop.experiments.benchmarks.contractions import DING, Scene, bickel, every, forces_n, peaks, pulses
from myoloop.experiments.benchmarks.tiers import agreement
from myoloop.experiments.subjects.muscle import MuscleParameters
from myoloop.experiments.subjects.population import draw

GOLDEN = json.loads((Path(__file__).parents[2] / "data" / "ding_golden.json").read_text())


def test_the_reference_is_the_golden_file():
    assert pytest.approx(GOLDEN["ding2003_twitch"]["peak_N"]) == ding_reference.TWITCH_PEAK_N
    frequency = {
        float(rate): found["mean_last200ms_N"] for rate, found in GOLDEN["ding2003_force_frequency_1s"].items()
    }
    assert pytest.approx(frequency) == ding_reference.FORCE_FREQUENCY_N
    ninety = {int(k): v for k, v in GOLDEN["fatigue_33Hz_1on1off_90trains"]["peak_N"].items()}
    assert pytest.approx(ninety) == ding_reference.NINETY_TRAINS_N
    recovery = {int(k): v for k, v in GOLDEN["recovery_peak_N_after_rest_s"].items()}
    assert pytest.approx(recovery) == ding_reference.RECOVERY_N
    sustained = {int(k): v for k, v in GOLDEN["fatigue_33Hz_sustained_60s_mean_force_N_at"].items()}
    assert pytest.approx(sustained) == ding_reference.SUSTAINED_N
    for rate_hz, (first, last) in ding_reference.SIXTY_TRAINS_N.items():
        golden = GOLDEN[f"fatigue_{rate_hz:g}Hz_1on1off_60trains"]
        assert (first, last) == pytest.approx((golden["first"], golden["last"]))


def test_trains_begin_and_end_when_they_are_said_to():
    times = pulses(33.0, every(3))
    assert len(times) == 99
    assert times[33] == 2_000_000_000
    scene = Scene(MuscleParameters(**DING), times)
    found = peaks(forces_n([scene, scene], 6.0), every(3), 6.0)
    assert found.shape == (3, 2)
    assert found[0] == pytest.approx(GOLDEN["fatigue_33Hz_1on1off_90trains"]["peak_N"]["1"], rel=1e-3)


def test_absolute_force_is_the_trap_that_it_is_known_as():
    times = pulses(33.0, every(90))
    scenes = [
        Scene(MuscleParameters(**{**DING, "fatigue_rate": share}), times, share) for share in (1.0, 0.5, 0.25, 0.1)
    ]
    found = peaks(forces_n(scenes, 180.0), every(90), 180.0)
    assert found[-1] / found[0] == pytest.approx([0.353, 0.62, 0.88, 1.0], abs=0.01)


def test_bickels_contractions_are_as_strong_at_any_rate_of_fatigue_before_it_sets_in():
    found = bickel([MuscleParameters(fatigue_rate=rate) for rate in (0.5, 1.5)], count=40)
    assert found[0, 0] == pytest.approx(found[0, 1], rel=0.01)
    assert found[-1, 1] < 0.8 * found[-1, 0]


def test_the_tiers_agree_and_the_same_again():
    found = agreement(draw(3, "chronic_sci"), 5)
    assert found == agreement(draw(3, "chronic_sci"), 5)
    assert found.force < 1e-6
    assert abs(found.rms) < 4.0
    assert abs(found.mnf) < 4.0
    assert 75.0 < found.rms_spread < 130.0


@pytest.mark.prove
def test_it_finds_what_it_should_and_the_same_again():
    findings, curves = parts_subject.measure(3, 2, 40, lambda line: None)
    assert all(finding.part == parts_subject.NAME == "subject" for finding in findings)
    timed = [one for one in findings if one.what.startswith("full tier") or "control steps" in one.what]
    assert len(timed) == 4
    # Three people are too few for the agreement of noise, and a busy machine for speed.
    sure = [one for one in findings if one not in timed and "fast tier" not in one.what]
    assert {one.what for one in sure if one.reached is False} == set()
    assert json.loads(json.dumps(curves)) == curves
    assert np.array(curves["levels"]["own"]).shape == (len(parts_subject.LEVELS), parts_subject.TRAINS)
    again, same = parts_subject.measure(3, 2, 40, lambda line: None)
    assert same == curves
    assert [one for one in again if one.what in {other.what for other in sure}] == sure


def test_people_see_force_by_group_recruitment_and_rate_with_units():
    falling = [1.0, 0.9, 0.8]
    group = {"typical": falling, "low": [0.9, 0.8, 0.7], "high": [1.0, 1.0, 0.9], "measured": 0.8}
    figure = Figure()
    parts_subject.draw(
        {
            "groups": dict.fromkeys(parts_subject.KEPT, group),
            "levels": {"share": [0.5, 1.0], "own": [falling, falling], "absolute": [falling, falling]},
            "frequencies": {"rate_hz": [10.0, 33.0], "published_n": [150.0, 269.0], "force_n": [151.0, 268.0]},
            "tiers": {"t_s": [1.0, 1.25], "full_uv": [80.0, 90.0], "fast_uv": [82.0, 85.0]},
        },
        figure,
    )
    assert [axes.get_xlabel() for axes in figure.axes] == ["contraction", "train", "pulse rate (Hz)", "time (s)"]
    assert all(axes.get_ylabel() for axes in figure.axes)
    assert figure.axes[0].lines[0].get_ydata().tolist() == falling
