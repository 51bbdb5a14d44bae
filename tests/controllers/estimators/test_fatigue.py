"""Fatigue from the spectrum, contraction by contraction."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import butter, sosfilt

from myoloop.controllers.choice import Choice
from myoloop.controllers.controller import Controller
from myoloop.controllers.estimators.fatigue import BAND_SENSITIVITY, SpectrumSettings, fatigue_of_frequency, fuse
from myoloop.controllers.settings import EmgSource
from myoloop.platform.messages import Measure, MuscleEstimate, Samples
from myoloop.platform.steps import StepInput

GOLDEN = json.loads((Path(__file__).parents[2] / "data" / "features_golden.json").read_text())


def test_the_band_sensitivity_is_the_exact_one_of_20_to_450_hz() -> None:
    ratio = GOLDEN["ratio_for_20pct_CV_loss_vs_band_exact"]["20-450"]["MNF"]
    assert pytest.approx(math.log(ratio) / math.log(0.8), abs=5e-4) == BAND_SENSITIVITY


@pytest.mark.parametrize(("velocity", "fatigue"), [(1.0, 0.0), (0.8, 0.4), (0.7, 0.6), (0.5, 1.0), (1.1, 0.0)])
def test_thirty_percent_of_conduction_velocity_are_a_fatigue_of_six_tenths(velocity: float, fatigue: float) -> None:
    measure = fatigue_of_frequency(BAND_SENSITIVITY * math.log(velocity), 0.02)
    assert measure.value == pytest.approx(fatigue, abs=1e-9)
    assert measure.valid
    assert measure.low < measure.value + 1e-9 < measure.high + 0.25


def _contractions(
    kit: SimpleNamespace,
    velocities: list[float],
    *,
    rate_hz: float = 2000.0,
    work_s: float = 3.0,
    rest_after_s: float = 1.0,
    seed: int = 1,
    **settings: Any,
) -> MuscleEstimate:
    """Contractions of 3 s with 2 s of rest between, asked for, heard by a controller; what it knows at the end."""
    rng = np.random.default_rng(seed)
    hop = round(rate_hz / 100)
    source = EmgSource(descriptor=kit.descriptor(rate_hz), stimulated=False)
    controller = Controller(kit.settings(emg=(source,), effort_muscles=("agonist",), **settings))
    pieces = []
    for velocity in velocities:
        n = round(work_s * rate_hz)
        sos = butter(2, np.array([40, 130]) * velocity, btype="bandpass", fs=rate_hz, output="sos")
        shaped = sosfilt(sos, rng.standard_normal(n))
        pieces += [4 * rng.standard_normal(round(2 * rate_hz)), 100 * shaped / shaped.std()]
    pieces.append(4 * rng.standard_normal(round(rest_after_s * rate_hz)))
    raw = np.round(np.concatenate(pieces))[:, None] * np.array([[1.0, 0.0]])
    raw[:, 1] = np.round(4 * rng.standard_normal(len(raw)))
    said = None
    for n in range(len(raw) // hop):
        now_ns = kit.start_ns + (n + 1) * kit.tick_ns
        block = raw[n * hop : (n + 1) * hop].astype("<i2")
        inbox = [kit.received("emg/sim", Samples(first_sample=n * hop, t_ns=now_ns), n, block)]
        if n % 10 == 0:
            asking = n > 150
            inbox.append(
                kit.received("phase", kit.phase(now_ns, "hold" if asking else "rest", t_state_ns=kit.start_ns))
            )
        said = controller.step(StepInput(n + 1, now_ns, inbox))[0].message
    assert said is not None
    return said.muscles[0]


def test_a_planted_slowing_is_found(kit: SimpleNamespace) -> None:
    estimate = _contractions(kit, np.linspace(1.0, 0.8, 10).tolist())
    assert estimate.contractions == 10
    assert estimate.fatigue.valid
    assert estimate.fatigue.value == pytest.approx(0.4, abs=0.15)
    assert estimate.fatigue.low <= 0.4 <= estimate.fatigue.high
    assert estimate.fatigue_emg.value == pytest.approx(estimate.fatigue.value)
    assert 60 < estimate.median_frequency_hz < estimate.mean_frequency_hz < 100


def test_a_muscle_that_does_not_tire_does_not_seem_to(kit: SimpleNamespace) -> None:
    estimate = _contractions(kit, [1.0] * 8, seed=2)
    assert estimate.fatigue.value < 0.15
    assert estimate.fatigue.low == 0.0


def test_few_or_short_contractions_are_not_enough_evidence(kit: SimpleNamespace) -> None:
    few = _contractions(kit, [1.0] * 3)
    assert not few.fatigue.valid
    assert "not enough evidence: 3 of 4" in few.fatigue.reason
    assert "not enough evidence: 0 of 4" in _contractions(kit, [1.0] * 5, work_s=1.2).fatigue_emg.reason


def test_below_1_khz_it_says_that_it_cannot(kit: SimpleNamespace) -> None:
    estimate = _contractions(kit, [1.0] * 5, rate_hz=500.0)
    assert not estimate.fatigue_emg.valid
    assert "500 samples/s" in estimate.fatigue_emg.reason
    assert estimate.median_frequency_hz is None


def test_an_old_contraction_says_nothing_of_now(kit: SimpleNamespace) -> None:
    estimators = (Choice(name="adaptive_burst"), Choice(name="contraction_spectrum", settings={"stale_s": 3.0}))
    fresh = _contractions(kit, [1.0] * 4, estimators=estimators)
    stale = _contractions(kit, [1.0] * 4, estimators=estimators, rest_after_s=4.0)
    assert fresh.fatigue.valid
    assert not stale.fatigue.valid
    assert "no steady contraction for 3 s" in stale.fatigue.reason
    assert stale.contractions == 4


def test_settings_that_say_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 3"):
        SpectrumSettings(contractions_min=2)
    with pytest.raises(ValueError, match="segment_s is 5"):
        SpectrumSettings(segment_s=5.0)


spread = st.floats(0.01, 0.5)


@given(st.floats(0.0, 1.0), spread, st.floats(0.0, 1.0), spread)
def test_fused_is_between_its_terms_nearer_to_the_surer_and_wide_where_they_disagree(
    a: float, sa: float, b: float, sb: float
) -> None:
    def term(value: float, sd: float) -> Measure:
        return Measure(value=value, low=value - 1.96 * sd, high=value + 1.96 * sd, valid=True, reason="")

    fused = fuse(term(a, sa), term(b, sb))
    assert min(a, b) - 1e-9 <= fused.value <= max(a, b) + 1e-9
    assert 0 <= fused.low <= fused.value + 1e-9
    assert fused.value <= fused.high + 1e-9 <= 1 + 2e-9
    if abs(sa - sb) > 1e-6 and a != b:
        assert (abs(fused.value - a) <= abs(fused.value - b) + 1e-9) == (sa < sb) or abs(a - b) < 1e-9
    if abs(a - b) > 4 * max(sa, sb) and min(a, b) > 0.2 and max(a, b) < 0.8:
        assert fused.high - fused.low > 2 * 1.96 / math.sqrt(sa**-2 + sb**-2)


def test_one_term_alone_is_told_as_it_is_and_none_with_both_reasons() -> None:
    one = Measure(value=0.3, low=0.1, high=0.5, valid=True, reason="")
    none = Measure(reason="no IMU")
    assert fuse(one, none).value == pytest.approx(0.3)
    assert fuse(none, one).low == pytest.approx(0.1)
    nothing = fuse(Measure(reason="not enough evidence"), none)
    assert not nothing.valid
    assert nothing.reason == "not enough evidence; no IMU"
