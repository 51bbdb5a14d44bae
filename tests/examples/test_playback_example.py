"""The example of a recording played back: it is what its script makes, and it runs as its page says."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from myoloop.experiments.analysis.session import load
from myoloop.experiments.objects import BUILDERS
from myoloop.experiments.origins import Origins
from myoloop.experiments.protocols.lint import lint_file
from myoloop.experiments.replay import replay
from myoloop.experiments.sessions.run import prepare, run_lockstep
from myoloop.experiments.sessions.setup import summarise
from myoloop.platform.rig import load_rig


@pytest.fixture(scope="module")
def example(root) -> Path:
    return root / "examples" / "playback"


def test_the_recording_is_what_its_script_makes_and_says_that_it_is_synthetic(example):
    found = importlib.util.spec_from_file_location("make_emg", example / "make_emg.py")
    script = importlib.util.module_from_spec(found)
    found.loader.exec_module(script)
    text = (example / "emg.csv").read_text(encoding="utf-8")
    assert text.startswith("# SYNTHETIC")
    mine, theirs = script.text().splitlines(), text.splitlines()
    assert mine[:2] == theirs[:2]
    assert len(mine) == len(theirs)
    # On another processor the last digit of a sine may round a count the other way.
    assert all(abs(_count(one) - _count(two)) <= 1 for one, two in zip(mine[2:], theirs[2:], strict=True))


def _count(line: str) -> int:
    return int(line.split(",")[1])


def test_protocol_and_rig_fit(example):
    rig = summarise(load_rig(example / "rig.yaml"))
    assert [str(problem) for problem in lint_file(example / "protocol.yaml", rig)] == []


def test_each_effort_in_the_recording_starts_a_train(example, tmp_path):
    setup = prepare(
        str(example / "protocol.yaml"), subject="TAPE1", rig=str(example / "rig.yaml"), study=tmp_path, seed=1
    )
    end = run_lockstep(setup)
    assert (end.outcome, end.reason) == ("complete", "")
    session = load(end.folder)
    trains = session.delivered()["ext"].trains()
    assert len(trains) == 2
    # The efforts are at 4.5 s and at 8 s of the recording, which begins with the session.
    begins_s = [train.begin_s for train in trains]
    assert begins_s == [pytest.approx(4.8, abs=0.4), pytest.approx(8.3, abs=0.4)]
    assert session.origins == Origins("simulated", "simulated", "simulated")
    assert replay(end.folder, BUILDERS).equal
