"""What was imported is a session like ours: whole, readable by every analysis, looked at by any controller."""

from __future__ import annotations

import json
import re
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from myoloop.cli import app
from myoloop.experiments.analysis.session import load
from myoloop.experiments.imports.observe import observe
from myoloop.experiments.imports.write import import_file
from myoloop.experiments.index.study import index_study
from myoloop.experiments.objects import BUILDERS, other_controller
from myoloop.experiments.origins import Origins
from myoloop.experiments.outcomes.attempt import NOT_OURS, measure
from myoloop.experiments.replay import ReplayError, replay
from myoloop.experiments.studies.chained import ChainedLog
from myoloop.experiments.studies.diary import Prompt, entry_line
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


def test_without_a_protocol_it_says_why_it_has_no_outcomes(folder, tmp_path):
    found = measure(load(folder))
    assert found.protocol is None
    assert found.missing.endswith("does not say which protocol was played; say it as it is imported, with --protocol")
    (row,) = index_study(folder.parents[2]).rows
    assert row.facts.protocol == "", "none was played that an analysis could be of"
    study = shutil.copytree(folder.parents[2], tmp_path / "study")
    done = CliRunner().invoke(app, ["analyse", str(study)])
    assert "no outcomes: " in done.stdout
    assert "does not say which protocol was played" in done.stdout


def test_with_a_protocol_it_has_the_outcomes_that_need_no_trial_of_ours(example, tmp_path):
    text = (example / "protocol.yaml").read_text(encoding="utf-8")
    file = tmp_path / "mine.yaml"
    said = "outcomes: {primary: doms, secondary: [spasm_count, mvc_force, trials_done]}\n"
    file.write_text(re.sub(r"(?ms)^outcomes:.*?(?=^\S|\Z)", said, text), encoding="utf-8")
    study = tmp_path / "study"
    words = ("import", example / "emg.csv", "--map", example / "mapping.yaml", "--out", study, "--protocol", file)
    done = CliRunner().invoke(app, [*map(str, words), "--subject", "TAPE1"])
    assert done.exit_code == 0, done.output
    attempt = study / "sub-TAPE1" / "ses-01" / "att-1"
    assert verify(attempt).status == "good"
    when = datetime(2026, 11, 22, 9, tzinfo=UTC)
    prompt = Prompt("doms", "doms", 1, when, when, when + timedelta(days=2))
    line = entry_line(at=when, form="doms", prompt=prompt, who="TAPE1", values={"soreness": 4})
    ChainedLog(study / "sub-TAPE1" / "record" / "diary.jsonl").append(line)
    found = measure(load(attempt))
    assert (found.missing, found.protocol.protocol.id) == ("", "playback_example")
    assert found.values["doms"].value == 4.0
    assert {name: each.why for name, each in found.values.items() if each.value is None} == {
        "spasm_count": "never told", "mvc_force": NOT_OURS, "trials_done": NOT_OURS,
    }  # fmt: skip
    assert load(attempt).metadata["import.protocol"] == "as who imported it says"


def test_a_protocol_that_is_wrong_leaves_nothing_behind(example, tmp_path):
    (tmp_path / "mine.yaml").write_text("protocol: {id: x}\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"mine\.yaml"):
        import_file(
            example / "emg.csv", example / "mapping.yaml", study=tmp_path / "study", subject="T",
            protocol=tmp_path / "mine.yaml",
        )  # fmt: skip
    assert not (tmp_path / "study").exists()
