"""A site in words, for the one who places the pads; and as data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from myoloop.experiments.protocols.evidence import FREE_MARKS
from myoloop.experiments.sites.library import sources
from myoloop.experiments.sites.makers import makers_rules
from myoloop.experiments.sites.outlines import spoken
from myoloop.experiments.sites.schema import Answer, Emg, Pads, SiteFile, SiteInfo
from myoloop.experiments.sites.zones import ZONES


def describe(site: SiteInfo) -> str:
    """Everything the file says, in the order in which it is needed."""
    lines = [_title(site), *_about(site)]
    if site.landmarks:
        lines += ["", f"find{_marks(site, 'landmarks')}"]
        lines += [f"  {spoken(landmark.name)}: {landmark.find}" for landmark in site.landmarks]
    if site.pads is not None:
        lines += ["", *_pads(site, site.pads)]
    if site.emg is not None:
        lines += ["", *_emg(site, site.emg)]
    if site.posture:
        lines += ["", f"posture{_marks(site, 'posture')}", f"  {site.posture}"]
    if site.answer is not None:
        lines += ["", *_answer(site, site.answer)]
    if site.no_go:
        lines += ["", f"no pad reaches{_marks(site, 'no_go')}"]
        lines += [f"  {spoken(zone)}: {why}" for zone, why in site.no_go.items()]
    if site.cautions:
        lines += ["", f"cautions{_marks(site, 'cautions')}", *(f"  - {text}" for text in site.cautions)]
    makers = makers_say(site)
    if makers:
        lines += ["", "makers and standards forbid it", *(f"  {text}" for text in makers)]
    lines += ["", "sources", *(f"  {mark}: {source.text} ({source.grade})" for mark, source in sources(site).items())]
    lines += [f"  {mark}: {text}" for mark, text in FREE_MARKS.items()]
    if site.evidence.note:
        lines += ["", f"note: {site.evidence.note}"]
    return "\n".join(lines)


def as_data(site: SiteInfo) -> dict[str, Any]:
    """The same for machines: the file's content with its side, the makers' rules, and what the marks stand for."""
    data = site.model_dump(mode="json")
    data["makers"] = makers_say(site)
    data["sources"] = {mark: source.model_dump(mode="json") for mark, source in sources(site).items()}
    return data


def makers_say(site: SiteFile) -> list[str]:
    """Each row of the makers' table that holds for this site, with its devices."""
    return [
        f"{'all devices' if rule.devices == ('any',) else ', '.join(rule.devices)}: {rule.why} [{rule.source}]"
        for rule in makers_rules()
        if rule.forbids(site)
    ]


def _title(site: SiteInfo) -> str:
    side = "" if site.side in (None, "midline") else f", {site.side}"
    return f"{site.title}{side}: {site.use}"


def _about(site: SiteFile) -> Iterator[str]:
    if site.reason:
        yield f"  {site.reason}{_marks(site, 'reason')}"
    yield f"  muscle: {site.muscle}"
    if site.nerve:
        yield f"  nerve: {site.nerve}"
    if site.use != "forbidden":
        intact = "the lower motor neurone must be intact" if site.innervated else "works without a lower motor neurone"
        yield f"  the current is meant for: {site.target}; {intact}{_marks(site, 'innervated')}"
    yield f"  region: {site.region}; lies in: {', '.join(ZONES[zone] for zone in site.lies_in)}"
    yield f"  sides: {', '.join(site.sides)}"


def _pads(site: SiteFile, pads: Pads) -> Iterator[str]:
    short, long = pads.usual_cm
    yield f"pads: {pads.count} a side{_marks(site, 'pads')}"
    for number, place in enumerate(pads.places, start=1):
        yield f"  {number} {place.name}, {place.polarity}: {place.where}"
    yield f"  usually {short:g}x{long:g} cm, at least {pads.least_cm2:g} cm2 each"
    yield f"  edges at least {pads.apart_cm:g} cm apart{_marks(site, 'pads.apart')}"
    yield f"  polarity: {site.polarity}{_marks(site, 'polarity')}"


def _emg(site: SiteFile, emg: Emg) -> Iterator[str]:
    yield f"EMG{_marks(site, 'emg')}"
    yield f"  where: {emg.where}"
    yield f"  direction: {emg.direction}, {emg.spacing_cm:g} cm between centres"
    yield f"  reference: {emg.reference}"


def _answer(site: SiteFile, answer: Answer) -> Iterator[str]:
    yield f"does the right one answer?{_marks(site, 'answer')}"
    yield f"  seen: {answer.seen}"
    if answer.joint is not None:
        yield f"  IMU on the {answer.segment}: {answer.joint} {answer.direction}"
    if answer.emg_rises:
        yield f"  EMG answers in: {', '.join(answer.emg_rises)}"
    if answer.emg_quiet:
        yield f"  EMG stays quiet in: {', '.join(answer.emg_quiet)}"
    for wrong in answer.wrong:
        yield f"  if {wrong.seen}: {wrong.do}"


def _marks(site: SiteFile, key: str) -> str:
    marks = site.evidence.marks.get(key, ())
    return f" [{', '.join(marks)}]" if marks else ""
