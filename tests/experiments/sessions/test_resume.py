"""A session that was cut off: no other begins, it is closed or gone on with, and no trial or dose comes twice."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from myoloop.cli import app
from myoloop.experiments.sessions.continuing import ContinueError, close, continuation, cut_attempt, standing
from myoloop.experiments.sessions.lockstep import Lockstep
from myoloop.experiments.sessions.resuming import close_session, go_on_with, say_standing
from myoloop.experiments.sessions.run import prepare, run_lockstep
from myoloop.experiments.sessions.script import load_script
from myoloop.experiments.sessions.setup import SetupError
from myoloop.experiments.studies.chained import read_chained
from myoloop.platform.messages import Phase, StimReport
from myoloop.platform.recording.reader import Recording
from myoloop.platform.recording.verify import verify

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
TEXT = """
protocol: {id: resumed, version: 1.0.0, schema: 1, title: Four trains, rigs: [SIM], evidence: {grade: none}}
devices:
  emg: {min_rate: 1000 Hz, channels: [ext]}
  stim: {class: mA, min_step: 1 mA}
sites:
  ext: {muscle: wrist extensors, side: left, pad: 5x5 cm, emg: agonist}
envelope: {waveform_class: nmes, current_max: 20 mA, step: 2 mA, slew: 20 mA/s}
stimulation:
  ext: {site: ext, phase: 250 us, rate: 35 Hz}
thresholds: {motor: 12 mA, tolerance: 20 mA}
phases:
  - rest: {name: begin, duration: 0.3 s}
  - block: {name: train, trials: 4, machine: cyclic, ramp_up: 0.2 s, hold: 0.3 s, ramp_down: 0.1 s, rest: 1.4 s,
            intensity: {ref: motor, x: 1.0}}
controller: {policy: open_loop}
stop_rules: [{session_max: 1 min}]
outcomes: {primary: trials_done}
"""


class Cut(Exception):
    """The power goes."""


@pytest.fixture(scope="module")
def protocol(tmp_path_factory):
    path = tmp_path_factory.mktemp("protocol") / "resumed.yaml"
    path.write_text(TEXT)
    return path


@pytest.fixture(scope="module")
def once_cut(protocol, tmp_path_factory) -> Path:
    """A study whose only session was cut off in the second train, its recording without its end."""
    study = tmp_path_factory.mktemp("study")
    setup = prepare(str(protocol), subject="SIM1", rig=None, study=study, seed=1)

    def go(phase: Phase | None) -> None:
        if phase is not None and phase.trial == 2 and phase.trial_state == "hold":
            raise Cut

    session = Lockstep(setup, on_tick=go)
    with pytest.raises(Cut):
        session.run()
    # As a kill leaves it: the end is not there, nor is the last record whole.
    file = setup.folder / "session.mcap"
    whole = file.read_bytes()
    file.write_bytes(whole[: int(len(whole) * 0.97)])
    (setup.folder / "manifest.json").unlink(missing_ok=True)
    return study


@pytest.fixture
def study(once_cut, tmp_path) -> Path:
    return Path(shutil.copytree(once_cut, tmp_path / "study"))


def test_a_cut_session_is_seen_and_lets_no_other_begin(study, protocol):
    attempt = study / "sub-SIM1" / "ses-01" / "att-1"
    assert standing(attempt).state == "cut"
    assert cut_attempt(study / "sub-SIM1") == attempt
    for session in (None, 1):
        with pytest.raises(SetupError, match="was cut off and is neither closed nor continued"):
            prepare(str(protocol), subject="SIM1", rig=None, study=study, seed=1, session=session)
    assert not (study / "sub-SIM1" / "ses-02").exists()


def test_closing_says_who_and_why_and_the_next_session_begins(study, protocol):
    session = study / "sub-SIM1" / "ses-01"
    with pytest.raises(ContinueError, match="a reason is needed"):
        close(session / "att-1", who="A", role="operator", why=" ", wall=NOW)
    closed = close_session(session, who="A", why="power cut", wall=NOW)
    assert (closed.state, closed.outcome) == ("ended", "interrupted")
    recording = Recording.open(session / "att-1")
    assert "A: power cut" in recording.reason
    assert verify(session / "att-1").status == "good"
    row = read_chained(session / "att-1" / "audit.jsonl")[-1]
    assert (row["who"], row["why"], row["new"]) == ("A", "power cut", "interrupted")
    assert prepare(str(protocol), subject="SIM1", rig=None, study=study, seed=1).folder.parent.name == "ses-02"
    with pytest.raises(ContinueError, match="nothing of it was cut off"):
        close_session(session, who="A", why="again")


def test_to_go_on_gives_each_trial_once_and_shares_the_dose(study):
    session = study / "sub-SIM1" / "ses-01"
    setup = go_on_with(session, who="A", why="same pads", speed="max")
    assert setup.folder.name == "att-2"
    end = run_lockstep(setup)
    assert end.outcome == "complete"
    recording = Recording.open(setup.folder)
    trials = [each.received.message.trial for each in recording.messages({"trial"})]
    assert trials == [3, 4]
    reports = [each.received.message for each in recording.messages({"report"})]
    ledger = [json.loads(line) for line in (study / "sub-SIM1" / "dose.jsonl").read_text().splitlines()]
    first = next(each for each in reports if isinstance(each, StimReport))
    assert first.dose.session_charge_mc == pytest.approx(ledger[0]["charge_mc"])
    assert ledger[-1]["charge_mc"] > ledger[0]["charge_mc"] > 0
    acts = [row["act"] for row in read_chained(setup.folder / "audit.jsonl")]
    assert acts[0] == "continue interrupted session"
    with pytest.raises(ContinueError, match="is complete"):
        go_on_with(session, who="A", why="once more")


def test_what_was_used_up_is_read_from_the_cut_recording(study):
    went = continuation_of(study)
    assert [(each.phase, each.repeat, each.trials) for each in went.used] == [(1, 1, 2)]
    assert 1.0 < went.used[0].elapsed_s < 3.0
    assert went.attempt == "att-1"


def test_the_pain_that_the_session_began_with_is_read_from_the_cut_recording(protocol, tmp_path):
    script = tmp_path / "script.yaml"
    script.write_text("acts: [{at: 1 s, do: {score: 3}}, {at: 1.5 s, do: {score: 5}}, {at: 2 s, do: stop}]\n")
    acts = load_script(str(script))
    setup = prepare(str(protocol), subject="SIM1", rig=None, study=tmp_path / "study", seed=1, script=acts)
    assert run_lockstep(setup, script=acts).outcome == "stopped"
    assert continuation(setup.folder.parent, datetime.now(UTC) + timedelta(hours=1)).pain_baseline == 3.0


def continuation_of(study: Path):
    return continuation(study / "sub-SIM1" / "ses-01", datetime.now(UTC) + timedelta(hours=1))


def test_another_protocol_is_not_gone_on_with(study):
    kept = study / "sub-SIM1" / "ses-01" / "att-1" / "protocol.yaml"
    kept.write_text(kept.read_text().replace("trials: 4", "trials: 9"))
    with pytest.raises(ContinueError, match="is not the file that the session was begun with"):
        go_on_with(study / "sub-SIM1" / "ses-01", who="A", why="more")


def test_the_command_line_says_how_it_stands_and_needs_a_reason(study):
    session = str(study / "sub-SIM1" / "ses-01")
    said = CliRunner().invoke(app, ["resume", session])
    assert said.exit_code == 1
    assert "cut off, neither closed nor continued" in said.stdout
    assert CliRunner().invoke(app, ["resume", session, "--close"]).exit_code == 2
    assert CliRunner().invoke(app, ["resume", session, "--close", "--continue", "--why", "x"]).exit_code == 2
    by_line = ["resume", session, "--close", "--why", "-", "--json"]
    assert CliRunner().invoke(app, by_line, input="power cut\n").exit_code == 2
    closed = CliRunner().invoke(app, by_line, input='{"why": "power cut"}\n')
    assert json.loads(closed.stdout)["outcome"] == "interrupted"
    assert CliRunner().invoke(app, ["resume", session]).exit_code == 0
    assert CliRunner().invoke(app, ["resume", str(study)]).exit_code == 2


def test_a_session_that_never_was_has_nothing_to_go_on_with(tmp_path):
    with pytest.raises(ContinueError, match="no attempt there"):
        say_standing(tmp_path)


def test_somebody_drawn_from_a_group_is_drawn_again_without_being_named(protocol, tmp_path):
    setup = prepare(str(protocol), subject="SIM:chronic_sci", rig=None, study=tmp_path, seed=7)

    def go(phase: Phase | None) -> None:
        if phase is not None and phase.trial == 2 and phase.trial_state == "hold":
            raise Cut

    with pytest.raises(Cut):
        Lockstep(setup, on_tick=go).run()
    (setup.folder / "manifest.json").unlink(missing_ok=True)
    again = go_on_with(tmp_path / "sub-SIM1" / "ses-01", who="me", why="power cut")
    assert (again.group, again.seed, again.parameters) == ("chronic_sci", 7, setup.parameters)
