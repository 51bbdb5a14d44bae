"""The tables of the pages that the code itself knows best, made from what the nodes run.

``python docs/tables.py`` prints them, ``--write`` puts them into their pages, each between its two marks. A test
holds the pages to them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import msgspec
from ruamel.yaml import YAML

from myoloop.experiments.drills.devices import DEVICES
from myoloop.experiments.drills.drills import Found
from myoloop.experiments.drills.faults import drills_of
from myoloop.experiments.drills.findings import ZERO_WITHIN_MS, Finding
from myoloop.experiments.drills.stops import P999_MAX_MS
from myoloop.experiments.outcomes.compute import COMPUTED
from myoloop.experiments.outcomes.important_change import IMPORTANT_CHANGES
from myoloop.experiments.outcomes.methods import method_of
from myoloop.experiments.outcomes.registry import MEASURES, OUTCOMES
from myoloop.experiments.outcomes.words import need_words
from myoloop.experiments.protocols.plan import length_s
from myoloop.experiments.protocols.schema import Outcome, Protocol, load_protocol, presets
from myoloop.experiments.protocols.words import duration_text
from myoloop.experiments.screening.forms import FORMS
from myoloop.experiments.screening.gate import ONCE_A_SESSION, PER_SITE
from myoloop.experiments.screening.item import Item
from myoloop.experiments.screening.items import ITEMS
from myoloop.experiments.screening.places import Scope
from myoloop.experiments.sites.library import load_site
from myoloop.experiments.sites.library import sites as site_files
from myoloop.experiments.sites.makers import makers_rules
from myoloop.experiments.sites.schema import SiteInfo
from myoloop.platform.streams import ROLES, STREAMS, Stream
from myoloop.stimulators.gate.ceilings import CEILINGS
from myoloop.stimulators.gate.states import TRANSITIONS

DOCS = Path(__file__).resolve().parent
#: What `make figures` wrote: the findings of each suite, and a figure for each part.
MEASURED = DOCS / "measured"
#: What is promised by others, and where it stands here.
COVERAGE = DOCS / "coverage.yaml"
#: What could harm a person, what detects it, and the tests that prove it.
HAZARDS = DOCS / "hazards.yaml"


def streams() -> str:
    """Every stream: one row of `STREAMS` each."""
    head = ("topic", "message", "from", "a second", "dead after", "road", "recorded", "says")
    return _table(head, (_stream(stream) for stream in STREAMS))


def _stream(stream: Stream) -> tuple[str, ...]:
    topic = stream.name if stream.instance is None else f"{stream.name}/<{stream.instance}>"
    everyone = stream.publishers == frozenset(ROLES)
    return (
        f"`{topic}`",
        f"`{stream.message.__name__}`",
        "any" if everyone else ", ".join(role for role in ROLES if role in stream.publishers),
        "" if stream.rate_hz is None else f"{stream.rate_hz:g}",
        "" if stream.dead_after_ms is None else f"{stream.dead_after_ms} ms",
        stream.road,
        "yes" if stream.recorded else "no",
        stream.says,
    )


def transitions() -> str:
    """Every way from one state of the gate to another."""
    rows = ((f"`{begin}`", cause, f"`{end}`") for (begin, cause), end in TRANSITIONS.items())
    return _table(("from", "cause", "to"), rows)


def ceilings() -> str:
    """The hard limits of each waveform class."""
    classes = tuple(CEILINGS)
    some = CEILINGS[classes[0]]
    rows = ((f"`{row.name}`", *(_limit(getattr(CEILINGS[name], row.name)) for name in classes)) for row in fields(some))
    return _table(("ceiling", *(f"`{name}`" for name in classes)), rows)


def _limit(value: float | tuple[float, float] | None) -> str:
    if value is None:
        return "none"
    return f"{value[0]:.7g} to {value[1]:.7g}" if isinstance(value, tuple) else f"{value:.7g}"


def sites() -> str:
    """Every site of the library."""
    head = ("site", "what", "use", "region", "sides", "pads a side, usual", "least", "marks of the pads")
    return _table(head, (_site(load_site(name)) for name in site_files()))


def _site(site: SiteInfo) -> tuple[str, ...]:
    usual, least = "none", ""
    if site.pads is not None:
        short, long = site.pads.usual_cm
        usual, least = f"{site.pads.count} of {short:g}x{long:g} cm", f"{site.pads.least_cm2:g} cm2"
    marks = ", ".join(site.evidence.marks.get("pads", ()))
    return f"`{site.name}`", site.title, site.use, site.region, ", ".join(site.sides), usual, least, marks


def makers() -> str:
    """Where makers and standards forbid electrodes."""
    rows = (
        (", ".join(rule.devices), ", ".join((*rule.regions, *rule.zones)), rule.why, rule.source)
        for rule in makers_rules()
    )
    return _table(("device", "region or zone", "why", "source"), rows)


def protocols() -> str:
    """Every protocol that ships."""
    head = ("protocol", "title", "evidence", "primary outcome", "a session takes", "rigs")
    return _table(head, (_protocol(load_protocol(name)) for name in presets()))


def _protocol(protocol: Protocol) -> tuple[str, ...]:
    header = protocol.protocol
    least, most = map(duration_text, length_s(protocol))
    return (
        f"`{header.id}`",
        header.title,
        header.evidence.grade,
        _outcome(protocol.outcomes.primary),
        least if least == most else f"{least} to {most}",
        ", ".join(header.rigs),
    )


def _outcome(outcome: Outcome) -> str:
    if outcome.measure is None:
        return f"{outcome.entered}, entered by the {outcome.by}"
    return f"{OUTCOMES[outcome.measure].text} (`{outcome.measure}`)"


#: What an item keeps closed, in words.
_SCOPES: dict[Scope, str] = {
    "all": "every site",
    "trunk": "trunk and pelvis",
    "thorax": "chest, upper back, neck, and paths through the chest",
    "abdomen": "abdomen and pelvis",
    "places": "the part of the body that is named",
    "site": "that site",
}


def screening() -> str:
    """Every item of the gate, form by form; at the end what it finds without a question."""
    parts = []
    for form in (*ONCE_A_SESSION, *PER_SITE, ""):
        items = [item for item in ITEMS if item.form == form]
        title = f"{FORMS[form].title} (`{form}`)" if form else "Found without a question"
        asked = "asked" if form else "found"
        head = ("item", asked, "a finding", "overridden by", "from")
        parts.append(f"### {title}\n\n{_table(head, (_item(item) for item in items))}" if items else "")
    return "\n\n".join(part for part in parts if part)


def _item(item: Item) -> tuple[str, ...]:
    where = _SCOPES[item.scope]
    finding = {
        "absolute": f"closes {where}",
        "override": f"closes {where}",
        "precaution": "warns; a clinician must be there",
        "information": "is reported",
    }[item.kind]
    by = ", ".join(item.override_by)
    if by:
        days = "that day" if item.valid_days == 0 else f"{item.valid_days} days" if item.valid_days > 1 else "1 day"
        by += f"; for {days}" + (", naming the sites" if item.named_sites else "")
        by += f"; never {_SCOPES[item.never]}" if item.never else ""
    elif item.kind == "absolute":
        by = "nobody"
    text = item.text + (" (yes is good)" if item.clear == "yes" else "")
    rows = [f"row {row}" for row in item.rows]
    return f"`{item.id}`", text, finding, by, ", ".join((*rows, *item.sources))


def forms() -> str:
    """Every form: when it is needed, and its questions."""
    rows = (
        (
            f"`{form.id}`" + (f" for each {form.per}" if form.per else ""),
            form.title,
            "yes" if form.id in (*ONCE_A_SESSION, *PER_SITE) else "",
            ", ".join(f"`{field.id}`" for field in form.fields),
        )
        for form in FORMS.values()
    )
    return _table(("form", "what it is", "the gate needs it", "questions"), rows)


def outcomes() -> str:
    """Every outcome that a protocol may name."""
    rows = (
        (f"`{name}`", kind.text, kind.unit, ", ".join(map(need_words, kind.needs)), _computed(name))
        for name, kind in OUTCOMES.items()
    )
    return _table(("outcome", "what it is", "unit", "needs", "computed as"), rows)


def changes() -> str:
    """Which change of a measure matters."""
    head = ("measure", "change", "kind", "what it is", "population", "source")
    rows = (
        (f"`{row.measure}`", row.words(OUTCOMES[row.measure].unit), row.kind, row.label, row.population, row.source)
        for row in IMPORTANT_CHANGES
    )
    return _table(head, rows)


def _computed(name: str) -> str:
    """What the function that computes it says of it."""
    said = method_of(name) if name in MEASURES else " ".join((COMPUTED[name].__doc__ or "").split())
    # A word of capitals, such as RMS, stays one.
    return (said if said[:2].isupper() else said[:1].lower() + said[1:]).rstrip(".")


#: What an entry of the list is called on the page: a treatment is proven by no test, what myoloop does for it is.
_STATES = {"proven": "tested", "not yet": "not yet", "out of scope": "out of scope"}


def coverage_rows() -> list[dict[str, Any]]:
    """The list of what is promised."""
    rows: list[dict[str, Any]] = YAML(typ="safe").load(COVERAGE)
    return rows


def coverage_counts() -> str:
    """How many of the list are tested."""
    rows = []
    for name, some in (("the fifty", _covered(False)), ("what else screening asks", _covered(True))):
        rows.append((name, *(str(sum(row["status"] == state for row in some)) for state in _STATES)))
    return _table(("", *_STATES.values()), rows)


def coverage(extra: bool) -> Callable[[], str]:
    """The list, each entry with where it is and which tests prove it."""

    def entries() -> str:
        return "\n".join(line for row in _covered(extra) for line in _entry(row))

    return entries


def _covered(extra: bool) -> list[dict[str, Any]]:
    return [row for row in coverage_rows() if isinstance(row["row"], str) == extra]


def _entry(row: dict[str, Any]) -> Iterable[str]:
    yield f"- **{row['row']}** “{row['claim']}”: **{_STATES[row['status']]}**"
    yield f"  - where: {row['feature']}"
    if row.get("items"):
        yield f"  - items of screening: {', '.join(f'`{item}`' for item in row['items'])}"
    yield from (f"  - test: `{test}`" for test in row.get("tests", ()))
    yield from (f"  - in `make prove`: `{test}`" for test in row.get("make_prove", ()))
    if row.get("not_yet"):
        yield f"  - not yet: {row['not_yet']}"
    if row.get("note"):
        yield f"  - {row['note']}"


#: What the groups of hazards are called on the page.
_GROUPS = {
    "loop": "The loop",
    "request": "What is asked for",
    "device": "The device",
    "person": "People",
    "station": "The station and the gate itself",
}


def hazards() -> str:
    """Each single fault: what detects it, how soon, the state that follows, the tests that prove it."""
    rows: list[dict[str, Any]] = YAML(typ="safe").load(HAZARDS)
    parts = []
    for group, title in _GROUPS.items():
        lines = [line for row in rows if row["group"] == group for line in _hazard(row)]
        parts.append("\n".join((f"### {title}", "", *lines)))
    return "\n\n".join(parts)


def _hazard(row: dict[str, Any]) -> Iterable[str]:
    yield f"- **{row['hazard']}**"
    yield f"  - detected by: {row['detected_by']}"
    yield f"  - within: {row['within']}"
    yield f"  - safe state: {row['safe_state']}"
    if row.get("limit"):
        yield f"  - what software cannot do: {row['limit']}"
    yield from (f"  - test: `{test}`" for test in row["tests"])
    yield from (f"  - in `make prove`: `{test}`" for test in row.get("make_prove", ()))


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    columns = tuple(head)
    lines = [columns, ("---",) * len(columns), *(tuple(row) for row in rows)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def measured(suite: str, *parts: str) -> Callable[[], str]:
    """What the benchmark found, target by target, and on whom."""

    def rows() -> str:
        found = json.loads((MEASURED / f"{suite}.json").read_text(encoding="utf-8"))
        findings = [finding for finding in found["findings"] if finding["part"] in parts]
        head = ("what", "found", "asked", "simplest known method, same run")
        on_whom = (
            f"`myoloop bench {suite}`: {found['subjects']} drawn subjects, {found['seeds']} seeds each, numbered from "
            f"{found['first_seed']}; mean and 95 % interval over subjects where there is one."
        )
        return _table(head, (_finding(finding) for finding in findings)) + "\n\n" + on_whom

    return rows


def _finding(finding: dict[str, Any]) -> tuple[str, ...]:
    value = f"{finding['value']:.3g}"
    if finding["low"] is not None:
        value += f" [{finding['low']:.3g}, {finding['high']:.3g}]"
    asked = ""
    if finding["target"] is not None:
        asked = f"{finding['sense']} {finding['target']:g}" + ("" if finding["reached"] else ": **not reached**")
    beside = f"{finding['baseline']}: {finding['baseline_value']:.3g}" if finding["baseline"] else ""
    return finding["what"], f"{value} {finding['unit']}".strip(), asked, beside


def learned_estimators() -> str:
    """Learned estimators beside the rules on the same held-out people."""
    found = json.loads((MEASURED / "learned_estimators.json").read_text(encoding="utf-8"))
    size = found["size"]
    head = ("what", "rules", "learned", "difference, learned minus rules", "shown to be at least equal")
    rows = [_compared(what, row) for what in ("spasm", "fatigue") for row in found[what]["compared"]]
    spasm, fatigue = found["spasm"], found["fatigue"]
    more = (
        ("spasm: onsets found", *(f"{spasm['matched'][who]} of {spasm['events']}" for who in _WHO)),
        ("spasm: latency, 95 % of a person's onsets", *(f"{spasm['late_ms'][who]:.3g} ms" for who in _WHO)),
        (
            "spasm: Brier score by hop of 10 ms (the rules say 0 or 1)",
            f"{spasm['brier_of_rules']:.3g}",
            f"{spasm['reliability']['brier']:.3g}",
        ),
        ("spasm: calibration error of the probability", "", f"{spasm['reliability']['calibration_error']:.3g}"),
        ("fatigue: coverage of the 95 % interval", *(f"{fatigue['coverage'][who]:.3g}" for who in _WHO)),
        ("fatigue: median width of the interval", *(f"{fatigue['width'][who]:.3g}" for who in _WHO)),
    )
    on_whom = (
        f"`myoloop train-estimators`: {size['people']} virtual people to learn from, {size['held_out']} others to "
        f"compare on, numbered from {size['first']}, {size['seconds']:g} s each; mean and 95 % interval of the paired "
        "difference over people."
    )
    return _table(head, [*rows, *((*row, "", "") for row in more)]) + "\n\n" + on_whom


_WHO = ("rules", "learned")


def _compared(what: str, row: dict[str, Any]) -> tuple[str, ...]:
    away = f"{row['difference']:+.3g} [{row['low']:+.3g}, {row['high']:+.3g}] {row['unit']}".strip()
    equal = "yes" if row["at_least_equal"] else "**no**"
    asked = f"no worse by more than {row['margin']:g}: {equal}"
    label = f"{what}: {row['what']} ({row['people']} people)"
    return (
        label,
        f"{row['rules']:.3g} {row['unit']}".strip(),
        f"{row['learned']:.3g} {row['unit']}".strip(),
        away,
        asked,
    )


def drills() -> str:
    """What each drill found on each device: from the fault to the last pulse."""
    found = _drills()
    rows: dict[str, dict[str, Finding]] = {}
    for finding in found.drills:
        rows.setdefault(finding.fault, {})[finding.device] = finding
    order = [drill.name for device in DEVICES.values() for drill in drills_of(device)]
    names = [name for name in dict.fromkeys(order) if name in rows]
    head = (
        "fault",
        *(f"{each.name}, at most {ZERO_WITHIN_MS + each.bound_ms:.0f}" for each in DEVICES.values()),
        "told",
    )
    return _table(head, (_drill(name, rows[name]) for name in names))


def _drill(name: str, row: Mapping[str, Finding]) -> tuple[str, ...]:
    cells = [_ended(row[device]) if device in row else "" for device in DEVICES]
    first = next(iter(row.values()))
    told = "" if first.goes_on and first.expects != "told" else first.told
    return f"`{name}`: {first.says}".replace("|", "\\|"), *cells, told.replace("|", "\\|")


def _ended(finding: Finding) -> str:
    if finding.last_pulse_ms is None:
        return "**not run**"
    text = "goes on" if finding.goes_on else f"{finding.last_pulse_ms:.0f}"
    return text if finding.passed else f"**{text}**"


def drill_stops() -> str:
    """How soon stop bytes follow a stop."""
    rows = (
        (name, str(each.stops), *(f"{value:.1f}" for value in (each.p50_ms, each.p99_ms, each.p999_ms, each.worst_ms)))
        for name, each in _drills().stops.items()
    )
    head = ("device", "stops", "median, ms", "99 %", f"99.9 %, at most {P999_MAX_MS:.0f}", "worst")
    return _table(head, rows)


def _drills() -> Found:
    return msgspec.json.decode((MEASURED / "drills.json").read_bytes(), type=Found)


#: Name of the marks, the page they stand on, what stands between them.
TABLES: dict[str, tuple[str, Callable[[], str]]] = {
    "streams": ("architecture.md", streams),
    "transitions": ("architecture.md", transitions),
    "ceilings": ("safety.md", ceilings),
    "hazards": ("safety.md", hazards),
    "protocols": ("protocols.md", protocols),
    "sites": ("sites.md", sites),
    "sites-makers": ("sites.md", makers),
    "screening": ("screening.md", screening),
    "forms": ("screening.md", forms),
    "outcomes": ("outcomes.md", outcomes),
    "changes": ("outcomes.md", changes),
    "coverage-counts": ("coverage.md", coverage_counts),
    "coverage": ("coverage.md", coverage(extra=False)),
    "coverage-screening": ("coverage.md", coverage(extra=True)),
    "measured-subject": ("virtual_subject.md", measured("subject", "subject")),
    "measured-artifact": ("estimators/artifact.md", measured("estimators", "artifact")),
    "measured-fatigue": ("estimators/fatigue_voluntary.md", measured("estimators", "fatigue")),
    "measured-evoked": ("estimators/fatigue_evoked.md", measured("estimators", "evoked")),
    "measured-spasm": ("estimators/spasm.md", measured("estimators", "spasm")),
    "measured-learned": ("estimators/learned.md", learned_estimators),
    "measured-motion": ("estimators/motion.md", measured("estimators", "motion")),
    "measured-features": ("estimators/features.md", measured("estimators", "features")),
    "measured-step": ("benchmarks.md", measured("estimators", "step")),
    "measured-policies": ("policies.md", measured("policies", "policies")),
    "drills": ("drills.md", drills),
    "drill-stops": ("drills.md", drill_stops),
}


def with_table(text: str, name: str, table: str) -> str:
    """A page's text with `table` between the marks of `name`.

    Raises
    ------
    ValueError
        If the page lacks a mark.
    """
    begin, end = f"<!-- {name}: begin, made by docs/tables.py -->", f"<!-- {name}: end -->"
    for mark in (begin, end):
        if text.count(mark) != 1:
            raise ValueError(f"a page should hold the line {mark} once, this one does {text.count(mark)} times")
    before, _, rest = text.partition(begin)
    after = rest.partition(end)[2]
    return f"{before}{begin}\n\n{table}\n\n{end}{after}"


if __name__ == "__main__":
    for name, (page, make) in TABLES.items():
        if "--write" in sys.argv[1:]:
            path = DOCS / page
            path.write_text(with_table(path.read_text(encoding="utf-8"), name, make()), encoding="utf-8")
        else:
            print(f"{name}, in docs/{page}:\n\n{make()}\n")
