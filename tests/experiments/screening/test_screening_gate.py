"""The gate: closed until all is answered, strict where sources disagree, opened only by who may."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.experiments.screening.adverse import AdverseEvent, SkinAfter
from myoloop.experiments.screening.clear import LOT, MATERIAL, SERIAL, clear_answers, clear_history
from myoloop.experiments.screening.equipment import SELF_TEST_H, PadUse
from myoloop.experiments.screening.forms import check_form, form_of
from myoloop.experiments.screening.gate import CLEARANCE_DAYS, Screened, evaluate, required_forms
from myoloop.experiments.screening.history import History
from myoloop.experiments.screening.item import NOWHERE, UNSURE, Item
from myoloop.experiments.screening.items import ITEMS, item_of
from myoloop.experiments.screening.patch_test import READ_AFTER_H, PatchReading, PatchTest
from myoloop.experiments.screening.places import PLACES, PlannedSite, sites_within

NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
TODAY = NOW.date()
EXT = PlannedSite("ext", "arm", "left")
QUAD = PlannedSite("quad", "leg", "right")
LUMBAR = PlannedSite("lumbar", "lower_back", "both")
TRAPEZIUS = PlannedSite("trapezius", "upper_back", "both")
SITES = (EXT, QUAD, LUMBAR, TRAPEZIUS)
NAMES = tuple(site.name for site in SITES)

Answers = dict[str, dict[str, Any]]


@pytest.fixture
def answers() -> Answers:
    return _clear()


@pytest.fixture
def history() -> History:
    return clear_history("BENCH", NOW, sessions=3)


def _clear() -> Answers:
    return {form_id: clear_answers(form_id, "BENCH", NOW) for form_id in required_forms(SITES)}


def _positive(item: Item, *, place: str = "left_arm") -> Any:
    return [place] if item.answer == "place" else "no" if item.clear == "yes" else "yes"


def _override(item_id: str, **changed: Any) -> dict[str, Any]:
    return {
        "name": "Dr A. Brandt",
        "role": item_of(item_id).override_by[0],
        "reason": "well controlled for years",
        "given_on": TODAY.isoformat(),
        "sites": ["all"],
        **changed,
    }


def _closed(screened: Screened, item_id: str | None = None) -> set[str]:
    return {site for block in screened.blocked if item_id in (None, block.item) for site in block.sites}


def test_somebody_without_a_finding_may_be_stimulated_everywhere(answers: Answers, history: History) -> None:
    screened = evaluate(answers, history, SITES, NOW)
    assert screened == Screened(NAMES, (), (), ())
    assert screened.free_sites == NAMES


def test_the_result_is_plain_data(answers: Answers, history: History) -> None:
    answers["contraindications"]["epilepsy"] = "yes"
    answers["contraindications"]["cancer"] = "yes"
    answers["contraindications"]["flare"] = "yes"
    answers["override.epilepsy"] = _override("epilepsy")
    screened = evaluate(answers, history, SITES, NOW)
    told = json.loads(json.dumps(screened.to_json()))
    assert [block["item"] for block in told["blocked"]] == ["cancer"]
    assert told["blocked"][0]["override_by"] == ["oncologist"]
    assert [each["item"] for each in told["warnings"]] == ["flare"]
    assert [(each["item"], each["given_on"]) for each in told["overridden"]] == [("epilepsy", "2026-11-21")]
    assert told["free_sites"] == []


def test_nothing_answered_leaves_nothing_open(history: History) -> None:
    screened = evaluate({}, history, SITES, NOW)
    assert screened.free_sites == ()
    assert all(block.unanswered for block in screened.blocked)


@pytest.mark.parametrize("form_id", required_forms((EXT,)))
def test_each_answer_that_is_missing_or_malformed_closes_what_its_form_is_about(history: History, form_id: str) -> None:
    sites = (EXT, QUAD)
    concerned = {"ext"} if form_of(form_id)[1] else {"ext", "quad"}
    whole = {each: clear_answers(each, "SIM", NOW) for each in required_forms(sites)}
    for key in whole[form_id]:
        for broken in (None, "", "Yes", 7.5, []):
            answers = copy.deepcopy(whole)
            if broken is None:
                del answers[form_id][key]
            else:
                answers[form_id][key] = broken
            if form_of(form_id)[0].field(key).problem(answers[form_id].get(key)) == "":
                continue
            assert _closed(evaluate(answers, history, sites, NOW)) >= concerned, (key, broken)
    answers = {key: value for key, value in whole.items() if key != form_id}
    assert _closed(evaluate(answers, history, sites, NOW)) >= concerned


def test_a_missing_answer_cannot_be_overridden(answers: Answers, history: History) -> None:
    del answers["contraindications"]["epilepsy"]
    answers["override.epilepsy"] = _override("epilepsy")
    assert evaluate(answers, history, SITES, NOW).free_sites == ()


@pytest.mark.parametrize("item", [item for item in ITEMS if item.answer != "found"], ids=lambda item: item.id)
def test_every_item_that_is_asked_is_heeded(answers: Answers, history: History, item: Item) -> None:
    form_id = f"{item.form}.ext" if item.scope == "site" else item.form
    place = "trunk" if item.scope == "abdomen" else "left_arm"
    answers[form_id][item.id] = _positive(item, place=place)
    if item.id == "other_conditions":
        answers[form_id] |= {"comorbidities": ["diabetes"], "comorbidity": "type 2, insulin"}
    if item.id in ("medication_changed", "care_changed"):
        answers[form_id] |= {"change" if item.form == "medication" else "detail": "gabapentin since Monday"}
    sites = (*SITES, PlannedSite("abs", "abdomen", "both"))
    answers |= {each: clear_answers(each, "SIM", NOW) for each in required_forms(sites) if each not in answers}
    screened = evaluate(answers, history, sites, NOW)
    if item.kind in ("precaution", "information"):
        assert item.id in {each.item for each in screened.warnings}
        assert screened.free_sites == (*NAMES, "abs")
    else:
        (block,) = (
            block for block in screened.blocked if block.item == item.id and block.override_by == item.override_by
        )
        assert not block.unanswered


@pytest.mark.parametrize("item_id", ["wound", "infection", "irritation", "irradiated"])
def test_a_finding_of_the_skin_closes_that_site_alone(answers: Answers, history: History, item_id: str) -> None:
    answers["skin.ext"][item_id] = "yes"
    screened = evaluate(answers, history, SITES, NOW)
    assert _closed(screened) == {"ext"}
    assert screened.free_sites == ("quad", "lumbar", "trapezius")


def test_being_unsure_counts_as_yes(answers: Answers, history: History) -> None:
    answers["contraindications"]["pregnancy"] = "unsure"
    answers["contraindications"]["thrombosis"] = [UNSURE]
    screened = evaluate(answers, history, SITES, NOW)
    assert _closed(screened, "pregnancy") == set(NAMES)
    assert _closed(screened, "thrombosis") == set(NAMES)


def test_pregnancy_closes_the_trunk_for_good_and_the_rest_but_for_an_override(
    answers: Answers, history: History
) -> None:
    answers["contraindications"]["pregnancy"] = "yes"
    assert _closed(evaluate(answers, history, SITES, NOW)) == set(NAMES)
    answers["override.pregnancy"] = _override("pregnancy")
    screened = evaluate(answers, history, SITES, NOW)
    assert screened.free_sites == ("ext", "quad")
    assert [(block.item, block.override_by) for block in screened.blocked] == [("pregnancy", ())]
    (overridden,) = screened.overridden
    assert (overridden.name, overridden.role, overridden.sites) == ("Dr A. Brandt", "obstetrician", ("ext", "quad"))


def test_thrombosis_closes_its_limb(answers: Answers, history: History) -> None:
    answers["contraindications"]["thrombosis"] = ["right_leg"]
    assert _closed(evaluate(answers, history, SITES, NOW)) == {"quad"}


def test_a_cardiologist_opens_named_sites_beside_electronics_and_never_the_chest(
    answers: Answers, history: History
) -> None:
    answers["contraindications"]["implanted_electronics"] = "yes"
    assert _closed(evaluate(answers, history, SITES, NOW)) == set(NAMES)
    answers["override.implanted_electronics"] = _override("implanted_electronics", sites=["quad", "trapezius"])
    assert evaluate(answers, history, SITES, NOW).free_sites == ("quad",)


@pytest.mark.parametrize(
    "changed",
    [
        {"name": " "},
        {"name": None},
        {"role": "physician"},
        {"role": "operator"},
        {"reason": ""},
        {"given_on": "2026-11-22"},
        {"given_on": "2026-08-22"},
        {"given_on": ""},
        {"sites": ["all"]},
        {"sites": []},
    ],
)
def test_an_override_that_lacks_something_opens_nothing_and_says_why(
    answers: Answers, history: History, changed: dict[str, Any]
) -> None:
    answers["contraindications"]["implanted_electronics"] = "yes"
    given = _override("implanted_electronics", sites=["ext", "quad"]) | changed
    answers["override.implanted_electronics"] = {key: value for key, value in given.items() if value is not None}
    screened = evaluate(answers, history, SITES, NOW)
    assert screened.free_sites == ()
    assert screened.overridden == ()
    assert any("the override does not count" in block.why for block in screened.blocked)


def test_cancer_is_an_oncologists_to_override_but_not_where_it_is(answers: Answers, history: History) -> None:
    answers["contraindications"] |= {"cancer": "yes", "cancer_place": ["right_leg"]}
    answers["override.cancer"] = _override("cancer")
    assert evaluate(answers, history, SITES, NOW).free_sites == ("ext", "lumbar", "trapezius")


def test_another_illness_waits_for_a_clinicians_review(answers: Answers, history: History) -> None:
    answers["contraindications"] |= {
        "other_conditions": "yes",
        "comorbidities": ["diabetes", "neuropathy"],
        "comorbidity": "type 2; feet numb",
    }
    assert evaluate(answers, history, SITES, NOW).free_sites == ()
    answers["override.other_conditions"] = _override("other_conditions", role="clinician")
    assert evaluate(answers, history, SITES, NOW).free_sites == NAMES


@pytest.mark.parametrize(
    "site",
    [
        PlannedSite("scm", "neck_front", "left"),
        PlannedSite("frontalis", "head", "midline"),
        PlannedSite("pectoral", "chest", "left"),
        PlannedSite("arms", "arm", "both", through_chest=True),
    ],
    ids=lambda site: site.name,
)
def test_head_front_of_neck_and_chest_are_never_stimulated(history: History, site: PlannedSite) -> None:
    answers = {each: clear_answers(each, "SIM", NOW) for each in required_forms((site,))}
    (block,) = evaluate(answers, history, (site,), NOW, "SIM").blocked
    assert (block.item, block.override_by) == ("forbidden_place", ())


def test_a_lot_known_for_longer_life_does_not_make_todays_pads_better(answers: Answers, history: History) -> None:
    answers["pads.quad"] |= {"uses": 20, "uses_max": 20}
    answers["pads.ext"]["expires_on"] = "2026-11-20"
    known = tuple(PadUse(LOT, site, 0, 1000, TODAY + timedelta(days=300)) for site in NAMES)
    assert _closed(evaluate(answers, replace(history, pads=known), SITES, NOW), "pads_worn") == {"ext", "quad"}


def test_a_clearance_must_be_of_late_and_for_the_site(answers: Answers, history: History) -> None:
    clearance = answers["clearance"]
    clearance["given_on"] = (TODAY - timedelta(days=CLEARANCE_DAYS)).isoformat()
    assert evaluate(answers, history, SITES, NOW).free_sites == NAMES
    clearance["given_on"] = (TODAY - timedelta(days=CLEARANCE_DAYS + 1)).isoformat()
    assert evaluate(answers, history, SITES, NOW).free_sites == ()
    clearance |= {"given_on": TODAY.isoformat(), "sites": ["ext"]}
    assert evaluate(answers, history, SITES, NOW).free_sites == ("ext",)


def test_after_an_operation_the_clearance_says_who_allows_it(answers: Answers, history: History) -> None:
    for name in ("operated_on", "post_op_cleared_by"):
        del answers["clearance"][name]
    answers["clearance"] |= {"after_surgery": "no"}
    assert _closed(evaluate(answers, history, SITES, NOW, post_operative=True), "clearance") == set(NAMES)
    answers["clearance"] |= {"after_surgery": "yes"}
    assert evaluate(answers, history, SITES, NOW, post_operative=True).free_sites == ()
    answers["clearance"] |= {"operated_on": "2026-11-14", "post_op_cleared_by": "Dr B. Lund"}
    assert evaluate(answers, history, SITES, NOW, post_operative=True).free_sites == NAMES


@pytest.mark.parametrize("told", ["yes", "unsure"])
def test_an_operation_that_was_told_and_not_cleared_keeps_all_closed(
    answers: Answers, history: History, told: str
) -> None:
    answers["clearance"] = {
        name: value for name, value in answers["clearance"].items() if name not in ("operated_on", "post_op_cleared_by")
    } | {"after_surgery": "no"}
    answers["contraindications"]["recent_surgery"] = told
    answers["override.recent_surgery"] = _override("recent_surgery")
    assert _closed(evaluate(answers, history, SITES, NOW), "clearance") == set(NAMES)


def test_a_first_session_an_override_and_a_precaution_need_a_clinician_there(
    answers: Answers, history: History
) -> None:
    answers["supervision"] |= {"clinician_present": "no"}
    del answers["supervision"]["clinician"]
    assert evaluate(answers, history, SITES, NOW).free_sites == NAMES
    assert _closed(evaluate(answers, replace(history, sessions=0), SITES, NOW), "clinician_there") == set(NAMES)
    flare = copy.deepcopy(answers)
    flare["contraindications"]["flare"] = "yes"
    assert _closed(evaluate(flare, history, SITES, NOW), "clinician_there") == set(NAMES)
    answers["contraindications"]["epilepsy"] = "yes"
    answers["override.epilepsy"] = _override("epilepsy")
    (block,) = evaluate(answers, history, SITES, NOW).blocked
    assert (block.item, block.why) == ("clinician_there", "no clinician is in the room: override of epilepsy")


def _event(**changed: Any) -> AdverseEvent:
    given = {
        "id": "1", "kind": "burn", "grade": "mild", "place": "left_arm", "site": "ext",
        "began": TODAY - timedelta(days=3), "resolved_on": None, **changed,
    }  # fmt: skip
    return AdverseEvent(**given)


@pytest.mark.parametrize(
    ("event", "closed"),
    [
        (_event(), {"ext"}),
        (_event(resolved_on=TODAY), set()),
        (_event(resolved_on=TODAY + timedelta(days=1)), {"ext"}),
        (_event(site="ecr", place="left_arm"), {"ext"}),
        (_event(site="ext", place="right_leg"), {"ext", "quad"}),
        (_event(site="none", place="trunk"), {"lumbar", "trapezius"}),
        (_event(site="lumbar", place="trunk"), {"lumbar"}),
        (_event(site="none", place="whole_body"), set(NAMES)),
        (_event(site="ta", place="left_leg"), set()),
    ],
)
def test_an_open_adverse_event_closes_its_site(
    answers: Answers, history: History, event: AdverseEvent, closed: set[str]
) -> None:
    known = replace(history, adverse_events=(event,))
    assert _closed(evaluate(answers, known, SITES, NOW), "open_adverse_event") == closed


def test_an_adverse_event_of_today_closes_its_site_too(answers: Answers, history: History) -> None:
    answers["adverse_event.2"] = {
        "kind": "pain", "what": "sharp pain", "place": "left_arm", "site": "ext", "began": "2026-11-21",
        "grade": "severe", "ctcae": 3, "serious": "no", "related": "possible", "device_related": "no",
        "action": ["stopped"], "resolved": "no", "follow_up_on": "2026-11-22",
    }  # fmt: skip
    assert _closed(evaluate(answers, history, SITES, NOW)) == {"ext"}
    del answers["adverse_event.2"]["place"]
    assert _closed(evaluate(answers, history, SITES, NOW)) == set(NAMES)


def test_skin_that_was_marked_after_a_session_needs_an_event_that_tells_of_it(
    answers: Answers, history: History
) -> None:
    marked = replace(history, skin_after=(SkinAfter("ext", date(2026, 11, 18), True), SkinAfter("quad", TODAY, False)))
    assert _closed(evaluate(answers, marked, SITES, NOW), "skin_not_followed_up") == {"ext"}
    told = replace(marked, adverse_events=(_event(began=date(2026, 11, 18), resolved_on=TODAY),))
    assert evaluate(answers, told, SITES, NOW).free_sites == NAMES
    before = replace(marked, adverse_events=(_event(began=date(2026, 11, 16), resolved_on=TODAY),))
    assert _closed(evaluate(answers, before, SITES, NOW)) == {"ext"}


def _patch(started_h: float, *readings: tuple[float, str]) -> PatchTest:
    """Started and read so many hours before now."""
    made = tuple(PatchReading(NOW - timedelta(hours=hours), result) for hours, result in readings)  # type: ignore[arg-type]
    return PatchTest(MATERIAL.upper(), "left_arm", NOW - timedelta(hours=started_h), made)


@pytest.mark.parametrize(
    ("tests", "item_id"),
    [
        ((), "patch_test_open"),
        ((_patch(47),), "patch_test_open"),
        ((_patch(72),), "patch_test_open"),
        ((_patch(72, (48, "negative")),), "patch_test_open"),
        ((_patch(72, (-1, "negative")),), "patch_test_open"),
        ((_patch(72, (24, "negative")),), None),
        ((_patch(48, (0, "negative")),), None),
        ((_patch(72, (24, "positive")),), "patch_test_positive"),
        ((_patch(72, (24, "doubtful")),), "patch_test_positive"),
        ((_patch(900, (850, "positive")), _patch(72, (24, "negative"))), "patch_test_positive"),
    ],
)
def test_pads_wait_for_a_patch_test_that_was_read_negative_when_due(
    answers: Answers, history: History, tests: tuple[PatchTest, ...], item_id: str | None
) -> None:
    screened = evaluate(answers, replace(history, patch_tests=tests), SITES, NOW)
    assert {item_id} - {None} <= {block.item for block in screened.blocked}
    assert screened.free_sites == (NAMES if item_id is None else ())


def test_a_site_with_another_material_waits_for_its_own_patch_test(answers: Answers, history: History) -> None:
    answers["pads.quad"]["material"] = "carbon rubber"
    assert _closed(evaluate(answers, history, SITES, NOW), "patch_test_open") == {"quad"}


@pytest.mark.parametrize(
    ("changed", "closed"),
    [
        ({"uses": 19, "uses_max": 20}, set()),
        ({"uses": 20, "uses_max": 20}, {"quad"}),
        ({"expires_on": "2026-11-21"}, set()),
        ({"expires_on": "2026-11-20"}, {"quad"}),
    ],
)
def test_worn_or_expired_pads_close_their_site(
    answers: Answers, history: History, changed: dict[str, Any], closed: set[str]
) -> None:
    answers["pads.quad"] |= changed
    assert _closed(evaluate(answers, history, SITES, NOW)) == closed


@pytest.mark.parametrize(
    "known",
    [
        PadUse(LOT.lower(), "quad", 20, 1000, TODAY),
        PadUse(LOT, "quad", 0, 5, TODAY),
        PadUse(LOT, "quad", 0, 1000, TODAY - timedelta(days=1)),
    ],
)
def test_what_was_written_of_pads_before_cannot_be_made_better(
    answers: Answers, history: History, known: PadUse
) -> None:
    answers["pads.quad"] |= {"uses": 5, "uses_max": 20}
    assert _closed(evaluate(answers, replace(history, pads=(known,)), SITES, NOW), "pads_worn") == {"quad"}


@pytest.mark.parametrize(
    ("changed", "item_id"),
    [
        ({"serial": "other"}, "device_unknown"),
        ({"safety_test_until": TODAY - timedelta(days=1)}, "safety_test_expired"),
        ({"safety_test_until": None}, "safety_test_expired"),
        ({"self_test_at": None}, "self_test_old"),
        ({"self_test_passed": False}, "self_test_old"),
        ({"self_test_at": NOW - timedelta(hours=8, seconds=1)}, "self_test_old"),
        ({"self_test_at": NOW + timedelta(seconds=1)}, "self_test_old"),
    ],
)
def test_a_device_without_its_papers_is_for_nobody_and_warns_in_a_rehearsal(
    answers: Answers, history: History, changed: dict[str, Any], item_id: str
) -> None:
    known = replace(history, devices=(replace(history.devices[0], **changed),))
    assert _closed(evaluate(answers, known, SITES, NOW), item_id) == set(NAMES)
    for rig_class in ("SIM", "BENCH"):
        screened = evaluate(answers, known, SITES, NOW, rig_class)
        assert screened.free_sites == NAMES
        assert [each.item for each in screened.warnings] == [item_id]


def test_a_self_test_counts_for_eight_hours_and_a_serial_number_stands_for_one_device(
    answers: Answers, history: History
) -> None:
    (device,) = history.devices
    old = replace(device, self_test_at=NOW - timedelta(hours=8))
    assert evaluate(answers, replace(history, devices=(old,)), SITES, NOW).free_sites == NAMES
    screened = evaluate(answers, replace(history, devices=(device, device)), SITES, NOW)
    assert [block.why for block in screened.blocked] == [f"serial {SERIAL}: in the register 2 times"]


@pytest.mark.parametrize("form_id", ["skn.ext", "skin", "override.hangnail", "contraindication"])
def test_a_form_that_does_not_exist_keeps_all_closed(answers: Answers, history: History, form_id: str) -> None:
    answers[form_id] = {}
    (block,) = evaluate(answers, history, SITES, NOW).blocked
    assert (block.item, block.sites) == ("incomplete", NAMES)
    assert block.why.startswith(f"{form_id}: ")


def test_what_concerns_none_of_todays_sites_is_not_forgotten(answers: Answers, history: History) -> None:
    answers["contraindications"]["hernia"] = "yes"
    screened = evaluate(answers, history, SITES, NOW)
    assert screened.free_sites == NAMES
    assert [(each.item, each.sites) for each in screened.warnings] == [("hernia", ())]


def test_scores_and_guesses_have_no_say(answers: Answers, history: History) -> None:
    answers["nrs"] = {"current": 10}
    assert evaluate(answers, history, SITES, NOW).free_sites == NAMES


@pytest.mark.parametrize(
    ("sites", "now", "rig_class", "says"),
    [
        ((), NOW, "HUMAN", "none"),
        ((EXT, EXT), NOW, "HUMAN", "each once"),
        (SITES, NOW.replace(tzinfo=None), "HUMAN", "zone"),
        (SITES, NOW, "human", "allowed: SIM, BENCH, HUMAN"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(
    history: History, sites: tuple[PlannedSite, ...], now: datetime, rig_class: str, says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        evaluate({}, history, sites, now, rig_class)


@pytest.mark.parametrize(("region", "side"), [("toe", "left"), ("arm", "midline"), ("arm", "port")])
def test_a_site_must_be_somewhere(region: Any, side: Any) -> None:
    with pytest.raises(ValueError, match=r"^x: "):
        PlannedSite("x", region, side)


# What follows holds for any answers at all.

_ASKED = [item for item in ITEMS if item.answer != "found"]
_QUESTIONS = [(f"{i.form}.{site}", i) for i in _ASKED if i.scope == "site" for site in NAMES] + [
    (i.form, i) for i in _ASKED if i.scope != "site"
]
#: For an item with detail questions, what goes with a finding.
_DETAILS = {
    "other_conditions": {"comorbidities": ["other"], "comorbidity": "gout"},
    "medication_changed": {"change": "new"},
    "care_changed": {"detail": "new"},
}


def _apply(answers: Answers, form_id: str, item: Item, places: list[str]) -> None:
    """Make an answer a finding, or a finding greater."""
    values = answers[form_id]
    if item.answer == "place":
        now = values.get(item.id, [NOWHERE])
        values[item.id] = [UNSURE] if UNSURE in (*places, *now) else sorted({*places, *now} - {NOWHERE})
    else:
        values[item.id] = _positive(item)
    values |= _DETAILS.get(item.id, {})


_findings = st.lists(
    st.tuples(st.sampled_from(_QUESTIONS), st.lists(st.sampled_from((*PLACES, UNSURE)), min_size=1, max_size=3)),
    max_size=6,
)
_gaps = st.lists(st.sampled_from(_QUESTIONS), max_size=2)
_overrides = st.lists(
    st.tuples(
        st.sampled_from([item for item in _ASKED if item.kind == "override"]),
        st.sampled_from([["all"], ["ext"], ["quad", "lumbar"], list(NAMES)]),
        st.integers(-1, 120),
    ),
    max_size=6,
)
_events = st.lists(
    st.builds(
        lambda place, site, ago, over: _event(
            place=place, site=site, began=TODAY - timedelta(days=ago), resolved_on=over
        ),
        st.sampled_from((*PLACES, "whole_body")), st.sampled_from((*NAMES, "none")), st.integers(0, 9),
        st.sampled_from([None, TODAY]),
    ), max_size=2,
)  # fmt: skip


def _made(findings: Any, gaps: Any, overrides: Any) -> Answers:
    answers = _clear()
    for (form_id, item), places in findings:
        _apply(answers, form_id, item, places)
    for item, sites, ago in overrides:
        given_on = (TODAY - timedelta(days=ago)).isoformat()
        answers[f"override.{item.id}"] = _override(item.id, sites=sites, given_on=given_on)
    for form_id, item in gaps:
        answers[form_id].pop(item.id, None)
    return answers


@settings(deadline=None, max_examples=300)
@given(_findings, _findings, _gaps, _overrides, st.booleans())
def test_no_further_finding_ever_opens_anything(
    first: Any, more: Any, gaps: Any, overrides: Any, clinician: bool
) -> None:
    """Answers that stood already are made findings or greater ones; what is missing stays missing."""
    history = clear_history("SIM", NOW, sessions=1)
    before, after = _made(first, gaps, overrides), _made([*first, *more], gaps, overrides)
    for answers in (before, after):
        if not clinician:
            answers["supervision"]["clinician_present"] = "no"
            del answers["supervision"]["clinician"]
    assert set(evaluate(after, history, SITES, NOW).free_sites) <= set(evaluate(before, history, SITES, NOW).free_sites)


@settings(deadline=None, max_examples=150)
@given(_findings, st.lists(st.sampled_from(_QUESTIONS), min_size=1, max_size=4), _overrides)
def test_a_missing_answer_opens_no_more_than_any_answer_would(findings: Any, gaps: Any, overrides: Any) -> None:
    """Neither than no, nor than a finding without an override."""
    history = clear_history("SIM", NOW, sessions=1)
    with_gaps = set(evaluate(_made(findings, gaps, overrides), history, SITES, NOW).free_sites)
    assert with_gaps <= set(evaluate(_made(findings, [], overrides), history, SITES, NOW).free_sites)
    for form_id, item in gaps:
        assert not with_gaps & ({form_id.partition(".")[2]} if item.scope == "site" else set(NAMES))


@settings(deadline=None, max_examples=100)
@given(_findings, _overrides, _events, _events)
def test_no_further_adverse_event_ever_opens_anything(findings: Any, overrides: Any, some: Any, more: Any) -> None:
    history = clear_history("SIM", NOW, sessions=1)
    answers = _made(findings, [], overrides)
    before = evaluate(answers, replace(history, adverse_events=tuple(some)), SITES, NOW)
    after = evaluate(answers, replace(history, adverse_events=(*some, *more)), SITES, NOW)
    assert set(after.free_sites) <= set(before.free_sites)


@settings(deadline=None, max_examples=150)
@given(_findings, _overrides)
def test_only_an_override_that_counts_opens_what_a_finding_closed(findings: Any, overrides: Any) -> None:
    history = clear_history("SIM", NOW, sessions=1)
    with_them = evaluate(_made(findings, [], overrides), history, SITES, NOW)
    without = evaluate(_made(findings, [], []), history, SITES, NOW)
    opened = set(with_them.free_sites) - set(without.free_sites)
    assert opened <= {site for each in with_them.overridden for site in each.sites}
    for each in with_them.overridden:
        item = item_of(each.item)
        assert each.role in item.override_by
        assert 0 <= (TODAY - date.fromisoformat(each.given_on)).days <= item.valid_days
        assert item.never is None or not set(each.sites) & set(sites_within(item.never, SITES))


def test_the_page_shows_what_the_code_answers() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "screening.md").read_text(encoding="utf-8")
    sites = (EXT, QUAD)
    answers = {form: clear_answers(form, "SIM", NOW) for form in required_forms(sites)}
    answers["skin.ext"]["wound"] = "yes"
    screened = evaluate(answers, clear_history("SIM", NOW), sites, NOW, "SIM")
    assert f"screened.free_sites\n# {screened.free_sites}\n" in page
    assert f"\n# {check_form('nrs', {'current': 11, 'average_24h': 4, 'worst_24h': 7})}\n" in page
    for told in (f"{READ_AFTER_H:g} hours after", f"within {SELF_TEST_H:g} hours", f"{CLEARANCE_DAYS} days"):
        assert told in page
