"""Adverse events: an open one blocks its site, and nothing of them is ever overwritten."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from myoloop.experiments.studies.adverse import (
    AdverseError,
    blocked_sites,
    correction_line,
    event_line,
    follow_up_line,
    open_events,
    read_events,
    resolution_line,
)
from myoloop.experiments.studies.chained import ChainedLog, read_chained

NOW = datetime(2026, 11, 2, 10, 0, tzinfo=UTC)
BURN = {
    "at": NOW,
    "who": "B. Lang",
    "what": "redness under the pad",
    "site": "ext",
    "grade": 1,
    "relatedness": "probable",
    "serious": False,
    "session": 5,
}
SAID = {"at": NOW, "who": "C. Roth", "why": "seen again, skin as before"}


@pytest.fixture
def log(tmp_path) -> ChainedLog:
    """One open event at the site ``ext``."""
    made = ChainedLog(tmp_path / "adverse_events.jsonl")
    made.append(event_line(**BURN))
    return made


def first(log: ChainedLog):
    return read_events(read_chained(log.path))[0]


def test_an_open_event_blocks_its_site_and_no_other(log) -> None:
    blocked = blocked_sites(read_chained(log.path))
    assert blocked.at("ext") == (1,)
    assert blocked.at("flex") == ()


def test_an_event_of_the_whole_person_blocks_every_site(log) -> None:
    log.append(event_line(**{**BURN, "site": "", "what": "dizziness"}))
    blocked = blocked_sites(read_chained(log.path))
    assert blocked.at("flex") == (2,)
    assert blocked.at("ext") == (2, 1)


def test_follow_up_keeps_it_open_and_resolution_frees_the_site(log) -> None:
    log.append(follow_up_line(first(log), outcome="recovering", **SAID))
    assert first(log).open
    assert blocked_sites(read_chained(log.path)).at("ext") == (1,)
    log.append(resolution_line(first(log), **SAID))
    event = first(log)
    assert (event.outcome, event.open) == ("recovered", False)
    assert [(note.kind, note.who) for note in event.notes] == [("follow_up", "C. Roth"), ("resolution", "C. Roth")]
    assert open_events(read_chained(log.path)) == ()
    assert blocked_sites(read_chained(log.path)).at("ext") == ()


def test_a_correction_is_a_line_of_its_own(log) -> None:
    log.append(correction_line(first(log), fields={"site": "flex", "grade": 2}, **SAID))
    rows = read_chained(log.path)
    assert (rows[0]["site"], rows[0]["grade"]) == ("ext", 1)
    assert (first(log).site, first(log).grade, first(log).what) == ("flex", 2, "redness under the pad")
    assert blocked_sites(rows).at("flex") == (1,)
    assert blocked_sites(rows).at("ext") == ()


def test_a_fatal_event_is_never_resolved(log) -> None:
    log.append(correction_line(first(log), fields={"grade": 5}, **SAID))
    assert first(log).outcome == "fatal"
    with pytest.raises(AdverseError, match="was fatal"):
        resolution_line(first(log), **SAID)
    log.append(correction_line(first(log), fields={"grade": 4}, **SAID))
    assert first(log).outcome == "open"


def test_what_is_over_is_not_ended_or_followed_up_again_but_may_be_corrected(log) -> None:
    log.append(resolution_line(first(log), outcome="recovered_with_sequelae", **SAID))
    for again in (resolution_line, follow_up_line):
        with pytest.raises(AdverseError, match="over already: recovered_with_sequelae"):
            again(first(log), **SAID)
    log.append(correction_line(first(log), fields={"relatedness": "not_related"}, **SAID))
    assert first(log).relatedness == "not_related"
    assert not first(log).open


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"who": ""}, "who reports it"),
        ({"what": " "}, "what happened"),
        ({"grade": 6}, "grade: found 6, allowed: 1 mild"),
        ({"grade": True}, "grade: found True"),
        ({"relatedness": "maybe"}, "allowed: not_related, possible, probable, causal, unknown"),
        ({"serious": "no"}, "serious: found 'no'"),
        ({"site": None}, "site: found None"),
    ],
)
def test_reports_that_cannot_be_are_refused(wrong, said) -> None:
    with pytest.raises(AdverseError, match=said):
        event_line(**{**BURN, **wrong})


@pytest.mark.parametrize("wrong", [{"who": ""}, {"why": "  "}])
def test_who_and_why_are_needed_to_end_or_correct(log, wrong) -> None:
    event = first(log)
    with pytest.raises(AdverseError, match="needs who writes it, and why"):
        resolution_line(event, **{**SAID, **wrong})
    with pytest.raises(AdverseError, match="needs who writes it, and why"):
        correction_line(event, fields={"grade": 2}, **{**SAID, **wrong})


def test_only_what_was_reported_can_be_corrected(log) -> None:
    for fields in ({"outcome": "recovered"}, {"number": 2}, {}):
        with pytest.raises(AdverseError, match="allowed: what, site, grade"):
            correction_line(first(log), fields=fields, **SAID)
    with pytest.raises(AdverseError, match="grade: found 9"):
        correction_line(first(log), fields={"grade": 9}, **SAID)
    with pytest.raises(AdverseError, match="ended by a resolution"):
        follow_up_line(first(log), outcome="recovered", **SAID)
    with pytest.raises(AdverseError, match="is no end"):
        resolution_line(first(log), outcome="recovering", **SAID)


@pytest.mark.parametrize(
    "line",
    [
        {"kind": "resolution", "event": 9, "outcome": "recovered", "who": "x", "why": "y"},
        {"kind": "event", "who": "x", "what": "y", "site": "ext", "session": 1},
        {"kind": "event", **{k: v for k, v in BURN.items() if k != "at"}, "grade": 0},
        {"kind": "deletion", "event": 1, "who": "x", "why": "y"},
    ],
)
def test_a_log_that_cannot_be_understood_frees_no_site(log, line) -> None:
    log.append({"wall_utc": "2026-11-02T10:00:00Z", **line})
    with pytest.raises(AdverseError, match="entry 2: cannot be understood"):
        blocked_sites(read_chained(log.path))
