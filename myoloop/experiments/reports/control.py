"""The controller: what it aimed at, what it asked for, how often it was held back, failed or came late."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from myoloop.controllers.policies.controlled import UNITS
from myoloop.experiments.analysis import bins
from myoloop.experiments.analysis.loopwalk import LoopWalk, fallbacks
from myoloop.experiments.analysis.session import Session
from myoloop.experiments.analysis.tracks import CurrentTrack, Floats
from myoloop.experiments.reports.drawing import (
    BINS,
    BLUE,
    INK,
    ORANGE,
    VERMILLION,
    Drawn,
    Source,
    panels,
    said_simulated,
    to_svg,
)
from myoloop.experiments.reports.tables import Table, number_words


class Aim(NamedTuple):
    """What a policy keeps: the quantity, its set point, and of which muscle (empty for force and angle)."""

    quantity: str
    setpoint: float
    muscle: str

    @property
    def unit(self) -> str:
        """Of set point and measurement."""
        return UNITS.get(self.quantity, "") or "1"


def aim_of(session: Session) -> Aim | None:
    """What the policy was to keep; None where it has no set point."""
    policy = session.settings.get("controller", {}).get("policy") or {}
    told = policy.get("settings") if isinstance(policy, Mapping) else None
    if not isinstance(told, Mapping):
        return None
    quantity, setpoint = told.get("quantity"), told.get("setpoint")
    if not isinstance(quantity, str) or not isinstance(setpoint, int | float) or isinstance(setpoint, bool):
        return None
    return Aim(quantity, float(setpoint), str(told.get("muscle") or ""))


def panel(session: Session, walked: LoopWalk) -> Table | None:
    """One row for each channel, and one for the loop; None where no controller asked for anything."""
    if not session.requests:
        return None
    policy: Any = session.settings.get("controller", {}).get("policy") or {}
    aim = aim_of(session)
    step_ma = session.settings.get("stimulator", {}).get("current_step_ma")
    step_ma = float(step_ma) if isinstance(step_ma, int | float) else 0.0
    rows = []
    for name, track in session.currents.items():
        asked = track.asked_ma > 0
        rows.append(
            (
                name, _time(track, asked), number_words(_mean(track.asked_ma[asked]), 1),
                number_words(_mean(track.allowed_ma[asked]), 1), number_words(clamped_pct(track, step_ma), 1),
            )
        )  # fmt: skip
    columns = ("channel", "asked for (s)", "asked, mean (mA)", "let through, mean (mA)", "clamped (% of that time)")
    late = walked.overruns_ms
    worst = f", the worst took {max(late):.1f} ms" if late else ""
    states = ", ".join(f"{state} {count}" for state, count in walked.reflexes.most_common(6))
    caption = (
        f"Policy {policy.get('name', 'not told')}, "
        + (f"set point {aim.setpoint:g} {aim.unit} of {aim.quantity}. " if aim is not None else "no set point. ")
        + f"n = {session.requests} requests. Clamped: let through was less than asked for by a device step or more, "
        f"whatever the gate's rule. Fallbacks, where the policy failed or was refused and zero stood in: "
        f"{fallbacks(walked.reasons)}. Missed deadlines of its steps: {len(late)}{worst}"
        + (" (the clock was virtual: no step takes time)" if session.lockstep else "")
        + f". Reflexes, by estimates: {states or 'none'}."
    )
    return Table(columns, tuple(rows), caption)


def control(session: Session, stamp: str) -> Drawn | None:
    """Set point, what was measured of it, and the current; None where the policy has no set point."""
    aim = aim_of(session)
    measured = _measured(session, aim) if aim is not None else None
    if aim is None or measured is None or not session.currents:
        return None
    figure, axes = panels([1.8, 1.3], stamp)
    source = Source(said_simulated(session))
    at_s, values = bins.line(*measured, BINS)
    axes[0].plot(at_s, values, color=BLUE, linewidth=0.9, label="measured")
    source.line("measured", aim.quantity, at_s, values, aim.unit)
    holds = [
        (span.begin_s, span.end_s) for span in session.trial_spans if span.kind == "block" and span.state == "hold"
    ]
    for begin_s, end_s in holds:
        axes[0].plot([begin_s, end_s], [aim.setpoint] * 2, color=VERMILLION, linewidth=1.6)
        source.line("set point", aim.quantity, [begin_s, end_s], [aim.setpoint] * 2, aim.unit)
    axes[0].plot([], [], color=VERMILLION, linewidth=1.6, label="set point, in the hold")
    axes[0].set_ylabel(f"{aim.quantity} ({aim.unit})")
    axes[0].legend(loc="upper right", ncols=2)
    for (name, track), colour in zip(session.currents.items(), (ORANGE, INK, BLUE, VERMILLION), strict=False):
        at_s, values = bins.line(*bins.steps(track.t_s, track.allowed_ma), BINS)
        axes[1].plot(at_s, values, drawstyle="steps-post", color=colour, linewidth=0.9, label=name)
        source.line("output", name, at_s, values, "mA")
    axes[1].set_ylabel("output (mA)")
    axes[1].set_ylim(bottom=0)
    axes[1].legend(loc="upper right", ncols=4)
    axes[1].set_xlim(0.0, max(session.end_s, 1e-3))
    axes[1].set_xlabel("time since the first phase message (s)")
    caption = (
        f"n = {len(holds)} holds of one session. Set point: as the protocol has it; ramps lead there and back. "
        f"Measured: what the policy keeps ({aim.quantity}{f' of {aim.muscle}' if aim.muscle else ''}). Output: current "
        f"as the gate let it through. That measured follows output is shown, not that it is caused by it alone."
    )
    return Drawn("control", "Set point and output", caption, to_svg(figure), source.csv())


def clamped_pct(track: CurrentTrack, step_ma: float) -> float | None:
    """Share of the reports with current asked for in which less was let through, beyond rounding to a step."""
    asked = track.asked_ma > 0
    if not asked.any():
        return None
    held = track.asked_ma[asked] - track.allowed_ma[asked] >= max(step_ma, 1e-9)
    return 100.0 * float(held.mean())


def _measured(session: Session, aim: Aim) -> tuple[Floats, Floats] | None:
    if aim.quantity == "force":
        track = next((each for topic, each in session.samples.items() if topic.startswith("force/")), None)
        if track is None:
            return None
        return track.t_s, track.channel(track.record.descriptor.channels[0]).astype(np.float64)
    if aim.quantity == "angle":
        angle = session.joint.angle_rad
        return session.joint.t_s, np.where(angle.valid, angle.value, np.nan)
    muscle = session.muscles.get(aim.muscle)
    if muscle is None:
        return None
    if aim.quantity == "level_uv":
        return muscle.t_s, muscle.level_uv
    told = muscle.effort if aim.quantity == "effort" else muscle.response
    return muscle.t_s, np.where(told.valid, told.value, np.nan)


def _time(track: CurrentTrack, mask: np.ndarray[Any, np.dtype[np.bool_]]) -> str:
    step_s = float(np.median(np.diff(track.t_s))) if len(track.t_s) > 1 else 0.0
    return f"{mask.sum() * step_s:.1f}"


def _mean(values: Floats) -> float | None:
    return float(values.mean()) if len(values) else None
