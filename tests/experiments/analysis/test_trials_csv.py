"""The table of trials as a file."""

from __future__ import annotations

import csv

import pytest

from myoloop.experiments.analysis.trials_csv import export_trials_csv
from myoloop.platform.recording.layout import RecordingError


def test_one_row_per_trial_with_its_values(known_attempt, tmp_path):
    file = export_trials_csv(known_attempt, tmp_path / "trials.csv")
    with file.open(encoding="utf-8", newline="") as table:
        (row,) = csv.DictReader(table)
    assert (row["outcome"], row["peak_ma_c1"], row["begin_ns"]) == ("effort", "12.0", "5500000000")


def test_it_overwrites_nothing(known_attempt, tmp_path):
    (tmp_path / "trials.csv").write_text("mine", encoding="utf-8")
    with pytest.raises(RecordingError, match="already there"):
        export_trials_csv(known_attempt, tmp_path / "trials.csv")
    assert (tmp_path / "trials.csv").read_text(encoding="utf-8") == "mine"


def test_a_place_that_is_not_there_is_refused(known_attempt, tmp_path):
    with pytest.raises(RecordingError, match="cannot be written"):
        export_trials_csv(known_attempt, tmp_path / "no" / "trials.csv")
