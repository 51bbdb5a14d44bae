"""Scenes for detectors: what is in them is what they say."""

import itertools

import numpy as np
import pytest
from scipy import signal

from myoloop.experiments.subjects.scenes import QUIET_S, SCENE_KINDS, pulse_times_s, spasm_scene, spasm_scenes

RATE_HZ = 2000.0


def inside(event, emg, margin_s=0.0):
    return emg[round((event.onset_s + margin_s) * RATE_HZ) : round((event.end_s - margin_s) * RATE_HZ)]


def quiet(emg, events):
    still = np.ones(len(emg), dtype=bool)
    for event in events:
        still[round(event.onset_s * RATE_HZ) - 1 : round(event.end_s * RATE_HZ) + 2] = False
    return still


@pytest.fixture(scope="module")
def scenes():
    return spasm_scenes(range(8), snr_db=14.0)


def test_events_of_all_kinds_come_in_order_apart_and_after_a_baseline(scenes):
    for events in scenes[1]:
        assert len(events) >= 14
        assert events[0].onset_s >= QUIET_S
        assert events[-1].end_s <= 239.0
        assert all(b.onset_s - a.end_s >= 2.99 for a, b in itertools.pairwise(events))
        counts = [sum(event.kind == kind for event in events) for kind in SCENE_KINDS]
        assert max(counts) - min(counts) <= 1


def test_the_same_seed_makes_the_same_scene_and_columns_are_scenes(scenes):
    emg, events = spasm_scene(3, snr_db=14.0)
    assert np.array_equal(scenes[0][:, 3], emg)
    assert scenes[1][3] == events
    assert not np.array_equal(scenes[0][:, 4], emg)


def test_the_baseline_has_an_rms_of_one_and_drifts_by_half(scenes):
    for emg, events in zip(scenes[0].T, scenes[1], strict=True):
        seconds = emg[: len(emg) // 2000 * 2000].reshape(-1, 2000)
        still = quiet(emg, events)[: seconds.size].reshape(-1, 2000).all(axis=1)
        levels = seconds[still].std(axis=1)
        assert 0.8 < np.sqrt(np.mean(levels**2)) < 1.2
        assert np.percentile(levels, 97) / np.percentile(levels, 3) > 1.8


@pytest.mark.parametrize("snr_db", [6.0, 20.0])
def test_events_lie_3_db_below_to_6_db_above_what_was_asked_for(snr_db):
    levels_db = [20 * np.log10(e.level) - snr_db for s in range(4) for e in spasm_scene(s, snr_db=snr_db)[1]]
    assert min(levels_db) >= -3.001
    assert max(levels_db) <= 6.001
    assert np.ptp(levels_db) > 7


def test_the_energy_of_an_event_is_the_level_it_tells():
    emg, events = spasm_scenes(range(6), snr_db=40.0)
    for column, found in zip(emg.T, events, strict=True):
        for event in found:
            if event.kind == "tonic":
                plateau = column[round((event.onset_s + 0.16) * RATE_HZ) : round((event.end_s - 1.1) * RATE_HZ)]
                if len(plateau) > 1000:
                    assert plateau.std() == pytest.approx(event.level, rel=0.25)
            if event.kind == "unit":
                assert inside(event, column).std() == pytest.approx(event.level, rel=0.12)
            if event.kind == "clonus":
                # Of a unit some potentials overlap. Bursts of 52 ms with ramps fill a share of the time.
                share = 0.052 * (1 - 4 / 3 * 0.25) * event.clonus_hz
                assert inside(event, column).std() == pytest.approx(event.level * np.sqrt(share), rel=0.3)


def test_the_envelope_of_clonus_beats_at_its_rate():
    for seed in range(3):
        emg, events = spasm_scene(seed, snr_db=30.0)
        for event in events:
            if event.kind != "clonus" or event.end_s - event.onset_s < 2.0:
                continue
            power = inside(event, emg) ** 2
            f, p = signal.periodogram(power - power.mean(), RATE_HZ, nfft=1 << 16)
            band = (f > 3.5) & (f < 9)
            assert f[band][p[band].argmax()] == pytest.approx(event.clonus_hz, abs=0.35)


def test_a_unit_crosses_a_threshold_seldom():
    emg, events = spasm_scenes(range(4), snr_db=20.0)
    density = {kind: [] for kind in ("unit", "tonic")}
    for column, found in zip(emg.T, events, strict=True):
        for event in found:
            if event.kind in density:
                x = np.abs(inside(event, column))
                density[event.kind].append((x > 0.5 * event.level).mean())
    assert max(density["unit"]) < 0.4 < np.median(density["tonic"])


def test_stimulation_leaves_residuals_at_its_pulses_only():
    plain, events = spasm_scene(5, 240.0)
    stimulated, same = spasm_scene(5, 240.0, stimulated=True)
    left = stimulated - plain
    assert events == same
    given_s = pulse_times_s(240.0)
    assert len(given_s) == 7920
    since_s = np.arange(len(left)) / RATE_HZ
    phase = np.mod(since_s, 1 / 33.0)
    assert np.abs(left[(phase > 0.016) & (phase < 0.030)]).max() == 0.0
    peaks = [np.abs(left[round(t * RATE_HZ) : round(t * RATE_HZ) + 30]).max() for t in given_s[:-1]]
    # Gains are normal with a standard deviation of 3, cut at two of them.
    assert np.sqrt(np.mean(np.square(peaks))) == pytest.approx(3.0 * 0.94, rel=0.15)
    assert max(peaks) <= 6.01
    # Most of a gain is that of the pulse before it.
    assert 0.5 < np.corrcoef(peaks[:-1], peaks[1:])[0, 1] < 0.9


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"seconds": 10.0}, "seconds"), ({"seconds": float("nan")}, "seconds"), ({"rate_hz": 100.0}, "rate_hz"),
        ({"snr_db": float("inf")}, "snr_db"),
    ],
)  # fmt: skip
def test_a_scene_that_cannot_be_is_refused(given, says):
    with pytest.raises(ValueError, match=f"{says}: found .*, allowed is"):
        spasm_scene(1, **given)
