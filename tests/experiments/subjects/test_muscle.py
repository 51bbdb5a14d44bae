"""Recruitment, force, fatigue and recovery, against Ding's model and its golden values."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.experiments.subjects.muscle import Muscle, equivalent_charge_uc, recruitment
from myoloop.experiments.subjects.parameters import SubjectParameters

DATA = Path(__file__).parents[2] / "data"
DING = json.loads((DATA / "ding_golden.json").read_text())
WAVEFORM = json.loads((DATA / "waveform_golden.json").read_text())
BLOCK_NS = 10_000_000
DING_MUSCLE = {"strength": 1.0, "recovery_s": 127.0}


def train(muscle, pulses_ns, begin_s, end_s, share=1.0, activation=0.0):
    """Force in N at every ms from `begin_s` to `end_s`."""
    forces = []
    pulses = list(pulses_ns)
    for t_ns in range(round(begin_s * 1e9), round(end_s * 1e9), BLOCK_NS):
        now = [p for p in pulses if p <= t_ns + BLOCK_NS]
        pulses = pulses[len(now) :]
        forces += muscle.advance(t_ns, 10, [(p, share) for p in now], activation)
    return np.array(forces)


def at_rate(rate_hz, begin_s, end_s):
    count = int((end_s - begin_s) * rate_hz)
    return [round((begin_s + k / rate_hz) * 1e9) for k in range(count)]


def test_a_twitch_is_dings():
    forces = train(Muscle(SubjectParameters(fatigue_rate=0, **DING_MUSCLE)), [0], 0, 0.5)
    assert forces.max() == pytest.approx(DING["ding2003_twitch"]["peak_N"], rel=1e-3)
    assert forces.argmax() + 1 == pytest.approx(DING["ding2003_twitch"]["time_to_peak_ms"], abs=1)


def test_the_force_at_each_pulse_of_a_train_is_dings():
    muscle = Muscle(SubjectParameters(fatigue_rate=0, **DING_MUSCLE))
    forces = train(muscle, at_rate(33, 0, 1.04), 0, 1.04)
    at_pulses = np.interp([k / 33 * 1e3 for k in range(34)], np.arange(1, len(forces) + 1), forces)
    assert at_pulses[1:] == pytest.approx(DING["ding2003_33Hz_1s_force_at_pulses_N"][1:], abs=0.25)


@pytest.mark.parametrize("rate_hz", ["5", "10", "20", "33", "50", "100"])
def test_the_force_frequency_relation_is_dings(rate_hz):
    muscle = Muscle(SubjectParameters(fatigue_rate=0, **DING_MUSCLE))
    forces = train(muscle, at_rate(float(rate_hz), 0, 1), 0, 1)
    golden = DING["ding2003_force_frequency_1s"][rate_hz]["mean_last200ms_N"]
    assert forces[-200:].mean() == pytest.approx(golden, rel=2e-3)


def tired(share):
    muscle = Muscle(SubjectParameters(fatigue_rate=1, **DING_MUSCLE))
    peaks = [train(muscle, at_rate(33, 2 * k, 2 * k + 1), 2 * k, 2 * k + 2, share).max() for k in range(90)]
    return muscle, np.array(peaks)


def test_fatigue_and_recovery_over_ninety_trains_are_dings():
    muscle, peaks = tired(1.0)
    golden = DING["fatigue_33Hz_1on1off_90trains"]
    for number, peak_n in golden["peak_N"].items():
        assert peaks[int(number) - 1] == pytest.approx(peak_n, rel=1e-3)
    assert muscle.state.a_n_s == pytest.approx(golden["A_end"], rel=1e-3)
    assert muscle.state.tau1_s == pytest.approx(golden["tau1_end"], rel=1e-3)
    rested = train(muscle, [], 180, 300)
    assert rested[-1] < 1e-6
    again = train(muscle, at_rate(33, 300, 301), 300, 301).max()
    assert again == pytest.approx(DING["recovery_peak_N_after_rest_s"]["120"], rel=5e-3)


def test_a_little_recruited_muscle_tires_as_much_as_a_fully_recruited_one():
    # Driven by absolute force, Ding's model keeps 62, 88 and 100 % at a half, a quarter and a tenth (science 0.1).
    whole, tenth = tired(1.0)[1], tired(0.1)[1]
    assert tenth / tenth[0] == pytest.approx(whole / whole[0], rel=1e-9)


@settings(deadline=None, max_examples=15)
@given(st.floats(0.01, 1.0), st.sampled_from([20.0, 33.0, 50.0]), st.floats(0.4, 1.3))
def test_force_falls_monotonically_under_constant_stimulation_at_any_recruitment(share, rate_hz, fatigue_rate):
    muscle = Muscle(SubjectParameters(fatigue_rate=fatigue_rate))
    forces = train(muscle, at_rate(rate_hz, 0, 40), 0, 40, share)
    seconds = forces.reshape(-1, 1000).mean(axis=1)
    potentiated = int(seconds.argmax())
    # With next to nothing recruited the potentiation lasts, but it is small.
    assert potentiated <= 12 or share < 0.05
    assert seconds.max() < 1.03 * seconds[1]
    assert np.all(np.diff(seconds[potentiated:]) < 0)


def test_fatigue_falls_at_rest():
    muscle, _ = tired(1.0)
    levels = [muscle.fatigue]
    for k in range(20):
        train(muscle, [], 180 + 10 * k, 190 + 10 * k)
        levels.append(muscle.fatigue)
    assert np.all(np.diff(levels) < 0)


def test_voluntary_force_follows_activation_and_tires_the_muscle():
    muscle = Muscle(SubjectParameters(voluntary_fatigue=0.5, fatigue_rate=1.0))
    half = train(muscle, [], 0, 1, activation=0.5)[-1]
    whole = train(muscle, [], 1, 2, activation=1.0)[-1]
    assert whole == pytest.approx(2 * half, rel=0.01)
    train(muscle, [], 2, 60, activation=1.0)
    assert 0.2 < muscle.fatigue < 0.9


@settings(deadline=None)
@given(st.floats(0, 200), st.floats(0, 200), st.floats(1, 50), st.floats(0.05, 1.5))
def test_recruitment_rises_with_charge_from_none_to_all(a, b, median, spread):
    low, high = sorted((recruitment(a, median, spread), recruitment(b, median, spread)))
    assert 0 <= recruitment(0, median, spread) <= low <= high <= 1
    if a < b:
        assert recruitment(a, median, spread) <= recruitment(b, median, spread)
    assert recruitment(median, median, spread) == 0.5


@pytest.mark.parametrize("phase_us", [50, 100, 200, 300, 500, 1000])
def test_strength_and_duration_follow_weiss(phase_us):
    golden = WAVEFORM["strength_duration"]["Weiss_I_th_mA"]
    threshold_uc = equivalent_charge_uc(golden["300"], 300, 300)
    assert equivalent_charge_uc(golden[str(phase_us)], phase_us, 300) == pytest.approx(threshold_uc)


def test_a_microcurrent_pulse_excites_nothing_however_long_it_is():
    person = SubjectParameters()
    charge_uc = equivalent_charge_uc(0.5, 500_000, person.chronaxie_us)
    assert charge_uc < person.sensory_uc
    assert Muscle(person).recruits(charge_uc) < 1e-6
