"""The report on a study's cohort: a single HTML page that needs no network and no script, figures and tables beside."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import myoloop
from myoloop.experiments.cohorts.cohort import Cohort, write_tables
from myoloop.experiments.cohorts.view import n_of_sessions
from myoloop.experiments.reports import cohort_checklists as checklists
from myoloop.experiments.reports import cohort_tables as tables
from myoloop.experiments.reports.cohort_figures import draw_all, n_words
from myoloop.experiments.reports.drawing import Drawn
from myoloop.experiments.reports.page import render_page, write_figures
from myoloop.platform.errors import UserError
from myoloop.platform.recording.folder import replace_file

REPORT_FILE = "report.html"
_ARMS = {
    "open": "arms are open",
    "coded": "blinded: arms are shown as A and B, and which is which is not told",
    "pooled": "blinded: arms are withheld",
}
_DOUBTFUL = {"leave_out": "left out", "use": "used all the same, as the analysis file has it"}
_LABELS = {"detected": "as the detector found them", "corrected": "as a person corrected them"}
_OF_NOBODY = (
    "Every effect here was planted in virtual people: it shows that the analysis works, and nothing about anybody."
)
_OF_PEOPLE = (
    "Estimates hold for the people of this study under its protocol. What was not registered is exploratory, a "
    "change of one "
    "person is no effect, and no mechanism was measured."
)


def write_cohort_report(cohort: Cohort, folder: Path) -> Path:
    """Write page, figures and tables into a folder; what an earlier run left of them is replaced.

    Raises
    ------
    UserError
        If it cannot be written.
    """
    figures = draw_all(cohort)
    page = folder / REPORT_FILE
    try:
        write_tables(cohort, folder)
        replace_file(page, render(cohort, figures).encode())
        shutil.rmtree(folder / "figures", ignore_errors=True)
        write_figures(folder / "figures", figures)
    except OSError as error:
        raise UserError(f"{folder}: the report cannot be written: {error.strerror}") from None
    return page


def render(cohort: Cohort, figures: Sequence[Drawn]) -> str:
    """The page."""
    people, result = cohort.people, cohort.result
    first = result.lines[0]
    blinding, blinding_why = tables.blinding(cohort)
    protocol, attempt = checklists.protocol_of(cohort)
    dose = next((each for each in result.lines if each.contrast == "dose"), None)
    grade = (
        f" The protocol's own grade of evidence is: {protocol.protocol.evidence.grade}." if protocol is not None else ""
    )
    arms = _ARMS[people.view] if people.allocated else "the study has no sealed allocation"
    shown = first.shown()
    n = f"{first.estimate.people} people, {n_of_sessions(first)}"
    values: dict[str, Any] = {
        "name": cohort.gathered.study.resolve().name,
        "subtitle": f"{len(people.people)} people, {n_words(cohort)}",
        "badge": "registered analysis" if result.is_registered else "exploratory: no analysis file",
        "stamp": cohort.stamp,
        "said": f"{_OF_NOBODY if cohort.stamp else ''} {arms[:1].upper()}{arms[1:]}.".strip(),
        "header": header(cohort),
        "primary": None
        if shown is None
        else f"{first.what}: {tables.interval_words(first)} ({n}). {first.estimate.method}.",
        "primary_why": first.estimate.why,
        "registered": tables.estimates(cohort, ("primary", "secondary")),
        "sensitivity": tables.estimates(cohort, ("sensitivity",)),
        "exploratory": tables.estimates(cohort, ("exploratory",)),
        "exclusions": tables.exclusions(cohort),
        "problems": [*cohort.gathered.problems, *people.problems],
        "doubtful": tables.doubtful(cohort),
        "not_compared": [f"{name} {why}" for name, why in result.not_compared],
        "baseline": tables.baseline(cohort),
        "adherence": tables.adherence(cohort),
        "responders": tables.responders(cohort),
        "dose_why": dose.estimate.why if dose is not None else "None is registered.",
        "adverse": tables.adverse(cohort),
        "blinding": blinding,
        "blinding_why": blinding_why,
        "missing": tables.missing(cohort),
        "evidence": (_OF_NOBODY if cohort.stamp else _OF_PEOPLE) + grade,
        "skipped": list(result.skipped),
        "consort": checklists.consort(cohort, protocol),
        "tidier": checklists.tidier(cohort, protocol),
        "isek": checklists.isek(protocol, attempt),
        "versions": versions(cohort),
        "version": myoloop.__version__,
    }
    return render_page("cohort.html.jinja", figures, **values)


def header(cohort: Cohort) -> list[tuple[str, str]]:
    """What this cohort is."""
    plan, result = cohort.result.registered, cohort.result
    rows = [
        ("Arms", _ARMS[cohort.people.view] if cohort.people.allocated else "none"),
        ("Analysis",
         f"{plan.analysis.id} {plan.analysis.version}, registered {plan.analysis.registered}, {plan.analysis.where}"
         if result.is_registered else "none was registered: everything is exploratory"),
        ("Missing data", plan.missing_data.replace("_", " ")),
        ("Recordings used", ", ".join(plan.use)),
        ("Protocol", "; ".join(cohort.gathered.protocols) or "none"),
        ("Doubtful values", f"{len(cohort.gathered.doubts)}, {_DOUBTFUL[plan.doubtful]}"),
        ("Spasms", _LABELS[plan.labels]),
        ("Data", "simulated" if cohort.gathered.simulated else "of people"),
        ("Emergency unblindings", str(cohort.people.unblinded)),
    ]  # fmt: skip
    return rows


def versions(cohort: Cohort) -> list[tuple[str, str]]:
    """Of everything that the numbers hang on."""
    return [
        ("This page", f"myoloop {myoloop.__version__}"),
        ("Code SHA-256", cohort.code_sha256),
        ("Input SHA-256", cohort.input_sha256),
        ("Analysis file SHA-256", cohort.result.analysis_sha256 or "none"),
        ("Sealed list SHA-256", cohort.people.list_sha256 or "none"),
        ("Parameters", str(cohort.result.registered.model_dump(mode="json", exclude_defaults=True))),
    ]
