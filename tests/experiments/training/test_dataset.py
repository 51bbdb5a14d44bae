"""A dataset is what was recorded and drawn, split by person, and does not change without saying so."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

from myoloop.cli import app
from myoloop.experiments.subjects.fingerprint import fingerprint
from myoloop.experiments.subjects.population import draw
from myoloop.experiments.training.dataset import (
    CARD,
    GAP,
    INDEX,
    PEOPLE,
    TABLE,
    DatasetError,
    Sources,
    build,
    open_dataset,
    problems,
    verify_dataset,
)
from myoloop.experiments.training.decisions import rows_of
from myoloop.experiments.training.from_cohort import draw_cohort
from myoloop.experiments.training.from_sessions import FromStudy, read_study
from myoloop.experiments.training.jobs import Jobs
from myoloop.experiments.training.split import LeakError, split
from myoloop.experiments.training.task import Task, load_task
from myoloop.platform.messages import StimRequest
from myoloop.platform.recording.reader import Recording

EVERY_S = 0.1
PERSON = {
    "simulated": "false", "origin.emg": "live", "origin.stimulation": "device", "origin.body": "person",
}  # fmt: skip


@pytest.fixture(scope="module")
def task() -> Task:
    """One trial of a second."""
    trial = {"ramp_s": 0.2, "hold_s": 0.5, "rest_s": 1.0, "repetitions": 1}
    return load_task("isometric_hold").changed(trial=trial, name="tiny")


@pytest.fixture(scope="module")
def sources(recorded_study: Path, task: Task) -> Sources:
    return Sources(studies=(recorded_study,), task=task, people=3, compared=2)


@pytest.fixture(scope="module")
def made(sources: Sources, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of two recorded people and three drawn ones; read only."""
    out = tmp_path_factory.mktemp("datasets") / "data"
    build(out, sources)
    return out


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    """A copy of it, to be tampered with."""
    return Path(shutil.copytree(made, tmp_path / "data"))


def of_study(study: Path) -> FromStudy:
    return read_study(study, EVERY_S)


def attempt_of(study: Path, person: str) -> Path:
    return study / f"sub-{person}" / "ses-01" / "att-1"


def only(study: Path, *people: str) -> None:
    """Leave nobody else in a study."""
    for folder in study.glob("sub-*"):
        if folder.name.removeprefix("sub-") not in people:
            shutil.rmtree(folder)


def reasons(found: FromStudy) -> dict[str, str]:
    return {session.split("/")[0].removeprefix("sub-"): reason for session, reason in found.excluded}


# -- what is in it -------------------------------------------------------------------------------------------------


def test_it_holds_every_person_in_one_half_with_all_their_decisions(made: Path) -> None:
    found = open_dataset(made)
    assert set(found.halves) == {"P001", "P002", "acute_sci-0", "acute_sci-1", "acute_sci-2"}
    train, held_out = (set(found.half(half)[0]) for half in ("train", "held_out"))
    assert train | held_out == set(found.halves)
    assert not train & held_out
    # Of each source one is held out.
    assert len(held_out & {"P001", "P002"}) == len(held_out - {"P001", "P002"}) == 1
    # A train of a second has ten decisions.
    assert [found.person.count(name) for name in sorted(found.halves)] == [20, 20, 9, 9, 9]
    assert len(found.half("train")[1]) + len(found.half("held_out")[1]) == len(found.decisions) == 67


def test_built_again_it_is_the_same_to_the_last_byte(made: Path, sources: Sources, tmp_path: Path) -> None:
    build(tmp_path / "again", sources)
    assert {path.name for path in made.iterdir()} == {INDEX, TABLE, PEOPLE, CARD, GAP}
    for path in made.iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes(), path.name


def test_no_path_of_this_machine_is_in_it(made: Path, recorded_study: Path) -> None:
    for path in made.iterdir():
        assert str(recorded_study.parent).encode() not in path.read_bytes()


def test_a_recorded_decision_asked_for_what_the_record_says(recorded_study: Path) -> None:
    used = of_study(recorded_study).used[0]
    asked_ma = np.array(
        [
            each.received.message.channels[0].current_ma
            for each in Recording.open(attempt_of(recorded_study, "P001")).messages({"request"})
        ]
    )
    # In the first train the controller asks for nothing until the gate has accepted that; the second is all there.
    rows = rows_of(used.decisions)
    second = (rows["place.trial"] == 2) & (rows["place.last"] == 0)
    mean_of_ten = np.convolve(asked_ma, np.full(10, 0.1), "valid")
    at = [int(np.argmin(np.abs(mean_of_ten - mean_ma))) for mean_ma in rows["action.current_ma"][second]]
    np.testing.assert_allclose(mean_of_ten[at], rows["action.current_ma"][second], rtol=1e-9)
    assert set(np.diff(at)) == {10}
    assert len(at) == 9
    assert used.replayed == "whole"
    assert used.body == fingerprint(draw(3))


def test_a_drawn_person_is_the_same_whoever_else_is_drawn(task: Task) -> None:
    together = draw_cohort(task, [0, 1, 2], seed=4, explore=0.5, jobs=Jobs())
    alone = draw_cohort(task, [1], seed=4, explore=0.5, jobs=Jobs())
    other = draw_cohort(task, [1], seed=5, explore=0.5, jobs=Jobs())
    np.testing.assert_array_equal(alone[0].decisions.observation, together[1].decisions.observation)
    np.testing.assert_array_equal(alone[0].decisions.outcome, together[1].decisions.outcome)
    assert not np.array_equal(other[0].decisions.observation, alone[0].decisions.observation)


def test_residuals_are_drawn_in_the_share_that_was_asked_for(task: Task) -> None:
    (none,) = draw_cohort(task, [1], seed=0, explore=0.0, jobs=Jobs())
    (every,) = draw_cohort(task, [1], seed=0, explore=1.0, jobs=Jobs())
    assert not rows_of(none.decisions)["action.residual"].any()
    assert len(set(rows_of(every.decisions)["action.residual"])) > 2
    assert none.violations == every.violations == 0


# -- what is not in it, and why ------------------------------------------------------------------------------------


def test_what_cannot_be_used_is_left_out_with_its_reason_and_stops_nothing(made: Path) -> None:
    excluded = {row["session"]: row["reason"] for row in open_dataset(made).card["excluded"]}
    assert set(excluded) == {"sub-P003/ses-01/att-1", "sub-P004/ses-01/att-1"}
    assert excluded["sub-P003/ses-01/att-1"].startswith("policy open_loop: only of adaptive_gain")
    assert excluded["sub-P004/ses-01/att-1"] == "byte 0: not an MCAP file (in session.mcap)"


def test_a_blinded_session_is_left_out(study_copy: Path, sessions: Any) -> None:
    only(study_copy, "P001")
    sessions.rewrite(attempt_of(study_copy, "P001"), metadata={"blinded": "true"})
    assert reasons(of_study(study_copy))["P001"].startswith("blinded: what was given is sealed")


@pytest.mark.parametrize("part", ["origin.emg", "origin.stimulation", "origin.body"])
def test_a_session_that_was_simulated_in_part_is_left_out(study_copy: Path, sessions: Any, part: str) -> None:
    only(study_copy, "P001")
    other = {"origin.emg": "recorded", "origin.stimulation": "device", "origin.body": "none"}[part]
    sessions.rewrite(attempt_of(study_copy, "P001"), metadata={part: other}, until=3)
    assert reasons(of_study(study_copy))["P001"].startswith("neither wholly of a person nor wholly simulated")


def test_a_session_without_an_end_is_used_as_far_as_it_goes_and_its_last_train_is_cut(
    study_copy: Path, sessions: Any
) -> None:
    only(study_copy, "P001")
    whole = of_study(study_copy).used[0].decisions
    middle = int((rows_of(whole)["place.t_s"][5] + 0.05) / 0.01)
    first = next(
        each.received.message.step
        for each in Recording.open(attempt_of(study_copy, "P001")).messages({"request"})
        if each.received.message.reason.startswith("adaptive gain")
    )
    sessions.rewrite(attempt_of(study_copy, "P001"), outcome=None, until=first + middle)
    (used,) = of_study(study_copy).used
    assert used.state == "INCOMPLETE"
    rows = rows_of(used.decisions)
    assert rows["place.cut"].tolist() == [0.0] * 5 + [1.0]
    np.testing.assert_array_equal(used.decisions.observation, whole.observation[:6])


def test_it_goes_no_further_than_the_replay_says_what_the_record_says(study_copy: Path, sessions: Any) -> None:
    only(study_copy, "P001")
    live = [
        each.received.message.step
        for each in Recording.open(attempt_of(study_copy, "P001")).messages({"request"})
        if each.received.message.channels[0].current_ma > 0
    ]
    wrong = live[35]

    def change(message: Any) -> Any:
        if not isinstance(message, StimRequest) or message.step != wrong:
            return message
        channel = msgspec.structs.replace(message.channels[0], current_ma=1.0)
        return msgspec.structs.replace(message, channels=(channel,))

    sessions.rewrite(attempt_of(study_copy, "P001"), change=change)
    (used,) = of_study(study_copy).used
    assert used.replayed.startswith(f"up to step {wrong - 1}: ")
    assert used.decisions.trains == 1
    assert rows_of(used.decisions)["place.cut"][-1] == 1.0


def test_who_has_withdrawn_or_is_left_out_is_not_in_it(study_copy: Path) -> None:
    only(study_copy, "P001", "P002")
    (study_copy / "participants.tsv").write_text(
        "participant_id\tstatus\tenrolled_on\nsub-P001\twithdrawn\tn/a\nsub-P002\tenrolled\tn/a\n"
    )
    found = read_study(study_copy, EVERY_S, {"P002": "moved abroad"})
    assert reasons(found) == {"P001": "the person has withdrawn", "P002": "left out: moved abroad"}
    with pytest.raises(DatasetError, match=r"nobody is left .* first sub-P001/ses-01/att-1: the person has withdrawn"):
        build(study_copy.parent / "out", Sources(studies=(study_copy,), leave_out={"P002": "moved abroad"}))
    assert not (study_copy.parent / "out").exists()


def test_people_and_virtual_people_are_not_mixed_unless_told(
    study_copy: Path, task: Task, sessions: Any, tmp_path: Path
) -> None:
    only(study_copy, "P001")
    sessions.rewrite(attempt_of(study_copy, "P001"), metadata=PERSON)
    sources = Sources(studies=(study_copy,), task=task, people=1, compared=2)
    with pytest.raises(DatasetError, match=r"^P001 is a person and acute_sci-0 a virtual one: --mix-simulated"):
        build(tmp_path / "mixed", sources)
    assert build(tmp_path / "mixed", replace(sources, mix=True)).card["holds"] == "people and virtual people"
    assert [person.simulated for person in of_study(study_copy).people] == [False]


# -- nobody in both halves -----------------------------------------------------------------------------------------


def test_one_virtual_person_under_two_pseudonyms_fails_the_build(
    study_copy: Path, sessions: Any, tmp_path: Path
) -> None:
    only(study_copy, "P001")
    shutil.copytree(study_copy / "sub-P001", study_copy / "sub-P009")
    sessions.rewrite(attempt_of(study_copy, "P009"), metadata={"subject": "P009"})
    with pytest.raises(LeakError, match=r"^P001 and P009 are the same virtual person"):
        build(tmp_path / "out", Sources(studies=(study_copy,)))


def test_a_drawn_person_who_was_recorded_too_fails_the_build(study_copy: Path, task: Task, tmp_path: Path) -> None:
    only(study_copy, "P001")
    demo = task.changed(people={"preset": "demo", "fatigue_factor": 2.0})
    with pytest.raises(LeakError, match=r"^P001 and demo-3 are the same virtual person"):
        build(tmp_path / "out", Sources(studies=(study_copy,), task=demo, people=1, first=3))


def test_one_recording_under_two_pseudonyms_fails_the_build(study_copy: Path, tmp_path: Path) -> None:
    only(study_copy, "P001")
    shutil.copytree(study_copy / "sub-P001", study_copy / "sub-P009")
    with pytest.raises(LeakError, match=r"^P001 and P009 hold the same recording \(sub-P009/ses-01/att-1\)"):
        build(tmp_path / "out", Sources(studies=(study_copy,)))


def test_a_split_that_puts_somebody_into_both_halves_fails_in_one_line(
    made: Path, recorded_study: Path, tmp_path: Path
) -> None:
    halves = tmp_path / "halves.tsv"
    halves.write_text("person\thalf\nP001\ttrain\nP002\ttrain\nP001\theld_out\n")
    done = CliRunner().invoke(
        app, ["dataset", "build", str(tmp_path / "out"), "--study", str(recorded_study), "--halves", str(halves)]
    )
    assert done.exit_code == 2
    assert done.stderr.splitlines() == [
        f"{halves}: P001: is in both halves, trained on and held out; a person may be in one only"
    ]


def test_halves_of_an_earlier_dataset_are_kept(made: Path) -> None:
    before = dict(open_dataset(made).halves)
    people = [person for person in _people_of(made) if person.source.startswith("cohort")]
    for seed in range(5):
        after = split(people, seed=seed, held_out_share=0.3, given=before)
        assert all(after[person.name] == before[person.name] for person in people)


def _people_of(made: Path) -> list[Any]:
    from myoloop.experiments.training.split import Person

    rows = [line.split("\t") for line in (made / PEOPLE).read_text().splitlines()[1:]]
    return [Person(row[0], row[2], True) for row in rows]


def test_a_leak_that_was_put_in_with_all_hashes_made_anew_is_found(copy: Path) -> None:
    text = (copy / PEOPLE).read_text()
    before = dict(open_dataset(copy).halves)
    other = {"train": "held_out", "held_out": "train"}[before["P001"]]
    forge(copy, PEOPLE, text.replace(f"P001\t{before['P001']}", f"P001\t{other}").encode())
    _, found = verify_dataset(copy)
    assert found == [f"{copy / TABLE}: P001 is in {before['P001']}, in people.tsv in {other}"]
    row = next(line for line in text.splitlines() if line.startswith("P001"))
    forge(copy, PEOPLE, (text + row.replace(before["P001"], other) + "\n").encode())
    _, found = verify_dataset(copy)
    assert found == [f"{copy / PEOPLE}: P001: is in both halves, trained on and held out; a person may be in one only"]


def forge(folder: Path, name: str, content: bytes) -> None:
    """Change a file, and every hash that would tell."""
    (folder / name).write_bytes(content)
    index = json.loads((folder / INDEX).read_bytes())
    del index["sha256"]
    index["files"][name] = hashlib.sha256(content).hexdigest()
    over = hashlib.sha256(json.dumps(index, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    (folder / INDEX).write_text(json.dumps({**index, "sha256": over}, indent=1, sort_keys=True) + "\n")


# -- frozen --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [TABLE, PEOPLE, CARD, GAP])
def test_a_change_of_any_file_is_found_and_named(copy: Path, name: str) -> None:
    assert problems(copy) == []
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(content)
    assert problems(copy) == [f"{copy / name}: was changed since the dataset was frozen"]
    with pytest.raises(DatasetError, match=name):
        open_dataset(copy)


@pytest.mark.parametrize(
    ("tamper", "line"),
    [
        (lambda folder: (folder / CARD).unlink(), "card.json: is missing"),
        (lambda folder: (folder / "more.csv").touch(), "more.csv: was added"),
        (lambda folder: edit(folder, "seed", 9), "dataset.json: was changed: its hash is not that of what it says"),
        (lambda folder: edit(folder, "format", "other"), "dataset.json: format 'other', this version reads"),
        (lambda folder: (folder / INDEX).write_text("{"), "dataset.json: was changed: it is no JSON"),
    ],
)
def test_so_is_whatever_else_was_done(copy: Path, tamper: Callable[[Path], Any], line: str) -> None:
    tamper(copy)
    (found,) = problems(copy)
    assert f"{copy}/{line}" in found


def edit(folder: Path, key: str, value: Any) -> None:
    index = json.loads((folder / INDEX).read_bytes())
    (folder / INDEX).write_text(json.dumps({**index, key: value}))


def test_the_verbs_say_it_and_end_with_1_where_it_was_changed(copy: Path) -> None:
    run = CliRunner().invoke
    good = run(app, ["dataset", "verify", str(copy), "--json"])
    assert (good.exit_code, json.loads(good.stdout)["good"]) == (0, True)
    info = run(app, ["dataset", "info", str(copy)])
    assert info.exit_code == 0
    for told in ("subjects: 5, 3 to train, 2 held out", "excluded: sub-P003", "no open-loop session of a person"):
        assert told in info.stdout
    (copy / PEOPLE).write_text("")
    changed = run(app, ["dataset", "verify", str(copy)])
    assert (changed.exit_code, changed.stdout.strip()) == (
        1, f"{copy / PEOPLE}: was changed since the dataset was frozen",
    )  # fmt: skip
    assert run(app, ["dataset", "info", str(copy)]).exit_code == 2
    nothing = run(app, ["dataset", "verify", str(copy / "none")])
    assert (nothing.exit_code, "no dataset" in nothing.stderr) == (2, True)


# -- what may be asked for -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"held_out_share": 0.0}, "held_out_share: found 0, allowed is above 0 and below 1"),
        ({"held_out_share": 1.0}, "held_out_share: found 1, allowed is above 0 and below 1"),
        ({"explore": 1.5}, "explore: found 1.5, allowed is 0 to 1"),
        ({"decide_every_s": float("nan")}, "decide_every_s: found nan, allowed is 0.01 to 2 s"),
        ({"people": 3}, "a virtual cohort needs both"),
        ({"studies": (Path("a"), Path("./a"))}, "a study is named twice"),
    ],
)
def test_what_makes_no_sense_is_refused(changes: dict[str, Any], line: str) -> None:
    with pytest.raises(DatasetError, match=line):
        Sources(**changes)


def test_nothing_is_overwritten_and_nothing_is_left_of_a_build_that_fails(made: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="is there already"):
        build(made, Sources())
    with pytest.raises(DatasetError, match="nobody is left"):
        build(tmp_path / "empty", Sources())
    assert list(tmp_path.iterdir()) == []
