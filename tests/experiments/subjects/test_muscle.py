"""Recruitment, force, fatigue and recovery, against Ding's model and its golden values."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.experiments.subjects.muscle import (
    BINS,
    EDGES,
    SHARES,
    MuscleParameters,
    Muscles,
    Recruited,
    bins_recruited,
    equivalent_charge_uc,
    recruitment,
)

DATA = Path(__file__).parents[2] / "data"
DING = json.loads((DATA / "ding_golden.json").read_text())
PRESETS = json.loads((DATA / "preset_fit.json").read_text())
WAVEFORM = json.loads((DATA / "waveform_golden.json").read_text())
BLOCK_NS = 10_000_000


def ding(**parameters):
    """A muscle as Ding measured it."""
    return Muscles([MuscleParameters(**{"strength": 1.0, "recovery_s": 127.0, "fatigue_rate": 1.0, **parameters})])


def train(muscle, pulses_ns, begin_s, end_s, share=1.0, activation=0.0):
    """Force in N at every ms from `begin_s` to `end_s`."""
    forces = []
    pulses = list(pulses_ns)
    for t_ns in range(round(begin_s * 1e9), round(end_s * 1e9), BLOCK_NS):
        now = [p for p in pulses if p <= t_ns + BLOCK_NS]
        pulses = pulses[len(now) :]
        forces.append(muscle.advance(t_ns, 10, [Recruited(0, p, share) for p in now], np.array([activation])))
    return np.concatenate(forces)[:, 0]


def at_rate(rate_hz, begin_s, end_s):
    count = int((end_s - begin_s) * rate_hz)
    return [round((begin_s + k / rate_hz) * 1e9) for k in range(count)]


def trained(muscle, trains, rate_hz=33.0, share=1.0):
    """Peak of each train of 1 s on, 1 s off."""
    return np.array(
        [train(muscle, at_rate(rate_hz, 2 * k, 2 * k + 1), 2 * k, 2 * k + 2, share).max() for k in range(trains)]
    )


def test_a_twitch_is_dings():
    forces = train(ding(fatigue_rate=0), [0], 0, 0.5)
    golden = DING["ding2003_twitch"]
    assert forces.max() == pytest.approx(golden["peak_N"], rel=1e-3)
    peak_ms = forces.argmax() + 1
    assert peak_ms == pytest.approx(golden["time_to_peak_ms"], abs=1)
    falls = peak_ms + np.flatnonzero(forces[peak_ms:] < forces.max() / 2)[0] + 1
    assert falls - peak_ms == pytest.approx(golden["half_relax_ms"], abs=1.5)


def test_the_force_at_each_pulse_of_a_train_is_dings():
    for rate, key in ((0, ""), (1, "_fatigue")):
        forces = train(ding(fatigue_rate=rate), at_rate(33, 0, 1.04), 0, 1.04)
        at_pulses = np.interp([k / 33 * 1e3 for k in range(34)], np.arange(1, len(forces) + 1), forces)
        assert at_pulses[1:] == pytest.approx(DING[f"ding2003_33Hz_1s_force_at_pulses{key}_N"][1:], rel=1e-3)


@pytest.mark.parametrize("rate_hz", DING["ding2003_force_frequency_1s"])
def test_the_force_frequency_relation_is_dings(rate_hz):
    forces = train(ding(fatigue_rate=0), at_rate(float(rate_hz), 0, 1), 0, 1)
    golden = DING["ding2003_force_frequency_1s"][rate_hz]
    assert forces[-200:].mean() == pytest.approx(golden["mean_last200ms_N"], rel=1e-3)
    assert forces.max() == pytest.approx(golden["peak_N"], rel=1e-3)


def test_fatigue_over_ninety_trains_and_recovery_are_dings():
    muscle = ding()
    peaks = trained(muscle, 90)
    golden = DING["fatigue_33Hz_1on1off_90trains"]
    for number, peak_n in golden["peak_N"].items():
        assert peaks[int(number) - 1] == pytest.approx(peak_n, rel=1e-3)
    ended = [golden["A_end"], golden["tau1_end"], golden["Km_end"]]
    assert muscle.slow_states[:, 0, 0] == pytest.approx(ended, rel=1e-3)
    for rest_s, peak_n in DING["recovery_peak_N_after_rest_s"].items():
        rested, begin = copy.deepcopy(muscle), 180 + int(rest_s)
        assert train(rested, [], 180, begin)[-1] < 1e-6
        again = train(rested, at_rate(33, begin, begin + 1), begin, begin + 1).max()
        assert again == pytest.approx(peak_n, rel=1e-3)


@pytest.mark.parametrize("rate_hz", [20, 33, 50, 100])
def test_sixty_trains_leave_what_they_leave_dings_muscle(rate_hz):
    golden = DING[f"fatigue_{rate_hz}Hz_1on1off_60trains"]
    peaks = trained(ding(), 60, rate_hz)
    assert peaks[[0, -1]] == pytest.approx([golden["first"], golden["last"]], rel=1e-3)


def test_sustained_stimulation_leaves_what_it_leaves_dings_muscle():
    forces = train(ding(), at_rate(33, 0, 60), 0, 60)
    for second, mean_n in DING["fatigue_33Hz_sustained_60s_mean_force_N_at"].items():
        around = forces[int(second) * 1000 - 500 : int(second) * 1000 + 500]
        assert around.mean() == pytest.approx(mean_n, rel=1e-3)


def contractions(rates, count=180):
    """Peaks of Bickel's contractions: six pulses 70 ms apart, then as long a pause; (count, muscles)."""
    muscles = Muscles([MuscleParameters(strength=1.0, recovery_s=127.0, fatigue_rate=rate) for rate in rates])
    everyone, idle = range(len(rates)), np.zeros(len(rates))
    peaks = []
    for contraction in range(count):
        begin_ns = contraction * 840_000_000
        forces = []
        for block in range(12):
            t_ns = begin_ns + block * 70_000_000
            pulses = [Recruited(muscle, t_ns, 1.0) for muscle in everyone] if block < 6 else []
            forces.append(muscles.advance(t_ns, 70, pulses, idle).max(axis=0))
        peaks.append(np.max(forces, axis=0))
    return np.array(peaks)


def test_the_three_groups_keep_what_was_measured_after_180_contractions():
    groups = ("able_bodied", "acute_sci", "chronic_sci")
    peaks = contractions([PRESETS[group]["k"] for group in groups] + [1.0])
    kept = peaks[-1] / peaks[0]
    assert kept[:3] == pytest.approx([PRESETS[group]["target_remaining"] for group in groups], abs=0.01)
    assert kept[3] == pytest.approx(PRESETS["ratio_at_k1"], rel=5e-3)


@pytest.mark.prove
def test_a_little_recruited_muscle_tires_as_much_as_a_fully_recruited_one():
    # Driven by absolute force, Ding's model keeps 62, 88 and 100 % at a half, a quarter and a tenth (science 0.1).
    whole = trained(ding(), 60)
    for share in (0.1, 0.25, 0.5):
        part = trained(ding(), 60, share=share)
        assert part / part[0] == pytest.approx(whole / whole[0], rel=1e-9)


@settings(max_examples=settings().max_examples // 6)
@given(st.floats(0.001, 1.0), st.sampled_from([20.0, 33.0, 50.0]), st.floats(0.4, 1.3))
def test_force_falls_monotonically_under_constant_stimulation_at_any_recruitment(share, rate_hz, fatigue_rate):
    forces = train(ding(fatigue_rate=fatigue_rate), at_rate(rate_hz, 0, 40), 0, 40, share)
    seconds = forces.reshape(-1, 1000).mean(axis=1)
    potentiated = int(seconds.argmax())
    assert potentiated <= 12
    assert seconds.max() < 1.03 * seconds[1]
    assert np.all(np.diff(seconds[potentiated:]) < 0)


def test_fibres_that_a_stronger_pulse_adds_are_fresh():
    muscle = ding()
    half = trained(muscle, 60, share=0.5)
    assert half[-1] < 0.45 * half[0]
    added = train(muscle, at_rate(33, 120, 121), 120, 121, 1.0).max()
    assert added - half[-1] == pytest.approx(half[0], rel=0.02)


def test_what_a_response_shows_is_the_fatigue_of_the_recruited_fibres_only():
    muscle = ding()
    assert np.isnan(muscle.evoked_capacity[0])
    half = trained(muscle, 60, share=0.5)
    assert muscle.evoked_capacity[0] == pytest.approx(half[-1] / half[0], abs=0.07)
    assert muscle.fatigue[0] == pytest.approx(0.5 * (1 - muscle.evoked_capacity[0]), abs=0.01)


def test_pulses_of_one_block_are_the_same_as_one_per_block():
    at_ns = [3_000_000, 6_000_000, 12_500_000, 18_000_000]
    together, apart = ding(), ding()
    one = together.advance(0, 20, [Recruited(0, t, 0.8) for t in at_ns], np.zeros(1))
    other = np.concatenate(
        [
            apart.advance(t, 1, [Recruited(0, p, 0.8) for p in at_ns if t < p <= t + 1_000_000], np.zeros(1))
            for t in range(0, 20_000_000, 1_000_000)
        ]
    )
    assert one == pytest.approx(other, rel=1e-3, abs=1e-6)


def test_muscles_of_one_array_do_not_know_of_each_other():
    rates = (0.4, 1.3)
    both = Muscles([MuscleParameters(fatigue_rate=rate) for rate in rates])
    alone = [Muscles([MuscleParameters(fatigue_rate=rate)]) for rate in rates]
    for block in range(300):
        t_ns = block * BLOCK_NS
        share = 0.3 + 0.2 * (block // 100)
        made = both.advance(t_ns, 10, [Recruited(1, t_ns, share)] if block % 3 == 0 else [], np.array([0.2, 0.0]))
        first = alone[0].advance(t_ns, 10, [], np.array([0.2]))
        second = alone[1].advance(t_ns, 10, [Recruited(0, t_ns, share)] if block % 3 == 0 else [], np.zeros(1))
        assert made == pytest.approx(np.hstack([first, second]), rel=1e-12, abs=1e-12)


def test_fatigue_falls_at_rest():
    muscle = ding()
    trained(muscle, 60)
    levels = [muscle.fatigue[0]]
    for k in range(20):
        train(muscle, [], 120 + 10 * k, 130 + 10 * k)
        levels.append(muscle.fatigue[0])
    assert np.all(np.diff(levels)[:15] < 0)
    assert levels[-1] < 0.02


def test_conduction_velocity_falls_with_use_and_comes_back_more_slowly_than_force():
    muscle = ding(cv_slowing=0.5, cv_fall_s=5.0, cv_recovery_s=200.0)
    trained(muscle, 40)
    slow, tired = 1 - muscle.velocity[0], muscle.fatigue[0]
    assert slow == pytest.approx(0.5 * tired, abs=0.05)
    train(muscle, [], 80, 200)
    assert (1 - muscle.velocity[0]) / slow > 0.5 > 0.4 > muscle.fatigue[0] / tired


@pytest.mark.parametrize(("ec_share", "shown"), [(0.0, 1.0), (0.5, 0.5), (1.0, 0.0)])
def test_force_that_is_lost_between_membrane_and_filament_is_not_in_the_emg(ec_share, shown):
    muscle, whole = (ding(ec_share=share, mwave_fall=0.4) for share in (ec_share, 0.0))
    for one in (muscle, whole):
        trained(one, 40)
    assert muscle.fatigue[0] == whole.fatigue[0] > 0.4
    assert 1 - muscle.velocity[0] == pytest.approx(shown * (1 - whole.velocity[0]))
    assert 1 - muscle.mwave_by_bin == pytest.approx(shown * (1 - whole.mwave_by_bin))


def test_an_mwave_is_potentiated_first_and_falls_later():
    muscle = ding(mwave_potentiation=0.15, mwave_fall=0.5)
    sizes = []
    for k in range(60):
        train(muscle, at_rate(33, 2 * k, 2 * k + 1), 2 * k, 2 * k + 2)
        sizes.append(muscle.mwave_by_bin[0, 0])
    assert 3 <= np.argmax(sizes) <= 12
    assert 1.08 < max(sizes) < 1.15
    assert sizes[-1] < 0.95


def test_voluntary_force_follows_activation_and_tires_the_muscle():
    muscle = ding(voluntary_fatigue=0.5)
    half = train(muscle, [], 0, 1, activation=0.5)[-1]
    whole = train(muscle, [], 1, 2, activation=1.0)[-1]
    assert whole == pytest.approx(2 * half, rel=0.01)
    train(muscle, [], 2, 60, activation=1.0)
    assert 0.2 < muscle.fatigue[0] < 0.9


def test_fibres_are_not_held_twice():
    muscle = ding(fatigue_rate=0)
    both = train(muscle, at_rate(33, 0, 2), 0, 2, share=0.5, activation=1.0)[-1]
    assert both < 1.2 * train(ding(fatigue_rate=0), [], 0, 2, activation=1.0)[-1]


@settings(deadline=None)
@given(st.floats(0, 200), st.floats(0, 200), st.floats(1, 50), st.floats(0.05, 1.5))
def test_recruitment_rises_with_charge_from_none_to_all(a, b, median, spread):
    low, high = sorted((recruitment(a, median, spread), recruitment(b, median, spread)))
    assert 0 <= recruitment(0, median, spread) <= low <= high <= 1
    if a < b:
        assert recruitment(a, median, spread) <= recruitment(b, median, spread)
    assert recruitment(median, median, spread) == 0.5


@settings(deadline=None)
@given(st.floats(0, 1))
def test_bins_fill_from_the_most_excitable_one_and_hold_the_whole_share(share):
    filled = bins_recruited(share)
    assert len(filled) == BINS == len(EDGES) - 1
    assert filled @ SHARES == pytest.approx(share, abs=1e-12)
    assert np.all(np.diff(filled) <= 0)
    assert np.count_nonzero((filled > 0) & (filled < 1)) <= 1


def test_an_electrode_that_the_joint_moves_away_recruits_less():
    muscle = Muscles([MuscleParameters(recruitment_angle_shift=0.2)])
    shares = [muscle.recruits(0, 5.0, angle) for angle in (-2.0, -1.0, 0.0, 0.5, 1.0, 2.0)]
    assert shares[2] == 0.5
    assert shares[0] == shares[1] > shares[2] > shares[3] > shares[4] == shares[5]
    assert shares[4] == recruitment(5.0 / 1.2, 5.0, 0.35)


@pytest.mark.parametrize("phase_us", [50, 100, 200, 300, 500, 1000])
def test_strength_and_duration_follow_weiss(phase_us):
    golden = WAVEFORM["strength_duration"]["Weiss_I_th_mA"]
    threshold_uc = equivalent_charge_uc(golden["300"], 300, 300)
    assert equivalent_charge_uc(golden[str(phase_us)], phase_us, 300) == pytest.approx(threshold_uc)


def test_a_microcurrent_pulse_excites_nothing_however_long_it_is():
    charge_uc = equivalent_charge_uc(0.5, 500_000, 300.0)
    assert charge_uc < 1.3
    assert Muscles([MuscleParameters()]).recruits(0, charge_uc) < 1e-6
