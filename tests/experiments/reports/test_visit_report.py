"""The report on a whole visit: what was asked, checked, planned, given and found, and on what it rests."""

from __future__ import annotations

import dataclasses
import html
import re
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from myoloop.experiments.analysis.session import Session, load
from myoloop.experiments.outcomes.attempt import PLANTED
from myoloop.experiments.protocols.evidence import safety_parameters
from myoloop.experiments.protocols.schema import load_protocol
from myoloop.experiments.reports.beside import read_beside
from myoloop.experiments.reports.session import BLINDED, render, write_report
from myoloop.experiments.studies.adverse import report_line
from myoloop.experiments.studies.audit import audit_of, record_act
from myoloop.experiments.studies.chained import ChainedLog
from myoloop.experiments.studies.course import CoursePlan, Override
from myoloop.experiments.studies.courselog import begun_line, ended_line, override_line, plan_line
from myoloop.experiments.studies.moments import time_zone
from myoloop.platform.recording.verify import Verification, verify

BEGIN = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
DOSE = {"on_s": 10.0, "charge_mc": 2.0, "pulses": 400}
EVENT = {
    "kind": "skin_reaction", "what": "redness <b>under</b> the pad", "place": "left_arm", "site": "ext",
    "began": "2026-11-21", "grade": "mild", "ctcae": 1, "serious": "no", "related": "probable",
    "device_related": "yes", "action": ["none"], "resolved": "no", "follow_up_on": "2026-11-23",
}  # fmt: skip


def plain(page: str) -> str:
    """What a reader sees, without figures."""
    page = re.sub(r"<(style|svg).*?</\1>", "", page, flags=re.DOTALL)
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page)))


@pytest.fixture(scope="module")
def page(visit_attempt, tmp_path_factory) -> str:
    return write_report(visit_attempt, tmp_path_factory.mktemp("report")).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def text(page) -> str:
    return plain(page)


@pytest.fixture(scope="module")
def visit(visit_attempt) -> tuple[Session, Verification]:
    return load(visit_attempt), verify(visit_attempt)


@pytest.fixture(scope="module")
def forms(visit) -> int:
    """How many were filled in."""
    return sum(event.kind == "form" for event in visit[0].events)


@pytest.fixture
def copied(visit_attempt, tmp_path) -> Path:
    """The same visit in a study of its own, to which something may be added."""
    shutil.copytree(visit_attempt.parents[2], tmp_path / "study")
    return tmp_path / "study" / visit_attempt.relative_to(visit_attempt.parents[2])


@pytest.fixture
def page_of(visit, visit_attempt):
    """The page on it as it stands now; figures take their time and show nothing of this."""
    session, verification = visit

    def made(attempt: Path) -> str:
        moved = dataclasses.replace(session, path=attempt / session.path.relative_to(visit_attempt))
        return render(moved, verification, [], read_beside(moved))

    return made


def test_what_was_found_in_a_virtual_subject_is_called_what_it_is(page, text):
    heading = re.search(r"<h2>Outcomes(.*?)</h2>", page)
    assert heading is not None
    assert heading[1].startswith(f": {PLANTED}")
    assert "it says nothing of people" in text
    assert "primary trials that were done as planned (trials_done)" in text


def test_its_head_names_the_operator_and_the_stimulator(page):
    head = page[: page.index("</header>")]
    assert "<dt>Operator</dt><dd>script</dd>" in head
    assert "<dt>Stimulator&#39;s serial number</dt><dd>REHEARSAL-1</dd>" in head


def test_a_script_that_somebody_typed_into_a_form_is_text(page, text):
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; pregabalin" in page
    assert "<script>alert(1)</script> & pregabalin" in text


def test_screening_tells_every_form_and_what_it_found(text, forms):
    assert "Verdict of screening" in text
    assert "medicine been started, stopped or changed since the last visit? warning" in text
    assert re.search(r"Health, asked at every visit \d+ without a finding script \(A. Smith\)", text)
    assert "n = 0 blocked, 0 overridden, 1 warnings" in text
    assert f"n = {forms} forms" in text


def test_a_change_of_medicine_is_shown_as_something_that_explains_as_well(text):
    assert "What may explain a change as well" in text
    assert "of this session medication medication_changed yes" in text


def test_skin_is_told_before_and_after(text):
    assert re.search(r"ext \d+ without a finding redness: mild; blister: no; burn: no; hurts: no", text)


def test_electrodes_are_told_with_area_polarity_lot_and_uses(text):
    ext = "ext wrist extensors, left 2 of 25 cm² not told agonist REHEARSAL 0 before, at most 1000 2026-11-22 script"
    assert ext in text


def test_checks_tell_their_values_and_what_could_not_be_measured(text):
    assert re.search(r"noise passed ext \d\.\d+ µV, flex \d\.\d+ µV", text)
    assert "impedance not measured not measured" in text
    assert re.search(r"selectivity passed ext ext \d+ µV", text)


def test_thresholds_tell_the_steps_without_current_and_the_envelope_that_follows(text, visit):
    session, _ = visit
    found = next(row.values for row in session.trials if row.kind == "threshold")
    (made,) = (event.values for event in session.events if event.kind == "envelope")
    levels_ma = " ".join(f"{found[f'{name}_ma']:.1f}" for name in ("sensory", "motor", "tolerance", "highest"))
    assert f"ext {levels_ma} 250 {found['false_alarms']:.0f} found" in text
    assert f"ext {found['tolerance_ma']:.1f} {made['ext']:.1f}" in text
    assert 0 < made["ext"] < found["tolerance_ma"]
    assert re.search(r"approved at \d+\.\d s by script \(A. Smith\)", text)
    assert "ext the strongest contraction" in text


def test_the_dose_is_told_beside_what_was_planned(text):
    assert re.search(r"trains ext \d of 8 \d\.\d of 8\.0 \d+ of 220", text)
    assert "nominal" not in text.lower()


def test_it_says_on_what_the_protocol_rests(text, visit_attempt):
    parameters = safety_parameters(load_protocol(visit_attempt / "protocol.yaml"))
    assert "Grade of evidence none" in text
    assert "Mechanism hypothesised" in text
    assert f"{len(parameters)} on nothing that was verified" in text
    assert all(f"{each.path} {each.written} {each.grade}" in text for each in parameters)
    assert "For research use only." in text


def test_it_says_what_was_not_measured(text):
    assert "Not measured in this session: blood flow, oxygen in the tissue, skin temperature, swelling" in text


def test_a_visit_without_trouble_says_so(text):
    assert "Deviations from the protocol time (s) what who why with none n = 0." in text
    assert "session state none n = 0: those reported of this session" in text


def test_forms_are_not_told_a_second_time_among_the_events(text, forms):
    assert f"and {forms} forms." in text
    assert "form contraindications" not in text


def test_the_course_stands_in_it_as_it_was_when_the_session_ended(copied, page_of):
    log = ChainedLog(copied.parents[1] / "record" / "course.jsonl")
    plan = CoursePlan(
        sessions_per_week=3, sessions_per_day=1, weeks=2, min_gap_s=48 * 3600.0, max_sessions=6,
        first_current_share=0.5, first_on_time_share=0.5, zone=time_zone("Europe/Berlin"), override_roles=("pi",),
    )  # fmt: skip
    first, later = BEGIN - timedelta(days=2), BEGIN + timedelta(days=3)
    log.append(plan_line(plan, "ab" * 32, first))
    log.append(begun_line(1, 1, first, **DOSE))
    log.append(ended_line(1, 1, first + timedelta(hours=1), "complete", **DOSE, tolerance_share=0.8))
    lifted = Override(2, "gap", "P. Iper", "pi", "holiday", BEGIN)
    log.append(override_line(plan, lifted))
    log.append(begun_line(2, 1, BEGIN, **DOSE))
    log.append(begun_line(3, 1, later, **DOSE))
    text = plain(page_of(copied))
    assert "Place in the course session 2 of 6" in text
    assert "Sessions by then 2 due: 1 done, 1 partial, 0 missed" in text
    assert "Charge of the course 2.0 of 4.0 mC (50%)" in text
    assert "Begun in spite of gap, lifted by P. Iper (pi): holiday" in text


def test_an_adverse_event_of_the_session_stands_in_it_and_is_text(copied, page_of):
    log = ChainedLog(copied.parents[1] / "record" / "adverse_events.jsonl")
    log.append(report_line(EVENT, at=BEGIN + timedelta(hours=2), who="B. Lang", session=2))
    log.append(report_line({**EVENT, "what": "of another session", "resolved": "yes", "resolved_on": "2026-11-21"},
                           at=BEGIN + timedelta(hours=2), who="B. Lang", session=1))  # fmt: skip
    page = page_of(copied)
    assert "redness &lt;b&gt;under&lt;/b&gt; the pad (skin_reaction)" in page
    assert "left_arm, ext mild (CTCAE 1), not serious probable yes 2 open" in plain(page)
    assert "of another session" not in page


def test_what_the_sessions_audit_tells_is_a_deviation(copied, page_of):
    record_act(audit_of(copied), BEGIN, "B. Lang", "operator", "continue interrupted session", "ses-02", "att-1",
               "att-2", "power cut")  # fmt: skip
    text = plain(page_of(copied))
    assert "continue interrupted session B. Lang, operator power cut from att-1 to att-2" in text


def test_a_log_that_was_edited_is_named_and_not_read(copied, page_of):
    log = copied.parents[1] / "record" / "adverse_events.jsonl"
    ChainedLog(log).append(report_line(EVENT, at=BEGIN, who="B. Lang", session=2))
    log.write_bytes(log.read_bytes().replace(b"mild", b"none"))
    text = plain(page_of(copied))
    assert "record/adverse_events.jsonl cannot be believed" in text
    assert "redness" not in text.partition("Adverse events event")[2].partition("Deviations")[0]


def test_without_the_protocol_that_was_played_there_are_no_outcomes_and_the_rest_stands(copied, page_of):
    (copied / "protocol.yaml").write_text("protocol: {}\n", encoding="utf-8")
    text = plain(page_of(copied))
    assert "is not the protocol that was played" in text
    assert "Grade of evidence" not in text
    assert "Health, asked at every visit" in text


def test_a_blinded_session_shows_what_is_nominal_and_says_so(known, tmp_path):
    metadata = {**known.METADATA, "blinded": "true"}
    text = plain(write_report(known.write(tmp_path / "att-1", metadata=metadata)).read_text(encoding="utf-8"))
    assert text.count(BLINDED) == 2, "in the head, and with the dose"
    assert "may tell the arm" in text
    assert "as an active arm would have had them, in every arm" in text
