"""A protocol that names an artefact: through a session under the virtual clock, its record, and the replay of it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from myoloop.cli import app
from myoloop.controllers.policies.distilled_model import DistilledModel
from myoloop.controllers.policies.fitted_q import FittedQSettings
from myoloop.controllers.settings import ControllerSettings
from myoloop.experiments.objects import BUILDERS
from myoloop.experiments.protocols.schema import Protocol, load_protocol
from myoloop.experiments.replay import replay
from myoloop.experiments.sessions.lockstep import Lockstep
from myoloop.experiments.sessions.setup import make_setup
from myoloop.experiments.sessions.simulated_rig import simulated_rig
from myoloop.experiments.subjects.parameters import SubjectParameters
from myoloop.experiments.training.artefact import ArtefactError, ChannelUse, envelope_of, write_artefact
from myoloop.platform.messages import Event, Overrun, Start, StimRequest
from myoloop.platform.recording.reader import Recording
from myoloop.platform.steps import Outgoing

PROTOCOL = """
protocol: {id: short, version: 1.0.0, schema: 1, title: Two trains, rigs: [SIM], evidence: {grade: none}}
devices:
  emg: {min_rate: 1000 Hz, channels: [ext]}
  stim: {class: mA, min_step: 1 mA}
  force: {}
sites:
  ext: {muscle: wrist extensors, side: left, pad: 5x5 cm, emg: agonist}
envelope: {waveform_class: nmes, current_max: 20 mA, step: 2 mA, slew: 20 mA/s}
stimulation:
  ext: {site: ext, phase: 250 us, rate: 35 Hz}
thresholds: {motor: 18 mA, tolerance: 20 mA}
phases:
  - rest: {name: begin, duration: 0.3 s}
  - block: {name: train, trials: 2, machine: cyclic, ramp_up: 0.5 s, hold: 1.5 s, ramp_down: 0.2 s, rest: 4.5 s,
            intensity: {ref: motor, x: 1.0}}
controller:
  policy: fitted_q
  settings: {artefact: learnt/wrist-1, quantity: force, setpoint: 5, full_response: 80, recruitment_median: 18 mA,
             lost: 2 s}
  reflex: {spasm: {enabled: false}}
stop_rules: [{session_max: 1 min}]
outcomes: {primary: trials_done}
"""
SETTINGS = FittedQSettings(
    quantity="force", setpoint=5.0, full_response=80.0, recruitment_median_ma=18.0, budget_uc=200.0, lost_s=2.0
)
PERSON = SubjectParameters(first_spasm_s=600.0, joint_fixed=1.0)


@pytest.fixture
def protocol(tmp_path: Path) -> Protocol:
    """The protocol's file, with the folder of an artefact made for it beside it."""
    file = tmp_path / "short.yaml"
    file.write_text(PROTOCOL, encoding="utf-8")
    loaded = load_protocol(file)
    _write(tmp_path / "learnt" / "wrist-1", loaded)
    return loaded


def _write(folder: Path, protocol: Protocol, model: DistilledModel | None = None, **more: Any) -> None:
    given: dict[str, Any] = {
        "name": "wrist-1",
        "model": model or DistilledModel.always(-0.15),
        "settings": SETTINGS,
        "channels": {"ext": ChannelUse(muscle="ext", phase_us=250.0, rate_hz=35.0)},
        "envelope": envelope_of(protocol.envelope),
        "dataset_sha256": "d" * 64,
    }
    write_artefact(folder, **{**given, **more})


def _setup(protocol: Protocol, folder: Path) -> Any:
    folder.mkdir(parents=True)
    return make_setup(
        protocol, simulated_rig(protocol, force_cell=True), subject="V001", session="short-1", folder=folder,
        parameters=PERSON, seed=3,
    )  # fmt: skip


@pytest.mark.usefixtures("protocol")
def test_a_session_runs_from_the_command_line_and_its_replay_is_equal_without_the_artefact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "short.yaml").write_text(PROTOCOL.replace("trials: 2", "trials: 1"), encoding="utf-8")
    linted = CliRunner().invoke(app, ["lint", "short.yaml"])
    assert linted.exit_code == 0, linted.output
    done = CliRunner().invoke(app, ["run", "short.yaml", "--subject", "V001", "--speed", "max", "--out", "study"])
    assert done.exit_code == 0, done.output
    (tmp_path / "learnt" / "wrist-1").rename(tmp_path / "learnt" / "elsewhere")
    (folder,) = (tmp_path / "study").glob("sub-V001/ses-*/att-*")
    again = CliRunner().invoke(app, ["replay", str(folder), "--check"])
    assert again.exit_code == 0, again.output
    assert "EQUAL" in again.output
    # Another controller is read beside its own file, and refused or asked there as in a session.
    (tmp_path / "other.yaml").write_text(PROTOCOL, encoding="utf-8")
    refused = CliRunner().invoke(app, ["replay", str(folder), "--controller", "other.yaml"])
    assert refused.exit_code == 2
    assert "wrist-1: is not the folder of an artefact" in refused.output
    (tmp_path / "other.yaml").write_text(PROTOCOL.replace("learnt/wrist-1", "learnt/elsewhere"), encoding="utf-8")
    instead = CliRunner().invoke(app, ["replay", str(folder), "--controller", "other.yaml", "--json"])
    assert instead.exit_code == 0, instead.output
    assert json.loads(instead.output)["differing"] == 0
    reasons = [each.reason for each in _said(folder, "request", StimRequest)]
    assert any(reason.startswith("residual -0.15; fitted Q: force") for reason in reasons)
    (start,) = _said(folder, "start/controller", Start)
    recorded = ControllerSettings.from_json(start.settings).policy.settings
    assert recorded["artefact"].startswith("wrist-1 sha256 ")
    assert msgspec.convert(recorded, FittedQSettings).model == DistilledModel.always(-0.15)


def test_what_failed_and_what_overran_stands_in_the_record_and_falls_back_again_in_the_replay(
    protocol: Protocol, tmp_path: Path
) -> None:
    """The first train is late once; what is due in the second was never seen in training."""
    odd = DistilledModel.always(-0.15)
    high = tuple(0.01 if name == "trials" else value for name, value in zip(odd.observation, odd.high, strict=True))
    low = tuple(-0.01 if name == "trials" else value for name, value in zip(odd.observation, odd.low, strict=True))
    folder = tmp_path / "learnt" / "wrist-1"
    folder.rename(tmp_path / "learnt" / "first")
    _write(folder, protocol, dataclasses.replace(odd, low=low, high=high))
    attempt = tmp_path / "study" / "sub-V001" / "ses-01" / "att-1"
    held = []

    def late(phase: Any) -> None:
        if phase is not None and phase.trial_state == "hold" and not held:
            held.append(phase.trial)
            name = lockstep._names["controller"]
            told = Overrun(t_ns=lockstep.clock.now_ns(), step=1, took_ms=31.0, limit_ms=20.0)
            lockstep._steppings[name].receive(lockstep.bus.publish(name, Outgoing("overrun/controller", told)))

    lockstep = Lockstep(_setup(protocol, attempt), on_tick=late)
    ended = lockstep.run()
    assert (ended.outcome, ended.reason) == ("complete", "")
    reasons = [each.reason for each in _said(attempt, "request", StimRequest)]
    assert any("residual -0.15" in reason for reason in reasons)
    assert any(reason.startswith("adaptive gain alone in this train: overrun of 31.0 ms") for reason in reasons)
    assert any(reason.startswith("adaptive gain alone: shifted input, trials 0.151") for reason in reasons)
    faults = [each.why for each in _said(attempt, "event", Event) if each.kind == "fault"]
    assert [why.partition(",")[0] for why in faults] == [
        "policy 'fitted_q' falls back to adaptive gain: overrun of 31.0 ms",
        "policy 'fitted_q' falls back to adaptive gain: shifted input",
    ]
    result = replay(attempt, BUILDERS)
    assert result.exact
    assert result.equal, [each.first_difference for each in result.objects]


MISFITS = {
    "channel": ({"channels": {"flex": ChannelUse(muscle="ext", phase_us=250.0, rate_hz=35.0)}}, "trained for flex"),
    "pulses": ({"channels": {"ext": ChannelUse(muscle="ext", phase_us=250.0, rate_hz=50.0)}}, "50 Hz"),
    "envelope": ({"envelope": {"waveform_class": "nmes", "current_max_ma": 60.0}}, "envelope.current_max_ma"),
}  # fmt: skip


@pytest.mark.parametrize("what", MISFITS)
def test_an_artefact_for_another_session_is_refused_in_one_line_before_anything_starts(
    protocol: Protocol, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    change, named = MISFITS[what]
    (tmp_path / "learnt" / "wrist-1").rename(tmp_path / "learnt" / "first")
    _write(tmp_path / "learnt" / "wrist-1", protocol, **change)
    with pytest.raises(ArtefactError, match=r"^artefact wrist-1: ") as caught:
        _setup(protocol, tmp_path / "attempt")
    assert named in str(caught.value)
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["run", "short.yaml", "--subject", "V001", "--speed", "max", "--out", "study"])
    assert done.exit_code == 2
    assert not list((tmp_path / "study").glob("**/*.mcap"))
    assert len([line for line in done.output.splitlines() if "wrist-1" in line]) == 1


def test_one_that_was_tampered_with_does_not_start_a_session(
    protocol: Protocol, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = tmp_path / "learnt" / "wrist-1" / "card.json"
    plain = json.loads(card.read_text())
    plain["settings"]["budget_uc"] = 90_000.0
    card.write_text(json.dumps(plain))
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["run", "short.yaml", "--subject", "V001", "--speed", "max", "--out", "study"])
    assert done.exit_code == 2
    assert "the card has been changed since it was written" in done.output


@pytest.mark.usefixtures("protocol")
def test_a_setting_of_the_training_that_the_protocol_has_otherwise_is_refused(tmp_path: Path) -> None:
    text = PROTOCOL.replace("quantity: force,", "quantity: force, proportional: 0.9,")
    (tmp_path / "other.yaml").write_text(text)
    with pytest.raises(ArtefactError, match=r"found 0\.9, artefact wrist-1 was trained with 0\.6"):
        _setup(load_protocol(tmp_path / "other.yaml"), tmp_path / "attempt")


def _said(folder: Path, topic: str, kind: type[Any]) -> list[Any]:
    found = [each.received.message for each in Recording.open(folder).messages({topic})]
    return [each for each in found if isinstance(each, kind)]
