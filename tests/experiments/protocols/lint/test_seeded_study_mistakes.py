# ruff: noqa: E501
"""Mistakes planted in a whole study: sites, forms, arms, sham, course, progression, outcomes, people."""

from __future__ import annotations

import json
import re

import pytest

from myoloop.experiments.outcomes.registry import OUTCOMES
from myoloop.experiments.protocols.evidence import safety_parameters
from myoloop.experiments.protocols.json_schema import json_schema
from myoloop.experiments.protocols.lint import lint_file
from myoloop.experiments.protocols.schema import load_protocol, presets

STUDY = presets()["crps_tens"].read_text(encoding="utf-8")
HASH = "0f" * 32
ARMS = """\
arms:
  a: {treatment: active}
  b: {treatment: sham}
allocation:
  method: permuted_blocks
  list: HASH
  emergency_unblinding: {roles: [principal investigator]}
sham: {type: transient, on: 30 s, fade: 15 s, check: {during: true, after: true}}
course:
""".replace("HASH", HASH)
ARMED = STUDY.replace("course:\n", ARMS, 1).replace(
    "      flare: [PROP]\n", "      flare: [PROP]\n      sham: [PROP]\n", 1
)


@pytest.fixture
def found(tmp_path):
    """Errors of a file in which `before` became `after`, without the file's name."""

    def check(text, before, after):
        assert text.count(before) >= 1, before
        path = tmp_path / "p.yaml"
        path.write_text(text.replace(before, after, 1), encoding="utf-8")
        return [str(each).replace(f"{path}:", "") for each in lint_file(path) if each.severity == "error"]

    return check


def test_neither_the_study_nor_the_one_with_arms_has_any(found):
    assert found(STUDY, "course:", "course:") == []
    assert found(ARMED, "course:", "course:") == []


#: (study, what stood there, what stands there now, key and the beginning of what is said)
MISTAKES = [
    # the ones that hurt
    (STUDY, "current_max: 30 mA", "current_max: 100 mA", "envelope.current_max: found 100 mA, allowed for tens is at most 60 mA"),
    ("crps_microcurrent", "intensity: {fixed: 100 uA}", "intensity: {fixed: 100 mA}", "phases[3].block.intensity.fixed: found 100 mA, the envelope's current_max is 0.2 mA"),
    ("crps_microcurrent", "class: uA", "class: mA", "devices.stim.class: found mA, allowed for microcurrent is uA"),
    (STUDY, "    pad: 5x5 cm\n", "", "sites.forearm: pad is missing, but needed"),
    (STUDY, "pad: 5x5 cm", "pad: 3x3 cm", "sites.forearm.ref: site forearm_proximal_left: "),
    (STUDY, "ref: lib/forearm_proximal_left", "ref: lib/carotid_sinus_left", "sites.forearm.ref: site carotid_sinus_left: is never stimulated"),
    (STUDY, "ref: lib/forearm_proximal_left", "ref: lib/chest", "sites.forearm.ref: site chest"),
    (STUDY, "ref: lib/forearm_proximal_left", "ref: lib/forearm_proximal_right", "sites.forearm.ref: "),
    (STUDY, "ref: lib/forearm_proximal_left", "ref: lib/forearn_left", "sites.forearm.ref: found 'lib/forearn_left': "),
    (STUDY, "    ref: lib/forearm_proximal_left\n", "", "sites.forearm: ref is missing, but needed where rigs has HUMAN"),
    (STUDY, "density_max: 0.5 mA_rms/cm2", "density_max: 0.05 mA_rms/cm2", "sites.forearm.pad: found "),
    (STUDY, "stop_rules:\n  - pain_rise: 2\n  - spasms: {count: 10, within: 60 s}\n  - session_max: 45 min\n", "", "stop_rules: no stop rule"),
    (STUDY, "  - pain_rise: 2\n", "", "stop_rules: no pain rule, but needed where rigs has HUMAN"),
    # screening, checks, forms
    (STUDY, "screening:\n      forms: [information, consent, ", "screening:\n      forms: [information, ", "phases[0].screening.forms: consent is missing, but needed"),
    (STUDY, "  - screening:\n      forms: [information, consent, contraindications, clearance, supervision, medication, skin, pads, inspection]\n", "", "phases: no screening before anything is given"),
    (STUDY, "  - checks: {placement: true, listen: 5 s, noise_max: 25 uV, impedance_max: 10 kOhm}\n", "", "phases: no checks before anything is given"),
    (STUDY, "forms: [nrs, mood_sleep", "forms: [nrs, horoscope", "phases[1].questions.forms[1]: found 'horoscope', allowed is one of"),
    (STUDY, "prompts: [nrs_now]", "prompts: [nrs_later]", "phases[5].block.prompts[0]: found 'nrs_later', allowed is one of"),
    (STUDY, "[{form: nrs_now, after: [24 h]}]", "[{form: dreams, after: [24 h]}]", "course.diary[0].form: found 'dreams', allowed is one of"),
    # arms and sham
    (ARMED, "allocation:\n  method: permuted_blocks\n  list: " + HASH + "\n  emergency_unblinding: {roles: [principal investigator]}\n", "", "arms: several arms and no allocation"),
    (ARMED, ", check: {during: true, after: true}", "", "sham: sham without a blinding check"),
    (ARMED, "sham: {type: transient, on: 30 s, fade: 15 s, check: {during: true, after: true}}\n", "", "arms: an arm is sham, and there is no section sham"),
    (ARMED, "  b: {treatment: sham}\n", "  b: {treatment: active}\n", "sham: no arm is sham"),
    (ARMED, "  b: {treatment: sham}\n", "", "allocation: found 1 arms, allowed is a list for two or more"),
    (ARMED, "on: 30 s, fade: 15 s, ", "", "sham: found a map of 2: allowed is {type: transient, on, fade}"),
    (ARMED, "transient, on: 30 s", "transient, on: 20 min", "sham.on: found 1200 s, allowed is less than the shortest train"),
    (ARMED, HASH, "a list", "allocation.list: found 'a list', allowed: "),
    (ARMED, "form: nrs_now, after", "form: nrs_now, afterwards", "course.diary[0].afterwards: unknown key"),
    # course
    (STUDY, "min_gap: 20 h", "min_gap: 3 d", "course.sessions_per_week: found 5 a week, the gap of 72 h allows 3"),
    (STUDY, "max_sessions: 15", "max_sessions: 40", "course.max_sessions: found 40, the course has room for 15"),
    (STUDY, "  min_gap: 20 h\n", "  min_gap: 20 h\n  carry_over: true\n", "course.carry_over: what carries over needs a washout"),
    (STUDY, "min_gap: 20 h", "min_gap: 20", "course.min_gap: found 20: no unit"),
    (STUDY, "current_share: 80 %", "current_share: 180 %", "course.first_session.current_share: found '180 %': allowed is at most"),
    (STUDY, re.search(r"course:\n(?:  .*\n)+", STUDY)[0], "", "flare: a flare rule needs a course: nothing is kept"),
    (STUDY, "flare: {next_share: 0.5}", "flare: {next_share: 1.5}", "flare.next_share: found 1.5"),
    (STUDY, "flare: {next_share: 0.5}", "flare: {next_share: 0}", "flare.next_share: found 0"),
    (STUDY, "\ncourse:\n", "\nfirst_session: {current_share: 80 %, on_share: 60 %}\ncourse:\n", "first_session: unknown key"),
    (STUDY, "      flare: [PROP]\n", "", "protocol.evidence.marks: no mark says what flare.next_share rests on"),
    (ARMED, "      sham: [PROP]\n", "", "protocol.evidence.marks: no mark says what sham.type, sham.on, sham.fade rests on"),
    ("crps_motor_reeducation", "      progression: [PROP]\n", "", "protocol.evidence.marks: no mark says what progression[0].measure, "),
    # progression
    ("crps_motor_reeducation", "measure: effort_started_share, at_least", "measure: courage, at_least", "progression[0].measure: found 'courage', allowed is one of"),
    ("crps_motor_reeducation", 'path: "phases[7].block.intensity.share", by: -0.05', 'path: "envelope.current_max", by: -0.05', "progression[0].path: found 'envelope.current_max', allowed is intensity.x"),
    ("crps_motor_reeducation", "by: -0.05, least: 0.1, most: 0.6", "by: -0.05, least: 0.1, most: 1.6", "progression[0].most: found 1.6, allowed is at most 1"),
    ("crps_motor_reeducation", "by: -0.05, least: 0.1", "by: -0.05, least: 0.3", "progression[0].path: phases[7].block.intensity.share is 0.2, outside its own bounds"),
    ("crps_motor_reeducation", "by: -0.05", "by: 0", "progression[0]: found a map of 8: allowed is by other than 0"),
    # outcomes
    (STUDY, "primary: nrs_change", "primary: happiness", "outcomes.primary: found 'happiness', allowed is one of"),
    (STUDY, "primary: nrs_change", "primary: active_rom", "outcomes.primary: active_rom cannot be measured without an IMU that is not optional and a block of machine effort"),
    (STUDY, "primary: nrs_change", "primary: evoked_fatigue", "outcomes.primary: evoked_fatigue cannot be measured without a force cell"),
    (STUDY, "primary: nrs_change", "primary: doms", "outcomes.primary: doms cannot be measured without the form doms in the diary"),
    (STUDY, "{entered: CRPS severity score, by: clinician}", "{entered: CRPS severity score}", "outcomes.secondary[4]: found a map of 1: allowed is an outcome's id, or {entered: what, by: who}"),
    # what can never come about
    ("emgtrig_wrist_stroke", "await: {timeout: 5 s", "await: {timeout: 0.1 s", "phases[7].block.await.timeout: found 0.1 s, an effort must last 0.15 s to count"),
    ("emgtrig_wrist_stroke", "      trials: 12\n", "      trials: 12\n      at_most: 0.5 s\n", "phases[7].block.at_most: found 0.5 s, the cue alone takes 1 s: ramp_up is never reached"),
    ("emgtrig_wrist_stroke", "- timeouts: 10", "- timeouts: 400", "stop_rules[2].timeouts: found 400, the protocol has 24 trials: never reached"),
    # for people
    (STUDY, re.search(r"spirit:.*", STUDY, re.DOTALL)[0], "", "protocol.rigs: spirit is missing, but needed where rigs has HUMAN"),
    (STUDY, "      envelope.slew: [PROP]\n", "", "protocol.evidence.marks: no mark says what envelope.slew rests on"),
    (STUDY, "{grade: trial, text: \"PubMed", "{grade: proven, text: \"PubMed", "protocol.evidence.sources.P14.grade: found 'proven', allowed: 'trial', 'review'"),
]  # fmt: skip


@pytest.mark.parametrize(("study", "before", "after", "line"), MISTAKES)
def test_a_planted_mistake_gives_its_line(found, study, before, after, line):
    text = study if "\n" in study else presets()[study].read_text(encoding="utf-8")
    lines = found(text, before, after)
    assert any(re.sub(r"^\d+: ", "", each).startswith(line) for each in lines), lines
    assert all(re.match(r"\d+: ", each) for each in lines)


#: What means nothing where it stands, and is no mistake that keeps anybody from a session.
ODD = [
    ("flare: {next_share: 0.5}", "flare: {next_share: 1}", "flare.next_share: warning: found 1, which takes nothing away"),
    ("{current_share: 80 %, on_share: 60 %}", "{current_share: 100 %, on_share: 100 %}", "course.first_session: warning: found shares of all"),
    ("max_sessions: 15", "max_sessions: 1", "course.first_session: warning: found with max_sessions: 1"),
    ("  min_gap: 20 h\n", "  min_gap: 20 h\n  washout: 2 wk\n", "course.washout: warning: means nothing without carry_over: true"),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after", "line"), ODD)
def test_what_means_nothing_is_told_in_one_line(tmp_path, before, after, line):
    assert STUDY.count(before) == 1
    path = tmp_path / "p.yaml"
    path.write_text(STUDY.replace(before, after), encoding="utf-8")
    (problem,) = [each for each in lint_file(path) if each.severity == "warning"]
    assert re.sub(r"^\d+: ", "", str(problem).replace(f"{path}:", "")).startswith(line)


def test_a_flare_of_which_nobody_asks_is_odd(tmp_path):
    text = STUDY.replace("  schema: 1\n", "  schema: 1\n  rigs: [SIM]\n").replace("  followups: [4 wk, 12 wk]\n", "")
    text = re.sub(r"  - screening:\n(?:      .*\n)+", "", text)
    path = tmp_path / "p.yaml"
    path.write_text(text, encoding="utf-8")
    told = [str(each) for each in lint_file(path)]
    assert any("flare: warning: nothing asks of a flare" in each for each in told), told
    path.write_text(text.replace("form: nrs_now, after: [24 h]", "form: follow_up, after: [24 h]"), encoding="utf-8")
    assert not any("nothing asks of a flare" in str(each) for each in lint_file(path))


def test_what_progression_flare_and_sham_move_or_hold_is_signed_value_by_value(tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text(ARMED, encoding="utf-8")
    paths = {each.path for each in safety_parameters(load_protocol(path))}
    assert {"flare.next_share", "sham.type", "sham.on", "sham.fade"} <= paths
    assert not any(each.startswith("sham.check") for each in paths)
    moved = {each.path: each for each in safety_parameters(load_protocol("crps_motor_reeducation"))}
    of_a_rule = ("measure", "at_least", "in_a_row", "path", "by", "least", "most")
    assert {f"progression[0].{key}" for key in of_a_rule} == {
        each for each in moved if each.startswith("progression[0].")
    }
    assert (moved["progression[0].by"].written, moved["progression[0].by"].grade) == ("-0.05", "unverified")


def test_a_mistake_knows_its_column(tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text(STUDY.replace("primary: nrs_change", "primary: happiness"), encoding="utf-8")
    (problem,) = lint_file(path)
    line = path.read_text(encoding="utf-8").splitlines().index("  primary: happiness") + 1
    assert (problem.line, problem.column) == (line, 3)
    assert problem.with_column().startswith(f"{path}:{line}:3: outcomes.primary: found 'happiness'")
    path.write_text(STUDY.replace("slew: 2 mA/s", "slew: 2 mA"), encoding="utf-8")
    (problem,) = lint_file(path)
    assert problem.with_column().startswith(f"{path}:{problem.line}:3: envelope.slew: found '2 mA'")


def test_the_schema_for_editors_knows_every_key_unit_and_outcome():
    schema = json_schema()
    assert json.loads(json.dumps(schema)) == schema
    definitions = schema["$defs"]
    assert definitions["Outcome"]["anyOf"][0]["enum"] == list(OUTCOMES)
    assert definitions["EnvelopeLimits"]["properties"]["slew"]["anyOf"][0]["examples"] == ["5 mA/s"]
    assert not definitions["BlockPhase"]["additionalProperties"]
    top = set(load_protocol("crps_tens")._data)
    assert top <= set(schema["properties"])
