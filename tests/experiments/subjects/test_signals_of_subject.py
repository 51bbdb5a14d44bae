"""What happens to electrodes and muscles shows in the virtual subject's signals, and its truth tells it."""

from dataclasses import replace

import numpy as np
import pytest

from myoloop.experiments.subjects.contact import ElectrodeEvent
from myoloop.experiments.subjects.parameters import SubjectParameters
from myoloop.experiments.subjects.person import MuscleSite
from myoloop.experiments.subjects.subject import VirtualSubject
from myoloop.stimulators.emulators.ledger import Pulse

BLOCK_NS = 10_000_000
SITES = (
    MuscleSite("left", ("emg_l",), ((0, "stim_l"),)),
    MuscleSite("right", ("emg_r",), ((1, "stim_r"),)),
)
CALM = replace(SubjectParameters(), spasm_rate_per_min=0.0, emg_crosstalk=0.0, artifact_crosstalk=0.0)


def live(person, seconds, pulses_at=()):
    """EMG in volts and trigger, IMU, truths."""
    scale = np.array(person.descriptors("body")[0].scale)
    emg, imu, truths = [], [], []
    for t_ns in range(0, round(seconds * 1e9), BLOCK_NS):
        given = [Pulse(at, 0, 20.0, 250.0) for at in pulses_at if t_ns < at <= t_ns + BLOCK_NS]
        lived = person.step(t_ns, t_ns + BLOCK_NS, given)
        emg.append(lived.emg * scale)
        imu.append(lived.imu)
        truths += lived.truths
    return np.vstack(emg), np.vstack(imu), truths


def told(truths, topic):
    return [truth.message.values for truth in truths if truth.topic == topic]


def of_kind(kind, **more):
    weights = {f"spasm_{name}_weight": float(name == kind) for name in ("burst", "unit", "clonus", "myoclonus")}
    return replace(
        SubjectParameters(),
        spasm_tonic_share=float(kind == "tonic"), spasm_rate_per_min=30.0, first_spasm_s=2.0, emg_crosstalk=0.0,
        **weights, **more,
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["tonic", "unit", "clonus", "myoclonus"])
def test_every_kind_of_spasm_is_in_the_emg_of_its_muscle_where_the_truth_says(kind):
    emg, _, truths = live(VirtualSubject(of_kind(kind), 2, muscles=SITES), 30)
    spasms = [one for one in told(truths, "truth/spasm") if one["end_ns"] is not None]
    assert len(spasms) >= 4
    assert {one["kind"] for one in spasms} == {kind}
    assert all((one["clonus_hz"] is not None) == (kind == "clonus") for one in spasms)
    rest = emg[:4000, :2].std(axis=0)
    for one in spasms:
        column = ("left", "right").index(one["muscle"])
        during = emg[round(one["onset_ns"] * 2e-6) : round(one["end_ns"] * 2e-6), :2].std(axis=0)
        assert during[column] > 2 * rest[column]
        assert during[1 - column] < 1.5 * rest[1 - column]


def test_bursts_of_clonus_are_as_short_as_they_are():
    emg, _, truths = live(VirtualSubject(of_kind("clonus"), 4, muscles=SITES), 30)
    one = next(one for one in told(truths, "truth/spasm") if one["end_ns"] is not None)
    column = ("left", "right").index(one["muscle"])
    x = np.abs(emg[round(one["onset_ns"] * 2e-6) : round(one["end_ns"] * 2e-6), column])
    milliseconds = x[: len(x) // 2 * 2].reshape(-1, 2).max(axis=1)
    active = np.convolve(milliseconds > 20e-6, np.ones(9), mode="same") >= 3
    # 52 ms in every 1000 / 6 ms, and what the window adds.
    assert 0.25 < active.mean() < 0.55


def test_a_lead_that_falls_off_shows_and_the_truth_tells_it():
    event = ElectrodeEvent(1.5, 1, "off", floats="flat")
    emg, _, truths = live(VirtualSubject(CALM, 1, muscles=SITES, electrode_events=[event]), 3)
    assert not emg[3000:, 1].any()
    assert emg[:3000, 1].std() > 1e-6
    assert emg[3000:, 0].std() > 1e-6
    contact = told(truths, "truth/contact")
    assert contact[0] == {"emg_l": 1.0, "emg_r": 1.0}
    assert contact[-1] == {"emg_l": 1.0, "emg_r": 0.0}


@pytest.mark.parametrize("ppm", [-400.0, 0.0, 400.0])
def test_a_clock_that_is_off_gives_more_or_fewer_samples_and_pulses_move_in_them(ppm):
    person = VirtualSubject(replace(CALM, amplifier_clock_ppm=ppm), 1, muscles=SITES)
    emg, _, _ = live(person, 20, pulses_at=(1_000_000_000, 19_000_000_000))
    assert len(emg) == round(40_000 * (1 + ppm * 1e-6))
    first, last = np.flatnonzero(np.diff(emg[:, -1], prepend=0) == 1)
    assert last - first == pytest.approx(36_000 * (1 + ppm * 1e-6), abs=1.01)


def test_the_trigger_shows_the_jitter_that_pulses_have():
    def rises(jitter_us):
        person = VirtualSubject(replace(CALM, artifact_jitter_us=jitter_us), 1, muscles=SITES, emg_rate_hz=20000.0)
        emg, _, _ = live(person, 2, pulses_at=range(30_000_000, 2_000_000_000, 30_000_000))
        return np.diff(np.flatnonzero(np.diff(emg[:, -1], prepend=0) == 1)) / 20.0

    assert np.ptp(rises(0.0)) <= 0.051
    assert 0.1 < np.ptp(rises(100.0)) <= 0.401


def test_a_rest_tremor_shakes_the_limb_at_its_frequency():
    shaking = replace(CALM, tremor_torque_n_m=0.3, tremor_at_rest=1.0, tremor_hz=5.0, gyro_noise_rad_s=0.0)
    _, imu, truths = live(VirtualSubject(shaking, 1, muscles=SITES), 20)
    _, still, _ = live(VirtualSubject(replace(CALM, gyro_noise_rad_s=0.0), 1, muscles=SITES), 5)
    axis = imu[:, 3:].std(axis=0).argmax() + 3
    x = imu[200:, axis] - imu[200:, axis].mean()
    power = np.abs(np.fft.rfft(x * np.hanning(len(x)))) ** 2
    hz = np.fft.rfftfreq(len(x), 0.01)
    assert hz[power.argmax()] == pytest.approx(5.0, abs=0.3)
    assert x.std() > 20 * still[200:, axis].std()
    assert told(truths, "truth/tremor")[0]["tremor_hz"] == 5.0
