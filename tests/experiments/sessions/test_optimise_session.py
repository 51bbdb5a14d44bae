"""A whole session with an optimise phase, under a virtual clock: it is recorded, used, and replayed bit for bit."""

from __future__ import annotations

from pathlib import Path

import pytest

from myoloop.experiments.objects import BUILDERS
from myoloop.experiments.protocols.schema import load_protocol
from myoloop.experiments.replay import replay
from myoloop.experiments.reports.session import write_report
from myoloop.experiments.sessions.lockstep import Lockstep
from myoloop.experiments.sessions.run import prepare, run_live
from myoloop.experiments.sessions.script import Script
from myoloop.experiments.sessions.setup import SessionSetup
from myoloop.platform.messages import Event, StimReport, Trial
from myoloop.platform.recording.reader import Recording
from myoloop.platform.recording.verify import verify
from myoloop.stimulators.gate.limits import round_down

DATA = Path(__file__).parents[2] / "data"
#: Least step of the simulated stimulator.
STEP_MA = 0.5
#: Given thresholds, so that nothing but the settings is looked for; movement, as the virtual person's IMU tells it.
SHORT = (
    ("  - calibration:\n      {name: thresholds, order: [motor, tolerance], step: 2 mA, stop_at: 36 mA, "
     "interval: 2 s, burst: 0.6 s}\n", ""),
    ("phases:\n  - rest", "thresholds: {motor: 12 mA, tolerance: 28 mA}\nphases:\n  - rest"),
    ("response: mwave", "response: movement"),
    ("trials: 8", "trials: 5"),
)  # fmt: skip
SCRIPT = Script.model_validate({"date": "2026-11-21", "others": "clear", "forms": {"comfort": "person"}})


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    setup = made(tmp_path_factory.mktemp("set_up"))
    return setup.folder, Lockstep(setup, script=SCRIPT).run()


def made(folder: Path, script: Script = SCRIPT, speed: str = "max") -> SessionSetup:
    text = (DATA / "set_up.yaml").read_text(encoding="utf-8")
    for before, after in SHORT:
        assert before in text
        text = text.replace(before, after)
    path = folder / "short.yaml"
    path.write_text(text, encoding="utf-8")
    load_protocol(path)
    return prepare(str(path), subject="SIM1", rig=None, study=folder / "study", seed=3, script=script, speed=speed)


def told(folder: Path, topic: str) -> list:
    return [each.received.message for each in Recording.open(folder).messages({topic})]


def test_it_comes_to_its_end_and_every_proposal_has_its_reason_in_the_record(played):
    folder, result = played
    assert result.outcome == "complete"
    assert verify(folder).status == "good"
    events: list[Event] = told(folder, "event")
    proposed = [event for event in events if event.kind == "proposed"]
    assert len(proposed) == 5
    assert all(event.why and event.values["channel"] for event in proposed)
    assert [event.why for event in events if event.kind == "chosen"]


def test_it_replays_bit_for_bit(played):
    assert replay(played[0], BUILDERS).equal


@pytest.mark.processes
@pytest.mark.prove
@pytest.mark.timeout(300)
def test_in_processes_of_its_own_it_does_the_same_at_real_time(tmp_path, short_folder):
    calm = Script.model_validate({"date": "2026-11-21", "others": "clear"})
    end = run_live(made(tmp_path, calm, "real"), script=calm)
    assert (end.outcome, end.reason) == ("complete", "")
    kinds = [event.kind for event in told(end.folder, "event")]
    assert (kinds.count("proposed"), kinds.count("chosen")) == (5, 1)
    assert replay(end.folder, BUILDERS).equal


def test_what_was_chosen_was_tried_comfortable_and_is_what_the_block_gives(played):
    folder, _ = played
    (chosen,) = (event.values for event in told(folder, "event") if event.kind == "chosen")
    trials: list[Trial] = told(folder, "trial")
    same = [
        trial.values
        for trial in trials
        if trial.kind == "optimise"
        and all(trial.values[name] == chosen[name] for name in ("channel", "current_ma", "phase_us", "rate_hz"))
    ]
    assert any(values["discomfort"] is not None and values["discomfort"] <= 8 for values in same)
    (block,) = (trial for trial in trials if trial.kind == "block")
    name = str(chosen["channel"])
    assert block.values[f"target_ma_{name}"] == round_down(0.9 * float(chosen["current_ma"]), STEP_MA)
    reports: list[StimReport] = [
        each for each in told(folder, "report") if block.begin_ns < each.t_ns < block.end_ns and each.allowed
    ]
    given = {(one.channel, one.phase_us, one.rate_hz) for each in reports for one in each.allowed if one.current_ma}
    assert given == {(name, chosen["phase_us"], chosen["rate_hz"])}


def test_nothing_was_above_what_the_person_may_have(played):
    for report in told(played[0], "report"):
        for one in report.allowed:
            assert one.current_ma <= 0.9 * 28.0
            assert one.current_ma * one.phase_us <= 0.9 * 28.0 * 250.0


def test_the_session_has_a_report(played):
    assert write_report(played[0]).is_file()
