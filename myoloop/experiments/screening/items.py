"""Everything that screening asks or finds, each once: what it blocks, where, who may override it and for how long.

docs/screening.md is made of this table, and docs/coverage.md refers to its ids. Where the sources disagree, an item
holds the strictest of them. Rows are those of the requirements' table of claims (users.md section 1); marks such as
P48 are the sources listed there, GK is general knowledge and PROP our own proposal: both, and how long an override
counts (PROP throughout), are for the person to check who signs a protocol.
"""

from __future__ import annotations

from myoloop.experiments.screening.item import Item

_DOCTORS = ("physician",)
_TREATING = ("clinician", "physician")

# fmt: off
#: The person's health, asked at every visit.
_HEALTH = (
    Item("pregnancy", "contraindications", "Are you pregnant, or could you be?",
         "override", never="trunk", override_by=("obstetrician", "physician"), valid_days=14, rows=(27,)),
    Item("implanted_electronics", "contraindications",
         "Do you have a pacemaker, a defibrillator (ICD) or any other implanted electronics (pump, nerve stimulator)?",
         "override", never="thorax", override_by=("cardiologist",), valid_days=90, named_sites=True, rows=(28,)),
    Item("epilepsy", "contraindications", "Do you have epilepsy, or have you ever had a seizure?",
         "override", override_by=("neurologist", "physician"), valid_days=90, rows=(29,)),
    Item("cancer", "contraindications", "Do you have cancer, or have you had it in the last five years?",
         "override", override_by=("oncologist",), valid_days=90, rows=(30,), sources=("PROP: five years",)),
    Item("cancer_place", "contraindications", "Where in the body is or was cancer?",
         "absolute", "places", "place", "none", rows=(30,)),
    Item("thrombosis", "contraindications", "Where do you have, or may you have, a thrombosis of a deep vein?",
         "absolute", "places", "place", "none", rows=(31,)),
    Item("feverish", "contraindications", "Do you have a fever, or an infection of the whole body?",
         "absolute", rows=(26,)),
    Item("heart_disease", "contraindications", "Do you have a disease of the heart, or an irregular heartbeat?",
         "override", override_by=("cardiologist",), valid_days=90, sources=("P47d",)),
    Item("arterial_disease", "contraindications", "In which limbs is the blood supply through the arteries poor?",
         "override", "places", "place", "none", override_by=_DOCTORS, valid_days=90, sources=("P47e",)),
    Item("osteoporosis", "contraindications", "Where is there severe osteoporosis, or does a bone break easily?",
         "override", "places", "place", "none", override_by=_DOCTORS, valid_days=90, sources=("P47b",)),
    Item("hernia", "contraindications", "Do you have a hernia of the abdomen or groin?",
         "absolute", "abdomen", sources=("P47e",)),
    Item("cord_injury_above_t6", "contraindications",
         "Do you have a spinal cord injury at or above T6, or have you had autonomic dysreflexia?",
         "override", override_by=_DOCTORS, valid_days=90, sources=("P38a", "P47c")),
    Item("denervated", "contraindications", "Where has a muscle lost its nerve (lower motor neurone)?",
         "override", "places", "place", "none", override_by=("neurologist", "physician"), valid_days=180,
         sources=("P47c",)),
    Item("undiagnosed_pain", "contraindications", "Do you have a pain whose cause has not been looked for?",
         "override", override_by=_TREATING, valid_days=30, sources=("P47d",)),
    Item("recent_surgery", "contraindications", "Have you been operated on in the last twelve weeks?",
         "override", override_by=("surgeon", "physician"), valid_days=30, rows=(12,), sources=("PROP: twelve weeks",)),
    Item("other_conditions", "contraindications", "Do you have any other illness or complaint?",
         "override", override_by=_TREATING, valid_days=90, rows=(32,)),
    Item("adhesive_allergy", "contraindications", "Have plasters, gels or electrodes ever made your skin react?",
         "override", override_by=("dermatologist", "physician"), valid_days=90, rows=(33,)),
    Item("flare", "contraindications", "Since the last visit, did the pain flare up for more than a day?",
         "precaution", rows=(37,), sources=("PROP",)),
    Item("unwell_today", "contraindications", "Do you feel unwell or faint today?",
         "override", override_by=_TREATING, valid_days=0, rows=(32,), sources=("PROP",)),
)

#: The skin and the tissue below each planned site, looked at and asked before every session.
_SKIN = (
    Item("wound", "skin", "Is there an open wound, a blister or a fresh scar?", "absolute", "site", rows=(25,)),
    Item("infection", "skin", "Are there signs of an infection (warm, red, swollen, pus)?",
         "absolute", "site", rows=(26,)),
    Item("irritation", "skin", "Is there a rash, or redness that was there before the pads?",
         "absolute", "site", rows=(33, 38), sources=("P47d",)),
    Item("irradiated", "skin", "Has this skin had radiotherapy?", "absolute", "site", sources=("P47d",)),
    Item("insensate", "skin", "Does the person feel light touch or warm and cold less here than elsewhere?",
         "override", "site", override_by=_TREATING, valid_days=30, sources=("P47d", "P28")),
    Item("allodynia", "skin", "Does light touch hurt here?",
         "override", "site", override_by=_TREATING, valid_days=1, sources=("P15",)),
    Item("swelling", "skin", "Is this place swollen, or clearly warmer or of other colour than the other side?",
         "override", "site", override_by=_TREATING, valid_days=1, rows=(31,), sources=("PROP",)),
    Item("skin_clean", "skin", "Has the skin been cleaned and dried, without oil or cream?",
         "absolute", "site", "yes_no", "yes", rows=(34,)),
)

#: The pads on the body, signed for each site.
_PLACEMENT = (
    Item("as_pictured", "placement", "Are the pads where the picture of this site shows them?",
         "absolute", "site", "yes_no", "yes", rows=(20, 7)),
    Item("path_clear", "placement",
         "Are all pads off head, eyes, mouth, front of neck and carotid sinus, and does no current cross the chest?",
         "absolute", "site", "yes_no", "yes", sources=("P48",)),
    Item("nerves_clear", "placement", "Are all pads clear of the phrenic nerve's course and of the gonads?",
         "absolute", "site", "yes_no", "yes", sources=("P47b",)),
    Item("pads_stick", "placement", "Does the whole of every pad stick, without a fold, and do no two pads touch?",
         "absolute", "site", "yes_no", "yes", rows=(20,), sources=("P48",)),
)
_PADS = (
    Item("pads_sound", "pads", "Are these pads clean, moist and undamaged, and used by this person alone?",
         "absolute", "site", "yes_no", "yes", rows=(34,)),
    Item("pads_worn", "", "The pads have been used as often as they may be, or have expired.",
         "absolute", "site", "found", rows=(34,)),
    Item("patch_test_open", "", "No patch test of this pad's material has been read negative at its due times.",
         "absolute", "site", "found", rows=(33,)),
    Item("patch_test_positive", "", "A patch test of this pad's material was positive or doubtful.",
         "absolute", "site", "found", rows=(33,)),
)

#: What the person has been told and has agreed to.
_CONSENT = (
    Item("consent_signed", "consent", "Has the person signed the consent form of this study?",
         "absolute", "all", "yes_no", "yes", rows=(18,)),
    Item("willing_today", "consent", "Does the person want to take part today?", "absolute", "all", "yes_no", "yes",
         rows=(18,)),
    Item("told_sensation", "information", "Does the person know what it may feel like (tingling, pulsing, twitches)?",
         "absolute", "all", "yes_no", "yes", rows=(36,)),
    Item("told_stop", "information",
         "Does the person know to stop at once at strong pain, burning or itching, and whom to tell afterwards?",
         "absolute", "all", "yes_no", "yes", rows=(37,)),
    Item("stop_tried", "information", "Has the person pressed the own stop button, and did it stop?",
         "absolute", "all", "yes_no", "yes", rows=(37,)),
    Item("seated_first", "information", "Will the person sit or lie for the first five minutes of stimulation?",
         "absolute", "all", "yes_no", "yes", sources=("P47e",)),
)

#: Who is there, and who has agreed.
_PEOPLE = (
    Item("clearance", "", "No professional's clearance in force covers this site.",
         "absolute", "site", "found", rows=(18,)),
    Item("supervised", "supervision", "Will a trained operator be with the person the whole time?",
         "absolute", "all", "yes_no", "yes", rows=(19,)),
    Item("clinician_there", "",
         "A first session, an override or a precaution needs a clinician in the room.", "absolute", "all", "found",
         rows=(19,)),
    Item("competent", "supervision", "Has the operator the competency that the protocol asks for?",
         "precaution", "all", "yes_no", "yes", rows=(43,)),
    Item("rf_nearby", "supervision", "Is there shortwave, microwave or RF surgery equipment in use nearby?",
         "absolute", sources=("P48",)),
)

#: What may change the outcome and is to be seen in the report.
_DRUGS = (
    Item("medication_changed", "medication", "Has any medicine been started, stopped or changed since the last visit?",
         "information", rows=(40,)),
    Item("botulinum", "medication", "Has botulinum toxin been given in the last 16 weeks?",
         "information", sources=("P28", "PROP: 16 weeks")),
    Item("antispastic_changed", "medication", "Has a medicine against spasticity been changed in the last four weeks?",
         "information", sources=("P28", "PROP: four weeks")),
    Item("anticoagulant", "medication", "Do you take a medicine that thins the blood?", "precaution", sources=("GK",)),
    Item("care_changed", "concomitant_care", "Has any other treatment begun, ended or changed since the last visit?",
         "information", rows=(42,)),
)

#: The equipment, before each use.
_DEVICE = (
    Item("device_sound", "inspection", "Are device, cables and connectors clean and undamaged?",
         "absolute", "all", "yes_no", "yes", rows=(34,)),
    Item("maker_followed", "inspection", "Is the device approved for this use, and used as its maker says?",
         "absolute", "all", "yes_no", "yes", rows=(35,)),
    Item("stop_reached", "inspection", "Has the operator's stop been tried, and is it within reach?",
         "absolute", "all", "yes_no", "yes", rows=(34, 37)),
    Item("device_unknown", "", "The device's serial number is not in the register.",
         "absolute", "all", "found", rows=(35,)),
    Item("safety_test_expired", "", "The device's safety test is not in force.",
         "absolute", "all", "found", rows=(35,)),
    Item("self_test_old", "", "No self-test on the dummy load was passed in the last 8 hours.",
         "absolute", "all", "found", rows=(34,), sources=("PROP: 8 hours",)),
)

#: What the gate finds without a question.
_FOUND = (
    Item("forbidden_place", "", "Head, front of the neck, the chest and paths across it are never stimulated.",
         "absolute", "site", "found", sources=("P48",)),
    Item("open_adverse_event", "", "An adverse event here has not been resolved.",
         "absolute", "site", "found", rows=(38,)),
    Item("skin_not_followed_up", "", "The skin was marked after a session, and no adverse event tells how it ended.",
         "absolute", "site", "found", rows=(38,)),
    Item("incomplete", "", "A form is missing, or an answer of it is missing or not allowed.",
         "absolute", "all", "found", rows=(18,)),
)
# fmt: on

ITEMS: tuple[Item, ...] = (
    *_HEALTH, *_DRUGS, *_CONSENT, *_PEOPLE, *_DEVICE, *_SKIN, *_PLACEMENT, *_PADS, *_FOUND,
)  # fmt: skip
_BY_ID = {item.id: item for item in ITEMS}


def items_of(form: str) -> tuple[Item, ...]:
    """The items that a form asks, in order."""
    return tuple(item for item in ITEMS if item.form == form)


def item_of(item_id: str) -> Item:
    """The item of a name.

    Raises
    ------
    KeyError
        If there is none.
    """
    return _BY_ID[item_id]
