"""Stops, deviations, adverse events, checks and thresholds as tables, of events that are planted."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from myoloop.experiments.analysis.tracks import EventRow, PhaseSpan
from myoloop.experiments.outcomes.attempt import Measured
from myoloop.experiments.reports import calibration, conduct, outcomes, screening
from myoloop.experiments.reports.beside import Beside
from myoloop.platform.messages import Trial

ALONE = Beside(Measured(None), None, None, (), (), (), ())


def event(t_s: float, kind: str, by: str = "director", /, why: str = "", **values: Any) -> EventRow:
    return EventRow(t_s, kind, by, why, values)


def trial(kind: str, name: str, outcome: str, number: int = 1, **values: Any) -> Trial:
    return Trial(
        t_ns=0, kind=kind, name=name, block=1, trial=number, outcome=outcome, begin_ns=0, end_ns=1, values=values
    )


def session(*events: EventRow, trials: tuple[Trial, ...] = (), **more: Any) -> Any:
    given: dict[str, Any] = {
        "events": tuple(events), "trials": trials, "phases": (), "metadata": {},
        "trial_times_s": tuple((0.0, None, 10.0 + n) for n in range(len(trials))),
    }  # fmt: skip
    return SimpleNamespace(**{**given, **more})


def column(table: Any, name: str) -> list[str]:
    return [row[table.columns.index(name)] for row in table.rows]


def test_every_stop_has_its_reason() -> None:
    table = conduct.stops(
        session(
            event(3.0, "stop", "stimulator", why="stop (operator)"),
            event(4.0, "fault", "controller", why="no heartbeat"),
            event(5.0, "paused", why="operator: cough"),
            event(9.0, "end", outcome="stopped"),
        )
    )
    assert table is not None
    assert column(table, "what") == ["stop", "fault", "pause", "end"]
    assert column(table, "reason") == ["stop (operator)", "no heartbeat", "operator: cough", "outcome stopped"]
    assert conduct.stops(session()) is None


def test_whatever_left_the_plain_way_is_a_deviation_in_order_of_time() -> None:
    table = conduct.deviations(
        session(
            event(1.0, "screening", why="known; seen today", item="implanted_electronics", verdict="overridden",
                  name="Dr. Kay", role="cardiologist"),
            event(2.0, "screening", why="careful", item="flare", verdict="warning"),
            event(4.0, "override", why="palpated", item="selectivity", name="B. Lang", role="clinician", who="console"),
            event(3.0, "retry", why="A. Smith: cleaned", check="noise"),
            event(5.0, "mvc", why="A. Smith: pain", muscle="ext", norm="rest_noise", value_uv=4.0),
            event(6.0, "mvc", muscle="flex", norm="mvc", value_uv=200.0),
            event(7.0, "resumed", why="A. Smith: cough over"),
            trials=(
                trial("block", "train", "paused"), trial("block", "train", "done", 2), trial("mvc", "m", "skipped"),
            ),
        ),
        ALONE,
    )  # fmt: skip
    assert column(table, "what") == [
        "screening overridden: implanted_electronics", "check done again", "check overridden", "MVC skipped",
        "resumed after a pause", "trial cut short",
    ]  # fmt: skip
    assert column(table, "who")[0] == "Dr. Kay, cardiologist"
    assert "role clinician" in column(table, "with")[2]
    assert column(table, "with")[3] == "muscle ext, norm rest_noise, value 4 µV"
    assert column(table, "with")[5] == "train, repetition 1, trial 1"


def test_an_incident_of_the_session_stands_among_the_adverse_events() -> None:
    told = event(8.0, "form", form="incident.first", kind="stop", what="pressed by mistake", harm="no", who="A. Smith")
    table = conduct.adverse(session(told), ALONE)
    assert column(table, "what") == ["pressed by mistake (stop)"]
    assert (column(table, "grade"), column(table, "state")) == (["incident"], ["told in the session"])


def test_screening_names_who_was_blocked_why_and_by_whom_it_was_overridden() -> None:
    told = session(
        event(1.0, "screening", why="Is the skin wounded? yes", item="wound", verdict="blocked", sites="ext"),
        event(2.0, "screening", why="pacemaker; seen today", item="implanted_electronics", verdict="overridden",
              name="Dr. Kay", role="cardiologist"),
        event(3.0, "dropped", why="screening", sites="ext", channels="c1"),
        phases=(PhaseSpan("screening", "screening", 0, 0.0, 5.0),),
    )  # fmt: skip
    table = screening.verdicts(told)
    assert table is not None
    assert column(table, "verdict") == ["blocked", "overridden", "dropped"]
    assert column(table, "sites") == ["ext", "", "ext"]
    assert column(table, "by") == ["", "Dr. Kay, cardiologist", ""]
    assert column(table, "why")[2] == "channels c1"
    assert "n = 1 blocked, 1 overridden, 0 warnings" in table.caption
    assert screening.verdicts(session()) is None, "nobody was screened"


def test_a_finding_of_screening_is_never_folded_away() -> None:
    form = event(1.0, "form", form="skin.ext", wound="yes", infection="no", irritation="unsure", who="A. Smith")
    table = screening.forms(session(form))
    assert table is not None
    (answers,) = column(table, "answers")
    assert answers.count("yes") == 1
    assert "unsure" in answers
    assert answers.endswith("1 without a finding")


def test_a_form_that_this_version_does_not_know_is_told_as_it_is() -> None:
    table = screening.forms(session(event(1.0, "form", form="of_later", mood=3.5, free="<i>text</i>")))
    assert table is not None
    assert (column(table, "form"), column(table, "answers")) == (["of_later"], ["mood: 3.5; free: <i>text</i>"])


def test_a_check_is_passed_overridden_or_not_and_what_was_not_measured_is_not_passed() -> None:
    table = screening.checks(
        session(
            event(1.0, "check", why="ext: 30.0 uV", check="noise", ok=False, overridden=False, ext_uv=30.04321,
                  flex_uv=None),
            event(2.0, "check", why="wrong muscle", check="selectivity", ok=False, overridden=True),
            event(3.0, "check", check="impedance", ok=True, overridden=False, measured=False, found="not measured"),
            event(4.0, "check", check="impedance", ok=True, overridden=False, measured=True, ext_ohm=1200.0),
        )
    )  # fmt: skip
    assert table is not None
    assert column(table, "result") == ["not passed", "overridden", "not measured", "passed"]
    assert column(table, "found") == ["ext 30.04 µV, flex not measured", "", "not measured", "ext 1200 Ω"]


def test_skin_that_was_not_looked_at_afterwards_is_not_said_to_be_good() -> None:
    table = screening.skin(session(event(1.0, "form", form="skin.ext", wound="no")))
    assert table is not None
    assert table.rows == (("ext", "1 without a finding", screening.NOT_ASKED),)


def test_thresholds_tell_false_alarms_where_there_were_steps_without_current() -> None:
    found = {"channel": "c1", "sensory_ma": 5.0, "motor_ma": None, "tolerance_ma": 20.0, "highest_ma": 20.0}
    rows = (trial("threshold", "c", "found", **found, phase_us=250.0, false_alarms=2.0),
            trial("threshold", "c", "found", **found, phase_us=250.0))  # fmt: skip
    table = calibration.thresholds(session(trials=rows))
    assert table is not None
    assert column(table, "answers to steps without current") == ["2", "no such steps"]
    assert column(table, "motor (mA)") == ["–", "–"]


def test_an_envelope_that_nobody_approved_of_is_not_said_to_be_approved() -> None:
    made = event(5.0, "envelope", c1=18.0)
    before = event(1.0, "approved", why="A. Smith")
    table = calibration.personal_envelope(session(before, made))
    assert table is not None
    assert table.rows == (("c1", "–", "18.0"),)
    assert "not approved by anybody" in table.caption


def test_without_an_mvc_the_page_says_what_effort_is_normed_to() -> None:
    table = calibration.maximal(session(event(1.0, "mvc", why="A. Smith: pain", muscle="ext", norm="max_evoked")))
    assert table is not None
    assert table.rows == (("ext", "the evoked EMG", "–", "A. Smith: pain"),)


def test_outcomes_of_a_person_have_no_other_heading_than_that() -> None:
    assert outcomes.heading(Measured(None)) == "Outcomes"
    assert outcomes.table(Measured(None, missing="no copy")) is None
