"""What the session's report shows besides its first figures: each with its numbers, its n, and what it cannot say."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from myoloop.experiments.analysis.loopwalk import Evoked, LoopWalk, fallbacks, walk_loop
from myoloop.experiments.analysis.sensitivity import Sensitivity, Visit
from myoloop.experiments.analysis.session import load
from myoloop.experiments.analysis.tracks import CurrentTrack, EventRow, PulseTrack
from myoloop.experiments.reports import (
    control,
    density,
    figure_course,
    figure_recruitment,
    figure_trigger,
    integrity,
    outcomes,
    pre_post,
    provenance,
    reviewed,
    settings_tried,
)
from myoloop.experiments.reports.drawing import Drawn, style
from myoloop.experiments.reports.session import write_report
from myoloop.experiments.review.acts import Act
from myoloop.experiments.review.review import apply_acts, read_review
from myoloop.platform.messages import MWave, Trial

PALETTE = {"#1f2933", "#7b8794", "#d5dbe1", "#0072b2", "#56b4e9", "#e69f00", "#d55e00", "#009e73", "#cc79a7"}
#: Grounds, hatches and edges of the figures.
GROUNDS = {"#ffffff", "#e8ecf0", "#000000", "#eef1f4", "#c3cbd3", "#fbe3b3", "#7d3a60", "#f0e442"}


@pytest.fixture(scope="module")
def session(known_attempt):
    return load(known_attempt)


@pytest.fixture(scope="module")
def written(lockstep_attempt, tmp_path_factory) -> Path:
    return write_report(lockstep_attempt, tmp_path_factory.mktemp("report"))


def rows_of(drawn: Drawn) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(drawn.csv)))


def test_every_figure_of_a_session_has_its_numbers_beside_it_and_says_of_how_many_it_is(written):
    figures = written.parent / "figures"
    svgs = {path.stem for path in figures.glob("*.svg")}
    assert svgs == {path.stem for path in figures.glob("*.csv")}
    assert {"course", "contractions", "recruitment"} & svgs
    page = written.read_text(encoding="utf-8")
    for name in svgs:
        caption = re.search(rf'<figcaption id="caption-{name}">(.*?)</figcaption>', page, re.S)
        assert caption is not None
        assert "n = " in caption[1], name
        assert f"figures/{name}.csv" in caption[1]


def test_no_letter_of_a_figure_is_smaller_than_7_points_and_all_colours_are_told_apart(written):
    for path in (written.parent / "figures").glob("*.svg"):
        text = path.read_text(encoding="utf-8")
        sizes = [float(size) for size in re.findall(r"font(?:-size)?: ?(?:bold )?([\d.]+)px", text)]
        assert sizes
        # Drawn at 72 px an inch: one is a point.
        assert min(sizes) >= 7.0, path.name
        colours = {each.lower() for each in re.findall(r"(?:fill|stroke): ?(#[0-9a-fA-F]{6})", text)}
        assert colours <= PALETTE | GROUNDS, (path.name, colours - PALETTE - GROUNDS)


def test_the_course_shows_current_triggers_scores_events_and_gaps(session):
    scored = replace(
        session,
        events=(*session.events, EventRow(0.5, "score", "operator", "", {"score": 4.0}),
                EventRow(3.0, "form", "operator", "", {"form": "nrs_now", "current": 6})),
    )  # fmt: skip
    with style():
        drawn = figure_course.course(scored, "SIMULATED")
        quiet = figure_course.course(scored, "SIMULATED", current=False)
    rows = rows_of(drawn)
    assert max(float(row["value"]) for row in rows if row["series"] == "allowed current") == 12.0
    assert [(float(row["x"]), row["name"]) for row in rows if row["series"] == "trigger"] == [(0.9, "by effort")]
    assert [float(row["value"]) for row in rows if row["series"] == "pain score"] == [4.0, 6.0]
    assert {row["name"] for row in rows if row["series"] == "event"} == {"stop"}
    assert len([row for row in rows if row["series"] == "gap"]) == 2
    assert "n = 1), 0 to 10" not in drawn.caption
    assert "mA" not in quiet.csv + quiet.svg


def test_the_mean_about_triggers_has_the_interval_of_student():
    # Values 1, 2, 3 at each step: mean 2, SD 1, t(0.975, 2) = 4.303, SE = 1 / sqrt(3).
    rows = np.tile(np.array([[1.0], [2.0], [3.0]]), (1, 4))
    mean, low, high = figure_trigger.mean_interval(rows)
    assert mean == pytest.approx([2.0] * 4)
    assert high - mean == pytest.approx([4.303 / np.sqrt(3)] * 4, rel=1e-3)
    assert np.isnan(figure_trigger.mean_interval(rows[:2])[1]).all()
    assert low == pytest.approx(2 * mean - high)


def test_what_lies_about_a_moment_is_taken_there_and_nothing_made_up_beyond_the_record():
    t_s = np.arange(0.0, 10.0, 0.01)
    grid, rows = figure_trigger.around(t_s, t_s.copy(), np.array([5.0, 9.5]))
    assert rows[0] == pytest.approx(5.0 + grid, abs=0.011)
    assert np.isnan(rows[1][grid > 0.55]).all()


def wave(t_s: float, size: float, clipped: bool = False) -> Evoked:
    return Evoked(
        t_s,
        MWave(t_ns=round(t_s * 1e9), pulses=10, channel="", peak_to_peak_uv=size, rectified_area_uv_ms=size,
              first_phase_uv_ms=0.0, second_phase_uv_ms=0.0, duration_ms=1.0, latency_ms=1.0, clipped=clipped),
    )  # fmt: skip


def test_a_recruitment_curve_puts_each_answer_at_the_current_that_was_acknowledged():
    t_s = np.arange(0.0, 40.0, 0.1)
    acknowledged = np.floor(t_s / 10.0) * 5.0
    nothing = np.zeros(len(t_s))
    track = CurrentTrack(t_s, nothing, nothing, acknowledged, nothing)
    waves = [wave(5.0, 3.0), wave(15.0, 100.0), wave(25.0, 400.0), wave(35.0, 900.0), wave(36.0, 5000.0, clipped=True)]
    session = SimpleNamespace(
        currents={"ext": track}, trials=(), trial_times_s=(), simulated=True,
    )  # fmt: skip
    walked = LoopWalk(mwaves={"ext": waves})
    ((_, told),) = figure_recruitment.answers(session, walked).items()
    # Without current there is no answer to it, and one at the amplifier's rail has no size.
    assert [(each.current_ma, each.size) for each in told] == [(5.0, 100.0), (10.0, 400.0), (15.0, 900.0)]
    with style():
        drawn = figure_recruitment.recruitment(session, walked, "")
    assert drawn.caption.startswith("n = 3 answers of one session")
    assert figure_recruitment.recruitment(session, LoopWalk(mwaves={"ext": waves[:3]}), "") is None


def test_settings_that_were_tried_stand_with_the_best_so_far():
    def tried(number: int, response: float | None, discomfort: float, outcome: str = "done") -> Trial:
        values = {"channel": "ext", "current_ma": 10.0 + number, "phase_us": 250.0, "rate_hz": 35.0,
                  "response": response, "discomfort": discomfort, "charge_mc": 1.0, "proposed": "explore"}  # fmt: skip
        return Trial(t_ns=0, kind="optimise", name="o", block=1, trial=number, outcome=outcome, begin_ns=0, end_ns=1,
                     values=values)  # fmt: skip

    plan = {"phases": [{"name": "o", "optimise": {"discomfort_max": 5.0}}]}
    chosen = EventRow(9.0, "chosen", "director", "largest expected", {"channel": "ext", "current_ma": 13.0,
                      "phase_us": 250.0, "rate_hz": 35.0})  # fmt: skip
    session = SimpleNamespace(
        trials=(tried(1, 2.0, 1), tried(2, 9.0, 8), tried(3, 4.0, 2), tried(4, None, 1, "not measured")),
        settings={"director": {"plan": plan}}, events=(chosen,),
    )  # fmt: skip
    table = settings_tried.settings_tried(session)
    # The second is larger, and hurt too much to be the best.
    assert [row[-1] for row in table.rows] == ["1", "1", "3", "3"]
    assert "Chosen: ext, 13 mA, 250 µs, 35 Hz (largest expected)." in table.caption
    assert settings_tried.settings_tried(SimpleNamespace(trials=())) is None


def test_density_is_that_computed_by_hand():
    # 20 pulses of 10 mA and 250 us a second: r.m.s. = 10 sqrt(2 x 250e-6 x 20) = 1 mA; 2.5 uC; 25 cm2.
    t_s = np.arange(1.0, 3.0, 0.05)
    n = len(t_s)
    track = PulseTrack(t_s, np.full(n, 10.0), np.full(n, 250.0), ("sent",) * n, np.zeros(n))
    assert density.rms(track) == pytest.approx(1.0, rel=1e-6)
    session = SimpleNamespace(
        delivered=lambda: {"c1": track}, metadata={},
        gate=SimpleNamespace(envelope={"channels": [{"channel": "c1", "pad_area_cm2": 25.0}]}),
    )  # fmt: skip
    table = density.density(session, SimpleNamespace(values={}))
    assert table.rows == (("c1", "2.50", "2.50", "1.00", "25.0", "0.040", "0.100"),)


def test_lost_samples_jitter_and_segments_are_those_of_the_record(session):
    table = integrity.streams_kept(session)
    rows = {row[0]: row for row in table.rows}
    # One block of ten samples of 4000 was lost; blocks were stamped evenly; nothing cut the clock.
    assert rows["emg/amp"][1:4] == ("3990", "10", "0.250")
    assert float(rows["emg/amp"][4]) == pytest.approx(0.0, abs=1e-3)
    assert rows["emg/amp"][5] == "1"


def test_the_controllers_panel_tells_how_often_it_was_held_back(session, known_attempt):
    walked = walk_loop(session)
    table = control.panel(session, walked)
    # Of 100 reports with current asked for 20 let 2.4 mA less through; 0.4 mA of the others is the device's step of 1.
    assert table.rows[0][0] == "c1"
    assert table.rows[0][-1] == "20.0"
    assert "no set point" in table.caption
    assert "Missed deadlines of its steps: 0" in table.caption
    assert fallbacks({"policy failed: x": 2, "policy refused: y": 1, "pi": 5}) == 3


def test_set_point_and_output_are_shown_where_the_policy_keeps_something(session):
    policy = {"name": "pi", "settings": {"quantity": "level_uv", "setpoint": 15.0, "muscle": "biceps"}}
    aimed = replace(session, settings={**session.settings, "controller": {"policy": policy}})
    with style():
        drawn = control.control(aimed, "SIMULATED")
        assert control.control(session, "SIMULATED") is None
    rows = rows_of(drawn)
    assert {row["value"] for row in rows if row["series"] == "set point"} == {"15"}
    assert {row["value"] for row in rows if row["series"] == "measured"} == {"20"}
    assert max(float(row["value"]) for row in rows if row["series"] == "output") == 12.0


def visit(number: int, **forms: dict | tuple) -> Visit:
    told = {name.replace("__", "."): each if isinstance(each, tuple) else (each, each) for name, each in forms.items()}
    return Visit(number, 1, datetime(2026, 11, number, tzinfo=UTC), True, (), {}, told)


def nrs(current: int) -> dict:
    return {"form": "nrs", "current": current, "average_24h": current, "worst_24h": current}


def test_scores_before_and_now_stand_with_the_changes_that_they_reach():
    course = Sensitivity((visit(1, nrs=nrs(6)), visit(2, nrs=(nrs(5), nrs(4)))))
    rows = {(row[0].split("(")[1].rstrip(")"), row[4]): row for row in pre_post.pre_post(course).rows}
    within = rows["nrs_current", "begin of this session to its end"]
    assert within[1:4] == ("5 points", "4 points", "-1 points, better")
    assert "MIC minimal, 10 % of before (chronic pain)" in within[5]
    since = rows["nrs_current", "session 1 to this session"]
    assert since[1:4] == ("6 points", "4 points", "-2 points, better")
    assert "MIC moderate, 30 % of before (chronic pain)" in since[5]
    assert "MDC detectable, 4 points (neck pain)" in since[6]
    assert "Dworkin" in since[7]


def test_between_two_versions_no_change_is_told_in_the_table():
    one = {"form": "odi", "version": "2.0", **{f"item_{n}": 3 for n in range(1, 11)}}
    course = Sensitivity((visit(1, odi=one), visit(2, odi={**one, "version": "2.1a"})))
    (row,) = pre_post.pre_post(course).rows
    assert row[3] == "–"
    assert "version 2.0 before and 2.1a after" in row[5]


def test_the_two_severity_scores_of_crps_are_never_compared():
    sixteen = {f"{kind}_{n}": 1 for kind in ("symptom", "sign") for n in range(1, 9)}
    seventeen = {f"item_{n}": 1 for n in range(1, 18)}
    course = Sensitivity((visit(1, css17={"form": "css17", **seventeen}), visit(2, css16={"form": "css16", **sixteen})))
    assert pre_post.pre_post(course) is None


def test_grades_are_put_in_order_and_not_subtracted():
    course = Sensitivity((visit(1, ashworth__elbow={"grade": "3"}), visit(2, ashworth__elbow={"grade": "1+"})))
    (row,) = pre_post.pre_post(course).rows
    assert row[:5] == ("Modified Ashworth grade, elbow (ashworth)", "3 grade", "1+ grade", "better",
                       "session 1 to this session")  # fmt: skip
    assert row[5] == "MIC minimal, 1 grade (brain injury)"


def test_every_number_has_its_code_its_parameters_and_its_input_in_the_page(written, lockstep_attempt):
    page = written.read_text(encoding="utf-8")
    told = dict(provenance.facts(load(lockstep_attempt)))
    assert len(told["Code, SHA-256"]) == 64
    for value in told.values():
        assert value in page
    assert "figure timeline" in page
    assert "window_s 0.1" in page


def test_a_session_that_was_reviewed_shows_how_well_the_detector_did(known, tmp_path):
    attempt = known.write(tmp_path / "study" / "sub-P017" / "ses-03" / "att-1")
    assert reviewed.reviewed(load(attempt)) == (None, "")
    acts = [Act("confirm", "spasm-biceps-1"), Act("reject", "spasm-biceps-2", why="a cough"),
            Act("confirm", "spasm-triceps-1"), Act("whole", kind="spasm")]  # fmt: skip
    by = {"who": "A. Smith", "role": "assessor", "wall": datetime(2026, 11, 21, tzinfo=UTC)}
    apply_acts(read_review(attempt), acts, **by)
    table, _ = reviewed.reviewed(load(attempt))
    # 2 of 3 detections are labels: precision 0.67, recall 1, F1 0.8.
    assert table.rows == (("spasm", "2", "3", "0", "2", "0", "1", "0.67", "1.00", "0.80", "yes", ""),)
    assert "n = 2 labels of 4 audited acts by A. Smith (assessor)" in table.caption
    log = attempt / "review.jsonl"
    log.write_bytes(log.read_bytes().replace(b"a cough", b"a laugh"))
    assert "cannot be believed" in reviewed.reviewed(load(attempt))[1]


def test_a_grade_and_a_value_that_is_not_valid_are_shown_as_what_they_are():
    row = {"part": "primary", "outcome": "mvc_force", "text": "force", "unit": "N", "value": 100.0, "n": 2, "why": "",
           "doubt": "2 whole contractions, needed are 3", "code": "", "codes": None, "parts": None}  # fmt: skip
    assert outcomes._row(row)[2] == "100"
    assert outcomes._row(row)[-1] == "NOT VALID: 2 whole contractions, needed are 3"
    graded = {**row, "value": None, "doubt": "", "code": "1+", "codes": {"elbow": "1+"}, "unit": "grade"}
    assert (outcomes._row(graded)[2], outcomes._row(graded)[5]) == ("1+", "elbow 1+")
