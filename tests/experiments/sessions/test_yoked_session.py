"""One person's effort starts their trains; another one, yoked to them, gets theirs at the same delays."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from myoloop.cli import app
from myoloop.experiments.analysis.session import load
from myoloop.experiments.analysis.yoking import YokeError, trigger_delays_ns, yoke_to
from myoloop.experiments.outcomes.compute import effort_started_share, trigger_latency
from myoloop.experiments.outcomes.view import View
from myoloop.experiments.protocols.lint import lint_file
from myoloop.experiments.protocols.schema import load_protocol
from myoloop.experiments.sessions.lockstep import TICK_NS
from myoloop.experiments.sessions.run import prepare, run_lockstep
from myoloop.platform.messages import Estimate, Phase, Trial
from myoloop.platform.recording.verify import verify
from myoloop.platform.yamlfile import parse_yaml

TEXT = """
protocol: {id: effort, version: 1.0.0, schema: 1, title: Trains by effort, rigs: [SIM], evidence: {grade: none}}
devices:
  emg: {min_rate: 1000 Hz, channels: [ext]}
  stim: {class: mA, min_step: 1 mA}
sites:
  ext: {muscle: wrist extensors, side: left, pad: 5x5 cm, emg: agonist}
envelope: {waveform_class: nmes, current_max: 20 mA, step: 2 mA, slew: 20 mA/s}
stimulation:
  ext: {site: ext, phase: 250 us, rate: 35 Hz}
thresholds: {motor: 8 mA, tolerance: 20 mA}
phases:
  - rest: {name: begin, duration: 6 s}
  - block: {name: lift, trials: 2, repeat: 2, between: 1 s, machine: effort, cue: 0.5 s,
            await: {timeout: 2 s, on_timeout: skip}, ramp_up: 0.2 s, hold: 0.6 s, ramp_down: 0.2 s, rest: 2 s,
            intensity: {ref: motor, x: 1.0}}
stop_rules: [{session_max: 2 min}]
outcomes: {primary: trials_done}
"""
TRIGGERED = """
controller: {policy: emg_trigger, settings: {muscle: ext, sustain: 0.1 s}, reflex: {fatigue: {enabled: false}}}
"""


def _played(text: str, folder: Path, seed: int):
    folder.mkdir(parents=True)
    path = folder / "p.yaml"
    path.write_text(text)
    setup = prepare(str(path), subject="SIM:able_bodied", rig=None, study=folder / "study", seed=seed)
    ended = run_lockstep(setup)
    assert ended.outcome == "complete", ended.reason
    return load(setup.folder)


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    return _played(TEXT + TRIGGERED, tmp_path_factory.mktemp("one") / "a", seed=1)


@pytest.fixture(scope="module")
def second(first, tmp_path_factory):
    text = TEXT + yoke_to(first.path).as_yaml() + "\n"
    return _played(text, tmp_path_factory.mktemp("other") / "b", seed=7)


def _trains_s(session) -> list[float]:
    """Of each trial with a train: from the prompt to the director's ramp."""
    prompts = {(span.block, span.trial): span for span in session.trial_spans if span.state == "await_effort"}
    ramps = {(span.block, span.trial): span for span in session.trial_spans if span.state == "ramp_up"}
    return [ramps[place].begin_s - prompts[place].begin_s for place in sorted(ramps)]


def test_the_other_person_gets_the_trains_at_the_same_delays(first, second):
    delays_s = _trains_s(first)
    assert len(delays_s) == 4
    assert len(set(delays_s)) > 1
    assert _trains_s(second) == pytest.approx(delays_s, abs=TICK_NS * 1e-9)
    for one, other in zip(first.trials, second.trials, strict=True):
        assert one.values["target_ma_ext"] == other.values["target_ma_ext"]
    assert first.gate.latches == second.gate.latches == ()


def test_a_yoked_train_is_called_one_and_counts_for_no_effort(first, second):
    assert [trial.outcome for trial in first.trials] == ["effort"] * 4
    assert [trial.outcome for trial in second.trials] == ["yoked"] * 4
    assert all("effort_after_ms" not in trial.values for trial in second.trials)
    view = View(second, load_protocol(second.path.parent / "protocol.yaml"))
    assert len(view.done()) == 4
    for measure in (effort_started_share, trigger_latency):
        found = measure(view)
        assert (found.value, found.n) == (None, 0)
        assert "yoked to another person" in found.why


def test_the_section_says_of_which_session_it_is_and_keeps_the_reflexes(first):
    found = yoke_to(first.path)
    section = parse_yaml(found.as_yaml())[0]["controller"]
    assert section["policy"] == "yoked"
    assert section["reflex"] == {"fatigue": {"enabled": False}}
    head = verify(first.path).head
    assert section["settings"]["source"] == f"{first.session_id} sha256 {head}"
    assert found.as_yaml().startswith(f"# Yoked to {first.session_id}, recording sha256 {head}.\n# lift: 4 trials, 4 ")
    assert [float(each.removesuffix(" s")) for each in section["settings"]["delays"]["lift"]] == pytest.approx(
        [ns * 1e-9 for ns in found.delays_ns["lift"]], abs=1e-12
    )


def test_what_is_pasted_lints_without_a_word(first, tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text(TEXT + yoke_to(first.path).as_yaml() + "\n")
    before = tmp_path / "before.yaml"
    before.write_text(TEXT + TRIGGERED)
    assert [each.text for each in lint_file(path)] == [each.text for each in lint_file(before)]


def test_the_verb_prints_it_and_refuses_what_was_yoked_itself(first, second):
    run = CliRunner().invoke(app, ["yoke", str(first.path.parent)])
    assert (run.exit_code, run.stdout) == (0, yoke_to(first.path).as_yaml() + "\n")
    told = json.loads(CliRunner().invoke(app, ["yoke", str(first.path), "--json"]).stdout)
    assert told["controller"]["policy"] == "yoked"
    refused = CliRunner().invoke(app, ["yoke", str(second.path.parent)])
    assert refused.exit_code == 2
    assert "was yoked itself" in refused.stderr
    assert CliRunner().invoke(app, ["yoke", str(first.path.parent / "nothing")]).exit_code == 2


def _phase(trial: int, state: str = "await_effort", block: int = 1, index: int = 1, name: str = "lift") -> Phase:
    return Phase(
        t_ns=0, session="s", state="running", kind="block", machine="effort", index=index, name=name, block=block,
        trial=trial, trials=2, trial_state=state, t_state_ns=1000,
    )  # fmt: skip


def _row(trial: int, outcome: str, block: int = 1, **values) -> Trial:
    return Trial(
        t_ns=0, kind="block", name="lift", block=block, trial=trial, outcome=outcome, begin_ns=0, end_ns=1,
        values=values,
    )  # fmt: skip


def _estimate(t_ns: int, trigger: bool) -> Estimate:
    return Estimate(step=0, t_ns=t_ns, muscles=(), trigger=trigger)


def test_only_an_effort_that_a_train_answered_is_a_trigger():
    told = [
        _phase(1), _estimate(1200, False), _estimate(1500, True), _estimate(1700, True), _phase(1, "ramp_up"),
        _row(1, "effort", effort_after_ms=1.0),
        # An effort in the step of the time-out: the train was an assisted one.
        _phase(2), _estimate(1900, True), _row(2, "assisted"),
        # A trial that a kill cut off has no row.
        _phase(1, block=2), _estimate(1300, True),
        _phase(2, block=2), _estimate(1400, True), _row(2, "paused", block=2, effort_after_ms=1.0),
    ]  # fmt: skip
    assert trigger_delays_ns(told) == ({"lift": [500, None, None, 400]}, {"lift": [3]})


def test_two_blocks_of_one_name_are_refused():
    with pytest.raises(YokeError, match="two blocks are called 'lift'"):
        trigger_delays_ns([_phase(1), _phase(1, index=3)])
