"""The force cell: the muscles' torque at its lever, with noise and an offset that drifts."""

import numpy as np
import pytest

from myoloop.experiments.subjects.force_cell import ForceCell, ForceCellParameters

MS = 1_000_000
EXACT = {"force_noise_n": 0.0, "force_offset_n": 0.0, "force_drift_n": 0.0}


def cell(seed=1, rate_hz=100.0, **parameters):
    return ForceCell(ForceCellParameters(**{**EXACT, **parameters}), np.random.default_rng(seed), rate_hz=rate_hz)


def test_it_reads_the_torque_at_its_lever():
    read = cell(force_lever_m=0.3, rate_hz=1000.0).read([6.0, 3.0], 2 * MS)
    assert read[:, 0] == pytest.approx([20.0, 10.0])
    assert read.dtype == np.float32
    assert read.shape == (2, 1)


def test_by_default_newtons_are_those_of_the_muscles():
    assert cell(rate_hz=1000.0).read([0.04 * 130.0], MS)[0, 0] == pytest.approx(130.0, rel=1e-6)


def test_its_noise_is_half_a_newton():
    made = ForceCell(ForceCellParameters(force_offset_n=0.0, force_drift_n=0.0), np.random.default_rng(1))
    read = made.read([4.0] * 100_000, 100_000 * MS)
    assert len(read) == 10_000
    assert read.mean() == pytest.approx(100.0, abs=0.02)
    assert read.std() == pytest.approx(0.5, rel=0.03)
    lag = np.corrcoef(read[:-1, 0], read[1:, 0])[0, 1]
    assert abs(lag) < 0.03


def test_its_offset_begins_and_drifts_with_the_spread_that_is_given():
    first, after = [], []
    for seed in range(400):
        made = cell(seed, rate_hz=10.0, force_offset_n=2.0, force_drift_n=3.0)
        first.append(made.offset_n)
        read = made.read([0.0] * 60_000, 60_000 * MS)
        after.append(made.offset_n - first[-1])
        assert read[-1, 0] == pytest.approx(made.offset_n, abs=1e-5)
    assert np.std(first) == pytest.approx(2.0, rel=0.1)
    assert np.std(after) == pytest.approx(3.0, rel=0.1)
    assert abs(np.mean(after)) < 0.5


@pytest.mark.parametrize("rate_hz", [1.0, 80.0, 100.0, 1000.0])
def test_it_has_its_own_rate(rate_hz):
    made = cell(rate_hz=rate_hz)
    read = np.vstack([made.read([0.04 * (10 * k + j + 1) for j in range(10)], (k + 1) * 10 * MS) for k in range(200)])
    assert len(read) == round(2.0 * rate_hz)
    assert read[:, 0] == pytest.approx(np.arange(1, len(read) + 1) * 1e3 / rate_hz, abs=0.51)


def test_a_rate_that_cannot_be_is_refused():
    with pytest.raises(ValueError, match="force_rate_hz 2000"):
        cell(rate_hz=2000.0)


def test_no_samples_are_due_is_an_empty_array():
    assert cell(rate_hz=1.0).read([0.0] * 10, 10 * MS).shape == (0, 1)
