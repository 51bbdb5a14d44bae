# ruff: noqa: E501
"""Each mistake gives its one line: file, line, key, what was found, what is allowed."""

from __future__ import annotations

import pytest

from myoloop.experiments.protocols.lint import errors, lint, lint_file
from myoloop.experiments.protocols.rigsummary import InputChannel, OutputChannel, RigSummary
from myoloop.experiments.protocols.schema import load_protocol
from myoloop.platform.yamlfile import UnreadableFile
from myoloop.stimulators.driver import Capabilities

GOOD = """\
protocol:
  id: wrist
  version: 1.0.0
  schema: 1
  title: Wrist
  rigs: [SIM, BENCH]
  evidence: {grade: low, sources: {P1: A trial}, marks: {"stimulation.ext.rate": [P1], "sites.ext.pad": [GK]}}
devices:
  emg: {min_rate: 1000 Hz, channels: [ext]}
  stim: {class: mA, min_step: 1 mA}
sites:
  ext: {muscle: wrist extensors, side: left, pad: 5x5 cm, emg: agonist}
  far: {muscle: deltoid, side: left}
envelope:
  waveform_class: nmes
  current_max: 40 mA
  charge_max: 12 uC
  duty_max: 50 %
stimulation:
  ext: {site: ext, phase: 250 us, rate: 35 Hz}
phases:
  - rest: {duration: 10 s}
  - calibration:
      order: [sensory, motor, tolerance]
      step: 1 mA
      stop_at: 40 mA
      interval: 1 s
      burst: 0.5 s
  - block:
      trials: 10
      machine: effort
      cue: 1 s
      await: {timeout: 3 s, on_timeout: assist}
      ramp_up: 0.5 s
      hold: 4 s
      ramp_down: 0.5 s
      rest: 8 s
      intensity: {ref: motor, x: 1.2}
controller:
  policy: emg_trigger
  settings: {muscle: ext, sustain: 200 ms}
stop_rules:
  - session_max: 20 min
outcomes: {primary: trials_done}
"""
RIG = RigSummary(
    "lab-2",
    "BENCH",
    (InputChannel("ext", "emg", 2000.0, "amp"),),
    (OutputChannel("ext", 0, 25.0),),
    Capabilities(
        outputs=2, current_max_ma=60.0, current_step_ma=1.0, phase_min_us=20.0, phase_max_us=500.0, phase_step_us=1.0,
        rate_min_hz=1.0, rate_max_hz=100.0, lease_ms=200.0, times_itself=False, rate_step_hz=0.1,
    ),
)  # fmt: skip


@pytest.fixture
def found(tmp_path):
    """Lines about a protocol in which `before` became `after`, on a rig or on none."""

    def check(before, after, rig=None, severity="error"):
        assert GOOD.count(before) == 1, before
        path = tmp_path / "p.yaml"
        path.write_text(GOOD.replace(before, after), encoding="utf-8")
        problems = [problem for problem in lint_file(path, rig) if problem.severity == severity]
        return [str(problem).replace(f"{path}:", "") for problem in problems]

    return check


def test_the_protocol_itself_has_none(tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text(GOOD)
    assert lint_file(path) == []
    assert lint_file(path, RIG) == []


CURRENT = "a current with its unit (uA, mA, A), like 40 mA"
#: (what stood there, what stands there now, the one line)
MISTAKES = [
    # values and units
    ("current_max: 40 mA", "current_max: 40", f"16: envelope.current_max: found 40: no unit; allowed is {CURRENT}"),
    ("step: 1 mA\n      stop", "step: 1\n      stop",
     f"25: phases[1].calibration.step: found 1: no unit; allowed is {CURRENT}"),
    ("phase: 250 us", "phase: 250 mA", "20: stimulation.ext.phase: found '250 mA': this is a current; allowed is a time "
     "with its unit (ns, us, ms, s, min, h, d, wk), like 250 us"),
    ("rate: 35 Hz", "rate: .nan", "20: stimulation.ext.rate: found nan: no unit; allowed is a rate with its unit "
     "(Hz, kHz), like 35 Hz"),
    ("pad: 5x5 cm", "pad: 5 cm", "12: sites.ext.pad: found '5 cm': this is a length; allowed is an area with its unit "
     "(mm2, cm2, m2), like 5x9 cm or 45 cm2"),
    ("duration: 10 s", "duration: -10 s", "22: phases[0].rest.duration: found '-10 s': allowed is more than 0 s"),
    ("duty_max: 50 %", "duty_max: 0.5", "18: envelope.duty_max: found 0.5: no unit; allowed is a share with its unit (%), "
     "like 50 %"),
    # keys and kinds
    ("      hold: 4 s", "      hould: 4 s", "35: phases[2].block.hould: unknown key"),
    ("machine: effort", "machine: sideways", "31: phases[2].block.machine: found 'sideways', allowed: 'effort', 'cyclic' "
     "or 'continuous'"),
    ("  - rest: {duration: 10 s}", "  - rest: {duration: 10 s}\n    block: {}", "phases[0].block"),
    ("schema: 1", "schema: 2", "4: protocol.schema: found 2, allowed: 1"),
    ("trials: 10", "trials: ten", "30: phases[2].block.trials: found 'ten', allowed: a whole number"),
    # intensity
    ("intensity: {ref: motor, x: 1.2}", "intensity: 12 mA", "38: phases[2].block.intensity: found '12 mA': a bare value "
     "is no intensity; allowed is a threshold of the person times a factor, like {ref: motor, x: 1.2}"),
    ("intensity: {ref: motor, x: 1.2}", "intensity: {fixed: 12 mA}", "38: phases[2].block.intensity.fixed: found 12 mA as "
     "a fixed current, allowed for microcurrent only: give ref and x"),
    ("intensity: {ref: motor, x: 1.2}", "intensity: {ref: tolerance, x: 1.0}", "38: phases[2].block.intensity.x: found "
     "1 x tolerance, allowed is at most 0.9 x tolerance"),
    ("order: [sensory, motor, tolerance]", "order: [sensory, tolerance]", "38: phases[2].block.intensity: refers to the "
     "motor threshold of ext, which no calibration before it finds"),
    ("      trials: 10", "      phase: 300 us\n      trials: 10", "39: phases[2].block.intensity: ext is used at 300 us, "
     "its thresholds were found at 250 us"),
    ("      burst: 0.5 s", "      burst: 0.6 s\n      rate: 5 Hz", "39: phases[2].block.intensity: ext is used at 35 Hz, a "
     "contraction; its thresholds were found at 5 Hz, in single twitches: allowed is a calibration above 12 Hz"),
    ("      intensity: {ref: motor, x: 1.2}", "      intensity: {ref: motor, x: 1.2}\n      conditions: {slow: {rate: 10 Hz},"
     " quick: {rate: 35 Hz}}\n  - calibration: {order: [motor, tolerance], step: 1 mA, stop_at: 40 mA, interval: 2 s, "
     "burst: 0.8 s, rate: 12 Hz}\n  - block: {trials: 2, machine: cyclic, ramp_up: 0.5 s, hold: 2 s, ramp_down: 0.5 s, "
     "rest: 8 s, intensity: {ref: motor, share: 0.2}}", "41: phases[4].block.intensity: ext is used at 35 Hz, a contraction; "
     "its thresholds were found at 12 Hz"),
    # dose
    ("current_max: 40 mA", "current_max: 200 mA", "16: envelope.current_max: found 200 mA, allowed for nmes is at most "
     "130 mA"),
    ("pad: 5x5 cm", "pad: 3x3 cm", "12: sites.ext.pad: found 1.18 mA_rms/cm2 for ext at 40 mA with half of 9 cm2 sticking, "
     "allowed is 1 mA_rms/cm2: a larger pad or less current"),
    ("rest: 8 s", "rest: 3 s", "37: phases[2].block.rest: found 54% duty (5 s on, 4.2 s off), allowed by the envelope's "
     "duty_max is 50%"),
    ("hold: 4 s", "hold: 9 s", "35: phases[2].block.hold: found 10 s on with its ramps, allowed by the envelope's on_max "
     "is 6 s"),
    ("phase: 250 us", "phase: 450 us", "20: stimulation.ext.phase: found 450 us, allowed by the envelope is 100 to 400 us"),
    ("rate: 35 Hz", "rate: 100 Hz", "20: stimulation.ext.rate: found 100 Hz, allowed by the envelope is 2 to 80 Hz"),
    ("trials: 10", "trials: 500", "14: envelope.total_on: calibration and blocks plan up to 2520 s on, allowed by the "
     "envelope's total_on is 600 s"),
    ("ramp_up: 0.5 s", "ramp_up: 0.05 s", "34: phases[2].block.ramp_up: found 0.05 s, allowed by the envelope is at least "
     "0.1 s"),
    # calibration
    ("step: 1 mA\n      stop", "step: 40 uA\n      stop", "25: phases[1].calibration.step: found 40 uA, allowed is a whole "
     "number of the device's least steps of 1 mA (devices.stim.min_step)"),
    ("interval: 1 s\n      burst: 0.5 s", "interval: 0.2 s\n      burst: 0.1 s", "27: phases[1].calibration.interval: found "
     "0.2 s, allowed is at least 0.3 s"),
    ("burst: 0.5 s", "burst: 0.3 s", "28: phases[1].calibration.burst: found 0.3 s, allowed is at least 0.4 s: the ramp on known ground, "
     "the step at the envelope's slew, 0.1 s to be felt"),
    ("burst: 0.5 s", "burst: 0.8 s", "27: phases[1].calibration.interval: found 1 s with bursts of 0.8 s, 80% duty: the gate "
     "would cut steps short, allowed by the envelope's duty_max is 50%"),
    ("      step: 1 mA\n", "      step: 1 mA\n      start: 5 mA\n", "26: phases[1].calibration.start: found 5 mA, allowed is "
     "at most one step of 1 mA from zero"),
    ("stop_at: 40 mA", "stop_at: 120 mA", "26: phases[1].calibration.stop_at: found 120 mA, allowed while calibrating is at "
     "most 100 mA"),
    ("waveform_class: nmes", "waveform_class: microcurrent", "devices.stim.class: found mA, allowed for microcurrent is uA"),
    # names
    ("channels: [ext]", "channels: [exd]", "9: devices.emg.channels[0]: found 'exd', allowed is one of the sites: ext, far"),
    ("site: ext, phase", "site: far, phase", "13: sites.far: pad is missing, but needed: this site is stimulated, like pad: "
     "5x9 cm"),
    ("      trials: 10", "      channels: [exd]\n      trials: 10", "30: phases[2].block.channels[0]: found 'exd', allowed is "
     "a channel of stimulation: ext"),
    # the end, the controller, the evidence
    ("stop_rules:\n  - session_max: 20 min\n", "", "1: stop_rules: no stop rule; at least one is needed, like - session_max: "
     "20 min"),
    ("  - session_max: 20 min", "  - {session_max: 20 min, timeouts: 3}", "allowed is exactly one of pain_rise"),
    ("session_max: 20 min", "session_max: 1 min", "43: stop_rules[0].session_max: found 60 s, the shortest course takes "),
    ("policy: emg_trigger", "policy: magic", "40: controller.policy: there is no polic"),
    ("sustain: 200 ms", "sustain: 200", "41: controller.settings.sustain: found 200: no unit; allowed is a time"),
    ("muscle: ext, sustain", "muscle: leg, sustain", "41: controller.settings.muscle: found 'leg', allowed is one of the EMG "
     "channels: ext"),
    ('"sites.ext.pad": [GK]', '"sites.ext.pads": [GK]', "7: protocol.evidence.marks.sites.ext.pads: found a mark for a value "
     "that is not in this file"),
    ('"stimulation.ext.rate": [P1]', '"stimulation.ext.rate": [P2]', "7: protocol.evidence.marks.stimulation.ext.rate: found "
     "'P2', allowed is one of P1, GK, PROP"),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after", "line"), MISTAKES)
def test_a_seeded_mistake_gives_its_line(found, before, after, line):
    lines = found(before, after)
    assert any(text.startswith(line) or (not line[0].isdigit() and line in text) for text in lines), lines
    assert all("\n" not in text for text in lines)


@pytest.mark.parametrize(
    ("before", "after"),
    [mistake[:2] for mistake in MISTAKES if mistake[2][0].isdigit()],
)
def test_and_no_other_that_does_not_follow_from_it(found, before, after):
    # A name that is wrong in one place is missed in others; nothing else has more than two lines.
    assert 1 <= len(found(before, after)) <= (3 if "exd" in after else 2)


def test_every_mistake_of_a_file_comes_at_once(tmp_path):
    path = tmp_path / "p.yaml"
    text = (
        GOOD.replace("hold: 4 s", "hold: 4")
        .replace("side: left, pad", "side: up, pad")
        .replace("trials: 10", "trails: 10")
    )
    path.write_text(text)
    lines = [str(problem) for problem in lint_file(path)]
    assert [line.split(":")[1] for line in lines] == ["12", "30", "35"]


@pytest.mark.parametrize(
    ("before", "after", "rig", "line"),
    [
        ("step: 1 mA\n      stop", "step: 2 mA\n      stop", "coarse", "25: phases[1].calibration.step: found 2 mA, allowed is a "
         "whole number of the device's least steps of 4 mA"),
        ("min_step: 1 mA", "min_step: 10 uA", "bench", "10: devices.stim.min_step: found 0.01 mA, allowed is at least 1 mA: the "
         "device's least step"),
        ("current_max: 40 mA", "current_max: 80 mA", "bench", "16: envelope.current_max: found 80 mA, the device gives at most "
         "60 mA"),
        ("min_rate: 1000 Hz", "min_rate: 4 kHz", "bench", "9: devices.emg.min_rate: found 4000 Hz, the rig lab-2 acquires ext at "
         "2000 Hz"),
        ("outcomes:", "outcomes:", "bare", "9: devices.emg.channels[0]: the rig bare has no EMG channel 'ext', it has none"),
        ("outcomes:", "outcomes:", "bare", "20: stimulation.ext: the rig bare has no stimulation channel 'ext', it has none"),
        ("outcomes:", "outcomes:", "bare", "10: devices.stim: the rig bare has no stimulator"),
        ("outcomes:", "outcomes:", "human", "6: protocol.rigs: the rig clinic is HUMAN, allowed for this protocol is SIM, BENCH"),
        ("pad: 5x5 cm", "pad: 5x9 cm", "bench", "12: sites.ext.pad: needs 45 cm2, the rig lab-2 has a pad of 25 cm2 for ext"),
        ("min_step: 1 mA}", "min_step: 1 mA}\n  imu: {}", "bench", "11: devices.imu: the rig lab-2 has no IMU"),
        ("rate: 35 Hz", "rate: 33.33 Hz", "bench", "20: stimulation.ext.rate: found 33.33 Hz, allowed is a whole number of the "
         "device's steps of 0.1 Hz"),
        ("phase: 250 us", "phase: 250.5 us", "bench", "20: stimulation.ext.phase: found 250.5 us, allowed is a whole number of the "
         "device's steps of 1 us"),
        ("      trials: 10", "      rate: 33.333333 Hz\n      trials: 10", "bench", "30: phases[2].block.rate: found 33.333333 Hz, allowed "
         "is a whole number"),
        ("      step: 1 mA\n", "      phase: 0.2505 ms\n      step: 1 mA\n", "bench", "25: phases[1].calibration.phase: found 250.5 us, "
         "allowed is a whole number"),
        ("rate: 35 Hz", "rate: 35 Hz", "slow", "20: stimulation.ext.rate: found 35 Hz, the device gives 1 to 20 Hz"),
    ],
)  # fmt: skip
def test_what_a_rig_cannot_serve(found, before, after, rig, line):
    from dataclasses import replace

    rigs = {
        "bench": RIG,
        "bare": RigSummary("bare", "SIM", ()),
        "human": replace(RIG, name="clinic", rig_class="HUMAN"),
        "coarse": replace(RIG, device=replace(RIG.device, current_step_ma=4.0)),
        "slow": replace(RIG, device=replace(RIG.device, rate_max_hz=20.0)),
    }
    lines = found(before, after, rigs[rig])
    assert any(text.startswith(line) for text in lines), lines


@pytest.mark.parametrize("rate", ["0.1 Hz", "33.3 Hz", "34.9 Hz", "79.9 Hz", "0.0353 kHz"])
def test_every_rate_that_the_device_can_say_is_served(found, rate):
    assert not [line for line in found("rate: 35 Hz", f"rate: {rate}", RIG) if "whole number" in line]


def test_a_device_without_steps_gives_any_width_and_rate(found):
    from dataclasses import replace

    rig = replace(RIG, device=replace(RIG.device, phase_step_us=0.0, rate_step_hz=0.0))
    assert found("phase: 250 us, rate: 35 Hz", "phase: 250.5 us, rate: 33.33 Hz", rig) == []


def test_given_thresholds_are_for_rigs_without_a_person(found):
    before = "phases:\n"
    after = "thresholds: {motor: 10 mA, tolerance: 40 mA}\nphases:\n"
    assert found(before, after) == []


def test_given_thresholds_and_a_person_do_not_go_together(tmp_path):
    path = tmp_path / "p.yaml"
    text = GOOD.replace("rigs: [SIM, BENCH]", "rigs: [SIM, HUMAN]")
    path.write_text(text.replace("phases:\n", "thresholds: {motor: 10 mA, tolerance: 40 mA}\nphases:\n"))
    lines = [str(problem) for problem in lint_file(path)]
    assert f"{path}:21: thresholds: thresholds are given, not measured: allowed with rigs: [SIM, BENCH] only" in lines


@pytest.mark.parametrize(
    ("before", "after", "line"),
    [
        ("  - session_max: 20 min", "  - pain_rise: 2", "42: stop_rules: warning: no session_max"),
        ("      trials: 10", "      rate: 50 Hz\n      trials: 10", "39: phases[2].block.intensity: warning: ext is used at "
         "50 Hz, its thresholds were found at 35 Hz: what is borne falls with the rate"),
        ("      trials: 10", "      rate: 20 Hz\n      trials: 10", "39: phases[2].block.intensity: warning: ext is used at "
         "20 Hz, its thresholds were found at 35 Hz: they hold for that rate only"),
        ("  - rest: {duration: 10 s}", "  - rest: {duration: 10 s, baseline: false}", "29: phases[2].block: warning: no rest"),
        ("charge_max: 12 uC", "charge_max: 5 uC", "16: envelope.current_max: warning: found 40 mA, but ext at 250 us and 35 Hz "
         "is held to 20 mA"),
    ],
)  # fmt: skip
def test_what_is_only_odd_is_a_warning(found, before, after, line):
    (text,) = found(before, after, severity="warning")
    assert text.startswith(line)
    assert found(before, after) == []


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda folder: folder / "nowhere.yaml", "nowhere.yaml: no such file or directory"),
        (lambda folder: folder, ": is a folder, a file is needed"),
        (lambda folder: "not_a_preset", "not_a_preset: no such file and no such preset; presets are"),
    ],
)
def test_what_cannot_be_read_is_one_line_and_no_mistake_in_a_file(tmp_path, make, says):
    with pytest.raises(UnreadableFile) as caught:
        lint_file(make(tmp_path))
    (problem,) = caught.value.problems
    assert says in problem


def test_a_rig_given_as_a_protocol_is_told_once(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text("# Ours.\nrig: {id: r, class: SIM}\nnodes: {}\nemg: {}\n", encoding="utf-8")
    assert [str(problem) for problem in lint_file(path)] == [f"{path}:2: is a rig file, a protocol file is needed"]


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("phases:\n", "phases: []\nspare:\n", "phases: found a list of 0, allowed: at least 1 item"),
        ("  version: 1.0.0", "  version: one", "protocol.version: found 'one', allowed: three numbers such as 1.0.0"),
    ],
)
def test_what_is_allowed_is_said_in_the_words_of_the_file(tmp_path, before, after, says):
    path = tmp_path / "p.yaml"
    assert before in GOOD
    path.write_text(GOOD.replace(before, after, 1), encoding="utf-8")
    texts = [str(problem) for problem in lint_file(path)]
    assert any(says in text for text in texts), texts


def test_errors_are_told_from_warnings(tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text(GOOD.replace("  - session_max: 20 min", "  - pain_rise: 2"))
    problems = lint(load_protocol(path))
    assert len(problems) == 1
    assert errors(problems) == []
