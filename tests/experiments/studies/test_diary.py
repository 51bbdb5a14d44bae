"""Prompts, entries, what was never written, and what else may explain an effect."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from myoloop.experiments.studies.chained import ChainedLog, read_chained
from myoloop.experiments.studies.diary import (
    DiaryError,
    DiaryPrompt,
    Entry,
    answers,
    asked,
    confounders,
    entry_line,
    followup_prompts,
    read_diary,
    session_prompts,
    standing_entries,
)

END = datetime(2026, 11, 2, 11, 0, tzinfo=UTC)
HOUR_S = 3600.0
PLAN = (
    DiaryPrompt(form="nrs", after_s=HOUR_S, window_s=HOUR_S),
    DiaryPrompt(form="doms", after_s=24 * HOUR_S, window_s=12 * HOUR_S),
    DiaryPrompt(form="doms", after_s=48 * HOUR_S, window_s=12 * HOUR_S),
)


def after(hours: float) -> datetime:
    return END + timedelta(hours=hours)


def written(n: int, hours: float, prompt: str, form: str = "doms", **more) -> Entry:
    session, name = (int(prompt[4:6]), prompt[7:]) if prompt else (None, "")
    return Entry(n, after(hours), form, session, name, "P017", more or {"nrs": 3})


def states(entries, hours: float) -> list[str]:
    return [each.state for each in asked(session_prompts(PLAN, [(1, END)]), entries, after(hours))]


def test_each_session_asks_at_its_own_times() -> None:
    prompts = session_prompts(PLAN, [(1, END), (2, after(72))])
    assert [each.key for each in prompts][:3] == ["ses-01 nrs 1 h", "ses-01 doms 24 h", "ses-01 doms 48 h"]
    assert (prompts[4].session, prompts[4].opens, prompts[4].closes) == (2, after(96), after(108))


def test_follow_ups_are_asked_weeks_after_the_end() -> None:
    prompts = followup_prompts("follow_up", (4 * 604800.0, 12 * 604800.0), 7 * 86400.0, END)
    assert [each.key for each in prompts] == ["follow_up 4 wk", "follow_up 12 wk"]
    assert prompts[0].opens == END + timedelta(weeks=4)
    assert prompts[0].session is None


@pytest.mark.parametrize(
    ("hours", "expected"),
    [
        (0.5, ["waiting", "waiting", "waiting"]),
        (1.0, ["due", "waiting", "waiting"]),
        (2.0, ["due", "waiting", "waiting"]),
        (2.1, ["missed", "waiting", "waiting"]),
        (24.0, ["missed", "due", "waiting"]),
        (61.0, ["missed", "missed", "missed"]),
    ],
)
def test_a_prompt_waits_is_due_and_is_missed(hours, expected) -> None:
    assert states([], hours) == expected


def test_an_answer_in_its_window_counts_one_after_it_is_late_one_before_it_is_none() -> None:
    key = "ses-01 doms 24 h"
    assert states([written(1, 30, key)], 70)[1] == "answered"
    assert states([written(1, 40, key)], 70)[1] == "late"
    assert states([written(1, 20, key)], 70)[1] == "missed"
    # What is written later than the moment asked about is not known then.
    assert states([written(1, 30, key)], 25)[1] == "due"


def test_an_entry_answers_the_oldest_open_prompt_of_its_form_else_the_newest_missed() -> None:
    prompts = session_prompts(PLAN, [(1, END), (2, after(23))])

    def key(entries, form: str, hours: float) -> str | None:
        found = answers(prompts, entries, form, after(hours))
        return found.key if found else None

    # Both the first session's second day and the second session's first are open after 48 hours.
    assert key([], "doms", 48) == "ses-02 doms 24 h"
    first = [written(1, 48, "ses-02 doms 24 h")]
    assert key(first, "doms", 49) == "ses-01 doms 48 h"
    assert key([], "nrs", 90) == "ses-02 nrs 1 h"
    assert key([], "pgic", 90) is None
    assert key([], "doms", 1) is None


def test_a_correction_holds_and_nothing_is_overwritten(tmp_path) -> None:
    log = ChainedLog(tmp_path / "diary.jsonl")
    (_, prompt, _) = session_prompts(PLAN, [(1, END)])
    log.append(entry_line(at=after(30), form="doms", prompt=prompt, who="P017", values={"nrs": 8}))
    (first,) = read_diary(read_chained(log.path))
    log.append(
        entry_line(
            at=after(40), form="doms", prompt=None, who="B. Lang", values={"nrs": 3}, corrects=first, why="misread"
        )
    )
    entries = read_diary(read_chained(log.path))
    assert [(each.values["nrs"], each.key) for each in entries] == [(8, prompt.key), (3, prompt.key)]
    (holds,) = standing_entries(entries)
    assert (holds.values, holds.at, holds.who, holds.why) == ({"nrs": 3}, after(30), "B. Lang", "misread")
    assert states(entries, 70)[1] == "answered"


def test_a_correction_may_be_corrected() -> None:
    entries = [
        Entry(1, after(30), "doms", None, "", "P017", {"nrs": 8}),
        Entry(2, after(31), "doms", None, "", "P017", {"nrs": 7}, 1, "misread"),
        Entry(3, after(32), "doms", None, "", "P017", {"nrs": 6}, 2, "misread again"),
    ]
    assert [each.values for each in standing_entries(entries)] == [{"nrs": 6}]


def test_changes_of_medication_and_care_are_confounders() -> None:
    entries = [
        Entry(1, after(1), "medication", None, "", "P017", {"medication_changed": "yes", "change": "baclofen stopped"}),
        Entry(2, after(2), "doms", None, "", "P017", {"nrs": 1}),
        Entry(
            3,
            after(3),
            "concomitant_care",
            None,
            "",
            "P017",
            {"care_changed": "unsure", "change": "mirror therapy begun"},
        ),
        Entry(4, after(4), "medication", None, "", "P017", {"medication_changed": "no"}),
    ]
    assert [(each.kind, each.values["change"]) for each in confounders(entries)] == [
        ("medication", "baclofen stopped"),
        ("concomitant care", "mirror therapy begun"),
    ]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"values": {}}, "at least one value"),
        ({"form": ""}, "a form"),
        ({"who": " "}, "who wrote it"),
        ({"corrects": Entry(4, END, "nrs", None, "", "P017"), "why": "slip"}, "its form, nrs"),
        ({"corrects": Entry(4, END, "doms", None, "", "P017")}, "a reason"),
    ],
)
def test_entries_that_cannot_be_are_refused(wrong, said) -> None:
    entry = {"at": END, "form": "doms", "prompt": None, "who": "P017", "values": {"nrs": 1}}
    with pytest.raises(DiaryError, match=said):
        entry_line(**{**entry, **wrong})


def test_a_diary_that_cannot_be_understood_is_named() -> None:
    with pytest.raises(DiaryError, match="entry 7: not an entry"):
        read_diary([{"kind": "entry", "n": 7, "wall_utc": "yesterday"}])


@pytest.mark.parametrize("wrong", [{"form": ""}, {"after_s": -1.0}, {"window_s": 0.0}, {"window_s": float("nan")}])
def test_prompts_that_cannot_be_are_refused(wrong) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        DiaryPrompt(**{"form": "doms", "after_s": 1.0, "window_s": 1.0, **wrong})
