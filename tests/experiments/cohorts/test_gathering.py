"""What of a study an analysis looks at: which sessions, which values, and from what these are made anew."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from myoloop.experiments.analysis.session import load
from myoloop.experiments.analysis.study_tables import code_sha256, made_from
from myoloop.experiments.cohorts import gathering
from myoloop.experiments.cohorts.cohort import choice_of, make_cohort
from myoloop.experiments.cohorts.gathering import Choice, CohortError, Gathered, gather, one_unit, session_values
from myoloop.experiments.cohorts.planting import Made
from myoloop.experiments.outcomes.attempt import CORRECTED, OF_LABELS
from myoloop.experiments.outcomes.view import Value
from myoloop.experiments.reports.cohort import header
from myoloop.experiments.reports.cohort_tables import doubtful
from myoloop.experiments.studies.chained import ChainedLog
from myoloop.experiments.studies.diary import Prompt, entry_line
from myoloop.experiments.studies.personrecord import record_path
from myoloop.platform.errors import UserError

ATTEMPT = "sub-P001/ses-01/att-1"


def row(session: int = 1, attempt: int = 1, protocol: str = "grip", status: str = "complete") -> SimpleNamespace:
    """A row of an index."""
    facts = SimpleNamespace(
        status=status, reason="", population="simulated", protocol=protocol, wall_start=None, duration_s=60.0,
        head=f"{session}{attempt}", verified="good",
    )  # fmt: skip
    return SimpleNamespace(
        path=f"sub-P001/ses-{session:02d}/att-{attempt}", person="P001", session=session, attempt=attempt, facts=facts,
        exclusions=(), grade="A",
    )  # fmt: skip


def values(**changes: Any) -> dict[str, Any]:
    """What a session shows."""
    told = {"mvc_force": gathering._told(Value(100.0, 3))}
    return {"problem": "", "protocol_version": "1.0.0", "protocol_sha256": "a" * 64, "primary": "mvc_force",
            "guess": None, "outcomes": told, **changes}  # fmt: skip


@pytest.fixture
def gathered(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Gathered]:
    """A study of these rows, gathered; each session shows what `told` has for its number."""

    def made(rows: Iterable[Any], choice: Choice, told: dict[int, dict[str, Any]] | None = None) -> Gathered:
        index = SimpleNamespace(study="study", rows=tuple(rows), problems=())
        monkeypatch.setattr(gathering, "index_study", lambda study, jobs: index)
        monkeypatch.setattr(gathering, "made_from", lambda study, of: {})

        def shown(item: dict[str, Any]) -> dict[str, Any]:
            session = int(Path(item["attempt"]).parent.name.removeprefix("ses-"))
            return (told or {}).get(session, values())

        monkeypatch.setattr(gathering, "session_values", shown)
        return gather("study", choice)

    return made


def test_sessions_beyond_the_analysis_are_left_out_with_the_reason(gathered: Callable[..., Gathered]) -> None:
    found = gathered([row(1), row(2), row(3), row(7)], Choice(first=2, last=6))
    assert [each.session for each in found.rows if each.used] == [2, 3]
    assert [each.excluded for each in found.rows if not each.used] == [
        "outside of the analysis, session 1: it has 2 to 6",
        "outside of the analysis, session 7: it has 2 to 6",
    ]


def test_sessions_of_several_protocols_are_one_analysis_of_none(gathered: Callable[..., Gathered]) -> None:
    rows = [row(1), row(2), row(3, protocol="reach")]
    with pytest.raises(CohortError, match=r"2 protocols: grip \(2\), reach \(1\); name .* protocol: grip"):
        gathered(rows, Choice())
    found = gathered(rows, Choice(protocol="grip"))
    assert [each.session for each in found.rows if each.used] == [1, 2]
    assert found.rows[2].excluded == "another protocol, reach: the analysis is of grip"


def test_versions_of_one_protocol_are_told(gathered: Callable[..., Gathered]) -> None:
    assert gathered([row(1), row(2)], Choice()).problems == ()
    changed = values(protocol_version="1.1.0", protocol_sha256="b" * 64)
    found = gathered([row(1), row(2)], Choice(), {2: changed})
    assert found.protocols == (f"grip 1.0.0 ({'a' * 12}), 1 sessions", f"grip 1.1.0 ({'b' * 12}), 1 sessions")
    assert found.problems == (f"one protocol in several versions: {'; '.join(found.protocols)}",)


def test_a_value_that_its_outcome_does_not_believe_is_left_out_and_told(gathered: Callable[..., Gathered]) -> None:
    doubt = "1 whole contractions, needed are 3"
    told = {2: values(outcomes={"mvc_force": gathering._told(Value(90.0, 1, doubt=doubt))})}
    found = gathered([row(1), row(2)], Choice(), told)
    measured = found.rows[1].outcomes["mvc_force"]
    assert (measured.value, measured.doubt) == (None, doubt)
    assert measured.why == f"left out as doubtful: {doubt}"
    assert found.doubts == (f"sub-P001/ses-02/att-1: mvc_force: {doubt}; left out",)
    used = gathered([row(1), row(2)], Choice(doubtful=True), told)
    assert used.rows[1].outcomes["mvc_force"].value == 90.0
    assert used.doubts == (f"sub-P001/ses-02/att-1: mvc_force: {doubt}; used",)


def test_minutes_of_a_rate_are_those_of_all_muscles() -> None:
    told = gathering._told(Value(3.0, 2, parameters={"told_min": {"left": 0.25, "right": 0.5}}))
    assert told["told_min"] == 0.75
    assert gathering._told(Value(3.0, 2))["told_min"] is None
    assert gathering._told(Value(float("nan"), 2))["value"] is None


def test_what_is_registered_decides_what_is_looked_at(plan: Callable[..., Any]) -> None:
    assert choice_of(plan(baseline=2, use=["complete", "recovered"])) == Choice(
        use=("complete", "recovered"), first=2, last=6,
        also=("evoked_fatigue", "mvc_force", "spasms_at_rest", "symmetry"),
    )  # fmt: skip
    choice = choice_of(plan(labels="corrected", doubtful="use", protocol="grip"))
    assert (choice.corrected, choice.doubtful, choice.protocol) == (True, True, "grip")


@pytest.mark.parametrize("changed", ["recorded", "written", "reviewed", "corrected", "also", "code"])
def test_values_are_kept_until_something_that_they_hang_on_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    measured: list[bool] = []

    def measure(attempt: Path, also: list[str], *, corrected: bool) -> dict[str, Any]:
        measured.append(corrected)
        return {"problem": "", "n": len(measured)}

    monkeypatch.setattr(gathering, "_measure", measure)
    item: dict[str, Any] = {"attempt": str(tmp_path / "study" / ATTEMPT), "also": [], "corrected": False,
                            "recorded": "a", "written": "b", "reviewed": "c"}  # fmt: skip
    assert [session_values(item)["n"] for _ in range(2)] == [1, 1]
    if changed == "code":
        monkeypatch.setattr(gathering, "code_sha256", lambda: "other code")
    else:
        item[changed] = {"corrected": True, "also": ["doms"]}.get(changed, "changed")
    assert session_values(item)["n"] == 2


def test_the_code_of_a_cohort_is_the_whole_package(planted: Made) -> None:
    assert make_cohort(planted.study, planted.analysis).code_sha256 == code_sha256()


@pytest.fixture
def study(planted: Made, tmp_path: Path) -> Path:
    """One session of the planted study."""
    shutil.copytree(planted.study / ATTEMPT, tmp_path / "study" / ATTEMPT)
    return tmp_path / "study"


def test_what_somebody_wrote_down_or_reviewed_changes_what_numbers_are_made_from(study: Path) -> None:
    told = row()
    before = made_from(study, told)
    record_path(study, "P001", "diary").parent.mkdir(parents=True)
    record_path(study, "P001", "diary").write_text("an entry\n")
    written = made_from(study, told)
    (study / ATTEMPT / "review.jsonl").write_text("an act\n")
    reviewed = made_from(study, told)
    assert [name for name in before if before[name] != written[name]] == ["written"]
    assert [name for name in before if written[name] != reviewed[name]] == ["reviewed"]


def test_a_diary_reaches_an_outcome_that_the_protocol_does_not_name(study: Path) -> None:
    (asked,) = [each for each in gather(study, Choice(also=("doms",))).rows if each.used]
    assert asked.outcomes["doms"].value is None
    at = datetime(2026, 3, 3, 8, 0, tzinfo=UTC)
    prompt = Prompt("the day after", "doms", 1, at, at, at)
    diary = record_path(study, "P001", "diary")
    diary.parent.mkdir(parents=True)
    ChainedLog(diary).append(entry_line(at=at, form="doms", prompt=prompt, who="P001", values={"soreness": 4}))
    (told,) = [each for each in gather(study, Choice(also=("doms",))).rows if each.used]
    assert told.outcomes["doms"].value == 4.0
    assert (told.head == asked.head, told.made_from == asked.made_from) == (True, False)
    diary.write_text(diary.read_text().replace('"soreness":4', '"soreness":9'))
    found = gather(study, Choice(also=("doms",)))
    (spoiled,) = [each for each in found.rows if each.used]
    assert spoiled.outcomes["doms"].value is None
    assert "the diary cannot be believed" in found.problems[-1]


def test_a_review_that_cannot_be_believed_leaves_no_spasm_and_every_other_value(study: Path) -> None:
    session = load(study / ATTEMPT)
    # Of what another version of the detector found.
    ChainedLog(study / ATTEMPT / "review.jsonl").append({"act": "confirm", "detections_sha256": "0" * 64})
    _, told, note = gathering.measured_of(session, ("spasm_count", "mvc_force"), corrected=True)
    assert "spasm_count" in OF_LABELS
    assert told["spasm_count"].value is None
    assert "the review cannot be believed" in told["spasm_count"].why
    assert "the review cannot be believed" in note
    assert told["mvc_force"].value is not None


def test_corrected_labels_are_those_of_a_person_or_none(study: Path) -> None:
    session = load(study / ATTEMPT)
    measured, told, note = gathering.measured_of(session, ("spasm_count",), corrected=True)
    assert measured.labels == CORRECTED
    assert (told["spasm_count"].value, note) == (None, "")
    assert any(why in told["spasm_count"].why for why in ("nobody has reviewed", "are not judged yet"))
    _, detected, _ = gathering.measured_of(session, ("spasm_count",), corrected=False)
    assert detected["spasm_count"].value is not None


def test_the_head_of_a_report_tells_protocol_doubts_and_labels(cohort: Callable[..., Any], planted: Made) -> None:
    found = make_cohort(planted.study, planted.analysis)
    told = dict(header(found))
    assert told["Protocol"].startswith("planted_cohort 1.0.0 (")
    assert told["Doubtful values"] == "4, used all the same, as the analysis file has it"
    assert told["Spasms"] == "as the detector found them"
    table = doubtful(found)
    assert table is not None
    assert {row[2:] for row in table.rows} == {("mvc_force", "1 whole contractions, needed are 3", "used")}
    assert doubtful(cohort()) is None


def test_without_an_analysis_file_no_value_is_used_that_its_outcome_does_not_believe(planted: Made) -> None:
    found = make_cohort(planted.study)
    line = found.result.lines[0]
    assert (line.outcome, line.estimate.value) == ("mvc_force", None)
    assert len(found.gathered.doubts) == 4
    assert all(each.endswith("; left out") for each in found.gathered.doubts)


def test_statuses_that_are_none_are_refused() -> None:
    from myoloop.experiments.analysis.statuses import statuses

    assert statuses("complete, recovered,complete") == ("complete", "recovered")
    assert statuses("") == ()
    with pytest.raises(UserError, match=r"--use: found whole, allowed are complete"):
        statuses("complete,whole")


def test_kept_values_are_plain(study: Path) -> None:
    gather(study, Choice())
    (kept,) = (study / "derivatives/cohort/kept").rglob("*.json")
    told = json.loads(kept.read_text())["values"]["outcomes"]["mvc_force"]
    assert set(told) == {"value", "n", "why", "doubt", "told_min", "unit"}


def test_newton_and_newton_metre_are_not_put_together(numbers: Any) -> None:
    gathered, _ = numbers()
    assert one_unit(gathered.rows) == (gathered.rows, ())
    assert gathered.unit("mvc_force") == "N"
    first = gathered.rows[0]
    strongest = replace(first.outcomes["mvc_force"], unit="Nm")
    rows, problems = one_unit([replace(first, outcomes={**first.outcomes, "mvc_force": strongest}), *gathered.rows[1:]])
    assert problems == ("mvc_force was measured in N and Nm, which cannot be put together",)
    assert {row.outcomes["mvc_force"].value for row in rows} == {None}
    assert {row.outcomes["mvc_force"].why for row in rows} == set(problems)
    assert all(
        row.outcomes["symmetry"] == old.outcomes["symmetry"] for row, old in zip(rows, gathered.rows, strict=True)
    )
    in_nm = [replace(row, outcomes={"mvc_force": strongest}) for row in gathered.rows]
    assert replace(gathered, rows=tuple(in_nm)).unit("mvc_force") == "Nm"
