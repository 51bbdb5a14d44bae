"""The rig file that is written for a board is whole: a session runs on it as it stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from myoloop.experiments.analysis.session import load
from myoloop.experiments.protocols.rigfile import new_rig_file
from myoloop.experiments.sessions.run import prepare, run_live
from myoloop.platform.messages import Estimate
from myoloop.platform.recording.reader import Recording
from myoloop.platform.recording.verify import verify


@pytest.fixture
def protocol(tmp_path, root) -> Path:
    """A train of a second, for a board that is slower than EMG should be."""
    text = (root / "tests" / "data" / "drill.yaml").read_text(encoding="utf-8")
    for old, new in (
        ("rigs: [SIM]", "rigs: [SIM, BENCH]"),
        ("min_rate: 1000 Hz", "min_rate: 100 Hz"),
        ("trials: 2", "trials: 1"),
        ("hold: 12 s", "hold: 1 s"),
        ("rest: 13 s", "rest: 2.5 s"),
    ):
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "train.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.processes
@pytest.mark.timeout(120)
def test_a_boards_rig_runs_as_it_was_written(protocol, tmp_path, short_folder):
    rig = new_rig_file("bench", tmp_path, board="SYNTHETIC_BOARD", protocol="demo")
    setup = prepare(str(protocol), subject="B1", rig=str(rig), study=tmp_path / "study", seed=1)
    end = run_live(setup)
    assert (end.outcome, end.reason) == ("complete", "")
    assert verify(end.folder).status == "good"
    session = load(end.folder)
    # 1.5 s at 35 Hz and two ramps: the train came through, and the board was not taken for slow or silent.
    assert len(session.delivered()["ext"].t_s) > 40
    reflexes = [each.message.reflex for each, _ in Recording.open(end.folder).messages({"estimate"})
                if isinstance(each.message, Estimate)]  # fmt: skip
    assert sum("not alive" in each for each in reflexes[1:]) < 0.1 * len(reflexes)
