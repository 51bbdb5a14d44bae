"""What was asked and checked before anything was given: forms, what they closed, skin, electrodes, checks.

All of it is from the session's own events. A free text stays as it was typed; the page escapes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from myoloop.experiments.analysis.session import Session
from myoloop.experiments.analysis.tracks import EventRow
from myoloop.experiments.protocols.schema import Protocol
from myoloop.experiments.reports.eventwords import event_words
from myoloop.experiments.reports.tables import Table
from myoloop.experiments.screening.forms import form_of
from myoloop.experiments.screening.item import Item
from myoloop.experiments.screening.items import ITEMS

_ITEMS: dict[str, Item] = {item.id: item for item in ITEMS}
#: What an answered form's event holds beside the answers.
_BESIDE = frozenset({"form", "who"})
NOT_ASKED = "not asked in this session"
NOT_MEASURED = "not measured"


def forms(session: Session) -> Table | None:
    """One row for each form that was filled in."""
    rows = [
        (f"{each.t_s:.1f}", _title(str(each.values["form"])), _answers(each.values), str(each.values.get("who") or ""))
        for each in _filled(session)
    ]
    if not rows:
        return None
    caption = (
        f"n = {len(rows)} forms. Answers of screening without a finding are counted, all others are as they were "
        f"given; each single one is in the record."
    )
    return Table(("time (s)", "form", "answers", "by"), tuple(rows), caption)


def verdicts(session: Session) -> Table | None:
    """What screening closed, warned of, or was overridden in; empty rows where it found nothing."""
    if not any(span.kind == "screening" for span in session.phases):
        return None
    rows = []
    for each in session.events:
        if each.kind == "screening":
            item = str(each.values.get("item", ""))
            by = ", ".join(str(each.values[key]) for key in ("name", "role") if each.values.get(key))
            sites = str(each.values.get("sites") or "")
            verdict = str(each.values.get("verdict", ""))
            # A finding's reason begins with the item's own text.
            why = each.why.removeprefix(_text_of(item)).strip()
            rows.append((f"{each.t_s:.1f}", _text_of(item), verdict, sites, by, why))
        elif each.kind == "dropped":
            left_out = f"channels {each.values.get('channels')}"
            rows.append((f"{each.t_s:.1f}", "left out of this session", "dropped", str(each.values.get("sites") or ""),
                         "", left_out))  # fmt: skip
    counted = {name: sum(row[2] == name for row in rows) for name in ("blocked", "overridden", "warning")}
    caption = (
        f"n = {counted['blocked']} blocked, {counted['overridden']} overridden, {counted['warning']} warnings. The "
        f"strictest rule of the sources holds; who overrides is named, with role and reason."
    )
    return Table(("time (s)", "item", "verdict", "sites", "by", "why"), tuple(rows), caption)


def skin(session: Session) -> Table | None:
    """Skin of each site, before and after."""
    seen: dict[str, dict[str, str]] = {}
    for each in _filled(session):
        name, _, site = str(each.values["form"]).partition(".")
        if name in ("skin", "skin_after"):
            seen.setdefault(site, {})[name] = _answers(each.values)
    if not seen:
        return None
    rows = tuple((site, told.get("skin", NOT_ASKED), told.get("skin_after", NOT_ASKED)) for site, told in seen.items())
    return Table(("site", "before", "after"), rows, f"n = {len(rows)} sites; the newest answer of each form.")


def electrodes(session: Session, protocol: Protocol | None) -> Table | None:
    """One row per site of the protocol: its pads, their lot and uses, who has checked where they are."""
    if protocol is None:
        return None
    told: dict[str, Mapping[str, Any]] = {str(each.values["form"]): each.values for each in _filled(session)}
    rows = []
    for name, site in protocol.sites.items():
        pads, placed = told.get(f"pads.{name}", {}), told.get(f"placement.{name}", {})
        stimulated = site.pad_area_cm2 is not None
        rows.append(
            (
                name,
                f"{site.muscle}, {site.side}",
                f"{site.pads} of {site.pad_area_cm2:g} cm²" if stimulated else "none",
                (site.cathode or "not told") if stimulated else "–",
                site.emg,
                str(pads.get("lot", "–")),
                _uses(pads),
                str(pads.get("expires_on", "–")),
                ", ".join(str(placed[key]) for key in ("signed_by", "second_person") if placed.get(key)) or "–",
            )
        )
    columns = (
        "site", "muscle", "pads", "cathode of the first phase", "EMG", "lot", "uses", "expires", "placement checked by",
    )  # fmt: skip
    caption = (
        "Pads, area and polarity as the protocol has them; lot, uses and expiry as they were answered (–: not asked). "
        "The area is that of the smaller pad. Pulses are biphasic and their net charge is zero."
    )
    return Table(columns, tuple(rows), caption)


def checks(session: Session) -> Table | None:
    """Every check with what it found, and what happened to one that did not pass."""
    rows = tuple(_check(each) for each in session.events if each.kind == "check")
    if not rows:
        return None
    caption = (
        f"n = {len(rows)} checks; one that was done again has a row for each time. Noise is the RMS of the EMG at "
        f"rest. A device that measures no impedance has none. Selectivity: channel, then the muscle that answers to it."
    )
    return Table(("time (s)", "check", "result", "found", "why"), rows, caption)


def _check(event: EventRow) -> tuple[str, ...]:
    values = dict(event.values)
    name, passed, overridden = str(values.pop("check", "")), values.pop("ok", None), values.pop("overridden", None)
    result = "passed" if passed else "overridden" if overridden else "not passed"
    if values.pop("measured", None) is False:
        values = {"found": NOT_MEASURED}
        # What cannot be measured is not shown to be right.
        result = NOT_MEASURED
    found = str(values.pop("found")) if set(values) == {"found"} else _numbers(values)
    return f"{event.t_s:.1f}", name, result, found, event.why


def _numbers(values: Mapping[str, Any]) -> str:
    known = {key: _rounded(value) for key, value in values.items() if value is not None}
    parts = [event_words("check", known)] if known else []
    for key, value in values.items():
        if value is None:
            name, _, unit = key.rpartition("_")
            parts.append(f"{name} {NOT_MEASURED}" if unit in ("uv", "ohm") else f"{key.replace('_', ' ')} not told")
    return ", ".join(parts)


def _rounded(value: Any) -> Any:
    return float(f"{value:.4g}") if isinstance(value, float) else value


def _filled(session: Session) -> Iterator[EventRow]:
    return (each for each in session.events if each.kind == "form" and each.values.get("form"))


def _title(form_id: str) -> str:
    try:
        form, instance = form_of(form_id)
    except KeyError:
        # Of a form that this version does not know.
        return form_id
    return f"{form.title} ({instance})" if instance else form.title


def _text_of(item: str) -> str:
    return _ITEMS[item].text if item in _ITEMS else item.replace("_", " ")


def _answers(values: Mapping[str, Any]) -> str:
    """Answers in words; those of screening items that are without a finding are only counted."""
    form, clear, parts = str(values.get("form")).partition(".")[0], 0, []
    for name, value in values.items():
        if name in _BESIDE or value is None:
            continue
        item = _ITEMS.get(name)
        said = _plain(value)
        if item is None or item.form != form:
            parts.append(f"{name.replace('_', ' ')}: {said}")
        elif _is_clear(item, value):
            clear += 1
        else:
            parts.append(f"{item.text} {said}")
    if clear:
        parts.append(f"{clear} without a finding")
    return "; ".join(parts)


def _is_clear(item: Item, value: Any) -> bool:
    # An event's values are plain: several choices stand in one text.
    return item.is_clear(str(value).split(", ") if item.answer == "place" else value)


def _uses(pads: Mapping[str, Any]) -> str:
    if "uses" not in pads:
        return "–"
    most = f", at most {_plain(pads['uses_max'])}" if "uses_max" in pads else ""
    return f"{_plain(pads['uses'])} before{most}"


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
