"""The small Gaussian process gives what scikit-learn's gives, and finds length scales that are at least as likely."""

from __future__ import annotations

import numpy as np
import pytest

from myoloop.experiments.training.gaussian_process import GaussianProcess, Hyperparameters

OWN = Hyperparameters((0.4, 1.0, 2.5), 0.05, 0.3)


def drawn(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.random((count, 3))
    return x, np.sin(3.0 * x[:, 0]) * x[:, 1] + 0.05 * rng.standard_normal(count)


def oracle(x, y, own, optimizer=None):
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern

    kernel = ConstantKernel(own.variance, "fixed") * Matern(own.lengths, "fixed", nu=2.5)
    return GaussianProcessRegressor(kernel, alpha=own.noise**2, optimizer=optimizer).fit(x, y - y.mean())


@pytest.mark.parametrize("count", [1, 2, 7, 40])
def test_it_says_what_the_oracle_says(count):
    x, y = drawn(1, count)
    asked, _ = drawn(2, 25)
    mean, deviation = GaussianProcess(x, y, hyperparameters=OWN).at(asked)
    expected, spread = oracle(x, y, OWN).predict(asked, return_std=True)
    np.testing.assert_allclose(mean, expected + y.mean(), atol=1e-9)
    np.testing.assert_allclose(deviation, spread, atol=1e-7)


def test_its_likelihood_is_the_oracles():
    x, y = drawn(3, 30)
    found = GaussianProcess(x, y, hyperparameters=OWN).log_likelihood
    assert found == pytest.approx(oracle(x, y, OWN).log_marginal_likelihood_value_, abs=1e-8)


@pytest.mark.parametrize("seed", range(5))
def test_what_it_fits_is_likelier_than_what_it_begins_with(seed):
    x, y = drawn(seed, 30)
    fitted = GaussianProcess(x, y)
    plain = Hyperparameters((1.0, 1.0, 1.0), 0.01, fitted.hyperparameters.variance)
    assert fitted.log_likelihood > GaussianProcess(x, y, hyperparameters=plain).log_likelihood


def test_an_axis_that_tells_nothing_gets_the_longest_scale():
    rng = np.random.default_rng(5)
    x = rng.random((40, 2))
    lengths = GaussianProcess(x, np.sin(6.0 * x[:, 0])).hyperparameters.lengths
    assert lengths[0] < 1.0
    assert lengths[1] == 4.0


def test_the_noise_has_a_floor():
    x, _ = drawn(1, 20)
    assert GaussianProcess(x, x[:, 0], noise_floor=0.03).hyperparameters.noise >= 0.03


def test_the_same_point_may_come_twice_and_is_known_better():
    x = np.array([[0.5, 0.5, 0.5], [0.1, 0.9, 0.3]])
    once = GaussianProcess(x, np.array([1.0, 0.0]), hyperparameters=OWN)
    twice = GaussianProcess(np.vstack([x, x[:1]]), np.array([1.0, 0.0, 1.0]), hyperparameters=OWN)
    assert twice.at(x[:1])[1][0] < once.at(x[:1])[1][0]


@pytest.mark.parametrize(
    ("x", "y"), [([], []), ([[0.0]], [np.nan]), ([[np.inf]], [1.0]), ([[0.0], [1.0]], [1.0])]
)  # fmt: skip
def test_what_is_no_observation_is_refused(x, y):
    with pytest.raises(ValueError, match="as many of each"):
        GaussianProcess(np.array(x, dtype=float).reshape(len(x), 1), np.array(y))
