"""The whole person: deterministic, tiring, in spasm, felt in every channel at once."""

import time
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy import signal

from myoloop.experiments.subjects.adc import VOLTS_PER_COUNT
from myoloop.experiments.subjects.parameters import SubjectParameters
from myoloop.experiments.subjects.person import MuscleSite
from myoloop.experiments.subjects.population import draw
from myoloop.experiments.subjects.subject import VirtualSubject
from myoloop.platform.messages import Phase
from myoloop.platform.streams import stream_of
from myoloop.stimulators.emulators.ledger import Pulse

BLOCK_NS = 10_000_000
SITES = (
    MuscleSite("left", ("emg_l",), ((0, "stim_l"),)),
    MuscleSite("right", ("emg_r",), ((1, "stim_r"),)),
)


def subject(seed=1, parameters=None, sites=SITES, **options):
    return VirtualSubject(parameters or draw(seed), seed, muscles=sites, **options)


def trial_at(second, t_ns):
    """Ten trials of about 15 s, after 20 s of rest."""
    trial, within = int((second - 20) // 15) + 1, (second - 20) % 15
    if second < 20 or trial > 10:
        return Phase(t_ns=t_ns, session="s", state="running", kind="rest", baseline=True)
    states = ((1, "cue"), (2, "await_effort"), (3, "ramp_up"), (8, "hold"), (9, "ramp_down"), (15, "rest"))
    trial_state = next(name for until, name in states if within < until)
    return Phase(t_ns=t_ns, session="s", state="running", kind="block", block=1, trial=trial, trial_state=trial_state)


def live(person, seconds, current_ma=0.0, rate_hz=33.0, phase_us=250.0, start_ns=0, session=False):
    """Everything a person gives over a time of constant stimulation, or of a session's trials."""
    emg, imu, truths, events = [], [], [], []
    period_ns = round(1e9 / rate_hz)
    next_ns = start_ns + 1
    phase = None
    for t_ns in range(start_ns, start_ns + round(seconds * 1e9), BLOCK_NS):
        if session and t_ns % (10 * BLOCK_NS) == 0:
            phase = trial_at(t_ns / 1e9, t_ns)
            person.see(phase, t_ns)
        on = current_ma > 0 and (not session or phase.trial_state in ("ramp_up", "hold", "ramp_down"))
        pulses = []
        next_ns = max(next_ns, t_ns + 1)
        while on and next_ns <= t_ns + BLOCK_NS:
            pulses += [Pulse(next_ns, output, current_ma, phase_us) for output in (0, 1)]
            next_ns += period_ns
        given = person.step(t_ns, t_ns + BLOCK_NS, pulses)
        emg.append(given.emg)
        imu.append(given.imu)
        truths += given.truths
        events += given.events
    return np.vstack(emg), np.vstack(imu), truths, events


def test_the_same_seed_and_inputs_give_the_same_bytes_and_another_seed_others():
    def run(seed, current_ma=20.0):
        emg, imu, truths, _ = live(subject(seed, SubjectParameters()), 12, current_ma)
        return emg.tobytes(), imu.tobytes(), truths

    assert run(1) == run(1)
    assert all(a != b for a, b in zip(run(1), run(2), strict=True))
    assert run(1)[0] != run(1, 21.0)[0]


@pytest.mark.parametrize("rate_hz", [1000.0, 1925.9, 2000.0, 2048.0])
def test_samples_are_as_many_as_the_rate_says(rate_hz):
    emg, imu, _, _ = live(subject(emg_rate_hz=rate_hz, imu_rate_hz=148.0), 5)
    assert len(emg) == round(5 * rate_hz)
    assert len(imu) == round(5 * 148.0)


def test_descriptors_say_what_the_arrays_are():
    person = subject()
    emg, imu = person.descriptors("body")
    given = person.step(0, BLOCK_NS, [])
    for descriptor, array in ((emg, given.emg), (imu, given.imu)):
        assert array.dtype == np.dtype(descriptor.dtype)
        assert array.shape[1] == len(descriptor.channels) == len(descriptor.units) == len(descriptor.scale)
    assert emg.channels == ("emg_l", "emg_r", "sync")
    assert emg.sync_channel == "sync"
    assert emg.rail_high * emg.scale[0] == pytest.approx(5.5e-3)


@cache
def session_of(seed, current_ma=25.0, seconds=180):
    person = subject(seed)
    return person, live(person, seconds, current_ma, session=True)


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.prove) for seed in (1, 2))])
def test_a_sessions_fatigue_ends_where_a_session_should_and_slows_conduction(seed):
    person, (_, _imu, truths, _) = session_of(seed)
    for name, fatigue in person.fatigue.items():
        assert 0.15 <= fatigue <= 0.5
        assert 0.4 * fatigue <= 1 - person.velocity[name] <= 0.6 * fatigue
    told = [truth.message.values["left"] for truth in truths if truth.topic == "truth/fatigue"]
    assert len(told) == 1800
    assert told[-1] == person.fatigue["left"]
    assert all(0 <= value <= 1 for value in told)
    # The joint's response to the same charge falls as well.
    angles = np.array([truth.message.values["angle_rad"] for truth in truths if truth.topic == "truth/joint"])
    first, last = angles[230:280].mean(), angles[230 + 1350 : 280 + 1350].mean()
    assert last < 0.9 * first


def test_people_differ_in_how_much_they_tire():
    assert len({round(session_of(seed)[0].fatigue["left"], 3) for seed in (1, 2)}) == 2


def test_the_spectrum_of_the_emg_slows_with_fatigue():
    sites = [replace(SITES[0], emg_channels=("e1", "e2", "e3", "e4")), SITES[1]]
    steady = replace(SubjectParameters(), spasm_rate_per_min=0.0, effort_missed=0.0)
    person = subject(parameters=steady, sites=sites)
    hold = Phase(t_ns=0, session="s", state="running", kind="block", block=1, trial=1, trial_state="hold")
    person.see(hold, 0)
    fresh = live(person, 6)[0][2000:, :4]
    live(person, 60, 30.0, start_ns=6_000_000_000)
    tired = live(person, 6, start_ns=66_000_000_000)[0][2000:, :4]

    def mean_frequency(x):
        f, p = signal.welch(x.astype(float), 2000, nperseg=2000, axis=0)
        band = (f >= 10) & (f <= 500)
        return f[band] @ p[band].mean(axis=1) / p[band].mean(axis=1).sum()

    ratio = mean_frequency(tired) / mean_frequency(fresh)
    # 20 % less conduction velocity is 18 % less mean frequency in this band.
    assert ratio == pytest.approx(1 - 0.905 * (1 - person.velocity["left"]), abs=0.025)
    assert ratio < 0.92


def test_spasm_truth_agrees_with_the_energy_of_the_emg():
    person = subject(3, replace(SubjectParameters(), spasm_rate_per_min=10.0))
    emg, _, truths, _ = live(person, 90)
    ended = [t.message.values for t in truths if t.topic == "truth/spasm" and t.message.values["end_ns"] is not None]
    began = [t.message.values for t in truths if t.topic == "truth/spasm" and t.message.values["end_ns"] is None]
    assert len(ended) >= 5
    assert [one["onset_ns"] for one in ended] == [one["onset_ns"] for one in began][: len(ended)]
    column = {"left": 0, "right": 1}
    quiet = np.ones((len(emg), 2), dtype=bool)
    for one in began:
        first = int(one["onset_ns"] * 2e-6)
        quiet[first : first + 4000] = False
    rest = emg[:, :2].astype(float)
    rest_rms = [rest[quiet[:, c], c].std() for c in range(2)]
    for one in ended:
        samples = slice(int(one["onset_ns"] * 2e-6) + 60, int(one["end_ns"] * 2e-6) - 60)
        assert rest[samples, column[one["muscle"]]].std() > 8 * rest_rms[column[one["muscle"]]]


def test_the_trigger_marks_every_pulse_and_the_pulse_truth_names_them():
    emg, _, truths, _ = live(subject(), 3, 20.0, rate_hz=40.0)
    rises = np.flatnonzero(np.diff(emg[:, -1], prepend=0) == 1)
    told = sorted({t_ns for t in truths if t.topic == "truth/pulse" for t_ns in t.message.pulses_ns})
    assert len(told) == 120
    assert rises.tolist() == [int(np.ceil(t_ns * 2e-6)) - 1 for t_ns in told]
    assert {t.message.values["channel"] for t in truths if t.topic == "truth/pulse"} == {"stim_l", "stim_r"}


def test_stimulation_moves_the_joint_and_the_imu_sees_it():
    person = subject(parameters=replace(SubjectParameters(), spasm_rate_per_min=0.0))
    _, still, _, _ = live(person, 1)
    _, moved, _, _ = live(person, 1, 25.0, start_ns=1_000_000_000)
    assert np.abs(moved[:, 4]).max() > 10 * np.abs(still[:, 4]).max()


def test_an_antagonist_moves_the_joint_back():
    def angle(sign):
        sites = (replace(SITES[0], joint_sign=sign), SITES[1])
        person = subject(parameters=replace(SubjectParameters(), spasm_rate_per_min=0.0), sites=sites)
        joint = [truth for truth in live(person, 2, 25.0)[2] if truth.topic == "truth/joint"]
        return joint[-1].message.values["angle_rad"]

    assert abs(angle(-1.0)) < 0.2 * angle(1.0)


def test_calibration_is_answered_at_the_persons_thresholds():
    parameters = replace(SubjectParameters(), muscle_spread=0.0)
    person = subject(parameters=parameters)
    person.see(Phase(t_ns=0, session="s", state="waiting", kind="calibration", index=1), 0)
    events, t_ns = [], 0
    for current_ma in range(1, 40):
        events += live(person, 1, float(current_ma), start_ns=t_ns)[3]
        t_ns += 1_000_000_000
    left = {e.values["what"]: e.values["current_ma"] for e in events if e.values["channel"] == "stim_l"}
    for what in ("sensory", "motor", "tolerance"):
        threshold_ma = getattr(parameters, f"{what}_uc") * 1e3 / 250
        assert left[what] == np.floor(threshold_ma) + 1
    assert len(events) == 6


def test_every_truth_has_a_stream_of_its_own():
    parameters = replace(draw(1, "chronic_sci"), tremor_torque_n_m=0.1, spasm_rate_per_min=20.0)
    truths = live(subject(parameters=parameters), 20, 20.0)[2]
    told = {"fatigue", "velocity", "force", "joint", "effort", "spasm", "pulse", "evoked", "mwave", "contact", "pain"}
    assert {t.topic for t in truths} == {f"truth/{what}" for what in (*told, "threshold", "tremor", "planted")}
    assert all(stream_of(t.topic).message is type(t.message) for t in truths)


def truths_of(topic, truths):
    return [truth.message.values for truth in truths if truth.topic == f"truth/{topic}"]


def test_what_pulses_evoke_is_told_as_it_is():
    steady = replace(SubjectParameters(), spasm_rate_per_min=0.0, muscle_spread=0.0, emg_noise_uv=0.1, mains_uv=0.0)
    person = subject(parameters=replace(steady, artifact_mv_per_ma=0.0, resting_tone=0.0))
    assert truths_of("evoked", live(person, 1)[2])[-1] == {"left": None, "right": None}
    emg, _, truths, _ = live(person, 20, 20.0, rate_hz=20.0, start_ns=1_000_000_000)
    told = truths_of("mwave", truths)
    assert len(told) == len(truths_of("evoked", truths)) == 20
    for end, values in ((1, told[0]), (20, told[-1])):
        swing_v = np.ptp(emg[2000 * (end - 1) : 2000 * end, 0]) * VOLTS_PER_COUNT
        assert values["left.ptp_mv"] == pytest.approx(swing_v * 1e3, rel=0.03)
    assert told[-1]["left.recruited"] == pytest.approx(0.5, abs=0.01)
    assert told[-1]["left.width_ms"] > told[0]["left.width_ms"] > 2.0
    # A half of the muscle is recruited, and that half is what tires.
    assert 1 - truths_of("evoked", truths)[-1]["left"] == pytest.approx(2 * person.fatigue["left"], abs=0.03)


def test_effort_is_told_without_what_is_not_willed():
    person = subject(parameters=replace(SubjectParameters(), effort_missed=0.0, resting_tone=0.05))
    hold = Phase(t_ns=0, session="s", state="running", kind="block", block=1, trial=1, trial_state="hold")
    person.see(hold, 0)
    last = truths_of("effort", live(person, 3)[2])[-1]
    assert last["left.voluntary"] == last["activation"] > 0.2
    assert last["left.total"] == pytest.approx(last["left.voluntary"] + 0.05)


def test_the_artifact_may_rail_and_the_rails_are_the_descriptors():
    emg, _, _, _ = live(subject(), 2, 38.0)
    assert np.abs(emg[:, :2]).max() == subject().descriptors("b")[0].rail_high
    assert emg.max() * VOLTS_PER_COUNT <= 5.5e-3 + 1e-12


@pytest.mark.parametrize(
    ("t_from", "t_to", "pulses"),
    [(0, 10_500_000, []), (BLOCK_NS, 2 * BLOCK_NS, []), (0, 0, []), (0, BLOCK_NS, [Pulse(BLOCK_NS + 1, 0, 1, 250)])],
)
def test_a_step_that_does_not_fit_is_refused(t_from, t_to, pulses):
    with pytest.raises(ValueError):
        subject().step(t_from, t_to, pulses)


@pytest.mark.parametrize(
    "sites",
    [(), (SITES[0], SITES[0]), (MuscleSite("a", ("sync",)),), (MuscleSite("a", ()),),
     (SITES[0], MuscleSite("b", ("x",), ((0, "c"),)))],
)  # fmt: skip
def test_sites_that_make_no_sense_are_refused(sites):
    with pytest.raises(ValueError):
        subject(sites=sites)


@pytest.mark.parametrize(("channels", "budget_us"), [(1, 200), (4, 500)])
def test_a_block_stays_within_its_budget(channels, budget_us):
    sites = [replace(site, emg_channels=tuple(f"{site.name}{k}" for k in range(channels))) for site in SITES]
    person = subject(sites=sites)
    live(person, 1, 20.0)
    took_us = []
    for k in range(100, 600):
        pulses = [Pulse(k * BLOCK_NS + 1, output, 20.0, 250.0) for output in (0, 1)] if k % 3 == 0 else []
        begin = time.perf_counter()
        person.step(k * BLOCK_NS, (k + 1) * BLOCK_NS, pulses)
        took_us.append((time.perf_counter() - begin) * 1e6)
    # The median, and the best of it where others keep the machine busy.
    assert np.percentile(took_us, 25) < budget_us
