"""The artifact: its edges, what other channels get, and the way back from the rail."""

import numpy as np
import pytest

from myoloop.experiments.subjects.stimulus_artifact import (
    ArtifactModel,
    ArtifactParameters,
    artifact,
    artifact_peak,
    edges_last_s,
)

T_S = np.arange(0.0, 0.1, 1e-5)
RAIL_V = np.full(2, 5.5e-3)


def model(**parameters):
    own = ArtifactParameters(**parameters)
    return ArtifactModel(own, np.array([1.0, own.artifact_crosstalk]), RAIL_V)


def left(current_ma, phase_s=250e-6, **parameters):
    made = model(**parameters)
    return made.left_v(T_S, current_ma, phase_s, made.overdrive_v(current_ma, phase_s))


@pytest.mark.parametrize("current_ma", [5.0, 20.0, 40.0])
def test_without_saturation_it_is_gone_after_4_ms(current_ma):
    assert np.abs(left(current_ma)[T_S > 0.004]).max() < 2e-6


def test_it_is_biphasic_and_grows_with_the_current():
    x = artifact(T_S, 250e-6)
    assert x.max() > 0.3
    assert x.min() < -0.3
    assert np.allclose(left(20.0), 2 * left(10.0))


def test_of_a_long_phase_only_the_edge_is_seen():
    assert np.array_equal(artifact(T_S, 0.5), artifact(T_S, 1e-3))


@pytest.mark.parametrize("phase_s", [50e-6, 250e-6, 1e-3])
def test_nothing_of_the_edges_is_left_after_the_time_they_last(phase_s):
    x = artifact(T_S, phase_s)
    assert np.abs(x).max() == pytest.approx(artifact_peak(phase_s), rel=0.06)
    assert np.abs(x[edges_last_s(phase_s) < T_S]).max() < 2e-6


def test_the_other_muscles_channels_get_their_share():
    x = left(20.0, artifact_mv_per_ma=0.05, artifact_crosstalk=0.1)
    assert np.allclose(x[:, 1], 0.1 * x[:, 0])


@pytest.mark.parametrize("recovery_ms", [2.0, 8.0])
def test_after_saturation_the_base_line_recovers_exponentially(recovery_ms):
    parameters = {"artifact_recovery_share": 0.1, "artifact_recovery_ms": recovery_ms}
    x = left(30.0, **parameters)[:, 0] - left(30.0)[:, 0]
    beyond_v = 30 * 0.4e-3 * artifact_peak(250e-6) - 5.5e-3
    after = (T_S > 0.0006) & (T_S < 0.02)
    assert beyond_v > 1e-3
    expected = -0.1 * beyond_v * np.exp(-(T_S[after] - 0.0005) / (recovery_ms * 1e-3))
    assert x[after] == pytest.approx(expected, rel=1e-6)
    made = model(**parameters)
    ends_s = made.lasts_s(250e-6, overdriven=True)
    assert np.abs(x[ends_s < T_S]).max(initial=0.0) < 2e-6


def test_a_channel_that_does_not_saturate_does_not_recover():
    x = left(30.0, artifact_recovery_share=0.1, artifact_crosstalk=0.1)
    assert np.allclose(x[:, 1], left(30.0, artifact_crosstalk=0.1)[:, 1])
    assert model(artifact_recovery_share=0.1).overdrive_v(5.0, 250e-6) is None


def test_the_base_line_is_never_off_by_more_than_the_rail():
    x = left(120.0, artifact_mv_per_ma=5.0, artifact_recovery_share=1.0)[:, 0]
    assert x[T_S > 0.006].min() >= -5.5e-3
