# ruff: noqa: E501
"""Mistakes planted in a yoked controller: too few delays, too late ones, blocks that are not there."""

from __future__ import annotations

import pytest

from myoloop.experiments.protocols.lint import lint_file

GOOD = """\
protocol: {id: yoked, version: 1.0.0, schema: 1, title: Yoked, rigs: [SIM], evidence: {grade: none}}
devices:
  emg: {min_rate: 1000 Hz, channels: [ext]}
  stim: {class: mA, min_step: 1 mA}
sites:
  ext: {muscle: wrist extensors, side: left, pad: 5x5 cm, emg: agonist}
envelope: {waveform_class: nmes, current_max: 20 mA}
stimulation:
  ext: {site: ext, phase: 250 us, rate: 35 Hz}
thresholds: {motor: 8 mA, tolerance: 20 mA}
phases:
  - rest: {name: begin, duration: 6 s}
  - block: {name: lift, trials: 2, repeat: 2, between: 1 s, machine: effort, cue: 0.5 s,
            await: {timeout: 2 s, on_timeout: skip}, ramp_up: 0.2 s, hold: 0.6 s, ramp_down: 0.2 s, rest: 3 s,
            intensity: {ref: motor, x: 1.0}}
controller:
  policy: yoked
  settings:
    source: sub-P001/ses-01/att-1 sha256 0f0f
    delays:
      lift: [0.5 s, null, 1.25 s, 0.8 s]
stop_rules: [{session_max: 2 min}]
outcomes: {primary: trials_done, secondary: [dose_share]}
"""
DELAYS = "      lift: [0.5 s, null, 1.25 s, 0.8 s]\n"


@pytest.fixture
def found(tmp_path):
    def check(before, after):
        assert GOOD.count(before) == 1, before
        path = tmp_path / "p.yaml"
        path.write_text(GOOD.replace(before, after), encoding="utf-8")
        return [str(each).replace(f"{path}:", "") for each in lint_file(path)]

    return check


def test_the_protocol_without_a_mistake_has_none(found):
    assert found("policy: yoked", "policy: yoked") == []


MISTAKES = [
    ("1.25 s, 0.8 s]", "1.25 s]", "21: controller.settings.delays.lift: warning: found 3 delays for 4 trials: those without one"),
    ("1.25 s, 0.8 s]", "1.25 s, 0.8 s, 1 s]", "21: controller.settings.delays.lift: warning: found 5 delays for 4 trials: the last ones"),
    ("1.25 s", "2.25 s", "21: controller.settings.delays.lift[2]: found 2.25 s, the block waits 2 s"),
    ("1.25 s", "-1.25 s", "controller.settings: delays of 'lift', trial 3: found -1.25 s, allowed is 0 to 600 s"),
    ("1.25 s", "1.25", "controller.settings.delays: found 1.25: no unit"),
    ("      lift: [", "      lfit: [", "controller.settings.delays: no delays for the block 'lift'"),
    ("      lift: [", "      lfit: [", "controller.settings.delays.lfit: found 'lfit', allowed is a block that waits: lift"),
    (DELAYS, "      {}\n", "controller.settings: delays are empty"),
    ("    delays:\n" + DELAYS, "", "controller.settings: object missing required field `delays_s`"),
    ("    source: sub-P001/ses-01/att-1 sha256 0f0f\n", "", "controller.settings: warning: source is missing"),
    ("machine: effort, cue: 0.5 s,\n            await: {timeout: 2 s, on_timeout: skip}", "machine: cyclic, cue: 0.5 s", "controller.policy: yoked waits for a trigger, and no block does"),
    ("controller:\n", "  - block: {name: lift, trials: 1, machine: effort, await: {timeout: 2 s, on_timeout: skip}, ramp_up: 0.2 s, hold: 0.6 s, ramp_down: 0.2 s, rest: 3 s, intensity: {ref: motor, x: 1.0}}\ncontroller:\n", "phases[2].block.name: found 'lift' twice among the blocks that wait"),
    ("primary: trials_done", "primary: effort_started_share", "outcomes.primary: effort_started_share cannot be measured where trains are yoked"),
    ("secondary: [dose_share]", "secondary: [trigger_latency]", "outcomes.secondary[0]: trigger_latency cannot be measured where trains are yoked"),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after", "line"), MISTAKES)
def test_a_planted_mistake_gives_its_line(found, before, after, line):
    lines = found(before, after)
    assert any(line in each for each in lines), lines
