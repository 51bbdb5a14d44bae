"""Around the trigger: the mean EMG of each muscle with its interval, and how long the person took."""

from __future__ import annotations

import numpy as np

from myoloop.experiments.analysis.envelope import WINDOW_S, emg_envelope
from myoloop.experiments.analysis.session import Session
from myoloop.experiments.analysis.tracks import Floats
from myoloop.experiments.reports.drawing import (
    BLUE,
    GREY,
    INK,
    WIDTH_IN,
    Drawn,
    Source,
    put_stamp,
    said_simulated,
    to_svg,
)

#: So much before the trigger and after it.
AROUND_S = (-1.0, 1.0)
STEP_S = 0.02
#: With fewer there is no interval of a mean.
TRIGGERS_MIN = 3
_MOST = 4


def trigger(session: Session, stamp: str) -> Drawn | None:
    """The figure; None where no trial was begun by an effort."""
    rows = [
        (trigger_s, trial.values.get("effort_after_ms"))
        for trial, (_, trigger_s, _) in zip(session.trials, session.trial_times_s, strict=True)
        if trial.kind == "block" and trial.outcome == "effort" and trigger_s is not None
    ]
    if not rows:
        return None
    at_s = np.array([t_s for t_s, _ in rows])
    latency_ms = [float(ms) for _, ms in rows if isinstance(ms, int | float) and not isinstance(ms, bool)]
    sites = session.sites[:_MOST]
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH_IN, 2.7), layout="constrained")
    axes = figure.subplots(1, len(sites) + 1, squeeze=False)[0]
    source = Source(said_simulated(session))
    pulses_s = np.concatenate([track.t_s for track in session.delivered().values()] or [np.empty(0)])
    for axis, site in zip(axes, sites, strict=False):
        grid, rows_uv = around(*emg_envelope(session.samples[site.topic], site.channel, pulses_s), at_s)
        axis.plot(grid, rows_uv.T, color=GREY, linewidth=0.4, alpha=0.6)
        mean, low, high = mean_interval(rows_uv)
        axis.plot(grid, mean, color=BLUE, linewidth=1.5)
        axis.fill_between(grid, low, high, color=BLUE, alpha=0.25, linewidth=0)
        axis.axvline(0.0, color=INK, linewidth=0.8, linestyle="--")
        axis.set_title(site.muscle, pad=3)
        axis.set_xlabel("time from trigger (s)")
        axis.set_ylabel("EMG (µV RMS)")
        axis.set_ylim(bottom=0)
        for name, values in (("mean", mean), ("low (95 %)", low), ("high (95 %)", high)):
            source.line(f"EMG around the trigger, {name}", site.muscle, grid, values, "uV RMS")
    axis = axes[-1]
    if latency_ms:
        axis.hist(latency_ms, bins=min(20, max(5, len(latency_ms) // 2)), color=BLUE, edgecolor="white", linewidth=0.6)
        axis.plot(latency_ms, np.full(len(latency_ms), -0.15), marker="|", color=INK, linestyle="none", clip_on=False)
        source.line("latency of the effort", "", range(1, len(latency_ms) + 1), latency_ms, "ms")
    axis.set_title("Latency of the effort", pad=3)
    axis.set_xlabel("time from the trial's begin (ms)")
    axis.set_ylabel("trials")
    put_stamp(figure, stamp)
    caption = (
        f"n = {len(at_s)} triggers by effort in one session. Blue: mean of the EMG envelope (RMS over "
        f"{WINDOW_S * 1e3:.0f} ms, pulses left out) with its 95 % interval over triggers (Student's t; none of fewer "
        f"than {TRIGGERS_MIN}); grey: each trigger. Where stimulation leaves too little of a window the lines break. "
        f"Latency: from the trial's begin, its cue included, to the trigger (n = {len(latency_ms)}); ticks: each trial."
    )
    return Drawn("trigger", "Around the trigger", caption, to_svg(figure), source.csv())


def around(t_s: Floats, values: Floats, at_s: Floats) -> tuple[Floats, Floats]:
    """The values about each moment: the grid (n_steps,) and rows (n_moments, n_steps); NaN where nothing is known."""
    grid = np.arange(AROUND_S[0], AROUND_S[1] + STEP_S / 2, STEP_S)
    rows = np.full((len(at_s), len(grid)), np.nan)
    if len(t_s) < 2:
        return grid, rows
    step_s = float(np.median(np.diff(t_s)))
    for row, moment in zip(rows, at_s, strict=True):
        nearest = np.clip(np.searchsorted(t_s, moment + grid), 0, len(t_s) - 1)
        near = np.abs(t_s[nearest] - moment - grid) <= max(step_s, STEP_S)
        row[near] = values[nearest[near]]
    return grid, rows


def mean_interval(rows: Floats) -> tuple[Floats, Floats, Floats]:
    """Mean over rows with its 95 % interval; no interval of fewer than `TRIGGERS_MIN` values."""
    from scipy.stats import t as student

    n = np.isfinite(rows).sum(axis=0)
    total = np.nansum(rows, axis=0)
    mean = np.where(n > 0, total / np.maximum(n, 1), np.nan)
    spread = np.sqrt(np.nansum((rows - mean) ** 2, axis=0) / np.maximum(n - 1, 1))
    reach = student.ppf(0.975, np.maximum(n - 1, 1)) * spread / np.sqrt(np.maximum(n, 1))
    reach = np.where(n >= TRIGGERS_MIN, reach, np.nan)
    return mean, mean - reach, mean + reach
