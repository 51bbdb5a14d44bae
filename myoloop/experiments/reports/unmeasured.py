"""What texts about electrical stimulation promise, and this session did not measure: said plainly, never implied.

It is derived from what was recorded (streams, answered forms, contractions, thresholds), which outcomes have a value,
and what the protocol says is entered elsewhere. Whatever is not known to be measured counts as not measured.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from myoloop.experiments.analysis.session import Session
from myoloop.experiments.outcomes.attempt import Measured


@dataclass(frozen=True, slots=True)
class Seen:
    """What a session holds.

    Attributes
    ----------
    streams
        Kinds of sample streams with samples, such as ``emg``; the part of the topic before its stroke.
    forms
        Ids of forms that were answered, without site.
    outcomes
        Ids of outcomes that have a value.
    pulled, felt
        Whether a whole maximal contraction was made; whether a sensory threshold was found.
    """

    streams: frozenset[str]
    forms: frozenset[str]
    outcomes: frozenset[str]
    pulled: bool
    felt: bool


@dataclass(frozen=True, slots=True)
class Promised:
    """One thing that is promised.

    Attributes
    ----------
    seen
        Whether a session measured it; by default nothing that myoloop records does.
    entered
        Pattern of the words by which protocols name it where somebody measures it elsewhere.
    """

    what: str
    entered: str
    seen: Callable[[Seen], bool] = lambda seen: False


#: In the order in which they are said: users.md section 1, rows 3, 2, 10, 4, 5, 11, 47.
PROMISED = (
    Promised("blood flow", r"blood flow|perfusion|doppler|plethysmogra|\bppg\b"),
    Promised("oxygen in the tissue", r"oxygen|\bnirs\b|\bspo2\b"),
    Promised("skin temperature", r"temperature|thermogra"),
    Promised("swelling", r"swelling|o?edema|limb volume|circumference|figure of eight"),
    Promised("inflammation", r"inflammat|\bcrp\b|cytokine"),
    Promised("endorphins", r"endorphin|opioid"),
    Promised("pain", r"\bnrs\b|\bvas\b|\bpain\b", lambda seen: bool(seen.forms & {"nrs", "nrs_now"})),
    Promised("pressure pain threshold", r"pressure pain|\bppt\b|algomet"),
    Promised("threshold of feeling", r"sensory threshold|monofilament", lambda seen: seen.felt),
    Promised("pain at light touch", r"allodynia|brush", lambda seen: "allodynia_map" in seen.forms),
    Promised(
        "strength", r"strength|torque|\bmvi?c\b|dynamomet", lambda seen: seen.pulled and "force" in seen.streams
    ),
    Promised("endurance", r"endurance|sorensen|fatigue", lambda seen: "evoked_fatigue" in seen.outcomes),
    Promised("range of motion", r"range of|\ba?rom\b|goniomet", lambda seen: "active_rom" in seen.outcomes),
    Promised("muscle size", r"circumference|ultrasound|thickness|cross.section|\bcsa\b|\bmri\b"),
    Promised("daily function", r"\bdash\b|\bodi\b|\bndi\b|\bfma|function|\bwalk"),
    Promised(
        "well-being", r"\bpgic\b|quality of life|\bsf.?\d+\b", lambda seen: bool(seen.forms & {"pgic", "mood_sleep"})
    ),
)  # fmt: skip


def seen_in(session: Session, measured: Measured) -> Seen:
    """What the session holds."""
    rows = session.trials
    return Seen(
        frozenset(topic.partition("/")[0] for topic, track in session.samples.items() if len(track.t_s)),
        frozenset(str(each.values.get("form", "")).partition(".")[0] for each in session.events if each.kind == "form"),
        frozenset(name for name, value in measured.values.items() if value.value is not None),
        any(row.kind == "mvc" and row.outcome == "done" for row in rows),
        any(row.kind == "threshold" and row.values.get("sensory_ma") is not None for row in rows),
    )


def unmeasured(session: Session, measured: Measured) -> list[tuple[str, str]]:
    """What was not measured, and what the protocol says is measured elsewhere: label and text of each that there is."""
    seen = seen_in(session, measured)
    told = [f"{each['text']} (by the {each['by']})" for each in measured.entered()]
    not_here = [each for each in PROMISED if not each.seen(seen)]
    elsewhere = {
        each.what: named
        for each in not_here
        if (named := [text for text in told if re.search(each.entered, text, re.IGNORECASE)])
    }
    nowhere = [each.what for each in not_here if each.what not in elsewhere]
    lines = []
    if nowhere:
        text = f"{', '.join(nowhere)}. Nothing on this page says whether any of it has changed."
        lines.append(("Not measured in this session", text))
    if elsewhere:
        text = "; ".join(f"{what}: {', '.join(named)}" for what, named in elsewhere.items())
        lines.append(("Entered elsewhere, not in this record", text))
    return lines
