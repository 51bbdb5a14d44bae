"""Estimates over people and sessions, each with its interval and the name of the method that made it.

The mixed model of an outcome y of person i at session t (t = 0 at baseline) is

``y_it = a + b t + c t [i in the test arm] + u_i + v_i t + e_it``

with u and v normal (REML). Both arms have one mean at baseline, as randomisation has it: the model is adjusted for
baseline by that constraint (Liang and Zeger 2000), and a person whose baseline is missing still counts. The effect is
``c`` times the last session's t. Counts per time have the same equation on the log scale, by generalised estimating
equations with exchangeable correlation and Mancl and DeRouen's covariance for few clusters.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

Floats = npt.NDArray[np.float64]

_MIXED = (
    "linear mixed model, {random} by person, REML, baseline constrained equal between arms; Wald interval, Student's t "
    "with {df} d.f. (people less {lost})"
)
_COUNTS = (
    "Poisson generalised estimating equations, log link, exchangeable by person, Mancl-DeRouen covariance, baseline "
    "constrained equal between arms; Wald interval, Student's t with {df} d.f. (people less {lost})"
)
_MEAN = "mean of people's means; Student's t with {df} d.f."
_TWO_STAGE = "each person's least-squares slope, then {test}; Student's t with {df} d.f."
#: A variance smaller than so much of the residual one is at zero.
_BOUNDARY = 1e-4
_RANDOM = {"intercept": "intercept", "intercept_and_slope": "intercept and slope"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimated:
    """One estimate.

    Attributes
    ----------
    value, low, high
        On the model's scale; None where it could not be estimated, which `why` says.
    p
        Two-sided, of no effect.
    people, sessions
        It rests on.
    note
        What happened while it was fitted, empty if nothing.
    curve
        The model's mean over sessions: 1 for the test arm (0: the reference, or everybody), t, mean, low, high.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    error: float | None = None
    p: float | None = None
    people: int = 0
    sessions: int = 0
    method: str = ""
    note: str = ""
    why: str = ""
    curve: tuple[tuple[int, float, float, float, float], ...] = ()

    def times(self, factor: float) -> Estimated:
        """The same of something that is so many times as large."""
        if self.value is None or self.low is None or self.high is None or self.error is None:
            return self
        ends = sorted((self.low * factor, self.high * factor))
        return replace(self, value=self.value * factor, low=ends[0], high=ends[1], error=self.error * abs(factor))


def not_estimated(why: str, data: pd.DataFrame | None = None) -> Estimated:
    """Say why there is none."""
    people, sessions = _counts(data) if data is not None else (0, 0)
    return Estimated(value=None, why=why, people=people, sessions=sessions)


def arms_effect(data: pd.DataFrame, level: float, random: str, covariates: tuple[str, ...] = ()) -> Estimated:
    """Difference between the arms' changes per session.

    Parameters
    ----------
    data
        Columns ``person``, ``t``, ``y`` and ``test`` (1 in the test arm), and the covariates as numbers or names.
    """
    both = data.groupby("test")["person"].nunique() if len(data) else pd.Series(dtype=int)
    if len(both) < 2 or both.min() < 2:
        return not_estimated("fewer than two people with data in an arm", data)
    columns = {"1": 1.0, "t": data["t"], "test": data["t"] * data["test"], **_dummies(data, covariates)}
    return _mixed(data, columns, "test", level, random)


def rate_effect(data: pd.DataFrame, level: float, covariates: tuple[str, ...] = ()) -> Estimated:
    """The same of rates, as the logarithm of a ratio per session."""
    both = data.groupby("test")["person"].nunique() if len(data) else pd.Series(dtype=int)
    if len(both) < 2 or both.min() < 2:
        return not_estimated("fewer than two people with data in an arm", data)
    columns = {"1": 1.0, "t": data["t"], "test": data["t"] * data["test"], **_dummies(data, covariates)}
    return _counted(data, columns, "test", level)


def trend(data: pd.DataFrame, level: float, random: str, scale: str) -> Estimated:
    """Change per session of everybody in `data`."""
    if not len(data) or data["person"].nunique() < 3:
        return not_estimated("fewer than three people with data", data)
    if data["t"].nunique() < 2:
        return not_estimated("one session alone has no trend", data)
    columns = {"1": 1.0, "t": data["t"]}
    if scale == "rate":
        return _counted(data, columns, "t", level)
    return _mixed(data, columns, "t", level, random)


def mean_of_people(data: pd.DataFrame, level: float) -> Estimated:
    """Mean over people of each one's mean over sessions."""
    means = data.groupby("person")["y"].mean() if len(data) else pd.Series(dtype=float)
    if len(means) < 2:
        return not_estimated("fewer than two people with data", data)
    return _t(means.to_numpy(), level, _MEAN, data)


def two_stage(data: pd.DataFrame, level: float) -> Estimated:
    """Each person's own slope, then Welch's test between arms (or a mean, where there is one): no mixed model."""
    slopes = [
        (int(rows["test"].iloc[0]), float(np.polyfit(rows["t"], rows["y"], 1)[0]))
        for _, rows in data.groupby("person")
        if rows["t"].nunique() >= 2
    ]
    test, reference = (np.array([each for arm, each in slopes if arm == which]) for which in (1, 0))
    if min(len(test), len(reference)) < 2:
        return not_estimated("fewer than two people with two sessions in an arm", data)
    errors = [float(np.var(each, ddof=1)) / len(each) for each in (test, reference)]
    value, error = float(test.mean() - reference.mean()), math.sqrt(sum(errors))
    if error == 0.0:
        return not_estimated("no scatter between people", data)
    parts = [each**2 / (len(arm) - 1) for each, arm in zip(errors, (test, reference), strict=True)]
    df = sum(errors) ** 2 / sum(parts)
    return _wald(value, error, df, level, _TWO_STAGE.format(test="Welch's comparison", df=f"{df:.1f}"), data)


def slope_on_dose(people: pd.DataFrame, level: float) -> Estimated:
    """Change of the outcome per unit of dose, within arms where there are two: least squares over people.

    Parameters
    ----------
    people
        Columns ``person``, ``dose``, ``change``, and ``test``.
    """
    columns = {"1": np.ones(len(people)), "dose": people["dose"]}
    if len(people) and people["test"].nunique() == 2:
        columns["arm"] = people["test"]
    design = pd.DataFrame(columns).astype(float)
    df = len(people) - len(columns)
    within = people["dose"] - people.groupby("test")["dose"].transform("mean") if len(people) else people
    if df < 2 or float(np.abs(within).max()) < 1e-9:
        return not_estimated("too few people, or no difference of dose within an arm", people)
    import statsmodels.api as sm

    fit = sm.OLS(people["change"].astype(float), design).fit()
    held = ", arm held constant" if "arm" in columns else ""
    return _wald(
        float(fit.params["dose"]), float(fit.bse["dose"]), df, level,
        f"ordinary least squares over people{held}; Student's t with {df} d.f.", people,
    )  # fmt: skip


def at_last(data: pd.DataFrame, last_t: float, level: float) -> Estimated:
    """Analysis of covariance at the last session: difference between arms, baseline held constant."""
    base = data[data["t"] == 0].set_index("person")["y"]
    end = data[data["t"] == last_t].set_index("person")
    both = end.join(base.rename("base"), how="inner").reset_index()
    if len(both) < 5 or both["test"].nunique() < 2:
        return not_estimated("fewer than five people with first and last session", both)
    import statsmodels.api as sm

    design = pd.DataFrame({"1": 1.0, "base": both["base"], "test": both["test"]}).astype(float)
    fit = sm.OLS(both["y"].astype(float), design).fit()
    df = len(both) - 3
    method = f"analysis of covariance of the last session on baseline; Student's t with {df} d.f."
    return _wald(float(fit.params["test"]), float(fit.bse["test"]), df, level, method, both)


def _mixed(data: pd.DataFrame, columns: dict[str, Any], of: str, level: float, random: str) -> Estimated:
    from statsmodels.regression.mixed_linear_model import MixedLM

    frame = data.reset_index(drop=True)
    design = pd.DataFrame({name: _column(each, len(frame)) for name, each in columns.items()})
    y = frame["y"].astype(float).to_numpy()
    spread = float(np.std(y))
    if spread == 0.0:
        return not_estimated("every value is the same", data)
    effects = {"intercept": ("1",), "intercept_and_slope": ("1", "t")}[random]
    for tried in dict.fromkeys((effects, ("1",))):
        # Units of one: the optimiser's steps are absolute.
        model = MixedLM(y / spread, design, groups=frame["person"], exog_re=design[list(tried)])
        fit = _fitted(model)
        if fit is None:
            continue
        beta, cov = fit.fe_params.to_numpy() * spread, _fixed_cov(model, fit) * spread**2
        place = list(design.columns).index(of)
        value, variance = float(beta[place]), float(cov[place, place])
        if math.isfinite(value) and math.isfinite(variance) and variance > 0:
            lost = len(columns) - 1
            df = max(1, frame["person"].nunique() - lost)
            used = _RANDOM["intercept" if len(tried) == 1 else "intercept_and_slope"]
            notes = [f"no stable fit with a random {_RANDOM[random]}"] if tried != effects else []
            if float(np.linalg.eigvalsh(fit.cov_re.to_numpy()).min()) < _BOUNDARY * float(fit.scale):
                notes.append("a variance between people is at zero")
            method = _MIXED.format(random=f"random {used}", df=df, lost=lost)
            found = _wald(value, math.sqrt(variance), df, level, method, data)
            return replace(found, note="; ".join(notes), curve=_curve(beta, cov, design, df, level))
    return not_estimated("the mixed model could not be fitted", data)


def _fitted(model: Any) -> Any:
    """The first fit that converges; None where none does."""
    for method in ("lbfgs", "powell"):
        with warnings.catch_warnings():
            # What it warns of is asked for itself: convergence here, a variance at its boundary by its caller.
            warnings.simplefilter("ignore")
            try:
                fit = model.fit(reml=True, method=[method], do_cov=False)
            except (np.linalg.LinAlgError, ValueError):
                continue
        if fit.converged and np.isfinite(fit.scale) and fit.scale > 0:
            return fit
    return None


def _fixed_cov(model: Any, fit: Any) -> Floats:
    """Covariance of the fixed effects at the variances that were found: generalised least squares' own.

    Of the variances' own uncertainty, of which statsmodels' Hessian knows and fails at their boundary, the degrees of
    freedom take account.
    """
    information = np.zeros((model.k_fe, model.k_fe))
    for x, z in zip(model.exog_li, model.exog_re_li, strict=True):
        v = z @ fit.cov_re.to_numpy() @ z.T + fit.scale * np.eye(len(x))
        information += x.T @ np.linalg.solve(v, x)
    found: Floats = np.linalg.inv(information)
    return found


def _curve(
    beta: Floats, cov: Floats, design: pd.DataFrame, df: float, level: float
) -> tuple[tuple[int, float, float, float, float], ...]:
    """The fixed effects' mean of each arm at each session, other columns at their own mean."""
    names = list(design.columns)
    reach = float(stats.t.ppf(0.5 + level / 2, df))
    found = []
    for arm in (0, 1) if "test" in names else (0,):
        for t in sorted({float(each) for each in design["t"]}):
            at = {"1": 1.0, "t": t, "test": t * arm}
            row = np.array([at.get(name, float(design[name].mean())) for name in names])
            mean, half = float(row @ beta), reach * math.sqrt(float(row @ cov @ row))
            found.append((arm, t, mean, mean - half, mean + half))
    return tuple(found)


def _counted(data: pd.DataFrame, columns: dict[str, Any], of: str, level: float) -> Estimated:
    import statsmodels.api as sm

    frame = data.reset_index(drop=True)
    if bool((frame["y"] < 0.0).any()) or not frame["y"].any():
        return not_estimated("rates are below zero, or all zero", data)
    design = pd.DataFrame({name: _column(each, len(frame)) for name, each in columns.items()})
    model = sm.GEE(
        frame["y"].astype(float), design, groups=frame["person"], family=sm.families.Poisson(),
        cov_struct=sm.cov_struct.Exchangeable(),
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = model.fit(cov_type="bias_reduced", maxiter=200)
    value, error = float(fit.params[of]), float(fit.bse[of])
    if not (math.isfinite(value) and math.isfinite(error) and error > 0 and fit.converged):
        return not_estimated("the estimating equations did not converge", data)
    lost = len(columns) - 1
    df = max(1, frame["person"].nunique() - lost)
    return _wald(value, error, df, level, _COUNTS.format(df=df, lost=lost), data)


def _column(values: Any, rows: int) -> Floats:
    return np.full(rows, values) if isinstance(values, float) else np.asarray(values, dtype=np.float64)


def _dummies(data: pd.DataFrame, covariates: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in covariates:
        levels = sorted(map(str, data[name].unique()))
        for each in levels[1:]:
            found[f"{name} {each}"] = (data[name].astype(str) == each).astype(float)
    return found


def _t(values: Floats, level: float, method: str, data: pd.DataFrame) -> Estimated:
    df = len(values) - 1
    error = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    if error == 0.0:
        return not_estimated("no scatter between people", data)
    return _wald(float(values.mean()), error, df, level, method.format(df=df), data)


def _wald(value: float, error: float, df: float, level: float, method: str, data: pd.DataFrame) -> Estimated:
    reach = float(stats.t.ppf(0.5 + level / 2, df)) * error
    p = 2.0 * float(stats.t.sf(abs(value) / error, df))
    people, sessions = _counts(data)
    return Estimated(
        value=value, low=value - reach, high=value + reach, error=error, p=p, people=people, sessions=sessions,
        method=method,
    )  # fmt: skip


def _counts(data: pd.DataFrame) -> tuple[int, int]:
    """People and sessions."""
    return (int(data["person"].nunique()) if len(data) else 0), len(data)
