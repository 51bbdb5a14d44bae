"""Adverse events: an open one blocks its site, and nothing of them is ever overwritten."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from myoloop.experiments.screening.history import history_of
from myoloop.experiments.screening.places import PlannedSite
from myoloop.experiments.studies.adverse import (
    AdverseError,
    blocked_sites,
    days_open,
    history_entries,
    later_line,
    open_events,
    read_events,
    report_line,
)
from myoloop.experiments.studies.chained import ChainedLog, read_chained

NOW = datetime(2026, 11, 2, 10, 0, tzinfo=UTC)
FORM = {
    "kind": "skin_reaction",
    "what": "redness under the pad",
    "place": "left_arm",
    "site": "ext",
    "began": "2026-11-01",
    "grade": "mild",
    "ctcae": 1,
    "serious": "no",
    "related": "probable",
    "device_related": "yes",
    "action": ["stopped"],
    "resolved": "no",
    "follow_up_on": "2026-11-03",
}
SAID = {"at": NOW, "who": "C. Roth", "why": "seen again, skin as before"}
SITES = (PlannedSite("ext", "arm", "left"), PlannedSite("quad", "leg", "left"))


@pytest.fixture
def log(tmp_path) -> ChainedLog:
    """One open event at the site ``ext``."""
    made = ChainedLog(tmp_path / "adverse_events.jsonl")
    made.append(report_line(FORM, at=NOW, who="B. Lang", session=5))
    return made


def first(log: ChainedLog):
    return read_events(read_chained(log.path))[0]


def blocked(log: ChainedLog) -> dict[str, tuple[int, ...]]:
    return blocked_sites(read_chained(log.path), SITES)


def test_an_open_event_blocks_its_site_and_no_other(log) -> None:
    assert blocked(log) == {"ext": (1,)}
    assert (first(log).session, first(log).who, days_open(first(log), date(2026, 11, 8))) == (5, "B. Lang", 7)


def test_an_event_of_the_whole_person_blocks_every_site(log) -> None:
    whole = {**FORM, "site": "none", "place": "whole_body", "kind": "fainting", "what": "fainted"}
    log.append(report_line(whole, at=NOW, who="B. Lang", session=None))
    assert blocked(log) == {"ext": (1, 2), "quad": (2,)}


def test_follow_up_keeps_it_open_and_resolution_frees_the_site(log) -> None:
    log.append(later_line(first(log), "follow_up", {"follow_up_on": "2026-11-09"}, **SAID))
    assert first(log).open
    assert blocked(log) == {"ext": (1,)}
    log.append(later_line(first(log), "resolution", {}, **SAID))
    event = first(log)
    assert not event.open
    assert (event.values["resolved_on"], "follow_up_on" in event.values) == ("2026-11-02", False)
    assert [(note.kind, note.who) for note in event.notes] == [("follow_up", "C. Roth"), ("resolution", "C. Roth")]
    assert open_events(read_chained(log.path)) == ()
    assert blocked(log) == {}


def test_a_correction_is_a_line_of_its_own(log) -> None:
    log.append(later_line(first(log), "correction", {"site": "quad", "place": "left_leg"}, **SAID))
    rows = read_chained(log.path)
    assert rows[0]["values"]["site"] == "ext"
    assert (first(log).values["site"], first(log).values["what"]) == ("quad", "redness under the pad")
    assert blocked(log) == {"quad": (1,)}


def test_screening_is_given_each_event_as_it_holds_now(log) -> None:
    """A corrected place must not leave the wrong one closed for ever."""
    log.append(later_line(first(log), "correction", {"site": "quad", "place": "left_leg"}, **SAID))
    history = history_of(history_entries(read_chained(log.path)), sessions=5, devices=())
    assert [(event.place, event.site, event.resolved_on) for event in history.adverse_events] == [
        ("left_leg", "quad", None)
    ]
    log.append(later_line(first(log), "resolution", {}, **SAID))
    (event,) = history_of(history_entries(read_chained(log.path)), sessions=5, devices=()).adverse_events
    assert event.resolved_on == date(2026, 11, 2)


def test_a_fatal_event_is_never_over(log) -> None:
    log.append(later_line(first(log), "correction", {"grade": "severe", "ctcae": 5, "serious": "yes"}, **SAID))
    with pytest.raises(AdverseError, match="was fatal"):
        later_line(first(log), "resolution", {}, **SAID)
    with pytest.raises(AdverseError, match="never over"):
        later_line(first(log), "correction", {"resolved": "yes", "resolved_on": "2026-11-02"}, **SAID)
    assert blocked(log) == {"ext": (1,)}


def test_what_is_over_is_not_ended_or_followed_up_again_but_may_be_corrected(log) -> None:
    log.append(later_line(first(log), "resolution", {"resolved_on": "2026-11-01"}, **SAID))
    for again in ("resolution", "follow_up"):
        with pytest.raises(AdverseError, match="over already"):
            later_line(first(log), again, {}, **SAID)
    log.append(later_line(first(log), "correction", {"related": "unrelated"}, **SAID))
    assert first(log).values["related"] == "unrelated"
    assert not first(log).open


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"what": " "}, "what"),
        ({"grade": "awful"}, "allowed: mild, moderate, severe"),
        ({"ctcae": 6}, "ctcae"),
        ({"related": "maybe"}, "allowed: unrelated"),
        ({"began": "2026-12-24"}, "not in the future"),
    ],
)
def test_reports_with_a_mistake_are_refused(wrong, said) -> None:
    with pytest.raises(AdverseError, match=said):
        report_line({**FORM, **wrong}, at=NOW, who="B. Lang", session=5)


def test_who_and_why_are_needed(log) -> None:
    with pytest.raises(AdverseError, match="name of who"):
        report_line(FORM, at=NOW, who=" ", session=5)
    for kind in ("follow_up", "correction", "resolution"):
        with pytest.raises(AdverseError, match="name of who"):
            later_line(first(log), kind, {}, **{**SAID, "who": ""})
        with pytest.raises(AdverseError, match="needs a reason"):
            later_line(first(log), kind, {}, **{**SAID, "why": "  "})


def test_a_follow_up_ends_nothing_and_a_correction_keeps_the_form_whole(log) -> None:
    with pytest.raises(AdverseError, match="ended by a resolution"):
        later_line(first(log), "follow_up", {"resolved": "yes"}, **SAID)
    with pytest.raises(AdverseError, match="ctcae"):
        later_line(first(log), "correction", {"ctcae": 4}, **SAID)


@pytest.mark.parametrize(
    "line",
    [
        {"kind": "resolution", "event": 9, "who": "x", "why": "y", "values": FORM},
        {"kind": "report", "who": "x", "session": 1},
        {"kind": "report", "who": "x", "session": 1, "values": {**FORM, "ctcae": 0}},
        {"kind": "report", "who": "x", "session": 1, "values": "none"},
        {"kind": "deletion", "event": 1, "who": "x", "why": "y", "values": FORM},
    ],
)
def test_a_log_that_cannot_be_understood_frees_no_site(log, line) -> None:
    log.append({"wall_utc": "2026-11-02T10:00:00.000Z", **line})
    with pytest.raises(AdverseError, match="entry 2: "):
        blocked(log)
