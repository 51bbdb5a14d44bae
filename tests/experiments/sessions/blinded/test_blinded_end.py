"""What a blinded session leaves at its end, beside its recording."""

from __future__ import annotations

import json
import shutil

import pytest

from myoloop.experiments.sessions.conclude import conclude
from myoloop.experiments.sessions.run import SessionEnd


@pytest.fixture(scope="module")
def ended(verum, tmp_path_factory):
    """A session of a blinded study that has just ended, and what was said of it."""
    folder = tmp_path_factory.mktemp("ended") / "sub-P001" / "ses-01" / "att-1"
    shutil.copytree(verum.folder, folder, ignore=shutil.ignore_patterns("report"))
    return folder, conclude(SessionEnd(folder, "complete", "limited at 12 mA", 1.0))


def test_its_report_is_the_blinded_one_and_no_other_is_left_in_the_study(ended):
    folder, told = ended
    assert told["report"] == str(folder / "report" / "blinded" / "report.html")
    assert [path.name for path in (folder / "report").iterdir()] == ["blinded"]
    assert not list((folder / "report").rglob("trials.csv"))


def test_what_is_printed_of_it_tells_no_amount_and_nothing_that_a_muscle_did(ended):
    _, told = ended
    assert (told["outcome"], told["reason"]) == ("complete", "limited at withheld")
    assert told["trials"] > 0
    said = json.dumps(told)
    assert not any(word in said for word in ("delivered", "fatigue", "spasm", "gate_", "latency_ms", "mA"))
