"""The table of trials: one row each, as the director publishes them and as CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from typing import Any, TextIO

from myoloop.experiments.protocols.plan import PhasePlan
from myoloop.experiments.sessions.place import InBlock
from myoloop.experiments.sessions.thresholds import Thresholds
from myoloop.experiments.training.optimisation import Tried
from myoloop.experiments.training.settings_grid import Point
from myoloop.platform.messages import Trial

#: Columns that every row has; those of `Trial.values` follow in the order of their names.
COLUMNS = ("kind", "name", "block", "trial", "outcome", "begin_ns", "trigger_ns", "end_ns")


def trial_of_block(phase: PhasePlan, block: InBlock, now_ns: int, charge_mc: float, cut: str = "") -> Trial:
    """Row of a trial that has just ended.

    Parameters
    ----------
    charge_mc
        Charge of the session by now.
    cut
        Why it ended before its time (``paused``, ``stopped``, ``fault``, …); empty where it did not.
    """
    state = block.state
    values: dict[str, float | str | None] = {"charge_mc": charge_mc - block.dose_mc}
    if block.condition:
        values["condition"] = block.condition
    yoked = state.trigger == "effort" and phase.block is not None and phase.block.yoked
    if state.trigger == "effort" and state.trigger_ns is not None and not yoked:
        values["effort_after_ms"] = (state.trigger_ns - state.begin_ns) / 1e6
    for target in block.targets:
        values[f"target_ma_{target.channel}"] = target.current_ma
        values[f"peak_ma_{target.channel}"] = block.peak_ma.get(target.channel, 0.0)
    for muscle, fatigue in sorted(block.fatigue.items()):
        values[f"fatigue_{muscle}"] = fatigue
    # A trigger that is another person's says nothing of this person's effort.
    done = {"effort": "effort", "assist": "assisted", "elapsed": "done", "": "skipped"}[state.trigger]
    done = "yoked" if yoked else done
    return Trial(
        t_ns=now_ns,
        kind=phase.kind,
        name=phase.name,
        block=block.repeat,
        trial=block.trial,
        outcome=cut or done,
        begin_ns=state.begin_ns,
        trigger_ns=state.trigger_ns,
        end_ns=now_ns,
        values=values,
    )


def trial_of_setting(
    phase: PhasePlan, number: int, point: Point, tried: Tried, why: str, begin_ns: int, now_ns: int, charge_mc: float
) -> Trial:
    """Row of a setting that has been tried, with the reason why it was."""
    return Trial(
        t_ns=now_ns,
        kind="optimise",
        name=phase.name,
        block=1,
        trial=number,
        outcome=tried.refused or ("done" if tried.response is not None else "not measured"),
        begin_ns=begin_ns,
        end_ns=now_ns,
        values={
            "channel": point.channel,
            "current_ma": point.current_ma,
            "phase_us": point.phase_us,
            "rate_hz": point.rate_hz,
            "response": tried.response,
            "discomfort": tried.discomfort,
            "charge_mc": charge_mc,
            "proposed": why,
        },
    )


def trial_of_threshold(
    phase: PhasePlan, channel: str, found: Thresholds, repeats: int, begin_ns: int, now_ns: int
) -> Trial:
    """Row of a channel whose thresholds have been found."""
    return Trial(
        t_ns=now_ns,
        kind="threshold",
        name=phase.name,
        block=repeats,
        trial=1,
        outcome="found" if found.tolerance_ma is not None else "tolerance not met",
        begin_ns=begin_ns,
        end_ns=now_ns,
        values={
            "channel": channel,
            "sensory_ma": found.sensory_ma,
            "motor_ma": found.motor_ma,
            "tolerance_ma": found.tolerance_ma,
            "highest_ma": found.cap_ma,
            "phase_us": found.phase_us,
        },
    )


def trial_row(trial: Trial) -> dict[str, Any]:
    """One row, its values beside the columns that all have."""
    return {name: getattr(trial, name) for name in COLUMNS} | dict(sorted(trial.values.items()))


def trial_table(trials: Iterable[Trial]) -> tuple[list[str], list[dict[str, Any]]]:
    """Columns and rows; what a row has no value for is None."""
    rows = [trial_row(trial) for trial in trials]
    extra = sorted({name for row in rows for name in row} - set(COLUMNS))
    columns = [*COLUMNS, *extra]
    return columns, [{name: row.get(name) for name in columns} for row in rows]


def write_trials_csv(trials: Iterable[Trial], file: TextIO) -> None:
    """Write the table; an absent value is an empty cell."""
    columns, rows = trial_table(trials)
    writer = csv.DictWriter(file, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: "" if value is None else value for name, value in row.items()} for row in rows)
