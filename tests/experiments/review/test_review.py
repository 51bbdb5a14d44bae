"""A person corrects what the detector found: audited, chained, all or nothing, and the recording stays as it is."""

from __future__ import annotations

import csv
import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from myoloop.cli import app
from myoloop.experiments.analysis.session import load
from myoloop.experiments.outcomes.attempt import measure
from myoloop.experiments.review.acts import Act
from myoloop.experiments.review.labels import Span
from myoloop.experiments.review.review import NotReviewed, apply_acts, read_review
from myoloop.experiments.studies.audit import read_audit
from myoloop.experiments.studies.chained import DamagedLog
from myoloop.platform.errors import UserError

WALL = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
BY = {"who": "A. Smith", "role": "assessor", "wall": WALL}
PROTOCOL = """
protocol: {id: tiny, version: 1.2.3, schema: 1, title: Tiny, rigs: [SIM], evidence: {grade: none}}
devices:
  emg: {min_rate: 1000 Hz, channels: [c1]}
  stim: {class: mA, min_step: 1 mA}
sites:
  c1: {muscle: biceps, side: left, pad: 5x5 cm, emg: agonist}
envelope: {waveform_class: nmes, current_max: 20 mA}
stimulation:
  c1: {site: c1, phase: 250 us, rate: 20 Hz}
thresholds: {motor: 10 mA, tolerance: 20 mA}
phases:
  - block: {name: work, trials: 1, machine: cyclic, ramp_up: 0.1 s, hold: 1 s, ramp_down: 0.1 s, rest: 2 s,
            intensity: {ref: motor, x: 1.0}}
controller: {policy: open_loop}
stop_rules: [{session_max: 1 min}]
outcomes: {primary: spasm_count, secondary: [spasm_share]}
"""


@pytest.fixture
def attempt(known, tmp_path) -> Path:
    """Bursts of biceps from 2.52 and 3.5 s (of which the first is true), one of triceps from 3.92 s to the end."""
    folder = tmp_path / "study" / "sub-P017" / "ses-03" / "att-1"
    told = {"sha256.protocol.yaml": hashlib.sha256(PROTOCOL.encode()).hexdigest()}
    known.write(folder, metadata={**known.METADATA, **told})
    (folder / "protocol.yaml").write_text(PROTOCOL, encoding="utf-8")
    return folder


def files(folder: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.iterdir()
        if "review" not in path.name
    }


def verb(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["review", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, (result.exit_code, result.stdout, result.stderr)
    return result.stdout if code < 2 else result.stderr


def test_what_the_detector_found_is_listed_with_onset_class_and_muscle(attempt):
    found = [(each.id, each.kind, each.muscle, each.span, each.state) for each in read_review(attempt).rows]
    assert found == [
        ("spasm-biceps-1", "spasm", "biceps", Span(2.52, 2.83), "open"),
        ("spasm-biceps-2", "spasm", "biceps", Span(3.5, 3.61), "open"),
        ("spasm-triceps-1", "spasm", "triceps", Span(3.9, None), "open"),
    ]


def test_each_act_is_an_entry_with_who_when_and_why_and_the_recording_stays_as_it_is(attempt):
    before = files(attempt)
    acts = [
        Act("confirm", "spasm-biceps-1"),
        Act("reject", "spasm-biceps-2", why="a cough"),
        Act("add", kind="spasm", muscle="biceps", span=Span(1.2, 1.4), why="missed"),
        Act("move", "spasm-triceps-1", span=Span(3.7, 3.95), why="begins earlier"),
    ]
    apply_acts(read_review(attempt), acts, **BY)
    assert files(attempt) == before
    lines = [json.loads(line) for line in (attempt / "review.jsonl").read_text().splitlines()]
    assert [(line["act"], line["what"], line["why"]) for line in lines] == [
        ("confirm", "spasm-biceps-1", ""), ("reject", "spasm-biceps-2", "a cough"), ("add", "added-1", "missed"),
        ("move", "spasm-triceps-1", "begins earlier"),
    ]  # fmt: skip
    assert {(line["who"], line["role"], line["wall_utc"]) for line in lines} == {
        ("A. Smith", "assessor", "2026-11-21T12:00:00.000Z")
    }
    again = read_review(attempt)
    assert {each.id: each.state for each in again.rows} == {
        "added-1": "added", "spasm-biceps-1": "confirmed", "spasm-biceps-2": "rejected", "spasm-triceps-1": "moved",
    }  # fmt: skip
    assert again.corrected("spasm") == {"biceps": ((1.2, 1.4), (2.52, 2.83)), "triceps": ((3.7, 3.95),)}
    assert [row["act"] for row in read_audit(attempt.parents[2]).acts] == ["confirm", "reject", "add", "move"]


def test_the_detectors_figures_are_those_computed_by_hand(attempt):
    acts = [
        Act("confirm", "spasm-biceps-1"),
        Act("reject", "spasm-biceps-2", why="a cough"),
        # One that it missed, and one whose onset is 0.2 s before where it saw it: within the tolerance of 0.5 s.
        Act("add", kind="spasm", muscle="biceps", span=Span(1.2, 1.4), why="missed"),
        Act("move", "spasm-triceps-1", span=Span(3.7, None), why="begins earlier"),
        Act("whole", kind="spasm"),
    ]
    (score,) = apply_acts(read_review(attempt), acts, **BY).scores()
    # Matched 2 (2.52; 3.7 with 3.9), missed 1 (1.2), false 1 (3.5).
    assert (score.matched, score.missed, score.false, score.labels, score.detected) == (2, 1, 1, 3, 3)
    assert (score.precision, score.recall, score.f1) == (2 / 3, 2 / 3, 4 / 6)
    assert score.latency_s == pytest.approx(0.1)
    assert score.tolerance_s == (-0.1, 0.5)
    assert score.looked_through


def test_an_onset_moved_beyond_the_tolerance_is_both_missed_and_false(attempt):
    acts = [
        Act("confirm", "spasm-biceps-1"),
        Act("confirm", "spasm-biceps-2"),
        Act("move", "spasm-triceps-1", span=Span(3.3, 3.95), why="begins much earlier"),
    ]
    (score,) = apply_acts(read_review(attempt), acts, **BY).scores()
    assert (score.matched, score.missed, score.false) == (2, 1, 1)


def test_while_a_detection_is_not_judged_there_is_no_figure(attempt):
    (score,) = apply_acts(read_review(attempt), [Act("confirm", "spasm-biceps-1")], **BY).scores()
    assert (score.f1, score.precision, score.recall, score.open) == (None, None, None, 2)
    assert score.why == "2 of 3 detections are not judged yet"


def test_that_nobody_looked_for_missed_events_is_said(attempt):
    acts = [Act("confirm", each.id) for each in read_review(attempt).rows]
    (score,) = apply_acts(read_review(attempt), acts, **BY).scores()
    assert (score.f1, score.looked_through) == (1.0, False)
    assert "nobody has said" in score.why


BAD = [
    (Act("confirm", "spasm-biceps-9"), "id: found 'spasm-biceps-9', there is no such label"),
    (Act("reject", "spasm-biceps-1"), "why: reject needs a reason"),
    (Act("add", kind="twitch", muscle="biceps", span=Span(1, 2), why="x"), "class: found 'twitch', allowed: spasm"),
    (Act("add", kind="spasm", muscle="soleus", span=Span(1, 2), why="x"), "muscle: found 'soleus', allowed: biceps"),
    (Act("add", kind="spasm", muscle="biceps", why="x"), "begin_s: add needs where"),
    (Act("add", kind="spasm", muscle="biceps", span=Span(2, 1), why="x"), "end_s: found 1, allowed: after 2 s"),
    (Act("add", kind="spasm", muscle="biceps", span=Span(99, None), why="x"), "begin_s: found 99, allowed: 0 to"),
    (Act("add", kind="spasm", muscle="biceps", span=Span(float("nan"), None), why="x"), "begin_s: found nan"),
    (Act("erase", "spasm-biceps-1"), "act: found 'erase', allowed: confirm"),
]


@pytest.mark.parametrize(("act", "says"), BAD)
def test_an_act_that_cannot_be_is_refused_and_nothing_is_written(attempt, act, says):
    with pytest.raises(NotReviewed) as found:
        apply_acts(read_review(attempt), [Act("confirm", "spasm-biceps-1"), act], **BY)
    assert str(found.value).startswith("act 2: ")
    assert says in str(found.value)
    assert not (attempt / "review.jsonl").exists()


def test_nobody_reviews_without_a_name(attempt):
    with pytest.raises(UserError, match="who is empty"):
        apply_acts(read_review(attempt), [], who=" ", role="assessor", wall=WALL)


def test_a_review_that_was_edited_is_not_believed(attempt):
    apply_acts(read_review(attempt), [Act("reject", "spasm-biceps-1", why="none")], **BY)
    log = attempt / "review.jsonl"
    log.write_bytes(log.read_bytes().replace(b'"none"', b'"nine"'))
    with pytest.raises(DamagedLog, match="edited"):
        read_review(attempt)


def test_a_review_of_other_detections_is_refused(attempt, known, tmp_path):
    review = read_review(attempt)
    other = known.write(tmp_path / "other")
    other_review = type(review)(other, "s1", review.labels, (), "0" * 64)
    apply_acts(other_review, [Act("confirm", "spasm-biceps-1")], **BY)
    with pytest.raises(NotReviewed, match="review of other detections"):
        read_review(other)


def test_outcomes_are_of_the_detector_unless_labels_are_asked_for_and_say_which(attempt):
    rows = measure(load(attempt)).as_data()
    assert rows["outcomes_labels"] == "detected"
    detected = {row["outcome"]: row for row in rows["outcomes"]}
    assert detected["spasm_count"]["parameters"]["labels"] == "detected"
    acts = [Act("confirm", "spasm-biceps-1"), Act("reject", "spasm-biceps-2", why="a cough"),
            Act("confirm", "spasm-triceps-1")]  # fmt: skip
    apply_acts(read_review(attempt), acts, **BY)
    assert measure(load(attempt)).values["spasm_count"].n == 3
    corrected = measure(load(attempt), corrected=True)
    assert corrected.labels == "corrected by a person"
    count = corrected.values["spasm_count"]
    assert (count.n, count.parameters["labels"], count.parameters["labels_n"]) == (2, "corrected by a person", 2)
    # Biceps has one of its two left: half of the rate, over the same time in which it could be told.
    assert count.parts["biceps"] == pytest.approx(detected["spasm_count"]["parts"]["biceps"] / 2)
    # 31 of 400 estimates say a burst of biceps that is a label.
    assert corrected.values["spasm_share"].parts["biceps"] == pytest.approx(31 / 400, abs=0.003)


def test_corrected_outcomes_of_a_review_that_is_not_finished_have_no_value(attempt):
    assert measure(load(attempt), corrected=True).values["spasm_count"].why == "3 detections are not judged yet"


def test_from_a_script_a_draft_is_edited_and_applied(attempt, tmp_path):
    draft = tmp_path / "labels.csv"
    verb(attempt, "--draft", draft)
    with draft.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == ["spasm-biceps-1", "spasm-biceps-2", "spasm-triceps-1"]
    for row, act in zip(rows, ("confirm", "reject", "confirm"), strict=True):
        row |= {"act": act, "why": "seen on the video"}
    rows.append(
        {"act": "add", "class": "spasm", "muscle": "triceps", "begin_s": "1.0", "end_s": "1.5", "why": "missed"}
    )
    rows.append({"act": "whole", "class": "spasm"})
    with draft.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    found = json.loads(verb(attempt, "--apply", draft, "--who", "A. Smith", "--role", "assessor", "--json"))
    (score,) = found["scores"]
    assert (score["labels"], score["matched"], score["missed"], score["false"]) == (3, 2, 1, 1)
    assert "F1 0.67, precision 0.67, recall 0.67" in verb(attempt)
    assert "cannot be written" in verb(attempt, "--draft", draft, code=2)


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ("act,id\nconfirm,spasm-biceps-7\n", "labels.csv:2: id: found 'spasm-biceps-7', there is no such label"),
        ("act,id\nconfirm,spasm-biceps-1\nbless,spasm-biceps-2\n", "labels.csv:3: act: found 'bless'"),
        ("act,id,begin_s,why\nmove,spasm-biceps-1,soon,x\n", "labels.csv:2: begin_s: found 'soon'"),
        ("act,label\nconfirm,a\n", "labels.csv:1: columns: id missing"),
        ("act,id,colour\nconfirm,a,b\n", "labels.csv:1: columns: found colour"),
    ],
)
def test_a_file_with_a_mistake_names_its_line_and_changes_nothing(attempt, tmp_path, lines, says):
    (tmp_path / "labels.csv").write_text(lines)
    told = verb(attempt, "--apply", tmp_path / "labels.csv", "--who", "A", "--role", "assessor", code=2)
    assert says in " ".join(told.split())
    assert not (attempt / "review.jsonl").exists()


def edited(attempt: Path, name: str, **columns: str) -> Path:
    """A draft in which the line of one label was edited."""
    file = attempt.parents[2].parent / "labels.csv"
    file.unlink(missing_ok=True)
    verb(attempt, "--draft", file)
    with file.open(encoding="utf-8", newline="") as text:
        rows = list(csv.DictReader(text))
    next(row for row in rows if row["id"] == name).update(columns)
    with file.open("w", encoding="utf-8", newline="") as text:
        writer = csv.DictWriter(text, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return file


SAYS = ("--who", "A. Smith", "--role", "assessor")


@pytest.mark.parametrize(
    ("columns", "refused"),
    [
        ({"act": "confirm", "begin_s": "2.40"}, "begin_s: found 2.400000, spasm-biceps-1 has 2.520000 s: use move"),
        ({"act": "confirm", "end_s": ""}, "end_s: found nothing, spasm-biceps-1 has 2.830000 s: use move"),
        (
            {"act": "reject", "why": "a cough", "end_s": "9"},
            "end_s: found 9.000000, spasm-biceps-1 has 2.830000 s: use move",
        ),
        ({"act": "confirm", "begin_s": ""}, "begin_s: is missing beside end_s"),
        ({"act": "confirm", "class": "clonus"}, "class: found 'clonus', spasm-biceps-1 is of class spasm: use reclass"),
        (
            {"act": "move", "why": "earlier", "begin_s": "2.4", "class": "clonus"},
            "class: found 'clonus', spasm-biceps-1 is of class spasm: use reclass",
        ),
        (
            {"act": "confirm", "muscle": "triceps"},
            "muscle: found 'triceps', spasm-biceps-1 is of biceps: reject it, and add it there",
        ),
        ({"act": "reclass", "why": "it beats"}, "class: spasm-biceps-1 is of class spasm already"),
        (
            {"act": "reclass", "why": "it beats", "class": "jerk"},
            "class: found 'jerk', allowed: spasm, clonus, contraction",
        ),
        ({"act": "reclass", "class": "clonus"}, "why: reclass needs a reason"),
    ],
)  # fmt: skip
def test_what_an_act_does_not_change_must_be_what_the_label_is(attempt, columns, refused):
    told = verb(attempt, "--apply", edited(attempt, "spasm-biceps-1", **columns), *SAYS, code=2)
    assert f"labels.csv:2: {refused}" in told
    assert not (attempt / "review.jsonl").exists()


def test_a_line_that_was_not_edited_is_confirmed_where_it_is(attempt):
    verb(attempt, "--apply", edited(attempt, "spasm-biceps-1", act="confirm"), *SAYS)
    (label,) = [each for each in read_review(attempt).rows if each.id == "spasm-biceps-1"]
    assert (label.state, label.span) == ("confirmed", Span(2.52, 2.83))


def test_a_burst_of_another_class_was_false_in_its_own_and_missed_in_the_other(attempt):
    file = edited(attempt, "spasm-biceps-1", **{"act": "reclass", "class": "clonus", "why": "it beats"})
    verb(attempt, "--apply", file, *SAYS)
    acts = [Act("confirm", "spasm-biceps-2"), Act("confirm", "spasm-triceps-1"), Act("whole", kind="clonus")]
    again = apply_acts(read_review(attempt), acts, **BY)
    assert read_review(attempt).rows == again.rows
    assert again.corrected("clonus")["biceps"] == ((2.52, 2.83),)
    spasm, clonus = again.scores()
    assert (spasm.matched, spasm.missed, spasm.false, spasm.detected) == (2, 0, 1, 3)
    assert (clonus.matched, clonus.missed, clonus.false, clonus.detected) == (0, 1, 0, 0)
    assert "reclassed as clonus" in verb(attempt)
    with pytest.raises(NotReviewed, match="was reclassed by a person, who has confirmed it so"):
        apply_acts(again, [Act("confirm", "spasm-biceps-1")], **BY)
