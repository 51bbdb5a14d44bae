"""Outcomes of ``measures/``: planted signals whose answer is known, and what must give none."""

from __future__ import annotations

import json
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from scipy.signal import butter, sosfilt

from myoloop.experiments.analysis.tracks import EventRow, Interval, JointTrack, MeasureTrack, PulseTrack, TrialSpan
from myoloop.experiments.outcomes.compute import COMPUTED
from myoloop.experiments.outcomes.measures.emg_fatigue import PIECE_S, unfit
from myoloop.experiments.outcomes.measures.pendulum import first_swing
from myoloop.experiments.outcomes.registry import MEASURES
from myoloop.experiments.outcomes.view import Value, View
from myoloop.experiments.protocols.schema import load_protocol

DEMO = load_protocol("demo")
RATE_HZ = 2000.0
#: Twelve pulls of 2 s, one in 5 s.
PULLS = tuple(Interval(5.0 * n + 1.0, 5.0 * n + 3.0) for n in range(12))
T_S = np.arange(0.0, 60.0, 1.0 / RATE_HZ)


def emg(fall_pct_per_min: float, seed: int = 1) -> np.ndarray:
    """Band-limited noise in each pull, its band moving down by so much of its beginning; little between them."""
    rng = np.random.default_rng(seed)
    volts = 1e-6 * rng.standard_normal(len(T_S))
    for pull in PULLS:
        inside = (pull.begin_s <= T_S) & (pull.end_s > T_S)
        scale = 1.0 - fall_pct_per_min / 100.0 * pull.begin_s / 60.0
        sos = butter(4, (40.0 * scale, 200.0 * scale), "bandpass", fs=RATE_HZ, output="sos")
        volts[inside] += 1e-4 * sosfilt(sos, rng.standard_normal(int(inside.sum()) + 400))[400:]
    return volts


def view(volts: np.ndarray, pulses_s: np.ndarray | None = None, invalid: np.ndarray | None = None) -> View:
    invalid = np.zeros((len(T_S), 1), np.bool_) if invalid is None else invalid[:, None]
    record = SimpleNamespace(descriptor=SimpleNamespace(channels=("c1",), units=("V",)), invalid=invalid)
    track = SimpleNamespace(record=record, t_s=T_S, rate_hz=RATE_HZ, channel=lambda name: volts)
    pulses = {}
    if pulses_s is not None:
        n = len(pulses_s)
        pulses = {"c1": PulseTrack(pulses_s, np.full(n, 10.0), np.full(n, 250.0), ("sent",) * n, np.zeros(n))}
    session = SimpleNamespace(
        samples={"emg/amp": track}, sites=(SimpleNamespace(muscle="m1", topic="emg/amp", channel="c1"),),
        delivered=lambda: pulses, trials=(), trial_times_s=(), phases=(), stimulated_muscle="m1",
        trial_spans=tuple(TrialSpan("await_effort", "block", 1, n, *pull) for n, pull in enumerate(PULLS, 1)),
    )  # fmt: skip
    return View(session, DEMO)  # type: ignore[arg-type]


def mdf_slope(*given: object) -> Value:
    return COMPUTED["emg_mdf_slope"](view(*given))  # type: ignore[arg-type]


@pytest.mark.parametrize("fall", [0.0, 20.0])
def test_a_planted_fall_of_the_median_frequency_is_found_within_its_interval(fall):
    found = mdf_slope(emg(fall))
    low, high = found.parameters["intervals"]["m1"]
    assert low - 1.0 <= -fall <= high + 1.0
    assert found.value == pytest.approx(-fall, abs=10.0)
    assert found.n == 12
    assert found.parameters["left_out"] == {}


def stimulated(volts: np.ndarray, first: int) -> tuple[np.ndarray, np.ndarray]:
    """Artifacts of 35 Hz over every pull from the first-th on, each with a slow tail that pulls the spectrum down."""
    pulses = np.concatenate([np.arange(p.begin_s - 0.2, p.end_s + 0.2, 1 / 35.0) for p in PULLS[first:]])
    shape = np.concatenate([np.full(2, 5e-3), -3e-3 * np.exp(-np.arange(40) / 12.0)])
    dirty = volts.copy()
    for at in np.searchsorted(T_S, pulses):
        dirty[at : at + len(shape)] += shape[: len(dirty) - at]
    return dirty, pulses


def test_a_planted_artifact_makes_no_fatigue():
    clean = emg(0.0)
    dirty, pulses = stimulated(clean, first=6)
    # What somebody would find who did not look: a fall that was never there.
    found = mdf_slope(dirty, pulses)
    assert found.n == 6
    assert found.value == pytest.approx(0.0, abs=12.0)
    assert found.parameters["left_out"]["stimulation"] == 6 * 8
    every = mdf_slope(*stimulated(clean, first=0))
    assert every.value is None
    assert "stimulation 96" in every.why


def test_an_artifact_that_no_pulse_was_recorded_for_is_left_out_too():
    dirty, _ = stimulated(emg(0.0), first=0)
    found = mdf_slope(dirty)
    assert found.value is None
    assert all("artifact" in reason for reason in found.parameters["left_out"])
    assert sum(found.parameters["left_out"].values()) == 96


def test_mains_hum_is_left_out():
    hum = emg(0.0) + 4e-4 * np.sin(2 * np.pi * 50.0 * T_S)
    assert mdf_slope(hum).parameters["left_out"] == {"regular (artifact or mains)": 96}


def test_movement_of_the_electrodes_is_left_out():
    moved = emg(0.0) + 1e-3 * np.sin(2 * np.pi * 4.0 * T_S)
    assert mdf_slope(moved).parameters["left_out"] == {"movement (artifact)": 96}


def test_samples_that_are_not_valid_are_left_out():
    invalid = (T_S > 30.0) & (T_S < 60.0)
    found = mdf_slope(emg(0.0), None, invalid)
    assert found.parameters["left_out"] == {"samples that are not valid": 48}
    assert found.n == 6


def test_a_slope_of_the_evoked_force_is_that_which_was_planted():
    t_s = np.arange(0.0, 130.0, 0.01)
    force = np.full(t_s.shape, 2.0)
    for n in range(12):
        force[(t_s >= 10.0 * n + 5.0) & (t_s < 10.0 * n + 8.0)] += 40.0 - 2.0 * n
    record = SimpleNamespace(descriptor=SimpleNamespace(channels=("f",), units=("N",)))
    session = SimpleNamespace(
        samples={"force/cell": SimpleNamespace(record=record, t_s=t_s, channel=lambda name: force)},
        trial_spans=tuple(TrialSpan("hold", "block", 1, n, 10.0 * n + 5.0, 10.0 * n + 8.0) for n in range(12)),
        trials=(), trial_times_s=(),
    )  # fmt: skip
    found = COMPUTED["evoked_fatigue_slope"](View(session, DEMO))  # type: ignore[arg-type]
    # 2 N of 40 N a train, by hand; the rest of 2 N does not count.
    assert found.value == pytest.approx(-5.0)
    assert found.parameters["low"] == pytest.approx(-5.0)
    assert COMPUTED["evoked_fatigue"](View(session, DEMO)).value == pytest.approx(1 - 20 / 38)  # type: ignore[arg-type]


def swing(zeta: float, start: float = 0.0, rest: float = 60.0) -> tuple[np.ndarray, np.ndarray]:
    """A damped pendulum let go at 2 s: to rest + (start - rest) exp(-zeta w t) cos(w_d t) with w = 5 rad/s."""
    t_s = np.arange(0.0, 12.0, 0.01)
    w, t = 5.0, np.maximum(t_s - 2.0, 0.0)
    wd = w * np.sqrt(1 - zeta**2)
    fallen = rest + (start - rest) * np.exp(-zeta * w * t) * (np.cos(wd * t) + zeta * w / wd * np.sin(wd * t))
    return t_s, fallen


@pytest.mark.parametrize("zeta", [0.1, 0.2, 0.4])
@pytest.mark.parametrize(("start", "rest"), [(0.0, 60.0), (10.0, -50.0)])
def test_the_first_swing_of_a_damped_pendulum_is_the_analytic_one(zeta, start, rest):
    found = first_swing(*swing(zeta, start, rest), released_s=2.3)
    # First turning point of an underdamped pendulum: 1 + exp(-pi zeta / sqrt(1 - zeta^2)) of the way to rest.
    expected = abs(rest - start) * (1 + np.exp(-np.pi * zeta / np.sqrt(1 - zeta**2)))
    assert found is not None
    assert found.first_deg == pytest.approx(expected, rel=0.01)
    assert found.relaxation_index == pytest.approx(expected / (1.6 * abs(rest - start)), rel=0.01)


def test_a_leg_that_does_not_fall_has_no_swing():
    t_s = np.arange(0.0, 12.0, 0.01)
    assert first_swing(t_s, np.full(t_s.shape, 20.0), 2.0) is None


def test_the_swing_is_that_after_the_operators_mark():
    t_s, angle = swing(0.2)
    value = np.radians(angle)
    joint = JointTrack(t_s, MeasureTrack(value, value, value, np.ones(len(t_s), np.bool_), {}))
    marks = (EventRow(2.2, "mark", "operator", "Pendulum, left", {}), EventRow(9.0, "mark", "operator", "cough", {}))
    found = COMPUTED["pendulum_first_swing"](View(SimpleNamespace(events=marks, joint=joint), DEMO))  # type: ignore[arg-type]
    assert found.value == pytest.approx(60.0 * (1 + np.exp(-np.pi * 0.2 / np.sqrt(0.96))), rel=0.01)
    assert found.parameters == {"releases": 1, "swings": 1}
    none = COMPUTED["pendulum_first_swing"](View(SimpleNamespace(events=marks[1:], joint=joint), DEMO))  # type: ignore[arg-type]
    assert none.why == "no mark says pendulum"


def test_clonus_is_counted_over_the_time_in_which_it_could_be_told():
    t_s = np.arange(0.0, 120.0, 0.1)
    valid = t_s < 60.0
    told = np.zeros(len(t_s))
    spasm = MeasureTrack(told, told, told, valid, {})
    rhythm = np.where((t_s > 10.0) & (t_s < 12.0), 6.0, np.nan)
    track = SimpleNamespace(t_s=t_s, spasm=spasm, clonus_hz=rhythm, spasms=(Interval(9.8, 12.5), Interval(30.0, 31.0)))
    found = COMPUTED["clonus_rate"](View(SimpleNamespace(muscles={"soleus": track}), DEMO))  # type: ignore[arg-type]
    assert found.value == pytest.approx(1.0, rel=0.01)
    assert found.n == 1


def test_spasms_at_rest_are_those_that_begin_in_a_rest_over_the_time_of_rest_that_was_told():
    t_s = np.arange(0.0, 120.0, 0.1)
    told = np.zeros(len(t_s))
    spasm = MeasureTrack(told, told, told, t_s < 90.0, {})
    bursts = (Interval(5.0, 6.0), Interval(40.0, 41.0), Interval(70.0, 71.0), Interval(100.0, 101.0))
    track = SimpleNamespace(t_s=t_s, spasm=spasm, spasms=bursts)
    number = next(index for index, item in enumerate(DEMO.phases) if item.rest is not None and item.rest.baseline)
    # A rest of 31 s, of whose first second nothing is told; what was before it is none of its own.
    rest = SimpleNamespace(number=number, begin_s=29.0, end_s=60.0)
    session = SimpleNamespace(muscles={"soleus": track}, phases=(rest,))
    found = COMPUTED["spasms_at_rest"](View(session, DEMO))  # type: ignore[arg-type]
    assert found.value == pytest.approx(2.0, rel=0.01)
    assert found.n == 1
    late = SimpleNamespace(number=number, begin_s=95.0, end_s=110.0)
    never = COMPUTED["spasms_at_rest"](View(SimpleNamespace(muscles={"soleus": track}, phases=(late,)), DEMO))  # type: ignore[arg-type]
    assert (never.value, never.why) == (None, "never told")


def test_each_says_how_it_is_made_and_with_which_numbers():
    for measure in MEASURES.values():
        assert len(measure.method) > 10
        assert measure.kind.text


@pytest.mark.realdata
def test_thirty_fatiguing_contractions_of_a_real_biceps_show_their_fall(data_dir):
    """Cyclic flexion to fatigue, 1 kHz, 12 bit, clipped late in the record; the spans are envelope thresholds."""
    folder = data_dir / "emg_fatigue_plux"
    with h5py.File(folder / "emg_fatigue.h5") as file:
        (device,) = file.values()
        raw = np.asarray(device["raw"]["channel_2"]).ravel().astype(np.float64)
    spans = json.loads((folder / "derived_events.json").read_text())["files"]["emg_fatigue.h5"]["events_s"]
    given = real(raw, spans)
    mdf, rms = (COMPUTED[name](given) for name in ("emg_mdf_slope", "emg_rms_slope"))
    # The median frequency falls and the amplitude rises, both beyond their intervals; pieces at the rail are left out.
    assert mdf.parameters["intervals"]["biceps"][1] < 0.0
    assert rms.parameters["intervals"]["biceps"][0] > 0.0
    assert mdf.n >= 20
    assert mdf.parameters["left_out"]["samples that are not valid"] > 0


def real(raw: np.ndarray, spans: list[list[float]]) -> View:
    volts, t_s = (raw / 4096 - 0.5) * 3e-3, np.arange(len(raw)) / 1000.0
    record = SimpleNamespace(
        descriptor=SimpleNamespace(channels=("biceps",)), invalid=((raw <= 0) | (raw >= 4095))[:, None]
    )
    track = SimpleNamespace(record=record, t_s=t_s, rate_hz=1000.0, channel=lambda name: volts)
    session = SimpleNamespace(
        samples={"emg/plux": track}, delivered=dict, trials=(), trial_times_s=(), phases=(), stimulated_muscle=None,
        sites=(SimpleNamespace(muscle="biceps", topic="emg/plux", channel="biceps"),),
        trial_spans=tuple(TrialSpan("await_effort", "block", 1, n, *span) for n, span in enumerate(spans, 1)),
    )  # fmt: skip
    return View(session, DEMO)  # type: ignore[arg-type]


def kept(volts: np.ndarray, rate_hz: float) -> tuple[int, int]:
    """Of pieces whose pulses nobody recorded: how many are fit, of how many."""
    size = round(PIECE_S * rate_hz)
    nothing, none = np.zeros(size, np.bool_), np.empty(0)
    begins = range(0, len(volts) - size + 1, size)
    t_s = np.arange(size) / rate_hz
    fit = [not unfit(t_s, volts[b : b + size].astype(np.float64), nothing, rate_hz, none) for b in begins]
    return sum(fit), len(fit)


@pytest.mark.realdata
def test_real_artifact_is_known_for_what_it_is_without_a_record_of_its_pulses(data_dir):
    folder = data_dir / "fes_emg_artifact"
    with np.load(folder / "semisynthetic_pair_2000Hz.npz") as pair:
        assert kept(pair["clean"], 2000.0) == (24, 24)
        assert kept(pair["contaminated"], 2000.0) == (0, 24)
    # Spinal stimulation at 15 Hz; the second channel is of a relaxed muscle: nothing but artifact and reflex.
    with np.load(folder / "tscs_9frames_2ch.npz") as file:
        frames = file["emg_V"]
    assert kept(frames[8, 1], 1925.93) == (20, 20), "stimulation is off"
    assert kept(frames[7, 1], 1925.93)[0] <= 1, "stimulation is strongest"
