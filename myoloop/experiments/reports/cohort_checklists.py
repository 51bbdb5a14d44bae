"""The checklists of a cohort report: each item with what answers it, and the field where that stands.

Items are named, not quoted. What no file answers says so: an author fills it in.
"""

from __future__ import annotations

from pathlib import Path

from myoloop.experiments.cohorts.cohort import Cohort
from myoloop.experiments.protocols.schema import Protocol, load_protocol
from myoloop.experiments.reports.tables import Table
from myoloop.platform.errors import UserError
from myoloop.platform.recording.layout import RecordingError
from myoloop.platform.recording.reader import Recording

NOT_ANSWERED = "not answered by any file"
_TIDIER = (
    ("1 Name", "title"), ("2 Why", "why"), ("3 What: materials", "materials"), ("4 What: procedures", "procedure"),
    ("5 Who provided", "provider"), ("6 How", "mode"), ("7 Where", "where"), ("8 When and how much",
     "when_and_how_much"),
    ("9 Tailoring", "tailoring"), ("10 Modifications", "modifications"), ("11 How well: planned", "fidelity"),
)  # fmt: skip

Row = tuple[str, str, str]


def protocol_of(cohort: Cohort) -> tuple[Protocol | None, Path | None]:
    """The protocol of the newest session that is used, and its attempt; None where it cannot be read."""
    used = [row for row in cohort.gathered.rows if row.used]
    if not used:
        return None, None
    attempt = cohort.gathered.study / used[-1].path
    try:
        return load_protocol(attempt / "protocol.yaml"), attempt
    except UserError:
        return None, attempt


def tidier(cohort: Cohort, protocol: Protocol | None) -> Table:
    """Template for intervention description and replication."""
    rows: list[Row] = []
    for item, field in _TIDIER:
        if protocol is not None and field == "title":
            rows.append((item, protocol.protocol.title, "protocol.title"))
            continue
        told = getattr(protocol.tidier, field) if protocol is not None and protocol.tidier is not None else ""
        rows.append((item, told or NOT_ANSWERED, f"tidier.{field}"))
    people = cohort.people.people
    begun, planned = sum(each.begun for each in people), sum(each.planned or 0 for each in people)
    rows.append(("12 How well: actual", f"{begun} of {planned} planned sessions begun", "people.csv"))
    return Table(("item", "answer", "field"), tuple(rows), "TIDieR (Hoffmann et al., BMJ 2014;348:g1687).")


def consort(cohort: Cohort, protocol: Protocol | None) -> Table:
    """Reporting of a randomised trial."""
    plan, people, result = cohort.result.registered, cohort.people, cohort.result
    method = protocol.allocation.method.replace("_", " ") if protocol is not None and protocol.allocation else ""
    blinded = ", ".join(protocol.allocation.blinded) if protocol is not None and protocol.allocation else ""
    primary = result.lines[0]
    course = protocol.course if protocol is not None else None
    rows: list[Row] = [
        ("Trial design", f"arms {', '.join(people.arms)}" if people.arms else "arms withheld or none", "protocol.arms"),
        ("Eligibility", "; ".join(protocol.population.include) if protocol is not None and protocol.population else "",
         "protocol.population"),
        ("Interventions", protocol.protocol.title if protocol is not None else "", "protocol.yaml of each session"),
        ("Course", f"{course.max_sessions} sessions in {course.weeks} weeks" if course is not None else "",
         "protocol.course"),
        ("Outcomes, named before", primary.what if result.is_registered else "", "analysis file: primary, secondary"),
        ("Registration",
         f"{plan.analysis.id} {plan.analysis.version}, {plan.analysis.registered}, {plan.analysis.where}"
         if result.is_registered else "", "analysis file: analysis"),
        ("Sample size: why", "", "-"),
        ("Sequence generation", method, "protocol.allocation.method"),
        ("Allocation concealment", f"sealed list {people.list_sha256[:12]}" if people.allocated else "",
         "allocation.sealed"),
        ("Who was blinded", blinded, "protocol.allocation.blinded"),
        ("Statistical methods", primary.estimate.method, "estimates.csv: method"),
        ("Missing data", plan.missing_data.replace("_", " "), "analysis file: missing_data"),
        ("Participant flow", f"{len(people.people)} enrolled, {primary.estimate.people} in the primary estimate",
         "flow.csv"),
        ("Baseline data", "see the table of baselines", "sessions.csv"),
        ("Numbers analysed", f"{primary.estimate.people} people, {primary.estimate.sessions} sessions",
         "estimates.csv"),
        ("Ancillary analyses", "labelled exploratory or sensitivity", "estimates.csv: part"),
        ("Harms", f"{sum(len(each.events) for each in people.people)} adverse events", "adverse_events.csv"),
        ("Funding, protocol access", "", "-"),
    ]  # fmt: skip
    return Table(("item", "answer", "field"), tuple((a, b or NOT_ANSWERED, c) for a, b, c in rows),
                 "CONSORT (Schulz et al., BMJ 2010;340:c332), items that a record can answer.")  # fmt: skip


def isek(protocol: Protocol | None, attempt: Path | None) -> Table:
    """Reporting of surface EMG and of the stimulation."""
    emg: list[str] = []
    rates: list[str] = []
    devices: list[str] = []
    try:
        descriptors = Recording.open(attempt, check=False).descriptors if attempt is not None else {}
    except RecordingError:
        descriptors = {}
    for topic, each in sorted(descriptors.items()):
        if topic.startswith("emg/"):
            emg += [name for name, unit in zip(each.channels, each.units, strict=True) if unit == "V"]
            rates.append(f"{each.rate_hz:g} Hz, {each.dtype.lstrip('<')}")
            devices.append(each.device)
    sites = (
        [f"{name}: {site.muscle}, {site.side}" for name, site in protocol.sites.items()] if protocol is not None else []
    )
    pads = [f"{name}: {site.pad_area_cm2:g} cm2" for name, site in protocol.sites.items()
            if site.pad_area_cm2 is not None] if protocol is not None else []  # fmt: skip
    pulses = [f"{name}: {each.phase_us:g} us per phase, {each.rate_hz:g} Hz" for name,
    each in protocol.stimulation.items()
              ] if protocol is not None else []  # fmt: skip
    rows: list[Row] = [
        ("Muscles and sides", "; ".join(sites), "protocol.sites"),
        ("Electrodes: kind, size, distance, skin", "", "-"),
        ("Amplifier", "; ".join(filter(None, devices)), "recording: device"),
        ("Channels", ", ".join(emg), "recording: channels"),
        ("Sampling and resolution", "; ".join(rates), "recording: rate_hz, dtype, scale"),
        ("Normalisation", "by maximal voluntary contraction" if protocol is not None and any(
            item.mvc is not None for item in protocol.phases) else "", "protocol.phases: mvc"),
        ("Stimulation: pulses", "; ".join(pulses), "protocol.stimulation"),
        ("Stimulation: pads", "; ".join(pads), "protocol.sites: pad"),
        ("Stimulation: limits", f"{protocol.envelope.waveform_class}, {protocol.envelope.current_max_ma:g} mA at most"
         if protocol is not None else "", "protocol.envelope"),
    ]  # fmt: skip
    return Table(("item", "answer", "field"), tuple((a, b or NOT_ANSWERED, c) for a, b, c in rows),
                 "ISEK's standards for reporting EMG data (Merletti 1999), and the stimulation's own.")  # fmt: skip
