"""Recruitment: how large a muscle's answer is at each current, by its M-wave or by the force."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from myoloop.experiments.analysis.loopwalk import LoopWalk
from myoloop.experiments.analysis.session import Session
from myoloop.experiments.analysis.tracks import CurrentTrack
from myoloop.experiments.reports.drawing import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    WIDTH_IN,
    Drawn,
    Source,
    put_stamp,
    said_simulated,
    to_svg,
)

_COLOURS = (BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY)
_MARKS = ("o", "s", "^", "D", "v", "P")
#: With fewer currents it is no curve.
CURRENTS_MIN = 3
_MOST = 3


class Answer(NamedTuple):
    """One answer of a muscle."""

    channel: str
    t_s: float
    current_ma: float
    size: float


def answers(session: Session, walked: LoopWalk) -> dict[tuple[str, str], list[Answer]]:
    """By (muscle or response, unit): M-waves at the acknowledged current, and responses of tried settings."""
    found: dict[tuple[str, str], list[Answer]] = {}
    for muscle, waves in walked.mwaves.items():
        for each in waves:
            if each.wave.clipped:
                continue
            channel = each.wave.channel or _only(session.currents)
            track = session.currents.get(channel)
            current_ma = current_at(track, each.t_s) if track is not None else 0.0
            if current_ma > 0:
                size = each.wave.peak_to_peak_uv
                found.setdefault((f"{muscle}, M-wave", "µV peak to peak"), []).append(
                    Answer(channel, each.t_s, current_ma, size)
                )
    for trial, (_, _, end_s) in zip(session.trials, session.trial_times_s, strict=True):
        response, current = trial.values.get("response"), trial.values.get("current_ma")
        if trial.kind == "optimise" and isinstance(response, int | float) and isinstance(current, int | float):
            channel = str(trial.values.get("channel"))
            key = (f"{trial.name}, response", "its own unit")
            found.setdefault(key, []).append(Answer(channel, end_s, float(current), float(response)))
    return found


def recruitment(session: Session, walked: LoopWalk, stamp: str) -> Drawn | None:
    """The figure; None where no answer was measured at `CURRENTS_MIN` currents or more."""
    curves = {
        key: told
        for key, told in answers(session, walked).items()
        if len({round(each.current_ma, 3) for each in told}) >= CURRENTS_MIN
    }
    if not curves:
        return None
    from matplotlib.figure import Figure

    shown = list(curves.items())[:_MOST]
    figure = Figure(figsize=(WIDTH_IN, 2.6), layout="constrained")
    axes = figure.subplots(1, len(shown), squeeze=False)[0]
    source = Source(said_simulated(session))
    for axis, ((name, unit), told) in zip(axes, shown, strict=True):
        channels = list(dict.fromkeys(each.channel for each in told))
        for number, channel in enumerate(channels):
            mine = [each for each in told if each.channel == channel]
            ma, size = np.array([each.current_ma for each in mine]), np.array([each.size for each in mine])
            colour = _COLOURS[number % len(_COLOURS)]
            axis.plot(ma, size, linestyle="none", marker=_MARKS[number % len(_MARKS)], markersize=3, color=colour,
                      alpha=0.35, markeredgewidth=0)  # fmt: skip
            steps, middle = medians(ma, size)
            axis.plot(steps, middle, color=colour, linewidth=1.3, label=channel)
            source.line(f"{name}, each", channel, ma, size, unit)
            source.line(f"{name}, median", channel, steps, middle, unit)
        for line in _thresholds(session, channels):
            axis.axvline(line, color=GREY, linewidth=0.7, linestyle=":")
        axis.set_title(name, pad=3)
        axis.set_xlabel("current (mA)")
        axis.set_ylabel(unit)
        axis.set_ylim(bottom=0)
        axis.legend(loc="upper left")
    put_stamp(figure, stamp)
    count = sum(len(told) for _, told in shown)
    caption = (
        f"n = {count} answers of one session; lines: median at each current (to 0.5 mA). M-waves: the estimator's "
        f"averages, without those at the amplifier's rail; current as acknowledged. Dotted: motor thresholds of "
        f"this session. Fatigue within the session lies in it: the answers are not from a fresh muscle alone."
    )
    if len(curves) > _MOST:
        caption += f" {len(curves) - _MOST} more are not drawn."
    return Drawn("recruitment", "Recruitment", caption, to_svg(figure), source.csv())


def medians(current_ma: np.ndarray, size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Median answer at each current, to 0.5 mA."""
    steps = np.round(2.0 * current_ma) / 2.0
    levels = np.unique(steps)
    return levels, np.array([np.median(size[steps == level]) for level in levels])


def current_at(track: CurrentTrack, t_s: float) -> float:
    """What the device had acknowledged at a time; 0 before the first report."""
    at = int(np.searchsorted(track.t_s, t_s, "right")) - 1
    return float(track.acknowledged_ma[at]) if at >= 0 else 0.0


def _only(currents: Mapping[str, CurrentTrack]) -> str:
    return next(iter(currents)) if len(currents) == 1 else ""


def _thresholds(session: Session, channels: Sequence[str]) -> list[float]:
    found = []
    for trial in session.trials:
        motor = trial.values.get("motor_ma")
        if trial.kind == "threshold" and trial.values.get("channel") in channels and isinstance(motor, int | float):
            found.append(float(motor))
    return found
