"""Estimates over people and sessions, each with its interval and the name of the method that made it.

The mixed model of an outcome y of person i at session t (t = 0 at baseline) is

``y_it = a + b t + c t [i in the test arm] + u_i + v_i t + e_it``

with u and v normal (REML). Both arms have one mean at baseline, as randomisation has it: the model is adjusted for
baseline by that constraint (Liang and Zeger 2000), and a person whose baseline is missing still counts. The effect is
``c`` times the last session's t. Counts per time have the same equation on the log scale, by generalised estimating
equations with exchangeable correlation and Mancl and DeRouen's covariance for few clusters; each session counts by the
time in which it could tell, whose logarithm is an offset.

Data frames have a row for each person and session: ``person``, ``t``, ``y``, ``test`` (1 in the test arm), covariates
by their names. ``told_min`` is the time that a rate is of; rows that are ``filled`` in were never recorded.
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
    "Poisson generalised estimating equations, log link, {weighed}, exchangeable by person, Mancl-DeRouen covariance, "
    "baseline constrained equal between arms; Wald interval, Student's t with {df} d.f. (people less {lost})"
)
_OFFSET = "offset by the minutes in which it could be told"
_UNWEIGHED = "every session the same weight (how long it could be told is not known of all)"
_MEAN = "mean of people's means; Student's t with {df} d.f."
_GEOMETRIC = "geometric mean of people's geometric means; Student's t of logarithms with {df} d.f."
_TWO_STAGE = "each person's least-squares slope, then {test}; Student's t with {df} d.f."
#: With more of its sessions filled in than so much, an estimate would be of what nobody recorded.
FILLED_MAX_PCT = 50.0
_TOO_MANY = "too few people for the covariates, or they cannot be told apart from each other or the arms"
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
        It rests on; sessions that were recorded.
    filled
        Sessions that a rule for missing data filled in beside them.
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
    filled: int = 0
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
    people, sessions, filled = _counts(data) if data is not None else (0, 0, 0)
    return Estimated(value=None, why=why, people=people, sessions=sessions, filled=filled)


def mostly_filled(data: pd.DataFrame) -> str:
    """Why sessions that were filled in leave nothing to estimate; empty where they do not."""
    if "filled" not in data or not data["filled"].any():
        return ""
    recorded = data[~data["filled"].astype(bool)]
    if recorded.groupby("person").size().max() < 2:
        return "nobody has a second recorded value: all after baseline would be filled in"
    share_pct = 100.0 * (len(data) - len(recorded)) / len(data)
    if share_pct > FILLED_MAX_PCT:
        return f"{share_pct:.0f} % of the sessions would be filled in, allowed are {FILLED_MAX_PCT:g} %"
    return ""


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


def trend(data: pd.DataFrame, level: float, random: str, scale: str, covariates: tuple[str, ...] = ()) -> Estimated:
    """Change per session of everybody in `data`."""
    if not len(data) or data["person"].nunique() < 3:
        return not_estimated("fewer than three people with data", data)
    if data["t"].nunique() < 2:
        return not_estimated("one session alone has no trend", data)
    columns = {"1": 1.0, "t": data["t"], **_dummies(data, covariates)}
    if scale == "rate":
        return _counted(data, columns, "t", level)
    return _mixed(data, columns, "t", level, random)


def mean_of_people(data: pd.DataFrame, level: float, scale: str = "raw") -> Estimated:
    """Mean over people of each one's mean over sessions; of logarithms that of the geometric mean."""
    means = data.groupby("person")["y"].mean() if len(data) else pd.Series(dtype=float)
    if len(means) < 2:
        return not_estimated("fewer than two people with data", data)
    if scale == "log":
        # That a geometric mean is 1 in some unit is no hypothesis.
        return replace(_t(means.to_numpy(), level, _GEOMETRIC, data), p=None)
    return _t(means.to_numpy(), level, _MEAN, data)


def two_stage(data: pd.DataFrame, level: float, covariates: tuple[str, ...] = ()) -> Estimated:
    """Each person's own slope, then Welch's test between arms: no mixed model. With covariates, least squares."""
    rows = [
        {**own.iloc[0].to_dict(), "y": float(np.polyfit(own["t"], own["y"], 1)[0])}
        for _, own in data.groupby("person")
        if own["t"].nunique() >= 2
    ]
    slopes = pd.DataFrame(rows, columns=data.columns)
    test, reference = (slopes.loc[slopes["test"] == which, "y"].to_numpy(np.float64) for which in (1, 0))
    if min(len(test), len(reference)) < 2:
        return not_estimated("fewer than two people with two sessions in an arm", data)
    held = _dummies(slopes, covariates)
    if held:
        method = _TWO_STAGE.format(test="least squares between arms", df="{df:g}")
        return _least_squares(slopes, {"1": 1.0, "test": slopes["test"], **held}, level, method, data)
    errors = [float(np.var(each, ddof=1)) / len(each) for each in (test, reference)]
    value, error = float(test.mean() - reference.mean()), math.sqrt(sum(errors))
    if error == 0.0:
        return not_estimated("no scatter between people", data)
    parts = [each**2 / (len(arm) - 1) for each, arm in zip(errors, (test, reference), strict=True)]
    df = sum(errors) ** 2 / sum(parts)
    return _wald(value, error, df, level, _TWO_STAGE.format(test="Welch's comparison", df=f"{df:.1f}"), data)


def slope_on_dose(people: pd.DataFrame, level: float, covariates: tuple[str, ...] = ()) -> Estimated:
    """Change of the outcome per unit of dose, within arms where there are two: least squares over people.

    Parameters
    ----------
    people
        Columns ``person``, ``dose``, ``change``, and ``test``; covariates by their names.
    """
    columns: dict[str, Any] = {"1": np.ones(len(people)), "dose": people["dose"]}
    if len(people) and people["test"].nunique() == 2:
        columns["arm"] = people["test"]
    columns |= _dummies(people, covariates)
    design = _design(columns, len(people))
    df = len(people) - len(columns)
    within = people["dose"] - people.groupby("test")["dose"].transform("mean") if len(people) else people
    if df < 2 or float(np.abs(within).max()) < 1e-9:
        return not_estimated("too few people, or no difference of dose within an arm", people)
    if not _apart(design):
        return not_estimated(_TOO_MANY, people)
    import statsmodels.api as sm

    fit = sm.OLS(people["change"].to_numpy(np.float64), design).fit()
    held = ", arm held constant" if "arm" in columns else ""
    return _wald(
        float(fit.params["dose"]), float(fit.bse["dose"]), df, level,
        f"ordinary least squares over people{held}; Student's t with {df} d.f.", people,
    )  # fmt: skip


def at_last(data: pd.DataFrame, last_t: float, level: float, covariates: tuple[str, ...] = ()) -> Estimated:
    """Analysis of covariance at the last session: difference between arms, baseline held constant."""
    base = data[data["t"] == 0].set_index("person")["y"]
    end = data[data["t"] == last_t].set_index("person")
    both = end.join(base.rename("base"), how="inner").reset_index()
    if len(both) < 5 or both["test"].nunique() < 2:
        return not_estimated("fewer than five people with first and last session", both)
    columns = {"1": 1.0, "base": both["base"], "test": both["test"], **_dummies(both, covariates)}
    method = "analysis of covariance of the last session on baseline; Student's t with {df:g} d.f."
    return _least_squares(both, columns, level, method, both)


def _least_squares(
    rows: pd.DataFrame, columns: dict[str, Any], level: float, method: str, of: pd.DataFrame
) -> Estimated:
    """Difference between arms of `y`, other columns held constant."""
    import statsmodels.api as sm

    design = _design(columns, len(rows))
    df = len(rows) - design.shape[1]
    if df < 1 or not _apart(design):
        return not_estimated(_TOO_MANY, of)
    fit = sm.OLS(rows["y"].to_numpy(np.float64), design).fit()
    value, error = float(fit.params["test"]), float(fit.bse["test"])
    if not error > 0.0:
        return not_estimated("no scatter between people", of)
    return _wald(value, error, df, level, method.format(df=df), of)


def _mixed(data: pd.DataFrame, columns: dict[str, Any], of: str, level: float, random: str) -> Estimated:
    from statsmodels.regression.mixed_linear_model import MixedLM

    frame = data.reset_index(drop=True)
    design = _design(columns, len(frame))
    if not _apart(design):
        return not_estimated(_TOO_MANY, data)
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
            return replace(
                found, note="; ".join(filter(None, (*notes, found.note))), curve=_curve(beta, cov, design, df, level)
            )
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
    design = _design(columns, len(frame))
    if not _apart(design):
        return not_estimated(_TOO_MANY, data)
    told_min = _column(frame["told_min"], len(frame)) if "told_min" in frame else np.full(len(frame), np.nan)
    known = bool(np.all(np.isfinite(told_min) & (told_min > 0.0)))
    # What was counted, where it is known over how long: a rate of a long rest then weighs more than one of a short one.
    counted = frame["y"].to_numpy(np.float64) * (told_min if known else 1.0)
    model = sm.GEE(
        counted, design, groups=frame["person"], family=sm.families.Poisson(),
        cov_struct=sm.cov_struct.Exchangeable(), offset=np.log(told_min) if known else None,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = model.fit(cov_type="bias_reduced", maxiter=200)
    value, error = float(fit.params[of]), float(fit.bse[of])
    if not (math.isfinite(value) and math.isfinite(error) and error > 0 and fit.converged):
        return not_estimated("the estimating equations did not converge", data)
    lost = len(columns) - 1
    df = max(1, frame["person"].nunique() - lost)
    method = _COUNTS.format(df=df, lost=lost, weighed=_OFFSET if known else _UNWEIGHED)
    return _wald(value, error, df, level, method, data)


def _design(columns: dict[str, Any], rows: int) -> pd.DataFrame:
    return pd.DataFrame({name: _column(each, rows) for name, each in columns.items()})


def _apart(design: pd.DataFrame) -> bool:
    """Whether every column tells something that the others do not."""
    rank = int(np.linalg.matrix_rank(design.to_numpy()))
    return rank == len(design.columns)


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
    people, sessions, filled = _counts(data)
    note = f"{filled} of {sessions + filled} sessions filled in; the interval takes them as recorded" if filled else ""
    return Estimated(
        value=value, low=value - reach, high=value + reach, error=error, p=p, people=people, sessions=sessions,
        filled=filled, method=method, note=note,
    )  # fmt: skip


def _counts(data: pd.DataFrame) -> tuple[int, int, int]:
    """People, sessions that were recorded, sessions that were filled in."""
    filled = int(data["filled"].astype(bool).sum()) if len(data) and "filled" in data else 0
    return (int(data["person"].nunique()) if len(data) else 0), len(data) - filled, filled
