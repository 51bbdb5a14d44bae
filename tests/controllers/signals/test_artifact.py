"""What a pulse spoils is left out, and nothing else is."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.controllers.signals.artifact import ArtifactSettings, SpoiltStretches, bridge, hold
from myoloop.controllers.signals.conditioning import Conditioner, ConditioningSettings, Hop
from myoloop.platform.messages import Pulses, Samples

TICK_NS = 10_000_000


@settings(deadline=None)
@given(st.lists(st.integers(0, 200_000_000), max_size=20))
def test_exactly_the_samples_from_half_a_millisecond_before_to_18_ms_after_are_spoilt(pulses: list[int]) -> None:
    stretches = SpoiltStretches(ArtifactSettings())
    stretches.add(pulses)
    times = np.arange(0, 240_000_000, 500_000)
    spoilt = np.zeros(len(times), dtype=bool)
    runs = stretches.runs(times)
    for low, high in runs:
        spoilt[low:high] = True
    expected = np.zeros(len(times), dtype=bool)
    for pulse in pulses:
        expected |= (times >= pulse - 500_000) & (times <= pulse + 18_000_000)
    assert np.array_equal(spoilt, expected)
    assert all(a[1] < b[0] for a, b in pairwise(runs))


def test_uncertainty_of_a_pulse_widens_its_stretch_on_both_sides() -> None:
    stretches = SpoiltStretches(ArtifactSettings())
    stretches.add([50_000_000], uncertainty_ns=2_000_000)
    times = np.arange(0, 100_000_000, 500_000)
    ((low, high),) = stretches.runs(times)
    assert times[low] == 47_500_000
    assert times[high - 1] == 70_000_000


def test_a_bridge_is_one_straight_line_even_across_hops() -> None:
    signal = np.arange(40.0)[:, None] ** 2
    whole, parts = signal.copy(), signal.copy()
    good = np.zeros((40, 1), dtype=bool)
    bridge(whole, good, [(5, 31)], 40, np.zeros(1))
    bridge(parts, good, [(5, 31)], 20, np.zeros(1))
    bridge(parts[20:], good[20:], [(0, 11)], 20, parts[19])
    assert np.allclose(parts, whole)
    assert np.allclose(np.diff(whole[4:32, 0]), (31.0**2 - 4.0**2) / 27)
    assert np.array_equal(whole[31:], signal[31:])


def test_an_invalid_sample_holds_the_last_valid_one_of_its_own_channel() -> None:
    samples = np.array([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]])
    hold(samples, np.array([[True, False], [False, True], [True, True]]), np.array([7.0, 8.0]))
    assert samples.tolist() == [[7.0, 10.0], [2.0, 10.0], [2.0, 10.0]]


def _stimulated_emg(pulse_ms: list[float], seconds: float = 4.0) -> np.ndarray:
    rng = np.random.default_rng(3)
    emg = 20 * rng.standard_normal((round(seconds * 2000), 1)) + 900
    k = np.arange(36)
    wave = 3000 * np.exp(-k / 2.0) + 1500 * np.sin(k / 3.0) * np.exp(-(((k - 12) / 6) ** 2)) * (k < 34)
    for pulse in pulse_ms:
        row = round(pulse * 2)
        emg[row : row + 36, 0] += wave[: len(emg) - row]
    return np.round(emg).astype("<i2")


def _listen(conditioner: Conditioner, raw: np.ndarray, pulse_ms: list[float], told_after_ms: float = 15.0) -> list[Hop]:
    hops, told = [], 0
    for n in range(len(raw) // 20):
        now_ns = (n + 1) * TICK_NS
        while told < len(pulse_ms) and (pulse_ms[told] + told_after_ms) * 1e6 <= now_ns:
            conditioner.hear(
                Pulses(
                    channel="ch1", t_ns=(round(pulse_ms[told] * 1e6),), uncertainty_ns=0, kind="sent",
                    current_ma=20.0, phase_us=250.0,
                )
            )  # fmt: skip
            told += 1
        hops += conditioner.add(Samples(first_sample=20 * n, t_ns=now_ns), raw[20 * n : 20 * n + 20], 1)
        hops += conditioner.release(now_ns, True)
    return hops


def _rms(hops: list[Hop]) -> float:
    samples = np.concatenate([hop.samples for hop in hops])
    good = np.concatenate([hop.good for hop in hops])
    return float(np.sqrt(np.mean(samples[good] ** 2)))


PULSES_MS = [500 + 28.6 * i for i in range(110)]


@pytest.mark.parametrize("way", ["messages", "sync"])
def test_level_under_stimulation_is_that_of_the_emg(kit: SimpleNamespace, way: str) -> None:
    clean, spoilt = _stimulated_emg([]), _stimulated_emg(PULSES_MS)
    expected = _rms(_listen(Conditioner(ConditioningSettings(), kit.descriptor(channels=1), (0,), True), clean, []))
    if way == "sync":
        line = np.zeros((len(spoilt), 1), dtype="<i2")
        for pulse in PULSES_MS:
            line[round(pulse * 2) : round(pulse * 2) + 2] = 1
        spoilt = np.concatenate([spoilt, line], axis=1)
        descriptor = kit.descriptor(channels=2, units=("V", "1"), scale=(1e-6, 1.0), sync_channel="e1")
        hops = _listen(Conditioner(ConditioningSettings(), descriptor, (0,), True), spoilt, [])
    else:
        conditioner = Conditioner(ConditioningSettings(), kit.descriptor(channels=1), (0,), True)
        hops = _listen(conditioner, spoilt, PULSES_MS)
        assert conditioner.late_pulses == 0
    stimulated = [hop for hop in hops if 600e6 < hop.t_ns < 3500e6]
    share = np.mean([hop.good.mean() for hop in stimulated])
    assert 0.25 < share < 0.45
    assert all(hop.invalid.max() == 0 for hop in stimulated)
    # The ends of a bridge are samples of noise, which costs some; untreated it would be tens of times as high.
    assert _rms(stimulated) == pytest.approx(expected, rel=0.2)
    untreated = Conditioner(ConditioningSettings(), kit.descriptor(channels=1), (0,), False)
    assert _rms(_listen(untreated, spoilt[:, :1], PULSES_MS)) > 10 * expected


def test_a_recording_of_somebody_else_is_not_blanked(kit: SimpleNamespace) -> None:
    raw = _stimulated_emg([])
    hops = _listen(Conditioner(ConditioningSettings(), kit.descriptor(channels=1), (0,), False), raw, PULSES_MS)
    assert not any(hop.blanked for hop in hops)
    # Nor does it wait: the newest hop is there at once.
    assert hops[-1].t_ns == len(raw) // 20 * TICK_NS


def test_news_of_a_pulse_that_comes_too_late_is_counted_and_the_filter_settles(kit: SimpleNamespace) -> None:
    conditioner = Conditioner(ConditioningSettings(), kit.descriptor(channels=1), (0,), True)
    hops = _listen(conditioner, _stimulated_emg([500.0], 1.0), [500.0], told_after_ms=80.0)
    assert conditioner.late_pulses == 1
    after = [hop for hop in hops if 580e6 < hop.t_ns <= 640e6]
    assert not any(hop.good.any() for hop in after)


def test_settings_out_of_range_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"after_ms is -1.0, allowed is 0 to 1000"):
        ArtifactSettings(after_ms=-1.0)
