"""A short course, session by session, on the days that its scripts say: what is booked, what moves, what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from myoloop.experiments.analysis.session import load
from myoloop.experiments.reports.beside import read_beside
from myoloop.experiments.reports.conduct import deviations
from myoloop.experiments.sessions.admission import RefusedError
from myoloop.experiments.sessions.run import prepare, run_lockstep
from myoloop.experiments.sessions.script import load_script
from myoloop.experiments.sessions.settling import settle
from myoloop.experiments.studies.chained import read_chained, verify_chained
from myoloop.experiments.studies.personrecord import record_path
from myoloop.platform.recording.reader import Recording

TEXT = """
protocol: {id: course, version: 1.0.0, schema: 1, title: A short course, rigs: [SIM], evidence: {grade: none}}
devices:
  emg: {min_rate: 1000 Hz, channels: [ext]}
  stim: {class: mA, min_step: 1 mA}
sites:
  ext: {muscle: wrist extensors, side: left, pad: 5x5 cm, emg: agonist}
envelope: {waveform_class: nmes, current_max: 20 mA, step: 2 mA, slew: 20 mA/s, total_on: 20 s}
stimulation:
  ext: {site: ext, phase: 250 us, rate: 35 Hz}
thresholds: {motor: 10 mA, tolerance: 20 mA}
phases:
  - rest: {name: begin, duration: 0.3 s}
  - block: {name: train, trials: 2, machine: cyclic, ramp_up: 0.2 s, hold: 0.3 s, ramp_down: 0.1 s, rest: 1.3 s,
            intensity: {ref: motor, x: 1.0}}
controller: {policy: open_loop}
stop_rules: [{session_max: 1 min}]
outcomes: {primary: trials_done}
course: {sessions_per_week: 3, weeks: 2, max_sessions: 3, min_gap: 20 h,
         first_session: {current_share: 80 %, on_share: 60 %}}
progression:
  - {name: more, measure: trials_done, at_least: 2, path: "phases[1].block.trials", by: 1, least: 1, most: 3}
"""


@pytest.fixture
def play(tmp_path: Path):
    protocol = tmp_path / "course.yaml"
    protocol.write_text(TEXT)
    study = tmp_path / "study"

    def session(moment: str, acts: str = ""):
        path = tmp_path / "script.yaml"
        path.write_text(f"date: {moment}\n{acts}")
        script = load_script(str(path))
        setup = prepare(str(protocol), subject="SIM:able_bodied", rig=None, study=study, seed=1, script=script)
        return setup, run_lockstep(setup, script=script)

    session.study = study
    return session


def test_a_course_is_booked_grows_and_ends(play) -> None:
    first, ended = play("2026-11-02T09:00")
    assert ended.outcome == "complete", ended.reason
    assert first.plan.envelope.channels[0].current_max_ma == 16.0
    assert first.plan.envelope.session_on_s_max == pytest.approx(12.0)

    with pytest.raises(RefusedError, match=r"gap: .*allowed from 2026-11-03 05:00"):
        play("2026-11-02T18:00")

    second, ended = play("2026-11-03T09:00")
    assert ended.outcome == "complete", ended.reason
    assert second.plan.envelope.channels[0].current_max_ma == 20.0
    # Two trials done in the first session: one more in the second, as the rule says.
    assert second.plan.phases[1].block.trials == 3
    third, ended = play("2026-11-05T09:00")
    assert ended.outcome == "complete", ended.reason
    assert third.plan.phases[1].block.trials == 3

    with pytest.raises(RefusedError, match=r"course: "):
        play("2026-11-07T09:00")

    course = read_chained(record_path(play.study, "SIM1", "course"))
    assert [line["kind"] for line in course] == ["plan", *["begun", "ended"] * 3]
    ends = [line for line in course if line["kind"] == "ended"]
    begins = [line for line in course if line["kind"] == "begun"]
    assert [line["outcome"] for line in ends] == ["complete"] * 3
    for begun, end in zip(begins, ends, strict=True):
        assert begun["wall_utc"] < end["wall_utc"]
        assert 0 < end["delivered"]["charge_mc"] <= begun["planned"]["charge_mc"] * 1.01
        assert end["delivered"]["pulses"] <= begun["planned"]["pulses"]
    for name in ("course", "progression"):
        assert verify_chained(record_path(play.study, "SIM1", name)) == []


class Killed(BaseException):
    """The power goes."""


def killed(*_):
    raise Killed


@pytest.mark.parametrize("before", ["leave_records", "book"])
def test_a_kill_between_a_sessions_end_and_its_booking_passes_no_gap_over(play, monkeypatch, before) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(f"myoloop.experiments.sessions.settling.{before}", killed)
        with pytest.raises(Killed):
            play("2026-11-02T09:00")
    with pytest.raises(RefusedError, match=r"gap: .*allowed from 2026-11-03 05:00"):
        play("2026-11-02T09:30")
    second, _ = play("2026-11-03T09:00")
    assert second.plan.phases[1].block.trials == 3
    course = read_chained(record_path(play.study, "SIM1", "course"))
    assert [line["kind"] for line in course] == ["plan", *["begun", "ended"] * 2]
    assert [line["kind"] for line in read_chained(record_path(play.study, "SIM1", "progression"))].count("change") == 1


def test_what_is_settled_again_after_a_kill_is_written_once(play) -> None:
    setup, _ = play("2026-11-02T09:00")
    logs = [record_path(play.study, "SIM1", name) for name in ("course", "progression")]
    before = [path.read_bytes() for path in logs]
    settle(setup.folder, "complete")
    assert [path.read_bytes() for path in logs] == before


def test_a_flare_that_was_told_in_a_session_cut_short_halves_the_next(play, tmp_path, monkeypatch) -> None:
    (tmp_path / "course.yaml").write_text(TEXT + "flare: {next_share: 0.5}\n")
    with monkeypatch.context() as patched:
        patched.setattr("myoloop.experiments.sessions.booking._flared", lambda session: True)
        _, ended = play("2026-11-02T09:00", "acts: [{at: 2 s, do: stop}]\n")
    assert ended.outcome == "stopped"
    (line,) = read_chained(record_path(play.study, "SIM1", "progression"))
    assert (line["kind"], line["session"]) == ("flare", 1)
    second, _ = play("2026-11-03T09:00")
    # Half of the first session's share of 60 %, because no session was complete yet.
    assert second.plan.envelope.session_on_s_max == pytest.approx(20.0 * 0.6 * 0.5)


FLARED = """
operator: {name: A. Smith}
others: clear
forms:
  follow_up: {after_h: 24, reached: yes, current: 2, flared: "yes", came_back: "no", new_complaint: "no"}
"""


def test_a_flare_told_before_the_first_train_halves_this_session_and_the_next(play, tmp_path) -> None:
    asked = TEXT.replace("phases:\n", "phases:\n  - questions: {name: since then, forms: [follow_up]}\n")
    asked = asked.replace("phases[1]", "phases[2]") + "flare: {next_share: 0.5}\n"
    (tmp_path / "course.yaml").write_text(asked)
    first, ended = play("2026-11-02T09:00", FLARED)
    assert ended.outcome == "complete", ended.reason
    recording = Recording.open(first.folder)
    acts = [each.received.message for each in recording.messages({"command"})]
    set_s = [act.arguments["session_on_s_max"] for act in acts if act.kind == "set_envelope"]
    assert set_s == pytest.approx([12.0, 6.0])
    (told,) = [
        message
        for each in recording.messages({"event"})
        if (message := each.received.message).kind == "flare"
    ]  # fmt: skip
    assert "today's dose is smaller too" in told.why

    session = load(first.folder)
    rows = deviations(session, read_beside(session)).rows
    assert ("smaller dose after a flare", told.why) in [(row[1], row[3]) for row in rows]
    # Two trials were done, but nothing moves up after a flare.
    lines = read_chained(record_path(play.study, "SIM1", "progression"))
    assert [(line["kind"], line.get("flare")) for line in lines] == [("result", True)]

    second, _ = play("2026-11-03T09:00", FLARED.replace('flared: "yes"', 'flared: "no"'))
    assert second.plan.phases[2].block.trials == 2
    assert second.plan.envelope.session_on_s_max == pytest.approx(20.0 * 0.5)
    third, _ = play("2026-11-05T09:00", FLARED.replace('flared: "yes"', 'flared: "no"'))
    assert third.plan.envelope.session_on_s_max == pytest.approx(20.0)
