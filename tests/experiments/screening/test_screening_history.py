"""A history is made of what was written down; half of one is none."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

import msgspec
import pytest

from myoloop.experiments.screening.adverse import SkinAfter, event_due, is_marked
from myoloop.experiments.screening.clear import clear_history
from myoloop.experiments.screening.equipment import Device, PadUse
from myoloop.experiments.screening.history import History, HistoryError, history_of
from myoloop.platform.errors import UserError

WALL = "2026-11-20T10:00:00+00:00"
DEVICE = Device(
    "S-7", "bench stimulator", "IEC 60601-2-10", date(2027, 1, 1), datetime(2026, 11, 20, 8, tzinfo=UTC), True
)


def _entry(form_id: str, **values: Any) -> dict[str, Any]:
    return {"form": form_id, "wall": WALL, "values": values}


def _event(name: str = "1", **changed: Any) -> dict[str, Any]:
    values = {
        "kind": "burn", "what": "red spot", "place": "left_arm", "site": "ext", "began": "2026-11-18", "grade": "mild",
        "ctcae": 1, "serious": "no", "related": "probable", "device_related": "yes", "action": ["stopped"],
        "resolved": "no", "follow_up_on": "2026-11-21", **changed,
    }  # fmt: skip
    return _entry(f"adverse_event.{name}", **values)


def _pads(lot: str, uses: int, uses_max: int = 20, expires_on: str = "2027-01-01", site: str = "ext") -> dict[str, Any]:
    return _entry(
        f"pads.{site}",
        pads_sound="yes",
        lot=lot,
        material="hydrogel",
        uses=uses,
        uses_max=uses_max,
        expires_on=expires_on,
    )


def test_nothing_written_is_nothing_known() -> None:
    history = history_of([], 0, [DEVICE])
    assert (history.sessions, history.devices) == (0, (DEVICE,))
    assert history.patch_tests == history.adverse_events == history.skin_after == history.pads == ()


def test_a_follow_up_replaces_what_was_written_of_its_event() -> None:
    (event,) = history_of([_event(), _event(resolved="yes", resolved_on="2026-11-20")], 1, []).adverse_events
    assert event.resolved_on == date(2026, 11, 20)
    assert not event.is_open(date(2026, 11, 20))
    assert event.is_open(date(2026, 11, 19))
    (event,) = history_of([_event(resolved="yes", resolved_on="2026-11-20"), _event()], 1, []).adverse_events
    assert event.resolved_on is None


@pytest.mark.parametrize("changed", [{"began": "2026-11-19"}, {"place": "right_arm"}, {"kind": "pain"}])
def test_another_event_under_the_same_name_does_not_hide_the_first(changed: dict[str, Any]) -> None:
    later = _event(resolved="yes", resolved_on="2026-11-20", **changed)
    events = history_of([_event(), later], 1, []).adverse_events
    assert [event.resolved_on is None for event in events] == [True, False]


def test_readings_find_their_patch() -> None:
    started = "2026-11-17T09:00:00+00:00"
    history = history_of(
        [
            _entry("patch_test.gel", material="Hydrogel  A", place="left_arm", started_at=started),
            _entry(
                "patch_reading.gel",
                material="hydrogel a",
                started_at="2026-11-17T10:00:00+01:00",
                read_at="2026-11-19T09:30:00+00:00",
                result="negative",
            ),
        ],
        0,
        [],
    )
    (test,) = history.patch_tests
    assert [reading.result for reading in test.readings] == ["negative"]
    assert test.due_at == datetime(2026, 11, 19, 9, tzinfo=UTC)


def test_a_reading_without_its_patch_is_refused() -> None:
    reading = _entry(
        "patch_reading.gel",
        material="hydrogel",
        started_at="2026-11-17T09:00:00+00:00",
        read_at="2026-11-19T09:30:00+00:00",
        result="negative",
    )
    with pytest.raises(HistoryError, match="no such patch test"):
        history_of([reading], 0, [])


def test_pads_wear_with_each_session_and_their_limits_only_narrow() -> None:
    entries = [
        _pads("L1", 0),
        _pads("l1 ", 0, 30, "2028-01-01"),
        _pads("L1", 9, 12, "2026-12-01"),
        _pads("L1", 0, 50),
        _pads("L2", 3),
    ]
    assert history_of(entries, 4, []).pads == (
        PadUse("L1", "ext", 11, 12, date(2026, 12, 1)),
        PadUse("L2", "ext", 4, 20, date(2027, 1, 1)),
    )


def test_skin_is_kept_by_day_and_site() -> None:
    clear = _entry("skin_after.ext", redness="mild", blister="no", burn="no", hurts="no")
    marked = _entry("skin_after.quad", redness="moderate", blister="no", burn="no", hurts="no")
    assert history_of([clear, marked], 1, []).skin_after == (
        SkinAfter("ext", date(2026, 11, 20), False),
        SkinAfter("quad", date(2026, 11, 20), True),
    )


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({**_event(), "values": {"kind": "burn"}}, "adverse_event.1: what: not answered"),
        ({**_event(), "values": None}, "adverse_event.1: found no map of answers"),
        ({**_event(), "wall": "2026-11-20"}, "wall: found '2026-11-20'"),
        ({**_event(), "form": "adverse_event"}, "one for each event"),
        ({**_pads("L1", 0), "form": "pads.../x"}, "one for each site"),
    ],
)
def test_a_record_that_cannot_be_read_gives_no_history(entry: dict[str, Any], says: str) -> None:
    with pytest.raises(HistoryError) as caught:
        history_of([_event(), entry], 1, [])
    assert str(caught.value).startswith("entry 2: ")
    assert says in str(caught.value)
    assert isinstance(caught.value, UserError)


def test_a_history_survives_as_plain_data() -> None:
    """The director is given it in its settings."""
    entries = [
        _event(resolved="yes", resolved_on="2026-11-20"),
        _entry("skin_after.ext", redness="mild", blister="no", burn="no", hurts="no"),
        _entry("patch_test.gel", material="gel", place="left_arm", started_at="2026-11-17T09:00:00+00:00"),
        _pads("L1", 0),
    ]
    history = history_of(entries, 2, [DEVICE])
    told = json.loads(json.dumps(msgspec.to_builtins(history)))
    assert msgspec.convert(told, History) == history


def test_forms_that_screening_does_not_need_are_passed_over() -> None:
    assert history_of([_entry("nrs", current=99), {"form": "dose", "t": 1}, {}], 2, []).sessions == 2


@pytest.mark.parametrize("rig_class", ["HUMAN", ""])
def test_a_person_has_no_history_made_up(rig_class: str) -> None:
    with pytest.raises(ValueError, match="people answer for themselves"):
        clear_history(rig_class, datetime(2026, 11, 21, tzinfo=UTC))


@pytest.mark.parametrize(
    ("form_id", "values", "why"),
    [
        ("skin_after.ext", {"redness": "mild", "blister": "no", "burn": "no", "hurts": "no"}, ""),
        ("skin_after.ext", {"redness": "severe", "blister": "no", "burn": "no", "hurts": "no"}, "the skin at ext"),
        ("skin_after.ext", {"redness": "none", "blister": "no", "burn": "yes", "hurts": "no"}, "the skin at ext"),
        ("doms", {"after_h": 24, "soreness": 8, "dark_urine": "unsure", "much_swelling": "no"}, "dark urine"),
        ("doms", {"after_h": 24, "soreness": 8, "dark_urine": "no", "much_swelling": "yes"}, "a hard, swollen"),
        ("doms", {"after_h": 24, "soreness": 8, "dark_urine": "no", "much_swelling": "no"}, ""),
        ("follow_up", {"flared": "yes", "new_complaint": "no"}, "flared"),
        ("follow_up", {"flared": "no", "new_complaint": "unsure"}, "new complaint"),
        ("incident.1", {"harm": "unsure"}, "harmed"),
        ("nrs", {"current": 10}, ""),
    ],
)
def test_what_asks_for_an_adverse_event_says_so(form_id: str, values: dict[str, Any], why: str) -> None:
    found = event_due(form_id, values)
    assert why in found
    assert bool(found) == bool(why)


@pytest.mark.parametrize("missing", ["redness", "blister", "burn", "hurts"])
def test_skin_that_was_not_looked_at_whole_counts_as_marked(missing: str) -> None:
    values = {"redness": "none", "blister": "no", "burn": "no", "hurts": "no"}
    assert not is_marked(values)
    del values[missing]
    assert is_marked(values)
