"""What was imported is a session like ours: whole, readable by every analysis, looked at by any controller."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from myoloop.cli import app
from myoloop.experiments.analysis.session import load
from myoloop.experiments.imports.observe import observe
from myoloop.experiments.imports.write import import_file
from myoloop.experiments.objects import BUILDERS, other_controller
from myoloop.experiments.origins import Origins
from myoloop.experiments.replay import ReplayError, replay
from myoloop.platform.errors import UserError
from myoloop.platform.recording.info import info
from myoloop.platform.recording.manifest import read_manifest
from myoloop.platform.recording.verify import verify


@pytest.fixture(scope="module")
def example(root) -> Path:
    return root / "examples" / "playback"


@pytest.fixture(scope="module")
def folder(example, tmp_path_factory) -> Path:
    """The playback example's recording, imported: two efforts, at 4.5 s and at 8 s."""
    study = tmp_path_factory.mktemp("study")
    return import_file(example / "emg.csv", example / "mapping.yaml", study=study, subject="TAPE1").folder


@pytest.fixture(scope="module")
def observed(folder, example):
    protocol = example / "protocol.yaml"
    return observe(folder, protocol, other_controller(protocol))


def test_it_is_whole_and_says_what_it_is(folder):
    assert verify(folder).status == "good"
    manifest = read_manifest(folder)
    assert (manifest.outcome, manifest.simulated, manifest.metadata["origin"]) == ("complete", True, "imported")
    found = info(folder)
    assert (found["status"], found["gaps"], found["subject"]) == ("good", 0, "TAPE1")
    assert found["streams"]["emg/imported"]["samples"] == 13000
    assert found["streams"]["emg/imported"]["samples_missing"] == 0


def test_an_edit_shows(folder, tmp_path):
    raw = bytearray((folder / "session.mcap").read_bytes())
    raw[len(raw) // 2] ^= 1
    (tmp_path / "session.mcap").write_bytes(raw)
    assert verify(tmp_path / "session.mcap").status == "damaged"


def test_an_edit_of_the_kept_mapping_shows(folder, tmp_path):
    copy = tmp_path / "sub-TAPE1" / "ses-01" / "att-1"
    shutil.copytree(folder, copy)
    (copy / "mapping.yaml").write_text("rate: 2 kHz\n", encoding="utf-8")
    assert verify(copy).status == "damaged"


def test_the_analyses_read_it(folder, example):
    session = load(folder)
    assert session.origins == Origins("simulated", "none", "simulated")
    (track,) = session.emg()
    lines = (example / "emg.csv").read_text(encoding="utf-8").splitlines()[2:]
    assert track.record.counts[:, 0].tolist() == [int(line.split(",")[1]) for line in lines]
    assert np.allclose(np.diff(track.t_s), 1e-3, atol=1e-9)
    assert session.end_s == pytest.approx(12.999)
    assert [site.muscle for site in session.sites] == ["ext"]
    assert not session.requests


def test_there_is_nothing_to_check(folder):
    with pytest.raises(ReplayError, match="was imported, nothing was decided in it and there is nothing to check"):
        replay(folder, BUILDERS)
    answer = CliRunner().invoke(app, ["replay", str(folder), "--check"])
    assert (answer.exit_code, answer.stderr.count("\n")) == (2, 1)


def test_a_controller_triggers_on_the_efforts(observed):
    found, text = observed
    assert found["steps"] == 1299
    assert found["triggers_s"] == [pytest.approx(4.75, abs=0.3), pytest.approx(8.25, abs=0.3)]
    assert found["channels"]["ext"]["most_share"] == 1.0
    assert 0 < found["channels"]["ext"]["on_s"] < 3.0
    assert "the gate was not asked" in text


def test_looking_again_by_the_verb_finds_the_same(observed, folder, example):
    answer = CliRunner().invoke(app, ["replay", str(folder), "--controller", str(example / "protocol.yaml"), "--json"])
    assert answer.exit_code == 0
    assert json.loads(answer.stdout) == json.loads(json.dumps(observed[0]))


@pytest.mark.parametrize(
    ("pattern", "instead", "said"),
    [
        (r"\bext\b", "flexor", "found flexor, the recording has ext"),
        ("policy: emg_trigger", "policy: nothing", "nothing"),
        (r"(?s)  - block:.*  - rest: {name: end", "  - rest: {name: end", "has no block"),
    ],
    ids=["muscle", "policy", "block"],
)
def test_a_protocol_that_does_not_fit_is_said_in_one_line(folder, example, tmp_path, pattern, instead, said):
    text = (example / "protocol.yaml").read_text(encoding="utf-8")
    protocol = tmp_path / "p.yaml"
    protocol.write_text(re.sub(pattern, instead, text), encoding="utf-8")
    with pytest.raises(UserError, match=said) as caught:
        observe(folder, protocol, other_controller(protocol))
    assert all("\n" not in line for line in getattr(caught.value, "problems", None) or [str(caught.value)])


def test_a_controller_alone_is_not_enough(folder, tmp_path):
    (tmp_path / "c.yaml").write_text("controller: {policy: open_loop}", encoding="utf-8")
    answer = CliRunner().invoke(app, ["replay", str(folder), "--controller", str(tmp_path / "c.yaml")])
    assert answer.exit_code == 2
    assert "protocol" in answer.stderr
    assert "Traceback" not in answer.stderr
