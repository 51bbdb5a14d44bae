"""A rig with a force cell: from the virtual joint over the source to the controller, the record and the replay."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from myoloop.controllers import controller as controlling
from myoloop.experiments.objects import BUILDERS
from myoloop.experiments.protocols.schema import load_protocol
from myoloop.experiments.replay import replay
from myoloop.experiments.sessions.lockstep import Lockstep
from myoloop.experiments.sessions.setup import controller_settings, make_setup
from myoloop.experiments.sessions.simulated_rig import simulated_rig, simulated_rig_data
from myoloop.experiments.sessions.survey import survey
from myoloop.experiments.sessions.virtual_body import virtual_body
from myoloop.experiments.subjects.parameters import SubjectParameters
from myoloop.platform.messages import Step, Truth
from myoloop.platform.recording.reader import Recording
from myoloop.platform.rig import Rig
from myoloop.platform.yamlfile import FileError

PROTOCOL = """
protocol: {id: short, version: 1.0.0, schema: 1, title: One train, rigs: [SIM], evidence: {grade: none}}
devices:
  emg: {min_rate: 1000 Hz, channels: [ext]}
  stim: {class: mA, min_step: 1 mA}
sites:
  ext: {muscle: wrist extensors, side: left, pad: 5x5 cm, emg: agonist}
envelope: {waveform_class: nmes, current_max: 20 mA, step: 2 mA, slew: 20 mA/s}
stimulation:
  ext: {site: ext, phase: 250 us, rate: 35 Hz}
thresholds: {motor: 18 mA, tolerance: 20 mA}
phases:
  - rest: {name: begin, duration: 0.3 s}
  - block: {name: train, trials: 1, machine: cyclic, ramp_up: 1 s, hold: 1 s, ramp_down: 0.1 s, rest: 1 s,
            intensity: {ref: motor, x: 1.0}}
controller: {policy: open_loop, reflex: {spasm: {enabled: false}}}
stop_rules: [{session_max: 1 min}]
outcomes: {primary: trials_done}
"""
PERSON = SubjectParameters(first_spasm_s=600.0, joint_fixed=1.0)


@pytest.fixture(scope="module")
def protocol(tmp_path_factory):
    file = tmp_path_factory.mktemp("force") / "short.yaml"
    file.write_text(PROTOCOL, encoding="utf-8")
    return load_protocol(file)


def setup_of(protocol, rig, folder: Path):
    folder.mkdir(parents=True)
    return make_setup(
        protocol, rig, subject="V001", session="short-1", folder=folder, parameters=PERSON, seed=3
    )  # fmt: skip


@pytest.fixture(scope="module")
def lived(protocol, tmp_path_factory):
    """Folder of a session on a rig with a force cell, and every situation that its controller was in."""
    folder = tmp_path_factory.mktemp("study") / "sub-V001" / "ses-01" / "att-1"
    setup = setup_of(protocol, simulated_rig(protocol, force_cell=True), folder)
    situations = []
    kept = controlling.Situation

    def watched(*given, **named):
        situations.append(kept(*given, **named))
        return situations[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(controlling, "Situation", watched)
        ended = Lockstep(setup).run()
    assert (ended.outcome, ended.reason) == ("complete", "")
    return folder, situations


def test_the_force_is_recorded_in_newton(lived):
    recording = Recording.open(lived[0])
    descriptor = recording.descriptors["force/amplifier"]
    assert (descriptor.channels, descriptor.units, descriptor.rate_hz) == (("force",), ("N",), 100.0)
    force = np.vstack([each.received.array for each in recording.messages({"force/amplifier"})])[:, 0]
    truth = [
        each.received.message.values["ext"]
        for each in recording.messages({"truth/force"})
        if isinstance(each.received.message, Truth)
    ]
    assert abs(force[:20].mean()) < 1.5
    assert force.max() == pytest.approx(max(truth), abs=2.5)
    assert max(truth) > 20.0


def test_the_controller_gets_every_block_of_it(lived):
    recording, situations = Recording.open(lived[0]), lived[1]
    steps = [each.received.message for each in recording.messages({"step/controller"})]
    consumed = [
        seq for step in steps if isinstance(step, Step) for topic, *_, seq in step.inputs if topic == "force/amplifier"
    ]
    assert consumed == list(range(consumed[0], consumed[0] + len(consumed)))
    assert len(consumed) > 200
    heard = [block for situation in situations for block in situation.force]
    assert len(heard) == len(consumed)
    assert max(float(rows.max()) for _, rows in heard) > 20.0


def test_the_session_replays_to_the_last_bit(lived):
    result = replay(lived[0], BUILDERS)
    assert result.exact
    assert result.equal
    assert [each.first_difference for each in result.objects] == [""] * len(result.objects)


def test_the_controllers_settings_name_it(protocol, tmp_path):
    setup = setup_of(protocol, simulated_rig(protocol, force_cell=True), tmp_path / "sub-V001" / "ses-01" / "att-1")
    descriptors = setup.known.sources["amplifier"].descriptors
    settings = controller_settings(setup, descriptors)
    assert settings.force is not None
    assert settings.force.descriptor.topic == "force/amplifier"
    assert msgspec.json.decode(settings.to_json())["force"]["descriptor"]["units"] == ["N"]


def test_a_rig_without_one_has_none(protocol, tmp_path):
    data = simulated_rig_data(protocol)
    assert "force" not in data
    setup = setup_of(protocol, simulated_rig(protocol), tmp_path / "sub-V001" / "ses-01" / "att-1")
    descriptors = setup.known.sources["amplifier"].descriptors
    assert [each.topic for each in descriptors] == ["emg/amplifier", "imu/amplifier"]
    assert controller_settings(setup, descriptors).force is None


def test_a_rig_that_wants_one_of_a_body_without_is_told_so(protocol):
    data = simulated_rig_data(protocol, force_cell=True)
    del data["nodes"]["body"]["settings"]["force_cell"]
    with pytest.raises(FileError, match=r"force\.source: found 'amplifier', a source without a force cell"):
        survey(Rig.model_validate(data))


@pytest.mark.parametrize("force_cell", [False, True])
def test_the_rigs_word_reaches_the_body(protocol, force_cell):
    assert virtual_body(simulated_rig(protocol, force_cell=force_cell), PERSON, 1).force_cell is force_cell
