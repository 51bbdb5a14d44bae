"""The fast tier: the same people as the full tier's, told in features whose error is known."""

from dataclasses import replace

import numpy as np
import pytest

from myoloop.experiments.subjects.adc import VOLTS_PER_COUNT
from myoloop.experiments.subjects.fast import STEP_NS, FastSubjects, Trains
from myoloop.experiments.subjects.person import MuscleSite
from myoloop.experiments.subjects.population import draw
from myoloop.experiments.subjects.subject import VirtualSubject
from myoloop.platform.messages import Phase
from myoloop.stimulators.emulators.ledger import Pulse

SITES = (
    MuscleSite("left", ("emg_l",), ((0, "stim_l"),)),
    MuscleSite("right", ("emg_r",), ((1, "stim_r"),), joint_sign=-1.0, effort_share=0.4),
)
HOLD = Phase(t_ns=0, session="s", state="running", kind="block", block=1, trial=1, trial_state="hold")
WINDOW = 500


def fast(people, seeds, **options):
    return FastSubjects(people, seeds, muscles=SITES, **options)


def both(person, seed, seconds, current_ma, effort=True):
    """The same person in both tiers: EMG in uV (n, 2), forces of the full tier (n, 2), features of the fast one."""
    full, quick = VirtualSubject(person, seed, muscles=SITES), fast([person], [seed])
    trains = Trains(1, (0, 1))
    emg, forces, spasms, features = [], [], [], []
    for tier in (full, quick):
        if effort:
            tier.see(HOLD, 0)
    for _ in range(round(seconds * 100)):
        t_ns = quick.now_ns
        pulses = trains.step(t_ns, [[current_ma, 0.7 * current_ma]])
        lived = full.step(t_ns, t_ns + STEP_NS, pulses[0])
        emg.append(lived.emg[:, :2] * (VOLTS_PER_COUNT * 1e6))
        forces += [list(t.message.values.values()) for t in lived.truths if t.topic == "truth/force"]
        spasms += [t.message.values for t in lived.truths if t.topic == "truth/spasm" and t.message.values["end_ns"]]
        features.append(quick.step(pulses))
    return np.vstack(emg), np.array(forces), spasms, features


@pytest.mark.parametrize("preset", ["demo", pytest.param("chronic_sci", marks=pytest.mark.prove)])
def test_force_joint_and_spasms_are_those_of_the_full_tier(preset):
    person = replace(draw(5, preset), spasm_rate_per_min=15.0, spasm_in_effort=1.0, amplifier_clock_ppm=0.0)
    _, forces, spasms, features = both(person, 3, 40, 22.0)
    quick = np.array([one.force_n[0] for one in features])[9::10]
    assert forces.max() > 20.0
    assert quick == pytest.approx(forces, rel=1e-9, abs=1e-9)
    assert len(spasms) >= 2
    flagged = np.array([one.spasm[0].any() for one in features])
    for spasm in spasms:
        assert flagged[spasm["onset_ns"] // STEP_NS + 1 : spasm["end_ns"] // STEP_NS - 1].all()


def spectra(emg):
    """RMS and mean frequency of windows of 250 ms within 10 to 500 Hz; (windows, channels)."""
    windows = emg[: len(emg) // WINDOW * WINDOW].reshape(-1, WINDOW, emg.shape[1])
    f = np.fft.rfftfreq(WINDOW, 1 / 2000)
    band = (f >= 10) & (f <= 500)
    plain = np.abs(np.fft.rfft(windows, axis=1)) ** 2
    tapered = np.abs(np.fft.rfft(windows * np.hanning(WINDOW)[None, :, None], axis=1)) ** 2
    rms = np.sqrt(2 * plain[:, band].sum(axis=1)) / WINDOW
    return rms, np.einsum("f,wfc->wc", f[band], tapered[:, band]) / tapered[:, band].sum(axis=1)


@pytest.mark.prove
def test_features_are_those_of_the_samples_within_the_error_that_is_told():
    # Nothing of the stimulation is in the EMG, but the muscle tires: its mean frequency falls.
    person = replace(
        draw(8, "able_bodied"), mwave_mv=0.0, artifact_mv_per_ma=0.0, effort_missed=0.0, amplifier_clock_ppm=0.0,
        fatigue_rate=2.0, cv_slowing=0.7, ec_share=0.0, emg_noise_uv=10.0, electrode_drift=0.0, effort_level=0.4,
        mains_uv=0.0,
    )  # fmt: skip
    emg, _, _, features = both(person, 11, 90, 28.0)
    rms, mnf = spectra(emg[2000:])
    ends = features[124::25]
    for muscle in (0, 1):
        exact = np.array([one.rms_exact_uv[0, muscle] for one in ends])
        off = np.array([one.rms_sd_uv[0, muscle] for one in ends]) / exact
        ratio = rms[:, muscle] / exact
        assert ratio.mean() == pytest.approx(1.0, abs=0.02)
        assert ratio.std() == pytest.approx(off.mean(), rel=0.15)
        exact_hz = np.array([one.mnf_exact_hz[0, muscle] for one in ends])
        off_hz = np.array([one.mnf_sd_hz[0, muscle] for one in ends])
        assert exact_hz[0] > 1.05 * exact_hz[-1]
        bias_hz = np.mean([one.mnf_bias_hz[0, muscle] for one in ends])
        assert (mnf[:, muscle] - exact_hz).mean() == pytest.approx(bias_hz, abs=0.01 * exact_hz.mean())
        assert (mnf[:, muscle] - exact_hz).std() == pytest.approx(off_hz.mean(), rel=0.15)


def test_the_height_of_an_mwave_is_that_of_the_samples():
    person = replace(
        draw(9, "acute_sci"), artifact_mv_per_ma=0.0, resting_tone=0.0, spasm_rate_per_min=0.0, emg_noise_uv=0.5,
        mwave_latency_spread_ms=0.0, mains_uv=0.0, emg_crosstalk=0.0, electrode_drift=0.0, mwave_first_phase=0.0,
    )  # fmt: skip
    emg, _, _, features = both(person, 2, 20, 24.0, effort=False)
    assert np.isnan(fast([person], [2]).step([[]]).mwave_mv).all()
    for second in (2, 19):
        told = features[100 * second].mwave_mv[0]
        assert told == pytest.approx(np.ptp(emg[2000 * second : 2000 * second + 200], axis=0) * 1e-3, rel=0.04)


def test_estimates_err_as_much_as_is_told_and_windows_that_overlap_err_alike():
    person = replace(draw(1, "able_bodied"), effort_missed=0.0, effort_wander=0.0)
    quick = fast([person], [1])
    quick.see(HOLD, 0)
    features = [quick.step([[]]) for _ in range(4000)][100:]
    for what, sd, exact in (("rms_uv", "rms_sd_uv", "rms_exact_uv"), ("mnf_hz", "mnf_sd_hz", "mnf_exact_hz")):
        wrong = np.array(
            [(getattr(one, what) - getattr(one, exact))[0, 0] / getattr(one, sd)[0, 0] for one in features]
        )
        assert wrong.std() == pytest.approx(1.0, abs=0.15)
        assert np.corrcoef(wrong[:-1], wrong[1:])[0, 1] > 0.85
        assert abs(np.corrcoef(wrong[:-50], wrong[50:])[0, 1]) < 0.25


def test_people_together_are_the_same_as_each_alone():
    people, seeds = [draw(seed, "chronic_sci") for seed in range(3)], [7, 8, 9]
    together, alone = fast(people, seeds), [fast([one], [seed]) for one, seed in zip(people, seeds, strict=True)]
    trains, trains_alone = Trains(3, (0, 1)), [Trains(1, (0, 1)) for _ in people]
    currents = np.array([[18.0, 0.0], [0.0, 25.0], [22.0, 22.0]])
    for _ in range(500):
        now = together.step(trains.step(together.now_ns, currents))
        for number, one in enumerate(alone):
            own = one.step(trains_alone[number].step(one.now_ns, currents[number : number + 1]))
            for name in ("force_n", "rms_uv", "mnf_hz", "fatigue", "angle_rad", "mwave_mv"):
                expected = getattr(own, name)[0]
                assert getattr(now, name)[number] == pytest.approx(expected, rel=1e-9, abs=1e-12, nan_ok=True)


def test_trains_have_the_rate_that_is_asked_for_and_begin_when_the_current_does():
    trains = Trains(2, (3, 5))
    given = [trains.step(k * STEP_NS, [[10.0, 0.0], [0.0, 12.0 if k >= 50 else 0.0]], 300.0, 40.0) for k in range(100)]
    first = [pulse for step in given for pulse in step[0]]
    second = [pulse for step in given for pulse in step[1]]
    assert first == [Pulse(k * 25_000_000, 3, 10.0, 300.0) for k in range(40)]
    assert second == [Pulse(500_000_000 + k * 25_000_000, 5, 12.0, 300.0) for k in range(20)]


def test_it_is_the_same_again():
    def run():
        quick = fast([draw(4, "chronic_sci")], [4])
        trains = Trains(1, (0, 1))
        return [quick.step(trains.step(quick.now_ns, [[20.0, 20.0]])).rms_uv.tobytes() for _ in range(300)]

    assert run() == run()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: fast([], []), "at least one person"),
        (lambda: fast([draw(1)], [1, 2]), "1 people with 2 seeds"),
        (lambda: fast([draw(1)], [1], window_s=0.255), "window_s: found 0.255"),
        (lambda: fast([draw(1)], [1]).step([]), "pulses of 0 people"),
        (lambda: fast([draw(1)], [1]).step([[Pulse(STEP_NS + 1, 0, 1.0, 250.0)]]), "not within 0 to 10000000"),
    ],
)
def test_what_does_not_fit_is_refused(make, says):
    with pytest.raises(ValueError, match=says):
        make()
