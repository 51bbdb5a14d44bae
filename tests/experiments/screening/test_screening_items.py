"""The table of items is whole and strict, and an override counts only where its item allows it."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from myoloop.experiments.screening.forms import FORMS, form_of
from myoloop.experiments.screening.gate import ONCE_A_SESSION, PER_SITE
from myoloop.experiments.screening.item import ROLES, Item, Override
from myoloop.experiments.screening.items import ITEMS, item_of, items_of

TODAY = date(2026, 11, 21)
OVERRIDABLE = [item for item in ITEMS if item.kind == "override"]


def _override(item: Item, **changed: object) -> Override:
    given = {
        "item": item.id,
        "name": "Dr A. Brandt",
        "role": item.override_by[0] if item.override_by else "physician",
        "reason": "known for years, stable",
        "given": TODAY,
        "sites": ("ext",),
        **changed,
    }
    return Override(**given)  # type: ignore[arg-type]


def test_every_row_that_screening_must_cover_has_an_item() -> None:
    rows = {row for item in ITEMS for row in item.rows}
    assert rows >= {12, 18, 19, 20, *range(25, 39), 40, 42, 43}


def test_every_extra_item_beyond_the_rows_has_its_source() -> None:
    marks = {source for item in ITEMS for source in item.sources}
    assert marks >= {"P48", "P47b", "P38a", "P47c", "P47d", "P47e", "P28"}


def test_ids_are_unique() -> None:
    assert len({item.id for item in ITEMS}) == len(ITEMS)


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: item.id)
def test_an_item_that_is_asked_is_a_question_of_its_form_and_one_that_is_found_is_of_none(item: Item) -> None:
    if item.answer == "found":
        assert item.form == ""
        return
    form, _ = form_of(f"{item.form}.x" if FORMS[item.form].per else item.form)
    field = form.field(item.id)
    assert field.question == item.text
    assert not field.optional
    assert field.asked_if is None
    assert item.form in (*ONCE_A_SESSION, *PER_SITE)
    assert (item.scope == "site") == (form.per == "site")


def test_health_is_never_asked_without_leaving_room_for_doubt() -> None:
    for form in ("contraindications", "medication"):
        assert all(item.answer in ("yes_no_unsure", "place") for item in items_of(form))


@pytest.mark.parametrize(
    ("item_id", "kind", "scope", "never"),
    [
        ("wound", "absolute", "site", None),
        ("infection", "absolute", "site", None),
        ("pregnancy", "override", "all", "trunk"),
        ("implanted_electronics", "override", "all", "thorax"),
        ("epilepsy", "override", "all", None),
        ("cancer_place", "absolute", "places", None),
        ("thrombosis", "absolute", "places", None),
        ("open_adverse_event", "absolute", "site", None),
    ],
)
def test_the_strictest_source_wins(item_id: str, kind: str, scope: str, never: str | None) -> None:
    item = item_of(item_id)
    assert (item.kind, item.scope, item.never) == (kind, scope, never)


def test_electronics_in_the_body_are_a_named_cardiologists_to_override_and_nobody_elses() -> None:
    assert item_of("implanted_electronics").override_by == ("cardiologist",)


@pytest.mark.parametrize("item", OVERRIDABLE, ids=lambda item: item.id)
def test_an_override_with_all_that_is_asked_counts_on_its_first_and_last_day(item: Item) -> None:
    assert _override(item).problem(item, TODAY) == ""
    assert _override(item, given=TODAY - timedelta(days=item.valid_days)).problem(item, TODAY) == ""


@pytest.mark.parametrize("item", OVERRIDABLE, ids=lambda item: item.id)
def test_an_override_without_name_role_reason_or_date_in_force_does_not_count(item: Item) -> None:
    assert "name" in _override(item, name=" ").problem(item, TODAY)
    assert "reason" in _override(item, reason="").problem(item, TODAY)
    for role in {*ROLES, "operator", ""} - set(item.override_by):
        assert "may not override" in _override(item, role=role).problem(item, TODAY)
    assert "not yet" in _override(item, given=TODAY + timedelta(days=1)).problem(item, TODAY)
    late = TODAY - timedelta(days=item.valid_days + 1)
    assert f"counted for {item.valid_days} days" in _override(item, given=late).problem(item, TODAY)


@pytest.mark.parametrize("item", [item for item in ITEMS if item.kind != "override"], ids=lambda item: item.id)
def test_no_other_item_can_be_overridden_by_anybody(item: Item) -> None:
    for role in ROLES:
        assert _override(item, role=role).problem(item, TODAY) == "nobody may override this"


def test_an_override_for_one_item_is_none_for_another() -> None:
    assert "is for cancer" in _override(item_of("cancer")).problem(item_of("epilepsy"), TODAY)


def test_electronics_need_an_override_that_names_the_sites() -> None:
    item = item_of("implanted_electronics")
    assert "name each site" in _override(item, sites=("all",)).problem(item, TODAY)


@pytest.mark.parametrize(
    "changed",
    [
        {"kind": "override"},
        {"override_by": ("physician",)},
        {"never": "trunk"},
        {"kind": "override", "override_by": ("operator",)},
        {"rows": ()},
    ],
)
def test_an_item_that_contradicts_itself_cannot_be_made(changed: dict[str, object]) -> None:
    given: dict[str, object] = {"id": "x", "form": "skin", "text": "?", "kind": "absolute", "rows": (1,), **changed}
    with pytest.raises(ValueError, match=r"^x: "):
        Item(**given)  # type: ignore[arg-type]


def test_an_item_that_is_not_there_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        item_of("hangnail")
