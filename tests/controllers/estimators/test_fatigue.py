"""Fatigue from the spectrum, contraction by contraction."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.signal import butter, sosfilt

from myoloop.controllers.choice import Choice
from myoloop.controllers.controller import Controller
from myoloop.controllers.estimators.contractions import BAND_SENSITIVITY, fatigue_of_frequency, tires
from myoloop.controllers.estimators.estimator import Heard, Setup, Situation
from myoloop.controllers.estimators.fatigue import ContractionSpectrum, SpectrumSettings
from myoloop.controllers.settings import EmgSource
from myoloop.platform.messages import MuscleEstimate, Samples
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


RATE_HZ, HOP = 2000.0, 20


def _estimator(muscles: int = 2, **settings: Any) -> ContractionSpectrum:
    names = tuple(f"m{k}" for k in range(muscles))
    setup = Setup(
        muscles=names, rate_hz=RATE_HZ, hop_samples=HOP, stimulated=False, effort_muscles=np.ones(muscles, dtype=bool)
    )
    return ContractionSpectrum(SpectrumSettings(**settings), setup)


class _Ear:
    """What a muscle group would lend an estimator: contractions of 3 s every 5 s, rest of RMS 5 between, in µV."""

    def __init__(
        self, seconds: float, *, seed: int = 1, noise_uv: float = 5.0, rest_uv: float = 5.0, fall: float = 0.0
    ) -> None:
        self.rest = np.full(2, np.log(rest_uv))
        rng = np.random.default_rng(seed)
        n = round(seconds * RATE_HZ)
        self.emg = noise_uv * rng.standard_normal((n, 2))
        self.work = np.zeros(n // HOP, dtype=bool)
        for k, begin_s in enumerate(np.arange(2.0, seconds - 3.0, 5.0)):
            at, work = round(begin_s * RATE_HZ), round(3 * RATE_HZ)
            sos = butter(2, np.array([40, 130]) * (1 - fall * k), btype="bandpass", fs=RATE_HZ, output="sos")
            shaped = sosfilt(sos, rng.standard_normal((work, 2)), axis=0)
            self.emg[at : at + work] += 100.0 * shaped / shaped.std()
            # Noticed 100 ms after it began and 200 ms after it ended.
            self.work[at // HOP + 10 : (at + work) // HOP + 20] = True
        self.good = np.ones(self.emg.shape, dtype=bool)
        self.lost = np.zeros(n // HOP, dtype=np.int64)

    def tell(self, estimator: ContractionSpectrum, hops: range | None = None) -> list[Any]:
        told = []
        everywhere, nowhere = np.ones(2, dtype=bool), np.zeros(2, dtype=bool)
        rest, sigma = self.rest, np.full(2, 0.1)
        for n in hops or range(len(self.work)):
            end = (n + 1) * HOP
            recent, good = self.emg[max(0, end - 2000) : end], self.good[max(0, end - 2000) : end]
            if len(recent) < 2000:
                missing = 2000 - len(recent)
                recent = np.concatenate([np.zeros((missing, 2)), recent])
                good = np.concatenate([np.zeros((missing, 2), dtype=bool), good])
            now, before = self.work[n], n > 0 and self.work[n - 1]
            share = good[-HOP:].mean(axis=0)
            t_ns = (n + 1) * 10_000_000
            estimator.hear(
                Heard(
                    t_ns, recent[-HOP:], good[-HOP:], recent, good, False, int(self.lost[n]), rest, rest, share, share,
                    rest, sigma, rest, sigma, everywhere, np.exp(rest), share, everywhere if now else nowhere,
                    everywhere if now and not before else nowhere, everywhere if before and not now else nowhere,
                    nowhere,
                ),
                Situation(t_ns),
            )  # fmt: skip
            told.append({name: list(values) for name, values in estimator.fields(t_ns).items()})
        return told


def test_slope_and_quadrant_go_with_the_index(kit: SimpleNamespace) -> None:
    estimate = _contractions(kit, np.linspace(1.0, 0.8, 10).tolist())
    slope = estimate.frequency_slope_pct_per_min
    assert slope.valid
    # 20 % of the velocity in 9 x 5 s; the band lets 0.83 of that through.
    assert slope.low < 100 * (0.8**BAND_SENSITIVITY - 1) / 0.75 < slope.high
    assert tires(slope)
    assert estimate.jasa in ("fatigue", "undetermined", "force decrease")
    few = _contractions(kit, [1.0] * 4)
    assert not few.frequency_slope_pct_per_min.valid
    assert few.jasa == ""


def test_a_restored_estimator_goes_on_bit_for_bit() -> None:
    ear = _Ear(45.0, fall=0.02)
    whole, first, second = _estimator(), _estimator(), _estimator()
    everything = ear.tell(whole)
    # In the middle of a contraction, with segments that wait and a spectrum of rest.
    cut = 2360
    assert ear.work[cut]
    begun = ear.tell(first, range(cut))
    second.restore(json.loads(json.dumps(first.state())))
    assert begun + ear.tell(second, range(cut, len(ear.work))) == everything
    assert everything[-1]["frequency_slope_pct_per_min"][0].valid


def test_the_noise_of_rest_does_not_raise_the_frequency() -> None:
    told = {}
    # Where rest is held to be quieter than it is, nothing of it is believed to be rest.
    for name, noise_uv, rest_uv in (("clean", 0.5, 0.5), ("known", 25.0, 25.0), ("unknown", 25.0, 5.0)):
        estimator = _estimator()
        _Ear(30.0, noise_uv=noise_uv, rest_uv=rest_uv).tell(estimator)
        told[name] = float(np.mean([math.exp(p.log_mnf) for p in estimator.contractions(0)]))
    assert told["unknown"] > 1.03 * told["clean"]
    assert told["known"] == pytest.approx(told["clean"], rel=0.015)


def test_an_electrode_that_was_off_begins_a_new_row_and_says_so() -> None:
    ear = _Ear(75.0, fall=0.02)
    ear.good[round(44.0 * RATE_HZ) : round(46.5 * RATE_HZ), 0] = False
    estimator = _estimator()
    told = ear.tell(estimator)
    before, after = told[4390], told[5100]
    assert before["fatigue_emg"][0].valid
    assert before["fatigue_emg"][0].value > 0.1
    assert not after["fatigue_emg"][0].valid
    assert after["fatigue_emg"][0].reason.startswith("not enough evidence: 1 of 4 steady contractions since electrode")
    assert after["jasa"][0] == ""
    assert after["fatigue_emg"][1].valid
    # It goes on from where it was, and does not exclude that the muscle has recovered meanwhile.
    last = told[-1]["fatigue_emg"][0]
    assert last.valid
    assert last.value >= before["fatigue_emg"][0].value - 0.1
    alone = ear.tell(_estimator(), range(4600, len(ear.work)))[-1]["fatigue_emg"][0]
    assert last.low <= alone.value + 0.02
    # The contraction in which it came off does not count.
    assert told[-1]["contractions"][0] == told[-1]["contractions"][1] - 1


def test_a_long_gap_begins_a_new_row_and_a_short_one_does_not() -> None:
    for lost, reason in ((100, ""), (1500, "since a gap of 15 s in the EMG")):
        ear = _Ear(40.0)
        ear.lost[2600] = lost
        told = ear.tell(_estimator())
        measure = told[3600]["fatigue_emg"][0]
        assert measure.valid == (not reason)
        assert reason in measure.reason


def test_samples_at_the_rail_are_noted() -> None:
    ear = _Ear(30.0)
    estimator = _estimator()
    ear.good[::50, 1] = False
    ear.tell(estimator)
    assert [p.invalid_share > 0.01 for p in estimator.contractions(0)] == [False] * 5
    assert [p.invalid_share > 0.01 for p in estimator.contractions(1)] == [True] * 5
    found = estimator.course(1)
    assert found is not None
    assert found.clipped
    assert estimator.baseline(1) is not None


def test_settings_that_say_nothing_are_refused() -> None:
    for wrong, words in (
        ({"slope_contractions_min": 4}, "slope_contractions_min is 4"),
        ({"trim_s": 0.0}, "trim_s is 0.0, allowed is 0.1 to 2 s"),
        ({"stale_s": 0.0}, "stale_s is 0.0"),
        ({"pause_s": float("nan")}, "pause_s is nan"),
        ({"invalid_share_max": 1.0}, "invalid_share_max is 1.0"),
    ):
        with pytest.raises(ValueError, match=words):
            SpectrumSettings(**wrong)
    with pytest.raises(ValueError, match="band_hz reaches 950 Hz, allowed is at most 900 Hz"):
        _estimator(band_hz=(20.0, 950.0))
    with pytest.raises(ValueError, match="200 samples is too short for a band from 5 Hz"):
        _estimator(segment_s=0.1, band_hz=(5.0, 400.0))
    with pytest.raises(ValueError, match="at least 3"):
        SpectrumSettings(contractions_min=2)
    with pytest.raises(ValueError, match="segment_s is 5"):
        SpectrumSettings(segment_s=5.0)
