"""users.md 4b: disk full, seen before it is."""

from __future__ import annotations

import json
from itertools import chain, repeat
from pathlib import Path

import pytest

from myoloop.experiments.objects import BUILDERS
from myoloop.experiments.replay import replay
from myoloop.experiments.sessions.run import prepare, run_live
from myoloop.experiments.sessions.setup import SetupError
from myoloop.platform.recording.reader import Recording

TABLE = Path(__file__).parent / "table.yaml"
MB = 1_000_000


def test_a_session_that_would_fill_the_disk_is_refused_before_anything_is_made(tmp_path):
    with pytest.raises(SetupError, match="10 MB free, needed are"):
        prepare(str(TABLE), subject="P1", rig=None, study=tmp_path / "study", seed=1, free=lambda _: 10 * MB)
    assert not (tmp_path / "study").exists()


@pytest.mark.timeout(120)
def test_a_disk_that_fills_up_is_told_and_then_ends_the_session_in_order(tmp_path):
    study = tmp_path / "study"
    setup = prepare(str(TABLE), subject="P1", rig=None, study=study, seed=1)
    # At 0.2 to 1 MB/s: no rate yet, less than 15 min, less than 3 min.
    left = chain([200 * MB, 150 * MB], repeat(10 * MB))
    end = run_live(setup, free=lambda _: next(left))
    assert end.outcome == "aborted", end
    assert "the disk lasts for" in end.reason
    recording = Recording.open(end.folder)
    assert recording.complete
    # The act is the operator's own: the director carries it out, and does so again in a replay.
    assert replay(end.folder, BUILDERS).equal
    told = [each.received.message for each in recording.messages({"event"})]
    disk = [each.values["verdict"] for each in told if each.kind == "disk"]
    assert disk == ["warn", "end"]
    assert not any(each.kind in ("fault", "stop") for each in told)
    log = [json.loads(line) for line in (end.folder / "log.jsonl").read_text().splitlines()]
    assert any("disk" in json.dumps(line) for line in log)
