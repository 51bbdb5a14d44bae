"""Trials as rows and as CSV."""

from __future__ import annotations

import csv
import io

from myoloop.experiments.sessions.trials import COLUMNS, trial_row, trial_table, write_trials_csv
from myoloop.platform.messages import Trial

BLOCK = Trial(
    t_ns=9, kind="block", name="a, b", block=1, trial=2, outcome="effort", begin_ns=1, trigger_ns=3, end_ns=9,
    values={"charge_mc": 0.1 + 0.2, "fatigue_ext": 0.25},
)  # fmt: skip
THRESHOLD = Trial(
    t_ns=5, kind="threshold", name="cal", block=1, trial=1, outcome="found", begin_ns=1, end_ns=5,
    values={"channel": "ext", "sensory_ma": 4.0, "tolerance_ma": None},
)  # fmt: skip


def test_a_row_has_all_columns_and_its_values():
    row = trial_row(BLOCK)
    assert tuple(row)[: len(COLUMNS)] == COLUMNS
    assert row["trigger_ns"] == 3
    assert row["fatigue_ext"] == 0.25


def test_rows_of_different_kinds_share_one_table():
    columns, rows = trial_table([THRESHOLD, BLOCK])
    assert columns == [*COLUMNS, "channel", "charge_mc", "fatigue_ext", "sensory_ma", "tolerance_ma"]
    assert rows[0]["charge_mc"] is None
    assert rows[1]["channel"] is None


def test_csv_reads_back_as_written():
    file = io.StringIO()
    write_trials_csv([THRESHOLD, BLOCK], file)
    first, second = csv.DictReader(io.StringIO(file.getvalue()))
    assert (first["channel"], first["tolerance_ma"], first["trigger_ns"]) == ("ext", "", "")
    assert second["name"] == "a, b"
    assert float(second["charge_mc"]) == 0.1 + 0.2


def test_no_trials_give_a_heading_alone():
    file = io.StringIO()
    write_trials_csv([], file)
    assert file.getvalue() == ",".join(COLUMNS) + "\n"
